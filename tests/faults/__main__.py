"""`make faults`: real processes killed hundreds of times, and nothing lost or counted twice.

    python -m tests.faults --kills 500 --every-io

Two installations side by side, one with a single server and one with two, each with a PostgreSQL
of its own. Then, with --every-io, each message to PostgreSQL is lost in turn. Writes its figures
into bench/results/reliability.json beside those of the simulator and of the damage tool.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.reliability import record
from tests.faults.every_io import lose_all
from tests.faults.installation import (
    MIGRATION_STEPS,
    SIDE_STEPS,
    Installation,
    Verdict,
    installation,
)

SERVERS = (1, 2)  # of each installation
SAYS_EVERY = 20
REACHED_WITHIN_S = 30
TAIL = 6_000  # characters


@dataclass
class Run:
    """What all installations came to."""

    kills: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    recoveries_us: list[int] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def take(self, struck: Installation, verdict: Verdict) -> None:
        self.kills += struck.kills
        self.struck.update(struck.struck)
        self.recoveries_us = sorted(self.recoveries_us + struck.recoveries_us)
        self.verdicts.append(verdict)

    @property
    def wrong(self) -> list[str]:
        return [each for verdict in self.verdicts for each in verdict.wrong]

    def recovery_s(self, percent: int) -> str:
        """That percentile, as a decimal number of seconds."""
        last = len(self.recoveries_us) - 1
        us = self.recoveries_us[min(len(self.recoveries_us) * percent // 100, last)]
        return f"{us // 1_000_000}.{us % 1_000_000 // 1_000:03d}"

    def figures(self) -> dict[str, int | str]:
        return {
            "kills_survived": self.kills,
            "lost": sum(verdict.lost for verdict in self.verdicts),
            "double_counted": sum(verdict.double_counted for verdict in self.verdicts),
            "recovery_s_p50": self.recovery_s(50),
            "recovery_s_p99": self.recovery_s(99),
        }


async def strike_all(kills: int, seed: int, folder: Path) -> Run:
    """Strike until so many processes were killed; every installation is checked at its end."""
    run = Run()

    async def one(number: int, servers: int) -> None:
        share = kills // len(SERVERS) + (kills % len(SERVERS) if number == 0 else 0)
        logs = folder / str(number)
        logs.mkdir()
        async with installation(seed + number, logs, servers) as struck:
            try:
                if servers == 1:
                    await _at_each_step(struck)
                await _strike(struck, share, number)
                run.take(struck, await struck.settle())
            except BaseException:
                _show(logs)
                raise

    async with asyncio.TaskGroup() as group:
        for number, servers in enumerate(SERVERS):
            group.create_task(one(number, servers))
    return run


async def _at_each_step(struck: Installation) -> None:
    """What chance may leave out, and the suite does: those beside a server, and a migration."""
    steps = (*SIDE_STEPS, *MIGRATION_STEPS)
    died = await struck.at_steps(steps, REACHED_WITHIN_S)
    assert died == [f"step {step}" for step in steps], f"not every step was reached: {died}"


async def _strike(struck: Installation, share: int, number: int) -> None:
    said = 0
    while struck.kills < share:
        await struck.strike()
        if struck.kills // SAYS_EVERY > said:
            said = struck.kills // SAYS_EVERY
            click.echo(f"installation {number}: {struck.kills} of {share} kills", err=True)


def _show(logs: Path) -> None:
    for log in sorted(logs.glob("*.log")):
        tail = log.read_text(errors="replace")[-TAIL:]
        click.echo(f"{logs.name}/{log.name} ends:\n{tail}", err=True)


def _told(document: dict[str, Any]) -> None:
    click.echo(
        f"{document['kills_survived']} kills in {document['took_s']} s: {document['struck']}"
    )
    if "messages_lost" in document:
        click.echo(f"{document['messages_lost']} messages to PostgreSQL lost, each in its turn")
    click.echo(
        f"{document['events']} events acknowledged; {document['lost']} lost, "
        f"{document['double_counted']} counted twice; recovery "
        f"p50 {document['recovery_s_p50']} s, p99 {document['recovery_s_p99']} s"
    )
    for each in document["wrong"]:
        click.echo(f"wrong: {each}", err=True)


@click.command()
@click.option("--kills", default=500, show_default=True, type=click.IntRange(2))
@click.option("--seed", default=1, show_default=True, help="Of what is struck, and when.")
@click.option("--every-io", is_flag=True, help="Lose each message to PostgreSQL in turn, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def main(kills: int, seed: int, every_io: bool, as_json: bool) -> None:
    """Kill the real program; see the module. Ends with 1 where something is wrong."""
    began = time.monotonic_ns()
    with tempfile.TemporaryDirectory() as folder:
        run = asyncio.run(strike_all(kills, seed, Path(folder)))
    figures = run.figures()
    if every_io:
        figures["messages_lost"] = lose_all(lambda said: click.echo(said, err=True))
    record("faults", **figures)
    document = figures | {
        "events": sum(verdict.events for verdict in run.verdicts),
        "seed": seed,
        "struck": dict(sorted(run.struck.items())),
        "took_s": (time.monotonic_ns() - began) // 1_000_000_000,
        "wrong": run.wrong,
    }
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _told(document)
    sys.exit(1 if run.wrong else 0)


if __name__ == "__main__":
    main()
