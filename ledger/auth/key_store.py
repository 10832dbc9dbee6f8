"""API keys in PostgreSQL, with who issued and revoked them; and the secrets that servers share.

Rows are only ever added. Accounts stand as numbers, so that an erasure has nothing to blank here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from ledger.auth.api_keys import NewKey, StoredKey
from ledger.auth.principal import ALL_TENANTS
from ledger.auth.shared_keys import SECRET_BYTES, SharedKey
from ledger.journal.connection import Pool, borrow
from ledger.journal.sql import load

_SQL: Final = load("access")


class ListedKey(Struct, frozen=True):
    """A key as people see it. Times in microseconds since 1970; 0 = never."""

    id: str
    tenant: str
    accounts: tuple[str, ...]
    scopes: tuple[str, ...]
    label: str
    issued_at_us: int
    issued_by: str
    expires_at_us: int
    revoked_at_us: int
    revoked_by: str


class AskedChange(Struct, frozen=True):
    """Who asked when for a change that stands in no journal entry."""

    asked_at_us: int
    actor: str
    method: str
    tenant: str
    account: str
    name: str


class PostgresKeyStore:
    """Methods raise JournalUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, key_id: str) -> StoredKey | None:
        """See KeyFinder."""
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(_SQL["find_key"], key_id)
        if row is None:
            return None
        return StoredKey(
            id=row["id"],
            digest=row["digest"],
            tenant=row["tenant"],
            accounts=tuple(row["accounts"]),
            scopes=tuple(row["scopes"]),
            expires_at_us=row["expires_at"],
            revoked=row["revoked"],
            missing=row["account_count"] > len(row["accounts"]),
        )

    async def issue(
        self,
        key: NewKey,
        tenant: int | None,
        accounts: Sequence[int],
        scopes: Sequence[str],
        label: str,
        issued_by: str,
        expires_at_us: int,
    ) -> None:
        """Write a new key down, as its digest. `tenant` None = all of them."""
        async with borrow(self._pool) as connection:
            await connection.execute(
                _SQL["issue_key"],
                key.id,
                key.digest,
                tenant,
                list(accounts),
                list(scopes),
                label,
                issued_by,
                expires_at_us,
            )

    async def list(self, tenant: str | None) -> list[ListedKey]:
        """Every key, newest first; of one tenant, or of all."""
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(_SQL["list_keys"], tenant)
        return [
            ListedKey(
                id=row["id"],
                tenant=row["tenant"],
                accounts=tuple(row["accounts"]),
                scopes=tuple(row["scopes"]),
                label=row["label"],
                issued_at_us=row["issued_at"],
                issued_by=row["issued_by"],
                expires_at_us=row["expires_at"],
                revoked_at_us=row["revoked_at"],
                revoked_by=row["revoked_by"],
            )
            for row in rows
        ]

    async def revoke(self, key_id: str, revoked_by: str) -> bool:
        """Revoke a key for ever; again changes nothing. False: there is no such key."""
        async with borrow(self._pool) as connection:
            await connection.execute(_SQL["revoke_key"], key_id, revoked_by)
            return bool(await connection.fetchval(_SQL["has_key"], key_id))

    async def note_token(
        self,
        token_id: str,
        key_id: str,
        subject: str,
        tenant: int | None,
        accounts: Sequence[int],
        scopes: Sequence[str],
        signed_by: str,
        expires_at_us: int,
    ) -> None:
        """Write down that a token was signed, before anybody gets it."""
        async with borrow(self._pool) as connection:
            await connection.execute(
                _SQL["note_token"],
                token_id,
                key_id,
                subject,
                tenant,
                list(accounts),
                list(scopes),
                signed_by,
                expires_at_us,
            )

    async def note_change(
        self, actor: str, method: str, tenant: int, account: int, name: str
    ) -> None:
        """Write down who asks for a change, before it is tried."""
        async with borrow(self._pool) as connection:
            await connection.execute(_SQL["note_change"], actor, method, tenant, account, name)

    async def changes(self, tenant: str | None, limit: int) -> Sequence[AskedChange]:
        """The newest changes that were asked for, of one tenant or of all."""
        async with borrow(self._pool) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(_SQL["changes"], tenant, limit)
        return [
            AskedChange(
                row["asked_at"],
                row["actor"],
                row["method"],
                row["tenant"],
                row["account"],
                row["name"],
            )
            for row in rows
        ]

    async def server_keys(self) -> Sequence[SharedKey]:
        """See ServerKeySource; the first is made by whoever asks first."""
        async with borrow(self._pool) as connection:
            await connection.execute(_SQL["make_secret"], secrets.token_bytes(SECRET_BYTES))
            rows: list[asyncpg.Record] = await connection.fetch(_SQL["server_keys"])
        return [SharedKey(row["secret"], row["before_until"]) for row in rows]

    async def add_server_key(self, made_by: str, lasts_us: int) -> int:
        """Seal with a new secret from now on; those before it count for so many microseconds more.
        Its number."""
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["lock_server_keys"])
            number: int = await connection.fetchval(
                _SQL["add_server_key"], secrets.token_bytes(SECRET_BYTES), made_by, lasts_us
            )
            return number

    async def gateway_keys(self) -> Sequence[SharedKey]:
        """See GatewayKeySource; the first is made by whoever asks first."""
        async with borrow(self._pool) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(_SQL["gateway_keys"])
            if not rows:
                first = secrets.token_bytes(SECRET_BYTES)
                async with connection.transaction():
                    await connection.execute(_SQL["lock_gateway_keys"])
                    await connection.execute(_SQL["first_gateway_key"], first)
                rows = await connection.fetch(_SQL["gateway_keys"])
        return [SharedKey(row["secret"], row["before_until"]) for row in rows]

    async def add_gateway_key(self, made_by: str, lasts_us: int) -> int:
        """Sign with a new key from now on; those before it count for so many microseconds more.
        Its number."""
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["lock_gateway_keys"])
            number: int = await connection.fetchval(
                _SQL["add_gateway_key"], secrets.token_bytes(SECRET_BYTES), made_by, lasts_us
            )
            return number


def tenant_name(tenant: str) -> str | None:
    """The name to look a tenant up by; None = all of them."""
    return None if tenant == ALL_TENANTS else tenant
