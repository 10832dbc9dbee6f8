"""DecisionService: advice at once, holds and their settlement durably.

Insufficient credits is an answer. A durable answer renders from the recorded event; only the state
of the hold is the present one.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.check_many import CheckManyCalls
from ledger.api.debit_calls import DebitCalls
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, refused
from ledger.api.forward import Forwarder
from ledger.api.hold_calls import HoldCalls
from ledger.api.ids import HOLD, quote_number
from ledger.api.limits import Checked, id_fault
from ledger.api.parse_plain import effective_at_fault
from ledger.api.positions import position_of
from ledger.api.render_decision import (
    DECISIONS,
    HOLD_STATE_OPEN,
    HoldState,
    hold_of,
    hold_view,
    limit_said,
    render_authorize,
    render_capture,
    render_exceeded,
    render_limit,
    render_release,
    retry_after,
    say_limit,
)
from ledger.api.requests import quantities_of, raise_first, seated, shape_of, up_to_of
from ledger.core.affording import Afforded
from ledger.core.authorizing import assess_up_to, range_of
from ledger.core.commands import AuthorizeHold, CaptureHold, Names, ReleaseHold
from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldReleased,
    Limit,
    UsageRecorded,
)
from ledger.core.holds import holds_limit
from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US
from ledger.core.outcomes import Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.shortfall import limit_of
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import decision_pb2 as pb


class Advice(NamedTuple):
    """What Check found: by which version of the policy, and which limit allows no more; when."""

    afforded: Afforded
    policy_version: int
    limit: Limit | None
    now: int


def advise(
    state: State,
    number: int,
    shape: Shape,
    values: tuple[int, ...],
    clock_us: int,
    ranged: tuple[str, int],
) -> Advice | Refusal:
    """What Authorize would say now, by the speculative state; changes nothing."""
    account = state.accounts.get(number)
    if account is None:
        return Refusal(Reason.ACCOUNT_UNKNOWN, "account", "", "the account is not open yet")
    refusal = holds_limit(account)
    if refusal is not None:
        return refusal
    if state.offsets:
        state.act_for(account.tenant)
    up_to = range_of(shape, values, *ranged)
    if isinstance(up_to, Refusal):
        return up_to
    now = state.present(clock_us)
    afforded = assess_up_to(state, account, shape, values, up_to, now)
    if isinstance(afforded, Refusal):
        return afforded
    limit = afforded.limit
    if afforded.found.denied:
        limit = limit_of(state, account, afforded.found, now)
    return Advice(afforded, account.version, limit, now)


class DecisionService(CheckManyCalls, DebitCalls, HoldCalls):
    """See ledger/v1/decision.proto."""

    def __init__(self, edge: Edge, forwarder: Forwarder) -> None:
        self._edge = edge
        self._forwarder = forwarder

    async def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """Advice from the newest state, at once."""
        edge = self._edge
        number, shard = edge.seat(request.tenant, request.account)
        tenant = 0 if number else await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        if not number:
            entry = await edge.account(tenant, request.account)
            edge.keep_seat(entry)
            shape = seated(edge.shapes, shape, entry)
            number, shard = entry.number, entry.shard
        writer = edge.ledger.writers[shard]
        clock_us = edge.ledger.clock.now_us()
        if number in writer.state.paged:
            await writer.bring_in((number,))
        ranged = up_to_of(request, shape)
        found = advise(writer.state, number, shape, values, clock_us, ranged)
        if isinstance(found, Refusal):
            raise refused(found, {"account": request.account})
        assessment, quantities, _ = found.afforded
        asset, declared = edge.assets.of(assessment.asset), assessment.bound.declaration
        decision = pb.DECISION_ALLOW_OVERDRAFT if assessment.uses_debt else pb.DECISION_ALLOW
        if assessment.denied:
            decision = pb.DECISION_DENY
        elif quantities != values:
            decision = pb.DECISION_ALLOW_UP_TO
        edge.telemetry.decided("Check", DECISIONS[decision])
        response = pb.CheckResponse(
            decision=decision,
            reason=assessment.denied,
            available=str(assessment.available),
            charge=assessment.charge,
            asset=asset.code,
            scale=asset.scale,
            policy_version=found.policy_version,
            rate_card=declared.rate_card if assessment.card_version else "",
            rate_card_version=assessment.card_version,
            position=position_of(shard, writer.durable_position),
        )
        if ranged[0] and not assessment.denied:
            response.allowed_quantity = quantities[shape.quantity_names.index(ranged[0])]
        limit = found.limit
        if limit is not None:
            names = await edge.names([limit.account])
            response.limit.CopyFrom(render_limit(limit, shard, names))
            response.retry_after_us = retry_after(limit, found.now)
            if assessment.budget is not None:
                response.budget_exceeded.CopyFrom(render_exceeded(limit, names))
        return response

    async def authorize(self, request: pb.AuthorizeRequest, call: Call) -> pb.AuthorizeResponse:
        """Decide and hold, in one durable step."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("lifetime_us", request.lifetime_us, 0, HOLD_LIFETIME_BATCH_MAX_US)
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        shape = seated(edge.shapes, shape, entry)
        ranged = up_to_of(request, shape)
        if ranged[0] and request.quote_id:
            message = "a quote prices all of the work; leave it or the range out"
            raise CallFailed("FIELD_NOT_ALLOWED", message, field="up_to")
        quote = 0
        if request.quote_id:
            found = quote_number(request.quote_id, entry.number, len(edge.ledger.writers))
            if isinstance(found, Fault):
                raise CallFailed(found.reason, found.message, field=found.field, value=found.value)
            quote = found
        command = AuthorizeHold(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            shape,
            values,
            request.lifetime_us,
            Names("", request.request_id),
            call.trace,
            quote,
            *ranged,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        given = {"account": request.account, "quote_id": request.quote_id}
        answer = answer_of(ticket, given)
        event, plan = answer.event, answer.plan
        assert isinstance(event, HoldAuthorized | AuthorizeDenied) and plan is not None, event
        response = render_authorize(edge.assets, event, plan, entry.shard)
        response.position, response.replayed = answer.position, answer.replayed
        limit = limit_said(event)
        if limit is not None:
            names = await edge.names([limit.account])
            say_limit(response, limit, entry.shard, names, answer.recorded_at_us)
        if isinstance(event, HoldAuthorized):
            with rendering(answer.position):
                response.hold_state = await self._hold_state(entry, event.hold, answer)
        edge.telemetry.decided("Authorize", DECISIONS[response.decision])
        return response

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        """Charge a hold with what was really used; it is settled unless it is to stay open."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        names, values = quantities_of(request.quantities)
        raise_first(
            id_fault("request_id", request.request_id), effective_at_fault(request.effective_at_us)
        )
        minted, entry = await edge.minted(tenant, HOLD, request.hold_id)
        command = CaptureHold(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            names,
            values,
            request.effective_at_us,
            Names("", request.request_id),
            call.trace,
            request.keep_open,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"hold_id": request.hold_id})
        event, plan = answer.event, answer.plan
        assert isinstance(event, UsageRecorded) and plan is not None, event
        with rendering(answer.position):
            hold = await hold_of(edge.writer(entry), entry.number, minted.number)
            response = render_capture(edge.assets, event, plan, hold)
        response.position, response.replayed = answer.position, answer.replayed
        return response

    async def release(self, request: pb.ReleaseRequest, call: Call) -> pb.ReleaseResponse:
        """Give back all that a hold reserves."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        raise_first(id_fault("request_id", request.request_id))
        minted, entry = await edge.minted(tenant, HOLD, request.hold_id)
        command = ReleaseHold(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"hold_id": request.hold_id})
        assert isinstance(answer.event, HoldReleased), answer.event
        with rendering(answer.position):
            hold = await hold_of(edge.writer(entry), entry.number, minted.number)
            response = render_release(edge.assets, hold)
        response.position, response.replayed = answer.position, answer.replayed
        return response

    async def _hold_state(self, entry: Entry, hold: int, answer: Answer) -> HoldState:
        """The present, durable state; a hold that this very call made is open."""
        if not answer.replayed:
            return HOLD_STATE_OPEN
        view, _ = await self._edge.writer(entry).read(
            lambda state: hold_view(state, entry.number, hold), accounts=(entry.number,)
        )
        return view.state
