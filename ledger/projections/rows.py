"""Changes as rows: those that are added plainly, and columns of those that change.

Pure: values in, rows out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.projections import changes as c
from ledger.projections.changes import AccountChange, Changes, GrantChange, HoldChange, Moved, Row
from ledger.projections.facts import HoldFact, HoldLine


def appended(changes: Changes) -> tuple[tuple[str, Sequence[str], Sequence[Row]], ...]:
    """(table, columns, rows) of each table that gets plain rows, ahead of what changes any."""
    return (
        ("usage_events", c.USAGE_EVENTS, changes.usage),
        ("transfers", c.TRANSFERS, changes.transfers),
        ("usage_costs", c.USAGE_COSTS, changes.costs),
        ("usage_operations", c.USAGE_OPERATIONS, changes.operations),
        ("usage_follow_ups", c.USAGE_FOLLOW_UPS, changes.follow_ups),
        ("backfilled", c.BACKFILLED, changes.backfilled),
        ("denials", c.DENIALS, changes.denials),
        ("reversals", c.REVERSALS, changes.reversals),
        ("adjustments", c.ADJUSTMENTS, changes.adjustments),
        ("amendments", c.AMENDMENTS, changes.amendments),
        ("minimums", c.MINIMUMS, changes.minimums),
        ("gauge_entries", c.GAUGE_ENTRIES, changes.gauges),
        ("hold_sizes", c.HOLD_SIZES, changes.hold_sizes),
        ("lease_entries", c.LEASE_ENTRIES, changes.lease_entries),
        ("shared_rerates", c.SHARED_RERATES, changes.shared_rerates),
        ("manual_adjustments", c.MANUAL_ADJUSTMENTS, changes.manual),
        ("mandate_entries", c.MANDATE_ENTRIES, changes.mandate_entries),
        ("mandate_purchases", c.MANDATE_PURCHASES, changes.mandate_purchases),
        ("unpaid_grants", c.UNPAID_GRANTS, changes.unpaid_grants),
        ("commitments", c.COMMITMENTS, changes.commitments),
        ("commitment_segments", c.COMMITMENT_SEGMENTS, changes.commitment_segments),
        ("commitment_invoices", c.COMMITMENT_INVOICES, changes.commitment_invoices),
        ("commitment_entries", c.COMMITMENT_ENTRIES, changes.commitment_entries),
        ("seat_plan_entries", c.SEAT_PLAN_ENTRIES, changes.seat_plan_entries),
        ("seat_entries", c.SEAT_ENTRIES, changes.seat_entries),
        ("seat_issues", c.SEAT_ISSUES, changes.seat_issues),
        ("seat_alerts", c.SEAT_ALERTS, changes.seat_alerts),
        ("decision_policies", c.DECISION_POLICIES, changes.decision_policies),
        ("rulings", c.RULINGS, changes.rulings),
        ("runway_rules", c.RUNWAY_RULES, changes.runway_rules),
        ("runway_crossings", c.RUNWAY_CROSSINGS, changes.runway_crossings),
        ("top_up_rules", c.TOP_UP_RULES, changes.top_up_rules),
        ("subscription_entries", c.SUBSCRIPTION_ENTRIES, changes.subscription_entries),
        ("charge_entries", c.CHARGE_ENTRIES, changes.charge_entries),
        ("fee_lines", c.FEE_LINES, changes.fee_lines),
        ("package_phases", c.PACKAGE_PHASES, changes.package_phases),
        ("contract_entries", c.CONTRACT_ENTRIES, changes.contract_entries),
        ("statement_entries", c.STATEMENT_ENTRIES, changes.statement_entries),
        ("caps", c.CAPS, changes.caps),
    )


def standing_of(change: AccountChange | None) -> Row:
    """closed_at, reopened_at, frozen_at, profile_version and placed_seq of one that is new."""
    if change is None:
        return (None, None, None, 1, 0)
    return (
        change.closed_at or None,
        change.reopened_at,
        change.frozen_at or None,
        change.profile_version or 1,
        change.placed_seq or 0,
    )


def counters_of(moved: Moved) -> tuple[int, int, int, int, int]:
    """debits_posted, credits_posted, debits_pending, credits_pending, value."""
    return (
        moved.debits_posted,
        moved.credits_posted,
        moved.debits_pending,
        moved.credits_pending,
        moved.value,
    )


def left_of(change: GrantChange) -> tuple[int, int, int, int, int, int, int]:
    """backfill, voided, expired, rolled, cancelled, given_back, returned."""
    return (
        change.backfill,
        change.voided,
        change.expired,
        change.rolled,
        change.cancelled,
        change.given_back,
        change.returned,
    )


def end_of(change: HoldChange) -> tuple[int, int | None, int | None]:
    """state, settled_at, settled_by."""
    return change.state, change.settled_at, change.settled_by


def again_of(change: HoldChange) -> tuple[int | None, int | None, int | None]:
    """entry_seq, authorized_at, period of one that was renewed."""
    return change.again if change.again is not None else (None, None, None)


def moved_on(row: Row, change: HoldChange) -> Row:
    """The row of a hold that was made in the same transaction as its expiry moved, or it was
    renewed."""
    made = dict(zip(c.HOLDS, row, strict=False))
    if change.expires_at is not None:
        made["expires_at"] = change.expires_at
    made["amount"] += change.amount
    if change.again is not None:
        made["entry_seq"], made["authorized_at"], made["period"] = change.again
    return tuple(made.values())


def captured_by(change: HoldChange) -> tuple[int, int]:
    """captured, captures."""
    return change.captured, change.captures


def array_of(values: list[int] | None) -> str | None:
    """As PostgreSQL writes an array: a column of arrays that differ in length is handed over so."""
    return None if values is None else f"{{{','.join(map(str, values))}}}"


def holds_of(rows: Iterable[Sequence[Any]]) -> dict[int, HoldFact]:
    """Facts from rows of (number, tenant, asset, authorized_at, period, line...), by number."""
    found: dict[int, HoldFact] = {}
    for number, tenant, asset, authorized_at, period, *line in map(tuple, rows):
        before = found.get(number)
        lines = before.lines if before is not None else ()
        if line[0] is not None:
            lines = (*lines, HoldLine(*line))
        found[number] = HoldFact(tenant, asset, authorized_at, period, lines)
    return found
