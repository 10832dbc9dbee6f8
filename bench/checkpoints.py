"""What checkpoints cost: events a second with and without, the longest pause, the restart.

`python -m bench.checkpoints --events 2000000` drives the engine itself (no gRPC) on a
PostgreSQL of its own, or on DATABASE_URL: one shard, batches of 1,000 new events of a few callers,
over families of one account. Rounds with and without checkpoints alternate on the same ledger, so
that both see the same machine; then the server's part of a restart is timed. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import secrets
import shutil
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from ledger.core.catalog import asset_number
from ledger.core.commands import IssueGrant, Names, RecordUsage
from ledger.core.events import AccountPolicy, GrantKind
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.engine.observer import CheckpointFigures, NoObserver
from ledger.engine.upkeep import Upkeep
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.journal.storage import PostgresStorage
from ledger.server import GC_THRESHOLDS, SystemClock
from rating.card import Meter, PriceRow, RateCard

CARD = RateCard(
    name="default",
    asset="USD",
    asset_scale=9,
    meters=(Meter(quantity="tokens"),),
    rows=(PriceRow(product="chat", quantity="tokens", price="0.000001"),),
)
CHAT = Shape("chat", (), ("tokens",))
BATCH = 1_000
CALLERS = 4
NEVER = 1 << 60


class Watch(NoObserver):
    """Keeps the figures of every checkpoint."""

    def __init__(self) -> None:
        self.figures: list[CheckpointFigures] = []

    def checkpoint_written(self, shard: int, figures: CheckpointFigures) -> None:
        self.figures.append(figures)


class Run:
    """One ledger of one shard and what is sent to it."""

    def __init__(self, dsn: str, every: int) -> None:
        self.dsn = dsn
        self.every = every
        self.sent = 0
        self.watch = Watch()
        self.entries: list[Entry] = []

    async def open(self, upkeep: Upkeep) -> float:
        started = time.perf_counter()
        self.storage = await PostgresStorage.open(self.dsn, 1)
        self.ledger = Ledger(self.storage, SystemClock(), "bench", self.watch, upkeep=upkeep)
        gc.disable()
        self.ledger.start()
        await self.ledger.opened()
        gc.enable()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        return time.perf_counter() - started

    async def close(self) -> None:
        await self.ledger.stop()
        await self.storage.close()

    async def seed(self, accounts: int) -> None:
        await self.ledger.publish_asset(TENANT_DEFAULT, "USD", 9, "money")
        await self.ledger.publish_card(TENANT_DEFAULT, CARD)
        asset = asset_number(TENANT_DEFAULT, 1)
        for number in range(accounts):
            name = f"account-{number}"
            created = await self.ledger.create_account(
                TENANT_DEFAULT, name, None, name, AccountPolicy()
            )
            assert isinstance(created, tuple), created
            entry = created[0]
            self.entries.append(entry)
            grant = IssueGrant(
                self.ledger.family(entry).request("grant"), entry.number, GrantKind.PREPAID,
                asset, 10**15, 0, asset, 0, 0, 0, (), b"",
            )  # fmt: skip
            await self.ledger.submit(entry, grant)

    def commands(self, first: int) -> list[RecordUsage]:
        made = []
        for number in range(first, first + BATCH):
            entry = self.entries[number * 7 % len(self.entries)]
            name = f"event-{number}"
            key = self.ledger.family(entry).usage("bench", name)
            made.append(RecordUsage(key, entry.number, CHAT, (7,), 0, Names("bench", name)))
        return made

    async def send(self, events: int) -> tuple[int, int]:
        """Events a second, and nanoseconds of this process's CPU an event; making the commands is
        in both."""
        last = self.sent + events

        async def caller() -> None:
            while self.sent < last:
                first, self.sent = self.sent, self.sent + BATCH
                await self.ledger.writers[0].submit(self.commands(first))

        started, cpu = time.perf_counter(), time.process_time_ns()
        await asyncio.gather(*[caller() for _ in range(CALLERS)])
        rate = events / (time.perf_counter() - started)
        return round(rate), (time.process_time_ns() - cpu) // events

    def checkpoints(self, on: bool) -> None:
        upkeep = Upkeep(self.every if on else NEVER, NEVER)
        self.ledger.writers[0]._checkpointer._limits = upkeep


async def measure(dsn: str, events: int, every: int, accounts: int, rounds: int) -> dict[str, Any]:
    await migrate(dsn, 1)
    run = Run(dsn, every)
    await run.open(Upkeep(NEVER, NEVER))
    await run.seed(accounts)
    writer = run.ledger.writers[0]
    part = events // rounds // 2
    plain, with_ = [], []
    for _ in range(rounds):
        run.checkpoints(False)
        plain.append(await run.send(part))
        run.checkpoints(True)
        with_.append(await run.send(part))
    figures = list(run.watch.figures)
    shown: dict[str, Any] = {
        "events": run.sent,
        "events_per_s_without": [rate for rate, _ in plain],
        "events_per_s_with": [rate for rate, _ in with_],
        "cpu_ns_an_event_without": [cpu for _, cpu in plain],
        "cpu_ns_an_event_with": [cpu for _, cpu in with_],
        "checkpoints": len(figures),
        "longest_pause_us": max((each.longest_pause_us for each in figures), default=0),
        "pauses_us": [each.longest_pause_us for each in figures],
        "duration_us": [each.duration_us for each in figures],
        "keys_in_memory": len(writer.state.keys),
        "segments": len(writer._checkpointer.segments),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    await run.close()
    shown["pause_at_stop_us"] = run.watch.figures[-1].longest_pause_us
    shown["restart_s"] = round(await run.open(Upkeep(every, NEVER)), 3)
    assert len(run.ledger.writers[0].state.keys) == 0
    again = await run.ledger.writers[0].submit(run.commands(0))
    assert {type(each).__name__ for each in again.outcomes} == {"Replay"}
    rate, cpu = await run.send(part)
    shown["events_per_s_all_in_segments"] = rate
    shown["cpu_ns_an_event_all_in_segments"] = cpu
    await run.close()
    return shown


@contextlib.contextmanager
def database() -> Iterator[str]:
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    server = EmbeddedPostgres(throwaway_root() / f"drawdown-bench-{secrets.token_hex(4)}")
    try:
        with server:
            yield server.dsn
    finally:
        shutil.rmtree(server.data_dir, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=Upkeep().checkpoint_entries)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with database() as dsn:
        work = measure(dsn, given.events, given.every, given.accounts, given.rounds)
        print(json.dumps(uvloop.run(work), indent=1))


if __name__ == "__main__":
    main()
