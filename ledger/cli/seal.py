"""`drawdown seal`: sign what became durable, apart from the server."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click

from ledger.cli.database import database, database_options, describe, with_patience
from ledger.cli.output import Failed, say
from ledger.cli.sealing import input_ends, key_to_seal_with, seal_key_option
from ledger.niceness import stand_back

NICENESS_BESIDE_A_SERVER = 19
"""On a machine that writers fill, hashing waits for them; a seal comes seconds later."""


@click.command(short_help="Seal the journal; `serve` does it by itself.")
@click.option(
    "--until-input-ends",
    is_flag=True,
    help="End when standard input closes: for a parent that may be killed.",
)
@click.option(
    "--seal-every-s",
    type=click.IntRange(1, 3_600),
    help="Seconds between two seals of a shard that goes on.  [default: 10]",
)
@seal_key_option
@database_options
def seal(
    until_input_ends: bool,
    seal_every_s: int | None,
    seal_key: str | None,
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Sign the journal's head hashes and Merkle roots until Ctrl-C or SIGTERM, then once more.

    `drawdown serve` runs one of these beside it; run it yourself where the server has --no-sealer,
    for example as another user, so that the server cannot read the key. Two never disagree.
    """
    from ledger.integrity.key_files import read_key
    from ledger.integrity.sealer import run_sealer
    from ledger.journal.migrate import read_settings
    from ledger.settings import SealSettings, load_settings

    settings = load_settings(
        SealSettings,
        seal_every_s=seal_every_s,
        seal_key=seal_key,
        database_url=database_url,
        data_dir=data_dir,
    )
    if until_input_ends:
        stand_back(NICENESS_BESIDE_A_SERVER)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s sealer %(message)s"
    )
    with database(settings) as books:
        source = key_to_seal_with(settings)
        if source is None:
            raise Failed(
                "there is no key to seal with",
                "`drawdown seal-key create FILE` makes one; give it with --seal-key FILE",
                exit_code=2,
            )
        key = read_key(source)

        async def run() -> None:
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            watching = asyncio.create_task(input_ends(stop)) if until_input_ends else None
            await with_patience(settings, lambda: read_settings(books.dsn))
            if not until_input_ends:
                where = describe(settings.database_url)
                say(f"sealing {where} with key {key.key_id.hex()}; Ctrl-C stops it")
            try:
                await run_sealer(books.dsn, key, every_s=settings.seal_every_s, stop=stop)
            finally:
                if watching is not None:
                    watching.cancel()

        asyncio.run(run())
