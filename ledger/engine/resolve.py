"""Between queue and decide: what a ticket needs and memory does not have is fetched first.

Families that are paged out and key buckets that a filter says "maybe" to, in one batched query
each. A ticket that waits is parked; the tickets behind it go on, unless they touch one of its
families: order within a family is kept. Everything is looked at again just before it is decided,
so that what changed meanwhile is fetched too. Must not decide.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from ledger.core.commands import AmendUsage, ApplyConfiguration, Command, CreateAccount
from ledger.core.limits import SECOND_US
from ledger.core.packing import unpack_family
from ledger.core.state import State
from ledger.engine.checkpoint import Checkpointer
from ledger.engine.clock import Clock
from ledger.engine.paging import Pager, root_of
from ledger.engine.restore import CheckpointDamaged
from ledger.engine.upkeep import Slices
from ledger.journal.checkpoint import CheckpointStore, Expected, StoredFamily, find_in_bucket
from ledger.journal.errors import JournalUnavailable

FAMILIES_A_QUERY: Final = 1_024  # x ~1 kB
BUCKETS_A_QUERY: Final = 256  # x 24 kB = 6 MB
RETRY_DELAY_US: Final = 20_000  # after a failed query, and while a segment is being replaced
AWAY_MAX_US: Final = 2_000_000  # queries fail for so long: what waits is told, the shard reopened

Places = dict[bytes, list[tuple[int, int]]]
"""Keys -> the (segment, bucket) in which they may stand."""


class Resolution:
    """What was found for one ticket. `found`: keys that segments hold -> locator."""

    __slots__ = ("absent", "found", "keys", "order", "roots", "version")

    def __init__(self, order: int) -> None:
        self.order = order  # of arrival: those that came before go before
        self.found: dict[bytes, int] = {}
        self.absent: dict[bytes, None] = {}  # in none of the segments of `version`
        self.version = -1
        self.roots: dict[int, None] = {}  # families that it may change
        self.keys: Places = {}  # still to be looked up


class Waiting(Protocol):
    """A ticket or a read, as far as it concerns us."""

    resolution: Any
    future: asyncio.Future[Any]

    @property
    def commands(self) -> Sequence[Command]:
        """To be decided; () = it only looks."""
        ...

    @property
    def accounts(self) -> Sequence[int]:
        """What it looks at."""
        ...


class Resolver:
    """Belongs to one writer; `open` and `drop` with the state."""

    def __init__(
        self,
        store: CheckpointStore,
        checkpointer: Checkpointer,
        pager: Pager,
        clock: Clock,
        ready: Callable[[Sequence[Waiting]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`ready` takes back what was parked, to go first, and wakes the writer, for what came in
        may be due. `failed` drops the state."""
        self._store = store
        self._checkpointer = checkpointer
        self._pager = pager
        self._clock = clock
        self._ready = ready
        self._failed = failed
        self._state: State | None = None
        self._parked: list[Waiting] = []  # by order
        self._blocked: Counter[int] = Counter()  # families of those
        self._arrivals = 0
        self._wanted: dict[int, None] = {}  # families to be fetched
        self._task: asyncio.Task[None] | None = None
        self._answered_us = 0  # when the store last answered, or was first asked

    def open(self, state: State) -> None:
        """Serve a state that was just opened."""
        self._state = state

    def drop(self) -> list[Waiting]:
        """The state is gone; returns what was parked."""
        self._state = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        parked, self._parked = self._parked, []
        self._blocked.clear()
        self._wanted = {}
        return parked

    @property
    def waiting(self) -> bool:
        """Whether anything is parked or being fetched."""
        return bool(self._parked or self._wanted)

    # -- in the writer's task ----------------------------------------------------------------------

    def holds_back(self, state: State, item: Waiting) -> bool:
        """Whether the item has to wait: it is kept, and handed back when it may go on."""
        if not state.paged and not self._checkpointer.segments.segments and not self._parked:
            return False
        resolution: Resolution | None = item.resolution
        missing = self._look(state, item)
        if missing is None and not (self._parked and self._is_blocked(state, item)):
            return False
        if missing is None:
            missing = resolution if resolution is not None else self._arrive(item)
        self._park(state, item, missing)
        return True

    def needs(self, root: int) -> bool:
        """Whether the family is to stay in memory: something that waits touches it."""
        return self._blocked[root] > 0

    def want(self, roots: Iterable[int]) -> None:
        """Have these families fetched: something in them is due."""
        self._wanted.update(dict.fromkeys(roots))
        self._go_on()

    async def find(self, key: bytes) -> int | None:
        """Locator of a key that the map in memory does not have.

        Raises JournalUnavailable, and JournalConflict where the shard is not ours any more.
        """
        state = self._state
        while True:
            if state is None or self._state is not state:  # the next may have it in memory
                raise JournalUnavailable(f"shard {self._store.shard} is being opened")
            places = self._checkpointer.segments.places(key)
            if not places:
                return None
            bodies = await self._store.buckets(places, Expected(state.epoch))
            for place in places:
                locator = find_in_bucket(bodies.get(place, b""), key)
                if locator is not None:
                    return locator
            if len(bodies) == len(places):
                return None
            await asyncio.sleep(RETRY_DELAY_US / SECOND_US)  # a segment is being replaced

    # -- what is missing ---------------------------------------------------------------------------

    def _look(self, state: State, item: Waiting) -> Resolution | None:
        """None where nothing is missing; else what was found so far, and what is not yet."""
        commands = item.commands
        roots = _paged_roots(state, commands, item.accounts) if state.paged else {}
        segments = self._checkpointer.segments
        keys: Places = {}
        if segments.segments and commands:
            keyed = _keyed(commands)
            if segments.any_maybe(keyed):
                keys = self._maybe(state, item.resolution, keyed)
        resolution: Resolution | None = item.resolution
        if resolution is not None:
            resolution.keys, resolution.version = keys, segments.version
        if not roots and not keys:
            return None
        if resolution is None:
            resolution = self._arrive(item)
            resolution.keys, resolution.version = keys, segments.version
        self._wanted.update(roots)
        return resolution

    def _maybe(
        self, state: State, resolution: Resolution | None, commands: Sequence[Command]
    ) -> Places:
        """Keys that may stand in a segment, and of which nothing better is known."""
        segments = self._checkpointer.segments
        holds = state.keys.holds
        found: dict[bytes, int] = {}
        absent: dict[bytes, None] = {}
        if resolution is not None:
            found = resolution.found
            if resolution.version != segments.version:
                resolution.absent = {}
            absent = resolution.absent
        maybe: Places = {}
        for command in commands:
            if isinstance(command, ApplyConfiguration):
                continue
            key = command.key
            if key in found or key in absent or key in maybe or holds(key):
                continue
            places = segments.places(key)
            if places:
                maybe[key] = places
        return maybe

    def _arrive(self, item: Waiting) -> Resolution:
        self._arrivals += 1
        resolution = item.resolution = Resolution(self._arrivals)
        return resolution

    # -- parking -----------------------------------------------------------------------------------

    def _park(self, state: State, item: Waiting, resolution: Resolution) -> None:
        resolution.roots = _all_roots(state, item)
        insort(self._parked, item, key=arrival)
        self._blocked.update(list(resolution.roots))
        self._go_on()

    def _is_blocked(self, state: State, item: Waiting) -> bool:
        """Whether one that came before waits and touches a family of this one."""
        roots = _all_roots(state, item)
        resolution = item.resolution
        if resolution is None:
            return any(self._blocked[root] > 0 for root in roots)
        for other in self._parked:
            assert other.resolution is not None
            if other.resolution.order >= resolution.order:
                return False
            if any(root in other.resolution.roots for root in roots):
                return True
        return False

    def _release(self, state: State) -> None:
        """Hand back what waits for nothing any more, in order."""
        ready: list[Waiting] = []
        kept: list[Waiting] = []
        blocked: dict[int, None] = {}
        for item in self._parked:
            resolution = item.resolution
            assert resolution is not None
            free = not any(root in blocked for root in resolution.roots)
            if free and self._look(state, item) is None:
                ready.append(item)
                self._blocked.subtract(list(resolution.roots))
            else:
                kept.append(item)
                blocked.update(resolution.roots)
        self._parked = kept
        self._blocked += Counter()  # only what is above zero
        self._ready(ready)

    # -- fetching ----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fetch(), name="resolve")

    async def _fetch(self) -> None:
        """One query for families and one for buckets at a time, until nothing is wanted."""
        self._answered_us = self._clock.monotonic_us()
        try:
            while self._state is not None and (self._wanted or self._parked):
                await self._fetch_some(self._state)
        except msgspec.MsgspecError as error:
            self._failed(CheckpointDamaged(f"a family of the checkpoint cannot be read: {error}"))
        except Exception as error:
            self._failed(error)

    async def _fetch_some(self, state: State) -> None:
        roots = list(self._wanted)[:FAMILIES_A_QUERY]
        places: dict[tuple[int, int], None] = {}
        for item in self._parked:
            assert item.resolution is not None
            for each in item.resolution.keys.values():
                places.update(dict.fromkeys(each))
            if len(places) >= BUCKETS_A_QUERY:
                break
        try:
            ours = Expected(state.epoch)
            families = await self._store.families(roots, ours) if roots else []
            bodies = await self._store.buckets(list(places), ours) if places else {}
        except JournalUnavailable:
            if self._clock.monotonic_us() - self._answered_us >= AWAY_MAX_US:
                raise
            await asyncio.sleep(RETRY_DELAY_US / SECOND_US)
            return
        self._answered_us = self._clock.monotonic_us()
        stored = {family.place.root: None for family in families}
        for root in roots:
            if root not in stored and root in state.paged_families:
                raise msgspec.ValidationError(f"family {root} is not stored")
        await self._bring_in(state, families)
        for root in roots:
            self._wanted.pop(root, None)
        replaced = self._deliver(places, bodies)
        self._release(state)
        if replaced:  # the checkpoint that merged a segment is durable, but not taken in yet
            await asyncio.sleep(RETRY_DELAY_US / SECOND_US)
            self._release(state)

    async def _bring_in(self, state: State, families: Sequence[StoredFamily]) -> None:
        slices = Slices(self._clock)
        slices.begin()
        for family in families:
            if family.place.root in state.paged_families:
                root = unpack_family(state, family.body)
                self._pager.touch((root,), self._clock.monotonic_us())
            if slices.over():
                await slices.rest()

    def _deliver(
        self, asked: dict[tuple[int, int], None], bodies: dict[tuple[int, int], bytes]
    ) -> bool:
        """Say of each key where it stands, or that it stands nowhere; whether a segment is gone."""
        replaced = False
        for item in self._parked:
            resolution = item.resolution
            assert resolution is not None
            for key, places in resolution.keys.items():
                if not all(place in asked for place in places):
                    continue  # next time
                found = [find_in_bucket(bodies.get(place, b""), key) for place in places]
                located = [locator for locator in found if locator is not None]
                if located:
                    resolution.found[key] = located[0]
                elif all(place in bodies for place in places):
                    resolution.absent[key] = None  # as of its `version`
                else:
                    replaced = True
        return replaced


def _keyed(commands: Sequence[Command]) -> Sequence[Command]:
    """The commands and the usage that some of them record besides: all whose keys must be new."""
    if type(commands[0]) is not AmendUsage:  # one of those is asked alone
        return commands
    return [*commands, *[each.usage for each in commands if isinstance(each, AmendUsage)]]


def arrival(item: Waiting) -> int:
    """Where an item that was held back stands in the order of arrival."""
    order: int = item.resolution.order
    return order


def _paged_roots(
    state: State, commands: Sequence[Command], accounts: Sequence[int]
) -> dict[int, None]:
    """The families that are needed and paged out."""
    paged = state.paged
    roots: dict[int, None] = {}
    for command in commands:
        root = paged.get(command.account)
        if root is not None:
            roots[root] = None
        elif isinstance(command, CreateAccount) and command.root in state.paged_families:
            roots[command.root] = None
    for account in accounts:
        root = paged.get(account)
        if root is not None:
            roots[root] = None
    return roots


def _all_roots(state: State, item: Waiting) -> dict[int, None]:
    """The families that an item may change or look at, in memory or not."""
    roots = {root_of(state, command): None for command in item.commands}
    for number in item.accounts:
        account = state.accounts.get(number)
        roots[account.root if account is not None else state.paged.get(number, 0)] = None
    roots.pop(0, None)
    return roots
