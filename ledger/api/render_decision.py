"""Recorded decisions as messages, and the present state of a hold beside them (rule I2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from ledger.api.assets import Assets
from ledger.api.ids import HOLD, mint
from ledger.core.events import (
    AuthorizeDenied,
    BudgetDenied,
    BudgetValueDenied,
    HoldAuthorized,
    PlanDeclared,
    Pot,
    Suspense,
    UsageCaptured,
    UsageQuoted,
    UsageRecorded,
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


def render_authorize(
    assets: Assets, event: HoldAuthorized | AuthorizeDenied, plan: PlanDeclared, shard: int
) -> pb.AuthorizeResponse:
    """All but position, replay mark, state of the hold and account of a budget."""
    asset = assets.of(plan.asset)
    response = pb.AuthorizeResponse(
        asset=asset.code,
        scale=asset.scale,
        policy_version=event.policy_version,
        rate_card=plan.rate_card if plan.card_version else "",
        rate_card_version=plan.card_version,
    )
    if isinstance(event, AuthorizeDenied):
        response.decision = pb.DECISION_DENY
        response.reason = event.reason
        response.amount = event.charge
        response.available = str(event.available)
        if isinstance(event, BudgetDenied):
            exceeded = response.budget_exceeded
            exceeded.name, exceeded.left = event.budget_name, event.left
            exceeded.resets_at_us = event.resets_at
            if isinstance(event, BudgetValueDenied):
                exceeded.value.extend(event.value)
                exceeded.shared = event.shared
        return response
    uses_debt = any(piece.pot != Pot.GRANT for piece in event.slices)
    response.decision = pb.DECISION_ALLOW_OVERDRAFT if uses_debt else pb.DECISION_ALLOW
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
    stays = isinstance(event, UsageCaptured)
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
