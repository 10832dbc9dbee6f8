"""Deciding budgets: set, removed, and asked before work goes ahead (rules H4, H5).

All budgets that apply must allow: those of the account, then of each above it, in the order in
which they were set. Only hard ones refuse, and only what is authorised: recorded usage has
happened, counts, and may exceed. What entries count is said in `budget_counts`. Reads state,
changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.admission import known_account, open_account
from ledger.core.budgets.budget_faults import OF_AN_ASSET, terms_fault, values_fault
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_cover import covering
from ledger.core.catalog import Bound
from ledger.core.commands import RemoveBudget, SetBudget
from ledger.core.events import (
    MANDATE_BUDGET,
    BudgetMeasure,
    BudgetRemoved,
    BudgetSet,
    BudgetTerms,
    BudgetValues,
    Event,
    GrantKind,
    GroupedBudgetSet,
    Slice,
    WindowKind,
)
from ledger.core.limits import BUDGETS_A_LINE_MAX, INT64_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.costs import cost_of
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State
from ledger.core.windows import Counter, Span, showing

_CHANGEABLE: Final = ("limit", "hard", "thresholds")


class Exceeded:
    """The first budget that does not allow: what is left of it, and when it resets (0 = never).

    `value`: that of which there is too little, where the budget counts each by itself; `shared`: it
    counts with others.
    """

    __slots__ = ("budget", "left", "resets_at", "shared", "value")

    def __init__(
        self,
        budget: Budget,
        left: int,
        resets_at: int,
        value: tuple[str, ...] = (),
        shared: bool = False,
    ) -> None:
        self.budget = budget
        self.left = left
        self.resets_at = resets_at
        self.value = value
        self.shared = shared


# -- set and removed -------------------------------------------------------------------------------


def decide_set_budget(
    state: State, command: SetBudget, out: list[Event]
) -> Event | Known | Refusal:
    """Give the account a budget, or one that it has another limit: its counter goes on, and holds
    that were granted stay (rule H4)."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = _of_mandate(account, command.name)
    if refusal is not None:
        return refusal
    budget = budget_of(account, command.name)
    version = budget.version if budget is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the budget is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = invalid_budget(state, account, command.terms, command.values)
    if refusal is None:
        fixed = budget is not None and _fixed(budget, command.terms, command.values)
        refusal = fixed or None if budget is not None else _no_room(state, account)
    if refusal is not None:
        return refusal
    number = budget.number if budget is not None else state.next_budget
    made = budget_set(
        command.key,
        account.number,
        number,
        command.name,
        command.terms,
        version + 1,
        command.expected_version,
        command.trace,
        command.values,
    )
    out.append(made)
    return made


def budget_set(
    key: bytes,
    account: int,
    number: int,
    name: str,
    terms: BudgetTerms,
    version: int,
    expected_version: int = 0,
    trace: bytes = b"",
    values: BudgetValues | None = None,
) -> BudgetSet:
    """The entry of a budget, by whether it counts values by themselves."""
    if values is None:
        return BudgetSet(key, account, number, name, terms, version, expected_version, trace)
    return GroupedBudgetSet(
        key, account, number, name, terms, version, expected_version, trace, values
    )


def decide_remove_budget(
    state: State, command: RemoveBudget, out: list[Event]
) -> Event | Known | Refusal:
    """Count and refuse by it no more."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    budget = budget_of(account, command.name)
    refusal = _of_mandate(account, command.name)
    if refusal is not None:
        return refusal
    if budget is None:
        return Refusal(
            Reason.BUDGET_UNKNOWN, "name", command.name, "the account has no budget of that name"
        )
    removed = BudgetRemoved(command.key, account.number, budget.number, command.name, command.trace)
    out.append(removed)
    return removed


def is_mandates(budget: Budget) -> bool:
    """Whether it is what an agent may spend by its mandate."""
    return budget.account.mandate is not None and budget.name == MANDATE_BUDGET


def _of_mandate(account: Account, name: str) -> Refusal | None:
    """Why a budget is not for others to change: it is what a mandate says."""
    if account.mandate is None or name != MANDATE_BUDGET:
        return None
    return Refusal(
        Reason.BUDGET_FIXED,
        "budget.name",
        name,
        "the budget is the account's mandate, which never changes: revoke that and grant another",
    )


def budget_of(account: Account, name: str) -> Budget | None:
    """The account's own budget of that name."""
    for budget in account.budgets:
        if budget.name == name:
            return budget
    return None


def invalid_budget(
    state: State, account: Account, terms: BudgetTerms, values: BudgetValues | None
) -> Refusal | None:
    """The first thing that is wrong with the terms of a budget of the account."""
    if terms.measure in OF_AN_ASSET:
        asset = state.catalog.assets.get(terms.asset)
        if asset is None or asset.tenant != account.tenant:
            message = "the tenant has no such asset; create it first"
            return Refusal(Reason.ASSET_UNKNOWN, "budget.asset", str(terms.asset), message)
        if terms.measure == BudgetMeasure.COST and asset.kind != "money":
            message = "what providers take is money"
            return Refusal(Reason.ASSET_KIND_INVALID, "budget.asset", str(terms.asset), message)
    fault = terms_fault(terms)
    if fault is None and values is not None:
        fault = values_fault(values)
    if fault is None:
        return None
    return Refusal(Reason.BUDGET_INVALID, f"budget.{fault.field}", fault.value, fault.message)


def _fixed(budget: Budget, terms: BudgetTerms, values: BudgetValues | None) -> Refusal | None:
    """What a budget counts, and in which windows, is what its counter is of."""
    field = fixed_field(budget, terms, values)
    if not field:
        return None
    return Refusal(
        Reason.BUDGET_FIXED,
        f"budget.{field}",
        budget.name,
        "only limits, hardness, thresholds and the number of values of a budget change; remove it, "
        "or set another by another name",
    )


def fixed_field(budget: Budget, terms: BudgetTerms, values: BudgetValues | None) -> str:
    """The first field in which such terms are others and that never changes; "" = none."""
    for field in BudgetTerms.__struct_fields__:
        if field not in _CHANGEABLE and getattr(terms, field) != getattr(budget.terms, field):
            return field
    said = budget.said_values()
    before = said.group_by if said is not None else ()
    return "group_by" if before != (values.group_by if values is not None else ()) else ""


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
        if budget.of is not None or budget.operation is not None:
            continue
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
    operation: bytes = b"",
    drawn: Drawn | None = None,
) -> Exceeded | None:
    """The first hard budget that does not allow work of that estimate now, those of the account's
    line before those of its operation; None = all do. `drawn`: what a hold of its operation pays
    of it, which pends already in some of them."""
    node: Account | None = account
    while node is not None:
        for budget in node.budgets:
            terms = budget.terms
            if not terms.hard or not budget.applies(bound.use):
                continue
            amount = estimate_of(
                state, account, terms, bound, shape, quantities, charge, slices, now
            )
            if drawn is not None:
                amount -= pending_of(state, budget, drawn, amount, now)
            if amount <= 0:
                continue
            if budget.values is not None:
                exceeded = _value_exceeded(budget, bound, amount, now)
                if exceeded is not None:
                    return exceeded
                continue
            posted, pending = budget.counter.within(terms.window, now)
            left = terms.limit - posted - pending
            if drawn is not None:
                left = min(left, left_then(budget, drawn.hold, now))
            if amount > left:
                _, resets_at = showing(
                    terms.window, budget.counter, now, node.anchors, node.calendar
                )
                return Exceeded(budget, max(0, left), resets_at)
        node = node.parent
    for budget in covering(state, account, operation, now):
        terms = budget.terms
        if not terms.hard or not budget.applies(bound.use):
            continue
        amount = estimate_of(state, account, terms, bound, shape, quantities, charge, slices, now)
        if drawn is not None:
            amount -= pending_of(state, budget, drawn, amount, now)
        left = terms.limit - sum(budget.counter.within(terms.window, now))
        if amount > 0 and amount > left:
            return Exceeded(budget, max(0, left), 0)
    return None


class Drawn(NamedTuple):
    """What work draws of a hold of its operation: the units of each of its slices."""

    hold: Hold
    taken: tuple[int, ...]


def taken_by(state: State, budget: Budget, hold: Hold, taken: tuple[int, ...]) -> int:
    """What units drawn of a hold of an operation were in a budget in which it pends."""
    if budget.measure == BudgetMeasure.CHARGE:
        return sum(taken)
    pieces = zip(hold.slices, taken, strict=False)
    return sum([units for piece, units in pieces if not is_promotional(state, piece.book)])


def pending_of(state: State, budget: Budget, drawn: Drawn, amount: int, now: int) -> int:
    """The part of an amount that pends in the budget already, by the hold that it is drawn of."""
    pends = budget.held.get(drawn.hold.number)
    if pends is None:
        return 0
    units = min(pends[1], taken_by(state, budget, drawn.hold, drawn.taken))
    if amount > units and not counts_on(budget, pends[0], now):
        return 0
    return min(units, amount)


def counts_on(budget: Budget, span: Span, now: int) -> bool:
    """Whether the window in which a hold of an operation pends is kept, so that what its calls draw
    beyond it counts and is refused there. Else it would count in no window: such a call counts as
    a whole in the present one, and has to fit there (rule H5)."""
    window = budget.terms.window
    if window.kind == WindowKind.SLIDING:
        return span[1] > now - window.length
    return span[1] > now or any(cell.since == span[0] < span[1] for cell in budget.counter.cells)


def left_then(budget: Budget, hold: Hold, now: int) -> int:
    """What is left of the window in which a hold pends: what is drawn of it counts there, also
    where that is over by now and still kept."""
    pends = budget.held.get(hold.number)
    if pends is None or pends[0][1] == 0 or pends[0][1] > now:
        return INT64_MAX
    cell = budget.counter.cell(pends[0][0])
    return budget.terms.limit - cell.posted - cell.pending if cell is not None else INT64_MAX


def first_not_reserving(
    state: State,
    account: Account,
    asset: int,
    amount: int,
    slices: tuple[Slice, ...],
    now: int,
    operation: bytes,
) -> Exceeded | None:
    """The first hard budget that does not allow a hold of so many units for an operation with all
    its calls; None = all do. Those that count something else are asked for each call."""
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state, account, operation, now))
    for budget in budgets:
        terms = budget.terms
        if not terms.hard or not budget.reserves(asset):
            continue
        units = amount if budget.measure == BudgetMeasure.CHARGE else net_of(state, slices)
        left = terms.limit - sum(budget.counter.within(terms.window, now))
        if 0 < units > left:
            owner = budget.account
            _, resets_at = showing(terms.window, budget.counter, now, owner.anchors, owner.calendar)
            return Exceeded(budget, max(0, left), 0 if budget.operation else resets_at)
    return None


class Counted(NamedTuple):
    """What a budget says of some work: the limit and the counter, of the value where it counts each
    by itself; `shared`: it counts with others."""

    limit: int
    counter: Counter
    value: tuple[str, ...] = ()
    shared: bool = False


def counted_of(budget: Budget, bound: Bound, now: int) -> Counted:
    """The counter of a budget that work counts in; a value without one has used nothing."""
    values = budget.values
    if values is None:
        return Counted(budget.terms.limit, budget.counter)
    value = bound.use.value_of(values.said.group_by)
    counted = values.counter_of(value, now)
    shared = counted is not None and counted is values.others
    counter = counted.counter if counted is not None else Counter()
    return Counted(values.limit_of(value, shared), counter, value, shared)


def _value_exceeded(budget: Budget, bound: Bound, amount: int, now: int) -> Exceeded | None:
    """The same of the value that the work is of."""
    of = counted_of(budget, bound, now)
    window, account = budget.terms.window, budget.account
    left = of.limit - sum(of.counter.within(window, now))
    if amount <= left:
        return None
    _, resets_at = showing(window, of.counter, now, account.anchors, account.calendar)
    return Exceeded(budget, max(0, left), resets_at, of.value, of.shared)


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
