"""CommitmentService: commitments with segments, and their invoices."""

from __future__ import annotations

from typing import Final, TypeVar

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.commitment_parts import (
    check_invoices,
    check_segment,
    check_segments,
    check_terms,
    invoices_of,
    segment_of,
    terms_of,
)
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import COMMITMENT
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_commitment import (
    CommitmentView,
    commitment_view,
    find_view,
    render_commitment,
)
from ledger.core.commands import AddSegment, Command, CreateCommitment, EndCommitment, Names
from ledger.core.events import (
    CommitmentCreated,
    CommitmentEnded,
    CommitmentEnding,
    SegmentAdded,
)
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import commitment_pb2 as pb

_TARGET: Final = "target_commitment_id"
_ENDINGS: Final = {int(ending): ending for ending in CommitmentEnding}

Reply = TypeVar(
    "Reply",
    pb.CommitmentServiceCreateResponse,
    pb.AddSegmentResponse,
    pb.CommitmentServiceEndResponse,
)


class CommitmentService:
    """See ledger/v1/commitment.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def create(
        self, request: pb.CommitmentServiceCreateRequest, call: Call
    ) -> pb.CommitmentServiceCreateResponse:
        """Commit an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.optional(external_key=request.external_key)
        check.given("terms", request.HasField("terms"))
        if request.HasField("terms"):
            check_terms(check, request.terms)
        check_segments(check, request.segments)
        check_invoices(check, request.invoices)
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        family = edge.ledger.family(entry)
        command = CreateCommitment(
            family.request(request.request_id),
            entry.number,
            terms_of(edge.assets, request.terms, entry),
            tuple([segment_of(segment) for segment in request.segments]),
            invoices_of(request.invoices),
            family.external(request.external_key),
            Names("", request.request_id),
            call.trace,
        )
        given = {
            "account": request.account,
            "external_key": request.external_key,
            "terms.asset": request.terms.asset,
            "terms.price_asset": request.terms.price_asset,
        }
        answer = await self._ask(call, entry, command, given)
        response = await self._answered(
            pb.CommitmentServiceCreateResponse(), entry, answer, request.account
        )
        response.commitment.external_key = request.external_key
        return response

    async def add_segment(self, request: pb.AddSegmentRequest, call: Call) -> pb.AddSegmentResponse:
        """Add a segment."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("segment", request.HasField("segment"))
        if request.HasField("segment"):
            check_segment(check, "segment", request.segment)
        check_invoices(check, request.invoices)
        check.done()
        minted, entry = await edge.minted(tenant, COMMITMENT, request.commitment_id)
        command = AddSegment(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            segment_of(request.segment),
            invoices_of(request.invoices),
            Names("", request.request_id),
            call.trace,
        )
        answer = await self._ask(call, entry, command, {"commitment_id": request.commitment_id})
        return await self._answered(pb.AddSegmentResponse(), entry, answer, request.commitment_id)

    async def end(
        self, request: pb.CommitmentServiceEndRequest, call: Call
    ) -> pb.CommitmentServiceEndResponse:
        """End a commitment before its time."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.one_of("ending", request.ending, _ENDINGS)
        transfer = request.ending == pb.COMMITMENT_ENDING_TRANSFER
        if request.target_commitment_id and not transfer:
            message = "only an end by transfer has a target"
            check.fault(Fault("TRANSFER_INVALID", _TARGET, request.target_commitment_id, message))
        check.done()
        minted, entry = await edge.minted(tenant, COMMITMENT, request.commitment_id)
        target: tuple[int, int] = (0, 0)
        if transfer:
            there, taker = await edge.minted(
                tenant, COMMITMENT, request.target_commitment_id, _TARGET
            )
            target = (taker.number, there.number)
        command = EndCommitment(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            _ENDINGS[request.ending],
            *target,
            Names("", request.request_id),
            call.trace,
        )
        given = {"commitment_id": request.commitment_id, _TARGET: request.target_commitment_id}
        answer = await self._ask(call, entry, command, given)
        event = answer.event
        assert isinstance(event, CommitmentEnded), event
        response = await self._answered(
            pb.CommitmentServiceEndResponse(), entry, answer, request.commitment_id
        )
        response.value = event.value
        if event.ending == CommitmentEnding.TRANSFER:
            response.transferred = event.units
        else:
            response.trued_up = event.units
        return response

    async def list(
        self, request: pb.CommitmentServiceListRequest, call: Call
    ) -> pb.CommitmentServiceListResponse:
        """The commitments of an account in the order created."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"commitments/{entry.number}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> list[CommitmentView]:
            account = state.accounts.get(entry.number)
            kept = account.commitments if account is not None else []
            found = [each for each in kept if each.number > after]
            return [commitment_view(state, each) for each in found[: size + 1]]

        views, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        shown = views[:size]
        return pb.CommitmentServiceListResponse(
            commitments=[self._render(entry, view) for view in shown],
            next_page_token=page_token(listing, shown[-1].number) if len(views) > size else "",
            position=position_of(entry.shard, reached),
        )

    async def get(
        self, request: pb.CommitmentServiceGetRequest, call: Call
    ) -> pb.CommitmentServiceGetResponse:
        """One commitment."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, COMMITMENT, request.commitment_id)
        least = minimum(request.min_position, entry.shard)
        view, reached = await self._view(entry, minted.number, request.commitment_id, least)
        return pb.CommitmentServiceGetResponse(
            commitment=self._render(entry, view), position=position_of(entry.shard, reached)
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _ask(
        self, call: Call, entry: Entry, command: Command, given: dict[str, str]
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, given)

    async def _answered(self, response: Reply, entry: Entry, answer: Answer, asked: str) -> Reply:
        """The reply to a mutation, with what it changed as it is at its position or later."""
        event = answer.event
        assert isinstance(event, CommitmentCreated | SegmentAdded | CommitmentEnded), event
        number = event.commitment
        with rendering(answer.position):
            view, _ = await self._view(entry, number, asked)
            response.commitment.CopyFrom(self._render(entry, view))
        response.position, response.replayed = answer.position, answer.replayed
        return response

    async def _view(
        self, entry: Entry, number: int, asked: str, min_entries: int = 0
    ) -> tuple[CommitmentView, int]:
        view, reached = await self._edge.writer(entry).read(
            lambda state: find_view(state, entry.number, number), min_entries, (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "COMMITMENT_UNKNOWN",
                "the account has no such commitment",
                field="commitment_id",
                value=asked,
            )
        return view, reached

    def _render(self, entry: Entry, view: CommitmentView) -> pb.Commitment:
        edge = self._edge
        now_us = edge.now_us(entry.tenant)
        return render_commitment(edge.assets, view, entry.shard, entry.account_id, now_us)
