"""Deciding policies of decisions: whether rules may be set, and what is wrong with them.

Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger.core.admission import open_account
from ledger.core.commands import SetDecisionPolicy
from ledger.core.events import (
    Alternative,
    DecisionPolicySet,
    Event,
    LimitKind,
    PolicyAction,
    PolicyRule,
)
from ledger.core.limits import (
    ALTERNATIVES_MAX,
    HOLD_LIFETIME_BATCH_MAX_US,
    INT64_MAX,
    POLICY_RULES_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State

MARGIN_FLOOR_MAX = 1_000  # thousandths: what costs nothing
NAMED_MAX = 64  # products of a rule
ATTRIBUTES_MAX = 16
LASTING_MAX_US = 366 * 24 * 60 * 60 * 1_000_000
PERMILLE_MAX = 1_000_000

_OF_ACTIONS = {
    "asset": (PolicyAction.OVERDRAW,),
    "bound": (PolicyAction.OVERDRAW,),
    "lasting": (PolicyAction.OVERDRAW,),
    "alternatives": (PolicyAction.DOWNGRADE, PolicyAction.DEFER),
    "lifetime": (PolicyAction.DEFER,),
}
"""Fields that only some actions have; elsewhere they are at their defaults."""


def decide_set_policy(
    state: State, command: SetDecisionPolicy, out: list[Event]
) -> Event | Known | Refusal:
    """Give an account these rules, whole; none = it goes by those above it again."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.own_rules.version
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the policy is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = rules_invalid(state, account.tenant, command.rules)
    if refusal is not None:
        return refusal
    made = DecisionPolicySet(
        command.key,
        account.number,
        command.rules,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def rules_invalid(state: State, tenant: int, rules: tuple[PolicyRule, ...]) -> Refusal | None:
    """The first thing that is wrong with rules, with its place."""
    if len(rules) > POLICY_RULES_MAX:
        return _invalid("rules", len(rules), f"a policy has at most {POLICY_RULES_MAX} rules")
    for place, rule in enumerate(rules):
        refusal = _rule_invalid(state, tenant, rule)
        if refusal is not None:
            return Refusal(
                refusal.reason, f"rules[{place}].{refusal.field}", refusal.value, refusal.message
            )
    return None


def _rule_invalid(state: State, tenant: int, rule: PolicyRule) -> Refusal | None:
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
    if any(not LimitKind.GRANTS <= kind < LimitKind.MARGIN for kind in rule.limits):
        message = "name limits that may deny work; for the margin there is margin_floor_permille"
        return _invalid("limits", rule.limits, message)
    refusal = _assets_invalid(state, tenant, rule)
    return refusal or _alternatives_of(rule)


def _assets_invalid(state: State, tenant: int, rule: PolicyRule) -> Refusal | None:
    named = []
    if rule.action == PolicyAction.OVERDRAW:
        named.append(("asset", rule.asset))
    if rule.lifetime_asset or rule.lifetime_least:
        named.append(("lifetime_value_asset", rule.lifetime_asset))
    for field, number in named:
        asset = state.catalog.assets.get(number)
        if asset is None or asset.tenant != tenant:
            message = "the tenant has no such asset"
            return Refusal(Reason.ASSET_UNKNOWN, field, str(number), message)
        if field == "lifetime_value_asset" and asset.kind != "money":
            message = "lifetime value is of payments, in money"
            return Refusal(Reason.ASSET_KIND_INVALID, field, str(number), message)
    return None


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
