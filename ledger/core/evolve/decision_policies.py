"""Policies of decisions: set, carried by packages, inherited by those below."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.decisions.decision_policies import standing_of
from ledger.core.events import DecisionPolicySet, PackageRulesSet
from ledger.core.state import Account, State


def decision_policy_set(state: State, event: DecisionPolicySet) -> None:
    account = state.accounts[event.account]
    account.own_rules = replace(account.own_rules, version=event.version, rules=event.rules)
    inherit_rules(account)
    state.keys.add(event.key, state.locator)


def package_rules_set(state: State, event: PackageRulesSet) -> None:
    account = state.accounts[event.account]
    account.own_rules = replace(
        account.own_rules,
        package=event.package if event.rules else "",
        package_version=event.version if event.rules else 0,
        packaged=event.rules,
    )
    inherit_rules(account)


def inherit_rules(account: Account) -> None:
    """Work out anew which rules count for the account and those below it that have none."""
    standing = standing_of(account.number, account.own_rules)
    if standing is None and account.parent is not None:
        standing = account.parent.rules
    if standing is account.rules:
        return
    account.rules = standing
    for child in account.children:
        if standing_of(child.number, child.own_rules) is None:
            inherit_rules(child)
