"""The timers of everything in memory that is still to come, made anew.

Whoever adds a kind of timer adds here whose it is. When one is due follows from what it is of; what
happens then stands in `due`.
"""

from __future__ import annotations

from ledger.core.state import NEVER, TOP_UP_PENDING, State
from ledger.core.timers import (
    TIMER_CHARGE,
    TIMER_COMMITMENT,
    TIMER_CONTRACT,
    TIMER_FAMILY,
    TIMER_GAUGE,
    TIMER_GRANT,
    TIMER_HOLD,
    TIMER_MINIMUMS,
    TIMER_PACKAGE,
    TIMER_QUOTE,
    TIMER_RECURRING,
    TIMER_RERATE,
    TIMER_SEATS,
    TIMER_STATEMENT,
    TIMER_SUSPENSE,
    TIMER_TOP_UP,
)


def rebuild_timers(state: State) -> None:
    """Forget the timers of what is settled: after a replay, before the first sweep."""
    live = [
        (state.timer_at(hold.account.tenant, hold.expires_at), TIMER_HOLD, hold.number)
        for hold in state.holds.values()
        if hold.expires_at != NEVER
    ]
    live += [
        (state.timer_at(grant.account.tenant, due), TIMER_GRANT, grant.number)
        for grant in state.grants.values()
        for due in grant.dues()
    ]
    live += [
        (state.timer_at(recurring.account.tenant, recurring.due), kind, recurring.number)
        for kind, every in (
            (TIMER_RECURRING, state.recurring.values()),
            (TIMER_COMMITMENT, state.commitments.values()),
        )
        for recurring in every
        if recurring.due != NEVER
    ]
    live += [
        (state.timer_at(each.account.tenant, each.expires_at), TIMER_TOP_UP, each.number)
        for each in state.top_ups.values()
        if each.state == TOP_UP_PENDING
    ]
    live += [(state.recorded_at, TIMER_SUSPENSE, root) for root in state.suspended]
    live += [
        (state.timer_at(each.tenant, each.minimums_due), TIMER_MINIMUMS, each.number)
        for each in state.accounts.values()
        if each.minimums_due != NEVER
    ]
    live += [
        (state.timer_at(each.tenant, each.gauges.due), TIMER_GAUGE, each.number)
        for each in state.accounts.values()
        if each.gauges is not None and each.gauges.due != NEVER
    ]
    live += [
        (state.timer_at(each.tenant, each.dues.due), TIMER_RERATE, each.number)
        for each in state.accounts.values()
        if each.dues is not None
    ]
    live += [
        (state.timer_at(each.tenant, each.subscription.due), TIMER_PACKAGE, each.number)
        for each in state.accounts.values()
        if each.subscription is not None and not each.subscription.over
    ]
    live += [
        (state.timer_at(each.account.tenant, each.due), TIMER_CHARGE, each.number)
        for each in state.charges.values()
        if each.due != NEVER
    ]
    live += [
        (state.timer_at(each.tenant, plan.due), TIMER_SEATS, each.number)
        for each in state.accounts.values()
        if each.seats is not None
        for plan in each.seats.plans.values()
        if plan.due != NEVER
    ]
    live += [
        (state.timer_at(account.tenant, each.due), TIMER_CONTRACT, account.number)
        for account in state.accounts.values()
        for each in account.contracts
        if each.due != NEVER
    ]
    live += [
        (state.timer_at(each.account.tenant, each.expires_at), TIMER_QUOTE, each.number)
        for each in state.quotes.values()
    ]
    live += [
        (state.timer_at(each.tenant, each.statements.due), TIMER_STATEMENT, each.number)
        for each in state.accounts.values()
        if each.statements is not None and each.statements.due != NEVER
    ]
    live += [
        (due, TIMER_FAMILY, root) for root, due in state.paged_families.items() if due != NEVER
    ]
    state.timers = sorted(live)
    for family in state.families.values():
        family.scheduled = NEVER
