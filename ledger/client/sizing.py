"""Calls of SizingService: which quantities of holds are learned, and how that went."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from ledger.client.calls import Caller
from ledger.v1 import sizing_pb2 as pb
from ledger.v1.sizing_pb2_grpc import SizingServiceStub

PAGE_SIZE = 100


class SizingCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def publish_sizing(
        self,
        rules: Iterable[pb.SizingRule],
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.PublishRulesResponse:
        """Publish the tenant's sizing rules as a whole; none = holds are for what was asked."""
        request = pb.PublishRulesRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            rules=pb.SizingRules(rules=rules),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: SizingServiceStub(channel).PublishRules, request
        )

    async def list_sizing(self) -> AsyncIterator[pb.SizingRules]:
        """Versions of the tenant's sizing rules, newest first."""
        request = pb.ListRulesRequest(tenant=self._caller.tenant, page_size=PAGE_SIZE)
        while True:
            reply = await self._caller.call(
                lambda channel: SizingServiceStub(channel).ListRules, request
            )
            for version in reply.versions:
                yield version
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def sizing_accuracy(
        self,
        *,
        account: str = "",
        product: str = "",
        from_us: int = 0,
        to_us: int = 0,
        min_position: str = "",
    ) -> AsyncIterator[pb.SizingAccuracy]:
        """How sized holds turned out, a row for each product, attributes, quantity, and whose usage
        it was learned of. "" and 0 = all."""
        request = pb.GetAccuracyRequest(
            tenant=self._caller.tenant,
            account=account,
            product=product,
            from_us=from_us,
            to_us=to_us,
            min_position=min_position,
            page_size=PAGE_SIZE,
        )
        while True:
            reply = await self._caller.call(
                lambda channel: SizingServiceStub(channel).GetAccuracy, request
            )
            for row in reply.rows:
                yield row
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
