"""OutcomeService: work that is reported, and charged once its result is confirmed.

A durable answer renders from the recorded event; only the status of the outcome is the present one.
Evidence stands beside the journal's entries, where erasure may blank it, and is read from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import OUTCOME, mint
from ledger.api.intake.parse_plain import effective_at_fault
from ledger.api.limits import REASON_BYTES_MAX, Checked, attributes_fault
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, minimum, position_of
from ledger.api.rendering.render_outcome import (
    OutcomeDetails,
    OutcomePage,
    Status,
    find_outcome,
    list_outcomes,
    render_outcome,
    status_of,
    timeout_of,
)
from ledger.api.requests import seated, shape_of
from ledger.core.commands import ConfirmOutcome, Names, RejectOutcome, ReportOutcome
from ledger.core.drawing.drawdown import BEYOND_LIMITS
from ledger.core.events import (
    HoldExpiry,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    Suspense,
)
from ledger.core.outcomes import split_locator
from ledger.core.state import NEVER, State
from ledger.journal.directory import Entry
from ledger.v1 import correction_pb2
from ledger.v1 import outcome_pb2 as pb

_REASON: Final = ""
"""Under which name the reason of a rejection stands beside its entry: no evidence has none."""
_STATUSES: Final[Mapping[int, Status]] = {
    pb.OUTCOME_STATUS_UNSPECIFIED: pb.OUTCOME_STATUS_PENDING,
    pb.OUTCOME_STATUS_PENDING: pb.OUTCOME_STATUS_PENDING,
    pb.OUTCOME_STATUS_CONFIRMED: pb.OUTCOME_STATUS_CONFIRMED,
    pb.OUTCOME_STATUS_REJECTED: pb.OUTCOME_STATUS_REJECTED,
}


class OutcomeService:
    """See ledger/v1/outcome.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def report(
        self, request: pb.OutcomeServiceReportRequest, call: Call
    ) -> pb.OutcomeServiceReportResponse:
        """Record work and reserve its price, in one durable step."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.fault(effective_at_fault(request.effective_at_us))
        check.fault(attributes_fault("evidence", request.evidence))
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        shape = seated(edge.shapes, shape, entry)
        family, evidence = edge.ledger.family(entry), _pairs(request.evidence)
        command = ReportOutcome(
            family.request(request.request_id),
            entry.number,
            shape,
            values,
            request.effective_at_us,
            family.pairs(evidence),
            Names("", request.request_id, personal=evidence),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event, plan = answer.event, answer.plan
        assert isinstance(event, OutcomeReported) and plan is not None, event
        asset = edge.assets.of(plan.asset)
        response = pb.OutcomeServiceReportResponse(
            outcome_id=mint(OUTCOME, entry.shard, event.account, event.hold),
            reserved=sum([piece.amount for piece in event.slices]),
            asset=asset.code,
            scale=asset.scale,
            over_limit=any(piece.pot in BEYOND_LIMITS for piece in event.slices),
            reason=Suspense(event.suspense).name if event.suspense else "",
            due_at_us=0 if event.expires_at == NEVER else event.expires_at,
            rate_card=plan.rate_card,
            rate_card_version=plan.card_version,
            position=answer.position,
            replayed=answer.replayed,
        )
        if response.due_at_us:
            response.on_timeout = timeout_of(event.expiry == HoldExpiry.CHARGE)
        response.status = await self._status(entry, event.hold, answer)
        return response

    async def confirm(
        self, request: pb.OutcomeServiceConfirmRequest, call: Call
    ) -> pb.OutcomeServiceConfirmResponse:
        """Charge what pends."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.fault(attributes_fault("evidence", request.evidence))
        check.done()
        minted, entry = await edge.minted(tenant, OUTCOME, request.outcome_id)
        family, evidence = edge.ledger.family(entry), _pairs(request.evidence)
        command = ConfirmOutcome(
            family.request(request.request_id),
            entry.number,
            minted.number,
            family.pairs(evidence),
            Names("", request.request_id, personal=evidence),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"outcome_id": request.outcome_id})
        event, plan = answer.event, answer.plan
        assert isinstance(event, OutcomeConfirmed) and plan is not None, event
        asset = edge.assets.of(plan.asset)
        entry_seq = decode_position(answer.position)[entry.shard] - 1
        return pb.OutcomeServiceConfirmResponse(
            charge=sum([piece.amount for piece in event.slices]),
            asset=asset.code,
            scale=asset.scale,
            over_limit=event.over_limit > 0,
            reason=Suspense(event.suspense).name if event.suspense else "",
            status=pb.OUTCOME_STATUS_CONFIRMED,
            usage=correction_pb2.EntryRef(entry_seq=entry_seq),
            position=answer.position,
            replayed=answer.replayed,
        )

    async def reject(
        self, request: pb.OutcomeServiceRejectRequest, call: Call
    ) -> pb.OutcomeServiceRejectResponse:
        """Give back what pends."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.text("reason", request.reason, REASON_BYTES_MAX)
        check.fault(attributes_fault("evidence", request.evidence))
        check.done()
        minted, entry = await edge.minted(tenant, OUTCOME, request.outcome_id)
        family, said = edge.ledger.family(entry), _pairs(request.evidence)
        if request.reason:
            said = ((_REASON, request.reason), *said)
        command = RejectOutcome(
            family.request(request.request_id),
            entry.number,
            minted.number,
            family.pairs(said),
            Names("", request.request_id, personal=said),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"outcome_id": request.outcome_id})
        assert isinstance(answer.event, OutcomeRejected), answer.event
        with rendering(answer.position):
            outcome, _ = await edge.writer(entry).read(
                lambda state: find_outcome(state, entry.number, minted.number),
                accounts=(entry.number,),
            )
        asset = edge.assets.of(outcome.asset if outcome is not None else 0)
        return pb.OutcomeServiceRejectResponse(
            released=outcome.reserved if outcome is not None else 0,
            asset=asset.code,
            scale=asset.scale,
            status=pb.OUTCOME_STATUS_REJECTED,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def get(
        self, request: pb.OutcomeServiceGetRequest, call: Call
    ) -> pb.OutcomeServiceGetResponse:
        """One outcome with its evidence."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, OUTCOME, request.outcome_id)
        found, reached = await edge.writer(entry).read(
            lambda state: find_outcome(state, entry.number, minted.number),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if found is None:
            raise CallFailed(
                "NO_SUCH_OUTCOME",
                "the account has no such outcome, or it was settled more than 35 days ago",
                field="outcome_id",
                value=request.outcome_id,
            )
        [outcome] = await self._rendered([found], entry)
        evidence, _ = await self._beside(entry.shard, found.reported_by)
        outcome.evidence.update(evidence)
        if found.settled_by:
            said, entry_seq = await self._beside(entry.shard, found.settled_by)
            outcome.reason = said.pop(_REASON, "")
            outcome.settled_evidence.update(said)
            if found.status == pb.OUTCOME_STATUS_CONFIRMED:
                batch_seq, _ = split_locator(found.settled_by)
                outcome.usage.batch_seq, outcome.usage.entry_seq = batch_seq, entry_seq
        return pb.OutcomeServiceGetResponse(
            outcome=outcome, position=position_of(entry.shard, reached)
        )

    async def list(
        self, request: pb.OutcomeServiceListRequest, call: Call
    ) -> pb.OutcomeServiceListResponse:
        """Outcomes of an account or its subtree, page by page."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.one_of("status", request.status, _STATUSES)
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        subtree, status = request.subtree, _STATUSES[request.status]
        listing = f"outcomes/{entry.number}/{subtree}/{status}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> OutcomePage:
            account = state.accounts.get(entry.number)
            return list_outcomes(state, account, subtree, status, after, size)

        found, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        return pb.OutcomeServiceListResponse(
            outcomes=await self._rendered(found.outcomes, entry),
            next_page_token=page_token(listing, found.after) if found.after else "",
            position=position_of(entry.shard, reached),
        )

    async def _rendered(
        self, outcomes: Iterable[OutcomeDetails], entry: Entry
    ) -> Sequence[pb.Outcome]:
        numbers = {entry.number}
        for outcome in outcomes:
            numbers.add(outcome.account)
            numbers.update([piece.payer for piece in outcome.slices if piece.payer])
        names = await self._edge.names(numbers)
        assets, shard = self._edge.assets, entry.shard
        return [render_outcome(assets, outcome, shard, names) for outcome in outcomes]

    async def _beside(self, shard: int, locator: int) -> tuple[dict[str, str], int]:
        """What was said beside an entry, nothing once erased; and the number of the entry."""
        batch_seq, index = split_locator(locator)
        first_entry, records = await self._edge.private(shard, batch_seq)
        return dict(records.personal.get(index, {})), first_entry + index

    async def _status(self, entry: Entry, outcome: int, answer: Answer) -> Status:
        """The present, durable one; an outcome that this very call reported pends."""
        if not answer.replayed:
            return pb.OUTCOME_STATUS_PENDING
        with rendering(answer.position):
            status, _ = await self._edge.writer(entry).read(
                lambda state: status_of(state, entry.number, outcome), accounts=(entry.number,)
            )
        return status


def _pairs(evidence: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(evidence.items()))
