"""One server process, put together: settings -> storage -> ledger -> gRPC, side port, projector.

Owns the order in which things start and stop, and nothing that they do. It listens before it takes
a shard, because others may forward to it from then on. Stopping loses nothing that was accepted:
not ready, shards handed over where somebody is there, calls in flight finish, the writers that are
left drain, then storage closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

import grpc

from ledger.api.server import LedgerServer
from ledger.auth.authenticator import Authenticator
from ledger.auth.certificates import CertificatesInvalid
from ledger.auth.key_store import PostgresKeyStore
from ledger.auth.keys import KeysUnusable
from ledger.auth.mandate_tokens import MandateKeys, MandateVerifier, read_mandate_keys
from ledger.auth.opening import open_authenticator
from ledger.auth.passing import PrincipalSeal
from ledger.backtest.simulator import Simulator
from ledger.card_process import CardProcess
from ledger.client.errors import SpoolBusy, SpoolFailed
from ledger.client.guarded import OpenBounds
from ledger.client.mandate_words import PREFIX
from ledger.core.limits import SECOND_US
from ledger.decision_process import DecisionProcesses
from ledger.engine.lease import Terms
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import Progress
from ledger.gateway.http import HttpGateway
from ledger.gateway.open_spool import OpenSpool
from ledger.integrity.store import PostgresSealStore
from ledger.journal.leases import Identity
from ledger.journal.migrate import read_settings
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.projections.lag import read_lag
from ledger.projector_process import ProjectorProcess
from ledger.sealer_process import SealerProcess
from ledger.settings import ServerSettings, is_any, split_address
from ledger.telemetry.side_port import BEAT_US, Heart, SidePort
from ledger.telemetry.tallies import add
from ledger.telemetry.telemetry import Telemetry

NOT_READY_S: Final = 1  # between "not serving" and the end of listening: balancers look away
LAG_EVERY_S: Final = 2
GC_THRESHOLDS: Final = (10_000, 2, 1_000_000)
"""Events and commands hold no cycles; what holds some, gRPC's look for the handler of each call, is
garbage at once. So look at young objects, a few at a time (4 ms where 25,000 took 13), once more at
what is left of three such looks, for the calls that were under way then, and leave the old ones,
which are the ledger, alone (a full pass would stop the loop for half a second)."""

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
        self._dsn = dsn
        self.storage = storage
        self.seals = seals
        self.telemetry = Telemetry(storage.shards, os.environ, settings.slow_call_ms * 1_000)
        name = f"{socket.gethostname()}/{os.getpid()}"
        self.clock = SystemClock()
        self.ledger = Ledger(
            storage,
            self.clock,
            name,
            self.telemetry.observer,
            self._progress,
            identity=Identity(f"{name}/{secrets.token_hex(4)}", ""),
            terms=Terms(settings.lease_term_ms * 1_000),
            upkeep=settings.upkeep,
        )
        self.ledger.shards.on_halt = _report_halt
        self.address = ""
        self.serving = False
        self.stopping = False
        self._watch = watch
        self._heart = Heart()
        self._http = HttpGateway()
        self._side_port = SidePort(
            settings.metrics_host,
            settings.metrics_port,
            self.telemetry.registry,
            self._heart,
            self._problems,
            self._http.routes,
            settings.http_bounds,
        )
        self._open_spool: OpenSpool | None = None
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
        """Where the side port is: /metrics, /healthz, /readyz, /v1/check, /api/v1/events."""
        return self._side_port.address

    async def start(self) -> None:
        """Replay, then serve. Raises StartFailed, and what made a shard impossible to open."""
        self._spawn(self._beat())
        await self._listen()
        gc.disable()  # a replay makes only what stays
        self.ledger.start(self.advertised)
        await self.ledger.opened()
        gc.enable()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        assert self._front is not None
        await self._front.serve()
        front = self._front
        self._http.attach(front.answers, front.inside, front.routes, self.ledger.clock, front.gate)
        self.serving = True
        if self._projector is not None:
            self._projector.start()
        if self._sealer is not None:
            self._sealer.start()
        self._spawn(self._measure_lag())

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Finish what was accepted, and let go of everything. `hurry` cuts the waiting short."""
        self.stopping = True
        try:
            if self.serving and self._front is not None:
                await self._front.not_serving()
                self.ledger.shards.leave()
                await self._hand_over(hurry)
            self._http.detach()
            if self._front is not None:
                grace = 0 if hurry is not None and hurry.is_set() else self.settings.drain_s
                await self._front.stop(grace)
            if self.serving:
                await self._drain()
            else:
                await self.ledger.shards.abandon()  # replaying: nothing was accepted
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

    async def _listen(self) -> None:
        settings = self.settings
        credentials = _credentials(settings)
        keys = PostgresKeyStore(self.storage.pool)
        seal = PrincipalSeal(keys, self.clock)
        await seal.learn()
        self._spawn(seal.keep_learning())
        mandates = self._mandate_keys()
        authenticator = await self._authenticator(keys, seal, mandates)
        self._front = LedgerServer(
            self.ledger,
            self.telemetry.rpc,
            self.seals,
            _peer_credentials(settings),
            self._count_forward,
            History(self.storage.pool),
            CardProcess(),
            Simulator(self._dsn, self.storage.shards),
            settings.gateway,
            authenticator,
            seal,
            keys,
            mandates=mandates,
            let_in=self._let_in(),
            count_away=self._count_away,
            gateway_keys=keys,
            explainer=DecisionProcesses(self._dsn, self.storage.shards),
        )
        self._side_port.guard(self._front.gate, asyncio.get_running_loop())
        try:
            self.address = await self._front.listen(
                settings.listen, credentials, insecure=settings.insecure_listen
            )
        except (OSError, RuntimeError) as error:
            raise StartFailed(
                f"cannot listen on {settings.listen}: {error}; is another server running there? "
                "--listen takes another address"
            ) from error

    def _let_in(self) -> OpenSpool | None:
        """Where gateways' open products are kept; None where no folder is named. Raises
        StartFailed."""
        settings = self.settings
        if settings.gateway_spool is None:
            return None
        try:
            self._open_spool = OpenSpool(
                settings.gateway_spool,
                OpenBounds(settings.gateway_open_calls, settings.open_quantities),
                settings.gateway_spool_mib << 20,
            )
        except (SpoolBusy, SpoolFailed) as error:
            raise StartFailed(f"--gateway-spool {settings.gateway_spool}: {error}") from error
        return self._open_spool

    async def _authenticator(
        self, keys: PostgresKeyStore, seal: PrincipalSeal, mandates: MandateKeys | None
    ) -> Authenticator | None:
        """Who asks callers to prove themselves; None where nobody does. Raises StartFailed."""
        asked = self.settings.asks_callers
        if asked is None:
            return None
        try:
            authenticator = await open_authenticator(asked, self.clock, keys, seal)
        except KeysUnusable as error:
            raise StartFailed(f"--auth-jwks {asked.jwks}: {error}") from error
        except CertificatesInvalid as error:
            raise StartFailed(f"--auth-certificates: {error}") from error
        if mandates is not None:
            authenticator.take(PREFIX, MandateVerifier(mandates, self.clock))
        return authenticator

    def _mandate_keys(self) -> MandateKeys | None:
        """What signs tokens of mandates; None where no key is named. Raises StartFailed."""
        settings = self.settings
        if settings.mandate_key is None:
            return None
        try:
            return read_mandate_keys(settings.mandate_key, settings.mandate_key_before)
        except KeysUnusable as error:
            raise StartFailed(f"--mandate-key: {error}") from error

    @property
    def advertised(self) -> str:
        """The address that other servers and clients are told."""
        if self.settings.advertise is not None:
            return self.settings.advertise
        host, port = split_address(self.address)
        return f"{socket.gethostname()}:{port}" if is_any(host) else self.address

    async def _hand_over(self, hurry: asyncio.Event | None) -> None:
        """Let balancers look away, and other servers take our shards while we still forward."""
        await _wait(NOT_READY_S, hurry)
        keeper = self.ledger.shards.keeper
        deadline = asyncio.get_running_loop().time() + self.settings.drain_s
        while keeper is not None and keeper.leases and keeper.has_heirs:
            if asyncio.get_running_loop().time() > deadline or (hurry and hurry.is_set()):
                return
            keeper.seen.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(keeper.seen.wait(), 1)

    def _count_forward(self, method: str, result: str) -> None:
        forwards = self.telemetry.tallies.forwards
        forwards[(method, result)] = forwards.get((method, result), 0) + 1

    def _count_away(self, what: str) -> None:
        add(self.telemetry.tallies.gateway_away, {what: 1})

    async def _drain(self) -> None:
        """Finish what the writers accepted; one that cannot does not keep the others from it."""
        await self.ledger.stop()

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
            keeper = self.ledger.shards.keeper
            for writer in self.ledger.writers:
                shard = writer.shard
                tallies.open[shard] = writer.opened.is_set()
                lease = keeper.leases.get(shard) if keeper is not None else None
                tallies.owned[shard] = lease is not None
                tallies.lease_left_us[shard] = max(lease.left_us, 0) if lease is not None else 0
            if self._open_spool is not None:
                spool = self._open_spool
                tallies.let_in = (spool.running, spool.kept - spool.running, spool.bytes)
                tallies.let_in_oldest_us = spool.oldest_us
                tallies.let_in_unread = spool.unread
            tallies.takeovers = keeper.takeovers if keeper is not None else 0
            await asyncio.sleep(BEAT_US / SECOND_US)

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
        ledger = self.ledger
        problems = {
            f"shard {shard}": ledger.writers[shard].problem
            for shard in [*ledger.owned, *ledger.shards.halted]
            if not ledger.writers[shard].opened.is_set()
        }
        keeper = ledger.shards.keeper
        if keeper is not None and keeper.problem:
            problems["leases"] = keeper.problem
        if keeper is not None and keeper.address_is_shared:
            problems["advertise"] = (
                f"another server says that it is reached at {keeper.identity.address} too, or our "
                "predecessor there has just died; give each its own --advertise"
            )
        if self.stopping:
            problems["server"] = "stopping"
        elif not self.serving:
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


def _peer_credentials(settings: ServerSettings) -> grpc.ChannelCredentials | None:
    """How to reach other servers of the same database: as they reach us.

    We prove ourselves by our own certificate, and trust what --tls-peer-ca says; without it the
    authority of clients, else our own certificate.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    trusted = settings.tls_peer_ca or settings.tls_client_ca or settings.tls_cert
    return grpc.ssl_channel_credentials(
        trusted.read_bytes(), settings.tls_key.read_bytes(), settings.tls_cert.read_bytes()
    )


def _report_halt(shard: int, error: BaseException) -> None:
    logger.critical("the writer of shard %s stopped for good: %s", shard, error)


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
