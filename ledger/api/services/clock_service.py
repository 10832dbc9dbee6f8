"""ClockService: what time it is for a tenant, and moving a sandbox's clock forward (rule T4)."""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.engine.sandbox import ClockRefused
from ledger.v1 import clock_pb2 as pb

PATIENCE_MAX_US: Final = 30_000_000  # how long one call waits for what the clock made due
ANSWER_US: Final = 500_000  # before the caller's deadline: the time to tell how far it is


class ClockService:
    """See ledger/v1/clock.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def get(
        self, request: pb.ClockServiceGetRequest, call: Call
    ) -> pb.ClockServiceGetResponse:
        """What the tenant's clock shows."""
        tenant = await self._edge.tenant(request.tenant)
        return pb.ClockServiceGetResponse(
            now_us=self._edge.now_us(tenant),
            offset_us=self._edge.ledger.sandboxes.offset(tenant),
            sandbox=self._edge.is_sandbox(tenant),
        )

    async def advance(self, request: pb.AdvanceRequest, call: Call) -> pb.AdvanceResponse:
        """Move the clock, and wait for what it makes due."""
        ledger = self._edge.ledger
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        target = request.WhichOneof("target")
        check.given("by_us", target is not None)
        if target is not None:
            check.between(target, getattr(request, target), 1)
        check.done()
        if not self._edge.is_sandbox(tenant):
            raise CallFailed(
                "TENANT_NOT_SANDBOX",
                "the tenant is live, and only the clock of a sandbox can be moved: add one with "
                "`drawdown tenant add NAME --sandbox`",
                field="tenant",
                value=request.tenant,
            )
        moved = await ledger.advance_clock(tenant, request.request_id, request.by_us, request.to_us)
        if isinstance(moved, ClockRefused):
            raise CallFailed(
                moved.reason.value, moved.message, field=moved.field, value=moved.value
            )
        call.recorded = True
        left = await ledger.settle_clock(tenant, moved.body.reached, self._patience_us(call))
        return pb.AdvanceResponse(
            reached_us=moved.body.reached,
            offset_us=moved.body.offset,
            settled=left == 0,
            accounts_left=left,
            replayed=moved.replayed,
        )

    def _patience_us(self, call: Call) -> int:
        """How long the caller can wait, with time to be told how far it is."""
        deadline_us = call.deadline_us
        if not deadline_us:
            return PATIENCE_MAX_US
        left = deadline_us - self._edge.ledger.clock.monotonic_us() - ANSWER_US
        return max(0, min(left, PATIENCE_MAX_US))
