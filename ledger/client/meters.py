"""Calls of MeterService: how events of a type become quantities of a product."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from ledger.client.calls import Caller
from rating.v1 import meter_pb2 as pb
from rating.v1.meter_pb2_grpc import MeterServiceStub

PAGE_SIZE = 100


class MeterCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def publish_meters(
        self,
        rules: Iterable[pb.MeterRule],
        *,
        effective_from_us: int = 0,
        expected_version: int = 0,
        validate_only: bool = False,
        request_id: str = "",
    ) -> pb.PublishMetersResponse:
        """Publish the tenant's meters; returns when every shard has them. 0 = in force as soon as
        that."""
        request = pb.PublishMetersRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            meters=pb.MeterSet(rules=rules, effective_from_us=effective_from_us),
            expected_version=expected_version,
            validate_only=validate_only,
        )
        return await self._caller.call(
            lambda channel: MeterServiceStub(channel).PublishMeters, request
        )

    async def list_meters(self) -> AsyncIterator[pb.MeterSet]:
        """Versions of the tenant's meters, newest first."""
        request = pb.ListMetersRequest(tenant=self._caller.tenant, page_size=PAGE_SIZE)
        while True:
            reply = await self._caller.call(
                lambda channel: MeterServiceStub(channel).ListMeters, request
            )
            for meters in reply.meters:
                yield meters
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
