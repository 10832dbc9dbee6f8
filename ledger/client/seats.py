"""Calls of SeatService: plans of seats, their changes, and the seats with their balances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ledger.client.calls import Caller
from ledger.v1 import recurring_pb2
from ledger.v1 import seat_pb2 as pb
from ledger.v1.seat_pb2_grpc import SeatServiceStub

PAGE_SIZE = 1_000


class SeatCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def start_seat_plan(
        self,
        account: str,
        plan: str,
        terms: pb.SeatTerms,
        *,
        seats: Sequence[str] = (),
        count: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceStartPlanResponse:
        """Have an account have seats from now on: these, and `count` unassigned ones."""
        request = pb.SeatServiceStartPlanRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            terms=terms,
            seats=seats,
            count=count,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).StartPlan, request, account
        )

    async def add_seats(
        self,
        account: str,
        plan: str,
        *,
        seats: Sequence[str] = (),
        count: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceAddResponse:
        """More seats from now on; version 0 = whatever it is."""
        request = pb.SeatServiceAddRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            seats=seats,
            count=count,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).Add, request, account
        )

    async def remove_seats(
        self,
        account: str,
        plan: str,
        *,
        seats: Sequence[str] = (),
        count: int = 0,
        mode: pb.SeatRemoval.ValueType = pb.SEAT_REMOVAL_KEEP_UNTIL_PERIOD_END,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceRemoveResponse:
        """Fewer seats, with the period or now."""
        request = pb.SeatServiceRemoveRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            seats=seats,
            count=count,
            mode=mode,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).Remove, request, account
        )

    async def reassign_seat(
        self,
        account: str,
        plan: str,
        seat: str,
        to: str,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceReassignResponse:
        """Give a seat with what is left of it to another; "" = an unassigned one, and nobody."""
        request = pb.SeatServiceReassignRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            seat=seat,
            to=to,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).Reassign, request, account
        )

    async def suspend_seat(
        self,
        account: str,
        plan: str,
        seat: str,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceSuspendResponse:
        """Authorise nothing for a seat until it is resumed."""
        request = pb.SeatServiceSuspendRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            seat=seat,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).Suspend, request, account
        )

    async def resume_seat(
        self,
        account: str,
        plan: str,
        seat: str,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceResumeResponse:
        """Authorise again."""
        request = pb.SeatServiceResumeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            seat=seat,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).Resume, request, account
        )

    async def change_seat_terms(
        self,
        account: str,
        plan: str,
        terms: pb.SeatTerms,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceChangeTermsResponse:
        """Have a plan give otherwise from its next period on."""
        request = pb.SeatServiceChangeTermsRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            terms=terms,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).ChangeTerms, request, account
        )

    async def end_seat_plan(
        self,
        account: str,
        plan: str,
        *,
        now: bool = False,
        mode: pb.SeatRemoval.ValueType = pb.SEAT_REMOVAL_FORFEIT_UNUSED,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SeatServiceEndPlanResponse:
        """End a plan with its period, or now with all of its seats."""
        timing = recurring_pb2.RECURRING_TIMING_NEXT_PERIOD
        if now:
            timing = recurring_pb2.RECURRING_TIMING_NOW
        request = pb.SeatServiceEndPlanRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            plan=plan,
            timing=timing,
            mode=mode,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SeatServiceStub(channel).EndPlan, request, account
        )

    async def get_seat_plan(
        self, account: str, plan: str, *, min_position: str | None = None
    ) -> pb.SeatPlan:
        """One plan of an account."""
        request = pb.SeatServiceGetPlanRequest(
            tenant=self._caller.tenant,
            account=account,
            plan=plan,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: SeatServiceStub(channel).GetPlan, request, account
        )
        return reply.plan

    async def list_seat_plans(
        self, account: str, *, min_position: str | None = None
    ) -> Sequence[pb.SeatPlan]:
        """The plans of an account by name, ended ones too."""
        request = pb.SeatServiceListPlansRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: SeatServiceStub(channel).ListPlans, request, account
        )
        return list(reply.plans)

    async def list_seats(
        self, account: str, plan: str, name: str = "", *, min_position: str | None = None
    ) -> AsyncIterator[pb.Seat]:
        """The seats of a plan by number, or the one of a name, each with its balance."""
        request = pb.SeatServiceListSeatsRequest(
            tenant=self._caller.tenant,
            account=account,
            plan=plan,
            name=name,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: SeatServiceStub(channel).ListSeats, request, account
            )
            for seat in reply.seats:
                yield seat
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
