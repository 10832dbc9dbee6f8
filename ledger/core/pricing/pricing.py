"""What an event costs an account: its plan over the totals that run on (rules R1, R8, B8).

Owns what a row reads of the total of its scope (`scopes` says where that starts, and whose it is),
and which one an event of a closed month counts in (rule T2). What a line cannot
be priced for puts that quantity into suspense; only quantities that contradict each other make an
event invalid. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ledger.core.catalog import Bound
from ledger.core.drawing.drawdown import committed_units, is_commitment
from ledger.core.events import (
    ListedLine,
    ScopedAdvance,
    Slice,
    Suspense,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.scopes import scope_starts
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import Account, State, pays_minimums
from rating.functions import SCOPE_CONTRACT, SCOPE_MINIMUM, SCOPE_MONTH
from rating.minimums import ALL_LINES, Counted
from rating.model_lines import Facts
from rating.plan import Plan
from rating.price import (
    UNPRICED,
    Rated,
    RatingFault,
    listed,
    own_quantities,
    rate,
    rate_apart,
    rerate,
)
from rating.shares import rests_at_list, split

Minimal = tuple[int, int, int, int]
"""(key, place of its line, start of its period, where it stands): what a minimum counts."""
Place = tuple[int, int, int]
"""(key, scope, its start) of a running total."""

NOTHING_MOVED: Final[Mapping[Place, int]] = {}
NO_TOTALS: Final[dict[int, int]] = {}
_NO_SCOPED: Final[tuple[ScopedAdvance, ...]] = ()
_NO_REASONS: Final[tuple[int, ...]] = ()
_NO_MOVES: Final[tuple[tuple[int, int], ...]] = ()
_NO_LISTED: Final[tuple[ListedLine, ...]] = ()
_NO_FAULTS: Final[tuple[str, ...]] = ()
_CONTRADICTS: Final = "SUBSET_EXCEEDS_PARENT"
_NO_CONTRACT: Final = Suspense.NO_CONTRACT.name


class Priced:
    """The lines of an event in minor units of its plan's asset, and what they move on.

    `closed` is the month that it would belong to, were that not closed; `period` the one that it
    belongs to. `starts` has, for each total that its plan reads, where its scope starts. `rerates`:
    (price row, amount) of what earlier quantity costs more or less from now on.
    """

    __slots__ = (
        "advances",
        "available",
        "charges",
        "closed",
        "commits",
        "committed",
        "listed",
        "lists",
        "minimums",
        "period",
        "reasons",
        "rerates",
        "scoped",
        "starts",
        "suspense",
        "total",
        "totals_before",
    )

    def __init__(self, closed: int | None, period: int) -> None:
        self.closed = closed
        self.period = period
        self.charges: tuple[int, ...] = ()
        self.total = 0
        self.advances = _NO_MOVES
        self.scoped = _NO_SCOPED
        self.starts: dict[int, tuple[int, int]] = {}  # key -> scope, start
        self.suspense = 0
        self.reasons = _NO_REASONS
        self.rerates = _NO_MOVES
        self.minimums: tuple[Minimal, ...] = ()  # what its lines add to, rule R2
        self.totals_before: tuple[int, ...] = ()
        self.lists: tuple[int | None, ...] = ()  # lines at list price (rule R9)
        self.commits: tuple[int, ...] = ()  # and at commit rate
        self.available = 0  # units of commitments
        self.listed = _NO_LISTED
        self.committed = 0  # units that commitments are to pay, first

    def at_list(self, rounding: int) -> None:
        """Charge at list price what commitments do not pay of lines that have one: they pay for the
        lines in order (rule R9)."""
        places = [
            place
            for place, listed in enumerate(self.lists)
            if listed is not None and self.commits[place] > 0 and self.charges[place] > 0
        ]
        commits = [self.commits[place] for place in places]
        lists = [self.lists[place] or 0 for place in places]
        paid: list[int] = []
        left = self.available
        for commit in commits:
            paid.append(min(commit, left))
            left -= paid[-1]
        rests = rests_at_list(commits, lists, paid, rounding)
        charges = list(self.charges)
        for place, part, rest in zip(places, paid, rests, strict=True):
            charges[place] = part + rest
        self.charges = tuple(charges)
        self.total = sum([charge for charge in charges if charge > 0])
        self.committed = sum(paid)
        self.listed = tuple(
            [ListedLine(*line) for line in zip(places, commits, lists, paid, strict=True)]
        )

    def keep(self, plan: Plan, rated: Sequence[int], waits: Sequence[int]) -> None:
        """Leave only the lines of the quantities at `rated`: the others are charged elsewhere, or
        wait."""
        self.charges = tuple(
            [
                charge if place in rated else UNPRICED if place in waits else 0
                for place, charge in enumerate(self.charges)
            ]
        )
        self.total = sum([self.charges[place] for place in rated])
        if self.lists:
            self.at_list(plan.rounding)
        numbers = plan.keys if plan.modeled else plan.rows
        kept = [numbers[place] for place in rated]
        moved = [key for key, _ in self.advances] + [each.key for each in self.scoped]
        if self.totals_before:
            stood = zip(moved, self.totals_before, strict=True)
            self.totals_before = tuple([total for key, total in stood if key in kept])
        self.advances = tuple([each for each in self.advances if each[0] in kept])
        self.scoped = tuple([each for each in self.scoped if each.key in kept])
        self.count_minimums()

    def count_minimums(self) -> None:
        """Let the lines that are charged move what was charged for minimums on."""
        for key, place, start, stood in self.minimums:
            charged = minimum_share(self.charges, place)
            if charged:
                self.scoped += (ScopedAdvance(key, SCOPE_MINIMUM, start, charged),)
                self.totals_before += (stood,)


def price(
    state: State,
    account: Account,
    bound: Bound,
    quantities: tuple[int, ...],
    at: int,
    moved: Mapping[Place, int] = NOTHING_MOVED,
    costs: tuple[int, ...] = (),
    reserved: Sequence[Slice] = (),
    settles: bool = False,
) -> Priced | Refusal:
    """Price usage of that time: by its plan, over what ran on before it.

    `moved`: what is decided to come before it and not applied yet moves totals so far. `costs` is
    what the provider takes for each quantity, for prices that rest on it. `reserved`: slices of a
    hold that is to pay for it. `settles`: it is what the end of its own period asks for, and counts
    there, whenever that is worked out.
    """
    plan = bound.plan
    facts = bound.facts if not plan.costed else Facts(bound.facts.attributes, costs)
    closed, period = closed_period(state, account, at, settles)
    priced = Priced(closed, period)
    totals = NO_TOTALS
    if plan.modeled:
        priced.starts = scope_starts(account, plan, period, at if closed is None else state.now)
        totals = _scoped_totals(state, account, plan, priced.starts, moved)
    elif not plan.whole:
        totals = rounding_totals(account, plan, period)
        for key, _ in plan.running if moved else ():
            by = moved.get((key, SCOPE_MONTH, period), 0)
            totals[key] = totals.get(key, 0) + by
    faults = _NO_FAULTS
    try:
        rated = rate(plan, quantities, totals, facts)
    except RatingFault as fault:
        if fault.reason == _CONTRADICTS:
            return rating_fault(fault)
        rated, faults = rate_apart(plan, quantities, totals, facts)
    if plan.of_many and len(priced.starts) < len(plan.running):
        rated, faults = _without_contract(plan, quantities, rated, faults, priced.starts)
    _take(priced, plan, rated, totals)
    if plan.listed:
        priced.lists, priced.commits = listed(plan, quantities, totals), priced.charges
        priced.available = committed_units(account, bound.asset, bound.use, at)
        for piece in reserved:
            grant = state.books.accounts[piece.book].grant
            if grant is not None and is_commitment(grant):
                priced.available += piece.amount
        priced.at_list(plan.rounding)
    if bound.minimums:
        if not plan.modeled:
            priced.totals_before = tuple([totals.get(key, 0) for key, _ in priced.advances])
        priced.minimums = minimums_of(state, account, bound.minimums, at, closed, moved, settles)
        priced.count_minimums()
    if UNPRICED in priced.charges:
        priced.suspense, priced.reasons = _suspense(priced.charges, faults, bound.waits)
    most = priced.total
    if plan.rerates:
        priced.rerates = rerate(plan, quantities, totals)
        if plan.of_many and priced.rerates:
            priced.rerates = _own_share(account, plan, priced.rerates, priced.starts, totals)
        most = max(most, sum([abs(amount) for _, amount in priced.rerates]))
    if most > INT64_MAX:
        return overflow(state, bound, most)
    return priced


def _without_contract(
    plan: Plan,
    quantities: Sequence[int],
    rated: Rated,
    faults: tuple[str, ...],
    starts: Mapping[int, tuple[int, int]],
) -> tuple[Rated, tuple[str, ...]]:
    """The same where totals of a contract's term have none: those quantities wait for one (B8)."""
    charges, _, advances, used = rated
    lines, reasons = list(charges), list(faults) or [""] * plan.count
    for index, quantity in enumerate(own_quantities(plan, quantities)):
        if plan.scopes[index] == SCOPE_CONTRACT and plan.keys[index] not in starts and quantity:
            lines[index], reasons[index] = UNPRICED, _NO_CONTRACT
    total = sum([line for line in lines if line != UNPRICED])
    moved = tuple([each for each in advances if each[0] in starts])
    return (tuple(lines), total, moved, used), tuple(reasons)


def _own_share(
    account: Account,
    plan: Plan,
    rerates: tuple[tuple[int, int], ...],
    starts: Mapping[int, tuple[int, int]],
    totals: Mapping[int, int],
) -> tuple[tuple[int, int], ...]:
    """What of re-rates the account itself bears, about, of totals that it shares with others."""
    own: list[tuple[int, int]] = []
    for row, amount in rerates:
        key = plan.keys[plan.rows.index(row)]
        scope, start = starts[key]
        if scope > KIND_MASK:
            amount = -(-amount * account.total(key, scope, start) // totals[key])
        own.append((row, amount))
    return tuple(own)


def _take(priced: Priced, plan: Plan, rated: Rated, totals: Mapping[int, int]) -> None:
    """Keep what was rated: advances of months apart from those of other scopes."""
    priced.charges, priced.total, advances, _ = rated
    if not plan.modeled:
        priced.advances = advances
        return
    starts = priced.starts
    months: list[tuple[int, int]] = []
    scoped: list[ScopedAdvance] = []
    for key, quantity in advances:
        scope, start = starts[key]
        if scope == SCOPE_MONTH:
            months.append((key, quantity))
        else:
            scoped.append(ScopedAdvance(key, scope, start, quantity))
    priced.advances, priced.scoped = tuple(months), tuple(scoped)
    moved = [key for key, _ in months] + [each.key for each in scoped]
    priced.totals_before = tuple([totals.get(key, 0) for key in moved])


def _suspense(
    charges: tuple[int, ...], faults: tuple[str, ...], waits: int
) -> tuple[int, tuple[int, ...]]:
    """Why the first quantity waits that does; and why each does, where they differ (rule B8).
    `waits`: why those do that no row prices."""
    if not faults:
        return waits, _NO_REASONS
    reasons = tuple(
        [
            0 if charge != UNPRICED else int(Suspense[fault]) if fault else waits
            for charge, fault in zip(charges, faults, strict=True)
        ]
    )
    waiting = [reason for reason in reasons if reason]
    alike = len(set(waiting)) == 1
    return waiting[0], _NO_REASONS if alike else reasons


# -- totals that run on --------------------------------------------------------------------------


def closed_period(
    state: State, account: Account, at: int, settles: bool = False
) -> tuple[int | None, int]:
    """(the period of an instant if it is closed, the period that its charge belongs to): its own
    until its grace has ended, afterwards the one that is open now (rule T2); its own whenever it
    `settles` it."""
    calendar = account.calendar
    period = calendar.start_of(at)
    if settles or calendar.end > account.closed_by(state.now):
        return None, period
    return period, calendar.start_of(state.now)


def totals_at(state: State, account: Account, plan: Plan, at: int) -> dict[int, int]:
    """The totals that usage of that time goes on from, for rows with models."""
    closed, period = closed_period(state, account, at)
    counted = at if closed is None else state.now
    starts = scope_starts(account, plan, period, counted)
    return _scoped_totals(state, account, plan, starts, NOTHING_MOVED)


def _scoped_totals(
    state: State,
    account: Account,
    plan: Plan,
    starts: Mapping[int, tuple[int, int]],
    moved: Mapping[Place, int],
) -> dict[int, int]:
    if plan.of_many:
        return {
            key: state.total(account, (key, *start)) + moved.get((key, *start), 0)
            for key, start in starts.items()
        }
    return {
        key: account.total(key, scope, start) + moved.get((key, scope, start), 0)
        for key, (scope, start) in starts.items()
    }


def months_of(event: UsageRecorded | UsageReversed) -> tuple[tuple[int, int], ...]:
    """The same of months alone: (key, how far) each."""
    return event.moves if isinstance(event, UsageReversed) else event.advances


def moves_of(event: UsageRecorded | UsageReversed) -> dict[Place, int]:
    """How far an entry moves running totals, to be added or, of a reversal, taken off."""
    months = months_of(event)
    moved: dict[Place, int] = {(key, SCOPE_MONTH, event.period): more for key, more in months}
    for each in event.scoped:
        moved[each.key, each.scope, each.start] = each.quantity
    return moved


def rounding_totals(account: Account, plan: Plan, period: int) -> dict[int, int]:
    """Quantities so far in the month of the plan's rows whose totals run over months (rule R1)."""
    totals: dict[int, int] = {}
    for key, _ in plan.running:
        quantity = account.totals.get((key, period))
        if quantity is not None:
            totals[key] = quantity
    return totals


# -- what was charged for minimums (rule R2) -------------------------------------------------------


def minimums_of(
    state: State,
    account: Account,
    minimums: Sequence[Counted],
    at: int,
    closed: int | None,
    moved: Mapping[Place, int] = NOTHING_MOVED,
    settles: bool = False,
) -> tuple[Minimal, ...]:
    """The totals in which usage of that time counts: of the billing period, of whoever pays the
    card's minimums, that it is of; of the one that runs where that is settled (rule T2), or for
    what `settles` another where its minimums are."""
    payer = account
    while payer.parent is not None and not pays_minimums(payer):
        payer = payer.parent
    start = payer.billing_period_of(state.now if closed is not None else at)
    if payer.period_end <= (payer.minimums_until if settles else payer.closed_by(state.now)):
        start = payer.billing_period_of(state.now)
    return tuple(
        [
            (
                key,
                place,
                start,
                account.total(key, SCOPE_MINIMUM, start)
                + moved.get((key, SCOPE_MINIMUM, start), 0),
            )
            for key, place in minimums
        ]
    )


def minimum_share(lines: Sequence[int], place: int) -> int:
    """What lines add to a total of a minimum: one of them, or each; -1 is none."""
    if place == ALL_LINES:
        return sum([line for line in lines if line > 0])
    return max(0, lines[place])


def minimums_moved(
    minimums: Sequence[Counted],
    scoped: Sequence[ScopedAdvance],
    amount: int,
    lines: Sequence[int],
) -> tuple[ScopedAdvance, ...]:
    """How far an amount moves the totals in which an entry has counted, which those lines share by
    weight where it is not just their sum (rule N3)."""
    weights = [max(0, line) for line in lines]
    if sum(weights) not in (0, amount):
        weights = list(split(amount, weights))
    places = dict(minimums)
    moves: list[ScopedAdvance] = []
    for each in scoped:
        if each.scope == SCOPE_MINIMUM and each.key in places:
            place = places[each.key]
            by = amount if place == ALL_LINES else weights[place]
            if by:
                moves.append(ScopedAdvance(each.key, SCOPE_MINIMUM, each.start, by))
    return tuple(moves)


# -- what cannot be priced -----------------------------------------------------------------------


def rating_fault(fault: RatingFault) -> Refusal:
    """The quantities contradict each other (rule R8), or what is left of them has no price."""
    return Refusal(Reason(fault.reason), "quantities", fault.quantity or str(fault), str(fault))


def overflow(state: State, bound: Bound, total: int) -> Refusal:
    """One transfer fits int64 (rule N1)."""
    asset = state.catalog.assets.get(bound.asset)
    name = f"{asset.code} with scale {asset.scale}" if asset is not None else str(bound.asset)
    return Refusal(
        Reason.OVERFLOW,
        "quantities",
        str(total),
        f"the charge does not fit 64 bits in minor units of {name}; split the event",
    )
