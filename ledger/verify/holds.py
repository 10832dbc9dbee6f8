"""That no hold leaks: what is pending is what open holds reserve, and none is open for ever.

Every way out of a hold settles it once (rule H1); the replay refuses a second one. Here is the
other half: at the end nothing pends without a hold behind it, and none outlived its expiry by far.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import Final

from ledger.core.events import ClockAdvanced, HoldAuthorized, HoldExtended, LeaseRenewed
from ledger.core.state import State
from ledger.verify.report import Findings

OVERDUE_BATCHES_MAX: Final = 10_000
"""Batches that may be recorded while a hold is overdue: each one sweeps 256 of them, so a midnight
with 2.5 million expiries is no leak."""


class HoldWatch:
    """Follows the expiries of one shard's holds."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._due: list[tuple[int, int]] = []  # heap of (expiry by the writer's clock, hold)
        self._overdue: dict[int, int] = {}  # hold -> the batch at which it was due

    def expires(self, state: State, event: HoldAuthorized | HoldExtended | LeaseRenewed) -> None:
        """A hold has a new expiry."""
        heappush(self._due, (event.expires_at - state.offset, event.hold))

    def advanced(self, state: State, event: ClockAdvanced) -> None:
        """A tenant's clock moves, before it is applied: its holds expire earlier (rule T4)."""
        for hold in state.holds.values():
            if hold.account.tenant == event.tenant:
                heappush(self._due, (hold.expires_at - event.offset, hold.number))

    def batch(self, state: State) -> None:
        """The batch is replayed: what is due by its time, and still open, is overdue."""
        while self._due and self._due[0][0] <= state.recorded_at:
            _, number = heappop(self._due)
            hold = state.holds.get(number)
            if hold is None:
                continue
            if state.timer_at(hold.account.tenant, hold.expires_at) <= state.recorded_at:
                self._overdue[number] = state.batch_seq

    def end(self, state: State) -> int:
        """Compare what pends with what is held or not paid for yet; returns how many holds are
        overdue."""
        debits: Counter[int] = Counter()
        credits: Counter[int] = Counter()
        for hold in state.holds.values():
            for piece in hold.slices:
                assert hold.used is not None
                debits[piece.book] += piece.amount
                credits[hold.used.number] += piece.amount
        for grant in state.grants.values():
            if grant.unpaid:  # it waits for the rest of its price (rule F1)
                paid = grant.amount * (grant.price_paid - grant.unpaid) // grant.price_paid
                debits[grant.funding.number] += grant.amount - paid
                credits[grant.book.number] += grant.amount - paid
        for number, book in state.books.accounts.items():
            compare = self._findings.compare
            compare(f"book {number}, held", debits[number], book.debits_pending)
            compare(f"book {number}, held to credit", credits[number], book.credits_pending)
        overdue = {number: at for number, at in self._overdue.items() if number in state.holds}
        for number, at in overdue.items():
            if state.batch_seq - at > OVERDUE_BATCHES_MAX:
                self._findings.add(
                    f"hold {number}", f"expired about batch {at}", f"open at {state.batch_seq}"
                )
        return len(overdue)
