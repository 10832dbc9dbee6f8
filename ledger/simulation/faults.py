"""The faults of a world, as they happen to its servers, database, clocks and projectors.

Owns what a fault leaves behind until the world is calm. Draws nothing but how long calls linger.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ledger.core.limits import SECOND_US
from ledger.engine.lease import Terms
from ledger.simulation.draws import ROOTS, TENANTS
from ledger.simulation.messages import Call
from ledger.simulation.processes import Process, SimulatedClock
from ledger.simulation.scenario import SECOND, SHARDS, Fault, FaultKind
from ledger.simulation.server import SimulatedServer
from ledger.simulation.spoilt import Spoilt

if TYPE_CHECKING:
    from ledger.simulation.world import World

PROBE_US: Final = 20_000  # between two questions to a server that is stopped
PROBES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("read", {}),
    *[("shard", {"shard": shard}) for shard in range(SHARDS)],
    ("release", {"hold": 1 << 40}),  # of which there is none
    *[("shard", {"shard": shard}) for shard in range(SHARDS)],
)


class Faults:
    """What happens to one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slow_leases: dict[Process, SimulatedServer] = {}  # whose calls of the leases linger
        self._lingers = world.scenario.stream("lingers")
        self._stops: dict[Process, tuple[str, Fault]] = {}  # to be stopped in such a call

    def end(self) -> None:
        """Nobody is stopped or favoured any more."""
        self._stops.clear()
        self._world.network.favoured = None

    async def happen(self, fault: Fault) -> None:
        """At its time, unless everything is calm by then."""
        world = self._world
        await _sleep(fault.at_us)
        if world.calm:
            return
        world.note(f"fault {fault.kind.name} {fault.duration_us} {fault.amount}")
        servers = world.alive
        server = servers[-1] if servers else world.start_server()
        match fault.kind:
            case FaultKind.CRASH:
                world.kill(server)
                if await self._lasts(fault.duration_us):
                    world.ensure_server()
            case FaultKind.CRASH_AT_STEP:
                world.targets[server.process] = server.process.steps + fault.amount
                world.loop.on_step = world.on_step
            case FaultKind.RESTART:
                await world.restart(server)
            case FaultKind.PAUSE:
                server.process.stop()
                if await self._lasts(fault.duration_us):
                    server.process.resume()
            case FaultKind.TAKEOVER:
                server.process.stop()
                world.start_server()
                if await self._lasts(fault.duration_us):
                    world.note(f"{server.process.name} wakes up")
                    server.process.resume()
                if await self._lasts(SECOND):
                    world.kill(server)
            case FaultKind.SECOND_SERVER:
                second = world.start_server()
                if await self._lasts(fault.duration_us):
                    world.kill(second)
                    world.ensure_server()
            case FaultKind.DATABASE_AWAY:
                world.database.away = True
                if await self._lasts(fault.duration_us):
                    world.database.away = False
            case FaultKind.SLOW_DISK:
                before = world.database.faults
                world.database.faults = replace(before, slow=1_000, slow_us=fault.amount)
                if await self._lasts(fault.duration_us):
                    world.database.faults = before
            case FaultKind.CLOCK_JUMP:
                server.process.clock.offset_us += fault.amount
                if await self._lasts(fault.duration_us):
                    server.process.clock.offset_us = 0
            case FaultKind.LONG_AWAY:
                world.database.away = True
                if await self._lasts(fault.duration_us):
                    world.database.away = False
            case FaultKind.STOPPED_IN_BEAT:
                self._stop_in_beat(server, fault)
            case FaultKind.CHECKPOINT_SPOILT:
                for each in world.alive:
                    world.kill(each)
                spoilt = world.database.spoil(fault.amount % SHARDS, Spoilt(fault.amount // SHARDS))
                world.note(f"a checkpoint is spoilt: {spoilt}")
                if await self._lasts(fault.duration_us):
                    world.ensure_server()
            case FaultKind.LEAP:
                world.time.leapt_us += fault.amount
            case _:
                await self._projector_fault(fault)

    async def _lasts(self, duration_us: int) -> bool:
        """Wait for the end of a fault; False where everything has become calm meanwhile."""
        await _sleep(duration_us)
        return not self._world.calm

    def _stop_in_beat(self, server: SimulatedServer, fault: Fault) -> None:
        """As it renews its leases, or its successor as it wins them."""
        world = self._world
        if fault.amount < 2:
            self._slow_leases[server.process] = server
            self._stops[server.process] = ("beat heard" if fault.amount else "beat", fault)
            return
        world.kill(server)
        call = "acquire" if fault.amount == 2 else "acquire heard"
        successor = world.start_server()
        self._slow_leases[successor.process] = successor
        self._stops[successor.process] = (call, fault)

    def lease_call(self, process: Process, name: str) -> int:
        """Done in the store, or answered, and nobody is awake to hear of it; such a process waits
        for its leases long, afterwards at times for longer than it has patience."""
        world = self._world
        server = self._slow_leases.get(process)
        if server is None or world.calm:
            return 0
        wanted, fault = self._stops.get(process, ("", None))
        if fault is None:
            return self._lingers.choice((0, 2 * Terms().patience_us))
        if name == wanted and (server.ledger.owned or "acquire" in name):
            del self._stops[process]
            process.stop()
            world.spawn(self._sleep_through(server, fault))
        return self._lingers.randrange(Terms().patience_us)

    async def _sleep_through(self, server: SimulatedServer, fault: Fault) -> None:
        """Another takes over meanwhile, and callers go on asking who sleeps."""
        world = self._world
        process = server.process
        world.note(f"{process.name} is stopped in a beat")
        world.start_server()
        world.network.favoured = server
        prober = Process(world.loop, f"prober of {process.name}", SimulatedClock(world.time))
        world.processes.append(prober)
        prober.spawn(self._probe(prober))
        if await self._lasts(fault.duration_us):
            world.note(f"{process.name} wakes up")
            process.resume()
        if await self._lasts(SECOND):
            world.kill(server)
        world.network.favoured = None
        prober.kill()

    async def _probe(self, prober: Process) -> None:
        """Ask for what rests on the state alone, again and again."""
        world = self._world
        for number in count():
            await _sleep(PROBE_US)
            tenant, request_id = TENANTS[number % len(TENANTS)], f"probe-{number}"
            kind, fields = PROBES[number // len(TENANTS) % len(PROBES)]
            call = Call(kind, tenant, ROOTS[tenant][0], request_id, fields)
            world.network.call(prober, call, lambda reply: None)

    async def _projector_fault(self, fault: Fault) -> None:
        world = self._world
        if not world.scenario.projector:
            return
        if fault.kind is FaultKind.PROJECTOR_CRASH:
            world.projectors[-1].kill()
            if await self._lasts(fault.duration_us):
                world.start_projector()
        else:
            second = world.start_projector()
            if await self._lasts(fault.duration_us):
                second.kill()


async def _sleep(duration_us: int) -> None:
    await asyncio.sleep(duration_us / SECOND_US)
