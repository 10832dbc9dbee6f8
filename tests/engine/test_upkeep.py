"""Work in slices: what counts as a pause of the writer, and what does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.core.limits import MILLISECOND_US
from ledger.engine.upkeep import Slices
from tests.engine.ledger_world import ManualClock


async def test_the_wait_for_a_page_is_no_pause_and_the_work_on_it_is() -> None:
    clock = ManualClock()
    slices = Slices(clock)

    async def read() -> AsyncIterator[int]:
        for page in (1, 7, 3):
            clock.advance(300 * MILLISECOND_US)  # others run meanwhile
            yield page
        clock.advance(300 * MILLISECOND_US)

    slices.begin()
    async for milliseconds in slices.pages(read()):
        clock.advance(milliseconds * MILLISECOND_US)
    clock.advance(2 * MILLISECOND_US)
    slices.end()
    assert slices.longest_us == 7 * MILLISECOND_US


async def test_a_slice_ends_where_it_rests() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    slices.begin()
    clock.advance(4 * MILLISECOND_US)
    assert slices.over()
    await slices.rest()
    assert not slices.over()
    clock.advance(3 * MILLISECOND_US)
    slices.end()
    assert slices.longest_us == 4 * MILLISECOND_US
