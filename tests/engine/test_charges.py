"""Fees are charged and earned by the writer's clock alone: asleep, restarted or paged out, once."""

from __future__ import annotations

from ledger.core.catalog import asset_number
from ledger.core.commands import ChangeQuantity, StartCharge
from ledger.core.digest import digest
from ledger.core.events import (
    ChargeBilling,
    ChargePayer,
    ChargeStarted,
    ChargeTerms,
    PeriodUnit,
    Proration,
    Timing,
)
from ledger.core.limits import DAY_US
from ledger.engine.ledger import Ledger
from ledger.engine.writer import Writer
from ledger.journal.directory import TENANT_DEFAULT, Entry
from tests.engine.ledger_world import World
from tests.engine.test_checkpoints import record, replayed, until
from tests.engine.test_paging import page_all_out

WEEKLY = ChargeTerms(
    "seats",
    asset_number(TENANT_DEFAULT, 1),
    70,
    ChargeBilling.ADVANCE,
    PeriodUnit.WEEK,
    1,
    0,
    "",
    Proration.BOTH,
    True,
    True,
    ChargePayer.ACCOUNT,
)


async def started(ledger: Ledger, entry: Entry) -> int:
    family = ledger.family(entry)
    begun = StartCharge(family.request("start"), entry.number, "seats", WEEKLY, 3)
    ticket = await ledger.submit(entry, begun)
    (event,) = ticket.outcomes
    assert isinstance(event, ChargeStarted), event
    return event.charge


def billed(writer: Writer, number: int) -> int:
    """Everything that was charged: nobody bills it here."""
    return sum(book.owed for book in writer.state.charges[number].account.overage.values())


async def test_weeks_are_charged_while_nobody_calls() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    writer = ledger.writers[0]
    assert billed(writer, number) == 210
    for week in range(2, 5):
        world.clock.advance(7 * DAY_US + 1_000)
        writer._wake.set()
        await until(lambda week=week: billed(writer, number) == 210 * week)
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_week_is_charged_while_its_family_is_out_of_memory() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    writer = ledger.writers[0]
    await page_all_out(writer)
    assert not writer.state.charges
    world.clock.advance(7 * DAY_US + 1_000)
    writer._wake.set()
    await until(lambda: number in writer.state.charges and billed(writer, number) == 420)
    await record(world, ledger, entry, "after")
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_restart_after_weeks_charges_each_missed_week_once() -> None:
    """By the quantity that it began with, which changed while the checkpoint was there."""
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    await ledger.writers[0].checkpoint()
    key = ledger.family(entry).request("next")
    await ledger.submit(entry, ChangeQuantity(key, entry.number, number, 1, Timing.NEXT_PERIOD))
    await ledger.stop()
    world.clock.advance(30 * DAY_US)
    for wakes in ("wakes", "again"):  # when nothing more is due
        ledger = await world.ledger()
        await record(world, ledger, entry, wakes)
        assert billed(ledger.writers[0], number) == 210 + 4 * 70
        assert digest(await ledger.writers[0].whole()) == digest(await replayed(world, ledger))
        await ledger.stop()
