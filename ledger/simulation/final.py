"""The states that are left, against the model and against a replay of the journal."""

from __future__ import annotations

from ledger.core.digest import digest
from ledger.core.events import Event
from ledger.core.state import State
from ledger.engine.configuration import Configurations
from ledger.engine.recovery import Replayer
from ledger.journal.codec import BatchCodec
from ledger.simulation.checks import Judge
from ledger.simulation.model import ShardModel
from ledger.simulation.rules import Rule, Violation
from ledger.simulation.server import SimulatedServer, view_of


def check_states(judge: Judge, server: SimulatedServer) -> None:
    """Each writer of the last server: equal to a replay byte for byte, and to the naive model."""
    for writer in server.ledger.writers:
        state = writer._state
        if state is None:
            raise Violation(
                Rule.EVENTUALLY_ANSWERED, f"shard {writer.shard} never opened: {writer.problem}"
            )
        model = judge.models[writer.shard]
        _check_books(model, state)
        _check_accounts(model, state)
        replayed = replay(judge, writer.shard)
        if state.batch_seq == replayed.batch_seq + 1 and state.batch_length == 0:
            replayed.begin_batch(state.batch_seq, state.recorded_at)  # begun, and empty
        if digest(replayed) != digest(state):
            raise Violation(Rule.REPLAY_EQUALS_STATE, f"shard {writer.shard}")


def _check_books(model: ShardModel, state: State) -> None:
    found = {
        number: (
            book.debits_posted,
            book.credits_posted,
            book.debits_pending,
            book.credits_pending,
        )
        for number, book in state.books.accounts.items()
    }
    expected = {
        number: (book.debits, book.credits, book.debits_pending, book.credits_pending)
        for number, book in model.books.items()
    }
    if found != expected:
        raise Violation(Rule.BOOKS_EQUAL_MODEL, f"shard {model.shard}: {expected} != {found}")


def _check_accounts(model: ShardModel, state: State) -> None:
    for number in sorted(model.accounts.keys() | state.accounts.keys()):
        expected, found = model.view(number), view_of(state, number)
        if expected != found:
            raise Violation(
                Rule.BOOKS_EQUAL_MODEL, f"account {number}: expected {expected}, found {found}"
            )
    left = [hold.number for hold in model.holds.values() if not hold.ended]
    if left:
        raise Violation(Rule.HOLD_SETTLED_ONCE, f"holds {left} never ended")


def replay(judge: Judge, shard: int) -> State:
    """A fresh state from the journal's rows."""
    codec: BatchCodec[Event] = BatchCodec(Event)
    replayer = Replayer(shard, codec, _configurations(judge))
    rows = judge.database.rows_of(shard, 0, len(judge.database.rows))
    for row in rows:
        _drive(replayer, row)
    return replayer.state


def _configurations(judge: Judge) -> Configurations:
    return Configurations(judge.database.configuration)


def _drive(replayer: Replayer, row: object) -> None:
    """Run a coroutine that waits for nothing but its turn."""
    work = replayer.take(row)  # type: ignore[arg-type]
    while True:
        try:
            work.send(None)
        except StopIteration:
            return
