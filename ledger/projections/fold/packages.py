"""Subscriptions to packages, entry by entry."""

from __future__ import annotations

from ledger.core.events import (
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackageTerm,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    Timing,
)
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding


def subscribed(fold: Folding, _: int, event: Subscribed) -> None:
    _note(fold, event.account, c.SUBSCRIBED, event.term, event.follow, event.locked_until)


def package_changed(fold: Folding, _: int, event: PackageChanged) -> None:
    if event.term is not None:
        _note(fold, event.account, c.CHANGED_NOW, event.term, event.follow, event.locked_until)
        return
    _append(
        fold, event.account, c.TO_CHANGE, event.package, event.version or None, event.follow,
        event.locked_until or None, None, None, None,
    )  # fmt: skip


def package_period_begun(fold: Folding, _: int, event: PackagePeriodBegun) -> None:
    _note(fold, event.account, c.PERIOD_BEGUN, event.term)


def package_phase_begun(fold: Folding, _: int, event: PackagePhaseBegun) -> None:
    fold.changes.package_phases.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.phase, event.periods, event.at, fold.recorded_at,
        )
    )  # fmt: skip


def subscription_cancelled(fold: Folding, _: int, event: SubscriptionCancelled) -> None:
    change = c.CANCELLED_NOW if event.timing == Timing.NOW else c.TO_CANCEL
    _append(fold, event.account, change, None, None, None, None, None, None, event.ends_at)


def subscription_ended(fold: Folding, _: int, event: SubscriptionEnded) -> None:
    _append(fold, event.account, c.SUBSCRIPTION_OVER, *[None] * 6, event.ends_at)


def _note(
    fold: Folding,
    account: int,
    change: int,
    term: PackageTerm,
    follow: int | None = None,
    locked_until: int = 0,
) -> None:
    _append(
        fold, account, change, term.package, term.version, follow, locked_until or None,
        term.start, term.end, None,
    )  # fmt: skip


def _append(fold: Folding, account: int, change: int, *values: object) -> None:
    fold.changes.subscription_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, change, *values,
            fold.recorded_at,
        )
    )  # fmt: skip
