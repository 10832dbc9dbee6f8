"""Reversals, amendments, adjustments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.core.events import (
    AdjustmentNoted,
    BalanceAdjusted,
    GivenBack,
    SharedRerated,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.funding.adjustments import PRODUCT
from ledger.projections.changes import GrantChange
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.hours import drawn


def usage_reversed(fold: Folding, index: int, event: UsageReversed) -> None:
    """Transfers back from the used book, and what the usage row and the grants have less."""
    tenant, plan = fold.place(event)
    changes = fold.changes
    drawn(fold, tenant, event.account, event.effective_at, (), event.given_back)
    line = 0
    for piece in event.given_back:
        line = give_back(fold,
            tenant, line, event.used_book, piece, plan.asset, event.effective_at,
            plan.declared.product,
        )  # fmt: skip
    amount = sum([piece.amount for piece in event.given_back])
    fold.reversed[fold.entry_seq - fold.first_event] = event.original_entry
    if event.replaced_by:
        fold.amended[event.replaced_by] = (fold.entry_seq, event.original_entry)
    changes.reversals.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, event.original_entry,
            plan.digest, plan.asset, event.effective_at, fold.recorded_at, event.quantities,
            event.refunds, amount, event.as_charged, event.trace or None,
        )
    )  # fmt: skip
    changes.reversed_usage.append((tenant, event.original_entry, amount, event.quantities))
    if event.suspended:
        changes.waits_no_more.append((tenant, event.original_entry))
    cost = event.cost
    if cost is not None and cost.total:
        money = fold.plans[cost.plan].asset
        fold.post(
            tenant, line, cost.payable_book, cost.cost_book, money, cost.total, event.effective_at
        )
        changes.reversed_costs.append((tenant, event.original_entry, cost.total))


def give_back(
    fold: Folding,
    tenant: int,
    line: int,
    used: int,
    piece: GivenBack,
    asset: int,
    effective_at: int,
    product: str,
) -> int:
    """Units that go back, and the money that they had recognised; returns the next line."""
    fold.post(
        tenant, line, piece.used_book or used, piece.book, asset, piece.amount, effective_at,
        -piece.value, -piece.cost,
    )  # fmt: skip
    fold.counters(piece.drawn, tenant).value -= piece.value
    grant = fold.facts.books[piece.drawn]
    if grant:
        change = fold.changes.changed_grants.get(grant)
        if change is None:
            change = fold.changes.changed_grants[grant] = GrantChange(tenant)
        change.given_back += piece.amount
        if piece.book != piece.drawn:
            change.returned += piece.value
    if not (piece.value and piece.money_book):
        return line + 1
    money = fold.facts.value_books[piece.drawn][1]
    revenue = piece.revenue_book or fold.revenue(tenant, money, product)
    if piece.book != piece.drawn:
        fold.changes.drawn[fold.entry_seq, line + 1] = piece.drawn
    fold.post(tenant, line + 1, revenue, piece.money_book, money, piece.value, effective_at)
    return line + 2


def usage_rerated(fold: Folding, _: int, event: UsageRerated) -> None:
    """Transfers of what earlier usage costs more or less: an entry of its own (rule R1)."""
    tenant, plan = fold.place(event)
    product = plan.declared.product
    drawn(fold, tenant, event.account, event.effective_at, event.slices, event.given_back)
    if isinstance(event, SharedRerated):  # what it follows from is of another account
        returned = sum([piece.amount for piece in event.given_back])
        amount = sum([piece.amount for piece in event.slices]) - returned
        fold.changes.shared_rerates.append(
            (
                tenant, fold.shard, fold.entry_seq, event.account, plan.digest, plan.asset, amount,
                event.cause, event.effective_at, fold.recorded_at,
            )
        )  # fmt: skip
    else:
        fold.follow_up(tenant, event.entry, rerated=True)
    line = 0
    for piece in event.slices:
        fold.post(
            tenant, line, piece.book, event.used_book, plan.asset, piece.amount,
            event.effective_at, piece.value, piece.cost, piece.pot,
        )  # fmt: skip
        fold.counters(piece.book, tenant).value += piece.value
        line += 1
    if any(piece.value for piece in event.slices):
        line = fold.recognise(
            tenant, fold.entry_seq, line, event.slices, event.effective_at, product
        )
    for back in event.given_back:
        line = give_back(
            fold, tenant, line, event.used_book, back, plan.asset, event.effective_at, product
        )


def note_amendments(fold: Folding, first_event: int, events: Sequence[Any]) -> None:
    """Find the usage that stands in the stead of what this batch has reversed."""
    for entry_seq, event in enumerate(events, first_event):
        if isinstance(event, UsageRecorded) and event.key in fold.amended:
            tenant = fold.facts.tenants[event.account]
            place = fold.amended[event.key]
            fold.changes.amendments.append((tenant, fold.shard, entry_seq, event.account, *place))


def balance_adjusted(fold: Folding, _: int, event: BalanceAdjusted) -> None:
    tenant = fold.facts.tenants[event.account]
    line = 0
    for piece in event.slices:
        fold.post(
            tenant, line, piece.book, event.used_book, event.asset, piece.amount,
            fold.recorded_at, piece.value, piece.cost, piece.pot,
        )  # fmt: skip
        fold.counters(piece.book, tenant).value += piece.value
        line += 1
    if any(piece.value for piece in event.slices):
        line = fold.recognise(tenant, fold.entry_seq, line, event.slices, fold.recorded_at, PRODUCT)
    for back in event.given_back:
        line = give_back(
            fold, tenant, line, event.used_book, back, event.asset, fold.recorded_at, PRODUCT
        )
    fold.changes.manual.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, event.asset, event.amount,
            event.grant or None, fold.recorded_at, event.trace or None,
        )
    )  # fmt: skip


def adjustment_noted(fold: Folding, _: int, event: AdjustmentNoted) -> None:
    fold.changes.adjustments.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.first_event + event.entry,
            event.account, event.period, event.closed, fold.recorded_at,
        )
    )  # fmt: skip
