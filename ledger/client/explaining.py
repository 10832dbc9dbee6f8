"""Calls of ExplainService: why usage costs what it costs."""

from __future__ import annotations

from ledger.client.calls import Caller
from ledger.v1 import explain_pb2 as pb
from ledger.v1.explain_pb2_grpc import ExplainServiceStub


class ExplainCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def explain(
        self, account: str, source: str, event_id: str, *, min_position: str | None = None
    ) -> pb.Explanation:
        """Why one usage event costs what it costs. `source` "" = a capture, by its request_id."""
        request = self._named(account, source, event_id, min_position)
        reply = await self._caller.call(
            lambda channel: ExplainServiceStub(channel).Explain, request, account
        )
        return reply.explanation

    async def explain_difference(
        self,
        one: tuple[str, str, str],
        other: tuple[str, str, str],
        *,
        min_position: str | None = None,
    ) -> pb.ExplainDifferenceResponse:
        """Why the second event cost more than the first, or less: (account, source, id) each."""
        request = pb.ExplainDifferenceRequest(
            tenant=self._caller.tenant,
            one=self._named(*one, min_position),
            other=self._named(*other, min_position),
        )
        return await self._caller.call(
            lambda channel: ExplainServiceStub(channel).ExplainDifference, request, one[0]
        )

    def _named(
        self, account: str, source: str, event_id: str, min_position: str | None
    ) -> pb.ExplainRequest:
        return pb.ExplainRequest(
            tenant=self._caller.tenant,
            account=account,
            source=source,
            id=event_id,
            min_position=self._caller.min_position(min_position),
        )
