"""An account's subscription to a package as state (rules P1, P3). Only `evolve` changes it.

An account has one at most. One that is over stays remembered, for what its last period granted
counts for whoever subscribes again within it: flipping plans mints nothing (rule P3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.core.events import Follow, Minted, PackageIssue, PolicyPart
from ledger.core.holdings import NEVER

if TYPE_CHECKING:
    from ledger.core.state import Account


class NextPackage(NamedTuple):
    """What a subscription goes by from the next period on; version 0 = the newest then."""

    package: str
    follow: int
    version: int
    locked_until: int


class Subscription:
    """What an account has subscribed to, and the period that runs."""

    __slots__ = (
        "account",
        "anchor",
        "contract",
        "ends_at",
        "follow",
        "full",
        "grants",
        "issues",
        "locked_until",
        "minted",
        "over",
        "package",
        "period_end",
        "period_start",
        "phase",
        "phase_left",
        "phased",
        "policy",
        "revision",
        "scheduled",
        "subscribed_at",
        "version",
    )

    def __init__(self, account: Account, subscribed_at: int) -> None:
        self.account = account
        self.subscribed_at = subscribed_at
        self.package = ""
        self.version = 0
        self.follow: int = Follow.FOLLOW
        self.locked_until = 0
        self.revision = 0
        self.anchor = 0
        self.period_start = 0
        self.period_end = 0
        self.full = 0
        self.grants: tuple[int, ...] = ()  # of the period, whatever package issued them
        self.issues: tuple[PackageIssue, ...] = ()  # of the package that it has now
        self.minted: tuple[Minted, ...] = ()
        self.policy: tuple[PolicyPart, ...] = ()
        self.scheduled: NextPackage | None = None
        self.ends_at: int = NEVER
        self.over = False
        self.contract = ""  # the name of that by which the account has it; "" = of none (rule P5)
        self.phase = ""  # of the package that the period has; "" = none (rule P4)
        self.phase_left = 0  # periods of it, with the one that runs
        self.phased: tuple[str, ...] = ()  # packages whose phases the account has had

    @property
    def due(self) -> int:
        """When its next period begins, or it ends; NEVER = it is over."""
        return NEVER if self.over else self.period_end
