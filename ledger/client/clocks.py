"""Calls of ClockService: what time it is for the tenant, and moving a sandbox's clock (rule T4)."""

from __future__ import annotations

from ledger.client.calls import Caller
from ledger.v1 import clock_pb2 as pb
from ledger.v1.clock_pb2_grpc import ClockServiceStub


class ClockCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def get_clock(self) -> pb.ClockServiceGetResponse:
        """What the tenant's clock shows, microseconds UTC."""
        request = pb.ClockServiceGetRequest(tenant=self._caller.tenant)
        return await self._caller.call(lambda channel: ClockServiceStub(channel).Get, request)

    async def advance_clock(
        self, *, by_us: int = 0, to_us: int = 0, request_id: str = ""
    ) -> pb.AdvanceResponse:
        """Move the clock of a sandbox tenant forward, by so much or to an instant; one of the two.

        Returns when all that came due by then is posted and durable, however long that takes.
        """
        request = pb.AdvanceRequest(
            tenant=self._caller.tenant, request_id=request_id or self._caller.new_id()
        )
        if to_us:
            request.to_us = to_us
        else:
            request.by_us = by_us
        while True:
            reply = await self._caller.call(
                lambda channel: ClockServiceStub(channel).Advance, request
            )
            if reply.settled:
                return reply
