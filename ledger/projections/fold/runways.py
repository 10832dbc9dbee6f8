"""Runway alerts: their rules, and each crossing that was told."""

from __future__ import annotations

from ledger.core.events import RunwayAlertRemoved, RunwayAlertSet, RunwayCrossed
from ledger.projections.fold.folding import Folding


def runway_alert_set(fold: Folding, _: int, event: RunwayAlertSet) -> None:
    alert = event.alert
    _rule(fold, event.account, alert.asset, event.version, alert.hours, alert.rearm_hours)


def runway_alert_removed(fold: Folding, _: int, event: RunwayAlertRemoved) -> None:
    _rule(fold, event.account, event.asset, None, None, None)


def _rule(fold: Folding, account: int, asset: int, *terms: int | None) -> None:
    fold.changes.runway_rules.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, asset, *terms,
            fold.recorded_at,
        )
    )  # fmt: skip


def runway_crossed(fold: Folding, _: int, event: RunwayCrossed) -> None:
    fold.changes.runway_crossings.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.asset, event.version, event.crossing, event.short, event.as_of,
            event.empty_at or None, int(event.available), int(event.needed), fold.recorded_at,
        )
    )  # fmt: skip
