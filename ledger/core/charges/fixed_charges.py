"""A fixed charge as state: its terms, the period that runs, what of it was charged and earned.

Only `evolve` changes it. A charge that has ended stays, so that it can be asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.core.events import ChargeBilling, ChargeTerms, Slice
from ledger.core.holdings import NEVER

if TYPE_CHECKING:
    from ledger.core.state import Account


class FeeDraw(NamedTuple):
    """A slice that the period's fees drew; overage of it counts in that month (rules D3, D4)."""

    month: int
    piece: Slice


class FixedCharge:
    """What an account is charged every period, or once (rules T1, S1, B4)."""

    __slots__ = (
        "account",
        "begun",
        "charged",
        "charged_from",
        "charged_to",
        "counted",
        "created_at",
        "drawn",
        "earned_to",
        "earns_at",
        "earns_until",
        "ends_at",
        "full",
        "name",
        "next_at",
        "next_quantity",
        "next_terms",
        "number",
        "packaged",
        "period_end",
        "period_start",
        "quantity",
        "settled",
        "starts_at",
        "terms",
        "unearned",
        "version",
        "weighed",
        "weighed_to",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        name: str,
        terms: ChargeTerms,
        quantity: int,
        starts_at: int,
        ends_at: int,
        created_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.name = name
        self.terms = terms  # of the period that runs
        self.next_terms: ChargeTerms | None = None  # from the next period on
        self.quantity = quantity
        self.next_quantity = -1  # from the next period on; -1 = as it is
        self.version = 1  # of terms and quantity together
        self.starts_at = starts_at
        self.ends_at = ends_at  # NEVER where it goes on
        self.created_at = created_at
        self.packaged = False  # a package has it so; whoever changes it by hand has it (rule P1)
        self.next_at = starts_at  # where the next period starts
        # The last period that was begun: its number, bounds, and what of `full` it is charged for.
        self.begun = 0
        self.period_start = 0
        self.period_end = 0
        self.charged_from = 0
        self.charged_to = 0
        self.full = 0
        self.counted = 0  # the quantity that it is charged for as things stand
        self.weighed = 0  # quantity x unit amount x microseconds, from `charged_from` to there
        self.weighed_to = 0
        self.settled = True  # whether nothing more is charged as it ends
        self.charged = 0  # by now
        self.drawn: tuple[FeeDraw, ...] = ()  # of that, first drawn first
        # Money that is charged and not earned, by asset: from when to when it is earned, and when
        # the next part of it is.
        self.unearned: tuple[tuple[int, int], ...] = ()
        self.earned_to = 0
        self.earns_at = 0
        self.earns_until = 0

    @property
    def recurs(self) -> bool:
        """Whether it is charged every period; else once."""
        return self.terms.every > 0

    @property
    def due(self) -> int:
        """When it next does something: earns, charges or begins; NEVER = not as things stand."""
        due = self.next_at if self.next_at < self.ends_at else NEVER
        if not self.settled:
            due = self.period_end
        return min(due, self.earns_at) if self.unearned else due

    def runs(self, now: int) -> bool:
        """Whether a period runs that a change of the quantity counts in."""
        if self.terms.billing == ChargeBilling.ARREARS and self.settled:
            return False
        return self.begun > 0 and self.period_start <= now < self.period_end

    def is_over(self, now: int) -> bool:
        """Whether nothing more is charged or earned."""
        return self.ends_at <= now and self.due == NEVER
