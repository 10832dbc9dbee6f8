"""Credit leases: never more in escrow than there is, settled once, over said (rules H1, H4, H7)."""

from __future__ import annotations

from typing import Final

from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    BudgetMeasure,
    BudgetsCounted,
    LeaseGranted,
    LeaseLapse,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    OperationLeaseGranted,
    PlanDeclared,
    Slice,
    UsageLeased,
    WindowKind,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import DAY_US, SECOND_US
from ledger.core.state import Account, Family, Hold, State
from ledger.verify.rules.caps import look_at_shares
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.operation_cover import giving, policy_of, standing
from ledger.verify.rules.seats import seats_pay
from ledger.verify.rules.usage import (
    due_hold,
    grants_in_time,
    look_at_month,
    look_at_slices,
    open_hold,
    over_limit_of,
    slices,
    takes,
    usage_captured,
)

_TERMS: Final = (5 * SECOND_US, DAY_US)


def lease_granted(judge: Judge, state: State, event: LeaseGranted) -> None:
    """What was wanted or less, of pots that may pay, with somebody, for a time."""
    account = state.accounts[event.account]
    amount = sum([piece.amount for piece in event.slices])
    judge.equal(state, "number of the lease", state.next_hold, event.hold)
    judge.equal(state, "effective time", state.now, event.effective_at)
    judge.equal(
        state, "units of the lease", ((amount,), (amount,)), (event.quantities, event.charges)
    )
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    if not event.holder:
        judge.wrong(state, "holder of the lease", "a name", event.holder)
    if amount > min(event.wanted, event.share) or 0 < amount < event.minimum:
        most = min(event.wanted, event.share)
        judge.wrong(state, "units in escrow", f"0, or {event.minimum} to {most}", amount)
    _look_at_term(judge, state, event.lifetime_max, event.margin, event.expires_at)
    slices(judge, state, account, event)
    look_at_shares(judge, state, account, event.slices, event.effective_at)
    seats_pay(judge, state, event)
    grants_in_time(judge, state, event)
    look_at_month(judge, state, account, event.effective_at, event.period)
    _look_at_escrow(judge, state, event.slices)
    takes(judge, state, account, state.now, new=True)
    if isinstance(event, OperationLeaseGranted):
        if len(event.operation) not in (KEY_BYTES, 2 * KEY_BYTES):
            judge.wrong(state, "operation", "a digest, and one of its parent", event.operation)
        return
    giver, product = giving(account), state.declared[event.plan].product
    policy = policy_of(giver) if giver is not None else None
    terms = policy.terms if policy is not None else None
    if terms is None or not terms.hard or terms.tags or terms.attributes:
        return
    if not terms.products or product in terms.products:
        judge.wrong(state, "lease", "none where a hard policy bounds operations", event.hold)


def lease_renewed(judge: Judge, state: State, event: LeaseRenewed) -> None:
    """Never less than its holder may have spent, nor more than was wanted; what is new in escrow is
    there, and what was goes back as it says."""
    account = state.accounts[event.account]
    open_hold(judge, state, event.hold, event.account, lease=True)
    judge.equal(state, "effective time", state.now, event.effective_at)
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    _look_at_term(judge, state, event.term, event.margin, event.expires_at)
    look_at_month(judge, state, account, event.effective_at, event.period)
    takes(judge, state, account, state.now, new=True)
    amount = sum([piece.amount for piece in event.slices])
    judge.equal(state, "units in escrow", amount, event.amount)
    hold = state.holds.get(event.hold)
    if hold is None or hold.lease is None:
        return
    judge.equal(state, "slices given back of", len(hold.slices), len(event.given_back))
    kept: dict[tuple[int, int], int] = {}
    for piece, back in zip(hold.slices, event.given_back, strict=False):
        if not 0 <= back <= piece.amount:
            what = f"given back of book {piece.book} of lease {hold.number}"
            judge.wrong(state, what, f"0 to {piece.amount}", back)
        kept[piece.pot, piece.book] = kept.get((piece.pot, piece.book), 0) + piece.amount - back
    least = min(event.keep, hold.left)
    most = max(least, min(event.wanted, event.share))
    if not least <= amount <= most:
        judge.wrong(state, f"units of lease {hold.number}", f"{least} to {most}", amount)
    drawn = []
    for piece in event.slices:
        more = piece.amount - kept.pop((piece.pot, piece.book), 0)
        if more < 0:
            judge.wrong(state, f"kept of book {piece.book}", piece.amount - more, piece.amount)
        elif more:
            drawn.append(Slice(piece.pot, piece.book, more))
    if any(kept.values()):
        judge.wrong(state, f"slices of lease {hold.number}", "what it does not give back", kept)
    look_at_slices(judge, state, account, tuple(drawn), hold.asset)
    look_at_shares(judge, state, account, drawn, event.effective_at)
    _look_at_escrow(judge, state, tuple(drawn))
    for piece in drawn:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and not grant.effective_at <= state.now < grant.expires_at:
            lasts = f"{grant.effective_at} to {grant.expires_at}"
            judge.wrong(state, f"time that grant {grant.number} pays for", lasts, state.now)


def _look_at_term(judge: Judge, state: State, term: int, margin: int, expires_at: int) -> None:
    if not _TERMS[0] <= term <= _TERMS[1]:
        judge.wrong(state, "term of the lease", f"{_TERMS[0]} to {_TERMS[1]}", term)
    least = min(30 * SECOND_US, max(SECOND_US, term // 10))
    judge.equal(state, "margin of the lease", least, margin)
    judge.equal(state, "when the lease lapses", state.now + term + margin, expires_at)


def _look_at_escrow(judge: Judge, state: State, pieces: tuple[Slice, ...]) -> None:
    """Nothing in escrow is beyond the limits, or of units that are not there (rules H3, H7)."""
    judge.equal(state, "in escrow beyond the limits", 0, over_limit_of(pieces))
    for piece in pieces:
        book = state.books.accounts[piece.book]
        if book.grant is not None and piece.amount > book.available:
            judge.wrong(state, f"in escrow of book {book.number}", book.available, piece.amount)


def usage_leased(judge: Judge, state: State, event: UsageLeased) -> None:
    """Of a lease that holds, or has lapsed; what is above its slice is said (rule H7)."""
    usage_captured(judge, state, event)
    account, plan = state.accounts[event.account], state.declared[event.plan]
    charge = sum([each for each in event.charges if each > 0])
    found = state.holds.get(event.hold)
    if not event.late:
        judge.equal(state, "over the lease", charge - sum(event.taken), event.over)
        if found is not None:
            judge.equal(state, "when it counts", found.authorized_at, event.counted_at)
            _look_at_work(judge, state, found.product, found.attributes, event)
            _look_at_operation(judge, state, account, found.operation, event.operation)
            _look_at_name(judge, state, found.operation, event)
        return
    settled = state.families[account.root].settled[event.hold]
    judge.equal(state, "whether it was a lease", True, settled.lease is not None)
    if settled.lease is not None:
        within = min(charge, settled.lease.unreported)
        judge.equal(state, "over the lease", charge - within, event.over)
        _look_at_work(judge, state, settled.product, settled.attributes, event)
        _look_at_name(judge, state, settled.operation, event)
    judge.equal(state, "when it counts", 0, event.counted_at)
    judge.equal(state, "product of the lease", settled.product, plan.product)


def _look_at_work(
    judge: Judge,
    state: State,
    product: str,
    attributes: tuple[tuple[str, str], ...],
    event: UsageLeased,
) -> None:
    plan = state.declared[event.plan]
    judge.equal(state, "product of the lease", product, plan.product)
    if not set(attributes) <= set(plan.attributes):
        judge.wrong(state, "attributes of the lease", attributes, plan.attributes)


def _look_at_operation(
    judge: Judge, state: State, account: Account, leased: bytes, named: bytes
) -> None:
    """Usage of a lease of an operation is of that one, or of one below it that no hard budget caps
    in which the lease does not pend."""
    if not leased or named == leased:
        return
    root, above = leased[:KEY_BYTES], _capping(state, account, leased)
    below = standing(state, account, named)
    said = root in (named[:KEY_BYTES], named[KEY_BYTES:])
    known = any(each.operation is not None and each.operation.root == root for each in below)
    if not (said or known) or not _capping(state, account, named) <= above:
        judge.wrong(state, "operation of the lease", leased, named)


def _look_at_name(judge: Judge, state: State, leased: bytes, event: UsageLeased) -> None:
    """Whether the report named another operation, where that was asked."""
    if event.apart >= 0:
        apart = int(event.operation != leased)
        judge.equal(state, "whether it is apart from the lease", apart, event.apart)


def _capping(state: State, account: Account, named: bytes) -> set[int]:
    return {each.number for each in standing(state, account, named) if each.terms.hard}


def lease_returned(judge: Judge, state: State, event: LeaseReturned) -> None:
    """Once; written off is only what has lapsed."""
    hold = _open(judge, state, event.hold, event.account)
    if hold is not None and hold.lease is not None:
        lapsed = hold.lease.lapsed_at > 0
        judge.equal(state, "whether it is written off", int(lapsed), event.written_off)


def lease_lapsed(judge: Judge, state: State, event: LeaseLapsed) -> None:
    """When it is due, and what is not reported goes back, where that is agreed."""
    _lapses(judge, state, event.hold, event.account, event.unreported, goes_back=True)


def lease_overdue(judge: Judge, state: State, event: LeaseOverdue) -> None:
    """The same where it stays charged."""
    _lapses(judge, state, event.hold, event.account, event.unreported, goes_back=False)


def _lapses(
    judge: Judge, state: State, number: int, account: int, unreported: int, *, goes_back: bool
) -> None:
    hold = due_hold(judge, state, number, lease=True)
    if hold is None or hold.lease is None:
        return
    judge.equal(state, "account of the lease", hold.account.number, account)
    judge.equal(state, f"unreported of lease {number}", hold.left, unreported)
    returns = hold.lease.on_lapse == LeaseLapse.RETURN or hold.left == 0
    judge.equal(state, f"whether the slice of lease {number} goes back", returns, goes_back)


def lease_recalled(judge: Judge, state: State, event: LeaseRecalled) -> None:
    hold = _open(judge, state, event.hold, event.account)
    if hold is not None and hold.lease is not None:
        judge.equal(state, f"when lease {hold.number} lapsed", 0, hold.lease.lapsed_at)
    if event.keep < 0:
        judge.wrong(state, "units that a lease comes down to", "0 or more", event.keep)


def _open(judge: Judge, state: State, number: int, account: int) -> Hold | None:
    open_hold(judge, state, number, account, lease=True)
    return state.holds.get(number)


# -- what it counts in budgets ---------------------------------------------------------------------


def escrow_counted(
    judge: Judge,
    state: State,
    account: Account,
    of: LeaseGranted | LeaseRenewed,
    event: BudgetsCounted,
) -> None:
    """After an entry of a lease all that is in escrow pends in each budget of a charge that applies
    to it; tags are those of a card, which nobody here has."""
    plan = state.declared[of.plan]
    amount = sum([piece.amount for piece in of.slices])
    moved: dict[int, int] = {}
    pended: dict[int, int] = {}
    family = state.families[account.root]
    for number in family.budgeted_holds.get(event.hold, ()):
        of_budget = _budget_of(family, number)
        pended[of_budget] = pended.get(of_budget, 0) + family.budgets[number].held[event.hold][1]
    for move in event.moves:
        judge.equal(state, f"posted in budget {move.budget}", 0, move.posted)
        of_budget = _budget_of(family, move.budget)
        moved[of_budget] = moved.get(of_budget, 0) + move.pending
    node: Account | None = account
    while node is not None:
        for budget in node.budgets:
            _look_at_budget(judge, state, budget, plan, amount, pended, moved)
        node = node.parent
    covers = standing(state, account, state.holds[event.hold].operation)
    for budget in covers:
        _look_at_budget(judge, state, budget, plan, amount, pended, moved)
    for number in moved:
        budget = family.budgets[number]
        if budget.operation is not None and budget not in covers and moved[number] > 0:
            judge.wrong(state, f"in escrow in budget {number}", "one of its operation", number)


def _look_at_budget(
    judge: Judge,
    state: State,
    budget: Budget,
    plan: PlanDeclared,
    amount: int,
    pended: dict[int, int],
    moved: dict[int, int],
) -> None:
    terms, number = budget.terms, budget.number
    if terms.measure != BudgetMeasure.CHARGE or terms.tags or terms.asset != plan.asset:
        return
    named = not terms.products or plan.product in terms.products
    applies = named and set(terms.attributes) <= set(plan.attributes)
    pends = pended.get(number, 0) + moved.get(number, 0)
    judge.equal(state, f"in escrow in budget {number}", amount if applies else 0, pends)
    if not terms.hard or terms.window.kind != WindowKind.LIFETIME or budget.values is not None:
        return
    more = moved.get(number, 0)
    left = terms.limit - sum(budget.counter.within(terms.window, state.now))
    if pended.get(number, 0) and 0 < more > left:
        judge.wrong(state, f"in escrow of budget {number}", f"up to {left} more", more)


def _budget_of(family: Family, number: int) -> int:
    """Number of the budget that has a counter: its own, or one of a value."""
    of = family.budgets[number].of
    return of.number if of is not None else number
