"""What is left of recorded usage, and what giving some of it back refunds (rules D3, R1).

Usage that waited for a price was recorded in parts. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from ledger.core.commands import Original, ReverseUsage
from ledger.core.drawing.unwinding import Unwinding
from ledger.core.events import (
    Event,
    PlanDeclared,
    ScopedAdvance,
    SuspenseRated,
    UsageQuoted,
    UsageRecorded,
)
from ledger.core.pricing.cost_refunds import (
    bearing_nothing,
    cost_shares,
)
from ledger.core.pricing.pricing import (
    NOTHING_MOVED,
    Place,
)
from ledger.core.pricing.quoted import refund_quoted
from ledger.core.pricing.shared_totals import is_daily
from ledger.core.state import Account, Corrected, State
from rating.functions import MEASURE_COST, SCOPE_MONTH
from rating.model_lines import Facts, Standing
from rating.plan import UNPRICED, Plan
from rating.price import RatingFault, own_quantities, refund, refund_own, rerate
from rating.rounding import rounded


class WholeRefund(NamedTuple):
    """What giving all that is left of an event back is to be: its quantities and lines, all that is
    given back with what earlier usage costs less by it, and how far totals move back."""

    quantities: tuple[int, ...]
    lines: tuple[int, ...]
    amount: int
    moves: Mapping[Place, int]


_NOTHING = Corrected(0, (), 0, 0)


class _Costs:
    """What quantities cost less: each line, the totals that move back, and of the rows that have a
    running total (whose, the line, what of it the event has drawn itself)."""

    __slots__ = ("lines", "moves", "rerated", "rerates", "rows", "scoped")

    def __init__(self, count: int) -> None:
        self.lines: tuple[int, ...] = (0,) * count
        self.moves: tuple[tuple[int, int], ...] = ()
        self.scoped: tuple[ScopedAdvance, ...] = ()
        self.rows: list[tuple[tuple[int, int, int], int, int]] = []
        self.rerated = 0  # what earlier quantity costs more or less by it
        self.rerates = 0  # ... and that as a sum with its signs, above 0 where it costs less


def _modeled(
    state: State,
    account: Account,
    plan: Plan,
    declared: PlanDeclared,
    recorded: UsageRecorded,
    before: Corrected,
    left: tuple[int, ...],
    quantities: tuple[int, ...],
    places: tuple[int, ...],
    moved: Mapping[Place, int],
) -> _Costs:
    """The same where rows have models, by what still stands of the event and its scopes (rule R1).

    Only of the quantities at `places`. A line whose day is forgotten, or that rests on a cost that
    its entry does not know, gives back its share of what it was charged, all of it with the last of
    its quantity.
    """
    costs = _Costs(len(quantities))
    starts = {key: (SCOPE_MONTH, recorded.period) for key, _ in recorded.advances}
    starts.update({each.key: (each.scope, each.start) for each in recorded.scoped})
    charged = _charges_left(recorded, before)
    forgotten = {
        key
        for key, (scope, start) in starts.items()
        if is_daily(scope) and start <= state.days_before
    }
    back, stood_costs = cost_shares(recorded, left, quantities)
    by_share = {
        index
        for index, function in enumerate(plan.functions)
        if plan.keys[index] in forgotten
        or (
            function is not None
            and function.measure == MEASURE_COST
            and (not back or back[index] == UNPRICED)
        )
    }
    stands = [
        UNPRICED if index not in places or index in by_share else charge
        for index, charge in enumerate(charged)
    ]
    totals = {
        key: state.total(account, (key, *start)) + moved.get((key, *start), 0)
        for key, start in starts.items()
    }
    facts = Facts(dict(declared.attributes), back)
    standing = Standing(left, stands, stood_costs)
    refunds, moves = refund(plan, quantities, totals, facts, standing)
    lines = list(refunds)
    own, stood = own_quantities(plan, quantities), own_quantities(plan, left)
    for index, key in enumerate(plan.keys):
        if index not in places:
            continue
        if plan.lists[index] is not None and own[index]:
            stays = stood[index] - own[index]
            lines[index] = _listed_refund(plan, recorded, index, stays, charged[index])
        elif index in by_share and charged[index] > 0 and own[index]:
            lines[index] = charged[index] * own[index] // stood[index]
        elif lines[index] and plan.functions[index] is not None and key in starts:
            drew = min(lines[index], charged[index])
            costs.rows.append(((key, *starts[key]), lines[index], drew))
    costs.lines = tuple(lines)
    costs.moves = tuple([each for each in moves if starts[each[0]][0] == SCOPE_MONTH])
    costs.scoped = tuple(
        [
            ScopedAdvance(key, *starts[key], quantity)
            for key, quantity in moves
            if starts[key][0] != SCOPE_MONTH
        ]
    )
    after = {key: totals[key] - quantity for key, quantity in moves}
    rerated = [amount for _, amount in rerate(plan, quantities, after)]
    costs.rerated = sum([abs(amount) for amount in rerated])
    costs.rerates = sum(rerated)
    return costs


def _listed_refund(plan: Plan, recorded: UsageRecorded, index: int, stays: int, left: int) -> int:
    """What a line with a list price costs less where `stays` of its quantity is left: commitments
    pay what they did, as far as that costs so much at commit rate, and the rest stays at list
    (rules R9, D3). So parts that are given back add up to what was charged."""
    if left <= 0:
        return 0
    line = next((each for each in recorded.listed if each.place == index), None)
    if line is None or stays <= 0:
        return left
    whole = own_quantities(plan, recorded.quantities)[index]
    paid = min(line.paid, line.commit * stays // whole)
    rest = rounded(
        line.listed * (line.commit * stays - paid * whole), line.commit * whole, plan.rounding
    )
    return max(0, left - paid - rest)


def _charges_left(recorded: UsageRecorded, before: Corrected) -> list[int]:
    """What of each line was not given back, -1 where it waits for its price."""
    refunds = before.refunds or (0,) * len(recorded.charges)
    return [
        charge if charge == UNPRICED else max(0, charge - refunded)
        for charge, refunded in zip(recorded.charges, refunds, strict=True)
    ]


class RecordedPart:
    """One entry that charged the usage: its own, or one that rated what had waited (rule B8)."""

    def __init__(
        self,
        state: State,
        account: Account,
        command: ReverseUsage,
        out: list[Event],
        earlier: Unwinding | None,
    ) -> None:
        """`command` names the entry; `earlier` is what this decision has given back already."""
        recorded = command.original.event
        declared = command.original.plan
        assert isinstance(recorded, UsageRecorded) and declared is not None
        family = state.families[account.root]
        locator = command.original.locator
        if recorded.cost is not None:  # it goes back apart, where it does
            recorded = replace(recorded, slices=bearing_nothing(recorded.slices))
        self.command = command
        self.recorded = recorded
        self.declared = declared
        self.before = family.corrected.get(locator, _NOTHING)
        self.left = charge_of(recorded) - self.before.amount
        self.unwinding = Unwinding(
            state, declared.product, recorded.used_book, command.ended, locator, out, earlier
        )
        self.costs = _Costs(len(recorded.quantities))
        self.of_others: list[tuple[Place, int]] = []  # what others bear, of totals they share
        self._state = state
        self._account = account
        self._waiting = family.waiting.get(locator)
        self._waits_no_more = False
        self._places: tuple[int, ...] | None = None  # that it charged; None = all with a price
        if isinstance(recorded, SuspenseRated):
            self._places = recorded.rated

    @property
    def refunds_any(self) -> bool:
        """Whether there is anything to be recorded of it."""
        return bool(self.costs.moves or self.costs.scoped) or any(self.costs.lines)

    def price(
        self,
        quantities: tuple[int, ...],
        rest: tuple[int, ...],
        moved: Mapping[Place, int] = NOTHING_MOVED,
    ) -> RatingFault | None:
        """Work out what these quantities cost less where `rest` stays; or what is wrong. `moved`:
        see `ledger.core.pricing.pricing.price`."""
        account, declared, recorded = self._account, self.declared, self.recorded
        plan = self._state.catalog.plan_of(account.tenant, declared)
        own: Sequence[int] = rest
        if plan is not None:
            assert plan.rows == declared.rows, (plan.rows, declared.rows)
            try:
                own = own_quantities(plan, rest)
                if plan.modeled:
                    left = tuple([a + b for a, b in zip(rest, quantities, strict=True)])
                    places = tuple(range(plan.count)) if self._places is None else self._places
                    self.costs = _modeled(
                        self._state, account, plan, declared, recorded, self.before, left,
                        quantities, places, moved,
                    )  # fmt: skip
                else:
                    totals = _totals(account, plan, recorded.period, moved)
                    if isinstance(recorded, UsageQuoted) and recorded.part is not None:
                        refunds, moves = refund_quoted(
                            self._state, account, plan, recorded, quantities, rest, totals
                        )
                    else:
                        back = self._charged_here(own_quantities(plan, quantities))
                        refunds, moves = refund_own(plan, back, back, totals)
                    self.costs.lines, self.costs.moves = refunds, moves
            except RatingFault as fault:
                return fault
        if self._waiting is not None:
            self._waits_no_more = not any(own[place] for place in self._waiting.places)
        return None

    def _charged_here(self, own: Sequence[int]) -> Sequence[int]:
        """Only those of the quantities that the entry charged: others never moved its totals."""
        places = self._places
        if places is None:
            return own
        return [quantity if at in places else 0 for at, quantity in enumerate(own)]

    def waits_no_more(self) -> int:
        """1: nothing of what it put aside is left."""
        return 1 if self._waits_no_more else 0


def parts_of(
    state: State, account: Account, command: ReverseUsage, out: list[Event]
) -> list[RecordedPart]:
    """The entries that charged the usage, in the order in which they give back: the last first,
    that of the usage itself at the end."""
    parts: list[RecordedPart] = []
    earlier: Unwinding | None = None
    for rated in reversed(command.rated):
        apart = replace(command, key=b"", original=rated)
        part = RecordedPart(state, account, apart, out, earlier)
        earlier = part.unwinding
        parts.append(part)
    parts.append(RecordedPart(state, account, command, out, earlier))
    return parts


def whole_refund(
    state: State, account: Account, original: Original, moved: Mapping[Place, int]
) -> WholeRefund | RatingFault:
    """What giving all that is left of an event back is to be, without doing it: what is decided to
    come before has `moved` totals so far. Of usage that was rated at once."""
    part = RecordedPart(state, account, ReverseUsage(b"", account.number, original), [], None)
    left = quantities_left(part.recorded, part.before)
    fault = part.price(left, (0,) * len(left), moved)
    if fault is not None:
        return fault
    costs, period = part.costs, part.recorded.period
    moves: dict[Place, int] = {(key, SCOPE_MONTH, period): by for key, by in costs.moves}
    for each in costs.scoped:
        moves[each.key, each.scope, each.start] = each.quantity
    return WholeRefund(left, costs.lines, sum(costs.lines) + costs.rerates, moves)


def charge_of(recorded: UsageRecorded) -> int:
    """Units that the entry charged, whoever paid."""
    return sum([piece.amount for piece in recorded.slices])


def quantities_left(recorded: UsageRecorded, before: Corrected) -> tuple[int, ...]:
    """Those of the entry that are not given back yet."""
    if not before.quantities:
        return recorded.quantities
    return tuple([a - b for a, b in zip(recorded.quantities, before.quantities, strict=True)])


def _totals(
    account: Account, plan: Plan, period: int, moved: Mapping[Place, int]
) -> dict[int, int]:
    """Rounding positions of the event's period (rule R1)."""
    return {
        row: account.totals.get((row, period), 0) + moved.get((row, SCOPE_MONTH, period), 0)
        for row, _ in plan.running
    }
