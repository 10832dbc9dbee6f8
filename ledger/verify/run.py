"""`verify`: every shard in turn, each read once. Runs beside a server and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from ledger.engine.configuration import ClockBody
from ledger.integrity.ranges import BEGINNING, Mark
from ledger.integrity.seal import Seal, SealMalformed
from ledger.journal.configuration import ConfigurationKind, content_hash
from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.errors import JournalUnavailable
from ledger.journal.migrate import read_settings
from ledger.journal.protocol import JournalRow, row_hash
from ledger.journal.sql import load
from ledger.verify.checkpoints import Checkpoint, stored_checkpoint
from ledger.verify.marks import MARK_FORMAT, Marks, MarkUnusable, ShardMark
from ledger.verify.packages import KINDS, PublishedPackages
from ledger.verify.read_models import ReadModels, read_models
from ledger.verify.reflections import Reflection, ReflectionSource
from ledger.verify.report import Findings, Report, ShardReport
from ledger.verify.seals import KeyTrust, SealCheck, last_seal, read_seals, read_trust
from ledger.verify.shard import PublishedHashes, ShardCheck, check_rows, read_rows

_SQL: Final = load("journal") | load("configuration") | load("seals")

CHECKED: Final = (
    "each row's hash, the chain, gapless batches and entries, growing times",
    "seals: numbers, signatures, keys, chain, head hashes, Merkle roots, the sealed tail",
    "each usage entry and hold: debits = credits",
)
CHECKED_BY_REPLAY: Final = (
    "debits = credits per asset after every entry",
    "rules of holds, grants, identities, accounts, configuration and clocks at every entry",
    "no hold leaked: what pends is what open holds reserve",
    "the replayed state against every claim (read models)",
    "closed statements: worked out from the journal, against their hashes",
)
NEVER_CHECKED: Final = (
    "rows behind the last seal against truncation or rewriting with new hashes",
    "contents of journal_private: erasable, under no hash; only that they are legible",
)

Progress = Callable[[int, int, int], None]
"""Called with (shard, entries checked, entries in its journal) as it goes on."""


def _silent(_shard: int, _done: int, _total: int) -> None:
    """Nobody watches."""


class Verified(Struct, frozen=True):
    """The report, and the marks from which the next run may go on; None where it is not ok."""

    report: Report
    marks: Marks | None


async def verify(
    dsn: str,
    progress: Progress = _silent,
    *,
    sources: Sequence[ReflectionSource] = (read_models, stored_checkpoint),
    anchors: Sequence[bytes] = (),
) -> Report:
    """Re-derive everything from the journal and compare; see the package and `verify_from`."""
    return (await verify_from(dsn, None, progress, sources=sources, anchors=anchors)).report


async def verify_from(
    dsn: str,
    marks: Marks | None,
    progress: Progress = _silent,
    *,
    sources: Sequence[ReflectionSource] = (read_models, stored_checkpoint),
    anchors: Sequence[bytes] = (),
) -> Verified:
    """Verify everything (`marks` None), or what came after the marks of an earlier run.

    For each shard: gapless batches and entries, the hash of each row and the chain, the seals; and
    by replay, which needs the beginning: the rules of every entry, debits = credits after each, no
    hold leaked, and the state against each claim of `sources` at the claim's own batch. `anchors`
    are public keys that the caller trusts; without any, keys are taken as the database names them.
    Raises MigrationRefused, JournalUnavailable, MarkUnusable (of another ledger).
    """
    settings = await read_settings(dsn)
    instance = settings.instance_id.bytes
    if marks is not None and marks.instance != instance:
        raise MarkUnusable("the mark is another ledger's")
    run = _Run(instance, marks, sources, anchors, progress)
    try:
        connection = await connect(dsn, application_name="drawdown verify")
        try:
            for shard in range(settings.shards):
                await run.shard(connection, shard)
            await run.beyond(connection, settings.shards)
        finally:
            connection.terminate()
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"verify was cut off: {describe(error)}") from error
    return run.result()


class _Run:
    """One run over all shards, each as far as its head when its turn came.

    A server may go on meanwhile, so what refers to something is read before what it refers to:
    claims, then seals, then the head; and what rows and seals name (keys, configuration) after.
    """

    def __init__(
        self,
        instance: bytes,
        marks: Marks | None,
        sources: Sequence[ReflectionSource],
        anchors: Sequence[bytes],
        progress: Progress,
    ) -> None:
        self._instance = instance
        self._marks = marks
        self._sources = sources if marks is None else ()
        self._anchors = anchors
        self._trust = KeyTrust({}, {}, bool(anchors), [])
        self._bodies: dict[bytes, int] = {}
        self._packages = PublishedPackages()
        self._progress = progress
        self._report = Report(True, [], [], "full" if marks is None else "incremental")
        self._reached: list[tuple[int, Mark, Seal | None]] = []

    async def shard(self, connection: Connection, shard: int) -> None:
        """Check one shard from its mark, or from its beginning, to its tail."""
        findings = Findings(ShardReport(shard))
        claims = await _claims(connection, shard, self._sources)
        for claim in claims:
            if isinstance(claim, ReadModels):
                findings.report.projected = claim.entries
            if isinstance(claim, Checkpoint):
                findings.report.checkpointed = claim.entries
        newest = await last_seal(connection, shard, self._instance)
        head = await connection.fetchrow(_SQL["head"], shard)
        last_batch: int = head["batch_seq"] if head is not None else 0
        total: int = head["first_event"] + head["event_count"] if head is not None else 0
        self._trust = await read_trust(connection, self._instance, self._anchors)
        published, clocks = await _published(connection, self._bodies, self._packages)
        if shard == 0:
            for fault in self._trust.faults:
                findings.add("seal keys", "a chain of records that hold", fault)
        mark = self._marks.of(shard) if self._marks is not None else None
        start, recorded_at = await _start_of(connection, mark, shard, findings)
        if mark is not None and not mark.seal_seq and newest is not None:
            start, recorded_at = BEGINNING, 0  # the seals that were made since begin there
        before = await self._seal_of(connection, mark, shard, findings)
        check = ShardCheck(
            findings.report,
            findings,
            published,
            claims,
            start,
            recorded_at,
            clocks,
            self._packages,
        )
        through = newest.seal_seq if newest is not None else 0
        known = mark.seal_seq if mark is not None else 0
        sealed = SealCheck(
            findings,
            read_seals(connection, shard, self._instance, known, through),
            self._trust,
            before,
        )
        await check_rows(
            read_rows(connection, shard, start.batch_seq, last_batch),
            check,
            sealed,
            lambda done: self._progress(shard, done, max(done, total)),
        )
        await check.look_back(connection)
        self._report.shards.append(findings.report)
        self._report.findings += findings.found
        self._reached.append((shard, check.reached, sealed.last))

    async def beyond(self, connection: Connection, shards: int) -> None:
        """Rows of shards that the ledger does not have are nobody's."""
        stray = await connection.fetchval(_SQL["beyond"], shards)
        if stray is not None:
            findings = Findings(ShardReport(stray))
            findings.add("shard", f"0 to {shards - 1}", stray)
            self._report.findings += findings.found

    def result(self) -> Verified:
        """The report with what a reader should know of it."""
        report = self._report
        report.ok = not report.findings
        report.checked = [*CHECKED, *(CHECKED_BY_REPLAY if self._marks is None else ())]
        report.not_checked = list(NEVER_CHECKED)
        if self._marks is not None:
            report.not_checked += ["rows before the mark", *CHECKED_BY_REPLAY]
        report.notes = self._notes()
        if not report.ok:
            return Verified(report, None)
        marks = [_mark_of(*reached) for reached in self._reached]
        return Verified(report, Marks(MARK_FORMAT, self._instance, marks))

    def _notes(self) -> list[str]:
        unsealed = sum(shard.unsealed_entries for shard in self._report.shards)
        notes = []
        if not self._trust.order:
            notes.append(
                "no seals: whoever can write this database can rewrite it whole; give the server "
                "a key with --seal-key"
            )
        elif unsealed:
            notes.append(f"{unsealed} entries are under no seal yet: they are chained only")
        if self._trust.order and not self._trust.anchored:
            notes.append(
                "seal keys are taken as this database names them; --public-key checks against one "
                "that you hold"
            )
        return notes

    async def _seal_of(
        self, connection: Connection, mark: ShardMark | None, shard: int, findings: Findings
    ) -> Seal | None:
        """The seal at a mark, which must still be the one that was verified."""
        if mark is None or not mark.seal_seq:
            return None
        after, through = mark.seal_seq - 1, mark.seal_seq
        async for stored in read_seals(connection, shard, self._instance, after, through):
            try:
                findings.compare("seal at the mark", mark.seal_hash, stored.seal.hash())
            except SealMalformed as error:
                findings.add("seal at the mark", mark.seal_hash, error)
            return stored.seal
        findings.add("seal at the mark", mark.seal_seq, "missing")
        return None


async def _start_of(
    connection: Connection, mark: ShardMark | None, shard: int, findings: Findings
) -> tuple[Mark, int]:
    """Where to begin, and the recorded time there; the row at a mark must be what it was."""
    if mark is None:
        return BEGINNING, 0
    findings.batch = mark.batch_seq
    start = Mark(mark.batch_seq, mark.entries, mark.hash)
    records = await connection.fetch(_SQL["fetch"], shard, [mark.batch_seq])
    if not records:
        findings.add("batch at the mark", mark.batch_seq, "missing")
        return start, 0
    row = JournalRow(*records[0])
    hashed = row_hash(
        row.shard, row.batch_seq, row.recorded_at_us, row.first_event, row.event_count,
        row.format, row.codec, row.prev_hash, row.payload,
    )  # fmt: skip
    findings.compare("hash at the mark", mark.hash, hashed)
    findings.compare("entries at the mark", mark.entries, row.next_event)
    return start, row.recorded_at_us


def _mark_of(shard: int, reached: Mark, seal: Seal | None) -> ShardMark:
    """From where the next run goes on: where the last seal ends, or at the tail without one."""
    if seal is None:
        return ShardMark(shard, reached.batch_seq, reached.entries, reached.hash)
    return ShardMark(
        shard, seal.last_batch, seal.next_entry, seal.head_hash, seal.seal_seq, seal.hash()
    )


async def _claims(
    connection: Connection, shard: int, sources: Sequence[ReflectionSource]
) -> list[Reflection]:
    """What claims to be this shard's state, all of one snapshot."""
    claims: list[Reflection] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SQL["patient"])
        for source in sources:
            claim = await source(connection, shard)
            if claim is not None:
                claims.append(claim)
    return claims


async def _published(
    connection: Connection, good: dict[bytes, int], packages: PublishedPackages
) -> tuple[PublishedHashes, dict[tuple[int, int], int]]:
    """Published configuration whose body stands under its hash, and how far clocks are ahead by it;
    `good` keeps what was read: -1 = not whole, else the offset of a clock. Packages and assets are
    put where they belong."""
    published: PublishedHashes = {}
    clocks: dict[tuple[int, int], int] = {}
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["read_all"], 0)
    for row in rows:
        hashed, tenant, version = row["content_hash"], row["tenant"], row["version"]
        reads = row["kind"] in KINDS and not packages.has(tenant, version)
        if hashed not in good or reads:
            body = await connection.fetchval(_SQL["body"], hashed)
            good[hashed] = -1
            if body is not None and content_hash(body) == hashed:
                moves = row["kind"] == ConfigurationKind.CLOCK
                good[hashed] = msgspec.msgpack.decode(body, type=ClockBody).offset if moves else 0
                packages.take(tenant, version, row["kind"], body)
        if good[hashed] >= 0:
            published[tenant, version] = hashed
            if row["kind"] == ConfigurationKind.CLOCK:
                clocks[tenant, version] = good[hashed]
    return published, clocks
