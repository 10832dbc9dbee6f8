"""Statements, entry by entry: asked for, ended, closed (rule T2)."""

from __future__ import annotations

from ledger.core.events import StatementClosed, StatementEnded, StatementsSet
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding


def statements_set(fold: Folding, _: int, event: StatementsSet) -> None:
    _append(
        fold, event.account, c.STATEMENTS_ASKED, None, event.version, int(event.form),
        event.attribute, None, None, None, None, None, None, None,
    )  # fmt: skip


def statement_ended(fold: Folding, _: int, event: StatementEnded) -> None:
    _append(
        fold, event.account, c.STATEMENT_ENDED, event.statement, None, int(event.form),
        event.attribute, event.start, event.end, None, None, None, None, None,
    )  # fmt: skip
    place = (fold.facts.tenants[event.account], fold.shard, event.account, event.statement)
    fold.changes.statements_to_close[place] = fold.entry_seq


def statement_closed(fold: Folding, _: int, event: StatementClosed) -> None:
    _append(
        fold, event.account, c.STATEMENT_CLOSED, event.statement, None, None, None, None, None,
        event.first, event.last, event.batch_seq, event.head, event.hash,
    )  # fmt: skip
    place = (fold.facts.tenants[event.account], fold.shard, event.account, event.statement)
    if fold.changes.statements_to_close.pop(place, None) is None:
        fold.changes.statements_closed.append(place)


def _append(fold: Folding, account: int, change: int, *values: object) -> None:
    fold.changes.statement_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, change, *values,
            fold.recorded_at,
        )
    )  # fmt: skip
