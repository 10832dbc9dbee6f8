"""One recorded decision, decided again from the state right before it by what decides.

Tells what comes out otherwise than recorded: nothing, unless another version of the program decided
it by other rules. Changes no state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, TypeGuard

from msgspec.structs import astuple

from ledger.backtest.asked_work import work_of
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.authorizing import decide_authorize
from ledger.core.decisions.debits import decide_debit
from ledger.core.decisions.operation_holds import decide_reserve
from ledger.core.outcomes import Known, Refusal
from ledger.core.state import State

Decision: TypeAlias = e.HoldAuthorized | e.AuthorizeDenied | e.UsageDebited
_OTHERWISE: Final = (e.LeaseGranted, e.OutcomeReported)  # nobody asked whether work may run
_PLANNED: Final = ("plan", "cost")  # name plans by their places in a batch


def is_decision(event: e.Event) -> TypeGuard[Decision]:
    """Whether the entry says what became of work that was asked for; a hold without a key came
    with its quote."""
    if not isinstance(event, Decision) or isinstance(event, _OTHERWISE):
        return False
    return bool(event.key)


def command_of(
    state: State, event: Decision, events: Sequence[e.Event]
) -> c.AuthorizeHold | c.DebitWork | c.ReserveOperation:
    """What the entry answered; the batch before it says by whose clock."""
    declared = events[event.plan]
    assert isinstance(declared, e.PlanDeclared)
    shape = state.catalog.shape(declared.product, declared.attributes, declared.quantity_names)
    return work_of(event, shape)


def differences(
    state: State,
    command: c.AuthorizeHold | c.DebitWork | c.ReserveOperation,
    event: Decision,
    events: Sequence[e.Event],
) -> list[str]:
    """The fields of the entry that come out otherwise; ["kind"] = it is another decision."""
    if isinstance(event, e.HoldAuthorized):
        state.next_hold = event.hold  # numbers of holds are the whole shard's
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    if ruling is not None and ruling.top_up:
        state.next_top_up = ruling.top_up
    out: list[e.Event] = []
    outcome: e.Event | Known | Refusal
    if isinstance(command, c.AuthorizeHold):
        outcome = decide_authorize(state, command, out)
    elif isinstance(command, c.DebitWork):
        outcome = decide_debit(state, command, out)
    else:
        outcome = decide_reserve(state, command, out)
    if not isinstance(outcome, type(event)):
        return ["kind"]
    found: list[str] = []
    for name in event.__struct_fields__:
        ours, theirs = getattr(outcome, name), getattr(event, name)
        if name in _PLANNED:
            here = [*events[: state.batch_length], *out]
            ours, theirs = _said(ours, here), _said(theirs, events)
        if ours != theirs:
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
