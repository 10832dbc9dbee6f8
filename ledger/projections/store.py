"""The read models in PostgreSQL: the lock of a shard, facts, and one transaction's changes.

Every method that writes runs inside the transaction that holds the shard's checkpoint row, and each
asserts that it changed as many rows as it meant to: a read model that disagrees with the journal is
never papered over (`ProjectionDamaged`: rebuild it).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import asyncpg
from asyncpg.transaction import Transaction

from ledger.failpoints import reached
from ledger.journal.connection import Connection, connect
from ledger.journal.protocol import JournalRow
from ledger.projections import changes as c
from ledger.projections.changes import (
    Changes,
    HoldChange,
    Moved,
    RecurringRow,
    Row,
)
from ledger.projections.facts import Facts, GrantFact, Needed
from ledger.projections.lifetimes import BookFact, advances, debts, looked_at, payments
from ledger.projections.rows import (
    again_of,
    appended,
    array_of,
    captured_by,
    counters_of,
    end_of,
    holds_of,
    left_of,
    moved_on,
    standing_of,
)
from ledger.projections.snapshots import EVERY, Snapshot, snapshots, touched
from ledger.projections.sql import load
from ledger.projections.tables import Position, ProjectionDamaged

SCHEMA: Final = "projection"

_SQL: Final = load("store")
_STILL: Final = Moved(0)


class ProjectionStore:
    """One shard's way to one copy of the read models, on a connection of its own."""

    __slots__ = ("connection", "shard")

    def __init__(self, connection: Connection, shard: int) -> None:
        self.connection = connection
        self.shard = shard

    @classmethod
    async def open(cls, dsn: str, shard: int, schema: str = SCHEMA) -> ProjectionStore:
        """Connect. Raises JournalUnavailable."""
        connection = await connect(dsn, application_name=f"drawdown projector {shard}")
        try:
            await connection.execute(f"SET search_path = {schema}")
            await connection.execute(_SQL["session"])
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, shard)

    def transaction(self) -> Transaction:
        """See Tables."""
        return self.connection.transaction()

    def close(self) -> None:
        """Let go; what was not committed is gone."""
        self.connection.terminate()

    async def make_checkpoints(self, shards: int) -> None:
        """A checkpoint row for every shard, once."""
        await self.connection.execute(_SQL["make_checkpoints"], shards)

    async def lock(self) -> Position | None:
        """Take the shard until the transaction ends; None = another projector has it."""
        row = await self.connection.fetchrow(_SQL["lock"], self.shard)
        return None if row is None else Position(*row)

    async def glance(self) -> tuple[Position, int, int]:
        """Where the shard stands, whoever has it; the last batch and the entries of its journal."""
        row = await self.connection.fetchrow(_SQL["glance"], self.shard)
        if row is None:
            raise self._damaged("the shard has no checkpoint")
        *position, head_batch_seq, head_entries = row
        return Position(*position), head_batch_seq, head_entries

    async def learn(self, needed: Needed, facts: Facts) -> None:
        """Look up what a batch needs. Raises ProjectionDamaged where it is not there."""
        fetch, shard = self.connection.fetch, self.shard
        if needed.accounts:
            rows = await fetch(_SQL["tenants_of"], shard, list(needed.accounts))
            facts.tenants.update({row[0]: row[1] for row in rows})
            self._complete("accounts", needed.accounts, facts.tenants)
        if needed.grants:
            rows = await fetch(_SQL["grants_of"], shard, list(needed.grants))
            facts.grants.update({row[0]: GrantFact(*row[1:]) for row in map(tuple, rows)})
            self._complete("grants", needed.grants, facts.grants)
        if needed.books:
            rows = await fetch(_SQL["grants_of_books"], shard, list(needed.books))
            facts.books.update({row[0]: row[1] for row in rows})
            self._complete("books", needed.books, facts.books)
        if needed.drawn:
            rows = await fetch(_SQL["value_books_of"], shard, list(needed.drawn))
            facts.value_books.update({row[0]: (row[1], row[2]) for row in rows})
            self._complete("books", needed.drawn, facts.value_books)
        if needed.payers:
            rows = await fetch(_SQL["unbilled_of"], shard, list(needed.payers))
            facts.unbilled.update({(row[0], row[1]): row[2] for row in rows})
        if needed.revenues:
            rows = await fetch(_SQL["revenues"], shard)
            facts.revenues = {(row[0], row[1], row[2]): row[3] for row in rows}
        if needed.holds:
            facts.holds.update(dict.fromkeys(needed.holds))
            rows = await fetch(_SQL["holds_of"], shard, list(needed.holds))
            facts.holds.update(holds_of(rows))
        if needed.recurring:
            rows = await fetch(_SQL["recurring_of"], shard, list(needed.recurring))
            facts.recurring.update({row["number"]: RecurringRow(*row) for row in rows})
            self._complete("recurring grants", needed.recurring, facts.recurring)

    def _complete(self, what: str, needed: set[int], known: dict[int, Any]) -> None:
        missing = sorted(needed - known.keys())
        if missing:
            raise self._damaged(f"{what} {missing[:5]} are not there")

    async def write(self, changes: Changes, facts: Facts) -> None:
        """Write everything but the checkpoint."""
        for table, columns, rows in appended(changes):
            if rows:
                await self._copy(table, columns, rows)
        if changes.plans:
            await self.connection.executemany(_SQL["insert_plan"], changes.plans.values())
            facts.plans.update(changes.plans)
        await self._write_waiting(changes)
        for tenant, entry, cost in changes.reversed_costs:
            await self._one("reverse_cost", tenant, entry, cost)
        await self._write_accounts(changes)
        await self._write_grants(changes)
        await self._write_sharing(changes)
        await self._write_holds(changes)
        await self._write_books(changes)
        await self._write_recurring(changes)
        await self._write_top_ups(changes)
        await self._write_statements(changes)
        await self._write_budgets(changes)
        await self._write_hours(changes)
        await self._write_actors(changes)
        await self._write_lifetimes(changes, facts)
        for tenant, ahead in changes.clocks.items():
            await self._one("put_clock", tenant, ahead)

    async def advance(self, before: Position, last: JournalRow) -> None:
        """Move the checkpoint to the last batch whose rows were written."""
        reached("projection.commit")
        done = await self.connection.execute(
            _SQL["advance"],
            self.shard,
            last.batch_seq,
            last.next_event,
            last.recorded_at_us,
            last.hash,
            before.batch_seq,
        )
        self._expect("checkpoint", done, 1)

    async def report(self, last: JournalRow, head_entries: int, by: str) -> int:
        """Write the lag down and return it in microseconds."""
        lag_us: int = await self.connection.fetchval(
            _SQL["report"],
            self.shard,
            last.next_event,
            max(head_entries, last.next_event),
            last.recorded_at_us,
            by,
        )
        return lag_us

    # -- tables whose rows change ------------------------------------------------------------------

    async def _write_books(self, changes: Changes) -> None:
        moved = dict(changes.moved)
        counts = touched(changes.transfers)
        taken = snapshots(changes.transfers, counts, EVERY)
        if changes.books:
            new = [
                (*row, *counters_of(moved.pop(row[2], _STILL)), counts[row[2]])
                for row in changes.books
            ]
            await self._copy("books", c.BOOKS, new)
            numbers = {row[2] for row in changes.books}
            first = [
                (changes.moved[each.book].tenant, self.shard, *each)
                for each in taken
                if each.book in numbers
            ]
            if first:
                await self._copy("book_snapshots", c.BOOK_SNAPSHOTS, first)
        if moved:
            last = {row[0]: row[-1] for row in changes.transfers}  # by tenant: its own clock
            rows = [
                (each.tenant, book, *counters_of(each), counts[book], last.get(each.tenant, 0))
                for book, each in moved.items()
            ]
            await self._move_books(rows, [each for each in taken if each.book in moved])

    async def _move_books(self, rows: list[Row], taken: list[Snapshot]) -> None:
        """Add to the counters of books, and keep snapshots. A row ends with when the last transfer
        of its tenant was recorded."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        within = [list(column) for column in zip(*taken, strict=True)] or [[]] * 6
        arguments = (self.shard, *columns, EVERY, *within)
        try:
            done = await self.connection.fetchval(_SQL["move_books"], *arguments)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self._damaged(f"move_books: {error}; {error.detail}") from error
        self._expect("move_books", f"UPDATE {done}", len(rows))

    async def _write_waiting(self, changes: Changes) -> None:
        """What waits for a price, and what is given back of usage, which waits for less then."""
        if changes.waiting:
            await self._copy("waiting", c.WAITING, changes.waiting)
        if changes.ratings:
            await self._copy("ratings", c.RATINGS, changes.ratings)
        for tenant, entry, places in changes.rated:
            await self._one("rate_waiting", tenant, entry, places)
        for tenant, entry, amount, quantities in changes.reversed_usage:
            await self._one("reverse_usage", tenant, entry, amount, quantities)
        if changes.waits_no_more:
            await self._update("end_waiting", changes.waits_no_more)

    async def _write_accounts(self, changes: Changes) -> None:
        changed = dict(changes.changed_accounts)
        if changes.accounts:
            new: list[Row] = []
            for row in changes.accounts:
                change = changed.pop(row[2], None)
                *place, parent, root, policy, version, created_at = row
                if change is not None and change.policy is not None:
                    policy, version = change.policy, change.version
                if change is not None and change.parent is not None:
                    parent = change.parent
                standing = standing_of(change)
                new.append((*place, parent, root, policy, version, created_at, *standing))
            await self._copy("accounts", c.ACCOUNTS, new)
        if changes.policies:
            await self._copy("account_policies", c.ACCOUNT_POLICIES, changes.policies)
        if changed:
            await self._update(
                "change_accounts",
                [
                    (
                        each.tenant,
                        account,
                        each.policy,
                        each.version,
                        each.closed_at,
                        each.reopened_at,
                        each.frozen_at,
                        each.profile_version,
                        each.parent,
                        each.placed_seq,
                    )
                    for account, each in changed.items()
                ],
            )
        for move in changes.moves:  # in order: each begins where the one before ends
            await self._one("insert_move", *move)

    async def _write_grants(self, changes: Changes) -> None:
        changed = dict(changes.changed_grants)
        await self._write_new_grants(changes, changed)
        for rollover in changes.rollovers:
            await self._one("set_rollover", *rollover)
        for restored in changes.restored:  # in order: one may stand in for another
            await self._one("restore_grant", *restored)
        if changed:
            await self._update(
                "change_grants",
                [
                    (
                        change.tenant,
                        number,
                        change.state,
                        *left_of(change),
                        change.settled_at or None,
                        change.cash_book or None,
                    )
                    for number, change in changed.items()
                ],
            )

    async def _write_new_grants(self, changes: Changes, changed: dict[int, c.GrantChange]) -> None:
        """Rows of what was issued; what happened to them since is taken out of `changed`."""
        if changes.grants:
            new: list[Row] = []
            for row in changes.grants:
                change = changed.pop(row[2], None) or c.GrantChange(row[0])
                place = c.GRANTS.index("cash_book")
                cash = change.cash_book or row[place]
                row = (*row[:place], cash, *row[place + 1 :])
                new.append((*row, change.state, *left_of(change), change.settled_at or None))
            await self._copy("grants", c.GRANTS, new)

    async def _write_holds(self, changes: Changes) -> None:
        changed = dict(changes.changed_holds)
        if changes.holds:
            new: list[Row] = []
            for row in changes.holds:
                change = changed.pop(row[2], None) or HoldChange(row[0])
                if change.expires_at is not None or change.again is not None:
                    row = moved_on(row, change)
                new.append((*row, *end_of(change), change.reserved, *captured_by(change)))
            await self._copy("holds", c.HOLDS, new)
        if changed:
            await self._update(
                "change_holds",
                [
                    (
                        each.tenant,
                        number,
                        *end_of(each),
                        each.expires_at,
                        array_of(each.reserved),
                        *captured_by(each),
                        each.amount,
                        *again_of(each),
                    )
                    for number, each in changed.items()
                ],
            )

    async def _write_recurring(self, changes: Changes) -> None:
        rows = changes.recurring
        new = [row.row() for number, row in rows.items() if number in changes.new_recurring]
        if new:
            await self._copy("recurring_grants", c.RECURRING_GRANTS, new)
        changed = [row for number, row in rows.items() if number not in changes.new_recurring]
        if changed:
            await self._update(
                "change_recurring",
                [
                    (
                        each.tenant, each.number, each.paused, each.version, each.terms,
                        each.next_terms, each.ends_at, each.next_at, each.period_start,
                        each.period_end,
                    )
                    for each in changed
                ],
            )  # fmt: skip
        if changes.recurring_issues:
            await self._copy("recurring_issues", c.RECURRING_ISSUES, changes.recurring_issues)

    async def _write_top_ups(self, changes: Changes) -> None:
        if changes.top_ups:
            await self._copy("top_ups", c.TOP_UPS, changes.top_ups)
        if changes.top_up_ends:
            await self._update("end_top_ups", list(changes.top_up_ends.values()))

    async def _write_statements(self, changes: Changes) -> None:
        if changes.statements_to_close:
            rows = [(*place, entry) for place, entry in changes.statements_to_close.items()]
            await self._copy("statements_to_close", c.STATEMENTS_TO_CLOSE, rows)
        for tenant, _, account, statement in changes.statements_closed:
            await self._one("close_statement", tenant, account, statement)

    async def _write_sharing(self, changes: Changes) -> None:
        if changes.sharings:
            await self._copy("grant_sharings", c.GRANT_SHARINGS, changes.sharings)
            rows = [(tenant, grant, shared) for grant, (tenant, shared) in changes.shared.items()]
            await self._update("share_grants", rows)

    async def _write_budgets(self, changes: Changes) -> None:
        if changes.budgets:
            await self._copy("budgets", c.BUDGETS, changes.budgets)
        if changes.budget_values:
            await self._copy("budget_values", c.BUDGET_VALUES, changes.budget_values)
        if changes.closed_budget_values:
            closed = [list(each) for each in zip(*changes.closed_budget_values, strict=True)]
            await self.connection.execute(_SQL["close_budget_values"], self.shard, *closed)
        if changes.budget_crossings:
            await self._copy("budget_crossings", c.BUDGET_CROSSINGS, changes.budget_crossings)
            first = min([entry_seq for _, _, entry_seq, *_ in changes.budget_crossings])
            await self.connection.execute(_SQL["name_crossed_values"], self.shard, first)
        if changes.budget_windows:
            rows = [
                (*place, Decimal(posted), Decimal(pending))
                for place, (posted, pending) in changes.budget_windows.items()
            ]
            await self._update("move_budget_windows", rows)

    async def _write_actors(self, changes: Changes) -> None:
        """Note who asked for entries; the accounts are written."""
        if changes.actors:
            columns = [list(column) for column in zip(*changes.actors, strict=True)]
            done = await self.connection.execute(_SQL["add_actors"], self.shard, *columns)
            self._expect("add_actors", done, len(changes.actors))

    async def _write_hours(self, changes: Changes) -> None:
        """Add to what usage drew by the hour."""
        if changes.usage_hours:
            rows = [
                (*place, Decimal(amount)) for place, amount in sorted(changes.usage_hours.items())
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            done = await self.connection.execute(_SQL["add_usage_hours"], self.shard, *columns)
            self._expect("add_usage_hours", done, len(rows))

    async def _write_lifetimes(self, changes: Changes, facts: Facts) -> None:
        """Note what changed lifetime values, and since when accounts owe; all else is written."""
        transfers, kinds = changes.transfers, facts.kinds
        unknown = looked_at(transfers, changes.drawn) - kinds.keys()
        if unknown:
            rows = await self.connection.fetch(_SQL["kinds_of"], self.shard, list(unknown))
            kinds.update({row[0]: BookFact(row[1], row[2]) for row in rows})
            self._complete("books", unknown, kinds)
        paid = payments(transfers, kinds, changes.drawn)
        if paid:
            columns = [list(column) for column in zip(*paid, strict=True)]
            done = await self.connection.execute(_SQL["add_lifetimes"], self.shard, *columns)
            self._expect("add_lifetimes", done, len(paid))
        moved = advances(transfers, kinds)
        if not moved:
            return
        rows = await self.connection.fetch(_SQL["debts_of"], self.shard, list(moved))
        before = {row[0]: (int(row[1]) - moved[row[0]], row[2]) for row in rows}
        self._complete("advances", set(moved), before)
        changed = [(*each, self.shard) for each in debts(transfers, kinds, before)]
        if changed:
            await self._copy("debts_since", c.DEBTS_SINCE, changed)

    # -- statements --------------------------------------------------------------------------------

    async def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        try:
            done = await self.connection.copy_records_to_table(table, records=rows, columns=columns)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self._damaged(f"{table}: {error}; {error.detail}") from error
        self._expect(table, done, len(rows))

    async def _one(self, block: str, *values: Any) -> None:
        """A statement that changes one row."""
        try:
            done = await self.connection.execute(_SQL[block], self.shard, *values)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self._damaged(f"{block}: {error}; {error.detail}") from error
        self._expect(block, done, 1)

    async def _update(self, block: str, rows: list[Row]) -> None:
        """One statement for all rows, handed over in columns."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        try:
            done = await self.connection.execute(_SQL[block], self.shard, *columns)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self._damaged(f"{block}: {error}; {error.detail}") from error
        self._expect(block, done, len(rows))

    def _expect(self, what: str, done: str, count: int) -> None:
        if int(done.rpartition(" ")[2]) != count:
            raise self._damaged(f"{what}: {done}, {count} rows were meant")

    def _damaged(self, what: str) -> ProjectionDamaged:
        return ProjectionDamaged(
            f"the read models of shard {self.shard} contradict the journal: {what}; "
            "run `drawdown rebuild`"
        )
