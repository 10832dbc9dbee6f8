"""Commitments as messages, from the state at one position."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import COMMITMENT, GRANT, mint
from ledger.core.events import CommitmentTerms, Invoice
from ledger.core.state import Commitment, State
from ledger.v1 import commitment_pb2 as pb
from ledger.v1 import types_pb2


class SegmentView(NamedTuple):
    """What a segment's message needs of its grant."""

    grant: int
    starts_at_us: int
    ends_at_us: int
    amount: int
    price: int
    drawn: int
    left_undrawn: int


class CommitmentView(NamedTuple):
    """What a commitment's message needs of the state, taken at one position."""

    number: int
    account: int
    terms: CommitmentTerms
    segments: tuple[SegmentView, ...]
    invoices: tuple[Invoice, ...]
    invoiced: int
    ended_at_us: int
    ending: int
    moved_to: tuple[int, int] | None  # account, number
    created_at_us: int


def commitment_view(state: State, commitment: Commitment) -> CommitmentView:
    """The view of a commitment."""
    target = state.commitments[commitment.moved_to] if commitment.moved_to else None
    segments = [
        SegmentView(
            grant.number,
            grant.effective_at,
            grant.expires_at,
            grant.amount,
            grant.price_paid,
            grant.drawn,
            grant.unused,
        )
        for grant in commitment.grants
    ]
    return CommitmentView(
        commitment.number,
        commitment.account.number,
        commitment.terms,
        tuple(segments),
        commitment.invoices,
        commitment.invoiced,
        commitment.ended_at,
        commitment.ending,
        (target.account.number, target.number) if target is not None else None,
        commitment.created_at,
    )


def find_view(state: State, account: int, number: int) -> CommitmentView | None:
    """The view of an account's commitment; None where it has none of that number."""
    commitment = state.commitments.get(number)
    if commitment is None or commitment.account.number != account:
        return None
    return commitment_view(state, commitment)


def render_commitment(
    assets: Assets, view: CommitmentView, shard: int, account: str, now_us: int
) -> pb.Commitment:
    """One commitment, in its state at `now_us`."""
    return pb.Commitment(
        commitment_id=mint(COMMITMENT, shard, view.account, view.number),
        account=account,
        terms=_terms(assets, view.terms),
        segments=[
            pb.CommitmentSegment(
                starts_at_us=segment.starts_at_us,
                ends_at_us=segment.ends_at_us,
                amount=segment.amount,
                price=segment.price,
                grant_id=mint(GRANT, shard, view.account, segment.grant),
                drawn=segment.drawn,
                left_undrawn=segment.left_undrawn,
            )
            for segment in view.segments
        ],
        invoices=[
            pb.CommitmentInvoice(
                at_us=invoice.at, amount=invoice.amount, posted=place < view.invoiced
            )
            for place, invoice in enumerate(view.invoices)
        ],
        state=_state_of(view, now_us),
        ended_at_us=view.ended_at_us,
        ending=pb.CommitmentEnding.ValueType(view.ending),
        created_at_us=view.created_at_us,
        moved_to=mint(COMMITMENT, shard, *view.moved_to) if view.moved_to else "",
    )


def _terms(assets: Assets, terms: CommitmentTerms) -> pb.CommitmentTerms:
    asset, price_asset = assets.of(terms.asset), assets.of(terms.price_asset)
    return pb.CommitmentTerms(
        kind=types_pb2.GrantKind.ValueType(terms.kind),
        asset=asset.code,
        price_asset=price_asset.code,
        priority=terms.priority,
        products=terms.products,
        tags=terms.tags,
        attributes=dict(terms.attributes),
        shared=terms.shared,
        metadata=dict(terms.metadata),
        scale=asset.scale,
        price_scale=price_asset.scale,
    )


def _state_of(view: CommitmentView, now_us: int) -> pb.CommitmentState.ValueType:
    if view.ended_at_us:
        return pb.COMMITMENT_STATE_ENDED
    over = max(segment.ends_at_us for segment in view.segments) <= now_us
    if over and view.invoiced == len(view.invoices):
        return pb.COMMITMENT_STATE_COMPLETED
    return pb.COMMITMENT_STATE_ACTIVE
