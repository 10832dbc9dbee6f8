"""What a child's true-up counts toward: the commitments of the accounts above it (rule D7).

What is left of a segment when it is trued up is paid for and unused. So much less is owed of the
segments that the accounts above have running at that instant: each is reduced as if that had never
been issued, with its share of the price, in the order issued. Reads state, changes nothing.

A segment above is trued up after those below it that are due too (`trued_up_below`), whoever asks.
"""

from __future__ import annotations

from ledger.core.events import GrantKind, TrueUpCounted
from ledger.core.state import GRANT_OPEN, Account, Grant


def count_true_up(grant: Grant, amount: int, now: int) -> list[TrueUpCounted]:
    """What so many units of a segment are for those above that have just been trued up."""
    counted: list[TrueUpCounted] = []
    if amount == 0 or grant.commitment is None:
        return counted
    at = min(grant.expires_at - 1, now)  # the last instant that it ran
    for above in grant.account.line()[1:]:
        left = amount
        for segment in above.grants:
            if left and _runs(segment, grant, at):
                take = min(left, segment.book.available)
                if take > 0:
                    counted.append(_reduced(segment, grant, take))
                    left -= take
    return counted


def _runs(segment: Grant, grant: Grant, at: int) -> bool:
    """Whether a grant is a segment, of the same units and money, that ran then and still stands."""
    return (
        segment.commitment is not None
        and segment.settled == GRANT_OPEN
        and segment.effective_at <= at < segment.expires_at
        and segment.asset == grant.asset
        and segment.price_asset == grant.price_asset
    )


def _reduced(segment: Grant, of: Grant, take: int) -> TrueUpCounted:
    refunded = segment.share_of(take)
    cash = 0
    if refunded and segment.cash is not None and segment.kind != GrantKind.POSTPAID:
        cash = segment.cash.number
    return TrueUpCounted(segment.account.number, segment.number, take, refunded, cash, of.number)


def is_trued_up(grant: Grant, now: int) -> bool:
    """Whether it is a segment whose true-up is due: it has ended, and its grace is over."""
    return grant.commitment is not None and grant.settled == GRANT_OPEN and grant.breaks_at <= now


def trued_up_below(account: Account, now: int) -> list[Grant]:
    """Segments of the accounts below whose true-up is due, and comes before whatever ends those of
    this one: the lowest accounts first."""
    found: list[Grant] = []
    for each in reversed(account.below()):
        if each is not account and each.commitments:
            found.extend([grant for grant in each.grants if is_trued_up(grant, now)])
    return found
