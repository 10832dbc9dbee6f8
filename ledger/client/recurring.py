"""Calls of RecurringGrantService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import recurring_pb2 as pb
from ledger.v1.recurring_pb2_grpc import RecurringGrantServiceStub

PAGE_SIZE = 1_000


class RecurringCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def start_recurring_grant(
        self,
        account: str,
        terms: pb.RecurringTerms,
        *,
        starts_at_us: int = 0,
        ends_at_us: int = 0,
        external_key: str = "",
        request_id: str = "",
    ) -> pb.RecurringGrantServiceStartResponse:
        """Have an account granted the same every period; times 0 = from now, without an end."""
        request = pb.RecurringGrantServiceStartRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            external_key=external_key,
            terms=terms,
            starts_at_us=starts_at_us,
            ends_at_us=ends_at_us,
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).Start, request, account
        )

    async def change_recurring_grant(
        self,
        recurring_grant_id: str,
        terms: pb.RecurringTerms,
        *,
        now: bool = False,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.RecurringGrantServiceChangeResponse:
        """Replace the terms, with the next period or now; version 0 = whatever it is."""
        request = pb.RecurringGrantServiceChangeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            recurring_grant_id=recurring_grant_id,
            terms=terms,
            timing=_timing(now),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).Change, request
        )

    async def pause_recurring_grant(
        self, recurring_grant_id: str, *, request_id: str = ""
    ) -> pb.RecurringGrantServicePauseResponse:
        """Issue nothing until it is resumed."""
        request = pb.RecurringGrantServicePauseRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            recurring_grant_id=recurring_grant_id,
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).Pause, request
        )

    async def resume_recurring_grant(
        self, recurring_grant_id: str, *, request_id: str = ""
    ) -> pb.RecurringGrantServiceResumeResponse:
        """Issue again, from the present period on unless that was issued."""
        request = pb.RecurringGrantServiceResumeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            recurring_grant_id=recurring_grant_id,
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).Resume, request
        )

    async def end_recurring_grant(
        self, recurring_grant_id: str, *, now: bool = False, request_id: str = ""
    ) -> pb.RecurringGrantServiceEndResponse:
        """Issue nothing after the present period, or from now on."""
        request = pb.RecurringGrantServiceEndRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            recurring_grant_id=recurring_grant_id,
            timing=_timing(now),
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).End, request
        )

    async def get_recurring_grant(
        self, recurring_grant_id: str, *, min_position: str | None = None
    ) -> pb.RecurringGrantServiceGetResponse:
        """Show one recurring grant."""
        request = pb.RecurringGrantServiceGetRequest(
            tenant=self._caller.tenant,
            recurring_grant_id=recurring_grant_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: RecurringGrantServiceStub(channel).Get, request
        )

    async def list_recurring_grants(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.RecurringGrant]:
        """The recurring grants of an account, in the order started."""
        request = pb.RecurringGrantServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: RecurringGrantServiceStub(channel).List, request, account
            )
            for recurring in reply.recurring_grants:
                yield recurring
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token


def _timing(now: bool) -> pb.RecurringTiming.ValueType:
    return pb.RECURRING_TIMING_NOW if now else pb.RECURRING_TIMING_NEXT_PERIOD
