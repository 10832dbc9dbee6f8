"""Operations: one budget each, joined by what calls say, kept while anything counts (rule H4)."""

from __future__ import annotations

from ledger.core.events import (
    RESERVED_QUANTITY,
    BudgetTerms,
    HoldDebitDenied,
    HoldDebited,
    OperationBudgetBegun,
    OperationBudgetEnded,
    OperationBudgetSet,
    OperationHeld,
    OperationJoined,
    OperationPartHeld,
    OperationPolicySet,
    OperationReserved,
    PackageOperationsSet,
    SizedOperationHeld,
    WindowKind,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import (
    BUDGET_THRESHOLDS_MAX,
    INT64_MAX,
    OPERATION_BUDGETS_MAX,
    OPERATION_IDLE_MAX_US,
    OPERATIONS_KNOWN_MAX,
)
from ledger.core.state import State
from ledger.verify.rules.decision_policies import look_at_denial, look_at_ruling
from ledger.verify.rules.decisions import hold_up_to, policy_held, work_denied
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.operation_cover import (
    ended,
    giving,
    joined,
    joined_by,
    own_budget,
    policy_of,
    to_begin,
    up_from,
)
from ledger.verify.rules.operation_parts import look_at_part
from ledger.verify.rules.sizes import hold_sized
from ledger.verify.rules.usage import look_at_taken, usage_debited

_FIXED = ("measure", "asset", "quantity", "products", "tags", "attributes")


def operation_budget_set(judge: Judge, state: State, event: OperationBudgetSet) -> None:
    account = state.accounts[event.account]
    family = state.families[account.root]
    terms = event.terms
    judge.equal(state, "closed", 0, account.closed_at)
    budget = own_budget(family, event.operation)
    if budget is not None:
        judge.equal(state, "number of the budget", budget.number, event.budget)
        judge.equal(state, "version of the budget", budget.version + 1, event.version)
        judge.equal(state, "account of the budget", budget.account.number, event.account)
        if ended(budget, state.now):
            judge.wrong(state, "budget of an operation", "one that has not ended", event.budget)
        for field in _FIXED:
            expected, found = getattr(budget.terms, field), getattr(terms, field)
            judge.equal(state, f"{field} of the budget", expected, found)
    else:
        judge.equal(state, "number of the budget", state.next_budget, event.budget)
        judge.equal(state, "version of the budget", 1, event.version)
        if len(family.operation_budgets) >= OPERATION_BUDGETS_MAX:
            judge.wrong(state, "operations with a budget", OPERATION_BUDGETS_MAX, "more")
    judge.equal(state, "length of an operation", KEY_BYTES, len(event.operation))
    _look_at_terms(judge, state, terms, event.idle)


def _look_at_terms(judge: Judge, state: State, terms: BudgetTerms, idle: int) -> None:
    judge.equal(state, "window of an operation", WindowKind.LIFETIME, terms.window.kind)
    if not 0 < idle <= OPERATION_IDLE_MAX_US:
        judge.wrong(state, "idle time of an operation", f"1 to {OPERATION_IDLE_MAX_US}", idle)
    if not 0 <= terms.limit <= INT64_MAX:
        judge.wrong(state, "limit of the budget", f"0 to {INT64_MAX}", terms.limit)
    rising = sorted(set(terms.thresholds))
    if list(terms.thresholds) != rising or len(rising) > BUDGET_THRESHOLDS_MAX:
        judge.wrong(state, "thresholds of the budget", rising, terms.thresholds)


def operation_policy_set(judge: Judge, state: State, event: OperationPolicySet) -> None:
    account = state.accounts[event.account]
    judge.equal(state, "closed", 0, account.closed_at)
    before = account.operation_policy
    version = before.version if before is not None else 0
    judge.equal(state, "version of the policy of operations", version + 1, event.version)
    if event.expected_version:
        judge.equal(state, "expected version", version, event.expected_version)
    if event.terms is not None:
        _look_at_terms(judge, state, event.terms, event.idle)


def package_operations_set(judge: Judge, state: State, event: PackageOperationsSet) -> None:
    """Another policy than stands already, of terms that an operation may have."""
    stands = state.accounts[event.account].packaged_operations
    right = None
    if stands is not None:
        right = (stands.package, stands.version, stands.terms, stands.idle)
    said = (event.package, event.version, event.terms, event.idle)
    if right == said or (stands is None and event.terms is None):
        judge.wrong(state, "policy of operations of the package", "another", "the same")
    if event.terms is not None:
        _look_at_terms(judge, state, event.terms, event.idle)


def operation_budget_begun(judge: Judge, state: State, event: OperationBudgetBegun) -> None:
    """The entry that it is of names an operation that nothing covers, of an account that has the
    policy, or of one below it."""
    owner = state.accounts[event.account]
    family = state.families[owner.root]
    number, named = judge.named.get(event.entry, (event.account, b""))
    account = state.accounts[number]
    root = to_begin(state, account, named)
    judge.equal(state, "operation that gets a budget by a policy", root, event.operation)
    judge.equal(state, "number of the budget", state.next_budget, event.budget)
    by = giving(account)
    policy = policy_of(by) if by is not None else None
    said = by.number if by is not None else 0
    judge.equal(state, "account of the policy of operations", said, event.account)
    if policy is not None:
        right = (policy.terms, policy.idle, policy.version)
        judge.equal(state, "policy of operations", right, (event.terms, event.idle, event.policy))
    if len(family.operation_budgets) >= OPERATION_BUDGETS_MAX:
        judge.wrong(state, "operations with a budget", OPERATION_BUDGETS_MAX, "more")


def operation_joined(judge: Judge, state: State, event: OperationJoined) -> None:
    """The entry that it is of names the operation, and a parent that the budget covers."""
    family = state.families[state.accounts[event.account].root]
    account, named = judge.named.get(event.entry, (0, b""))
    of_call = (account, named[:KEY_BYTES])
    judge.equal(state, "call of an operation", (event.account, event.operation), of_call)
    stands = [
        each.number
        for each in up_from(joined(family, event.operation))
        if not ended(each, state.now)
    ]
    if stands:
        judge.wrong(state, "operation that joins", "one that no budget above covers", stands[0])
    else:
        budget = joined_by(state, state.accounts[event.account], named)
        number = budget.number if budget is not None else 0
        judge.equal(state, "budget that covers the parent", number, event.budget)
    known = event.operation in family.operations
    if not known and len(family.operations) >= OPERATIONS_KNOWN_MAX:
        judge.wrong(state, "operations that are known", OPERATIONS_KNOWN_MAX, "more")


def operation_budget_ended(judge: Judge, state: State, event: OperationBudgetEnded) -> None:
    """Nothing pends in it, and it stood idle for as long as was said."""
    family = state.families[state.accounts[event.account].root]
    budget = family.budgets[event.budget]
    assert budget.operation is not None
    of = (budget.account.number, budget.operation.root)
    judge.equal(state, "budget of an operation", of, (event.account, event.operation))
    if not ended(budget, state.now):
        judge.wrong(state, "budget of an operation", "one that stands idle", event.budget)


def operation_held(judge: Judge, state: State, event: OperationHeld) -> None:
    """A hold of an operation, which a policy may have had a say in."""
    if event.ruling is not None:
        policy_held(judge, state, event)
    else:
        hold_up_to(judge, state, event)
    _look_at(judge, state, event.operation)


def operation_reserved(judge: Judge, state: State, event: OperationReserved) -> None:
    """A hold for all calls of an operation: of no product, for the units that were asked for."""
    hold_up_to(judge, state, event)
    _look_at(judge, state, event.operation)
    plan = state.declared[event.plan]
    of_nothing = ("", (), (RESERVED_QUANTITY,))
    judge.equal(state, "work", of_nothing, (plan.product, plan.attributes, plan.quantity_names))
    held = sum([piece.amount for piece in event.slices])
    judge.equal(state, "units held for an operation", event.quantities, (held,))
    judge.equal(state, "ruling of a hold of an operation", None, event.ruling)
    for piece in event.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and grant.limited:
            what = f"grant {grant.number} that is held for an operation"
            judge.wrong(state, what, "one for any product", "one for some")


def operation_part_held(judge: Judge, state: State, event: OperationPartHeld) -> None:
    """A hold of one call, of which its operation's gives first."""
    operation_held(judge, state, event)
    look_at_part(judge, state, event)


def hold_debited(judge: Judge, state: State, event: HoldDebited) -> None:
    """Work within every limit that a hold of an operation pays first."""
    usage_debited(judge, state, event)
    look_at_taken(judge, state, event)
    if event.ruling is not None:
        look_at_ruling(judge, state, event)
    hold = state.holds.get(event.hold)
    if hold is not None and hold.drawn is None:
        judge.wrong(state, f"hold {hold.number}", "one of an operation", "one of its own work")


def hold_debit_denied(judge: Judge, state: State, event: HoldDebitDenied) -> None:
    """The same, denied: what pays is the hold, too."""
    work_denied(judge, state, event)
    if event.ruling is not None:
        look_at_denial(judge, state, event)
    hold = state.holds.get(event.hold)
    if hold is None or hold.drawn is None or hold.account.number != event.account:
        judge.wrong(state, f"hold {event.hold}", "an open one of an operation", "another")


def sized_operation_held(judge: Judge, state: State, event: SizedOperationHeld) -> None:
    """The same for what is learned."""
    hold_sized(judge, state, event)
    _look_at(judge, state, event.operation)


def _look_at(judge: Judge, state: State, operation: bytes) -> None:
    if len(operation) not in (KEY_BYTES, 2 * KEY_BYTES):
        judge.wrong(state, "operation", "a digest, and one of its parent", operation)
