"""Credit leases as state: with whom a slice is in escrow, and how scarce balance is shared (H7).

A credit lease is a hold with a holder: `Hold.lease` says which. Decided in `leasing`; what a
server has of a shard, which is called a lease too, is the engine's and has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.events import LeaseLapse
from ledger.core.limits import LEASE_MARGIN_MAX_US, LEASE_MARGIN_MIN_US

NOT_RECALLED = -1


class CreditLease:
    """What makes a hold a lease: its slices are in escrow with `holder`."""

    __slots__ = (
        "granted_at",
        "holder",
        "lapsed_at",
        "margin",
        "minimum",
        "on_lapse",
        "over",
        "recalled",
        "renewals",
        "reported",
        "reports",
        "share",
        "term",
        "wanted",
    )

    def __init__(
        self,
        holder: str,
        wanted: int,
        minimum: int,
        term: int,
        margin: int,
        on_lapse: LeaseLapse,
        share: int,
        granted_at: int,
    ) -> None:
        self.holder = holder
        self.wanted = wanted  # units in escrow, as it was said last
        self.minimum = minimum
        self.term = term
        self.margin = margin
        self.on_lapse = on_lapse
        self.share = share  # of what there was, as it was granted or renewed last
        self.granted_at = granted_at
        self.renewals = 0
        self.recalled = NOT_RECALLED  # units that it is to come down to
        self.reports = 0  # usage events
        self.reported = 0  # units that they charged
        self.over = 0  # units of those above what was in escrow
        self.lapsed_at = 0  # of one that stays charged; 0 = it runs

    def down_to(self, left: int) -> int:
        """Units that the holder is asked to come down to: `left` where it is asked for nothing."""
        asked = min(left, self.share)
        return asked if self.recalled == NOT_RECALLED else min(asked, self.recalled)


class SettledLease(NamedTuple):
    """What is remembered of a lease that ended: `unreported` is what late reports may still take
    without being over (rule H7)."""

    holder: str
    on_lapse: int
    granted_at: int
    reports: int
    reported: int
    over: int
    unreported: int


def margin_of(term: int) -> int:
    """How long before the end of its term the holder stops, and how long after it the server waits:
    a tenth of the term, within bounds."""
    return min(max(term // 10, LEASE_MARGIN_MIN_US), LEASE_MARGIN_MAX_US)


class Want(NamedTuple):
    """What a lease wants, and the least that is of use to it."""

    number: int
    wanted: int
    minimum: int = 0


def fair_shares(total: int, wants: Sequence[Want]) -> dict[int, int]:
    """Max-min fair shares of `total` by number: who wants less than an equal share gets it, the
    others share the rest evenly; what does not divide goes to the lowest numbers (rules H7, N3).

    Where a share would be below its minimum, which is of no use, the latest of those have none, so
    that the others have enough.
    """
    shares = _max_min(total, wants)
    short = sorted([each.number for each in wants if shares[each.number] < each.minimum])
    if not short:
        return shares
    fewest, most = 0, len(short)  # of them, the first so many may be kept, or not
    while most - fewest > 1:
        kept = (fewest + most) // 2
        if _is_enough(_max_min(total, _without(wants, short[kept:])), wants):
            fewest = kept
        else:
            most = kept
    left = _without(wants, short[fewest:])
    return {**dict.fromkeys(short[fewest:], 0), **_max_min(total, left)}


def _without(wants: Sequence[Want], numbers: Sequence[int]) -> list[Want]:
    gone = set(numbers)
    return [each for each in wants if each.number not in gone]


def _is_enough(shares: dict[int, int], wants: Sequence[Want]) -> bool:
    for each in wants:
        share = shares.get(each.number)
        if share is not None and share < each.minimum:
            return False
    return True


def _max_min(total: int, wants: Sequence[Want]) -> dict[int, int]:
    rising = sorted([(each.wanted, each.number) for each in wants])
    shares: dict[int, int] = {}
    left, holders = max(0, total), len(rising)
    for place, (wanted, number) in enumerate(rising):
        level = left // (holders - place)
        if wanted > level:
            rest = left - level * (holders - place)
            for each in sorted([number for _, number in rising[place:]]):
                shares[each] = level + (1 if rest else 0)
                rest -= 1 if rest else 0
            return shares
        shares[number] = wanted
        left -= wanted
    return shares
