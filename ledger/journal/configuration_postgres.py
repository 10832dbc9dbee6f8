"""The configuration store on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg

from ledger.failpoints import reached
from ledger.journal.configuration import (
    PAGE_ENTRIES_MAX,
    PUBLICATION_MARGIN_US,
    SHARE_NAMES,
    ConfigurationEntry,
    ConfigurationKind,
    ConfigurationReason,
    ConfigurationRefused,
    check_latest,
    check_publication,
    name_taken,
    refused,
)
from ledger.journal.configuration import content_hash as hash_of
from ledger.journal.connection import Pool, borrow, open_pool
from ledger.journal.errors import JournalCorrupt
from ledger.journal.sql import load

_SQL: Final = load("configuration")

HASHED_AT_ONCE_BYTES: Final = 1 << 20  # x ~1 ns = 1 ms


class PostgresConfigurationStore:
    """See `ConfigurationStore`. Open with `await PostgresConfigurationStore.open(dsn)`."""

    def __init__(self, pool: Pool, *, margin_us: int = PUBLICATION_MARGIN_US) -> None:
        """`margin_us` is added to the publication where no effective time is asked for."""
        self._pool = pool
        self._margin_us = margin_us

    @classmethod
    async def open(
        cls, dsn: str, *, margin_us: int = PUBLICATION_MARGIN_US
    ) -> PostgresConfigurationStore:
        """Connect. Raises JournalUnavailable."""
        pool = await open_pool(dsn, application_name="drawdown configuration", size_max=2)
        return cls(pool, margin_us=margin_us)

    async def publish(
        self,
        tenant: int,
        kind: ConfigurationKind,
        name: str,
        body: bytes,
        effective_from_us: int | None = None,
        expected_version: int | None = None,
        offset_us: int = 0,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """See `ConfigurationStore.publish`."""
        refusal = check_publication(name, body)
        if refusal is not None:
            return refusal
        hashed = await _hash_of(body)
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["lock_tenant"], tenant)
            if not await connection.fetchval(_SQL["tenant_exists"], tenant):
                reason = ConfigurationReason.TENANT_UNKNOWN
                return refused(reason, str(tenant), f"no tenant {tenant}")
            record = await connection.fetchrow(_SQL["latest"], tenant, int(kind), name)
            latest = _to_entry(record) if record is not None else None
            known = check_latest(latest, name, hashed, effective_from_us, expected_version)
            if known is not None:
                return known
            other = SHARE_NAMES.get(kind)
            if other is not None and await connection.fetchrow(
                _SQL["latest"], tenant, int(other), name
            ):
                return name_taken(kind, name)
            await connection.execute(_SQL["insert_blob"], hashed, body)
            record = await connection.fetchrow(
                _SQL["insert"],
                tenant,
                int(kind),
                name,
                hashed,
                effective_from_us,
                self._margin_us,
                offset_us,
            )
            assert record is not None, "the insert returns its row"
            reached("configuration.commit")
            return _to_entry(record)

    async def read(
        self, tenant: int | None, after_version: int = 0
    ) -> tuple[ConfigurationEntry, ...]:
        """See `ConfigurationStore.read`."""
        async with borrow(self._pool) as connection:
            if tenant is None:
                records = await connection.fetch(_SQL["read_all"], after_version)
            else:
                records = await connection.fetch(
                    _SQL["read"], tenant, after_version, PAGE_ENTRIES_MAX
                )
        return tuple(_to_entry(record) for record in records)

    async def body(self, content_hash: bytes) -> bytes | None:
        """See `ConfigurationStore.body`. Raises JournalCorrupt where the blob is not its hash's."""
        async with borrow(self._pool) as connection:
            body: bytes | None = await connection.fetchval(_SQL["body"], content_hash)
        if body is not None and await _hash_of(body) != content_hash:
            raise JournalCorrupt(f"configuration blob {content_hash.hex()} has another hash")
        return body

    async def close(self) -> None:
        """See `ConfigurationStore.close`."""
        await self._pool.close()


async def _hash_of(body: bytes) -> bytes:
    """The hash of a body; of a large one without stopping the loop."""
    if len(body) < HASHED_AT_ONCE_BYTES:
        return hash_of(body)
    return await asyncio.to_thread(hash_of, body)


def _to_entry(record: asyncpg.Record) -> ConfigurationEntry:
    tenant, version, kind, name, hashed, published_at, effective_from = record
    return ConfigurationEntry(
        tenant,
        version,
        ConfigurationKind(kind),
        name,
        hashed,
        published_at,
        effective_from,
    )
