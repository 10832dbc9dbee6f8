"""What a quote does for the usage that names it (rule H9): it prices a part, or says why not.

Of each quantity, without its subsets, as much as was quoted and the tolerance beyond is priced by
the quoted rows, from where the running totals stood then; so the quoted quantity costs the quoted
charge. What is more is priced as any usage, after it. Both move the running totals of their rows in
the month of the usage: the rounding of either goes on from both (rule R1). Where a quantity has no
plain price now in the quote's asset, the quote prices all of it. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import astuple

from ledger.core.catalog import Bound
from ledger.core.events import (
    PlanDeclared,
    PlanOverridden,
    QuotedPart,
    QuoteUnused,
    Suspense,
    UsageCosted,
    UsageModeled,
    UsageQuoted,
    UsageRecorded,
)
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import (
    Priced,
    closed_period,
    minimums_of,
    overflow,
    price,
    rating_fault,
    rounding_totals,
)
from ledger.core.pricing.quotes import QUOTE_EXPIRED, QUOTE_USED, Quote
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from rating.overridden import plan_again
from rating.overrides import NumberedOverride
from rating.plan import NO_ROW, Plan
from rating.price import UNPRICED, RatingFault, own_quantities, rate_own, refund_own

_SETTLED: Final = {
    QUOTE_USED: QuoteUnused.QUOTE_USED,
    QUOTE_EXPIRED: QuoteUnused.QUOTE_EXPIRED,
}


class ByQuote(NamedTuple):
    """Usage priced by a quote: `bound` prices what is beyond `part`, or all where `unused`."""

    quote: int
    bound: Bound
    priced: Priced
    part: QuotedPart | None
    unused: QuoteUnused

    def of(self, recorded: UsageRecorded) -> UsageQuoted:
        """The same entry as usage that names a quote."""
        figures = astuple(recorded)
        if not isinstance(recorded, UsageModeled):
            figures = (*figures, (), (), (), (), ())
        if not isinstance(recorded, UsageCosted):
            figures = (*figures, None)
        figures = (*figures, self.quote, self.part, self.unused)
        return UsageQuoted(*figures)


_WHY: Final = {
    QuoteUnused.QUOTE_UNKNOWN: "the account has no such quote, or it was settled 35 days ago",
    QuoteUnused.QUOTE_OTHER_WORK: "the quote is for another product, attributes or quantities",
    QuoteUnused.QUOTE_EXPIRED: "the quote has expired; ask for another",
    QuoteUnused.QUOTE_USED: "the quote was used before: it prices one piece of work",
    QuoteUnused.QUOTE_HELD: "a hold reserves the quote: capture that, or release it first",
}


def quote_refused(unused: QuoteUnused, number: int) -> Refusal:
    """Why a decision may not go by a quote; usage that has happened is priced without it."""
    return Refusal(Reason(unused.name), "quote_id", str(number), _WHY[unused])


def find_quote(
    state: State,
    account: Account,
    number: int,
    product: str,
    attributes: tuple[tuple[str, str], ...],
    hold: int = 0,
) -> Quote | QuoteUnused:
    """The account's quote for such work, or why it prices none; `hold` is the one that asks."""
    quote = state.quote_of(account, number)
    if quote is None:
        return QuoteUnused.QUOTE_UNKNOWN
    if quote.plan.product != product or quote.plan.attributes != attributes:
        return QuoteUnused.QUOTE_OTHER_WORK
    settled = _SETTLED.get(quote.state)
    if settled is not None:
        return settled
    if quote.hold != hold:
        return QuoteUnused.QUOTE_HELD
    return quote


def price_by_quote(
    state: State,
    account: Account,
    number: int,
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
    hold: int = 0,
) -> ByQuote | Refusal:
    """Price usage of that time that names a quote."""
    live = bound_for(state, account, shape, at, quantities)
    quote = find_quote(state, account, number, shape.product, shape.attributes, hold)
    if isinstance(quote, Quote):
        pinned = _pinned(state, account, shape, quote)
        beyond = live if live.asset == pinned.asset and not live.plan.modeled else pinned
        try:
            own = own_quantities(beyond.plan, quantities)
        except RatingFault as fault:
            return rating_fault(fault)
        covered = _covered(quote, beyond.plan, own, whole=beyond is pinned)
        apart = [own[index] for index, row in enumerate(pinned.plan.rows) if row == NO_ROW]
        if any(covered) and (beyond is live or not any(apart)):
            return _price(state, account, quote, pinned, beyond, own, covered, at)
        quote = QuoteUnused.QUOTE_OTHER_WORK
    costs = costs_for(state, account, live, shape, quantities, at)
    if isinstance(costs, Refusal):
        return costs
    priced = price(state, account, live, quantities, at, costs=costs)
    if isinstance(priced, Refusal):
        return priced
    if not live.plan.modeled:
        _note_before(state, account, priced)
    return ByQuote(number, live, priced, None, quote)


def _note_before(state: State, account: Account, priced: Priced) -> None:
    """Where the totals of plain rows stand before the event."""
    stood = [account.totals.get((row, priced.period), 0) for row, _ in priced.advances]
    stood += [state.total(account, (each.key, each.scope, each.start)) for each in priced.scoped]
    priced.totals_before = tuple(stood)


def _pinned(state: State, account: Account, shape: Shape, quote: Quote) -> Bound:
    """The shape priced by the quoted rows; what the quote does not name has no price there."""
    plan = quote.plan
    places = {name: index for index, name in enumerate(plan.quantity_names)}
    rows: list[int] = []
    overrides: list[NumberedOverride | None] = []
    for name in shape.quantity_names:
        place = places.get(name)
        rows.append(plan.rows[place] if place is not None else NO_ROW)
        if plan.overrides:
            overrides.append(plan.overrides[place] if place is not None else None)
    declared = (
        shape.product,
        shape.attributes,
        shape.quantity_names,
        plan.rate_card,
        plan.card_version,
        tuple(rows),
        plan.asset,
    )
    card = state.catalog.card((account.tenant, plan.rate_card))
    return card.declared(
        shape,
        PlanOverridden(*declared, tuple(overrides)) if overrides else PlanDeclared(*declared),
    )


def _covered(quote: Quote, beyond: Plan, own: Sequence[int], *, whole: bool) -> tuple[int, ...]:
    """How much of each quantity the quote prices; of `whole` quantities all that it names."""
    covered: list[int] = []
    for index, name in enumerate(beyond.quantities):
        quantity = own[index]
        if name in quote.plan.quantity_names and (whole or beyond.rows[index] == NO_ROW):
            covered.append(quantity)
        else:
            covered.append(min(quantity, quote.most(name)))
    return tuple(covered)


def _price(
    state: State,
    account: Account,
    quote: Quote,
    pinned: Bound,
    beyond: Bound,
    own: Sequence[int],
    covered: tuple[int, ...],
    at: int,
) -> ByQuote | Refusal:
    closed, period = closed_period(state, account, at)
    quoted, quoted_total, quoted_moves, _ = rate_own(pinned.plan, covered, dict(quote.positions))
    totals = rounding_totals(account, beyond.plan, period)
    for row, quantity in quoted_moves:
        totals[row] = totals.get(row, account.totals.get((row, period), 0)) + quantity
    rest = [whole - part for whole, part in zip(own, covered, strict=True)]
    lines, total, moves, _ = rate_own(beyond.plan, rest, totals)
    priced = Priced(closed, period)
    priced.charges = tuple(
        [
            UNPRICED if line == UNPRICED else line + part
            for line, part in zip(lines, quoted, strict=True)
        ]
    )
    priced.total = quoted_total + total
    priced.advances = _both(quoted_moves, moves)
    if beyond.minimums:
        priced.minimums = minimums_of(state, account, beyond.minimums, at, closed)
        priced.count_minimums()
    _note_before(state, account, priced)
    if UNPRICED in priced.charges:
        priced.suspense = int(Suspense.UNPRICED)
    if priced.total > INT64_MAX:
        return overflow(state, beyond, priced.total)
    plan = pinned.plan
    kept = tuple([each for each in quote.positions if each[0] in plan.rows])
    part = QuotedPart(
        quote.plan.rate_card,
        quote.plan.card_version,
        plan.rows,
        covered,
        quoted,
        kept,
        pinned.declaration.overrides,
    )
    return ByQuote(quote.number, beyond, priced, part, QuoteUnused.NONE)


def _both(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Moves of two parts of one event, one a row."""
    moves = dict(first)
    for row, quantity in second:
        moves[row] = moves.get(row, 0) + quantity
    return tuple(moves.items())


def refund_quoted(
    state: State,
    account: Account,
    plan: Plan,
    recorded: UsageQuoted,
    back: Sequence[int],
    stays: Sequence[int],
    totals: dict[int, int],
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """What `back` of quoted usage costs less where `stays` is left of it, and the totals that move
    back: first what was beyond the quote, as any usage, then what the quote priced, for what it was
    charged (rules H9, R1, D3). Raises RatingFault."""
    part = recorded.part
    assert part is not None
    after, own_back = own_quantities(plan, stays), own_quantities(plan, back)
    own_left = [a + b for a, b in zip(after, own_back, strict=True)]
    rest = [max(0, each - most) for each, most in zip(own_left, part.quantities, strict=True)]
    rest_after = [max(0, each - most) for each, most in zip(after, part.quantities, strict=True)]
    rest_back = [a - b for a, b in zip(rest, rest_after, strict=True)]
    quoted = [a - b for a, b in zip(own_left, rest, strict=True)]
    quoted_back = [a - b for a, b in zip(own_back, rest_back, strict=True)]
    lines, moves = refund_own(plan, rest_back, rest, totals)
    card = state.catalog.card((account.tenant, part.rate_card)).card(part.card_version)
    assert card is not None, f"no version {part.card_version} of card {part.rate_card!r}"
    pinned = plan_again(card, plan.quantities, part.rows, part.overrides)
    stood = dict(part.positions)
    for row, quantity in zip(part.rows, quoted, strict=True):
        stood[row] = stood.get(row, 0) + quantity
    quoted_lines, quoted_moves = refund_own(pinned, quoted_back, quoted, stood)
    both = tuple([a + b for a, b in zip(lines, quoted_lines, strict=True)])
    return both, _both(quoted_moves, moves)
