"""Plans, books and clocks, as batches say them."""

from __future__ import annotations

from ledger.core.events import BookKind, BookOpened, ClockAdvanced, PlanDeclared, TimeShifted
from ledger.projections.described import Plan
from ledger.projections.fold.folding import Folding


def time_shifted(fold: Folding, index: int, event: TimeShifted) -> None:
    """The entries that follow are recorded by a clock that is so far ahead (rule T4)."""
    fold.recorded_at = fold.batch_at + event.offset


def clock_advanced(fold: Folding, index: int, event: ClockAdvanced) -> None:
    fold.changes.clocks[event.tenant] = event.offset


def plan_declared(fold: Folding, index: int, event: PlanDeclared) -> None:
    fold.plans[index] = Plan(event)


def book_opened(fold: Folding, _: int, event: BookOpened) -> None:
    facts = fold.facts
    facts.books[event.book] = event.owner if event.kind == BookKind.GRANT else 0
    if event.kind == BookKind.REVENUE:
        assert facts.revenues is not None
        facts.revenues[event.tenant, event.asset, event.name] = event.book
    elif event.kind == BookKind.UNBILLED:
        facts.unbilled[event.owner, event.asset] = event.book
    elif event.kind == BookKind.OVERAGE:
        pays = facts.unbilled.get((event.owner, event.asset), 0)
        facts.value_books[event.book] = pays, event.asset
    elif event.kind != BookKind.GRANT:
        facts.value_books[event.book] = 0, event.asset
    fold.changes.books.append(
        (
            event.tenant, fold.shard, event.book, int(event.kind), event.asset, event.owner,
            event.name,
        )
    )  # fmt: skip
