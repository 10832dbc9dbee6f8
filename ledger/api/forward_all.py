"""Calls that concern every shard: here for our own, and asked of each other process for its own.

A process that is asked by another answers for its own shards alone; whoever asks puts the parts
together and checks that none is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from google.protobuf.message import Message

from ledger.api.errors import CallFailed
from ledger.api.forward import Forwarder, Hop, PassedOn, nobody
from ledger.core.limits import SECOND_US
from ledger.core.state import State
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, NotAppliedReason, NotOwner
from ledger.v1 import peer_pb2 as pb

T = TypeVar("T")
Reply = TypeVar("Reply", bound=Message)

PEER_TIMEOUT_S: Final = 10
_SERVICE: Final = pb.DESCRIPTOR.services_by_name["PeerService"].full_name
_HOP: Final = Hop((), PEER_TIMEOUT_S)


class NoCall:
    """Stands for the call of work that nobody has called for."""

    forwarded: Final = False
    hop: Final = _HOP


async def read_owned(
    ledger: Ledger, function: Callable[[State], T], least: Mapping[int, int] | None = None
) -> dict[int, tuple[T, int]]:
    """(function(state), position) of every shard of ours. Raises NotApplied, PositionAhead."""
    found = {}
    for shard in ledger.owned:
        minimum = least.get(shard, 0) if least is not None else 0
        try:
            found[shard] = await ledger.writers[shard].read(function, minimum)
        except NotOwner:
            raise nobody([shard]) from None  # given away this moment
    return found


class PeerCalls:
    """Implements `engine.ledger.Peers`, and asks owners to settle."""

    def __init__(self, ledger: Ledger, forwarder: Forwarder) -> None:
        self._ledger = ledger
        self._forwarder = forwarder

    async def apply_published(self, tenant: int) -> set[int]:
        """See Peers."""
        request = pb.ApplyPublishedRequest(tenant=tenant)
        return await self._each("ApplyPublished", request, pb.ApplyPublishedResponse)

    async def settle_clock(self, tenant: int, until: int, patience_us: int) -> dict[int, int]:
        """See Peers."""
        request = pb.SettleClockRequest(tenant=tenant, until_us=until, patience_us=patience_us)
        hop = Hop((), PEER_TIMEOUT_S + patience_us // SECOND_US)
        answers = await asyncio.gather(
            *[
                self._ask(address, "SettleClock", request, pb.SettleClockResponse, hop)
                for address in self._forwarder.owners()
            ]
        )
        return {each.shard: each.accounts for answer in answers for each in answer.shards}

    async def settle(self) -> None:
        """Return when what any process accepted before is durable, and erased names forgotten.

        Raises NotApplied where a shard has no owner, or its owner does not answer.
        """
        await _forget(self._ledger)
        here = await read_owned(self._ledger, _nothing)
        there = await self._each("Settle", pb.SettleRequest(), pb.SettleResponse)
        missing = sorted(set(range(len(self._ledger.writers))) - here.keys() - there)
        if missing:
            raise nobody(missing)

    async def _each(
        self,
        method: str,
        request: Message,
        reply: type[pb.ApplyPublishedResponse] | type[pb.SettleResponse],
    ) -> set[int]:
        shards: set[int] = set()
        for address in self._forwarder.owners():
            answer = await self._ask(address, method, request, reply, _HOP)
            shards.update(answer.shards)
        return shards

    async def _ask(
        self, address: str, method: str, request: Message, reply: type[Reply], hop: Hop
    ) -> Reply:
        try:
            return await self._forwarder.ask(address, f"{_SERVICE}/{method}", request, reply, hop)
        except (PassedOn, CallFailed) as error:
            message = f"{address} did not answer: {error}"
            raise NotApplied(NotAppliedReason.NOT_OWNER, message, 200_000) from error


class PeerService:
    """See ledger/v1/peer.proto."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def apply_published(
        self, request: pb.ApplyPublishedRequest, call: object
    ) -> pb.ApplyPublishedResponse:
        """Apply what is published to our shards."""
        try:
            applied = await self._ledger.apply_owned(request.tenant)
        except NotOwner as error:
            raise nobody([error.shard]) from None
        return pb.ApplyPublishedResponse(shards=sorted(applied))

    async def settle(self, request: pb.SettleRequest, call: object) -> pb.SettleResponse:
        """Settle our shards."""
        await _forget(self._ledger)
        return pb.SettleResponse(shards=sorted(await read_owned(self._ledger, _nothing)))

    async def settle_clock(
        self, request: pb.SettleClockRequest, call: object
    ) -> pb.SettleClockResponse:
        """Wait for what is due on our shards."""
        try:
            left = await self._ledger.sandboxes.settle_owned(
                request.tenant, request.until_us, request.patience_us
            )
        except NotOwner as error:
            raise nobody([error.shard]) from None
        return pb.SettleClockResponse(
            shards=[pb.ShardLeft(shard=shard, accounts=left[shard]) for shard in sorted(left)]
        )


async def _forget(ledger: Ledger) -> None:
    """Know no erased name any more, and let what has looked one up get to its writer.

    Raises NotApplied where that takes too long, for it waits for another process.
    """
    await ledger.names.catch_up()
    try:
        async with asyncio.timeout(PEER_TIMEOUT_S):
            await ledger.underway.passed()
    except TimeoutError as error:
        message = "calls that came before are still on their way to writers; ask again"
        raise NotApplied(NotAppliedReason.QUEUE_FULL, message, 200_000) from error


async def gather_parts(
    forwarder: Forwarder,
    method: str,
    request: Message,
    reply: type[Reply],
    hop: Hop,
    wanted: set[int],
    covered: Callable[[Reply], set[int]],
) -> list[Reply]:
    """The same request answered by each owner of the `wanted` shards, for its own.

    Raises PassedOn, CallFailed; NotApplied where one of them has no owner.
    """
    parts = []
    for address, shards in forwarder.owners().items():
        if not wanted.isdisjoint(shards):
            parts.append(await forwarder.ask(address, method, request, reply, hop))
    missing = wanted.difference(*map(covered, parts))
    if missing:
        raise nobody(sorted(missing))
    return parts


def _nothing(_: object) -> None:
    """Only the order matters."""
