"""One installation that is killed again and again: a PostgreSQL, one server or more, a workload.

Owns how each fault is done and how long it took until every shard served again. What must hold is
the workload's to say: every event acknowledged is there, none counts twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import psutil

from ledger.failpoints import STEPS
from ledger.integrity.key_files import create_key
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import load_migrations, migrate
from ledger.verify import verify
from tests.crash.processes import ServerProcess, discard
from tests.crash.workload import Workload
from tests.faults.growth import Growth
from tests.faults.migrating import migrate_command, new_database, schema_of
from tests.killing import kill_server
from tests.patience import HANGS_S

SENDERS: Final = 3
SHARDS: Final = 4
STOPPED_S: Final = (
    2.5  # past the lease, whose term is the usual one: a busy machine keeps no short one
)
DIES_WITHIN_S: Final = 4  # a step that the load does not reach by then: killed from outside
SURVIVES_WITHIN_S: Final = 3 * HANGS_S  # the sealer, which stands back, is last of a busy machine
STARTING_S: Final = 2  # a server that starts is killed again within that
AGAIN_MAX: Final = 3  # kills while it starts
PROGRESS_BATCHES: Final = 25
FEW: Final = 3  # the n-th time of a step that is reached seldom
TIMES: Final = {
    "append.durable": 40,
    "append.sent": 40,
    "append.before": 40,
    "lease.beat": 12,
    "read.answered": 20,  # clocks, heads and pages of four shards as they are opened
    "projection.commit": 10,
    "migration.commit": len(load_migrations()),
}
SIDE_STEPS: Final = {"projection.commit": "project", "seal.before": "seal"}  # step -> command
MIGRATION_STEPS: Final = ("migration.commit",)
SERVER_STEPS: Final = tuple(step for step in STEPS if step not in (*SIDE_STEPS, *MIGRATION_STEPS))


@dataclass(frozen=True)
class Verdict:
    """What the check at the end found."""

    events: int
    lost: int
    double_counted: int
    wrong: tuple[str, ...]  # all of it, and what verify found, in words


class Installation:
    """Made by `installation`; `strike` as often as wanted, then `settle`."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        folder: Path,
        chance: Random,
        servers: int,
        beside: bool,
    ) -> None:
        self.postgres = postgres
        self.chance = chance
        self.kills = 0
        self.recoveries_us: list[int] = []
        self.struck: dict[str, int] = {}
        self._beside = beside
        self._key = create_key(folder / "seal.pem")
        sealing = {"seal_key": folder / "seal.pem", "seal_every_s": 1}
        self.servers = [
            ServerProcess(
                postgres.dsn,
                folder / f"server-{number}.log",
                projector=beside and number == 0,
                checkpoint_entries=300,
                checkpoint_interval_s=1,
                resident_families=1,
                idle_s=1,
                projection_lag_s=0,
                **(sealing if beside and number == 0 else {}),
            )
            for number in range(servers)
        ]
        address = f"ipv4:{','.join(server.address for server in self.servers)}"
        self.workload = Workload(address)
        self.growth = Growth(address)
        self._senders: list[asyncio.Task[None]] = []
        self._faults: tuple[tuple[int, Callable[[], Awaitable[str]]], ...] = (
            (45, self._at_some_step),
            (20, self.kill_server),
            (8, self._kill_every_server),
            (7, self.kill_starting),
            (8, self._kill_postgres),
            (6, self._kill_side_process),
            (6, self.pause_server),
        )

    async def open(self) -> None:
        """Migrate, serve, and begin to send."""
        await migrate(self.postgres.dsn, SHARDS)
        for server in self.servers:
            server.start()
        await self._ready()
        await self.workload.prepare()
        self._senders = [asyncio.create_task(self.workload.sender()) for _ in range(SENDERS)]
        self._senders.append(asyncio.create_task(self.growth.run()))

    async def strike(self) -> str:
        """One fault, drawn by chance, and the way back; returns its name."""
        await self._progress(1)
        await asyncio.sleep(self.chance.random() / 20)  # the moment is the test's input
        weights = [weight for weight, _ in self._faults]
        name = await self.chance.choices([fault for _, fault in self._faults], weights)[0]()
        self.struck[name] = self.struck.get(name, 0) + 1
        for server in self.servers:
            assert server.running, f"after {name} a server ended by itself"
        for sender in self._senders:
            if sender.done():
                sender.result()  # a caller heard what it may not hear
        return name

    async def at_step(self, step: str) -> str:
        """A process that kills itself at a named step, the n-th time; and one after it."""
        times = self.chance.randint(1, TIMES.get(step, FEW))
        if step in MIGRATION_STEPS:
            return await self._migration_at(step, times)
        server = self._one_that_reaches(step)
        died = await self._dies_at(server, step, times, DIES_WITHIN_S)
        await self._restart(server)
        return f"step {step}" if died else "server"

    async def at_steps(self, steps: Sequence[str], within_s: int) -> list[str]:
        """One after the other, the first time that each is reached; those at which it died."""
        died = []
        for step in steps:
            if step in MIGRATION_STEPS:
                died.append(await self._migration_at(step, 1))
            elif await self._dies_at(self._one_that_reaches(step), step, 1, within_s):
                died.append(f"step {step}")
        await self._restart(*self.servers)
        return died

    async def survive(self, steps: Mapping[str, int]) -> set[str]:
        """A server whose n-th I/O at each step fails goes on by itself; the steps that it reached.

        What runs beside it fails in the same way.
        """
        server = self._any()
        server.kill()
        self.kills += 1
        before = len(_reached(server.log))
        server.start_with(
            failpoint=",".join(f"{step}:{times}:error" for step, times in steps.items())
        )
        await self._ready()
        await _within(SURVIVES_WITHIN_S, lambda: set(_reached(server.log)[before:]) >= set(steps))
        await self._progress(PROGRESS_BATCHES)
        assert server.running, "the server did not survive"
        return set(_reached(server.log)[before:])

    async def settle(self) -> Verdict:
        """Stop sending, send everything again, and have the books verified."""
        self.workload.stopping = self.growth.stopping = True
        async with asyncio.timeout(180):
            await asyncio.gather(*self._senders)
        found = await self.workload.look() + await self.growth.look()
        report = await verify(self.postgres.dsn, anchors=[self._key.public_key])
        events = self.workload.events + self.growth.events
        recorded = sum(shard.usage_events for shard in report.shards)
        too_much = sum(charged > 0 for charged in found.charged_wrong.values())
        wrong = [*found.lost, *(f"{name}: {off}" for name, off in found.charged_wrong.items())]
        wrong += [str(finding) for finding in report.findings]
        if recorded != events:
            wrong.append(f"{events} events were sent, the journal holds {recorded}")
        if self._beside and not any(shard.seals for shard in report.shards):
            wrong.append("no seal was made")
        return Verdict(events, len(found.lost), max(recorded - events, too_much, 0), tuple(wrong))

    def close(self) -> None:
        """End the servers, whatever happened."""
        for sender in self._senders:
            sender.cancel()
        for server in self.servers:
            if server.running:
                server.kill()  # what runs beside it ends with it

    # -- faults ------------------------------------------------------------------------------------

    async def _at_some_step(self) -> str:
        return await self.at_step(self.chance.choice(STEPS))

    async def kill_server(self) -> str:
        await self._restart(self._any())
        return "server"

    async def _restart(self, *servers: ServerProcess) -> None:
        """SIGKILL, unless dead already; start again; note the time until every shard answers."""
        for server in servers:
            server.kill()
            self.kills += 1
        began = time.monotonic_ns()
        for server in servers:
            server.start()
        await self._recovered(began)

    async def _dies_at(self, server: ServerProcess, step: str, times: int, within_s: int) -> bool:
        """Killed, and started to die by itself, or as the parent of one that does."""
        server.kill()
        self.kills += 1
        server.start_with(failpoint=f"{step}:{times}")
        if step not in SIDE_STEPS:
            return await _dies(server, within_s)
        died = await _dies(server, within_s, self._side_of(server, SIDE_STEPS[step]))
        self.kills += died
        return died

    async def _kill_every_server(self) -> str:
        await self._restart(*self.servers)
        return "every server"

    async def kill_starting(self) -> str:
        """Killed again while it starts: it opens connections, claims leases, replays, opens."""
        server = self._any()
        for _ in range(self.chance.randint(1, AGAIN_MAX)):
            server.kill()
            self.kills += 1
            server.start()
            await asyncio.sleep(self.chance.random() * STARTING_S)  # the test's input
        await self._restart(server)
        return "starting server"

    async def _kill_postgres(self) -> str:
        await asyncio.to_thread(kill_server, self.postgres)
        self.kills += 1
        began = time.monotonic_ns()
        await asyncio.to_thread(self.postgres.start)
        await self._recovered(began)
        return "postgres"

    async def _kill_side_process(self) -> str:
        """The projector or the sealer; the server starts it again by itself."""
        children = psutil.Process(self.servers[0].pid).children()
        if not children:
            return "nothing"
        with contextlib.suppress(psutil.NoSuchProcess):
            self.chance.choice(children).kill()
            self.kills += 1
        return "side process"

    async def pause_server(self) -> str:
        """SIGSTOP past the lease, under load; it wakes up and goes on."""
        server = self._any()
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        server.signal(signal.SIGCONT)
        await self._ready()
        return "pause"

    async def _migration_at(self, step: str, times: int) -> str:
        """Another database whose migration is killed, and run again: the same comes of it."""
        async with new_database(self.postgres.dsn) as dsn:
            code = await asyncio.to_thread(migrate_command, dsn, f"{step}:{times}")
            assert code == -signal.SIGKILL, f"{step}:{times} ended with {code}"
            self.kills += 1
            assert await asyncio.to_thread(migrate_command, dsn) == 0
            assert await schema_of(dsn) == await schema_of(self.postgres.dsn)
        return f"step {step}"

    # -- parts -------------------------------------------------------------------------------------

    def _one_that_reaches(self, step: str) -> ServerProcess:
        return self.servers[0] if step in SIDE_STEPS else self._any()

    def _any(self) -> ServerProcess:
        return self.chance.choice(self.servers)

    def _side_of(self, server: ServerProcess, command: str) -> Callable[[], bool]:
        """Says whether that child of the server has ended since it was first asked."""
        seen: set[int] = set()

        def ended() -> bool:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(server.pid).children():
                    with contextlib.suppress(psutil.Error):
                        if child.status() != psutil.STATUS_ZOMBIE and command in child.cmdline():
                            seen.add(child.pid)
            return any(not psutil.pid_exists(pid) for pid in seen)

        return ended

    async def _recovered(self, began_ns: int) -> None:
        await self._ready()
        self.recoveries_us.append((time.monotonic_ns() - began_ns) // 1_000)

    async def _ready(self) -> None:
        await asyncio.gather(*(server.ready() for server in self.servers))

    async def _progress(self, batches: int) -> None:
        async with asyncio.timeout(HANGS_S):
            await self.workload.reached(len(self.workload.completed) + batches)


async def _dies(
    server: ServerProcess, within_s: int, ended: Callable[[], bool] | None = None
) -> bool:
    """Whether it, or what `ended` asks for, ends before it has served for so long."""
    serves = asyncio.create_task(server.ready())
    try:
        while not serves.done():
            if await _within(1, ended or (lambda: not server.running)):
                return True
        return await _within(within_s, ended or (lambda: not server.running))
    finally:
        serves.cancel()
        await asyncio.gather(serves, return_exceptions=True)


def _reached(log: Path) -> list[str]:
    """The failpoints that a server's log names, in order."""
    lines = log.read_text(errors="replace").splitlines()
    return [line.split()[1] for line in lines if line.startswith("failpoint ")]


async def _within(seconds: int, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


@contextlib.asynccontextmanager
async def installation(
    seed: int, folder: Path, servers: int = 1, beside: bool = True
) -> AsyncIterator[Installation]:
    """An open installation with its workload running; gone afterwards. Logs go to `folder`.

    `beside`: the first server has a projector and a sealer.
    """
    root = throwaway_root() / f"drawdown-faults-{secrets.token_hex(4)}"
    postgres = EmbeddedPostgres(root, sync_initdb=False)
    await asyncio.to_thread(postgres.start)
    made = Installation(postgres, folder, Random(seed), servers, beside)
    try:
        await made.open()
        yield made
    finally:
        made.close()
        await asyncio.to_thread(discard, postgres)
