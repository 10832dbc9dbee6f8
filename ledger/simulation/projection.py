"""Simulated tables of read models, and the process that keeps them: the real projector over them.

Owns what is committed, row locks, and the fate of a commit: its answer may be lost, then the
projector reads where it stands. `SimulatedTables` has the promises of `projections.tables.Tables`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec.structs import replace

from ledger.core.events import BookKind
from ledger.journal.errors import JournalUnavailable
from ledger.journal.protocol import JournalRow
from ledger.projections import changes as c
from ledger.projections.changes import Changes, Moved, RecurringRow
from ledger.projections.facts import Facts, GrantFact, HoldFact, HoldLine, Needed
from ledger.projections.lag import Lag
from ledger.projections.shard import TableProjector, follow
from ledger.projections.tables import Position, ProjectionDamaged
from ledger.simulation.database import Database, SimulatedJournal
from ledger.simulation.loop import OWNER, Owner

_LEFT: Final = ("backfill", "voided", "expired", "rolled", "cancelled", "given_back", "returned")
START: Final = Position(0, 0, 0, bytes(32), 0)
_LAST: Final = {
    "transfers": (0, 1, 2, 3),
    "usage": (0, 1, 2),
    "denials": (0, 1, 2),
    "reversals": (0, 1, 2),
    "adjustments": (0, 1, 2),
    "recurring_issues": (0, 1, 2),
    "commitments": (0, 1, 2),
    "commitment_segments": (0, 1, 3),
    "commitment_invoices": (0, 1, 2, 3),
    "commitment_entries": (0, 1, 2),
    "amendments": (0, 1, 2),
    "manual": (0, 1, 2),
    "minimums": (0, 1, 2),
    "gauges": (0, 1, 2),
    "hold_sizes": (0, 1, 2, 5),
    "lease_entries": (0, 1, 2),
    "mandate_entries": (0, 1, 2),
    "mandate_purchases": (0, 1, 2),
    "unpaid_grants": (0, 1, 2),
    "decision_policies": (0, 1, 2),
    "rulings": (0, 1, 2),
    "runway_rules": (0, 1, 2),
    "runway_crossings": (0, 1, 2),
    "top_up_rules": (0, 1, 2),
    "subscription_entries": (0, 1, 2),
    "charge_entries": (0, 1, 2),
    "fee_lines": (0, 1, 2),
    "package_phases": (0, 1, 2),
    "contract_entries": (0, 1, 2),
    "seat_plan_entries": (0, 1, 2),
    "seat_entries": (0, 1, 2, 5),
    "seat_issues": (0, 1, 2, 6),
    "seat_alerts": (0, 1, 2),
    "statement_entries": (0, 1, 2),
    "ratings": (0, 1, 2, 3),
    "costs": (0, 1, 2),
    "operations": (0, 1, 2),
    "follow_ups": (0, 1, 2),
    "shared_rerates": (0, 1, 2),
    "backfilled": (0, 1, 2, 3),
}
"""Tables whose rows never change, and the columns of their primary keys."""


class ShardTables:
    """The committed read models of one shard."""

    def __init__(self) -> None:
        self.position = START
        self.holder: SimulatedTables | None = None
        self.rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # (table, *key) -> row
        self.books: dict[int, list[int]] = {}
        self.opened: dict[int, tuple[Any, ...]] = {}  # book -> its row without counters
        self.accounts: dict[int, dict[str, Any]] = {}
        self.grants: dict[int, dict[str, Any]] = {}
        self.holds: dict[int, dict[str, Any]] = {}
        self.recurring: dict[int, tuple[Any, ...]] = {}
        self.top_ups: dict[int, tuple[Any, ...]] = {}
        self.waiting: dict[int, dict[str, Any]] = {}
        self.clocks: dict[int, int] = {}

    def copy(self) -> ShardTables:
        """What a transaction works on."""
        made = ShardTables()
        made.position = self.position
        made.rows = dict(self.rows)
        made.books = {number: list(counters) for number, counters in self.books.items()}
        made.opened = dict(self.opened)
        made.accounts = {number: dict(row) for number, row in self.accounts.items()}
        made.grants = {number: dict(row) for number, row in self.grants.items()}
        made.holds = {number: dict(row) for number, row in self.holds.items()}
        made.recurring = dict(self.recurring)
        made.top_ups = dict(self.top_ups)
        made.waiting = {entry: dict(row) for entry, row in self.waiting.items()}
        made.clocks = dict(self.clocks)
        return made


class ProjectionDatabase:
    """The read models of every shard, in the world's database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.shards = [ShardTables() for _ in range(database.shards)]

    async def announce(self, shard: int) -> None:
        """An erasure begins: waits for the shard's projector, which then reads names again."""
        tables = await self._at_rest(shard)
        tables.position = replace(tables.position, scrubs=tables.position.scrubs + 1)

    async def replace(self, shard: int, last: JournalRow) -> None:
        """The shard stands after another batch, as after a rebuild; rows stay as they are."""
        tables = await self._at_rest(shard)
        tables.position = _after(last, tables.position.scrubs)

    async def _at_rest(self, shard: int) -> ShardTables:
        """The shard's tables when no projector has them."""
        while True:
            await self.database.trip()
            holder = self.shards[shard].holder
            if holder is None or holder.owner.dead:
                return self.shards[shard]


class SimulatedTables:
    """One connection to one shard's read models. See `projections.tables.Tables`."""

    def __init__(self, projections: ProjectionDatabase, shard: int) -> None:
        self.shard = shard
        self.owner: Owner = OWNER.get()
        self._projections = projections
        self._work: ShardTables | None = None

    @property
    def _database(self) -> Database:
        return self._projections.database

    @property
    def _committed(self) -> ShardTables:
        return self._projections.shards[self.shard]

    @property
    def _written(self) -> ShardTables:
        assert self._work is not None, "outside of a transaction"
        return self._work

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """See Tables."""
        await self._database.trip()
        self._work = self._committed.copy()
        try:
            yield
        except BaseException:
            self._end()
            raise
        await self._commit()

    async def _commit(self) -> None:
        """The COMMIT goes out; where its answer is lost it may have happened all the same."""
        work, committed = self._written, self._committed
        if committed.holder is not self:
            self._end()
            return
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        arrives = not self._database.chance(self._database.faults.unknown_lost)

        def land() -> None:
            if arrives and not self._database.away and committed.holder is self:
                work.holder = None
                self._projections.shards[self.shard] = work
            if not answer.done():
                answer.set_result(None)

        self._database.later(self._database.trip_us(), land)
        await answer
        landed = self._projections.shards[self.shard] is work
        self._end()
        await self._database.trip()
        if not landed or self._database.chance(self._database.faults.unknown_landed):
            raise JournalUnavailable("the commit of read models was not answered")

    def _end(self) -> None:
        self._work = None
        if self._committed.holder is self:
            self._committed.holder = None

    async def lock(self) -> Position | None:
        """See Tables. What a killed process held is free."""
        await self._database.trip()
        holder = self._committed.holder
        if holder is not None and holder is not self and not holder.owner.dead:
            return None
        self._committed.holder = self
        self._work = self._committed.copy()
        return self._committed.position

    async def glance(self) -> tuple[Position, int, int]:
        """See Tables."""
        await self._database.trip()
        database = self._database
        last = max((seq for shard, seq in database.rows if shard == self.shard), default=0)
        seen = self._work if self._work is not None else self._committed  # its own changes, too
        return seen.position, last, database.entries[self.shard]

    async def learn(self, needed: Needed, facts: Facts) -> None:
        """See Tables."""
        await self._database.trip()
        work = self._written
        try:
            for account in sorted(needed.accounts):
                facts.tenants[account] = work.accounts[account]["tenant"]
            for number in sorted(needed.grants):
                row = work.grants[number]
                facts.grants[number] = GrantFact(
                    row["tenant"],
                    row["asset"],
                    row["book"],
                    row["funding_book"],
                    row["cash_book"] or 0,
                    row["deferred_book"] or 0,
                    row["price_asset"],
                )
            for number in sorted(needed.recurring):
                facts.recurring[number] = RecurringRow(*work.recurring[number])
            for number in sorted(needed.drawn):
                facts.value_books[number] = _value_book(work, number)
        except KeyError as error:
            raise ProjectionDamaged(f"shard {self.shard}: {error} is not there") from error
        for book in sorted(needed.books):
            owners = [number for number, row in work.grants.items() if row["book"] == book]
            facts.books[book] = owners[0] if owners else 0
        opened = [dict(zip(c.BOOKS, row, strict=False)) for row in work.opened.values()]
        for made in opened:
            if made["kind"] == BookKind.UNBILLED:
                facts.unbilled[made["owner"], made["asset"]] = made["book"]
        if needed.revenues:
            facts.revenues = {
                (made["tenant"], made["asset"], made["name"]): made["book"]
                for made in opened
                if made["kind"] == BookKind.REVENUE
            }
        for number in sorted(needed.holds):
            facts.holds[number] = self._hold_fact(work, number)

    def _hold_fact(self, work: ShardTables, number: int) -> HoldFact | None:
        row = work.holds.get(number)
        if row is None or row["state"] != c.HOLD_OPEN:
            return None
        lines = []
        for key, transfer in sorted(work.rows.items(), key=lambda item: str(item[0])):
            found = dict(zip(c.TRANSFERS, transfer, strict=True)) if key[0] == "transfers" else {}
            if found and found["entry_seq"] == row["entry_seq"] and found["phase"] == c.PENDING:
                lines.append((found["line"], found))
        lines.sort(key=lambda pair: pair[0])
        for (_, found), amount in zip(lines, row["reserved"] or (), strict=False):
            found["amount"] = amount  # of each slice in its order, wherever its line is
        return HoldFact(
            row["tenant"],
            row["asset"],
            row["authorized_at"],
            row["period"],
            tuple(
                HoldLine(
                    found["pot"],
                    found["debit_book"],
                    found["credit_book"],
                    found["amount"],
                    found["value"],
                    found["cost"],
                )
                for _, found in lines
            ),
        )

    async def write(self, changes: Changes, facts: Facts) -> None:
        """See Tables."""
        await self._database.trip()
        work = self._written
        for table, rows in (
            ("transfers", changes.transfers),
            ("usage", changes.usage),
            ("denials", changes.denials),
            ("reversals", changes.reversals),
            ("adjustments", changes.adjustments),
            ("recurring_issues", changes.recurring_issues),
            ("commitments", changes.commitments),
            ("commitment_segments", changes.commitment_segments),
            ("commitment_invoices", changes.commitment_invoices),
            ("commitment_entries", changes.commitment_entries),
            ("amendments", changes.amendments),
            ("manual", changes.manual),
            ("shared_rerates", changes.shared_rerates),
            ("minimums", changes.minimums),
            ("gauges", changes.gauges),
            ("hold_sizes", changes.hold_sizes),
            ("lease_entries", changes.lease_entries),
            ("mandate_entries", changes.mandate_entries),
            ("mandate_purchases", changes.mandate_purchases),
            ("unpaid_grants", changes.unpaid_grants),
            ("decision_policies", changes.decision_policies),
            ("rulings", changes.rulings),
            ("runway_rules", changes.runway_rules),
            ("runway_crossings", changes.runway_crossings),
            ("top_up_rules", changes.top_up_rules),
            ("subscription_entries", changes.subscription_entries),
            ("charge_entries", changes.charge_entries),
            ("fee_lines", changes.fee_lines),
            ("package_phases", changes.package_phases),
            ("contract_entries", changes.contract_entries),
            ("seat_plan_entries", changes.seat_plan_entries),
            ("seat_entries", changes.seat_entries),
            ("seat_issues", changes.seat_issues),
            ("seat_alerts", changes.seat_alerts),
            ("statement_entries", changes.statement_entries),
            ("ratings", changes.ratings),
            ("costs", changes.costs),
            ("operations", changes.operations),
            ("follow_ups", changes.follow_ups),
            ("backfilled", changes.backfilled),
        ):
            for row in rows:
                key = (table, *(row[place] for place in _LAST[table]))
                self._once(work.rows, key)
                work.rows[key] = row
        facts.plans.update(changes.plans)
        self._write_accounts(work, changes)
        self._write_grants(work, changes)
        self._write_holds(work, changes)
        self._write_books(work, changes)
        self._write_waiting(work, changes)
        for number, recurring in changes.recurring.items():
            if number in changes.new_recurring:
                self._once(work.recurring, number)
            else:
                self._there(work.recurring, number)
            work.recurring[number] = recurring.row()
        work.clocks.update(changes.clocks)
        for row in changes.top_ups:
            self._once(work.top_ups, row[2])
            work.top_ups[row[2]] = row
        for number, end in changes.top_up_ends.items():
            row = self._there(work.top_ups, number)
            work.top_ups[number] = (*row[:4], end[2], *row[5 : len(c.TOP_UPS)], *end[3:])
        await self._database.trip()

    def _write_waiting(self, work: ShardTables, changes: Changes) -> None:
        for row in changes.waiting:
            self._once(work.waiting, row[2])
            work.waiting[row[2]] = dict(zip(c.WAITING, row, strict=True))
        for _, entry, places in changes.rated:
            waiting = self._there(work.waiting, entry)
            waiting["reasons"] = [
                None if place in places else reason
                for place, reason in enumerate(waiting["reasons"], 1)
            ]
        for _, entry, _, quantities in changes.reversed_usage:
            if entry in work.waiting:
                waiting = work.waiting[entry]
                pairs = zip(waiting["quantities"], quantities, strict=True)
                waiting["quantities"] = [a - b for a, b in pairs]
        for _, entry in changes.waits_no_more:
            self._there(work.waiting, entry)
            del work.waiting[entry]

    def _write_books(self, work: ShardTables, changes: Changes) -> None:
        for row in changes.books:
            self._once(work.books, row[2])
            work.books[row[2]] = [0, 0, 0, 0]
            work.opened[row[2]] = row
        for number, moved in changes.moved.items():
            counters = self._there(work.books, number)
            for place, amount in enumerate(_counters(moved)):
                counters[place] += amount
                if counters[place] < 0:
                    raise ProjectionDamaged(f"book {number} falls below zero")

    def _write_accounts(self, work: ShardTables, changes: Changes) -> None:
        for row in changes.accounts:
            self._once(work.accounts, row[2])
            made = dict(zip(c.ACCOUNTS, row, strict=False))
            work.accounts[row[2]] = {**made, "closed_at": None, "frozen_at": None}
        for number, change in changes.changed_accounts.items():
            account = self._there(work.accounts, number)
            if change.policy is not None:
                account["policy"], account["version"] = change.policy, change.version
            if change.parent is not None:
                account["parent"] = change.parent
            if change.closed_at is not None:
                account["closed_at"] = change.closed_at or None
            if change.frozen_at is not None:
                account["frozen_at"] = change.frozen_at or None

    def _write_grants(self, work: ShardTables, changes: Changes) -> None:
        for row in changes.grants:
            self._once(work.grants, row[2])
            made = dict(zip(c.GRANTS, row, strict=False))
            work.grants[row[2]] = {**made, "state": c.GRANT_OPEN, **dict.fromkeys(_LEFT, 0)}
        for each in changes.restored:
            tenant, number, of, ordinal, amount, paid, expires_at, book, deferred, at = each
            self._once(work.grants, number)
            work.grants[number] = {
                **self._there(work.grants, of),
                "tenant": tenant,
                "number": number,
                "ordinal": ordinal,
                "amount": amount,
                "price_paid": paid,
                "expires_at": expires_at,
                "book": book,
                "deferred_book": deferred,
                "origin": of,
                "issued_at": at,
                "state": c.GRANT_OPEN,
                **dict.fromkeys(_LEFT, 0),
            }
        for number, change in changes.changed_grants.items():
            grant = self._there(work.grants, number)
            grant["state"] = max(grant["state"], change.state)
            grant["cash_book"] = change.cash_book or grant["cash_book"]
            for name in _LEFT:
                grant[name] += getattr(change, name)

    def _write_holds(self, work: ShardTables, changes: Changes) -> None:
        for row in changes.holds:
            self._once(work.holds, row[2])
            made = dict(zip(c.HOLDS, row, strict=False))
            start = {"state": c.HOLD_OPEN, "reserved": None, "captured": 0, "captures": 0}
            work.holds[row[2]] = {**made, **start}
        for number, change in changes.changed_holds.items():
            hold = self._there(work.holds, number)
            if hold["state"] != c.HOLD_OPEN:
                raise ProjectionDamaged(f"hold {number} ends twice")
            hold["state"], hold["settled_by"] = change.state, change.settled_by
            if change.expires_at is not None:
                hold["expires_at"] = change.expires_at
            if change.reserved is not None:
                hold["reserved"] = change.reserved
            hold["amount"] += change.amount
            if change.again is not None:
                hold["entry_seq"], hold["authorized_at"], hold["period"] = change.again
            hold["captured"] += change.captured
            hold["captures"] += change.captures

    async def advance(self, before: Position, last: JournalRow) -> None:
        """See Tables."""
        work = self._written
        if work.position.batch_seq != before.batch_seq:
            raise ProjectionDamaged(f"shard {self.shard} stands at {work.position}")
        work.position = _after(last, work.position.scrubs)
        await self._database.trip()

    async def report(self, last: JournalRow, head_entries: int, by: str) -> int:
        """See Tables."""
        await self._database.trip()
        if head_entries <= last.next_event:
            return 0
        return max(0, self._database.time.now_us() - last.recorded_at_us)

    def close(self) -> None:
        """See Tables."""
        self._end()

    def _once(self, rows: dict[Any, Any], key: Any) -> None:
        if key in rows:
            raise ProjectionDamaged(f"shard {self.shard}: {key} stands already")

    def _there(self, rows: dict[Any, Any], key: Any) -> Any:
        if key not in rows:
            raise ProjectionDamaged(f"shard {self.shard}: {key} is not there")
        return rows[key]


def _value_book(work: ShardTables, number: int) -> tuple[int, int]:
    """What pays in money for what is drawn from a book, and in which money."""
    book = dict(zip(c.BOOKS, work.opened[number], strict=False))
    if book["kind"] == BookKind.GRANT:
        grant = work.grants[book["owner"]]
        return grant["deferred_book"] or 0, grant["price_asset"]
    for each, row in work.opened.items():
        other = dict(zip(c.BOOKS, row, strict=False))
        if each < number and (other["kind"], other["owner"], other["asset"]) == (
            BookKind.UNBILLED,
            book["owner"],
            book["asset"],
        ):
            return each, book["asset"]
    return 0, book["asset"]


def _after(last: JournalRow, scrubs: int) -> Position:
    return Position(last.batch_seq, last.next_event, last.recorded_at_us, last.hash, scrubs)


def _counters(moved: Moved) -> tuple[int, int, int, int]:
    return moved.debits_posted, moved.credits_posted, moved.debits_pending, moved.credits_pending


def _nobody(_: Lag) -> None:
    """Nobody watches."""


async def run_projector(projections: ProjectionDatabase) -> None:
    """The real projector for every shard, until its process is killed."""

    def opener(shard: int) -> Any:
        async def connect() -> SimulatedTables:
            await projections.database.trip()
            return SimulatedTables(projections, shard)

        return connect

    projectors = [
        TableProjector(SimulatedJournal(projections.database, shard), opener(shard))
        for shard in range(projections.database.shards)
    ]
    turn = asyncio.Lock()
    await asyncio.gather(*[follow(each, _nobody, turn) for each in projectors])
