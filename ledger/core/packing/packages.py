"""Subscriptions to packages."""

from __future__ import annotations

import msgspec

from ledger.core.events import Minted, PackageIssue, PolicyPart
from ledger.core.packages.subscriptions import NextPackage, Subscription
from ledger.core.state import Account


class PackedSubscription(msgspec.Struct, array_like=True, gc=False):
    """A subscription, one that is over too. `ends_at` NEVER = it goes on."""

    subscribed_at: int
    package: str
    version: int
    follow: int
    locked_until: int
    revision: int
    anchor: int
    period_start: int
    period_end: int
    full: int
    grants: tuple[int, ...]
    issues: tuple[PackageIssue, ...]
    minted: tuple[Minted, ...]
    policy: tuple[PolicyPart, ...]
    scheduled: tuple[str, int, int, int] | None
    ends_at: int
    over: bool
    phase: str = ""
    phase_left: int = 0
    phased: tuple[str, ...] = ()
    contract: str = ""


def pack_subscription(subscription: Subscription | None) -> PackedSubscription | None:
    if subscription is None:
        return None
    following = subscription.scheduled
    return PackedSubscription(
        subscription.subscribed_at,
        subscription.package,
        subscription.version,
        subscription.follow,
        subscription.locked_until,
        subscription.revision,
        subscription.anchor,
        subscription.period_start,
        subscription.period_end,
        subscription.full,
        subscription.grants,
        subscription.issues,
        subscription.minted,
        subscription.policy,
        (following.package, following.follow, following.version, following.locked_until)
        if following is not None
        else None,
        subscription.ends_at,
        subscription.over,
        subscription.phase,
        subscription.phase_left,
        subscription.phased,
        subscription.contract,
    )


def unpack_subscription(account: Account, packed: PackedSubscription | None) -> Subscription | None:
    if packed is None:
        return None
    subscription = Subscription(account, packed.subscribed_at)
    subscription.package = packed.package
    subscription.version = packed.version
    subscription.follow = packed.follow
    subscription.locked_until = packed.locked_until
    subscription.revision = packed.revision
    subscription.anchor = packed.anchor
    subscription.period_start = packed.period_start
    subscription.period_end = packed.period_end
    subscription.full = packed.full
    subscription.grants = packed.grants
    subscription.issues = packed.issues
    subscription.minted = packed.minted
    subscription.policy = packed.policy
    if packed.scheduled is not None:
        subscription.scheduled = NextPackage(*packed.scheduled)
    subscription.ends_at = packed.ends_at
    subscription.over = packed.over
    subscription.phase = packed.phase
    subscription.phase_left = packed.phase_left
    subscription.phased = packed.phased
    subscription.contract = packed.contract
    return subscription
