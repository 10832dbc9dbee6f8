"""What the naive model keeps of subscriptions to packages. Nothing of the core's code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import asdict

from ledger.core.events import AccountPolicy, Comparator, Excess, Overage, PeriodUnit
from ledger.core.packages.packaged import COMPARATORS, EXCESSES, OVERAGES, Package, PackagedPolicy
from ledger.simulation.naive_holdings import FOREVER


@dataclass
class NaivePackage:
    """A published version of a package."""

    number: int
    name: str
    effective_from: int
    package: Package

    @property
    def length(self) -> tuple[str, int]:
        """Of its periods."""
        return self.package.unit, self.package.every


class Cycle(NamedTuple):
    """What periods go by."""

    unit: PeriodUnit
    every: int
    anchor: int
    zone: str


Asked = tuple[str, int, int, int]
"""(package, follow, version, locked until) as somebody asked for it."""

Part = tuple[int | str, int | str]
"""(what a package set, what stood there before)."""


@dataclass
class NaiveSubscription:
    """What an account has, and the period that runs; what that granted, by asset, less what was
    taken back, and the most that any package of it grants for the whole."""

    account: int
    asked: Asked
    version: NaivePackage
    revision: int = 0
    anchor: int = 0
    start: int = 0
    end: int = 0
    full: int = 0
    grants: list[int] = field(default_factory=list)
    released: dict[int, int] = field(default_factory=dict)
    largest: dict[int, int] = field(default_factory=dict)
    policy: dict[str, Part] = field(default_factory=dict)
    following: Asked | None = None
    ends_at: int = FOREVER
    over: bool = False
    contract: str = ""  # by which the account has it
    own: list[int] = field(default_factory=list)  # of its grants: what its last term granted
    kept: set[int] = field(default_factory=set)  # of its grants: what another had granted before

    @property
    def due(self) -> int:
        """When its next period begins, or it ends."""
        return FOREVER if self.over else self.end


def newest(versions: list[NaivePackage], at: int) -> NaivePackage | None:
    """The newest that is in force at an instant."""
    found = [each for each in versions if each.effective_from <= at]
    return max(found, key=lambda each: each.number, default=None)


def under(
    policy: AccountPolicy, terms: PackagedPolicy | None, parts: dict[str, Part]
) -> tuple[AccountPolicy, dict[str, Part]]:
    """The policy of an account by these terms (None = without a package), of which `parts` are a
    package's; what somebody set otherwise since holds (rule P1)."""
    values: dict[str, Any] = {name: getattr(policy, name) for name in policy.__struct_fields__}
    set_since = {name for name, (value, _) in parts.items() if values[name] != value}
    said = _said(terms) if terms is not None else {}
    for name, (_, before) in parts.items():
        if name not in set_since and name not in said:
            values[name] = before
    found: dict[str, Part] = {}
    for name, value in said.items():
        if name in set_since:
            found[name] = parts[name]
            continue
        found[name] = (value, parts[name][1] if name in parts else values[name])
        values[name] = value
    for name, kind in (("overage", Overage), ("excess", Excess), ("comparator", Comparator)):
        values[name] = kind(values[name])
    return AccountPolicy(**values), found


def _said(terms: PackagedPolicy) -> dict[str, Any]:
    words: dict[str, Any] = {"overage": OVERAGES, "excess": EXCESSES, "comparator": COMPARATORS}
    said = {name: value for name, value in asdict(terms).items() if value is not None}
    return {name: int(words[name][said[name]]) if name in words else said[name] for name in said}
