"""Which usage a job rates again, and which it leaves alone (rule R7).

Usage is touched that costs otherwise by the version that the job names; and what came later over
totals that the new price goes on with, so that they come out. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from ledger.core.admission import refuse_closed, refuse_frozen
from ledger.core.catalog import Bound, PricedCard
from ledger.core.commands import Original
from ledger.core.events import (
    PlanDeclared,
    SuspenseRated,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
)
from ledger.core.limits import CORRECTION_WINDOW_US, INT64_MAX, QUANTITIES_MAX
from ledger.core.metering.given_back import WholeRefund, whole_refund
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import Place, Priced, price
from ledger.core.pricing.repriced import bound_by
from ledger.core.shapes import Shape
from ledger.core.state import Account, Corrected, State
from rating.functions import SCOPE_MONTH
from rating.plan import NO_ROW, Plan, row_of
from rating.price import RatingFault

UNCORRECTED: Final = Corrected(0, (), 0, 0)
"""Of usage that nothing was given back of."""


class LeftAlone(StrEnum):
    """Why a job does not rate usage again, besides what a reversal is refused for (rule R7)."""

    QUOTED = "QUOTED"  # a quote binds its price
    AMENDED = "AMENDED"  # by hand: it stands in the stead of other usage, or goodwill was given
    REVERSED = "REVERSED"  # nothing is left of it
    SUSPENSE = "SUSPENSE"  # it waits for a price, or has waited
    TOO_OLD = "TOO_OLD"  # more than 400 days
    UNPRICED = "UNPRICED"  # the version does not price all of it
    SHARED_TOTAL = "SHARED_TOTAL"  # its price rests on usage of other accounts
    CLOSED_VOLUME = "CLOSED_VOLUME"  # a volume price of a closed period: what it re-rated is apart


class Touched:
    """Usage that is to be rated again, and by what."""

    __slots__ = (
        "account",
        "at",
        "bound",
        "closed",
        "original",
        "period",
        "quantities",
        "same",
        "shape",
    )

    def __init__(
        self,
        account: Account,
        original: Original,
        shape: Shape,
        bound: Bound,
        quantities: tuple[int, ...],
        closed: bool = False,
        same: bool = False,
    ) -> None:
        recorded = original.event
        assert isinstance(recorded, UsageRecorded)
        self.account = account
        self.original = original
        self.shape = shape
        self.bound = bound
        self.at = recorded.effective_at
        self.period = recorded.period
        self.quantities = quantities  # all that is left of it
        self.closed = closed  # the period that it was charged in is closed
        self.same = same  # it was priced so already, over totals that may be touched

    @property
    def shares_totals(self) -> bool:
        """Whether the new price goes on with totals that the old one moved: then all usage of a
        scope is given back before any is recorded again."""
        keys = {place[0] for place in self.places}
        return any(key in keys for key, _ in self.bound.plan.running)

    @property
    def places(self) -> list[Place]:
        """The totals that it moved."""
        recorded = self.original.event
        assert isinstance(recorded, UsageRecorded)
        places: list[Place] = [(key, SCOPE_MONTH, recorded.period) for key, _ in recorded.advances]
        return places + [(each.key, each.scope, each.start) for each in recorded.scoped]


def consider(
    state: State, original: Original, rate_card: str, version: int, *, amended: bool
) -> Touched | str | None:
    """Usage that costs otherwise by the version, or why it is left alone; None = it costs the same.
    Where the price is the same over totals that run on, it is for `whole_scopes` to say.

    `amended`: it stands in the stead of other usage. Whatever else a reversal is refused for is
    found when it is tried.
    """
    recorded, declared = original.event, original.plan
    if not isinstance(recorded, UsageRecorded) or declared is None:
        return None
    account = state.accounts[recorded.account]
    family = state.families[account.root]
    before = family.corrected.get(original.locator, UNCORRECTED)
    left = recorded.quantities
    if before.quantities:
        left = tuple([a - b for a, b in zip(left, before.quantities, strict=True)])
    if not any(left):
        return LeftAlone.REVERSED.value
    if recorded.suspense or isinstance(recorded, SuspenseRated):
        return LeftAlone.SUSPENSE.value
    at = recorded.effective_at
    shape = state.catalog.shape(declared.product, declared.attributes, declared.quantity_names)
    bound = bound_by(state, account, rate_card, version, shape, left, at)
    if isinstance(bound, Refusal):
        return bound.reason.value
    old = state.catalog.plan_of(account.tenant, declared)
    if old is None:
        return None
    closed = _is_closed(state, account, recorded.period)
    same = _is_same(state, account, declared, old, bound)
    touched = Touched(account, original, shape, bound, left, closed, same)
    if same and not touched.shares_totals:
        return None
    reason = _left_alone(state, touched, old, before, amended=amended)
    if not reason and not closed:
        tried = _tried(state, touched)
        if isinstance(tried, str):
            reason = tried
        elif not (same or old.running or bound.plan.running or old.rerates):
            refund, priced = tried
            if bound.asset == declared.asset and priced.charges == refund.lines:
                return None
    if reason:
        return None if same else reason
    return touched


def _left_alone(
    state: State, touched: Touched, old: Plan, before: Corrected, *, amended: bool
) -> str:
    """Why usage is left alone whose price differs; "" = it is not."""
    recorded, account, at = touched.original.event, touched.account, touched.at
    if old.of_many or touched.bound.plan.of_many:
        return LeftAlone.SHARED_TOTAL.value
    if isinstance(recorded, UsageQuoted) and recorded.part is not None:
        return LeftAlone.QUOTED.value
    if before.as_charged or (amended and not isinstance(recorded, UsageRepriced)):
        return LeftAlone.AMENDED.value
    if at < state.now - CORRECTION_WINDOW_US:
        return LeftAlone.TOO_OLD.value
    rows = zip(touched.quantities, touched.bound.plan.rows, strict=True)
    if any(quantity and row == NO_ROW for quantity, row in rows):
        return LeftAlone.UNPRICED.value
    if touched.closed:
        return LeftAlone.CLOSED_VOLUME.value if old.rerates else ""
    refusal = refuse_closed(state, account, at, old=True) or refuse_frozen(account)
    return refusal.reason.value if refusal is not None else ""


def _tried(state: State, touched: Touched) -> tuple[WholeRefund, Priced] | str:
    """What it gives back and costs as things stand; or why one of the two is not possible."""
    account, bound, left, at = touched.account, touched.bound, touched.quantities, touched.at
    refund = whole_refund(state, account, touched.original, {})
    if isinstance(refund, RatingFault):
        return refund.reason
    costs = costs_for(state, account, bound, touched.shape, left, at)
    if isinstance(costs, Refusal):
        return costs.reason.value
    priced = price(state, account, bound, left, at, costs=costs)
    if isinstance(priced, Refusal):
        return priced.reason.value
    if priced.suspense:
        return LeftAlone.UNPRICED.value
    if max(priced.total, refund.amount) > INT64_MAX - QUANTITIES_MAX:
        return Reason.OVERFLOW.value
    return refund, priced


def whole_scopes(touched: Sequence[Touched], same: Sequence[Touched]) -> list[Touched]:
    """What is to be rated again so that running totals come out: with usage that costs otherwise
    also what came later over totals that it shares with the new price, in the order recorded."""
    since: dict[Place, int] = {}
    for each in touched:
        if each.shares_totals:
            for place in each.places:
                entry = each.original.entry_seq
                since[place] = min(since.get(place, entry), entry)
    joined = list(touched)
    for each in sorted(same, key=_entry):
        entry, places = each.original.entry_seq, each.places
        if any(since.get(place, entry) < entry for place in places):
            joined.append(each)
            for place in places:
                since.setdefault(place, entry)
    return sorted(joined, key=_entry)


def _entry(touched: Touched) -> int:
    return touched.original.entry_seq


def touched_again(
    state: State,
    original: Original,
    rate_card: str,
    version: int,
    quantities: tuple[int, ...],
) -> Touched | str:
    """Usage that the job has given back before it was stopped, to be recorded again; or why not."""
    recorded, declared = original.event, original.plan
    assert isinstance(recorded, UsageRecorded) and declared is not None
    account = state.accounts[recorded.account]
    shape = state.catalog.shape(declared.product, declared.attributes, declared.quantity_names)
    at = recorded.effective_at
    bound = bound_by(state, account, rate_card, version, shape, quantities, at)
    if isinstance(bound, Refusal):
        return bound.reason.value
    return Touched(account, original, shape, bound, quantities)


def _is_closed(state: State, account: Account, period: int) -> bool:
    """Whether a month has ended for ever (rule T2)."""
    calendar = account.calendar
    calendar.start_of(period)
    return calendar.end <= account.closed_by(state.now)


def _is_same(
    state: State, account: Account, declared: PlanDeclared, old: Plan, bound: Bound
) -> bool:
    """Whether usage was priced by the same rows and overrides, be it of another version."""
    new = bound.plan
    if declared.asset != bound.asset or old.overrides != new.overrides:
        return False
    if (old.rounding, old.subsets) != (new.rounding, new.subsets):
        return False
    before = state.catalog.card((account.tenant, declared.rate_card))
    after = state.catalog.card((account.tenant, bound.declaration.rate_card))
    return all(
        one == other or (one >= 0 and other >= 0 and _same_row(before, one, after, other))
        for one, other in zip(old.rows, new.rows, strict=True)
    )


def _same_row(before: PricedCard, one: int, after: PricedCard, other: int) -> bool:
    first, second = row_of(one), row_of(other)
    old, new = before.card(first[0]), after.card(second[0])
    assert old is not None and new is not None, (one, other)
    if (old.card.meters, old.card.cost_card) != (new.card.meters, new.card.cost_card):
        return False
    return old.card.rows[first[1]] == new.card.rows[second[1]]
