"""The clocks of sandbox tenants (rule T4): read, moved, and waited for until all has happened.

A move is a version of the tenant's configuration, so that every shard applies it in order and one
that is away catches up. What time then causes is posted by the ordinary sweep of each shard. Must
not decide anything about accounts.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

import msgspec

from ledger.core.limits import DAY_US, SECOND_US
from ledger.core.state import FETCHED, NEVER, State
from ledger.engine.clock import Clock
from ledger.engine.configuration import ClockBody, Configurations
from ledger.engine.shards import Shards
from ledger.journal.configuration import (
    ConfigurationEntry,
    ConfigurationKind,
    ConfigurationReason,
    ConfigurationStore,
)

ADVANCE_MAX_US: Final = 3_660 * DAY_US  # of one call: ten years, leap days and a bit
LATEST_US: Final = 7_258_118_400_000_000  # 2200-01-01T00:00:00Z: no clock goes beyond
LOOK_AGAIN_US: Final = 5_000  # at a shard that is still posting: a few commits
_NAME: Final = "clock"
_ALWAYS_US: Final = 1


class ClockReason(StrEnum):
    """Why a clock was not moved. Stable; never reused."""

    CONFLICT = "CONFLICT"
    CLOCK_BACKWARDS = "CLOCK_BACKWARDS"
    CLOCK_TOO_FAR = "CLOCK_TOO_FAR"


class ClockRefused(msgspec.Struct, frozen=True):
    """Nothing was moved: stable reason, the field and the value at fault, a message."""

    reason: ClockReason
    field: str
    value: str
    message: str


class ClockMoved(msgspec.Struct, frozen=True):
    """A move that is published; `replayed`: by an earlier call with the same request id."""

    body: ClockBody
    replayed: bool


class _Stream:
    """What was read of a tenant's configuration."""

    __slots__ = ("by_request", "last", "version", "version_read")

    def __init__(self) -> None:
        self.version_read = 0
        self.version = 0  # of the last move; 0 = there is none
        self.last: ClockBody | None = None
        self.by_request: dict[str, ClockBody] = {}

    def add(self, version: int, body: ClockBody) -> None:
        """Take in a move; callers read side by side, so that an older one may come after."""
        if version > self.version:
            self.version, self.last = version, body
        self.by_request[body.request_id] = body


class Sandboxes:
    """The clocks of all tenants, for one process."""

    def __init__(
        self,
        store: ConfigurationStore,
        configurations: Configurations,
        shards: Shards,
        clock: Clock,
    ) -> None:
        self._store = store
        self._configurations = configurations
        self._shards = shards
        self._clock = clock
        self._streams: dict[int, _Stream] = {}

    def offset(self, tenant: int) -> int:
        """How far the tenant's clock is ahead of ours, microseconds."""
        return self._configurations.offsets.get(tenant, 0)

    def now_us(self, tenant: int) -> int:
        """The present by the tenant's clock."""
        return self._clock.now_us() + self.offset(tenant)

    async def refresh(self, tenant: int) -> None:
        """Know the tenant's offset. Whoever has opened a shard was told of every move before it was
        answered; who has none looks."""
        if not self._shards.told:
            await self._read(tenant)

    async def publish(
        self, tenant: int, request_id: str, by_us: int, to_us: int
    ) -> ClockMoved | ClockRefused:
        """Publish a move by `by_us`, or to the instant `to_us`; the other is 0.

        The same request id again finds the first move (rule I5); with another body: CONFLICT.
        """
        while True:
            stream = await self._read(tenant)
            known = stream.by_request.get(request_id)
            if known is not None:
                return ClockMoved(known, True) if _same(known, by_us, to_us) else _conflict(known)
            now = self._clock.now_us()
            shows = now + (stream.last.offset if stream.last is not None else 0)
            reached = to_us or shows + by_us
            refusal = _refuse(shows, reached, "to_us" if to_us else "by_us", to_us or by_us)
            if refusal is not None:
                return refusal
            body = ClockBody(request_id, reached - now, reached, by_us, to_us)
            made = await self._store.publish(
                tenant,
                ConfigurationKind.CLOCK,
                _NAME,
                msgspec.msgpack.encode(body),
                _ALWAYS_US,
                stream.version,
            )
            if isinstance(made, ConfigurationEntry):
                return ClockMoved(body, False)
            assert made.reason is ConfigurationReason.VERSION_DIFFERS, (
                made
            )  # another move came first

    async def settle_owned(self, tenant: int, until: int, patience_us: int) -> dict[int, int]:
        """By shard of ours: how many accounts have something left that was due by then, by the
        tenant's clock, when nothing is left or patience has run out. What was posted is durable.

        Raises NotApplied.
        """
        give_up_us = self._clock.monotonic_us() + patience_us
        shards = self._shards.owned
        left = await asyncio.gather(
            *[self._settle(shard, tenant, until, give_up_us) for shard in shards]
        )
        return dict(zip(shards, left, strict=True))

    async def _settle(self, shard: int, tenant: int, until: int, give_up_us: int) -> int:
        while True:
            left, _ = await self._shards.writers[shard].read(
                lambda state: overdue(state, tenant, until)
            )
            if left == 0 or self._clock.monotonic_us() >= give_up_us:
                return left
            await asyncio.sleep(LOOK_AGAIN_US / SECOND_US)

    async def _read(self, tenant: int) -> _Stream:
        """Every move of the tenant's clock so far."""
        stream = self._streams.setdefault(tenant, _Stream())
        async for entry in self._configurations.published(tenant, stream.version_read):
            if entry.kind == ConfigurationKind.CLOCK:
                body = await self._store.body(entry.content_hash)
                assert body is not None, f"version {entry.version} of tenant {tenant} has no body"
                moved = msgspec.msgpack.decode(body, type=ClockBody)
                stream.add(entry.version, moved)
                self._configurations.note(tenant, moved)
            stream.version_read = max(stream.version_read, entry.version)
        return stream


def overdue(state: State, tenant: int, until: int) -> int:
    """Accounts of the tenant, families that are packed elsewhere as one each, in which something
    that was due by then is not posted yet."""
    count = 0
    for account in state.accounts.values():
        if account.tenant == tenant and account.next_due <= until:
            account.find_next_due()  # what is settled by now left it early
            count += account.next_due <= until
    at = state.timer_at(tenant, until)
    for root, owner in state.paged_tenants.items():
        if owner == tenant:
            due = state.paged_families[root]
            count += due == FETCHED or (due != NEVER and due <= at)
    return count


def _same(known: ClockBody, by_us: int, to_us: int) -> bool:
    return (known.by, known.to) == (by_us, to_us)


def _conflict(known: ClockBody) -> ClockRefused:
    field, value = ("to_us", known.to) if known.to else ("by_us", known.by)
    message = f"the request id has moved the clock with {field} = {value} before; use a new one"
    return ClockRefused(ClockReason.CONFLICT, field, str(value), message)


def _refuse(shows: int, reached: int, field: str, value: int) -> ClockRefused | None:
    """Only forward, by no more than ten years, never beyond 2200."""
    if reached < shows:
        message = f"the clock shows {shows} and is never turned back; add another sandbox tenant"
        return ClockRefused(ClockReason.CLOCK_BACKWARDS, field, str(value), message)
    if reached - shows > ADVANCE_MAX_US:
        message = f"the clock shows {shows}; one call moves it by {ADVANCE_MAX_US} at most"
        return ClockRefused(ClockReason.CLOCK_TOO_FAR, field, str(value), message)
    if reached > LATEST_US:
        message = f"no clock goes beyond {LATEST_US}, the year 2200"
        return ClockRefused(ClockReason.CLOCK_TOO_FAR, field, str(value), message)
    return None
