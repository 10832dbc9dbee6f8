"""Deliberate faults of holds of operations (rules H1, H4).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DEBITS: Final = "ledger.core.decisions.debits"
_DRAWS: Final = "ledger.core.decisions.operation_draws"
_CAPTURING: Final = "ledger.core.decisions.capturing"
_BUDGETS: Final = "ledger.core.budgets.budgeting"
_COUNTS: Final = "ledger.core.budgets.budget_counts"
_ASSESSING: Final = "ledger.core.decisions.assessing"
_HOLDS: Final = "ledger.core.evolve.holds"

RESERVES: Final = (
    Mutant(
        "debit leaves what it drew of a hold pending",
        _HOLDS,
        "_lower",
        "_unreserve(state, hold, rest[place], taken)",
        "pass",
        "what a call draws of a hold pends no more",
    ),
    Mutant(
        "debit draws a hold again",
        _HOLDS,
        "_lower",
        "hold.slices = tuple(rest)",
        "pass",
        "a unit that is held is drawn once",
    ),
    Mutant(
        "units drawn of a hold are told of no product",
        _HOLDS,
        "_take",
        "hold.draw(state.declared[event.plan].product, sum(event.taken))",
        'hold.draw("", sum(event.taken))',
        "what was drawn of a hold is told by product",
    ),
    Mutant(
        "debit of one hold's work taken of another",
        _DRAWS,
        "operation_hold",
        "isinstance(hold, Refusal) or hold.drawn is not None",
        "isinstance(hold, Refusal) or True",
        "a hold of one piece of work takes no other",
    ),
    Mutant(
        "debit of a hold is of no operation",
        _DEBITS,
        "decide_debit",
        "operation = operation or hold.operation",
        "pass",
        "a call that names none is of the hold's operation",
    ),
    Mutant(
        "hold of an operation forgotten by what may run",
        _ASSESSING,
        "payable",
        "found.available += hold.left",
        "pass",
        "a hold of the operation pays first",
    ),
    Mutant(
        "capture of a hold of an operation keeps the hold's operation",
        _CAPTURING,
        "decide_capture",
        "operation = command.operation or operation",
        "operation = operation or command.operation",
        "usage is of the operation that the call names",
    ),
    Mutant(
        "hold of an operation pends nowhere",
        _COUNTS,
        "_reserved",
        "if not budget.reserves(plan.asset):",
        "if True:",
        "units that are held pend from the start where all usage counts",
    ),
    Mutant(
        "hold of an operation beyond a budget",
        _BUDGETS,
        "first_not_reserving",
        "if 0 < units > left:",
        "if False:",
        "a hold beyond what budgets leave is denied",
    ),
    Mutant(
        "what a hold has reserved needs room again",
        _BUDGETS,
        "pending_of",
        "return min(units, amount)",
        "return 0",
        "only what is drawn beyond a hold has to find room",
    ),
    Mutant(
        "draw of a hold leaves the budget pending",
        _COUNTS,
        "_usage",
        "pending = min(pending, taken_by(state, budget, drawn, event.taken))",
        "pending = 0",
        "what a call draws of a hold pends no more in budgets",
    ),
    Mutant(
        "work outside of a mandate captured of a hold",
        _DRAWS,
        "draw_refused",
        "if denial is not None and denial.reason in",
        "if denial is not None and denial.reason not in",
        "nobody has authorised such work",
    ),
    Mutant(
        "capture of a hold of an operation without its product",
        _CAPTURING,
        "_other_work",
        "        if command.product:\n            return None\n        return Refusal(",
        "        return None\n        return Refusal(",
        "such a capture says what was used",
    ),
)
