"""What is wrong with the terms of a row: its model, scope, hours and limits; and with minimums.

Owns the faults of ``models``, each with its place and a stable reason. A card that passes compiles
without an error, and its lines are never below zero.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from rating.exact import PriceError, is_plain_price, parse_price
from rating.faults import (
    CardFault,
    check_amount,
    check_between,
    check_count,
    check_name,
    check_price,
)
from rating.formula import CompiledFormula
from rating.formula_grammar import FormulaError
from rating.hours import minutes_of
from rating.models import (
    FORMULA_ATTRIBUTES_MAX,
    TIERS_MAX,
    UP_TO_MAX,
    CostPlus,
    Formula,
    Hours,
    Minimum,
    MinimumScope,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    cumulative,
)
from rating.zones import is_zone

if TYPE_CHECKING:
    from rating.card import PriceRow


def check_terms(
    path: str, row: PriceRow, asset_scale: int, scales: Mapping[str, int]
) -> Iterator[CardFault]:
    """Faults of everything that a row says beside its conditions and its plain price."""
    if row.model is not None:
        yield from _model(f"{path}.model", row, asset_scale, scales)
    if row.included:
        yield from check_between(f"{path}.included", row.included, 0, UP_TO_MAX)
        if isinstance(row.model, Percentage | Formula | CostPlus):
            message = "units are included only where the total is of units; see `free`"
            yield CardFault(
                f"{path}.included", "INCLUDED_NOT_FOR_MODEL", str(row.included), message
            )
    if row.maximum:
        yield from check_amount(f"{path}.maximum", row.maximum, asset_scale)
        if not cumulative(row.model):
            message = "a maximum caps a running total, and parts of this price belong to the event"
            yield CardFault(f"{path}.maximum", "MAXIMUM_NOT_FOR_MODEL", row.maximum, message)
    if row.list_price:
        yield from check_price(f"{path}.list_price", row.list_price)
        if isinstance(row.model, CostPlus | Formula | Percentage):
            message = "a list price is for units, and this price is not"
            yield CardFault(
                f"{path}.list_price", "LIST_PRICE_NOT_FOR_MODEL", row.list_price, message
            )
    if row.hours is not None:
        yield from _hours(f"{path}.hours", row.hours)


def check_minimums(
    minimums: tuple[Minimum, ...],
    rows: tuple[PriceRow, ...],
    asset_scale: int,
    quantities: Collection[str],
) -> Iterator[CardFault]:
    """Faults of a card's minimums (rule R2)."""
    seen: dict[object, int] = {}
    for index, minimum in enumerate(minimums):
        path = f"minimums[{index}]"
        yield from check_amount(f"{path}.amount", minimum.amount, asset_scale)
        if _too_large(minimum.amount, asset_scale):
            message = f"{minimum.amount} does not fit 64 bits in minor units of the card's asset"
            yield CardFault(f"{path}.amount", "AMOUNT_TOO_LARGE", minimum.amount, message)
        of_line = minimum.scope is MinimumScope.LINE
        named = of_line or minimum.scope is MinimumScope.PRODUCT
        yield from _named(f"{path}.product", minimum.product, minimum.scope, needed=named)
        yield from _named(f"{path}.quantity", minimum.quantity, minimum.scope, needed=of_line)
        if named and minimum.product == "*":
            message = "a minimum is for one product; for all of them, for the account"
            yield CardFault(f"{path}.product", "MINIMUM_SCOPE", minimum.product, message)
        if of_line and minimum.quantity and minimum.quantity not in quantities:
            message = f"{minimum.quantity!r} is not a meter of this card; declare it"
            yield CardFault(f"{path}.quantity", "QUANTITY_UNKNOWN", minimum.quantity, message)
        key = (minimum.scope, minimum.product, minimum.quantity)
        if seen.setdefault(key, index) != index:
            message = f"there is a minimum for this already, minimums[{seen[key]}]; remove one"
            yield CardFault(path, "MINIMUM_DUPLICATE", minimum.scope, message)
        for row in rows if of_line else ():
            if (row.product, row.quantity) == (minimum.product, minimum.quantity) and row.maximum:
                yield from _above(f"{path}.amount", minimum.amount, row.maximum)


def _too_large(text: str, asset_scale: int) -> bool:
    amount = _parsed(text)
    return (
        amount is not None
        and asset_scale >= 0
        and amount[0] * 10**asset_scale > amount[1] * UP_TO_MAX
    )


def _named(path: str, name: str, scope: MinimumScope, *, needed: bool) -> Iterator[CardFault]:
    if needed:
        yield from check_name(path, name)
    elif name:
        message = f"a minimum for the {scope} names none; leave it out"
        yield CardFault(path, "MINIMUM_SCOPE", name, message)


def _model(
    path: str, row: PriceRow, asset_scale: int, scales: Mapping[str, int]
) -> Iterator[CardFault]:
    model = row.model
    if row.price:
        message = "the row has a model, which says the price; leave the row's own out"
        yield CardFault(path.replace(".model", ".price"), "PRICE_WITH_MODEL", row.price, message)
    if isinstance(model, Formula):
        if row.scope is not Scope.EVENT:
            message = 'a formula sees one event alone; its scope is "event"'
            yield CardFault(path.replace(".model", ".scope"), "WRONG_SCOPE", row.scope, message)
        yield from _formula(path, model, scales)
    elif isinstance(model, Percentage):
        yield from _percentage(path, model, asset_scale)
    elif isinstance(model, CostPlus):
        yield from check_price(f"{path}.markup", model.markup)
        if model.fixed:
            yield from check_amount(f"{path}.fixed", model.fixed, asset_scale)
    elif isinstance(model, Package):
        yield from check_between(f"{path}.size", model.size, 1, UP_TO_MAX)
        yield from check_price(f"{path}.price", model.price)
    elif model is not None:
        yield from _tiers(f"{path}.tiers", model.tiers, stairs=isinstance(model, Stairstep))


def _tiers(path: str, tiers: tuple[Tier, ...], *, stairs: bool) -> Iterator[CardFault]:
    yield from check_count(path, len(tiers), TIERS_MAX)
    if not tiers:
        yield CardFault(path, "TIERS_EMPTY", "", "a model of tiers has at least one, the open one")
        return
    lower = 0
    for index, tier in enumerate(tiers[:TIERS_MAX]):
        last = index == len(tiers) - 1
        if tier.up_to is None:
            if not last:
                message = "only the last tier is open; say up to where this one goes"
                yield CardFault(f"{path}[{index}].up_to", "TIER_OPEN_NOT_LAST", "", message)
        else:
            if not lower < tier.up_to <= UP_TO_MAX:
                message = f"the tier goes up to {tier.up_to}, and begins above {lower}"
                place, value = f"{path}[{index}].up_to", str(tier.up_to)
                yield CardFault(place, "TIERS_NOT_ASCENDING", value, message)
            if last:
                message = "the last tier is open, so that every quantity has a price"
                place, value = f"{path}[{index}].up_to", str(tier.up_to)
                yield CardFault(place, "TIER_LAST_NOT_OPEN", value, message)
            lower = max(lower, tier.up_to)
        if stairs or tier.flat or not is_plain_price(tier.price):  # else there is nothing to find
            yield from _tier(f"{path}[{index}]", tier, stairs=stairs)
    if stairs:
        yield from _descending(path, tiers)


def _tier(place: str, tier: Tier, *, stairs: bool) -> Iterator[CardFault]:
    if tier.price:
        yield from check_price(f"{place}.price", tier.price)
        if stairs:
            message = "a stair costs its flat amount and nothing a unit"
            yield CardFault(f"{place}.price", "PRICE_NOT_FOR_MODEL", tier.price, message)
    if tier.flat:
        yield from check_price(f"{place}.flat", tier.flat)
    if not tier.flat and (stairs or not tier.price):
        message = 'the tier says no price; "0" is free'
        yield CardFault(place, "TIER_WITHOUT_PRICE", "", message)


def _descending(path: str, tiers: tuple[Tier, ...]) -> Iterator[CardFault]:
    before: tuple[int, int] | None = None
    for index, tier in enumerate(tiers[:TIERS_MAX]):
        flat = _parsed(tier.flat)
        if flat is None:
            return
        if before is not None and flat[0] * before[1] < before[0] * flat[1]:
            message = "a higher stair costs less than the one below it"
            yield CardFault(f"{path}[{index}].flat", "TIERS_DECREASING", tier.flat, message)
        before = flat


def _percentage(path: str, model: Percentage, asset_scale: int) -> Iterator[CardFault]:
    yield from check_price(f"{path}.rate", model.rate)
    for name, text in (
        ("fixed", model.fixed),
        ("transaction_minimum", model.transaction_minimum),
        ("transaction_maximum", model.transaction_maximum),
    ):
        if text:
            yield from check_amount(f"{path}.{name}", text, asset_scale)
    yield from check_between(f"{path}.free", model.free, 0, UP_TO_MAX)
    if model.transaction_minimum and model.transaction_maximum:
        yield from _above(
            f"{path}.transaction_minimum", model.transaction_minimum, model.transaction_maximum
        )


def _formula(path: str, model: Formula, scales: Mapping[str, int]) -> Iterator[CardFault]:
    yield from check_count(f"{path}.attributes", len(model.attributes), FORMULA_ATTRIBUTES_MAX)
    for index, name in enumerate(model.attributes):
        yield from check_name(f"{path}.attributes[{index}]", name)
    try:
        formula = CompiledFormula(model.expression, scales)
    except FormulaError as error:
        yield CardFault(f"{path}.expression", error.reason, error.value, str(error))
        return
    for name in sorted(formula.attributes.difference(model.attributes)):
        message = f"the formula reads {name!r}, which is not among its attributes; add it"
        yield CardFault(f"{path}.attributes", "FORMULA_ATTRIBUTE_UNKNOWN", name, message)


def _hours(path: str, hours: Hours) -> Iterator[CardFault]:
    if not is_zone(hours.zone):
        message = f'{hours.zone!r} is not a zone of the IANA database such as "Europe/Berlin"'
        yield CardFault(f"{path}.zone", "ZONE_UNKNOWN", hours.zone, message)
    start, end = minutes_of(hours.start), minutes_of(hours.end)
    for name, text, minutes, most in (
        ("start", hours.start, start, 1_439),
        ("end", hours.end, end, 1_440),
    ):
        if minutes is None or minutes > most:
            message = f'{text!r} is not a time of day such as "08:30"'
            yield CardFault(f"{path}.{name}", "CLOCK_MALFORMED", text, message)
    if start is not None and start == end != 1_440:
        message = "the window is empty; a whole day is 00:00 to 24:00"
        yield CardFault(f"{path}.end", "HOURS_EMPTY", hours.end, message)
    days = hours.weekdays
    if not days or list(days) != sorted(set(days)) or not 1 <= days[0] <= days[-1] <= 7:
        message = "weekdays are numbers from 1 (Monday) to 7, ascending, each once"
        yield CardFault(f"{path}.weekdays", "WEEKDAYS_MALFORMED", str(list(days)), message)


def _above(path: str, minimum: str, maximum: str) -> Iterator[CardFault]:
    least, most = _parsed(minimum), _parsed(maximum)
    if least is not None and most is not None and least[0] * most[1] > most[0] * least[1]:
        message = f"the minimum is above the maximum of {maximum}"
        yield CardFault(path, "MINIMUM_ABOVE_MAXIMUM", minimum, message)


def _parsed(text: str) -> tuple[int, int] | None:
    try:
        return parse_price(text)
    except PriceError:
        return None
