"""SeatService: plans of seats, their changes, and seats with their balances (rules S1 to S3)."""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_seat import (
    ALLOTMENTS,
    ENDINGS,
    EXHAUSTED,
    REMOVALS,
    UNKNOWN,
    PlanView,
    plans_of,
    render_issues,
    render_plan,
    render_seat,
    seats_of,
)
from ledger.api.requests import asset_number, check_names, money_number
from ledger.core.commands import (
    AddSeats,
    ChangeSeatTerms,
    Command,
    EndSeatPlan,
    Names,
    ReassignSeat,
    RemoveSeats,
    ResumeSeat,
    StartSeatPlan,
    SuspendSeat,
)
from ledger.core.events import (
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringTerms,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTerms,
    SeatTermsChanged,
    Timing,
)
from ledger.core.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    PRODUCTS_A_GRANT_MAX,
    SEATS_A_CALL_MAX,
    TAGS_A_GRANT_MAX,
    ZONE_BYTES_MAX,
)
from ledger.journal.directory import Entry
from ledger.v1 import seat_pb2 as pb

_KINDS: Final = {
    int(kind): kind for kind in (GrantKind.PREPAID, GrantKind.PROMOTIONAL, GrantKind.ALLOWANCE)
}
_UNITS: Final = {int(unit): unit for unit in PeriodUnit}
_TIMINGS: Final = {0: Timing.NEXT_PERIOD, **{int(each): each for each in Timing}}

_Change: TypeAlias = (
    pb.SeatServiceStartPlanRequest
    | pb.SeatServiceAddRequest
    | pb.SeatServiceRemoveRequest
    | pb.SeatServiceReassignRequest
    | pb.SeatServiceSuspendRequest
    | pb.SeatServiceResumeRequest
    | pb.SeatServiceEndPlanRequest
    | pb.SeatServiceChangeTermsRequest
)
_Reply = TypeVar(
    "_Reply",
    pb.SeatServiceStartPlanResponse,
    pb.SeatServiceAddResponse,
    pb.SeatServiceRemoveResponse,
    pb.SeatServiceReassignResponse,
    pb.SeatServiceSuspendResponse,
    pb.SeatServiceResumeResponse,
    pb.SeatServiceEndPlanResponse,
    pb.SeatServiceChangeTermsResponse,
)


class SeatService:
    """See ledger/v1/seat.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    # -- changes ---------------------------------------------------------------------------------

    async def start_plan(
        self, request: pb.SeatServiceStartPlanRequest, call: Call
    ) -> pb.SeatServiceStartPlanResponse:
        """Have an account have seats from now on."""
        check = Checked()
        check.given("terms", request.HasField("terms"))
        if request.HasField("terms"):
            _check_terms(check, request.terms)
        check_names(check, "seats", request.seats, SEATS_A_CALL_MAX)
        check.between("count", request.count, 0)
        entry, key = await self._meant(request, check)
        command = StartSeatPlan(
            key,
            entry.number,
            request.plan,
            self._terms(request.terms, entry),
            tuple(request.seats),
            request.count,
            Names("", request.request_id),
            call.trace,
        )
        allowance = request.terms.allowance
        given = {
            "terms.allowance.asset": allowance.asset,
            "terms.allowance.price_asset": allowance.price_asset,
        }
        answer = await self._ask(call, entry, command, request.account, given)
        event = answer.event
        assert isinstance(event, SeatPlanStarted), event
        with rendering(answer.position):
            reply = pb.SeatServiceStartPlanResponse(
                issues=render_issues(event.issues, event.seats, entry.shard, entry.number)
            )
        return await self._answered(reply, entry, answer, request)

    async def add(self, request: pb.SeatServiceAddRequest, call: Call) -> pb.SeatServiceAddResponse:
        """More seats from now on."""
        check = Checked()
        check_names(check, "seats", request.seats, SEATS_A_CALL_MAX)
        check.between("count", request.count, 0)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = AddSeats(
            key,
            entry.number,
            request.plan,
            tuple(request.seats),
            request.count,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, SeatsAdded), event
        with rendering(answer.position):
            reply = pb.SeatServiceAddResponse(
                issues=render_issues(event.issues, event.seats, entry.shard, entry.number)
            )
        return await self._answered(reply, entry, answer, request)

    async def remove(
        self, request: pb.SeatServiceRemoveRequest, call: Call
    ) -> pb.SeatServiceRemoveResponse:
        """Fewer seats, now or with the period."""
        check = Checked()
        check_names(check, "seats", request.seats, SEATS_A_CALL_MAX)
        check.between("count", request.count, 0)
        check.one_of("mode", request.mode, REMOVALS)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = RemoveSeats(
            key,
            entry.number,
            request.plan,
            tuple(request.seats),
            request.count,
            REMOVALS[request.mode],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, SeatsRemoved), event
        reply = pb.SeatServiceRemoveResponse(taken_back=sum([part.amount for part in event.taken]))
        return await self._answered(reply, entry, answer, request)

    async def reassign(
        self, request: pb.SeatServiceReassignRequest, call: Call
    ) -> pb.SeatServiceReassignResponse:
        """Give a seat to another."""
        check = Checked()
        check.optional(seat=request.seat, to=request.to)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = ReassignSeat(
            key,
            entry.number,
            request.plan,
            request.seat,
            request.to,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        assert isinstance(answer.event, SeatReassigned), answer.event
        reply = pb.SeatServiceReassignResponse()
        return await self._answered(reply, entry, answer, request)

    async def suspend(
        self, request: pb.SeatServiceSuspendRequest, call: Call
    ) -> pb.SeatServiceSuspendResponse:
        """Authorise nothing for a seat."""
        answer, entry = await self._stand(request, call, SuspendSeat)
        return await self._answered(pb.SeatServiceSuspendResponse(), entry, answer, request)

    async def resume(
        self, request: pb.SeatServiceResumeRequest, call: Call
    ) -> pb.SeatServiceResumeResponse:
        """Authorise again."""
        answer, entry = await self._stand(request, call, ResumeSeat)
        return await self._answered(pb.SeatServiceResumeResponse(), entry, answer, request)

    async def _stand(
        self,
        request: pb.SeatServiceSuspendRequest | pb.SeatServiceResumeRequest,
        call: Call,
        made: type[SuspendSeat | ResumeSeat],
    ) -> tuple[Answer, Entry]:
        check = Checked()
        check.ids(seat=request.seat)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = made(
            key,
            entry.number,
            request.plan,
            request.seat,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        assert isinstance(answer.event, SeatSuspended), answer.event
        return answer, entry

    async def change_terms(
        self, request: pb.SeatServiceChangeTermsRequest, call: Call
    ) -> pb.SeatServiceChangeTermsResponse:
        """Have a plan give otherwise from its next period on."""
        check = Checked()
        check.given("terms", request.HasField("terms"))
        if request.HasField("terms"):
            _check_terms(check, request.terms)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = ChangeSeatTerms(
            key,
            entry.number,
            request.plan,
            self._terms(request.terms, entry),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        allowance = request.terms.allowance
        given = {
            "terms.allowance.asset": allowance.asset,
            "terms.allowance.price_asset": allowance.price_asset,
        }
        answer = await self._ask(call, entry, command, request.account, given)
        assert isinstance(answer.event, SeatTermsChanged), answer.event
        return await self._answered(pb.SeatServiceChangeTermsResponse(), entry, answer, request)

    async def end_plan(
        self, request: pb.SeatServiceEndPlanRequest, call: Call
    ) -> pb.SeatServiceEndPlanResponse:
        """End a plan with its period, or now."""
        check = Checked()
        check.one_of("timing", request.timing, _TIMINGS)
        check.one_of("mode", request.mode, ENDINGS)
        check.between("expected_version", request.expected_version, 0)
        entry, key = await self._meant(request, check)
        command = EndSeatPlan(
            key,
            entry.number,
            request.plan,
            _TIMINGS[request.timing],
            ENDINGS[request.mode],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, request.account)
        event = answer.event
        assert isinstance(event, SeatPlanEnded), event
        reply = pb.SeatServiceEndPlanResponse(taken_back=sum([part.amount for part in event.taken]))
        return await self._answered(reply, entry, answer, request)

    # -- reads -----------------------------------------------------------------------------------

    async def get_plan(
        self, request: pb.SeatServiceGetPlanRequest, call: Call
    ) -> pb.SeatServiceGetPlanResponse:
        """One plan of an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(plan=request.plan)
        check.done()
        entry = await edge.account(tenant, request.account)
        least = minimum(request.min_position, entry.shard)
        views, reached = await self._plans(entry, request.plan, least)
        if not views:
            raise _plan_unknown(request.plan)
        return pb.SeatServiceGetPlanResponse(
            plan=self._render(entry, views[0]), position=position_of(entry.shard, reached)
        )

    async def list_plans(
        self, request: pb.SeatServiceListPlansRequest, call: Call
    ) -> pb.SeatServiceListPlansResponse:
        """The plans of an account by name."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"seat-plans/{entry.number}"
        after = page_after(listing, request.page_token)
        least = minimum(request.min_position, entry.shard)
        views, reached = await self._plans(entry, "", least)
        more = len(views) > after + size
        return pb.SeatServiceListPlansResponse(
            plans=[self._render(entry, view) for view in views[after : after + size]],
            next_page_token=page_token(listing, after + size) if more else "",
            position=position_of(entry.shard, reached),
        )

    async def list_seats(
        self, request: pb.SeatServiceListSeatsRequest, call: Call
    ) -> pb.SeatServiceListSeatsResponse:
        """The seats of a plan by number, each with its balance."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(plan=request.plan)
        check.optional(name=request.name)
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"seats/{entry.number}/{request.plan}/{request.name}"
        after = page_after(listing, request.page_token)
        clock_us = edge.ledger.clock.now_us()
        plan, name = request.plan, request.name
        views, reached = await edge.writer(entry).read(
            lambda state: seats_of(state, entry.number, plan, name, after, size + 1, clock_us),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if views is None:
            raise _plan_unknown(plan)
        shown = views[:size]
        return pb.SeatServiceListSeatsResponse(
            seats=[render_seat(view, entry.shard, entry.number) for view in shown],
            next_page_token=page_token(listing, shown[-1].number) if len(views) > size else "",
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _meant(self, request: _Change, check: Checked) -> tuple[Entry, bytes]:
        """The account, and the identity of the call, once all of it is checked."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check.ids(request_id=request.request_id, plan=request.plan)
        check.done()
        entry = await edge.account(tenant, request.account)
        return entry, edge.ledger.family(entry).request(request.request_id)

    async def _ask(
        self,
        call: Call,
        entry: Entry,
        command: Command,
        account: str,
        given: dict[str, str] | None = None,
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, {"account": account, **(given or {})})

    async def _answered(
        self, reply: _Reply, entry: Entry, answer: Answer, request: _Change
    ) -> _Reply:
        """The reply to a change, with the plan as it is at its position or later."""
        with rendering(answer.position):
            views, _ = await self._plans(entry, request.plan, 0)
            reply.plan.CopyFrom(self._render(entry, views[0]))
        reply.position, reply.replayed = answer.position, answer.replayed
        return reply

    async def _plans(self, entry: Entry, name: str, least: int) -> tuple[list[PlanView], int]:
        clock_us = self._edge.ledger.clock.now_us()
        return await self._edge.writer(entry).read(
            lambda state: plans_of(state, entry.number, clock_us, name), least, (entry.number,)
        )

    def _render(self, entry: Entry, view: PlanView) -> pb.SeatPlan:
        return render_plan(self._edge.assets, view, entry.shard, entry.number, entry.account_id)

    def _terms(self, terms: pb.SeatTerms, entry: Entry) -> SeatTerms:
        assets, given = self._edge.assets, terms.allowance
        allowance = RecurringTerms(
            _KINDS[given.kind],
            asset_number(assets, "terms.allowance.asset", given.asset, entry),
            given.amount,
            given.price_paid,
            money_number(assets, "terms.allowance.price_asset", given.price_asset, entry),
            given.priority,
            tuple(sorted(given.products)),
            _UNITS[given.unit],
            given.every or 1,
            given.anchor_us,
            given.zone,
            Proration.BOTH,
            given.expires_after_us,
            tuple(sorted(given.tags)),
            shared=given.shared,
        )
        return SeatTerms(
            terms.attribute,
            ALLOTMENTS[terms.allotment],
            allowance,
            UNKNOWN[terms.unknown],
            EXHAUSTED[terms.exhausted],
            terms.alert if terms.HasField("alert") else -1,
            terms.charge,
        )


def _plan_unknown(plan: str) -> CallFailed:
    return CallFailed(
        "SEAT_PLAN_UNKNOWN", "the account has no such plan of seats", field="plan", value=plan
    )


def _check_terms(check: Checked, terms: pb.SeatTerms) -> None:
    check.text("terms.attribute", terms.attribute, ATTRIBUTE_NAME_BYTES_MAX)
    check.one_of("terms.allotment", terms.allotment, ALLOTMENTS)
    check.one_of("terms.unknown", terms.unknown, UNKNOWN)
    check.one_of("terms.exhausted", terms.exhausted, EXHAUSTED)
    check.optional(**{"terms.charge": terms.charge})
    if terms.HasField("alert"):
        check.between("terms.alert", terms.alert, 0)
    check.given("terms.allowance", terms.HasField("allowance"))
    given, at = terms.allowance, "terms.allowance"
    if not terms.HasField("allowance"):
        return
    check.one_of(f"{at}.kind", given.kind, _KINDS)
    check.ids(**{f"{at}.asset": given.asset})
    check.between(f"{at}.amount", given.amount, 1)
    check.between(f"{at}.price_paid", given.price_paid, 0)
    check.optional(**{f"{at}.price_asset": given.price_asset})
    if bool(given.price_paid) != bool(given.price_asset):
        message = "price_paid and price_asset go together; what is free has neither"
        check.fault(Fault("FIELD_REQUIRED", f"{at}.price_asset", given.price_asset, message))
    check_names(check, f"{at}.products", given.products, PRODUCTS_A_GRANT_MAX)
    check_names(check, f"{at}.tags", given.tags, TAGS_A_GRANT_MAX)
    check.one_of(f"{at}.unit", given.unit, _UNITS)
    check.text(f"{at}.zone", given.zone, ZONE_BYTES_MAX)
