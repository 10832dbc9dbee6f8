"""Advice: what Authorize would say now, by the newest state; nothing is held or recorded."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Naming
from ledger.api.edge import Edge
from ledger.api.errors import refused
from ledger.api.ids import hold_number
from ledger.api.limits import Checked
from ledger.api.positions import position_of
from ledger.api.rendering.render_decision import (
    render_exceeded,
    render_limit,
    render_sizes,
    retry_after,
)
from ledger.api.rendering.render_policy import (
    alternatives_of,
    check_alternatives,
    decided_by,
    render_ruling,
)
from ledger.api.requests import (
    check_operation,
    check_unlearned,
    seated,
    shape_of,
    up_to_of,
)
from ledger.api.sizing import sized
from ledger.core.commands import Sizing
from ledger.core.decisions.affording import Afforded
from ledger.core.decisions.authorizing import (
    assess_up_to,
    operation_refused,
    parts_within,
    range_of,
)
from ledger.core.decisions.holds import holds_limit
from ledger.core.decisions.operation_draws import advised_hold
from ledger.core.decisions.rule_faults import alternatives_invalid
from ledger.core.decisions.ruling import rule
from ledger.core.decisions.shortfall import limit_of
from ledger.core.events import Alternative, Limit, Ruling, UpTo
from ledger.core.outcomes import Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import Hold, State
from ledger.v1 import decision_pb2 as pb


class Advice(NamedTuple):
    """What Check found: by which version of the policy, and which limit allows no more; when."""

    afforded: Afforded
    policy_version: int
    limit: Limit | None
    now: int
    ruling: Ruling | None
    up_to: UpTo | None
    most: tuple[int, ...]  # that is decided for: as asked, or as it was learned
    as_asked: Afforded  # before a rule or an alternative had a say
    hold: Hold | None  # of its operation, that pays first
    operation: bytes  # that it would be a part of


def advise(
    state: State,
    number: int,
    shape: Shape,
    values: tuple[int, ...],
    clock_us: int,
    ranged: tuple[str, int],
    alternatives: tuple[Alternative, ...] = (),
    sizing: Sizing | None = None,
    operation: bytes = b"",
    hold: int = 0,
    quote: int = 0,
    *,
    ruled: bool = True,
) -> Advice | Refusal:
    """What Authorize would say at that time, by the speculative state; changes nothing. `ruled`
    False: what it would without a decision policy."""
    account = state.accounts.get(number)
    if account is None:
        return Refusal(
            Reason.ACCOUNT_UNKNOWN,
            "account",
            "",
            "the account is not open yet; send its Create again",
        )
    refusal = holds_limit(account)
    if refusal is not None:
        return refusal
    if state.offsets:
        state.act_for(account.tenant)
    now = state.present(clock_us)
    if sizing is not None:
        values = parts_within(state, account, shape, values, now)
    up_to = range_of(shape, values, *ranged)
    if isinstance(up_to, Refusal):
        return up_to
    invalid = alternatives_invalid(alternatives, Reason.ALTERNATIVES_INVALID)
    if invalid is not None:
        return invalid
    invalid = operation_refused(state, account, operation)
    if invalid is not None:
        return invalid
    whole: Hold | None = None
    if hold:
        paying = advised_hold(state, account, hold, operation, shape, values, now)
        if isinstance(paying, Refusal):
            return paying
        whole, operation = paying, operation or paying.operation
    afforded = assess_up_to(
        state, account, shape, values, up_to, now, quote, operation=operation, hold=whole
    )
    if isinstance(afforded, Refusal):
        return afforded
    ruling, as_asked = None, afforded
    ruled_on = ruled and (account.rules is not None or alternatives) and not quote
    if ruled_on and afforded.found.bound.terms.outcome is None:
        found = rule(
            state, account, shape, values, up_to, alternatives, 0, afforded, now, operation, whole
        )
        if found is not None:
            afforded, ruling = found.afforded, found.ruling
    limit = afforded.limit
    if afforded.found.denied:
        limit = limit_of(state, account, afforded.found, now)
    return Advice(
        afforded, account.version, limit, now, ruling, up_to, values, as_asked, whole, operation
    )


def _as_asked(ruling: Ruling | None) -> bool:
    """Whether what was decided on is the work that was asked for."""
    return ruling is None or ruling.asked is None


class Looked(NamedTuple):
    """A question, whose it is, and what was found."""

    number: int
    state: State
    position: str
    shape: Shape
    ranged: tuple[str, int]
    sizing: Sizing | None
    found: Advice


async def look(edge: Edge, request: pb.CheckRequest | pb.ExplainDecisionRequest) -> Looked:
    """Find out what Authorize would say. Raises CallFailed."""
    number, shard = edge.seat(request.tenant, request.account)
    tenant = 0 if number else await edge.tenant(request.tenant)
    shape, values = shape_of(edge.shapes, request)
    if not number:
        entry = await edge.account(tenant, request.account)
        edge.keep_seat(entry)
        shape = seated(edge.shapes, shape, entry)
        number, shard = entry.number, entry.shard
    ranged = up_to_of(request, shape)
    sizing = None
    if request.sizing:
        check = Checked()
        check.one_of("sizing", request.sizing, pb.Sizing.DESCRIPTOR.values_by_number)
        check.done()
    hold, given = 0, {"account": request.account}
    if request.hold_id:
        check_unlearned("sizing", request.sizing)
        hold = hold_number(request.hold_id, number, len(edge.ledger.writers))
        given["hold_id"] = request.hold_id
    elif request.sizing or edge.ledger.configurations.sizing:
        tenant = tenant or await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        values, sizing = await sized(edge, entry, shape, values, request.sizing, ranged)
    operation = b""
    if request.operation or request.operation_parent:
        check = Checked()
        check_operation(check, request)
        check.done()
        tenant = tenant or await edge.tenant(request.tenant)
        family = edge.ledger.family(await edge.account(tenant, request.account))
        operation = family.operation(request.operation, request.operation_parent)
    writer = edge.ledger.writers[shard]
    clock_us = edge.ledger.clock.now_us()
    if number in writer.state.paged:
        await writer.bring_in((number,))
    listed: tuple[Alternative, ...] = ()
    if request.alternatives:
        check = Checked()
        check_alternatives(check, request.alternatives)
        check.done()
        listed = alternatives_of(request.alternatives)
    found = advise(
        writer.state, number, shape, values, clock_us, ranged, listed, sizing, operation, hold
    )
    if isinstance(found, Refusal):
        raise refused(found, given)
    position = position_of(shard, writer.durable_position)
    return Looked(number, writer.state, position, shape, ranged, sizing, found)


async def say(edge: Naming, looked: Looked) -> pb.CheckResponse:
    """What was found, as a reply."""
    number, state, position, shape, ranged, sizing, found = looked
    shard = state.shard
    assessment, quantities, _ = found.afforded
    asset, declared = edge.assets.of(assessment.asset), assessment.bound.declaration
    decision = pb.DECISION_ALLOW_OVERDRAFT if assessment.uses_debt else pb.DECISION_ALLOW
    if assessment.denied:
        decision = pb.DECISION_DENY
    elif ranged[0] and quantities != found.most and _as_asked(found.ruling):
        decision = pb.DECISION_ALLOW_UP_TO
    decision = decided_by(found.ruling) or decision
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
        position=position,
        from_hold=sum(assessment.taken),
    )
    if ranged[0] and not assessment.denied and _as_asked(found.ruling):
        response.allowed_quantity = quantities[shape.quantity_names.index(ranged[0])]
    ruling = found.ruling
    if ruling is not None:
        names = await edge.names([ruling.account]) if ruling.account else {}
        response.ruling.CopyFrom(
            render_ruling(edge.assets, ruling, declared, quantities, shard, number, names)
        )
    if sizing is not None:
        response.sized.extend(
            render_sizes(sizing.asked, sizing.sizes, shape.quantity_names, found.most, found.up_to)
        )
    limit = found.limit
    if limit is not None:
        names = await edge.names([limit.account])
        response.limit.CopyFrom(render_limit(limit, shard, names))
        response.retry_after_us = retry_after(limit, found.now)
        if assessment.budget is not None:
            response.budget_exceeded.CopyFrom(render_exceeded(limit, names))
    return response
