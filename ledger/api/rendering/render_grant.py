"""Grants as messages: just after their issue from the recorded event, else from the state."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, mint
from ledger.core.events import GrantIssued, Rollover
from ledger.core.state import GRANT_CANCELLED, GRANT_EXPIRED, GRANT_VOIDED, NEVER, Grant, State
from ledger.v1 import types_pb2 as pb


class GrantView(NamedTuple):
    """What a grant's message needs of the state, taken at one position."""

    number: int
    ordinal: int
    account: int
    asset: int
    amount: int
    remaining: int
    held: int
    price_paid: int
    price_asset: int
    kind: int
    priority: int
    effective_at_us: int
    expires_at_us: int  # 0 = never
    products: tuple[str, ...]
    settled: int
    issued_at_us: int
    tags: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    shared: bool
    pending: int
    rollover: Rollover | None
    metadata: tuple[tuple[str, str], ...]
    origin: tuple[int, int]  # account and number of the grant that it was part of; 0 = none
    recognised: int
    returned: int


def grant_view(state: State, grant: Grant) -> GrantView:
    """The view of a grant."""
    book = grant.book
    return GrantView(
        grant.number,
        grant.ordinal,
        grant.account.number,
        grant.asset,
        grant.amount,
        book.credits_posted - book.debits_posted,
        book.debits_pending,
        grant.price_paid,
        grant.price_asset,
        grant.kind,
        grant.priority,
        grant.effective_at,
        0 if grant.expires_at == NEVER else grant.expires_at,
        tuple(sorted(grant.products)),
        grant.settled,
        grant.issued_at,
        tuple(sorted(grant.tags)),
        tuple(sorted(grant.attributes)),
        grant.shared,
        grant.pending,
        grant.rollover,
        grant.metadata,
        (grant.account.number, grant.origin),
        grant.recognised,
        grant.returned,
    )


def repaid(event: GrantIssued) -> int:
    """What a grant repaid of the account's advance as it was issued."""
    return sum([part.amount for part in event.backfills])


def issued_view(event: GrantIssued, recorded_at_us: int) -> GrantView:
    """The view of a grant just after its issue."""
    return GrantView(
        event.grant,
        event.ordinal,
        event.account,
        event.asset,
        event.amount,
        0 if event.pending else event.amount - repaid(event),
        0,
        event.price_paid,
        event.price_asset,
        event.kind,
        event.priority,
        event.effective_at,
        event.expires_at,
        event.products,
        0,
        recorded_at_us,
        event.tags,
        event.attributes,
        event.shared,
        event.amount if event.pending else 0,
        event.rollover,
        event.metadata,
        (event.account, event.origin),
        sum([part.value for part in event.backfills]),
        0,
    )


def render_grant(
    assets: Assets, view: GrantView, shard: int, account: str, now_us: int
) -> pb.Grant:
    """One grant, in its state at `now_us`."""
    asset = assets.of(view.asset)
    price_asset = assets.of(view.price_asset if view.price_paid else 0)
    return pb.Grant(
        grant_id=mint(GRANT, shard, view.account, view.number),
        account=account,
        asset=asset.code,
        scale=asset.scale,
        amount=view.amount,
        remaining=view.remaining,
        held=view.held,
        price_paid=view.price_paid,
        price_asset=price_asset.code,
        price_scale=price_asset.scale,
        kind=pb.GrantKind.ValueType(view.kind),
        priority=view.priority,
        effective_at_us=view.effective_at_us,
        expires_at_us=view.expires_at_us,
        products=view.products,
        state=_state_of(view, now_us),
        issued_at_us=view.issued_at_us,
        tags=view.tags,
        attributes=dict(view.attributes),
        shared=view.shared,
        pending=view.pending,
        rollover=render_rollover(view.rollover),
        metadata=dict(view.metadata),
        origin=mint(GRANT, shard, *view.origin) if view.origin[1] else "",
        recognised=view.recognised,
        returned=view.returned,
    )


def render_rollover(rollover: Rollover | None) -> pb.Rollover | None:
    """A rollover as a message; None where there is none."""
    if rollover is None:
        return None
    return pb.Rollover(
        numerator=rollover.numerator,
        denominator=rollover.denominator,
        cap=rollover.cap if rollover.cap >= 0 else None,
        lifetime_us=rollover.lifetime,
        again=rollover.again,
    )


def _state_of(view: GrantView, now_us: int) -> pb.GrantState.ValueType:
    if view.settled == GRANT_VOIDED:
        return pb.GRANT_STATE_VOIDED
    if view.settled == GRANT_CANCELLED:
        return pb.GRANT_STATE_CANCELLED
    if view.pending == view.amount:
        return pb.GRANT_STATE_PENDING
    if view.settled == GRANT_EXPIRED or 0 < view.expires_at_us <= now_us:
        return pb.GRANT_STATE_EXPIRED
    if view.effective_at_us > now_us:
        return pb.GRANT_STATE_SCHEDULED
    return pb.GRANT_STATE_ACTIVE
