"""Payments: no more back than was paid, no more paid than is owed (rules F2 to F4)."""

from __future__ import annotations

from ledger.core.events import (
    AccountBilled,
    BookKind,
    CreditNoteIssued,
    GrantChargedBack,
    GrantKind,
    GrantRefunded,
    PaymentRecorded,
    ReceivableWrittenOff,
)
from ledger.core.state import GRANT_OPEN, State
from ledger.verify.rules.judge import Judge, look_at_kind, look_at_taken


def grant_refunded(judge: Judge, state: State, event: GrantRefunded) -> None:
    """At most P x left / A, of a grant that was paid for, to its own cash (rule F2)."""
    grant = state.grants[event.grant]
    what = f"grant {event.grant}"
    judge.equal(state, f"state of {what}", GRANT_OPEN, grant.settled)
    judge.equal(state, f"kind of {what}", GrantKind.PREPAID, grant.kind)
    look_at_taken(judge, state, event.grant, event.amount)
    most = (grant.price_paid - grant.returned) * event.amount // max(1, grant.whole)
    judge.equal(state, f"refund of {what}", most, event.refunded)
    if event.refunded:
        look_at_kind(judge, state, event.cash_book, BookKind.CASH, grant.price_asset)
        own = grant.cash.number if grant.cash is not None else 0
        judge.equal(state, f"cash of {what}", own, event.cash_book)
    if event.breakage:
        look_at_kind(judge, state, event.breakage_book, BookKind.BREAKAGE, grant.price_asset)
    deferred = grant.book.value_book
    left = -deferred.owed if deferred is not None else 0
    out = event.refunded + event.breakage
    if not 0 <= out <= left or event.breakage < 0:
        judge.wrong(state, f"money taken from {what}", f"0 to {left}", out)


def grant_charged_back(judge: Judge, state: State, event: GrantChargedBack) -> None:
    """All that was paid and not refunded, once, out of what is left and what is owed (F3)."""
    paid = state.grants[event.grant]
    what = f"grant {event.grant}"
    judge.equal(state, f"account of {what}", event.account, paid.account.number)
    judge.equal(state, f"payment of {what}", paid.paid, event.payment)
    cash = paid.cash.number if paid.cash is not None else 0
    judge.equal(state, f"cash of {what}", cash, event.cash_book)
    look_at_kind(judge, state, event.cash_book, BookKind.CASH, paid.price_asset)
    look_at_kind(judge, state, event.receivable_book, BookKind.RECEIVABLE, paid.price_asset)
    out = sum([part.value for part in event.parts]) + event.owed
    judge.equal(state, f"sum taken back of {what}", event.payment, out)
    if event.owed < 0 or event.payment <= 0:
        judge.wrong(state, f"money taken back of {what}", "above 0", event.payment)
    family = [each.number for each in paid.account.grants if each is paid or each.part_of is paid]
    found = [part.grant for part in event.parts]
    judge.equal(state, f"parts of {what}", family, found)
    for part in event.parts:
        grant = state.grants[part.grant]
        look_at_taken(judge, state, part.grant, part.amount)
        ends = grant.settled == GRANT_OPEN
        judge.equal(state, f"whether grant {part.grant} ends", ends, part.ends)
        deferred = grant.book.value_book
        left = -deferred.owed if deferred is not None else 0
        if not 0 <= part.value <= left:
            judge.wrong(state, f"money of grant {part.grant}", f"0 to {left}", part.value)


def account_billed(judge: Judge, state: State, event: AccountBilled) -> None:
    """Each line of a book of the account's own, never more than is owed in it (B3, B4)."""
    account = state.accounts[event.account]
    if not event.lines:
        judge.wrong(state, "lines of the bill", "some", "none")
    owed: dict[int, int] = {}
    for line in event.lines:
        debit, credit = (state.books.accounts[book] for book in (line.debit, line.credit))
        money = credit.kind == BookKind.UNBILLED
        what = f"bill of book {credit.number}"
        if credit.kind == BookKind.COMMITMENT:
            owner = state.grants[credit.owner].account.number
            judge.equal(state, f"{what}, grant", credit.owner, line.grant)
        else:
            owner = credit.owner
            if credit.kind not in (BookKind.UNBILLED, BookKind.OVERAGE):
                judge.wrong(state, f"{what}, kind", "what is owed", credit.kind)
        judge.equal(state, f"{what}, owner", account.number, owner)
        kind = BookKind.RECEIVABLE if money else BookKind.SETTLED
        look_at_kind(judge, state, debit.number, kind, line.asset)
        judge.equal(state, f"{what}, asset", line.asset, credit.asset)
        if money:
            judge.equal(state, f"{what}, payer", account.number, debit.owner)
        left = owed.setdefault(credit.number, credit.owed)
        if not 0 < line.amount <= left:
            judge.wrong(state, what, f"1 to {left}", line.amount)
        owed[credit.number] = left - line.amount


def payment_recorded(judge: Judge, state: State, event: PaymentRecorded) -> None:
    _lowered(judge, state, event, event.cash_book, BookKind.CASH)


def credit_note_issued(judge: Judge, state: State, event: CreditNoteIssued) -> None:
    _lowered(judge, state, event, event.book, BookKind.CREDIT_NOTE)


def receivable_written_off(judge: Judge, state: State, event: ReceivableWrittenOff) -> None:
    _lowered(judge, state, event, event.book, BookKind.BAD_DEBT)


def _lowered(
    judge: Judge,
    state: State,
    event: PaymentRecorded | CreditNoteIssued | ReceivableWrittenOff,
    debit: int,
    kind: BookKind,
) -> None:
    """Never more than the account was billed and has not paid (rules B4, F4)."""
    receivable = state.books.accounts[event.receivable_book]
    look_at_kind(judge, state, debit, kind, event.asset)
    look_at_kind(judge, state, event.receivable_book, BookKind.RECEIVABLE, event.asset)
    judge.equal(state, "owner of the receivable", event.account, receivable.owner)
    if not 0 < event.amount <= receivable.owed:
        most = f"1 to {receivable.owed}"
        judge.wrong(state, f"paid of book {receivable.number}", most, event.amount)
