"""A database of its own that is migrated while something fails, and compared with a whole one."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from ledger.failpoints import VARIABLE
from tests.forks import start
from tests.patience import HANGS_S

SCHEMA = """
SELECT 'table', c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition
UNION ALL
SELECT 'function', p.oid::regprocedure::text, '', md5(p.prosrc)
FROM pg_proc p WHERE p.pronamespace = 'ledger'::regnamespace
UNION ALL
SELECT 'trigger', t.tgrelid::regclass::text, t.tgname::text, ''
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition AND NOT t.tgisinternal
UNION ALL
SELECT 'constraint', n.conrelid::regclass::text, n.conname::text, pg_get_constraintdef(n.oid)
FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition
UNION ALL
SELECT 'right', c.relname::text, '', coalesce(c.relacl::text, '')
FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND NOT c.relispartition
UNION ALL
SELECT 'migration', name, checksum, '' FROM ledger.migration
ORDER BY 1, 2, 3, 4
"""


@asynccontextmanager
async def new_database(dsn: str) -> AsyncIterator[str]:
    """An empty one beside that of `dsn`; gone afterwards."""
    name = f"migrated_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await admin.close()


async def schema_of(dsn: str) -> list[tuple[str, ...]]:
    """Everything that migrations make."""
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(record) for record in await connection.fetch(SCHEMA)]
    finally:
        await connection.close()


def migrate_command(dsn: str, failpoint: str = "") -> int:
    """`drawdown migrate`, as a process; its exit code."""
    variables = {"DATABASE_URL": dsn} | ({VARIABLE: failpoint} if failpoint else {})
    with tempfile.TemporaryFile() as said:
        return start(["migrate"], os.environ | variables, said, said).wait(HANGS_S)
