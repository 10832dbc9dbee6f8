"""May this request of a gateway's client run? One question, whichever gateway asks it.

Turns a route and what is seen of the request into Authorize, or Check where nothing is to be held,
and the answer into a reply. A hold is made once for a key; a key that comes again after its hold
was settled is denied, so that nobody works twice for one payment.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from ledger.api.calls import Call
from ledger.api.errors import CallFailed
from ledger.api.rendering.render_decision import DECISIONS
from ledger.gateway import replies
from ledger.gateway.inside import Inside
from ledger.gateway.replies import Reply, denied, not_covered, refused
from ledger.gateway.routes import Route, whole_number
from ledger.gateway.sources import Seen, Source
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import types_pb2

ALLOWED: Final = (pb.DECISION_ALLOW, pb.DECISION_ALLOW_OVERDRAFT, pb.DECISION_ALLOW_UP_TO)
INSTEAD: Final = (pb.DECISION_DOWNGRADE, pb.DECISION_DEFER)
"""Other work may run than was asked for: the upstream is told which."""

RUNS: Final = frozenset((*ALLOWED, *INSTEAD))


class Asked:
    """What a request is, by its route; made by `asked`."""

    __slots__ = (
        "account",
        "attributes",
        "operation",
        "operation_hold",
        "operation_parent",
        "product",
        "quantities",
        "route",
        "up_to",
    )

    def __init__(
        self,
        route: Route,
        account: str,
        product: str,
        attributes: dict[str, str],
        quantities: dict[str, int],
        up_to: pb.UpTo | None = None,
        operation: str = "",
        operation_parent: str = "",
        operation_hold: str = "",
    ) -> None:
        self.route = route
        self.account = account
        self.product = product
        self.attributes = attributes
        self.quantities = quantities
        self.up_to = up_to
        self.operation = operation
        self.operation_parent = operation_parent
        self.operation_hold = operation_hold


def asked(route: Route, seen: Seen) -> Asked | Reply:
    """What a request asks for, or why that cannot be said."""
    account = route.account.of(seen)
    if not account:
        return denied(
            replies.UNAUTHORIZED,
            "IDENTITY_MISSING",
            f"nothing says whose request this is: {route.account.shown} is missing",
        )
    product = route.product.of(seen)
    if not product:
        message = f"nothing says what is used: {route.product.shown} is missing"
        return denied(replies.BAD_REQUEST, "FIELD_REQUIRED", message, field="product")
    quantities = dict[str, int]()
    for name, source in route.quantities:
        number = _number(f"quantity.{name}", source, seen)
        if isinstance(number, Reply):
            return number
        quantities[name] = number
    up_to = None
    if route.up_to:
        least = _number("up_to_minimum", route.minimum, seen)
        if isinstance(least, Reply):
            return least
        up_to = pb.UpTo(quantity=route.up_to, minimum=min(least, quantities[route.up_to]))
    given = ((name, source.of(seen)) for name, source in route.attributes)
    attributes = {name: value for name, value in given if value}
    operation = route.operation.of(seen) if route.operation is not None else ""
    parent = ""
    if operation and route.operation_parent is not None:
        parent = route.operation_parent.of(seen)
    hold = route.operation_hold.of(seen) if route.operation_hold is not None else ""
    return Asked(route, account, product, attributes, quantities, up_to, operation, parent, hold)


def _number(field: str, source: Source, seen: Seen) -> int | Reply:
    text = source.of(seen)
    try:
        return whole_number(text)
    except ValueError as error:
        message = f"{field}: {error}" if text else f"{field}: {source.shown} is missing"
        return denied(replies.BAD_REQUEST, "QUANTITY_INVALID", message, field=field)


async def authorize(inside: Inside, call: Call, work: Asked, key: str) -> Reply:
    """Hold, once for a key. Raises CallFailed and others where we cannot say: send it again."""
    route = work.route
    request = pb.AuthorizeRequest(
        tenant=route.tenant,
        request_id=key,
        account=work.account,
        product=work.product,
        attributes=work.attributes,
        quantities=work.quantities,
        lifetime_us=route.lifetime_us,
        up_to=work.up_to,
        operation=work.operation,
        operation_parent=work.operation_parent,
        hold_id=work.operation_hold,
    )
    try:
        found = await inside.authorize(request, call)
    except CallFailed as failed:
        return refused(failed)
    if found.decision not in RUNS:
        return not_covered(work.account, work.product, found.amount, found, route.pay_url)
    if found.hold_state != types_pb2.HOLD_STATE_OPEN:
        return denied(
            replies.CONFLICT,
            "HOLD_SETTLED",
            f"this request ran before: its hold {found.hold_id} is settled; send a new request",
            hold_id=found.hold_id,
        )
    account = await inside.owner(route.tenant, found.hold_id, work.account)  # not its alias
    headers = {
        replies.DECISION: DECISIONS[found.decision],
        replies.ACCOUNT: account,
        replies.HOLD: found.hold_id,
        replies.CHARGE: str(found.amount),
        replies.ASSET: found.asset,
        replies.SCALE: str(found.scale),
        replies.EXPIRES: str(found.expires_at_us),
        **_as_much(work, found),
    }
    metadata = {
        "tenant": route.tenant,
        "account": account,
        "hold_id": found.hold_id,
        "unit": str(route.unit),
    }
    if route.settles:
        metadata["quantity"] = route.settles
    return Reply(replies.OK, headers, metadata=metadata)


async def check(inside: Inside, call: Call, work: Asked) -> Reply:
    """Advice; nothing is held. Raises as `authorize` does."""
    route = work.route
    request = pb.CheckRequest(
        tenant=route.tenant,
        account=work.account,
        product=work.product,
        attributes=work.attributes,
        quantities=work.quantities,
        up_to=work.up_to,
        operation=work.operation,
        operation_parent=work.operation_parent,
        hold_id=work.operation_hold,
    )
    try:
        found = await inside.check(request, call)
    except CallFailed as failed:
        return refused(failed)
    if found.decision not in RUNS:
        return not_covered(work.account, work.product, found.charge, found, route.pay_url)
    headers = {
        replies.DECISION: DECISIONS[found.decision],
        replies.ACCOUNT: work.account,
        replies.CHARGE: str(found.charge),
        replies.AVAILABLE: found.available,
        replies.ASSET: found.asset,
        replies.SCALE: str(found.scale),
        **_as_much(work, found),
    }
    metadata = {"tenant": route.tenant, "account": work.account}
    return Reply(replies.OK, headers, metadata=metadata)


def _as_much(work: Asked, found: pb.AuthorizeResponse | pb.CheckResponse) -> dict[str, str]:
    """What may run, for the upstream to keep to: other work than was asked for, or how much of what
    the route ranges over."""
    if found.decision in INSTEAD:
        ruling = found.ruling
        quantities = {name: str(amount) for name, amount in ruling.quantities.items()}
        return {
            replies.PRODUCT: ruling.product,
            replies.ATTRIBUTES: urlencode(sorted(ruling.attributes.items())),
            replies.QUANTITIES: urlencode(sorted(quantities.items())),
        }
    return {} if work.up_to is None else {replies.ALLOWED: str(found.allowed_quantity)}
