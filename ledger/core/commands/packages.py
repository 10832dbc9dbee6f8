"""Subscriptions to packages."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import Follow, OldGrants, Timing


class Subscribe(msgspec.Struct, gc=False):
    """Have an account have a package from now on. `version` 0 = the newest; `locked_until` is
    given where it follows after an instant (rule P1)."""

    key: bytes
    account: int
    package: str
    follow: Follow = Follow.FOLLOW
    version: int = 0
    locked_until: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangePackage(msgspec.Struct, gc=False):
    """Another package or version, now or from the next period on (rule P3); `expected_version` is
    that of the subscription, 0 = whatever it is."""

    key: bytes
    account: int
    package: str
    timing: Timing
    follow: Follow = Follow.FOLLOW
    version: int = 0
    locked_until: int = 0
    old_grants: OldGrants = OldGrants.KEEP
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class CancelSubscription(msgspec.Struct, gc=False):
    """End an account's subscription with its period, or now."""

    key: bytes
    account: int
    timing: Timing
    old_grants: OldGrants = OldGrants.KEEP
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
