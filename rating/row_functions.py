"""A price row made into its function: texts to integers over one common denominator, once a row.

Owns the units: prices in major units become minor units of the asset for one minor unit of the
meter. The row must have passed ``card.validate``. Must not round: see ``functions``. Plain slotted
classes only, so that it compiles with mypyc as it stands.
"""

from collections.abc import Mapping
from math import lcm
from typing import Final

from rating.card import PriceRow
from rating.exact import parse_price, scaled_price
from rating.formula import CompiledFormula
from rating.functions import (
    MEASURE_COST,
    MEASURE_EVENT,
    NO_MAXIMUM,
    SCOPE_CONTRACT,
    SCOPE_DAY,
    SCOPE_EVENT,
    SCOPE_MONTH,
    SCOPE_PERIOD,
    SCOPE_SUBTREE_DAY,
    SCOPE_SUBTREE_MONTH,
    SCOPE_SUBTREE_PERIOD,
    Function,
    Tiered,
    Transaction,
)
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.rounding import rounded

SCOPES: Final[dict[Scope, int]] = {
    Scope.EVENT: SCOPE_EVENT,
    Scope.DAY: SCOPE_DAY,
    Scope.MONTH: SCOPE_MONTH,
    Scope.PERIOD: SCOPE_PERIOD,
    Scope.SUBTREE_DAY: SCOPE_SUBTREE_DAY,
    Scope.SUBTREE_MONTH: SCOPE_SUBTREE_MONTH,
    Scope.SUBTREE_PERIOD: SCOPE_SUBTREE_PERIOD,
    Scope.CONTRACT: SCOPE_CONTRACT,
}

Ratio = tuple[int, int]


class FormulaFunction(Function):
    """A formula over one event; its quantities and attributes are all that it sees."""

    __slots__ = ("formula", "rounding", "unit")

    def __init__(self, formula: CompiledFormula, unit: Ratio, rounding: int) -> None:
        super().__init__(MEASURE_EVENT, SCOPE_EVENT, True, False)
        self.formula: CompiledFormula = formula
        self.unit: Ratio = unit  # minor units of the asset that a value of one costs
        self.rounding: int = rounding

    def exact(self, quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        """Minor units of the asset before rounding. Raises RatingFault."""
        numerator, denominator = self.formula.value(quantities, attributes)
        return numerator * self.unit[0], denominator * self.unit[1]

    def price(self, quantities: Mapping[str, int], attributes: Mapping[str, str]) -> int:
        """Minor units of the asset. Raises RatingFault."""
        numerator, denominator = self.exact(quantities, attributes)
        return rounded(numerator, denominator, self.rounding)


def function_of(
    row: PriceRow, asset_scale: int, scales: Mapping[str, int], rounding: int
) -> Function:
    """The function of a row that is not plain."""
    meter_scale, scope, model = scales[row.quantity], SCOPES[row.scope], row.model
    maximum = amount_of(row.maximum, asset_scale) if row.maximum else NO_MAXIMUM
    if model is None:
        unit = scaled_price(row.price, asset_scale, meter_scale)
        return linear(unit, rounding, scope, row.included, maximum)
    if isinstance(model, Formula):
        unit = (10**asset_scale, 1)
        return FormulaFunction(CompiledFormula(model.expression, scales), unit, rounding)
    if isinstance(model, Percentage):
        rate = scaled_price(model.rate, asset_scale, meter_scale)
        share = linear(rate, rounding, scope, model.free, maximum)
        return _transaction(
            share, model.fixed, model.transaction_minimum, model.transaction_maximum, asset_scale
        )
    if isinstance(model, CostPlus):
        markup = parse_price(model.markup)
        share = linear(markup, rounding, scope, 0, maximum, measure=MEASURE_COST)
        return _transaction(share, model.fixed, "", "", asset_scale)
    if isinstance(model, Package):
        price = scaled_price(model.price, asset_scale, 0)
        return linear(price, rounding, scope, row.included, maximum, size=model.size)
    return _tiered(model, asset_scale, meter_scale, rounding, scope, row.included, maximum)


def list_function(
    row: PriceRow, asset_scale: int, scales: Mapping[str, int], rounding: int
) -> Tiered | None:
    """The function of a row's list price (rule R9), within the row's maximum; None without one."""
    if not row.list_price:
        return None
    unit = scaled_price(row.list_price, asset_scale, scales[row.quantity])
    maximum = amount_of(row.maximum, asset_scale) if row.maximum else NO_MAXIMUM
    return linear(unit, rounding, SCOPES[row.scope], row.included, maximum)


def linear(
    unit: Ratio,
    rounding: int,
    scope: int,
    included: int = 0,
    maximum: int = NO_MAXIMUM,
    size: int = 1,
    measure: int = 0,
) -> Tiered:
    """One price for every unit above what is included."""
    numerator, denominator = unit
    return Tiered(
        (), (numerator,), (0,), denominator, rounding, scope, included, maximum, size, measure
    )


def amount_of(text: str, asset_scale: int) -> int:
    """An amount of the asset that is whole in minor units."""
    numerator, denominator = scaled_price(text, asset_scale, 0)
    assert denominator == 1, text
    return numerator


def _transaction(
    share: Tiered, fixed: str, minimum: str, maximum: str, asset_scale: int
) -> Function:
    if not (fixed or minimum or maximum):
        return share
    return Transaction(
        share,
        amount_of(fixed, asset_scale) if fixed else 0,
        amount_of(minimum, asset_scale) if minimum else 0,
        amount_of(maximum, asset_scale) if maximum else NO_MAXIMUM,
    )


def _tiered(
    model: Graduated | Volume | Stairstep,
    asset_scale: int,
    meter_scale: int,
    rounding: int,
    scope: int,
    included: int,
    maximum: int,
) -> Tiered:
    prices = [_ratio(tier.price, asset_scale, meter_scale) for tier in model.tiers]
    flats = [_ratio(tier.flat, asset_scale, 0) for tier in model.tiers]
    denominator = lcm(*[ratio[1] for ratio in (*prices, *flats)])
    slopes = [numerator * (denominator // each) for numerator, each in prices]
    starts = [numerator * (denominator // each) for numerator, each in flats]
    if isinstance(model, Graduated):
        starts = _graduated(model.tiers, slopes, starts)
    return Tiered(
        tuple([tier.up_to for tier in model.tiers if tier.up_to is not None]),
        tuple(slopes),
        tuple(starts),
        denominator,
        rounding,
        scope,
        included,
        maximum,
        rerates=isinstance(model, Volume),
    )


def _graduated(tiers: tuple[Tier, ...], slopes: list[int], flats: list[int]) -> list[int]:
    """Where each tier's line would meet zero: what is below it, less what its price makes of it."""
    intercepts: list[int] = []
    base = lower = 0
    for tier, slope, flat in zip(tiers, slopes, flats, strict=True):
        base += flat
        intercepts.append(base - slope * lower)
        if tier.up_to is not None:
            base += slope * (tier.up_to - lower)
            lower = tier.up_to
    return intercepts


def _ratio(text: str, asset_scale: int, meter_scale: int) -> Ratio:
    return scaled_price(text, asset_scale, meter_scale) if text else (0, 1)
