"""docs/gateway.md: its example runs, its commands say what it shows, its tables are complete."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ledger.client import DrawdownClient
from ledger.gateway import away, descriptors, replies, routes
from ledger.gateway.sources import Kind
from tests.docs import examples
from tests.gateway.front import CONFIGURATION, Front, configuration

PAGE = "docs/gateway.md"
TEXT = (examples.ROOT / PAGE).read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")
async def test_ten_minutes_with_a_stock_envoy(database: str, tmp_path: Path) -> None:
    front = await asyncio.to_thread(Front, database, tmp_path)
    try:
        front.server.start()
        await front.server.ready()
        await asyncio.to_thread(front.start_envoy, configuration(front.ports))
        async with DrawdownClient(front.server.address, tenant="default") as ledger:
            await examples.run(PAGE, ledger)
            [_, asked] = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
            command = asked.replace("localhost:8080", f"localhost:{front.ports['front']}")
            done = await asyncio.to_thread(
                subprocess.run, ["sh", "-eu"], input=command, capture_output=True, text=True
            )
            said = [line.strip() for line in done.stdout.splitlines()]
            shown = re.search(r"\n\n((?:    [^\n]+\n)+)\n## A route", TEXT)
            assert shown is not None
            wanted = [line.strip() for line in shown[1].splitlines()]
            places = [said.index(line) for line in dict.fromkeys(wanted)]
            assert places == sorted(places)
    finally:
        await asyncio.to_thread(front.stop)


def test_envoy_waits_longer_than_a_server_for_a_shard_that_is_away() -> None:
    """Else no product is open behind it."""
    waits = re.findall(r"^ +timeout: ([0-9]+)s", CONFIGURATION.read_text(), re.M)
    assert min(map(int, waits)) > away.PATIENCE_S


def test_every_key_of_a_route_is_in_the_table() -> None:
    rows = TEXT.split("## A route", 1)[1].split("A **source**", 1)[0]
    keys = set(re.findall(r"^\| `(\w+(?:\.NAME)?)` \|", rows, re.M))
    assert keys == {*routes.KEYS, "quantity.NAME", "attribute.NAME"}


def test_every_source_is_in_the_table() -> None:
    for kind in Kind:
        assert re.search(rf"^\| `{kind.value}[:`]", TEXT, re.M), kind


def test_every_header_of_ours_is_in_the_table() -> None:
    assert set(re.findall(r"`(x-drawdown-[a-z-]+)`", TEXT)) == set(replies.OURS)


def test_every_denial_that_money_lifts_and_every_entry_is_named() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| 402"))
    assert set(re.findall(r"`(\w+)`", row)) == replies.PAYABLE
    settling = TEXT.split("## Settling", 1)[1]
    assert all(f"`{name}`" in settling for name in descriptors.ENTRIES)
