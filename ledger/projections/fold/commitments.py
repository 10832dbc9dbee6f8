"""Commitments, their segments and invoices."""

from __future__ import annotations

from ledger.core.events import (
    CommitmentCreated,
    CommitmentEnded,
    Invoice,
    InvoiceDue,
    Segment,
    SegmentAdded,
)
from ledger.projections import changes as c
from ledger.projections.described import terms_json
from ledger.projections.fold.folding import Folding


def commitment_created(fold: Folding, _: int, event: CommitmentCreated) -> None:
    tenant = fold.facts.tenants[event.account]
    fold.changes.commitments.append(
        (
            tenant, fold.shard, event.commitment, event.account, terms_json(event.terms),
            fold.recorded_at,
        )
    )  # fmt: skip
    for segment, grant in zip(event.segments, event.grants, strict=True):
        _segment(fold, tenant, event.commitment, segment, grant)
    _planned(fold, tenant, event.commitment, event.invoices)


def _segment(
    fold: Folding, tenant: int, commitment: int, segment: Segment, grant: int, of: int = 0
) -> None:
    fold.changes.commitment_segments.append(
        (
            tenant, fold.shard, commitment, grant, segment.starts_at or fold.recorded_at,
            segment.ends_at, segment.amount, segment.price, of or None, fold.recorded_at,
        )
    )  # fmt: skip


def _planned(fold: Folding, tenant: int, commitment: int, invoices: tuple[Invoice, ...]) -> None:
    for line, invoice in enumerate(invoices):
        fold.changes.commitment_invoices.append(
            (
                tenant, fold.shard, fold.entry_seq, line, commitment, invoice.at,
                invoice.amount,
            )
        )  # fmt: skip


def segment_added(fold: Folding, _: int, event: SegmentAdded) -> None:
    tenant = fold.facts.tenants[event.account]
    _segment(fold, tenant, event.commitment, event.segment, event.grant, event.of)
    _planned(fold, tenant, event.commitment, event.invoices)


def commitment_ended(fold: Folding, _: int, event: CommitmentEnded) -> None:
    tenant = fold.facts.tenants[event.account]
    fold.changes.commitment_entries.append(
        (
            tenant, fold.shard, fold.entry_seq, event.commitment, c.ENDED, int(event.ending),
            event.target or None, None, event.value, fold.recorded_at,
        )
    )  # fmt: skip
    _planned(fold, tenant, event.target, event.invoices)


def invoice_due(fold: Folding, _: int, event: InvoiceDue) -> None:
    tenant = fold.facts.tenants[event.account]
    fold.post(
        tenant, 0, event.receivable_book, event.unbilled_book, event.asset, event.amount,
        event.at,
    )  # fmt: skip
    fold.changes.commitment_entries.append(
        (
            tenant, fold.shard, fold.entry_seq, event.commitment, c.INVOICED, None, None,
            event.at, event.amount, fold.recorded_at,
        )
    )  # fmt: skip
