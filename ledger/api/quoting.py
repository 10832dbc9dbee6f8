"""What work would cost and who would pay it: a look at the newest state that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, mint
from ledger.api.rendering.render_usage import override_at, unit_price
from ledger.core.books import Book
from ledger.core.decisions.assessing import Assessment, assess, available_in_all, available_to
from ledger.core.drawing.drawdown import draw
from ledger.core.events import PlanDeclared, Pot, Slice
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import Cost, cost_of
from ledger.core.shapes import Shape
from ledger.core.state import State
from rating.compile import NO_ROW, Plan
from rating.price import UNPRICED, own_quantities
from rating.v1 import pricing_pb2 as pb


class Priced(NamedTuple):
    """A quote, in the core's terms. `left` is what no pot would pay."""

    assessment: Assessment
    declared: PlanDeclared
    plan: Plan
    own: tuple[int, ...]
    slices: tuple[tuple[Slice, tuple[int, int]], ...]  # with the account and number of its grant
    left: int
    at_us: int
    available: int  # before it is paid, in all and to this very work
    applicable: int
    cost: Cost | None  # what the provider would take; None = the card names no costs
    value: int  # what the slices would recognise of the money that the cost is in


def price(
    state: State,
    number: int,
    shape: Shape,
    values: tuple[int, ...],
    effective_at_us: int,
    clock_us: int,
) -> Priced | Refusal:
    """Price work by the rates in force at its effective time, paid from what is there now."""
    account = state.accounts.get(number)
    if account is None:
        return Refusal(
            Reason.ACCOUNT_UNKNOWN,
            "account",
            "",
            "the account is not open yet; send its Create again",
        )
    at_us = effective_at_us or state.present(clock_us)
    found = assess(state, account, shape, values, at_us)
    if isinstance(found, Refusal):
        return found
    bound = bound_for(state, account, shape, at_us, values)
    plan = bound.plan
    slices: list[Slice] = []
    left = 0
    if found.charge:
        period = account.calendar.start_of(at_us)
        drawn = draw(state, account, bound.asset, bound.use, found.charge, at_us, period, [], False)
        slices, left = drawn.slices, drawn.left
    cost = cost_of(state, account, bound, shape, values, at_us)
    if isinstance(cost, Refusal):
        return cost
    books = state.books.accounts
    value = _value_in(cost.bound.asset, books, slices) if cost is not None else 0
    numbered = tuple(
        (piece, _grant_of(books[piece.book]) if piece.pot == Pot.GRANT else (0, 0))
        for piece in slices
    )
    own = tuple(own_quantities(plan, values))
    available = available_in_all(account, bound.asset, at_us)
    applicable = available_to(account, bound.asset, bound.use, at_us)
    return Priced(
        found,
        bound.declaration,
        plan,
        own,
        numbered,
        left,
        at_us,
        available,
        applicable,
        cost,
        value,
    )


def _value_in(money: int, books: Mapping[int, Book], slices: Sequence[Slice]) -> int:
    """What slices would recognise in one money: by grants sold in it, and as overage in it."""
    value = 0
    for piece in slices:
        book = books.get(piece.book)
        grant = book.grant if book is not None else None
        if piece.value and money == (grant.price_asset if grant is not None else money):
            value += piece.value
    return value


def _grant_of(book: Book) -> tuple[int, int]:
    """(account, number) of the grant whose book it is: it may be an ancestor's that is shared."""
    assert book.grant is not None
    return book.grant.account.number, book.grant.number


def render_quote(
    assets: Assets, priced: Priced, values: tuple[int, ...], shard: int
) -> pb.QuoteResponse:
    """The quote as a message."""
    found, declared = priced.assessment, priced.declared
    asset = assets.of(declared.asset)
    response = pb.QuoteResponse(
        charge=found.charge,
        asset=asset.code,
        scale=asset.scale,
        uncovered=priced.left,
        allowed=not found.denied,
        reason=found.denied,
        rate_card=declared.rate_card if declared.card_version else "",
        rate_card_version=declared.card_version,
        effective_at_us=priced.at_us,
    )
    for place, name in enumerate(declared.quantity_names):
        charge = found.charges[place]
        response.lines.add(
            quantity_name=name,
            quantity=values[place],
            priced_quantity=priced.own[place],
            price_row=max(declared.rows[place], NO_ROW),
            price_override=override_at(declared, place),
            unit_price=unit_price(priced.plan, place),
            charge=max(charge, 0),
            unrated_reason=found.reasons[place] if charge == UNPRICED else "",
        )
    if priced.cost is not None:
        money = assets.of(priced.cost.bound.asset)
        response.cost.CopyFrom(
            pb.QuoteCost(
                cost=priced.cost.total,
                asset=money.code,
                scale=money.scale,
                unknown=[
                    name
                    for name, line in zip(declared.quantity_names, priced.cost.lines, strict=True)
                    if line == UNPRICED
                ],
                value=priced.value,
                margin=priced.value - priced.cost.total,
            )
        )
    for piece, grant in priced.slices:
        if piece.pot == Pot.GRANT:
            response.grants.add(grant_id=mint(GRANT, shard, *grant), amount=piece.amount)
        elif piece.pot == Pot.OVERDRAFT:
            response.overdraft += piece.amount
        else:
            response.overage += piece.amount
    if declared.card_version:
        paid = found.charge - response.overage - priced.left
        response.available_after = str(priced.available - paid)
        response.applicable_after = str(priced.applicable - paid)
    return response
