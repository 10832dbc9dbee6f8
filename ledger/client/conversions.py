"""Calls of ConversionService: what one asset is worth in another (rule R5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from rating.v1 import conversion_pb2 as pb
from rating.v1.conversion_pb2_grpc import ConversionServiceStub

PAGE_SIZE = 1_000


class ConversionCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def publish_conversion(
        self,
        source: str,
        target: str,
        rate: str,
        *,
        effective_from_us: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.PublishConversionResponse:
        """Publish what one major unit of `source` is worth in `target`, exact: "0.01", "1/3".

        Returns when every shard has it; 0 = in force as soon as that.
        """
        request = pb.PublishConversionRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            conversion=pb.Conversion(
                source=source, target=target, rate=rate, effective_from_us=effective_from_us
            ),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: ConversionServiceStub(channel).PublishConversion, request
        )

    async def list_conversions(
        self, source: str = "", target: str = ""
    ) -> AsyncIterator[pb.Conversion]:
        """Versions of rates, ascending by source and target, newest first."""
        request = pb.ListConversionsRequest(
            tenant=self._caller.tenant, source=source, target=target, page_size=PAGE_SIZE
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ConversionServiceStub(channel).ListConversions, request
            )
            for conversion in reply.conversions:
                yield conversion
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
