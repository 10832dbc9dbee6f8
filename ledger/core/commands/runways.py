"""Runway alerts: their rules, and what a forecast says by which they are told."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import RunwayAlert


class SetRunwayAlert(msgspec.Struct, gc=False):
    """Give an account a rule for its asset, or another; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    alert: RunwayAlert
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveRunwayAlert(msgspec.Struct, gc=False):
    """Tell nothing more of the asset."""

    key: bytes
    account: int
    asset: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ReportRunway(msgspec.Struct, gc=False):
    """What a forecast says of an account with a rule; the rule says whether it is a crossing.

    `empty_at`: when one future of ten is empty, `as_of` where it is empty now; 0 = not within the
    rule's `rearm_hours`. `crossing`: the number that it has if it is one.
    """

    key: bytes
    account: int
    asset: int
    version: int
    crossing: int
    as_of: int
    empty_at: int
    available: int
    needed: int
    names: Names = NO_NAMES
    trace: bytes = b""
