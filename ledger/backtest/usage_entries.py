"""What usage and its corrections have a replay do: priced and charged again.

Work of a hold that the candidate denies was never done: its captures charge nothing (see
`hold_entries`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ledger.backtest.usual_parts import Priced
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import Outcome
from ledger.core.state import TIMER_HOLD, TIMER_RERATE

if TYPE_CHECKING:
    from ledger.backtest.replay import Replay

_TAKEN: Final = b"given back by it"  # stands for the key of any reversal of a job
_NEVER_RUN: Final = "NEVER_RUN"  # what it corrects was of a hold that is denied
_Events = Sequence[e.Event]


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
        not_run(replay, event, plan)
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


def _charged(replay: Replay, events: _Events, index: int) -> None:
    """An expiry that charged its estimate."""
    event = events[index]
    assert isinstance(event, e.HoldCharged)
    plan = replay.usual.plans[event.plan].declared
    replay.before.take(event, plan)
    replay.figures.usage_events += 1
    if event.hold in replay.denied_holds:
        not_run(replay, event, plan)
        return
    replay.post(TIMER_HOLD, event.hold, events, index)
    for made in replay.made:
        if isinstance(made, e.HoldCharged):
            replay.keep(index, replay.original(made), waits=bool(event.suspense))


def not_run(replay: Replay, event: e.UsageRecorded, plan: e.PlanDeclared) -> None:
    """Count work that the candidate would not have let go ahead: its charge, and its cost."""
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


USAGE: Final[dict[type, Callable[[Any, _Events, int], None]]] = {
    e.PlanDeclared: _plan,
    e.PlanOverridden: _plan,
    e.UsageRecorded: _usage,
    e.UsageModeled: _usage,
    e.UsageCosted: _usage,
    e.UsageCaptured: _usage,
    e.UsageQuarantined: _usage,
    e.HoldCharged: _charged,
    e.UsageQuoted: _usage,
    e.UsageRepriced: _repriced,
    e.SuspenseRated: _rated,
    e.UsageRerated: _rerated,
    e.RerateShared: _rerate_shared,
    e.SharedRerated: _shared_rerated,
    e.UsageReversed: _reversed,
    e.UsageLeased: _usage,
}
