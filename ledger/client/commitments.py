"""Calls of CommitmentService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from ledger.client.calls import Caller
from ledger.v1 import commitment_pb2 as pb
from ledger.v1.commitment_pb2_grpc import CommitmentServiceStub

PAGE_SIZE = 1_000


class CommitmentCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def create_commitment(
        self,
        account: str,
        terms: pb.CommitmentTerms,
        segments: Iterable[pb.CommitmentSegment],
        *,
        invoices: Iterable[pb.CommitmentInvoice] = (),
        external_key: str = "",
        request_id: str = "",
    ) -> pb.CommitmentServiceCreateResponse:
        """Commit an account to segments, to be invoiced by a schedule apart from them."""
        request = pb.CommitmentServiceCreateRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            external_key=external_key,
            terms=terms,
            segments=segments,
            invoices=invoices,
        )
        return await self._caller.call(
            lambda channel: CommitmentServiceStub(channel).Create, request, account
        )

    async def add_segment(
        self,
        commitment_id: str,
        segment: pb.CommitmentSegment,
        *,
        invoices: Iterable[pb.CommitmentInvoice] = (),
        request_id: str = "",
    ) -> pb.AddSegmentResponse:
        """Add a segment, which may run beside others."""
        request = pb.AddSegmentRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            commitment_id=commitment_id,
            segment=segment,
            invoices=invoices,
        )
        return await self._caller.call(
            lambda channel: CommitmentServiceStub(channel).AddSegment, request
        )

    async def end_commitment(
        self,
        commitment_id: str,
        ending: pb.CommitmentEnding.ValueType,
        *,
        target: str = "",
        request_id: str = "",
    ) -> pb.CommitmentServiceEndResponse:
        """End a commitment before its time: true up what runs, waive what is left, or transfer it
        to the `target`."""
        request = pb.CommitmentServiceEndRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            commitment_id=commitment_id,
            ending=ending,
            target_commitment_id=target,
        )
        return await self._caller.call(lambda channel: CommitmentServiceStub(channel).End, request)

    async def get_commitment(
        self, commitment_id: str, *, min_position: str | None = None
    ) -> pb.CommitmentServiceGetResponse:
        """Show one commitment."""
        request = pb.CommitmentServiceGetRequest(
            tenant=self._caller.tenant,
            commitment_id=commitment_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(lambda channel: CommitmentServiceStub(channel).Get, request)

    async def list_commitments(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.Commitment]:
        """The commitments of an account, in the order created."""
        request = pb.CommitmentServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: CommitmentServiceStub(channel).List, request, account
            )
            for commitment in reply.commitments:
                yield commitment
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
