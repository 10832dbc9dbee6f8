"""What usage earned and cost, from the read models: by group, and by operation (rules B4, C12).

Reads figures that stand in the tables and adds them up, each asset by itself. Money of different
assets is never added, and what is not known is counted, not taken for zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ledger.journal.connection import Pool, borrow
from ledger.projections.sql import load

DEPTH_MAX: Final = 32  # of operations that cause others
OPERATIONS_MAX: Final = 1_000  # shown of one tree

_SQL: Final = load("earnings")


class GroupBy(IntEnum):
    """What usage is grouped by. Numbers are those of the contract and of the query."""

    PRODUCT = 1
    ACCOUNT = 2
    OPERATION = 3
    ATTRIBUTE = 4


class Figure(IntEnum):
    """What a sum is of. Numbers are those of the view `usage_figures`; 5 is of repaid advances."""

    BURNT = 1
    EARNED = 2
    COST = 3
    ADVANCED = 4
    REPAID = 5


class Earned:
    """Sums of some usage: each by what it is of and its asset, in minor units.

    `calls` are usage events, `unrated` those of which a quantity waits for its price, `unknown`
    those of which what the provider takes for a quantity is not known.
    """

    __slots__ = ("calls", "sums", "unknown", "unrated")

    def __init__(self, calls: int = 0, unrated: int = 0, unknown: int = 0) -> None:
        self.calls = calls
        self.unrated = unrated
        self.unknown = unknown
        self.sums: dict[tuple[Figure, int], int] = {}

    def add(self, other: Earned) -> None:
        """Count other usage in."""
        self.calls += other.calls
        self.unrated += other.unrated
        self.unknown += other.unknown
        for place, amount in other.sums.items():
            self.sums[place] = self.sums.get(place, 0) + amount

    def of(self, figure: Figure) -> dict[int, int]:
        """The sums of one kind by asset, in the order of assets."""
        found = {asset: amount for (kind, asset), amount in self.sums.items() if kind == figure}
        return dict(sorted(found.items()))

    @property
    def money(self) -> list[int]:
        """The assets that anything was earned or cost in."""
        kinds = (Figure.EARNED, Figure.COST, Figure.REPAID)
        return sorted({asset for kind, asset in self.sums if kind in kinds})


class Operation(NamedTuple):
    """An operation of a tree: its digest, that of what caused it there, its name if it is known."""

    key: bytes
    parent: bytes | None
    depth: int
    name: str | None
    own: Earned
    total: Earned


class OperationTree(NamedTuple):
    """An operation first, then those below it, nearest first; what caused it: (digest, name)."""

    operations: list[Operation]
    parents: list[tuple[bytes, str | None]]
    more: bool
    entries: dict[int, int]  # by shard, that the answer rests on


class Earnings:
    """Reports on the read models in PostgreSQL. Methods raise JournalUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def margin(
        self,
        tenant: int,
        account: int | None,
        subtree: bool,
        start: int,
        end: int,
        by: GroupBy,
        attribute: str,
        after: int,
        rows: int,
    ) -> tuple[list[tuple[str | None, Earned]], dict[int, int]]:
        """Groups of usage effective in [start, end), by name, from the `after`th on; and what
        each shard stood at. None is the group of usage that names none."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            reached = await connection.fetch(_SQL["reached"])
            found = await connection.fetch(
                _SQL["margin"], tenant, account, subtree, start, end, int(by), attribute, after,
                rows,
            )  # fmt: skip
        groups = [(name[1:] if name else None, earned) for name, earned in _summed(found).items()]
        return groups, {row[0]: row[1] for row in reached}

    async def overage(
        self, tenant: int, payer: int, start: int, end: int, after: int, rows: int
    ) -> tuple[list[tuple[int, int, int]], dict[int, int]]:
        """(account, asset, amount) of what usage effective in [start, end) has put on a payer's
        overage, by the account that used, from the `after`th row on; and what each shard stood at
        (rules D4, H8)."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            reached = await connection.fetch(_SQL["reached"])
            found = await connection.fetch(_SQL["overage"], tenant, payer, start, end, after, rows)
        return [(row[0], row[1], int(row[2])) for row in found], {row[0]: row[1] for row in reached}

    async def operation(self, tenant: int, key: bytes) -> OperationTree:
        """An operation with what it caused and what caused it; empty where nobody knows it."""
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            reached = await connection.fetch(_SQL["reached"])
            rows = await connection.fetch(
                _SQL["operations"], tenant, key, DEPTH_MAX, OPERATIONS_MAX + 1
            )
            parents = await connection.fetch(_SQL["parents"], tenant, key)
            keys = [row[0] for row in rows]
            figures = await connection.fetch(_SQL["of_operations"], tenant, keys)
        operations = _rolled_up(rows[:OPERATIONS_MAX], rows, _summed(figures))
        entries = {row[0]: row[1] for row in reached}
        caused = [(row[0], row[1]) for row in parents]
        return OperationTree(operations, caused, len(rows) > OPERATIONS_MAX, entries)


def _summed(rows: Iterable[Sequence[Any]]) -> dict[Any, Earned]:
    """Sums by group, in the order of the rows."""
    groups: dict[Any, Earned] = {}
    for group, calls, unrated, unknown, kind, asset, amount in rows:
        earned = groups.get(group)
        if earned is None:
            earned = groups[group] = Earned(int(calls), int(unrated), int(unknown))
        if kind is not None:
            earned.sums[Figure(kind), asset] = int(amount)
    return groups


def _rolled_up(
    shown: Sequence[Sequence[Any]], rows: Sequence[Sequence[Any]], owns: dict[bytes, Earned]
) -> list[Operation]:
    """Each operation with its own sums and those of all below it, which are counted once: the
    deepest are added first."""
    totals: dict[bytes, Earned] = {}
    for key, _, _, _ in rows:
        total = totals[key] = Earned()
        total.add(owns.get(key, Earned()))
    for key, parent, _, _ in reversed(rows):
        if parent in totals:
            totals[parent].add(totals[key])
    return [
        Operation(key, parent, depth, name, owns.get(key, Earned()), totals[key])
        for key, parent, depth, name in shown
    ]
