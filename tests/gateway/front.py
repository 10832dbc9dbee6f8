"""A whole installation: `drawdown serve`, a stock Envoy with deploy/envoy.yaml, an upstream.

The file is the documented one; nothing but its ports and how long Envoy waits is another.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.ports import free_port
from bench.programs import ROOT, find_envoy
from ledger.client import DrawdownClient
from ledger.v1 import decision_pb2, types_pb2
from rating.v1 import card_pb2, pricing_pb2
from tests.crash.processes import LastingServer
from tests.gateway.upstream import Upstream
from tests.patience import HANGS_S

CONFIGURATION = ROOT / "deploy" / "envoy.yaml"
WAITS = re.compile(r"timeout: [0-9.]*[1-9][0-9.]*s")
PORTS = {"front": 8080, "drawdown": 8433, "upstream": 8081, "admin": 9901}


class Front:
    """Made and ended by a fixture; `url` is where clients ask."""

    def __init__(self, dsn: str, folder: Path, *more: str, **settings: object) -> None:
        self.dsn = dsn
        self.folder = folder
        self.server = LastingServer(dsn, folder / "server.log", *more, **settings)
        self.upstream = Upstream()
        self.ports = {
            "front": free_port(),
            "drawdown": int(self.server.address.rpartition(":")[2]),
            "upstream": self.upstream.port,
            "admin": free_port(),
        }
        self._envoy: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['front']}"

    def start(self) -> None:
        self.server.start()
        asyncio.run(self.server.ready())
        self.start_envoy(configuration(self.ports))

    def start_envoy(self, configured: str) -> None:
        file, log = self.folder / "envoy.yaml", self.folder / "envoy.log"
        file.write_text(configured)
        command = [find_envoy(), "--config-path", file, "--use-dynamic-base-id"]
        command += ["--concurrency", "2", "--log-level", "warning"]
        with log.open("ab") as said:
            self._envoy = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        ready = f"http://127.0.0.1:{self.ports['admin']}/ready"
        deadline = time.monotonic() + HANGS_S
        while True:
            assert self._envoy.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(ready).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.02)

    def stop(self) -> None:
        if self._envoy is not None:
            self._envoy.terminate()
            try:
                self._envoy.wait(10)
            except subprocess.TimeoutExpired:
                self._envoy.kill()
                self._envoy.wait()
        self.server.stop()
        self.upstream.close()

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=HANGS_S) as client,
            DrawdownClient(self.server.address, tenant="default") as ledger,
        ):
            yield Caller(self, client, ledger)


class Caller:
    """A client of the gateway, and one of the ledger to look behind it."""

    def __init__(self, front: Any, client: httpx.AsyncClient, ledger: DrawdownClient) -> None:
        self.front = front
        self.client = client
        self.ledger = ledger

    async def prices(self) -> None:
        """A credit has six places; a token in is 1 minor unit, one out 10, a millisecond 1."""
        await self.ledger.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
        prices = {
            ("chat", "input_tokens"): "0.000001",
            ("chat", "output_tokens"): "0.00001",
            ("jobs", "gpu_milliseconds"): "0.000001",
        }
        card = card_pb2.RateCard(
            name="default",
            asset="credit",
            asset_scale=6,
            meters=[card_pb2.Meter(quantity=quantity) for _, quantity in prices],
            products=[card_pb2.Product(product=name) for name in ("chat", "jobs")],
            rows=[
                card_pb2.PriceRow(product=product, quantity=quantity, price=price)
                for (product, quantity), price in prices.items()
            ],
        )
        await self.ledger.publish_rate_card(card)

    async def account(self, name: str, granted: int) -> str:
        await self.ledger.create_account(name)
        if granted:
            await self.ledger.issue_grant(
                name, "credit", granted, kind=types_pb2.GRANT_KIND_PREPAID
            )
        return name

    async def ask(self, account: str, path: str = "/v1/chat", **headers: Any) -> httpx.Response:
        """One request; `x_max_tokens=5` is the header x-max-tokens: 5."""
        sent = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        return await self.client.post(path, headers={"x-account": account, **sent})

    async def holds(self, account: str, *, settled: bool = False) -> list[decision_pb2.Hold]:
        return list((await self.ledger.list_holds(account, settled=settled, page_size=1_000)).holds)

    async def settled(self, account: str, count: int = 1) -> list[decision_pb2.Hold]:
        """The holds, once so many are settled and none is open."""
        async with asyncio.timeout(HANGS_S):
            while True:
                found = await self.holds(account, settled=True)
                if len(found) >= count and not await self.holds(account):
                    assert len(found) == count
                    return found
                await asyncio.sleep(0.02)

    async def available(self, account: str) -> int:
        [balance] = (await self.ledger.balance(account)).balances
        return int(balance.available)


def configuration(ports: dict[str, int]) -> str:
    """deploy/envoy.yaml with these ports; on a busy machine no decision is late."""
    text, waits = WAITS.subn(f"timeout: {HANGS_S}s", CONFIGURATION.read_text())
    assert waits == 4
    for name, port in PORTS.items():
        text = _once(text, f"port_value: {port} ", f"port_value: {ports[name]} ")
    yaml.safe_load(text)
    return text


def _once(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)
