"""`drawdown migrate`: bring the schema up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ledger.cli.database import database, database_options, describe, with_patience
from ledger.cli.output import json_option, print_json, say


@click.command()
@click.option(
    "--shards",
    type=click.IntRange(1, 1_024),
    help="How many shards the ledger has, for ever: only the first migrate may choose. Default: 4. "
    " [env: DRAWDOWN_SHARDS]",
)
@database_options
@json_option
def migrate(
    shards: int | None, database_url: str | None, data_dir: Path | None, as_json: bool
) -> None:
    """Create the schema, or bring it up to date. Safe to run again, and by several at once."""
    from ledger.journal.migrate import migrate as apply
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(
        DatabaseSettings, database_url=database_url, data_dir=data_dir, shards=shards
    )
    with database(settings, create=True) as books:
        done = asyncio.run(
            with_patience(
                settings,
                lambda: apply(
                    books.dsn, settings.shards, progress=lambda name: say(f"applying {name}")
                ),
            )
        )
    if as_json:
        print_json({"applied": list(done.applied), "shards": done.settings.shards})
        return
    what = f"{len(done.applied)} migrations applied" if done.applied else "nothing to do"
    click.echo(f"{describe(settings.database_url)}: {what}; {done.settings.shards} shards")
