"""The states that are left, against the model and against a replay of the journal."""

from __future__ import annotations

from ledger.core.digest import digest
from ledger.core.events import Event, UsageQuarantined, UsageRecorded
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.engine.configuration import Configurations
from ledger.engine.recovery import Replayer
from ledger.journal.codec import BatchCodec
from ledger.projections import changes as c
from ledger.simulation.checks import Judge
from ledger.simulation.model import ShardModel
from ledger.simulation.naive import DAY_US
from ledger.simulation.projection import ProjectionDatabase
from ledger.simulation.rules import Rule, Violation
from ledger.simulation.server import SimulatedServer, view_of


def check_states(judge: Judge, server: SimulatedServer) -> None:
    """Each writer of the last server: equal to a replay byte for byte, and to the naive model."""
    for writer in server.last_writers:
        state = server.left.get(writer.shard)
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
        # Keys that are too old by the next batch may have left one of them already.
        later = judge.database.time.now_us() + DAY_US
        for each in (state, replayed):
            each.begin_batch(each.batch_seq + 1, later)
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


def check_projections(judge: Judge, projections: ProjectionDatabase) -> None:
    """Read models against journal and model: every entry once, every counter."""
    for shard, tables in enumerate(projections.shards):
        model = judge.models[shard]
        if tables.position.entries != model.position:
            raise Violation(
                Rule.EVENTUALLY_ANSWERED,
                f"read models of shard {shard} stand at {tables.position.entries} of "
                f"{model.position} entries",
            )
        usage = sorted(key[3] for key in tables.rows if key[0] == "usage")
        expected = [
            each.entry_seq
            for each in judge.entries[shard]
            if isinstance(each.event, UsageRecorded | UsageQuarantined)
        ]
        _same(shard, "usage", expected, usage)
        books = {
            number: [book.debits, book.credits, book.debits_pending, book.credits_pending]
            for number, book in model.books.items()
        }
        _same(shard, "books", books, tables.books)
        holds = {hold.number: _STATES[hold.ended] for hold in model.holds.values()}
        found = {number: row["state"] for number, row in tables.holds.items()}
        _same(shard, "holds", holds, found)
        grants = {grant.number: (grant.settled, grant.unused) for grant in model.grants.values()}
        ended = {
            number: (row["state"], row["voided"] + row["expired"])
            for number, row in tables.grants.items()
        }
        _same(shard, "grants", grants, ended)
        versions = {each.number: each.version for each in model.accounts.values()}
        _same(shard, "accounts", versions, {n: r["version"] for n, r in tables.accounts.items()})


def _same(shard: int, what: str, expected: object, found: object) -> None:
    if expected != found:
        raise Violation(
            Rule.PROJECTION_EQUAL, f"shard {shard}, {what}: expected {expected}, found {found}"
        )


_STATES = {
    "": c.HOLD_OPEN,
    "captured": c.HOLD_CAPTURED,
    "released": c.HOLD_RELEASED,
    "expired": c.HOLD_EXPIRED,
}


def replay(judge: Judge, shard: int) -> State:
    """A fresh state from the journal's rows."""
    codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
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
