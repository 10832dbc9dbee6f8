"""Who forgets names waits for work that may still carry them, and for no later work."""

from __future__ import annotations

import asyncio

from ledger.engine.underway import Underway


async def settled(task: asyncio.Task[None]) -> bool:
    """Whether it has ended, when what is ready has run."""
    for _ in range(4):
        await asyncio.sleep(0)
    return task.done()


async def test_what_works_as_it_is_asked_is_waited_for_and_nothing_later() -> None:
    underway = Underway()
    await underway.passed()  # nothing works
    first, second = underway.begin(), underway.begin()
    two_askers = [asyncio.create_task(underway.passed()) for _ in range(2)]
    assert not await settled(two_askers[0])
    later = underway.begin()
    underway.end(first)
    assert not await settled(two_askers[0])
    underway.end(second)
    assert await settled(two_askers[0]) and await settled(two_askers[1])
    third_asker = asyncio.create_task(underway.passed())
    assert not await settled(third_asker)
    underway.end(later)
    assert await settled(third_asker)


async def test_a_block_has_ended_however_it_ends_and_whoever_stopped_waiting() -> None:
    underway = Underway()
    try:
        with underway.working():
            asker = asyncio.create_task(underway.passed())
            assert not await settled(asker)
            asker.cancel()
            raise LookupError
    except LookupError:
        pass
    await underway.passed()
