"""Gauges: what was reported of them, taken back, and charged (rules T1, T2)."""

from __future__ import annotations

from ledger.core.events import GaugeCharged, GaugeReported, GaugeReversed
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.usage import usage_costed


def gauge_reported(fold: Folding, _: int, event: GaugeReported) -> None:
    tenant, plan = fold.place(event)
    fold.changes.gauges.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, c.GAUGE_REPORTED, event.gauge,
            event.start, event.end, plan.digest, event.effective_at, event.quantities,
            event.after, None, fold.recorded_at,
        )
    )  # fmt: skip


def gauge_charged(fold: Folding, index: int, event: GaugeCharged) -> None:
    """A usage event, and the end of its gauge's scope."""
    usage_costed(fold, index, event)
    tenant, plan = fold.place(event)
    fold.changes.gauges.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, c.GAUGE_CHARGED, event.gauge,
            event.start, event.end, plan.digest, event.effective_at, event.quantities,
            event.quantities, None, fold.recorded_at,
        )
    )  # fmt: skip


def gauge_reversed(fold: Folding, _: int, event: GaugeReversed) -> None:
    fold.changes.gauges.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            c.GAUGE_REPORT_BACK, event.gauge, event.start, event.end, None, None, (),
            event.after, event.original_entry, fold.recorded_at,
        )
    )  # fmt: skip
