"""One installation a module; each test has accounts of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ledger.verify import verify
from tests.gateway.front import Caller, Front


@pytest.fixture(scope="module")
def front(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Envoy before a served ledger with prices; `verify` finds no fault when all is over."""
    made = Front(
        module_database, tmp_path_factory.mktemp("front"), gateway_pay_url="https://pay.example"
    )
    try:
        made.start()
        asyncio.run(_prices(made))
        yield made
    finally:
        made.stop()
    report = asyncio.run(verify(module_database))
    assert report.ok, report.findings


async def _prices(front: Front) -> None:
    async with front.caller() as caller:
        await caller.prices()


@pytest.fixture
async def caller(front: Front) -> AsyncIterator[Caller]:
    async with front.caller() as made:
        yield made
