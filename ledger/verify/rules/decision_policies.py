"""Policies of decisions: set in versions, and what a decision says of the one that it went by."""

from __future__ import annotations

from ledger.core.events import (
    Alternative,
    DecisionPolicySet,
    Event,
    PackageRulesSet,
    PlanDeclared,
    PolicyAction,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PolicyRule,
    Ruling,
)
from ledger.core.limits import POLICY_RULES_MAX
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge

_ALLOW = (PolicyAction.OVERDRAW, PolicyAction.DOWNGRADE, PolicyAction.DEFER)
_INSTEAD = (PolicyAction.DOWNGRADE, PolicyAction.DEFER)
_COMPARED = ("", "NOT_CHEAPEST")


def decision_policy_set(judge: Judge, state: State, event: DecisionPolicySet) -> None:
    """The next version of an open account, of rules that say what they need."""
    account = state.accounts[event.account]
    version = account.own_rules.version
    judge.equal(state, "version of the decision policy", version + 1, event.version)
    if event.expected_version:
        judge.equal(state, "expected version", version, event.expected_version)
    judge.equal(state, "policy of a closed account", 0, account.closed_at)
    _look_at_rules(judge, state, event.rules)


def package_rules_set(judge: Judge, state: State, event: PackageRulesSet) -> None:
    """Others than stand already, of rules that say what they need."""
    own = state.accounts[event.account].own_rules
    if (event.package, event.version, event.rules) == (
        own.package,
        own.package_version,
        own.packaged,
    ):
        judge.wrong(state, "rules of the package", "others", "the same")
    _look_at_rules(judge, state, event.rules)


def _look_at_rules(judge: Judge, state: State, rules: tuple[PolicyRule, ...]) -> None:
    if len(rules) > POLICY_RULES_MAX:
        judge.wrong(state, "rules of a policy", f"at most {POLICY_RULES_MAX}", len(rules))
    for place, rule in enumerate(rules, 1):
        named = bool(rule.asset and rule.bound > 0)
        judge.equal(state, f"bound of rule {place}", rule.action == PolicyAction.OVERDRAW, named)
        if rule.action == PolicyAction.NONE:
            judge.wrong(state, f"action of rule {place}", "one", "none")


def overdraft_by(state: State, event: Event, asset: int) -> int:
    """How far below zero the rule lets the work go that decided it; 0 = none does."""
    if not isinstance(event, PolicyHeld | PolicyDebited) or event.ruling is None:
        return 0
    ruling = event.ruling
    if ruling.action != PolicyAction.OVERDRAW:
        return 0
    _, rules = _policy_of(state.accounts[event.account])
    rule = rules[ruling.rule - 1] if 0 < ruling.rule <= len(rules) else None
    return rule.bound if rule is not None and rule.asset == asset else 0


def look_at_ruling(judge: Judge, state: State, event: PolicyHeld | PolicyDebited) -> None:
    """Work that may run by what its policy says: that of the account then, by a rule of it."""
    ruling = event.ruling
    if ruling is None:
        judge.wrong(state, "ruling of a decision", "one", None)
        return
    rule = _look_at_rule(judge, state, event.account, ruling)
    if ruling.action not in (*_ALLOW, PolicyAction.NONE):
        judge.wrong(state, "action that lets work run", "one that does", ruling.action)
    judge.equal(state, "work in its stead", ruling.action in _INSTEAD, ruling.asked is not None)
    judge.equal(state, "reason", ruling.action != PolicyAction.NONE, bool(ruling.reason))
    plan = state.declared[event.plan]
    if ruling.action in _INSTEAD and ruling.asked is not None:
        _look_at_choice(judge, state, ruling, rule, plan, sum(p.amount for p in event.slices))
    if ruling.action == PolicyAction.OVERDRAW and rule is not None:
        debt = state.accounts[event.account].debt.get(rule.asset)
        since = debt.since if debt is not None else 0
        if rule.lasting and since and since + rule.lasting <= state.now:
            judge.wrong(state, "time below zero", f"less than {rule.lasting}", state.now - since)


def look_at_denial(judge: Judge, state: State, event: PolicyDenied) -> None:
    """Work that may not run by what its policy says; what a top-up is to bring is said."""
    ruling = event.ruling
    if ruling is None:
        judge.wrong(state, "ruling of a decision", "one", None)
        return
    _look_at_rule(judge, state, event.account, ruling)
    if ruling.action in _ALLOW:
        judge.wrong(state, "action that denies", "one that does", ruling.action)
    judge.equal(state, "reason", event.reason, ruling.reason)
    judge.equal(state, "work in its stead", None, ruling.asked)
    judge.equal(state, "charge of what was asked", event.charge, ruling.charge)
    asks = ruling.action == PolicyAction.TOP_UP
    judge.equal(state, "whether units are missing", asks, ruling.missing > 0)
    if ruling.top_up and ruling.top_up != state.next_top_up:
        pending = state.top_ups.get(ruling.top_up)
        whose = pending.account.number if pending is not None else 0
        judge.equal(state, "account of the top-up that pends", event.account, whose)
    if asks and ruling.top_up == state.next_top_up:
        asset = state.declared[event.plan].asset
        judge.missing = (event.account, asset, ruling.missing)


def _look_at_rule(judge: Judge, state: State, number: int, ruling: Ruling) -> PolicyRule | None:
    """The rule that decided, of the policy that counts for the account; every rule before it was
    looked at and did not."""
    standing, rules = _policy_of(state.accounts[number])
    said = (ruling.account, ruling.version, ruling.package)
    judge.equal(state, "policy of the decision", standing, said)
    chosen = [each for each in ruling.tried if not each.result]
    decided = [(each.rule, each.action) for each in chosen]
    expected = [] if ruling.action == PolicyAction.NONE else [(ruling.rule, ruling.action)]
    judge.equal(state, "what decided", expected, decided)
    last = ruling.rule or len(rules)
    seen = {each.rule for each in ruling.tried if each.rule}
    judge.equal(state, "rules that were looked at", set(range(1, last + 1)), seen)
    if not ruling.rule:
        return None
    if ruling.rule > len(rules):
        judge.wrong(state, "rule that decided", f"1 to {len(rules)}", ruling.rule)
        return None
    rule = rules[ruling.rule - 1]
    judge.equal(state, "action of the rule", rule.action, ruling.action)
    return rule


def _look_at_choice(
    judge: Judge,
    state: State,
    ruling: Ruling,
    rule: PolicyRule | None,
    plan: PlanDeclared,
    charge: int,
) -> None:
    """One of the alternatives that the rule or the request lists, the cheapest that may run."""
    listed = rule.alternatives if rule is not None else ()
    if ruling.action == PolicyAction.DOWNGRADE:
        listed = (*listed, *ruling.alternatives)
    chosen = next((each for each in ruling.tried if not each.result), None)
    if chosen is None or not 0 < chosen.alternative <= len(listed):
        judge.wrong(state, "alternative that runs", f"1 to {len(listed)}", chosen)
        return
    asked = ruling.asked
    assert asked is not None
    described = _described(listed[chosen.alternative - 1], asked.product, asked.attributes)
    judge.equal(state, "work that runs", described, (plan.product, plan.attributes))
    judge.equal(state, "charge of what runs", charge, chosen.charge)
    compared = [
        each.charge
        for each in ruling.tried
        if (each.rule, each.asset) == (ruling.rule, chosen.asset) and each.result in _COMPARED
    ]
    judge.equal(state, "cheapest of those that may run", min(compared), chosen.charge)


def _described(
    alternative: Alternative, product: str, attributes: tuple[tuple[str, str], ...]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    borne = dict(attributes) | dict(alternative.attributes)
    return alternative.product or product, tuple(sorted(borne.items()))


def _policy_of(account: Account) -> tuple[tuple[int, int, str], tuple[PolicyRule, ...]]:
    """Whose policy counts for the account, its version and package; and its rules."""
    for each in account.line():
        own = each.own_rules
        if own.rules:
            return (each.number, own.version, ""), own.rules
        if own.packaged:
            return (each.number, own.package_version, own.package), own.packaged
    return (0, 0, ""), ()
