"""Running totals of several accounts, and re-rates that are due by them (rules R1, D8).

The scope of such a total says whose it is beside what it is: the account at the top of the subtree,
or with the contract. Each account keeps its own part under the same place, as it keeps totals of
its own; the sums are derived. Pure data: only `evolve` changes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ledger.core.events import PlanDeclared, PlanOverridden, Rerate
from ledger.core.limits import DAY_US
from rating.functions import (
    SCOPE_CONTRACT,
    SCOPE_DAY,
    SCOPE_SUBTREE_DAY,
)

if TYPE_CHECKING:
    from ledger.core.state import Account

_KIND_BITS: Final = 4
KIND_MASK: Final = (1 << _KIND_BITS) - 1
"""A scope above it is of several accounts."""

CONTRACT_TOTALS_KEPT_US: Final = 3_660 * DAY_US
"""Ten years of a contract's term beside what any total is kept for."""

NOT_DUE: Final = 9_223_372_036_854_775_807


def scope_under(kind: int, account: int) -> int:
    """The scope of that kind whose total the accounts under one share."""
    return account << _KIND_BITS | kind


def kind_of(scope: int) -> int:
    """What a scope is, whosever it is."""
    return scope & KIND_MASK


def is_daily(scope: int) -> bool:
    """Whether it is of a day: those are forgotten before others."""
    return scope & KIND_MASK in (SCOPE_DAY, SCOPE_SUBTREE_DAY)


def is_kept(place: tuple[int, int, int], days: int, months: int) -> bool:
    """Whether a total by (key, scope, start) is remembered where what began in days, and in months
    and periods, that began then or earlier is forgotten."""
    kind = place[1] & KIND_MASK
    if kind in (SCOPE_DAY, SCOPE_SUBTREE_DAY):
        return place[2] > days
    if kind == SCOPE_CONTRACT:
        return place[2] > months - CONTRACT_TOTALS_KEPT_US
    return place[2] > months


class SharedTotal:
    """What runs on for several accounts: their sum, and the part of each that has any."""

    __slots__ = ("parts", "total")

    def __init__(self) -> None:
        self.total = 0
        self.parts: dict[int, int] = {}  # account -> quantity

    def move(self, account: int, by: int) -> None:
        """Move an account's part; one that is zero is as none."""
        self.total += by
        part = self.parts.get(account, 0) + by
        if part:
            self.parts[account] = part
        else:
            self.parts.pop(account, None)


class Due(msgspec.Struct, frozen=True, array_like=True):
    """What earlier usage of an account costs more or less because of an entry of another: `cause`
    is the number of that entry, of the time `effective_at`."""

    plan: PlanDeclared | PlanOverridden
    effective_at: int
    cause: int
    rerate: Rerate


class Dues:
    """The re-rates of an account that are due, the first one first."""

    __slots__ = ("account", "due", "waiting")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.due = NOT_DUE  # since when the first is
        self.waiting: list[Due] = []

    def of(self, place: tuple[int, int, int]) -> int:
        """What is due by one total, below 0 where it is to be given back."""
        return sum(
            [
                each.rerate.amount
                for each in self.waiting
                if (each.rerate.key, each.rerate.scope, each.rerate.start) == place
            ]
        )
