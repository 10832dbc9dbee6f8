"""Outcomes: reserved as recorded usage is drawn, settled once (rules B1, H1, D4, R1)."""

from __future__ import annotations

from msgspec.structs import astuple

from ledger.core.events import OutcomeConfirmed, OutcomeRejected, OutcomeReported
from ledger.core.limits import CORRECTION_WINDOW_US, OUTCOMES_PENDING_MAX
from ledger.core.state import NEVER, Hold, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_overrides
from ledger.verify.rules.seats import seats_pay
from ledger.verify.rules.usage import (
    drawn,
    due_hold,
    grants_in_time,
    look_at_month,
    open_hold,
    slices,
    takes,
)
from rating.card import OUTCOME_WAIT_MAX_US


def outcome_reported(judge: Judge, state: State, event: OutcomeReported) -> None:
    """Work in time, of an account that takes it, whose whole price pends (rule D4)."""
    account, plan = state.accounts[event.account], state.declared[event.plan]
    at = event.effective_at
    judge.equal(state, "number of the outcome", state.next_hold, event.hold)
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    seats_pay(judge, state, event)
    judge.equal(state, "quote of an outcome", 0, event.quote)
    if not state.window_start <= at <= state.window_end:
        window = f"{state.window_start} to {state.window_end}"
        judge.wrong(state, "effective time", window, at)
    if not event.effective_given:
        judge.equal(state, "effective time", state.now, at)
    if not 0 <= event.lifetime <= OUTCOME_WAIT_MAX_US:
        judge.wrong(state, "wait of the outcome", f"0 to {OUTCOME_WAIT_MAX_US}", event.lifetime)
    judge.equal(state, "longest wait of the outcome", event.lifetime, event.lifetime_max)
    due = state.now + event.lifetime if event.lifetime else NEVER
    judge.equal(state, "when the outcome is due", due, event.expires_at)
    if account.outcomes >= OUTCOMES_PENDING_MAX:
        judge.wrong(state, "outcomes that pend", f"less than {OUTCOMES_PENDING_MAX}", "more")
    waits = min(event.charges, default=0) < 0
    judge.equal(state, "whether a price is missing", waits, event.suspense > 0)
    takes(judge, state, account, at, new=True)
    look_at_month(judge, state, account, at, event.period)
    look_at_overrides(judge, state, account, plan, at)
    slices(judge, state, account, event)
    grants_in_time(judge, state, event)


def outcome_confirmed(judge: Judge, state: State, event: OutcomeConfirmed) -> None:
    """What was reported is charged, as of its time and by its rows, once (rules H1, R1)."""
    drawn(judge, state, state.accounts[event.account], event)
    hold = _pending(judge, state, event)
    if hold is None or hold.outcome is None:
        return
    if event.by_time:
        judge.equal(state, f"end of outcome {hold.number}", True, hold.outcome.confirms)
    elif event.effective_at < state.now - CORRECTION_WINDOW_US:
        oldest = state.now - CORRECTION_WINDOW_US
        judge.wrong(state, "time of the work", f"from {oldest} on", event.effective_at)
    judge.equal(state, "effective time", hold.authorized_at, event.effective_at)
    estimate = hold.outcome.estimate
    planned, plan = astuple(estimate.plan), astuple(state.declared[event.plan])
    judge.equal(state, "price rows of the outcome", planned, plan)
    judge.equal(state, "quantities of the outcome", estimate.quantities, event.quantities)


def outcome_rejected(judge: Judge, state: State, event: OutcomeRejected) -> None:
    """All goes back, once."""
    _pending(judge, state, event)


def _pending(judge: Judge, state: State, event: OutcomeConfirmed | OutcomeRejected) -> Hold | None:
    """An outcome of the account that pends: due where the clock settles it, else not."""
    judge.equal(state, "whether the clock settles it", event.key == b"", event.by_time == 1)
    if not event.by_time:
        open_hold(judge, state, event.hold, event.account, outcome=True)
        return state.holds.get(event.hold)
    hold = due_hold(judge, state, event.hold, outcome=True)
    if hold is not None:
        judge.equal(state, "account of the outcome", hold.account.number, event.account)
    return hold
