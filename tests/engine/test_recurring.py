"""Periods are issued by the writer's clock alone: asleep, restarted or paged out, each once."""

from __future__ import annotations

from ledger.core.catalog import asset_number
from ledger.core.commands import StartRecurring
from ledger.core.digest import digest
from ledger.core.events import (
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringStarted,
    RecurringTerms,
)
from ledger.core.limits import DAY_US
from ledger.engine.ledger import Ledger
from ledger.engine.writer import Writer
from ledger.journal.directory import TENANT_DEFAULT, Entry
from tests.engine.ledger_world import World
from tests.engine.test_checkpoints import record, replayed, until
from tests.engine.test_paging import page_all_out

ASSET = asset_number(TENANT_DEFAULT, 1)
WEEKLY = RecurringTerms(
    GrantKind.PROMOTIONAL, ASSET, 70, 0, 0, 0, (), PeriodUnit.WEEK, 1, 0, "", Proration.NONE, 0
)


async def started(ledger: Ledger, entry: Entry) -> int:
    command = StartRecurring(ledger.family(entry).request("start"), entry.number, WEEKLY, b"", 0, 0)
    ticket = await ledger.submit(entry, command)
    (event,) = ticket.outcomes
    assert isinstance(event, RecurringStarted), event
    return event.recurring


def issued(writer: Writer, number: int) -> list[int]:
    """Starts of the periods that were issued."""
    account = writer.state.recurring[number].account
    return [grant.effective_at for grant in account.grants if grant.recurring == number]


async def test_periods_are_issued_while_nobody_calls() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    writer = ledger.writers[0]
    first = issued(writer, number)
    for week in range(1, 4):
        world.clock.advance(7 * DAY_US + 1_000)
        writer._wake.set()
        await until(lambda week=week: len(issued(writer, number)) == week + 1)
    assert issued(writer, number) == [first[0] + 7 * DAY_US * week for week in range(4)]
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_period_is_issued_while_its_family_is_out_of_memory() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    writer = ledger.writers[0]
    await page_all_out(writer)
    assert not writer.state.recurring
    world.clock.advance(7 * DAY_US + 1_000)
    writer._wake.set()
    await until(lambda: number in writer.state.recurring and len(issued(writer, number)) == 2)
    await record(world, ledger, entry, "after")
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_restart_after_weeks_issues_each_missed_period_once() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    first = issued(ledger.writers[0], number)[0]
    await ledger.writers[0].checkpoint()
    await ledger.stop()
    world.clock.advance(30 * DAY_US)
    ledger = await world.ledger()
    await record(world, ledger, entry, "wakes")
    writer = ledger.writers[0]
    assert issued(writer, number) == [first + 7 * DAY_US * week for week in range(5)]
    await ledger.stop()
    ledger = await world.ledger()  # and again: nothing more is due
    await record(world, ledger, entry, "again")
    assert len(issued(ledger.writers[0], number)) == 5
    assert digest(await ledger.writers[0].whole()) == digest(await replayed(world, ledger))
    await ledger.stop()
