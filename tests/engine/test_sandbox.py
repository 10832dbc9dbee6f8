"""A tenant's clock is moved (rule T4): on every shard, once, and whatever it makes due happens.

Which tenants are sandboxes is the edge's to know; here the default one stands for any.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ledger.core.commands import NO_NAMES, RecordUsage
from ledger.core.digest import digest
from ledger.core.events import UsageRecorded
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.engine.configuration import ClockBody
from ledger.engine.ledger import Ledger
from ledger.engine.sandbox import (
    ADVANCE_MAX_US,
    LATEST_US,
    ClockMoved,
    ClockReason,
    ClockRefused,
    _Stream,
    overdue,
)
from ledger.engine.ticket import Replay
from ledger.journal.configuration import ConfigurationEntry, ConfigurationKind
from ledger.journal.directory import TENANT_DEFAULT, Entry
from tests.engine.ledger_world import CHAT, START_US, World
from tests.engine.test_checkpoints import replayed
from tests.engine.test_paging import page_all_out
from tests.engine.test_recurring import issued, started
from tests.patience import HANGS_S

TENANT = TENANT_DEFAULT
PATIENCE_US = 5_000_000


async def moved(ledger: Ledger, name: str, by_us: int = 0, to_us: int = 0) -> ClockMoved:
    """Move the clock, and wait until nothing is left of what that made due."""
    found = await ledger.advance_clock(TENANT, name, by_us, to_us)
    assert isinstance(found, ClockMoved), found
    async with asyncio.timeout(HANGS_S):
        assert await ledger.settle_clock(TENANT, found.body.reached, PATIENCE_US) == 0
    return found


def now_usage(ledger: Ledger, entry: Entry, name: str) -> RecordUsage:
    """Usage without a time of its own."""
    key = ledger.family(entry).usage("test", name)
    return RecordUsage(key, entry.number, CHAT, (1,), 0, NO_NAMES)


async def test_all_that_a_move_makes_due_is_posted_when_it_is_answered() -> None:
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    writer = ledger.writers[0]
    first = issued(writer, number)[0]
    found = await moved(ledger, "weeks", 28 * DAY_US)
    assert (found.body.offset, found.body.reached) == (28 * DAY_US, START_US + 28 * DAY_US)
    assert issued(writer, number) == [first + 7 * DAY_US * week for week in range(5)]
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    again = await moved(ledger, "weeks", 28 * DAY_US)
    assert again == ClockMoved(found.body, True), "the same request moves it once (rule I5)"
    assert writer.state.offsets == {TENANT: 28 * DAY_US}
    to = await moved(ledger, "to", to_us=START_US + 35 * DAY_US)
    assert to.body.offset == 35 * DAY_US and len(issued(writer, number)) == 6
    await ledger.stop()


async def test_answers_are_in_the_time_of_the_tenant_also_when_they_are_given_again() -> None:
    world = World()
    ledger, entry = await world.funded()
    await moved(ledger, "day", DAY_US)
    ticket = await ledger.submit(entry, now_usage(ledger, entry, "a"))
    (event,) = ticket.outcomes
    assert isinstance(event, UsageRecorded)
    assert event.effective_at == ticket.recorded_at >= START_US + DAY_US
    assert ledger.sandboxes.now_us(TENANT) == world.clock.now_us() + DAY_US
    writer = ledger.writers[0]
    for found in (
        await writer.recorded.under(event.key),
        await _from_the_journal(world, event.key),
    ):
        assert isinstance(found, Replay) and found.recorded_at == ticket.recorded_at
    await ledger.stop()


async def _from_the_journal(world: World, key: bytes) -> Replay | None:
    ledger = await world.ledger()
    try:
        return await ledger.writers[0].recorded.under(key)
    finally:
        await ledger.stop()


@pytest.mark.parametrize("where", ["in memory", "paged out", "in a checkpoint"])
async def test_a_writer_that_dies_between_the_move_and_the_sweep(where: str) -> None:
    """Its successor posts everything, once."""
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    first = issued(ledger.writers[0], number)[0]
    if where != "in memory":
        await ledger.writers[0].checkpoint()
    if where == "paged out":
        await page_all_out(ledger.writers[0])
    await ledger.stop()
    body = ClockBody("weeks", 28 * DAY_US, START_US + 28 * DAY_US, 28 * DAY_US)
    made = await world.storage.configuration.publish(
        TENANT, ConfigurationKind.CLOCK, "clock", msgspec.msgpack.encode(body), 1, 0
    )
    assert isinstance(made, ConfigurationEntry)  # and the server died before it said so
    for _ in range(2):
        ledger = await world.ledger()
        found = await moved(ledger, "weeks", 28 * DAY_US)
        assert found.replayed and ledger.sandboxes.offset(TENANT) == 28 * DAY_US
        await ledger.writers[0].bring_in((entry.number,))
        starts = issued(ledger.writers[0], number)
        assert starts == [first + 7 * DAY_US * week for week in range(5)]
        assert digest(await ledger.writers[0].whole()) == digest(await replayed(world, ledger))
        await ledger.stop()


async def test_a_move_between_a_checkpoint_and_a_restart() -> None:
    """The family stays packed from before the move; its timer is by the tenant's clock (T4)."""
    world = World()
    ledger, entry = await world.funded()
    number = await started(ledger, entry)
    await ledger.writers[0].checkpoint()
    found = await ledger.advance_clock(TENANT, "most of a week", 6 * DAY_US, 0)
    assert isinstance(found, ClockMoved)
    await ledger.stop()
    ledger = await world.ledger()
    writer = ledger.writers[0]
    assert writer.state.paged_families and not writer.state.recurring
    assert writer.peek(lambda state: overdue(state, TENANT, found.body.reached)) == 0
    await moved(ledger, "the rest", DAY_US + 1_000)
    await writer.bring_in((entry.number,))
    assert len(issued(writer, number)) == 2
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_every_shard_goes_by_the_clock_before_the_answer() -> None:
    world = World(shards=3)
    ledger, _ = await world.funded()
    await moved(ledger, "day", DAY_US)
    assert [writer.state.offsets for writer in ledger.writers] == [{TENANT: DAY_US}] * 3
    await ledger.stop()


@pytest.mark.parametrize(
    ("by_us", "to_us", "reason"),
    [
        (0, START_US, ClockReason.CLOCK_BACKWARDS),
        (ADVANCE_MAX_US + 1, 0, ClockReason.CLOCK_TOO_FAR),
        (0, LATEST_US + 1, ClockReason.CLOCK_TOO_FAR),
    ],
)
async def test_only_forward_and_not_too_far(by_us: int, to_us: int, reason: ClockReason) -> None:
    world = World()
    ledger, _ = await world.funded()
    await moved(ledger, "day", DAY_US)
    before = digest(ledger.writers[0].state)
    found = await ledger.advance_clock(TENANT, "bad", by_us, to_us)
    assert isinstance(found, ClockRefused) and found.reason is reason
    assert found.field == ("to_us" if to_us else "by_us")
    conflict = await ledger.advance_clock(TENANT, "day", DAY_US + 1, 0)
    assert isinstance(conflict, ClockRefused) and conflict.reason is ClockReason.CONFLICT
    assert digest(ledger.writers[0].state) == before
    await ledger.stop()


async def test_moves_at_once_come_one_after_the_other() -> None:
    world = World()
    ledger, _ = await world.funded()
    made = await asyncio.gather(
        *[ledger.advance_clock(TENANT, f"move-{each}", DAY_US, 0) for each in range(5)]
    )
    offsets = sorted(each.body.offset for each in made if isinstance(each, ClockMoved))
    assert offsets == [DAY_US * each for each in range(1, 6)]
    assert ledger.writers[0].state.offsets == {TENANT: 5 * DAY_US}
    await ledger.stop()


def test_a_reader_that_is_slower_takes_no_move_back() -> None:
    """Two calls read the moves side by side: whichever ends last, the newest is the last (rule T4);
    the next move is published after that version, else it would be refused for ever."""
    moves = [ClockBody(str(version), version * DAY_US, 0) for version in range(4)]
    stream = _Stream()
    for version in (1, 2, 3, 2):
        stream.add(version, moves[version])
    assert (stream.version, stream.last) == (3, moves[3])
    assert stream.by_request == {str(version): moves[version] for version in (1, 2, 3)}


async def test_what_is_refused_answers_in_the_time_of_the_tenant() -> None:
    """Usage of tomorrow by the servers' clock is today's in the sandbox (rules I4, T4)."""
    world = World()
    ledger, entry = await world.funded()
    tomorrow = world.usage(ledger, entry, "tomorrow")
    tomorrow.effective_at += DAY_US
    (outcome,) = (await ledger.submit(entry, tomorrow)).outcomes
    assert isinstance(outcome, Refusal)
    await moved(ledger, "day", DAY_US)
    (outcome,) = (await ledger.submit(entry, tomorrow)).outcomes
    assert isinstance(outcome, UsageRecorded)
    await ledger.stop()
