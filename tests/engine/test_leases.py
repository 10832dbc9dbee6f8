"""Several processes on one storage: who serves what, and a process that stood still.

Time is moved by hand; `beat` has a process look at the leases and returns when it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from ledger.core.books import BooksUnbalanced
from ledger.core.events import AccountPolicy, Event, UsageRecorded, WriterOpened
from ledger.engine import deciding
from ledger.engine.configuration import AssetBody
from ledger.engine.lease import TERM_US, Terms
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, NotAppliedReason, NotOwner, OutcomeUnknown, Replay
from ledger.journal.codec import BatchCodec
from ledger.journal.configuration import ConfigurationEntry, ConfigurationKind
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.leases import Identity, MemoryLeaseStore
from ledger.journal.storage import MemoryStorage
from tests.engine.ledger_world import CARD, World
from tests.patience import HANGS_S

MARGIN_US = Terms().margin_us


@dataclass
class Process:
    """One process of a shared installation: its own view of the storage, its own faults."""

    world: World
    name: str
    gate: asyncio.Event | None = None  # while set and not open, its journal's I/O waits
    pass_first: int = 0  # so many waits at the gate are let through first
    storage: MemoryStorage = field(init=False)
    leases: MemoryLeaseStore = field(init=False)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.storage = self.world.storage.seen_by_another(
            on_append=lambda row: self.world.fault(row), pause=self._pause
        )
        self.leases = self.storage.leases = MemoryLeaseStore(
            self.world.clock.now_us, self.world.storage.leases.shared
        )
        self.ledger = Ledger(
            self.storage, self.world.clock, identity=Identity(self.name, f"{self.name}:1")
        )

    async def _pause(self) -> None:
        if self.gate is not None:
            if self.pass_first:
                self.pass_first -= 1
            else:
                await self.gate.wait()
        await asyncio.sleep(0)

    async def start(self) -> Ledger:
        self.ledger.start()
        await until(lambda: self.ledger.shards.keeper.settled, self)
        async with asyncio.timeout(HANGS_S):
            await self.ledger.opened()
        return self.ledger

    async def beat(self) -> None:
        keeper = self.ledger.shards.keeper
        assert keeper is not None
        if not self.leases.available:
            await keeper._beat()
            return
        keeper.seen.clear()
        keeper.poke()
        async with asyncio.timeout(HANGS_S):
            await keeper.seen.wait()


async def until(condition: Callable[[], bool], *processes: Process) -> None:
    """Let the processes beat until something is so."""
    async with asyncio.timeout(HANGS_S):
        while not condition():
            for process in processes:
                await process.beat()
            await asyncio.sleep(0)


async def funded(process: Process, name: str = "acme") -> Entry:
    ledger = process.ledger
    assert isinstance(
        await ledger.publish_asset(TENANT_DEFAULT, "USD", 9, "money"), ConfigurationEntry
    )
    assert isinstance(await ledger.publish_card(TENANT_DEFAULT, CARD), ConfigurationEntry)
    created = await ledger.create_account(
        TENANT_DEFAULT, name, None, f"create-{name}", AccountPolicy()
    )
    assert isinstance(created, tuple)
    await ledger.submit(created[0], process.world.grant(ledger, created[0], "first", 10**12))
    return created[0]


async def paused_and_replaced(shards: int = 1) -> tuple[World, Process, Process, Entry]:
    """A process that stood still past its lease, and the one that took its shard."""
    world = World(shards)
    old, new = Process(world, "old"), Process(world, "new")
    await old.start()
    entry = await funded(old)
    old.leases.available = False  # it renews nothing: as if it stood still
    world.clock.advance(TERM_US + 1)
    await new.start()
    assert new.ledger.owned == list(range(shards))
    return world, old, new, entry


def openings(world: World) -> list[int]:
    """The epochs that were opened, in order."""
    codec: BatchCodec[Event] = BatchCodec(Event)
    found = []
    for place in sorted(world.storage.store):
        events = codec.decode(world.storage.store[place].payload)
        found += [event.epoch for event in events if isinstance(event, WriterOpened)]
    return found


async def stop(*processes: Process) -> None:
    for process in processes:
        async with asyncio.timeout(HANGS_S):
            await process.ledger.stop()


async def test_one_process_has_every_shard_at_once() -> None:
    only = Process(World(4), "only")
    ledger = await only.start()
    assert ledger.owned == [0, 1, 2, 3]
    assert all(writer.opened.is_set() for writer in ledger.writers)
    await stop(only)
    assert not any(writer.opened.is_set() for writer in ledger.writers)


async def test_a_process_that_joins_gets_its_share_and_a_leaving_one_gives_all() -> None:
    world = World(4)
    first, second = Process(world, "first"), Process(world, "second")
    await first.start()
    entry = await funded(first)
    second.ledger.start()
    await until(lambda: len(second.ledger.owned) == 2, first, second)
    await until(lambda: all(second.ledger.writers[s].opened.is_set() for s in second.ledger.owned))
    assert len(first.ledger.owned) == 2
    owner, other = (first, second) if entry.shard in first.ledger.owned else (second, first)
    with pytest.raises(NotOwner) as refused:
        await other.ledger.submit(entry, world.usage(other.ledger, entry, "elsewhere"))
    assert refused.value.shard == entry.shard
    assert other.ledger.shards.route(entry.shard) == f"{owner.name}:1"
    ticket = await owner.ledger.submit(entry, world.usage(owner.ledger, entry, "here"))
    assert isinstance(ticket.outcomes[0], UsageRecorded)
    first.ledger.shards.leave()
    await until(lambda: second.ledger.owned == [0, 1, 2, 3], first, second)
    await until(lambda: second.ledger.writers[entry.shard].opened.is_set())
    again = await second.ledger.submit(entry, world.usage(second.ledger, entry, "here"))
    assert isinstance(again.outcomes[0], Replay)
    await stop(first, second)


async def test_a_released_shard_is_taken_without_waiting_for_a_term() -> None:
    world = World()
    first, second = Process(world, "first"), Process(world, "second")
    await first.start()
    await stop(first)
    await second.start()
    assert second.ledger.owned == [0], "the clock has not moved"
    await stop(second)


async def test_a_lease_that_runs_keeps_a_successor_from_opening() -> None:
    world = World()
    first, second = Process(world, "first"), Process(world, "second")
    await first.start()
    first.leases.available = False
    world.clock.advance(TERM_US - 1)
    second.ledger.start()
    await second.beat()
    assert second.ledger.owned == []
    world.clock.advance(1)
    await until(lambda: second.ledger.owned == [0], second)
    await stop(first, second)


async def test_a_process_that_stood_still_past_its_lease_answers_nothing() -> None:
    world, old, new, entry = await paused_and_replaced()
    writer = old.ledger.writers[0]
    read = asyncio.create_task(writer.read(lambda state: len(state.keys)))
    again = asyncio.create_task(writer.submit([world.usage(old.ledger, entry, "x", 0)]))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not read.done(), "held until it is known whose the shard is"
    with pytest.raises(NotApplied) as lapsed:
        writer.peek(lambda state: state.entry_seq)
    assert lapsed.value.reason == NotAppliedReason.LEASE_LAPSED
    old.leases.available = True
    await old.beat()
    for waiting in (read, again):
        with pytest.raises(NotOwner):
            await waiting
    with pytest.raises(NotOwner):
        old.ledger.writers[0].peek(lambda state: state.entry_seq)
    assert old.ledger.owned == []
    await stop(new, old)


async def test_it_writes_nothing_and_gives_the_shard_up() -> None:
    """Its append meets the primary key, before it has heard of its loss."""
    world, old, new, entry = await paused_and_replaced()
    rows = len(world.storage.store)
    with pytest.raises(NotOwner):
        await old.ledger.submit(entry, world.usage(old.ledger, entry, "late"))
    assert len(world.storage.store) == rows
    assert openings(world) == [1, 2], "it did not open the shard again"
    await until(lambda: old.ledger.owned == [])
    ticket = await new.ledger.submit(entry, world.usage(new.ledger, entry, "late"))
    assert isinstance(ticket.outcomes[0], UsageRecorded)
    await stop(new, old)


async def test_a_commit_in_flight_while_it_stood_still_meets_the_primary_key() -> None:
    world = World()
    old, new = Process(world, "old"), Process(world, "new")
    await old.start()
    entry = await funded(old)
    old.gate = asyncio.Event()
    in_flight = asyncio.create_task(
        old.ledger.submit(entry, world.usage(old.ledger, entry, "in flight"))
    )
    writer = old.ledger.writers[0]
    await until(lambda: writer._committing is not None)
    on_top = asyncio.create_task(old.ledger.submit(entry, world.usage(old.ledger, entry, "on top")))
    read = asyncio.create_task(writer.read(lambda state: len(state.keys)))
    old.leases.available = False
    world.clock.advance(TERM_US + 1)
    await new.start()
    old.gate.set()
    for waiting in (in_flight, on_top, read):
        with pytest.raises(NotOwner):
            await waiting
    assert openings(world) == [1, 2]
    for event in ("in flight", "on top"):
        ticket = await new.ledger.submit(entry, world.usage(new.ledger, entry, event))
        assert isinstance(ticket.outcomes[0], UsageRecorded), "certainly not recorded before"
    await stop(new, old)


async def test_a_commit_that_landed_before_the_takeover_is_answered_and_nothing_beside_it() -> None:
    world = World()
    old, new = Process(world, "old"), Process(world, "new")
    await old.start()
    entry = await funded(old)
    old.gate, old.pass_first = asyncio.Event(), 1  # written, but the process stands still
    sent = world.usage(old.ledger, entry, "e")
    in_flight = asyncio.create_task(old.ledger.submit(entry, sent))
    writer = old.ledger.writers[0]
    rows = len(world.storage.store)
    await until(lambda: len(world.storage.store) == rows + 1)
    conflict = asyncio.create_task(old.ledger.submit(entry, world.usage(old.ledger, entry, "e", 2)))
    read = asyncio.create_task(writer.read(lambda state: len(state.keys)))
    old.leases.available = False
    world.clock.advance(TERM_US + 1)
    await new.start()
    old.gate.set()
    assert isinstance((await in_flight).outcomes[0], UsageRecorded)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not read.done()
    assert not conflict.done(), "a refusal would tell of a state that is another's by now"
    old.leases.available = True
    await old.beat()
    for waiting in (read, conflict):
        with pytest.raises(NotOwner):
            await waiting
    replay = await new.ledger.submit(entry, sent)
    assert isinstance(replay.outcomes[0], Replay)
    await stop(new, old)


async def test_a_stall_that_nobody_used_costs_a_read_some_time_and_nothing_else() -> None:
    world = World()
    only = Process(world, "only")
    await only.start()
    entry = await funded(only)
    writer = only.ledger.writers[0]
    world.clock.advance(TERM_US - MARGIN_US)
    read = asyncio.create_task(writer.read(lambda state: state.entry_seq))
    known = asyncio.create_task(writer.submit([world.usage(only.ledger, entry, "e", 0)]))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not read.done()
    assert not known.done()
    await only.beat()
    assert (await read)[0] == writer.state.entry_seq
    await known
    await stop(only)


async def test_while_leases_cannot_be_renewed_reads_are_refused_and_writes_go_on() -> None:
    world = World()
    only = Process(world, "only")
    await only.start()
    entry = await funded(only)
    only.leases.available = False
    world.clock.advance(TERM_US)
    read = asyncio.create_task(only.ledger.writers[0].read(lambda state: state.entry_seq))
    await asyncio.sleep(0)
    await until(read.done, only)
    with pytest.raises(NotApplied) as lapsed:
        await read
    assert lapsed.value.reason == NotAppliedReason.LEASE_LAPSED
    ticket = await only.ledger.submit(entry, world.usage(only.ledger, entry, "e"))
    assert isinstance(ticket.outcomes[0], UsageRecorded), "the primary key is the fence, no lease"
    only.leases.available = True
    await stop(only)


async def test_a_shard_is_not_opened_by_a_process_whose_lease_lapsed_meanwhile() -> None:
    world = World()
    first, second = Process(world, "first"), Process(world, "second")
    await first.start()
    await funded(first)
    await stop(first)
    second.gate, second.pass_first = asyncio.Event(), 2  # it stands still in the replay
    second.ledger.start()
    await until(lambda: second.ledger.owned == [0], second)
    second.leases.available = False
    world.clock.advance(TERM_US + 1)
    third = Process(world, "third")
    await third.start()
    second.gate.set()
    writer = second.ledger.writers[0]
    await until(lambda: "LeaseLapsed" in writer.problem)
    assert openings(world) == [1, 2], "the first and the third"
    second.leases.available = True
    await second.beat()
    assert second.ledger.owned == []
    await stop(third, second)


async def test_a_shard_that_a_bug_stopped_is_tried_by_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    first, second = Process(world, "first"), Process(world, "second")
    await first.start()
    entry = await funded(first)
    second.ledger.start()
    await second.beat()
    with monkeypatch.context() as patched:

        def fail(*_: object) -> None:
            raise BooksUnbalanced("as if")

        patched.setattr(deciding, "execute", fail)
        with pytest.raises((NotApplied, OutcomeUnknown)):
            await first.ledger.submit(entry, world.usage(first.ledger, entry, "e"))
    await until(lambda: second.ledger.owned == [0], first, second)
    await until(lambda: second.ledger.writers[0].opened.is_set())
    assert first.ledger.shards.doubtful()
    await stop(second)
    with pytest.raises(NotApplied) as halted:
        first.ledger.writers[0].peek(lambda state: None)
    assert halted.value.reason == NotAppliedReason.WRITER_HALTED
    await first.ledger.stop()


async def test_what_is_published_during_a_takeover_is_applied_before_anything_is_decided() -> None:
    world, old, new, _ = await paused_and_replaced()
    await stop(new, old)
    body = msgspec.msgpack.encode(AssetBody("EUR", 2, "money"))
    await world.storage.configuration.publish(
        TENANT_DEFAULT, ConfigurationKind.ASSET, "EUR", body, 1
    )
    third = Process(world, "third")
    await third.start()
    state = third.ledger.writers[0].state
    assert state.configuration == {TENANT_DEFAULT: 3}
    assert state.catalog.asset_of(TENANT_DEFAULT, "EUR") is not None
    await stop(third)


async def test_a_renewal_that_is_heard_of_too_late_proves_nothing_of_what_came_after_it() -> None:
    """It was good when it was given; the process stood still before it heard."""
    world = World()
    old, new = Process(world, "old"), Process(world, "new")
    await old.start()
    entry = await funded(old)
    writer = old.ledger.writers[0]
    keeper = old.ledger.shards.keeper
    assert keeper is not None
    renewed, heard = asyncio.Event(), asyncio.Event()
    beat = old.leases.beat

    async def slow(*args: object, **named: object) -> object:
        view = await beat(*args, **named)  # type: ignore[arg-type]
        renewed.set()
        await heard.wait()
        return view

    old.leases.beat = slow  # type: ignore[method-assign, assignment]
    keeper.poke()
    await renewed.wait()
    world.clock.advance(TERM_US + 1)
    await new.start()
    before = writer.durable_position
    ticket = await new.ledger.submit(entry, world.usage(new.ledger, entry, "by the successor"))
    assert isinstance(ticket.outcomes[0], UsageRecorded)
    read = asyncio.create_task(writer.read(lambda state: state.entry_seq))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not read.done() and before == writer.durable_position
    heard.set()
    old.leases.beat = beat  # type: ignore[method-assign]
    with pytest.raises(NotOwner):
        async with asyncio.timeout(HANGS_S):
            await read
    await stop(new, old)
