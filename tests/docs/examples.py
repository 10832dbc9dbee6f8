"""Runs the Python examples of a page as they stand, against the real ledger over real gRPC.

The server is in this process, on the database of the test. What it shows as `print(...)  # said`,
or else in an indented block after its example, has to be said.
"""

from __future__ import annotations

import asyncio
import re
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ledger.api.server import LedgerServer
from ledger.backtest.simulator import Simulator
from ledger.client import DrawdownClient, UsageEvent
from ledger.decision_process import DecisionProcesses
from ledger.engine.ledger import Ledger
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.projections.projector import run_projector
from ledger.v1 import types_pb2
from tests.api.served import SystemClock

ROOT = Path(__file__).parents[2]
SHARDS = 4


@asynccontextmanager
async def serving(dsn: str, *, projector: bool = False) -> AsyncIterator[str]:
    """The address of a ledger on this database."""
    storage = await PostgresStorage.open(dsn, SHARDS)
    ledger = Ledger(storage, SystemClock())
    ledger.start()
    await ledger.opened()
    server = LedgerServer(
        ledger,
        history=History(storage.pool),
        simulator=Simulator(dsn, SHARDS),
        explainer=DecisionProcesses(dsn, SHARDS),
    )
    stop = asyncio.Event()
    beside = asyncio.create_task(run_projector(dsn, stop=stop)) if projector else None
    try:
        yield await server.start("127.0.0.1:0")
    finally:
        await server.stop(0)
        await ledger.stop()
        stop.set()
        if beside is not None:
            await beside
        await storage.close()


@asynccontextmanager
async def caller(
    dsn: str, *, projector: bool = False, tenant: str = "default"
) -> AsyncIterator[DrawdownClient]:
    """A client as the pages have it: `ledger`."""
    async with (
        serving(dsn, projector=projector) as address,
        DrawdownClient(address, tenant=tenant, source="docs", product="chat") as ledger,
    ):
        yield ledger


def examples(page: str) -> list[str]:
    """The Python of a page, one text an example."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found, f"{page} has no example"
    return found


def said(page: str) -> list[str]:
    """What its examples are to print, line by line."""
    lines: list[str] = []
    blocks = re.findall(
        r"```python\n(.*?)```\n(?:\n((?:    [^\n]+\n)+))?", (ROOT / page).read_text(), re.DOTALL
    )
    for code, shown in blocks:
        inline = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE)
        lines += inline or textwrap.dedent(shown).splitlines()
    return lines


async def run(page: str, ledger: DrawdownClient) -> None:
    """Run all examples of a page, in one scope, as the body of a coroutine with `ledger`, which
    serves at `address`."""
    body = textwrap.indent("\n".join(examples(page)), "    ")
    names: dict[str, Any] = {"UsageEvent": UsageEvent, "types_pb2": types_pb2}
    names["address"] = ledger._caller.routing.addresses[0]
    exec(compile(f"async def example(ledger):\n{body}", page, "exec"), names)
    await names["example"](ledger)
