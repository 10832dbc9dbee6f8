"""Texts beside the figures: plans by digest, policies as JSON, names that an erasure may blank."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from ledger.core.events import (
    AccountPolicy,
    BudgetTerms,
    BudgetValues,
    CapTerms,
    ChargeTerms,
    CommitmentTerms,
    MandateTerms,
    PlanDeclared,
    PolicyRule,
    PurchaseTerms,
    RecurringTerms,
    SeatTerms,
    TopUpRule,
    Tried,
)
from ledger.core.upcast import Policy
from ledger.journal.codec import PrivateRecords
from ledger.projections.changes import Row

Names = tuple[str | None, str | None, str | None, str | None, str | None]
"""Source, id, operation, its parent, personal attributes as JSON."""

NO_NAMES: Final[Names] = (None, None, None, None, None)

_UNPRICED: Final = -1
_DEFAULTS: Final = AccountPolicy()
_LATER: Final = AccountPolicy.__struct_fields__[len(Policy.__struct_fields__) :]
_encode_plan = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode


class Plan:
    """A plan of the batch; `tenant` is the last one that it was written down for."""

    __slots__ = ("asset", "declared", "digest", "tenant")

    def __init__(self, declared: PlanDeclared) -> None:
        self.declared = declared
        self.asset = declared.asset
        self.digest = UUID(bytes=blake2b(_encode_plan(declared), digest_size=16).digest())
        self.tenant = 0

    def row(self, tenant: int, shard: int) -> Row:
        """A row of `plans`."""
        declared = self.declared
        return (
            tenant,
            shard,
            self.digest,
            declared.product,
            _encode_json(dict(declared.attributes)).decode(),
            declared.quantity_names,
            declared.rate_card,
            declared.card_version,
            [None if row == _UNPRICED else row for row in declared.rows],
            declared.asset,
        )


def json_of(value: object) -> str:
    """A value as JSON text."""
    return _encode_json(value).decode()


def policy_json(policy: AccountPolicy) -> str:
    """A policy as the JSON object that `accounts.policy` holds."""
    return _encode_json(policy_fields(policy)).decode()


def policy_fields(policy: AccountPolicy) -> dict[str, object]:
    """Its fields by name, without those that came later where they have their default."""
    fields = msgspec.structs.asdict(policy)
    for name in _LATER:
        if fields[name] == getattr(_DEFAULTS, name):
            del fields[name]
    return fields


def terms_json(terms: RecurringTerms | CommitmentTerms | ChargeTerms) -> str:
    """Terms as the JSON object that `recurring_grants.terms` and `commitments.terms` hold."""
    return _encode_json(terms_fields(terms)).decode()


def terms_fields(terms: RecurringTerms | CommitmentTerms | ChargeTerms) -> dict[str, object]:
    """Their fields by name."""
    return msgspec.structs.asdict(terms)


def cap_json(terms: CapTerms) -> str:
    """A cap's terms as the JSON object that `caps.terms` holds."""
    return _encode_json(msgspec.structs.asdict(terms)).decode()


def budget_json(terms: BudgetTerms, values: BudgetValues | None) -> str:
    """A budget's terms as the JSON object that `budgets.terms` holds."""
    said = msgspec.structs.asdict(terms)
    if values is not None:
        limits = [{"value": each.value, "limit": each.limit} for each in values.limits]
        said |= {
            "group_by": values.group_by,
            "values_max": values.values_max,
            "value_limits": limits,
        }
    return _encode_json(said).decode()


def mandate_json(terms: MandateTerms, purchase: PurchaseTerms | None) -> str:
    """A mandate's terms as the JSON object that `mandate_entries.terms` holds."""
    said = msgspec.structs.asdict(terms)
    if purchase is not None:
        said["purchase"] = msgspec.structs.asdict(purchase)
    return _encode_json(said).decode()


def seat_terms_json(terms: SeatTerms) -> str:
    """A plan's terms as the JSON object that `seat_plan_entries.terms` holds."""
    return _encode_json(seat_terms_fields(terms)).decode()


def seat_terms_fields(terms: SeatTerms) -> dict[str, object]:
    """Their fields by name, those of the allowance too."""
    return msgspec.structs.asdict(terms) | {"allowance": terms_fields(terms.allowance)}


def policy_rules_json(rules: tuple[PolicyRule, ...]) -> str:
    """The rules of a decision policy as the JSON list that `decision_policies.rules` holds."""
    return _encode_json([_rule_fields(rule) for rule in rules]).decode()


def _rule_fields(rule: PolicyRule) -> dict[str, object]:
    fields = msgspec.structs.asdict(rule)
    fields["alternatives"] = [
        msgspec.structs.asdict(each)
        | {"quantities": [msgspec.structs.asdict(mapped) for mapped in each.quantities]}
        for each in rule.alternatives
    ]
    return fields


def tried_json(tried: tuple[Tried, ...]) -> str:
    """What was looked at, as the JSON list that `rulings.tried` holds."""
    return _encode_json([msgspec.structs.asdict(each) for each in tried]).decode()


def rule_json(rule: TopUpRule) -> str:
    """A rule as the JSON object that `top_up_rules.rule` holds."""
    return _encode_json(msgspec.structs.asdict(rule)).decode()


def names_of(private: PrivateRecords) -> dict[int, Names]:
    """By index of the batch what may be erased: source, id, operation, its parent, personal."""
    names: dict[int, Names] = {
        index: (source or None, id or None, operation or None, parent or None, None)
        for index, source, id, operation, parent in zip(
            private.indexes,
            private.sources,
            private.ids,
            private.operations,
            private.operation_parents,
            strict=True,
        )
    }
    for index, attributes in private.personal.items():
        names[index] = (*names[index][:4], _encode_json(attributes).decode())
    return names
