"""`drawdown demo`: a real AI workload, metered, charged and gated, on a ledger of its own."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.cli.output import Failed, json_option, print_json


@click.command(short_help="Watch a real AI workload metered, charged and gated.")
@click.option(
    "--seconds",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Play the hour of the traces in so long.",
)
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=0,
    help="Only so many requests of each.  [default: all]",
)
@click.option(
    "--flat-out/--no-flat-out", default=True, help="Also send them once as fast as possible."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the books here.  [default: a temporary directory]",
)
@click.option("--database-url", help="Use this PostgreSQL instead of one of our own.")
@json_option
def demo(
    seconds: int,
    rows: int,
    flat_out: bool,
    data_dir: Path | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Start a ledger of its own and stream 40,216 real requests to AI models through it.

    Prices come from the public map; a gateway asks before each request, is denied when credits run
    out, and allowed again after a top-up. Ends with balances, one event explained, and `verify`.
    Leaves nothing behind. Ends with 1 where anything does not add up.
    """
    from ledger.demo.demo import DemoOptions, run_demo
    from ledger.demo.processes import DemoFailed

    options = DemoOptions(
        seconds=seconds,
        rows=rows,
        data_dir=data_dir,
        database_url=database_url,
        flat_out=flat_out,
    )
    try:
        report = run_demo(options, quiet=as_json)
    except DemoFailed as error:
        raise Failed(str(error)) from error
    if as_json:
        print_json(report.document())
    if not report.ok:
        raise Failed("the demo does not add up: see above")
