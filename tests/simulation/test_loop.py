"""What the simulated loop and its processes promise."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from ledger.simulation.loop import LoopHung, SimulatedLoop
from ledger.simulation.processes import Process, SimulatedClock, WorldTime


def world(shuffle: bool = False, seed: int = 1) -> tuple[SimulatedLoop, WorldTime]:
    loop = SimulatedLoop(Random(seed), shuffle)
    return loop, WorldTime(loop)


def process(loop: SimulatedLoop, time: WorldTime, name: str = "one") -> Process:
    return Process(loop, name, SimulatedClock(time))


def test_time_jumps_to_the_next_timer() -> None:
    loop, time = world()
    seen: list[int] = []

    async def play() -> None:
        async def after(seconds: int) -> None:
            await asyncio.sleep(seconds)
            seen.append(loop.now_us)

        await asyncio.gather(after(86_400), after(5), after(7))
        async with asyncio.timeout(3):
            await asyncio.sleep(2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(4)

    before = time.now_us()
    loop.run(play())
    assert seen == [5_000_000, 7_000_000, 86_400_000_000]
    assert time.now_us() - before == 86_405_000_000


def test_the_order_of_what_is_ready_comes_from_the_seed() -> None:
    def order(seed: int, shuffle: bool) -> list[int]:
        loop, _ = world(shuffle, seed)
        seen: list[int] = []

        async def play() -> None:
            async def one(number: int) -> None:
                await asyncio.sleep(0)
                seen.append(number)

            await asyncio.gather(*[one(number) for number in range(20)])

        loop.run(play())
        return seen

    assert order(1, False) == list(range(20))
    assert order(1, True) == order(1, True) != order(2, True)


def test_a_killed_process_runs_nothing_more_not_even_finally() -> None:
    loop, time = world()
    victim = process(loop, time)
    seen: list[str] = []

    async def work() -> None:
        try:
            seen.append("begun")
            await asyncio.sleep(1)
            seen.append("gone on")
        finally:
            seen.append("finally")

    async def play() -> None:
        victim.spawn(work())
        await asyncio.sleep(0.5)
        victim.kill()
        await asyncio.sleep(5)
        assert seen == ["begun"]

    loop.run(play())


def test_a_stopped_process_goes_on_where_it_was() -> None:
    loop, time = world()
    paused = process(loop, time)
    seen: list[int] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(loop.now_us)

    async def play() -> None:
        done = paused.spawn(work())
        await asyncio.sleep(1.5)
        paused.stop()
        await asyncio.sleep(10)
        assert len(seen) == 1
        paused.resume()
        await done

    loop.run(play())
    assert seen == [1_000_000, 11_500_000, 12_500_000]


def test_no_threads_no_executor_and_no_world_that_hangs() -> None:
    loop, _ = world()

    async def use_thread() -> None:
        await asyncio.to_thread(int)

    with pytest.raises(AssertionError, match="executor"):
        loop.run(use_thread())

    async def wait_for_nothing() -> None:
        await asyncio.Event().wait()

    hung, _ = world()
    with pytest.raises(LoopHung, match="nothing is left"):
        hung.run(wait_for_nothing())
