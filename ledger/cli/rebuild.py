"""`drawdown rebuild`: build the SQL read models anew from the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.output import json_option, print_json, progress


@click.command(short_help="Build the SQL read models anew from the journal.")
@database_options
@json_option
def rebuild(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Build the SQL read models anew beside those in use, then swap.

    Readers see no gap, and a server may go on meanwhile. Nothing of the journal changes.
    """
    from ledger.journal.migrate import read_settings
    from ledger.projections import rebuild as building
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    with database(settings) as books, progress("entries") as watch:

        async def run() -> building.Rebuilt:
            await with_patience(settings, lambda: read_settings(books.dsn))
            return await building.rebuild(
                books.dsn, lambda shard, done, total: watch(f"shard {shard}", done, total)
            )

        done = asyncio.run(run())
    if as_json:
        print_json({"entries": list(done.entries)})
    else:
        click.echo(f"read models rebuilt from {sum(done.entries):,} entries")
