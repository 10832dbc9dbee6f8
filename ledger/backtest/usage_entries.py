"""What usage, its corrections and authorisations have a replay do.

Work of a hold that the candidate denies was never done: its captures charge nothing. An
authorisation that was denied holds nothing where the candidate allows it, for what it would have
used nobody knows: it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ledger.backtest.asked import asked
from ledger.backtest.usual_parts import Priced
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import Outcome
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Shape
from ledger.core.state import TIMER_HOLD, TIMER_QUOTE, TIMER_RERATE

if TYPE_CHECKING:
    from ledger.backtest.replay import Replay

_TAKEN: Final = b"given back by it"  # stands for the key of any reversal of a job
_NEVER_RUN: Final = "NEVER_RUN"  # what it corrects was of a hold that is denied
_Events = Sequence[e.Event]


# -- usage -----------------------------------------------------------------------------------------


def _plan(replay: Replay, events: _Events, index: int) -> None:
    declared = events[index]
    assert isinstance(declared, e.PlanDeclared)
    replay.usual.plans[index] = Priced(declared, replay.shape(declared))
    replay.before.plans[index] = declared


def _usage(replay: Replay, events: _Events, index: int) -> None:
    event: Any = events[index]
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    replay.figures.usage_events += 1
    replacement = replay.replaced.get(event.key)
    if replacement is not None:
        replay.keep(index, replacement, waits=bool(event.suspense))  # its amendment has recorded it
        return
    if isinstance(event, e.UsageRecorded) and not event.hold and not any(event.quantities):
        replay.now.take(event, priced.declared)  # a report that counted nothing more: no price does
        return
    outcome: Outcome | None
    if isinstance(event, e.UsageLeased):
        outcome = _leased_usage(replay, event, priced, events, index)
    elif isinstance(event, e.UsageRecorded) and event.hold:
        outcome = _capture(replay, event, priced.declared, events, index)
    else:
        at = event.effective_at if getattr(event, "effective_given", 1) else 0
        outcome = replay.run(_recorded(event, priced, at), events, index)
    if isinstance(outcome, e.UsageRecorded):
        replay.keep(index, replay.original(outcome), waits=bool(event.suspense))


def _recorded(event: Any, priced: Priced, at: int) -> c.RecordUsage:
    quote = getattr(event, "quote", 0)
    kind = c.QuotedUsage if quote else c.RecordUsage
    return kind(
        event.key,
        event.account,
        priced.shape,
        event.quantities,
        at,
        c.NO_NAMES,
        event.operation,
        event.personal,
        event.trace,
        quote,
    )


def _capture(
    replay: Replay, event: e.UsageRecorded, plan: e.PlanDeclared, events: _Events, index: int
) -> Outcome | None:
    if event.hold in replay.denied_holds:
        _not_run(replay, event, plan)
        return None
    of_operation = event.hold in replay.operation_holds
    command = c.CaptureHold(
        event.key,
        event.account,
        event.hold,
        plan.quantity_names,
        event.quantities,
        event.effective_at if event.effective_given else 0,
        trace=event.trace,
        keep_open=isinstance(event, e.UsageCaptured),
        operation=event.operation if of_operation else b"",
        product=plan.product if of_operation else "",
        attributes=plan.attributes if of_operation else (),
    )
    return replay.run(command, events, index)


def _charged(replay: Replay, events: _Events, index: int) -> None:
    """An expiry that charged its estimate."""
    event = events[index]
    assert isinstance(event, e.HoldCharged)
    plan = replay.usual.plans[event.plan].declared
    replay.before.take(event, plan)
    replay.figures.usage_events += 1
    if event.hold in replay.denied_holds:
        _not_run(replay, event, plan)
        return
    replay.post(TIMER_HOLD, event.hold, events, index)
    for made in replay.made:
        if isinstance(made, e.HoldCharged):
            replay.keep(index, replay.original(made), waits=bool(event.suspense))


def _not_run(replay: Replay, event: e.UsageRecorded, plan: e.PlanDeclared) -> None:
    charge = sum([piece.amount for piece in event.slices])
    replay.figures.unrun_captures += 1
    replay.figured.denials_of(event.account, plan.asset).unrun += charge
    cost = event.cost
    if cost is not None and cost.total:
        money = replay.before.plan(cost.plan).asset
        replay.figured.unrun_cost_of(plan.product, money).old += cost.total


def _rated(replay: Replay, events: _Events, index: int) -> None:
    """A price came for what waited; here it may have had one at once, or have none yet."""
    event = events[index]
    assert isinstance(event, e.SuspenseRated)
    replay.before.take(event, replay.usual.plans[event.plan].declared)
    replay.rate(event.account, event.original, events, index)


def _rerated(replay: Replay, events: _Events, index: int) -> None:
    """What it says follows from the entry before, and is decided again with that."""
    event = events[index]
    assert isinstance(event, e.UsageRerated)
    replay.before.take(event, replay.usual.plans[event.plan].declared)


def _rerate_shared(_replay: Replay, _events: _Events, _index: int) -> None:
    """It follows from the entry before; what is due by it is posted as the account is next met."""


def _shared_rerated(replay: Replay, events: _Events, index: int) -> None:
    """It was due; here it may be otherwise."""
    event = events[index]
    assert isinstance(event, e.SharedRerated)
    replay.before.take(event, replay.usual.plans[event.plan].declared)
    replay.post(TIMER_RERATE, event.account, events, index)


def _reversed(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.UsageReversed)
    replay.before.take(event, replay.usual.plans[event.plan].declared)
    if not event.key:
        return  # it goes with the one of the usage that was rated after it had waited
    original = replay.originals.get(event.original)
    if original is None:
        replay.refused(event, _NEVER_RUN)
        return
    if event.replaced_by and _replacement(event, events, index) is not None:
        _amended(replay, event, original, events, index)
        return
    goodwill = not any(event.quantities)
    command = c.ReverseUsage(
        event.key,
        event.account,
        original,
        () if event.whole or goodwill else event.quantities,
        event.as_charged + event.apart if goodwill else 0,
        event.ended,
        event.note,
        trace=event.trace,
        rated=replay.rated(event.account, original),
        refund_cost=bool(event.refund_cost),
        replaced_by=event.replaced_by,
        replacement=event.replacement,
    )
    replay.run(command, events, index)


def _replacement(event: e.UsageReversed, events: _Events, index: int) -> e.UsageRecorded | None:
    """What an amendment has recorded in the stead of what it gave back; None: a job gave it back,
    which records it again by an entry of its own."""
    for each in events[index + 1 :]:
        if isinstance(each, e.UsageRecorded) and each.key == event.replaced_by:
            return None if isinstance(each, e.UsageRepriced) else each
    return None


def _repriced(replay: Replay, events: _Events, index: int) -> None:
    """A job has rated usage again, by a version that it named: that is a fact, whatever candidate
    is tried (rule R7)."""
    event = events[index]
    assert isinstance(event, e.UsageRepriced)
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    replay.figures.usage_events += 1
    if replay.never_run(event.original):
        replay.refused(event, _NEVER_RUN)
        return
    keys, locator = replay.state.keys.newest, replay.state.locator
    keys[_TAKEN] = locator  # identities of the batches before are not kept here
    command = c.RepriceUsage(
        event.key,
        event.account,
        priced.shape,
        event.quantities,
        event.effective_at,
        c.NO_NAMES,
        event.operation,
        event.personal,
        event.trace,
        rate_card=priced.declared.rate_card,
        card_version=priced.declared.card_version,
        job=event.job,
        original=event.original,
        original_entry=event.original_entry,
        taken=_TAKEN,
    )
    outcome = replay.run(command, events, index)
    if isinstance(outcome, e.UsageRecorded):
        replay.keep(index, replay.original(outcome), waits=False)


def _amended(
    replay: Replay, event: e.UsageReversed, original: c.Original, events: _Events, index: int
) -> None:
    """The reversal and what was recorded in its stead, which the same batch has."""
    usage = _replacement(event, events, index)
    assert usage is not None
    declared = events[usage.plan]
    assert isinstance(declared, e.PlanDeclared)
    priced = Priced(declared, replay.shape(declared))
    command = c.AmendUsage(
        event.key,
        event.account,
        original,
        _recorded(usage, priced, usage.effective_at),
        event.replacement,
        event.ended,
        event.note,
        trace=event.trace,
        rated=replay.rated(event.account, original),
    )
    replay.run(command, events, index)
    for made in replay.made:
        if isinstance(made, e.UsageRecorded) and made.key == usage.key:
            replay.replaced[usage.key] = replay.original(made)
            replay.usual.replaced.add(usage.key)


# -- quotes ----------------------------------------------------------------------------------------


def _quoted(replay: Replay, events: _Events, index: int) -> None:
    """A price was promised: here it is the candidate's."""
    event = events[index]
    assert isinstance(event, e.QuoteMade)
    replay.state.next_quote = event.quote
    if event.hold:
        replay.state.next_hold = event.hold
    command = c.CreateQuote(
        event.key,
        event.account,
        replay.usual.plans[event.plan].shape,
        event.quantities,
        event.lifetime,
        event.tolerance_given,
        event.hold > 0,
        trace=event.trace,
    )
    if isinstance(replay.run(command, events, index), Refusal) and event.hold:
        replay.denied_holds.add(event.hold)


def _quote_due(replay: Replay, events: _Events, index: int) -> None:
    event = events[index]
    assert isinstance(event, e.QuoteExpired)
    replay.post(TIMER_QUOTE, event.quote, events, index)


# -- authorisations --------------------------------------------------------------------------------


def _authorize(event: e.HoldAuthorized | e.AuthorizeDenied, priced: Priced) -> c.AuthorizeHold:
    shape, quantities, up_to, lifetime = _work_of(event, priced)
    return c.AuthorizeHold(
        event.key,
        event.account,
        shape,
        quantities,
        lifetime,
        c.NO_NAMES,
        event.trace,
        getattr(event, "quote", 0),
        *_range(up_to),
        _alternatives(event),
        _sizing(event),
        getattr(event, "operation", b""),
    )


def _sizing(event: e.HoldAuthorized | e.AuthorizeDenied) -> c.Sizing | None:
    """Where its estimate came from: what was learned then stays, whatever candidate is tried."""
    if not isinstance(event, e.HoldSized | e.SizedDenied):
        return None
    return c.Sizing(event.asked, event.sizes, event.sizing_version, bool(event.learned))


def _work_of(event: Any, priced: Priced) -> tuple[Shape, tuple[int, ...], e.UpTo | None, int]:
    """The work that was asked for, and how long it was to be held, whatever runs in its stead."""
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    asked = ruling.asked if ruling is not None else None
    if asked is not None:
        shape = Shape(asked.product, asked.attributes, asked.quantity_names)
        return shape, asked.quantities, asked.up_to, asked.lifetime
    lifetime = getattr(event, "lifetime", 0)
    return priced.shape, _asked_for(event, priced), getattr(event, "up_to", None), lifetime


def _alternatives(event: Any) -> tuple[e.Alternative, ...]:
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    return ruling.alternatives if ruling is not None else ()


def _range(up_to: e.UpTo | None) -> tuple[str, int]:
    return (up_to.quantity, up_to.minimum) if up_to is not None else ("", 0)


def _asked_for(event: Any, priced: Priced) -> tuple[int, ...]:
    """The quantities that were asked for, of which less may have been allowed."""
    up_to = getattr(event, "up_to", None)
    if up_to is None or isinstance(event, e.WorkDenied):
        return event.quantities  # type: ignore[no-any-return]
    place = priced.shape.quantity_names.index(up_to.quantity)
    return (*event.quantities[:place], up_to.maximum, *event.quantities[place + 1 :])


def _debit(event: e.UsageDebited | e.WorkDenied, priced: Priced) -> c.DebitWork:
    shape, quantities, up_to, _ = _work_of(event, priced)
    return c.DebitWork(
        event.key,
        event.account,
        shape,
        quantities,
        c.NO_NAMES,
        event.operation,
        event.trace,
        *_range(up_to),
        _alternatives(event),
        event.hold if isinstance(event, e.HoldDebited | e.HoldDebitDenied) else 0,
    )


def _debited(replay: Replay, events: _Events, index: int) -> None:
    """Work that was let go ahead and charged at once: where the candidate denies it, it was never
    done."""
    event = events[index]
    assert isinstance(event, e.UsageDebited)
    priced = replay.usual.plans[event.plan]
    replay.before.take(event, priced.declared)
    replay.figures.usage_events += 1
    if event.hold in replay.denied_holds:
        _not_run(replay, event, priced.declared)
        return
    outcome = replay.run(_debit(event, priced), events, index)
    if isinstance(outcome, e.UsageDebited):
        replay.keep(index, replay.original(outcome), waits=False)
        return
    _not_run(replay, event, priced.declared)
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
        reserve = c.ReserveOperation(
            event.key, event.account, event.quantities[0], event.lifetime, event.operation,
            trace=event.trace,
        )  # fmt: skip
        outcome = replay.run(reserve, events, index)
    else:
        outcome = replay.run(_authorize(event, priced), events, index)
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
    command: c.AuthorizeHold | c.DebitWork | c.ReserveOperation = _authorize(event, priced)
    if isinstance(event, e.WorkDenied) and event.debit:
        command = _debit(event, priced)
        if command.hold and command.hold in replay.denied_holds:
            return
    elif isinstance(event, e.WorkDenied) and not priced.declared.product:
        command = c.ReserveOperation(
            event.key, event.account, event.quantities[0], event.lifetime, event.operation,
            trace=event.trace,
        )  # fmt: skip
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


def _leased_usage(
    replay: Replay, event: e.UsageLeased, priced: Priced, events: _Events, index: int
) -> Outcome:
    """What was used of a lease; plain usage where that is not there, for it has happened."""
    at = event.effective_at if event.effective_given else 0
    plain = _recorded(event, priced, at)
    if event.hold in replay.denied_holds:
        return replay.run(plain, events, index)
    command = c.LeasedUsage(
        plain.key,
        plain.account,
        plain.shape,
        plain.quantities,
        plain.effective_at,
        plain.names,
        plain.operation,
        plain.personal,
        plain.trace,
        hold=event.hold,
    )
    return replay.run(command, events, index)


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
        _not_run(replay, event, plan)
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


USAGE: Final[dict[type, Callable[[Any, _Events, int], None]]] = {
    e.PlanDeclared: _plan,
    e.PlanOverridden: _plan,
    e.UsageRecorded: _usage,
    e.UsageModeled: _usage,
    e.UsageCosted: _usage,
    e.UsageCaptured: _usage,
    e.UsageDebited: _debited,
    e.PolicyDebited: _debited,
    e.HoldDebited: _debited,
    e.UsageQuarantined: _usage,
    e.HoldCharged: _charged,
    e.UsageQuoted: _usage,
    e.UsageRepriced: _repriced,
    e.QuoteMade: _quoted,
    e.QuoteExpired: _quote_due,
    e.SuspenseRated: _rated,
    e.UsageRerated: _rerated,
    e.RerateShared: _rerate_shared,
    e.SharedRerated: _shared_rerated,
    e.UsageReversed: _reversed,
    e.HoldAuthorized: _authorized,
    e.HoldSized: _authorized,
    e.OperationHeld: _authorized,
    e.OperationReserved: _authorized,
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
    e.LeaseRenewed: _of_a_lease,
    e.LeaseReturned: _of_a_lease,
    e.LeaseRecalled: _of_a_lease,
    e.LeaseLapsed: _lapsed,
    e.LeaseOverdue: _lapsed,
    e.UsageLeased: _usage,
    e.OutcomeReported: _reported,
    e.OutcomeConfirmed: _confirmed,
    e.OutcomeRejected: _rejected,
}
