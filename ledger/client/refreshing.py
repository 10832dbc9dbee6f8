"""When the shard map is asked for anew, and of whom: after a failure that may mean that it is old.

Owns one question at a time, in the background. A server that cannot be reached is avoided until a
new map is there. Decides nothing about retries: those are made by who failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, Protocol

import grpc

from ledger.client.channels import Channels
from ledger.client.durations import SECOND_US
from ledger.client.retry import Failure
from ledger.client.routing import Routing
from ledger.v1 import journal_pb2
from ledger.v1.journal_pb2_grpc import JournalServiceStub

ASK_TIMEOUT_S: Final = 2
AGAIN_US: Final = 200_000  # between two maps, however many calls fail
AGE_US: Final = 10_000_000  # of a map in use, before a new one is asked for
STALL_S: Final = 2.5
"""A call that takes this long may be at a server that stood still: its shards have another owner
by then."""

MISROUTED: Final = frozenset({"NOT_OWNER", "OWNER_UNREACHABLE", "SHUTTING_DOWN", "WRITER_HALTED"})
"""Reasons that say that another server has the shard, or soon will."""

_UNREACHED: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})


class Refreshing:
    """Keeps a `Routing` up to date; `close` once."""

    def __init__(self, tenant: str, channels: Channels, routing: Routing) -> None:
        self.changed: Callable[[], None] = _nobody
        """Told when addresses mean something else than before."""

        self.fail_modes: dict[str, int] | None = None
        """By product, as the last map said; None = none has come yet."""
        self._tenant = tenant
        self._channels = channels
        self._routing = routing
        self._asked_us = _now_us()
        self._task: asyncio.Task[None] | None = None

    def take(self, reply: journal_pb2.GetRoutingResponse, asked: str) -> None:
        """A map that `asked` has answered."""
        shards = {route.shard: route.address for route in reply.shards}
        self._routing.take_map(reply.hash, shards, asked)
        self._asked_us = _now_us()
        self.fail_modes = {each.product: each.mode for each in reply.fail_modes}
        self.changed()

    def used(self) -> None:
        """Somebody sends by the map: it must not grow old."""
        if _now_us() - self._asked_us > AGE_US:
            self.soon()

    def failed(self, address: str, failure: Failure) -> None:
        """What a call to that address ended with."""
        if not failure.reason and failure.code in _UNREACHED:
            self._routing.avoid(address)
            self.changed()
            self.soon(address)
        elif failure.reason in MISROUTED:
            self.soon()

    def soon(self, suspect: str = "") -> None:
        """Ask for a map in the background; `suspect` is asked last."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._ask(suspect))

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self, suspect: str) -> None:
        wait_us = self._asked_us + AGAIN_US - _now_us()
        if wait_us > 0:
            await asyncio.sleep(wait_us / SECOND_US)
        self._asked_us = _now_us()
        request = journal_pb2.GetRoutingRequest(tenant=self._tenant)
        for address in sorted(self._routing.addresses, key=lambda each: each == suspect):
            stub = JournalServiceStub(self._channels.to(address))
            try:
                reply = await stub.GetRouting(
                    request, timeout=ASK_TIMEOUT_S, metadata=self._channels.metadata
                )
            except grpc.aio.AioRpcError:
                continue
            self.take(reply, address)
            return


class Cancellable(Protocol):
    """Something under way that need not be waited for."""

    def cancel(self) -> bool:
        """Wait for it no more."""
        ...


class Stall:
    """Cancels a call that takes long once the map says that another server should have it."""

    __slots__ = ("_address", "_call", "_refreshing", "_route", "_timer", "moved")

    def __init__(
        self,
        refreshing: Refreshing,
        call: Cancellable,
        address: str,
        route: Callable[[], str],
    ) -> None:
        """`route` says where the call would go by the present map."""
        self.moved = False
        self._refreshing = refreshing
        self._call = call
        self._address = address
        self._route = route
        self._timer = asyncio.get_running_loop().call_later(STALL_S, self._look)

    def over(self) -> None:
        """The call has ended."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._route() != self._address:
            self.moved = True
            self._call.cancel()
            return
        self._refreshing.soon(self._address)
        self._timer = asyncio.get_running_loop().call_later(STALL_S / 5, self._look)


def _nobody() -> None:
    """Nobody waits for a new map."""


def _now_us() -> int:
    return monotonic_ns() // 1_000
