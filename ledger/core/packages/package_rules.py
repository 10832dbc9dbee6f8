"""Rules of decisions that come and go with a package (rule P1).

They count where the account has none of its own, by the version of each period. Reads state,
changes nothing.
"""

from __future__ import annotations

from ledger.core.decisions.policing import rules_invalid
from ledger.core.events import Event, PackageRulesSet, PolicyRule
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package
from ledger.core.packages.packaged_rules import rule_of
from ledger.core.state import Account, State


def unfit_rules(state: State, account: Account, package: Package) -> Refusal | None:
    """Why the account cannot have the rules of a package, if it cannot."""
    return rules_invalid(state, account.tenant, _rules_of(state, account, package))


def set_rules(
    state: State, account: Account, package: Package, name: str, version: int, out: list[Event]
) -> None:
    """Have the account have the package's rules, and none of another; nothing where it has."""
    rules = _rules_of(state, account, package)
    own = account.own_rules
    stands = (own.packaged, own.package, own.package_version)
    if (rules or own.packaged) and (rules, name, version) != stands:
        out.append(PackageRulesSet(account.number, name, version, rules))


def end_rules(account: Account, out: list[Event]) -> None:
    """The account has no package any more: its rules go with it."""
    own = account.own_rules
    if own.packaged:
        out.append(PackageRulesSet(account.number, own.package, own.package_version, ()))


def _rules_of(state: State, account: Account, package: Package) -> tuple[PolicyRule, ...]:
    def number(code: str) -> int:
        return state.catalog.asset_number(account.tenant, code)

    return tuple([rule_of(said, number) for said in package.rules])
