"""Keeps this process's leases: renews, takes what is free, hands over what is too much, leaves.

One task beats several times a term. Each beat renews everything in one go, looks at who lives, and
takes the next step towards fair shares. It owns leases and nothing of what a shard does: its `Host`
starts and stops writers. A beat that fails changes nothing but time, which runs out by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from ledger.core.limits import SECOND_US
from ledger.engine.clock import Clock
from ledger.engine.lease import HeldLease, Terms
from ledger.engine.lease_share import Plan, free_shards, plan
from ledger.journal.errors import JournalError
from ledger.journal.leases import Identity, LeaseStore, LeaseView

SOONEST_US: Final = 5_000  # between two beats, whatever is about to happen
SETTLE_TERMS: Final = 3  # a process that waits longer for its share is ready without it


class Host(Protocol):
    """What has the shards' writers."""

    def take(self, shard: int, lease: HeldLease) -> None:
        """The shard is ours from now on: open it."""
        ...

    def confirmed(self, shard: int) -> None:
        """The lease was renewed: what waited for that may be answered."""
        ...

    def lapsed(self, shard: int) -> None:
        """The lease cannot be renewed now and does not hold: refuse what waits for it."""
        ...

    def lose(self, shard: int) -> None:
        """Another process has the shard: answer nothing more."""
        ...

    async def drain(self, shard: int) -> None:
        """Finish what the shard has accepted, and let it be nobody's."""
        ...

    def busy(self, shard: int) -> bool:
        """Whether an earlier life of the shard here has not ended yet."""
        ...

    def doubtful(self) -> bool:
        """Whether another process should rather have our shards."""
        ...


class Keeper:
    """`start` once, `leave` to hand all over, `stop` to end. `view` is what was last seen."""

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        identity: Identity,
        shards: int,
        host: Host,
        terms: Terms,
    ) -> None:
        self.identity = identity
        self.leases: dict[int, HeldLease] = {}
        self.view = LeaseView()
        self.problem = "the leases have not been asked for yet"  # "" while beats succeed
        self.takeovers = 0  # shards taken that another process had before
        self.seen = asyncio.Event()  # set with each successful beat, for who waits for a change
        self._store = store
        self._clock = clock
        self._shards = shards
        self._host = host
        self._terms = terms
        self._leaving = False
        self._stopping = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._handing: asyncio.Task[None] | None = None
        self._free_since: dict[int, int] = {}
        self._began_us = clock.monotonic_us()
        self._plan = Plan((), -1, 0)

    # -- what others may ask -----------------------------------------------------------------------

    def route(self, shard: int) -> str:
        """The address of the other process that has the shard; "" where none is known.

        Our own address is nobody else's: a predecessor's, or one that was given twice.
        """
        me = self.identity
        for lease in self.view.leases:
            if lease.shard == shard:
                foreign = lease.owner != me.process and lease.address != me.address
                return lease.address if foreign and lease.left_us > 0 else ""
        return ""

    @property
    def peers(self) -> Mapping[str, str]:
        """Process -> address of every other process that lives."""
        return {
            each.process: each.address
            for each in self.view.members
            if each.left_us > 0 and each.process != self.identity.process
        }

    @property
    def address_is_shared(self) -> bool:
        """Whether another process says that it is reached where we are."""
        return self.identity.address in self.peers.values()

    @property
    def has_heirs(self) -> bool:
        """Whether another process lives that stays, and will take what we hand over."""
        return any(
            each.left_us > 0 and not each.leaving and each.process != self.identity.process
            for each in self.view.members
        )

    @property
    def settled(self) -> bool:
        """Whether we have our share, or have waited for it long enough while others serve."""
        if self.problem:
            return False
        if len(self.leases) >= self._plan.share and not self._plan.take:
            return True
        waited = self._clock.monotonic_us() - self._began_us
        free = free_shards(self._shards, self.view, self.identity.process, self.leases)
        return not free and waited > SETTLE_TERMS * self._terms.term_us

    def poke(self) -> None:
        """Look again now: something said that the view is out of date."""
        self._wake.set()

    # -- life --------------------------------------------------------------------------------------

    def start(self, address: str = "") -> None:
        """Begin to beat; `address`: where others reach us, if that was not known before."""
        assert self._task is None
        if address:
            self.identity = Identity(self.identity.process, address)
        self._task = asyncio.create_task(self._run(), name="leases")

    def leave(self) -> None:
        """Take nothing more, and hand over what we have as long as somebody is there to take it."""
        self._leaving = True
        self._wake.set()

    async def stop(self) -> None:
        """Drain and release everything, and be gone. Storage may be away: then terms run out."""
        self._leaving = self._stopping = True
        self._wake.set()
        if self._handing is not None:
            await asyncio.gather(self._handing, return_exceptions=True)
        shards = list(self.leases)
        drained = await asyncio.gather(
            *[self._hand_over(shard) for shard in shards], return_exceptions=True
        )
        if self._task is not None:
            await self._task
        await self._quietly_leave()
        for outcome in drained:
            if isinstance(outcome, BaseException):
                raise outcome

    async def abandon(self) -> None:
        """End at once: the writers are gone, nothing is drained."""
        self._stopping = True
        self._wake.set()
        tasks = [task for task in (self._handing, self._task) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for shard, lease in list(self.leases.items()):
            del self.leases[shard]
            await self._release(shard, lease)
        await self._quietly_leave()

    async def forget(self, shard: int) -> None:
        """The shard's writer ended by itself: it is free for whoever can open it."""
        lease = self.leases.pop(shard, None)
        if lease is not None:
            await self._release(shard, lease)
            self._wake.set()

    # -- beats -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            began_us = self._clock.monotonic_us()
            await self._beat()
            spent_us = self._clock.monotonic_us() - began_us
            wait_us = max(SOONEST_US, self._until_next_us() - spent_us)
            try:
                async with asyncio.timeout(wait_us / SECOND_US):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _beat(self) -> None:
        sent_us = self._clock.monotonic_us()
        held = {shard: lease.epoch for shard, lease in self.leases.items()}
        leaving = self._leaving or self._host.doubtful()
        try:
            async with asyncio.timeout(self._terms.patience_us / SECOND_US):
                view = await self._store.beat(
                    self.identity, held, self._terms.term_us, leaving=leaving
                )
        except (JournalError, TimeoutError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            for shard, lease in self.leases.items():
                if not lease.holds():
                    self._host.lapsed(shard)
            return
        self.view, self.problem = view, ""
        self._settle_leases(held, view, sent_us)
        await self._next_step(view, leaving)
        self.seen.set()

    def _settle_leases(self, held: Mapping[int, int], view: LeaseView, sent_us: int) -> None:
        """What the view says of the leases that were to be renewed."""
        me = self.identity.process
        kept = {
            lease.shard: lease.epoch
            for lease in view.leases
            if lease.owner == me and lease.left_us > 0
        }
        for shard, epoch in held.items():
            lease = self.leases.get(shard)
            if lease is None or lease.epoch != epoch:
                continue  # given away while the beat was under way
            if kept.get(shard) == epoch:
                lease.renewed(sent_us)
                if lease.holds():  # or it was heard of too late: what came since is not covered
                    self._host.confirmed(shard)
            else:
                del self.leases[shard]
                lease.revoke()
                self._host.lose(shard)

    async def _next_step(self, view: LeaseView, leaving: bool) -> None:
        me = self.identity.process
        now_us = self._clock.monotonic_us()
        free = [
            shard
            for shard in free_shards(self._shards, view, me, self.leases)
            if not self._host.busy(shard)
        ]
        self._free_since = {shard: self._free_since.get(shard, now_us) for shard in free}
        late_us = now_us - self._terms.term_us // 2
        overdue = [shard for shard, since_us in self._free_since.items() if since_us < late_us]
        self._plan = plan(self._shards, view, me, self.leases, leaving=leaving, overdue=overdue)
        take = [shard for shard in self._plan.take if shard in self._free_since]
        if take and not self._stopping:
            await self._take(take, view)
        idle = self._handing is None or self._handing.done()
        if self._plan.give >= 0 and idle and not self._stopping:
            self._handing = asyncio.create_task(self._hand_over(self._plan.give))

    async def _take(self, shards: list[int], view: LeaseView) -> None:
        sent_us = self._clock.monotonic_us()
        try:
            async with asyncio.timeout(self._terms.patience_us / SECOND_US):
                taken = await self._store.acquire(self.identity, shards, self._terms.term_us)
        except (JournalError, TimeoutError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return
        others = {lease.shard for lease in view.leases if lease.owner != self.identity.process}
        for shard, epoch in taken.items():
            lease = HeldLease(self._clock, self._terms, epoch, sent_us)
            self.leases[shard] = lease
            self.takeovers += shard in others
            self._free_since.pop(shard, None)
            self._host.take(shard, lease)
        if taken:
            self._wake.set()  # see the whole again

    async def _hand_over(self, shard: int) -> None:
        """Drain one shard, then let another process have it at once."""
        try:
            await self._host.drain(shard)
        finally:
            lease = self.leases.pop(shard, None)
            if lease is not None:
                await self._release(shard, lease)
                self._wake.set()

    async def _release(self, shard: int, lease: HeldLease) -> None:
        lease.revoke()
        try:
            async with asyncio.timeout(self._terms.patience_us / SECOND_US):
                await self._store.release(self.identity, shard, lease.epoch)
        except (JournalError, TimeoutError):
            return  # it runs out by itself

    async def _quietly_leave(self) -> None:
        try:
            async with asyncio.timeout(self._terms.patience_us / SECOND_US):
                await self._store.leave(self.identity)
        except (JournalError, TimeoutError):
            return

    def _until_next_us(self) -> int:
        """The usual beat; sooner while shards are on their way, or a lease is about to run out."""
        terms = self._terms
        wait_us = terms.beat_us
        if self.problem or self._free_since or len(self.leases) < self._plan.share:
            wait_us = terms.eager_us
        me = self.identity.process
        for lease in self.view.leases:
            if lease.owner != me and lease.left_us > 0:
                wait_us = min(wait_us, lease.left_us + SOONEST_US)
        return wait_us
