"""What the provider takes: by its own card, in its own books, borne by the slices (B4, N3)."""

from __future__ import annotations

from ledger.core.events import (
    BookKind,
    PlanDeclared,
    ProviderCost,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge, look_at_kind


def look_at_cost(judge: Judge, state: State, event: UsageRecorded) -> None:
    """The slices bear the known lines by their amounts, to the unit."""
    cost = event.cost
    total = 0
    if cost is not None:
        _look_at(judge, state, event.plan, event.quantities, cost)
        total = cost.total
    borne = sum([piece.cost for piece in event.slices])
    judge.equal(state, "cost of the slices", total if event.slices else 0, borne)
    amount = sum([piece.amount for piece in event.slices])
    for piece in event.slices:
        if abs(piece.cost * amount - total * piece.amount) >= amount:
            share = f"{total} x {piece.amount} / {amount}"
            judge.wrong(state, f"cost of the slice of book {piece.book}", share, piece.cost)


def look_at_cost_taken_less(
    judge: Judge, state: State, account: Account, event: UsageReversed
) -> None:
    """Only what a request or an amendment asks for, and no total falls below zero."""
    cost = event.cost
    if cost is None:
        return
    _look_at(judge, state, event.plan, event.quantities, cost)
    if min(cost.lines, default=0) < 0:
        judge.wrong(state, "cost taken less", "0 or more", min(cost.lines))
    if not (event.refund_cost or event.replaced_by) or event.as_charged:
        judge.wrong(state, "cost taken less", "none: nobody asked for it", cost.total)
    for row, quantity in cost.advances:
        before = account.totals.get((~row, event.period), 0)
        if not 0 < quantity <= before:
            judge.wrong(state, f"quantity taken off cost row {row}", f"1 to {before}", quantity)


def _look_at(
    judge: Judge, state: State, plan: int, quantities: tuple[int, ...], cost: ProviderCost
) -> None:
    priced, declared = state.declared[plan], state.declared[cost.plan]
    judge.equal(state, "what the cost is for", _work(priced), _work(declared))
    judge.equal(state, "number of cost lines", len(quantities), len(cost.lines))
    if min(cost.lines, default=0) < -1:
        judge.wrong(state, "cost", "0 or more, or not known", min(cost.lines))
    if not cost.total:
        judge.equal(state, "books of no cost", True, cost.cost_book in (0, *state.books.accounts))
        return
    look_at_kind(judge, state, cost.cost_book, BookKind.COST, declared.asset)
    look_at_kind(judge, state, cost.payable_book, BookKind.PAYABLE, declared.asset)
    debit = state.books.accounts[cost.cost_book]
    credit = state.books.accounts[cost.payable_book]
    judge.equal(state, "provider", (debit.tenant, debit.name), (credit.tenant, credit.name))


def _work(plan: PlanDeclared) -> tuple[object, ...]:
    return plan.product, plan.attributes, plan.quantity_names
