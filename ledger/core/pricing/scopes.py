"""Where a running total starts, and whose it is (rules R1, T1, T2, D8).

Most count the usage of one account in its day, month or billing period. Those of a subtree count
all accounts below the one that has prices of its own, by that one's calendar; those of a contract
all that it is for, over its term. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.contracts.contracts import begun
from ledger.core.pricing.shared_totals import scope_under
from ledger.core.state import Account
from rating.functions import (
    SCOPE_CONTRACT,
    SCOPE_DAY,
    SCOPE_MONTH,
    SCOPE_PERIOD,
    SCOPE_SUBTREE_DAY,
    SCOPE_SUBTREE_MONTH,
)
from rating.overrides import NEVER_US
from rating.plan import Plan


def scope_starts(
    account: Account, plan: Plan, period: int, counted: int
) -> dict[int, tuple[int, int]]:
    """(scope, its start) of each total that the plan reads, for usage that counts at an instant in
    the month `period`: the day and the billing period that hold it. None of a contract where there
    is none at that time."""
    starts: dict[int, tuple[int, int]] = {}
    for key, scope in plan.running:
        if scope == SCOPE_MONTH:
            starts[key] = scope, period
        elif scope == SCOPE_DAY:
            starts[key] = scope, account.calendar.day_of(counted)
        elif scope == SCOPE_PERIOD:
            starts[key] = scope, account.billing_period_of(counted)
        elif scope == SCOPE_CONTRACT:
            found = _term_at(account, counted)
            if found is not None:
                starts[key] = found
        else:
            top = top_of(account)
            starts[key] = scope_under(scope, top.number), _start_of(top, scope, counted)
    return starts


def _start_of(top: Account, scope: int, counted: int) -> int:
    if scope == SCOPE_SUBTREE_DAY:
        return top.calendar.day_of(counted)
    if scope == SCOPE_SUBTREE_MONTH:
        return top.calendar.start_of(counted)
    return top.billing_period_of(counted)


def top_of(account: Account) -> Account:
    """The account whose subtree shares totals with this one: the nearest, itself included, with
    prices of its own, else the root of its family (rule D8)."""
    while account.parent is not None and not has_prices(account):
        account = account.parent
    return account


def has_prices(account: Account) -> bool:
    """Whether an account says itself what it pays: by a rate card that its policy names, overrides,
    a package or a contract."""
    if account.policy.rate_card:
        return True
    subscription = account.subscription
    if subscription is not None and not subscription.over:
        return True
    return any(each.ended_at_us == NEVER_US for each in account.overrides)


def _term_at(account: Account, at: int) -> tuple[int, int] | None:
    """(scope, start) of the term of a contract that holds an instant: of the account's own, else of
    the nearest above it that has one then."""
    node: Account | None = account
    while node is not None:
        for each in node.contracts:
            if begun(each) and each.starts_at <= at < each.until:
                start = max([start for start in each.terms if start <= at], default=each.starts_at)
                return scope_under(SCOPE_CONTRACT, node.number), start
        node = node.parent
    return None
