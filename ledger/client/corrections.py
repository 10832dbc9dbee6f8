"""Calls of CorrectionService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledger.client.calls import Caller
from ledger.v1 import correction_pb2 as pb
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
