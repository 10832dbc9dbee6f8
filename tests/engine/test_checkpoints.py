"""Checkpoints and exact dedupe beyond memory: one moment each, never trusted, never in the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from operator import index

import pytest
from msgspec.structs import replace
from rbloom import Bloom

from ledger.core.commands import AbandonRequest, AuthorizeHold, Command, Names, ReleaseHold
from ledger.core.digest import digest
from ledger.core.events import AccountPolicy, HoldAuthorized, UsageRecorded
from ledger.core.keys import KeyMap, is_forgotten
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import State
from ledger.engine.checkpoint import Checkpointer
from ledger.engine.deciding import COPYING_SLICE
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import Replayer
from ledger.engine.restore import restore
from ledger.engine.segments import SEGMENTS_A_GENERATION
from ledger.engine.ticket import Replay
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.checkpoint import CheckpointWrite, WriteOutcome
from ledger.journal.checkpoint_memory import WriteFault
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.errors import JournalUnavailable
from ledger.verify.checkpoints import Checkpoint
from ledger.verify.reflections import Tally
from ledger.verify.report import Findings, ShardReport
from tests.engine.ledger_world import CHAT, World, entry_seqs
from tests.patience import HANGS_S


async def settle(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0)


async def replayed(world: World, ledger: Ledger, through: int | None = None) -> State:
    """The whole journal, without any checkpoint."""
    writer = ledger.writers[0]
    replayer = Replayer(0, writer._codec, ledger.configurations)
    async for row in world.storage.journal(0).read(0, through):
        await replayer.take(row)
    return replayer.state


async def stored(world: World, ledger: Ledger) -> State:
    """What is in the store, as a whole state."""
    store = world.storage.checkpoints(0)
    journal = world.storage.journal(0)
    restored = await restore(store, journal, ledger.configurations, True)
    assert not restored.reset and restored.batch_seq > 0
    from ledger.engine.whole import whole_state

    return await whole_state(restored.state, restored.segments, store)


def tiny_filter(bits: int) -> Bloom:
    """Says maybe to almost everything."""
    return Bloom(30, 1 / 2, index)


async def accounts(ledger: Ledger, count: int) -> list[Entry]:
    made = []
    for number in range(count):
        created = await ledger.create_account(
            TENANT_DEFAULT, f"a{number}", None, f"create-{number}", AccountPolicy()
        )
        assert isinstance(created, tuple)
        made.append(created[0])
    return made


async def record(world: World, ledger: Ledger, entry: Entry, *ids: str) -> list[object]:
    ticket = await ledger.writers[0].submit([world.usage(ledger, entry, each) for each in ids])
    return list(ticket.outcomes)


async def test_a_restart_loads_the_checkpoint_and_replays_the_tail() -> None:
    world = World()
    ledger, entry = await world.funded()
    await record(world, ledger, entry, *[f"e{n}" for n in range(500)])
    batch_seq = await ledger.writers[0].checkpoint()
    await record(world, ledger, entry, "tail")
    crashed = world.storage.checkpoint_data[0].checkpoint
    assert crashed is not None and crashed.batch_seq == batch_seq
    rows = world.storage.store.values()
    tail = sum(row.event_count for row in rows if row.batch_seq > batch_seq)
    seen: list[tuple[int, int]] = []
    successor = Ledger(
        world.storage,
        world.clock,
        progress=lambda shard: lambda done, total: seen.append((done, total)),
    )
    successor.start()
    await successor.opened()
    assert crashed.entry_seq > 500 > tail > 0
    assert (seen[0], seen[-1]) == ((0, tail), (tail, tail)), "only the tail is replayed"
    whole = await successor.writers[0].whole()
    assert digest(whole) == digest(await replayed(world, successor, whole.batch_seq))
    await successor.stop()


async def test_a_stop_leaves_nothing_to_replay() -> None:
    world = World()
    ledger, entry = await world.funded()
    await record(world, ledger, entry, "e1")
    await ledger.stop()
    kept = world.storage.checkpoint_data[0].checkpoint
    assert kept is not None
    assert kept.batch_seq == max(seq for _, seq in world.storage.store)
    assert digest(await stored(world, ledger)) == digest(await replayed(world, ledger))


async def test_checkpoints_come_by_themselves_by_entries_and_by_time() -> None:
    world = World(upkeep=Upkeep(checkpoint_entries=20, checkpoint_interval_us=DAY_US))
    ledger, entry = await world.funded()
    data = world.storage.checkpoint_data[0]

    def covered() -> int:
        return data.checkpoint.entry_seq if data.checkpoint is not None else 0

    before = covered()
    await record(world, ledger, entry, *[f"e{n}" for n in range(30)])
    await until(lambda: covered() >= before + 30)
    await ledger.stop()
    world.upkeep = Upkeep(checkpoint_interval_us=1_000)
    ledger = await world.ledger()
    before = covered()
    await record(world, ledger, entry, "later")
    async with asyncio.timeout(HANGS_S):
        while covered() <= before + 1:
            await asyncio.sleep(0.001)
    await ledger.stop()


async def test_the_first_outcome_is_answered_after_a_restart() -> None:
    """Exactly, or the field that differs, from a key that no map in memory has (rule I1)."""
    world = World()
    ledger, entry = await world.funded()
    first = await ledger.writers[0].submit(
        [world.usage(ledger, entry, f"e{n}", n + 1) for n in range(300)]
    )
    await ledger.stop()
    ledger = await world.ledger()
    writer = ledger.writers[0]
    assert len(writer.state.keys) == 0, "every key stands in a segment"
    again = await writer.submit(
        [world.usage(ledger, entry, f"e{n}", n + 1) for n in range(300)]
        + [world.usage(ledger, entry, "new"), world.usage(ledger, entry, "e7", 9_999)]
    )
    for number in range(300):
        replay = again.outcomes[number]
        assert isinstance(replay, Replay)
        assert replay.event == first.outcomes[number]
    assert entry_seqs(again)[:300] == entry_seqs(first)
    assert isinstance(again.outcomes[300], UsageRecorded)
    conflict = again.outcomes[301]
    assert isinstance(conflict, Refusal)
    assert (conflict.reason, conflict.field) == (Reason.CONFLICT, "quantities")
    family = ledger.family(entry)
    found = await writer.recorded.under(family.usage("test", "e5"))
    assert found is not None and found.event == first.outcomes[5]
    assert await writer.recorded.under(family.usage("test", "never")) is None
    abandoned = await writer.submit([AbandonRequest(family.usage("test", "e9"), entry.number)])
    assert isinstance(abandoned.outcomes[0], Replay), "applied after all"
    await ledger.stop()


async def test_false_positives_of_the_filters_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ledger.engine.segments.empty_filter", tiny_filter)
    world = World()
    ledger, entry = await world.funded()
    old = [f"old{n}" for n in range(200)]
    await record(world, ledger, entry, *old)
    await ledger.writers[0].checkpoint()
    new = [f"new{n}" for n in range(200)]
    family = ledger.family(entry)
    segments = ledger.writers[0]._checkpointer.segments
    maybe = [name for name in new if segments.places(family.usage("test", name))]
    assert len(maybe) > 20, "the filter says maybe to many"
    outcomes = await record(world, ledger, entry, *new)
    assert {type(outcome) for outcome in outcomes} == {UsageRecorded}
    outcomes = await record(world, ledger, entry, *old, *new)
    assert {type(outcome) for outcome in outcomes} == {Replay}
    await ledger.stop()


async def test_a_checkpoint_shows_one_moment_while_writes_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every family changes while it is captured; each is packed as it was at the boundary."""
    monkeypatch.setattr("ledger.engine.upkeep.SLICE_US", 0)  # a yield after each family
    world = World()
    ledger, _ = await world.funded()
    entries = await accounts(ledger, 60)
    for entry in entries:
        await record(world, ledger, entry, f"{entry.account_id}-before")
    writer = ledger.writers[0]
    captures: list[CheckpointWrite] = []

    def watch(change: CheckpointWrite) -> WriteFault | None:
        captures.append(change)
        return None

    world.checkpoint_fault = watch
    taking = asyncio.create_task(writer.checkpoint())
    await until(lambda: writer._checkpointer.copying)
    writing = [
        asyncio.create_task(
            writer.submit(
                [world.usage(ledger, entry, f"during-{entry.account_id}-{n}") for n in range(3)]
            )
        )
        for entry in reversed(entries)
    ]
    await until(lambda: writer.state.batch_length > 0)
    assert writer._checkpointer.copying, "decided while families are still to be packed"
    batch_seq = await taking
    await asyncio.gather(*writing)
    assert len(captures) == 1 and len(captures[0].families) >= 60
    kept = await stored(world, ledger)
    assert kept.batch_seq == batch_seq < writer.state.batch_seq
    assert digest(kept) == digest(await replayed(world, ledger, batch_seq))
    await ledger.stop()


async def test_a_batch_that_touches_many_families_packs_few_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packing a family takes about 120 us: 256 between two turns of the loop would be 30 ms."""
    world = World()
    ledger, _ = await world.funded()
    entries = await accounts(ledger, 3 * COPYING_SLICE)
    for entry in entries:
        await record(world, ledger, entry, f"{entry.account_id}-before")
    writer = ledger.writers[0]
    packed: list[int] = []
    protect = Checkpointer.protect

    def watch(checkpointer: Checkpointer, commands: Sequence[Command]) -> None:
        packed.append(len(commands))
        protect(checkpointer, commands)

    monkeypatch.setattr(Checkpointer, "protect", watch)
    monkeypatch.setattr("ledger.engine.upkeep.SLICE_US", 0)
    taking = asyncio.create_task(writer.checkpoint())
    await until(lambda: writer._checkpointer.copying)
    reversed_usage = [world.usage(ledger, entry, "during") for entry in reversed(entries)]
    ticket = await writer.submit(reversed_usage)
    await taking
    assert packed and max(packed) <= COPYING_SLICE
    assert all(type(outcome) is UsageRecorded for outcome in ticket.outcomes)
    await ledger.stop()


async def test_nothing_is_written_before_its_batch_is_durable() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await writer.checkpoint()
    world.upkeep = Upkeep(checkpoint_entries=1)
    world.gate = asyncio.Event()
    writer._checkpointer._limits = world.upkeep
    waiting = asyncio.create_task(record(world, ledger, entry, "e1"))
    await until(lambda: writer._checkpointer._capture is not None)
    await settle()
    capture = writer._checkpointer._capture
    assert capture is not None and not capture.pending and not capture.durable.is_set()
    kept = world.storage.checkpoint_data[0].checkpoint
    assert kept is not None and kept.batch_seq < capture.head.batch_seq
    world.gate.set()
    await waiting
    await ledger.stop()


@pytest.mark.parametrize("fault", list(WriteFault))
async def test_a_write_of_unknown_outcome_is_settled_by_the_same_write(
    fault: WriteFault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.engine.checkpoint.RETRY_DELAY_US", 0)
    world = World()
    ledger, entry = await world.funded()
    await record(world, ledger, entry, "e1")
    faults: list[WriteFault | None] = [fault, fault, None]
    world.checkpoint_fault = lambda _: faults.pop(0) if faults else None
    assert await ledger.writers[0].checkpoint() == ledger.writers[0].state.batch_seq
    assert not faults
    assert digest(await stored(world, ledger)) == digest(await replayed(world, ledger))
    await ledger.stop()


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_write_that_fails_in_a_way_of_its_own_is_settled_by_the_same_write(
    is_written: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it was written is not known then either: checkpoints go on."""
    monkeypatch.setattr("ledger.engine.checkpoint.RETRY_DELAY_US", 0)
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await record(world, ledger, entry, "e1")
    store = writer._checkpoints
    write = store.write
    failures = iter([True, True])

    async def odd(change: CheckpointWrite) -> WriteOutcome:
        if is_written:
            await write(change)
        if next(failures, False):
            raise RuntimeError("as if")
        return await write(change)

    store.write = odd  # type: ignore[method-assign]
    assert await writer.checkpoint() == writer.state.batch_seq
    await record(world, ledger, entry, "e2")
    assert await writer.checkpoint() == writer.state.batch_seq
    assert "as if" in caplog.text
    assert digest(await stored(world, ledger)) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_writer_stops_though_its_checkpoint_fails_in_a_way_of_its_own() -> None:
    world = World()
    ledger, entry = await world.funded()

    async def odd(_: CheckpointWrite) -> WriteOutcome:
        raise RuntimeError("as if")

    ledger.writers[0]._checkpoints.write = odd  # type: ignore[method-assign]
    await record(world, ledger, entry, "e1")
    async with asyncio.timeout(HANGS_S):
        await ledger.stop()


async def test_what_is_forgotten_since_makes_no_difference_to_verify() -> None:
    """A family that was idle since stands as it was packed, with a hold that is forgotten now."""
    world = World()
    ledger, _ = await world.funded()
    idle, busy = await accounts(ledger, 2)
    await ledger.submit(idle, world.grant(ledger, idle, "grant", 10**9))
    key = ledger.family(idle).request
    now = world.clock.now_us()
    hold = await ledger.submit(
        idle, AuthorizeHold(key("hold"), idle.number, CHAT, (5,), HOUR_US, Names("", "hold"))
    )
    assert isinstance(hold.outcomes[0], HoldAuthorized)
    number = hold.outcomes[0].hold
    await ledger.submit(idle, ReleaseHold(key("release"), idle.number, number, Names("", "r")))
    await ledger.writers[0].checkpoint()
    for _ in range(2):
        world.clock.advance(40 * DAY_US)
        await record(world, ledger, busy, f"at {world.clock.now_us() - now}")
        await ledger.writers[0].checkpoint()
    store = world.storage.checkpoints(0)
    stored_now = await store.load()
    assert stored_now is not None
    claim = Checkpoint(stored_now)
    roots = [place.root for page in [each async for each in store.places()] for place in page]
    claim.families = {each.place.root: each for each in await store.families(roots)}
    for segment in await store.segments():
        claim.segments[segment.number] = segment
        pages = [page async for page in store.all_buckets(segment.number)]
        claim.buckets[segment.number] = [bucket for page in pages for bucket in page]
    findings = Findings(ShardReport(0))
    state = await replayed(world, ledger)
    claim.compare(state, Tally(), stored_now.hash, findings)
    assert findings.found == []
    damaged = claim.families[idle.root]
    claim.families[idle.root] = replace(damaged, body=damaged.body[1:])
    claim.compare(state, Tally(), stored_now.hash, findings)
    assert findings.found
    await ledger.stop()


async def test_a_crash_between_capture_and_commit_costs_nothing() -> None:
    world = World()
    ledger, entry = await world.funded()
    await record(world, ledger, entry, "e1")
    await ledger.writers[0].checkpoint()
    await record(world, ledger, entry, "e2")
    world.checkpoint_fault = lambda _: WriteFault.NOT_WRITTEN
    asking = asyncio.create_task(ledger.writers[0].checkpoint())
    await settle()
    assert not asking.done()
    world.checkpoint_fault = lambda _: None
    successor = await world.ledger()
    outcomes = await record(world, successor, entry, "e1", "e2", "e3")
    assert [type(outcome) for outcome in outcomes] == [Replay, Replay, UsageRecorded]
    await successor.stop()
    assert digest(await stored(world, successor)) == digest(await replayed(world, successor))
    asking.cancel()


async def test_a_predecessor_writes_no_checkpoint(caplog: pytest.LogCaptureFixture) -> None:
    """Its batch is in the journal and nobody has checkpointed since: the epoch alone stops it."""
    world = World()
    ledger, entry = await world.funded()
    old = ledger.writers[0]
    await record(world, ledger, entry, "e1")
    successor = await world.ledger()
    before = world.storage.checkpoint_data[0].checkpoint
    with pytest.raises(JournalUnavailable, match="FENCED"):
        await old.checkpoint()
    assert world.storage.checkpoint_data[0].checkpoint == before
    assert "takes no checkpoints" in caplog.text
    with pytest.raises(JournalUnavailable, match="FENCED"):
        await old.checkpoint()
    outcomes = await record(world, successor, entry, "e1", "e2")
    assert [type(outcome) for outcome in outcomes] == [Replay, UsageRecorded]
    await successor.stop()


async def test_a_writer_that_cannot_checkpoint_goes_on_and_stops() -> None:
    world = World()
    ledger, entry = await world.funded()
    world.checkpoint_fault = lambda _: WriteFault.NOT_WRITTEN
    await record(world, ledger, entry, "e1")
    async with asyncio.timeout(HANGS_S):
        await ledger.stop()
    world.checkpoint_fault = lambda _: None
    ledger = await world.ledger()
    assert isinstance((await record(world, ledger, entry, "e1"))[0], Replay)
    await ledger.stop()


def forge_hash(world: World) -> None:
    data = world.storage.checkpoint_data[0]
    assert data.checkpoint is not None
    data.checkpoint = replace(data.checkpoint, hash=b"x" * 32)


def move_ahead(world: World) -> None:
    data = world.storage.checkpoint_data[0]
    assert data.checkpoint is not None
    data.checkpoint = replace(data.checkpoint, batch_seq=10_000)


def unknown_format(world: World) -> None:
    data = world.storage.checkpoint_data[0]
    assert data.checkpoint is not None
    data.checkpoint = replace(data.checkpoint, format=99)


def damage_body(world: World) -> None:
    data = world.storage.checkpoint_data[0]
    assert data.checkpoint is not None
    data.checkpoint = replace(data.checkpoint, body=data.checkpoint.body[:-3])


def unknown_family_format(world: World) -> None:
    families = world.storage.checkpoint_data[0].families
    for root, family in families.items():
        families[root] = replace(family, place=replace(family.place, format=99))


def unknown_segment_format(world: World) -> None:
    segments = world.storage.checkpoint_data[0].segments
    for number, segment in segments.items():
        segments[number] = replace(segment, format=99)


def damage_filter(world: World) -> None:
    segments = world.storage.checkpoint_data[0].segments
    for number, segment in segments.items():
        segments[number] = replace(segment, filter=b"")


def damage_families(world: World) -> None:
    """Seen only when a family is needed."""
    families = world.storage.checkpoint_data[0].families
    for root, family in families.items():
        families[root] = replace(family, body=family.body[:-1])


def lose_families(world: World) -> None:
    families = world.storage.checkpoint_data[0].families
    for root, family in families.items():
        families[root] = replace(family, place=replace(family.place, root=-root))


@pytest.mark.parametrize(
    "damage",
    [
        forge_hash,
        move_ahead,
        unknown_format,
        damage_body,
        unknown_family_format,
        unknown_segment_format,
        damage_filter,
        damage_families,
        lose_families,
    ],
)
async def test_a_checkpoint_that_does_not_fit_is_ignored_loudly(
    damage: Callable[[World], None], caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    ledger, entry = await world.funded()
    await record(world, ledger, entry, "e1", "e2")
    await ledger.stop()
    damage(world)
    with caplog.at_level(logging.ERROR):
        ledger = await world.ledger()
        async with asyncio.timeout(HANGS_S):
            while True:
                try:
                    outcomes = await record(world, ledger, entry, "e1", "e3")
                    break
                except Exception:
                    await ledger.writers[0].opened.wait()
    assert "is ignored and everything is replayed" in caplog.text
    assert [type(outcome) for outcome in outcomes] == [Replay, UsageRecorded]
    await ledger.writers[0].checkpoint()
    assert digest(await stored(world, ledger)) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_the_map_of_keys_is_bounded_by_checkpoints() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await writer.checkpoint()
    writer.state.keys = KeyMap(keys_max=10)
    outcomes = await record(world, ledger, entry, *[f"e{n}" for n in range(12)])
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Refusal)]
    assert reasons == [Reason.KEYS_EXHAUSTED] * 2
    await writer.checkpoint()
    assert len(writer.state.keys) == 0
    outcomes = await record(world, ledger, entry, *[f"e{n}" for n in range(12)])
    assert [type(outcome) for outcome in outcomes] == [Replay] * 10 + [UsageRecorded] * 2
    await ledger.stop()


async def test_segments_stay_few_and_hold_every_key() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    names: list[str] = []
    for round_ in range(40):
        fresh = [f"{round_}-{n}" for n in range(20 + round_ % 7)]
        await record(world, ledger, entry, *fresh)
        names += fresh
        await writer.checkpoint()
        assert len(writer._checkpointer.segments) <= SEGMENTS_A_GENERATION
    data = world.storage.checkpoint_data[0]
    assert {number for number, _ in data.buckets} == set(data.segments)
    outcomes = await record(world, ledger, entry, *names, "one more")
    assert {type(outcome) for outcome in outcomes[:-1]} == {Replay}
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_finished_generations_become_one_segment_and_leave_with_the_window() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    for day in range(0, 60, 2):
        await record(world, ledger, entry, f"day-{day}")
        await writer.checkpoint()
        world.clock.advance(2 * DAY_US)
        segments = writer._checkpointer.segments.segments
        by_generation: dict[int, int] = {}
        for segment in segments:
            by_generation[segment.generation] = by_generation.get(segment.generation, 0) + 1
        current = max(by_generation)
        assert len(by_generation) <= 7
        assert all(n <= 2 for start, n in by_generation.items() if start < current)
        assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()
    ledger = await world.ledger()
    writer = ledger.writers[0]
    await record(world, ledger, entry, "after")
    segments = writer._checkpointer.segments.segments
    now = writer.state.recorded_at
    assert segments and not any(is_forgotten(segment.generation, now) for segment in segments)
    await ledger.stop()
    kept = world.storage.checkpoint_data[0].segments.values()
    assert not any(is_forgotten(segment.generation_us, now) for segment in kept)


async def test_a_key_is_always_in_the_map_or_in_a_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Retries while keys move from the map into segments, and while segments are merged."""
    monkeypatch.setattr("ledger.engine.upkeep.SLICE_US", 0)
    monkeypatch.setattr("ledger.engine.recent.RECENT_EVENTS_MAX", 1)
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    names = [f"e{n}" for n in range(40)]
    first = await record(world, ledger, entry, *names)
    for round_ in range(12):
        taking = asyncio.create_task(writer.checkpoint())
        while not taking.done():
            outcomes = await record(world, ledger, entry, *names)
            assert {type(outcome) for outcome in outcomes} == {Replay}
            for outcome, recorded in zip(outcomes, first, strict=True):
                assert isinstance(outcome, Replay) and outcome.event == recorded
        await taking
        more = [f"{round_}-{n}" for n in range(5)]
        assert {type(each) for each in await record(world, ledger, entry, *more)} == {UsageRecorded}
    await ledger.stop()


async def test_a_checkpoint_that_is_asked_for_of_nothing_new_answers_at_once() -> None:
    world = World()
    ledger, _ = await world.funded()
    writer: Writer = ledger.writers[0]
    reached = await writer.checkpoint()
    assert await writer.checkpoint() == reached
    world.clock.advance(SECOND_US)
    assert await writer.checkpoint() == reached
    await ledger.stop()


async def test_families_of_a_checkpoint_that_failed_are_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store is away while segments are merged: the capture is dropped, nothing else."""
    monkeypatch.setattr("ledger.engine.segments.SEGMENTS_A_GENERATION", 1)
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await writer.checkpoint()
    await record(world, ledger, entry, "e1")
    store = writer._checkpoints
    read = store.all_buckets

    async def away(segment: int) -> AsyncIterator[object]:
        store.all_buckets = read  # type: ignore[method-assign]
        raise JournalUnavailable("as if")
        yield

    store.all_buckets = away  # type: ignore[method-assign, assignment]
    with pytest.raises(JournalUnavailable):
        await writer.checkpoint()
    await writer.checkpoint()
    assert len(writer._checkpointer.segments) == 1
    assert digest(await stored(world, ledger)) == digest(await replayed(world, ledger))
    await ledger.stop()
