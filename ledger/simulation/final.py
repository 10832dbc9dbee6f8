"""The states that are left, against the model and against a replay of the journal."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from msgspec.structs import astuple

from ledger.core.digest import digest
from ledger.core.events import Event, UsageQuarantined, UsageRecorded
from ledger.core.limits import DAY_US
from ledger.core.state import (
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    TOP_UP_PENDING,
    State,
)
from ledger.core.upcast import UPCASTS
from ledger.engine.configuration import Configurations
from ledger.engine.recovery import Replayer
from ledger.journal.codec import BatchCodec
from ledger.journal.protocol import JournalRow
from ledger.projections import changes as c
from ledger.projections.changes import RecurringRow
from ledger.simulation.checks import Judge
from ledger.simulation.model import ShardModel
from ledger.simulation.projection import ProjectionDatabase, ShardTables
from ledger.simulation.rules import Rule, Violation
from ledger.simulation.server import SimulatedServer
from ledger.simulation.views import view_of
from ledger.verify.packages import PublishedPackages
from ledger.verify.report import Findings, ShardReport
from ledger.verify.shard import ShardCheck


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


def check_verified(judge: Judge) -> None:
    """`drawdown verify` says of what is left that nothing is wrong with it."""
    published = {
        (each.tenant, each.version): each.content_hash
        for stream in judge.database.configuration._entries.values()
        for each in stream
    }
    packages = _published(judge)
    for shard in range(judge.database.shards):
        report = ShardReport(shard)
        findings = Findings(report)
        check = ShardCheck(report, findings, published, (), packages=packages)
        rows = judge.database.rows_of(shard, 0, len(judge.database.rows))
        for row in rows:
            check.take(row)
        check.end()
        _run(check.look_back(_Rows(rows)))
        if findings.found:
            raise Violation(Rule.VERIFY_FINDS_NOTHING, str(findings.found[0]))


def _published(judge: Judge) -> PublishedPackages:
    configuration, packages = judge.database.configuration, PublishedPackages()
    for stream in configuration._entries.values():
        for each in stream:
            body = configuration._bodies[each.content_hash]
            packages.take(each.tenant, each.version, each.kind, body)
    return packages


class _Rows:
    """What `verify` reads again of a shard's journal."""

    def __init__(self, rows: list[JournalRow]) -> None:
        self._rows = {row.batch_seq: row for row in rows}

    async def fetch(self, _: str, shard: int, batches: list[int]) -> list[tuple[Any, ...]]:
        """The rows of these batches."""
        return [astuple(self._rows[each]) for each in batches]


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
    left = [
        hold.number
        for hold in model.holds.values()
        if not hold.ended and not (hold.lease is not None and hold.lease.lapsed)
    ]
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
        grants = {
            each.number: (
                each.settled, each.unused - each.away, each.cancelled, each.given, each.returned,
            )
            for each in model.grants.values()
        }  # fmt: skip
        ended = {
            number: (
                row["state"], row["voided"] + row["expired"] + row["rolled"], row["cancelled"],
                row["given_back"], row["returned"],
            )
            for number, row in tables.grants.items()
        }  # fmt: skip
        _same(shard, "grants", grants, ended)
        versions = {each.number: each.version for each in model.accounts.values()}
        _same_schedules(shard, model, tables)
        _same(shard, "fees", model.fees, _fees(tables))
        _same(shard, "accounts", versions, {n: r["version"] for n, r in tables.accounts.items()})


def _same_schedules(shard: int, model: ShardModel, tables: ShardTables) -> None:
    """Recurring grants and top-ups: where each stands."""
    recurring = {
        each.number: (each.version, each.paused, each.next_at) for each in model.recurring.values()
    }
    rows = {number: RecurringRow(*row) for number, row in tables.recurring.items()}
    found = {number: (row.version, row.paused, row.next_at) for number, row in rows.items()}
    _same(shard, "recurring grants", recurring, found)
    top_ups = {each.number: _TOP_UPS[each.state] for each in model.top_ups.values()}
    states = dict(zip(c.TOP_UPS, range(len(c.TOP_UPS)), strict=True))
    _same(
        shard,
        "top-ups",
        top_ups,
        {number: row[states["state"]] for number, row in tables.top_ups.items()},
    )


def _fees(tables: ShardTables) -> list[tuple[int, int, int, int]]:
    """(charge, period, amount, total) of every fee, in order."""
    columns = [c.FEE_LINES.index(each) for each in ("charge", "period", "amount", "total")]
    rows = sorted((key[3], row) for key, row in tables.rows.items() if key[0] == "fee_lines")
    return [tuple(row[each] for each in columns) for _, row in rows]


_TOP_UPS = {
    "pending": TOP_UP_PENDING,
    "confirmed": TOP_UP_CONFIRMED,
    "declined": TOP_UP_DECLINED,
    "expired": TOP_UP_EXPIRED,
}


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
    "charged": c.HOLD_CHARGED,
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


def _drive(replayer: Replayer, row: JournalRow) -> None:
    _run(replayer.take(row))


def _run(work: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration:
            return
