"""Changes to aliases and the erasure of an account, each one transaction on a given connection."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.journal import directory as d
from ledger.journal import directory_rules as rules
from ledger.journal.connection import Connection
from ledger.journal.directory_rows import SQL, alias_ranges, entry_of


async def assign_alias(
    connection: Connection, tenant: int, wanted: d.AliasRange
) -> d.AliasRange | d.Refused:
    """See `Directory.assign_alias`."""
    if not d.is_valid_name(wanted.alias):
        return rules.refused(d.Reason.ID_INVALID, wanted.alias)
    async with connection.transaction():
        await connection.execute(SQL["lock_name"], tenant, wanted.alias)
        account = await entry_of(connection, tenant, wanted.account_id)
        if account is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, wanted.account_id)
        ranges = (await alias_ranges(connection, tenant, (wanted.alias,))).get(wanted.alias, [])
        if wanted in ranges:
            return wanted
        is_account = await entry_of(connection, tenant, wanted.alias) is not None
        refusal = rules.check_alias(ranges, wanted, name_is_account=is_account)
        if refusal is not None:
            return refusal
        await connection.execute(SQL["share_family"], account.root)
        if await entry_of(connection, tenant, wanted.account_id) is None:  # erased meanwhile
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, wanted.account_id)
        await connection.execute(
            SQL["insert_alias"],
            tenant,
            wanted.alias,
            wanted.effective_from_us,
            wanted.effective_to_us,
            account.number,
            wanted.seat_attribute,
            wanted.seat,
        )
    return wanted


async def end_alias(
    connection: Connection, tenant: int, alias: str, effective_to_us: int
) -> d.AliasRange | d.Refused:
    """See `Directory.end_alias`."""
    if not d.is_valid_name(alias):
        return rules.refused(d.Reason.ALIAS_UNKNOWN, alias)
    async with connection.transaction():
        await connection.execute(SQL["lock_name"], tenant, alias)
        ranges = (await alias_ranges(connection, tenant, (alias,))).get(alias, [])
        found = rules.to_end(ranges, effective_to_us)
        if found is None:
            return rules.refused(d.Reason.ALIAS_UNKNOWN, alias)
        await connection.execute(
            SQL["end_alias"], tenant, alias, found.effective_from_us, effective_to_us
        )
    return replace(found, effective_to_us=effective_to_us)


async def erase(
    connection: Connection, tenant: int, account_id: str, pseudonym: str
) -> tuple[d.Erasure, tuple[str, ...]] | d.Refused:
    """See `Directory.erase`; also returns the names that no longer mean anything."""
    async with connection.transaction():
        # The root first: two erasures in one family go one after the other, so that the last
        # account to go is seen to be the last.
        entry = await entry_of(connection, tenant, account_id)
        if entry is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        await connection.execute(SQL["lock_root"], entry.root)
        if await connection.fetchrow(SQL["lock_account"], tenant, account_id) is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        gone = await connection.fetch(SQL["delete_aliases"], tenant, entry.number)
        names = (account_id, *sorted({record["alias"] for record in gone}))
        await connection.execute(SQL["delete_parked"], tenant, list(names))
        await connection.execute(SQL["delete_placement"], tenant, account_id)
        await connection.execute(SQL["pseudonymise"], entry.number, pseudonym)
        family = await connection.fetchval(SQL["delete_family_key"], entry.root)
    return (
        d.Erasure(tenant, entry.number, entry.root, entry.shard, pseudonym, family is not None),
        names,
    )
