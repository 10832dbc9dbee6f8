"""One shard, read once from its first batch to its tail: chain, decode, replay, balance, claims.

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
    ConfigurationApplied,
    Event,
    UsageQuarantined,
    UsageRecorded,
    WriterOpened,
)
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec
from ledger.journal.connection import Connection
from ledger.journal.errors import JournalCorrupt
from ledger.journal.protocol import GENESIS_HASH, JournalRow, check_format, row_hash
from ledger.journal.sql import load
from ledger.projections.changes import APPLIED, QUARANTINED, SUSPENSE
from ledger.verify.reflections import Reflection, Tally
from ledger.verify.report import Findings, ShardReport

PAGE_ROWS: Final = 32  # x ~400 kB = 13 MB
_INT64_MAX: Final = 2**63 - 1
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
    ) -> None:
        self.report = report
        self.findings = findings
        self.state = State(report.shard, Catalog())
        self.tally = Tally()
        self.whole = True  # every row so far: the replayed state may be compared
        self._published = published
        self._claims = sorted(claims, key=lambda claim: claim.batch_seq)
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._hash = GENESIS_HASH
        self._batch_seq = 0
        self._entries = 0
        self._recorded_at = 0
        self._compare_claims()

    def take(self, row: JournalRow) -> None:
        """Check the next row, replay it, and compare what claims to stand there."""
        self.findings.batch = row.batch_seq
        self._check_chain(row)
        if self.whole:
            events = self._decode(row)
            if self.whole:
                self._replay(row, events)
        self._hash = row.hash
        self._batch_seq, self._entries = row.batch_seq, row.next_event
        self._recorded_at = row.recorded_at_us
        if self.whole:
            self._compare_claims()

    def end(self) -> None:
        """After the last row: the books as a whole, and claims about batches that are not there."""
        report = self.report
        report.batches, report.entries = self._batch_seq, self._entries
        report.head_hash = self._hash.hex()
        if self.whole:
            try:
                self.state.books.check()
            except BooksUnbalanced as error:
                self.findings.add("books", "debits = credits", error)
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
                if type(event) is UsageRecorded:
                    self._count(event)
                else:
                    self._look_at(event)
                evolve(state, event)
        except Exception as error:  # whatever a contradiction in the journal makes evolve raise
            what = f"{type(error).__name__}: {error}"
            self._broken(f"replay of entry {state.entry_seq}", "an entry that fits", what)
            return
        for asset, totals in state.books.totals.items():
            if not totals.balanced:
                debits = f"{totals.debits_posted} + {totals.debits_pending} pending"
                credits = f"{totals.credits_posted} + {totals.credits_pending} pending"
                self.findings.add(f"credits of asset {asset}", debits, credits)

    def _count(self, event: UsageRecorded) -> None:
        state = self.state
        if state.keys.find(event.key) is not None:
            self.findings.add("identity", "once within the window", f"{event.key.hex()} again")
        charge = 0
        for each in event.charges:
            if each > 0:
                charge += each
        tenant = state.accounts[event.account].tenant
        asset = state.declared[event.plan].asset
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
        elif isinstance(event, WriterOpened):
            opened_on = (event.last_batch_seq, event.last_hash.hex())
            self.findings.compare("opened on", (self._batch_seq, self._hash.hex()), opened_on)
        elif isinstance(event, ConfigurationApplied):
            self.findings.compare(
                f"configuration {event.version} of tenant {event.tenant}",
                event.content_hash,
                self._published.get((event.tenant, event.version), "no such body"),
            )

    def _compare_claims(self) -> None:
        while self._claims and self._claims[0].batch_seq == self.state.batch_seq:
            claim = self._claims.pop(0)
            claim.compare(self.state, self.tally, self._hash, self.findings)


async def read_rows(connection: Connection, shard: int) -> AsyncIterator[JournalRow]:
    """The shard's rows as they are, unchecked, in order, to the tail."""
    after: Any = 0
    while True:
        page = await connection.fetch(_SQL["page"], shard, after, _INT64_MAX, PAGE_ROWS)
        for record in page:
            row = JournalRow(*record)
            after = row.batch_seq
            yield row
        if len(page) < PAGE_ROWS:
            return


async def check_rows(rows: AsyncIterator[JournalRow], check: ShardCheck, progress: Any) -> None:
    """Take all rows, with a yield to the loop after each."""
    async for row in rows:
        check.take(row)
        progress(row.next_event)
        await asyncio.sleep(0)
    check.end()
