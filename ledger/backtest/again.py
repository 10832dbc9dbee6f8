"""One recorded decision, decided again from the state right before it by what decides.

Tells what comes out otherwise than recorded: nothing, unless another version of the program decided
it by other rules. Changes no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeGuard

from msgspec.structs import astuple

from ledger.backtest.asked_work import quote_of, work_of
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.authorizing import decide_authorize
from ledger.core.decisions.debits import decide_debit
from ledger.core.decisions.operation_holds import decide_reserve
from ledger.core.outcomes import Known, Refusal
from ledger.core.pricing.quoting import decide_quote
from ledger.core.state import State

Said: TypeAlias = e.HoldAuthorized | e.AuthorizeDenied | e.UsageDebited
"""What became of work that was asked for."""
Decision: TypeAlias = Said | e.QuoteMade
Work: TypeAlias = c.AuthorizeHold | c.DebitWork | c.ReserveOperation | c.CreateQuote
_OTHERWISE: Final = (e.LeaseGranted, e.OutcomeReported)  # nobody asked whether work may run
_PLANNED: Final = ("plan", "cost")  # name plans by their places in a batch


def is_decision(event: e.Event) -> TypeGuard[Decision]:
    """Whether the entry answered a call that asked whether work may run. A hold without a key does
    not: it stands behind its quote, which does."""
    if isinstance(event, e.QuoteMade):
        return event.hold > 0
    if not isinstance(event, Said) or isinstance(event, _OTHERWISE):
        return False
    return bool(event.key)


def is_of_quote(event: e.Event) -> bool:
    """Whether it is a hold that was made with its quote, which is the entry right before it."""
    return type(event) is e.HoldAuthorized and not event.key


def said_of(event: Decision, behind: e.Event | None) -> Said:
    """The entry that says what became of the work; `behind` is the one right behind it."""
    if not isinstance(event, e.QuoteMade):
        return event
    assert isinstance(behind, e.HoldAuthorized) and behind.hold == event.hold, behind
    return behind


def command_of(state: State, event: Decision, events: Sequence[e.Event]) -> Work:
    """What the entry answered; the batch before it says by whose clock."""
    declared = events[event.plan]
    assert isinstance(declared, e.PlanDeclared)
    shape = state.catalog.shape(declared.product, declared.attributes, declared.quantity_names)
    return quote_of(event, shape) if isinstance(event, e.QuoteMade) else work_of(event, shape)


def differences(
    state: State, command: Work, event: Decision, events: Sequence[e.Event]
) -> list[str]:
    """The fields of the entry that come out otherwise, of the hold behind it too; ["kind"] = it is
    another decision."""
    if isinstance(event, e.HoldAuthorized | e.QuoteMade):
        state.next_hold = event.hold  # numbers of holds and quotes are the whole shard's
    if isinstance(event, e.QuoteMade):
        state.next_quote = event.quote
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    if ruling is not None and ruling.top_up:
        state.next_top_up = ruling.top_up
    out: list[e.Event] = []
    outcome: e.Event | Known | Refusal
    if isinstance(command, c.AuthorizeHold):
        outcome = decide_authorize(state, command, out)
    elif isinstance(command, c.DebitWork):
        outcome = decide_debit(state, command, out)
    elif isinstance(command, c.CreateQuote):
        outcome = decide_quote(state, command, out)
    else:
        outcome = decide_reserve(state, command, out)
    if not isinstance(outcome, type(event)):
        return ["kind"]
    at = state.batch_length
    here = [*events[:at], *out]
    found = _otherwise(outcome, event, here, events)
    if isinstance(event, e.QuoteMade):
        ours, theirs = here[here.index(outcome) + 1], events[at + 1]
        found += [each for each in _otherwise(ours, theirs, here, events) if each not in found]
    return found


def _otherwise(
    ours: e.Event, theirs: e.Event, here: Sequence[e.Event], there: Sequence[e.Event]
) -> list[str]:
    """The fields of their entry that ours has otherwise, each in its batch."""
    found: list[str] = []
    for name in theirs.__struct_fields__:
        one, other = getattr(ours, name), getattr(theirs, name)
        if name in _PLANNED:
            one, other = _said(one, here), _said(other, there)
        if one != other:
            found.append(name)
    return found


def _said(value: Any, events: Sequence[e.Event]) -> Any:
    """A plan, or a cost with its plan, without its place."""
    if value is None:
        return None
    if isinstance(value, int):
        declared = events[value]
        assert isinstance(declared, e.PlanDeclared)
        return type(declared), astuple(declared)
    return _said(value.plan, events), [
        getattr(value, name) for name in value.__struct_fields__ if name != "plan"
    ]
