"""Subscriptions to packages: begun, changed, carried on every period, cancelled (rules P1, P3)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.recurring import Timing
from rating.overrides import NumberedOverride


class Follow(IntEnum):
    """Which versions of its package a subscription goes by (rule P1)."""

    FOLLOW = 1  # at each period the newest that is in force then
    PIN = 2  # the one that it has
    FOLLOW_AFTER = 3  # the one that it has; those of periods from an instant on, the newest


class OldGrants(IntEnum):
    """What becomes of what the period has granted already where the package changes (rule P3)."""

    KEEP = 1
    FORFEIT_UNUSED = 2  # what is unheld and undrawn ends
    PRORATE = 3  # the share of the time that is left is taken back, as far as it is there (S1)


class Minted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of an asset: what the period has granted less what was taken back, and the most that any
    package of the period grants for the whole of it, which that never exceeds (rule P3)."""

    asset: int
    released: int
    largest: int


class PackageIssue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one grant of the package gave, just before in the same entries; 0 = nothing."""

    name: str
    grant: int
    amount: int
    price_paid: int


class PolicyPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A field of the account's policy that the package sets: to what, and what stood there before
    (it comes back when the package goes, unless somebody has set another since)."""

    field: str
    value: int | str
    before: int | str


class PackageTerm(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A period under a version of a package, or what is left of one: [start, end).

    Its grants are the share remaining / full of a whole period (rule S1). `minted` is what the
    period has granted by now, `policy` what the package sets of the account's.
    """

    package: str
    version: int
    anchor: int  # its periods run from there
    start: int
    end: int
    remaining: int
    full: int
    issues: tuple[PackageIssue, ...]
    minted: tuple[Minted, ...]
    policy: tuple[PolicyPart, ...] = ()


class TakenBack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Units of a grant that a change took back, just before in the same entries."""

    grant: int
    amount: int


class Subscribed(Fact, frozen=True, tag=110):
    """An account has a package from now on: its first period, or the rest of the one that an
    earlier subscription left. `version`: 0 = the newest; `locked_until`: of FOLLOW_AFTER."""

    key: bytes
    account: int
    package: str
    follow: Follow
    version: int
    locked_until: int
    revision: int  # counts up with every decision on the account's subscription
    term: PackageTerm
    trace: bytes = b""


class PackageChanged(Fact, frozen=True, tag=111):
    """Another package, or another version: now, with a `term`; or from the next period on (None).
    It takes back a cancellation that was to come."""

    key: bytes
    account: int
    package: str
    follow: Follow
    version: int
    locked_until: int
    timing: Timing
    old_grants: OldGrants
    revision: int
    expected_version: int = 0
    taken: tuple[TakenBack, ...] = ()
    term: PackageTerm | None = None
    trace: bytes = b""


class PackagePeriodBegun(Fact, frozen=True, tag=112):
    """The next period of a subscription, by the writer's clock, once; its grants stand before."""

    account: int
    term: PackageTerm


class SubscriptionCancelled(Fact, frozen=True, tag=113):
    """The subscription ends at `ends_at`: now, or with the period."""

    key: bytes
    account: int
    timing: Timing
    old_grants: OldGrants
    ends_at: int
    revision: int
    expected_version: int = 0
    taken: tuple[TakenBack, ...] = ()
    minted: tuple[Minted, ...] = ()
    trace: bytes = b""


class SubscriptionEnded(Fact, frozen=True, tag=114):
    """The period after which a subscription was to end is over, by the writer's clock."""

    account: int
    ends_at: int


class PackagePricesSet(Fact, frozen=True, tag=132):
    """What an account's package says of prices from `at` on: these overrides and no others (rule
    R4), and the products that are sold with it (rule P2). It stands before the entry of the period,
    the change or the end by which it is otherwise than before; an account whose package says
    nothing of prices has none."""

    account: int
    at: int
    overrides: tuple[NumberedOverride, ...]
    products: tuple[str, ...] = ()


class PackagePhaseBegun(Fact, frozen=True, tag=133):
    """A phase of the account's package begins with the period of the entry before, for so many
    periods (rule P4); "" = the package's own terms, for good."""

    account: int
    at: int
    phase: str
    periods: int
