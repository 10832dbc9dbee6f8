"""The hot path of rating: a plan and an event's quantities become charges (rules R1 and R8).

Owns the arithmetic and its rounding. Running totals are handed in and the advances handed back,
so nothing is kept here. Plain integers throughout, of any size: it is for the ledger to say what
fits (rule N1). Written to be fast in plain Python and to compile with mypyc unchanged.
"""

from collections.abc import Mapping, Sequence
from operator import mul
from typing import Final

from rating.compile import NO_ROW, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Plan

UNPRICED: Final = -1

# (charge per quantity in minor units, UNPRICED where no row applies to more than zero: nothing of
#  a quantity that is zero, or wholly in its subsets, waits for a price;
#  sum of the priced ones;
#  (row number, priced quantity) for each row whose unit price is not whole: its total moves on;
#  the plan that was used, a step of the one given where the prompt is large)
Rated = tuple[tuple[int, ...], int, tuple[tuple[int, int], ...], Plan]


class RatingFault(Exception):
    """An event that no plan can price. ``reason`` is stable: SUBSET_EXCEEDS_PARENT (rule R8)."""

    def __init__(self, reason: str, quantity: str, value: int, subset: int) -> None:
        super().__init__(
            f"{quantity} is {value}, but the quantities that are part of it add up to {subset}"
        )
        self.reason = reason
        self.quantity = quantity
        self.value = value
        self.subset = subset


def rate(plan: Plan, quantities: Sequence[int], totals: Mapping[int, int]) -> Rated:
    """Charges of one event: see ``Rated``.

    ``quantities`` are minor units in the order of ``plan.quantities``. ``totals`` maps a row
    number to what that row has priced so far in its period (absent = 0); it is read only for
    rows whose unit price is not whole: charge = F(Q + q) - F(Q), rounding included (rule R1).
    Raises RatingFault where subsets exceed their parent.
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
        assert len(quantities) == plan.count
        charges = tuple(map(mul, plan.numerators, quantities))
        return charges, sum(charges), (), plan
    own = own_quantities(plan, quantities)
    if plan.whole and plan.priced == plan.count:
        charges = tuple(map(mul, plan.numerators, own))
        return charges, sum(charges), (), plan
    return _rate_line_by_line(plan, own, totals)


def refund(
    plan: Plan, quantities: Sequence[int], totals: Mapping[int, int]
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """What ``quantities`` of a rated event cost less when they are given back (rule R1).

    ``plan`` is the one that priced the event, its step included. A line is F(Q) - F(Q - q), where
    ``totals`` holds Q for rows whose unit price is not whole; 0 where no row matched. Beside the
    lines: (row number, quantity) for each total that moves back. Raises RatingFault where subsets
    exceed their parent.
    """
    own = own_quantities(plan, quantities)
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
            raise RatingFault("SUBSET_EXCEEDS_PARENT", plan.quantities[parent], whole, part)
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


def rounded(numerator: int, denominator: int, rounding: int) -> int:
    """The ratio, zero or more, as a whole number by one of the ROUND_ codes (rule N2)."""
    assert numerator >= 0
    whole, rest = divmod(numerator, denominator)
    if rest == 0 or rounding == ROUND_DOWN:
        return whole
    if rounding == ROUND_UP:
        return whole + 1
    twice = rest + rest
    if twice < denominator:
        return whole
    if twice == denominator and rounding == ROUND_HALF_EVEN:
        return whole + (whole & 1)
    return whole + 1
