"""What authorisations, quotes, leases and reported outcomes have a replay do: what is held first.

Work of a hold that the candidate denies was never done: its captures charge nothing. An
authorisation that was denied holds nothing where the candidate allows it, for what it would have
used nobody knows: it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ledger.backtest.asked import asked
from ledger.backtest.asked_work import authorize_of, debit_of, quote_of, reserve_of, work_of
from ledger.backtest.usage_entries import not_run
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.outcomes import Refusal
from ledger.core.state import TIMER_HOLD, TIMER_QUOTE

if TYPE_CHECKING:
    from ledger.backtest.replay import Replay

_Events = Sequence[e.Event]


# -- quotes ----------------------------------------------------------------------------------------


def _quoted(replay: Replay, events: _Events, index: int) -> None:
    """A price was promised: here it is the candidate's."""
    event = events[index]
    assert isinstance(event, e.QuoteMade)
    replay.state.next_quote = event.quote
    if event.hold:
        replay.state.next_hold = event.hold
    command = quote_of(event, replay.usual.plans[event.plan].shape)
    if isinstance(replay.run(command, events, index), Refusal) and event.hold:
        replay.denied_holds.add(event.hold)


def _quote_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.QuoteExpired)
    replay.post(TIMER_QUOTE, event.quote, events, index)


# -- authorisations --------------------------------------------------------------------------------


def _debited(replay: Replay, events: _Events, index: int) -> None:
    """Work that was let go ahead and charged at once: where the candidate denies it, it was never
    done."""
    event = events[index]
    assert isinstance(event, e.UsageDebited)
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    replay.figures.usage_events += 1
    if event.hold in replay.denied_holds:
        not_run(replay, event, priced.declared)
        return
    outcome = replay.run(debit_of(event, priced.shape), events, index)
    if isinstance(outcome, e.UsageDebited):
        replay.keep(index, replay.original(outcome), waits=False)
        return
    not_run(replay, event, priced.declared)
    if isinstance(outcome, e.AuthorizeDenied):
        _count_denied(replay, event.account, outcome)


def _authorized(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.HoldAuthorized)
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    if not event.key:
        return  # it was made with its quote
    replay.state.next_hold = event.hold
    if isinstance(event, e.OperationReserved):
        replay.operation_holds.add(event.hold)
        outcome = replay.run(reserve_of(event), events, index)
    elif isinstance(event, e.OperationPartHeld) and event.of in replay.denied_holds:
        replay.denied_holds.add(event.hold)
        return
    else:
        outcome = replay.run(authorize_of(event, priced.shape), events, index)
    if isinstance(outcome, e.HoldAuthorized):
        return
    replay.denied_holds.add(event.hold)
    if isinstance(outcome, e.AuthorizeDenied):
        _count_denied(replay, event.account, outcome)


def _count_denied(replay: Replay, account: int, outcome: e.AuthorizeDenied) -> None:
    replay.figures.denied_now += 1
    asset = replay.state.declared[outcome.plan].asset
    denials = replay.figured.denials_of(account, asset)
    denials.denied += 1
    denials.charge += outcome.charge
    denials.first_at_us = denials.first_at_us or replay.state.now


def _denied(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.AuthorizeDenied)
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    command = work_of(event, priced.shape)
    if isinstance(command, c.AuthorizeHold | c.DebitWork) and command.hold in replay.denied_holds:
        return
    if replay.is_allowed(command, events, index):
        replay.figures.allowed_now += 1
        replay.figures.authorized.new += 1
        replay.figured.denials_of(event.account, priced.asset).allowed += 1
    else:
        replay.run(command, events, index)


def _of_a_hold(replay: Replay, events: _Events, index: int) -> None:
    """A hold that was never granted here is neither extended nor given back."""
    event = events[index]
    assert isinstance(event, e.HoldExtended | e.HoldReleased)
    command = asked(event)
    if command is not None and event.hold not in replay.denied_holds:
        replay.run(command, events, index)


# -- leases ----------------------------------------------------------------------------------------


def _leased(replay: Replay, events: _Events, index: int) -> None:
    """A lease of what its holder wanted then; what there is for it may be something else here."""
    event = events[index]
    assert isinstance(event, e.LeaseGranted)
    replay.state.next_hold = event.hold
    command = c.AcquireLease(
        event.key,
        event.account,
        replay.usual.plans[event.plan].shape,
        event.holder,
        event.wanted,
        event.minimum,
        event.lifetime,
        event.on_lapse,
        trace=event.trace,
        operation=event.operation if isinstance(event, e.OperationLeaseGranted) else b"",
    )
    if isinstance(replay.run(command, events, index), Refusal):
        replay.denied_holds.add(event.hold)


def _of_a_lease(replay: Replay, events: _Events, index: int) -> None:
    """A lease that is not there is neither renewed nor given back."""
    event: Any = events[index]
    command = asked(event)
    if command is not None and event.hold not in replay.denied_holds:
        replay.run(command, events, index)


def _lapsed(replay: Replay, events: _Events, index: int) -> None:
    event: Any = events[index]
    if event.hold not in replay.denied_holds:
        replay.post(TIMER_HOLD, event.hold, events, index)


# -- outcomes --------------------------------------------------------------------------------------


def _reported(replay: Replay, events: _Events, index: int) -> None:
    """Work whose charge waits for its result. What the candidate does not sell so is counted as
    refused, and charges nothing once it is confirmed."""
    event = events[index]
    assert isinstance(event, e.OutcomeReported)
    replay.state.next_hold = event.hold
    command = c.ReportOutcome(
        event.key,
        event.account,
        replay.usual.plans[event.plan].shape,
        event.quantities,
        event.effective_at if event.effective_given else 0,
        event.evidence,
        trace=event.trace,
    )
    if isinstance(replay.run(command, events, index), Refusal):
        replay.denied_holds.add(event.hold)


def _confirmed(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.OutcomeConfirmed)
    plan = replay.usual.plans[event.plan].declared
    replay.before.take(event, plan)
    replay.figures.usage_events += 1
    if event.hold in replay.denied_holds:
        not_run(replay, event, plan)
        return
    if event.by_time:
        replay.post(TIMER_HOLD, event.hold, events, index)
    else:
        command = c.ConfirmOutcome(
            event.key, event.account, event.hold, event.personal, trace=event.trace
        )
        replay.run(command, events, index)
    for made in replay.made:
        if isinstance(made, e.OutcomeConfirmed):
            replay.keep(index, replay.original(made), waits=bool(event.suspense))


def _rejected(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.OutcomeRejected)
    if event.hold in replay.denied_holds:
        return
    if event.by_time:
        replay.post(TIMER_HOLD, event.hold, events, index)
    else:
        command = c.RejectOutcome(
            event.key, event.account, event.hold, event.note, trace=event.trace
        )
        replay.run(command, events, index)


HOLDS: Final[dict[type, Callable[[Any, _Events, int], None]]] = {
    e.UsageDebited: _debited,
    e.PolicyDebited: _debited,
    e.HoldDebited: _debited,
    e.QuoteMade: _quoted,
    e.QuoteExpired: _quote_due,
    e.HoldAuthorized: _authorized,
    e.HoldSized: _authorized,
    e.OperationHeld: _authorized,
    e.OperationReserved: _authorized,
    e.OperationPartHeld: _authorized,
    e.SizedOperationHeld: _authorized,
    e.HoldUpTo: _authorized,
    e.PolicyHeld: _authorized,
    e.PolicyDenied: _denied,
    e.HoldDebitDenied: _denied,
    e.AuthorizeDenied: _denied,
    e.QuotedDenied: _denied,
    e.SizedDenied: _denied,
    e.WorkDenied: _denied,
    e.BudgetDenied: _denied,
    e.HoldExtended: _of_a_hold,
    e.HoldReleased: _of_a_hold,
    e.LeaseGranted: _leased,
    e.OperationLeaseGranted: _leased,
    e.LeaseRenewed: _of_a_lease,
    e.LeaseReturned: _of_a_lease,
    e.LeaseRecalled: _of_a_lease,
    e.LeaseLapsed: _lapsed,
    e.LeaseOverdue: _lapsed,
    e.OutcomeReported: _reported,
    e.OutcomeConfirmed: _confirmed,
    e.OutcomeRejected: _rejected,
}
