"""What an account and all that stood below it had at one point, each by itself (rules T5, B6).

From the read models, a handful of queries whatever the number of accounts. Must not sum or judge:
whoever asks adds up what `past` makes of each.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from ledger.journal.connection import Connection, Pool, borrow
from ledger.projections.past import (
    NO_OVERDRAFT,
    Counters,
    DebtRow,
    GrantRow,
    Overdraft,
    Past,
    Point,
    overdraft_of,
    past_of,
)
from ledger.projections.snapshots import EVERY
from ledger.projections.sql import load

_SQL: Final = load("rolled_up")
_AS_OF: Final = load("as_of")


async def roll_up(
    pool: Pool, tenant: int, shard: int, account: int, point: Point
) -> dict[int, Past]:
    """By account: what it had, of its own grants and debts. Raises JournalUnavailable."""
    async with (
        borrow(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        place = (tenant, shard)
        rows = await connection.fetch(_SQL["standing"], *place, account, point.settled_at)
        accounts = [row[0] for row in rows]
        grants: dict[int, list[GrantRow]] = defaultdict(list)
        for row in await connection.fetch(_SQL["grants"], *place, accounts, point.known_at):
            found = GrantRow(*row)
            grants[found.account].append(found)
        debts: dict[int, list[DebtRow]] = defaultdict(list)
        for owner, *debt in await connection.fetch(_SQL["debts"], *place, accounts):
            debts[owner].append(DebtRow(*debt))
        issued = [each.book for line in grants.values() for each in line]
        books = [*issued, *(each.book for line in debts.values() for each in line)]
        counters: dict[int, Counters] = {}
        returned: dict[int, int] = {}
        if books:
            rows = await connection.fetch(_AS_OF["counters"], *place, books, *point, EVERY)
            counters = {row[0]: Counters(*map(int, tuple(row)[1:])) for row in rows}
            rows = await connection.fetch(_AS_OF["no_draws"], *place, issued, *point)
            returned = {row[0]: int(row[1]) for row in rows}
        overdrafts = await _overdrafts(connection, tenant, shard, accounts, point)
        return {
            number: past_of(
                point,
                grants[number],
                debts[number],
                counters,
                returned,
                overdrafts.get(number, NO_OVERDRAFT),
            )
            for number in accounts
        }


async def _overdrafts(
    connection: Connection, tenant: int, shard: int, accounts: list[int], point: Point
) -> dict[int, Overdraft]:
    """The overdraft of each account by its policy of then, with what its limit rested on."""
    at = point.settled_at
    found = {}
    for number, policy in await connection.fetch(_SQL["policies"], tenant, shard, accounts, at):
        overdraft = overdraft_of(policy)
        if overdraft.asset and (overdraft.basis_points is not None or overdraft.grace >= 0):
            row = await connection.fetchrow(
                _AS_OF["rests_on"], tenant, shard, number, overdraft.asset, at
            )
            value, since = row if row is not None else (0, None)
            overdraft = overdraft._replace(lifetime=int(value or 0), since=since)
        found[number] = overdraft
    return found
