"""Calls of ReportService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import report_pb2 as pb
from ledger.v1.report_pb2_grpc import ReportServiceStub

PAGE_SIZE = 1_000


class ReportCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied."""

    _caller: Caller

    async def get_margin(
        self,
        group_by: pb.MarginGroup.ValueType = pb.MARGIN_GROUP_PRODUCT,
        *,
        account: str = "",
        subtree: bool = False,
        from_us: int = 0,
        to_us: int = 0,
        attribute: str = "",
        min_position: str | None = None,
    ) -> AsyncIterator[pb.MarginRow]:
        """What usage of a span of time earned and cost, group by group; without an account that of
        the whole tenant."""
        request = pb.GetMarginRequest(
            tenant=self._caller.tenant,
            account=account,
            subtree=subtree,
            from_us=from_us,
            to_us=to_us,
            group_by=group_by,
            attribute=attribute,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ReportServiceStub(channel).GetMargin, request, account
            )
            for row in reply.rows:
                yield row
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def get_overage(
        self,
        account: str,
        *,
        from_us: int = 0,
        to_us: int = 0,
        min_position: str | None = None,
    ) -> AsyncIterator[pb.OverageRow]:
        """What usage of a span of time has put on the overage that an account is billed for, by the
        account that used."""
        request = pb.GetOverageRequest(
            tenant=self._caller.tenant,
            account=account,
            from_us=from_us,
            to_us=to_us,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ReportServiceStub(channel).GetOverage, request, account
            )
            for row in reply.rows:
                yield row
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def get_operation(
        self,
        account: str = "",
        operation: str = "",
        *,
        key: str = "",
        min_position: str | None = None,
    ) -> pb.GetOperationResponse:
        """What one operation, and all that it caused, earned and cost until now."""
        request = pb.GetOperationRequest(
            tenant=self._caller.tenant,
            account=account,
            operation=operation,
            operation_key=key,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: ReportServiceStub(channel).GetOperation, request, account
        )
