"""Rules of decisions that packages carry as messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.core.packages.packaged_rules import (
    ACTIONS,
    LIMITS,
    PackagedAction,
    PackagedAlternative,
    PackagedMap,
    PackagedRule,
)
from ledger.v1 import decision_pb2
from ledger.v1 import decision_policy_pb2 as pb
from rating.faults import CardFault

_ACTIONS: Final = {int(number): each for each, number in ACTIONS.items()}
_LIMITS: Final = {int(number): each for each, number in LIMITS.items()}


def packaged_rule_of(path: str, given: pb.PolicyRule, faults: list[CardFault]) -> PackagedRule:
    """A rule of a package as it was asked for; what is not known of it is added to the faults."""
    unknown: list[tuple[str, int]] = (
        [("action", given.action)] if given.action not in _ACTIONS else []
    )
    unknown += [("limits", kind) for kind in given.limits if kind not in _LIMITS]
    for field, number in unknown:
        message = "there is no such value, or a rule may not have it"
        faults.append(CardFault(f"{path}.{field}", "VALUE_UNKNOWN", str(number), message))
    return PackagedRule(
        _ACTIONS.get(given.action, PackagedAction.DENY),
        tuple(sorted(set(given.products))),
        tuple(sorted(given.attributes.items())),
        tuple([_LIMITS[kind] for kind in sorted(set(given.limits)) if kind in _LIMITS]),
        given.lifetime_value_asset,
        given.lifetime_value_least,
        given.available_below if given.HasField("available_below") else -1,
        given.margin_floor_permille if given.HasField("margin_floor_permille") else -1,
        given.asset,
        given.bound,
        given.lasting_us,
        tuple(
            [
                PackagedAlternative(
                    each.product,
                    tuple(sorted(each.attributes.items())),
                    tuple(
                        [
                            PackagedMap(mapped.quantity, mapped.becomes, mapped.permille or 1_000)
                            for mapped in each.quantities
                        ]
                    ),
                )
                for each in given.alternatives
            ]
        ),
        given.lifetime_us,
    )


def render_packaged_rule(rule: PackagedRule, scales: Mapping[str, int]) -> pb.PolicyRule:
    """It as it was published; `scales` of assets by their codes."""
    message = pb.PolicyRule(
        action=decision_pb2.PolicyAction.ValueType(ACTIONS[rule.action]),
        products=rule.products,
        attributes=dict(rule.attributes),
        limits=[decision_pb2.LimitKind.ValueType(LIMITS[each]) for each in rule.limits],
        lifetime_value_least=rule.lifetime_value_least,
        lifetime_value_asset=rule.lifetime_value_asset,
        lifetime_value_scale=scales.get(rule.lifetime_value_asset, 0),
        asset=rule.asset,
        scale=scales.get(rule.asset, 0),
        bound=rule.bound,
        lasting_us=rule.lasting_us,
        alternatives=[
            decision_pb2.Alternative(
                product=each.product,
                attributes=dict(each.attributes),
                quantities=[
                    decision_pb2.QuantityMap(
                        quantity=mapped.quantity, becomes=mapped.becomes, permille=mapped.permille
                    )
                    for mapped in each.quantities
                ],
            )
            for each in rule.alternatives
        ],
        lifetime_us=rule.lifetime_us,
    )
    if rule.available_below >= 0:
        message.available_below = rule.available_below
    if rule.margin_floor_permille >= 0:
        message.margin_floor_permille = rule.margin_floor_permille
    return message
