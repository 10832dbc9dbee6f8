"""UsageService: usage in, outcomes back, and one recorded event shown whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.covering import NOWHERE, refuse_uncovered
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.gauge_levels import GaugeView, gauge_views, render_gauge
from ledger.api.intake.forward_usage import Spreader
from ledger.api.intake.linking import link, linked_places
from ledger.api.intake.parking import Parking
from ledger.api.intake.parse_compact import parse_compact
from ledger.api.intake.parse_plain import parse_plain
from ledger.api.limits import BATCH_EVENTS_MAX, Checked
from ledger.api.listing_suspense import SuspenseListing
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.replies import Outcomes
from ledger.api.showing_usage import find_usage, show_usage
from ledger.core.state import State
from ledger.engine.ticket import NotApplied
from ledger.projections.as_of import History
from ledger.v1 import usage_pb2 as pb

RETRY_AFTER_US: Final = 50_000
STREAM_BATCHES_MAX: Final = 8  # of one stream in flight; then the server stops reading


class Turn(NamedTuple):
    """When a batch of a stream may be decided: once the one `before` it was taken; then `after`."""

    before: asyncio.Event
    after: asyncio.Event


class UsageService:
    """See ledger/v1/usage.proto."""

    def __init__(
        self,
        edge: Edge,
        parking: Parking,
        spreader: Spreader,
        history: History | None = None,
    ) -> None:
        """`history`: the read models, for what waits for a price; None = there are none."""
        self._edge = edge
        self._suspense = SuspenseListing(edge, history)
        self._parking = parking
        self._spreader = spreader

    async def ingest(self, request: pb.IngestRequest, call: Call) -> pb.IngestResponse:
        """Record a batch. Where no shard took any of it, the whole call may be retried."""
        outcomes = await self._record(request, call)
        if isinstance(outcomes, Exception):
            raise outcomes
        return outcomes.response(request.HasField("compact"))

    async def ingest_stream(
        self, requests: AsyncIterator[pb.IngestStreamRequest], call: Call
    ) -> AsyncIterator[pb.IngestStreamResponse]:
        """Batches one after another, replies in order, at most STREAM_BATCHES_MAX in flight.

        They are parsed side by side, but each is decided after the one before it, and none after
        one that fails: what has no reply when the stream fails so is not recorded.
        When the server stops, what was read is answered, and the stream ends with SHUTTING_DOWN.
        """
        pending: asyncio.Queue[asyncio.Task[pb.IngestStreamResponse] | Exception | None]
        pending = asyncio.Queue()
        slots = asyncio.Semaphore(STREAM_BATCHES_MAX)

        async def read() -> None:
            before = asyncio.Event()
            before.set()
            try:
                async for request in requests:
                    await slots.acquire()
                    turn = Turn(before, asyncio.Event())
                    pending.put_nowait(asyncio.create_task(self._answer(request, call, turn)))
                    before = turn.after
                pending.put_nowait(None)
            except Exception as error:
                pending.put_nowait(error)

        async def close() -> None:
            await self._edge.closing.wait()
            reader.cancel()
            message = "the server is shutting down; send what has no reply to another one"
            pending.put_nowait(CallFailed("SHUTTING_DOWN", message, retry_after_us=RETRY_AFTER_US))

        reader = asyncio.create_task(read())
        closer = asyncio.create_task(close())
        try:
            while (item := await pending.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield await item
                slots.release()
        finally:
            left: list[asyncio.Task[Any]] = [reader, closer]
            while not pending.empty():
                if isinstance(task := pending.get_nowait(), asyncio.Task):
                    left.append(task)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def get(
        self, request: pb.UsageServiceGetRequest, call: Call
    ) -> pb.UsageServiceGetResponse:
        """One recorded event with lines, rows, slices and transfers."""
        tenant = await self._edge.tenant(request.tenant)
        found = await find_usage(self._edge, tenant, request, call)
        views, reached = await found.writer.read(found.views, accounts=(found.account,))
        return pb.UsageServiceGetResponse(
            entry=await show_usage(self._edge, found, views, request),
            position=position_of(found.writer.shard, reached),
        )

    async def list_suspense(
        self, request: pb.ListSuspenseRequest, call: Call
    ) -> pb.ListSuspenseResponse:
        """Usage of which something waits for a price, from the read models."""
        return await self._suspense.page(request)

    async def list_gauges(self, request: pb.ListGaugesRequest, call: Call) -> pb.ListGaugesResponse:
        """What an account's gauges show that are not charged yet."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"gauges/{entry.number}"
        shown = page_after(listing, request.page_token)

        def find(state: State) -> list[GaugeView]:
            account = state.accounts.get(entry.number)
            if account is None or account.gauges is None:
                return []
            return gauge_views(account.gauges, shown, size + 1)

        views, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        more = len(views) > size
        return pb.ListGaugesResponse(
            gauges=[render_gauge(view) for view in views[:size]],
            next_page_token=page_token(listing, shown + size) if more else "",
            position=position_of(entry.shard, reached),
        )

    # -- recording -------------------------------------------------------------------------------

    async def _answer(
        self, request: pb.IngestStreamRequest, call: Call, turn: Turn
    ) -> pb.IngestStreamResponse:
        outcomes = await self._record(request.batch, call, turn)
        assert isinstance(outcomes, Outcomes)
        return pb.IngestStreamResponse(
            batch_number=request.batch_number,
            batch=outcomes.response(request.batch.HasField("compact")),
        )

    async def _record(
        self, request: pb.IngestRequest, call: Call, turn: Turn | None = None
    ) -> Outcomes | NotApplied | CallFailed:
        """The outcomes of a batch; without a `turn`, a failure if that befell every event of it."""
        with self._edge.ledger.underway.working():
            return await self._record_underway(request, call, turn)

    async def _record_underway(
        self, request: pb.IngestRequest, call: Call, turn: Turn | None
    ) -> Outcomes | NotApplied | CallFailed:
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        compact = _form_of(request)
        groups = linked_places(request, _count_of(request)) if request.linked else []
        known = edge.ledger, edge.shapes, edge.seats
        if compact:
            parsed = await parse_compact(*known, tenant, request, call.trace)
        else:
            parsed = await parse_plain(*known, edge.meters, tenant, request, call.trace)
        if call.gate is not None and call.principal.accounts:
            elsewhere = await refuse_uncovered(call.gate.permits, call.principal, tenant, parsed)
        else:
            elsewhere = NOWHERE
        if groups:
            link(groups, parsed, lambda place: _id_at(request, place))
        if turn is not None:
            await turn.before.wait()
        outcomes = Outcomes(parsed.count, edge.assets)
        for place, fault in parsed.faults.items():
            outcomes.fail(place, fault)
        if parsed.unknown and request.park_unknown:
            await self._parking.park(tenant, request, parsed, outcomes)
        failed = await self._spreader.submit(
            request,
            parsed,
            outcomes,
            call,
            call.deadline_us,
            call.span,
            taken=turn.after.set if turn is not None else None,
            only_elsewhere=elsewhere,
        )
        if turn is None and failed is not None and not parsed.faults:
            return failed
        edge.telemetry.events_ingested(outcomes.counts())
        return outcomes


def _form_of(request: pb.IngestRequest) -> bool:
    """True: compact, False: plain. Raises CallFailed for neither, both, or too many."""
    count = len(request.events)
    compact = request.HasField("compact")
    if compact and count:
        raise CallFailed(
            "BATCH_FORM", "a batch has either events or compact, not both", field="events"
        )
    count = _count_of(request)
    field = "compact.ids" if compact else "events"
    if count == 0:
        raise CallFailed("BATCH_EMPTY", "a batch has at least one event", field=field)
    if count > BATCH_EVENTS_MAX:
        raise CallFailed(
            "BATCH_TOO_LARGE",
            f"{count} events; at most {BATCH_EVENTS_MAX} in a batch: split it",
            field=field,
            value=str(count),
        )
    return compact


def _count_of(request: pb.IngestRequest) -> int:
    return len(request.compact.ids) if request.HasField("compact") else len(request.events)


def _id_at(request: pb.IngestRequest, place: int) -> str:
    if request.HasField("compact"):
        return request.compact.ids[place]
    return request.events[place].id
