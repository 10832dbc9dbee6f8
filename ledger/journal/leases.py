"""Read leases: which process may answer for which shard, and which processes live.

Owns the protocol, its values and the in-memory store; `leases_postgres` is the real one, and both
pass one conformance suite. Time is the store's own (the database's clock); callers see only what is
left. Decides nothing about who should have what. Writes to the journal never depend on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ledger.journal.errors import JournalUnavailable


class Identity(Struct, frozen=True):
    """One life of one process: a name that no other life ever has, and where others reach it."""

    process: str
    address: str


class Lease(Struct, frozen=True, gc=False):
    """A shard's lease as the store has it; `left_us` at or below 0: it ran out or was released."""

    shard: int
    epoch: int
    owner: str
    address: str
    left_us: int


class Member(Struct, frozen=True, gc=False):
    """A process that announced itself; `left_us` at or below 0: it has not been heard of."""

    process: str
    address: str
    leaving: bool
    left_us: int


class LeaseView(Struct, frozen=True):
    """Everything, as of one moment of the store's clock."""

    leases: tuple[Lease, ...] = ()
    members: tuple[Member, ...] = ()


class LeaseStore(Protocol):
    """Leases and members. Methods raise JournalUnavailable when storage is away."""

    async def beat(
        self, identity: Identity, held: Mapping[int, int], term_us: int, *, leaving: bool = False
    ) -> LeaseView:
        """Live for another term, renew what is held (shard -> epoch), and see everything.

        A lease is renewed only while owner and epoch are still these, also one that ran out and
        that nobody took: nobody else can have opened its shard meanwhile.
        """
        ...

    async def acquire(
        self, identity: Identity, shards: Sequence[int], term_us: int
    ) -> dict[int, int]:
        """Take those that ran out, were released or never had an owner: shard -> new epoch."""
        ...

    async def release(self, identity: Identity, shard: int, epoch: int) -> None:
        """Give a shard away at once; does nothing where it is not ours under that epoch."""
        ...

    async def leave(self, identity: Identity) -> None:
        """This process is gone: nobody counts on it any more. Its leases stay as they are."""
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent; a later call reopens them."""
        ...


async def _at_once() -> None:
    """Nothing pauses."""


class MemoryLeases:
    """What survives a simulated crash: shared by the `MemoryLeaseStore`s of all processes."""

    def __init__(self) -> None:
        self.leases: dict[int, tuple[int, str, str, int]] = {}  # epoch, owner, address, expires
        self.members: dict[str, tuple[str, bool, int]] = {}  # address, leaving, expires


class MemoryLeaseStore:
    """See `LeaseStore`. `pause` runs before and after each change, `clock` is the store's."""

    def __init__(
        self,
        clock: Callable[[], int],
        shared: MemoryLeases | None = None,
        pause: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        """`clock` gives microseconds; give `shared` to be another process's store."""
        self.available = True
        self.shared = shared if shared is not None else MemoryLeases()
        self._clock = clock
        self._pause = pause

    async def beat(
        self, identity: Identity, held: Mapping[int, int], term_us: int, *, leaving: bool = False
    ) -> LeaseView:
        """See `LeaseStore.beat`."""
        await self._reachable()
        shared, expires = self.shared, self._clock() + term_us
        shared.members[identity.process] = (identity.address, leaving, expires)
        for shard, epoch in sorted(held.items()):
            kept = shared.leases.get(shard)
            if kept is not None and kept[:2] == (epoch, identity.process):
                shared.leases[shard] = (epoch, identity.process, kept[2], expires)
        await self._pause()
        now = self._clock()
        return LeaseView(
            tuple(
                Lease(shard, epoch, owner, address, until - now)
                for shard, (epoch, owner, address, until) in sorted(shared.leases.items())
            ),
            tuple(
                Member(process, address, gone, until - now)
                for process, (address, gone, until) in sorted(shared.members.items())
            ),
        )

    async def acquire(
        self, identity: Identity, shards: Sequence[int], term_us: int
    ) -> dict[int, int]:
        """See `LeaseStore.acquire`."""
        await self._reachable()
        now = self._clock()
        taken: dict[int, int] = {}
        for shard in sorted(set(shards)):
            epoch, owner, _, expires = self.shared.leases.get(shard, (0, "", "", now))
            if expires <= now or owner == identity.process:
                taken[shard] = epoch + 1
                self.shared.leases[shard] = (
                    epoch + 1,
                    identity.process,
                    identity.address,
                    now + term_us,
                )
        await self._pause()
        return taken

    async def release(self, identity: Identity, shard: int, epoch: int) -> None:
        """See `LeaseStore.release`."""
        await self._reachable()
        kept = self.shared.leases.get(shard)
        if kept is not None and kept[:2] == (epoch, identity.process):
            self.shared.leases[shard] = (*kept[:3], self._clock())
        await self._pause()

    async def leave(self, identity: Identity) -> None:
        """See `LeaseStore.leave`."""
        await self._reachable()
        self.shared.members.pop(identity.process, None)
        await self._pause()

    async def close(self) -> None:
        """See `LeaseStore.close`."""

    async def _reachable(self) -> None:
        await self._pause()
        if not self.available:
            raise JournalUnavailable("the leases are away")
