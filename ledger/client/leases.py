"""Credit leases: the calls of LeaseService, and `HeldLease`, which decides at the edge (rule H7).

    async with client.hold_lease("acme", "chat", LeaseTerms(wanted=100_000)) as lease:
        if lease.spend(cost, UsageEvent(id, "", {"tokens": 12})):
            ...

A decision is a comparison and a subtraction in this process. `HeldLease` is the shell of
`lease_core`: one task sends what the core asks for, and tells it what came of it. Whoever leaves is
not waited for: the return goes on in that task, and `client.close` waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Self

from ledger.client.calls import Caller
from ledger.client.compact import outcomes_of, plain_event
from ledger.client.durations import SECOND_US
from ledger.client.errors import CallError, ClientClosed, Refused
from ledger.client.events import EventOutcome, Outcome, UsageEvent, unlooked_at
from ledger.client.lease_clock import passed_ns, passed_us
from ledger.client.lease_core import (
    AcquireRequest,
    GiveBackRequest,
    LeaseCore,
    RenewRequest,
    ReportRequest,
    Request,
)
from ledger.client.limits import LeaseTerms
from ledger.client.local_prices import LocalPrices
from ledger.client.metered import Settling
from ledger.v1 import lease_pb2 as pb
from ledger.v1 import usage_pb2
from ledger.v1.lease_pb2_grpc import LeaseServiceStub

PAGE_SIZE: Final = 1_000
_AGAIN: Final = (Outcome.RETRY, Outcome.UNKNOWN)
_GONE: Final = ("LEASE_ENDED", "LEASE_UNKNOWN", "LEASE_OVERDUE")
_AFTER_US: Final = SECOND_US  # until what was refused is asked again


class LeaseCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller
    _settling: Settling

    def hold_lease(
        self,
        account: str,
        product: str,
        terms: LeaseTerms,
        attributes: Mapping[str, str] | None = None,
        *,
        holder: str = "",
        source: str = "lease",
        on_lapse: pb.LeaseLapse.ValueType = pb.LEASE_LAPSE_RETURN,
        prices: LocalPrices | None = None,
        operation: str = "",
        operation_parent: str = "",
    ) -> HeldLease:
        """A lease to decide with, kept up until it is closed; `prices` for `spend_priced`. With an
        `operation` it counts in that one's budgets, and is for work of it."""
        caller = self._caller
        name = holder or caller.new_id()
        attributes = dict(attributes or {})
        return HeldLease(
            caller, self._settling, account, product, attributes, terms, name, source, on_lapse,
            prices, operation=operation, operation_parent=operation_parent,
        )  # fmt: skip

    async def acquire_lease(
        self,
        account: str,
        product: str,
        wanted: int,
        holder: str,
        attributes: Mapping[str, str] | None = None,
        *,
        minimum: int = 0,
        term_us: int = 0,
        on_lapse: pb.LeaseLapse.ValueType = pb.LEASE_LAPSE_RETURN,
        operation: str = "",
        operation_parent: str = "",
        request_id: str = "",
    ) -> pb.LeaseServiceAcquireResponse:
        """Put a slice into escrow; `amount` 0 = it waits for its share. `operation`: that all of
        its usage is part of."""
        request = pb.LeaseServiceAcquireRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            product=product,
            attributes=dict(attributes or {}),
            holder=holder,
            wanted=wanted,
            minimum=minimum,
            term_us=term_us,
            on_lapse=on_lapse,
            operation=operation,
            operation_parent=operation_parent,
        )
        return await self._caller.call(
            lambda channel: LeaseServiceStub(channel).Acquire, request, account
        )

    async def renew_lease(
        self, lease_id: str, wanted: int, keep: int, *, term_us: int = 0, request_id: str = ""
    ) -> pb.LeaseServiceRenewResponse:
        """Let it go on; no less than `keep` stays in escrow."""
        request = pb.LeaseServiceRenewRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            lease_id=lease_id,
            wanted=wanted,
            keep=keep,
            term_us=term_us,
        )
        return await self._caller.call(lambda channel: LeaseServiceStub(channel).Renew, request)

    async def report_leased_usage(
        self, lease_id: str, events: Sequence[UsageEvent], *, source: str = "lease"
    ) -> tuple[list[EventOutcome], pb.ReportUsageResponse]:
        """Record usage of a lease: one outcome an event, and the reply with the lease as it is."""
        request = _report_of(self._caller, lease_id, source, events)
        reply = await self._caller.call(
            lambda channel: LeaseServiceStub(channel).ReportUsage, request
        )
        return _outcomes(reply), reply

    async def give_back_lease(
        self, lease_id: str, *, write_off: bool = False, request_id: str = ""
    ) -> pb.GiveBackResponse:
        """End it; `write_off`: one that has lapsed and stays charged."""
        request = pb.GiveBackRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            lease_id=lease_id,
            write_off=write_off,
        )
        return await self._caller.call(lambda channel: LeaseServiceStub(channel).GiveBack, request)

    async def recall_lease(
        self, lease_id: str, keep: int, *, request_id: str = ""
    ) -> pb.RecallResponse:
        """Have its holder asked to come down to so many units."""
        request = pb.RecallRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            lease_id=lease_id,
            keep=keep,
        )
        return await self._caller.call(lambda channel: LeaseServiceStub(channel).Recall, request)

    async def show_lease(self, lease_id: str, *, min_position: str | None = None) -> pb.Lease:
        """One lease as it is now."""
        request = pb.LeaseServiceGetRequest(
            tenant=self._caller.tenant,
            lease_id=lease_id,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(lambda channel: LeaseServiceStub(channel).Get, request)
        return reply.lease

    async def list_leases(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.Lease]:
        """Those of an account that hold something or wait for it."""
        request = pb.LeaseServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: LeaseServiceStub(channel).List, request, account
            )
            for lease in page.leases:
                yield lease
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def lease_exposure(
        self, account: str, *, min_position: str | None = None
    ) -> list[pb.LeaseExposure]:
        """What is out with holders of an account, by asset."""
        request = pb.GetExposureRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: LeaseServiceStub(channel).GetExposure, request, account
        )
        return list(reply.exposures)


class HeldLease:
    """A lease that this process holds. Decide with `spend`, or `try_spend` and `record`; use it as
    an async context manager, or `open` and `close` it. Not to be shared between threads. `core`:
    what it decides by; only this shell tells it anything."""

    __slots__ = (
        "_account",
        "_attributes",
        "_caller",
        "_holder",
        "_low",
        "_on_lapse",
        "_operation",
        "_prices",
        "_product",
        "_refused",
        "_settling",
        "_source",
        "_stirred",
        "_task",
        "core",
    )

    def __init__(
        self,
        caller: Caller,
        settling: Settling,
        account: str,
        product: str,
        attributes: dict[str, str],
        terms: LeaseTerms,
        holder: str,
        source: str,
        on_lapse: pb.LeaseLapse.ValueType,
        prices: LocalPrices | None,
        core: LeaseCore[UsageEvent] | None = None,
        *,
        operation: str = "",
        operation_parent: str = "",
    ) -> None:
        self._caller = caller
        self._settling = settling
        self._account = account
        self._product = product
        self._attributes = attributes
        self._holder = holder
        self._source = source
        self._on_lapse = on_lapse
        self._prices = prices
        self._operation = operation, operation_parent
        self.core: Final[LeaseCore[UsageEvent]] = core or LeaseCore(terms, caller.new_id())
        self._low = terms.low
        self._refused: list[tuple[UsageEvent, EventOutcome]] = []
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- decisions ---------------------------------------------------------------------------------

    def try_spend(self, amount: int) -> bool:
        """Whether work of so many units may go ahead; then `record` what it used, or `give_up`."""
        core = self.core
        left = core.remaining - amount
        if left < 0 or passed_ns() >= core.deadline_us * 1_000:
            self._stirred.set()
            return False
        core.remaining = left
        if left < self._low:
            self._stirred.set()
        return True

    def record(self, amount: int, event: UsageEvent) -> None:
        """What was used of units that were spent: it is reported within the terms' time. Raises
        ClientClosed where the lease, or its client, was closed meanwhile."""
        if self.core.record(event, amount, passed_us()):
            self._stirred.set()

    def give_up(self, amount: int) -> None:
        """Work that was let go ahead was not done."""
        self.core.give_up(amount)

    def spend(self, amount: int, event: UsageEvent) -> bool:
        """Whether work of so many units may go ahead; then its usage is recorded."""
        if not self.try_spend(amount):
            return False
        self.record(amount, event)
        return True

    def spend_priced(self, event: UsageEvent) -> bool:
        """The same for what the event costs by the price sheet that is pinned here. Raises
        ValueError where that has no price for it: ask the server."""
        return self.spend(self.amount_of(event), event)

    def amount_of(self, event: UsageEvent) -> int:
        """What it costs by the price sheet that is pinned here. Raises ValueError, as
        `spend_priced` does."""
        assert self._prices is not None, "hold the lease with prices"
        product = event.product or self._product
        attributes = event.attributes or self._attributes
        return self._prices.amount(product, attributes, event.quantities)

    # -- what is there -----------------------------------------------------------------------------

    @property
    def priced(self) -> bool:
        """Whether prices are pinned here."""
        return self._prices is not None

    @property
    def remaining(self) -> int:
        """Units that may be spent now."""
        return self.core.remaining if passed_us() < self.core.deadline_us else 0

    @property
    def lease_id(self) -> str:
        """Of the lease that is held now; "" = none is."""
        return self.core.lease_id

    @property
    def refused(self) -> str:
        """Why there is no lease, or it was not renewed, where the server said so."""
        return self.core.refused

    @property
    def unrecorded(self) -> Sequence[tuple[UsageEvent, EventOutcome]]:
        """Events that the server refused, with what it said, and those that closing the client
        kept from being reported: record them some other way."""
        return self._refused

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Ask for the lease, and keep it up from now on; returns once the server has answered."""
        first = asyncio.Event()
        self._task = asyncio.create_task(self._keep_up(first))
        try:
            await first.wait()
        except asyncio.CancelledError:
            self._leaving()  # what it may have got meanwhile goes back
            raise

    def stir(self) -> None:
        """There may be something to ask for."""
        self._stirred.set()

    async def close(self) -> None:
        """Spend no more, report what is left, give back the rest. That goes on where this is
        cancelled."""
        if self._task is None:
            self.core.close()
            return
        await asyncio.shield(self._leaving())

    def _leaving(self) -> asyncio.Task[None]:
        self.core.close()
        self.stir()
        assert self._task is not None
        return self._settling.begin(_ended(self._task))

    async def _keep_up(self, first: asyncio.Event) -> None:
        core = self.core
        try:
            while not core.finished():
                now_us = passed_us()
                request = core.next_request(now_us)
                if request is not None:
                    await self._send(request)
                    first.set()
                    continue
                self._stirred.clear()
                wait_us = core.wake_at(now_us) - now_us
                try:
                    async with asyncio.timeout(max(wait_us, 0) / SECOND_US):
                        await self._stirred.wait()
                except TimeoutError:
                    continue
        except ClientClosed:
            return
        finally:
            self._leave()
            first.set()

    def _leave(self) -> None:
        """Nothing is sent any more."""
        sent, waiting = self.core.leave()
        for events, outcome in ((sent, Outcome.UNKNOWN), (waiting, Outcome.RETRY)):
            closed = EventOutcome(outcome, message="the client was closed", judged=False)
            self._refused += [(event, closed) for event in events]

    async def _send(self, request: Request[UsageEvent]) -> None:
        """Send until it is answered, and tell the core."""
        try:
            match request:
                case AcquireRequest():
                    await self._acquire(request)
                case RenewRequest():
                    await self._renew(request)
                case ReportRequest():
                    await self._report(request)
                case GiveBackRequest():
                    await self._give_back(request)
        except Refused as error:
            now_us = passed_us()
            if isinstance(request, RenewRequest) and error.reason not in _GONE:
                self.core.put_off(request.number, error.reason, now_us, _AFTER_US)
                return
            if isinstance(request, ReportRequest):
                outcome = unlooked_at(error.reason, error.message)
                self._refused += [(event, outcome) for event, _ in request.events]
            self.core.lost(request.number, error.reason, now_us, _AFTER_US)
        except CallError:
            self.core.failed(request.number, passed_us(), _AFTER_US)

    async def _acquire(self, request: AcquireRequest) -> None:
        reply = await self._caller.call(
            lambda channel: LeaseServiceStub(channel).Acquire,
            pb.LeaseServiceAcquireRequest(
                tenant=self._caller.tenant,
                request_id=request.request_id,
                account=self._account,
                product=self._product,
                attributes=self._attributes,
                holder=self._holder,
                wanted=request.wanted,
                minimum=request.minimum,
                term_us=request.term_us,
                on_lapse=self._on_lapse,
                operation=self._operation[0],
                operation_parent=self._operation[1],
            ),
            self._account,
        )
        self.core.acquired(
            request.number,
            reply.lease_id,
            reply.amount,
            reply.term_us,
            reply.margin_us,
            passed_us(),
        )

    async def _renew(self, request: RenewRequest) -> None:
        reply = await self._caller.call(
            lambda channel: LeaseServiceStub(channel).Renew,
            pb.LeaseServiceRenewRequest(
                tenant=self._caller.tenant,
                request_id=request.request_id,
                lease_id=request.lease_id,
                wanted=request.wanted,
                keep=request.keep,
                term_us=request.term_us,
            ),
            self._account,
        )
        self.core.renewed(
            request.number,
            reply.amount,
            reply.down_to,
            reply.term_us,
            reply.margin_us,
            passed_us(),
        )

    async def _report(self, request: ReportRequest[UsageEvent]) -> None:
        events, unsendable = _sendable([event for event, _ in request.events])
        outcomes = list[EventOutcome]()
        if events:
            reply = await self._caller.call(
                lambda channel: LeaseServiceStub(channel).ReportUsage,
                _report_of(self._caller, request.lease_id, self._source, events),
                self._account,
            )
            outcomes, lease = _outcomes(reply), reply.lease
        else:  # of none that a message can hold, nothing can be reported
            named = pb.LeaseServiceGetRequest(tenant=self._caller.tenant, lease_id=request.lease_id)
            lease = (
                await self._caller.call(
                    lambda channel: LeaseServiceStub(channel).Get, named, self._account
                )
            ).lease
        self._refused += unsendable
        again: list[UsageEvent] = []
        for event, outcome in zip(events, outcomes, strict=True):
            if outcome.outcome in _AGAIN:
                again.append(event)
            elif not outcome.outcome.recorded:
                self._refused.append((event, outcome))
        runs = lease.state == pb.LEASE_STATE_OPEN
        self.core.reported(request.number, lease.left, lease.down_to, tuple(again), runs)

    async def _give_back(self, request: GiveBackRequest) -> None:
        await self._caller.call(
            lambda channel: LeaseServiceStub(channel).GiveBack,
            pb.GiveBackRequest(
                tenant=self._caller.tenant,
                request_id=request.request_id,
                lease_id=request.lease_id,
            ),
            self._account,
        )
        self.core.given_back(request.number)


async def _ended(task: asyncio.Task[None]) -> None:
    await task


def _sendable(
    events: Sequence[UsageEvent],
) -> tuple[list[UsageEvent], list[tuple[UsageEvent, EventOutcome]]]:
    """Those that a message can hold, and the others with what is wrong with them: one that was made
    wrongly keeps none beside it from being reported."""
    sendable, others = list[UsageEvent](), list[tuple[UsageEvent, EventOutcome]]()
    for event in events:
        try:
            plain_event(event)
        except (TypeError, ValueError) as error:
            outcome = EventOutcome(Outcome.INVALID, message=str(error), judged=False)
            others.append((event, outcome))
        else:
            sendable.append(event)
    return sendable, others


def _report_of(
    caller: Caller, lease_id: str, source: str, events: Sequence[UsageEvent]
) -> pb.ReportUsageRequest:
    return pb.ReportUsageRequest(
        tenant=caller.tenant,
        lease_id=lease_id,
        source=source,
        events=[plain_event(event) for event in events],
    )


def _outcomes(reply: pb.ReportUsageResponse) -> list[EventOutcome]:
    return outcomes_of(
        usage_pb2.IngestResponse(
            results=reply.results, assets=reply.assets, position=reply.position
        )
    )
