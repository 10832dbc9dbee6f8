"""Recurring grants as messages, from the state at one position; terms as the core takes them."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, RECURRING, mint
from ledger.api.rendering.render_grant import render_rollover
from ledger.core.events import RecurringTerms
from ledger.core.state import NEVER, RecurringGrant, State
from ledger.v1 import recurring_pb2 as pb
from ledger.v1 import types_pb2


class RecurringView(NamedTuple):
    """What a recurring grant's message needs of the state, taken at one position."""

    number: int
    account: int
    terms: RecurringTerms
    next_terms: RecurringTerms | None
    version: int
    paused: bool
    starts_at_us: int
    ends_at_us: int  # NEVER = it goes on
    due_us: int  # NEVER = not as things stand
    period_start_us: int
    period_end_us: int
    grants: tuple[int, ...]
    created_at_us: int


def recurring_view(recurring: RecurringGrant) -> RecurringView:
    """The view of a recurring grant."""
    return RecurringView(
        recurring.number,
        recurring.account.number,
        recurring.terms,
        recurring.next_terms,
        recurring.version,
        recurring.paused,
        recurring.starts_at,
        recurring.ends_at,
        recurring.due,
        recurring.period_start,
        recurring.period_end,
        recurring.grants,
        recurring.created_at,
    )


def find_view(state: State, account: int, number: int) -> RecurringView | None:
    """The view of an account's recurring grant; None where it has none of that number."""
    recurring = state.recurring.get(number)
    if recurring is None or recurring.account.number != account:
        return None
    return recurring_view(recurring)


def render_recurring(
    assets: Assets, view: RecurringView, shard: int, account: str, now_us: int
) -> pb.RecurringGrant:
    """One recurring grant, in its state at `now_us`."""
    return pb.RecurringGrant(
        recurring_grant_id=mint(RECURRING, shard, view.account, view.number),
        account=account,
        terms=render_terms(assets, view.terms),
        next_terms=render_terms(assets, view.next_terms) if view.next_terms is not None else None,
        version=view.version,
        state=_state_of(view, now_us),
        starts_at_us=view.starts_at_us,
        ends_at_us=_or_zero(view.ends_at_us),
        next_at_us=_or_zero(view.due_us),
        period_start_us=view.period_start_us,
        period_end_us=view.period_end_us,
        grant_ids=[mint(GRANT, shard, view.account, number) for number in view.grants],
        created_at_us=view.created_at_us,
    )


def render_terms(assets: Assets, terms: RecurringTerms) -> pb.RecurringTerms:
    """Terms as they are in force: what was left to a default is filled."""
    asset = assets.of(terms.asset)
    price_asset = assets.of(terms.price_asset if terms.price_paid else 0)
    return pb.RecurringTerms(
        kind=types_pb2.GrantKind.ValueType(terms.kind),
        asset=asset.code,
        amount=terms.amount,
        price_paid=terms.price_paid,
        price_asset=price_asset.code,
        priority=terms.priority,
        products=terms.products,
        unit=pb.PeriodUnit.ValueType(terms.unit),
        every=terms.every,
        anchor_us=terms.anchor,
        zone=terms.zone,
        proration=pb.Proration.ValueType(terms.proration),
        expires_after_us=terms.expires_after,
        scale=asset.scale,
        price_scale=price_asset.scale,
        tags=terms.tags,
        attributes=dict(terms.attributes),
        shared=terms.shared,
        rollover=render_rollover(terms.rollover),
        metadata=dict(terms.metadata),
        source=terms.source,
    )


_ENDED: Final = pb.RECURRING_STATE_ENDED
_PAUSED: Final = pb.RECURRING_STATE_PAUSED
_ACTIVE: Final = pb.RECURRING_STATE_ACTIVE


def _state_of(view: RecurringView, now_us: int) -> pb.RecurringState.ValueType:
    if view.ends_at_us <= now_us:
        return _ENDED
    return _PAUSED if view.paused else _ACTIVE


def _or_zero(instant: int) -> int:
    return 0 if instant == NEVER else instant
