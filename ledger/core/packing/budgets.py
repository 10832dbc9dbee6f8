"""Budgets with their counters (rules H4, H5)."""

from __future__ import annotations

import msgspec

from ledger.core.budgets import Budget
from ledger.core.events import BudgetTerms
from ledger.core.state import Family, State
from ledger.core.windows import PackedCounter, unpack_counter


class PackedBudget(msgspec.Struct, array_like=True, gc=False):
    """A budget: its counter, what pends by hold, and which thresholds were told until when."""

    number: int
    account: int
    name: str
    version: int
    created_at: int
    created_by: int
    terms: BudgetTerms
    counter: PackedCounter
    held: list[tuple[int, int, int, int]]  # hold, since, end, amount
    crossed: list[tuple[int, int]]
    packaged: bool = False


def pack_budget(budget: Budget) -> PackedBudget:
    return PackedBudget(
        budget.number,
        budget.account.number,
        budget.name,
        budget.version,
        budget.created_at,
        budget.created_by,
        budget.terms,
        budget.counter.pack(),
        [(hold, *span, amount) for hold, (span, amount) in sorted(budget.held.items())],
        sorted(budget.crossed.items()),
        budget.packaged,
    )


def unpack_budget(state: State, family: Family, packed: PackedBudget) -> None:
    account = state.accounts[packed.account]
    budget = Budget(
        packed.number,
        account,
        packed.name,
        packed.terms,
        packed.version,
        packed.created_at,
        packed.created_by,
    )
    budget.counter = unpack_counter(packed.counter)
    for hold, since, end, amount in packed.held:
        budget.held[hold] = ((since, end), amount)
        family.pend(hold, packed.number)
    budget.crossed = dict(packed.crossed)
    budget.packaged = packed.packaged
    family.budgets[packed.number] = budget
    account.budgets.append(budget)
    account.find_watched()
