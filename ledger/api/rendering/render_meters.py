"""Meters as messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.api.rendering.render_model import SCOPES
from ledger.journal.configuration import ConfigurationEntry
from rating.faults import CardFault
from rating.meters import (
    Aggregation,
    Filter,
    MeteredAttribute,
    MeteredQuantity,
    MeterRule,
    MeterSet,
    validate,
)
from rating.models import Scope
from rating.v1 import card_pb2
from rating.v1 import meter_pb2 as pb

_AGGREGATIONS: Final = {
    pb.AGGREGATION_UNSPECIFIED: Aggregation.COUNT,
    pb.AGGREGATION_COUNT: Aggregation.COUNT,
    pb.AGGREGATION_SUM: Aggregation.SUM,
    pb.AGGREGATION_MAX: Aggregation.MAX,
    pb.AGGREGATION_UNIQUE: Aggregation.UNIQUE,
    pb.AGGREGATION_LATEST: Aggregation.LATEST,
}
_NUMBERS: Final = {kind: number for number, kind in _AGGREGATIONS.items()}
_SCOPE_NUMBERS: Final = {
    Scope.MONTH: card_pb2.RUNNING_SCOPE_MONTH,
    Scope.DAY: card_pb2.RUNNING_SCOPE_DAY,
    Scope.PERIOD: card_pb2.RUNNING_SCOPE_PERIOD,
}


def meters_of(message: pb.MeterSet) -> tuple[MeterSet, list[CardFault]]:
    """The set of a message, and everything that is wrong with it."""
    faults: list[CardFault] = []
    rules = [_rule_of(f"rules[{place}]", each, faults) for place, each in enumerate(message.rules)]
    meters = MeterSet(tuple(rules))
    return meters, [*faults, *validate(meters)]


def _rule_of(path: str, rule: pb.MeterRule, faults: list[CardFault]) -> MeterRule:
    return MeterRule(
        rule.name,
        rule.event_type,
        tuple(
            [
                _quantity_of(f"{path}.quantities[{place}]", each, faults)
                for place, each in enumerate(rule.quantities)
            ]
        ),
        rule.product,
        rule.product_property,
        tuple([Filter(each.property, tuple(each.one_of)) for each in rule.filters]),
        tuple([MeteredAttribute(each.attribute, each.property) for each in rule.attributes]),
    )


def _quantity_of(path: str, given: pb.MeteredQuantity, faults: list[CardFault]) -> MeteredQuantity:
    aggregation, scope = _AGGREGATIONS.get(given.aggregation), SCOPES.get(given.scope)
    if aggregation is None:
        value = str(given.aggregation)
        message = "there is no such aggregation"
        faults.append(CardFault(f"{path}.aggregation", "AGGREGATION_UNKNOWN", value, message))
    if scope is None:
        message = "there is no such scope"
        faults.append(CardFault(f"{path}.scope", "SCOPE_UNKNOWN", str(given.scope), message))
    return MeteredQuantity(
        given.quantity,
        aggregation or Aggregation.COUNT,
        given.property,
        given.scale,
        scope or Scope.MONTH,
        given.optional,
    )


def render_rules(meters: MeterSet) -> list[pb.MeterRule]:
    """The messages of the rules of a set."""
    return [
        pb.MeterRule(
            name=rule.name,
            event_type=rule.event_type,
            product=rule.product,
            product_property=rule.product_property,
            filters=[
                pb.MeterFilter(property=each.property, one_of=each.one_of) for each in rule.filters
            ],
            attributes=[
                pb.MeteredAttribute(attribute=each.attribute, property=each.property)
                for each in rule.attributes
            ],
            quantities=_quantities(rule.quantities),
        )
        for rule in meters.rules
    ]


def _quantities(quantities: Sequence[MeteredQuantity]) -> list[pb.MeteredQuantity]:
    return [
        pb.MeteredQuantity(
            quantity=each.quantity,
            aggregation=_NUMBERS[each.aggregation],
            property=each.property,
            scale=each.scale,
            scope=_SCOPE_NUMBERS[each.scope],
            optional=each.optional,
        )
        for each in quantities
    ]


def render_meters(entry: ConfigurationEntry, meters: MeterSet) -> pb.MeterSet:
    """The message of a published version."""
    return pb.MeterSet(
        rules=render_rules(meters),
        version=entry.version,
        effective_from_us=entry.effective_from_us,
        published_at_us=entry.published_at_us,
    )
