"""Deciding budgets of operations: set, or ended where nothing counts any more (rule H4).

They are budgets with a number and a counter as any, but of one operation: its calls and those of
operations below it, for as long as any come. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import open_account
from ledger.core.budgets.budgeting import fixed_field, invalid_budget
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import idle_ones, is_idle, no_room, own_budget
from ledger.core.commands import SetOperationBudget
from ledger.core.events import (
    BudgetTerms,
    Event,
    OperationBudgetEnded,
    OperationBudgetSet,
    WindowKind,
)
from ledger.core.family import Family
from ledger.core.limits import (
    OPERATION_BUDGETS_MAX,
    OPERATION_IDLE_DEFAULT_US,
    OPERATION_IDLE_MAX_US,
    OPERATIONS_KNOWN_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


def decide_set_operation_budget(
    state: State, command: SetOperationBudget, out: list[Event]
) -> Event | Known | Refusal:
    """Give an operation a budget, or the one that it has another limit: its counter goes on. One
    that stands idle has ended, and another begins at nothing."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    family = state.families[account.root]
    now = state.now
    known = family.operations.get(command.operation)
    budget = own_budget(family, command.operation)
    if budget is not None and is_idle(budget, now):
        budget, known = None, None
    version = budget.version if budget is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the budget is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = _invalid(state, account, command) or _not_changed(account, budget, command)
    if refusal is not None:
        return refusal
    ended = idle_ones(family, command.operation, now)
    if budget is None:
        refusal = no_room_for(family, len(ended), known is not None)
        if refusal is not None:
            return refusal
    for each in ended:
        out.append(OperationBudgetEnded(each.account.number, each.number, _root_of(each)))
    made = OperationBudgetSet(
        command.key,
        account.number,
        budget.number if budget is not None else state.next_budget,
        command.operation,
        command.terms,
        command.idle or OPERATION_IDLE_DEFAULT_US,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def _root_of(budget: Budget) -> bytes:
    assert budget.operation is not None
    return budget.operation.root


def _invalid(state: State, account: Account, command: SetOperationBudget) -> Refusal | None:
    return terms_invalid(state, account, command.terms, command.idle)


def terms_invalid(state: State, account: Account, terms: BudgetTerms, idle: int) -> Refusal | None:
    """Why no operation may have such a budget, if none may."""
    if terms.window.kind != WindowKind.LIFETIME:
        return Refusal(
            Reason.BUDGET_INVALID,
            "budget.window",
            terms.window.kind.name,
            "the budget of an operation has one window, its lifetime; leave the window out",
        )
    if not 0 <= idle <= OPERATION_IDLE_MAX_US:
        return Refusal(
            Reason.BUDGET_INVALID,
            "idle_us",
            str(idle),
            f"a budget stands idle for up to {OPERATION_IDLE_MAX_US} us; 0 = a day",
        )
    return invalid_budget(state, account, terms, None)


def _not_changed(
    account: Account, budget: Budget | None, command: SetOperationBudget
) -> Refusal | None:
    """Why the budget that the operation has may not be changed so."""
    if budget is None:
        return None
    field = "account" if budget.account is not account else ""
    field = field or fixed_field(budget, command.terms, None)
    if not field:
        return None
    return Refusal(
        Reason.BUDGET_FIXED,
        field if field == "account" else f"budget.{field}",
        str(budget.account.number) if field == "account" else str(getattr(budget.terms, field)),
        "only limit, hardness, thresholds and idle time of an operation's budget change, at the "
        "account that set it; what it counts stays what it is",
    )


def no_room_for(family: Family, ended: int, known: bool) -> Refusal | None:
    """Why an operation may not have a budget, too."""
    most = no_room(family, ended, known)
    if not most:
        return None
    return Refusal(
        Reason.OPERATIONS_LIMIT,
        "operation",
        str(most),
        f"at most {OPERATION_BUDGETS_MAX} operations of a family have a budget at a time, and "
        f"{OPERATIONS_KNOWN_MAX} with those below them are known; let budgets end sooner",
    )
