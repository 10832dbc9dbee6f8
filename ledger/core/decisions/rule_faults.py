"""What is wrong with a rule of a decision policy by itself, and with alternatives. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.core.events import Alternative, LimitKind, PolicyAction, PolicyRule
from ledger.core.limits import ALTERNATIVES_MAX, DAY_US, HOLD_LIFETIME_BATCH_MAX_US, INT64_MAX
from ledger.core.outcomes import Reason, Refusal

MARGIN_FLOOR_MAX: Final = 1_000  # thousandths: what costs nothing
NAMED_MAX: Final = 64  # products of a rule
ATTRIBUTES_MAX: Final = 16
LASTING_MAX_US: Final = 366 * DAY_US
PERMILLE_MAX: Final = 1_000_000

_DENYING: Final = frozenset(LimitKind) - {LimitKind.MARGIN}
_OF_ACTIONS: Final = {
    "asset": (PolicyAction.OVERDRAW,),
    "bound": (PolicyAction.OVERDRAW,),
    "lasting": (PolicyAction.OVERDRAW,),
    "alternatives": (PolicyAction.DOWNGRADE, PolicyAction.DEFER),
    "lifetime": (PolicyAction.DEFER,),
}
"""Fields that only some actions have; elsewhere they are at their defaults."""


def rule_fault(rule: PolicyRule) -> Refusal | None:
    """What is wrong with a rule by itself, whatever assets there are."""
    action = rule.action
    if action == PolicyAction.NONE:
        return _invalid("action", "NONE", "say what the rule does")
    for field, actions in _OF_ACTIONS.items():
        if getattr(rule, field) and action not in actions:
            named = " or ".join([each.name for each in actions])
            return _invalid(field, getattr(rule, field), f"only {named} has it; leave it out")
    if rule.margin_floor >= 0 and action in (PolicyAction.OVERDRAW, PolicyAction.TOP_UP):
        message = "more credits make no margin; deny, downgrade or defer instead"
        return _invalid("action", action.name, message)
    for field, value, least, most in (
        ("available_below", rule.available_below, -1, INT64_MAX),
        ("margin_floor_permille", rule.margin_floor, -1, MARGIN_FLOOR_MAX),
        ("lifetime_value_least", rule.lifetime_least, 0, INT64_MAX),
        ("bound", rule.bound, int(action == PolicyAction.OVERDRAW), INT64_MAX),
        ("lasting_us", rule.lasting, 0, LASTING_MAX_US),
        ("lifetime_us", rule.lifetime, 0, HOLD_LIFETIME_BATCH_MAX_US),
        ("products", len(rule.products), 0, NAMED_MAX),
        ("attributes", len(rule.attributes), 0, ATTRIBUTES_MAX),
    ):
        if not least <= value <= most:
            return _invalid(field, value, f"it is from {least} to {most}")
    if not _DENYING.issuperset(rule.limits):
        message = "name limits that may deny work; for the margin there is margin_floor_permille"
        return _invalid("limits", rule.limits, message)
    return _alternatives_of(rule)


def _alternatives_of(rule: PolicyRule) -> Refusal | None:
    count = len(rule.alternatives)
    if rule.action == PolicyAction.DEFER and count != 1:
        return _invalid("alternatives", count, "name the one that is the work when it may wait")
    return alternatives_invalid(rule.alternatives, Reason.POLICY_RULE_INVALID)


def alternatives_invalid(alternatives: Iterable[Alternative], reason: Reason) -> Refusal | None:
    """What is wrong with alternatives, of a rule or of a request."""
    count = 0
    for place, each in enumerate(alternatives):
        count += 1
        field = f"alternatives[{place}]"
        if not each.product and not each.attributes:
            message = "name another product, or other attributes"
            return Refusal(reason, field, str(place), message)
        names = [mapped.quantity for mapped in each.quantities]
        if len(set(names)) < len(names):
            return Refusal(reason, f"{field}.quantities", str(names), "name a quantity once")
        for mapped in each.quantities:
            if not 1 <= mapped.permille <= PERMILLE_MAX:
                message = f"it is from 1 to {PERMILLE_MAX}"
                return Refusal(reason, f"{field}.permille", str(mapped.permille), message)
    if count > ALTERNATIVES_MAX:
        message = f"there are at most {ALTERNATIVES_MAX}"
        return Refusal(reason, "alternatives", str(count), message)
    return None


def _invalid(field: str, value: object, message: str) -> Refusal:
    return Refusal(Reason.POLICY_RULE_INVALID, field, str(value), message)
