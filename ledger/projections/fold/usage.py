"""Usage events: one row, a transfer a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.events import (
    HoldCharged,
    Suspense,
    SuspenseRated,
    UsageCosted,
    UsageModeled,
    UsageQuarantined,
    UsageRecorded,
    UsageRepriced,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import HOUR_US
from ledger.projections import changes as c
from ledger.projections.changes import Moved
from ledger.projections.described import NO_NAMES
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.holds import captured

_UNRATED: Final = -1  # a charge that waits for its price
_REASONS: Final = {int(reason): reason.name for reason in Suspense}


def usage_recorded(fold: Folding, index: int, entry_seq: int, event: UsageRecorded) -> int:
    """The rows of a usage event; returns the next line of its entry."""
    changes = fold.changes
    tenant = fold.facts.tenants[event.account]
    plan = fold.plans[event.plan]
    if plan.tenant != tenant:
        fold.write_plan(plan, tenant)
    asset = plan.asset
    effective_at = event.effective_at
    recorded_at = fold.recorded_at
    shard = fold.shard
    line = 0
    if event.hold and not event.late:
        line = captured(fold, entry_seq, event)
    charge = 0
    valued = False
    moved = changes.moved
    if event.slices:
        transfers = changes.transfers
        used_book = event.used_book
        hours = changes.usage_hours
        hour = effective_at - effective_at % HOUR_US
        for piece in event.slices:
            book = piece.book
            amount = piece.amount
            charge += amount
            place = (tenant, event.account, book, hour)
            hours[place] = hours.get(place, 0) + amount
            counters = moved.get(book)
            if counters is None:
                counters = moved[book] = Moved(tenant)
            counters.debits_posted += amount
            if piece.value:
                counters.value += piece.value
                valued = True
            transfers.append(
                (
                    tenant, shard, entry_seq, line, book, used_book, asset, amount,
                    2, piece.pot, piece.value, piece.cost, effective_at, recorded_at,
                )
            )  # fmt: skip
            line += 1
        counters = moved.get(used_book)
        if counters is None:
            counters = moved[used_book] = Moved(tenant)
        counters.credits_posted += charge
        if valued:
            line = fold.recognise(
                tenant, entry_seq, line, event.slices, effective_at, plan.declared.product
            )
    charges: Sequence[int | None] = event.charges
    outcome = 1
    reason = None
    if event.suspense:
        outcome = c.SUSPENSE
        reason = _REASONS[event.suspense]
        charges = [None if each == _UNRATED else each for each in event.charges]
        changes.waiting.append(
            (
                tenant, shard, entry_seq, event.account, plan.digest, effective_at, recorded_at,
                event.quantities, _reasons_of(event),
            )
        )  # fmt: skip
    elif type(event) is SuspenseRated:
        outcome = c.RATED
        charges = [None if each == _UNRATED else each for each in event.charges]
    changes.usage.append(
        (
            tenant, shard, entry_seq, event.account, plan.digest, asset, effective_at,
            recorded_at, outcome, reason, event.late == 1,
            type(event) is HoldCharged, event.quantities, charges, charge,
            event.over_limit or None, event.hold or None, event.trace or None,
            *fold.names.get(index, NO_NAMES),
        )
    )  # fmt: skip
    if event.operation:
        operation, parent = event.operation[:KEY_BYTES], event.operation[KEY_BYTES:] or None
        changes.operations.append((tenant, shard, entry_seq, event.account, operation, parent))
    return line


def _reasons_of(event: UsageRecorded) -> list[str | None]:
    """Why each quantity waits; None where it does not."""
    reasons = event.reasons or (event.suspense,) * len(event.charges)
    return [
        _REASONS[reason] if charge == _UNRATED else None
        for charge, reason in zip(event.charges, reasons, strict=True)
    ]


def of_model(fold: Folding, index: int, event: UsageModeled) -> None:
    usage_recorded(fold, index, fold.entry_seq, event)


def suspense_rated(fold: Folding, index: int, event: SuspenseRated) -> None:
    """A row of its own, and the usage that it rates waits no more, or for less (rule B8)."""
    usage_recorded(fold, index, fold.entry_seq, event)
    tenant = fold.facts.tenants[event.account]
    changes = fold.changes
    changes.ratings.append((tenant, fold.shard, event.original_entry, fold.entry_seq))
    changes.follow_ups.append((tenant, fold.shard, fold.entry_seq, event.original_entry, False))
    if event.settled:
        changes.waits_no_more.append((tenant, event.original_entry))
    else:
        places = [place + 1 for place in event.rated]
        changes.rated.append((tenant, event.original_entry, places))


def usage_costed(fold: Folding, index: int, event: UsageCosted) -> None:
    """A usage event, and what the provider takes for it (rule B4)."""
    line = usage_recorded(fold, index, fold.entry_seq, event)
    cost = event.cost
    if cost is None:
        return
    tenant = fold.facts.tenants[event.account]
    plan = fold.plans[cost.plan]
    if plan.tenant != tenant:
        fold.write_plan(plan, tenant)
    total = cost.total
    if total:
        fold.post(
            tenant, line, cost.cost_book, cost.payable_book, plan.asset, total, event.effective_at
        )
    lines = [None if each == _UNRATED else each for each in cost.lines]
    fold.changes.costs.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, plan.digest, plan.asset, total,
            lines,
        )
    )  # fmt: skip


def usage_repriced(fold: Folding, index: int, event: UsageRepriced) -> None:
    """As any usage with its cost; what it stands for may have been given back in an earlier batch,
    so it says itself which that is (rule R7)."""
    usage_costed(fold, index, event)
    fold.amended.pop(event.key, None)
    fold.changes.amendments.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.reversal_entry, event.original_entry,
        )
    )  # fmt: skip


def usage_quarantined(fold: Folding, index: int, event: UsageQuarantined) -> None:
    tenant, plan = fold.place(event)
    fold.changes.usage.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, plan.digest, plan.asset,
            event.effective_at, fold.recorded_at, c.QUARANTINED, event.reason, False, False,
            event.quantities, None, 0, None, None, event.trace or None,
            *fold.names.get(index, NO_NAMES),
        )
    )  # fmt: skip
