"""One scenario from start to verdict: servers, clients, projector, faults, and the checks.

Owns who lives when. Everything that happens goes into the trace, whose digest is the same whenever
the seed is the same.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from ledger.client.events import Outcome
from ledger.core.events import AccountPolicy, Event, WriterOpened
from ledger.core.limits import SECOND_US, SWEEP_ENTRIES_MAX
from ledger.core.upcast import UPCASTS
from ledger.engine import writer
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, OutcomeUnknown
from ledger.engine.upkeep import Upkeep
from ledger.journal.checkpoint import CheckpointWrite, WriteOutcome
from ledger.journal.codec import BatchCodec
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.errors import JournalError
from ledger.journal.protocol import JournalRow
from ledger.simulation import final
from ledger.simulation.checks import (
    Judge,
    Landed,
    ask_everything,
    check_client_order,
    check_linked,
    check_order,
    check_published,
    check_records,
)
from ledger.simulation.client import Shared, SimulatedClient, by_client
from ledger.simulation.database import Database, DiskFaults, SimulatedStorage
from ledger.simulation.draws import CHILDREN, PARENTS, ROOTS, TENANTS
from ledger.simulation.faults import Faults
from ledger.simulation.limits import limited
from ledger.simulation.loop import NOBODY, LoopHung, SimulatedLoop
from ledger.simulation.messages import (
    Answer,
    Call,
    Mark,
    Record,
    Reply,
    Status,
    UsageAnswer,
    mark_of,
)
from ledger.simulation.network import Host, Network, Request
from ledger.simulation.plans import plan
from ledger.simulation.prices import ASSETS, CARDS, VARIANTS, card
from ledger.simulation.processes import Process, SimulatedClock, WorldTime
from ledger.simulation.projection import ProjectionDatabase, run_projector
from ledger.simulation.rules import Rule, Violation
from ledger.simulation.scenario import SECOND, SHARDS, FaultKind, NetworkFaults, Scenario
from ledger.simulation.server import SimulatedServer

PARTS: Final = {False: 1_000, True: 2}  # events of a call that are submitted at once
LISTS: Final = 20
LIST_US: Final = 250_000  # between two lists
RECORDED: Final = (Outcome.APPLIED, Outcome.SUSPENSE, Outcome.QUARANTINED)

ANSWERED_WITHIN_US: Final = 300 * SECOND
"""After the faults have stopped everything is answered within this, or never."""

STALE: Final = (
    FaultKind.TAKEOVER, FaultKind.SECOND_SERVER, FaultKind.PAUSE, FaultKind.STOPPED_IN_BEAT,
)  # fmt: skip


@dataclass
class Verdict:
    """What became of a scenario. `violation` is None where everything held."""

    seed: int
    digest: str
    violation: Violation | None
    steps: int = 0
    simulated_us: int = 0
    operations: int = 0
    entries: int = 0
    crashes: int = 0
    lost: int = 0
    double_counted: int = 0
    records: list[Record] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)


class World:
    """Made for one scenario; `play` once, on its own loop."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.loop = SimulatedLoop(scenario.stream("schedule"), scenario.shuffle)
        self.time = WorldTime(self.loop)
        quiet = DiskFaults(trip_us=scenario.disk.trip_us)
        self.database = Database(self.time, scenario.stream("disk"), quiet, SHARDS)
        self.database.on_row = self._landed
        self.database.on_checkpoint = self._checkpointed
        calm = NetworkFaults(trip_us=scenario.network.trip_us)
        self.network = Network(scenario.stream("network"), calm)
        self.network.on_reply = self._replied
        self.network.on_late = self._late
        self.shared = Shared()
        self.servers: list[SimulatedServer] = []
        self.processes: list[Process] = []
        self.happened: list[str] = []
        self.landed: dict[tuple[int, int], Landed] = {}
        self.incident: Violation | None = None
        self.projections = ProjectionDatabase(self.database)
        self.projectors: list[Process] = []
        self.crashes = 0
        self._clocks = scenario.stream("clocks")
        self._digest = blake2b(digest_size=16)
        self.targets: dict[Process, int] = {}
        self.calm = False
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._openers: dict[int, tuple[str, int]] = {}  # shard -> who opened it last, when
        self._epochs: dict[int, int] = {}  # shard -> of that opening
        self._upkeep = Upkeep(
            checkpoint_entries=scenario.checkpoint_entries,
            checkpoint_interval_us=SECOND if scenario.checkpoint_entries < 1_000 else 300 * SECOND,
            resident_families=scenario.resident_families,
            idle_us=scenario.idle_us,
        )
        self._faults = Faults(self)
        self.database.on_lease_call = self._faults.lease_call
        self._retiring: list[SimulatedServer] = []
        self._over: asyncio.Future[None] = self.loop.create_future()  # a rule is broken for good

    # -- the trace ---------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        """Write down what happens."""
        line = f"{self.loop.now_us} {self.loop.steps} {what}"
        self._digest.update(line.encode() + b"\n")
        self.happened.append(line)

    def digest(self) -> str:
        """Of all that was written down."""
        return self._digest.hexdigest()

    def _landed(self, row: JournalRow) -> None:
        if row.event_count == 1:
            self._opened(row)
        published = {
            tenant: len(entries) for tenant, entries in self.database.configuration._entries.items()
        }
        self.landed[row.shard, row.batch_seq] = Landed(
            self.time.now_us(), self.loop.steps, published
        )
        self.note(f"row {row.shard}/{row.batch_seq} {row.event_count} {row.hash.hex()[:16]}")

    def _opened(self, row: JournalRow) -> None:
        """Remember who opened a shard last."""
        [event] = self._codec.decode(row.payload)
        if isinstance(event, WriterOpened):
            self._openers[row.shard] = (event.recorded_by, self.loop.steps)
            self._epochs[row.shard] = event.epoch

    def _checkpointed(self, shard: int, change: CheckpointWrite, outcome: WriteOutcome) -> None:
        """Only a predecessor's checkpoint comes to nothing."""
        epoch, latest = change.checkpoint.epoch, self._epochs[shard]
        if outcome is WriteOutcome.WRITTEN or (outcome is WriteOutcome.FENCED and epoch < latest):
            return
        self._break(
            Rule.CHECKPOINT_FITS,
            f"shard {shard}, batch {change.checkpoint.batch_seq} of epoch {epoch} (the latest is "
            f"{latest}): {outcome.name}",
        )

    def _late(self, host: Host, request: Request) -> None:
        self._break(Rule.ANSWERED_IN_TIME, f"{host.process.name}: {request}")

    def _replied(self, host: Host, reply: Reply, began: int) -> None:
        """No reply leaves before what it rests on is durable, and no read after a takeover.

        Leases run out by the database's clock: where that one leaps, a read may come late.
        """
        for mark in _rests_on_state(reply) if not self.time.leapt_us else ():
            owner, since = self._openers[mark.shard]
            if self.scenario.leases and owner != host.process.name and since < began:
                self._break(
                    Rule.READ_BY_OWNER,
                    f"{host.process.name} answers {reply}; {owner} opened in step {since}",
                )
        marks = []
        if isinstance(reply, UsageAnswer):
            marks = [mark_of(each.position) for each in reply.outcomes if each.position]
        elif isinstance(reply, Answer) and reply.mark is not None:
            marks = [reply.mark]
        for mark in marks:
            durable = self.database.entries[mark.shard]
            if max(mark.position, mark.entry_seq + 1) > durable and self.incident is None:
                self._break(
                    Rule.DURABLE_BEFORE_REPLY,
                    f"{host.process.name} answers {reply} while {durable} entries of shard "
                    f"{mark.shard} are durable",
                )

    def _break(self, rule: Rule, detail: str) -> None:
        """A rule is broken beyond doubt: the play is over."""
        if self.incident is None:
            self.incident = Violation(rule, detail)
            if not self._over.done():
                self._over.set_result(None)

    # -- life of servers ---------------------------------------------------------------------------

    def start_server(self) -> SimulatedServer:
        """Another server process, on a machine with a clock of its own."""
        offset_us = self._clocks.randrange(-300_000, 300_001)
        jumps = [each for each in self.scenario.faults if each.kind is FaultKind.CLOCK_JUMP]
        if jumps and self.servers and not self.calm and self._clocks.randrange(3) == 0:
            offset_us = jumps[0].amount  # a machine whose clock nobody has set
        process = Process(
            self.loop, f"server-{len(self.servers) + 1}", SimulatedClock(self.time, offset_us)
        )
        server = SimulatedServer(
            process,
            SimulatedStorage(self.database, process),
            self._break,
            self.scenario.leases,
            self._upkeep,
            part=PARTS[self.scenario.tight],
        )
        self.servers.append(server)
        self.processes.append(process)
        self.network.hosts.append(server)
        process.spawn(server.start())
        self.note(f"{process.name} starts")
        return server

    @property
    def alive(self) -> list[SimulatedServer]:
        """Servers that were not killed and have not ended."""
        return [server for server in self.servers if not server.process.dead]

    def kill(self, server: SimulatedServer) -> None:
        """SIGKILL."""
        if not server.process.dead:
            self.note(f"{server.process.name} is killed")
            self.crashes += 1
            server.process.kill()
            self.network.broke(server)

    def ensure_server(self) -> None:
        """One at least is there."""
        if not self.alive:
            self.start_server()

    # -- faults ------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it run, as nobody's."""
        self.loop.spawn(NOBODY, work)

    # -- projectors --------------------------------------------------------------------------------

    def start_projector(self) -> Process:
        """A process that keeps the read models."""
        number = len(self.projectors) + 1
        process = Process(self.loop, f"projector-{number}", SimulatedClock(self.time))
        self.projectors.append(process)
        self.processes.append(process)
        process.spawn(run_projector(self.projections))
        return process

    async def _projected(self) -> None:
        """Return when the read models have come to the end of the journal."""
        for process in self.projectors[:-1]:
            process.kill()
        if self.projectors[-1].dead:
            self.start_projector()
        tables = self.projections.shards
        for _ in range(200):
            if all(
                tables[shard].position.entries == self.database.entries[shard]
                for shard in range(SHARDS)
            ):
                return
            await _sleep(100_000)

    def on_step(self, owner: Any) -> None:
        """Kill the server whose step it was to be."""
        target = self.targets.get(owner)
        if target is None or owner.steps < target:
            return
        del self.targets[owner]
        for server in self.alive:
            if server.process is owner:
                self.kill(server)
        self.spawn(self._start_later())

    async def _start_later(self) -> None:
        await _sleep(self._clocks.randrange(SECOND))
        self.ensure_server()

    async def restart(self, server: SimulatedServer) -> None:
        """SIGTERM, and another one once it has ended, or has not for 10 s."""
        if server in self.network.hosts:
            self.network.hosts.remove(server)
        self.note(f"{server.process.name} is told to stop")
        self._retiring.append(server)
        await asyncio.wait([server.process.spawn(server.stop())], timeout=10)
        self.kill(server)
        if not self.calm:
            self.ensure_server()

    def _be_calm(self) -> None:
        """No fault any more; one server is left.

        Without leases the last one started anew: one that was superseded while it was idle would
        learn of it only when it writes, which a lease would have told it.
        """
        self.calm = True
        self.note("calm")
        writer.SWEEP_ENTRIES_MAX = SWEEP_ENTRIES_MAX  # type: ignore[attr-defined]
        self.database.away = False
        self.database.faults = DiskFaults(trip_us=self.scenario.disk.trip_us)
        self.network.faults = NetworkFaults(trip_us=self.scenario.network.trip_us)
        self.targets.clear()
        self._faults.end()
        for server in self._retiring:
            self.kill(server)
        for server in self.alive:
            server.process.clock.offset_us = 0
            server.process.resume()
        for server in self.alive[:-1] if self.scenario.leases else self.alive:
            self.kill(server)
        self.ensure_server()

    # -- the play ----------------------------------------------------------------------------------

    async def play(self) -> None:
        """Play to the end, or until a rule is broken beyond doubt."""
        playing = self.loop.spawn(NOBODY, self._play())
        await asyncio.wait([playing, self._over], return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()

    async def _play(self) -> None:
        """Everything up to the last answer, and an end in peace."""
        first = self.start_server()
        await first.process.spawn(self._begin(first))
        self.note("begun")
        scenario = self.scenario
        self.database.faults = scenario.disk
        self.network.faults = scenario.network
        if scenario.projector:
            self.start_projector()
        for fault in scenario.faults:
            self.spawn(self._faults.happen(fault))
        if scenario.tight:
            self._start_listing()
        clients = self._clients()
        last_us = max((each.at_us + each.duration_us for each in scenario.faults), default=0)
        await asyncio.wait(clients, timeout=(last_us + 12 * SECOND) / SECOND_US)
        self._be_calm()
        await asyncio.wait(clients, timeout=ANSWERED_WITHIN_US / SECOND_US)
        for client in clients:
            if client.done():
                client.result()
        self.note("answered" if all(client.done() for client in clients) else "not answered")
        server = self.alive[-1]
        await asyncio.wait([server.process.spawn(server.ready.wait())], timeout=60)
        await server.process.spawn(self._farewell(server))
        self.time.leapt_us += 2 * 86_400 * SECOND  # so that every hold and grant ends by itself
        await _sleep(4 * SECOND)
        await asyncio.wait([server.process.spawn(server.stop())], timeout=60)
        if scenario.projector:
            await self._projected()
        self.note("ended")

    def _start_listing(self) -> None:
        """Somebody lists everything now and then: more families at once than may stay in memory."""
        process = Process(self.loop, "lister", SimulatedClock(self.time))
        self.processes.append(process)
        process.spawn(self._list(process))

    async def _list(self, process: Process) -> None:
        for number in range(LISTS):
            await _sleep(LIST_US)
            call = Call("list", TENANTS[0], "", f"list-{number}", {"shard": number % SHARDS})
            self.network.call(process, call, lambda reply: None)

    def _clients(self) -> list[asyncio.Task[None]]:
        tasks = []
        for number, operations in enumerate(
            by_client(self.scenario.operations, self.scenario.clients)
        ):
            process = Process(self.loop, f"client-{number}", SimulatedClock(self.time))
            self.processes.append(process)
            client = SimulatedClient(
                process,
                self.network,
                self.scenario.stream(f"client-{number}"),
                self.shared,
                number,
                self.scenario.give_up_us,
            )
            tasks.append(process.spawn(client.run(operations)))
        return tasks

    async def _begin(self, server: SimulatedServer) -> None:
        """Assets, prices and the accounts that stand from the beginning."""
        await server.ready.wait()
        await asyncio.gather(
            *[_begin_tenant(server.ledger, tenant, plans=self.scenario.plans) for tenant in TENANTS]
        )

    async def _farewell(self, server: SimulatedServer) -> None:
        """One entry more on every shard: a writer that was superseded finds out by it. Where a
        checkpoint was spoilt every family is asked for, so that this is found out as well."""
        spoilt = any(each.kind is FaultKind.CHECKPOINT_SPOILT for each in self.scenario.faults)
        while True:
            try:
                made = await server.ledger.publish_card(1, card(*CARDS[0], VARIANTS))
                assert isinstance(made, ConfigurationEntry)
                for each in server.ledger.writers if spoilt else ():
                    paged, _ = await each.read(lambda state: list(state.paged))
                    await each.read(lambda state: None, accounts=paged)
                return
            except (NotApplied, OutcomeUnknown, JournalError):
                await _sleep(100_000)

    # -- the verdict -------------------------------------------------------------------------------

    def judge(self) -> None:
        """Raise the first Violation."""
        if self.incident is not None:
            raise self.incident
        if self.loop.errors:
            raise Violation(Rule.NO_UNHANDLED_ERROR, self.loop.errors[0])
        records = self.shared.records
        judge = Judge(self.database, self.landed)
        ask_everything(judge, records)
        judge.read()
        check_records(judge, records, self.shared.uncertain, self.scenario)
        check_published(judge, records)
        check_client_order(judge, records)
        several = any(fault.kind in STALE for fault in self.scenario.faults)
        stale = several and (not self.scenario.leases or self.time.leapt_us > 0)
        check_order(judge, records, stale)
        check_linked(judge, records)
        final.check_verified(judge)
        final.check_states(judge, self.alive[-1])
        if self.scenario.projector:
            final.check_projections(judge, self.projections)


def run(scenario: Scenario) -> Verdict:
    """Play a scenario and judge it."""
    with _quiet_collector(), limited(scenario):
        world = World(scenario)
        violation: Violation | None = None
        try:
            try:
                world.loop.run(world.play())
            except LoopHung as hung:
                raise Violation(Rule.EVENTUALLY_ANSWERED, str(hung)) from hung
            world.judge()
        except Violation as found:
            violation = found
        for record in world.shared.records:
            world.note(str(record))
        if violation is not None:
            world.note(str(violation))
        verdict = Verdict(
            scenario.seed,
            world.digest(),
            violation,
            world.loop.steps,
            world.loop.now_us,
            len(scenario.operations),
            sum(world.database.entries),
            world.crashes,
            records=world.shared.records,
            happened=world.happened,
        )
        bury(world)
    return verdict


def _rests_on_state(reply: Reply) -> list[Mark]:
    """The marks of what is answered from the state alone, and proven by no row of its own."""
    if isinstance(reply, UsageAnswer):
        return [
            mark_of(each.position)
            for each in reply.outcomes
            if each.position and each.outcome not in RECORDED
        ]
    if not isinstance(reply, Answer) or reply.mark is None:
        return []
    return [] if reply.status is Status.RECORDED else [reply.mark]


async def _begin_tenant(ledger: Ledger, tenant: int, *, plans: tuple[str, ...]) -> None:
    for code, scale, kind in ASSETS:
        await ledger.publish_asset(tenant, code, scale, kind)
    for named in CARDS:
        await ledger.publish_card(tenant, card(*named, 0))
    for name in plans:
        await ledger.publish_package(tenant, name, plan(name, 0))
    for names in (ROOTS[tenant], CHILDREN[tenant]):
        await asyncio.gather(
            *[
                ledger.create_account(
                    tenant, name, PARENTS.get(name), f"begin-{name}", AccountPolicy()
                )
                for name in names
            ]
        )


async def _sleep(duration_us: int) -> None:
    await asyncio.sleep(duration_us / SECOND_US)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """No collection while a world runs: what it would close is not part of the seed."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def bury(world: World) -> None:
    """Let go of all that still waits; its `finally` blocks run now, when all is over."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        world.loop.call_exception_handler = lambda context: None  # type: ignore[method-assign]
        left = dict.fromkeys(asyncio.all_tasks(world.loop))
        for process in world.processes:
            left |= dict.fromkeys(process.graveyard)
            process.graveyard.clear()
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(BaseException):
                task.get_coro().close()
        world.loop.close()
    finally:
        sys.unraisablehook = hook
