"""The policy of an account: who pays first, and what is allowed when none is left."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.limits import PERIOD_GRACE_US


class Overage(IntEnum):
    """Who is billed for what no pot paid (rule D4)."""

    OFF = 1
    SELF = 2
    PARENT = 3


class Excess(IntEnum):
    """Where recorded usage lands that every limit refuses (rule D4)."""

    OWE = 1
    BILL = 2
    ABSORB = 3


class Comparator(IntEnum):
    """What orders an account's grants (rule D2), with its version: a change is a new member."""

    INHERITED = 0  # the nearest ancestor's, else DRAWDOWN_1
    DRAWDOWN_1 = 1
    METRONOME_1 = 2
    ORB_1 = 3
    STRIPE_1 = 4
    OPENMETER_1 = 5


class OverdraftKind(IntEnum):
    """What the limit of an overdraft is (rules D4, H6)."""

    FIXED = 1
    PERCENT_OF_LIFETIME = 2  # a share of lifetime value, `overdraft_limit` at most


class AccountPolicy(msgspec.Struct, frozen=True, array_like=True):
    """Which grants pay first, and what an account may do when none is left (rules D2, D4).

    Recorded whole, versioned. Durations are microseconds.
    """

    rate_card: str = ""  # "" = the nearest ancestor's, else "default" (rule D8)
    overdraft_asset: int = 0
    overdraft_limit: int = 0
    overage: Overage = Overage.OFF
    overage_cap: int = -1  # per calendar month in its zone; -1 = none
    excess: Excess = Excess.OWE
    holds_open_max: int = 10_000
    comparator: Comparator = Comparator.INHERITED
    holds_overdraft: bool = True  # whether holds may draw the overdraft (rule H3)
    holds_overage: bool = True  # whether holds may draw overage (rule H3)
    zone: str = ""  # of its periods (rule T1); "" = the nearest ancestor's, else UTC
    period_grace: int = PERIOD_GRACE_US  # how long a period takes late events (rule T2)
    overdraft_kind: OverdraftKind = OverdraftKind.FIXED
    overdraft_basis_points: int = 0  # of lifetime value, where the kind asks for it
    overdraft_grace: int = -1  # authorisation refuses so long below zero (rule H6); -1 = never
    promotional_backfills: bool = False  # whether free grants repay an advance (rule H6)
    freeze_on_chargeback: bool = False  # rule F3
    billing_anchor: int = 0  # from which its billing periods of a month run (T1); 0 = its months
    settlement_asset: int = 0  # what is left is converted to (rules R5, N6); 0 = as above it
    labels: tuple[str, ...] = ()  # by which grants above are shared with it (rule D1)
