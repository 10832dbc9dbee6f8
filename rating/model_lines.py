"""The lines of events whose rows have models: what each costs, and what it gives back (rule R1).

Owns what an event says beside its quantities, and the choice of what runs on for a row. Totals are
by ``plan.keys``, each over its scope. Must not know of steps and subsets: see ``price``.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from rating.faults import RatingFault
from rating.functions import MEASURE_COST, SCOPE_EVENT, Function
from rating.plan import NO_ROW, UNPRICED, Plan
from rating.rounding import rounded
from rating.row_functions import FormulaFunction

_NO_ATTRIBUTES: Final[dict[str, str]] = {}
Moves = tuple[tuple[int, int], ...]


class Facts:
    """What an event says beside its quantities, for the models that read it.

    ``attributes`` are for formulas. ``costs`` is what the provider takes for each quantity, in
    minor units of the card's asset and in the plan's order, as the charges of a card of costs are:
    UNPRICED where one is not known; empty where none is.
    """

    __slots__ = ("attributes", "costs")

    def __init__(
        self, attributes: Mapping[str, str] = _NO_ATTRIBUTES, costs: Sequence[int] = ()
    ) -> None:
        self.attributes: Mapping[str, str] = attributes
        self.costs: Sequence[int] = costs


class Standing:
    """What still stands of an event that is given back: its quantities, lines and costs.

    A line is UNPRICED where it waits for its price, so that nothing of it is to be given back.
    """

    __slots__ = ("charges", "costs", "quantities")

    def __init__(
        self, quantities: Sequence[int], charges: Sequence[int], costs: Sequence[int] = ()
    ) -> None:
        self.quantities: Sequence[int] = quantities
        self.charges: Sequence[int] = charges
        self.costs: Sequence[int] = costs


NO_FACTS: Final = Facts()


def before_of(function: Function, totals: Mapping[int, int], key: int) -> int:
    """The running total of a row; zero where every event starts from zero."""
    return 0 if function.scope == SCOPE_EVENT else totals.get(key, 0)


def rate_models(
    plan: Plan,
    own: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts,
    faults: list[str] | None = None,
) -> tuple[tuple[int, ...], int, Moves]:
    """The lines of an event whose own quantities these are, their sum, and the advances.

    Where ``faults`` is given, a line that can't be priced is UNPRICED and its reason is added there
    ("" for every other line); else its RatingFault is raised.
    """
    charges: list[int] = []
    advances: list[tuple[int, int]] = []
    total = 0
    for index, row in enumerate(plan.rows):
        quantity = own[index]
        if faults is not None:
            faults.append("")
        if row == NO_ROW:
            charges.append(UNPRICED if quantity else 0)
            continue
        function = plan.functions[index]
        key = plan.keys[index]
        if quantity == 0:
            charge = 0
        elif function is None:
            charge = plan.numerators[index] * quantity
            if plan.denominators[index] != 1:
                charge = _plain(plan, index, totals.get(key, 0), quantity)
                advances.append((key, quantity))
        else:
            try:
                if isinstance(function, FormulaFunction):
                    charge, more = _formula(plan, function, index, own, facts), 0
                else:
                    more = _measured(plan, function, index, quantity, facts.costs)
                    charge = function.charge(before_of(function, totals, key), more)
            except RatingFault as fault:
                if faults is None:
                    raise
                faults[index] = fault.reason
                charges.append(UNPRICED)
                continue
            if function.scope != SCOPE_EVENT and more:
                advances.append((key, more))
        assert charge >= 0, (row, charge)
        charges.append(charge)
        total += charge
    return tuple(charges), total, tuple(advances)


def refund_models(
    plan: Plan,
    own: Sequence[int],
    stood: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts,
    standing: Standing | None,
) -> tuple[tuple[int, ...], Moves]:
    """What each quantity gives back of what ``stood``, and the totals that move back; nothing
    where ``standing`` says that the line was never priced."""
    lines: list[int] = []
    moves: list[tuple[int, int]] = []
    left = [before - back for before, back in zip(stood, own, strict=True)]
    assert min(left) >= 0, "no more is given back than stands"
    for index, row in enumerate(plan.rows):
        quantity = own[index]
        function = plan.functions[index]
        key = plan.keys[index]
        if row == NO_ROW or (standing is not None and standing.charges[index] == UNPRICED):
            lines.append(0)
        elif isinstance(function, FormulaFunction):
            charged = _charged(standing, index)
            rest = _formula(plan, function, index, left, facts) if left[index] else 0
            lines.append(charged - min(charged, rest))
        elif quantity == 0:
            lines.append(0)
        elif function is None:
            if plan.denominators[index] == 1:
                lines.append(plan.numerators[index] * quantity)
            else:
                lines.append(_plain(plan, index, totals.get(key, 0) - quantity, quantity))
                moves.append((key, quantity))
        else:
            back = _measured(plan, function, index, quantity, facts.costs)
            before = before_of(function, totals, key)
            if function.transactional or function.scope == SCOPE_EVENT:
                charged = _charged(standing, index)
                rest = 0
                if standing is not None and left[index]:
                    whole = _measured(plan, function, index, stood[index], standing.costs)
                    rest = function.charge(max(0, before - whole), whole - back)
                lines.append(charged - min(charged, rest))
            else:
                lines.append(function.charge(before - back, back))
            if function.scope != SCOPE_EVENT and back:
                moves.append((key, back))
    return tuple(lines), tuple(moves)


def _plain(plan: Plan, index: int, before: int, more: int) -> int:
    """F(Q + q) - F(Q) of a row that has one price for every unit."""
    numerator, denominator = plan.numerators[index], plan.denominators[index]
    after = rounded(numerator * (before + more), denominator, plan.rounding)
    return after - rounded(numerator * before, denominator, plan.rounding)


def _charged(standing: Standing | None, index: int) -> int:
    assert standing is not None, "what belongs to an event goes back by what it was charged"
    return standing.charges[index]


def _measured(
    plan: Plan, function: Function, index: int, quantity: int, costs: Sequence[int]
) -> int:
    """What runs on: the quantity, or what the provider takes for it."""
    if function.measure != MEASURE_COST:
        return quantity
    if not costs or costs[index] == UNPRICED:
        name = plan.quantities[index]
        raise RatingFault(
            "COST_MISSING", f"{name} is priced by what the provider takes, which is not known", name
        )
    return costs[index]


def _formula(
    plan: Plan, function: FormulaFunction, index: int, own: Sequence[int], facts: Facts
) -> int:
    try:
        return function.price(dict(zip(plan.quantities, own, strict=True)), facts.attributes)
    except RatingFault as fault:
        raise RatingFault(fault.reason, str(fault), plan.quantities[index]) from None
