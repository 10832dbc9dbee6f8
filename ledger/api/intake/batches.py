"""A batch of usage between its message and the writers: one lane a shard, in the batch's order.

Owns what the two forms share: where accounts live (`Seats`), the commands of each shard with the
places of their events in the batch, and what was wrong with the events that got none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeAlias

from ledger.api.errors import Fault
from ledger.api.limits import id_fault
from ledger.core.commands import Command
from ledger.core.identity import FamilyDigest
from ledger.engine.ledger import Ledger
from ledger.journal.directory import Entry

SEATS_MAX: Final = 200_000  # a tenant; x ~300 B = 60 MB
PARSE_SLICE: Final = 128
"""Events of one batch parsed between two yields to the loop; x ~6 us = 0.8 ms, for each batch that
is being parsed."""


class Lane:
    """The commands of one shard, and the place in the batch of each."""

    __slots__ = ("commands", "places")

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.places: list[int] = []


class Parsed:
    """A batch on its way to the writers."""

    __slots__ = ("count", "faults", "lanes", "unknown")

    def __init__(self, count: int, shards: int) -> None:
        self.count = count
        self.lanes = [Lane() for _ in range(shards)]  # by shard; most have no command
        self.faults: dict[int, Fault] = {}  # place -> what is wrong; nothing is recorded
        self.unknown: dict[int, str] = {}  # place -> account or alias that nobody knows

    def is_refused(self, place: int) -> bool:
        """Whether the event is wrong in itself, whoever its account is."""
        return place in self.faults and place not in self.unknown

    def refuse_unknown(self, place: int, name: str) -> None:
        """An event whose account nobody knows; it may be parked if its name could be one."""
        fault = id_fault("account", name)
        self.faults[place] = fault or unknown_account(name)
        if fault is None:
            self.unknown[place] = name


# (account number, digest of (source_prefix, id), digests of operations and personal data, shard)
Seat: TypeAlias = tuple[int, Callable[[bytes, str], bytes], FamilyDigest, int]


def _no_key(_: bytes, __: str) -> bytes:
    raise AssertionError("a sentinel has no digests")


_NO_FAMILY: Final = FamilyDigest(bytes(32))
UNKNOWN: Final[Seat] = (0, _no_key, _NO_FAMILY, 0)
"""Nobody knows the name."""
LOOK_UP: Final[Seat] = (-1, _no_key, _NO_FAMILY, 0)
"""The name is not in memory: `Seats.look_up` it, then find it again."""


class SeatCache:
    """Seats of accounts by their own id, which mean the same at every time, for each tenant.

    A copy of what the directory caches, ready for the hot loop. Emptied when it is full: the
    directory's own cache fills it again.
    """

    __slots__ = ("_by_tenant",)

    def __init__(self) -> None:
        self._by_tenant: dict[int, dict[str, Seat]] = {}

    def of(self, tenant: int) -> dict[str, Seat]:
        """The seats of a tenant, to be read and added to."""
        seats = self._by_tenant.setdefault(tenant, {})
        if len(seats) >= SEATS_MAX:
            seats.clear()
        return seats

    def forget(self, tenant: int, account_id: str) -> None:
        """The account was erased."""
        self.of(tenant).pop(account_id, None)

    def forget_accounts(self, numbers: Collection[int]) -> None:
        """These accounts were erased. Looks at every seat."""
        if numbers:
            for seats in self._by_tenant.values():
                for name in [name for name, seat in seats.items() if seat[0] in numbers]:
                    del seats[name]

    def clear(self) -> None:
        """Nobody knows what changed."""
        for seats in self._by_tenant.values():
            seats.clear()


class Seats:
    """Name -> seat, for one batch. What an alias means depends on the time of the event."""

    __slots__ = ("_known", "_ledger", "_tenant", "by_id", "named", "now_us")

    def __init__(self, ledger: Ledger, cache: SeatCache, tenant: int) -> None:
        self._ledger = ledger
        self._tenant = tenant
        self.now_us = ledger.sandboxes.now_us(tenant)
        self.by_id = cache.of(tenant) if ledger.names.fresh() else {}
        self._known: dict[tuple[str, int], Entry | None] = {}  # looked up; None = unknown
        self.named: tuple[str, str] | None = None  # the seat that the alias found last names (I7)

    def find(self, name: str, at_us: int) -> Seat:
        """The seat of a name at a time (0 = now), or UNKNOWN, or LOOK_UP."""
        self.named = None
        at_us = at_us or self.now_us
        entry = self._ledger.cached(self._tenant, name, at_us)
        lasting = entry is not None
        if entry is None:
            place = (name, at_us)
            if place not in self._known:
                return LOOK_UP
            entry = self._known[place]
            if entry is None:
                return UNKNOWN
        self.named = entry.seat
        family = self._ledger.family(entry)
        number = self._ledger.number_of(entry)
        seat = (number, family.usage_after, family, entry.shard)
        if lasting and entry.account_id == name:
            self.by_id[name] = seat
        return seat

    async def look_up(self, names: Iterable[tuple[str, int]]) -> None:
        """Look these (name, time) up in one query; `find` then knows them all."""
        wanted = list({(name, at_us or self.now_us) for name, at_us in names})
        for place in wanted:
            self._known[place] = None
        self._known.update(await self._ledger.directory.resolve(self._tenant, wanted))


def unknown_account(name: str) -> Fault:
    """The outcome of an event for an account that nobody knows."""
    return Fault(
        "ACCOUNT_UNKNOWN",
        "account",
        name,
        "no account has this id, and no alias of this name is in force; create it, or send with "
        "park_unknown",
    )
