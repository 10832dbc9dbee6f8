"""`drawdown tenant`: the units of isolation, one a legal entity or sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.output import Failed, advice_of, console, json_option, print_json, table

if TYPE_CHECKING:
    from ledger.journal.directory import Directory, TenantEntry

T = TypeVar("T")


@click.group(short_help="List tenants and add some.")
def tenant() -> None:
    """List tenants and add some. A tenant is a legal entity, or a sandbox with its own clock."""


@tenant.command("list")
@database_options
@json_option
def list_(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """List all tenants."""
    tenants = _in_directory(database_url, data_dir, lambda directory: directory.list_tenants())
    if as_json:
        print_json([_document(entry) for entry in tenants])
        return
    shown = table("", "tenant", "kind", "number", right=("number",))
    for entry in tenants:
        shown.add_row(entry.name, entry.kind.name.lower(), str(entry.number))
    console().print(shown)


@tenant.command()
@click.argument("name")
@click.option("--sandbox", is_flag=True, help="For trying things out; has a clock of its own.")
@database_options
@json_option
def add(
    name: str, sandbox: bool, database_url: str | None, data_dir: Path | None, as_json: bool
) -> None:
    """Add the tenant NAME. The same again changes nothing."""
    from ledger.journal.directory import Refused, TenantKind

    kind = TenantKind.SANDBOX if sandbox else TenantKind.LIVE
    entry = _in_directory(
        database_url, data_dir, lambda directory: directory.add_tenant(name, kind)
    )
    if isinstance(entry, Refused):
        raise Failed(f"{entry.reason}: {entry.message}", advice_of(entry.reason))
    if as_json:
        print_json(_document(entry))
    else:
        click.echo(f"tenant {entry.name} ({entry.kind.name.lower()}, number {entry.number})")


def _in_directory(
    database_url: str | None, data_dir: Path | None, work: Callable[[Directory], Awaitable[T]]
) -> T:
    from ledger.journal.migrate import read_settings
    from ledger.journal.storage import PostgresStorage
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    with database(settings) as books:

        async def run() -> T:
            shards = (await with_patience(settings, lambda: read_settings(books.dsn))).shards
            storage = await PostgresStorage.open(books.dsn, shards)
            try:
                return await work(storage.directory)
            finally:
                await storage.close()

        return asyncio.run(run())


def _document(entry: TenantEntry) -> dict[str, object]:
    return {"name": entry.name, "kind": entry.kind.name.lower(), "number": entry.number}
