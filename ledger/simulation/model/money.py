"""Money: payments of gated grants, refunds, chargebacks, bills and what becomes of them (B4, F)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind, GrantKind
from ledger.simulation.model.accounts import freeze
from ledger.simulation.model.grants import MANUAL, RULE, backfill, leave, take_cancelled, unsettled
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import VOIDED, NaiveAccount, NaiveGrant
from ledger.simulation.rules import Rule


def confirmed(m: Shard, event: e.GrantReleased) -> None:
    """floor(A x paid / P) is there in all, the last payment brings the rest (rule F1)."""
    account = m.deciding(event.account)
    grant = unsettled(m, event.grant, account)
    if not 0 < event.payment <= grant.unpaid:
        m.fail(RULE, f"a payment of {event.payment}, {grant.unpaid} is awaited")
    if event.rest:
        m.expect(RULE, "the rest of the price", grant.unpaid, event.payment)
    paid = grant.price - grant.unpaid + event.payment
    released = grant.amount - grant.pending
    amount = grant.amount * paid // grant.price - released
    m.expect(RULE, "units released", amount, event.amount)
    source = m.books[grant.funding].name or MANUAL
    m.expect_book(event.cash_book, BookKind.CASH, grant.price_asset, 0, source)
    grant.cash = event.cash_book
    m.pay(account, event.cash_book, grant.deferred, event.payment, grant)
    grant.unpaid -= event.payment
    if amount:
        m.books[grant.funding].debits_pending -= amount
        m.books[grant.book].credits_pending -= amount
        grant.pending -= amount
        m.transfer(grant.funding, grant.book, amount)
    in_force = not grant.scheduled and m.recorded_at < grant.over
    backfill(m, account, grant, event.backfills, amount if in_force else 0)


def was_paid(m: Shard, grant: NaiveGrant) -> str:
    """Why no payment of a grant can go back; "" where one can (rules F2, F3)."""
    if grant.cash and m.books[grant.cash].kind == BookKind.RECEIVABLE:
        return "CHARGED_BACK"
    paid = (
        grant.cash and m.books[grant.cash].kind == BookKind.CASH
    )  # else it is owed, billed or not
    return "" if paid else "NOT_PAID"


def refunded(m: Shard, event: e.GrantRefunded) -> None:
    """At most P x left / A, rounded down, to where it came from (rule F2)."""
    account = m.deciding(event.account)
    grant = unsettled(m, event.grant, account)
    m.expect(RULE, "why it is not refunded", "", was_paid(m, grant))
    if not 0 < event.amount <= grant.available or (event.rest and event.amount != grant.available):
        m.fail(RULE, f"{event.amount} refunded of {grant.available}")
    money, breakage = grant.share_of(event.amount), 0
    if event.amount == grant.left and not grant.pending:
        breakage = grant.rest_of(event.amount) - money
    m.expect(RULE, "refund", (money, breakage), (event.refunded, event.breakage))
    leave(m, grant, event.amount, grant.funding)
    m.expect(RULE, "cash", grant.cash if money else 0, event.cash_book)
    for out, book in ((money, event.cash_book), (breakage, event.breakage_book)):
        grant.returned += out
        if out:
            m.pay(account, grant.deferred, book, out, grant)
    if breakage:
        m.expect_book(event.breakage_book, BookKind.BREAKAGE, grant.price_asset)


def charged_back(m: Shard, event: e.GrantChargedBack) -> None:
    """All that was paid leaves cash: out of what is left, and what was used is owed (rule F3)."""
    account = m.deciding(event.account)
    paid = m.grants[event.grant]
    m.expect(RULE, "account", account.number, paid.account)
    m.expect(RULE, "why it is not charged back", "", was_paid(m, paid))
    m.expect(RULE, "what it is a part of", 0, paid.part_of)
    take_cancelled(m, paid)
    if paid.cash_in <= 0:
        m.fail(RULE, f"nothing is left of the payment of grant {paid.number}")
    m.expect(RULE, "payment and cash", (paid.cash_in, paid.cash), (event.payment, event.cash_book))
    m.expect_book(event.receivable_book, BookKind.RECEIVABLE, paid.price_asset, account.number)
    payment = paid.cash_in
    parts = [each for each in account.grants if each is paid or each.part_of == paid.number]
    m.expect(RULE, "parts", [each.number for each in parts], [each.grant for each in event.parts])
    out = 0
    for grant, part in zip(parts, event.parts, strict=True):
        amount = 0 if grant.settled else grant.available
        value = grant.rest_of(amount) if not grant.settled and grant.deferred else 0
        figures = (part.amount, part.value, part.ends)
        m.expect(RULE, f"part {grant.number}", (amount, value, not grant.settled), figures)
        leave(m, grant, amount, grant.funding)
        if value:
            m.pay(account, grant.deferred, event.cash_book, value, grant)
            grant.returned += value
        out += value
        grant.cash = event.receivable_book
        if not grant.settled:
            grant.settled = VOIDED
    m.expect(RULE, "what is owed", payment - out, event.owed)
    if event.owed:
        m.pay(account, event.receivable_book, event.cash_book, event.owed, paid)
    if account.policy.freeze_on_chargeback and not account.frozen_at and not account.closed_at:

        def freezes(found: e.AccountFrozen) -> None:
            m.expect_of_kind(found, e.AccountFrozen)
            m.expect(RULE, "cause", e.FreezeCause.CHARGEBACK, found.cause)
            freeze(m, account, found)

        m.then("a chargeback freezes the account", freezes)


def billed(m: Shard, event: e.AccountBilled) -> None:
    """Units are settled, money moves from unbilled to receivable (rules B3, B4)."""
    account = m.deciding(event.account)
    expected = bill_of(m, account, event.asset, event.most)
    found = []
    for line in event.lines:
        debit, credit = m.books[line.debit], m.books[line.credit]
        m.expect(RULE, "asset of the line", credit.asset, line.asset)
        grant = credit.owner if credit.kind == BookKind.COMMITMENT else 0
        m.expect(RULE, "grant of the line", grant, line.grant)
        found.append((debit.kind, line.credit, line.amount))
        m.transfer(line.debit, line.credit, line.amount)
        if credit.kind == BookKind.OVERAGE:
            account.overage[line.asset][0] -= line.amount
        if debit.kind == BookKind.RECEIVABLE:
            m.expect_book(line.debit, BookKind.RECEIVABLE, line.asset, account.number)
    m.expect(RULE, "lines of the bill", expected, found)
    if not expected:
        m.fail(RULE, "an empty bill")


def bill_of(m: Shard, account: NaiveAccount, asset: int, most: int) -> list[tuple[int, int, int]]:
    """(kind of the debit, credit, amount): what a bill of all (0) or a part takes. Of a part of the
    money the same part of the units is settled, rounded down."""
    lines = []
    for each in sorted({book.asset for book in m.books.values()}):
        if asset and each != asset:
            continue
        overage = m.find_book(BookKind.OVERAGE, account.tenant, each, account.number)
        unbilled = m.find_book(BookKind.UNBILLED, account.tenant, each, account.number)
        units: list[tuple[int, int]] = []  # (book, units owed)
        if overage and m.books[overage].owed > 0:
            units.append((overage, m.books[overage].owed))
        if unbilled:
            units += _commitments(m, account, unbilled)
        money = max(0, m.books[unbilled].owed) if unbilled else 0
        taken = min(money, most or money)
        for book, owed in units:
            if not unbilled:
                amount = min(owed, most or owed)
            elif money == taken:
                amount = owed if money or not most else 0
            else:
                amount = owed * taken // money
            if amount:
                lines.append((int(BookKind.SETTLED), book, amount))
        if taken:
            lines.append((int(BookKind.RECEIVABLE), unbilled, taken))
    return lines


def _commitments(m: Shard, account: NaiveAccount, unbilled: int) -> list[tuple[int, int]]:
    """What was committed and drawn, and is neither billed nor taken back, in units."""
    owed: dict[int, int] = {}
    for grant in account.grants:
        if grant.kind == GrantKind.POSTPAID and grant.deferred == unbilled:
            owed.setdefault(grant.funding, m.books[grant.funding].owed)
            owed[grant.funding] -= grant.left
    return [(book, units) for book, units in owed.items() if units > 0]


def receivable_paid(m: Shard, event: e.PaymentRecorded) -> None:
    """Debit cash, credit receivable (rule B4)."""
    account = _lowered(m, event)
    source = event.source or MANUAL
    m.expect_book(event.cash_book, BookKind.CASH, event.asset, 0, source)
    m.pay(account, event.cash_book, event.receivable_book, event.amount, None)


def credited(m: Shard, event: e.CreditNoteIssued) -> None:
    """Debit credit_note, credit receivable (rule F4)."""
    _lowered(m, event)
    m.expect_book(event.book, BookKind.CREDIT_NOTE, event.asset)
    m.transfer(event.book, event.receivable_book, event.amount)


def written_off(m: Shard, event: e.ReceivableWrittenOff) -> None:
    """Debit bad_debt, credit receivable (rule F4)."""
    _lowered(m, event)
    m.expect_book(event.book, BookKind.BAD_DEBT, event.asset)
    m.transfer(event.book, event.receivable_book, event.amount)


def _lowered(
    m: Shard, event: e.PaymentRecorded | e.CreditNoteIssued | e.ReceivableWrittenOff
) -> NaiveAccount:
    account = m.deciding(event.account)
    m.expect_book(event.receivable_book, BookKind.RECEIVABLE, event.asset, account.number)
    owed = m.books[event.receivable_book].owed
    if not 0 < event.amount <= owed:
        m.fail(Rule.GRANT_FIGURES, f"{event.amount} paid of {owed}")
    return account
