"""Usage that the settlement currency paid a part of, and what of it went back (rule R5)."""

from __future__ import annotations

from ledger.core.events import ConversionReversed, UsageConverted
from ledger.projections.fold.corrections import give_back
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.hours import drawn


def usage_converted(fold: Folding, _: int, event: UsageConverted) -> None:
    """Its draws as transfers, as those of usage are, in the other asset."""
    tenant = fold.facts.tenants[event.account]
    fold.follow_up(tenant, event.entry)
    drawn(fold, tenant, event.account, event.effective_at, event.slices)
    line = 0
    for piece in event.slices:
        fold.post(
            tenant, line, piece.book, event.book, event.target, piece.amount, event.effective_at,
            piece.value, piece.cost, piece.pot,
        )  # fmt: skip
        fold.counters(piece.book, tenant).value += piece.value
        line += 1
    fold.recognise(tenant, fold.entry_seq, line, event.slices, event.effective_at, event.product)


def conversion_reversed(fold: Folding, _: int, event: ConversionReversed) -> None:
    tenant = fold.facts.tenants[event.account]
    fold.follow_up(tenant, event.entry)
    drawn(fold, tenant, event.account, event.effective_at, (), event.given_back)
    asset = event.target
    line = 0
    for piece in event.given_back:
        line = give_back(
            fold, tenant, line, event.book, piece, asset, event.effective_at, event.product
        )
