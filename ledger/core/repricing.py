"""Deciding re-rates by a job: usage that was charged costs what another version says (rule R7).

The job gives usage back, the last first, as any reversal does, and records it again in the order in
which it was recorded. So totals that run on fall to where they stood before it and rise again by
the new price: charges of a scope add up to what the price would have charged from the start. What
is to come of it is worked out here beforehand by the same functions, for a dry run and so that
nothing is given back that could not be recorded again. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from ledger.core.admission import (
    recorded_before,
    refuse_closed,
    refuse_frozen,
    unknown_account,
)
from ledger.core.catalog import Bound, PricedCard
from ledger.core.commands import NO_NAMES, Names, Original, RepriceUsage, ReverseUsage
from ledger.core.corrections import WholeRefund, whole_refund
from ledger.core.costs import costs_for
from ledger.core.events import (
    Event,
    PlanDeclared,
    SuspenseRated,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
)
from ledger.core.identity import FamilyDigest
from ledger.core.limits import CORRECTION_WINDOW_US, INT64_MAX, QUANTITIES_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing import Place, Priced, price, scope_starts
from ledger.core.repriced import bound_by, unpriced
from ledger.core.shapes import Shape
from ledger.core.state import Account, Corrected, State
from ledger.core.usage import decide_replacement
from rating.functions import SCOPE_MONTH
from rating.model_lines import Facts
from rating.plan import NO_ROW, Plan, row_of
from rating.price import UNPRICED, RatingFault, rate, rerate

REPRICED_A_DECISION_MAX: Final = 128  # usage events; x 2 entries at ~60 us = 15 ms of a writer
_UNCORRECTED: Final = Corrected(0, (), 0, 0)


class LeftAlone(StrEnum):
    """Why a job does not rate usage again, besides what a reversal is refused for (rule R7)."""

    QUOTED = "QUOTED"  # a quote binds its price
    AMENDED = "AMENDED"  # by hand: it stands in the stead of other usage, or goodwill was given
    REVERSED = "REVERSED"  # nothing is left of it
    SUSPENSE = "SUSPENSE"  # it waits for a price, or has waited
    TOO_OLD = "TOO_OLD"  # more than 400 days
    UNPRICED = "UNPRICED"  # the version does not price all of it
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


def decide_reprice(
    state: State, command: RepriceUsage, out: list[Event]
) -> Event | Known | Refusal:
    """Record usage again that the job has given back, by the version that it names."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if command.account not in state.accounts:
        return unknown_account(command.account)
    if state.keys.find(command.taken) is None:
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            str(command.original_entry),
            "the job has not given this usage back, so it does not record it again",
        )
    began = len(out)
    recorded = decide_replacement(state, command, out)
    if isinstance(recorded, UsageRecorded) and recorded.suspense:
        del out[began:]
        return unpriced(command)
    return recorded


class Job(NamedTuple):
    """Who rates again, and by what."""

    name: str
    rate_card: str
    card_version: int

    @property
    def source(self) -> str:
        """The source of the usage that it records; the ids are numbers of the entries before."""
        return f"rerate/{self.name}"

    def keys_of(self, family: FamilyDigest, entry_seq: int) -> tuple[bytes, bytes]:
        """Identities of the reversal of an entry and of what is recorded in its stead: the same
        however often the job is begun."""
        taken = family.request(f"{self.source}/{entry_seq}")
        return taken, family.usage(self.source, str(entry_seq))

    def commands_of(
        self,
        family: FamilyDigest,
        original: Original,
        shape: Shape,
        quantities: tuple[int, ...],
        names: Names = NO_NAMES,
        reversal_entry: int = 0,
        trace: bytes = b"",
    ) -> tuple[ReverseUsage, RepriceUsage]:
        """What gives usage back, and what records those quantities of it again. `names` are those
        of the usage before."""
        recorded = original.event
        assert isinstance(recorded, UsageRecorded)
        taken, key = self.keys_of(family, original.entry_seq)
        by = (("card", self.rate_card), ("job", self.name), ("version", str(self.card_version)))
        take = ReverseUsage(
            taken,
            recorded.account,
            original,
            names=Names("", f"{self.source}/{original.entry_seq}"),
            trace=trace,
            replaced_by=key,
            replacement=family.pairs(by),
        )
        put = RepriceUsage(
            key,
            recorded.account,
            shape,
            quantities,
            recorded.effective_at,
            Names(
                self.source,
                str(original.entry_seq),
                names.operation,
                names.operation_parent,
                names.personal,
            ),
            recorded.operation,
            recorded.personal,
            trace,
            rate_card=self.rate_card,
            card_version=self.card_version,
            job=self.name,
            original=original.locator,
            original_entry=original.entry_seq,
            taken=taken,
            reversal_entry=reversal_entry,
            metered=original.metered,
        )
        return take, put


# -- what is touched -------------------------------------------------------------------------------


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
    before = family.corrected.get(original.locator, _UNCORRECTED)
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
    state: State, original: Original, job: Job, quantities: tuple[int, ...]
) -> Touched | str:
    """Usage that the job has given back before it was stopped, to be recorded again; or why not."""
    recorded, declared = original.event, original.plan
    assert isinstance(recorded, UsageRecorded) and declared is not None
    account = state.accounts[recorded.account]
    shape = state.catalog.shape(declared.product, declared.attributes, declared.quantity_names)
    at, version = recorded.effective_at, job.card_version
    bound = bound_by(state, account, job.rate_card, version, shape, quantities, at)
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


# -- what comes of it ------------------------------------------------------------------------------


class Trial:
    """What rating usage of an account again comes to, worked out step by step in the order of the
    job: `take` of each, the last first, then `put` of each, the first first. Usage of closed
    periods is only `put`."""

    __slots__ = ("moved", "totals")

    def __init__(self) -> None:
        self.moved: dict[Place, int] = {}  # what the steps before have moved totals by
        self.totals: dict[Place, int] = {}  # of closed periods, by the new price

    def take(self, state: State, touched: Touched) -> WholeRefund | str:
        """Give it back; or the reason why that is not possible."""
        refund = whole_refund(state, touched.account, touched.original, self.moved)
        if isinstance(refund, RatingFault):
            return refund.reason
        for place, by in refund.moves.items():
            self.moved[place] = self.moved.get(place, 0) - by
        return refund

    def put(self, state: State, touched: Touched, quantities: tuple[int, ...]) -> int | str:
        """What it costs now, with what earlier usage costs more or less by it."""
        account, bound, at = touched.account, touched.bound, touched.at
        costs = costs_for(state, account, bound, touched.shape, quantities, at)
        if isinstance(costs, Refusal):
            return costs.reason.value
        priced = price(state, account, bound, quantities, at, self.moved, costs)
        if isinstance(priced, Refusal):
            return priced.reason.value
        for key, by in priced.advances:
            self._move((key, SCOPE_MONTH, priced.period), by)
        for each in priced.scoped:
            self._move((each.key, each.scope, each.start), each.quantity)
        return priced.total + sum([amount for _, amount in priced.rerates])

    def put_closed(self, state: State, touched: Touched) -> tuple[int, int] | str:
        """Usage of a closed period: what it was charged as far as it was not given back, and what
        the price would have charged then, over totals from where they stood as it was first met."""
        recorded, declared = touched.original.event, touched.original.plan
        assert isinstance(recorded, UsageRecorded) and declared is not None
        account, bound, plan = touched.account, touched.bound, touched.bound.plan
        family = state.families[account.root]
        before = family.corrected.get(touched.original.locator, _UNCORRECTED)
        left = recorded.quantities
        charged = sum([charge for charge in recorded.charges if charge > 0])
        if before.quantities:
            left = tuple([a - b for a, b in zip(left, before.quantities, strict=True)])
            charged -= sum(before.refunds)
        starts = scope_starts(account, plan, touched.period, touched.at)
        stood = _stood(recorded)
        totals: dict[int, int] = {}
        for key, start in starts.items():
            place = (key, *start)
            totals[key] = self.totals.get(place, stood.get(place, 0))
        costs = costs_for(state, account, bound, touched.shape, left, touched.at)
        if isinstance(costs, Refusal):
            return costs.reason.value
        facts = Facts(bound.facts.attributes, costs) if plan.costed else bound.facts
        try:
            charges, total, advances, _ = rate(plan, left, totals, facts)
        except RatingFault as fault:
            return fault.reason
        if UNPRICED in charges:
            return LeftAlone.UNPRICED.value
        total += sum([amount for _, amount in rerate(plan, left, totals)])
        for key, by in advances:
            self.totals[(key, *starts[key])] = totals.get(key, 0) + by
        return charged, total

    def _move(self, place: Place, by: int) -> None:
        self.moved[place] = self.moved.get(place, 0) + by


def _stood(recorded: UsageRecorded) -> dict[Place, int]:
    """Where the totals stood that an entry moved, as far as it says so."""
    places: list[Place] = [(key, SCOPE_MONTH, recorded.period) for key, _ in recorded.advances]
    places += [(each.key, each.scope, each.start) for each in recorded.scoped]
    if len(recorded.totals_before) != len(places):
        return {}
    return dict(zip(places, recorded.totals_before, strict=True))
