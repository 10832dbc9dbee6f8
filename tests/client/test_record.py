"""Events that many callers record one by one share batches, in bounds, and each counts once."""

from __future__ import annotations

import asyncio

import pytest

from ledger.client import DrawdownClient, InvalidEvent, Limits, Outcome, UsageEvent
from ledger.client.core import IngestCore
from ledger.client.events import EventOutcome
from ledger.client.parcels import Batch
from ledger.client.retry import RetryPolicy
from ledger.client.routing import Routing
from ledger.client.sender import Sender
from tests.client.conftest import PROMPT, CuttingProxy


class Held:
    """A transport that answers when it is told to."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, object]] = []
        self.sizes: list[int] = []

    def send(self, batch: Batch, answered: object) -> None:
        self.batches.append((batch, answered))
        self.sizes.append(len(batch.items))

    def answer(self) -> None:
        batch, answered = self.batches.pop(0)
        answered(batch, [EventOutcome(Outcome.APPLIED, 1) for _ in batch.items])  # type: ignore[operator]

    async def close(self) -> None:
        self.batches.clear()


def sender(held: Held, **limits: int) -> Sender:
    core = IngestCore(Limits(**limits), RetryPolicy(), Routing("t", "a:1"), lambda n: 0)
    return Sender(core, held, lambda: 0)


def usage(number: int, account: str = "acme") -> UsageEvent:
    return UsageEvent(f"e-{number}", account, {"input_tokens": 1}, product="chat")


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_waits_while_a_batch_is_in_flight_is_the_next_batch() -> None:
    held = Held()
    sending = sender(held)

    async def caller(number: int) -> None:
        for turn in range(3):
            await sending.record(usage(number * 10 + turn, f"account-{number}"))

    first = asyncio.create_task(sending.record(usage(-1, "first")))
    await turns()
    callers = [asyncio.create_task(caller(number)) for number in range(64)]
    await turns()
    assert held.sizes == [1]
    for _ in range(4):
        held.answer()
        await turns()
    await asyncio.gather(first, *callers)
    assert held.sizes == [1, 64, 64, 64]


async def test_callers_wait_when_the_queue_is_full_and_are_served_in_turn() -> None:
    held = Held()
    sending = sender(held, pending_events=4)
    done: list[int] = []

    async def caller(number: int) -> None:
        await sending.record(usage(number, f"account-{number}"))
        done.append(number)

    callers = [asyncio.create_task(caller(number)) for number in range(10)]
    await turns()
    assert sending.pending_events == 4
    while held.batches:
        held.answer()
        await turns()
    await asyncio.gather(*callers)
    assert done == list(range(10))
    assert max(held.sizes) <= 4


async def test_a_caller_that_gives_up_waiting_leaves_the_others_alone() -> None:
    held = Held()
    sending = sender(held)
    one, two = (asyncio.create_task(sending.record(usage(n))) for n in range(2))
    await turns()
    one.cancel()
    await turns()
    held.answer()
    assert (await two).outcome is Outcome.APPLIED
    assert one.cancelled()
    assert sending.pending_events == 0


async def test_a_bad_event_fails_its_own_caller_only(client: DrawdownClient) -> None:
    results = await asyncio.gather(
        client.record(usage(1)),
        client.record(UsageEvent("e-2", "acme", {"input_tokens": 2**63})),
        client.record(usage(3, "nobody")),
        return_exceptions=True,
    )
    assert isinstance(results[1], InvalidEvent)
    assert [r.outcome for r in results if isinstance(r, EventOutcome)] == [
        Outcome.APPLIED,
        Outcome.ACCOUNT_UNKNOWN,
    ]


@pytest.mark.parametrize("streaming", [False, True])
async def test_each_is_charged_once_over_a_connection_that_is_cut_again_and_again(
    client: DrawdownClient, proxy: CuttingProxy, streaming: bool
) -> None:
    """Outcomes are lost, the events are sent again under their ids, the books count them once."""
    async with DrawdownClient(
        proxy.address, source="test", product="chat", retry=PROMPT, streaming=streaming
    ) as recorder:
        proxy.cuts = [300, 200, 400, 100, 500, 300]

        async def caller(number: int) -> list[EventOutcome]:
            return [await recorder.record(usage(number * 100 + turn)) for turn in range(10)]

        found = await asyncio.gather(*[caller(number) for number in range(16)])
    outcomes = [each for some in found for each in some]
    assert proxy.cut > 0
    assert {each.outcome for each in outcomes} == {Outcome.APPLIED}
    reply = await client.balance("acme", product="chat", min_position=outcomes[-1].position)
    assert reply.balances[0].granted == str(10**9 - 160 * 3)
