"""A process that replays some shards: `python -m ledger.backtest.worker`, a Job on standard input.

So a replay keeps no server's loop busy, and shards use as many cores as there are. Ends when its
input closes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from typing import Final

import msgspec

from ledger.backtest.figures import Figures
from ledger.backtest.job import Job, Said
from ledger.backtest.shard import replay_shard
from ledger.engine.configuration import ConfigurationMissing, Configurations
from ledger.journal.configuration_postgres import PostgresConfigurationStore
from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, connect, describe, open_pool
from ledger.journal.errors import JournalCorrupt, JournalUnavailable

SAY_EVERY_NS: Final = 200_000_000
GC_THRESHOLDS: Final = (100_000, 50, 100)  # entries hold no cycles


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


class _Progress:
    def __init__(self) -> None:
        self._next_ns = 0

    def __call__(self, shard: int, done: int, total: int) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_ns or done == total:
            self._next_ns = now_ns + SAY_EVERY_NS
            _say(Said(shard, done, total))


async def work(job: Job) -> Figures:
    """Replay the job's shards one after the other. Raises JournalUnavailable, JournalCorrupt."""
    progress = _Progress()
    figures = Figures()
    pool = await open_pool(job.dsn, application_name="drawdown pricing simulate")
    try:
        configurations = Configurations(PostgresConfigurationStore(pool))
        await configurations.unapplied({})
        connection = await connect(job.dsn, application_name="drawdown pricing simulate")
        try:
            for shard in job.shards:
                found = await replay_shard(
                    connection,
                    shard,
                    job.from_us,
                    job.to_us,
                    job.candidate,
                    job.terms,
                    configurations,
                    job.accounts_max,
                    progress,
                )
                figures.merge(found, job.accounts_max)
        finally:
            connection.terminate()
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"the replay was cut off: {describe(error)}") from error
    finally:
        pool.terminate()
    return figures


def _end_with_input() -> None:
    """Whoever started us is gone: nobody waits for the answer."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """See the module."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_input, daemon=True).start()
    gc.set_threshold(*GC_THRESHOLDS)
    os.nice(job.niceness)
    try:
        figures = asyncio.run(work(job))
    except (JournalUnavailable, JournalCorrupt, ConfigurationMissing) as error:
        _say(Said(fault=str(error)))
        return
    _say(Said(figures=figures))


if __name__ == "__main__":
    main()
