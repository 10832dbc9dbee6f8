"""Deciding re-rates: what earlier usage costs anew (rule R1), and what rows drew in their scopes.

Where usage, or a reversal, takes a total over a boundary of a volume price, the difference follows
as an entry of its own, upon the state that the usage has left. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.drawing.drawdown import draw
from ledger.core.drawing.unwinding import Unwinding
from ledger.core.events import (
    BookKind,
    EndedGrants,
    Event,
    GaugeCharged,
    GivenBack,
    LimitExceeded,
    PlanDeclared,
    Pot,
    Rerate,
    RowDraw,
    ScopedAdvance,
    Slice,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.opening import house_book, open_revenue
from ledger.core.pricing.pricing import (
    Place,
    Priced,
    closed_period,
    minimums_moved,
    minimums_of,
    months_of,
    moves_of,
)
from ledger.core.state import Account, State
from rating.functions import SCOPE_MINIMUM
from rating.minimums import Counted
from rating.plan import Plan
from rating.price import rerate

_NO_DRAWS: tuple[RowDraw, ...] = ()
_OVERAGE = (Pot.OVERAGE, Pot.EXCESS_BILLED)


def row_draws(
    plan: Plan, priced: Priced, used: int, slices: Sequence[Slice]
) -> tuple[RowDraw, ...]:
    """What the rows with a model and a running total drew: the slices pay for the lines in order,
    each takes what comes next."""
    if not plan.modeled or not slices:
        return _NO_DRAWS
    wanted: list[tuple[Place | None, int]] = []
    for index, charge in enumerate(priced.charges):
        key = plan.keys[index]
        scoped = plan.functions[index] is not None and key in priced.starts
        scoped = scoped and plan.lists[index] is None  # what goes back of that is its own (R9)
        wanted.append(((key, *priced.starts[key]) if scoped else None, max(charge, 0)))
    return split_draws(wanted, used, slices, priced.period)


def split_draws(
    wanted: Sequence[tuple[Place | None, int]],
    used: int,
    slices: Sequence[Slice],
    period: int,
) -> tuple[RowDraw, ...]:
    """Slices split over amounts in order: (whose total, amount), None = nobody's."""
    draws: list[RowDraw] = []
    place, left = 0, slices[0].amount if slices else 0
    for whose, amount in wanted:
        while amount:
            if left == 0:
                place += 1
                left = slices[place].amount
            piece = slices[place]
            take = min(amount, left)
            amount -= take
            left -= take
            if whose is not None:
                month = period if piece.pot in _OVERAGE else 0
                draws.append(RowDraw(*whose, used, piece.book, month, take))
    return tuple(draws)


def decide_rerate(
    state: State,
    event: UsageRecorded | UsageReversed,
    entry: int,
    rerates: tuple[Rerate, ...],
    out: list[Event],
) -> None:
    """Draw or give back what earlier usage costs more, or less, because of an entry that was just
    applied: all of `rerates` are of one sign."""
    account = state.accounts[event.account]
    declared = state.declared[event.plan]
    settles = isinstance(event, GaugeCharged)
    made = rerated(
        state, account, declared, event.effective_at, rerates, out, event.scoped, settles
    )
    out.append(UsageRerated(account.number, entry, event.effective_at, event.plan, rerates, *made))
    made.tell(account, declared.asset, out)


class Rerated(NamedTuple):
    """What a re-rate draws or gives back, in the order of the fields of its entry."""

    used_book: int
    slices: tuple[Slice, ...]
    given_back: tuple[GivenBack, ...]
    period: int
    over_limit: int
    kept: int
    draws: tuple[RowDraw, ...]
    scoped: tuple[ScopedAdvance, ...]

    def tell(self, account: Account, asset: int, out: list[Event]) -> None:
        """What landed beyond all limits."""
        if self.over_limit:
            excess = account.policy.excess
            out.append(LimitExceeded(account.number, asset, self.over_limit, excess))


def rerated(
    state: State,
    account: Account,
    declared: PlanDeclared,
    effective_at: int,
    rerates: tuple[Rerate, ...],
    out: list[Event],
    counted: Sequence[ScopedAdvance] = (),
    settles: bool = False,
) -> Rerated:
    """Draw or give back what earlier usage of an account, priced by such a plan, costs more or
    less: all of `rerates` are of one sign. `counted`: how the entry that it follows has moved what
    was charged for minimums."""
    tenant = account.tenant
    period = closed_period(state, account, effective_at, settles)[1]
    used = house_book(state, tenant, BookKind.USED, declared.asset, declared.product, out)
    slices: tuple[Slice, ...] = ()
    over_limit = 0
    if rerates[0].amount < 0:
        unwinding = Unwinding(state, declared.product, used, EndedGrants.RESTORE, -1, out)
        for each in rerates:
            unwinding.from_row(account, (each.key, each.scope, each.start), -each.amount)
        draws, kept = unwinding.draws, unwinding.kept
        given_back = tuple(unwinding.given_back)
    else:
        card = state.catalog.card((tenant, declared.rate_card))
        use = card.use_of(declared.card_version, declared.product, declared.attributes)
        wanted = [((each.key, each.scope, each.start), each.amount) for each in rerates]
        amount = sum([each.amount for each in rerates])
        drawn = draw(state, account, declared.asset, use, amount, effective_at, period, out, True)
        slices, over_limit = tuple(drawn.slices), drawn.over_limit
        open_revenue(state, tenant, declared.product, slices, out)
        draws, kept, given_back = split_draws(wanted, used, slices, period), 0, ()
    minimums = state.catalog.minimums_of(tenant, declared)
    scoped: tuple[ScopedAdvance, ...] = ()
    if minimums:
        given = sum([piece.amount for piece in given_back]) + kept
        moved = sum([piece.amount for piece in slices]) - given
        places = [each for each in counted if each.scope == SCOPE_MINIMUM]
        if not places:  # the entry itself has charged nothing here
            closed, _ = closed_period(state, account, effective_at, settles)
            found = minimums_of(state, account, minimums, effective_at, closed, settles=settles)
            places = [ScopedAdvance(key, SCOPE_MINIMUM, start, 0) for key, _, start, _ in found]
        scoped = _counted(declared, minimums, places, rerates, moved)
    return Rerated(used, slices, given_back, period, over_limit, kept, draws, scoped)


def _counted(
    declared: PlanDeclared,
    minimums: Sequence[Counted],
    places: Sequence[ScopedAdvance],
    rerates: tuple[Rerate, ...],
    amount: int,
) -> tuple[ScopedAdvance, ...]:
    """How far it moves what was charged for minimums: up, or down (below 0; rule R2)."""
    lines = [0] * len(declared.rows)
    for each in rerates:
        lines[declared.rows.index(each.row)] += abs(each.amount)
    moved = minimums_moved(minimums, places, abs(amount), lines)
    if amount > 0:
        return moved
    return tuple([ScopedAdvance(m.key, m.scope, m.start, -m.quantity) for m in moved])


def rerates_of(state: State, event: UsageRecorded | UsageReversed) -> tuple[Rerate, ...]:
    """What each row's earlier quantity costs more or less, now that the entry is applied."""
    if not event.scoped and not months_of(event):
        return ()
    account = state.accounts[event.account]
    plan = state.catalog.plan_of(account.tenant, state.declared[event.plan])
    if plan is None or not plan.rerates:
        return ()
    reversal = isinstance(event, UsageReversed)
    places = {place[0]: place for place in moves_of(event)}
    before = {
        place[0]: state.total(account, place) - (0 if reversal else quantity)
        for place, quantity in moves_of(event).items()
    }
    found: list[Rerate] = []
    for row, amount in rerate(plan, event.quantities, before):
        key = plan.keys[plan.rows.index(row)]
        if key in places:
            found.append(Rerate(row, *places[key], -amount if reversal else amount))
    return tuple(found)
