"""What the writer promises: durable before answered, in order, once; and how it fails (rule I6)."""

from __future__ import annotations

import asyncio
import gc

import msgspec
import pytest

from ledger.core.books import BooksUnbalanced
from ledger.core.commands import AbandonRequest, AuthorizeHold
from ledger.core.digest import digest
from ledger.core.events import HoldAuthorized, RequestAbandoned, UsageRecorded
from ledger.core.limits import MINUTE_US
from ledger.core.outcomes import Reason, Refusal
from ledger.engine import deciding
from ledger.engine import writer as writer_module
from ledger.engine.batch import BATCH_COMMANDS_MAX
from ledger.engine.clock import SKEW_MAX_US, ClockSkewed, WriterTime, check_skew
from ledger.engine.configuration import AssetBody
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import OPENINGS_MAX, Replayer
from ledger.engine.ticket import (
    NotApplied,
    NotAppliedReason,
    OutcomeUnknown,
    PositionAhead,
    Replay,
    Ticket,
)
from ledger.journal.configuration import ConfigurationKind
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.memory import AppendFault
from tests.engine.ledger_world import CHAT, PRICE, ManualClock, World, entry_seqs
from tests.patience import HANGS_S


async def test_a_reply_waits_until_its_batch_is_durable() -> None:
    world = World()
    ledger, entry = await world.funded()
    world.gate = asyncio.Event()
    waiting = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "e1")))
    while ledger.writers[0].state.keys.find(ledger.family(entry).usage("test", "e1")) is None:
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done(), "decided, not durable: no answer"
    world.gate.set()
    ticket = await waiting
    assert isinstance(ticket.outcomes[0], UsageRecorded)
    assert ledger.writers[0].durable_position == ticket.position
    await ledger.stop()


async def test_an_answered_ticket_is_freed_without_the_garbage_collector() -> None:
    """A cycle would keep thousands of commands and entries for a pass that stops the loop."""
    world = World()
    ledger, entry = await world.funded()
    gc.collect()
    kept = {id(each) for each in gc.get_objects() if type(each) is Ticket}  # by tests that failed
    gc.disable()
    try:
        for number in range(20):
            await ledger.submit(entry, world.usage(ledger, entry, f"e{number}"))
        await asyncio.sleep(0)
        left = [each for each in gc.get_objects() if type(each) is Ticket and id(each) not in kept]
        assert len(left) <= 1, "at most the last one, which the writer may still have in hand"
    finally:
        gc.enable()
    await ledger.stop()


async def test_a_refusal_waits_for_what_it_saw() -> None:
    """A conflict answered early would reveal a state that may vanish."""
    world = World()
    ledger, entry = await world.funded()
    world.gate = asyncio.Event()
    first = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "e1", 1)))
    second = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "e1", 2)))
    read = asyncio.create_task(ledger.writers[0].read(lambda state: len(state.keys)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not (first.done() or second.done() or read.done())
    world.gate.set()
    refusal = (await second).outcomes[0]
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (Reason.CONFLICT, "quantities")
    assert isinstance((await first).outcomes[0], UsageRecorded)
    await read
    await ledger.stop()


async def test_while_one_batch_commits_the_next_one_fills() -> None:
    world = World()
    ledger, entry = await world.funded()
    before = max(seq for _, seq in world.storage.store)
    world.gate = asyncio.Event()
    tasks = [
        asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, f"e{n}")))
        for n in range(20)
    ]
    for _ in range(100):
        await asyncio.sleep(0)
    world.gate.set()
    tickets = await asyncio.gather(*tasks)
    batches = {ticket.batch_seq for ticket in tickets}
    assert max(batches) - before <= 3, "group commit by back-pressure, not a commit an event"
    positions = [ticket.entry_seq(0) for ticket in tickets]
    assert positions == sorted(positions), "decided in the order of submission"
    await ledger.stop()


async def test_the_same_id_again_is_answered_with_the_first_outcome() -> None:
    world = World()
    ledger, entry = await world.funded()
    first = await ledger.submit(entry, world.usage(ledger, entry, "e1", 5))
    again = await ledger.submit(entry, world.usage(ledger, entry, "e1", 5))
    replay = again.outcomes[0]
    assert isinstance(replay, Replay)
    assert replay.event == first.outcomes[0]
    assert entry_seqs(again) == entry_seqs(first)
    twice = await ledger.writers[0].submit([world.usage(ledger, entry, "e2")] * 2)
    assert isinstance(twice.outcomes[0], UsageRecorded)
    assert isinstance(twice.outcomes[1], Replay), "a duplicate within one batch counts once"
    await ledger.stop()


async def test_any_number_of_retries_is_answered_while_nothing_new_comes() -> None:
    """Commands that record nothing must not fill a batch that is never committed."""
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    events = [world.usage(ledger, entry, f"e{n}") for n in range(BATCH_COMMANDS_MAX)]
    await writer.submit(events)
    async with asyncio.timeout(HANGS_S):
        for _ in range(3):
            again = await writer.submit(events)
            assert {type(outcome) for outcome in again.outcomes} == {Replay}
        new = await ledger.submit(entry, world.usage(ledger, entry, "new"))
    assert isinstance(new.outcomes[0], UsageRecorded)
    await ledger.stop()


async def test_a_writer_that_stops_on_a_bug_leaves_no_caller_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    ledger, entry = await world.funded()
    rows = len(world.storage.store)

    def fail(*_: object) -> None:
        raise BooksUnbalanced("as if")

    monkeypatch.setattr(deciding, "execute", fail)
    async with asyncio.timeout(HANGS_S):
        with pytest.raises(NotApplied):
            await ledger.submit(entry, world.usage(ledger, entry, "e1"))
        with pytest.raises(BooksUnbalanced):
            await ledger.stop()
    assert len(world.storage.store) == rows, "nothing was written"


async def test_an_old_id_is_answered_from_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.recent.RECENT_EVENTS_MAX", 1)
    world = World()
    ledger, entry = await world.funded()
    first = await ledger.submit(entry, world.usage(ledger, entry, "old", 5))
    for n in range(5):
        await ledger.submit(entry, world.usage(ledger, entry, f"later-{n}"))
    mixed = await ledger.writers[0].submit(
        [
            world.usage(ledger, entry, "new"),
            world.usage(ledger, entry, "old", 5),
            world.usage(ledger, entry, "old", 6),
        ]
    )
    fresh, replay, conflict = mixed.outcomes
    assert isinstance(fresh, UsageRecorded)
    assert isinstance(replay, Replay)
    assert replay.event == first.outcomes[0]
    assert replay.plan is not None
    assert replay.plan.product == "chat"
    assert isinstance(conflict, Refusal)
    assert conflict.reason == Reason.CONFLICT
    await ledger.stop()


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        (AppendFault.UNKNOWN_WRITTEN, True),
        (AppendFault.UNKNOWN_NOT_WRITTEN, False),
        (AppendFault.UNAVAILABLE, False),
    ],
)
async def test_a_failed_commit_drops_reopens_and_counts_once(
    fault: AppendFault, written: bool
) -> None:
    """Only the batch in flight is unknown; what was decided on top is 'not applied, retry'."""
    world = World()
    ledger, entry = await world.funded()
    faults = [fault]
    world.fault = lambda row: faults.pop() if faults else None
    world.gate = asyncio.Event()
    first = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "flight", 7)))
    for _ in range(20):
        await asyncio.sleep(0)
    on_top = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "on-top", 7)))
    for _ in range(20):
        await asyncio.sleep(0)
    world.gate.set()
    definite = fault is AppendFault.UNAVAILABLE
    with pytest.raises(NotApplied if definite else OutcomeUnknown):
        await first
    with pytest.raises(NotApplied) as refused:
        await on_top
    assert refused.value.reason == NotAppliedReason.WRITER_REOPENING
    async with asyncio.timeout(HANGS_S):
        await ledger.writers[0].opened.wait()
    key = ledger.family(entry).usage("test", "flight")
    found = await ledger.writers[0].recorded.under(key)
    assert (found is not None) == written
    again = await ledger.writers[0].submit(
        [world.usage(ledger, entry, "flight", 7), world.usage(ledger, entry, "on-top", 7)]
    )
    assert isinstance(again.outcomes[0], Replay if written else UsageRecorded)
    assert isinstance(again.outcomes[1], UsageRecorded)
    books = ledger.writers[0].state.books.accounts.values()
    used = [book.credits_posted for book in books if book.name == "chat"]
    assert used == [14 * PRICE], "each counted once"
    await ledger.stop()


async def test_a_second_writer_fences_the_first() -> None:
    """Of two writers one gets a unique violation; it reopens behind the other's rows."""
    world = World()
    first, entry = await world.funded()
    second = await world.ledger()
    with pytest.raises(NotApplied):
        await first.submit(entry, world.usage(first, entry, "lost"))
    recorded = await _until_applied(world, first, entry)
    assert isinstance(recorded, UsageRecorded)
    with pytest.raises(NotApplied):
        await second.submit(entry, world.usage(second, entry, "stale"))
    epochs = first.writers[0].state.epoch
    assert epochs == 3
    await first.stop()
    await second.stop()


async def _until_applied(world: World, ledger: Ledger, entry: Entry) -> object:
    async with asyncio.timeout(HANGS_S):
        await ledger.writers[0].opened.wait()
    ticket = await ledger.submit(entry, world.usage(ledger, entry, "kept"))
    return ticket.outcomes[0]


async def test_restart_replays_to_the_same_bytes() -> None:
    world = World(shards=2)
    ledger, entry = await world.funded()
    for n in range(10):
        await ledger.submit(entry, world.usage(ledger, entry, f"e{n}", n + 1))
    await ledger.stop()
    writer = ledger.writers[entry.shard]
    replayer = Replayer(entry.shard, writer._codec, ledger.configurations)
    async for row in world.storage.journal(entry.shard).read(0):
        await replayer.take(row)
    assert digest(replayer.state) == digest(await writer.whole())
    reopened = await world.ledger()
    again = await reopened.submit(entry, world.usage(reopened, entry, "e3", 4))
    assert isinstance(again.outcomes[0], Replay), "dedupe survives the restart"
    await reopened.stop()


async def test_a_full_queue_refuses_and_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    ledger, entry = await world.funded()
    monkeypatch.setattr(writer_module, "QUEUE_COMMANDS_MAX", 3)
    world.gate = asyncio.Event()
    writer = ledger.writers[0]
    accepted = asyncio.create_task(
        writer.submit([world.usage(ledger, entry, f"q{n}") for n in range(3)])
    )
    await asyncio.sleep(0)
    with pytest.raises(NotApplied) as refused:
        await writer.submit([world.usage(ledger, entry, "one-too-many")])
    assert refused.value.reason == NotAppliedReason.QUEUE_FULL
    assert refused.value.retry_after_us > 0
    world.gate.set()
    await accepted
    await ledger.stop()


async def test_a_deadline_is_checked_as_the_item_leaves_the_queue() -> None:
    world = World()
    ledger, entry = await world.funded()
    world.clock.advance(1_000)
    with pytest.raises(NotApplied) as refused:
        await ledger.submit(entry, world.usage(ledger, entry, "late"), deadline_us=500)
    assert refused.value.reason == NotAppliedReason.DEADLINE
    assert (
        await ledger.writers[0].recorded.under(ledger.family(entry).usage("test", "late")) is None
    )
    await ledger.stop()


async def test_cancelling_a_caller_changes_nothing_once_decided() -> None:
    world = World()
    ledger, entry = await world.funded()
    world.gate = asyncio.Event()
    task = asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, "gone")))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    world.gate.set()
    found = await ledger.writers[0].recorded.under(ledger.family(entry).usage("test", "gone"))
    assert found is not None
    await ledger.stop()


async def test_a_hold_expires_by_itself_as_an_entry() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    hold = AuthorizeHold(ledger.family(entry).request("hold"), entry.number, CHAT, (5,), MINUTE_US)
    ticket = await writer.submit([hold])
    assert isinstance(ticket.outcomes[0], HoldAuthorized)
    world.clock.advance(2 * MINUTE_US)
    async with asyncio.timeout(HANGS_S):
        while (await writer.read(lambda state: len(state.holds)))[0]:
            await asyncio.sleep(0)
    held, _ = await writer.read(
        lambda state: [book.debits_pending for book in state.books.accounts.values()]
    )
    assert set(held) == {0}
    await ledger.stop()


async def test_an_idle_shard_posts_what_is_due_when_its_machine_was_suspended() -> None:
    """The wall clock jumps and the monotonic one does not: the journal's clock confirms it."""
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    hold = AuthorizeHold(ledger.family(entry).request("hold"), entry.number, CHAT, (5,), MINUTE_US)
    await writer.submit([hold])
    world.clock.wall_us += 60 * MINUTE_US
    rows = len(world.storage.store)
    async with asyncio.timeout(HANGS_S):
        while len(world.storage.store) == rows:
            writer._wake.set()  # as its timer does, at least once a second
            await asyncio.sleep(0)
    assert not writer.state.holds, "no command came, and the expiry is posted"
    await ledger.stop()


async def test_a_version_that_another_process_applied_meanwhile_is_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    ledger, _ = await world.funded()
    writer = ledger.writers[0]
    reached, _ = await writer.read(lambda state: state.configuration[TENANT_DEFAULT])
    read = writer.read

    async def stale(*arguments: object) -> tuple[int, int]:
        monkeypatch.setattr(writer, "read", read)
        return reached - 1, 0

    monkeypatch.setattr(writer, "read", stale)
    await ledger.apply_published(TENANT_DEFAULT)
    assert writer.state.configuration[TENANT_DEFAULT] == reached
    await ledger.stop()


async def test_get_outcome_can_make_not_found_final() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    key = ledger.family(entry).usage("test", "never")
    assert await writer.recorded.under(key) is None
    tombstone = await writer.submit([AbandonRequest(key, entry.number)])
    assert isinstance(tombstone.outcomes[0], RequestAbandoned)
    late = await writer.submit([world.usage(ledger, entry, "never")])
    refusal = late.outcomes[0]
    assert isinstance(refusal, Refusal)
    assert refusal.reason == Reason.ABANDONED
    await ledger.stop()


async def test_a_read_never_answers_before_its_position() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    ticket = await ledger.submit(entry, world.usage(ledger, entry, "e1"))
    _, position = await writer.read(lambda state: None, ticket.position)
    assert position >= ticket.position
    with pytest.raises(PositionAhead):
        await writer.read(lambda state: None, position + 1)
    await ledger.stop()


async def test_stopping_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    world = World()
    ledger, entry = await world.funded()
    accepted = [
        asyncio.create_task(ledger.submit(entry, world.usage(ledger, entry, f"e{n}")))
        for n in range(5)
    ]
    await asyncio.sleep(0)
    stopping = asyncio.create_task(ledger.writers[0].stop())
    await asyncio.sleep(0)
    with pytest.raises(NotApplied) as refused:
        await ledger.submit(entry, world.usage(ledger, entry, "too-late"))
    assert refused.value.reason == NotAppliedReason.SHUTTING_DOWN
    for ticket in await asyncio.gather(*accepted):
        assert isinstance(ticket.outcomes[0], UsageRecorded)
    await stopping


@pytest.mark.parametrize(
    "fault",
    [AppendFault.UNKNOWN_WRITTEN, AppendFault.UNKNOWN_NOT_WRITTEN, AppendFault.CONFLICT],
)
async def test_a_shard_that_cannot_open_waits_between_attempts_and_can_be_stopped(
    fault: AppendFault,
) -> None:
    world = World()
    ledger, _ = await world.funded()
    await ledger.stop()
    rows = len(world.storage.store)
    world.fault = lambda row: fault
    again = Ledger(world.storage, world.clock)
    again.start()
    await asyncio.sleep(0.02)
    async with asyncio.timeout(HANGS_S):
        await again.stop()
    assert len(world.storage.store) - rows <= 2 * OPENINGS_MAX, "no journal full of openings"


async def test_a_configuration_published_before_a_crash_reaches_every_shard() -> None:
    world = World(shards=3)
    ledger = await world.ledger()
    await ledger.publish_asset(1, "USD", 9, "money")
    await ledger.stop()
    await world.storage.configuration.publish(
        1, ConfigurationKind.ASSET, "EUR", msgspec.msgpack.encode(AssetBody("EUR", 2, "money")), 1
    )
    reopened = await world.ledger()
    for writer in reopened.writers:
        assert writer.state.configuration == {1: 2}
        assert writer.state.catalog.asset_of(1, "EUR") is not None
    await reopened.stop()


def test_a_clock_far_from_the_journals_does_not_open() -> None:
    clock = ManualClock()
    check_skew(clock, clock.wall_us + SKEW_MAX_US)
    with pytest.raises(ClockSkewed, match="synchronise"):
        check_skew(clock, clock.wall_us + SKEW_MAX_US + 1)


def test_a_jump_while_the_shard_is_replayed_is_one() -> None:
    """The clock is believed as it was when it agreed with the journal's (rule T5)."""
    clock = ManualClock()
    checked = check_skew(clock, clock.wall_us)
    clock.advance(2_000_000)
    clock.wall_us += 3_600_000_000
    time = WriterTime(clock, 0, checked)
    assert time.next() == checked.wall_us + 2_000_000
    assert time.jumped


def test_recorded_time_is_monotonic_and_does_not_follow_a_jump() -> None:
    clock = ManualClock()
    time = WriterTime(clock, clock.wall_us)
    first = time.next()
    assert first == clock.wall_us + 1, "max(wall, last + 1)"
    clock.wall_us -= 1_000_000
    assert time.next() == first + 1, "never back"
    clock.wall_us += 3_600_000_000
    clock.elapsed_us += 10
    jumped = time.next()
    assert time.jumped
    assert jumped < first + 1_000, "an hour ahead of the monotonic clock: not believed"
    time.confirm(clock.wall_us)
    assert time.next() == clock.wall_us, "the journal's clock agrees: believed"
