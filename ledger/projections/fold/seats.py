"""Plans of seats and their seats, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import (
    SeatAllowanceLow,
    SeatEntry,
    SeatIssue,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTally,
    SeatTerms,
    SeatTermsChanged,
    TakenBack,
)
from ledger.core.state import NEVER
from ledger.projections import changes as c
from ledger.projections.described import seat_terms_json
from ledger.projections.fold.folding import Folding


def seat_plan_started(fold: Folding, _: int, event: SeatPlanStarted) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEATS_STARTED, terms=event.terms,
        period=(event.start, event.end), tally=event.tally, version=event.revision,
    )  # fmt: skip
    _seats(fold, event.account, event.seat_plan, event.seats)
    _issues(fold, event.account, event.seat_plan, event.issues)


def seats_added(fold: Folding, _: int, event: SeatsAdded) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEATS_ADDED, tally=event.tally,
        version=event.revision,
    )  # fmt: skip
    _seats(fold, event.account, event.seat_plan, event.seats)
    _issues(fold, event.account, event.seat_plan, event.issues)


def seats_removed(fold: Folding, _: int, event: SeatsRemoved) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEATS_REMOVED, tally=event.tally, mode=event.mode,
        taken=event.taken, version=event.revision,
    )  # fmt: skip
    _seats(fold, event.account, event.seat_plan, event.seats)


def seat_reassigned(fold: Folding, _: int, event: SeatReassigned) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEAT_REASSIGNED, tally=event.tally,
        version=event.revision,
    )  # fmt: skip
    _seats(fold, event.account, event.seat_plan, event.seats)


def seat_suspended(fold: Folding, _: int, event: SeatSuspended) -> None:
    change = c.SEAT_SUSPENDED if event.suspended else c.SEAT_RESUMED
    _plan(fold, event.account, event.seat_plan, change, version=event.revision)
    _seats(fold, event.account, event.seat_plan, event.seats)


def seat_terms_changed(fold: Folding, _: int, event: SeatTermsChanged) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEAT_TERMS, terms=event.terms,
        version=event.revision,
    )  # fmt: skip


def seat_period_begun(fold: Folding, _: int, event: SeatPeriodBegun) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEAT_PERIOD, period=(event.start, event.end),
        tally=event.tally, terms=event.terms,
    )  # fmt: skip
    _seats(fold, event.account, event.seat_plan, event.seats)
    _issues(fold, event.account, event.seat_plan, event.issues)


def seat_plan_ended(fold: Folding, _: int, event: SeatPlanEnded) -> None:
    _plan(
        fold, event.account, event.seat_plan, c.SEATS_ENDED, tally=event.tally, mode=event.mode,
        taken=event.taken, ends_at=event.ends_at, version=event.revision,
    )  # fmt: skip


def seat_allowance_low(fold: Folding, _: int, event: SeatAllowanceLow) -> None:
    fold.changes.seat_alerts.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.seat_plan, event.seat, event.name, event.left, event.entitled, fold.recorded_at,
        )
    )  # fmt: skip


def _plan(
    fold: Folding,
    account: int,
    plan: str,
    change: int,
    *,
    terms: SeatTerms | None = None,
    period: tuple[int, int] | None = None,
    tally: SeatTally | None = None,
    mode: int | None = None,
    taken: Sequence[TakenBack] | None = None,
    ends_at: int | None = None,
    version: int | None = None,
) -> None:
    start, end = period if period is not None else (None, None)
    figures: tuple[int | None, ...] = (None, None, None, None)
    if tally is not None:
        figures = (tally.unassigned, tally.leaving, tally.largest, tally.released)
    units = sum([each.amount for each in taken]) if taken is not None else None
    body = seat_terms_json(terms) if terms is not None else None
    fold.changes.seat_plan_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, plan, change, body,
            start, end, *figures, mode, units, ends_at, version, fold.recorded_at,
        )
    )  # fmt: skip


def _seats(fold: Folding, account: int, plan: str, entries: Sequence[SeatEntry]) -> None:
    for entry in entries:
        fold.changes.seat_entries.append(
            (
                fold.facts.tenants[account], fold.shard, fold.entry_seq, account, plan, entry.seat,
                entry.name, None if entry.until == NEVER else entry.until, entry.suspended,
                entry.entitled, entry.released, fold.recorded_at,
            )
        )  # fmt: skip


def _issues(fold: Folding, account: int, plan: str, issues: Sequence[SeatIssue]) -> None:
    for issue in issues:
        fold.changes.seat_issues.append(
            (
                fold.facts.tenants[account], fold.shard, fold.entry_seq, account, plan, issue.seat,
                issue.grant, issue.amount, issue.price_paid,
            )
        )  # fmt: skip
