"""Calls of CorrectionService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledger.client.calls import Caller
from ledger.v1 import correction_pb2 as pb
from ledger.v1 import usage_pb2
from ledger.v1.correction_pb2_grpc import CorrectionServiceStub


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
        ended_grants: pb.EndedGrants.ValueType = pb.ENDED_GRANTS_RESTORE,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.ReversalResult:
        """Give one usage event back: all that is left, some quantities, or some of the charge.

        The result says whether it was applied, and why not.
        """
        reversal = pb.Reversal(
            request_id=request_id,
            account=account,
            event=pb.SourceAndId(source=source, id=event_id),
            quantities=dict(quantities or {}),
            as_charged=as_charged,
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
