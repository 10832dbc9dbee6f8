"""`drawdown export`: the books for hledger, beancount, a spreadsheet or a data warehouse."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, json_option, print_json, progress, say

FORMATS: Final = ("hledger", "beancount", "csv", "parquet")
BOOKS: Final = ("units", "money", "all")
TIMES: Final = ("effective", "recorded")
WAIT_S: Final = 10


@click.command(short_help="Write the books for hledger, beancount, CSV or Parquet.")
@click.option(
    "--format", "format_name", type=click.Choice(FORMATS), required=True, help="What to write."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Where: a directory, made for it; or one file, where it ends in .journal, .beancount, "
    ".csv or .parquet.",
)
@click.option("--tenant", default="default", show_default=True, help="Whose books.")
@click.option(
    "--books",
    "books_name",
    type=click.Choice(BOOKS),
    default="all",
    show_default=True,
    help="Units, the general ledger in money, or both, apart.",
)
@click.option(
    "--from", "from_us", type=Instant(), help="Begin here.  [default: the first transfer]"
)
@click.option(
    "--to", "to_us", type=Instant(), help="End before this.  [default: the last transfer]"
)
@click.option(
    "--time",
    "time_name",
    type=click.Choice(TIMES),
    default="effective",
    show_default=True,
    help="Which time counts: when it took effect, or when it was recorded.",
)
@click.option("--asset", "assets", multiple=True, help="Only this one, by code; repeat.")
@click.option("--account", help="Only this account and all below it, by id.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 86_400),
    default=WAIT_S,
    show_default=True,
    help="Seconds that read models behind the journal are waited for.",
)
@database_options
@json_option
def export(
    format_name: str,
    out: Path,
    tenant: str,
    books_name: str,
    from_us: int | None,
    to_us: int | None,
    time_name: str,
    assets: tuple[str, ...],
    account: str | None,
    force: bool,
    wait_s: int,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Write a tenant's books of a range of time, of one position a shard, with a manifest.

    \b
    drawdown export --format beancount --from 2026-11-01 --to 2026-12-01 --out november
    drawdown export --format hledger --books units --out units.journal
    drawdown export --format parquet --time recorded --out warehouse/2026-11-30

    Journals begin with opening balances, hold what was posted, and assert every account's balance
    before and after. Tables hold every phase, also holds. Changes nothing and runs beside a server.
    """
    from ledger.exports.chart import BookSet
    from ledger.exports.run import Exported, Format, check
    from ledger.exports.run import export as run_export
    from ledger.exports.source import ExportRefused, Selection
    from ledger.journal.migrate import read_settings
    from ledger.projections.tables import ProjectionDamaged
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    chosen = tuple(BookSet) if books_name == "all" else (BookSet(books_name),)
    selection = Selection(tenant, chosen, from_us, to_us, time_name == "recorded", assets, account)
    what = Format(format_name)
    try:
        check(selection, what, out, force=force)
        with database(settings) as books, progress("transfers") as watch:

            async def run() -> Exported:
                await with_patience(settings, lambda: read_settings(books.dsn))
                return await run_export(
                    books.dsn, selection, what, out, force=force, wait_s=wait_s, watch=watch
                )

            done = asyncio.run(run())
    except ExportRefused as refused:
        raise Failed(refused.message, refused.advice) from refused
    except ProjectionDamaged as damaged:
        raise Failed(str(damaged), "nothing was written") from damaged
    if done.behind:
        say(
            f"the read models were {done.behind:,} entries behind the journal: this export is of "
            "the positions in its manifest; --wait longer for a later one"
        )
    if as_json:
        print_json(done.manifest)
        return
    for file in done.manifest["files"]:
        click.echo(f"{file['name']}: {file['rows']:,} rows, {file['bytes']:,} bytes")
    click.echo(f"exported to {out}")
