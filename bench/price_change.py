"""A rate card is published while usage comes in: how long the writers' loop stands still for it.

The canonical batches, 8 in flight, against the real server with a watch on its loop
(`bench.watched`); meanwhile new versions of the card in force, with the same prices for what is
used and thousands of rows more. Every answer is checked: all applied, the sum of charges exact.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import grpc

from bench.batches import read
from bench.callers import CALL_TIMEOUT_S, INGEST, MESSAGE_BYTES_MAX, Answer, Call, Messages
from bench.report import Figures
from bench.seeding import rate_card
from bench.workload import ASSET, QUANTITIES, TENANT
from bench.world import World, WrongAnswers
from ledger.v1 import usage_pb2
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

PREPARED: Final = 600


def price_change(world: World) -> Figures:
    """See the module. `longest_pause_ms` is of the smaller card, `largest` of the larger one."""
    world.begin_anew()
    ledger = world.ledger
    ledger.stop()
    ledger.start(watched=True)
    try:
        return asyncio.run(_measure(world))
    finally:
        ledger.stop()  # no later step asks the ledger as it was served here


async def _measure(world: World) -> Figures:
    sizes, ledger = world.sizes, world.ledger
    options = [("grpc.max_send_message_length", MESSAGE_BYTES_MAX)]
    messages = Messages(read(Path(world.templates / "plain")), world.next_tag(), PREPARED)
    requests = [_publication(rows) for rows in sizes.card_rows]
    async with grpc.aio.insecure_channel(ledger.address, options) as channel:
        load = Load(channel.unary_unary(INGEST), messages)
        sending = [asyncio.create_task(load.send()) for _ in range(sizes.in_flight)]
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        listing = pricing_pb2.ListRateCardsRequest(tenant=TENANT)
        try:
            await asyncio.sleep(sizes.priced_ms / 1_000)
            began_ns = time.monotonic_ns()
            await asyncio.sleep(sizes.unary_ms / 1_000)
            pause_ms, turn_ms = ledger.longest_pause_ms(began_ns, time.monotonic_ns())
            figures: Figures = {
                "longest_pause_before_ms": pause_ms,
                "longest_turn_before_cpu_ms": turn_ms,
            }
            for name, request in zip(("", "largest_"), requests, strict=True):
                [latest, *_] = (await pricing.ListRateCards(listing)).versions
                request.expected_version = latest.version
                began_ns = time.monotonic_ns()
                reply = await pricing.PublishRateCard(request, timeout=CALL_TIMEOUT_S)
                ended_ns = time.monotonic_ns()
                await asyncio.sleep(sizes.priced_ms / 1_000)  # usage is priced by it from now on
                pause_ms, turn_ms = ledger.longest_pause_ms(began_ns, time.monotonic_ns())
                figures[f"{name}rows"] = reply.version.rows
                figures[f"{name}publish_ms"] = (ended_ns - began_ns) // 1_000_000
                figures[f"longest_pause_{name}ms"] = pause_ms
                figures[f"longest_turn_{name}cpu_ms"] = turn_ms
        finally:
            load.done = True
        await asyncio.gather(*sending)
    figures["batches"] = load.checked()
    return figures


def _publication(rows: int) -> pricing_pb2.PublishRateCardRequest:
    """The card in force with so many rows more."""
    card = rate_card()
    card.rows.extend(
        card_pb2.PriceRow(
            product=f"model-{number}",
            quantity=QUANTITIES[number % 2],
            price=f"0.00000{1 + number}",
            attributes={"mode": "batch"} if number % 3 else {},
        )
        for number in range(rows - len(card.rows))
    )
    assert card.asset == ASSET
    return pricing_pb2.PublishRateCardRequest(
        tenant=TENANT, request_id=f"card of {rows}", card=card
    )


class Load:
    """Batches until `done`; replies are kept and checked afterwards."""

    def __init__(self, call: Call, messages: Messages) -> None:
        self.done = False
        self._call = call
        self._messages = messages
        self._answers: list[Answer] = []

    async def send(self) -> None:
        """One batch after the other."""
        while not self.done:
            message = self._messages.take()
            began_ns = time.monotonic_ns()
            reply = await self._call(message.payload, timeout=CALL_TIMEOUT_S)
            ended_ns = time.monotonic_ns()
            self._answers.append(Answer(ended_ns, ended_ns - began_ns, message.template, reply))

    def checked(self) -> int:
        """How many batches there were. Raises WrongAnswers where one is not as it must be."""
        for answer in self._answers:
            results = usage_pb2.IngestResponse.FromString(answer.reply).results
            charged = sum(result.charge for result in results)
            applied = [each.outcome == usage_pb2.INGEST_OUTCOME_APPLIED for each in results]
            if charged != answer.template.charge or not all(applied):
                raise WrongAnswers(
                    f"price_change: a batch charges {charged} where {answer.template.charge} is "
                    f"due, and {applied.count(False)} of its events are not applied"
                )
        return len(self._answers)
