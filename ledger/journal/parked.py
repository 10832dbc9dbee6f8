"""Usage for an account or alias that nobody knows yet (rule I2, `park_unknown`).

Keeps the caller's bytes until the name appears, then they are replayed like any other call and
deleted. Storage only: nothing here is an entry, and a parked event is not recorded usage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from ledger.journal.connection import Pool, borrow, open_pool
from ledger.journal.directory import is_valid_name
from ledger.journal.errors import JournalUnavailable
from ledger.journal.sql import load

LIST_DEFAULT: Final = 1_000
_SQL: Final = load("parked")


class ParkOutcome(IntEnum):
    """What became of an event that should be parked."""

    PARKED = 1
    REPLAYED = 2  # the same body waits already
    CONFLICT = 3  # another body waits under that identity; that one stays
    ID_INVALID = 4  # account, event id: 1 to 128 bytes of UTF-8 without NUL; source: 0 to 128
    TENANT_UNKNOWN = 5


class ParkedUsage(Struct, frozen=True):
    """One waiting event; `account_id` is the unknown id or alias, `body` the caller's bytes."""

    tenant: int
    account_id: str
    source: str
    event_id: str
    body: bytes
    parked_at_us: int


class ParkedStore(Protocol):
    """Waiting events. Methods raise JournalUnavailable when storage is away."""

    async def park(
        self, tenant: int, account_id: str, source: str, event_id: str, body: bytes
    ) -> ParkOutcome:
        """Keep one. Idempotent per (tenant, account_id, source, event_id)."""
        ...

    async def waiting(
        self, tenant: int, account_id: str, limit: int = LIST_DEFAULT
    ) -> tuple[ParkedUsage, ...]:
        """What waits for a name, oldest first."""
        ...

    async def names(
        self, tenant: int, limit: int = LIST_DEFAULT, *, after: str = ""
    ) -> dict[str, int]:
        """Names after `after` that are waited for, ordered by bytes, with how many events wait."""
        ...

    async def delete(self, tenant: int, account_id: str, keys: Sequence[tuple[str, str]]) -> None:
        """Forget these (source, event_id): they were replayed."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class PostgresParkedStore:
    """See `ParkedStore`. Open with `await PostgresParkedStore.open(dsn)`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, dsn: str) -> PostgresParkedStore:
        """Connect. Raises JournalUnavailable."""
        return cls(await open_pool(dsn, application_name="drawdown parked usage", size_max=2))

    async def park(
        self, tenant: int, account_id: str, source: str, event_id: str, body: bytes
    ) -> ParkOutcome:
        """See `ParkedStore.park`."""
        if not _are_valid(account_id, source, event_id):
            return ParkOutcome.ID_INVALID
        async with borrow(self._pool) as connection:
            key = (tenant, account_id, source, event_id)
            if not await connection.fetchval(_SQL["tenant_exists"], tenant):
                return ParkOutcome.TENANT_UNKNOWN
            if await connection.fetchval(_SQL["park"], *key, body) is not None:
                return ParkOutcome.PARKED
            kept = await connection.fetchval(_SQL["body"], *key)
        return ParkOutcome.REPLAYED if kept in (body, None) else ParkOutcome.CONFLICT

    async def waiting(
        self, tenant: int, account_id: str, limit: int = LIST_DEFAULT
    ) -> tuple[ParkedUsage, ...]:
        """See `ParkedStore.waiting`."""
        if not is_valid_name(account_id):
            return ()
        async with borrow(self._pool) as connection:
            records = await connection.fetch(_SQL["list"], tenant, account_id, limit)
        return tuple(ParkedUsage(*record) for record in records)

    async def names(
        self, tenant: int, limit: int = LIST_DEFAULT, *, after: str = ""
    ) -> dict[str, int]:
        """See `ParkedStore.names`."""
        async with borrow(self._pool) as connection:
            records = await connection.fetch(_SQL["names"], tenant, limit, after)
        return {record["account_id"]: record["events"] for record in records}

    async def delete(self, tenant: int, account_id: str, keys: Sequence[tuple[str, str]]) -> None:
        """See `ParkedStore.delete`."""
        async with borrow(self._pool) as connection:
            await connection.execute(
                _SQL["delete"],
                tenant,
                account_id,
                [source for source, _ in keys],
                [event_id for _, event_id in keys],
            )

    async def close(self) -> None:
        """See `ParkedStore.close`."""
        await self._pool.close()


class MemoryParkedStore:
    """See `ParkedStore`."""

    def __init__(
        self, *, clock: Callable[[], int] = lambda: 0, tenants: tuple[int, ...] = (1, 2)
    ) -> None:
        """`clock` gives microseconds UTC."""
        self.available = True
        self._clock = clock
        self._tenants = tenants
        self._kept: dict[tuple[int, str, str, str], ParkedUsage] = {}

    async def park(
        self, tenant: int, account_id: str, source: str, event_id: str, body: bytes
    ) -> ParkOutcome:
        """See `ParkedStore.park`."""
        self._reachable()
        if not _are_valid(account_id, source, event_id):
            return ParkOutcome.ID_INVALID
        if tenant not in self._tenants:
            return ParkOutcome.TENANT_UNKNOWN
        made = ParkedUsage(tenant, account_id, source, event_id, body, self._clock())
        kept = self._kept.setdefault((tenant, account_id, source, event_id), made)
        if kept is made:
            return ParkOutcome.PARKED
        return ParkOutcome.REPLAYED if kept.body == body else ParkOutcome.CONFLICT

    async def waiting(
        self, tenant: int, account_id: str, limit: int = LIST_DEFAULT
    ) -> tuple[ParkedUsage, ...]:
        """See `ParkedStore.waiting`."""
        self._reachable()
        found = [kept for key, kept in self._kept.items() if key[:2] == (tenant, account_id)]
        found.sort(key=lambda kept: (kept.parked_at_us, kept.source, kept.event_id))
        return tuple(found[:limit])

    async def names(
        self, tenant: int, limit: int = LIST_DEFAULT, *, after: str = ""
    ) -> dict[str, int]:
        """See `ParkedStore.names`."""
        self._reachable()
        counts: dict[str, int] = {}
        for of, account_id, _, _ in sorted(self._kept):
            if of == tenant and account_id > after:
                counts[account_id] = counts.get(account_id, 0) + 1
        return dict(list(counts.items())[:limit])

    async def delete(self, tenant: int, account_id: str, keys: Sequence[tuple[str, str]]) -> None:
        """See `ParkedStore.delete`."""
        self._reachable()
        for source, event_id in keys:
            self._kept.pop((tenant, account_id, source, event_id), None)

    async def close(self) -> None:
        """See `ParkedStore.close`."""

    def _reachable(self) -> None:
        if not self.available:
            raise JournalUnavailable("the parked usage is away")


def _are_valid(account_id: str, source: str, event_id: str) -> bool:
    return (
        is_valid_name(account_id)
        and is_valid_name(event_id)
        and (not source or is_valid_name(source))
    )
