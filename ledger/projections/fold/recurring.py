"""Recurring grants and their periods."""

from __future__ import annotations

from ledger.core.events import (
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Timing,
)
from ledger.projections import changes as c
from ledger.projections.changes import RecurringRow
from ledger.projections.described import terms_json
from ledger.projections.fold.folding import Folding


def recurring_started(fold: Folding, _: int, event: RecurringStarted) -> None:
    row = RecurringRow(
        fold.facts.tenants[event.account], fold.shard, event.recurring, event.account, False,
        1, terms_json(event.terms), None, event.starts_at, event.ends_at or None,
        event.starts_at, None, None, fold.recorded_at,
    )  # fmt: skip
    fold.facts.recurring[event.recurring] = row
    fold.changes.new_recurring.add(event.recurring)
    fold.changes.recurring[event.recurring] = row


def _recurring_row(fold: Folding, number: int) -> RecurringRow:
    row = fold.facts.recurring[number]
    fold.changes.recurring[number] = row
    return row


def recurring_issued(fold: Folding, _: int, event: RecurringIssued) -> None:
    row = _recurring_row(fold, event.recurring)
    if row.next_terms is not None:
        row.terms, row.next_terms = row.next_terms, None
    row.period_start, row.period_end = event.start, event.end
    row.next_at = event.end
    _issue(fold, event, row, c.BY_PERIOD, event.start)


def recurring_changed(fold: Folding, _: int, event: RecurringChanged) -> None:
    row = _recurring_row(fold, event.recurring)
    row.version = event.version
    if event.timing == Timing.NOW:
        row.terms, row.next_terms = terms_json(event.terms), None
    else:
        row.next_terms = terms_json(event.terms)
    if event.grant:
        _issue(fold, event, row, c.BY_CHANGE, fold.recorded_at)


def _issue(
    fold: Folding,
    event: RecurringIssued | RecurringChanged,
    row: RecurringRow,
    cause: int,
    start: int,
) -> None:
    fold.changes.recurring_issues.append(
        (
            row.tenant, fold.shard, fold.entry_seq, event.recurring, cause, event.version,
            start, row.period_end, event.remaining, event.full, event.grant or None,
            event.amount, event.price_paid, fold.recorded_at,
        )
    )  # fmt: skip


def recurring_paused(fold: Folding, _: int, event: RecurringPaused) -> None:
    _recurring_row(fold, event.recurring).paused = True


def recurring_resumed(fold: Folding, _: int, event: RecurringResumed) -> None:
    row = _recurring_row(fold, event.recurring)
    row.paused = False
    row.next_at = event.next_at


def recurring_ended(fold: Folding, _: int, event: RecurringEnded) -> None:
    _recurring_row(fold, event.recurring).ends_at = event.ends_at
