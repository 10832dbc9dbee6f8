"""Deliberate faults of budgets of operations (rules H4, I1).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_OPERATIONS: Final = "ledger.core.budgets.operations"
_COVER: Final = "ledger.core.budgets.operation_cover"
_BUDGETS: Final = "ledger.core.budgets.operation_budgets"
_COUNTS: Final = "ledger.core.budgets.budget_counts"
_ASKED: Final = "ledger.core.budgets.budgeting"
_EVOLVE: Final = "ledger.core.evolve.operations"

OPERATIONS: Final = (
    Mutant(
        "budget of an operation passed",
        _ASKED,
        "first_exceeded",
        "if amount > 0 and amount > left:",
        "if amount > 0 and amount > left + 1:",
        "no authorisation of an operation passes its limit",
    ),
    Mutant(
        "budget of an operation forgets its holds",
        _ASKED,
        "first_exceeded",
        "left = terms.limit - sum(budget.counter.within(terms.window, now))",
        "left = terms.limit - budget.counter.within(terms.window, now)[0]",
        "what holds reserve counts in the budget of their operation",
    ),
    Mutant(
        "first call of an operation outside of its parent's budget",
        _COVER,
        "_standing",
        "to_join(family, account, operation, now) or above_of(",
        "above_of(",
        "the budget covers an operation from the call on that names its parent",
    ),
    Mutant(
        "operation below another one counts in its own budget alone",
        _COVER,
        "_standing",
        "if above is not None:",
        "if above is not None and own is None:",
        "one below may have a budget of its own: then both have to allow",
    ),
    Mutant(
        "budget of an operation covers accounts beside its own",
        _COVER,
        "_standing",
        "if each.account in line and not is_idle(each, now)",
        "if not is_idle(each, now)",
        "the budget is of an account and of those below it",
    ),
    Mutant(
        "idle budget of an operation goes on",
        _OPERATIONS,
        "is_idle",
        "return not budget.held and operation.seen_at + operation.idle <= now",
        "return False",
        "a budget ends once nothing has counted in it",
    ),
    Mutant(
        "budget of an operation ends while a hold pends",
        _OPERATIONS,
        "is_idle",
        "return not budget.held and",
        "return",
        "a budget ends once no hold pends in it",
    ),
    Mutant(
        "operation joins another budget by a later call",
        _OPERATIONS,
        "to_join",
        "if above is not None and not all(is_idle(each, now) for each in line_of(above)):",
        "if False:",
        "an operation that has joined stays where it is",
    ),
    Mutant(
        "operation stays below a budget that has ended",
        _OPERATIONS,
        "to_join",
        "not all(is_idle(each, now) for each in line_of(above))",
        "above.operation",
        "what stood below a budget that has ended joins where its parent is",
    ),
    Mutant(
        "reversal lowers what covers the operation since",
        _OPERATIONS,
        "counted_in",
        "(budget.created_by if own else of.below[digest])",
        "(budget.created_by if own else 0)",
        "a reversal lowers what had counted it",
    ),
    Mutant(
        "reversal lowers no budget above the operation's own",
        _OPERATIONS,
        "counted_in",
        "digest, budget = of.root, of.above",
        "break",
        "a reversal lowers what had counted it",
    ),
    Mutant(
        "reversal lowers budgets that are not for such usage",
        _COUNTS,
        "_applying",
        "            if not budget.applies(use):\n                continue\n        found",
        "        found",
        "a reversal lowers what had counted it",
    ),
    Mutant(
        "denial says nothing of its operation",
        "ledger.core.decisions.authorizing",
        "deny",
        "    if operation:\n",
        "    if False:\n",
        "what a denied call says of its operation is known",
    ),
    Mutant(
        "threshold of an operation's budget told again",
        "ledger.core.evolve.budgets",
        "budget_crossed",
        "budget.crossed[event.threshold] = event.until",
        "pass",
        "a threshold is told once",
    ),
    Mutant(
        "new limit begins the count anew",
        _EVOLVE,
        "operation_budget_set",
        "budget.change(event.terms, event.version)",
        "budget.change(event.terms, event.version); budget.counter = type(budget.counter)()",
        "another limit keeps what was counted",
    ),
    Mutant(
        "idle budget given another limit",
        _BUDGETS,
        "decide_set_operation_budget",
        "if budget is not None and is_idle(budget, now):",
        "if False:",
        "a new budget begins at nothing",
    ),
    Mutant(
        "capture under another operation taken",
        "ledger.core.decisions.capturing",
        "decide_capture",
        "if command.operation and command.operation[:KEY_BYTES] != operation[:KEY_BYTES]:",
        "if False:",
        "a hold keeps its operation",
    ),
    Mutant(
        "capture that names its operation conflicts with itself",
        "ledger.core.repeats",
        "first_difference",
        "command.operation[:KEY_BYTES] != recorded.operation[:KEY_BYTES]",
        "command.operation != recorded.operation",
        "rule I1",
    ),
)
