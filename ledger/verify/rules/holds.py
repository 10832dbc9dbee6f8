"""Holds: within their limits, settled once (rules H1 to H3)."""

from __future__ import annotations

from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    Pot,
)
from ledger.core.limits import (
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
    HOLD_LIFETIME_MAX_US,
)
from ledger.core.state import State
from ledger.verify.rules.caps import look_at_shares
from ledger.verify.rules.decision_policies import overdraft_by
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.operation_parts import counted_at, drawn_anew
from ledger.verify.rules.quotes import hold_of_quote
from ledger.verify.rules.seats import seats_pay
from ledger.verify.rules.usage import (
    due_hold,
    look_at_month,
    open_hold,
    slices,
    takes,
)


def hold_authorized(judge: Judge, state: State, event: HoldAuthorized) -> None:
    judge.equal(state, "number of the hold", state.next_hold, event.hold)
    judge.equal(state, "effective time", state.now, event.effective_at)
    expires_at = event.effective_at + (event.lifetime or HOLD_LIFETIME_DEFAULT_US)
    judge.equal(state, "expiry of the hold", expires_at, event.expires_at)
    longest = (HOLD_LIFETIME_MAX_US, HOLD_LIFETIME_BATCH_MAX_US)
    if event.lifetime_max not in longest or event.lifetime > event.lifetime_max:
        judge.wrong(state, "longest lifetime of the hold", longest, event.lifetime_max)
    account = state.accounts[event.account]
    anew = drawn_anew(state, event)
    slices(judge, state, account, event, anew)
    look_at_shares(judge, state, account, anew, counted_at(state, event))
    seats_pay(judge, state, event)
    look_at_month(judge, state, account, event.effective_at, event.period)
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    asset = state.declared[event.plan].asset
    debt, grace = account.debt.get(asset), account.policy.overdraft_grace
    if anew and debt is not None and debt.owed:
        below = state.now - debt.since
        if 0 <= grace <= below:
            judge.wrong(state, "time below zero", f"less than {grace}", below)
    by_rule = overdraft_by(state, event, asset)
    if any(piece.pot == Pot.OVERDRAFT for piece in anew) and not by_rule:
        judge.equal(state, "holds_overdraft", True, account.policy.holds_overdraft)

    takes(judge, state, state.accounts[event.account], state.now, new=True)
    if event.quote:
        hold_of_quote(judge, state, event)


def authorize_denied(judge: Judge, state: State, event: AuthorizeDenied) -> None:
    takes(judge, state, state.accounts[event.account], state.now, new=True)


def hold_extended(judge: Judge, state: State, event: HoldExtended) -> None:
    """Open, and never beyond the longest lifetime from the authorisation (rule H1)."""
    open_hold(judge, state, event.hold, event.account)
    expires_at = state.now + (event.lifetime or HOLD_LIFETIME_DEFAULT_US)
    judge.equal(state, "expiry of the hold", expires_at, event.expires_at)
    hold = state.holds.get(event.hold)
    if hold is not None and event.expires_at > hold.authorized_at + hold.lifetime_max:
        longest = hold.authorized_at + hold.lifetime_max
        judge.wrong(state, f"expiry of hold {hold.number}", f"to {longest}", event.expires_at)


def hold_released(judge: Judge, state: State, event: HoldReleased) -> None:
    open_hold(judge, state, event.hold, event.account)


def hold_expired(judge: Judge, state: State, event: HoldExpired) -> None:
    due_hold(judge, state, event.hold)
