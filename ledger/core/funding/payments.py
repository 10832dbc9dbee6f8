"""Deciding money: payments of gated grants, refunds, chargebacks, bills and what becomes of them
(rules B3, B4, F1 to F4). Reads state, changes nothing.

A payment, refund or chargeback has happened at the bank: a closed or frozen account takes it too.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.core.admission import known_account, recorded_before
from ledger.core.books import Book
from ledger.core.commands import (
    BillAccount,
    ChargeBack,
    ConfirmPayment,
    FailPayment,
    IssueCreditNote,
    RecordPayment,
    RefundGrant,
    WriteOffReceivable,
)
from ledger.core.events import (
    AccountBilled,
    AccountFrozen,
    BillLine,
    BookKind,
    ChargedBackPart,
    CreditNoteIssued,
    Event,
    FreezeCause,
    GrantChargedBack,
    GrantKind,
    GrantRefunded,
    GrantReleased,
    PaymentRecorded,
    ReceivableWrittenOff,
)
from ledger.core.funding.grants import MANUAL, backfills_of, breakage_book, cancelled, grant_of
from ledger.core.limits import INT64_MAX
from ledger.core.opening import house_book, owned_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import (
    GRANT_OPEN,
    Account,
    Grant,
    State,
)

# -- gated grants (rule F1) ------------------------------------------------------------------------


def decide_confirm(
    state: State, command: ConfirmPayment, out: list[Event]
) -> Event | Known | Refusal:
    """Release what a payment pays for: floor(A x paid / P) in all, the last payment the rest."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    grant = _awaiting(state, command.account, command.grant)
    if isinstance(grant, Refusal):
        return grant
    refusal = _other_currency(command.asset, grant) or _above("amount", command.amount, grant)
    if refusal is not None:
        return refusal
    payment = command.amount or grant.unpaid
    unpaid = grant.unpaid - payment
    released = grant.amount - grant.pending
    amount = grant.amount * (grant.price_paid - unpaid) // grant.price_paid - released
    source = grant.funding.name or MANUAL
    tenant = grant.account.tenant
    cash = house_book(state, tenant, BookKind.CASH, grant.price_asset, source, out)
    takes_effect = not grant.scheduled and state.now < grant.expires_at
    repaid = backfills_of(state, grant, amount if takes_effect else 0, out)
    confirmed = GrantReleased(
        command.key,
        command.account,
        grant.number,
        amount,
        payment,
        cash,
        repaid,
        0 if command.amount else 1,
        command.trace,
    )
    out.append(confirmed)
    return confirmed


def decide_fail(state: State, command: FailPayment, out: list[Event]) -> Event | Known | Refusal:
    """Cancel what pends; what was paid for stays."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    grant = _awaiting(state, command.account, command.grant)
    if isinstance(grant, Refusal):
        return grant
    failed = cancelled(grant, command.key, command.trace)
    out.append(failed)
    return failed


def _awaiting(state: State, account: int, number: int) -> Grant | Refusal:
    """A grant that waits for its payment, or why it does not."""
    grant = state.grants.get(number)
    if grant is not None and grant.account.number == account and grant.cancelled:
        return Refusal(
            Reason.PAYMENT_LATE,
            "grant_id",
            str(number),
            "what waited for the payment is cancelled already: refund the payment, or issue a new "
            "grant for it",
        )
    found = grant_of(state, account, number)
    if isinstance(found, Refusal):
        return found
    if not found.pending:
        return Refusal(
            Reason.PAYMENT_NOT_AWAITED,
            "grant_id",
            str(number),
            "the grant waits for no payment: it was not gated, or is paid in full",
        )
    return found


def _other_currency(asset: int, grant: Grant) -> Refusal | None:
    if asset in (0, grant.price_asset):
        return None
    return Refusal(
        Reason.CURRENCY_DIFFERS,
        "asset",
        str(asset),
        "the grant has its price in another currency; name that one",
    )


def _above(field: str, amount: int, grant: Grant) -> Refusal | None:
    if 0 <= amount <= grant.unpaid:
        return None
    if amount < 0:
        return Refusal(
            Reason.AMOUNT_INVALID, field, str(amount), "a payment is above 0; 0 = all that is left"
        )
    return Refusal(
        Reason.AMOUNT_EXCEEDS_OWED,
        field,
        str(grant.unpaid),
        "only so much of the price is yet to be paid",
    )


# -- refunds and chargebacks (rules F2, F3) --------------------------------------------------------


def decide_refund(state: State, command: RefundGrant, out: list[Event]) -> Event | Known | Refusal:
    """Take unused units back and pay back at most P x left / A, rounded down."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    grant = grant_of(state, command.account, command.grant)
    if isinstance(grant, Refusal):
        return grant
    refusal = _not_paid(grant)
    if refusal is not None:
        return refusal
    left = grant.book.available
    amount = command.amount or left
    if not 0 < amount <= left:
        reason = Reason.REFUND_TOO_LARGE if amount >= 0 else Reason.AMOUNT_INVALID
        value = left if amount >= 0 else amount
        return Refusal(
            reason, "units", str(value), "only units that are left and not held are refunded"
        )
    assert grant.cash is not None
    refunded = grant.share_of(amount)
    breakage = book = 0
    if amount == grant.book.credits_posted - grant.book.debits_posted and not grant.pending:
        breakage = grant.rest_of(amount) - refunded
        book = breakage_book(state, grant, out) if breakage else 0
    refund = GrantRefunded(
        command.key,
        command.account,
        grant.number,
        amount,
        refunded,
        grant.cash.number if refunded else 0,
        breakage,
        book,
        0 if command.amount else 1,
        command.note,
        command.trace,
    )
    out.append(refund)
    return refund


def _not_paid(grant: Grant) -> Refusal | None:
    """Whether there is a payment that could go back: of a grant, or of what it was part of."""
    if grant.cash is not None and grant.cash.kind == BookKind.RECEIVABLE:
        return Refusal(
            Reason.CHARGED_BACK,
            "grant_id",
            str(grant.number),
            "the bank took the payment back already",
        )
    if grant.cash is not None and grant.cash.kind == BookKind.CASH:
        return None  # a prepaid commitment's price is in no cash: it is owed until its bill is paid
    return Refusal(
        Reason.NOT_PAID,
        "grant_id",
        str(grant.number),
        "no payment came for the grant: it is free, billed, or waits for it; void it instead",
    )


def decide_chargeback(
    state: State, command: ChargeBack, out: list[Event]
) -> Event | Known | Refusal:
    """The whole payment leaves cash: out of deferred for what is left, which is void, and out of
    what the account owes from now on for what was used or forfeited."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    grant = state.grants.get(command.grant)
    if grant is None or grant.account.number != command.account:
        return Refusal(
            Reason.GRANT_UNKNOWN,
            "grant_id",
            str(command.grant),
            "the account has no such grant",
        )
    refusal = _not_paid(grant) or _paid_otherwise(grant)
    if refusal is not None:
        return refusal
    assert grant.cash is not None
    account, payment = grant.account, grant.paid
    if grant.pending:
        out.append(cancelled(grant, ends=False))
    parts: list[ChargedBackPart] = []
    for each in account.grants:
        if each is grant or each.part_of is grant:
            settled = each.settled != GRANT_OPEN
            amount = 0 if settled else each.book.available
            value = 0 if settled or each.book.value_book is None else each.rest_of(amount)
            parts.append(ChargedBackPart(each.number, amount, value, not settled))
    receivable = owned_book(
        state, BookKind.RECEIVABLE, account.receivable, account, grant.price_asset, out
    )
    taken = GrantChargedBack(
        command.key,
        account.number,
        grant.number,
        payment,
        grant.cash.number,
        receivable,
        payment - sum([part.value for part in parts]),
        tuple(parts),
        command.note,
        command.trace,
    )
    out.append(taken)
    if account.policy.freeze_on_chargeback and not account.frozen_at and not account.closed_at:
        out.append(AccountFrozen(b"", account.number, FreezeCause.CHARGEBACK))
    return taken


def _paid_otherwise(grant: Grant) -> Refusal | None:
    if grant.part_of is not None:
        return Refusal(
            Reason.NOT_PAID,
            "grant_id",
            str(grant.number),
            "the grant is a part of another one, which was paid for: name that",
        )
    if grant.paid <= 0:
        return Refusal(
            Reason.NOT_PAID, "grant_id", str(grant.number), "the payment was refunded in full"
        )
    return None


# -- bills (rules B3, B4) --------------------------------------------------------------------------


def decide_bill(state: State, command: BillAccount, out: list[Event]) -> Event | Known | Refusal:
    """Bill what is owed by now: units are settled, money moves from unbilled to receivable."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    found = state.catalog.assets.get(command.asset)
    if command.asset and (found is None or found.tenant != account.tenant):
        return Refusal(
            Reason.ASSET_UNKNOWN,
            "asset",
            str(command.asset),
            "the tenant has no such asset; create it first",
        )
    if not 0 <= command.most <= INT64_MAX or (command.most and not command.asset):
        return Refusal(
            Reason.AMOUNT_INVALID,
            "amount",
            str(command.most),
            "an amount is from 1 to 2^63 - 1, of an asset that is named; 0 = all",
        )
    lines: list[BillLine] = []
    opened: list[Event] = []
    owing = {*account.unbilled, *account.overage}
    for asset in sorted(owing & {command.asset} if command.asset else owing):
        lines.extend(_bill(state, account, asset, command.most, opened))
    if not lines:
        return Refusal(
            Reason.NOTHING_OWED,
            "account",
            str(account.number),
            "the account owes nothing that was not billed",
        )
    out.extend(opened)
    bill = AccountBilled(
        command.key,
        account.number,
        tuple(lines),
        command.asset,
        command.most,
        command.note,
        command.trace,
    )
    out.append(bill)
    return bill


def _bill(
    state: State, account: Account, asset: int, most: int, out: list[Event]
) -> Iterator[BillLine]:
    """One asset: its overage and, where it is money, what is unbilled and the commitments whose
    draws it paid. Of a part of the money the same part of the units is settled, rounded down."""
    overage, unbilled = account.overage.get(asset), account.unbilled.get(asset)
    if unbilled is None:
        assert overage is not None
        due = max(0, overage.owed)
        yield from _settle(state, overage, min(due, most or due), out)
        return
    owed = max(0, unbilled.owed)
    billed = min(owed, most or owed)
    if overage is not None and overage.owed > 0:
        yield from _settle(state, overage, _part(overage.owed, billed, owed, most), out)
    for book, due in _commitments(account, unbilled):
        yield from _settle(state, book, _part(due, billed, owed, most), out)
    if billed:
        receivable = owned_book(state, BookKind.RECEIVABLE, account.receivable, account, asset, out)
        yield from _split(receivable, unbilled, billed)


def _part(due: int, billed: int, owed: int, most: int) -> int:
    if billed == owed:
        return due if owed or not most else 0
    return due * billed // owed


def _commitments(account: Account, unbilled: Book) -> Iterator[tuple[Book, int]]:
    """What is owed in units of each postpaid commitment: what was committed and neither taken back
    nor billed, less what its grants still have (rule B3)."""
    owed: dict[int, tuple[Book, int]] = {}
    for grant in account.grants:
        if grant.kind == GrantKind.POSTPAID and grant.book.value_book is unbilled:
            book = grant.funding
            left = grant.book.credits_posted - grant.book.debits_posted
            before = owed[book.number][1] if book.number in owed else book.owed
            owed[book.number] = (book, before - left)
    for book, due in owed.values():
        if due > 0:
            yield book, due


def _settle(state: State, book: Book, amount: int, out: list[Event]) -> Iterator[BillLine]:
    if amount > 0:
        settled = house_book(state, book.tenant, BookKind.SETTLED, book.asset, "", out)
        yield from _split(settled, book, amount)


def _split(debit: int, credit: Book, amount: int) -> Iterator[BillLine]:
    """What does not fit one transfer is split (rule N1)."""
    grant = credit.owner if credit.kind == BookKind.COMMITMENT else 0
    while amount:
        fits = min(amount, INT64_MAX)
        yield BillLine(debit, credit.number, credit.asset, fits, grant)
        amount -= fits


# -- what becomes of a bill (rules B4, F4) ---------------------------------------------------------


def decide_payment(
    state: State, command: RecordPayment, out: list[Event]
) -> Event | Known | Refusal:
    """A bill is paid, wholly or in part: debit cash, credit receivable."""
    owing = _receivable(state, command)
    if not isinstance(owing, Book):
        return owing
    source = command.source or MANUAL
    cash = house_book(state, owing.tenant, BookKind.CASH, command.asset, source, out)
    paid = PaymentRecorded(
        command.key,
        command.account,
        command.asset,
        command.amount,
        cash,
        owing.number,
        command.source,
        command.note,
        command.trace,
    )
    out.append(paid)
    return paid


def decide_credit_note(
    state: State, command: IssueCreditNote, out: list[Event]
) -> Event | Known | Refusal:
    """Waive a part of a bill: debit credit_note, credit receivable."""
    owing = _receivable(state, command)
    if not isinstance(owing, Book):
        return owing
    book = house_book(state, owing.tenant, BookKind.CREDIT_NOTE, command.asset, "", out)
    noted = CreditNoteIssued(
        command.key,
        command.account,
        command.asset,
        command.amount,
        book,
        owing.number,
        command.note,
        command.trace,
    )
    out.append(noted)
    return noted


def decide_write_off(
    state: State, command: WriteOffReceivable, out: list[Event]
) -> Event | Known | Refusal:
    """Give up a part of a bill: debit bad_debt, credit receivable."""
    owing = _receivable(state, command)
    if not isinstance(owing, Book):
        return owing
    book = house_book(state, owing.tenant, BookKind.BAD_DEBT, command.asset, "", out)
    written_off = ReceivableWrittenOff(
        command.key,
        command.account,
        command.asset,
        command.amount,
        book,
        owing.number,
        command.note,
        command.trace,
    )
    out.append(written_off)
    return written_off


def _receivable(
    state: State, command: RecordPayment | IssueCreditNote | WriteOffReceivable
) -> Book | Known | Refusal:
    """The book that so much is owed in, or why there is none."""
    account = known_account(state, command.key, command.account)
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
    if not 0 < command.amount <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID, "amount", str(command.amount), "an amount is from 1 to 2^63 - 1"
        )
    book = account.receivable.get(command.asset)
    if book is None and account.receivable:
        return Refusal(
            Reason.CURRENCY_DIFFERS,
            "asset",
            found.code,
            "the account was never billed in this currency, but in another",
        )
    owed = max(0, book.owed) if book is not None else 0
    if book is None or command.amount > owed:
        return Refusal(
            Reason.AMOUNT_EXCEEDS_OWED,
            "amount",
            str(owed),
            "only so much was billed and is not paid; bill first what is owed beyond it",
        )
    return book
