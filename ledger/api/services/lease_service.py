"""LeaseService: slices of a balance for holders that decide alone (rule H7).

A durable answer renders from the recorded event; the lease that stands beside the results of a
report is the present one.
"""

from __future__ import annotations

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, invalid
from ledger.api.ids import LEASE, mint
from ledger.api.intake.batches import Lane, Parsed
from ledger.api.intake.parse_plain import parse_plain
from ledger.api.limits import BATCH_EVENTS_MAX, Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_lease import (
    LAPSES,
    LeaseDetails,
    exposures_of,
    find_lease,
    leases_of,
    render_exposure,
    render_lease,
)
from ledger.api.replies import Outcomes
from ledger.api.requests import check_operation, seated
from ledger.core.commands import (
    AcquireLease,
    LeasedUsage,
    Names,
    QuotedUsage,
    RecallLease,
    RecordUsage,
    RenewLease,
    ReportGauge,
    ReturnLease,
)
from ledger.core.events import (
    LEASED_QUANTITY,
    LeaseGranted,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    UsageLeased,
)
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.journal.directory import Entry
from ledger.v1 import lease_pb2 as pb
from ledger.v1 import usage_pb2


class LeaseService:
    """See ledger/v1/lease.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def acquire(
        self, request: pb.LeaseServiceAcquireRequest, call: Call
    ) -> pb.LeaseServiceAcquireResponse:
        """Put a slice into escrow, in one durable step."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape = edge.shapes.of(request.product, request.attributes, (LEASED_QUANTITY,))
        if isinstance(shape, Fault):
            raise invalid([shape])
        check = Checked()
        check.ids(request_id=request.request_id, holder=request.holder)
        check.one_of("on_lapse", request.on_lapse, LAPSES)
        check_operation(check, request)
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        shape = seated(edge.shapes, shape, entry)
        family = edge.ledger.family(entry)
        operation, parent = request.operation, request.operation_parent
        command = AcquireLease(
            family.request(request.request_id),
            entry.number,
            shape,
            request.holder,
            request.wanted,
            request.minimum,
            request.term_us,
            LAPSES[request.on_lapse],
            Names("", request.request_id, operation, parent),
            call.trace,
            family.operation(operation, parent),
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event, plan = answer.event, answer.plan
        assert isinstance(event, LeaseGranted) and plan is not None, event
        asset = edge.assets.of(plan.asset)
        return pb.LeaseServiceAcquireResponse(
            lease_id=mint(LEASE, entry.shard, event.account, event.hold),
            amount=event.quantities[0],
            share=event.share,
            asset=asset.code,
            scale=asset.scale,
            term_us=event.lifetime_max,
            margin_us=event.margin,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def renew(
        self, request: pb.LeaseServiceRenewRequest, call: Call
    ) -> pb.LeaseServiceRenewResponse:
        """Let it go on."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, LEASE, request.lease_id)
        command = RenewLease(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            request.wanted,
            request.keep,
            request.term_us,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"lease_id": request.lease_id})
        event = answer.event
        assert isinstance(event, LeaseRenewed), event
        return pb.LeaseServiceRenewResponse(
            amount=event.amount,
            down_to=min(event.amount, event.share),
            term_us=event.term,
            margin_us=event.margin,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def report_usage(
        self, request: pb.ReportUsageRequest, call: Call
    ) -> pb.ReportUsageResponse:
        """Record usage of a lease, item by item."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        _look_at_size(len(request.events))
        minted, entry = await edge.minted(tenant, LEASE, request.lease_id)
        writer = edge.writer(entry)
        lease = await self._find(entry, minted.number, request.lease_id)
        with edge.ledger.underway.working():
            parsed = await self._parsed(request, tenant, entry, lease, call)
            outcomes = Outcomes(parsed.count, edge.assets)
            for place, fault in parsed.faults.items():
                outcomes.fail(place, fault)
            over: list[pb.LeaseOver] = []
            lane = parsed.lanes[entry.shard]
            if lane.commands:
                ticket = await writer.submit(lane.commands, call.deadline_us, call.span)
                call.recorded = True
                outcomes.take(lane, ticket)
                over = _over(lane, ticket.outcomes)
            plain = outcomes.response(False)
            with rendering(plain.position):
                lease = await self._find(entry, minted.number, request.lease_id)
        return pb.ReportUsageResponse(
            results=plain.results,
            assets=plain.assets,
            over=over,
            lease=render_lease(
                edge.assets, lease, entry.shard, {entry.number: await self._name(entry)}
            ),
            position=plain.position,
        )

    async def _parsed(
        self,
        request: pb.ReportUsageRequest,
        tenant: int,
        entry: Entry,
        lease: LeaseDetails,
        call: Call,
    ) -> Parsed:
        """The events as commands of the lease; what is no usage of its account is a fault."""
        edge = self._edge
        batch = usage_pb2.IngestRequest(
            tenant=request.tenant, source=request.source, product=lease.product
        )
        for each in request.events:
            event = batch.events.add()
            event.CopyFrom(each)
            event.account = event.account or entry.account_id
            if not event.attributes and not event.type:
                event.attributes.update(lease.attributes)
            if event.account != entry.account_id:  # it is refused, whatever else it says
                event.ClearField("quote_id")
        known = edge.ledger, edge.shapes, edge.seats, edge.meters
        parsed = await parse_plain(*known, tenant, batch, call.trace)
        if (
            call.principal.accounts
        ):  # whoever may not see an account is not told whether it is there
            for place, name in parsed.unknown.items():
                parsed.faults[place] = _other_account(name)
        kept = Lane()
        for each_lane in parsed.lanes:
            for command, place in zip(each_lane.commands, each_lane.places, strict=True):
                name = batch.events[place].account
                found = _of_lease(command, entry.number, lease.number, name)
                if isinstance(found, Fault):
                    parsed.faults[place] = found
                else:
                    kept.commands.append(found)
                    kept.places.append(place)
        parsed.lanes[entry.shard] = kept
        return parsed

    async def give_back(self, request: pb.GiveBackRequest, call: Call) -> pb.GiveBackResponse:
        """Give back what is left."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, LEASE, request.lease_id)
        command = ReturnLease(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            request.write_off,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"lease_id": request.lease_id})
        assert isinstance(answer.event, LeaseReturned), answer.event
        return pb.GiveBackResponse(position=answer.position, replayed=answer.replayed)

    async def recall(self, request: pb.RecallRequest, call: Call) -> pb.RecallResponse:
        """Ask its holder to come down."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, LEASE, request.lease_id)
        command = RecallLease(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            request.keep,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"lease_id": request.lease_id})
        assert isinstance(answer.event, LeaseRecalled), answer.event
        return pb.RecallResponse(position=answer.position, replayed=answer.replayed)

    async def get(
        self, request: pb.LeaseServiceGetRequest, call: Call
    ) -> pb.LeaseServiceGetResponse:
        """One lease."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, LEASE, request.lease_id)
        found, reached = await edge.writer(entry).read(
            lambda state: find_lease(state, entry.number, minted.number),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if found is None:
            raise _unknown(request.lease_id)
        names = {entry.number: await self._name(entry)}
        return pb.LeaseServiceGetResponse(
            lease=render_lease(edge.assets, found, entry.shard, names),
            position=position_of(entry.shard, reached),
        )

    async def list(
        self, request: pb.LeaseServiceListRequest, call: Call
    ) -> pb.LeaseServiceListResponse:
        """Those that an account has, page by page."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"leases/{entry.number}"
        after = page_after(listing, request.page_token)

        def find(state: State) -> list[LeaseDetails]:
            return leases_of(state.accounts.get(entry.number), after, size + 1)

        found, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        names = {entry.number: entry.account_id}
        return pb.LeaseServiceListResponse(
            leases=[render_lease(edge.assets, each, entry.shard, names) for each in found[:size]],
            position=position_of(entry.shard, reached),
            next_page_token=(
                page_token(listing, found[size - 1].number) if len(found) > size else ""
            ),
        )

    async def get_exposure(
        self, request: pb.GetExposureRequest, call: Call
    ) -> pb.GetExposureResponse:
        """What is out, and what it may come to."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        found, reached = await edge.writer(entry).read(
            lambda state: exposures_of(state, state.accounts.get(entry.number)),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        shown = [render_exposure(edge.assets, each) for each in found]
        return pb.GetExposureResponse(
            exposures=sorted(shown, key=lambda each: each.asset),
            position=position_of(entry.shard, reached),
        )

    async def _find(self, entry: Entry, number: int, lease_id: str) -> LeaseDetails:
        found, _ = await self._edge.writer(entry).read(
            lambda state: find_lease(state, entry.number, number), accounts=(entry.number,)
        )
        if found is None:
            raise _unknown(lease_id)
        return found

    async def _name(self, entry: Entry) -> str:
        return (await self._edge.names([entry.number]))[entry.number]


def _look_at_size(count: int) -> None:
    if count == 0:
        raise CallFailed("BATCH_EMPTY", "a report has at least one event", field="events")
    if count > BATCH_EVENTS_MAX:
        message = f"a report has at most {BATCH_EVENTS_MAX} events; send it in parts"
        raise CallFailed("BATCH_TOO_LARGE", message, field="events", value=str(count))


def _unknown(lease_id: str) -> CallFailed:
    return CallFailed(
        "LEASE_UNKNOWN",
        "the account has no such lease, or it ended more than 35 days ago",
        field="lease_id",
        value=lease_id,
    )


def _other_account(name: str) -> Fault:
    message = "the event is of another account than the lease; record it without the lease"
    return Fault("LEASE_OTHER_WORK", "account", name, message)


def _of_lease(command: object, account: int, lease: int, name: str) -> LeasedUsage | Fault:
    """The same usage as a report of a lease; `name`: of its account, as it was said."""
    assert isinstance(command, RecordUsage), command
    if command.account != account:
        return _other_account(name)
    if isinstance(command, QuotedUsage | ReportGauge):
        message = "a report of a gauge, or usage with a quote, is recorded without a lease"
        field = "quote_id" if isinstance(command, QuotedUsage) else "type"
        return Fault("LEASE_OTHER_WORK", field, "", message)
    return LeasedUsage(
        command.key,
        command.account,
        command.shape,
        command.quantities,
        command.effective_at,
        command.names,
        command.operation,
        command.personal,
        command.trace,
        levels=command.levels,
        hold=lease,
    )


def _over(lane: Lane, outcomes: object) -> list[pb.LeaseOver]:
    found = []
    assert isinstance(outcomes, list)
    for place, outcome in zip(lane.places, outcomes, strict=True):
        event = outcome.event if isinstance(outcome, Replay) else outcome
        if isinstance(event, UsageLeased) and event.over:
            found.append(pb.LeaseOver(event=place, amount=event.over))
    return found
