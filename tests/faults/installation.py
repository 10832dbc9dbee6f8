"""One installation that is killed again and again: a PostgreSQL of its own, a server, a workload.

Owns what a fault is and how long it took until every shard served again. What must hold is the
workload's to say: every event acknowledged is there, none counts twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Final

import psutil

from ledger.failpoints import STEPS
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.errors import EmbeddedUnavailable
from ledger.journal.migrate import migrate
from ledger.verify import verify
from tests.crash.processes import ServerProcess
from tests.crash.workload import Workload

SENDERS: Final = 3
LEASE_TERM_MS: Final = 600
STOPPED_S: Final = 0.9  # past the lease
DIES_WITHIN_S: Final = 4  # a step that the load does not reach by then: killed from outside
GROWS_TO: Final = {"append.durable": 40, "append.sent": 40, "append.before": 40, "lease.beat": 12}
POSTGRES_TRIES: Final = 10
PROGRESS_BATCHES: Final = 25
FEW: Final = 3  # the n-th time of a step that is reached seldom

SERVER_STEPS: Final = tuple(
    step for step in STEPS if step.partition(".")[0] in ("append", "checkpoint", "lease")
)


class Installation:
    """Made by `installation`; `strike` as often as wanted, then `settle`."""

    def __init__(self, postgres: EmbeddedPostgres, log: Path, chance: Random) -> None:
        self.postgres = postgres
        self.chance = chance
        self.kills = 0
        self.recoveries_us: list[int] = []
        self.struck: dict[str, int] = {}
        self._server = ServerProcess(
            postgres.dsn,
            log,
            f"--lease-term-ms={LEASE_TERM_MS}",
            projector=True,
            checkpoint_entries=300,
            checkpoint_interval_s=1,
            resident_families=1,
            idle_s=1,
        )
        self.workload = Workload(self._server.address)
        self._senders: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Migrate, serve, and begin to send."""
        await migrate(self.postgres.dsn, 4)
        await self._start("")
        await self.workload.prepare()
        self._senders = [asyncio.create_task(self.workload.sender()) for _ in range(SENDERS)]

    async def strike(self) -> str:
        """One fault, drawn by chance, and the way back; returns its name."""
        await self._progress(1)
        await asyncio.sleep(self.chance.random() / 20)  # the moment is the test's input
        drawn = self.chance.randrange(100)
        if drawn < 40:
            name = await self.at_step(self.chance.choice(SERVER_STEPS))
        elif drawn < 70:
            name = await self._kill_server()
        elif drawn < 80:
            name = await self._kill_postgres()
        elif drawn < 95:
            name = self._kill_side_process()
        else:
            name = await self._pause_server()
        self.struck[name] = self.struck.get(name, 0) + 1
        return name

    async def at_step(self, step: str, times: int = 0, within_s: int = DIES_WITHIN_S) -> str:
        """A server that kills itself at a named step, the n-th time; and one after it."""
        times = times or self.chance.randint(1, GROWS_TO.get(step, FEW))
        self._server.kill()
        self.kills += 1
        self._server.start_with(failpoint=f"{step}:{times}")
        began = time.monotonic_ns()
        while self._server.running and time.monotonic_ns() - began < within_s * 1_000_000_000:
            await asyncio.sleep(0.005)
        name = f"step {step}" if not self._server.running else "server"
        await self._restart()
        return name

    async def survive(self, step: str, times: int) -> None:
        """A server whose n-th I/O of that kind fails: it goes on by itself."""
        self._server.kill()
        self.kills += 1
        await self._start(f"{step}:{times}:error")
        await self._progress(PROGRESS_BATCHES)
        assert self._server.running, f"the server did not survive {step}, {times}"

    async def settle(self) -> None:
        """Stop sending, send everything again, and have the books verified."""
        self.workload.stopping = True
        async with asyncio.timeout(180):
            await asyncio.gather(*self._senders)
        await self.workload.check()
        report = await verify(self.postgres.dsn)
        assert report.ok, report.findings

    def close(self) -> None:
        """End the server, whatever happened."""
        for sender in self._senders:
            sender.cancel()
        self._server.stop()

    # -- faults ------------------------------------------------------------------------------------

    async def _kill_server(self) -> str:
        await self._restart()
        return "server"

    async def _restart(self) -> None:
        """SIGKILL, unless it has died; start again; note the time until every shard answers."""
        self._server.kill()
        self.kills += 1
        began = time.monotonic_ns()
        await self._start("")
        self.recoveries_us.append((time.monotonic_ns() - began) // 1_000)

    async def _kill_postgres(self) -> str:
        assert self.postgres.pid is not None
        postmaster = psutil.Process(self.postgres.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 10)
        self.kills += 1
        began = time.monotonic_ns()
        await self._start_postgres()
        await self._server.ready()
        self.recoveries_us.append((time.monotonic_ns() - began) // 1_000)
        return "postgres"

    async def _start_postgres(self) -> None:
        """A backend that was forked as its postmaster died keeps the memory for a moment."""
        for left in reversed(range(POSTGRES_TRIES)):
            try:
                await asyncio.to_thread(self.postgres.start)
            except EmbeddedUnavailable:
                if not left:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    def _kill_side_process(self) -> str:
        """The projector or the sealer; the server starts it again by itself."""
        children = psutil.Process(self._server.pid).children()
        if not children:
            return "nothing"
        with contextlib.suppress(psutil.NoSuchProcess):
            self.chance.choice(children).kill()
            self.kills += 1
        return "side process"

    async def _pause_server(self) -> str:
        """SIGSTOP past the lease; it wakes up and goes on."""
        self._server.signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        self._server.signal(signal.SIGCONT)
        await self._server.ready()
        return "pause"

    async def _start(self, failpoint: str) -> None:
        self._server.start_with(failpoint=failpoint)
        await self._server.ready()

    async def _progress(self, batches: int) -> None:
        async with asyncio.timeout(60):
            await self.workload.reached(len(self.workload.completed) + batches)


@contextlib.asynccontextmanager
async def installation(seed: int, log: Path) -> AsyncIterator[Installation]:
    """An open installation with its workload running; gone afterwards."""
    root = throwaway_root() / f"drawdown-faults-{secrets.token_hex(4)}"
    postgres = EmbeddedPostgres(root, sync_initdb=False)
    await asyncio.to_thread(postgres.start)
    made = Installation(postgres, log, Random(seed))
    try:
        await made.open()
        yield made
    finally:
        made.close()
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(root, ignore_errors=True)
