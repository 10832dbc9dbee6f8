"""Deciding budgets: set, removed, and asked before work goes ahead (rules H4, H5).

All budgets that apply must allow: those of the account, then of each above it, in the order in
which they were set. Only hard ones refuse, and only what is authorised: recorded usage has
happened, counts, and may exceed. What entries count is said in `budget_counts`. Reads state,
changes nothing.
"""

from __future__ import annotations

from typing import Final

from ledger.core.admission import known_account, open_account
from ledger.core.budget_faults import OF_AN_ASSET, terms_fault
from ledger.core.budgets import Budget
from ledger.core.catalog import Bound
from ledger.core.commands import RemoveBudget, SetBudget
from ledger.core.costs import cost_of
from ledger.core.events import (
    BudgetMeasure,
    BudgetRemoved,
    BudgetSet,
    BudgetTerms,
    Event,
    GrantKind,
    Slice,
)
from ledger.core.limits import BUDGETS_A_LINE_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from ledger.core.windows import showing

_CHANGEABLE: Final = ("limit", "hard", "thresholds")


class Exceeded:
    """The first budget that does not allow: what is left of it, and when it resets (0 = never)."""

    __slots__ = ("budget", "left", "resets_at")

    def __init__(self, budget: Budget, left: int, resets_at: int) -> None:
        self.budget = budget
        self.left = left
        self.resets_at = resets_at


# -- set and removed -------------------------------------------------------------------------------


def decide_set_budget(
    state: State, command: SetBudget, out: list[Event]
) -> Event | Known | Refusal:
    """Give the account a budget, or one that it has another limit: its counter goes on, and holds
    that were granted stay (rule H4)."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    budget = budget_of(account, command.name)
    version = budget.version if budget is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the budget is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = invalid_budget(state, account, command.terms)
    if refusal is None:
        refusal = _no_room(state, account) if budget is None else _fixed(budget, command.terms)
    if refusal is not None:
        return refusal
    number = budget.number if budget is not None else state.next_budget
    made = BudgetSet(
        command.key,
        account.number,
        number,
        command.name,
        command.terms,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def decide_remove_budget(
    state: State, command: RemoveBudget, out: list[Event]
) -> Event | Known | Refusal:
    """Count and refuse by it no more."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    budget = budget_of(account, command.name)
    if budget is None:
        return Refusal(
            Reason.BUDGET_UNKNOWN, "name", command.name, "the account has no budget of that name"
        )
    removed = BudgetRemoved(command.key, account.number, budget.number, command.name, command.trace)
    out.append(removed)
    return removed


def budget_of(account: Account, name: str) -> Budget | None:
    """The account's own budget of that name."""
    for budget in account.budgets:
        if budget.name == name:
            return budget
    return None


def invalid_budget(state: State, account: Account, terms: BudgetTerms) -> Refusal | None:
    """The first thing that is wrong with the terms of a budget of the account."""
    if terms.measure in OF_AN_ASSET:
        asset = state.catalog.assets.get(terms.asset)
        if asset is None or asset.tenant != account.tenant:
            message = "the tenant has no such asset"
            return Refusal(Reason.ASSET_UNKNOWN, "budget.asset", str(terms.asset), message)
        if terms.measure == BudgetMeasure.COST and asset.kind != "money":
            message = "what providers take is money"
            return Refusal(Reason.ASSET_KIND_INVALID, "budget.asset", str(terms.asset), message)
    fault = terms_fault(terms)
    if fault is None:
        return None
    return Refusal(Reason.BUDGET_INVALID, f"budget.{fault.field}", fault.value, fault.message)


def _fixed(budget: Budget, terms: BudgetTerms) -> Refusal | None:
    """What a budget counts, and in which windows, is what its counter is of."""
    field = fixed_field(budget.terms, terms)
    if not field:
        return None
    return Refusal(
        Reason.BUDGET_FIXED,
        f"budget.{field}",
        budget.name,
        "only limit, hardness and thresholds of a budget change; remove it, or set another by "
        "another name",
    )


def fixed_field(before: BudgetTerms, after: BudgetTerms) -> str:
    """The first field in which they differ that never changes; "" = none."""
    for field in BudgetTerms.__struct_fields__:
        if field not in _CHANGEABLE and getattr(after, field) != getattr(before, field):
            return field
    return ""


def _no_room(state: State, account: Account) -> Refusal | None:
    """Whether an account of the subtree would have more budgets that apply to it than it may."""
    most = most_applying(state, account)
    return _too_many(most) if most >= BUDGETS_A_LINE_MAX else None


def most_applying(state: State, account: Account) -> int:
    """How many budgets apply to the account, or to one below it, where they are the most."""
    most = _on_line(account)
    for number in sorted({each.account.number for each in _below(state, account)}):
        most = max(most, _on_line(state.accounts[number]))
    return most


def _too_many(most: int) -> Refusal:
    return Refusal(
        Reason.BUDGETS_LIMIT,
        "account",
        str(most),
        f"at most {BUDGETS_A_LINE_MAX} budgets apply to an account: its own, and those of the "
        "accounts above it; remove some",
    )


def _below(state: State, account: Account) -> list[Budget]:
    """Budgets of the family's accounts that stand below this one."""
    found: list[Budget] = []
    if not account.children:
        return found
    for budget in state.families[account.root].budgets.values():
        above = budget.account.parent
        while above is not None and above is not account:
            above = above.parent
        if above is account:
            found.append(budget)
    return found


def refuse_moved_budgets(state: State, account: Account, parent: Account) -> Refusal | None:
    """Whether more budgets than may be would apply, to the account or below, under that parent."""
    most = len(account.budgets)
    for budget in _below(state, account):
        most = max(most, _on_line(budget.account) - _on_line(account) + len(account.budgets))
    most += _on_line(parent)
    return _too_many(most) if most > BUDGETS_A_LINE_MAX else None


def _on_line(account: Account) -> int:
    count = 0
    each: Account | None = account
    while each is not None:
        count += len(each.budgets)
        each = each.parent
    return count


# -- asked -----------------------------------------------------------------------------------------


def first_exceeded(
    state: State,
    account: Account,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    charge: int,
    slices: tuple[Slice, ...],
    now: int,
) -> Exceeded | None:
    """The first hard budget that does not allow work of that estimate now; None = all do."""
    node: Account | None = account
    while node is not None:
        for budget in node.budgets:
            terms = budget.terms
            if not terms.hard or not budget.applies(bound.use):
                continue
            amount = estimate_of(
                state, account, terms, bound, shape, quantities, charge, slices, now
            )
            if amount <= 0:
                continue
            posted, pending = budget.counter.within(terms.window, now)
            left = terms.limit - posted - pending
            if amount > left:
                _, resets_at = showing(
                    terms.window, budget.counter, now, node.anchors, node.calendar
                )
                return Exceeded(budget, max(0, left), resets_at)
        node = node.parent
    return None


def estimate_of(
    state: State,
    account: Account,
    terms: BudgetTerms,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    charge: int,
    slices: tuple[Slice, ...],
    at: int,
) -> int:
    """What a hold counts in a budget of these terms until it settles: its estimate."""
    measure = terms.measure
    if measure == BudgetMeasure.REQUESTS:
        return 1
    if measure == BudgetMeasure.QUANTITY:
        return quantity_of(terms.quantity, shape.quantity_names, quantities)
    if measure == BudgetMeasure.COST:
        cost = cost_of(state, account, bound, shape, quantities, at)
        if cost is None or isinstance(cost, Refusal) or cost.bound.asset != terms.asset:
            return 0
        return cost.total
    if bound.asset != terms.asset:
        return 0
    if measure == BudgetMeasure.NET_CHARGE:
        return net_of(state, slices)
    return charge


def quantity_of(name: str, names: tuple[str, ...], quantities: tuple[int, ...]) -> int:
    """The quantity of that name; 0 where there is none."""
    return quantities[names.index(name)] if name in names and quantities else 0


def net_of(state: State, slices: tuple[Slice, ...]) -> int:
    """What of the slices promotional grants do not pay."""
    return sum([piece.amount for piece in slices if not is_promotional(state, piece.book)])


def is_promotional(state: State, number: int) -> bool:
    """Whether a book is that of a promotional grant."""
    book = state.books.accounts.get(number)
    grant = book.grant if book is not None else None
    return grant is not None and grant.kind == GrantKind.PROMOTIONAL
