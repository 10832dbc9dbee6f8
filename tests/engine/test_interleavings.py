"""What may happen between two steps of a writer while something else of it is under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from ledger.core.digest import digest
from ledger.core.events import UsageRecorded
from ledger.core.limits import MILLISECOND_US
from ledger.engine.resolve import AWAY_MAX_US
from ledger.engine.ticket import NotApplied
from ledger.engine.upkeep import Upkeep
from ledger.journal.errors import JournalConflict, JournalUnavailable
from tests.engine.ledger_world import ManualClock, World
from tests.engine.test_checkpoints import accounts, record, replayed, settle, until
from tests.engine.test_paging import page_all_out
from tests.patience import HANGS_S


@dataclass
class BusyClock(ManualClock):
    """Each look takes a while, so that every slice of work is over at once."""

    look_us: int = 0

    def monotonic_us(self) -> int:
        self.elapsed_us += self.look_us
        return self.elapsed_us


async def test_more_families_may_be_needed_at_once_than_may_stay() -> None:
    clock = BusyClock()
    world = World(clock=clock, upkeep=Upkeep(resident_families=1))
    ledger, _ = await world.funded()
    entries = await accounts(ledger, 40)
    writer = ledger.writers[0]
    await page_all_out(writer)
    clock.look_us = 3 * MILLISECOND_US
    commands = [world.usage(ledger, entry, f"e-{entry.account_id}") for entry in entries]

    async def restless() -> None:
        while True:
            writer._wake.set()
            await asyncio.sleep(0)

    waking = asyncio.create_task(restless())
    async with asyncio.timeout(HANGS_S):
        ticket = await writer.submit(commands)
    waking.cancel()
    assert {type(outcome) for outcome in ticket.outcomes} == {UsageRecorded}
    assert writer.failures == 0
    clock.look_us = 0
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_what_is_on_its_way_ends_before_the_state_is_dropped_for_another_reason() -> None:
    """A successor has claimed the checkpoints: it may have read what is still being committed."""
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    answered = asyncio.Event()
    append = writer._journal.append

    async def slow(row: object) -> None:
        await append(row)  # type: ignore[arg-type]
        await answered.wait()

    writer._journal.append = slow  # type: ignore[method-assign, assignment]
    recording = asyncio.create_task(record(world, ledger, entry, "on its way"))
    await until(lambda: writer._commit is not None)
    await settle()
    writer._fail_with(JournalConflict("another process has claimed the checkpoints"))
    await settle(100)
    answered.set()
    [outcome] = await recording
    assert isinstance(outcome, UsageRecorded), "it is recorded: nothing may say that it is not"
    del writer._journal.append  # type: ignore[method-assign]
    async with asyncio.timeout(HANGS_S):
        await writer.opened.wait()
    await ledger.stop()


async def test_what_comes_back_later_goes_in_the_order_of_arrival(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two tickets of a family come back one after the other while no batch has room for them."""
    world = World()
    ledger, entry = await world.funded()
    slow_one, awake = await accounts(ledger, 2)
    writer = ledger.writers[0]
    await page_all_out(writer)
    await writer.bring_in([awake.number])
    gates = {entry.number: asyncio.Event(), slow_one.number: asyncio.Event()}
    families = writer._resolver._store.families

    async def gated(roots: list[int], expected: object) -> object:
        for root in roots:
            await gates[root].wait()
        return await families(roots, expected)  # type: ignore[arg-type]

    writer._resolver._store.families = gated  # type: ignore[method-assign, assignment]
    monkeypatch.setattr("ledger.engine.batch.BATCH_COMMANDS_MAX", 1)
    earlier = asyncio.create_task(record(world, ledger, entry, "earlier"))
    await settle()
    later = asyncio.create_task(
        writer.submit(
            [world.usage(ledger, entry, "later"), world.usage(ledger, slow_one, "with it")]
        )
    )
    await settle()
    world.gate = asyncio.Event()
    filling = [asyncio.create_task(record(world, ledger, awake, f"full-{n}")) for n in range(2)]
    await settle()
    for gate in gates.values():
        gate.set()
        await settle()
    world.gate.set()
    await asyncio.gather(*filling, earlier, later)
    found = [
        await writer.recorded.under(ledger.family(entry).usage("test", name))
        for name in ("earlier", "later")
    ]
    seqs = [each.entry_seq for each in found if each is not None]
    assert len(seqs) == 2 and seqs == sorted(seqs)
    await ledger.stop()


async def test_what_waits_for_a_store_that_stays_away_is_told_and_a_writer_can_stop() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await page_all_out(writer)
    asked = asyncio.Event()

    async def away(roots: list[int], expected: object) -> object:
        asked.set()
        raise JournalUnavailable("as if")

    writer._resolver._store.families = away  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(record(world, ledger, entry, "waits"))
    await asked.wait()
    assert not waiting.done(), "it may be back in a moment"
    stopping = asyncio.create_task(ledger.stop())
    world.clock.advance(AWAY_MAX_US)
    async with asyncio.timeout(HANGS_S):
        with pytest.raises(NotApplied):
            await waiting
        await stopping
