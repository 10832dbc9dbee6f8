"""Refunds, chargebacks, bills and what is paid of them."""

from __future__ import annotations

from ledger.core.events import (
    AccountBilled,
    CreditNoteIssued,
    GrantChargedBack,
    GrantReduced,
    GrantRefunded,
    PaymentRecorded,
    ReceivableWrittenOff,
    TrueUpCounted,
)
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.grants import end_grant, grant_change, leave


def grant_reduced(fold: Folding, _: int, event: GrantReduced | TrueUpCounted) -> None:
    fact, change = grant_change(fold, event.grant)
    change.voided += event.amount
    units = (event.amount, fact.funding_book)
    leave(fold, fact, change, units, (event.refunded, event.cash_book))


def grant_refunded(fold: Folding, _: int, event: GrantRefunded) -> None:
    fact, change = grant_change(fold, event.grant)
    change.voided += event.amount
    leave(
        fold,
        fact,
        change,
        (event.amount, fact.funding_book),
        (event.refunded, event.cash_book),
        (event.breakage, event.breakage_book),
    )


def grant_charged_back(fold: Folding, _: int, event: GrantChargedBack) -> None:
    """Units to where they came from, money out of cash; its price is owed from now on."""
    now = fold.recorded_at
    line = 0
    for part in event.parts:
        fact, change = grant_change(fold, part.grant)
        if part.amount:
            fold.post(fact.tenant, line, fact.book, fact.funding_book, fact.asset, part.amount, now)
            line += 1
        if part.value:
            fold.post(
                fact.tenant, line, fact.deferred_book, event.cash_book, fact.price_asset,
                part.value, now,
            )  # fmt: skip
            line += 1
        change.voided += part.amount
        change.returned += part.value
        change.cash_book = event.receivable_book
        fold.facts.grants[part.grant] = fact._replace(cash_book=event.receivable_book)
        if part.ends:
            end_grant(fold, change, c.GRANT_VOIDED)
    if event.owed:
        fact = fold.facts.grants[event.grant]
        fold.post(
            fact.tenant, line, event.receivable_book, event.cash_book, fact.price_asset,
            event.owed, now,
        )  # fmt: skip


def account_billed(fold: Folding, _: int, event: AccountBilled) -> None:
    tenant, now = fold.facts.tenants[event.account], fold.recorded_at
    for line, each in enumerate(event.lines):
        fold.post(tenant, line, each.debit, each.credit, each.asset, each.amount, now)


def payment_recorded(fold: Folding, _: int, event: PaymentRecorded) -> None:
    _receivable_lowered(fold, event, event.cash_book)


def credited(fold: Folding, _: int, event: CreditNoteIssued | ReceivableWrittenOff) -> None:
    _receivable_lowered(fold, event, event.book)


def _receivable_lowered(
    fold: Folding, event: PaymentRecorded | CreditNoteIssued | ReceivableWrittenOff, debit: int
) -> None:
    tenant = fold.facts.tenants[event.account]
    fold.post(tenant, 0, debit, event.receivable_book, event.asset, event.amount, fold.recorded_at)
