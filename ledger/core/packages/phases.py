"""Phases of a package: by which terms a subscription goes at which time of it (rule P4).

A phase is so many periods, or one period of so many days; then the next begins, and after the last
the package's own terms count. An account has the phases of a package once: whoever subscribes again
has its own terms, or what is left of the phase that runs. A version of the package that does not
know the phase has none for whoever is in it. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import asdict, replace

from ledger.core.packages.packaged import (
    Package,
    PackagedGrant,
    PackagedPolicy,
    PackageVersion,
    Phase,
)
from ledger.core.packages.packaged_charges import PackagedCharge
from ledger.core.packages.subscriptions import Subscription


class Terms(NamedTuple):
    """A version of a package as a phase of it has it; `phase` "" = its own terms. `left`: periods
    of the phase with this one; `days`: how long the period is, where the phase says so."""

    found: PackageVersion
    package: Package
    phase: str = ""
    left: int = 0
    days: int = 0

    @property
    def length(self) -> tuple[str, int, int]:
        """What its periods are as long as."""
        return self.package.unit, self.package.every, self.days


def begun(found: PackageVersion, name: str, had: tuple[str, ...]) -> Terms:
    """The terms of whoever begins with the package: those of its first phase, once."""
    phases = found.package.phases
    return of_phase(found, phases[0], 0) if phases and name not in had else own_terms(found)


def own_terms(found: PackageVersion) -> Terms:
    """The terms of the package itself."""
    return Terms(found, found.package)


def present(found: PackageVersion, subscription: Subscription) -> Terms:
    """The terms of the phase that runs, by a version of the same package."""
    for phase in found.package.phases:
        if phase.name == subscription.phase:
            return of_phase(found, phase, subscription.phase_left)
    return own_terms(found)


def following(found: PackageVersion, subscription: Subscription) -> Terms:
    """The terms of the period after the one that runs, by a version of the same package."""
    phases = found.package.phases
    for place, phase in enumerate(phases):
        if phase.name != subscription.phase:
            continue
        if subscription.phase_left > 1:
            return of_phase(found, phase, subscription.phase_left - 1)
        if place + 1 < len(phases):
            return of_phase(found, phases[place + 1], 0)
    return own_terms(found)


def of_phase(found: PackageVersion, phase: Phase, left: int) -> Terms:
    """The terms of a phase of which so many periods are left; 0 = all."""
    return Terms(
        found, phased(found.package, phase), phase.name, left or phase.periods or 1, phase.days
    )


def phased(package: Package, phase: Phase) -> Package:
    """The package as it is in one of its phases."""
    changed = {each.name: each for each in phase.grants}
    grants: list[PackagedGrant] = []
    for grant in package.grants:
        change = changed.get(grant.name)
        if change is None:
            grants.append(grant)
            continue
        grants.append(
            replace(
                grant,
                amount=change.amount,
                price_paid=change.price_paid,
                price_asset=grant.price_asset if change.price_paid else "",
                kind=change.kind or grant.kind,
            )
        )
    return replace(
        package,
        grants=tuple(grants),
        policy=_over(package.policy, phase.policy),
        entitlements=package.entitlements if phase.entitlements is None else phase.entitlements,
        charges=_charges(package, phase),
    )


def _charges(package: Package, phase: Phase) -> tuple[PackagedCharge, ...]:
    """What is charged in a phase: nothing that has periods where it is one of days."""
    changed = {each.name: each.unit_amount for each in phase.charges}
    charges: list[PackagedCharge] = []
    for charge in package.charges:
        if phase.days and not charge.once:
            continue
        if charge.name in changed:
            charges.append(replace(charge, unit_amount=changed[charge.name], ramp=()))
        else:
            charges.append(charge)
    return tuple(charges)


def _over(policy: PackagedPolicy, change: PackagedPolicy) -> PackagedPolicy:
    said = {field: value for field, value in asdict(change).items() if value is not None}
    return replace(policy, **said)
