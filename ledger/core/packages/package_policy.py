"""What a package sets of an account's policy, field by field (rules P1, D2, D4).

A field that somebody set otherwise since holds: neither a new version nor the end of the
subscription touches it. Reads state, changes nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.events import AccountPolicy, Comparator, Excess, Overage, PolicyPart
from ledger.core.packages.packaged import COMPARATORS, EXCESSES, OVERAGES, PackagedPolicy
from ledger.core.state import Account, State


def policy_under(
    state: State, account: Account, terms: PackagedPolicy | None, parts: tuple[PolicyPart, ...]
) -> tuple[AccountPolicy, tuple[PolicyPart, ...]]:
    """The account's policy under these terms (None = under no package any more) where `parts` is
    what a package set of it so far; and what they set of it."""
    policy = account.policy
    before: dict[str, int | str] = {}
    held: list[PolicyPart] = []
    for part in parts:
        if value_of(policy, part.field) == part.value:
            before[part.field] = part.before
        else:
            held.append(part)
    wanted = _values(state, account, terms) if terms is not None else {}
    for field, value in before.items():
        if field not in wanted:
            policy = _with(policy, field, value)
    found: list[PolicyPart] = []
    holds = {part.field: part for part in held}
    for field, value in wanted.items():
        if field in holds:
            found.append(holds[field])
            continue
        found.append(PolicyPart(field, value, before.get(field, value_of(policy, field))))
        policy = _with(policy, field, value)
    return policy, tuple(found)


def _values(state: State, account: Account, terms: PackagedPolicy) -> dict[str, int | str]:
    """What the terms say, as the policy's fields."""
    found: dict[str, int | str] = {}
    if terms.rate_card is not None:
        found["rate_card"] = terms.rate_card
    if terms.overdraft_asset is not None and terms.overdraft_limit is not None:
        found["overdraft_asset"] = state.catalog.asset_number(account.tenant, terms.overdraft_asset)
        found["overdraft_limit"] = terms.overdraft_limit
    if terms.overage is not None:
        found["overage"] = int(OVERAGES[terms.overage])
    if terms.overage_cap is not None:
        found["overage_cap"] = terms.overage_cap
    if terms.excess is not None:
        found["excess"] = int(EXCESSES[terms.excess])
    if terms.comparator is not None:
        found["comparator"] = int(COMPARATORS[terms.comparator])
    if terms.settlement_asset is not None:
        found["settlement_asset"] = state.catalog.asset_number(
            account.tenant, terms.settlement_asset
        )
    return found


def value_of(policy: AccountPolicy, field: str) -> int | str:
    """A field of a policy that a package may set, as it stands in entries."""
    if field == "rate_card":
        return policy.rate_card
    if field == "overdraft_asset":
        return policy.overdraft_asset
    if field == "overdraft_limit":
        return policy.overdraft_limit
    if field == "overage":
        return int(policy.overage)
    if field == "overage_cap":
        return policy.overage_cap
    if field == "excess":
        return int(policy.excess)
    if field == "comparator":
        return int(policy.comparator)
    assert field == "settlement_asset", field
    return policy.settlement_asset


def _with(policy: AccountPolicy, field: str, value: int | str) -> AccountPolicy:
    given: object = value
    if field == "overage":
        given = Overage(int(value))
    elif field == "excess":
        given = Excess(int(value))
    elif field == "comparator":
        given = Comparator(int(value))
    return replace(policy, **{field: given})
