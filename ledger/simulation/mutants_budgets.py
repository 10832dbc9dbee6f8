"""Deliberate faults of budgets of accounts and of their windows (rules H4, H5).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_WINDOWS: Final = "ledger.core.windows"
_ASKED: Final = "ledger.core.budgets.budgeting"
_COUNTS: Final = "ledger.core.budgets.budget_counts"
_BUDGET: Final = "ledger.core.budgets.budgets"
_EVOLVE: Final = "ledger.core.evolve.budgets"

BUDGETS: Final = (
    Mutant(
        "budget of an account above not asked",
        _ASKED,
        "first_exceeded",
        "        node = node.parent\n",
        "        node = None\n",
        "all budgets that apply must allow, those above too",
    ),
    Mutant(
        "budget of an account passed",
        _ASKED,
        "first_exceeded",
        "            if amount > left:\n",
        "            if amount > left + 1:\n",
        "a hard budget refuses what is beyond its limit",
    ),
    Mutant(
        "soft budget refuses",
        _ASKED,
        "first_exceeded",
        "            if not terms.hard or not budget.applies(bound.use):\n",
        "            if not budget.applies(bound.use):\n",
        "a soft budget only counts",
    ),
    Mutant(
        "window that is over counted as the present one",
        _WINDOWS,
        "Counter.within",
        "            if cell.since <= now < cell.end:",
        "            if cell.since <= now:",
        "a window begins at nothing",
    ),
    Mutant(
        "oldest part of a sliding window left out",
        _WINDOWS,
        "Counter.within",
        "if cell.end > reach:",
        "if cell.since > reach:",
        "the oldest part counts whole, so that nothing is under-counted",
    ),
    Mutant(
        "calendar days of another zone",
        _WINDOWS,
        "_in_zone",
        "return day_in(at, zone)",
        'return day_in(at, "UTC")',
        "a calendar window is of its zone",
    ),
    Mutant(
        "fixed window begins anew while it runs",
        _WINDOWS,
        "span_at",
        "if cell.since <= at < cell.end and (kind == WindowKind.FIXED or now < cell.end):",
        "if cell.since <= at < cell.end and now < cell.since:",
        "a fixed window runs from first use to its end",
    ),
    Mutant(
        "older usage counted in the present window",
        _WINDOWS,
        "span_at",
        "return bounds if bounds[1] == present else OF_NO_WINDOW",
        "return bounds_at(window, now, anchors, calendar)",
        "usage counts in the window of its effective time",
    ),
    Mutant(
        "parts of a sliding window forgotten while it reaches them",
        _WINDOWS,
        "Counter._forget",
        "cells[past].end <= reach",
        "cells[past].end <= now",
        "a sliding window counts all that it reaches",
    ),
    Mutant(
        "reset of a budget told too early",
        _WINDOWS,
        "showing",
        "return reach, cell.end + window.length",
        "return reach, cell.since + window.length",
        "a denial says when there may be more",
    ),
    Mutant(
        "another limit begins the budget anew",
        _BUDGET,
        "Budget.change",
        "self.take_counter()",
        "self.take_counter(); self._counter = Counter()",
        "changing a limit never resets its counter",
    ),
    Mutant(
        "threshold told again after another limit",
        _BUDGET,
        "Budget.change",
        "if each in terms.thresholds",
        "if False",
        "each threshold is told once a window",
    ),
    Mutant(
        "threshold told once for ever",
        _COUNTS,
        "_told_until",
        "return showing(window, budget.counter, now, account.anchors, account.calendar)[1]",
        "return INT64_MAX",
        "each threshold is told once a window",
    ),
    Mutant(
        "reversal lowers a budget that was set later",
        _COUNTS,
        "_correction",
        "if event.original < budget.created_by:  # it was not counted",
        "if False:",
        "a reversal lowers what had counted it",
    ),
    Mutant(
        "hold pends on in a removed budget",
        _EVOLVE,
        "budget_removed",
        "family.unpend(hold, counter.number)",
        "pass",
        "a removed budget counts no more",
    ),
)
