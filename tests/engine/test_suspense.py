"""The writer rates what waits for a price: once, whatever dies meanwhile (rules B8, I6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace

from ledger.core.commands import Names, RecordUsage
from ledger.core.digest import digest
from ledger.core.events import Event, SuspenseRated, UsageRecorded
from ledger.core.limits import HOUR_US
from ledger.core.shapes import Shape
from ledger.core.upcast import UPCASTS
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import Replayer
from ledger.engine.ticket import OutcomeUnknown
from ledger.engine.upkeep import Upkeep
from ledger.journal.codec import BatchCodec
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.memory import AppendFault
from ledger.journal.protocol import JournalRow
from rating.card import PriceRow
from tests.engine.ledger_world import CARD, PRICE, World
from tests.patience import HANGS_S

NEW = Shape("new", (), ("tokens",))
PRICED = replace(
    CARD, rows=(*CARD.rows, PriceRow(product="new", quantity="tokens", price="0.000001"))
)
CODEC: BatchCodec[Event] = BatchCodec(Event, UPCASTS)


async def waits(world: World, ledger: Ledger, entry: Entry, count: int) -> None:
    """So many usage events without a price, of 1, 2, 3... tokens."""
    commands = [
        RecordUsage(
            ledger.family(entry).usage("test", f"e{number}"), entry.number, NEW, (number,),
            world.clock.now_us(), Names("test", f"e{number}"),
        )
        for number in range(1, count + 1)
    ]  # fmt: skip
    ticket = await ledger.writers[0].submit(commands)
    for outcome in ticket.outcomes:
        assert isinstance(outcome, UsageRecorded) and outcome.suspense


async def publish(world: World, ledger: Ledger) -> None:
    """It is published for ever, whatever becomes of the shard that is to apply it."""
    since = world.clock.now_us() - HOUR_US
    with suppress(OutcomeUnknown):
        published = await ledger.publish_card(TENANT_DEFAULT, PRICED, since)
        assert isinstance(published, ConfigurationEntry), published


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0)


async def ratings(world: World) -> list[tuple[int, ...]]:
    """Quantities of what the journal says was rated, in order."""
    return [
        event.quantities
        async for row in world.storage.journal(0).read(0)
        for event in CODEC.decode(row.payload)
        if isinstance(event, SuspenseRated)
    ]


async def used(ledger: Ledger) -> int:
    """What the product used; a read sees every sweep before it."""
    found, _ = await ledger.writers[0].read(
        lambda state: [book.credits_posted for book in state.house.values() if book.name == "new"]
    )
    return sum(found)


async def same_as_replayed(world: World, ledger: Ledger) -> None:
    replayer = Replayer(0, CODEC, ledger.configurations)
    async for row in world.storage.journal(0).read(0):
        await replayer.take(row)
    assert digest(await ledger.writers[0].whole()) == digest(replayer.state)


async def test_the_next_read_after_a_publication_sees_it_rated() -> None:
    """The sweep goes before what is asked afterwards; many are rated over several batches."""
    world = World()
    ledger, entry = await world.funded()
    await waits(world, ledger, entry, 600)
    await publish(world, ledger)
    assert await used(ledger) >= sum(range(1, 257)) * PRICE
    await until(lambda: not ledger.writers[0].state.suspended)
    assert await used(ledger) == sum(range(1, 601)) * PRICE
    assert await ratings(world) == [(number,) for number in range(1, 601)]
    await same_as_replayed(world, ledger)
    await ledger.stop()


@pytest.mark.parametrize(
    "fault",
    [AppendFault.UNKNOWN_WRITTEN, AppendFault.UNKNOWN_NOT_WRITTEN, AppendFault.UNAVAILABLE],
)
async def test_it_is_rated_once_where_the_commit_fails(fault: AppendFault) -> None:
    """What was decided is dropped; what the journal has is replayed; the rest is tried again."""
    world = World()
    ledger, entry = await world.funded()
    await waits(world, ledger, entry, 3)
    faults = [fault]

    def fails(row: JournalRow) -> AppendFault | None:
        rates = any(isinstance(event, SuspenseRated) for event in CODEC.decode(row.payload))
        return faults.pop() if rates and faults else None

    world.fault = fails
    await publish(world, ledger)
    await until(lambda: not faults)
    writer = ledger.writers[0]
    await until(lambda: writer.opened.is_set())
    assert await used(ledger) == 6 * PRICE
    assert await ratings(world) == [(1,), (2,), (3,)]
    await same_as_replayed(world, ledger)
    await ledger.stop()


async def test_a_process_that_opens_rates_what_its_predecessor_did_not() -> None:
    """kill -9 between publication and rating: the row never came, the state knows what waits."""
    world = World()
    ledger, entry = await world.funded()
    await waits(world, ledger, entry, 3)
    world.fault = lambda row: (
        AppendFault.UNAVAILABLE
        if any(isinstance(event, SuspenseRated) for event in CODEC.decode(row.payload))
        else None
    )
    await publish(world, ledger)
    for writer in ledger.writers:
        writer.abandon()  # dead as far as the journal knows
    world.fault = lambda row: None
    successor = await world.ledger()
    assert await used(successor) == 6 * PRICE
    assert await ratings(world) == [(1,), (2,), (3,)]
    await successor.stop()


async def test_a_family_that_left_memory_is_fetched_and_rated() -> None:
    """A publication reaches families that are kept in checkpoints only."""
    world = World(upkeep=Upkeep(idle_us=1))
    ledger, entry = await world.funded()
    await waits(world, ledger, entry, 3)
    writer = ledger.writers[0]
    await writer.checkpoint()
    world.clock.advance(HOUR_US // 2)
    writer._wake.set()
    await until(lambda: entry.root in writer.state.paged_families)
    await publish(world, ledger)
    await until(lambda: not writer.state.suspended)
    assert await used(ledger) == 6 * PRICE
    assert await ratings(world) == [(1,), (2,), (3,)]
    await ledger.stop()
