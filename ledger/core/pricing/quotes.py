"""Quotes as the state has them: prices that were promised, and what became of the promises (H9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.core.events import PlanDeclared
from ledger.core.limits import BASIS_POINTS

if TYPE_CHECKING:
    from ledger.core.state import Account

QUOTE_OPEN: Final = 0
QUOTE_USED: Final = 1
QUOTE_EXPIRED: Final = 2


class Quote:
    """A price that an account was promised, for one use until `expires_at` (rule H9).

    `quantities` are as they were quoted, `own` those without their subsets (rule R8): of each,
    `tolerance` basis points are priced by the rows of `plan`, going on from `positions` (price row,
    quantity), which is where the running totals stood. `hold` reserves it, 0 = none does.
    """

    __slots__ = (
        "account",
        "charges",
        "expires_at",
        "hold",
        "made_at",
        "number",
        "own",
        "plan",
        "positions",
        "quantities",
        "settled_at",
        "state",
        "tolerance",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        plan: PlanDeclared,
        quantities: tuple[int, ...],
        own: tuple[int, ...],
        charges: tuple[int, ...],
        positions: tuple[tuple[int, int], ...],
        tolerance: int,
        made_at: int,
        expires_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.plan = plan
        self.quantities = quantities
        self.own = own
        self.charges = charges
        self.positions = positions
        self.tolerance = tolerance
        self.made_at = made_at
        self.expires_at = expires_at
        self.hold = 0
        self.state = QUOTE_OPEN
        self.settled_at = 0

    def most(self, name: str) -> int:
        """How much of a quantity, without its subsets, it prices; rounded down."""
        names = self.plan.quantity_names
        if name not in names:
            return 0
        return self.own[names.index(name)] * self.tolerance // BASIS_POINTS
