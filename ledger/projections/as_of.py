"""What an account's books said, as of one instant as known at another (rule T5).

What is read costs, for each book of the account, the transfers since its last snapshot (at most
512 and those of one batch), and those that were on their way at the instant: effective by then,
recorded later. Everything else is found by index. Must not judge: `past` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from ledger.core.events import OF_A_GRANT
from ledger.core.limits import FUTURE_TOLERANCE_US, INT64_MAX, PERIOD_GRACE_MAX_US
from ledger.journal.connection import Connection, Pool, borrow
from ledger.projections.past import (
    NO_COUNTERS,
    NO_OVERDRAFT,
    NOTHING,
    Counters,
    DebtRow,
    GrantRow,
    Leg,
    Overdraft,
    Past,
    Point,
    overdraft_of,
    past_of,
)
from ledger.projections.snapshots import EVERY
from ledger.projections.sql import load

POLL_S: Final = 0.02

_SQL: Final = load("as_of")


class Standing(NamedTuple):
    """How far a shard's read models are: `entries` projected, all that was recorded until then, by
    the clock of the tenant (rule T4)."""

    entries: int
    recorded_at: int


class BookRow(NamedTuple):
    """What a book account is; `account` is that of the grant `owner`."""

    kind: int
    owner: int
    name: str
    account: int


class AdjustmentRow(NamedTuple):
    """An entry that counts in a period, see the query."""

    kind: int  # 1 = usage, 2 = a reversal, 3 = by hand
    entry_seq: int
    account: int
    closed: int | None  # first instant of the period that it belongs to; None = to this one
    recorded_at: int
    effective_at: int
    asset: int
    charged: int
    source: str | None
    event_id: str | None
    original_entry: int | None
    grant: int | None
    actor: str | None  # who was proven to have asked for it


class WaitingRow(NamedTuple):
    """A usage event of which something waits for a price; lists stand parallel to its plan."""

    shard: int
    entry_seq: int
    account: int
    source: str | None
    event_id: str | None
    product: str
    attributes: dict[str, str]
    effective_at: int
    recorded_at: int
    quantity_names: list[str]
    quantities: list[int]
    reasons: list[str | None]  # None = it does not wait


class History:
    """Looks back, on the read models in PostgreSQL. Methods raise JournalUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self.pool = self._pool = pool
        self._stood: dict[int, tuple[int, float]] = {}  # shard: (entries, since when)

    def stood_s(self, shard: int, standing: Standing) -> float:
        """For how long a shard was seen to stand there, in seconds; told of one that is behind."""
        now_s = asyncio.get_running_loop().time()
        entries, since_s = self._stood.get(shard, (-1, now_s))
        if entries != standing.entries:
            since_s = now_s
            self._stood[shard] = standing.entries, now_s
        return now_s - since_s

    async def standing(self, tenant: int, shard: int) -> Standing:
        """How far the read models are now."""
        async with borrow(self._pool) as connection:
            return await standing_of(connection, tenant, shard)

    async def reach(self, tenant: int, shard: int, entries: int, timeout_s: float) -> Standing:
        """The same once they have come so far, or as far as they are when the time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        while True:
            found = await self.standing(tenant, shard)
            if found.entries >= entries or loop.time() >= until:
                return found
            await asyncio.sleep(POLL_S)

    async def usage_of_family(
        self, tenant: int, shard: int, root: int, names: Sequence[tuple[str, str]]
    ) -> list[int | None]:
        """The newest entry of usage in a family by each (source, id), however old; None = none.

        A source of "" is a capture's, whose id is its request's.
        """
        sources, ids = [name[0] for name in names], [name[1] for name in names]
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(
                _SQL["usage_of_family"], tenant, shard, root, sources, ids
            )
        return [row[0] for row in rows]

    async def hold_entry(self, tenant: int, shard: int, number: int) -> int | None:
        """The entry that made a hold; None = the shard has no such hold of the tenant."""
        async with borrow(self._pool) as connection:
            found: int | None = await connection.fetchval(_SQL["hold_entry"], tenant, shard, number)
        return found

    async def adjustments(
        self,
        tenant: int,
        shard: int,
        periods: Sequence[tuple[int, int, int]],
        beyond: tuple[int, int],
        rows: int,
    ) -> tuple[list[AdjustmentRow], Standing]:
        """What of closed periods, of corrections and by hand counts in the periods (account, start,
        end) of accounts (rule T2), in recorded order after `beyond` (entry, when it was recorded),
        with where it stands."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            standing = await standing_of(connection, tenant, shard)
            found = await connection.fetch(
                _SQL["adjustments"],
                tenant,
                shard,
                *map(list, zip(*periods, strict=True)),
                *beyond,
                PERIOD_GRACE_MAX_US,
                rows,
                FUTURE_TOLERANCE_US,
            )
        return [AdjustmentRow(*row) for row in found], standing

    async def waiting(
        self,
        tenant: int,
        account: int,
        product: str,
        reason: str,
        after: tuple[int, int, int],
        rows: int,
    ) -> tuple[list[WaitingRow], dict[int, int]]:
        """Usage that waits for a price, in recorded order after `after` (recorded at, shard,
        entry), with the entries of each shard that the answer rests on. Of an account and those
        below it (0 = of all), of a product, for a reason ("" = any)."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            reached = await connection.fetch(_SQL["reached"])
            found = await connection.fetch(
                _SQL["waiting"], tenant, account, product, reason, *after, rows
            )
        decode = msgspec.json.decode
        return (
            [WaitingRow._make((*row[:6], decode(row[6]), *row[7:])) for row in map(tuple, found)],
            {row[0]: row[1] for row in reached if row[1]},
        )

    @asynccontextmanager
    async def look(self, tenant: int, shard: int, account: int) -> AsyncIterator[Look]:
        """Look at one account; what is asked within is of one snapshot of the database."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(_SQL["session"])
            standing = await standing_of(connection, tenant, shard)
            yield Look(connection, tenant, shard, account, standing)


class Look:
    """See History.look."""

    def __init__(
        self, connection: Connection, tenant: int, shard: int, account: int, standing: Standing
    ) -> None:
        self.standing = standing
        self._connection = connection
        self._tenant = tenant
        self._shard = shard
        self._account = account

    async def knows(self, grant: int) -> bool:
        """Whether the account was ever issued that grant, as far as the read models are."""
        rows = await self._connection.fetch(
            _SQL["grants"], self._tenant, self._account, INT64_MAX, grant, self._shard, INT64_MAX
        )
        return bool(rows)

    async def past(self, points: Sequence[Point], grant: int = 0) -> list[Past]:
        """The account's books at some points; of one grant alone where `grant` is not 0."""
        fetch = self._connection.fetch
        debts = []
        if not grant:
            rows = await fetch(_SQL["debts"], self._tenant, self._shard, self._account)
            debts = [DebtRow(*row) for row in rows]
        lines = [await self._grants(point, grant) for point in points]
        every = {row.number: row for line in lines for row in line}
        found = []
        for point, line in zip(points, lines, strict=True):
            numbers = {row.number for row in line}
            beyond = [row for number, row in every.items() if number not in numbers]
            found.append(await self._past(point, line, debts, grant, beyond))
        return found

    async def _grants(self, point: Point, grant: int) -> list[GrantRow]:
        """What the account might draw by a point, under the parents that it had then."""
        rows = await self._connection.fetch(
            _SQL["grants"],
            self._tenant,
            self._account,
            point.known_at,
            grant,
            self._shard,
            point.settled_at,
        )
        return [GrantRow(*row) for row in rows]

    async def _past(
        self,
        point: Point,
        grants: list[GrantRow],
        debts: list[DebtRow],
        grant: int,
        beyond: list[GrantRow],
    ) -> Past:
        if point == NOTHING:
            return past_of(point, [], [], {}, {}, NO_OVERDRAFT)
        issued = [row.book for row in (*grants, *beyond) if row.issued_at <= point.known_at]
        books = [*issued, *(debt.book for debt in debts)]
        counters, returned = {}, {}
        if books:
            rows = await self._connection.fetch(
                _SQL["counters"], self._tenant, self._shard, books, *point, EVERY
            )
            counters = {row[0]: Counters(*map(int, tuple(row)[1:])) for row in rows}
            rows = await self._connection.fetch(
                _SQL["no_draws"], self._tenant, self._shard, issued, *point
            )
            returned = {row[0]: int(row[1]) for row in rows}
        overdraft = NO_OVERDRAFT if grant else await self._overdraft(point)
        return past_of(point, grants, debts, counters, returned, overdraft, beyond)

    async def _overdraft(self, point: Point) -> Overdraft:
        """The overdraft by the policy of then, with what its limit rested on."""
        place = (self._tenant, self._shard, self._account)
        fetchrow, at = self._connection.fetchrow, point.settled_at
        policy = await self._connection.fetchval(_SQL["policy"], *place, at)
        found = overdraft_of(policy)
        if not found.asset:
            return found
        value, since = await fetchrow(_SQL["rests_on"], *place, found.asset, at)
        return found._replace(lifetime=int(value or 0), since=since)

    async def legs(
        self,
        books: Sequence[int],
        before: Point,
        after: Point,
        beyond: tuple[int, int, int],
        rows: int,
    ) -> list[Leg]:
        """The next sides of transfers that one of two balances counts and the other does not.

        `beyond` is (entry, line, side) of the last one seen; (-1, 0, 0) = none yet.
        """
        since = min(before.settled_at, after.settled_at) + 1
        entry_seq, line, _ = beyond
        if entry_seq >= 0:
            since = await self._connection.fetchval(
                _SQL["recorded_at"], self._tenant, self._shard, entry_seq, line
            )
        found = await self._connection.fetch(
            _SQL["changes"],
            self._tenant,
            self._shard,
            books,
            *before,
            *after,
            *beyond,
            since,
            rows,
        )
        return [Leg(*row) for row in found]

    async def books(self, numbers: Iterable[int]) -> dict[int, BookRow]:
        """What these books are."""
        rows = await self._connection.fetch(
            _SQL["books"], self._tenant, self._shard, sorted(set(numbers)), sorted(OF_A_GRANT)
        )
        return {row[0]: BookRow(*tuple(row)[1:]) for row in rows}


async def standing_of(connection: Connection, tenant: int, shard: int) -> Standing:
    """How far the read models are, in the caller's transaction."""
    row = await connection.fetchrow(_SQL["standing"], tenant, shard)
    return Standing(*row) if row is not None else Standing(0, 0)


def books_of(past: Past) -> list[int]:
    """The books whose transfers make up what is available."""
    return [grant.row.book for grant in past.grants] + [
        row.book for row, counters in past.debts if row.kind == 2 and counters != NO_COUNTERS
    ]
