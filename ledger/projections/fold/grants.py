"""Grants, and the money behind them."""

from __future__ import annotations

from msgspec.structs import asdict

from ledger.core.events import (
    Backfill,
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantRolloverSet,
    GrantStarted,
    GrantVoided,
)
from ledger.projections import changes as c
from ledger.projections.changes import GrantChange
from ledger.projections.described import json_of
from ledger.projections.facts import GrantFact
from ledger.projections.fold.folding import Folding


def grant_issued(fold: Folding, _: int, event: GrantIssued) -> None:
    facts = fold.facts
    tenant = facts.tenants[event.account]
    cash, funding = event.cash_book, event.funding_book
    if event.origin:  # where it comes from, and where its rest goes to, are not the same
        cash = facts.grants[event.origin].cash_book
        funding = facts.grants[event.origin].funding_book
    fact = GrantFact(
        tenant, event.asset, event.book, funding, cash, event.deferred_book, event.price_asset
    )
    facts.grants[event.grant] = fact
    facts.value_books[event.book] = event.deferred_book, event.price_asset
    fold.changes.grants.append(
        (
            tenant, fold.shard, event.grant, event.account, event.ordinal, int(event.kind),
            event.asset, event.amount, event.price_paid, event.price_asset, event.priority,
            event.effective_at, event.expires_at or None, event.products, event.tags,
            json_of(dict(event.attributes)), event.shared,
            None if event.rollover is None else json_of(asdict(event.rollover)),
            json_of(dict(event.metadata)), event.book, funding, cash or None,
            event.deferred_book or None, event.origin or None, fold.recorded_at,
        )
    )  # fmt: skip
    at = event.effective_at
    if event.pending:
        _pend(fold, tenant, 0, fact, event.amount, at, c.PENDING)
    else:
        fold.post(tenant, 0, event.funding_book, event.book, event.asset, event.amount, at)
    line = 1
    if event.cash_book and event.price_paid:
        money, paid = event.price_asset, event.price_paid
        fold.post(tenant, 1, event.cash_book, event.deferred_book, money, paid, at)
        line = 2
    _backfilled(fold, event.grant, event.account, fact, line, event.backfills)


def grant_rollover_set(fold: Folding, _: int, event: GrantRolloverSet) -> None:
    """What is left of a segment is to roll over after all (rule P5)."""
    tenant = fold.facts.tenants[event.account]
    fold.changes.rollovers.append((tenant, event.grant, json_of(asdict(event.rollover))))


def _backfilled(
    fold: Folding,
    number: int,
    account: int,
    fact: GrantFact,
    line: int,
    backfills: tuple[Backfill, ...],
) -> None:
    """Repaid parts of an advance, and the money that they recognise (rules B3, B4)."""
    now = fold.recorded_at
    for part in backfills:
        grant_change(fold, number)[1].backfill += part.amount
        fold.counters(fact.book, fact.tenant).value += part.value
        fold.post(fact.tenant, line, fact.book, part.book, fact.asset, part.amount, now, part.value)
        line += 1
        if part.value and fact.deferred_book:
            revenue = fold.revenue(fact.tenant, fact.price_asset, part.product)
            fold.post(
                fact.tenant, line, fact.deferred_book, revenue, fact.price_asset, part.value,
                now,
            )  # fmt: skip
            fold.changes.backfilled.append(
                (
                    fact.tenant, fold.shard, fold.entry_seq, line, account, part.product,
                    fact.price_asset, part.value, now,
                )
            )  # fmt: skip
            line += 1


def _pend(
    fold: Folding, tenant: int, line: int, fact: GrantFact, amount: int, at: int, phase: int
) -> None:
    """Units of a grant that waits for its payment, or waits no more (rule F1)."""
    moved = amount if phase == c.PENDING else -amount
    fold.counters(fact.funding_book, tenant).debits_pending += moved
    fold.counters(fact.book, tenant).credits_pending += moved
    fold.changes.transfers.append(
        (
            tenant, fold.shard, fold.entry_seq, line, fact.funding_book, fact.book,
            fact.asset, amount, phase, 0, 0, 0, at, fold.recorded_at,
        )
    )  # fmt: skip


def grant_started(fold: Folding, _: int, event: GrantStarted) -> None:
    fact, _change = grant_change(fold, event.grant)
    _backfilled(fold, event.grant, event.account, fact, 0, event.backfills)


def grant_rolled_over(fold: Folding, _: int, event: GrantRolledOver) -> None:
    _fact, change = grant_change(fold, event.grant)
    change.rolled += event.amount
    change.returned += event.value  # the entry that follows posts both


def grant_released(fold: Folding, _: int, event: GrantReleased) -> None:
    fact, change = grant_change(fold, event.grant)
    now = fold.recorded_at
    fold.post(
        fact.tenant, 0, event.cash_book, fact.deferred_book, fact.price_asset, event.payment,
        now,
    )  # fmt: skip
    line = 1
    if event.amount:
        _pend(fold, fact.tenant, 1, fact, event.amount, now, c.RELEASED)
        fold.post(fact.tenant, 2, fact.funding_book, fact.book, fact.asset, event.amount, now)
        line = 3
    change.cash_book = event.cash_book
    fold.facts.grants[event.grant] = fact._replace(cash_book=event.cash_book)
    _backfilled(fold, event.grant, event.account, fact, line, event.backfills)


def grant_cancelled(fold: Folding, _: int, event: GrantCancelled) -> None:
    fact, change = grant_change(fold, event.grant)
    _pend(fold, fact.tenant, 0, fact, event.amount, fold.recorded_at, c.RELEASED)
    change.cancelled += event.amount
    change.returned += event.unpaid
    fold.changes.unpaid_grants.append(
        (
            fact.tenant, fold.shard, fold.entry_seq, event.account, event.grant, event.amount,
            event.unpaid, fold.recorded_at,
        )
    )  # fmt: skip
    if event.whole:
        end_grant(fold, change, c.GRANT_CANCELLED)


def grant_restored(fold: Folding, _: int, event: GrantRestored) -> None:
    """A row like that of the grant that ended, but for what the event says."""
    ended = fold.facts.grants[event.of]
    fold.facts.grants[event.grant] = ended._replace(
        book=event.book, deferred_book=event.deferred_book
    )
    fold.facts.value_books[event.book] = event.deferred_book, ended.price_asset
    fold.changes.restored.append(
        (
            ended.tenant, event.grant, event.of, event.ordinal, event.amount, event.price_paid,
            event.expires_at or None, event.book, event.deferred_book or None,
            fold.recorded_at,
        )
    )  # fmt: skip


def grant_voided(fold: Folding, _: int, event: GrantVoided) -> None:
    fact, change = grant_change(fold, event.grant)
    end_grant(fold, change, c.GRANT_VOIDED)
    change.voided += event.amount
    leave(
        fold,
        fact,
        change,
        (event.amount, fact.funding_book),
        (event.refunded, event.cash_book),
        (event.breakage, event.breakage_book),
    )


def grant_expired(fold: Folding, _: int, event: GrantExpired) -> None:
    fact, change = grant_change(fold, event.grant)
    end_grant(fold, change, c.GRANT_EXPIRED)
    change.expired += event.amount
    units = (event.amount, event.forfeited_book)
    leave(fold, fact, change, units, (event.value, event.breakage_book))


def leave(
    fold: Folding,
    fact: GrantFact,
    change: GrantChange,
    units: tuple[int, int],
    *shares: tuple[int, int],
) -> None:
    """Units that nobody drew, and their shares of the price, where there are books for them."""
    now = fold.recorded_at
    line = 0
    if units[0]:
        fold.post(fact.tenant, 0, fact.book, units[1], fact.asset, units[0], now)
        line = 1
    for money, book in shares:
        change.returned += money
        if money and book:
            fold.post(fact.tenant, line, fact.deferred_book, book, fact.price_asset, money, now)
            line += 1


def end_grant(fold: Folding, change: GrantChange, state: int) -> None:
    change.state = state
    change.settled_at = change.settled_at or fold.recorded_at


def grant_change(fold: Folding, number: int) -> tuple[GrantFact, GrantChange]:
    fact = fold.facts.grants[number]
    return fact, change_of(fold, number, fact.tenant)


def change_of(fold: Folding, number: int, tenant: int) -> GrantChange:
    change = fold.changes.changed_grants.get(number)
    if change is None:
        change = fold.changes.changed_grants[number] = GrantChange(tenant)
    return change
