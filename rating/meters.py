"""Meters as data: how an event of a type becomes quantities of a product (rules N1, N4).

Owns what a set of meters may say, every fault of it with its place, and its bytes. How an event is
metered is for ``metering``. Pure; numbers come as texts, for floats are never exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from rating.faults import CardFault, check_between, check_count, check_name
from rating.models import OF_MANY, Scope

RULES_MAX: Final = 1_024  # of a set
FILTERS_MAX: Final = 16  # of a rule
VALUES_MAX: Final = 256  # of a filter
QUANTITIES_MAX: Final = 16  # of a rule: as many as a usage event has
ATTRIBUTES_MAX: Final = 16
ATTRIBUTE_NAME_BYTES_MAX: Final = 64
PROPERTY_BYTES_MAX: Final = 128
VALUE_BYTES_MAX: Final = 1_024
SCALE_MAX: Final = 18


class Aggregation(StrEnum):
    """What of the events of a scope is the quantity."""

    COUNT = "count"  # each event counts 1
    SUM = "sum"  # each counts the value of a property
    MAX = "max"  # the largest value of a property
    UNIQUE = "unique"  # how many different values a property has
    LATEST = "latest"  # the value of a gauge: the last that was reported


OF_LEVELS: Final = (Aggregation.MAX, Aggregation.UNIQUE)
OF_A_SCOPE: Final = (*OF_LEVELS, Aggregation.LATEST)
OF_NUMBERS: Final = (Aggregation.SUM, Aggregation.MAX, Aggregation.LATEST)


class Filter(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An event passes that has the property, with one of these values; none named = with any."""

    property: str
    one_of: tuple[str, ...] = ()


class MeteredAttribute(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A property that is an attribute of the usage, where the event has it; "" = of its name."""

    attribute: str
    property: str = ""


class MeteredQuantity(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A quantity of the usage: an aggregation of a property, in units of 10^-scale.

    ``scope``: over which events of the account a ``max``, ``unique`` or ``latest`` is taken.
    ``optional``: an event without the property counts nothing, else it is refused.
    """

    quantity: str
    aggregation: Aggregation = Aggregation.COUNT
    property: str = ""
    scale: int = 0
    scope: Scope = Scope.MONTH
    optional: bool = False


class MeterRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What events of a type that pass all filters are usage of.

    The product is fixed, or the value of a property. Where one quantity is a ``latest``, all are,
    of one scope: an event reports the gauge whole.
    """

    name: str
    event_type: str
    quantities: tuple[MeteredQuantity, ...]
    product: str = ""
    product_property: str = ""
    filters: tuple[Filter, ...] = ()
    attributes: tuple[MeteredAttribute, ...] = ()


class MeterSet(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The rules of a tenant. The first that an event passes meters it, and no other."""

    rules: tuple[MeterRule, ...]


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")
_decoder: Final = msgspec.msgpack.Decoder(MeterSet)


def canonical_bytes(meters: MeterSet) -> bytes:
    """The bytes of a set: equal sets have equal bytes."""
    return _encoder.encode(meters)


def decode_meters(data: bytes) -> MeterSet:
    """The set that ``canonical_bytes`` made bytes of."""
    return _decoder.decode(data)


def validate(meters: MeterSet) -> list[CardFault]:
    """Everything that is wrong with a set, each with its place; empty where nothing is."""
    found = list(check_count("rules", len(meters.rules), RULES_MAX))
    if not meters.rules:
        found.append(CardFault("rules", "FIELD_REQUIRED", "", "a set has at least one rule"))
    names: dict[str, int] = {}
    unfiltered: dict[str, int] = {}
    for place, rule in enumerate(meters.rules):
        path = f"rules[{place}]"
        found.extend(_of_rule(path, rule))
        if rule.name in names:
            message = f"rules[{names[rule.name]}] has this name; each rule has its own"
            found.append(CardFault(f"{path}.name", "NAME_REPEATED", rule.name, message))
        names.setdefault(rule.name, place)
        if rule.event_type in unfiltered:
            message = (
                f"rules[{unfiltered[rule.event_type]}] meters every event of this type; put rules "
                "with filters before it"
            )
            found.append(CardFault(f"{path}.event_type", "UNREACHABLE", rule.event_type, message))
        elif not rule.filters:
            unfiltered[rule.event_type] = place
    return found


def _of_rule(path: str, rule: MeterRule) -> Iterator[CardFault]:
    yield from check_name(f"{path}.name", rule.name)
    yield from check_name(f"{path}.event_type", rule.event_type)
    if bool(rule.product) == bool(rule.product_property):
        message = "a product, or the property that names it: one of the two"
        yield CardFault(f"{path}.product", "PRODUCT_INVALID", rule.product, message)
    yield from check_name(f"{path}.product", rule.product, empty=True)
    yield from check_name(
        f"{path}.product_property", rule.product_property, PROPERTY_BYTES_MAX, empty=True
    )
    yield from check_count(f"{path}.filters", len(rule.filters), FILTERS_MAX)
    for place, each in enumerate(rule.filters):
        where = f"{path}.filters[{place}]"
        yield from check_name(f"{where}.property", each.property, PROPERTY_BYTES_MAX)
        yield from check_count(f"{where}.one_of", len(each.one_of), VALUES_MAX)
        for at, value in enumerate(each.one_of):
            yield from check_name(f"{where}.one_of[{at}]", value, VALUE_BYTES_MAX, empty=True)
    yield from check_count(f"{path}.attributes", len(rule.attributes), ATTRIBUTES_MAX)
    for place, attribute in enumerate(rule.attributes):
        where = f"{path}.attributes[{place}]"
        yield from check_name(f"{where}.attribute", attribute.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        yield from check_name(
            f"{where}.property", attribute.property, PROPERTY_BYTES_MAX, empty=True
        )
    attributes = [each.attribute for each in rule.attributes]
    yield from _repeated(f"{path}.attributes", "attribute", attributes)
    if not rule.quantities:
        message = "a rule has at least one quantity"
        yield CardFault(f"{path}.quantities", "FIELD_REQUIRED", "", message)
    yield from check_count(f"{path}.quantities", len(rule.quantities), QUANTITIES_MAX)
    for place, quantity in enumerate(rule.quantities):
        yield from _of_quantity(f"{path}.quantities[{place}]", quantity)
    quantities = [each.quantity for each in rule.quantities]
    yield from _repeated(f"{path}.quantities", "quantity", quantities)
    yield from _of_gauge(f"{path}.quantities", rule.quantities)


def _of_quantity(path: str, given: MeteredQuantity) -> Iterator[CardFault]:
    yield from check_name(f"{path}.quantity", given.quantity)
    yield from check_name(f"{path}.property", given.property, PROPERTY_BYTES_MAX, empty=True)
    yield from check_between(f"{path}.scale", given.scale, 0, SCALE_MAX)
    kind = given.aggregation
    if (kind is Aggregation.COUNT) == bool(given.property):
        message = "count takes no property, every other aggregation is of one"
        yield CardFault(f"{path}.property", "PROPERTY_INVALID", given.property, message)
    if given.scale and kind not in OF_NUMBERS:
        message = f"what a {kind.value} counts is whole: a scale is for values of properties"
        yield CardFault(f"{path}.scale", "SCALE_INVALID", str(given.scale), message)
    if given.scope is Scope.EVENT or given.scope in OF_MANY:
        message = "over a day, a month or a billing period; a sum counts each event by itself"
        yield CardFault(f"{path}.scope", "SCOPE_INVALID", given.scope.value, message)
    if given.scope is not Scope.MONTH and kind not in OF_A_SCOPE:
        message = f"a {kind.value} has no scope: it adds up over any time"
        yield CardFault(f"{path}.scope", "SCOPE_INVALID", given.scope.value, message)
    if given.optional and kind is Aggregation.COUNT:
        message = "a count has no property that could be missing"
        yield CardFault(f"{path}.optional", "OPTIONAL_INVALID", "true", message)
    if given.optional and kind is Aggregation.LATEST:
        message = "a report says what the gauge shows, 0 too; nothing of it may be missing"
        yield CardFault(f"{path}.optional", "OPTIONAL_INVALID", "true", message)


def _of_gauge(path: str, quantities: Sequence[MeteredQuantity]) -> Iterator[CardFault]:
    """What is wrong where one of a rule's quantities is a gauge, and so all are."""
    gauges = [each for each in quantities if each.aggregation is Aggregation.LATEST]
    if not gauges:
        return
    for place, each in enumerate(quantities):
        if each.aggregation is not Aggregation.LATEST:
            message = (
                "a report of a gauge charges nothing by itself, so that all quantities of its rule "
                "are latest; give the others a rule and events of their own"
            )
            yield CardFault(
                f"{path}[{place}].aggregation",
                "AGGREGATIONS_MIXED",
                each.aggregation.value,
                message,
            )
        elif each.scope is not gauges[0].scope:
            message = f"the gauge of a rule has one scope, here {gauges[0].scope.value}"
            yield CardFault(f"{path}[{place}].scope", "SCOPE_INVALID", each.scope.value, message)


def _repeated(path: str, what: str, names: Sequence[str]) -> Iterator[CardFault]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            where = f"{path}[{place}].{what}"
            yield CardFault(where, "NAME_REPEATED", name, f"the {what} stands twice in the rule")
        seen.add(name)
