"""Recorded reversals as messages: where units went, by the names of the books (rules B2, D3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ledger.api.edge import Edge
from ledger.api.ids import GRANT, mint
from ledger.api.rendering.render_usage import BookView, book_name, book_view
from ledger.core.events import (
    OF_AN_ACCOUNT,
    BookKind,
    GivenBack,
    PlanDeclared,
    Slice,
    UsageReversed,
)
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.v1 import correction_pb2 as pb

Seen: TypeAlias = dict[int, BookView]
"""The books that reversals name: what rendering needs of one shard's state."""


def owners_of(seen: Seen) -> set[int]:
    """Accounts that books belong to."""
    return {book.owner for book in seen.values() if book.kind in OF_AN_ACCOUNT}


def see(state: State, given_back: Sequence[GivenBack], slices: Sequence[Slice] = ()) -> Seen:
    """The books that these transfers name."""
    numbers = {number for piece in given_back for number in (piece.drawn, piece.book)}
    numbers |= {piece.book for piece in slices}
    return {number: book_view(state.books.accounts[number]) for number in sorted(numbers)}


def render_reversal(
    edge: Edge,
    result: pb.ReversalResult,
    event: UsageReversed,
    plan: PlanDeclared,
    seen: Seen,
    shard: int,
    names: dict[int, str],
    parts: Sequence[Replay] = (),
) -> None:
    """All but outcome, replay mark and place. `parts` stand before it: they give back what rated
    the usage after it had waited for a price."""
    result.amount = event.apart + sum([piece.amount for piece in event.given_back])
    result.shard = shard
    result.original_entry_seq = event.original_entry
    result.quantities.update(
        {
            name: quantity
            for name, quantity in zip(plan.quantity_names, event.quantities, strict=True)
            if quantity
        }
    )
    for part in parts:
        assert isinstance(part.event, UsageReversed) and part.plan is not None
        _name_asset(edge, result, part.plan)
        for piece in part.event.given_back:
            result.given_back.append(
                render_given_back(edge, piece, part.plan.asset, seen, shard, names)
            )
    _name_asset(edge, result, plan)
    for piece in event.given_back:
        result.given_back.append(render_given_back(edge, piece, plan.asset, seen, shard, names))


def _name_asset(edge: Edge, result: pb.ReversalResult, plan: PlanDeclared) -> None:
    if plan.asset:
        asset = edge.assets.of(plan.asset)
        result.asset, result.scale = asset.code, asset.scale


def pieces_of(event: UsageReversed, parts: Sequence[Replay]) -> list[GivenBack]:
    """All that a reversal gives back."""
    pieces = list(event.given_back)
    for part in parts:
        assert isinstance(part.event, UsageReversed)
        pieces.extend(part.event.given_back)
    return pieces


def render_given_back(
    edge: Edge, piece: GivenBack, asset: int, seen: Seen, shard: int, names: dict[int, str]
) -> pb.GivenBack:
    """One transfer of units that went back."""
    drawn, credited = seen[piece.drawn], seen[piece.book]
    money = drawn.price_asset if drawn.kind == BookKind.GRANT else asset
    value_asset = edge.assets.of(money if piece.value else 0)
    is_grant = credited.kind == BookKind.GRANT
    return pb.GivenBack(
        drawn_from=book_name(drawn, shard, names),
        credited_to=book_name(credited, shard, names),
        grant_id=mint(GRANT, shard, credited.holder, credited.owner) if is_grant else "",
        restored=is_grant and drawn.kind == BookKind.GRANT and piece.drawn != piece.book,
        amount=piece.amount,
        value=piece.value,
        value_asset=value_asset.code,
        value_scale=value_asset.scale,
        cost=piece.cost,
    )
