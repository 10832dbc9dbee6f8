"""`make faults`: real processes killed hundreds of times, and nothing lost or counted twice.

    python -m tests.faults --kills 500

Two installations side by side, each with a PostgreSQL of its own. Writes its figures into
bench/results/reliability.json beside those of the simulator and of the damage tool.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from bench.reliability import record
from tests.faults.installation import Installation, installation

AT_ONCE = 2
SAYS_EVERY = 20
TAIL = 6_000  # characters


async def strike_all(kills: int, seed: int, log: Path) -> list[Installation]:
    """Strike until so many processes were killed; every installation is checked at its end."""
    done: list[Installation] = []

    async def one(number: int) -> None:
        share = kills // AT_ONCE + (kills % AT_ONCE if number == 0 else 0)
        async with installation(seed + number, log / f"server-{number}.log") as struck:
            said = 0
            while struck.kills < share:
                try:
                    await struck.strike()
                except BaseException:
                    tail = (log / f"server-{number}.log").read_text(errors="replace")[-TAIL:]
                    click.echo(f"installation {number}, its log ends:\n{tail}", err=True)
                    raise
                if struck.kills // SAYS_EVERY > said:
                    said = struck.kills // SAYS_EVERY
                    click.echo(f"installation {number}: {struck.kills} of {share} kills", err=True)
            await struck.settle()
            done.append(struck)

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(one(number))
    return done


def seconds(microseconds: int) -> str:
    """As a decimal number of seconds."""
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000 // 1_000:03d}"


@click.command()
@click.option("--kills", default=500, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=1, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill the real program; see the module."""
    began = time.monotonic_ns()
    with tempfile.TemporaryDirectory() as log:
        done = asyncio.run(strike_all(kills, seed, Path(log)))
    struck = sum((Counter(each.struck) for each in done), Counter())
    recoveries = sorted(us for each in done for us in each.recoveries_us)
    events = sum(len(each.workload.acknowledged) for each in done)
    figures = {
        "kills_survived": sum(each.kills for each in done),
        "recovery_s_p50": seconds(recoveries[len(recoveries) // 2]),
        "recovery_s_p99": seconds(
            recoveries[min(len(recoveries) - 1, len(recoveries) * 99 // 100)]
        ),
    }
    record(**figures)
    took_s = (time.monotonic_ns() - began) // 1_000_000_000
    click.echo(f"{figures['kills_survived']} kills in {took_s} s: {dict(sorted(struck.items()))}")
    click.echo(
        f"{events} events acknowledged; 0 lost, 0 counted twice, verify: ok; recovery "
        f"p50 {figures['recovery_s_p50']} s, p99 {figures['recovery_s_p99']} s"
    )


if __name__ == "__main__":
    main()
