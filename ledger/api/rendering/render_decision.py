"""Recorded decisions as messages, and the present state of a hold beside them (rule I2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from ledger.api.assets import Assets
from ledger.api.edge import Edge
from ledger.api.ids import CAP, GRANT, HOLD, mint
from ledger.api.rendering.render_policy import decided_by, render_ruling, ruling_of
from ledger.core.events import (
    AuthorizeDenied,
    BudgetDenied,
    HoldAuthorized,
    HoldDebited,
    HoldSized,
    HoldUpTo,
    Limit,
    LimitKind,
    PlanDeclared,
    Pot,
    Sized,
    SizedDenied,
    Slice,
    Suspense,
    UpTo,
    UsageCaptured,
    UsageDebited,
    UsageQuoted,
    UsageRecorded,
    WorkDenied,
)
from ledger.core.state import HOLD_CAPTURED, HOLD_CHARGED, HOLD_EXPIRED, HOLD_RELEASED, State
from ledger.engine.writer import Writer
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import types_pb2, usage_pb2
from rating.v1 import card_pb2

HoldState: TypeAlias = types_pb2.HoldState.ValueType
HOLD_STATE_OPEN: Final = types_pb2.HOLD_STATE_OPEN

DECISIONS: Final[Mapping[int, str]] = {
    number: name.removeprefix("DECISION_") for name, number in pb.Decision.items()
}
ENDED: Final[Mapping[int, HoldState]] = {
    HOLD_CAPTURED: types_pb2.HOLD_STATE_CAPTURED,
    HOLD_RELEASED: types_pb2.HOLD_STATE_RELEASED,
    HOLD_EXPIRED: types_pb2.HOLD_STATE_EXPIRED,
    HOLD_CHARGED: types_pb2.HOLD_STATE_CHARGED,
}


class HoldView(NamedTuple):
    """What is known of a hold: its state, what it still reserves, and what went back at its end."""

    state: HoldState
    left: int
    returned: int
    asset: int


def hold_view(state: State, account: int, number: int) -> HoldView:
    """A hold of that account, open or settled within the dedupe window; an older one is
    unspecified."""
    hold = state.holds.get(number)
    if hold is not None:
        return HoldView(HOLD_STATE_OPEN, hold.left, 0, hold.asset)
    owner = state.accounts.get(account)
    settled = state.settled_hold(owner, number) if owner is not None else None
    if settled is not None:
        returned = settled.amount - settled.captured
        return HoldView(ENDED[settled.ended], 0, returned, settled.asset)
    return HoldView(types_pb2.HOLD_STATE_UNSPECIFIED, 0, 0, 0)


async def hold_of(writer: Writer, account: int, number: int) -> HoldView:
    """The same at the newest state, at once where the account's family is in memory."""
    return await writer.look(lambda state: hold_view(state, account, number), (account,))


_IDS: Final[Mapping[int, str]] = {LimitKind.GRANTS: GRANT, LimitKind.CAP: CAP}


def limit_said(event: object) -> Limit | None:
    """The limit that a recorded decision says, if it says one."""
    if isinstance(event, WorkDenied | HoldUpTo | UsageDebited):
        return event.limit
    if isinstance(event, BudgetDenied):  # as journals had it before each denial said its limit
        figures = event.budget_account, event.budget, event.budget_name, event.left
        return Limit(LimitKind.BUDGET, *figures, event.resets_at)
    return None


def render_limit(limit: Limit, shard: int, names: Mapping[int, str]) -> pb.DecidingLimit:
    """A limit; `names` has the account whose it is."""
    kind = _IDS.get(limit.kind, "")
    by_operation = limit.kind == LimitKind.OPERATION
    return pb.DecidingLimit(
        kind=pb.LimitKind.ValueType(limit.kind),
        account=names[limit.account],
        id=mint(kind, shard, limit.account, limit.number) if kind and limit.number else "",
        name=limit.name,
        left=limit.left,
        value=limit.value if not by_operation else (),
        shared=limit.shared,
        policy_version=int(limit.value[0]) if by_operation and limit.value else 0,
    )


def render_exceeded(limit: Limit, names: Mapping[int, str]) -> pb.BudgetExceeded:
    """A limit that is a budget, as it has always been said."""
    return pb.BudgetExceeded(
        account=names[limit.account],
        name=limit.name,
        left=limit.left,
        resets_at_us=limit.retry_at,
        value=limit.value if limit.kind != LimitKind.OPERATION else (),
        shared=limit.shared,
    )


def retry_after(limit: Limit, now: int) -> int:
    """Microseconds from then until more may be allowed; 0 = not known."""
    return max(0, limit.retry_at - now) if limit.retry_at else 0


def say_limit(
    response: pb.AuthorizeResponse | pb.DebitResponse,
    limit: Limit,
    shard: int,
    names: Mapping[int, str],
    recorded_at: int,
) -> None:
    """What decided, in a reply to a recorded decision."""
    response.limit.CopyFrom(render_limit(limit, shard, names))
    response.retry_after_us = retry_after(limit, recorded_at)
    if limit.kind == LimitKind.BUDGET and isinstance(response, pb.AuthorizeResponse):
        response.budget_exceeded.CopyFrom(render_exceeded(limit, names))


async def say_ruling(
    edge: Edge,
    response: pb.AuthorizeResponse | pb.DebitResponse,
    event: HoldAuthorized | AuthorizeDenied | UsageDebited,
    plan: PlanDeclared,
    shard: int,
) -> None:
    """How a recorded decision came about, where a policy or alternatives had a say."""
    ruling = ruling_of(event)
    if ruling is None:
        return
    names = await edge.names([ruling.account]) if ruling.account else {}
    response.ruling.CopyFrom(
        render_ruling(edge.assets, ruling, plan, event.quantities, shard, event.account, names)
    )


def allowed_quantity(up_to: UpTo | None, plan: PlanDeclared, quantities: tuple[int, ...]) -> int:
    """How much is allowed of the quantity that may be less; 0 where none may."""
    return quantities[plan.quantity_names.index(up_to.quantity)] if up_to is not None else 0


def _decision(slices: tuple[Slice, ...], up_to: UpTo | None, amount: int) -> pb.Decision.ValueType:
    if up_to is not None and amount < up_to.maximum:
        return pb.DECISION_ALLOW_UP_TO
    uses_debt = any(piece.pot != Pot.GRANT for piece in slices)
    return pb.DECISION_ALLOW_OVERDRAFT if uses_debt else pb.DECISION_ALLOW


def render_debit(
    assets: Assets, event: UsageDebited | WorkDenied, plan: PlanDeclared
) -> pb.DebitResponse:
    """All but position, replay mark and limit."""
    asset = assets.of(plan.asset)
    response = pb.DebitResponse(
        asset=asset.code,
        scale=asset.scale,
        policy_version=event.policy_version,
        rate_card=plan.rate_card if plan.card_version else "",
        rate_card_version=plan.card_version,
    )
    by_rule = decided_by(ruling_of(event))
    if isinstance(event, WorkDenied):
        response.decision = by_rule or pb.DECISION_DENY
        response.reason, response.charge = event.reason, event.charge
        response.available = str(event.available)
        return response
    response.charge = sum([piece.amount for piece in event.slices])
    response.allowed_quantity = allowed_quantity(event.up_to, plan, event.quantities)
    response.decision = by_rule or _decision(event.slices, event.up_to, response.allowed_quantity)
    return response


def render_sizes(
    asked: tuple[int, ...],
    sizes: Sequence[Sized],
    names: Sequence[str],
    quantities: tuple[int, ...],
    up_to: UpTo | None,
) -> list[pb.SizedQuantity]:
    """What was learned, and what was decided for."""
    rendered = []
    for each in sizes:
        place = names.index(each.quantity)
        of_range = up_to is not None and up_to.quantity == each.quantity
        rendered.append(
            pb.SizedQuantity(
                quantity=each.quantity,
                asked=asked[place],
                sized=up_to.maximum if up_to is not None and of_range else quantities[place],
                learned_of=pb.LearnedOf.ValueType(each.by),
                permille=each.permille,
                observations=each.observations,
                value=each.value,
            )
        )
    return rendered


def _sizes_of(event: HoldSized | SizedDenied, plan: PlanDeclared) -> list[pb.SizedQuantity]:
    """As they were recorded: of the work that was asked for, whatever runs in its stead."""
    asked = event.ruling.asked if event.ruling is not None else None
    if asked is None:
        names, quantities, up_to = plan.quantity_names, event.quantities, event.up_to
    else:
        names, quantities, up_to = asked.quantity_names, asked.quantities, asked.up_to
    return render_sizes(event.asked, event.sizes, names, quantities, up_to)


def render_authorize(
    assets: Assets, event: HoldAuthorized | AuthorizeDenied, plan: PlanDeclared, shard: int
) -> pb.AuthorizeResponse:
    """All but position, replay mark, state of the hold and limit."""
    asset = assets.of(plan.asset)
    response = pb.AuthorizeResponse(
        asset=asset.code,
        scale=asset.scale,
        policy_version=event.policy_version,
        rate_card=plan.rate_card if plan.card_version else "",
        rate_card_version=plan.card_version,
    )
    by_rule = decided_by(ruling_of(event))
    if isinstance(event, HoldSized | SizedDenied):
        response.sized.extend(_sizes_of(event, plan))
    if isinstance(event, AuthorizeDenied):
        response.decision = by_rule or pb.DECISION_DENY
        response.reason = event.reason
        response.amount = event.charge
        response.available = str(event.available)
        return response
    up_to = event.up_to if isinstance(event, HoldUpTo) else None
    response.allowed_quantity = allowed_quantity(up_to, plan, event.quantities)
    response.decision = by_rule or _decision(event.slices, up_to, response.allowed_quantity)
    response.hold_id = mint(HOLD, shard, event.account, event.hold)
    response.amount = sum([piece.amount for piece in event.slices])
    response.expires_at_us = event.expires_at
    response.hold_expiry = card_pb2.HoldExpiry.ValueType(event.expiry)
    return response


def render_capture(
    assets: Assets, event: UsageRecorded, plan: PlanDeclared, hold: HoldView
) -> pb.CaptureResponse:
    """All but position and replay mark."""
    charge = sum([piece.amount for piece in event.slices])
    asset = assets.of(plan.asset or hold.asset)
    reason = "HOLD_EXPIRED" if event.late else ""
    outcome = usage_pb2.INGEST_OUTCOME_APPLIED
    if event.suspense:
        outcome, reason = usage_pb2.INGEST_OUTCOME_SUSPENSE, Suspense(event.suspense).name
    elif isinstance(event, UsageQuoted) and event.unused:
        reason = event.unused.name
    stays = isinstance(event, UsageCaptured | HoldDebited)
    return pb.CaptureResponse(
        outcome=outcome,
        reason=reason,
        late=bool(event.late),
        charge=charge,
        released=0 if event.late or stays else hold.returned,
        asset=asset.code,
        scale=asset.scale,
        over_limit=event.over_limit > 0,
        hold_state=hold.state,
        hold_left=hold.left,
    )


def render_release(assets: Assets, hold: HoldView) -> pb.ReleaseResponse:
    """All but position and replay mark; a release gives back all that captures have left."""
    asset = assets.of(hold.asset)
    return pb.ReleaseResponse(
        released=hold.returned, asset=asset.code, scale=asset.scale, hold_state=hold.state
    )
