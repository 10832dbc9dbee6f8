"""Policies of decisions as they are set, and the decisions that they had a say in."""

from __future__ import annotations

from ledger.core.events import (
    DecisionPolicySet,
    HoldDebitDenied,
    HoldDebited,
    OperationHeld,
    OperationPartHeld,
    PackageRulesSet,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PolicyRule,
)
from ledger.projections.described import policy_rules_json, tried_json
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.holds import authorize_denied, hold_authorized, part_held
from ledger.projections.fold.usage import usage_costed


def decision_policy_set(fold: Folding, _: int, event: DecisionPolicySet) -> None:
    _set(fold, event.account, "", event.version, event.rules)


def package_rules_set(fold: Folding, _: int, event: PackageRulesSet) -> None:
    _set(fold, event.account, event.package, event.version, event.rules)


def _set(
    fold: Folding, account: int, package: str, version: int, rules: tuple[PolicyRule, ...]
) -> None:
    fold.changes.decision_policies.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, package, version,
            policy_rules_json(rules), fold.recorded_at,
        )
    )  # fmt: skip


def operation_held(fold: Folding, index: int, event: OperationHeld) -> None:
    """A hold of an operation, which a policy may have had a say in."""
    hold_authorized(fold, index, event)
    if event.ruling is not None:
        _ruled(fold, event)


def operation_part_held(fold: Folding, index: int, event: OperationPartHeld) -> None:
    """A hold of one call, of which its operation's gives first."""
    operation_held(fold, index, event)
    part_held(fold, event)


def policy_held(fold: Folding, index: int, event: PolicyHeld) -> None:
    hold_authorized(fold, index, event)
    _ruled(fold, event)


def policy_debited(fold: Folding, index: int, event: PolicyDebited) -> None:
    _ruled(fold, event)
    usage_costed(fold, index, event)


def hold_debited(fold: Folding, index: int, event: HoldDebited) -> None:
    """Of a hold of an operation, which a policy may have had a say in."""
    if event.ruling is not None:
        _ruled(fold, event)
    usage_costed(fold, index, event)


def hold_debit_denied(fold: Folding, index: int, event: HoldDebitDenied) -> None:
    authorize_denied(fold, index, event)
    if event.ruling is not None:
        _ruled(fold, event)


def policy_denied(fold: Folding, index: int, event: PolicyDenied) -> None:
    authorize_denied(fold, index, event)
    _ruled(fold, event)


def _ruled(fold: Folding, event: PolicyHeld | PolicyDebited | PolicyDenied) -> None:
    ruling = event.ruling
    assert ruling is not None, event
    _, plan = fold.place(event)
    asked = ruling.asked
    fold.changes.rulings.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            ruling.account or None, ruling.version, ruling.package, ruling.rule,
            int(ruling.action), ruling.reason,
            asked.product if asked is not None else plan.declared.product,
            ruling.charge, ruling.missing, ruling.top_up or None, tried_json(ruling.tried),
            fold.recorded_at,
        )
    )  # fmt: skip
