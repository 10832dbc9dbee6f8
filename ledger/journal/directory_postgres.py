"""The account directory on PostgreSQL, for one process: a pool and a read-through cache.

Each change is one short transaction under a lock on the name, so that a name never means two
things. The cache is exact for changes made through this object; what other processes changed is
forgotten by `catch_up`, from the changes that the database notes down for a minute.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import msgspec

from ledger.failpoints import reached
from ledger.journal import directory as d
from ledger.journal import directory_changes as changes
from ledger.journal import directory_rules as rules
from ledger.journal.connection import Connection, Pool, borrow, open_pool
from ledger.journal.directory_cache import NameCache
from ledger.journal.directory_rows import (
    SQL,
    alias_ranges,
    entries_of,
    entry_of,
    to_entry,
    to_profile,
)


class PostgresDirectory:
    """See `directory.Directory`. Open with `await PostgresDirectory.open(dsn, shards)`."""

    def __init__(
        self,
        pool: Pool,
        shards: int,
        *,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        cache_names_max: int = d.CACHE_NAMES_MAX,
    ) -> None:
        """`shards` is the number fixed by the first migrate; `entropy(n)` gives n random bytes."""
        self.shards = shards
        self._pool = pool
        self._entropy = entropy
        self._cache = NameCache(cache_names_max)
        self._tenants: dict[int, d.TenantEntry] = {}
        self._version = -1  # of the directory, as far as changes were seen

    @classmethod
    async def open(cls, dsn: str, shards: int) -> PostgresDirectory:
        """Connect. Raises JournalUnavailable."""
        return cls(await open_pool(dsn, application_name="drawdown directory"), shards)

    async def close(self) -> None:
        """See `Directory.close`."""
        await self._pool.close()

    async def claim(
        self, tenant: int, account_id: str, parent_id: str | None
    ) -> d.Entry | d.Refused:
        """See `Directory.claim`."""
        if not d.is_valid_name(account_id):
            return rules.refused(d.Reason.ID_INVALID, account_id)
        async with borrow(self._pool) as connection:
            found = await entry_of(connection, tenant, account_id)
            if found is None:
                tenant_entry = await self._tenant(connection, tenant)
                if tenant_entry is None:
                    return rules.refused(d.Reason.TENANT_UNKNOWN, str(tenant))
                async with connection.transaction():
                    await connection.execute(SQL["lock_name"], tenant, account_id)
                    refusal = await self._insert(connection, tenant_entry, account_id, parent_id)
                if refusal is not None:
                    return refusal
                found = await entry_of(connection, tenant, account_id)
                assert found is not None, "a claimed account is there"
            if parent_id is not None or found.parent is not None:
                parent = parent_id and await entry_of(connection, tenant, parent_id)
                if not parent or parent.number != found.parent:
                    return rules.refused(d.Reason.PARENT_DIFFERS, account_id)
        self._cache.put(found)
        return found

    async def _insert(
        self, connection: Connection, tenant: d.TenantEntry, account_id: str, parent_id: str | None
    ) -> d.Refused | None:
        if await entry_of(connection, tenant.number, account_id) is not None:
            return None  # somebody was quicker
        if await connection.fetchval(SQL["is_alias"], tenant.number, account_id):
            return rules.refused(d.Reason.NAME_IS_ALIAS, account_id)
        if parent_id is None:
            shard = await connection.fetchval(SQL["placement"], tenant.number, account_id)
            if shard is None:
                shard = d.family_shard(tenant.name, account_id, self.shards)
            await connection.execute(
                SQL["insert_root"],
                tenant.number,
                account_id,
                await connection.fetchval(SQL["next_number"]),
                shard,
                self._entropy(d.FAMILY_KEY_BYTES),
            )
            return None
        parent = await entry_of(connection, tenant.number, parent_id)
        if parent is not None:  # keep its family from being erased meanwhile
            await connection.execute(SQL["share_family"], parent.root)
            parent = await entry_of(connection, tenant.number, parent_id)  # may be erased by now
        if parent is None:
            return rules.refused(d.Reason.PARENT_UNKNOWN, parent_id)
        await connection.execute(
            SQL["insert_child"],
            tenant.number,
            account_id,
            parent.number,
            parent.root,
            parent.shard,
        )
        return None

    async def confirm(self, number: int) -> None:
        """See `Directory.confirm`."""
        async with borrow(self._pool) as connection:
            reached("directory.confirm")
            await connection.execute(SQL["confirm"], number)
            record = await connection.fetchrow(SQL["by_number"], number)
        if record is not None and record["state"] == d.AccountState.CREATED:
            self._cache.put(to_entry(record))

    def cached(self, tenant: int, name: str, at_us: int) -> d.Entry | None:
        """See `Directory.cached`."""
        return self._cache.get(tenant, name, at_us)

    async def resolve(
        self, tenant: int, names: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], d.Entry]:
        """See `Directory.resolve`. Two queries a call, three where aliases are among the names."""
        wanted = {name for name, _ in names if d.is_valid_name(name)}
        forgettings = self._cache.forgettings
        async with borrow(self._pool) as connection:
            accounts = await entries_of(connection, tenant, wanted)
            ranges = await alias_ranges(connection, tenant, wanted - accounts.keys())
            targets = {found.account_id for every in ranges.values() for found in every}
            accounts |= await entries_of(connection, tenant, targets - accounts.keys())
        if forgettings == self._cache.forgettings:  # else it may have changed since it was read
            for entry in accounts.values():
                self._cache.put(entry)
            for alias, every in ranges.items():
                self._cache.put_alias(tenant, alias, every)
        resolved = {}
        for name, at_us in names:
            every = ranges.get(name, [])
            meant = rules.meaning(every, at_us) if name in ranges else name
            if meant is not None and meant in accounts:
                resolved[name, at_us] = rules.named_by(accounts[meant], every, at_us)
        return resolved

    async def get_account(
        self, tenant: int, account_id: str, *, erased: bool = False
    ) -> d.AccountProfile | d.Refused:
        """See `Directory.get_account`."""
        record = None
        if d.is_valid_name(account_id):
            async with borrow(self._pool) as connection:
                record = await connection.fetchrow(SQL["profile"], tenant, account_id, erased)
        if record is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        return to_profile(record)

    async def list_accounts(
        self, tenant: int, parent_id: str | None, page_size: int, page_token: str
    ) -> d.AccountPage | d.Refused:
        """See `Directory.list_accounts`."""
        page = rules.parse_page(page_size, page_token)
        if isinstance(page, d.Refused):
            return page
        limit, after = page
        async with borrow(self._pool) as connection:
            if parent_id is None:
                sql = SQL["list_all"]
                records = await connection.fetch(sql, tenant, after, limit + 1)
            else:
                parent = await entry_of(connection, tenant, parent_id)
                if parent is None:
                    return rules.refused(d.Reason.ACCOUNT_UNKNOWN, parent_id)
                sql = SQL["list_children"]
                records = await connection.fetch(sql, tenant, after, limit + 1, parent.number)
        return rules.make_page([to_profile(record) for record in records], limit)

    async def names(self, numbers: Sequence[int]) -> dict[int, str]:
        """See `Directory.names`."""
        async with borrow(self._pool) as connection:
            records = await connection.fetch(SQL["names"], list(numbers))
        return {record["number"]: record["account_id"] for record in records}

    async def update_profile(
        self,
        tenant: int,
        account_id: str,
        display_name: str | None,
        metadata: dict[str, str] | None,
        version: int,
    ) -> d.AccountProfile | d.Refused:
        """See `Directory.update_profile`."""
        packed = None if metadata is None else msgspec.json.encode(metadata).decode()
        if d.is_valid_name(account_id):
            async with borrow(self._pool) as connection:
                await connection.execute(
                    SQL["update_profile"], tenant, account_id, display_name, packed, version
                )
        return await self.get_account(tenant, account_id)

    async def place(self, profile: d.AccountProfile, parent: int, version: int) -> d.AccountProfile:
        """See `Directory.place`."""
        entry = profile.entry
        async with borrow(self._pool) as connection:
            await connection.execute(SQL["place"], entry.number, parent, version)
            record = await connection.fetchrow(SQL["profile"], entry.tenant, entry.account_id, True)
        return to_profile(record) if record is not None else profile

    async def assign_alias(
        self,
        tenant: int,
        alias: str,
        account_id: str,
        effective_from_us: int,
        effective_to_us: int | None = None,
        seat: tuple[str, str] | None = None,
    ) -> d.AliasRange | d.Refused:
        """See `Directory.assign_alias`."""
        named = seat or ("", "")
        wanted = d.AliasRange(alias, account_id, effective_from_us, effective_to_us, *named)
        async with borrow(self._pool) as connection:
            done = await changes.assign_alias(connection, tenant, wanted)
        self._cache.forget(tenant, alias)
        return done

    async def end_alias(
        self, tenant: int, alias: str, effective_to_us: int
    ) -> d.AliasRange | d.Refused:
        """See `Directory.end_alias`."""
        async with borrow(self._pool) as connection:
            done = await changes.end_alias(connection, tenant, alias, effective_to_us)
        self._cache.forget(tenant, alias)
        return done

    async def list_aliases(self, tenant: int, account_id: str) -> tuple[d.AliasRange, ...]:
        """See `Directory.list_aliases`."""
        if not d.is_valid_name(account_id):
            return ()
        async with borrow(self._pool) as connection:
            records = await connection.fetch(SQL["ranges_of_account"], tenant, account_id)
        return tuple(d.AliasRange(*record) for record in records)

    async def erase(self, tenant: int, account_id: str) -> d.Erasure | d.Refused:
        """See `Directory.erase`."""
        pseudonym = f"erased-{self._entropy(16).hex()}"
        async with borrow(self._pool) as connection:
            erased = await changes.erase(connection, tenant, account_id, pseudonym)
        if isinstance(erased, d.Refused):
            return erased
        erasure, names = erased
        self._cache.forget(tenant, *names)
        return erasure

    async def erasures_pending(self) -> tuple[d.Erasure, ...]:
        """See `Directory.erasures_pending`."""
        async with borrow(self._pool) as connection:
            records = await connection.fetch(SQL["erasures_pending"])
        return tuple(d.Erasure(*record) for record in records)

    async def erasure_done(self, number: int) -> None:
        """See `Directory.erasure_done`."""
        async with borrow(self._pool) as connection:
            await connection.execute(SQL["erasure_done"], number)

    async def tenant(self, name: str) -> d.TenantEntry | None:
        """See `Directory.tenant`."""
        known = {entry.name: entry for entry in self._tenants.values()}
        if name not in known:
            known = {entry.name: entry for entry in await self.list_tenants()}
        return known.get(name)

    async def add_tenant(self, name: str, kind: d.TenantKind) -> d.TenantEntry | d.Refused:
        """See `Directory.add_tenant`."""
        if not d.is_valid_name(name):
            return rules.refused(d.Reason.ID_INVALID, name)
        async with borrow(self._pool) as connection:
            await connection.execute(SQL["add_tenant"], name, int(kind))
        entry = await self.tenant(name)
        assert entry is not None, "an added tenant is there"
        return entry if entry.kind == kind else rules.refused(d.Reason.TENANT_EXISTS, name)

    async def list_tenants(self) -> tuple[d.TenantEntry, ...]:
        """See `Directory.list_tenants`."""
        async with borrow(self._pool) as connection:
            return tuple((await self._load_tenants(connection)).values())

    async def catch_up(self) -> d.Changed:
        """See `Directory.catch_up`."""
        async with borrow(self._pool) as connection:
            records = await connection.fetch(SQL["changes"], self._version)
        version = records[0]["version"]
        changes = [record for record in records if record["change"] is not None]
        missed = self._version < 0 or len(changes) != version - self._version
        self._version = version
        if missed:  # the first look, or so long ago that they are not kept any more
            self._cache.clear()
            return d.Changed(everything=True)
        names = [(each["tenant"], each["alias"]) for each in changes if each["alias"] is not None]
        erased = frozenset(each["account"] for each in changes if each["alias"] is None)
        for tenant, name in names:
            self._cache.forget(tenant, name)
        self._cache.forget_accounts(erased)
        return d.Changed(tuple(names), erased)

    async def _tenant(self, connection: Connection, number: int) -> d.TenantEntry | None:
        if number not in self._tenants:
            await self._load_tenants(connection)
        return self._tenants.get(number)

    async def _load_tenants(self, connection: Connection) -> dict[int, d.TenantEntry]:
        for record in await connection.fetch(SQL["tenants"]):
            number, name, kind = record
            self._tenants[number] = d.TenantEntry(number, name, d.TenantKind(kind))
        return self._tenants
