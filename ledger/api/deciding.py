"""Decisions that are recorded: what a request asks of the core, and what a recorded answer says.

One pair of functions a kind, shared by single calls and streams.
Insufficient credits is an answer. An answer renders from the recorded event; only the state of a
hold is the present one. Nothing is submitted here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import HOLD, hold_number, quote_number
from ledger.api.intake.parse_plain import effective_at_fault
from ledger.api.limits import Checked, id_fault
from ledger.api.rendering.render_decision import (
    DECISIONS,
    HOLD_STATE_OPEN,
    HoldState,
    hold_of,
    hold_view,
    limit_said,
    render_authorize,
    render_capture,
    render_debit,
    render_release,
    say_limit,
    say_ruling,
)
from ledger.api.rendering.render_policy import alternatives_of, check_alternatives
from ledger.api.requests import (
    check_operation,
    check_unlearned,
    quantities_of,
    raise_first,
    seated,
    shape_of,
    up_to_of,
)
from ledger.api.sizing import sized
from ledger.core.commands import (
    AuthorizeHold,
    CaptureHold,
    Command,
    DebitWork,
    ExtendHold,
    Names,
    ReleaseHold,
    ReserveOperation,
)
from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldExtended,
    HoldReleased,
    UsageDebited,
    UsageRecorded,
    WorkDenied,
)
from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US, HOLD_LIFETIME_MAX_US, INT64_MAX
from ledger.journal.directory import Entry
from ledger.v1 import decision_pb2 as pb


class Asked(NamedTuple):
    """What a request comes to: a command for the writer of an account, and the fields as they were
    written. `hold`: the one that it is about, 0 = none."""

    entry: Entry
    command: Command
    given: Mapping[str, str]
    hold: int = 0


class Kind(NamedTuple):
    """One kind of recorded decision, by the method that asks for it alone."""

    method: str
    reply: type[Any]
    ask: Callable[[Edge, Any, Call], Awaitable[Asked]]
    say: Callable[[Edge, Asked, Answer], Awaitable[Any]]


async def decided(edge: Edge, kind: Kind, request: Message, call: Call) -> Any:
    """The reply to one request, durable. Raises CallFailed, NotApplied, OutcomeUnknown."""
    asked = await kind.ask(edge, request, call)
    ticket = await call.submit(edge.ledger, asked.entry, asked.command)
    return await kind.say(edge, asked, answer_of(ticket, asked.given))


# -- authorise -------------------------------------------------------------------------------------


async def _ask_authorize(edge: Edge, request: pb.AuthorizeRequest, call: Call) -> Asked:
    if request.operation_amount:
        return await _ask_reserve(edge, request, call)
    tenant = await edge.tenant(request.tenant)
    shape, values = shape_of(edge.shapes, request)
    check = Checked()
    check.ids(request_id=request.request_id)
    check.between("lifetime_us", request.lifetime_us, 0, HOLD_LIFETIME_BATCH_MAX_US)
    check_operation(check, request)
    check_alternatives(check, request.alternatives)
    check.one_of("sizing", request.sizing, pb.Sizing.DESCRIPTOR.values_by_number)
    check.done()
    entry = await edge.account(tenant, request.account)
    edge.remember(entry)
    shape = seated(edge.shapes, shape, entry)
    ranged = up_to_of(request, shape)
    if ranged[0] and request.quote_id:
        message = "a quote prices all of the work; leave it or the range out"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field="up_to")
    if request.alternatives and request.quote_id:
        message = "a quote prices the work that it is for; leave it or the alternatives out"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field="alternatives")
    if request.hold_id:
        _check_part(request)
    if request.quote_id and request.sizing == pb.SIZING_LEARNED:
        message = "a quote prices the work as it was quoted; leave it or the learning out"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field="sizing")
    quote = 0
    if request.quote_id:
        found = quote_number(request.quote_id, entry.number, len(edge.ledger.writers))
        if isinstance(found, Fault):
            raise CallFailed(found.reason, found.message, field=found.field, value=found.value)
        quote = found
    sizing = None
    if not quote and not request.hold_id:
        values, sizing = await sized(edge, entry, shape, values, request.sizing, ranged)
    family = edge.ledger.family(entry)
    operation, parent = request.operation, request.operation_parent
    command = AuthorizeHold(
        family.request(request.request_id),
        entry.number,
        shape,
        values,
        request.lifetime_us,
        Names("", request.request_id, operation, parent),
        call.trace,
        quote,
        *ranged,
        alternatives_of(request.alternatives),
        sizing,
        family.operation(operation, parent),
        _hold_of(edge, request.hold_id, entry),
    )
    given = {"account": request.account, "quote_id": request.quote_id}
    if request.hold_id:
        given["hold_id"] = request.hold_id
    return Asked(entry, command, given)


def _check_part(request: pb.AuthorizeRequest) -> None:
    """What is held of an operation's hold is by the caller's figures, at the price of its time.
    Raises CallFailed."""
    if request.quote_id:
        message = "a quote holds for itself; leave it or the operation's hold out"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field="hold_id", value=request.hold_id)
    check_unlearned("sizing", request.sizing)


_OF_WORK: Final = (
    "product", "attributes", "quantities", "quote_id", "up_to", "alternatives", "hold_id",
)  # fmt: skip


async def _ask_reserve(edge: Edge, request: pb.AuthorizeRequest, call: Call) -> Asked:
    """A hold for an operation with all its calls, which is of no work of its own."""
    tenant = await edge.tenant(request.tenant)
    check = Checked()
    check.ids(request_id=request.request_id, operation=request.operation)
    check.between("lifetime_us", request.lifetime_us, 0, HOLD_LIFETIME_MAX_US)
    check.between("operation_amount", request.operation_amount, 1, INT64_MAX)
    check_operation(check, request)
    check.done()
    said = {each.name for each, _ in request.ListFields()}
    for name in (*_OF_WORK, "sizing"):
        if name in said:
            message = "units are held for whatever the operation's calls are of; leave it out"
            raise CallFailed("FIELD_NOT_ALLOWED", message, field=name)
    entry = await edge.account(tenant, request.account)
    edge.remember(entry)
    family = edge.ledger.family(entry)
    operation, parent = request.operation, request.operation_parent
    command = ReserveOperation(
        family.request(request.request_id),
        entry.number,
        request.operation_amount,
        request.lifetime_us,
        family.operation(operation, parent),
        Names("", request.request_id, operation, parent),
        call.trace,
    )
    return Asked(entry, command, {"account": request.account})


async def _say_authorize(edge: Edge, asked: Asked, answer: Answer) -> pb.AuthorizeResponse:
    event, plan, entry = answer.event, answer.plan, asked.entry
    assert isinstance(event, HoldAuthorized | AuthorizeDenied) and plan is not None, event
    response = render_authorize(edge.assets, event, plan, entry.shard)
    response.position, response.replayed = answer.position, answer.replayed
    limit = limit_said(event)
    if limit is not None:
        names = await edge.names([limit.account])
        say_limit(response, limit, entry.shard, names, answer.recorded_at_us)
    await say_ruling(edge, response, event, plan, entry.shard)
    if isinstance(event, HoldAuthorized):
        response.hold_state = HOLD_STATE_OPEN
        if answer.replayed:
            with rendering(answer.position):
                response.hold_state = await _hold_state(edge, entry, event.hold)
    edge.telemetry.decided("Authorize", DECISIONS[response.decision])
    return response


async def _hold_state(edge: Edge, entry: Entry, hold: int) -> HoldState:
    """The present, durable state; a hold that the very call made is open."""
    view, _ = await edge.writer(entry).read(
        lambda state: hold_view(state, entry.number, hold), accounts=(entry.number,)
    )
    return view.state


# -- debit -----------------------------------------------------------------------------------------


async def _ask_debit(edge: Edge, request: pb.DebitRequest, call: Call) -> Asked:
    tenant = await edge.tenant(request.tenant)
    shape, values = shape_of(edge.shapes, request)
    check = Checked()
    check.ids(request_id=request.request_id)
    check_operation(check, request)
    check_alternatives(check, request.alternatives)
    check.done()
    entry = await edge.account(tenant, request.account)
    edge.remember(entry)
    shape = seated(edge.shapes, shape, entry)
    family = edge.ledger.family(entry)
    operation, parent = request.operation, request.operation_parent
    command = DebitWork(
        family.request(request.request_id),
        entry.number,
        shape,
        values,
        Names("", request.request_id, operation, parent),
        family.operation(operation, parent),
        call.trace,
        *up_to_of(request, shape),
        alternatives_of(request.alternatives),
        _hold_of(edge, request.hold_id, entry),
    )
    given = {"account": request.account}
    if request.hold_id:
        given["hold_id"] = request.hold_id
    return Asked(entry, command, given)


def _hold_of(edge: Edge, hold_id: str, entry: Entry) -> int:
    """Number of the hold that is to pay first; 0 = none is."""
    return hold_number(hold_id, entry.number, len(edge.ledger.writers)) if hold_id else 0


async def _say_debit(edge: Edge, asked: Asked, answer: Answer) -> pb.DebitResponse:
    event, plan = answer.event, answer.plan
    assert isinstance(event, UsageDebited | WorkDenied) and plan is not None, event
    response = render_debit(edge.assets, event, plan)
    response.position, response.replayed = answer.position, answer.replayed
    if event.limit is not None:
        names = await edge.names([event.limit.account])
        say_limit(response, event.limit, asked.entry.shard, names, answer.recorded_at_us)
    await say_ruling(edge, response, event, plan, asked.entry.shard)
    edge.telemetry.decided("Debit", DECISIONS[response.decision])
    return response


# -- what becomes of a hold ------------------------------------------------------------------------


async def _ask_extend(edge: Edge, request: pb.ExtendRequest, call: Call) -> Asked:
    tenant = await edge.tenant(request.tenant)
    check = Checked()
    check.ids(request_id=request.request_id)
    check.between("lifetime_us", request.lifetime_us, 0, HOLD_LIFETIME_BATCH_MAX_US)
    check.done()
    minted, entry = await edge.minted(tenant, HOLD, request.hold_id)
    command = ExtendHold(
        edge.ledger.family(entry).request(request.request_id),
        entry.number,
        minted.number,
        request.lifetime_us,
        Names("", request.request_id),
        call.trace,
    )
    return Asked(entry, command, {"hold_id": request.hold_id}, minted.number)


async def _say_extend(edge: Edge, asked: Asked, answer: Answer) -> pb.ExtendResponse:
    assert isinstance(answer.event, HoldExtended), answer.event
    response = pb.ExtendResponse(
        expires_at_us=answer.event.expires_at, position=answer.position, replayed=answer.replayed
    )
    with rendering(answer.position):
        hold = await hold_of(edge.writer(asked.entry), asked.entry.number, asked.hold)
        response.hold_state = hold.state
    return response


_NO_ATTRIBUTES: tuple[tuple[str, str], ...] = ()


async def _ask_capture(edge: Edge, request: pb.CaptureRequest, call: Call) -> Asked:
    tenant = await edge.tenant(request.tenant)
    names, values = quantities_of(request.quantities)
    raise_first(
        id_fault("request_id", request.request_id), effective_at_fault(request.effective_at_us)
    )
    operation, parent = request.operation, request.operation_parent
    if operation or parent:
        check = Checked()
        check_operation(check, request)
        check.done()
    product, attributes = "", _NO_ATTRIBUTES
    if request.product or request.attributes:
        shape, values = shape_of(edge.shapes, request)
        names, product, attributes = shape.quantity_names, shape.product, shape.attributes
    minted, entry = await edge.minted(tenant, HOLD, request.hold_id)
    family = edge.ledger.family(entry)
    command = CaptureHold(
        family.request(request.request_id),
        entry.number,
        minted.number,
        names,
        values,
        request.effective_at_us,
        Names("", request.request_id, operation, parent),
        call.trace,
        request.keep_open,
        family.operation(operation, parent),
        product,
        attributes,
    )
    return Asked(entry, command, {"hold_id": request.hold_id}, minted.number)


async def _say_capture(edge: Edge, asked: Asked, answer: Answer) -> pb.CaptureResponse:
    event, plan = answer.event, answer.plan
    assert isinstance(event, UsageRecorded) and plan is not None, event
    with rendering(answer.position):
        hold = await hold_of(edge.writer(asked.entry), asked.entry.number, asked.hold)
        response = render_capture(edge.assets, event, plan, hold)
    response.position, response.replayed = answer.position, answer.replayed
    return response


async def _ask_release(edge: Edge, request: pb.ReleaseRequest, call: Call) -> Asked:
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
    return Asked(entry, command, {"hold_id": request.hold_id}, minted.number)


async def _say_release(edge: Edge, asked: Asked, answer: Answer) -> pb.ReleaseResponse:
    assert isinstance(answer.event, HoldReleased), answer.event
    with rendering(answer.position):
        hold = await hold_of(edge.writer(asked.entry), asked.entry.number, asked.hold)
        response = render_release(edge.assets, hold)
    response.position, response.replayed = answer.position, answer.replayed
    return response


_SERVICE: Final = pb.DESCRIPTOR.services_by_name["DecisionService"].full_name

AUTHORIZE: Final = Kind(
    f"{_SERVICE}/Authorize", pb.AuthorizeResponse, _ask_authorize, _say_authorize
)
DEBIT: Final = Kind(f"{_SERVICE}/Debit", pb.DebitResponse, _ask_debit, _say_debit)
CAPTURE: Final = Kind(f"{_SERVICE}/Capture", pb.CaptureResponse, _ask_capture, _say_capture)
RELEASE: Final = Kind(f"{_SERVICE}/Release", pb.ReleaseResponse, _ask_release, _say_release)
EXTEND: Final = Kind(f"{_SERVICE}/Extend", pb.ExtendResponse, _ask_extend, _say_extend)
KINDS: Final[Mapping[str, Kind]] = {
    "authorize": AUTHORIZE,
    "debit": DEBIT,
    "capture": CAPTURE,
    "release": RELEASE,
    "extend": EXTEND,
}
"""By the name of the field that stands for them in an item of a stream."""
CHECK_METHOD: Final = f"{_SERVICE}/Check"
