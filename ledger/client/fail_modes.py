"""Calls of FailModeService, and the fail modes that this client has learned.

They come with the shard map, so a client that has spoken to a server once knows them; `guarded`
goes by them while none answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ledger.client.calls import Caller
from ledger.v1 import fail_mode_pb2 as pb
from ledger.v1.fail_mode_pb2_grpc import FailModeServiceStub

PAGE_SIZE = 1_000


class FailModeCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    @property
    def fail_modes(self) -> Mapping[str, int] | None:
        """By product, a number of ledger.v1.FailMode, as a server said last; None = none has said
        it yet. What is not named is CLOSED."""
        return self._caller.refreshing.fail_modes

    async def set_fail_mode(
        self,
        product: str,
        mode: pb.FailMode.ValueType,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SetFailModeResponse:
        """Say how work of a product is decided while no server answers; returns when every shard
        has it. `expected_version`: the one that it takes the place of, 0 = there is none."""
        request = pb.SetFailModeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            product=product,
            mode=mode,
            expected_version=expected_version,
        )
        reply = await self._caller.call(
            lambda channel: FailModeServiceStub(channel).SetFailMode, request
        )
        known = self._caller.refreshing.fail_modes
        if known is not None:
            self._caller.refreshing.fail_modes = {**known, product: reply.fail_mode.mode}
        return reply

    async def list_fail_modes(self) -> AsyncIterator[pb.ProductFailMode]:
        """The present ones, ascending by product."""
        request = pb.ListFailModesRequest(tenant=self._caller.tenant, page_size=PAGE_SIZE)
        while True:
            reply = await self._caller.call(
                lambda channel: FailModeServiceStub(channel).ListFailModes, request
            )
            for found in reply.fail_modes:
                yield found
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
