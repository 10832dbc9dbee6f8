"""The services that gateways stand on, called in process as a client would call them.

A call whose shard is another process's goes there and comes back, each on its own. Must not decide
anything.
"""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call, Calls
from ledger.api.edge import Edge
from ledger.api.ids import HOLD
from ledger.api.services.decision_service import DecisionService
from ledger.api.services.journal_service import JournalService
from ledger.api.services.usage_service import UsageService
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import journal_pb2, usage_pb2

DECISIONS: Final = pb.DESCRIPTOR.services_by_name["DecisionService"].full_name
JOURNAL: Final = journal_pb2.DESCRIPTOR.services_by_name["JournalService"].full_name
USAGE: Final = usage_pb2.DESCRIPTOR.services_by_name["UsageService"].full_name


class Inside:
    """DecisionService, UsageService and GetOutcome, for whoever translates another protocol."""

    __slots__ = ("_calls", "_decisions", "_edge", "_journal", "_usage")

    def __init__(
        self,
        edge: Edge,
        calls: Calls,
        decisions: DecisionService,
        usage: UsageService,
        journal: JournalService,
    ) -> None:
        self._journal = journal
        self._edge = edge
        self._calls = calls
        self._decisions = decisions
        self._usage = usage

    async def owner(self, tenant: str, hold_id: str, named: str = "") -> str:
        """Id of the account of a hold, made for the account of that name; "" = any. Raises
        CallFailed HOLD_UNKNOWN, TENANT_UNKNOWN."""
        known = self._edge.known(tenant, named) if named else None
        if known is not None and known.account_id == named:
            return named  # by its own id, which no other account has while this one is there
        _, entry = await self._edge.minted(await self._edge.tenant(tenant), HOLD, hold_id)
        return entry.account_id

    async def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """See DecisionService.Check."""
        return await self._calls.answer(
            f"{DECISIONS}/Check", self._decisions.check, request, pb.CheckResponse, call
        )

    async def authorize(self, request: pb.AuthorizeRequest, call: Call) -> pb.AuthorizeResponse:
        """See DecisionService.Authorize."""
        return await self._calls.answer(
            f"{DECISIONS}/Authorize", self._decisions.authorize, request, pb.AuthorizeResponse, call
        )

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        """See DecisionService.Capture."""
        return await self._calls.answer(
            f"{DECISIONS}/Capture", self._decisions.capture, request, pb.CaptureResponse, call
        )

    async def release(self, request: pb.ReleaseRequest, call: Call) -> pb.ReleaseResponse:
        """See DecisionService.Release."""
        return await self._calls.answer(
            f"{DECISIONS}/Release", self._decisions.release, request, pb.ReleaseResponse, call
        )

    async def ingest(
        self, request: usage_pb2.IngestRequest, call: Call
    ) -> usage_pb2.IngestResponse:
        """See UsageService.Ingest."""
        return await self._calls.answer(
            f"{USAGE}/Ingest", self._usage.ingest, request, usage_pb2.IngestResponse, call
        )

    async def outcome(
        self, request: journal_pb2.GetOutcomeRequest, call: Call
    ) -> journal_pb2.GetOutcomeResponse:
        """See JournalService.GetOutcome."""
        return await self._calls.answer(
            f"{JOURNAL}/GetOutcome",
            self._journal.get_outcome,
            request,
            journal_pb2.GetOutcomeResponse,
            call,
        )
