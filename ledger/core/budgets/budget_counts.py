"""What entries count in budgets: usage, holds and what becomes of either (rules H4, H5).

The counts follow the entry as one of their own, `BudgetsCounted`: usage is of many kinds, all of
which count alike, and where no budget applies, which is usual, it costs no byte and one look-up.
Usage, captures, ratings from suspense and re-rates count what they charge; reversals take back what
they give back, in the window of their event. A hold pends with its estimate in the window of its
authorisation, where its captures count too; that of a call which is a part of its operation's
counts where that one does, and pends in its stead. A budget counts from its own entry on: what was
recorded before is neither counted nor taken back. One that counts each value of attributes by
itself counts in the counter of the value, which an entry of its own opens first. Reads state,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.budgets.budget_values import OTHERS, Values
from ledger.core.budgets.budgeting import (
    counts_on,
    estimate_of,
    net_of,
    quantity_of,
    taken_by,
)
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.counted_before import (
    counts_by_hold,
    given_back_of,
    span_of,
    units_of,
)
from ledger.core.budgets.operation_cover import covering, joining
from ledger.core.budgets.operations import counted_in, is_idle
from ledger.core.commands import Original
from ledger.core.events import (
    AccountClosedOut,
    BudgetCrossed,
    BudgetMeasure,
    BudgetMove,
    BudgetsCounted,
    BudgetValueOpened,
    Event,
    HoldAuthorized,
    HoldDebited,
    HoldExpired,
    HoldRefilled,
    HoldReleased,
    LeaseGranted,
    LeaseRenewed,
    OperationHeld,
    OperationLeaseGranted,
    OperationPartHeld,
    OperationReserved,
    OutcomeRejected,
    PlanDeclared,
    SizedOperationHeld,
    Slice,
    SuspenseRated,
    UsageCaptured,
    UsageLeased,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
    WindowKind,
)
from ledger.core.limits import INT64_MAX
from ledger.core.shapes import Use
from ledger.core.state import Account, Family, Hold, SettledHold, State
from ledger.core.windows import OF_NO_WINDOW, Counter, Span, showing, span_at

_ROUNDED: Final = (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE)
"""What a total of several events may be rounded in: requests and quantities are whole."""

COUNTED: Final = (
    UsageRecorded,
    UsageReversed,
    UsageRerated,
    HoldAuthorized,
    HoldRefilled,
    HoldReleased,
    HoldExpired,
    OutcomeRejected,
    LeaseRenewed,
    AccountClosedOut,
)
"""The events that move budgets, and whatever derives from them."""

_SAYING: Final = (UsageRecorded, OperationHeld, SizedOperationHeld, OperationLeaseGranted)
"""Those of them that say their operation."""


def know_operation(state: State, event: Event, entry: int, out: list[Event]) -> None:
    """Append what an entry that was just applied makes known of its operation, once: what it is
    below, and the budget that a policy gives it."""
    if isinstance(event, COUNTED):
        account, operation = state.accounts[event.account], operation_of(state, event)
        out.extend(joining(state, account, operation, entry, state.now))


def count_budgets(
    state: State,
    event: Event,
    entry: int,
    out: list[Event],
    original: Original | None = None,
) -> None:
    """Append what an entry that was just applied counts, if any budget applies to it. `original`:
    the usage that a reversal gives back."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    if not family.budgets:
        return
    moves: list[BudgetMove] = []
    opened: list[BudgetValueOpened] = []
    number = 0
    if isinstance(event, AccountClosedOut):
        for each in event.holds:
            _given_up(state, account, entry, each, out)
    elif isinstance(event, HoldReleased | HoldExpired | OutcomeRejected):
        _given_up(state, account, entry, event.hold, out)
    elif isinstance(event, LeaseGranted | LeaseRenewed):
        number = event.hold
        _lease(state, account, event, entry, moves, opened)
    elif isinstance(event, OperationReserved):
        number = event.hold
        _reserved(state, account, event, entry, moves, opened)
    elif isinstance(event, HoldRefilled):
        _refilled(state, account, event, entry, out)
    elif isinstance(event, HoldAuthorized):
        number = event.hold
        if isinstance(event, OperationPartHeld):
            _taken_over(state, account, event, entry, out)
        _hold(state, account, event, entry, moves, opened)
    elif isinstance(event, UsageRecorded):
        number = event.hold if not event.late else 0
        _usage(state, account, event, number, entry, moves, opened)
    elif isinstance(event, UsageReversed | UsageRerated):
        _correction(state, account, event, original, entry, moves, opened)
    out.extend(opened)
    if moves:
        out.append(BudgetsCounted(account.number, entry, tuple(moves), number))


def cross_budgets(state: State, counted: BudgetsCounted, out: list[Event]) -> None:
    """Append the thresholds that the present window has reached by it: each once a window, in a
    sliding one once in its length (rule H4)."""
    family = state.families[state.accounts[counted.account].root]
    now = state.now
    for move in counted.moves:
        budget = family.budgets[move.budget]
        terms = budget.terms
        if move.posted <= 0 or not terms.thresholds:
            continue
        used, _ = budget.counter.within(terms.window, now)
        for threshold in terms.thresholds:
            if used <= 0 or used * 100 < threshold * terms.limit:
                break
            if budget.crossed.get(threshold, 0) <= now:
                until = _told_until(budget, now)
                out.append(
                    BudgetCrossed(
                        budget.account.number,
                        budget.number,
                        threshold,
                        str(used),
                        terms.limit,
                        until,
                    )
                )


def _told_until(budget: Budget, now: int) -> int:
    window = budget.terms.window
    if window.kind == WindowKind.LIFETIME:
        return INT64_MAX
    if window.kind == WindowKind.SLIDING:
        return now + window.length
    account = budget.account
    return showing(window, budget.counter, now, account.anchors, account.calendar)[1]


def _given_up(state: State, account: Account, entry: int, hold: int, out: list[Event]) -> None:
    """A hold of which nothing more is captured pends no more."""
    family = state.families[account.root]
    moves: list[BudgetMove] = []
    for number in family.budgeted_holds.get(hold, ()):
        budget = family.budgets[number]
        span, pending = budget.held[hold]
        moves.append(BudgetMove(number, *_kept(state, budget, span), 0, -pending))
    if moves:
        out.append(BudgetsCounted(account.number, entry, tuple(moves), hold))


# -- what each kind counts -------------------------------------------------------------------------


def operation_of(state: State, event: Event) -> bytes:
    """The operation that an entry that was applied is part of, and that one's parent."""
    if isinstance(event, _SAYING):
        return event.operation
    return state.holds[event.hold].operation if isinstance(event, LeaseRenewed) else b""


def _applying(
    state: State,
    account: Account,
    plan: PlanDeclared,
    line: list[Account] | None = None,
    covered: Sequence[Budget] = (),
) -> list[Budget]:
    """Budgets of the account and of those above it that are for what a plan describes; `line`: of
    those that were above it before a move. Then those of its operation, of what is `covered`."""
    use: Use | None = None
    found: list[Budget] = []
    budgets = [each for node in line or account.line() for each in node.budgets]
    for budget in (*budgets, *covered):
        if not budget.for_all:
            if use is None:
                card = state.catalog.card((account.tenant, plan.rate_card))
                use = card.use_of(plan.card_version, plan.product, plan.attributes)
            if not budget.applies(use):
                continue
        found.append(budget)
    return found


def _hold(
    state: State,
    account: Account,
    event: HoldAuthorized,
    entry: int,
    moves: list[BudgetMove],
    opened: list[BudgetValueOpened],
) -> None:
    """Its estimate pends in the window of its authorisation."""
    plan = state.declared[event.plan]
    covered = covering(state, account, operation_of(state, event), state.now)
    budgets = _applying(state, account, plan, covered=covered)
    if not budgets:
        return
    shape = state.catalog.shape(plan.product, plan.attributes, plan.quantity_names)
    bound = state.catalog.card((account.tenant, plan.rate_card)).declared(shape, plan)
    charge = sum([each for each in event.charges if each > 0])
    whole: Hold | None = None
    taken_over: tuple[int, ...] = ()
    if isinstance(event, OperationPartHeld) and any(event.taken):
        whole, taken_over = state.holds[event.of], event.taken
    for budget in budgets:
        terms = budget.terms
        amount = estimate_of(
            state, account, terms, bound, shape, event.quantities, charge, event.slices,
            event.effective_at,
        )  # fmt: skip
        if amount > 0:
            at = event.effective_at  # that of a part, too, where nothing of its operation's pends
            if whole is not None and whole.number in budget.held:
                span, pending = budget.held[whole.number]
                units = min(pending, taken_by(state, budget, whole, taken_over))
                if amount <= units or counts_on(budget, span, state.now):
                    span = _kept(state, budget, span)
                    moves.append(BudgetMove(budget.number, *span, 0, amount))
                    continue
            place = _place(state, budget, plan, at, entry, opened)
            if place is not None:
                moves.append(BudgetMove(*place, 0, amount))


def _taken_over(
    state: State, account: Account, event: OperationPartHeld, entry: int, out: list[Event]
) -> None:
    """What a call's hold has of its operation's pends there no more."""
    if not any(event.taken):
        return
    family, whole = state.families[account.root], state.holds[event.of]
    moves: list[BudgetMove] = []
    for number in family.budgeted_holds.get(event.of, ()):
        budget = family.budgets[number]
        span, pending = budget.held[event.of]
        units = min(pending, taken_by(state, budget, whole, event.taken))
        if units:
            moves.append(BudgetMove(number, *_kept(state, budget, span), 0, -units))
    if moves:
        out.append(BudgetsCounted(account.number, entry, tuple(moves), event.of))


def _refilled(
    state: State, account: Account, event: HoldRefilled, entry: int, out: list[Event]
) -> None:
    """What a call's hold leaves to its operation's pends by that one, where it has pended: in no
    budget more than before."""
    family, whole = state.families[account.root], state.holds[event.hold]
    less: list[BudgetMove] = []
    more: list[BudgetMove] = []
    for number in family.budgeted_holds.get(event.part, ()):
        budget = family.budgets[number]
        span, pending = budget.held[event.part]
        if budget.of is not None:  # that of a value: an operation's hold is of none
            continue
        if not budget.reserves(whole.asset) or budget.held.get(event.hold, (span,))[0] != span:
            continue
        units = min(pending, taken_by(state, budget, whole, event.units))
        if units:
            kept = _kept(state, budget, span)
            less.append(BudgetMove(number, *kept, 0, -units))
            more.append(BudgetMove(number, *kept, 0, units))
    if less:
        out.append(BudgetsCounted(account.number, entry, tuple(less), event.part))
        out.append(BudgetsCounted(account.number, entry, tuple(more), event.hold))


def _reserved(
    state: State,
    account: Account,
    event: OperationReserved,
    entry: int,
    moves: list[BudgetMove],
    opened: list[BudgetValueOpened],
) -> None:
    """A hold of an operation pends by its units, where its calls count by their charge whatever
    they are of; each call counts everywhere else by itself."""
    plan = state.declared[event.plan]
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state, account, event.operation, state.now))
    for budget in budgets:
        if not budget.reserves(plan.asset):
            continue
        amount = _escrow(state, budget, event.slices, plan.asset)
        place = _place(state, budget, plan, event.effective_at, entry, opened) if amount else None
        if place is not None:
            moves.append(BudgetMove(*place, 0, amount))


def _lease(
    state: State,
    account: Account,
    event: LeaseGranted | LeaseRenewed,
    entry: int,
    moves: list[BudgetMove],
    opened: list[BudgetValueOpened],
) -> None:
    """What is in escrow pends in full in the budgets of a charge, in the window of now; what it had
    before a renewal pends no more where that was (rule H7)."""
    plan = state.declared[event.plan]
    family = state.families[account.root]
    pending_in = list(family.budgeted_holds.get(event.hold, ()))
    covered = covering(state, account, operation_of(state, event), state.now)
    for budget in _applying(state, account, plan, covered=covered):
        amount = _escrow(state, budget, event.slices, plan.asset)
        place = None
        if amount:
            place = _place(state, budget, plan, event.effective_at, entry, opened)
        counter = _pends_in(family, budget, pending_in)
        if counter is not None:
            pending_in.remove(counter.number)
            before, pending = counter.held[event.hold]
            if place == (counter.number, *before):
                amount -= pending
            else:
                span = _kept(state, counter, before)
                moves.append(BudgetMove(counter.number, *span, 0, -pending))
        if amount and place is not None:
            moves.append(BudgetMove(*place, 0, amount))
    for number in pending_in:  # it applies no more
        budget = family.budgets[number]
        before, pending = budget.held[event.hold]
        moves.append(BudgetMove(number, *_kept(state, budget, before), 0, -pending))


def _escrow(state: State, budget: Budget, slices: tuple[Slice, ...], asset: int) -> int:
    if budget.terms.asset != asset:
        return 0
    if budget.measure == BudgetMeasure.CHARGE:
        return sum([piece.amount for piece in slices])
    return net_of(state, slices) if budget.measure == BudgetMeasure.NET_CHARGE else 0


def _usage(
    state: State,
    account: Account,
    event: UsageRecorded,
    hold: int,
    entry: int,
    moves: list[BudgetMove],
    opened: list[BudgetValueOpened],
) -> None:
    """What it charges, costs or takes; of a hold, in the stead of what pended of it."""
    family = state.families[account.root]
    plan = state.declared[event.plan]
    pending_in = list(family.budgeted_holds.get(hold, ())) if hold else []
    stays = isinstance(event, UsageCaptured | HoldDebited)
    drawn = _operation_hold(state, account, hold)
    covered = covering(state, account, event.operation, state.now)
    for budget in _applying(state, account, plan, covered=covered):
        posted = _posted(state, budget, event, plan)
        counter = _pends_in(family, budget, pending_in)
        if counter is not None:
            pending_in.remove(counter.number)
            span, pending = counter.held[hold]
            span = _kept(state, counter, span)
            if isinstance(drawn, Hold) and isinstance(event, UsageCaptured | HoldDebited):
                pending = min(pending, taken_by(state, budget, drawn, event.taken))
            elif stays:
                pending = min(pending, max(0, posted))
            here = 0 if _is_of_another(plan, counter) else posted
            if isinstance(event, HoldDebited) and posted > pending:
                here = posted if counts_on(counter, counter.held[hold][0], state.now) else 0
            if here or pending:
                moves.append(BudgetMove(counter.number, *span, here, -pending))
            posted -= here
        if posted:
            at = event.effective_at
            if not isinstance(event, HoldDebited):  # it was asked whether it fits in that of now
                at = _instant(state, account, budget, hold, at)
            place = _place(state, budget, plan, at, entry, opened)
            if place is not None:
                moves.append(BudgetMove(*place, posted))
    for number in pending_in:  # it counts there no more, or is of another operation
        budget = family.budgets[number]
        span, pending = budget.held[hold]
        if stays:
            pending = 0
            if isinstance(drawn, Hold) and isinstance(event, UsageCaptured | HoldDebited):
                _, pends = budget.held[hold]
                pending = min(pends, taken_by(state, budget, drawn, event.taken))
        if pending:
            moves.append(BudgetMove(number, *_kept(state, budget, span), 0, -pending))


def _operation_hold(state: State, account: Account, number: int) -> Hold | SettledHold | None:
    """The hold of that number, open or settled, if it is one of an operation."""
    found = state.holds.get(number) or state.settled_hold(account, number) if number else None
    return found if found is not None and found.drawn is not None else None


def _is_of_another(plan: PlanDeclared, counter: Budget) -> bool:
    """Whether a hold pends in the counter of another value than its usage is of: what the holder of
    a lease reports may bear attributes that the lease does not name."""
    values = counter.of.values if counter.of is not None else None
    return values is not None and counter.value not in (OTHERS, _value_of(plan, values))


def _pends_in(family: Family, budget: Budget, pending_in: list[int]) -> Budget | None:
    """Where a hold pends of a budget: there itself, or in the counter of a value."""
    for number in pending_in:
        counter = family.budgets[number]
        if counter is budget or counter.of is budget:
            return counter
    return None


def _posted(state: State, budget: Budget, event: UsageRecorded, plan: PlanDeclared) -> int:
    terms = budget.terms
    measure = terms.measure
    if measure == BudgetMeasure.COST:
        cost = event.cost
        if cost is None or state.declared[cost.plan].asset != terms.asset:
            return 0
        return cost.total
    again = isinstance(event, SuspenseRated)  # of usage that has counted as it was recorded
    if measure == BudgetMeasure.REQUESTS:
        return 0 if again else 1
    if measure == BudgetMeasure.QUANTITY:
        return 0 if again else quantity_of(terms.quantity, plan.quantity_names, event.quantities)
    if plan.asset != terms.asset:
        return 0
    if measure == BudgetMeasure.NET_CHARGE:
        return net_of(state, event.slices)
    return sum([each for each in event.charges if each > 0])


def _correction(
    state: State,
    account: Account,
    event: UsageReversed | UsageRerated,
    original: Original | None,
    entry: int,
    moves: list[BudgetMove],
    opened: list[BudgetValueOpened],
) -> None:
    """What is given back lowers the window in which its event counted; a re-rate counts as it is
    posted."""
    plan = state.declared[event.plan]
    usage = original.event if original is not None else None
    hold, counted_at, operation = 0, 0, b""
    counted: tuple[BudgetMove, ...] = ()
    if original is not None and isinstance(usage, UsageRecorded):
        operation = usage.operation
        if isinstance(usage, UsageLeased):
            counted_at = usage.counted_at
        elif counts_by_hold(usage):
            hold = usage.hold
            if isinstance(event, UsageReversed) and event.original == original.locator:
                counted = original.counted
    line, covered = account.line(), []
    if isinstance(event, UsageReversed):
        line = state.line_at(account, event.original)
    if operation and isinstance(event, UsageReversed) and event.key:
        # What was rated later of it never counted in its operation: it has no key.
        for each in counted_in(state.families[account.root], operation, event.original):
            if each.account in line and not is_idle(each, state.now):
                covered.append(each)
    applying = _applying(state, account, plan, line, covered)
    for budget in applying:
        if isinstance(event, UsageReversed):
            if event.original < budget.created_by:  # it was not counted
                continue
            posted = -given_back_of(state, budget, event, plan)
        elif plan.asset == budget.terms.asset:
            posted = units_of(state, budget, event.given_back, event)
        else:
            posted = 0
        if posted < 0 and budget.operation is not None and budget.terms.measure in _ROUNDED:
            # Of another event of the total by rounding: no operation is left below nothing.
            used, _ = budget.counter.within(budget.terms.window, state.now)
            posted = max(posted, -max(0, used))
        if not posted:
            continue
        at = counted_at if counted_at >= budget.created_at else event.effective_at
        at = _instant(state, account, budget, hold, at)
        values = budget.values
        if values is None or posted > 0:
            place = _place(state, budget, plan, at, entry, opened)
        elif isinstance(event, UsageReversed):
            value = _value_of(plan, values)
            counter = values.corrected(value, event.original)
            place = (counter.number, *_span(state, counter, at)) if counter is not None else None
        else:  # a re-rate gives back of usage of all values: it lowers none
            place = None
        if place is not None:
            span = span_of(counted, place[0])
            if span is not None:
                counter = state.families[account.root].budgets[place[0]]
                place = (counter.number, *_kept(state, counter, span))
            moves.append(BudgetMove(*place, posted))


# -- where it counts -------------------------------------------------------------------------------


def _place(
    state: State,
    budget: Budget,
    plan: PlanDeclared,
    at: int,
    entry: int,
    opened: list[BudgetValueOpened],
) -> tuple[int, int, int] | None:
    """The counter and the span in which something of an instant counts; None = it is of a value
    that nobody has counted in a window that is over by now, so nobody asks any more."""
    values = budget.values
    if values is None:
        return budget.number, *_span(state, budget, at)
    value = _value_of(plan, values)
    counter = values.counter_of(value, state.now)
    if counter is not None:
        return counter.number, *_span(state, counter, at)
    account = budget.account
    window = budget.terms.window
    span = span_at(window, Counter(), at, state.now, account.anchors, account.calendar)
    reach = state.now - window.length if window.kind == WindowKind.SLIDING else state.now
    if span[1] <= reach:
        return None
    number = state.next_budget + len(opened)
    opened.append(values.opening(value, state.now, number, entry))
    return number, *span


def _value_of(plan: PlanDeclared, values: Values) -> tuple[str, ...]:
    borne = dict(plan.attributes)
    return tuple([borne.get(each, "") for each in values.said.group_by])


def _span(state: State, budget: Budget, at: int) -> Span:
    account = budget.account
    return span_at(
        budget.terms.window, budget.counter, at, state.now, account.anchors, account.calendar
    )


def _instant(state: State, account: Account, budget: Budget, hold: int, at: int) -> int:
    """That of the authorisation where it was captured of a hold which the budget may have known."""
    if hold:
        found = state.holds.get(hold) or state.settled_hold(account, hold)
        if found is not None and found.drawn is not None and not budget.reserves(found.asset):
            return at  # it never pended there: each call counts by itself
        if found is None:
            return at
        counted_at = found.authorized_at
        if found.counted_at != counted_at and budget.reserves(found.asset):
            counted_at = found.counted_at
        for each in (counted_at, found.authorized_at):
            if each >= budget.created_at:
                return each
    return at


def _kept(state: State, budget: Budget, span: Span) -> Span:
    """Where a hold pends, if that window is kept; else it counts in the lifetime alone."""
    if span[1] == 0 or span[1] > state.now:
        return span
    for cell in budget.counter.cells:
        if cell.since == span[0]:
            return span
    return OF_NO_WINDOW
