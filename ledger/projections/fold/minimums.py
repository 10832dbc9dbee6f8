"""Minimums: the shortfall of a period, drawn as usage is (rule R2)."""

from __future__ import annotations

from ledger.core.events import MinimumCharged
from ledger.core.funding.minimums import PRODUCT
from ledger.projections.fold.folding import Folding


def minimum_charged(fold: Folding, _: int, event: MinimumCharged) -> None:
    tenant = fold.facts.tenants[event.account]
    line = 0
    for piece in event.slices:
        fold.post(
            tenant, line, piece.book, event.used_book, event.asset, piece.amount,
            event.effective_at, piece.value, piece.cost, piece.pot,
        )  # fmt: skip
        fold.counters(piece.book, tenant).value += piece.value
        line += 1
    fold.changes.minimums.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, event.card, event.card_version,
            event.scope, event.product, event.quantity, event.asset, event.start, event.end,
            event.minimum, event.charged, fold.recorded_at,
        )
    )  # fmt: skip
    product = event.product or PRODUCT
    fold.recognise(tenant, fold.entry_seq, line, event.slices, event.effective_at, product)
