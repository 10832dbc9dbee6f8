"""Fixed charges and their fees, entry by entry; the money that they earn (rules S1, B4)."""

from __future__ import annotations

from typing import Any

from ledger.core.events import (
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    ChargeTerms,
    Deferral,
    FeeCharged,
    FeeRecognised,
    Timing,
)
from ledger.projections import changes as c
from ledger.projections.described import terms_json
from ledger.projections.fold.corrections import give_back
from ledger.projections.fold.folding import Folding


def charge_started(fold: Folding, _: int, event: ChargeStarted) -> None:
    _append(
        fold, event, c.CHARGE_STARTED, event.name, 1, event.quantity, _terms(event.terms), None,
        None, None, event.ends_at or None,
    )  # fmt: skip


def charge_period_begun(fold: Folding, _: int, event: ChargePeriodBegun) -> None:
    _append(
        fold, event, c.CHARGE_PERIOD, None, None, event.quantity, None, event.number, event.start,
        event.end, None,
    )  # fmt: skip


def charge_changed(fold: Folding, _: int, event: ChargeChanged) -> None:
    change = c.CHARGE_TERMS_TO_COME
    if event.terms is None:
        now = event.timing == Timing.NOW
        change = c.CHARGE_QUANTITY if now else c.CHARGE_QUANTITY_TO_COME
    quantity = event.quantity if event.terms is None else None
    _append(
        fold, event, change, None, event.version, quantity, _terms(event.terms), *[None] * 4
    )  # fmt: skip


def charge_repriced(fold: Folding, _: int, event: ChargeRepriced) -> None:
    _append(
        fold, event, c.CHARGE_TERMS, None, event.version, event.quantity, _terms(event.terms),
        *[None] * 4,
    )  # fmt: skip


def charge_ended(fold: Folding, _: int, event: ChargeEnded) -> None:
    change = c.CHARGE_ENDED if event.timing == Timing.NOW else c.CHARGE_TO_END
    _append(fold, event, change, *[None] * 7, event.ends_at)


def _terms(terms: ChargeTerms | None) -> str | None:
    return terms_json(terms) if terms is not None else None


def _append(fold: Folding, event: Any, change: int, *values: object) -> None:
    fold.changes.charge_entries.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.charge, change, *values, fold.recorded_at,
        )
    )  # fmt: skip


def fee_charged(fold: Folding, _: int, event: FeeCharged) -> None:
    """The line, its draws or what goes back, the money of those, and what of that is deferred."""
    tenant, at = fold.facts.tenants[event.account], event.effective_at
    line = 0
    for piece in event.slices:
        fold.post(
            tenant, line, piece.book, event.used_book, event.asset, piece.amount, at,
            piece.value, piece.cost, piece.pot,
        )  # fmt: skip
        fold.counters(piece.book, tenant).value += piece.value
        line += 1
    line = fold.recognise(tenant, fold.entry_seq, line, event.slices, at, event.product)
    for back in event.given_back:
        line = give_back(fold, tenant, line, event.used_book, back, event.asset, at, event.product)
    _defer(fold, tenant, line, event.deferrals, at)
    fold.changes.fee_lines.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, event.charge, event.product,
            event.asset, event.number, event.start, event.end, event.quantity, event.amount,
            event.total, event.kept, at, fold.recorded_at,
        )
    )  # fmt: skip


def fee_recognised(fold: Folding, _: int, event: FeeRecognised) -> None:
    tenant = fold.facts.tenants[event.account]
    _defer(fold, tenant, 0, event.deferrals, event.effective_at)


def _defer(fold: Folding, tenant: int, line: int, deferrals: tuple[Deferral, ...], at: int) -> None:
    """Between what is unearned and revenue: what is earned, then what is deferred."""
    for part in deferrals:
        for amount in (-part.earned, part.deferred):
            if amount:
                debit, credit = part.revenue_book, part.unearned_book
                if amount < 0:
                    debit, credit = credit, debit
                fold.post(tenant, line, debit, credit, part.asset, abs(amount), at)
                line += 1
