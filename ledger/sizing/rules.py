"""Sizing rules as published data: which quantities of a product are learned, and every fault.

A tenant has one set of them. A rule for one account goes before one for all. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from ledger.core.limits import DAY_US, INT64_MAX
from rating.card import ATTRIBUTE_NAME_BYTES_MAX
from rating.faults import CardFault, check_between, check_count, check_name

RULES_MAX: Final = 256
QUANTITIES_MAX: Final = 16
ATTRIBUTES_MAX: Final = 4
PERMILLE_MIN: Final = 500
PERMILLE_MAX: Final = 999
OBSERVATIONS_MIN: Final = 10
OBSERVATIONS_MAX: Final = 1_000_000
OBSERVATIONS_DEFAULT: Final = 100
FORTNIGHT_US: Final = 14 * DAY_US


class SizingRule(msgspec.Struct, frozen=True):
    """How holds for a product are sized; see the contract."""

    product: str
    quantities: tuple[str, ...]
    permille: int
    attributes: tuple[str, ...] = ()
    account: str = ""
    observations_min: int = OBSERVATIONS_DEFAULT
    floor: int = 0
    ceiling: int = 0
    on_request: bool = False

    def size(self, asked: int, value: int) -> int:
        """What is held where a caller asks for so much and so much was learned."""
        size = max(value, self.floor)
        if self.ceiling:
            size = min(size, self.ceiling)
        return min(size, asked)


class SizingSet(msgspec.Struct, frozen=True):
    """A tenant's rules."""

    rules: tuple[SizingRule, ...] = ()


class SizingVersion:
    """A published set, found by product and account. Version 0 is none."""

    __slots__ = ("_rules", "sizing", "version")

    def __init__(self, version: int, sizing: SizingSet) -> None:
        self.version = version
        self.sizing = sizing
        self._rules = {(rule.product, rule.account): rule for rule in sizing.rules}

    def rule(self, product: str, account: str) -> SizingRule | None:
        """The one that sizes an account's holds for a product."""
        rules = self._rules
        return rules.get((product, account)) or rules.get((product, "")) if rules else None


NO_SIZING: Final = SizingVersion(0, SizingSet())

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(SizingSet)


def fortnight_of(at_us: int) -> int:
    """Sketches cover fortnights; the present one and the one before are read together."""
    return at_us // FORTNIGHT_US


def values_of(attributes: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """The values by which usage is told apart; "" where it has none."""
    return tuple([attributes.get(name, "") for name in names])


def canonical_bytes(sizing: SizingSet) -> bytes:
    """The bytes of a set: equal sets have equal bytes."""
    return _encoder.encode(sizing)


def decode_sizing(data: bytes) -> SizingSet:
    """The set that `canonical_bytes` made bytes of."""
    return _decoder.decode(data)


def validate(sizing: SizingSet) -> list[CardFault]:
    """Everything that is wrong with a set, each with its place; empty where nothing is."""
    found = list(check_count("rules", len(sizing.rules), RULES_MAX))
    places: dict[tuple[str, str], int] = {}
    for place, rule in enumerate(sizing.rules):
        path = f"rules[{place}]"
        found.extend(_of_rule(path, rule))
        first = places.setdefault((rule.product, rule.account), place)
        if first != place:
            message = f"rules[{first}] is for the same product and account; leave one out"
            found.append(CardFault(f"{path}.product", "DUPLICATE", rule.product, message))
    return found


def _of_rule(path: str, rule: SizingRule) -> Iterator[CardFault]:
    yield from check_name(f"{path}.product", rule.product)
    yield from check_name(f"{path}.account", rule.account, empty=True)
    if not rule.quantities:
        yield CardFault(f"{path}.quantities", "FIELD_REQUIRED", "", "name what is to be learned")
    yield from _names(f"{path}.quantities", rule.quantities, QUANTITIES_MAX)
    yield from _names(f"{path}.attributes", rule.attributes, ATTRIBUTES_MAX)
    yield from check_between(f"{path}.permille", rule.permille, PERMILLE_MIN, PERMILLE_MAX)
    yield from check_between(
        f"{path}.observations_min", rule.observations_min, OBSERVATIONS_MIN, OBSERVATIONS_MAX
    )
    yield from check_between(f"{path}.floor", rule.floor, 0, INT64_MAX)
    yield from check_between(f"{path}.ceiling", rule.ceiling, 0, INT64_MAX)
    if 0 < rule.ceiling < rule.floor:
        message = f"it is below the floor, {rule.floor}"
        yield CardFault(f"{path}.ceiling", "NUMBER_OUT_OF_RANGE", str(rule.ceiling), message)


def _names(path: str, names: tuple[str, ...], most: int) -> Iterator[CardFault]:
    yield from check_count(path, len(names), most)
    longest = ATTRIBUTE_NAME_BYTES_MAX if path.endswith("attributes") else 128
    for place, name in enumerate(names):
        yield from check_name(f"{path}[{place}]", name, longest)
        if name in names[:place]:
            yield CardFault(f"{path}[{place}]", "DUPLICATE", name, "it stands here twice")
