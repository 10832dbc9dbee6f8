"""An account as a read shows it: plain values, the same as the model's own view of it."""

from __future__ import annotations

from typing import Any

from ledger.core.events import MANDATE_BUDGET
from ledger.core.packages.subscriptions import Subscription
from ledger.core.seats.seats import SeatPlans
from ledger.core.state import NEVER, TOP_UP_PENDING, Account, State
from ledger.simulation.naive_holdings import FOREVER


def view_of(state: State, number: int) -> dict[str, Any] | None:
    """All that is to be known of an account; None where it is not open."""
    account = state.accounts.get(number)
    return None if account is None else _view(state, account)


def _view(state: State, account: Account) -> dict[str, Any]:
    budgets = state.families[account.root].operation_budgets.values()
    return {
        "mandate": account.mandate
        and next(
            (
                bool(account.mandate.revoked_at),
                each.counter.posted,
                each.counter.pending,
                account.mandate.purchased,
            )
            for each in account.budgets
            if each.name == MANDATE_BUDGET
        ),
        "budgets": {
            each.number: (each.name, each.version, each.counter.posted, each.counter.pending)
            for each in account.budgets
        },
        "operations": {
            each.number: (each.version, each.counter.posted, each.counter.pending)
            for each in budgets
            if each.account is account
        },
        "contracts": {
            each.name: (
                each.state, each.revision, each.package, each.version, each.starts_at,
                each.term_start, each.ends_at, each.auto_renew, each.ended_at, each.commitments,
            )
            for each in account.contracts
        },
        "package": None if account.subscription is None else _package(account.subscription),
        "charges": {
            each.number: (
                each.version, each.quantity, each.begun, each.next_at,
                FOREVER if each.ends_at == NEVER else each.ends_at, each.charged, each.settled,
                each.unearned,
            )
            for each in account.charges
        },
        "seats": {} if account.seats is None else _seats(account.seats),
        "version": account.version,
        "closed": bool(account.closed_at),
        "frozen": account.frozen,
        "profile": account.profile_version,
        "rules": account.own_rules.version,
        "grants": {
            grant.number: (
                grant.book.available, grant.book.debits_pending, grant.settled, grant.pending,
                grant.recognised, grant.returned,
            )
            for grant in account.grants
        },
        "holds": {hold.number: hold.left for hold in account.holds.values()},
        "drawn": {
            hold.number: dict(hold.drawn)
            for hold in account.holds.values()
            if hold.drawn is not None
        },
        "recurring": {
            each.number: (
                each.version, each.next_at, FOREVER if each.ends_at == NEVER else each.ends_at,
                each.paused,
            )
            for each in account.recurring
        },
        "commitments": {
            each.number: (each.invoiced, bool(each.ended_at)) for each in account.commitments
        },
        "top_ups": [
            each.number for each in account.top_ups.values() if each.state == TOP_UP_PENDING
        ],
        "advance": {
            asset: (book.owed, book.debits_pending) for asset, book in account.advance.items()
        },
        "overage": {
            asset: (book.owed, book.debits_pending) for asset, book in account.overage.items()
        },
        "unbilled": {asset: book.owed for asset, book in account.unbilled.items()},
        "receivable": {asset: book.owed for asset, book in account.receivable.items()},
        "lifetime": {asset: paid for asset, paid in account.lifetime.items() if paid},
        "suspended": account.suspended,
    }  # fmt: skip


def _package(found: Subscription) -> tuple[Any, ...]:
    ends_at = FOREVER if found.ends_at == NEVER else found.ends_at
    said = (found.package, found.version, found.revision, found.anchor)
    return (*said, found.period_end, ends_at, found.over, found.grants)


def _seats(plans: SeatPlans) -> dict[str, Any]:
    return {
        plan.name: (
            plan.revision, plan.ends_at, plan.period_end,
            (
                plan.tally.unassigned, plan.tally.leaving, plan.tally.largest, plan.tally.seat_us,
                plan.tally.released,
            ),
            {
                seat.number: (
                    seat.name, seat.until, seat.suspended, seat.entitled,
                    seat.released,
                )
                for seat in plan.seats.values()
            },
        )
        for plan in plans.plans.values()
    }  # fmt: skip
