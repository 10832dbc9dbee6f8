"""Budgets: each entry counts once, what it says, and none hard is exceeded by a hold (H4, H5)."""

from __future__ import annotations

from typing import TypeAlias

from ledger.core.budgets.budget_faults import values_fault
from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    MANDATE_BUDGET,
    AccountClosedOut,
    AuthorizeDenied,
    BudgetCrossed,
    BudgetDenied,
    BudgetMeasure,
    BudgetMove,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetTerms,
    Event,
    GrantKind,
    GroupedBudgetSet,
    HoldAuthorized,
    HoldDebitDenied,
    HoldDebited,
    HoldExpired,
    HoldRefilled,
    HoldReleased,
    LeaseGranted,
    LeaseRenewed,
    Limit,
    LimitKind,
    MandateGranted,
    OperationPartHeld,
    OutcomeRejected,
    OutcomeReported,
    PackageChanged,
    PackagePeriodBegun,
    PlanDeclared,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    SuspenseRated,
    UsageCaptured,
    UsageDebited,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
    WindowKind,
    WindowUnit,
)
from ledger.core.limits import (
    BUDGET_THRESHOLDS_MAX,
    DAY_US,
    INT64_MAX,
    MONTH_MAX_US,
)
from ledger.core.state import Account, State
from ledger.core.windows import window_fault
from ledger.verify.rules.budget_values import (
    counter_at,
    counter_now,
    counts_nowhere,
    looked_at_limit,
    shared_by,
    value_of,
)
from ledger.verify.rules.holds import authorize_denied
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.leases import escrow_counted
from ledger.verify.rules.operation_cover import (
    covering_now,
    giving,
    has_room,
    policy_of,
    to_begin,
)
from ledger.verify.rules.operation_parts import passed_on, passed_to

Moving: TypeAlias = (
    UsageRecorded
    | UsageReversed
    | UsageRerated
    | HoldAuthorized
    | HoldRefilled
    | HoldReleased
    | HoldExpired
    | OutcomeRejected
    | LeaseRenewed
    | AccountClosedOut
)
OF_PACKAGES = (
    Subscribed,
    PackageChanged,
    PackagePeriodBegun,
    SubscriptionCancelled,
    SubscriptionEnded,
)
_LONGEST = {
    WindowUnit.DAY: 2 * DAY_US,
    WindowUnit.WEEK: 9 * DAY_US,
    WindowUnit.MONTH: MONTH_MAX_US,
    WindowUnit.QUARTER: 94 * DAY_US,
    WindowUnit.YEAR: 368 * DAY_US,
    0: 2 * MONTH_MAX_US,  # a billing period in whose course another zone or anchor counts
}
"""Longer than any, by more than clocks are turned."""
_REASONS = {
    LimitKind.MANDATE: "MANDATE_EXCEEDED",
    LimitKind.OPERATION: "OPERATION_BUDGET_EXCEEDED",
}
_BEGUN = 0
"""In the stead of the number of a budget that a policy gives by the entry that is looked at."""
_FIXED = ("measure", "asset", "quantity", "window", "products", "tags", "attributes")


def goes_on_budgeting(judge: Judge, state: State, event: Event) -> None:
    """What a package sets and removes stands right before the entry by which it comes, changes or
    goes (rule P1); what a mandate may spend right before the mandate."""
    if isinstance(event, BudgetSet | BudgetRemoved) and not event.key:
        judge.equal(state, "account of a package's budget", judge.budgeting, event.account)
        return
    what = "entry of the package whose budgets stand before it"
    if isinstance(event, (*OF_PACKAGES, MandateGranted)):
        judge.equal(state, what, judge.budgeting, event.account)
    else:
        judge.wrong(state, what, "one of a subscription", type(event).__name__)
    judge.budgeting = 0


def budget_set(judge: Judge, state: State, event: BudgetSet) -> None:
    account, terms = state.accounts[event.account], event.terms
    if not event.key:
        judge.budgeting = event.account
    judge.equal(state, "closed", 0, account.closed_at)
    named = [each for each in account.budgets if each.name == event.name]
    if named:
        budget = named[0]
        judge.equal(state, "number of the budget", budget.number, event.budget)
        judge.equal(state, "version of the budget", budget.version + 1, event.version)
        if not event.key:
            judge.equal(state, "budget that a package changes", True, of_package(budget))
        for field in _FIXED:
            expected, found = getattr(budget.terms, field), getattr(terms, field)
            judge.equal(state, f"{field} of the budget", expected, found)
        group_by = budget.values.said.group_by if budget.values is not None else ()
        said = event.values.group_by if isinstance(event, GroupedBudgetSet) else ()
        judge.equal(state, "group_by of the budget", group_by, said)
    else:
        judge.equal(state, "number of the budget", state.next_budget, event.budget)
        judge.equal(state, "version of the budget", 1, event.version)
    if window_fault(terms.window) is not None:
        judge.wrong(state, "window of the budget", "a window", terms.window)
    if not 0 <= terms.limit <= INT64_MAX:
        judge.wrong(state, "limit of the budget", f"0 to {INT64_MAX}", terms.limit)
    if isinstance(event, GroupedBudgetSet) and values_fault(event.values) is not None:
        judge.wrong(state, "values of the budget", "what values may be", event.values)
    rising = sorted(set(terms.thresholds))
    if list(terms.thresholds) != rising or len(rising) > BUDGET_THRESHOLDS_MAX:
        judge.wrong(state, "thresholds of the budget", rising, terms.thresholds)


def budget_removed(judge: Judge, state: State, event: BudgetRemoved) -> None:
    budget = state.families[state.accounts[event.account].root].budgets[event.budget]
    of_account = (event.account, event.name)
    judge.equal(state, "budget", of_account, (budget.account.number, budget.name))
    if not event.key:
        judge.equal(state, "budget that goes with a package", True, of_package(budget))
        judge.budgeting = event.account


def of_package(budget: Budget) -> bool:
    """Whether a package has the account have it; that of a mandate is nobody else's."""
    return budget.packaged and not _of_mandate(budget)


def _of_mandate(budget: Budget) -> bool:
    return budget.account.mandate is not None and budget.name == MANDATE_BUDGET


def budget_denied(judge: Judge, state: State, event: BudgetDenied) -> None:
    """A hard budget on the account's line denies, with what it had left."""
    authorize_denied(judge, state, event)
    figures = event.budget_account, event.budget, event.budget_name, event.left, event.resets_at
    look_at_denying(judge, state, event, Limit(LimitKind.BUDGET, *figures))


def look_at_denying(judge: Judge, state: State, event: AuthorizeDenied, limit: Limit) -> None:
    """A hard budget on the account's line denies, with what it had left."""
    account = state.accounts[event.account]
    of_mandate = limit.kind == LimitKind.MANDATE
    judge.equal(state, "reason", _REASONS.get(limit.kind, "BUDGET_EXCEEDED"), event.reason)
    budget = state.families[account.root].budgets.get(limit.number)
    if budget is None and limit.kind == LimitKind.OPERATION:
        _look_at_begun(judge, state, account, event, limit)
        return
    if budget is None or not budget.terms.hard or budget.account not in _line(state, account, None):
        judge.wrong(state, "budget", "a hard one that applies", limit.number)
        return
    of_account = (budget.account.number, budget.name)
    judge.equal(state, "budget", of_account, (limit.account, limit.name))
    judge.equal(state, "whether a mandate denies", _of_mandate(budget), of_mandate)
    of_operation = limit.kind == LimitKind.OPERATION
    of = budget.operation
    judge.equal(state, "whether an operation's budget denies", of is not None, of_operation)
    if of is not None:
        judge.equal(state, "policy of the budget", _policy(of.policy), limit.value)
    most, counter = budget.terms.limit, budget.counter
    if budget.values is not None:
        value = value_of(state.declared[event.plan], budget)
        counted = counter_at(budget, value, state.now)
        shared = shared_by(counted)
        judge.equal(state, "value of the budget", (value, shared), (limit.value, limit.shared))
        most = looked_at_limit(budget, value, shared)
        if counted is None:
            judge.equal(state, "left", most, limit.left)
            return
        counter = counted.counter
    posted, pending = counter.within(budget.terms.window, state.now)
    if isinstance(event, HoldDebitDenied):
        span = budget.held.get(event.hold, ((0, 0), 0))[0]
        if 0 < span[1] <= state.now:  # it counts where its hold does, which is over by now
            return
    judge.equal(state, "left", max(0, most - posted - pending), limit.left)


def _look_at_begun(
    judge: Judge, state: State, account: Account, event: AuthorizeDenied, limit: Limit
) -> None:
    """A hard one that a policy gives the operation by this call, whole as it is."""
    owner = giving(account)
    policy = policy_of(owner) if owner is not None else None
    root = to_begin(state, account, _named(event))
    if owner is None or policy is None or policy.terms is None or not root:
        judge.wrong(state, "budget", "a hard one that applies", limit.number)
        return
    right = (owner.number, state.next_budget, root.hex(), _policy(policy.version))
    judge.equal(state, "budget", right, (limit.account, limit.number, limit.name, limit.value))
    judge.equal(state, "left", policy.terms.limit, limit.left)
    judge.equal(state, "whether the policy is hard", True, policy.terms.hard)


def _policy(version: int) -> tuple[str, ...]:
    return (str(version),) if version else ()


def budget_crossed(judge: Judge, state: State, event: BudgetCrossed) -> None:
    budget = state.families[state.accounts[event.account].root].budgets[event.budget]
    terms = budget.terms
    judge.equal(state, "account of the budget", budget.account.number, event.account)
    used, _ = budget.counter.within(terms.window, state.now)
    judge.equal(state, "used", str(used), event.used)
    judge.equal(state, "limit", terms.limit, event.limit)
    if event.threshold not in terms.thresholds or used * 100 < event.threshold * terms.limit:
        judge.wrong(state, "threshold", "one that is reached", event.threshold)
    if budget.crossed.get(event.threshold, 0) > state.now or event.until <= state.now:
        judge.wrong(state, "threshold", "told once a window", event.threshold)


def note_counted(judge: Judge, state: State, event: Moving) -> None:
    """An entry that budgets count: the counts are to follow within the batch."""
    if judge.counted_in != state.batch_seq:
        look_for_uncounted(judge, state)
        judge.counted_in = state.batch_seq
    account = state.accounts[event.account]
    if state.families[account.root].may_bound:
        judge.to_count[state.batch_length] = (event, _expected(state, account, event))


def look_for_uncounted(judge: Judge, state: State) -> None:
    """Entries of the batch before that no budget has counted, where one should."""
    for index, (event, expected) in judge.to_count.items():
        if any(posted for posted in expected.values()):
            what = f"budgets of {type(event).__name__} at {index} of batch {judge.counted_in}"
            judge.wrong(state, what, expected, "nothing")
    judge.to_count = {}


def budgets_counted(judge: Judge, state: State, event: BudgetsCounted) -> None:
    """What it moves is what the entry charges, takes, reserves or gives back."""
    account = state.accounts[event.account]
    budgets = state.families[account.root].budgets
    of, expected = judge.to_count.pop(event.entry, (None, {}))
    if isinstance(of, AccountClosedOut):  # one for each hold that was given back
        judge.to_count[event.entry] = (of, expected)
    if of is None or of.account != event.account:
        judge.wrong(state, "counted entry", "one of the account, once", event.entry)
        return
    if isinstance(of, OperationPartHeld | HoldRefilled) and passed_on(judge, state, of, event):
        if event.hold != getattr(of, "hold", 0):  # the other's count follows
            judge.to_count[event.entry] = (of, expected)
        return
    if isinstance(of, LeaseGranted | LeaseRenewed):
        escrow_counted(judge, state, account, of, event)
    held = isinstance(of, HoldAuthorized)
    if expected.pop(_BEGUN, 0) and isinstance(of, UsageRecorded):  # it has begun by now
        expected = {**expected, **_of_operation(state, account, of, state.declared[of.plan])}
    expected = {counter_now(state, of, budgets[each]): expected[each] for each in expected}
    for move in event.moves:
        budget = budgets[move.budget]
        pends = budget.held.get(event.hold, ((0, 0), 0))[1]
        _look_at_span(judge, state, budget, move)
        if not pends and budget.account not in _line(state, account, of):
            judge.wrong(state, "budget", "one on the account's line", move.budget)
        if budget.values is not None:
            judge.wrong(state, "budget", "the counter of a value of it", move.budget)
        elif budget.of is not None and (held or isinstance(of, LeaseRenewed)) and move.pending > 0:
            right = counter_now(state, of, budget.of)
            judge.equal(state, "counter of the value", right, move.budget)
        if not budget.terms.tags:
            posted = expected.get(move.budget, 0)
            if budget.operation is not None and isinstance(of, UsageReversed):
                # Of which operation it gives back, its original says: here all of it, or nothing.
                posted = _amount(state, budget.terms, of, state.declared[of.plan])
                there, _ = budget.counter.within(budget.terms.window, state.now)
                rounded = budget.terms.measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE)
                if (
                    rounded and move.posted != posted
                ):  # as journals of before have it, below nothing
                    posted = max(posted, -max(0, there))
            found = move.posted
            if isinstance(of, HoldDebited):  # what pended where it counts no more is a move alone
                found = sum([each.posted for each in event.moves if each.budget == move.budget])
            judge.equal(state, f"posted in budget {move.budget}", posted, found)
        if held:
            if move.pending <= 0 or move.posted:
                judge.wrong(state, f"pending in budget {move.budget}", "above 0", move.pending)
            _look_at_limit(judge, state, budget, move, of)
        elif isinstance(of, LeaseRenewed):
            continue
        elif isinstance(of, UsageDebited):
            if not isinstance(of, HoldDebited):
                judge.equal(state, f"pending in budget {move.budget}", 0, move.pending)
            elif not 0 <= -move.pending <= pends:
                what = f"pending in budget {move.budget}"
                judge.wrong(state, what, f"-{pends} to 0", move.pending)
            _look_at_limit(judge, state, budget, move, of)
        elif not 0 <= -move.pending <= pends:
            judge.wrong(state, f"pending in budget {move.budget}", f"-{pends} to 0", move.pending)
        elif move.pending != -pends and not isinstance(of, UsageCaptured):
            judge.wrong(state, f"pending in budget {move.budget}", -pends, move.pending)
    moved = {move.budget for move in event.moves}
    for number, posted in expected.items():
        if posted and number not in moved:
            judge.wrong(state, f"posted in budget {number}", posted, "nothing")


def budgets_tallied(judge: Judge, state: State, event: BudgetsTallied) -> None:
    """What it moves is what the family's usage of the run charges, takes or is, in all; each entry
    is counted once, and no threshold is passed over in silence."""
    family = state.families[event.account]
    run: dict[int, int] = {}
    for index, (of, expected) in list(judge.to_count.items()):
        if index >= event.first and state.accounts[of.account].root == event.account:
            del judge.to_count[index]
            if not isinstance(of, UsageRecorded) or of.hold:
                judge.wrong(state, "counted entry", "plain usage", type(of).__name__)
            for number, posted in expected.items():
                run[number] = run.get(number, 0) + posted
    found: dict[int, int] = {}
    for move in event.moves():
        budget = family.budgets[move.budget]
        _look_at_span(judge, state, budget, move)
        found[move.budget] = found.get(move.budget, 0) + move.posted
        used, _ = budget.counter.within(budget.terms.window, state.now)
        for threshold in budget.terms.thresholds:
            told = budget.crossed.get(threshold, 0) > state.now
            now_in = move.since <= state.now < move.end
            reached = (used + move.posted) * 100 >= threshold * budget.terms.limit
            if reached and now_in and not told:
                what = f"threshold {threshold} of budget {move.budget}"
                judge.wrong(state, what, "told as it is reached", "passed over")
    for number in sorted(run.keys() | found.keys()):
        if number not in family.budgets or not family.budgets[number].terms.tags:
            posted = run.get(number, 0)
            judge.equal(state, f"posted in budget {number}", posted, found.get(number, 0))


def _look_at_limit(
    judge: Judge, state: State, budget: Budget, move: BudgetMove, of: HoldAuthorized | UsageDebited
) -> None:
    """A hold, or what is charged at once, is within what is left of a hard budget; reported work
    has happened."""
    terms, limit = budget.terms, budget.terms.limit
    if budget.of is not None:
        value = value_of(state.declared[of.plan], budget.of)
        limit = looked_at_limit(budget.of, value, shared_by(budget))
    if terms.hard and not isinstance(of, OutcomeReported) and move.end > state.now:
        posted, pending = budget.counter.within(terms.window, state.now)
        taken = move.pending + move.posted
        anew = taken - passed_to(judge, of, move.budget)
        if anew > 0 and posted + pending + taken > limit:
            left = limit - posted - pending
            judge.wrong(state, f"held of budget {budget.number}", f"up to {left}", taken)


def _look_at_span(judge: Judge, state: State, budget: Budget, move: BudgetMove) -> None:
    window, length = budget.terms.window, move.end - move.since
    if move.end == 0:
        right = move.since == 0 and window.kind != WindowKind.LIFETIME
    elif window.kind == WindowKind.LIFETIME:
        right = (move.since, move.end) == (0, INT64_MAX)
    elif window.kind == WindowKind.SLIDING:
        right = 59 * length >= window.length > 59 * (length - 1) and move.since % length == 0
    elif window.kind == WindowKind.FIXED:
        right = window.length <= length <= 2 * window.length
    else:
        right = 0 < length <= _LONGEST[window.unit]
    if not right:
        judge.wrong(state, f"window of budget {move.budget}", window, (move.since, move.end))


def _line(state: State, account: Account, event: Moving | None) -> list[Account]:
    """The account and those above it; what is given back counts where it had counted."""
    if isinstance(event, UsageReversed):
        return state.line_at(account, event.original)
    line = [account]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


# -- what an entry should count --------------------------------------------------------------------


def _expected(state: State, account: Account, event: Moving) -> dict[int, int]:
    """Budget -> what it should post of the entry. Tags are those of a card, which nobody here has:
    a budget that names some is taken at its word."""
    if not isinstance(event, UsageRecorded | UsageReversed | UsageRerated):
        return {}
    plan = state.declared[event.plan]
    found = {}
    for each in _line(state, account, event):
        for budget in each.budgets:
            terms = budget.terms
            named = not terms.products or plan.product in terms.products
            of_work = named and not terms.tags and set(terms.attributes) <= set(plan.attributes)
            before = isinstance(event, UsageReversed) and event.original < budget.created_by
            if not of_work or before:
                continue
            amount = _amount(state, terms, event, plan)
            if budget.values is None:
                found[budget.number] = amount
            elif not counts_nowhere(state, account, budget, event, amount):
                found[counter_now(state, event, budget)] = amount
    found.update(_of_operation(state, account, event, plan))
    given = giving(account) if to_begin(state, account, _named(event)) else None
    policy = policy_of(given) if given is not None else None
    given_terms = policy.terms if policy is not None else None
    if given_terms is None or not _is_for(given_terms, plan):
        return found
    if has_room(state, state.families[account.root]):
        found[_BEGUN] = _amount(state, given_terms, event, plan)
    return found


def _of_operation(
    state: State,
    account: Account,
    event: UsageRecorded | UsageReversed | UsageRerated,
    plan: PlanDeclared,
) -> dict[int, int]:
    """The same of budgets of its operation that there are."""
    return {
        budget.number: _amount(state, budget.terms, event, plan)
        for budget in covering_now(state, account, event)
        if _is_for(budget.terms, plan)
    }


def _is_for(terms: BudgetTerms, plan: PlanDeclared) -> bool:
    named = not terms.products or plan.product in terms.products
    return named and not terms.tags and set(terms.attributes) <= set(plan.attributes)


def _named(event: object) -> bytes:
    said: bytes = getattr(event, "operation", b"") if not isinstance(event, UsageReversed) else b""
    return said


def _amount(
    state: State,
    terms: BudgetTerms,
    event: UsageRecorded | UsageReversed | UsageRerated,
    plan: PlanDeclared,
) -> int:
    sign = -1 if isinstance(event, UsageReversed) else 1
    if terms.measure == BudgetMeasure.COST:
        cost = event.cost if not isinstance(event, UsageRerated) else None
        of_asset = cost is not None and state.declared[cost.plan].asset == terms.asset
        return sign * cost.total if cost is not None and of_asset else 0
    if terms.measure in (BudgetMeasure.REQUESTS, BudgetMeasure.QUANTITY):
        if isinstance(event, SuspenseRated | UsageRerated):
            return 0
        if isinstance(event, UsageReversed) and not event.key:
            return 0
        if terms.measure == BudgetMeasure.REQUESTS:
            return -event.whole if isinstance(event, UsageReversed) else 1
        pairs = zip(plan.quantity_names, event.quantities, strict=False)
        return sign * sum([amount for name, amount in pairs if name == terms.quantity])
    if plan.asset != terms.asset:
        return 0
    drawn = [] if isinstance(event, UsageReversed) else [
        (piece.book, piece.amount) for piece in event.slices
    ]  # fmt: skip
    back = [] if isinstance(event, UsageRecorded) else [
        (piece.drawn, -piece.amount) for piece in event.given_back
    ]  # fmt: skip
    return sum(
        [
            amount
            for number, amount in (*drawn, *back)
            if terms.measure == BudgetMeasure.CHARGE or not _free(state, number)
        ]
    )


def _free(state: State, number: int) -> bool:
    book = state.books.accounts.get(number)
    return (
        book is not None and book.grant is not None and (book.grant.kind == GrantKind.PROMOTIONAL)
    )
