"""All shards of a ledger replayed, over as many processes as there are cores, with progress.

Each process is given a Job and says a line now and then; the first that fails ends them all, and
all end with whoever waits for them. Must not know who asks, or what a report looks like.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable

import msgspec

from ledger.backtest.candidate import Candidate
from ledger.backtest.figures import Figures
from ledger.backtest.job import Job, Said
from ledger.backtest.terms import Terms

LINE_BYTES_MAX = 64 << 20  # of one answer: the accounts that are asked for

Watch = Callable[[int, int, int], None]
"""Called with (shard, entries done, entries to do) as it goes on."""


class SimulationFailed(Exception):
    """A process could not read what it was to replay."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay: [from, to) by recorded time, None = everything. Each list of what is found
    has `accounts_max` accounts. `niceness` is of the processes, beside others on these cores."""

    candidate: Candidate
    terms: Terms
    from_us: int | None
    to_us: int | None
    accounts_max: int
    niceness: int = 0


async def replay_all(dsn: str, shards: int, work: Work, watch: Watch) -> Figures:
    """Replay every shard. Raises SimulationFailed."""
    count = min(shards, len(os.sched_getaffinity(0)))
    figures = Figures()
    jobs = [
        Job(
            dsn=dsn,
            shards=[*range(first, shards, count)],
            from_us=work.from_us,
            to_us=work.to_us,
            candidate=work.candidate,
            terms=work.terms,
            accounts_max=work.accounts_max,
            niceness=work.niceness,
        )
        for first in range(count)
    ]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_process(job, watch)) for job in jobs]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    for task in tasks:
        figures.merge(task.result(), work.accounts_max)
    return figures


async def _process(job: Job, watch: Watch) -> Figures:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ledger.backtest.worker",
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C is for us, who then end it
        limit=LINE_BYTES_MAX,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        async for line in process.stdout:
            said = msgspec.json.decode(line, type=Said)
            if said.figures is not None:
                return said.figures
            if said.fault:
                raise SimulationFailed(said.fault)
            watch(said.shard, said.done, said.total)
        raise SimulationFailed(
            f"the process that replays shards {job.shards} ended with code {await process.wait()}"
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
