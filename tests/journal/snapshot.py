"""Write `migrations/snapshot.sql`, after adding a migration: `python -m tests.journal.snapshot`.

The migrations are run on a throwaway PostgreSQL, and its own pg_dump says what they made.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Final

import asyncpg

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for, find_binaries, throwaway_root
from ledger.journal.migrate import load_migrations, migrate, migrations_directory
from ledger.journal.schema_snapshot import FILE, stands_for

HEAD: Final = """\
-- What the migrations make of an empty database. Never edited by hand: it is made by
-- `python -m tests.journal.snapshot`, and the digest is of the names and checksums of all of them.
{stands_for}

SET LOCAL check_function_bodies = false;
"""
KEPT_BY_MIGRATE: Final = ("ledger.migration", "ledger.settings")  # it writes their rows itself
_LEFT_OUT: Final = re.compile(r"^(--|\\|SET |SELECT pg_catalog\.set_config|CREATE SCHEMA ledger;)")
_GRANTED_BY_MIGRATE: Final = re.compile(r"^GRANT .* TO drawdown_app;\n+", re.MULTILINE)


def without_snapshot(folder: Path) -> Path:
    """A copy of the migrations, to be run one after the other."""
    files = Path(shutil.copytree(migrations_directory(), folder / "migrations"))
    (files / FILE).unlink(missing_ok=True)
    return files


def dump(server: EmbeddedPostgres, dsn: str, *options: str) -> str:
    """What pg_dump says of a database."""
    program = find_binaries(account_for(server.data_dir)) / "pg_dump"
    done = subprocess.run(
        [str(program), "--no-owner", *options, dsn], check=True, capture_output=True, text=True
    )
    return done.stdout


def statements(dumped: str) -> str:
    """Without comments, settings of the session, and blank lines beside each other."""
    kept = "\n".join(line for line in dumped.splitlines() if not _LEFT_OUT.match(line))
    return re.sub(r"\n{3,}", "\n\n", kept).strip() + "\n"


async def rows(dsn: str) -> str:
    """The rows that migrations inserted, without what is made anew by default."""
    connection = await asyncpg.connect(dsn)
    found: list[str] = []
    try:
        for table in await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace IN ('ledger'::regnamespace, 'projection'::regnamespace) ORDER BY 1"
        ):
            name = table["name"]
            if name in KEPT_BY_MIGRATE:
                continue
            columns = await connection.fetch(
                "SELECT attname FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid "
                "AND adnum = attnum WHERE attrelid = $1::text::regclass AND attnum > 0 "
                "AND NOT attisdropped AND attidentity = '' AND attgenerated = '' "
                "AND coalesce(pg_get_expr(adbin, adrelid), '') !~ '\\(' ORDER BY attnum",
                name,
            )
            names = ", ".join(column["attname"] for column in columns)
            quoted = ", ".join(f"quote_nullable({column['attname']})" for column in columns)
            for row in await connection.fetch(
                f"SELECT concat_ws(', ', {quoted}) AS values FROM {name}"
            ):
                found.append(f"INSERT INTO {name} ({names}) VALUES ({row['values']});")
    finally:
        await connection.close()
    return "\n".join(found) + "\n"


async def main() -> None:
    """Write the file."""
    folder = throwaway_root() / f"drawdown-snapshot-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data", sync_initdb=False)
    try:
        server.start()
        await migrate(server.dsn, directory=without_snapshot(folder))
        made = dump(server, server.dsn, "--schema-only", "--exclude-table=ledger.migration")
        schema = _GRANTED_BY_MIGRATE.sub("", statements(made))
        text = HEAD.format(stands_for=stands_for(load_migrations()))
        text += "\n" + schema + "\n" + await rows(server.dsn)
        (migrations_directory() / FILE).write_text(text, encoding="utf-8")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
