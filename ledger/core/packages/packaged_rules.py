"""Rules of decisions as a package says them: published data, their faults, and the rules that they
are (rule P1).

Assets go by their codes, actions and limits by their words, as all that is published. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from ledger.core.decisions.rule_faults import rule_fault
from ledger.core.events import Alternative, LimitKind, PolicyAction, PolicyRule, QuantityMap
from ledger.core.limits import ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX
from rating.faults import CardFault, check_name


class PackagedAction(StrEnum):
    """What a rule does about work that may not run as it was asked for."""

    DENY = "deny"
    OVERDRAW = "overdraw"
    DOWNGRADE = "downgrade"
    DEFER = "defer"
    TOP_UP = "top_up"


class PackagedLimit(StrEnum):
    """A limit that may deny work."""

    GRANTS = "grants"
    OVERDRAFT = "overdraft"
    OVERAGE = "overage"
    CAP = "cap"
    BUDGET = "budget"
    GRACE = "grace"
    PRICE = "price"
    SEAT = "seat"
    OPERATION = "operation"
    MANDATE = "mandate"


ACTIONS: Final = {each: PolicyAction[each.name] for each in PackagedAction}
LIMITS: Final = {each: LimitKind[each.name] for each in PackagedLimit}


class PackagedMap(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """See events.QuantityMap."""

    quantity: str
    becomes: str = ""
    permille: int = 1_000


class PackagedAlternative(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """See events.Alternative."""

    product: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    quantities: tuple[PackagedMap, ...] = ()


class PackagedRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """See events.PolicyRule; amounts are in minor units of the assets that are named by codes."""

    action: PackagedAction
    products: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    limits: tuple[PackagedLimit, ...] = ()
    lifetime_value_asset: str = ""
    lifetime_value_least: int = 0
    available_below: int = -1
    margin_floor_permille: int = -1
    asset: str = ""
    bound: int = 0
    lasting_us: int = 0
    alternatives: tuple[PackagedAlternative, ...] = ()
    lifetime_us: int = 0


def rule_of(said: PackagedRule, number: Callable[[str], int]) -> PolicyRule:
    """The rule that it is; `number` of an asset by its code."""
    return PolicyRule(
        ACTIONS[said.action],
        said.products,
        said.attributes,
        tuple([int(LIMITS[each]) for each in said.limits]),
        number(said.lifetime_value_asset) if said.lifetime_value_asset else 0,
        said.lifetime_value_least,
        said.available_below,
        said.margin_floor_permille,
        number(said.asset) if said.asset else 0,
        said.bound,
        said.lasting_us,
        tuple(
            [
                Alternative(
                    each.product,
                    each.attributes,
                    tuple(
                        [
                            QuantityMap(mapped.quantity, mapped.becomes, mapped.permille)
                            for mapped in each.quantities
                        ]
                    ),
                )
                for each in said.alternatives
            ]
        ),
        said.lifetime_us,
    )


def rule_faults(path: str, said: PackagedRule) -> Iterator[CardFault]:
    """Everything that is wrong with a rule by itself, each with its place; whether its assets are
    there is for whoever publishes it."""
    for at, product in enumerate(said.products):
        yield from check_name(f"{path}.products[{at}]", product)
    yield from _attribute_faults(path, said.attributes)
    for place, each in enumerate(said.alternatives):
        where = f"{path}.alternatives[{place}]"
        yield from check_name(f"{where}.product", each.product, empty=True)
        yield from _attribute_faults(where, each.attributes)
        for at, mapped in enumerate(each.quantities):
            yield from check_name(f"{where}.quantities[{at}].quantity", mapped.quantity)
            yield from check_name(f"{where}.quantities[{at}].becomes", mapped.becomes, empty=True)
    for field, wanted, code in (
        ("asset", said.action is PackagedAction.OVERDRAW, said.asset),
        ("lifetime_value_asset", said.lifetime_value_least > 0, said.lifetime_value_asset),
    ):
        if wanted:
            yield from check_name(f"{path}.{field}", code)
    fault = rule_fault(rule_of(said, lambda code: 1))
    if fault is not None:
        yield CardFault(f"{path}.{fault.field}", fault.reason, fault.value, fault.message)


def _attribute_faults(path: str, attributes: tuple[tuple[str, str], ...]) -> Iterator[CardFault]:
    for name, value in attributes:
        where = f"{path}.attributes[{name!r}]"
        yield from check_name(where, name, ATTRIBUTE_NAME_BYTES_MAX)
        yield from check_name(where, value, ATTRIBUTE_VALUE_BYTES_MAX, empty=True)
