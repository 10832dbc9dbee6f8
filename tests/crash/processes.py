"""The real server as a process that tests may kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import psutil

from bench.ports import free_port
from ledger.journal.embedded import EmbeddedPostgres
from ledger.v1 import journal_pb2, journal_pb2_grpc
from tests.forks import Forked, start
from tests.patience import HANGS_S

ANSWERS_S = 20
UNSHARED = (("grpc.use_local_subchannel_pool", 1),)
LASTING_TERM = "--lease-term-ms=20000"
LAPSES = (
    "UPDATE ledger.shard_lease SET expires_at = now() WHERE address = ANY($1)",
    "DELETE FROM ledger.server WHERE address = ANY($1)",
)
NOT_YET = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def discard(postgres: EmbeddedPostgres) -> None:
    """End a PostgreSQL whose data nobody needs any more: without the checkpoint of a shutdown."""
    if (pid := postgres.pid) is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(pid)
            postmaster.send_signal(signal.SIGQUIT)
            postmaster.wait(HANGS_S)
    postgres.stop()
    shutil.rmtree(postgres.data_dir, ignore_errors=True)


class ServerProcess:
    """`drawdown serve` on a database; `kill` is SIGKILL."""

    def __init__(
        self, dsn: str, log: Path, *more: str, projector: bool = False, **settings: object
    ) -> None:
        """`settings` by their names in the environment, without the prefix."""
        self.more = more
        self.dsn = dsn
        self.settings = {f"DRAWDOWN_{name.upper()}": str(value) for name, value in settings.items()}
        self.log = log
        self.projector = projector
        self.address = f"127.0.0.1:{free_port()}"
        self.metrics = f"127.0.0.1:{free_port()}"
        self._process: Forked | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start_with(self, **settings: object) -> None:
        """Start with these settings beside its own, for this life alone; "" = not set."""
        own = self.settings
        more = {f"DRAWDOWN_{name.upper()}": str(value) for name, value in settings.items() if value}
        self.settings = own | more
        try:
            self.start()
        finally:
            self.settings = own

    def start(self) -> None:
        command = ["serve", "--listen", self.address]
        command += ["--metrics-port", self.metrics.rpartition(":")[2]]
        command += self.more
        if not self.projector:
            command.append("--no-projector")
        with self.log.open("ab") as log:
            variables = os.environ | {"DATABASE_URL": self.dsn} | self.settings
            self._process = start(command, variables, log, log)

    async def ready(self) -> None:
        """Return when every shard answers a durable read; say what it logged if it ends before."""
        deadline = time.monotonic() + HANGS_S
        while True:  # a channel each time: one that was turned away waits longer and longer
            assert self.running and time.monotonic() < deadline, self.log.read_text()
            async with grpc.aio.insecure_channel(self.address, UNSHARED) as channel:
                stub = journal_pb2_grpc.JournalServiceStub(channel)
                try:
                    await stub.TrialBalance(
                        journal_pb2.TrialBalanceRequest(tenant="default"), timeout=ANSWERS_S
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() not in NOT_YET:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    return

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class LastingServer(ServerProcess):
    """One whose leases a busy machine does not let lapse. They end as it is killed, so that its
    successor does not wait for them."""

    def __init__(self, dsn: str, log: Path, *more: str, **settings: Any) -> None:
        """As ServerProcess."""
        super().__init__(dsn, log, LASTING_TERM, *more, **settings)

    def kill(self) -> None:
        """SIGKILL."""
        super().kill()
        lapse(self.dsn, self.address)


def lapse(dsn: str, *addresses: str) -> None:
    """End the leases of servers that were killed."""

    async def end() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in LAPSES:
                await connection.execute(statement, addresses)
        finally:
            await connection.close()

    thread = threading.Thread(target=asyncio.run, args=(end(),))
    thread.start()
    thread.join()
