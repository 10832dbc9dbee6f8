"""Every way out of a metered block, one by one: what was metered is charged, and nothing is held.

Each way uses 3 tokens of a model's stream of 50, of 100 that are held, and leaves.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from ledger.client import DrawdownClient, sync

GRANTED = 10**9
PRICE = 15
USED = 3


class Tired(Exception):
    """What ends a block."""


def one(chunk: int) -> dict[str, int]:
    return {"output_tokens": chunk}


async def model(ends: Callable[[], None] | None = None) -> AsyncIterator[int]:
    for number in range(50):
        if number == USED and ends is not None:
            ends()
        yield 1
        await asyncio.sleep(0)


async def stream(
    client: DrawdownClient, ends: Callable[[], None] | None = None
) -> AsyncIterator[int]:
    """What a handler gives its framework."""
    async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        async for chunk in call.metering(model(ends), one):
            yield chunk


def tires() -> None:
    raise Tired


async def returned(client: DrawdownClient) -> None:
    async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        async for _ in call.metering(model(), one):
            if call.used["output_tokens"] == USED:
                return


async def broken_off(client: DrawdownClient) -> None:
    async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        async for _ in call.metering(model(), one):
            if call.used["output_tokens"] == USED:
                break


async def the_model_failed(client: DrawdownClient) -> None:
    with pytest.raises(Tired):
        async for _ in stream(client, tires):
            pass


async def counting_failed(client: DrawdownClient) -> None:
    counted = 0

    def count(chunk: int) -> dict[str, int]:
        nonlocal counted
        counted += 1
        if counted > USED:
            raise Tired
        return one(chunk)

    with suppress(Tired):
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            async for _ in call.metering(model(), count):
                pass
    assert counted == USED + 1


async def out_of_time(client: DrawdownClient) -> None:
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(None) as time,
            client.metered("acme", "chat", estimate={"output_tokens": 100}) as call,
        ):
            call.add(output_tokens=USED)
            time.reschedule(asyncio.get_running_loop().time() + 0.1)
            await asyncio.Event().wait()


async def a_sibling_failed(client: DrawdownClient) -> None:
    used = asyncio.Event()

    async def block() -> None:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            call.add(output_tokens=USED)
            used.set()
            await asyncio.sleep(60)

    async def sibling() -> None:
        await used.wait()
        raise Tired

    with suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(block())
            group.create_task(sibling())


async def cancelled_twice(client: DrawdownClient) -> None:
    """The second while it settles."""
    used = asyncio.Event()

    async def block() -> None:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            call.add(output_tokens=USED)
            used.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(block())
    await used.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def the_generator_was_closed(client: DrawdownClient) -> None:
    chunks = stream(client)
    for _ in range(USED):
        await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]


async def the_generator_was_thrown_into(client: DrawdownClient) -> None:
    chunks = stream(client)
    for _ in range(USED):
        await anext(chunks)
    with pytest.raises(Tired):
        await chunks.athrow(Tired())  # type: ignore[attr-defined]


async def the_generator_was_forgotten(client: DrawdownClient) -> None:
    """Its consumer is gone, and nobody closes it: the loop does, as it is collected."""
    chunks = stream(client)
    for _ in range(USED):
        await anext(chunks)
    del chunks
    gc.collect()


async def the_consumer_was_cancelled(client: DrawdownClient) -> None:
    seen: list[int] = []

    async def consume() -> None:
        async for chunk in stream(client):
            seen.append(chunk)
            if len(seen) == USED:
                await asyncio.sleep(60)

    task = asyncio.create_task(consume())
    while len(seen) < USED:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()


async def generators_within_generators(client: DrawdownClient) -> None:
    async def outer() -> AsyncIterator[int]:
        inner = stream(client)
        try:
            async for chunk in inner:
                yield chunk
        finally:
            await inner.aclose()  # type: ignore[attr-defined]

    chunks = outer()
    for _ in range(USED):
        await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]


WAYS = [
    returned,
    broken_off,
    the_model_failed,
    counting_failed,
    out_of_time,
    a_sibling_failed,
    cancelled_twice,
    the_generator_was_closed,
    the_generator_was_thrown_into,
    the_generator_was_forgotten,
    the_consumer_was_cancelled,
    generators_within_generators,
]


async def charged(client: DrawdownClient) -> int:
    """Tokens; nothing may be held any more."""
    assert not (await client.list_holds("acme")).holds
    [balance] = (await client.balance("acme", product="chat")).balances
    return (GRANTED - int(balance.granted)) // PRICE


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_what_was_metered_is_charged_and_nothing_stays_held(
    client: DrawdownClient, address: str, way: Callable[[DrawdownClient], Awaitable[None]]
) -> None:
    """Closing the client right behind it waits until it is so."""
    async with DrawdownClient(address) as own:
        await way(own)
    assert await charged(client) == USED


async def test_a_loop_that_ends_settles_the_streams_that_are_left(
    client: DrawdownClient, address: str
) -> None:
    """Those that are suspended and still referred to, as of a server that shuts down: whoever
    closes them before the client has them charged."""

    async def program() -> None:
        async with DrawdownClient(address) as own:
            left = stream(own)
            for _ in range(USED):
                await anext(left)
            await asyncio.get_running_loop().shutdown_asyncgens()

    await asyncio.to_thread(asyncio.run, program())
    assert await charged(client) == USED


# -- without await ---------------------------------------------------------------------------------


def chunks_of(client: sync.DrawdownClient) -> Iterator[int]:
    with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        yield from call.metering([1] * 50, one)


def plainly_broken_off(client: sync.DrawdownClient) -> None:
    with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        for number, _ in enumerate(call.metering([1] * 50, one), 1):
            if number == USED:
                break


def plainly_failed(client: sync.DrawdownClient) -> None:
    with (
        suppress(Tired),
        client.metered("acme", "chat", estimate={"output_tokens": 100}) as call,
    ):
        call.add(output_tokens=USED)
        raise Tired


def a_plain_generator_was_closed(client: sync.DrawdownClient) -> None:
    chunks = chunks_of(client)
    for _ in range(USED):
        next(chunks)
    chunks.close()  # type: ignore[attr-defined]


def a_plain_generator_was_forgotten(client: sync.DrawdownClient) -> None:
    chunks = chunks_of(client)
    for _ in range(USED):
        next(chunks)
    del chunks
    gc.collect()


def a_thread_ended(client: sync.DrawdownClient) -> None:
    def body() -> None:
        with (
            suppress(SystemExit),
            client.metered("acme", "chat", estimate={"output_tokens": 100}) as call,
        ):
            call.add(output_tokens=USED)
            raise SystemExit

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()


PLAINLY = [
    plainly_broken_off,
    plainly_failed,
    a_plain_generator_was_closed,
    a_plain_generator_was_forgotten,
    a_thread_ended,
]


@pytest.mark.parametrize("way", PLAINLY, ids=lambda way: way.__name__)
async def test_without_await_it_is_the_same(
    client: DrawdownClient, address: str, way: Callable[[sync.DrawdownClient], None]
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address) as own:
            way(own)

    await asyncio.to_thread(work)
    assert await charged(client) == USED
