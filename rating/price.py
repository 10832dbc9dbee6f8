"""The hot path of rating: a plan and an event's quantities become charges (rules R1 and R8).

Owns the arithmetic of an event; the lines of models are for ``model_lines``. Running totals are
handed in and the advances handed back, so nothing is kept here. Plain integers throughout, of any
size: it is for the ledger to say what fits (rule N1). Written to be fast in plain Python and to
compile with mypyc unchanged.
"""

from collections.abc import Mapping, Sequence
from operator import mul

from rating.faults import RatingFault as RatingFault
from rating.model_lines import NO_FACTS, Facts, Standing, before_of, rate_models, refund_models
from rating.plan import NO_ROW, Plan
from rating.plan import UNPRICED as UNPRICED
from rating.rounding import rounded as rounded

# (charge per quantity in minor units, UNPRICED where no row applies to more than zero: nothing of
#  a quantity that is zero, or wholly in its subsets, waits for a price;
#  sum of the priced ones;
#  (row number, priced quantity) for each row whose unit price is not whole: its total moves on;
#  the plan that was used, a step of the one given where the prompt is large)
Rated = tuple[tuple[int, ...], int, tuple[tuple[int, int], ...], Plan]


def rate(
    plan: Plan, quantities: Sequence[int], totals: Mapping[int, int], facts: Facts = NO_FACTS
) -> Rated:
    """Charges of one event: see ``Rated``.

    ``quantities`` are minor units in the order of ``plan.quantities``. ``totals`` maps a row
    number to what that row has priced so far in its period (absent = 0); it is read only for
    rows whose unit price is not whole: charge = F(Q + q) - F(Q), rounding included (rule R1).
    Of a ``modeled`` plan the totals are by ``plan.keys``, each over its scope. A re-rate is not
    among the charges: see ``rerate``. Raises RatingFault.
    """
    if plan.steps:
        plan = plan.at(quantities[plan.prompt_index])
    if plan.flat:
        if plan.count == 2:
            first_price, second_price = plan.numerators
            first_quantity, second_quantity = quantities
            first = first_price * first_quantity
            second = second_price * second_quantity
            return (first, second), first + second, (), plan
        if plan.count == 1:
            (price,) = plan.numerators
            (quantity,) = quantities
            charge = price * quantity
            return (charge,), charge, (), plan
        assert len(quantities) == plan.count
        charges = tuple(map(mul, plan.numerators, quantities))
        return charges, sum(charges), (), plan
    own = own_quantities(plan, quantities) if plan.parents else quantities
    return rate_own(plan, own, totals, facts)


def rate_own(
    plan: Plan, own: Sequence[int], totals: Mapping[int, int], facts: Facts = NO_FACTS
) -> Rated:
    """The same of quantities without their subsets, by this very plan, whatever their prompt is:
    for a part of an event (rule H9)."""
    if plan.straight:
        charges = tuple(map(mul, plan.numerators, own))
        return charges, sum(charges), (), plan
    if plan.modeled:
        charges, total, advances = rate_models(plan, own, totals, facts)
        return charges, total, advances, plan
    return _rate_line_by_line(plan, own, totals)


def rate_apart(
    plan: Plan, quantities: Sequence[int], totals: Mapping[int, int], facts: Facts = NO_FACTS
) -> tuple[Rated, tuple[str, ...]]:
    """The same line by line, for an event that ``rate`` has a fault with: what can't be priced is
    UNPRICED and the other lines are charged (rule B8).

    Beside it, the reason of the fault of each quantity ("" = none). Raises RatingFault where the
    quantities contradict each other: that is of the whole event (rule R8).
    """
    if plan.steps:
        plan = plan.at(quantities[plan.prompt_index])
    assert plan.modeled, "only models have faults of a line"
    faults: list[str] = []
    own = own_quantities(plan, quantities)
    charges, total, advances = rate_models(plan, own, totals, facts, faults)
    return (charges, total, advances, plan), tuple(faults)


def refund(
    plan: Plan,
    quantities: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts = NO_FACTS,
    standing: Standing | None = None,
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """What ``quantities`` of a rated event cost less when they are given back (rule R1).

    ``plan`` is the one that priced the event, its step included. A line is F(Q) - F(Q - q), where
    ``totals`` holds Q for rows whose unit price is not whole; 0 where no row matched. Beside the
    lines: (row number, quantity) for each total that moves back. Raises RatingFault where subsets
    exceed their parent.

    Of a ``modeled`` plan the totals are by ``plan.keys``; ``facts.costs`` are what the provider
    gives back with it. Where a part of a price belongs to the single event, ``standing`` is needed:
    all of an event gives back what it was charged, a part of it no more than what the rest would
    not cost. A re-rate goes back apart: what ``rerate`` says over the totals after the moves.
    """
    own = own_quantities(plan, quantities)
    stood = own if standing is None else own_quantities(plan, standing.quantities)
    return refund_own(plan, own, stood, totals, facts, standing)


def refund_own(
    plan: Plan,
    own: Sequence[int],
    stood: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts = NO_FACTS,
    standing: Standing | None = None,
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """The same of quantities without their subsets, of which ``stood`` still stand."""
    if plan.modeled:
        return refund_models(plan, own, stood, totals, facts, standing)
    lines: list[int] = []
    moves: list[tuple[int, int]] = []
    for index, row in enumerate(plan.rows):
        quantity = own[index]
        numerator = plan.numerators[index]
        denominator = plan.denominators[index]
        if row == NO_ROW or quantity == 0:
            lines.append(0)
        elif denominator == 1:
            lines.append(numerator * quantity)
        else:
            before = numerator * totals.get(row, 0)
            after = before - numerator * quantity
            lines.append(
                rounded(before, denominator, plan.rounding)
                - rounded(after, denominator, plan.rounding)
            )
            moves.append((row, quantity))
    return tuple(lines), tuple(moves)


def own_quantities(plan: Plan, quantities: Sequence[int]) -> Sequence[int]:
    """What each quantity is charged for: itself without the subsets that the event carries.

    This is also the amount that goes to suspense where a quantity is unpriced (rule B8).
    Raises RatingFault (rule R8).
    """
    assert len(quantities) == plan.count
    own = list(quantities)
    for parent, children in plan.parents:
        part = 0
        for child in children:
            part += quantities[child]
        whole = own[parent]
        if part > whole:
            name = plan.quantities[parent]
            raise RatingFault(
                "SUBSET_EXCEEDS_PARENT",
                f"{name} is {whole}, but the quantities that are part of it add up to {part}",
                name,
            )
        own[parent] = whole - part
    return own


def _rate_line_by_line(plan: Plan, own: Sequence[int], totals: Mapping[int, int]) -> Rated:
    charges: list[int] = []
    advances: list[tuple[int, int]] = []
    total = 0
    rounding = plan.rounding
    for index, row in enumerate(plan.rows):
        if row == NO_ROW:
            charges.append(UNPRICED if own[index] else 0)
            continue
        quantity = own[index]
        numerator = plan.numerators[index]
        denominator = plan.denominators[index]
        if denominator == 1:
            charge = numerator * quantity
        elif quantity == 0:
            charge = 0
        else:
            before = numerator * totals.get(row, 0)
            after = before + numerator * quantity
            charge = rounded(after, denominator, rounding) - rounded(before, denominator, rounding)
            advances.append((row, quantity))
        charges.append(charge)
        total += charge
    return tuple(charges), total, tuple(advances), plan


def rerate(
    plan: Plan, quantities: Sequence[int], totals: Mapping[int, int]
) -> tuple[tuple[int, int], ...]:
    """What earlier quantity costs more or less because of this event: (row number, amount) each.

    Only volume prices do that, and only where a boundary is crossed; the amount may be negative.
    It is an entry of its own beside the lines, so that F(Q + q) - F(Q) is the two together
    (rule R1). The plan is the one that priced the event, its step included.
    """
    if not plan.rerates:
        return ()
    moved: list[tuple[int, int]] = []
    own = own_quantities(plan, quantities)
    for index, function in enumerate(plan.functions):
        if function is not None and function.rerates and own[index]:
            amount = function.rerate(before_of(function, totals, plan.keys[index]), own[index])
            if amount:
                moved.append((plan.rows[index], amount))
    return tuple(moved)


def listed(
    plan: Plan, quantities: Sequence[int], totals: Mapping[int, int]
) -> tuple[int | None, ...]:
    """What each quantity costs at its row's list price (rule R9); None where it has none."""
    own = own_quantities(plan, quantities)
    lists = plan.lists or (None,) * plan.count
    return tuple(
        [
            None
            if each is None
            else each.charge(before_of(each, totals, plan.keys[index]), own[index])
            for index, each in enumerate(lists)
        ]
    )
