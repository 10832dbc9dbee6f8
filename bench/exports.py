"""How fast the books are exported: transfers a second and memory, a format each.

`python -m bench.exports` records usage on a ledger of its own (the real writers, journal and
projector, in an embedded PostgreSQL that is removed afterwards), exports it with `drawdown export`
as a process, and prints one JSON document. Read models are level before the clock runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.machine import machine, versions
from ledger.core.catalog import asset_number
from ledger.core.commands import IssueGrant, Names, RecordUsage
from ledger.core.events import AccountPolicy, GrantIssued, GrantKind
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.journal.directory import TENANT_DEFAULT
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.journal.storage import PostgresStorage
from ledger.projections.projector import ShardProjector
from ledger.projections.store import ProjectionStore
from ledger.server import SystemClock
from rating.card import Meter, PriceRow, RateCard

TRANSFERS: Final = 300_000
ACCOUNTS: Final = 200
BATCH: Final = 1_000
SHARDS: Final = 4
DAYS: Final = 30
WATCH_S: Final = 0.02
FORMATS: Final = ("hledger", "beancount", "csv", "parquet")
CARD: Final = RateCard(
    name="default",
    asset="CREDIT",
    asset_scale=6,
    meters=(Meter(quantity="tokens"),),
    rows=tuple(
        PriceRow(product=product, quantity="tokens", price="0.000003")
        for product in ("chat", "search", "images")
    ),
)


async def fill(dsn: str, transfers: int) -> None:
    """Record so many slices: usage over a month, each paid by one grant; and project it."""
    await migrate(dsn, SHARDS)
    storage = await PostgresStorage.open(dsn, SHARDS)
    ledger = Ledger(storage, SystemClock())
    try:
        ledger.start()
        await ledger.opened()
        asset = await ledger.publish_asset(TENANT_DEFAULT, "CREDIT", 6, "credit")
        await ledger.publish_card(TENANT_DEFAULT, CARD)
        await _record(ledger, transfers, asset)
    finally:
        await ledger.stop()
        await storage.close()
    store = await ProjectionStore.open(dsn, 0)
    await store.make_checkpoints(SHARDS)
    store.close()
    for shard in range(SHARDS):
        projector = ShardProjector(dsn, shard)
        while await projector.step():
            pass
        await projector.close()


async def _record(ledger: Ledger, transfers: int, asset: Any) -> None:
    credit = asset_number(TENANT_DEFAULT, asset.version)
    now_us = time.time_ns() // 1_000
    shapes = [Shape(row.product, (), ("tokens",)) for row in CARD.rows]
    recorded = 0
    for number in range(ACCOUNTS):
        made = await ledger.create_account(
            TENANT_DEFAULT, f"customer-{number}", None, f"create {number}", AccountPolicy()
        )
        assert isinstance(made, tuple), made
        entry = made[0]
        family = ledger.family(entry)
        writer = ledger.writers[entry.shard]
        grant = IssueGrant(
            key=family.request(f"grant {number}"),
            account=entry.number,
            kind=GrantKind.PREPAID,
            asset=credit,
            amount=10**15,
            price_paid=0,
            price_asset=0,
            priority=0,
            effective_at=now_us - (DAYS + 1) * DAY_US,
            expires_at=0,
            products=(),
            external_key=b"",
        )
        (issued,) = (await writer.submit([grant])).outcomes
        assert isinstance(issued, GrantIssued), issued
        share = transfers * (number + 1) // ACCOUNTS - recorded
        for first in range(0, share, BATCH):
            events = [
                RecordUsage(
                    family.usage("bench", f"{number}-{index}"),
                    entry.number,
                    shapes[index % len(shapes)],
                    (100 + index % 900,),
                    now_us - (index * 7_919 % (DAYS * 86_400)) * 1_000_000,
                    Names("bench", f"{number}-{index}"),
                )
                for index in range(first, min(first + BATCH, share))
            ]
            outcomes = (await writer.submit(events)).outcomes
            assert not any(isinstance(each, Refusal) for each in outcomes), outcomes
        recorded += share


def measure(dsn: str, format: str, folder: Path) -> dict[str, int]:
    """One export in a process of its own."""
    out = folder / format
    command = [sys.executable, "-m", "ledger.cli", "export", f"--format={format}", f"--out={out}"]
    began_ns = time.monotonic_ns()
    process = subprocess.Popen(
        [*command, "--json"], env={**os.environ, "DATABASE_URL": dsn}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    peak, cpu_ms = 0, 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak = max(peak, watched.memory_info().rss)
            times = watched.cpu_times()
            cpu_ms = round((times.user + times.system) * 1_000)
        time.sleep(WATCH_S)
    took_ms = (time.monotonic_ns() - began_ns) // 1_000_000
    said = process.stdout.read()
    assert process.returncode == 0, said
    exported = json.loads(said)["files"]
    rows = sum(each["rows"] for each in exported if not each["name"].startswith("balances"))
    size = sum(each["bytes"] for each in exported)
    shutil.rmtree(out)
    return {
        "transfers": rows,
        "ms": took_ms,
        "transfers_per_s": rows * 1_000 // took_ms,
        "cpu_us_per_transfer": cpu_ms * 1_000 // rows,
        "peak_mb": peak >> 20,
        "bytes": size,
    }


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transfers", type=int, default=TRANSFERS)
    asked = options.parse_args()
    folder = throwaway_root() / f"drawdown-bench-exports-{secrets.token_hex(4)}"
    try:
        with EmbeddedPostgres(folder) as postgres:
            asyncio.run(fill(postgres.dsn, asked.transfers))
            out = folder.with_suffix(".out")
            out.mkdir()
            try:
                runs = {each: measure(postgres.dsn, each, out) for each in FORMATS}
            finally:
                shutil.rmtree(out, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"machine": machine(), "versions": versions(), "exports": runs}, indent=2))


if __name__ == "__main__":
    main()
