"""Credit leases: a slice of a balance in escrow with a holder, who decides alone (rule H7).

A credit lease is held for as a hold is: it has a number among the holds, and its slices pend until
usage that its holder reports takes them, or the one entry that ends it gives the rest back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ledger.core.events.base import Fact, Slice
from ledger.core.events.holds import HoldAuthorized, HoldExpired, HoldReleased, UsageCaptured

LEASED_QUANTITY: Final = "leased"
"""The one quantity of the plan that a lease declares: units of its asset, which no row prices."""


class LeaseLapse(IntEnum):
    """What becomes of what its holder has not reported when a lease lapses (rule H7)."""

    RETURN = 1  # it goes back: late reports may overdraw by as much
    CHARGE = 2  # it stays in escrow until it is reported or written off: nothing is overdrawn


class LeaseGranted(HoldAuthorized, frozen=True, tag=171):
    """A slice went into escrow with `holder`, who wanted `wanted` units, at least `minimum`.

    `quantities` and `charges` are the units in escrow, 0 where it waits for its share. `lifetime`
    is the term as it was asked for, `lifetime_max` the term; `expires_at` is the term and `margin`
    from here. `share` is its fair share of what there is for the account's leases.
    """

    holder: str = ""
    wanted: int = 0
    minimum: int = 0
    margin: int = 0
    on_lapse: LeaseLapse = LeaseLapse.RETURN
    share: int = 0


class OperationLeaseGranted(LeaseGranted, frozen=True, tag=194):
    """The same for work of an operation: its digest, and behind it its parent's."""

    operation: bytes = b""


class LeaseRenewed(Fact, frozen=True, tag=172):
    """A lease goes on from here for `term`: `slices` are all that is in escrow from now on.

    The holder bound itself to at most `keep` units, what it has spent and not reported included,
    and wants `wanted`. `given_back` is what each slice of before gives back, in their order. Where
    `share` is below `amount`, the holder is asked to give back the difference.
    """

    key: bytes
    account: int
    hold: int
    wanted: int
    keep: int
    plan: int
    amount: int
    used_book: int
    slices: tuple[Slice, ...]
    given_back: tuple[int, ...]
    effective_at: int
    expires_at: int
    lifetime: int  # as it was asked for
    term: int
    margin: int
    period: int
    share: int
    policy_version: int
    trace: bytes = b""


class UsageLeased(UsageCaptured, frozen=True, tag=117):
    """Usage that the holder of lease `hold` reports: of its slices first, which stay in escrow
    otherwise. It is usage as any, by its own identity.

    `over` is the part of its charge above what the lease had left: drawn as plain usage. `late`:
    the lease had lapsed, and its slice was returned. `counted_at`: in whose windows of budgets and
    caps it counts, those of the lease's last renewal (rule H5); 0 = of its own time. `apart`: the
    report named another operation than the lease's; -1 = recorded when nobody asked.
    """

    over: int = 0
    counted_at: int = 0
    apart: int = 0


class LeaseReturned(HoldReleased, frozen=True, tag=174):
    """All that is left in escrow goes back. `written_off`: of one that had lapsed, by whoever says
    that nothing more will be reported."""

    written_off: int = 0


class LeaseLapsed(HoldExpired, frozen=True, tag=175):
    """The writer's clock passed term and margin: what was not reported, `unreported`, goes back."""

    unreported: int = 0


class LeaseOverdue(Fact, frozen=True, tag=176):
    """The same where what was not reported stays in escrow until it is reported or written off."""

    account: int
    hold: int
    unreported: int


class LeaseRecalled(Fact, frozen=True, tag=177):
    """The holder is to bring the lease down to `keep` units: it is told at its next call."""

    key: bytes
    account: int
    hold: int
    keep: int
    trace: bytes = b""
