"""One shard, read once, from its first batch or from a mark, to its tail: chain, decode, replay.

The chain is checked over everything that is there. The replay is trusted only as far as the rows
are whole: at the first that is not, it stops, and what was to be compared later is a finding.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from ledger.core.books import BooksUnbalanced
from ledger.core.catalog import Catalog
from ledger.core.events import (
    AuthorizeDenied,
    ClockAdvanced,
    ConfigurationApplied,
    Event,
    HoldAuthorized,
    HoldExtended,
    LeaseRenewed,
    StatementClosed,
    StatementEnded,
    SuspenseRated,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
    WriterOpened,
)
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.integrity.ranges import BEGINNING, Mark
from ledger.journal.codec import BatchCodec, decode_private
from ledger.journal.connection import Connection
from ledger.journal.errors import JournalCorrupt
from ledger.journal.protocol import JournalRow, check_format, row_hash
from ledger.journal.sql import load
from ledger.projections.changes import APPLIED, QUARANTINED, RATED, SUSPENSE
from ledger.verify.clocks import ClockWatch, PublishedClocks
from ledger.verify.holds import HoldWatch
from ledger.verify.hours import add_hours
from ledger.verify.operations import look_at_operations
from ledger.verify.packages import PublishedPackages
from ledger.verify.reflections import Reflection, Tally
from ledger.verify.report import Findings, ShardReport
from ledger.verify.reversals import ReversalWatch
from ledger.verify.rules import Rules, sides_of
from ledger.verify.seals import SealCheck
from ledger.verify.statements import StatementWatch

PAGE_ROWS: Final = 32  # x ~400 kB = 13 MB
_SQL: Final = load("journal")

PublishedHashes = dict[tuple[int, int], bytes]
"""(tenant, version) -> content hash, of configuration whose body is there and matches it."""


class ShardCheck:
    """Takes the rows of one shard in order; adds what is wrong to `findings`."""

    def __init__(
        self,
        report: ShardReport,
        findings: Findings,
        published: PublishedHashes,
        claims: Sequence[Reflection],
        start: Mark = BEGINNING,
        recorded_at: int = 0,
        clocks: PublishedClocks | None = None,
        packages: PublishedPackages | None = None,
    ) -> None:
        """From a `start` other than the beginning there is no state to replay on: each row and
        entry is then judged by itself."""
        self.report = report
        self.findings = findings
        self.state = State(report.shard, Catalog())
        self.tally = Tally()
        self.whole = True  # every row so far: the replayed state may be compared
        self.replays = start == BEGINNING
        self._rules = Rules(findings, packages)
        self._holds = HoldWatch(findings)
        self._clocks = ClockWatch(findings, clocks or {})
        self._reversals = ReversalWatch(findings)
        self._statements = StatementWatch(findings)
        self._published = published
        self._claims = sorted(claims, key=lambda claim: claim.batch_seq)
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._start = start
        self._hash = start.hash
        self._batch_seq = start.batch_seq
        self._entries = start.entries
        self._recorded_at = recorded_at
        report.started_at_batch = start.batch_seq
        if self.replays:
            self._compare_claims()

    def take(self, row: JournalRow) -> None:
        """Check the next row, replay it, and compare what claims to stand there."""
        self.findings.batch = row.batch_seq
        self._check_chain(row)
        self._check_private(row)
        if self.whole:
            events = self._decode(row)
            if self.whole:
                if self.replays:
                    self._replay(row, events)
                else:
                    self._look_alone(row, events)
        self._hash = row.hash
        self._batch_seq, self._entries = row.batch_seq, row.next_event
        self._recorded_at = row.recorded_at_us
        if self.whole and self.replays:
            self._compare_claims()

    @property
    def reached(self) -> Mark:
        """Where the rows taken so far end."""
        return Mark(self._batch_seq, self._entries, self._hash)

    def end(self) -> None:
        """After the last row: the books as a whole, and claims about batches that are not there."""
        report = self.report
        report.batches = self._batch_seq - self._start.batch_seq
        report.entries = self._entries - self._start.entries
        report.head_hash = self._hash.hex()
        if not self.replays:
            return
        if self.whole:
            try:
                self.state.books.check()
            except BooksUnbalanced as error:
                self.findings.add("books", "debits = credits", error)
            report.holds_open = len(self.state.holds)
            report.holds_overdue = self._holds.end(self.state)
            look_at_operations(self.findings, self.state)
        for claim in self._claims:
            self.findings.batch = claim.batch_seq
            if self.whole:
                self.findings.add(f"{claim.name} at a batch", f"at most {self._batch_seq}",
                                  claim.batch_seq)  # fmt: skip
            else:
                self.findings.add(f"{claim.name}", "compared", "the journal is damaged before it")

    # -- rows --------------------------------------------------------------------------------------

    def _check_chain(self, row: JournalRow) -> None:
        before = len(self.findings.found) + self.report.findings_not_listed
        compare = self.findings.compare
        compare("batch_seq", self._batch_seq + 1, row.batch_seq)
        compare("first_event", self._entries, row.first_event)
        compare("prev_hash", self._hash, row.prev_hash)
        hashed = row_hash(
            row.shard, row.batch_seq, row.recorded_at_us, row.first_event, row.event_count,
            row.format, row.codec, row.prev_hash, row.payload,
        )  # fmt: skip
        compare("hash", hashed, row.hash)
        if row.recorded_at_us <= self._recorded_at:
            self.findings.add("recorded_at", f"after {self._recorded_at}", row.recorded_at_us)
        if len(self.findings.found) + self.report.findings_not_listed > before:
            self.whole = False

    def _check_private(self, row: JournalRow) -> None:
        """What stands beside the row may be blanked, so no hash holds it; but it must be legible,
        and about entries of the batch."""
        try:
            records = decode_private(row.private)
            stray = [each for each in records.indexes if not 0 <= each < row.event_count]
            columns = (records.accounts, records.sources, records.ids, records.operations,
                       records.operation_parents)  # fmt: skip
            if stray or any(len(column) != len(records.indexes) for column in columns):
                raise JournalCorrupt("private records that fit no entries of the batch")
        except JournalCorrupt as error:
            self.findings.add("private records", "records of the batch's entries", error)

    def _decode(self, row: JournalRow) -> list[Event]:
        try:
            events = self._codec.decode(check_format(row).payload)
        except JournalCorrupt as error:
            self._broken("payload", "a batch of known events", error)
            return []
        if len(events) != row.event_count:
            self._broken("event_count", len(events), row.event_count)
        return events

    def _broken(self, what: str, expected: object, found: object) -> None:
        self.findings.add(what, expected, found)
        self.whole = False

    # -- replay ------------------------------------------------------------------------------------

    def _replay(self, row: JournalRow, events: list[Event]) -> None:
        state = self.state
        try:
            state.begin_batch(row.batch_seq, row.recorded_at_us)
            for event in events:
                self._rules.before(state, event)
                self._clocks.before(state, event)
                if isinstance(event, UsageRecorded):
                    self._count(event)
                else:
                    self._look_at(event)
                add_hours(self.tally.hours, event)
                evolve(state, event)
                self._rules.after(state, event)
            self._clocks.batch(state)
            self._holds.batch(state)
            self._statements.batch(row.batch_seq, row.hash)
        except Exception as error:  # whatever a contradiction in the journal makes evolve raise
            what = f"{type(error).__name__}: {error}"
            self._broken(f"replay of entry {state.entry_seq}", "an entry that fits", what)

    def _look_alone(self, row: JournalRow, events: list[Event]) -> None:
        """Without a state: each entry's own debits and credits, and who opened on what."""
        for entry_seq, event in enumerate(events, row.first_event):
            if isinstance(event, UsageRecorded | HoldAuthorized):
                drawn, charged = sides_of(event)
                self.findings.compare(f"entry {entry_seq}, sum of slices", charged, drawn)
                counts = isinstance(event, UsageRecorded) and type(event) is not SuspenseRated
                self.report.usage_events += counts
            elif isinstance(event, WriterOpened):
                self._opened_on(event)

    def _opened_on(self, event: WriterOpened) -> None:
        opened_on = (event.last_batch_seq, event.last_hash.hex())
        self.findings.compare("opened on", (self._batch_seq, self._hash.hex()), opened_on)

    def _count(self, event: UsageRecorded) -> None:
        state = self.state
        charge = 0
        for each in event.charges:
            if each > 0:
                charge += each
        tenant = state.accounts[event.account].tenant
        asset = state.declared[event.plan].asset
        if type(event) is SuspenseRated:
            self.tally.add(tenant, asset, RATED, charge)
            return
        self.tally.add(tenant, asset, SUSPENSE if event.suspense else APPLIED, charge)
        self.report.usage_events += 1

    def _look_at(self, event: Event) -> None:
        """What is to be said of events other than usage before they are replayed."""
        state = self.state
        if isinstance(event, UsageQuarantined):
            tenant = state.accounts[event.account].tenant
            self.tally.add(tenant, state.declared[event.plan].asset, QUARANTINED, 0)
            self.report.usage_events += 1
        elif isinstance(event, AuthorizeDenied):
            self.tally.denials += 1
        elif isinstance(event, HoldAuthorized | HoldExtended | LeaseRenewed):
            self._holds.expires(state, event)
        elif isinstance(event, ClockAdvanced):
            self._holds.advanced(state, event)
        elif isinstance(event, UsageReversed):
            self._reversals.reversed(state.entry_seq, event)
        elif isinstance(event, StatementEnded | StatementClosed):
            self._statements.look_at(state, event)
        elif isinstance(event, WriterOpened):
            self._opened_on(event)
        elif isinstance(event, ConfigurationApplied):
            self.findings.compare(
                f"configuration {event.version} of tenant {event.tenant}",
                event.content_hash,
                self._published.get((event.tenant, event.version), "no such body"),
            )

    async def look_back(self, connection: Connection) -> None:
        """Read what was corrected again, and judge the reversals by it."""
        batches = self._reversals.batches
        for start in range(0, len(batches), PAGE_ROWS):
            page = batches[start : start + PAGE_ROWS]
            for record in await connection.fetch(_SQL["fetch"], self.report.shard, page):
                row = JournalRow(*record)
                self.findings.batch = row.batch_seq
                self._reversals.judge(row.batch_seq, row.first_event, self._decode(row))
        self._reversals.end()
        await self._work_out_statements(connection)

    async def _work_out_statements(self, connection: Connection) -> None:
        """Read the shard once more, as far as statements go that were closed."""
        last_batch = self._statements.last_batch
        if not last_batch or not self.whole:
            return
        self._statements.begin(self.report.shard)
        try:
            async for row in read_rows(connection, self.report.shard, 0, last_batch):
                self.findings.batch = row.batch_seq
                self._statements.fold(row.recorded_at_us, self._decode(row))
            self._statements.end()
        except Exception as error:  # whatever figures that do not add up make it raise
            what = f"{type(error).__name__}: {error}"
            self.findings.add("statements", "figures that add up", what)

    def _compare_claims(self) -> None:
        while self._claims and self._claims[0].batch_seq == self.state.batch_seq:
            claim = self._claims.pop(0)
            claim.compare(self.state, self.tally, self._hash, self.findings)


async def read_rows(
    connection: Connection, shard: int, after: int, through: int
) -> AsyncIterator[JournalRow]:
    """The shard's rows with after < batch_seq <= through as they are, unchecked, in order."""
    sql = _SQL["page_with_private"]
    while True:
        page = await connection.fetch(sql, shard, after, through, PAGE_ROWS)
        for record in page:
            row = JournalRow(*record)
            after = row.batch_seq
            yield row
        if len(page) < PAGE_ROWS:
            return


async def check_rows(
    rows: AsyncIterator[JournalRow], check: ShardCheck, seals: SealCheck, progress: Any
) -> None:
    """Take all rows, with a yield to the loop after each."""
    async for row in rows:
        check.take(row)
        await seals.take(row)
        progress(row.next_event)
        await asyncio.sleep(0)
    await seals.end(check.reached.batch_seq)
    check.end()
