"""What work would cost and who would pay it: a look at the newest state that changes nothing."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, mint
from ledger.api.render_usage import override_at, unit_price
from ledger.core.books import Book
from ledger.core.drawdown import draw
from ledger.core.events import PlanDeclared, Pot, Slice
from ledger.core.holds import Assessment, assess, available_in_all, available_to
from ledger.core.outcomes import Reason, Refusal
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
        return Refusal(Reason.ACCOUNT_UNKNOWN, "account", "", "the account is not open yet")
    at_us = effective_at_us or state.present(clock_us)
    found = assess(state, account, shape, values, at_us)
    if isinstance(found, Refusal):
        return found
    bound, plan = state.catalog.step(account.card_key, shape, at_us, values)
    slices: list[Slice] = []
    left = 0
    if found.charge:
        period = account.calendar.start_of(at_us)
        drawn = draw(state, account, bound.asset, bound.use, found.charge, at_us, period, [], False)
        slices, left = drawn.slices, drawn.left
    books = state.books.accounts
    numbered = tuple(
        (piece, _grant_of(books[piece.book]) if piece.pot == Pot.GRANT else (0, 0))
        for piece in slices
    )
    own = tuple(own_quantities(plan, values))
    available = available_in_all(account, bound.asset, at_us)
    applicable = available_to(account, bound.asset, bound.use, at_us)
    return Priced(found, bound.declaration, plan, own, numbered, left, at_us, available, applicable)


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
