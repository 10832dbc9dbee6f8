"""Top-ups: rules, what they asked for, and what came of it (rule H6)."""

from __future__ import annotations

from ledger.core.events import (
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
)
from ledger.core.evolve.moves import set_timer
from ledger.core.state import (
    TIMER_TOP_UP,
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    State,
    TopUp,
)


def top_up_rule_set(state: State, event: TopUpRuleSet) -> None:
    account = state.accounts[event.account]
    account.top_up_rules[event.rule.asset] = (event.version, event.rule)
    account.find_watched()
    state.keys.add(event.key, state.locator)


def top_up_rule_removed(state: State, event: TopUpRuleRemoved) -> None:
    account = state.accounts[event.account]
    version, _ = account.top_up_rules[event.asset]
    account.top_up_rules[event.asset] = (version, None)
    account.find_watched()
    state.keys.add(event.key, state.locator)


def top_up_requested(state: State, event: TopUpRequested) -> None:
    account = state.accounts[event.account]
    before = state.settled_before
    for number in [each.number for each in account.top_ups.values() if not each.remembered(before)]:
        del account.top_ups[number]
        del state.top_ups[number]
    top_up = TopUp(
        event.top_up,
        account,
        event.asset,
        event.amount,
        event.price_paid,
        event.price_asset,
        event.source,
        event.version,
        int(event.available),
        state.now,
        event.expires_at,
    )
    account.top_ups[event.top_up] = state.top_ups[event.top_up] = top_up
    state.next_top_up = event.top_up + 1
    set_timer(state, account, event.expires_at, TIMER_TOP_UP, event.top_up)


def top_up_confirmed(state: State, event: TopUpConfirmed) -> None:
    top_up = _settle_top_up(state, event.top_up, TOP_UP_CONFIRMED)
    top_up.grant = event.grant
    state.keys.add(event.key, state.locator)


def top_up_declined(state: State, event: TopUpDeclined) -> None:
    _settle_top_up(state, event.top_up, TOP_UP_DECLINED)
    state.keys.add(event.key, state.locator)


def top_up_expired(state: State, event: TopUpExpired) -> None:
    _settle_top_up(state, event.top_up, TOP_UP_EXPIRED)


def _settle_top_up(state: State, number: int, settled: int) -> TopUp:
    top_up = state.top_ups[number]
    top_up.state = settled
    top_up.settled_at = state.now
    return top_up
