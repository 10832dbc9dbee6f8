"""What a true-up below counts toward (rule D7), said once more and apart from the core."""

from __future__ import annotations

from ledger.core.events import Event, GrantKind, TrueUpCounted
from ledger.core.state import GRANT_OPEN, Grant, State
from ledger.verify.rules.judge import Judge


def counts_above(judge: Judge, state: State, grant: Grant, amount: int) -> None:
    """A segment is trued up: note by how much each of those above is to be reduced. On each level
    they share what is trued up, the first issued first, as far as they have units that nobody
    holds; they ran when it ended, and are of the same units and money."""
    ended = min(grant.expires_at - 1, state.now)
    for above in grant.account.line()[1:]:
        rest = amount
        for segment in sorted(above.grants, key=lambda each: each.ordinal):
            if segment.commitment is None or segment.settled != GRANT_OPEN:
                continue
            if (segment.asset, segment.price_asset) != (grant.asset, grant.price_asset):
                continue
            if segment.effective_at > ended or segment.expires_at <= ended:
                continue
            units = min(rest, segment.book.available)
            if units <= 0:
                continue
            rest -= units
            money = (segment.price_paid - segment.returned) * units // segment.whole
            book = 0
            if money and segment.kind == GrantKind.PREPAID and segment.cash is not None:
                book = segment.cash.number
            judge.counting.append((above.number, segment.number, units, money, book, grant.number))


def trued_up_in_order(judge: Judge, state: State, grant: Grant) -> None:
    """Those below come first that are due."""
    for account in grant.account.below()[1:]:
        for each in account.grants:
            due = each.commitment is not None and each.settled == GRANT_OPEN
            if due and each.expires_at + account.policy.period_grace <= state.now:
                judge.wrong(state, f"true-up of grant {grant.number}", f"after {each.number}", "")


def true_up_counted(judge: Judge, state: State, event: TrueUpCounted) -> None:
    """By the entries right after the true-up, each as it was noted."""
    expected = judge.counting.pop(0) if judge.counting else None
    found = (
        event.account,
        event.grant,
        event.amount,
        event.refunded,
        event.cash_book,
        event.of,
    )
    judge.equal(state, "what a true-up counts toward", expected, found)


def stops_counting(judge: Judge, state: State, event: Event) -> None:
    """Something else stands where a true-up was to be counted."""
    judge.wrong(state, "what a true-up counts toward", judge.counting, type(event).__name__)
    judge.counting.clear()
