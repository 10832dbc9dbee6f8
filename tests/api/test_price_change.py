"""A price changes while usage comes in: each event costs what was in force at its own time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from ledger.v1 import usage_pb2
from rating.opening import STEP
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, event

OLD, NEW = 600, 1_200  # what `event` costs
BEFORE_US = 1_000_000


def dearer(rows: int = 0) -> card_pb2.RateCard:
    """Twice the price, and so many rows for products that nobody uses."""
    made = card(rows=[])
    made.rows.add(product="chat", quantity="input_tokens", price="0.000006")
    made.rows.add(product="chat", quantity="output_tokens", price="0.00003")
    for number in range(rows):
        made.rows.add(product=f"unused-{number}", quantity="input_tokens", price="1")
    return made


async def publish(caller: Served, made: card_pb2.RateCard, **changes: int) -> pb.RateCardVersion:
    request = pb.PublishRateCardRequest(
        tenant=TENANT, request_id="dearer", card=made, expected_version=2, **changes
    )
    return (await caller.pricing.PublishRateCard(request)).version


@pytest.mark.parametrize("rows", [0, 3 * STEP])
async def test_events_in_flight_are_priced_by_their_effective_time(
    priced: Served, rows: int
) -> None:
    """Rule D5: whether they arrive before, amid or after the publication; nothing is refused."""
    await priced.account("acme")
    clock = priced.ledger.clock
    sent, done = Counter[str](), asyncio.Event()

    async def send(kind: str, effective_at_us: int) -> list[usage_pb2.IngestResult]:
        sent[kind] += 1
        made = event(f"{kind}-{sent[kind]}", "acme", effective_at_us=effective_at_us)
        return list((await priced.ingest(made)).results)

    async def keep_sending() -> list[int]:
        charges = []
        while not done.is_set():
            for result in await send("earlier", clock.now_us() - BEFORE_US):
                charges.append(result.charge)
        return charges

    sending = asyncio.create_task(keep_sending())
    await send("warm", 0)
    version = await publish(priced, dearer(rows))
    begins = version.effective_from_us
    assert begins > version.published_at_us, "all shards switch at one instant"
    at_the_edge = [
        (await send("last", begins - 1))[0].charge,
        (await send("first", begins))[0].charge,
        (await send("late", begins - 1))[0].charge,
    ]
    assert at_the_edge == [OLD, NEW, OLD]
    done.set()
    charges = await sending
    assert set(charges) == {OLD}
    assert len(charges) == sent["earlier"] > 1


async def test_a_large_card_takes_many_turns_of_the_loop(priced: Served) -> None:
    """Writers have a turn after every STEP rows, so none of them waits for the whole card."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    version = await publish(priced, dearer(20 * STEP))
    configurations = type(priced.ledger.configurations)(priced.ledger.configuration)
    counting = asyncio.create_task(count())
    await configurations.load(1, version.version)
    counting.cancel()
    assert turns >= 20


async def test_shards_that_ask_at_once_open_a_card_once(
    priced: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = priced.ledger.configuration
    read = Counter[bytes]()
    body_of = store.body

    async def counted(content_hash: bytes) -> bytes | None:
        read[content_hash] += 1
        await asyncio.sleep(0)
        return await body_of(content_hash)

    monkeypatch.setattr(store, "body", counted)
    configurations = type(priced.ledger.configurations)(store)
    await asyncio.gather(*[configurations.load(1, 2) for _ in range(4)])
    assert set(read.values()) == {1}
