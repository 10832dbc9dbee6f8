"""`DrawdownClient`: the SDK on asyncio.

A thin shell: what to batch, retry and route is decided in the pure core. Every mutating call gets a
request_id where the caller gives none, and every retry repeats it, so that nothing is done twice.
Methods return the messages of ledger.v1 and rating.v1.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Self

import grpc

from ledger.client import guarded
from ledger.client.accounts import AccountCalls
from ledger.client.advice import checked_address
from ledger.client.budgets import BudgetCalls
from ledger.client.calls import Caller, monotonic_us
from ledger.client.channels import Channels
from ledger.client.charges import ChargeCalls
from ledger.client.clocks import ClockCalls
from ledger.client.commitments import CommitmentCalls
from ledger.client.compact import Envelope, outcomes_of
from ledger.client.contracts import ContractCalls
from ledger.client.conversions import ConversionCalls
from ledger.client.core import IngestCore
from ledger.client.corrections import CorrectionCalls
from ledger.client.decision_policies import DecisionPolicyCalls
from ledger.client.events import EventOutcome, UsageEvent, event_bytes, shape_bytes, shape_key
from ledger.client.explaining import ExplainCalls
from ledger.client.fail_modes import FailModeCalls
from ledger.client.families import FamilyCalls
from ledger.client.guarded import OpenBounds
from ledger.client.leases import LeaseCalls
from ledger.client.limits import Limits
from ledger.client.mandates import MandateCalls
from ledger.client.metered import CLOSE_S, MeteredCalls, Settling
from ledger.client.meters import MeterCalls
from ledger.client.operations import OperationCalls
from ledger.client.outcomes import OutcomeCalls
from ledger.client.packages import PackageCalls
from ledger.client.payments import PaymentCalls
from ledger.client.pricing import PricingCalls
from ledger.client.raw_events import RawEvent
from ledger.client.recurring import RecurringCalls
from ledger.client.reports import ReportCalls
from ledger.client.rerating import RerateCalls
from ledger.client.retry import RandRange, RetryPolicy
from ledger.client.routing import Routing
from ledger.client.runway import RunwayCalls
from ledger.client.runway_alerts import RunwayAlertCalls
from ledger.client.seats import SeatCalls
from ledger.client.sender import Sender
from ledger.client.sizing import SizingCalls
from ledger.client.spool import Spool
from ledger.client.statements import StatementCalls
from ledger.client.top_ups import TopUpCalls
from ledger.client.transports import StreamTransport, UnaryTransport
from ledger.v1 import journal_pb2
from ledger.v1.journal_pb2_grpc import JournalServiceStub
from ledger.v1.usage_pb2_grpc import UsageServiceStub

RAW_EVENTS: Final = 1_000  # a call
GATHER_EVENTS: Final = 256  # events of a stream that are handed over at once


class DrawdownClient(
    AccountCalls,
    ChargeCalls,
    ClockCalls,
    CommitmentCalls,
    ContractCalls,
    ConversionCalls,
    CorrectionCalls,
    ExplainCalls,
    BudgetCalls,
    DecisionPolicyCalls,
    FailModeCalls,
    FamilyCalls,
    LeaseCalls,
    MandateCalls,
    OutcomeCalls,
    PackageCalls,
    MeteredCalls,
    OperationCalls,
    MeterCalls,
    PaymentCalls,
    PricingCalls,
    RerateCalls,
    RecurringCalls,
    RunwayAlertCalls,
    RunwayCalls,
    ReportCalls,
    SeatCalls,
    SizingCalls,
    StatementCalls,
    TopUpCalls,
):
    """One tenant's client; share it between tasks.

        async with DrawdownClient("127.0.0.1:8433", source="api") as client:
            [outcome] = await client.ingest([UsageEvent("e-1", "acme", {"input_tokens": 1_200})])

    `address` may be several, of which one must answer at first; what serves what is then asked of
    them. Raises ValueError for one that is no host:port. `source` and `product` stand for events
    that name none. `credentials`: TLS. `token`: the token or API key that proves who calls, or a
    function that gives one that is still good; it goes as it is, so use TLS beyond this machine.
    `metadata` goes with every call. `read_your_writes`: reads see everything that this client's
    replies have shown. `plain`: send the plain form of usage. `streaming`: batches share one stream
    instead of having a call each; `pipelined`: so do debits, holds and what becomes of them.
    `randrange` and `new_id` are its only sources of chance.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        tenant: str = "default",
        source: str = "",
        product: str = "",
        park_unknown: bool = False,
        plain: bool = False,
        streaming: bool = False,
        pipelined: bool = False,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | Callable[[], str] = "",
        metadata: Sequence[tuple[str, str]] = (),
        read_your_writes: bool = True,
        randrange: RandRange = random.randrange,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._policy = retry or RetryPolicy()
        self._limits = limits or Limits()
        self._randrange = randrange
        self._streaming = streaming
        self._channels = Channels(credentials, metadata, token)
        self._envelope = Envelope(tenant, source, product, park_unknown, plain)
        addresses = [address] if isinstance(address, str) else list(address)
        for each in addresses:
            checked_address(each)
        self._caller = Caller(
            tenant,
            self._channels,
            Routing(tenant, *addresses),
            self._policy,
            randrange,
            new_id,
            read_your_writes,
            pipelined=pipelined,
        )
        self._caller.refreshing.changed = self._reroute
        self._settling = Settling()
        self._unary: Sender | None = None
        self._stream: Sender | None = None

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Fetch the shard map. Raises what `refresh_routing` raises."""
        try:
            await self.refresh_routing()
        except BaseException:
            await self._caller.refreshing.close()
            await self._channels.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def refresh_routing(self) -> journal_pb2.GetRoutingResponse:
        """Fetch the shard map anew; what waits goes where it says."""
        reply = await self._caller.call(
            lambda channel: JournalServiceStub(channel).GetRouting,
            journal_pb2.GetRoutingRequest(tenant=self._caller.tenant),
        )
        self._caller.refreshing.take(reply, self._caller.routing.address_of(""))
        return reply

    def _reroute(self) -> None:
        for sender in self._senders():
            sender.reroute()

    def named(self, event: UsageEvent) -> UsageEvent:
        """The event with this client's source and product where it names none: the same event,
        whichever client sends it."""
        own = self._envelope
        if event.source and event.product:
            return event
        return replace(
            event, source=event.source or own.source, product=event.product or own.product
        )

    def guard(
        self,
        spool: Spool,
        *,
        bounds: OpenBounds | None = None,
        patience_us: int = guarded.PATIENCE_US,
        again_us: int = guarded.AGAIN_US,
    ) -> guarded.Guard:
        """Metered calls that go by their product's fail mode while no server answers within
        `patience_us`; usage goes to the spool, which is open. See guarded."""
        return guarded.Guard(
            self,
            self._settling,
            self._caller.new_id,
            spool,
            bounds or OpenBounds(),
            patience_us,
            again_us,
        )

    async def close(self) -> None:
        """Give up what has not been answered: its outcome is RETRY or UNKNOWN. See `drain`.

        Holds of metered calls that have ended are settled first, for CLOSE_S at most.
        """
        await self._settling.finish(CLOSE_S)
        self._caller.close()
        for sender in self._senders():
            await sender.close()
        if self._caller.pipes is not None:
            await self._caller.pipes.close()
        await self._caller.refreshing.close()
        await self._channels.close()

    async def drain(self) -> None:
        """Return when every event that was taken has its outcome."""
        for sender in self._senders():
            await sender.drain()

    @property
    def position(self) -> str:
        """The furthest position that replies have shown: `min_position` for another client."""
        return str(self._caller.positions)

    def saw(self, position: str) -> None:
        """Reads of this client are to see what another process was told of at that position."""
        self._caller.positions.observe(position)

    def session(self, position: str = "") -> Session:
        """Calls over this client whose reads see what the session's own replies have shown, and
        what `position` names, instead of all that this client has seen."""
        return Session(self, position)

    @property
    def pending_events(self) -> int:
        """Usage events that wait or are in flight."""
        return sum(sender.pending_events for sender in self._senders())

    # -- usage -------------------------------------------------------------------------------------

    async def ingest(self, events: Iterable[UsageEvent]) -> list[EventOutcome]:
        """Record usage; one outcome an event, in order. Never all or nothing (rule I3).

        May be sent together with what other tasks send. Retries by itself; an outcome RETRY or
        UNKNOWN says that it gave up. Raises InvalidEvent, ClientClosed.
        """
        return await (await self._sender().deliver(events, flush=True))

    async def record(self, event: UsageEvent) -> EventOutcome:
        """Record one event; the same as `ingest` of it alone, made for many callers at once.

        Events that callers record one by one share batches, without a timer: what waits while a
        batch is in flight is the next. When `limits.pending_events` wait, callers wait.
        """
        return await self._sender().record(event)

    async def ingest_linked(self, events: Sequence[UsageEvent]) -> list[EventOutcome]:
        """Record 2 to 64 events of one family together or not at all; one outcome an event.

        A batch of its own. Raises InvalidEvent, Refused, NotApplied, OutcomeUnknown, ClientClosed.
        """
        for event in events:
            event_bytes(event)
            shape_bytes(shape_key(event))
        request = self._envelope.linked(events)
        account = events[0].account if events else ""
        reply = await self._caller.call(
            lambda channel: UsageServiceStub(channel).Ingest, request, account
        )
        return outcomes_of(reply)

    async def ingest_raw(self, events: Sequence[RawEvent]) -> list[EventOutcome]:
        """Record events of a type, which the tenant's meters make usage of; one outcome an event.

        In the plain form, RAW_EVENTS a call. An event whose outcome is RETRY or UNKNOWN is the
        caller's to send again. Raises InvalidEvent, Refused, NotApplied, OutcomeUnknown,
        ClientClosed.
        """
        sent = [self._envelope.raw(events[at : at + RAW_EVENTS]) for at in _starts(len(events))]
        outcomes: list[EventOutcome] = []
        for request in sent:
            reply = await self._caller.call(
                lambda channel: UsageServiceStub(channel).Ingest, request, request.events[0].account
            )
            outcomes += outcomes_of(reply)
        return outcomes

    async def submit(self, events: Iterable[UsageEvent]) -> asyncio.Future[list[EventOutcome]]:
        """The same without waiting for the outcomes, and with a little patience for company.

        Returns once there was room for all: so callers cannot run ahead without bound.
        """
        return await self._sender().deliver(events, flush=False)

    async def ingest_stream(
        self, events: AsyncIterable[UsageEvent] | Iterable[UsageEvent]
    ) -> AsyncIterator[tuple[UsageEvent, EventOutcome]]:
        """Record usage over IngestStream; yields each event with its outcome, in order.

        Reads ahead of the outcomes only as far as the limits of pending events allow.
        """
        sender = self._sender(stream=True)
        waiting: deque[tuple[list[UsageEvent], asyncio.Future[list[EventOutcome]]]] = deque()
        async for group in _groups(events):
            waiting.append((group, await sender.deliver(group, flush=False)))
            while waiting and (waiting[0][1].done() or self._is_far_ahead(len(waiting))):
                for pair in await _pairs(waiting.popleft()):
                    yield pair
        while waiting:
            for pair in await _pairs(waiting.popleft()):
                yield pair

    def _is_far_ahead(self, groups: int) -> bool:
        return groups * GATHER_EVENTS > self._limits.pending_events

    def _sender(self, *, stream: bool = False) -> Sender:
        stream = stream or self._streaming
        found = self._stream if stream else self._unary
        if found is not None:
            return found
        caller = self._caller
        core = IngestCore(self._limits, self._policy, caller.routing, self._randrange)
        transport_of = StreamTransport if stream else UnaryTransport
        transport = transport_of(
            self._channels,
            self._envelope,
            self._policy.attempt_us,
            caller.positions.observe,
            caller.routing,
            caller.refreshing,
        )
        made = Sender(core, transport, monotonic_us, caller.refreshing.failed)
        if stream:
            self._stream = made
        else:
            self._unary = made
        return made

    def _senders(self) -> list[Sender]:
        return [sender for sender in (self._unary, self._stream) if sender is not None]


class Session(DrawdownClient):
    """The same calls on the same connections and in the same batches, with a position of its own:
    for one user of many, whose reads are to wait for that user's writes and for no others. Made by
    `DrawdownClient.session`; needs no closing."""

    def __init__(self, client: DrawdownClient, position: str) -> None:
        self.__dict__.update(client.__dict__)
        self._client = client
        self._caller = client._caller.session(position)

    async def __aenter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    async def close(self) -> None:
        """The client stays open."""

    async def record(self, event: UsageEvent) -> EventOutcome:
        """See DrawdownClient.record."""
        outcome = await self._client.record(event)
        self.saw(outcome.position)
        return outcome

    async def ingest(self, events: Iterable[UsageEvent]) -> list[EventOutcome]:
        """See DrawdownClient.ingest."""
        outcomes = await self._client.ingest(events)
        for position in {outcome.position for outcome in outcomes}:
            self.saw(position)
        return outcomes

    def _sender(self, *, stream: bool = False) -> Sender:
        return self._client._sender(stream=stream)

    def _senders(self) -> list[Sender]:
        return self._client._senders()


def _starts(count: int) -> range:
    return range(0, count, RAW_EVENTS)


async def _groups(
    events: AsyncIterable[UsageEvent] | Iterable[UsageEvent],
) -> AsyncIterator[list[UsageEvent]]:
    """Events a few at a time; those of an async source as they come."""
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield [event]
        return
    group: list[UsageEvent] = []
    for event in events:
        group.append(event)
        if len(group) == GATHER_EVENTS:
            yield group
            group = []
    if group:
        yield group


async def _pairs(
    waiting: tuple[list[UsageEvent], asyncio.Future[list[EventOutcome]]],
) -> list[tuple[UsageEvent, EventOutcome]]:
    events, outcomes = waiting
    return list(zip(events, await outcomes, strict=True))
