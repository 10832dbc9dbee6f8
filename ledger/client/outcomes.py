"""Calls of OutcomeService: report work, and have it charged once its result is confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from ledger.client.calls import Caller
from ledger.v1 import outcome_pb2 as pb
from ledger.v1.outcome_pb2_grpc import OutcomeServiceStub

PAGE_SIZE: Final = 1_000


class OutcomeCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def report_outcome(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        effective_at_us: int = 0,
        evidence: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.OutcomeServiceReportResponse:
        """Record work of a product that is sold by result: its price is reserved, not charged."""
        request = pb.OutcomeServiceReportRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            product=product,
            attributes=dict(attributes or {}),
            quantities=dict(quantities),
            effective_at_us=effective_at_us,
            evidence=dict(evidence or {}),
        )
        return await self._caller.call(
            lambda channel: OutcomeServiceStub(channel).Report, request, account
        )

    async def confirm_outcome(
        self,
        outcome_id: str,
        *,
        evidence: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.OutcomeServiceConfirmResponse:
        """Charge an outcome that pends; Refused with OUTCOME_REJECTED or OUTCOME_CONFIRMED where it
        was settled."""
        request = pb.OutcomeServiceConfirmRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            outcome_id=outcome_id,
            evidence=dict(evidence or {}),
        )
        return await self._caller.call(lambda channel: OutcomeServiceStub(channel).Confirm, request)

    async def reject_outcome(
        self,
        outcome_id: str,
        *,
        reason: str = "",
        evidence: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.OutcomeServiceRejectResponse:
        """Give back what an outcome reserves: nothing is charged."""
        request = pb.OutcomeServiceRejectRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            outcome_id=outcome_id,
            reason=reason,
            evidence=dict(evidence or {}),
        )
        return await self._caller.call(lambda channel: OutcomeServiceStub(channel).Reject, request)

    async def show_outcome(self, outcome_id: str, *, min_position: str | None = None) -> pb.Outcome:
        """One outcome as it is at present, with its evidence."""
        request = pb.OutcomeServiceGetRequest(
            tenant=self._caller.tenant,
            outcome_id=outcome_id,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(lambda channel: OutcomeServiceStub(channel).Get, request)
        return reply.outcome

    async def list_outcomes(
        self,
        account: str,
        status: pb.OutcomeStatus.ValueType = pb.OUTCOME_STATUS_PENDING,
        *,
        subtree: bool = False,
        min_position: str | None = None,
    ) -> AsyncIterator[pb.Outcome]:
        """Outcomes of an account, and with `subtree` of those below it, without their evidence:
        those that pend, or those that were confirmed or rejected in the last 35 days."""
        request = pb.OutcomeServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            subtree=subtree,
            status=status,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: OutcomeServiceStub(channel).List, request, account
            )
            for outcome in page.outcomes:
                yield outcome
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
