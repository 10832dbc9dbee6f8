"""What the provider takes for usage, beside what it is charged (rules B4, N3, R1).

A rate card may name a card of costs of the same form. Usage is priced by it as by any card, by the
version in force at its effective time and over running totals of its own, which stand apart from
those of prices. What it has no price for is not known: usage is never refused or held up for that.
Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Final

from msgspec.structs import replace

from ledger.core.catalog import Bound
from ledger.core.events import (
    BookKind,
    Event,
    PlanDeclared,
    ProviderCost,
    ScopedAdvance,
    Slice,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.limits import INT64_MAX
from ledger.core.opening import declare, house_book
from ledger.core.outcomes import Refusal
from ledger.core.pricing.pricing import closed_period, overflow
from ledger.core.pricing.scopes import scope_starts
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from rating.functions import SCOPE_MONTH
from rating.plan import UNPRICED
from rating.price import RatingFault, rate, rate_apart
from rating.shares import split

Starts = Mapping[int, tuple[int, int]]
"""Key of a running total -> its scope, and where that starts."""

_NO_TOTALS: Final[dict[int, int]] = {}
_NO_ADVANCES: Final[tuple[tuple[int, int], ...]] = ()


class Cost:
    """What the provider takes for one usage event, in minor units of the cost card's asset.

    `lines` stand parallel to the quantities, -1 = not known; `total` is the sum of the known ones.
    """

    __slots__ = ("advances", "bound", "lines", "scoped", "total")

    def __init__(
        self,
        bound: Bound,
        lines: tuple[int, ...],
        total: int,
        advances: tuple[tuple[int, int], ...],
        scoped: tuple[ScopedAdvance, ...],
    ) -> None:
        self.bound = bound
        self.lines = lines
        self.total = total
        self.advances = advances
        self.scoped = scoped


def cost_of(
    state: State,
    account: Account,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
    settles: bool = False,
) -> Cost | Refusal | None:
    """What usage of that time costs; None where the card that prices it names no card of costs.

    Refused only where it would fit no transfer (rule N1).
    """
    if bound.cost_card is None:
        return None
    priced, plan = state.catalog.step(bound.cost_card, shape, at, quantities)
    totals = _NO_TOTALS
    starts: Starts = {}
    if plan.running:
        closed, period = closed_period(state, account, at, settles)
        counted = at if closed is None else state.now
        starts = scope_starts(account, plan, period, counted)
        totals = {key: cost_total(account, key, *start) for key, start in starts.items()}
    try:
        lines, total, moved, _ = rate(plan, quantities, totals, priced.facts)
    except RatingFault:
        lines, total, moved = _apart(priced, quantities, totals)
    if total > INT64_MAX:
        return overflow(state, priced, total)
    advances, scoped = by_scope(moved, starts)
    return Cost(priced, lines, total, advances, scoped)


def costs_for(
    state: State,
    account: Account,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
) -> tuple[int, ...] | Refusal:
    """The lines that prices rest on, where any of the plan does, for what records no cost."""
    if not bound.plan.costed:
        return ()
    cost = cost_of(state, account, bound, shape, quantities, at)
    if isinstance(cost, Refusal):
        return cost
    return cost.lines if cost is not None else ()


def usual_cost(
    state: State,
    account: Account,
    cost_card: tuple[int, str],
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
    month: int,
) -> Cost | None:
    """The same for usage of a month that is open, where the card has priced its shape before by the
    unit and its books are open; None = it takes a closer look."""
    card = state.catalog.cards.get(cost_card)
    if card is None or at < card.settled_from_us:
        return None
    bound = card.settled.get(shape)
    if bound is None:
        return None
    plan = bound.plan
    if plan.simple:
        lines = tuple(map(mul, plan.numerators, quantities))
        total = sum(lines)
        advances = _NO_ADVANCES
    else:
        if plan.steps:
            bound = card.step(bound, shape, quantities)
            plan = bound.plan
        if plan.modeled:
            return None
        totals = _NO_TOTALS
        if not plan.whole:
            totals = {key: account.totals.get((~key, month), 0) for key, _ in plan.running}
        try:
            lines, total, advances, _ = rate(plan, quantities, totals)
        except RatingFault:
            return None
    if total > INT64_MAX or (total and not _books(state, bound)[0]):
        return None
    return Cost(bound, lines, total, advances, ())


def _books(state: State, bound: Bound) -> tuple[int, int]:
    """Numbers of the books that a cost moves, where both are open; else 0, 0."""
    found = state.cost_books.get(bound)
    if found is None:
        tenant, asset, provider = bound.used_key[0], bound.asset, bound.provider
        debit = state.house.get((tenant, BookKind.COST, asset, provider))
        credit = state.house.get((tenant, BookKind.PAYABLE, asset, provider))
        if debit is None or credit is None:
            return (0, 0)
        found = state.cost_books[bound] = (debit.number, credit.number)
    return found


def _apart(
    bound: Bound, quantities: tuple[int, ...], totals: Mapping[int, int]
) -> tuple[tuple[int, ...], int, tuple[tuple[int, int], ...]]:
    """Line by line, where one cannot be priced; none is known where they contradict each other."""
    try:
        if bound.plan.modeled:
            (lines, total, moved, _), _ = rate_apart(bound.plan, quantities, totals, bound.facts)
            return lines, total, moved
    except RatingFault:
        pass
    return tuple([UNPRICED if quantity else 0 for quantity in quantities]), 0, ()


def cost_total(account: Account, key: int, scope: int, start: int) -> int:
    """A running total of costs: they stand under ~key, so that no price reads or moves them."""
    return account.total(~key, scope, start)


def by_scope(
    moved: Sequence[tuple[int, int]], starts: Starts
) -> tuple[tuple[tuple[int, int], ...], tuple[ScopedAdvance, ...]]:
    """Advances of months, and those of days and billing periods."""
    months = [(key, quantity) for key, quantity in moved if starts[key][0] == SCOPE_MONTH]
    others = [
        ScopedAdvance(key, *starts[key], quantity)
        for key, quantity in moved
        if starts[key][0] != SCOPE_MONTH
    ]
    return tuple(months), tuple(others)


def bearing(slices: Sequence[Slice], cost: int) -> tuple[Slice, ...]:
    """The slices with the cost split over them by their amounts, so that it adds up (rule N3)."""
    if not cost or not slices:
        return tuple(slices)
    if len(slices) == 1:
        return (replace(slices[0], cost=cost),)
    parts = split(cost, [piece.amount for piece in slices])
    return tuple([replace(piece, cost=part) for piece, part in zip(slices, parts, strict=True)])


def provider_cost(state: State, account: Account, cost: Cost, out: list[Event]) -> ProviderCost:
    """The cost as an entry says it; the books that it needs are appended to `out`."""
    debit = credit = 0
    bound = cost.bound
    if cost.total:
        debit, credit = _books(state, bound)
        if not debit:
            debit, credit = house_books(state, account.tenant, bound.asset, bound.provider, out)
    plan = declare(state, bound.declaration, out)
    return ProviderCost(cost.lines, plan, debit, credit, cost.advances, cost.scoped)


def house_books(
    state: State, tenant: int, asset: int, provider: str, out: list[Event]
) -> tuple[int, int]:
    """Numbers of a provider's cost and payable, to be opened if there are none."""
    return (
        house_book(state, tenant, BookKind.COST, asset, provider, out),
        house_book(state, tenant, BookKind.PAYABLE, asset, provider, out),
    )


def cost_plan_of(events: Sequence[Event], index: int) -> PlanDeclared | None:
    """The declaration that the cost of an entry of a batch names; None where it says none."""
    event = events[index]
    cost = event.cost if isinstance(event, UsageRecorded | UsageReversed) else None
    if cost is None:
        return None
    declared = events[cost.plan]
    assert isinstance(declared, PlanDeclared)
    return declared
