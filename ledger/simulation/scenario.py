"""One seed, drawn beforehand: operations, faults, chances. Plain data, so that the shrinker may
take any part of it away and run the rest again.

Each seed turns only some kinds of fault on: a world in which everything fails at once hides what
one fault alone would show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from random import Random
from typing import Any, Final

from ledger.simulation.database import DiskFaults

SECOND: Final = 1_000_000
SHARDS: Final = 2
HASH_SEEDS: Final = 4_294_967_295
SEEDS_A_HASH_SEED: Final = 50
"""Seeds that share one PYTHONHASHSEED, so that one process may run them one after another."""


class FaultKind(StrEnum):
    """What happens to the world at a moment."""

    CRASH = "the server is killed and started again"
    CRASH_AT_STEP = "the server is killed just before its n-th step"
    RESTART = "the server is told to stop, finishes, and is started again"
    PAUSE = "the server is stopped for a while and goes on"
    TAKEOVER = "the server is stopped, another one starts, the first one wakes up"
    SECOND_SERVER = "a second server starts on the same shards, and is killed later"
    DATABASE_AWAY = "the database answers nothing for a while"
    SLOW_DISK = "every commit is slow for a while"
    CLOCK_JUMP = "the server's wall clock jumps"
    LEAP = "all wall clocks leap forward"
    PROJECTOR_CRASH = "the projector is killed and started again"
    SECOND_PROJECTOR = "a second projector starts, and is killed later"
    STOPPED_IN_BEAT = "the server is stopped as its leases are renewed or won, and wakes up late"
    CHECKPOINT_SPOILT = "no server is there, and a checkpoint fits its journal no more"
    LONG_AWAY = "the database answers nothing for longer than anybody may wait"


SELDOM: Final = (FaultKind.STOPPED_IN_BEAT, FaultKind.CHECKPOINT_SPOILT, FaultKind.LONG_AWAY)
"""Drawn by themselves: whole worlds are made for them."""


TOPICS_STREAM: Final = "topics-4449"
"""Any name would do. Under this one the seeds that show what is seldom draw as they always did."""


@dataclass(frozen=True)
class Fault:
    """At `at_us` (or at a step of the server), for `duration_us`; `amount` says how far or when."""

    kind: FaultKind
    at_us: int
    duration_us: int = 0
    amount: int = 0

    def __str__(self) -> str:
        more = f" for {self.duration_us} us" if self.duration_us else ""
        more += f" ({self.amount})" if self.amount else ""
        return f"at {self.at_us} us: {self.kind.value}{more}"


@dataclass(frozen=True)
class Operation:
    """What one client asks for: `fields` are its own, `same_as` the operation that it repeats."""

    number: int
    client: int
    kind: str
    tenant: int
    account: str
    fields: dict[str, Any]
    pause_us: int = 0  # the client waits so long before it
    waits: bool = True  # whether the client waits for the answer before its next operation
    same_as: int = -1
    identity: int = -1  # of which operation it carries the request id; -1 = its own

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        again = f" (identity of {self.same_as})" if self.same_as >= 0 else ""
        return f"#{self.number} client {self.client}: {self.kind} {self.account} {fields}{again}"


@dataclass(frozen=True)
class NetworkFaults:
    """Chances in a thousand a message, and times in microseconds."""

    lost: int = 0
    doubled: int = 0
    delayed: int = 0
    delay_us: int = 2_000_000
    trip_us: int = 400


@dataclass(frozen=True)
class Scenario:
    """Everything that a run is made of."""

    seed: int
    shuffle: bool
    clients: int
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...]
    disk: DiskFaults
    network: NetworkFaults
    recent_events_max: int  # what the engine keeps in memory of its last batches
    sweep_entries_max: int = 256  # expiries posted before deciding on; 0 = only when touched
    checkpoint_entries: int = 500_000  # between two checkpoints of a shard
    resident_families: int = 100_000  # that stay in memory of a shard
    idle_us: int = 3_600 * SECOND  # a family that nothing touched for so long leaves memory
    tight: bool = False  # whether batches, slices, queries and filters of keys are tiny
    leases: bool = True  # whether servers share the shards by leases
    plans: tuple[str, ...] = ()  # packages that are published
    projector: bool = True  # whether a projector keeps read models
    give_up_us: int = 0  # clients give up after so long; 0 = never

    def stream(self, name: str) -> Random:
        """Chance of its own for one part of the world."""
        return stream(self.seed, name)


def stream(seed: int, name: str) -> Random:
    """A source of chance that depends on the seed and the name alone."""
    return Random(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest())


def hash_seed_of(seed: int) -> int:
    """The PYTHONHASHSEED that belongs to a seed."""
    group = seed // SEEDS_A_HASH_SEED
    return int.from_bytes(blake2b(b"%d" % group, digest_size=4).digest()) % HASH_SEEDS


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    from ledger.simulation.workload import (
        QUOTES,
        draw_operations,
        draw_topics,
        plans_of,
        with_overrides,
    )

    random = stream(seed, "scenario")
    clients = random.randint(1, 4)
    span_us = random.choice((SECOND, 3 * SECOND, 10 * SECOND))
    topics = draw_topics(seed, stream(seed, TOPICS_STREAM))
    operations = draw_operations(stream(seed, "workload"), clients, span_us, topics)
    if QUOTES not in topics:  # what a quote prices under overrides is for the core's own tests
        operations = with_overrides(stream(seed, "price overrides"), operations, clients)
    drawn = _drawn(seed, random, clients, span_us, operations)
    return replace(drawn, plans=plans_of(topics))


def _drawn(
    seed: int, random: Random, clients: int, span_us: int, operations: tuple[Operation, ...]
) -> Scenario:
    seldom = stream(seed, "seldom")
    scenario = Scenario(
        seed=seed,
        shuffle=_percent(random, 70),
        clients=clients,
        operations=operations,
        faults=_faults(random, span_us),
        disk=_disk(random),
        network=_network(random),
        recent_events_max=random.choice((1, 10, 65_536)),
        sweep_entries_max=random.choice((0, *[1] * 7, *[256] * 8)),
        checkpoint_entries=random.choice((3, 10, 40, 500_000)),
        resident_families=random.choice((1, 2, 100_000)),
        idle_us=random.choice((SECOND // 5, 3_600 * SECOND)),
        leases=_percent(random, 50),
        projector=_percent(random, 40),
        give_up_us=random.choice((0, 0, 60_000, 4 * SECOND)),
        tight=_percent(seldom, 35),
    )
    more = _seldom(seldom, span_us, scenario.leases)
    late_answer = 0
    if _percent(seldom, 20):
        late_answer = seldom.choice((100, 300, 800))
        if not scenario.leases:  # a successor comes while answers are on their way
            more += [
                _fault(seldom, FaultKind.SECOND_SERVER, seldom.randrange(span_us)) for _ in range(3)
            ]
    # Where nothing is posted but what is touched, a writer looks each millisecond at what is due:
    # while the database is away for long, that alone would be more steps than a world may have.
    away = any(each.kind is FaultKind.LONG_AWAY for each in more)
    sweep = max(1, scenario.sweep_entries_max) if away else scenario.sweep_entries_max
    return replace(
        scenario,
        sweep_entries_max=sweep,
        faults=tuple(sorted((*scenario.faults, *more), key=lambda fault: fault.at_us)),
        disk=replace(scenario.disk, late_answer=late_answer),
    )


def calm(scenario: Scenario) -> Scenario:
    """The same without any fault."""
    return replace(scenario, faults=(), disk=DiskFaults(), network=NetworkFaults())


def _percent(random: Random, often: int) -> bool:
    return random.randrange(100) < often


def _faults(random: Random, span_us: int) -> tuple[Fault, ...]:
    kinds = [kind for kind in FaultKind if kind not in SELDOM and _percent(random, 25)]
    if _percent(random, 15):
        kinds = [FaultKind.TAKEOVER]
    faults = []
    for _ in range(random.randint(0, 5) if kinds else 0):
        kind = random.choice(kinds)
        at_us = random.randrange(span_us)
        faults.append(_fault(random, kind, at_us))
    if _percent(random, 25):  # as days go by, keys grow old and grants expire
        faults += [_fault(random, FaultKind.LEAP, random.randrange(span_us)) for _ in range(2)]
    return tuple(sorted(faults, key=lambda fault: fault.at_us))


def _seldom(random: Random, span_us: int, leases: bool) -> list[Fault]:
    kinds = [
        kind for kind, often in zip(SELDOM, (30, 12, 6), strict=True) if _percent(random, often)
    ]
    if not leases and FaultKind.STOPPED_IN_BEAT in kinds:
        kinds.remove(FaultKind.STOPPED_IN_BEAT)
    return [
        _fault(random, kind, random.randrange(span_us))
        for kind in kinds
        for _ in range(random.randint(1, 2))
    ]


def _fault(random: Random, kind: FaultKind, at_us: int) -> Fault:
    short = random.randrange(10_000, 6 * SECOND)
    match kind:
        case FaultKind.CRASH_AT_STEP:
            return Fault(kind, at_us, 0, random.randint(1, random.choice((60, 400, 1_500))))
        case FaultKind.CLOCK_JUMP:
            size = random.choice((100_000, 400_000, 900_000, 5 * SECOND, 3_600 * SECOND))
            return Fault(kind, at_us, short, random.choice((-1, 1)) * size)
        case FaultKind.LEAP:
            hours = random.choice((0, 1, 13, 25, 24 * 8, 24 * 8, 24 * 36))
            return Fault(kind, at_us, 0, (hours * 3_600 + random.randrange(1_200)) * SECOND)
        case FaultKind.SLOW_DISK:
            return Fault(kind, at_us, short, random.randrange(10_000, 2 * SECOND))
        case FaultKind.CRASH | FaultKind.RESTART | FaultKind.PROJECTOR_CRASH:
            return Fault(kind, at_us, random.randrange(SECOND))
        case FaultKind.STOPPED_IN_BEAT:
            long = random.randrange(2 * SECOND, 6 * SECOND)
            barely = random.randrange(16 * SECOND // 10, 22 * SECOND // 10)  # names are fresh still
            return Fault(kind, at_us, random.choice((barely, long)), random.choice((0, 1, 1, 2, 3)))
        case FaultKind.CHECKPOINT_SPOILT:
            return Fault(kind, at_us, random.randrange(SECOND), random.randrange(8))
        case FaultKind.LONG_AWAY:
            return Fault(kind, at_us, 25 * SECOND)
        case FaultKind.TAKEOVER:  # past the lease: two seconds, and time to open
            return Fault(kind, at_us, random.randrange(2 * SECOND, 6 * SECOND))
        case _:
            return Fault(kind, at_us, short)


def _disk(random: Random) -> DiskFaults:
    def maybe(most: int) -> int:
        return random.randrange(most) if _percent(random, 20) else 0

    return DiskFaults(
        unknown_landed=maybe(100),
        unknown_lost=maybe(100),
        unknown_late=maybe(100),
        refused=maybe(100),
        slow=maybe(200),
        trip_us=random.choice((100, 300, 5_000)),
    )


def _network(random: Random) -> NetworkFaults:
    def maybe(most: int) -> int:
        return random.randrange(most) if _percent(random, 30) else 0

    return NetworkFaults(
        lost=maybe(150),
        doubled=maybe(150),
        delayed=maybe(150),
        trip_us=random.choice((50, 400, 5_000)),
    )
