"""A runway alert as state: the rule, and whether it has told of a balance that may not last."""

from __future__ import annotations

import msgspec

from ledger.core.events import RunwayAlert
from ledger.core.limits import HOUR_US


class Runway(msgspec.Struct, frozen=True, array_like=True):
    """Of one asset. `alert` None: it was removed. `crossings` of this version, and when the last
    was; what `empty_at`, `available` and `needed` say is what was told by it."""

    asset: int
    version: int
    alert: RunwayAlert | None
    short: bool = False
    crossings: int = 0
    crossed_at: int = 0
    empty_at: int = 0
    available: str = ""
    needed: str = ""


def crosses(alert: RunwayAlert, short: bool, as_of: int, empty_at: int) -> bool:
    """Whether a forecast crosses the bound that is looked at: what is short must last for longer
    than what is not may."""
    hours = alert.rearm_hours if short else alert.hours
    within = bool(empty_at) and empty_at <= as_of + hours * HOUR_US
    return within != short
