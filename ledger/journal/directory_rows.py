"""Rows of the directory's tables to values, and the look-ups that everything there shares."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import asyncpg
import msgspec

from ledger.journal import directory as d
from ledger.journal.connection import Connection
from ledger.journal.sql import load

SQL: Final = load("directory")
_metadata = msgspec.json.Decoder(dict[str, str])


def to_entry(record: asyncpg.Record) -> d.Entry:
    """The first eight columns of a row."""
    return d.Entry(
        record["tenant"],
        record["number"],
        record["account_id"],
        record["parent"],
        record["root"],
        record["shard"],
        record["family_key"],
        d.AccountState(record["state"]),
    )


def to_profile(record: asyncpg.Record) -> d.AccountProfile:
    """A row with its profile."""
    return d.AccountProfile(
        to_entry(record),
        record["parent_id"],
        record["display_name"],
        _metadata.decode(record["metadata"]),
        record["created_at_us"],
        record["profile_version"],
        record["erased_at_us"],
        record["place_version"],
    )


async def entries_of(
    connection: Connection, tenant: int, account_ids: Collection[str]
) -> dict[str, d.Entry]:
    """Those of these accounts that exist, by id."""
    if not account_ids:
        return {}
    records = await connection.fetch(SQL["by_names"], tenant, list(account_ids))
    return {record["account_id"]: to_entry(record) for record in records}


async def entry_of(connection: Connection, tenant: int, account_id: str) -> d.Entry | None:
    """One account by id."""
    if not d.is_valid_name(account_id):
        return None
    return (await entries_of(connection, tenant, (account_id,))).get(account_id)


async def alias_ranges(
    connection: Connection, tenant: int, aliases: Collection[str]
) -> dict[str, list[d.AliasRange]]:
    """All ranges of those of these names that are aliases."""
    ranges: dict[str, list[d.AliasRange]] = {}
    if aliases:
        for record in await connection.fetch(SQL["ranges_of_aliases"], tenant, list(aliases)):
            ranges.setdefault(record["alias"], []).append(d.AliasRange(*record))
    return ranges
