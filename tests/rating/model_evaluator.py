"""Models once more, slowly and on their own: fractions, unit by unit where that says it best.

Written from the rules (R1, R2, R9), sharing nothing with `rating` but the card's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor

from rating_evaluator import round_by

from rating.card import PriceRow, RateCard
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

ZERO = Fraction(0)


class Unpriceable(Exception):
    """With the reason that rating gives."""


def amount(text: str) -> Fraction:
    return Fraction(text) if text else ZERO


class SlowRow:
    """A row of a card in major units, until the last step; all that it charges at a ratio."""

    def __init__(self, card: RateCard, row: PriceRow, ratio: Fraction = Fraction(1)) -> None:
        self.card = card
        self.row = row
        self.ratio = ratio
        self.unit = Fraction(1, 10 ** self.scale_of(row.quantity))

    def scale_of(self, quantity: str) -> int:
        return next(m.scale for m in self.card.meters if m.quantity == quantity)

    def minor_unit(self) -> Fraction:
        """Minor units of the asset for one minor unit of the meter, of a plain row."""
        return Fraction(self.row.price) * self.ratio * self.unit * 10**self.card.asset_scale

    def minor(self, major: Fraction) -> int:
        return round_by(self.card.rounding, major * self.ratio * 10**self.card.asset_scale)

    def cost_of(self, running: int) -> int:
        """F: what a whole running total costs in minor units, rounded and capped."""
        return self.capped(self.minor(self.exact(running, None)))

    def capped(self, cost: int) -> int:
        return min(cost, self.minor(amount(self.row.maximum))) if self.row.maximum else cost

    def exact(self, running: int, at_tier_of: int | None) -> Fraction:
        """Major units; where a tier is asked for, all of it is priced by that total's tier."""
        model, row = self.row.model, self.row
        free = model.free if isinstance(model, Percentage) else row.included
        units = max(0, running - free)
        if units == 0:
            return ZERO
        match model:
            case None:
                return Fraction(row.price) * units * self.unit
            case Graduated(tiers):
                return self.graduated(tiers, units)
            case Volume(tiers) | Stairstep(tiers):
                reached = max(0, at_tier_of - free) if at_tier_of is not None else units
                tier = reaching(tiers, reached)
                return amount(tier.price) * units * self.unit + amount(tier.flat)
            case Package(size, price):
                return ceil(Fraction(units, size)) * Fraction(price)
            case Percentage():
                return Fraction(model.rate) * units * self.unit
            case CostPlus():
                return Fraction(model.markup) * units / 10**self.card.asset_scale
        raise AssertionError(model)

    def graduated(self, tiers: tuple[Tier, ...], units: int) -> Fraction:
        cost, below = ZERO, 0
        for tier in tiers:
            if units > below:
                top = units if tier.up_to is None else min(units, tier.up_to)
                cost += amount(tier.price) * (top - below) * self.unit + amount(tier.flat)
                below = top
        return cost

    def line(self, before: int, more: int) -> tuple[int, int]:
        """(the line, the re-rate) of what comes on top of a running total."""
        if isinstance(self.row.model, Volume):
            now = self.capped(self.minor(self.exact(before + more, before + more)))
            anew = self.capped(self.minor(self.exact(before, before + more)))
            return now - anew, anew - self.cost_of(before)
        cost = self.cost_of(before + more) - self.cost_of(before)
        match self.row.model:
            case Percentage() as model if self.of_event:
                if model.free and before + more <= model.free:
                    return 0, 0
                cost += self.minor(amount(model.fixed))
                cost = max(cost, self.minor(amount(model.transaction_minimum)))
                if model.transaction_maximum:
                    cost = min(cost, self.minor(amount(model.transaction_maximum)))
            case CostPlus(fixed=fixed):
                cost += self.minor(amount(fixed))
        return cost, 0

    @property
    def of_event(self) -> bool:
        match self.row.model:
            case Percentage() as model:
                return bool(model.fixed or model.transaction_minimum or model.transaction_maximum)
            case CostPlus(fixed=fixed):
                return bool(fixed)
            case Formula():
                return True
        return False

    def formula(self, quantities: Mapping[str, int], attributes: Mapping[str, str]) -> int:
        assert isinstance(self.row.model, Formula)
        values = {
            meter.quantity: Fraction(quantities.get(meter.quantity, 0), 10**meter.scale)
            for meter in self.card.meters
        }
        value = evaluated(self.row.model.expression, values, attributes)
        if value < 0:
            raise Unpriceable("FORMULA_NEGATIVE")
        return self.minor(value)

    @property
    def running(self) -> bool:
        return self.row.scope is not Scope.EVENT


def reaching(tiers: tuple[Tier, ...], units: int) -> Tier:
    return next(tier for tier in tiers if tier.up_to is None or units <= tier.up_to)


# A formula by recursive descent over its text: no tree, no grammar, no closures.


def evaluated(text: str, values: Mapping[str, Fraction], attributes: Mapping[str, str]) -> Fraction:
    tokens = re.findall(r'"[^"]*"|[A-Za-z_]\w*|[\d.]+(?:e[+-]?\d+)?|[<>=!]=|.', text)
    reader = Reader([t for t in tokens if t.strip()], values, attributes)
    value = reader.sum(True)
    assert reader.place == len(reader.tokens), text
    return value


class Reader:
    def __init__(
        self, tokens: list[str], values: Mapping[str, Fraction], attributes: Mapping[str, str]
    ) -> None:
        self.tokens, self.place = tokens, 0
        self.values, self.attributes = values, attributes

    def next(self, expected: str = "") -> str:
        token = self.tokens[self.place]
        assert not expected or token == expected, (token, expected)
        self.place += 1
        return token

    @property
    def ahead(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def sum(self, live: bool) -> Fraction:
        value = self.product(live)
        while self.ahead in ("+", "-"):
            sign = self.next()
            right = self.product(live)
            value = bounded(value + right if sign == "+" else value - right)
        return value

    def product(self, live: bool) -> Fraction:
        value = self.unary(live)
        while self.ahead in ("*", "/"):
            factor = self.next()
            right = self.unary(live)
            if factor == "*":
                value = bounded(value * right)
            elif right == 0:
                if live:
                    raise Unpriceable("FORMULA_DIVISION_BY_ZERO")
            else:
                value = bounded(value / right)
        return value

    def unary(self, live: bool) -> Fraction:
        if self.ahead == "-":
            self.next()
            return -self.unary(live)
        token = self.next()
        if token == "(":
            value = self.sum(live)
            self.next(")")
            return value
        if token[0].isdigit():
            return Fraction(token)
        if self.ahead != "(":
            return self.values[token]
        self.next("(")
        if token == "attr":
            value = self.attribute(self.next()[1:-1], live)
        elif token == "quantity":
            value = self.values[self.next()[1:-1]]
        elif token == "if":
            value = self.choice(live)
        else:
            given = [self.sum(live)]
            while self.ahead == ",":
                self.next(",")
                given.append(self.sum(live))
            value = {
                "min": lambda: min(given),
                "max": lambda: max(given),
                "ceil": lambda: Fraction(ceil(given[0])),
                "floor": lambda: Fraction(floor(given[0])),
                "round": lambda: Fraction(round(given[0])),
            }[token]()
        self.next(")")
        return value

    def choice(self, live: bool) -> Fraction:
        left = self.sum(live)
        comparison = self.next()
        right = self.sum(live)
        holds = {
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
            "==": left == right,
            "!=": left != right,
        }[comparison]
        self.next(",")
        then = self.sum(live and holds)
        self.next(",")
        otherwise = self.sum(live and not holds)
        return then if holds else otherwise

    def attribute(self, name: str, live: bool) -> Fraction:
        text = self.attributes.get(name)
        if text is None:
            if live:
                raise Unpriceable("ATTRIBUTE_MISSING")
            return ZERO
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            if live:
                raise Unpriceable("ATTRIBUTE_NOT_NUMERIC")
            return ZERO
        return Fraction(text)


def bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) >= 2**512:
        raise Unpriceable("FORMULA_OVERFLOW")
    return value
