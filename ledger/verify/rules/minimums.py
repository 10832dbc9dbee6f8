"""Minimums: once a period, when it is over, what it lacks and no more (rules R2, S1, T2)."""

from __future__ import annotations

from ledger.core.events import BookKind, MinimumCharged, MinimumsAwaited, Pot
from ledger.core.funding.minimums import PRODUCT
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.usage import look_at_slices, over_limit_of
from rating.functions import SCOPE_MINIMUM
from rating.minimums import minimum_key
from rating.models import Minimum, MinimumScope
from rating.rounding import ROUND_HALF_EVEN, rounded

_SCOPES = {
    1: MinimumScope.LINE,
    2: MinimumScope.PRODUCT,
    3: MinimumScope.ACCOUNT,
    4: MinimumScope.CONTRACT,
}
_OF_CONTRACT = 4


def minimums_awaited(judge: Judge, state: State, event: MinimumsAwaited) -> None:
    if event.tenant in state.minimums_from:
        judge.wrong(state, "minimums of a tenant", "awaited once", event.tenant)


def minimum_charged(judge: Judge, state: State, event: MinimumCharged) -> None:
    account = state.accounts[event.account]
    if account.tenant not in state.minimums_from:
        judge.wrong(state, "tenant with minimums", "one that awaits them", account.tenant)
    judge.equal(state, "closed", 0, account.closed_at)
    if event.start < account.minimums_until:
        judge.wrong(state, "period", f"from {account.minimums_until} on", event.start)
    if not event.start < event.end <= account.closed_by(state.now):
        judge.wrong(state, "period", "one whose grace has ended", event.end)
    judge.equal(state, "effective time", event.end - 1, event.effective_at)
    if not event.period <= event.effective_at:
        judge.wrong(state, "month", f"that of {event.effective_at}", event.period)
    time = sum([length for _, length in event.parts])
    if not 0 <= time <= event.full or min([length for _, length in event.parts], default=1) <= 0:
        judge.wrong(state, "time that it was in force", f"0 to {event.full}", time)
    due = sum([most * length for most, length in event.parts])
    least = rounded(due, event.full, ROUND_HALF_EVEN)
    judge.equal(state, "minimum", least, event.minimum)
    of_contract = event.scope == _OF_CONTRACT
    usage = _charged(account, _key(event), event.start, of_contract)
    earlier = usage if of_contract else _with_earlier(account, _key(event), event.start)
    if of_contract:
        had = sum(
            [
                max(0, min(each.until, event.end) - max(each.starts_at, event.start))
                for each in account.contracts
            ]
        )
        if time > had:
            judge.wrong(state, "time of a contract", f"{had} at most", time)
    if event.scope == 1:
        if event.charged not in (usage, earlier):  # older journals leave out what came earlier
            judge.wrong(state, "charged", usage, event.charged)
    elif event.charged < usage:  # minimums within it may have added to that
        judge.wrong(state, "charged", f"{usage} or more", event.charged)
    taken = sum([piece.amount for piece in event.slices])
    judge.equal(state, "sum of slices", max(0, event.minimum - event.charged), taken)
    judge.equal(state, "over_limit", over_limit_of(event.slices), event.over_limit)
    look_at_slices(judge, state, account, event.slices, event.asset)
    if event.cash_only and any(piece.pot != Pot.OVERAGE for piece in event.slices):
        judge.wrong(state, "slices of what is billed in money", "overage", event.slices)
    if event.slices:
        book = state.books.accounts[event.used_book]
        of_product = (BookKind.USED, event.asset, event.product or PRODUCT)
        judge.equal(
            state, f"book {event.used_book}", of_product, (book.kind, book.asset, book.name)
        )


def _key(event: MinimumCharged) -> int:
    scope = _SCOPES[event.scope]
    return minimum_key(event.card, Minimum(scope, "0", event.product, event.quantity))


def _charged(account: Account, key: int, start: int, of_contract: bool) -> int:
    """Of the account and of those below it that have its card by inheritance, and of a contract's
    no contract of their own."""
    total = account.scoped.get((key, SCOPE_MINIMUM, start), 0)
    heirs = [child for child in account.children if not child.policy.rate_card]
    if of_contract:
        heirs = [child for child in heirs if all(each.state == 1 for each in child.contracts)]
    return total + sum([_charged(child, key, start, of_contract) for child in heirs])


def _with_earlier(account: Account, key: int, start: int) -> int:
    """The same with what those that name a card by now were charged before they did, in a period
    that is none of their own."""
    total = account.scoped.get((key, SCOPE_MINIMUM, start), 0)
    for child in account.children:
        if not child.policy.rate_card or child.billing_period_of(start) != start:
            total += _with_earlier(child, key, start)
    return total
