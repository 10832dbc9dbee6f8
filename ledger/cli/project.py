"""`drawdown project`: keep the SQL read models up, apart from the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import click

from ledger.cli.database import database, database_options, describe, with_patience
from ledger.cli.output import say
from ledger.cli.sealing import input_ends
from ledger.core.limits import SECOND_US
from ledger.niceness import stand_back

NICENESS_BESIDE_A_SERVER = 10
"""On a machine that both fill, decisions come first: read models lag, then catch up."""


@click.command(short_help="Keep the SQL read models up; `serve` does it by itself.")
@click.option(
    "--until-input-ends",
    is_flag=True,
    help="End when standard input closes: for a parent that may be killed.",
)
@database_options
def project(until_input_ends: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Tail the journal into the SQL read models until Ctrl-C or SIGTERM.

    `drawdown serve` runs one of these beside it; run it yourself where the server has
    --no-projector. Several share the shards among them.
    """
    import uvloop

    from ledger.journal.migrate import read_settings
    from ledger.projections.projector import run_projector
    from ledger.settings import ProjectorSettings, load_settings

    if until_input_ends:
        stand_back(NICENESS_BESIDE_A_SERVER)
    settings = load_settings(ProjectorSettings, database_url=database_url, data_dir=data_dir)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s projector %(message)s"
    )

    async def run(dsn: str) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        watching = asyncio.create_task(input_ends(stop)) if until_input_ends else None
        await with_patience(settings, lambda: read_settings(dsn))
        if not until_input_ends:
            say(f"projecting {describe(settings.database_url)}; Ctrl-C stops it")
        try:
            await run_projector(
                dsn,
                by=f"{socket.gethostname()}/{os.getpid()}",
                stop=stop,
                lag_max_us=settings.projection_lag_s * SECOND_US,
            )
        finally:
            if watching is not None:
                watching.cancel()

    with (
        database(settings) as books,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(books.dsn))
