"""Calls of CorrectionService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from ledger.client.calls import Caller
from ledger.v1 import correction_pb2 as pb
from ledger.v1 import usage_pb2
from ledger.v1.correction_pb2_grpc import CorrectionServiceStub

PAGE_SIZE = 1_000


class CorrectionCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def reverse_usage(
        self,
        account: str,
        source: str,
        event_id: str,
        quantities: Mapping[str, int] | None = None,
        *,
        as_charged: int = 0,
        refund_cost: bool = False,
        ended_grants: pb.EndedGrants.ValueType = pb.ENDED_GRANTS_RESTORE,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.ReversalResult:
        """Give one usage event back: all that is left, some quantities, or some of the charge.

        What the provider takes stays, unless `refund_cost` says that it takes it back. The result
        says whether it was applied, and why not.
        """
        reversal = pb.Reversal(
            request_id=request_id,
            account=account,
            event=pb.SourceAndId(source=source, id=event_id),
            quantities=dict(quantities or {}),
            as_charged=as_charged,
            refund_cost=refund_cost,
            ended_grants=ended_grants,
            reason=reason,
            actor=actor,
        )
        return (await self.reverse_all([reversal]))[0]

    async def amend_usage(
        self,
        account: str,
        source: str,
        event_id: str,
        replacement: usage_pb2.UsageEvent,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.AmendUsageResponse:
        """Give a usage event back and record another in its stead, both or neither."""
        request = pb.AmendUsageRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            event=pb.SourceAndId(source=source, id=event_id),
            replacement=replacement,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: CorrectionServiceStub(channel).AmendUsage, request, account
        )

    async def adjust_balance(
        self,
        account: str,
        asset: str,
        amount: int,
        *,
        reason: str,
        actor: str,
        grant_id: str = "",
        expires_at_us: int = 0,
        request_id: str = "",
    ) -> pb.AdjustBalanceResponse:
        """Credit units by hand, or debit them (below 0)."""
        request = pb.AdjustBalanceRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
            grant_id=grant_id,
            expires_at_us=expires_at_us,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: CorrectionServiceStub(channel).AdjustBalance, request, account
        )

    async def reverse_all(self, reversals: Sequence[pb.Reversal]) -> list[pb.ReversalResult]:
        """Give a set of usage events back, at most 1,000; one result each, in order.

        A reversal without a request_id is given one.
        """
        request = pb.ReverseUsageRequest(tenant=self._caller.tenant, reversals=reversals)
        for reversal in request.reversals:
            reversal.request_id = reversal.request_id or self._caller.new_id()
        account = request.reversals[0].account if request.reversals else ""
        reply = await self._caller.call(
            lambda channel: CorrectionServiceStub(channel).ReverseUsage, request, account
        )
        return list(reply.results)

    async def adjustments(
        self,
        account: str,
        period_at_us: int = 0,
        *,
        subtree: bool = False,
        min_position: str | None = None,
    ) -> AsyncIterator[pb.Adjustment]:
        """What counts in a period and is no usage of its own time: late usage of closed periods,
        reversals, manual adjustments. The period is the month in the zone of each account that
        holds the instant; 0 = now."""
        request = pb.ListAdjustmentsRequest(
            tenant=self._caller.tenant,
            account=account,
            subtree=subtree,
            period_at_us=period_at_us,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: CorrectionServiceStub(channel).ListAdjustments, request, account
            )
            for each in page.adjustments:
                yield each
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
