"""Policies of decisions: rules for what happens on shortage; decisions that one had a say in."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.decisions import HoldUpTo, UpTo, UsageDebited, WorkDenied


class PolicyAction(IntEnum):
    """What a rule does about work that may not run as it was asked for. Never reused or renamed."""

    NONE = 0  # no rule did anything: it is as it would be without one
    DENY = 1
    OVERDRAW = 2  # below zero for a while, up to a bound
    DOWNGRADE = 3  # the cheapest alternative that every limit affords
    DEFER = 4  # at the price of work that may wait
    TOP_UP = 5  # say what is missing, and ask for it


class QuantityMap(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A quantity of the request that an alternative has under another name, or more or less of:
    `permille` of it, rounded up. `becomes` "" = it has none of it."""

    quantity: str
    becomes: str
    permille: int = 1000


class Alternative(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Work that may run in the stead of what was asked for.

    `product` "" = the same; `attributes`, sorted by name, stand over those of the request, whose
    others stay; what `quantities` does not name stays as it is.
    """

    product: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    quantities: tuple[QuantityMap, ...] = ()


class PolicyRule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When it applies, and what it does then; every condition that it names is to be met.

    Without `margin_floor` it applies where a limit denies the work; with one, where what would be
    charged is worth less above its cost than so many thousandths of it, whatever the limits say.
    """

    action: PolicyAction
    products: tuple[str, ...] = ()  # one of these; () = any
    attributes: tuple[tuple[str, str], ...] = ()  # all of these
    limits: tuple[int, ...] = ()  # one of these LimitKinds decided; () = any
    lifetime_asset: int = 0  # 0 = whatever the lifetime value
    lifetime_least: int = 0  # of the account that has the policy, in that money (rule H6)
    available_below: int = -1  # minor units of the price's asset; -1 = whatever is available
    margin_floor: int = -1  # thousandths of the price; -1 = whatever the margin
    asset: int = 0  # of OVERDRAW: what may be owed in advance, all in all, in this asset
    bound: int = 0
    lasting: int = 0  # and how long it may have been owed, in microseconds; 0 = any time
    alternatives: tuple[Alternative, ...] = ()  # of DOWNGRADE; of DEFER the one that may wait
    lifetime: int = 0  # of DEFER: that of the hold, in microseconds; 0 = the product's longest


class DecisionPolicySet(Fact, frozen=True, tag=151):
    """The rules of an account, whole, in their order; none = it goes by those above it again.

    `version` counts from 1 and goes on after a removal.
    """

    key: bytes
    account: int
    rules: tuple[PolicyRule, ...]
    version: int
    expected_version: int = 0
    trace: bytes = b""


class PackageRulesSet(Fact, frozen=True, tag=162):
    """The rules that the account's package carries from now on; none = it carries none any more.

    They count where the account has none of its own, before those above it (rule P1).
    """

    account: int
    package: str
    version: int  # of the package
    rules: tuple[PolicyRule, ...]


class AskedWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was asked for, where something else was decided on in its stead."""

    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]
    lifetime: int = 0
    up_to: UpTo | None = None


class Tried(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that was looked at, in order, and what came of it.

    `rule` counts from 1, 0 = the request's own alternatives after all rules; `alternative` from 1
    over the rule's and then the request's, 0 = none. `result` "" = this was decided on; else a
    condition that was not met or a reason. `charge` is what it would cost, in units of `asset`.
    """

    rule: int
    action: PolicyAction
    result: str
    alternative: int = 0
    product: str = ""
    charge: int = 0
    asset: int = 0


class Ruling(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a decision came about that a policy, or the request's alternatives, had a say in.

    `account` has the policy, at `version`; both 0 = none did. `package` is that which carries the
    policy, by its own version. `rule` decided by `action`: 0 and NONE = none did, and it was
    decided as it would be without. `reason`: why the work may not run as it was asked for; "" = it
    may. `asked` where it runs otherwise. `charge` is that of what was asked, in units of `asset`.
    `missing`: units that a top-up is to bring, `top_up` the one that is to bring them, 0 = none was
    asked for.
    """

    account: int
    version: int
    rule: int
    action: PolicyAction
    reason: str
    charge: int
    asset: int
    asked: AskedWork | None = None
    alternatives: tuple[Alternative, ...] = ()  # the request's
    tried: tuple[Tried, ...] = ()
    missing: int = 0
    top_up: int = 0
    package: str = ""


class PolicyHeld(HoldUpTo, frozen=True, tag=152):
    """A hold that a policy had a say in; its plan and quantities are of the work that may run."""

    ruling: Ruling | None = None


class PolicyDebited(UsageDebited, frozen=True, tag=153):
    """The same, charged at once."""

    ruling: Ruling | None = None


class PolicyDenied(WorkDenied, frozen=True, tag=156):
    """The same, denied, or to be tried again after a top-up; it says what was asked for."""

    ruling: Ruling | None = None
