"""Alerts by how long a balance is to last: their rules, and each crossing that was reported."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact


class RunwayAlert(msgspec.Struct, frozen=True, array_like=True):
    """When to be told that a balance of an asset may not last.

    Once in one future of ten it is empty within `hours`; not again before it is sure to last for
    `rearm_hours`.
    """

    asset: int
    hours: int
    rearm_hours: int


class RunwayAlertSet(Fact, frozen=True, tag=196):
    """The whole new rule of an account for its asset, which has not told of anything yet; `version`
    counts on through removals."""

    key: bytes
    account: int
    alert: RunwayAlert
    version: int
    expected_version: int = 0
    trace: bytes = b""


class RunwayAlertRemoved(Fact, frozen=True, tag=197):
    """Nothing is told any more of the asset."""

    key: bytes
    account: int
    asset: int
    trace: bytes = b""


class RunwayCrossed(Fact, frozen=True, tag=198):
    """What a forecast made at `as_of` said, where it crossed the bound of the rule's `version`:
    `short`, or sure to last again.

    `crossing` counts those of the version, from 1. `empty_at`: when one future of ten is empty; 0 =
    not within `rearm_hours`. `available`, and what nine futures of ten need until `hours` after
    `as_of`, are decimal (rule N1).
    """

    key: bytes
    account: int
    asset: int
    version: int
    crossing: int
    short: bool
    as_of: int
    empty_at: int
    available: str
    needed: str
    trace: bytes = b""
