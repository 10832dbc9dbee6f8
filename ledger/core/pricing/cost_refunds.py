"""What the provider takes less where usage is given back (rules B4, R1).

Only where a reversal or an amendment asks for it: the work was done. How much is priced as it was
recorded, by the card of costs and its running totals. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ledger.core.commands import Original
from ledger.core.events import (
    Event,
    GivenBack,
    PlanDeclared,
    ProviderCost,
    Slice,
    UsageRecorded,
)
from ledger.core.pricing.costs import Starts, by_scope, cost_total, house_books
from ledger.core.state import Account, State
from rating.functions import SCOPE_DAY, SCOPE_MONTH
from rating.model_lines import Facts, Standing
from rating.plan import UNPRICED, Plan
from rating.price import RatingFault, refund
from rating.shares import split


def bearing_nothing(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """The slices without their cost."""
    return tuple([replace(piece, cost=0) for piece in slices])


def given_back_with(pieces: Sequence[GivenBack], cost: int) -> tuple[GivenBack, ...]:
    """What goes back with what the provider takes less, split over it by amounts (rule N3)."""
    if not cost or not pieces:
        return tuple(pieces)
    parts = split(cost, [piece.amount for piece in pieces])
    return tuple([replace(piece, cost=part) for piece, part in zip(pieces, parts, strict=True)])


def cost_given_back(
    state: State,
    account: Account,
    original: Original,
    left: tuple[int, ...],
    quantities: tuple[int, ...],
    plan_index: int,
    out: list[Event],
) -> ProviderCost:
    """What the provider takes less where quantities of an event are given back, of which `left`
    stood: F(Q) - F(Q - q) of each line, as prices do (rule R1).

    `out` has the books that `open_for` opens. A line whose price belongs to the single event, or
    whose day is forgotten, gives back its share of what was recorded, so that all parts add up to
    it.
    """
    recorded = original.event
    assert isinstance(recorded, UsageRecorded) and recorded.cost is not None
    cost, declared = recorded.cost, original.cost_plan
    assert declared is not None
    rest = tuple([a - b for a, b in zip(left, quantities, strict=True)])
    stands, after = _shares(recorded, cost, left), _shares(recorded, cost, rest)
    shares = [stood - stays for stood, stays in zip(stands, after, strict=True)]
    starts = {key: (SCOPE_MONTH, recorded.period) for key, _ in cost.advances}
    starts.update({each.key: (each.scope, each.start) for each in cost.scoped})
    plan = _plan_of(state, account, original, declared)
    moved: tuple[tuple[int, int], ...] = ()
    lines = shares
    if plan is not None:
        totals = {key: cost_total(account, key, *start) for key, start in starts.items()}
        facts = Facts(dict(declared.attributes))
        try:
            refunds, moved = refund(plan, quantities, totals, facts, Standing(left, stands))
            moved = tuple([each for each in moved if _runs_on(state, starts, each[0])])
            lines = _lines(plan, refunds, shares, {key for key, _ in moved})
        except RatingFault:
            moved = ()  # what is left of it contradicts itself: shares
    known = [0 if was == UNPRICED else line for was, line in zip(cost.lines, lines, strict=True)]
    months, scoped = by_scope(moved, starts)
    debit, credit = cost.cost_book, cost.payable_book
    if any(known) and not debit:
        debit, credit = _books_of(state, account, declared, out)
    return ProviderCost(tuple(known), plan_index, debit, credit, months, scoped)


def _plan_of(
    state: State, account: Account, original: Original, declared: PlanDeclared
) -> Plan | None:
    """The plan of the cost; None = shares of what was recorded: no plan is known, or quantities are
    parts of others there alone (rule R8), so that what goes back need not keep to that."""
    plan = state.catalog.plan_of(account.tenant, declared)
    if plan is None or not plan.parents or original.plan is None:
        return plan
    priced = state.catalog.plan_of(account.tenant, original.plan)
    return plan if priced is not None and priced.parents == plan.parents else None


def open_for(state: State, account: Account, original: Original, out: list[Event]) -> None:
    """Open the books that giving the cost of an event back may need: by rounding it may be more
    than the event itself had cost, which may be nothing."""
    recorded, declared = original.event, original.cost_plan
    assert isinstance(recorded, UsageRecorded) and declared is not None
    cost = recorded.cost
    if cost is not None and not cost.cost_book and (cost.advances or cost.scoped):
        _books_of(state, account, declared, out)


def _books_of(
    state: State, account: Account, declared: PlanDeclared, out: list[Event]
) -> tuple[int, int]:
    card = state.catalog.card((account.tenant, declared.rate_card))
    provider = card.provider(declared.card_version, declared.product)
    return house_books(state, account.tenant, declared.asset, provider, out)


def cost_shares(
    recorded: UsageRecorded, left: tuple[int, ...], quantities: tuple[int, ...]
) -> tuple[list[int], list[int]]:
    """What quantities that are given back bear of the recorded lines, and what `left` of them does:
    for prices that rest on the cost; -1 = it is not known, [] = none is."""
    cost = recorded.cost
    if cost is None:
        return [], []
    rest = tuple([a - b for a, b in zip(left, quantities, strict=True)])
    stands, after = _shares(recorded, cost, left), _shares(recorded, cost, rest)
    back = [
        UNPRICED if stood == UNPRICED else stood - stays
        for stood, stays in zip(stands, after, strict=True)
    ]
    return back, stands


def _lines(plan: Plan, refunds: Sequence[int], shares: Sequence[int], moved: set[int]) -> list[int]:
    """By the price of the unit or by running totals where either says it, else by shares."""
    lines: list[int] = []
    for index, share in enumerate(shares):
        function = plan.functions[index] if plan.modeled else None
        if function is None or (plan.keys[index] in moved and not function.transactional):
            lines.append(refunds[index])
        else:
            lines.append(share)
    return lines


def _runs_on(state: State, starts: Starts, key: int) -> bool:
    """Whether the total is still there; days are forgotten before months are."""
    scope, start = starts.get(key, (SCOPE_DAY, 0))
    return scope != SCOPE_DAY or start > state.days_before


def _shares(recorded: UsageRecorded, cost: ProviderCost, part: tuple[int, ...]) -> list[int]:
    """What such a part of each quantity bears of its line, rounded down; -1 = it is not known."""
    return [
        UNPRICED if line == UNPRICED else line * some // whole if whole else 0
        for line, whole, some in zip(cost.lines, recorded.quantities, part, strict=True)
    ]
