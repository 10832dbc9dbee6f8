"""DecisionService: advice at once, holds and their settlement durably.

Insufficient credits is an answer. A durable answer renders from the recorded event; only the state
of the hold is the present one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from ledger.api.advising import look, say
from ledger.api.calls import Call
from ledger.api.check_many import CheckManyCalls
from ledger.api.decide_stream import DecideStream
from ledger.api.deciding import AUTHORIZE, CAPTURE, DEBIT, EXTEND, RELEASE, decided
from ledger.api.edge import Edge
from ledger.api.explaining_decisions import explain_decision
from ledger.api.explaining_recorded import RecordedDecisions
from ledger.api.forward import Forwarder
from ledger.api.hold_calls import HoldCalls
from ledger.api.ids import is_unheld
from ledger.api.rendering.render_decision import DECISIONS
from ledger.api.unheld import Unheld
from ledger.v1 import decision_pb2 as pb


class DecisionService(CheckManyCalls, HoldCalls):
    """See ledger/v1/decision.proto."""

    def __init__(self, edge: Edge, forwarder: Forwarder, recorded: RecordedDecisions) -> None:
        self._edge = edge
        self._forwarder = forwarder
        self._recorded = recorded
        self.unheld: Unheld | None = None

    async def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """Advice from the newest state, at once."""
        work = await look(self._edge, request)
        response = await say(self._edge, work)
        self._edge.telemetry.decided("Check", DECISIONS[response.decision])
        return response

    async def explain_decision(
        self, request: pb.ExplainDecisionRequest, call: Call
    ) -> pb.ExplainDecisionResponse:
        """Why Check answers what it answers."""
        work = await look(self._edge, request)
        return await explain_decision(self._edge, request.account, work)

    async def explain_recorded(
        self, request: pb.ExplainRecordedRequest, call: Call
    ) -> pb.ExplainRecordedResponse:
        """Why Authorize or Debit decided as it did."""
        return await self._recorded.explain(request, call)

    async def authorize(self, request: pb.AuthorizeRequest, call: Call) -> pb.AuthorizeResponse:
        """Decide and hold, in one durable step."""
        return await decided(self._edge, AUTHORIZE, request, call)  # type: ignore[no-any-return]

    async def debit(self, request: pb.DebitRequest, call: Call) -> pb.DebitResponse:
        """Decide and charge, in one durable step."""
        return await decided(self._edge, DEBIT, request, call)  # type: ignore[no-any-return]

    async def extend(self, request: pb.ExtendRequest, call: Call) -> pb.ExtendResponse:
        """Move an open hold's expiry."""
        return await decided(self._edge, EXTEND, request, call)  # type: ignore[no-any-return]

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        """Charge a hold with what was really used; it is settled unless it is to stay open."""
        if self.unheld is not None and is_unheld(request.hold_id):
            return await self.unheld.capture(request, call)
        return await decided(self._edge, CAPTURE, request, call)  # type: ignore[no-any-return]

    async def release(self, request: pb.ReleaseRequest, call: Call) -> pb.ReleaseResponse:
        """Give back all that a hold reserves."""
        if self.unheld is not None and is_unheld(request.hold_id):
            return await self.unheld.release(request, call)
        return await decided(self._edge, RELEASE, request, call)  # type: ignore[no-any-return]

    async def decide_stream(
        self, requests: AsyncIterator[pb.DecideStreamRequest], call: Call
    ) -> AsyncIterator[pb.DecideStreamResponse]:
        """All of them on one stream, answered by their numbers."""
        stream = DecideStream(self._edge, self._forwarder, self.check, call, self.unheld)
        async with contextlib.aclosing(stream.replies(requests)) as replies:
            async for reply in replies:
                yield reply
