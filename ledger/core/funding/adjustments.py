"""Deciding manual adjustments: units credited or debited by hand, with a reason (rules B2, B3, D3).

For what no correction can put right: usage older than 400 days, goodwill, a migration. A credit is
a free grant, debit `promotion`; or goes back to a grant that it had been drawn from, debit
`used/adjustment`. A debit is drawn like usage of the product `adjustment`, so what a paid grant
loses is recognised. Reads state, changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from ledger.core.admission import open_account
from ledger.core.books import Book
from ledger.core.commands import AdjustBalance, IssueGrant
from ledger.core.drawing.drawdown import draw
from ledger.core.drawing.unwinding import value_given_back
from ledger.core.events import (
    BalanceAdjusted,
    BookKind,
    Event,
    GivenBack,
    GrantKind,
    Pot,
    Slice,
)
from ledger.core.funding.grants import decide_issue
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import INT64_MAX
from ledger.core.opening import house_book, open_revenue
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import GRANT_OPEN, Account, Grant, State

PRODUCT: Final = "adjustment"
"""What units are drawn as when they are debited by hand."""


def decide_adjust(
    state: State, command: AdjustBalance, out: list[Event]
) -> Event | Known | Refusal:
    """Credit or debit by hand; a debit that no pot affords is refused."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    found = state.catalog.assets.get(command.asset)
    if found is None or found.tenant != account.tenant:
        return Refusal(
            Reason.ASSET_UNKNOWN,
            "asset",
            str(command.asset),
            "the tenant has no such asset; create it first",
        )
    if not 0 < abs(command.amount) <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "amount",
            str(command.amount),
            "an adjustment is not 0 and fits 64 bits",
        )
    if command.expires_at and (command.amount < 0 or command.grant):
        return Refusal(
            Reason.EXPIRY_INVALID,
            "expires_at_us",
            str(command.expires_at),
            "only a credit to a new grant expires",
        )
    grant: Grant | None = None
    if command.grant:
        grant = state.grants.get(command.grant)
        refusal = _unusable(account, command, grant)
        if refusal is not None:
            return refusal
    if command.amount < 0:
        return _debit(state, account, command, grant, out)
    if grant is not None:
        return _credit(state, account, command, grant, out)
    return _credit_anew(state, command, out)


def _unusable(account: Account, command: AdjustBalance, grant: Grant | None) -> Refusal | None:
    if grant is None or grant.account is not account or grant.asset != command.asset:
        return Refusal(
            Reason.GRANT_UNKNOWN,
            "grant_id",
            str(command.grant),
            "the account has no such grant of this asset",
        )
    if grant.settled != GRANT_OPEN:
        return Refusal(
            Reason.GRANT_SETTLED,
            "grant_id",
            str(command.grant),
            "the grant is voided or expired already; credit a new one",
        )
    return None


def _credit_anew(state: State, command: AdjustBalance, out: list[Event]) -> Event | Refusal:
    """A free grant: debit promotion, credit grant (rule B3), under a key of its own."""
    issue = IssueGrant(
        blake2b(b"adjust" + command.key, digest_size=KEY_BYTES).digest(),
        command.account,
        GrantKind.PROMOTIONAL,
        command.asset,
        command.amount,
        0,
        0,
        0,
        0,
        command.expires_at,
        (),
        b"",
        trace=command.trace,
    )
    number = state.next_grant
    issued = decide_issue(state, issue, out)
    if isinstance(issued, Refusal):
        return issued
    assert not isinstance(issued, Known), "the key of a grant before that of its adjustment"
    return _record(command, out, grant=number)


def _credit(
    state: State, account: Account, command: AdjustBalance, grant: Grant, out: list[Event]
) -> Event | Refusal:
    """Back to a grant, no more than was drawn from it."""
    if command.amount > grant.drawn:
        return Refusal(
            Reason.CORRECTION_TOO_LARGE,
            "amount",
            str(grant.drawn),
            "more would go back to the grant than was drawn from it; credit a new grant",
        )
    used = house_book(state, account.tenant, BookKind.USED, command.asset, PRODUCT, out)
    book: Book = grant.book
    value = value_given_back(grant, command.amount)
    money = 0
    if value and book.value_book is not None:
        money = book.value_book.number
        asset = book.value_book.asset
        house_book(state, account.tenant, BookKind.REVENUE, asset, PRODUCT, out)
    back = (GivenBack(book.number, book.number, command.amount, value, money_book=money),)
    return _record(command, out, grant=grant.number, used_book=used, given_back=back)


def _debit(
    state: State,
    account: Account,
    command: AdjustBalance,
    grant: Grant | None,
    out: list[Event],
) -> Event | Refusal:
    """From the grant that is named, or by the waterfall of authorisation (rule D4)."""
    amount = -command.amount
    now = state.now
    period = account.calendar.start_of(now)
    opened: list[Event] = []
    use = state.catalog.card(account.card_key).use_at(PRODUCT, now)
    slices: list[Slice] = []
    if grant is not None:
        left = max(0, amount - grant.book.available)
        if not left:  # of units that are not there nothing is known, nor what they cost
            value = grant.value_of(amount)
            slices = [Slice(int(Pot.GRANT), grant.book.number, amount, value)]
    else:
        drawn = draw(state, account, command.asset, use, amount, now, period, opened, False)
        slices, left = drawn.slices, drawn.left
    if left:
        return Refusal(
            Reason.INSUFFICIENT_CREDITS,
            "amount",
            str(amount - left),
            "so much can be debited, with what overdraft and overage afford; debit less",
        )
    out.extend(opened)
    used = house_book(state, account.tenant, BookKind.USED, command.asset, PRODUCT, out)
    open_revenue(state, account.tenant, PRODUCT, slices, out)
    number = grant.number if grant is not None else 0
    return _record(command, out, grant=number, used_book=used, slices=tuple(slices), period=period)


def _record(
    command: AdjustBalance,
    out: list[Event],
    *,
    grant: int = 0,
    used_book: int = 0,
    slices: tuple[Slice, ...] = (),
    given_back: tuple[GivenBack, ...] = (),
    period: int = 0,
) -> Event:
    adjusted = BalanceAdjusted(
        command.key,
        command.account,
        command.asset,
        command.amount,
        grant,
        1 if command.grant else 0,
        used_book,
        slices,
        given_back,
        period,
        command.expires_at,
        command.note,
        command.trace,
    )
    out.append(adjusted)
    return adjusted
