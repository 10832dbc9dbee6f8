"""Rating once more, slowly and on its own: fractions, one line at a time, straight from the rules.

It shares nothing with the compiled path but the card's data, so that the two can be compared.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import floor
from typing import NamedTuple

from rating.card import PriceRow, RateCard, Rounding


class Line(NamedTuple):
    """A priced line; charge None is unpriced. ``advance`` is None where the price is whole."""

    own: int
    ordinal: int | None
    charge: int | None
    advance: int | None


class SubsetExceedsParent(Exception):
    pass


def evaluate(
    card: RateCard,
    product: str,
    attributes: Mapping[str, str],
    quantities: Mapping[str, int],
    totals: Mapping[int, int],
) -> dict[str, Line]:
    """Lines by quantity; ``totals`` by the row's place in the card."""
    lines = {}
    for quantity in quantities:
        own = own_quantity(card, quantity, quantities)
        ordinal = winner(card, product, attributes, quantity, quantities)
        if ordinal is None:
            lines[quantity] = Line(own, None, None, None)
            continue
        unit = unit_price(card, card.rows[ordinal])
        if unit.denominator == 1:
            lines[quantity] = Line(own, ordinal, int(unit * own), None)
        else:
            before = totals.get(ordinal, 0)
            charge = round_by(card.rounding, unit * (before + own)) - round_by(
                card.rounding, unit * before
            )
            lines[quantity] = Line(own, ordinal, charge, own)
    return lines


def unit_price(card: RateCard, row: PriceRow) -> Fraction:
    scale = next(meter.scale for meter in card.meters if meter.quantity == row.quantity)
    return Fraction(row.price) * 10**card.asset_scale / 10**scale


def winner(
    card: RateCard,
    product: str,
    attributes: Mapping[str, str],
    quantity: str,
    quantities: Mapping[str, int],
) -> int | None:
    prompt = quantities.get(card.prompt_quantity, 0)
    matching = []
    for ordinal, row in enumerate(card.rows):
        if row.product not in (product, "*") or row.quantity != quantity:
            continue
        if row.above_prompt and not prompt > row.above_prompt:
            continue
        if all(
            name in attributes and value in ("*", attributes[name])
            for name, value in row.attributes.items()
        ):
            fixed = sum(value != "*" for value in row.attributes.values())
            exact = row.product != "*"
            matching.append((exact, fixed, row.above_prompt, row.priority, ordinal))
    return max(matching)[-1] if matching else None


def own_quantity(card: RateCard, quantity: str, quantities: Mapping[str, int]) -> int:
    subsets = sum(
        amount
        for name, amount in quantities.items()
        if nearest_parent(card, name, quantities) == quantity
    )
    if subsets > quantities[quantity]:
        raise SubsetExceedsParent(quantity)
    return quantities[quantity] - subsets


def nearest_parent(card: RateCard, quantity: str, quantities: Mapping[str, int]) -> str | None:
    for meter in card.meters:
        if meter.quantity == quantity and meter.subset_of:
            if meter.subset_of in quantities:
                return meter.subset_of
            return nearest_parent(card, meter.subset_of, quantities)
    return None


def round_by(rounding: Rounding, exact: Fraction) -> int:
    match rounding:
        case Rounding.HALF_EVEN:
            return round(exact)
        case Rounding.HALF_UP:
            return floor(exact + Fraction(1, 2))
        case Rounding.DOWN:
            return floor(exact)
        case Rounding.UP:
            return -floor(-exact)
