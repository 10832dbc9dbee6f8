"""Mandates of agents: granted, revoked, bought by (rules H4, F1). What is spent of them stands with
their budgets."""

from __future__ import annotations

from ledger.core.events import (
    BuyingMandateGranted,
    MandateGranted,
    MandateRevoked,
    PurchaseRequested,
)
from ledger.projections import changes as c
from ledger.projections.described import mandate_json
from ledger.projections.fold.folding import Folding


def mandate_granted(fold: Folding, _: int, event: MandateGranted) -> None:
    terms = event.terms
    purchase = event.purchase if isinstance(event, BuyingMandateGranted) else None
    _append(
        fold, event.account, c.MANDATE_GRANTED, terms.asset, terms.budget,
        mandate_json(terms, purchase),
        purchase.limit if purchase is not None else None,
        purchase.price_asset if purchase is not None else None, None,
    )  # fmt: skip


def mandate_revoked(fold: Folding, _: int, event: MandateRevoked) -> None:
    _append(fold, event.account, c.MANDATE_REVOKED, *[None] * 5, event.note)


def _append(fold: Folding, account: int, change: int, *values: object) -> None:
    fold.changes.mandate_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, change, *values,
            fold.recorded_at,
        )
    )  # fmt: skip


def purchase_requested(fold: Folding, _: int, event: PurchaseRequested) -> None:
    fold.changes.mandate_purchases.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.payer, event.grant, event.asset, event.amount, event.price_paid,
            event.price_asset, list(event.counted), fold.recorded_at,
        )
    )  # fmt: skip
