"""When budgets run out at the pace of their present windows."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.api.rendering.render_budget import budget_view
from ledger.core.events import WindowKind
from ledger.core.limits import HOUR_US
from ledger.core.state import Account

YOUNG_US: Final = HOUR_US  # a window younger than this says nothing of its pace


class Pace(NamedTuple):
    """A budget, and when it runs out in a straight line; 0 = not before it resets, or unknown."""

    account: int
    name: str
    limit: int
    used: int
    left: int
    runs_out_at_us: int
    resets_at_us: int


def paces_of(account: Account, now_us: int) -> list[Pace]:
    """The budgets of an account but those that hold for each value of an attribute."""
    found = []
    for budget in account.budgets:
        if budget.values is None:
            view = budget_view(budget, now_us)
            left = view.terms.limit - view.used - view.pending
            start = view.start_us
            if view.terms.window.kind == WindowKind.LIFETIME:
                start = account.created_at
            elif view.terms.window.kind == WindowKind.SLIDING:
                start = 0  # what leaves it makes room for what comes: at one pace it stays as it is
            resets = view.resets_at_us
            out = runs_out(start, now_us, view.used, left, resets)
            found.append(
                Pace(account.number, budget.name, view.terms.limit, view.used, left, out, resets)
            )
    return found


def runs_out(start_us: int, now_us: int, used: int, left: int, resets_at_us: int) -> int:
    """When nothing is left if use goes on as since the start; 0 = not before the reset (0 = there
    is none), or it is too early to say."""
    if left <= 0:
        return now_us
    if not start_us or now_us - start_us < YOUNG_US or used <= 0:
        return 0
    at_us = now_us + left * (now_us - start_us) // used
    return 0 if resets_at_us and at_us >= resets_at_us else at_us
