"""The shards of one process: a writer for each that is its own, for as long as it is.

Starts a writer when a lease is won (or at once, for a process that shares its storage with nobody)
and ends it when the shard is given away, lost, or stopped for good by a bug. A writer has one life:
in the place of one that ended stands one that refuses with NotOwner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ledger.engine.clock import Clock
from ledger.engine.configuration import Configurations
from ledger.engine.lease import ALWAYS, NEVER_OURS, HeldLease, ReadLease, Terms
from ledger.engine.lease_keeper import Keeper
from ledger.engine.observer import Observer
from ledger.engine.recovery import Progress
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.checkpoint import CheckpointStore
from ledger.journal.leases import Identity, LeaseStore
from ledger.journal.protocol import Journal

FAILURES_MAX: Final = 5  # to open a shard, in a row: then another process shall try
DOUBT_US: Final = 30_000_000  # before this one tries again


class Shards:
    """Made for all shards of an installation; implements `lease_keeper.Host`."""

    def __init__(
        self,
        leases: LeaseStore,
        journals: Sequence[Journal],
        checkpoints: Sequence[CheckpointStore],
        clock: Clock,
        configurations: Configurations,
        recorded_by: str,
        observer: Observer | None,
        progress: Callable[[int], Progress] | None,
        *,
        identity: Identity | None,
        terms: Terms,
        upkeep: Upkeep | None = None,
    ) -> None:
        """`identity` None: all shards are ours, without leases."""
        self.halted: dict[int, BaseException] = {}  # shards that can never be opened here
        self.on_halt: Callable[[int, BaseException], None] = _nobody_hears
        self._journals = journals
        self._checkpoints = checkpoints
        self._upkeep = upkeep
        self._clock = clock
        self._configurations = configurations
        self._recorded_by = recorded_by
        self._observer = observer
        self._progress = progress
        self.keeper: Keeper | None = None
        if identity is not None:
            self.keeper = Keeper(leases, clock, identity, len(journals), self, terms)
        first = ALWAYS if identity is None else NEVER_OURS
        self.writers = [self._writer(shard, first) for shard in range(len(journals))]
        self._lives: dict[int, asyncio.Task[None]] = {}  # of the shards' writers, the latest
        self._doubt_until_us = 0
        self._cleaning: set[asyncio.Task[None]] = set()

    # -- life --------------------------------------------------------------------------------------

    def start(self, address: str = "") -> None:
        """Begin to open every shard, or those that leases are won for.

        `address`: where other processes reach us.
        """
        if self.keeper is not None:
            self.keeper.start(address)
            return
        for writer in self.writers:
            self._begin(writer)

    async def opened(self) -> None:
        """Return when every shard of ours serves. Raises what made one impossible to open."""
        while True:
            while self.keeper is not None and not self.keeper.settled:
                self._raise_if_halted()
                self.keeper.seen.clear()
                await self.keeper.seen.wait()
            writers = [self.writers[shard] for shard in self.owned]
            for writer in writers:
                await self._until_open(writer)
            if [self.writers[shard] for shard in self.owned] == writers and (
                self.keeper is None or self.keeper.settled
            ):
                return

    def leave(self) -> None:
        """Hand every shard over to the other processes, where there are any; go on serving."""
        if self.keeper is not None:
            self.keeper.leave()

    async def stop(self) -> None:
        """Drain every shard and release it."""
        try:
            if self.keeper is not None:
                await self.keeper.stop()
            else:
                await asyncio.gather(*[writer.stop() for writer in self.writers])
        finally:
            await asyncio.gather(*self._cleaning, return_exceptions=True)

    async def abandon(self) -> None:
        """End at once, whatever is being opened: for a start that is given up."""
        lives = list(self._lives.values())
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        if self.keeper is not None:
            await self.keeper.abandon()

    # -- whose -------------------------------------------------------------------------------------

    @property
    def owned(self) -> list[int]:
        """The shards of this process, ascending."""
        if self.keeper is None:
            return list(range(len(self.writers)))
        return sorted(self.keeper.leases)

    @property
    def told(self) -> bool:
        """Whether a shard of this process has been open: it has applied every version before that
        was answered."""
        return any(self.writers[shard].has_served for shard in self.owned)

    def owns(self, shard: int) -> bool:
        """Whether this process has the shard."""
        return self.keeper is None or shard in self.keeper.leases

    def route(self, shard: int) -> str:
        """The address of the other process that has the shard; "" where none is known."""
        return "" if self.keeper is None else self.keeper.route(shard)

    def address(self, shard: int) -> str:
        """Where the shard is served; "" = here, for a process that is alone, or not known."""
        if self.keeper is None or not self.owns(shard):
            return self.route(shard)
        return self.keeper.identity.address if self.keeper.peers else ""

    # -- Host --------------------------------------------------------------------------------------

    def take(self, shard: int, lease: HeldLease) -> None:
        """See Host."""
        writer = self.writers[shard] = self._writer(shard, lease)
        self._begin(writer)

    def confirmed(self, shard: int) -> None:
        """See Host."""
        self.writers[shard].confirm()

    def lapsed(self, shard: int) -> None:
        """See Host."""
        self.writers[shard].lapsed()

    def lose(self, shard: int) -> None:
        """See Host."""
        self.writers[shard].abandon()
        self.writers[shard] = self._writer(shard, NEVER_OURS)

    async def drain(self, shard: int) -> None:
        """See Host."""
        writer = self.writers[shard]
        try:
            await writer.stop(handing_over=bool(self.keeper and self.keeper.has_heirs))
        finally:
            if self.writers[shard] is writer and shard not in self.halted:
                self.writers[shard] = self._writer(shard, NEVER_OURS)

    def busy(self, shard: int) -> bool:
        """See Host."""
        life = self._lives.get(shard)
        return shard in self.halted or (life is not None and not life.done())

    def doubtful(self) -> bool:
        """See Host: a shard stopped for good here, or cannot be opened for a while."""
        now_us = self._clock.monotonic_us()
        if any(self.writers[shard].failures >= FAILURES_MAX for shard in self.owned):
            self._doubt_until_us = now_us + DOUBT_US
        return bool(self.halted) or now_us < self._doubt_until_us

    # -- writers -----------------------------------------------------------------------------------

    def _writer(self, shard: int, lease: ReadLease) -> Writer:
        return Writer(
            self._journals[shard],
            self._clock,
            self._configurations,
            self._recorded_by,
            self._observer,
            self._progress(shard) if self._progress is not None else None,
            lease,
            checkpoints=self._checkpoints[shard],
            upkeep=self._upkeep,
        )

    def _begin(self, writer: Writer) -> None:
        life = self._lives[writer.shard] = writer.start()
        life.add_done_callback(lambda ended: self._ended(writer, ended))

    def _ended(self, writer: Writer, life: asyncio.Task[None]) -> None:
        """A writer's life is over: by its own bug, or because the shard was lost or given away."""
        shard = writer.shard
        if not life.cancelled() and (error := life.exception()) is not None:
            self.halted[shard] = error
            self.on_halt(shard, error)
        if self.keeper is None or self.writers[shard] is not writer or writer.stopping:
            return
        if shard not in self.halted:
            self.writers[shard] = self._writer(shard, NEVER_OURS)
        cleaning = asyncio.ensure_future(self.keeper.forget(shard))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)
        self.keeper.seen.set()

    async def _until_open(self, writer: Writer) -> None:
        """Return when it serves, or is not ours any more. Raises what stopped it for good."""
        opened = asyncio.ensure_future(writer.opened.wait())
        life = self._lives[writer.shard]
        try:
            await asyncio.wait({opened, life}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
        self._raise_if_halted()

    def _raise_if_halted(self) -> None:
        for error in self.halted.values():
            raise error


def _nobody_hears(shard: int, error: BaseException) -> None:
    """Nobody is told that a shard stopped for good."""
