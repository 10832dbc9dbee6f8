"""One server process, put together: settings -> storage -> ledger -> gRPC, side port, projector.

Owns the order in which things start and stop, and nothing that they do. Stopping loses nothing
that was accepted: not ready, calls in flight finish, writers drain, then storage closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

import grpc

from ledger.api.server import LedgerServer
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import Progress
from ledger.integrity.store import PostgresSealStore
from ledger.journal.migrate import read_settings
from ledger.journal.storage import PostgresStorage
from ledger.projections.lag import read_lag
from ledger.projector_process import ProjectorProcess
from ledger.sealer_process import SealerProcess
from ledger.settings import ServerSettings
from ledger.telemetry.side_port import BEAT_US, Heart, SidePort
from ledger.telemetry.telemetry import Telemetry

US_A_SECOND: Final = 1_000_000
NOT_READY_S: Final = 1  # between "not serving" and the end of listening: balancers look away
LAG_EVERY_S: Final = 2
GC_THRESHOLDS: Final = (50_000, 20, 100_000)
"""Events and commands hold no cycles: look at young objects, a few at a time (2 ms), and leave the
old ones, which are the ledger, alone (a full pass would stop the loop for half a second)."""

Watch = Callable[[str, int, int], None]
"""Told of a replay: (what, entries done, entries in all)."""

logger = logging.getLogger(__name__)


class SystemClock:
    """This machine's clocks, in microseconds."""

    def now_us(self) -> int:
        """Since the epoch, UTC."""
        return time.time_ns() // 1_000

    def monotonic_us(self) -> int:
        """Since some moment; never goes back."""
        return time.monotonic_ns() // 1_000


class StartFailed(Exception):
    """The server cannot serve; the message says what to do."""


class Server:
    """Made by `open`; `start`, then `stop` exactly once."""

    def __init__(
        self,
        settings: ServerSettings,
        dsn: str,
        storage: PostgresStorage,
        seals: PostgresSealStore,
        watch: Watch,
    ) -> None:
        """Raises TelemetryInvalid, SamplerUnknown, OSError (the side port is taken)."""
        self.settings = settings
        self.storage = storage
        self.seals = seals
        self.telemetry = Telemetry(storage.shards, os.environ, settings.slow_call_ms * 1_000)
        self.ledger = Ledger(
            storage,
            SystemClock(),
            f"{socket.gethostname()}/{os.getpid()}",
            self.telemetry.observer,
            self._progress,
            settings.upkeep,
        )
        self.address = ""
        self.stopping = False
        self._watch = watch
        self._heart = Heart()
        self._side_port = SidePort(
            settings.metrics_host,
            settings.metrics_port,
            self.telemetry.registry,
            self._heart,
            self._problems,
        )
        self._front: LedgerServer | None = None
        self._projector = ProjectorProcess(dsn) if settings.projector else None
        self._sealer = _sealer(settings, dsn)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, settings: ServerSettings, dsn: str, watch: Watch) -> Server:
        """Connect to a migrated database. Raises JournalUnavailable and MigrationRefused too."""
        fixed = await read_settings(dsn, settings.shards)
        storage = await PostgresStorage.open(dsn, fixed.shards)
        seals = PostgresSealStore(storage.pool, fixed.instance_id.bytes)
        try:
            return cls(settings, dsn, storage, seals, watch)
        except BaseException:
            await storage.close()
            raise

    @property
    def metrics_address(self) -> str:
        """Where /metrics, /healthz and /readyz are."""
        return self._side_port.address

    async def start(self) -> None:
        """Replay, then serve. Raises StartFailed, and what made a shard impossible to open."""
        self._spawn(self._beat())
        gc.disable()  # a replay makes only what stays
        self.ledger.start()
        await self._opened()
        gc.enable()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await self._listen()
        if self._projector is not None:
            self._projector.start()
        if self._sealer is not None:
            self._sealer.start()
        self._spawn(self._measure_lag())

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Finish what was accepted, and let go of everything. `hurry` cuts the waiting short."""
        self.stopping = True
        try:
            if self._front is not None:
                await self._front.not_serving()
                await _wait(NOT_READY_S, hurry)
                grace = 0 if hurry is not None and hurry.is_set() else self.settings.drain_s
                await self._front.stop(grace)
                await self._drain()
            else:
                await _cancel(_writer_tasks())  # replaying: nothing was accepted
            if self._projector is not None:
                await self._projector.stop()
            if self._sealer is not None:
                await self._sealer.stop()  # seals what the writers drained
        finally:
            await _cancel(self._tasks)
            await self.storage.close()
            await asyncio.to_thread(self._side_port.close)
            await asyncio.to_thread(self.telemetry.close)

    # -- parts of the start ------------------------------------------------------------------------

    async def _opened(self) -> None:
        """Wait for every shard; a shard that can never open fails the start."""
        writers = _writer_tasks()
        for writer in writers:
            writer.add_done_callback(_report_end)
        opened = asyncio.create_task(self.ledger.opened())
        try:
            done, _ = await asyncio.wait({opened, *writers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            opened.cancel()

    async def _listen(self) -> None:
        settings = self.settings
        credentials = _credentials(settings)
        self._front = LedgerServer(self.ledger, self.telemetry.rpc, self.seals)
        try:
            self.address = await self._front.start(
                settings.listen, credentials, insecure=settings.insecure_listen
            )
        except (OSError, RuntimeError) as error:
            raise StartFailed(
                f"cannot listen on {settings.listen}: {error}; is another server running there? "
                "--listen takes another address"
            ) from error

    async def _drain(self) -> None:
        """Finish what the writers accepted; one that cannot does not keep the others from it."""
        try:
            await self.ledger.stop()
        finally:
            draining = _writer_tasks()
            if draining:
                await asyncio.wait(draining)

    def _progress(self, shard: int) -> Progress:
        def progress(done: int, total: int) -> None:
            self.telemetry.observer.replayed(shard, done, total)
            self._watch(f"replaying shard {shard}", done, total)

        return progress

    # -- what goes on meanwhile --------------------------------------------------------------------

    async def _beat(self) -> None:
        """Sign of life, and the few figures that nobody reports."""
        tallies = self.telemetry.tallies
        while True:
            self._heart.beat()
            for writer in self.ledger.writers:
                tallies.open[writer.shard] = writer.opened.is_set()
            await asyncio.sleep(BEAT_US / US_A_SECOND)

    async def _measure_lag(self) -> None:
        """How far the read models are, from their own checkpoint."""
        tallies = self.telemetry.tallies
        while True:
            with contextlib.suppress(Exception):  # the database is away: the writers say so
                for reached in await read_lag(self.storage.pool):
                    tallies.projected[reached.shard] = reached.entries
                    tallies.projected_at_us[reached.shard] = reached.recorded_at_us
            await asyncio.sleep(LAG_EVERY_S)

    def _problems(self) -> dict[str, str]:
        """Why we are not ready; asked from the side port's thread."""
        problems = {
            f"shard {writer.shard}": writer.problem
            for writer in self.ledger.writers
            if not writer.opened.is_set()
        }
        if self.stopping:
            problems["server"] = "stopping"
        elif not self.address:
            problems["server"] = "starting"
        return problems

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))


def _sealer(settings: ServerSettings, dsn: str) -> SealerProcess | None:
    """The sealer, where there is a key; else a line that says what is missing."""
    if settings.sealer and settings.seal_key is not None:
        return SealerProcess(dsn, settings.seal_key, settings.seal_every_s)
    if settings.sealer:
        logger.warning(
            "no seals are made: no key was given (--seal-key); the journal is chained, but "
            "whoever can write the database could write it anew"
        )
    return None


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """TLS where there is a certificate; clients are checked where there is an authority."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    authority = settings.tls_client_ca
    return grpc.ssl_server_credentials(
        [pair],
        root_certificates=authority.read_bytes() if authority is not None else None,
        require_client_auth=authority is not None,
    )


def _writer_tasks() -> set[asyncio.Task[Any]]:
    """The writers' tasks: each ends by itself only by an error that no reopening repairs."""
    return {task for task in asyncio.all_tasks() if task.get_name().startswith("writer-")}


def _report_end(writer: asyncio.Task[Any]) -> None:
    if not writer.cancelled() and writer.exception() is not None:
        logger.critical("%s stopped for good: %s", writer.get_name(), writer.exception())


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(seconds: int, hurry: asyncio.Event | None) -> None:
    if hurry is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), seconds)
