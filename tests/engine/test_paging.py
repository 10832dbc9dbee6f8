"""Families that leave memory: nothing is decided, read or let expire differently."""

from __future__ import annotations

import asyncio
import random

import pytest

from ledger.core.commands import (
    AuthorizeHold,
    CaptureHold,
    Command,
    DebitWork,
    IssueGrant,
    Names,
    ReleaseHold,
)
from ledger.core.digest import digest
from ledger.core.events import (
    AccountCreated,
    AccountPolicy,
    HoldAuthorized,
    HoldReleased,
    UsageRecorded,
)
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import Replay
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.directory import TENANT_DEFAULT, Entry
from tests.engine.ledger_world import CHAT, World, entry_seqs
from tests.engine.test_checkpoints import (
    accounts,
    record,
    replayed,
    settle,
    tiny_filter,
    until,
)


async def page_all_out(writer: Writer) -> None:
    """Everything into a checkpoint, and every family out of memory."""
    await writer.checkpoint()
    limits = writer._pager._limits
    writer._pager._limits = Upkeep(idle_us=0)
    writer._wake.set()
    await until(lambda: not writer.state.families)
    writer._pager._limits = limits
    assert not writer.state.accounts and not writer.state.grants and not writer.state.holds


def hold(
    ledger: Ledger, entry: Entry, key: str, tokens: int = 1, lifetime: int = 0
) -> AuthorizeHold:
    return AuthorizeHold(ledger.family(entry).request(key), entry.number, CHAT, (tokens,), lifetime)


async def test_a_run_says_which_families_it_has_changed() -> None:
    """Of entries that are recorded many at a time no account is looked for again."""
    world = World()
    ledger, entry = await world.funded()
    digests, state = ledger.family(entry), ledger.writers[0].state
    await record(world, ledger, entry, "first")  # opens the book of its product
    for command in (
        world.usage(ledger, entry, "usage"),
        DebitWork(digests.request("debit"), entry.number, CHAT, (1,), names=Names("", "debit")),
    ):
        state.touched = {}
        ticket = await ledger.writers[0].submit([command])
        assert isinstance(ticket.outcomes[0], UsageRecorded)
        assert list(state.touched) == [entry.root]


async def test_an_idle_family_leaves_memory_and_comes_back() -> None:
    world = World(upkeep=Upkeep(idle_us=HOUR_US))
    ledger, entry = await world.funded()
    [other] = await accounts(ledger, 1)
    writer = ledger.writers[0]
    await writer.checkpoint()
    world.clock.advance(HOUR_US)
    await record(world, ledger, other, "wakes")
    await until(lambda: len(writer.state.families) == 1)
    assert writer.state.paged == {entry.number: entry.number}
    assert isinstance((await record(world, ledger, entry, "back"))[0], UsageRecorded)
    assert not writer.state.paged
    await ledger.stop()


async def test_no_more_families_stay_than_allowed_and_all_are_served() -> None:
    world = World(upkeep=Upkeep(resident_families=3, checkpoint_entries=50))
    ledger, _ = await world.funded()
    entries = await accounts(ledger, 30)
    writer = ledger.writers[0]
    for round_ in range(8):
        waiting = [
            record(world, ledger, entry, f"{entry.account_id}-{round_}-{n}")
            for entry in entries
            for n in range(2)
        ]
        for outcomes in await asyncio.gather(*waiting):
            assert {type(outcome) for outcome in outcomes} == {UsageRecorded}
    await writer.checkpoint()
    await until(lambda: len(writer.state.families) <= 3)
    assert len(writer.state.paged_families) >= 28
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


async def test_a_family_that_changed_since_the_checkpoint_stays() -> None:
    world = World()
    ledger, entry = await world.funded()
    [other] = await accounts(ledger, 1)
    writer = ledger.writers[0]
    await writer.checkpoint()
    await record(world, ledger, entry, "changed")
    writer._pager._limits = Upkeep(idle_us=0)
    writer._wake.set()
    await until(lambda: len(writer.state.families) == 1)
    await settle()
    assert list(writer.state.families) == [entry.number]
    assert list(writer.state.paged_families) == [other.number]
    await ledger.stop()


async def test_what_falls_due_while_a_family_is_out_is_posted_in_time() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    asked = await writer.submit([hold(ledger, entry, "h", 5)])
    assert isinstance(asked.outcomes[0], HoldAuthorized)
    number = asked.outcomes[0].hold
    issued = world.grant(ledger, entry, "expiring", 100)
    ticket = await ledger.submit(entry, _expiring(issued, world.clock.now_us() + HOUR_US))
    grant = ticket.outcomes[0].grant  # type: ignore[union-attr]
    await page_all_out(writer)
    world.clock.advance(16 * MINUTE_US)
    await until(lambda: bool(writer.state.families))
    await until(lambda: number not in writer.state.holds)
    assert number in writer.state.families[entry.number].settled
    await page_all_out(writer)
    world.clock.advance(DAY_US + HOUR_US)
    await until(lambda: grant in writer.state.grants and writer.state.grants[grant].settled != 0)
    assert not writer.state.overdue
    await record(world, ledger, entry, "after")
    assert digest(await writer.whole()) == digest(await replayed(world, ledger))
    await ledger.stop()


def _expiring(grant: IssueGrant, expires_at: int) -> IssueGrant:
    return IssueGrant(
        grant.key, grant.account, grant.kind, grant.asset, grant.amount, 0, grant.asset, 0,
        grant.effective_at, expires_at, (), b"",
    )  # fmt: skip


async def test_a_timer_fires_after_a_restart_before_its_family_was_ever_needed() -> None:
    world = World()
    ledger, entry = await world.funded()
    asked = await ledger.writers[0].submit([hold(ledger, entry, "h", 5)])
    assert isinstance(asked.outcomes[0], HoldAuthorized)
    await ledger.stop()
    ledger = await world.ledger()
    writer = ledger.writers[0]
    assert not writer.state.families, "nothing is loaded before it is needed"
    world.clock.advance(16 * MINUTE_US)
    await until(lambda: bool(writer.state.families) and not writer.state.holds)
    await ledger.stop()


async def test_order_within_a_family_is_kept_while_others_overtake() -> None:
    world = World()
    ledger, entry = await world.funded()
    [other] = await accounts(ledger, 1)
    await ledger.submit(other, world.grant(ledger, other, "funds", 10**9))
    writer = ledger.writers[0]
    await page_all_out(writer)
    await writer.look(lambda state: None, (other.number,))
    reached: list[str] = []

    async def go(name: str, entry: Entry) -> None:
        await record(world, ledger, entry, name)
        reached.append(name)

    gate = asyncio.Event()
    families = writer._resolver._store.families

    async def slow(roots: list[int], expected: object) -> object:
        await gate.wait()
        return await families(roots, expected)

    writer._resolver._store.families = slow  # type: ignore[method-assign, assignment]
    first = [asyncio.create_task(go(f"first-{n}", entry)) for n in range(3)]
    await settle()
    reading = asyncio.create_task(
        writer.read(lambda state: state.accounts[entry.number].number, accounts=(entry.number,))
    )
    both = asyncio.create_task(
        writer.submit([world.usage(ledger, entry, "both-a"), world.usage(ledger, other, "both-b")])
    )
    await settle()
    overtaking = asyncio.create_task(writer.read(lambda state: len(state.families), accounts=()))
    await overtaking
    behind = asyncio.create_task(go("behind both", other))
    await settle(200)
    assert not behind.done(), "it touches a family of one that waits, and came after it"
    assert not any(task.done() for task in [*first, both, reading])
    gate.set()
    await asyncio.gather(*first, reading, behind)
    ticket = await both
    assert reached.index("first-0") < reached.index("first-1") < reached.index("first-2")
    assert {type(outcome) for outcome in ticket.outcomes} == {UsageRecorded}
    names = [f"first-{n}" for n in range(3)] + ["both-a"]
    places = [
        await writer.recorded.under(ledger.family(entry).usage("test", name)) for name in names
    ]
    seqs = [place.entry_seq for place in places if place is not None]
    assert len(seqs) == 4 and seqs == sorted(seqs)
    await ledger.stop()


async def test_a_family_that_does_not_wait_is_not_held_up() -> None:
    world = World()
    ledger, entry = await world.funded()
    [other] = await accounts(ledger, 1)
    writer = ledger.writers[0]
    await page_all_out(writer)
    await writer.look(lambda state: None, (other.number,))
    gate = asyncio.Event()
    families = writer._resolver._store.families

    async def slow(roots: list[int], expected: object) -> object:
        await gate.wait()
        return await families(roots, expected)

    writer._resolver._store.families = slow  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(record(world, ledger, entry, "waits"))
    await settle()
    assert isinstance((await record(world, ledger, other, "overtakes"))[0], UsageRecorded)
    assert not waiting.done()
    stopping = asyncio.create_task(ledger.stop())
    await settle()
    assert not stopping.done(), "what was accepted is finished first"
    gate.set()
    assert isinstance((await waiting)[0], UsageRecorded)
    await stopping


async def test_a_child_of_a_paged_family_may_be_opened() -> None:
    world = World()
    ledger, entry = await world.funded()
    await page_all_out(ledger.writers[0])
    created = await ledger.create_account(
        TENANT_DEFAULT, "acme/child", entry.account_id, "create-child", AccountPolicy()
    )
    assert isinstance(created, tuple)
    assert isinstance(created[1].outcomes[0], AccountCreated)
    await ledger.stop()


async def test_what_waits_is_told_when_the_state_is_dropped() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    await page_all_out(writer)
    gate = asyncio.Event()

    async def never(roots: list[int], expected: object) -> object:
        await gate.wait()
        raise AssertionError

    writer._resolver._store.families = never  # type: ignore[method-assign, assignment]
    waiting = asyncio.create_task(record(world, ledger, entry, "waits"))
    await settle()
    del writer._resolver._store.families  # type: ignore[attr-defined]
    writer._fail_with(ConnectionError("as if"))
    with pytest.raises(Exception, match="recorded nothing"):
        await waiting
    with pytest.raises(ConnectionError):
        await ledger.stop()


class Twin:
    """One of two worlds that are asked the same; only one has checkpoints, pages and filters."""

    def __init__(self, restless: bool) -> None:
        self.world = World()
        self.restless = restless
        self.outcomes: list[object] = []
        self.holds: list[int] = []

    async def begin(self) -> None:
        self.ledger, acme = await self.world.funded()
        self.entries = [acme, *await accounts(self.ledger, 3)]
        for entry in self.entries[1:]:
            grant = self.world.grant(self.ledger, entry, f"fund-{entry.account_id}", 50_000)
            await self.ledger.submit(entry, grant)

    @property
    def writer(self) -> Writer:
        return self.ledger.writers[0]

    async def submit(self, *commands: Command) -> None:
        ticket = await self.writer.submit(commands)
        for outcome in ticket.outcomes:
            if isinstance(outcome, HoldAuthorized):
                self.holds.append(outcome.hold)
            self.outcomes.append(outcome.event if isinstance(outcome, Replay) else outcome)
        self.outcomes.append(entry_seqs(ticket))

    async def restart(self) -> None:
        await self.ledger.stop()
        if not self.restless:
            self.world.storage.checkpoint_data.clear()
        self.ledger = await self.world.ledger()

    async def clock(self, by_us: int) -> None:
        await self.writer.look(lambda _: None, [entry.number for entry in self.entries])
        self.world.clock.advance(by_us)
        await self.writer.read(lambda _: None)
        await until(lambda: not self.writer._sweep_due())
        await self.writer.read(lambda _: None)

    async def rest(self, kind: int) -> None:
        """What only the restless one does between two steps."""
        if not self.restless:
            return
        if kind == 0:
            await self.writer.checkpoint()
        elif kind == 1:
            await page_all_out(self.writer)


@pytest.mark.parametrize("seed", range(12))
async def test_checkpoints_pages_and_restarts_change_no_outcome(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random commands, twice and conflicting ones too: the same outcomes, rows and digests."""
    monkeypatch.setattr("ledger.engine.recent.RECENT_EVENTS_MAX", 50)
    monkeypatch.setattr("ledger.engine.segments.empty_filter", tiny_filter)
    choose = random.Random(seed)
    twins = [Twin(False), Twin(True)]
    for twin in twins:
        await twin.begin()
    for step in range(60):
        verb = choose.choice(["usage"] * 5 + ["hold", "hold", "capture", "release", "clock",
                                              "restart", "rest", "rest", "grant"])  # fmt: skip
        draw = [choose.randrange(10**6) for _ in range(8)]
        for twin in twins:
            await _step(twin, verb, step, draw)
    for twin in twins:
        await twin.submit(twin.world.usage(twin.ledger, twin.entries[0], "last"))
    calm, restless = twins
    assert calm.outcomes == restless.outcomes
    assert calm.world.storage.store == restless.world.storage.store, "row by row, hash by hash"
    found = digest(await restless.writer.whole())
    assert found == digest(await replayed(restless.world, restless.ledger))
    for twin in twins:
        await twin.ledger.stop()


async def _step(twin: Twin, verb: str, step: int, draw: list[int]) -> None:
    world, ledger = twin.world, twin.ledger
    entry = twin.entries[draw[0] % 4]
    family = ledger.family(entry)
    world.clock.advance(1_000)
    if verb == "usage":
        await twin.submit(
            *[
                world.usage(ledger, twin.entries[(draw[0] + n) % 4], f"u{draw[n] % 40}", n % 3 + 1)
                for n in range(1, 2 + draw[1] % 6)
            ]
        )
    elif verb == "hold":
        await twin.submit(hold(ledger, entry, f"hold-{step}", draw[1] % 20 + 1, MINUTE_US * 5))
    elif verb in ("capture", "release") and twin.holds:
        number = twin.holds[draw[1] % len(twin.holds)]
        key = family.request(f"end-{step}")
        names = Names("", f"end-{step}")
        if verb == "capture":
            await twin.submit(
                CaptureHold(key, entry.number, number, ("tokens",), (draw[2] % 25 + 1,), 0, names)
            )
        else:
            await twin.submit(ReleaseHold(key, entry.number, number, names))
    elif verb == "grant":
        await twin.submit(world.grant(ledger, entry, f"grant-{step}", draw[1] % 30_000 + 1))
    elif verb == "clock":
        await twin.clock((MINUTE_US, 4 * MINUTE_US, HOUR_US, 5 * DAY_US, 40 * DAY_US)[draw[1] % 5])
    elif verb == "restart":
        await twin.restart()
    elif verb == "rest":
        await twin.rest(draw[1] % 2)


async def test_a_released_hold_of_a_paged_family_is_released_once() -> None:
    world = World()
    ledger, entry = await world.funded()
    writer = ledger.writers[0]
    asked = await writer.submit([hold(ledger, entry, "h", 5)])
    assert isinstance(asked.outcomes[0], HoldAuthorized)
    await page_all_out(writer)
    release = ReleaseHold(ledger.family(entry).request("r"), entry.number, asked.outcomes[0].hold)
    assert isinstance((await ledger.submit(entry, release)).outcomes[0], HoldReleased)
    await page_all_out(writer)
    assert isinstance((await ledger.submit(entry, release)).outcomes[0], Replay)
    await ledger.stop()
