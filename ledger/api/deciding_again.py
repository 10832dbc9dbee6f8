"""A recorded decision explained from the state right before it, as one that is made now would be.

For the process that looks back (`ledger.decision_process`). Changes and records nothing.
"""

from __future__ import annotations

from ledger.api.advising import Advice, Looked, advise
from ledger.api.assets import Naming
from ledger.api.explaining_decisions import explain_decision
from ledger.api.positions import position_of
from ledger.backtest.again import Work, command_of, differences, is_decision
from ledger.core.commands import AuthorizeHold, CreateQuote, ReserveOperation
from ledger.core.decisions.affording import Afforded
from ledger.core.decisions.operation_holds import try_reserve
from ledger.core.decisions.shortfall import limit_of
from ledger.core.events import RESERVED_QUANTITY, UpTo
from ledger.core.outcomes import Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import State
from ledger.engine.past import Past
from ledger.v1 import decision_pb2 as pb


class Unexplained(Exception):
    """This version of the program refuses what another has decided."""


async def explain_again(naming: Naming, past: Past) -> pb.ExplainRecordedResponse:
    """Why the entry that comes next says what it says; what was recorded is left to the caller.
    Raises Unexplained."""
    state, events, _ = past
    event = events[state.batch_length]
    assert is_decision(event), event
    number = event.account
    command = command_of(state, event, events)
    found = _advice(state, command)
    if isinstance(found, Refusal):
        raise Unexplained(f"it refuses what was decided: {found.reason}, {found.message}")
    shape = _shape(state, command)
    ranged = (found.up_to.quantity, found.up_to.minimum) if found.up_to is not None else ("", 0)
    sizing = command.sizing if isinstance(command, AuthorizeHold) else None
    position = position_of(state.shard, state.entry_seq)
    looked = Looked(number, state, position, shape, ranged, sizing, found)
    names = await naming.names([number])
    return pb.ExplainRecordedResponse(
        explanation=await explain_decision(naming, names[number] or "an account", looked),
        work=_work(shape, found.most, found.up_to),
        decided_at_us=state.now,
        differs=differences(state, command, event, events),
        entries_read=past.entries_read,
    )


def _advice(state: State, command: Work) -> Advice | Refusal:
    if isinstance(command, ReserveOperation):
        return _of_reserve(state, command)
    if isinstance(command, CreateQuote):  # no rules are looked at for it
        shape, quantities = command.shape, command.quantities
        at = state.recorded_at
        return advise(state, command.account, shape, quantities, at, ("", 0), ruled=False)
    return advise(
        state,
        command.account,
        command.shape,
        command.quantities,
        state.recorded_at,
        (command.up_to, command.minimum),
        command.alternatives,
        command.sizing if isinstance(command, AuthorizeHold) else None,
        command.operation,
        command.hold,
        command.quote if isinstance(command, AuthorizeHold) else 0,
    )


def _of_reserve(state: State, command: ReserveOperation) -> Advice | Refusal:
    """The same of units for an operation with all its calls."""
    account, now = state.accounts.get(command.account), state.now
    if account is None:
        return Refusal(
            Reason.ACCOUNT_UNKNOWN,
            "account",
            "",
            "the account is not open yet; send its Create again",
        )
    found = try_reserve(state, account, command.amount, command.operation)
    if isinstance(found, Refusal):
        return found
    quantities = (command.amount,)
    limit = limit_of(state, account, found, now) if found.denied else None
    afforded = Afforded(found, quantities, limit)
    return Advice(
        afforded, account.version, limit, now, None, None, quantities, afforded, None,
        command.operation,
    )  # fmt: skip


def _shape(state: State, command: Work) -> Shape:
    if isinstance(command, ReserveOperation):
        return state.catalog.shape("", (), (RESERVED_QUANTITY,))
    return command.shape


def _work(shape: Shape, most: tuple[int, ...], up_to: UpTo | None) -> pb.RecordedWork:
    return pb.RecordedWork(
        product=shape.product,
        attributes=dict(shape.attributes),
        quantities=dict(zip(shape.quantity_names, most, strict=True)),
        up_to=pb.UpTo(quantity=up_to.quantity, minimum=up_to.minimum) if up_to else None,
    )
