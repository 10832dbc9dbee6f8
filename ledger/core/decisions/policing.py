"""Deciding policies of decisions: whether rules may be set, and what is wrong with them.

Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import open_account
from ledger.core.commands import SetDecisionPolicy
from ledger.core.decisions.rule_faults import rule_fault
from ledger.core.events import (
    DecisionPolicySet,
    Event,
    PolicyAction,
    PolicyRule,
)
from ledger.core.limits import (
    POLICY_RULES_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


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
        return Refusal(
            Reason.POLICY_RULE_INVALID,
            "rules",
            str(len(rules)),
            f"a policy has at most {POLICY_RULES_MAX} rules",
        )
    for place, rule in enumerate(rules):
        refusal = _rule_invalid(state, tenant, rule)
        if refusal is not None:
            return Refusal(
                refusal.reason, f"rules[{place}].{refusal.field}", refusal.value, refusal.message
            )
    return None


def _rule_invalid(state: State, tenant: int, rule: PolicyRule) -> Refusal | None:
    return rule_fault(rule) or _assets_invalid(state, tenant, rule)


def _assets_invalid(state: State, tenant: int, rule: PolicyRule) -> Refusal | None:
    named = []
    if rule.action == PolicyAction.OVERDRAW:
        named.append(("asset", rule.asset))
    if rule.lifetime_asset or rule.lifetime_least:
        named.append(("lifetime_value_asset", rule.lifetime_asset))
    for field, number in named:
        asset = state.catalog.assets.get(number)
        if asset is None or asset.tenant != tenant:
            message = "the tenant has no such asset; create it first"
            return Refusal(Reason.ASSET_UNKNOWN, field, str(number), message)
        if field == "lifetime_value_asset" and asset.kind != "money":
            message = "lifetime value is of payments, in money"
            return Refusal(Reason.ASSET_KIND_INVALID, field, str(number), message)
    return None
