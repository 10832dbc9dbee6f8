"""An event of a type made into quantities of a product by the meters of its time (rules N1, N4).

Owns which rule meters an event and what it makes of its properties. Exact: a value is a decimal in
text and has to be whole in units of 10^-scale, else the event is refused with its reason. What a
``max`` or a ``unique`` has counted before is given in, as a level (see ``counted``); what a
``latest`` reports is charged when its scope has ended, by whoever keeps its reports.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NoReturn

from rating.exact import PriceError, parse_price
from rating.meters import (
    OF_LEVELS,
    OF_NUMBERS,
    Aggregation,
    MeteredQuantity,
    MeterRule,
    MeterSet,
)
from rating.models import Scope

INT64_MAX: Final = 9_223_372_036_854_775_807
PLAIN_DIGITS_MAX: Final = 18  # of a whole number that certainly fits
_SIZE: Final = 8  # of a length in what names a level


class MeterReason(StrEnum):
    """Why an event cannot be metered. Stable; never reused."""

    NO_METER = "NO_METER"
    PROPERTY_MISSING = "PROPERTY_MISSING"
    PROPERTY_NOT_NUMERIC = "PROPERTY_NOT_NUMERIC"
    PROPERTY_NOT_WHOLE = "PROPERTY_NOT_WHOLE"
    PROPERTY_TOO_LARGE = "PROPERTY_TOO_LARGE"


class MeterFault(Exception):
    """An event that cannot be metered as it is."""

    def __init__(self, reason: MeterReason, field: str, value: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field  # "type", or the name of the property
        self.value = value
        self.message = message


class Levelled:
    """A quantity that counts what is above a level of the ledger's: the most that was counted.

    ``named`` is what tells the level from others within a family; the start of the scope and the
    account come with the event.
    """

    __slots__ = ("named", "place", "scope")

    def __init__(self, place: int, scope: Scope, named: bytes) -> None:
        self.place = place  # of the quantity, by name
        self.scope = scope
        self.named = named


class Gauged:
    """What an event is a report of: a gauge, whose last one in a scope is what that is charged.

    ``named`` as of a level.
    """

    __slots__ = ("named", "scope")

    def __init__(self, scope: Scope, named: bytes) -> None:
        self.scope = scope
        self.named = named


class Metered:
    """What an event is usage of. Attributes and quantities stand by name."""

    __slots__ = (
        "attributes", "gauge", "levelled", "product", "quantities", "quantity_names", "rule",
    )  # fmt: skip

    def __init__(
        self,
        rule: str,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        quantity_names: tuple[str, ...],
        quantities: tuple[int, ...],
        levelled: tuple[Levelled, ...],
        gauge: Gauged | None = None,
    ) -> None:
        self.rule = rule
        self.product = product
        self.attributes = attributes
        self.quantity_names = quantity_names
        self.quantities = quantities  # of a levelled one the value as it was reported
        self.levelled = levelled
        self.gauge = gauge  # it reports that, and is charged nothing by itself; None = it is usage

    @property
    def written(
        self,
    ) -> tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Product, names of attributes, their values, names of quantities."""
        names = tuple([name for name, _ in self.attributes])
        values = tuple([value for _, value in self.attributes])
        return self.product, names, values, self.quantity_names


class CompiledMeters:
    """A set made ready: the rules of each type, in order."""

    __slots__ = ("_by_type", "meters")

    def __init__(self, meters: MeterSet) -> None:
        self.meters = meters
        self._by_type: dict[str, list[_Rule]] = {}
        for rule in meters.rules:
            self._by_type.setdefault(rule.event_type, []).append(_Rule(rule))

    def meter(self, event_type: str, properties: Mapping[str, str]) -> Metered:
        """What an event is usage of. Raises MeterFault."""
        rules = self._by_type.get(event_type)
        if rules is None:
            message = "no meter takes events of this type; publish one, then send the same again"
            raise MeterFault(MeterReason.NO_METER, "type", event_type, message)
        for rule in rules:
            if rule.takes(properties):
                return rule.meter(properties)
        message = (
            "no meter of this type takes an event with these properties; publish one, then send "
            "the same again"
        )
        raise MeterFault(MeterReason.NO_METER, "type", event_type, message)


class _Quantity:
    """A quantity of a rule, its aggregation as what it asks of an event."""

    __slots__ = ("given", "levelled", "numeric", "optional", "property", "scale", "unique")

    def __init__(self, given: MeteredQuantity) -> None:
        self.given = given
        self.property: str = given.property
        self.scale: int = given.scale
        self.optional: bool = given.optional
        self.numeric: bool = given.aggregation in OF_NUMBERS
        self.levelled: bool = given.aggregation in OF_LEVELS
        self.unique: bool = given.aggregation is Aggregation.UNIQUE

    def of(self, properties: Mapping[str, str]) -> int:
        """What an event reports of it."""
        if not self.property:
            return 1  # it is counted
        text = properties.get(self.property)
        if text is None:
            if self.optional:
                return 0
            _missing(self.property)
        return exact(self.property, text, self.scale) if self.numeric else 1


class _Rule:
    __slots__ = ("_attributes", "_filters", "_gauge", "_names", "_quantities", "_rule")

    def __init__(self, rule: MeterRule) -> None:
        self._rule = rule
        self._filters: list[tuple[str, frozenset[str]]] = [
            (each.property, frozenset(each.one_of)) for each in rule.filters
        ]
        self._attributes: list[tuple[str, str]] = sorted(
            [(each.attribute, each.property or each.attribute) for each in rule.attributes]
        )
        ordered = sorted(rule.quantities, key=_name_of)
        self._quantities: list[_Quantity] = [_Quantity(each) for each in ordered]
        self._names: tuple[str, ...] = tuple([each.quantity for each in ordered])
        self._gauge: bool = ordered[0].aggregation is Aggregation.LATEST

    def takes(self, properties: Mapping[str, str]) -> bool:
        for name, values in self._filters:
            value = properties.get(name)
            if value is None or (values and value not in values):
                return False
        return True

    def meter(self, properties: Mapping[str, str]) -> Metered:
        rule = self._rule
        product = rule.product or _given(properties, rule.product_property)
        attributes = tuple(
            [(name, properties[of]) for name, of in self._attributes if of in properties]
        )
        values: list[int] = []
        levelled: list[Levelled] = []
        for place, each in enumerate(self._quantities):
            value = each.of(properties)
            values.append(value)
            if value and each.levelled:
                seen = properties[each.property] if each.unique else ""
                named = _named(rule.name, each.given, product, attributes, seen)
                levelled.append(Levelled(place, each.given.scope, named))
        gauge: Gauged | None = None
        if self._gauge:
            scope = rule.quantities[0].scope
            texts = [rule.name, Aggregation.LATEST.value, scope.value, product]
            gauge = Gauged(scope, _digestible([*texts, *_flat(attributes), *self._names]))
        return Metered(
            rule.name, product, attributes, self._names, tuple(values), tuple(levelled), gauge
        )


def counted(level: int, value: int) -> int:
    """How much a report counts over a level, the most that counts already: so a ``max`` counts its
    largest value in all, and a ``unique`` 1 for each, whatever the order and however often."""
    return max(0, value - level)


def _name_of(each: MeteredQuantity) -> str:
    return each.quantity


def exact(name: str, text: str, scale: int) -> int:
    """A decimal in text as whole units of 10^-scale. Raises MeterFault."""
    if not scale and len(text) <= PLAIN_DIGITS_MAX and text.isascii() and text.isdigit():
        return int(text)  # as most are
    try:
        if "/" in text:
            raise PriceError("", "a number is a decimal")
        numerator, denominator = parse_price(text)
    except PriceError:
        message = 'a number is a decimal of zero or more, such as "12" or "0.0025"'
        raise MeterFault(MeterReason.PROPERTY_NOT_NUMERIC, name, text, message) from None
    ten: int = 10**scale
    units, rest = divmod(numerator * ten, denominator)
    if rest:
        message = f"not whole at the meter's scale of {scale} digits; round it, or give it a scale"
        raise MeterFault(MeterReason.PROPERTY_NOT_WHOLE, name, text, message)
    if units > INT64_MAX:
        message = f"at the meter's scale of {scale} digits it does not fit 64 bits; split the event"
        raise MeterFault(MeterReason.PROPERTY_TOO_LARGE, name, text, message)
    return units


def _given(properties: Mapping[str, str], name: str) -> str:
    value = properties.get(name)
    if value is None:
        _missing(name)
    return value


def _missing(name: str) -> NoReturn:
    message = "the meter of the event needs this property"
    raise MeterFault(MeterReason.PROPERTY_MISSING, name, "", message)


def _named(
    rule: str,
    each: MeteredQuantity,
    product: str,
    attributes: tuple[tuple[str, str], ...],
    seen: str,
) -> bytes:
    """One of product, attributes and quantity of a rule; of a ``unique``, one of each value."""
    texts = [rule, each.quantity, each.aggregation.value, each.scope.value, product]
    return _digestible([*texts, *_flat(attributes), seen])


def _flat(attributes: tuple[tuple[str, str], ...]) -> list[str]:
    texts: list[str] = []
    for name, value in attributes:
        texts += [name, value]
    return texts


def _digestible(texts: list[str]) -> bytes:
    """Texts one after the other, each behind its length."""
    parts: list[bytes] = []
    for text in texts:
        data = text.encode()
        parts.append(len(data).to_bytes(_SIZE, "big"))
        parts.append(data)
    return b"".join(parts)


class MeterVersion:
    """A published set: in force from the later of its publication and its effective time."""

    __slots__ = ("effective_from_us", "in_force_from_us", "meters", "version")

    def __init__(
        self, version: int, published_at_us: int, effective_from_us: int, meters: CompiledMeters
    ) -> None:
        self.version = version
        self.effective_from_us = effective_from_us
        self.in_force_from_us = max(published_at_us, effective_from_us)
        self.meters = meters


class MeterVersions:
    """All versions of a tenant, read-only; ``adding`` gives the next state."""

    __slots__ = ("_boundaries", "_ordered", "_published")

    def __init__(self, versions: Iterable[MeterVersion] = ()) -> None:
        self._ordered: list[MeterVersion] = sorted(versions, key=_in_force)
        self._boundaries: list[int] = [each.in_force_from_us for each in self._ordered]
        self._published: list[MeterVersion] = sorted(self._ordered, key=_number)

    def adding(self, version: MeterVersion) -> MeterVersions:
        """The same versions and one more."""
        return MeterVersions([*self._ordered, version])

    def at(self, effective_at_us: int) -> MeterVersion | None:
        """The version that meters events of that time: the last that was in force by then, else
        the first that was meant from then or earlier; None where none is."""
        index = bisect_right(self._boundaries, effective_at_us)
        if index:
            return self._ordered[index - 1]
        for version in self._published:
            if version.effective_from_us <= effective_at_us:
                return version
        return None


def _in_force(version: MeterVersion) -> tuple[int, int]:
    return version.in_force_from_us, version.version


def _number(version: MeterVersion) -> int:
    return version.version
