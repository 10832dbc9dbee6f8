"""`drawdown verify`: does everything that was recorded agree with itself?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.output import Failed, console, json_option, print_json, progress, say, table

if TYPE_CHECKING:
    from ledger.verify import Report

DIFFERENT: Final = 4  # the exit code


@click.command(short_help="Check hash chain, books and read models against the journal.")
@database_options
@json_option
def verify(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Re-derive everything from the journal and compare.

    \b
    Checks, shard by shard: gapless batches, every hash and the chain, debits = credits after
    every batch, each identity once, and the replayed state against the read models.
    Changes nothing and runs beside a server. Ends with 4 where anything differs.
    """
    from ledger.journal.migrate import read_settings
    from ledger.settings import DatabaseSettings, load_settings
    from ledger.verify import verify as check

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    with database(settings) as books, progress("entries") as watch:

        async def run() -> Report:
            await with_patience(settings, lambda: read_settings(books.dsn))
            return await check(
                books.dsn, lambda shard, done, total: watch(f"shard {shard}", done, total)
            )

        report = asyncio.run(run())
    if as_json:
        print_json(report.document())
    else:
        _print(report)
    if not report.ok:
        hidden = sum(shard.findings_not_listed for shard in report.shards)
        count = len(report.findings) + hidden
        raise Failed(
            f"verify: {count:,} differences",
            "the journal is the truth: where only read models differ, `drawdown rebuild` makes "
            "them anew; else restore a backup and keep this database for inquiry",
            exit_code=DIFFERENT,
        )


def _print(report: Report) -> None:
    figures = ("batches", "entries", "usage events", "in read models")
    shown = table("", "shard", *figures, "head hash", right=figures)
    for shard in report.shards:
        projected = "-" if shard.projected is None else f"{shard.projected:,}"
        counts = [f"{count:,}" for count in (shard.batches, shard.entries, shard.usage_events)]
        shown.add_row(str(shard.shard), *counts, projected, shard.head_hash[:16] or "-")
    console().print(shown)
    for each in report.findings:
        say(
            f"shard {each.shard}, batch {each.batch}: {each.what}: "
            f"expected {each.expected}, found {each.found}"
        )
    if report.ok:
        click.echo("verify: ok")
