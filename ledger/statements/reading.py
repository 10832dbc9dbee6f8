"""The figures of a statement, out of the read models: of one snapshot of the database.

Costs the usage of its accounts since the period began, and what moved on their books since then:
what a book was is what it is less what moved. Must not judge which statements there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from ledger.core.events import StatementForm
from ledger.journal.connection import Connection, Pool, borrow
from ledger.projections.as_of import Standing
from ledger.projections.sql import load
from ledger.statements.figures import (
    BookKey,
    Gathering,
    Head,
    LineKey,
    LineKind,
    Statement,
    balance_of,
)
from ledger.statements.places import Closed, Place, Span

_SQL: Final = load("statements")
_STANDING: Final = load("as_of")["standing"]


class Ended(NamedTuple):
    """A statement of an account that has ended; what closed it is None until that is recorded."""

    statement: int
    form: int
    attribute: str
    start: int
    end: int
    ended_by: int  # the entry
    ended_at: int
    closed_by: int | None
    closed_at: int | None
    first: int | None
    last: int | None
    batch_seq: int | None
    head: bytes | None
    hash: bytes | None

    @property
    def consolidated(self) -> bool:
        """Whether it is also of the accounts below."""
        return self.form == StatementForm.CONSOLIDATED


class ToClose(NamedTuple):
    """A statement that has ended and is not closed, with the batch that ended it."""

    tenant: int
    shard: int
    account: int
    statement: int
    ended_by: int
    batch_seq: int
    head: bytes


class Reading:
    """One snapshot of the read models of an account's shard."""

    def __init__(
        self, connection: Connection, tenant: int, shard: int, account: int, standing: Standing
    ) -> None:
        self.standing = standing
        self._connection = connection
        self._tenant = tenant
        self._shard = shard
        self._account = account

    async def ended(self) -> list[Ended]:
        """The statements of the account that have ended, by number."""
        rows = await self._connection.fetch(
            _SQL["of_account"], self._tenant, self._shard, self._account
        )
        return [Ended(*row) for row in rows]

    async def draft(
        self,
        ended: Sequence[Ended],
        start: int,
        end: int,
        *,
        consolidated: bool,
        attribute: str,
    ) -> Statement:
        """What the statement of a period says by now; one that has ended, as it was set."""
        until = self.standing.entries
        before = ended[-1].ended_by if ended and ended[-1].end == start else until
        head = Head(
            self._tenant, self._shard, self._account, 0, consolidated, attribute, start, end, until
        )
        return await self.figures(head, before, ended if before != until else ())

    async def of(self, ended: Sequence[Ended], statement: int) -> Statement:
        """What a statement of the account says that has ended."""
        place = statement - 1
        each = ended[place]
        assert each.statement == statement, (statement, each)
        before = ended[place - 1].ended_by if place else each.ended_by
        head = Head(
            self._tenant,
            self._shard,
            self._account,
            statement,
            each.consolidated,
            each.attribute,
            each.start,
            each.end,
            each.ended_by,
        )
        return await self.figures(head, before, ended[:place])

    async def figures(self, head: Head, before: int, earlier: Sequence[Ended]) -> Statement:
        """The figures of a span of time of the account; what came late for `earlier` statements, in
        entries from `before` on, adjusts them."""
        span = Span(head.start, head.end, before, head.until)
        closed = [Closed(each.statement, each.start, each.end) for each in earlier]
        whole = head.consolidated and await self._is_root()
        gathering = Gathering(head, whole=whole)
        since = await self._connection.fetchval(
            _SQL["first_since"], self._tenant, self._shard, head.start
        )
        place = (self._tenant, self._shard, self._account, head.consolidated)
        bounds = (since, span.until, head.attribute, span.start, span.end, span.before)
        numbers = [list(column) for column in zip(*closed, strict=True)] or [[], [], []]
        for row in await self._connection.fetch(_SQL["used"], *place, *bounds, *numbers):
            account, product, value, adjusts, events, reversals, name, quantity = row
            key = LineKey(account, LineKind.USAGE, product, value, adjusts)
            gathering.used(key, int(events), int(reversals), {name: int(quantity)})
        for row in await self._connection.fetch(_SQL["paid"], *place, *bounds, *numbers):
            account, kind, product, value, adjusts, *payer, amount = row
            line = LineKey(account, kind, product, value, adjusts)
            gathering.paid(line, BookKey(*payer), int(amount))
        await self._books(gathering, place, span)
        return gathering.finish()

    async def _books(
        self, gathering: Gathering, place: tuple[int, int, int, bool], span: Span
    ) -> None:
        """What the books are, and what moved: the rest is what they were."""
        rows = await self._connection.fetch(_SQL["books"], *place, span.until)
        keys = {row[0]: BookKey(*row[:5]) for row in rows}
        stands = {row[0]: [int(each) for each in row[5:]] for row in rows}
        was = {book: list(counters) for book, counters in stands.items()}
        moves = await self._connection.fetch(
            _SQL["moves"], self._tenant, self._shard, sorted(keys), *span
        )
        for book, other, where, *moved in moves:
            debits, credits, held = map(int, moved)
            if where == Place.BEFORE:
                continue
            for counters in (was[book], *((stands[book],) if where == Place.AFTER else ())):
                counters[0] -= debits
                counters[1] -= credits
                counters[2] -= held
            if where != Place.AFTER:
                gathering.moved(keys[book], other, where == Place.ADJUSTS, debits, credits)
                gathering.held(keys[book], held)
        for book, key in keys.items():
            debits, credits, held = was[book]
            gathering.stood(key, balance_of(key.kind, debits, credits), held)
            debits, credits, held = stands[book]
            gathering.stands(key, balance_of(key.kind, debits, credits), held)

    async def _is_root(self) -> bool:
        found = await self._connection.fetchval(
            _SQL["is_root"], self._tenant, self._shard, self._account
        )
        return bool(found)


@asynccontextmanager
async def read(pool: Pool, tenant: int, shard: int, account: int) -> AsyncIterator[Reading]:
    """Read statements of one account; what is asked for within is of one snapshot. Raises
    JournalUnavailable."""
    async with (
        borrow(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(_SQL["session"])
        row = await connection.fetchrow(_STANDING, tenant, shard)
        standing = Standing(*row) if row is not None else Standing(0, 0)
        yield Reading(connection, tenant, shard, account, standing)


async def to_close(
    pool: Pool, shards: Sequence[int], rows: int, account: int = 0, statement: int = 0
) -> list[ToClose]:
    """Statements of these shards that have ended and are not closed, the oldest first; one of an
    account alone where it is named. Raises JournalUnavailable."""
    async with borrow(pool) as connection:
        found = await connection.fetch(_SQL["to_close"], list(shards), rows, account, statement)
    return [ToClose(*row) for row in found]
