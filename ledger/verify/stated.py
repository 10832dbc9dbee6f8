"""What a state says that its read models hold: of each, field -> value by number.

It knows the state alone: not how the rows are read, and not what a difference is called.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger.core.budgets.budgets import Budget
from ledger.core.events import BookKind, CommitmentTerms, RecurringTerms
from ledger.core.state import NEVER, State
from ledger.projections.described import (
    policy_fields,
    policy_rules_json,
    seat_terms_fields,
    terms_fields,
)

Facts = dict[Any, dict[str, Any]]
"""By number: field -> value."""

COUNTERS: Final = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")

BOOK: Final = ("tenant", "kind", "asset", "owner", "name", *COUNTERS)


def books_of(state: State) -> Facts:
    """Every book, with its counters."""
    return {
        number: {name: getattr(book, name) for name in BOOK}
        for number, book in state.books.accounts.items()
    }


def counters_of(state: State) -> Facts:
    """The counters alone: what the transfers that touch a book add up to."""
    return {
        number: {name: getattr(book, name) for name in COUNTERS}
        for number, book in state.books.accounts.items()
    }


def costs_of(state: State) -> dict[tuple[int, int], list[int]]:
    """What the cost books were debited and credited, by tenant and asset (rule B4)."""
    costs: dict[tuple[int, int], list[int]] = {}
    for book in state.house.values():
        if book.kind == BookKind.COST:
            sums = costs.setdefault((book.tenant, book.asset), [0, 0])
            sums[0] += book.debits_posted
            sums[1] += book.credits_posted
    return costs


def accounts_of(state: State) -> Facts:
    """Accounts, with what applies to each."""
    return {
        account.number: {
            "tenant": account.tenant,
            "parent": account.parent.number if account.parent is not None else 0,
            "root": account.root,
            "policy": policy_fields(account.policy),
            "version": account.version,
            "created_at": account.created_at,
            "closed_at": account.closed_at,
            "reopened_at": account.reopened_at,
            "frozen_at": account.frozen_at,
            "profile_version": account.profile_version,
        }
        for account in state.accounts.values()
    }


def grants_of(state: State) -> Facts:
    """Grants, and what was drawn, held and recognised of them."""
    return {
        grant.number: {
            "tenant": grant.account.tenant,
            "account": grant.account.number,
            "ordinal": grant.ordinal,
            "kind": int(grant.kind),
            "state": grant.settled,
            "asset": grant.asset,
            "amount": grant.amount,
            "price_paid": grant.price_paid,
            "price_asset": grant.price_asset,
            "priority": grant.priority,
            "effective_at": grant.effective_at,
            "expires_at": grant.expires_at if grant.expires_at != NEVER else None,
            "products": sorted(grant.products),
            "book": grant.book.number,
            "tags": sorted(grant.tags),
            "attributes": dict(grant.attributes),
            "shared": grant.shared,
            "funding_book": grant.funding.number,
            "cash_book": grant.cash.number if grant.cash is not None else 0,
            "deferred_book": (
                grant.book.value_book.number if grant.book.value_book is not None else 0
            ),
            "origin": grant.origin,
            "rolled": grant.rolled,
            "cancelled": grant.cancelled,
            "returned": grant.returned,
            "drawn": grant.drawn,
            "recognised": grant.recognised,
            "held": grant.book.debits_pending,
            "recurring": grant.recurring,
            "commitment": grant.commitment.number if grant.commitment is not None else 0,
        }
        for grant in state.grants.values()
    }


def holds_of(state: State) -> Facts:
    """Open holds, and what was captured of them."""
    return {
        hold.number: {
            "tenant": hold.account.tenant,
            "account": hold.account.number,
            "asset": hold.asset,
            "amount": hold.amount,
            "expires_at": hold.expires_at,
            "captured": hold.amount - hold.left,
            "captures": hold.captures,
            "reported_at": hold.outcome.reported_at if hold.outcome is not None else None,
        }
        for hold in state.holds.values()
    }


def recurring_of(state: State) -> Facts:
    """Recurring grants, with the grants of each."""
    return {
        recurring.number: {
            "tenant": recurring.account.tenant,
            "account": recurring.account.number,
            "paused": recurring.paused,
            "version": recurring.version,
            "terms": _decoded(recurring.terms),
            "next_terms": _decoded(recurring.next_terms),
            "starts_at": recurring.starts_at,
            "ends_at": recurring.ends_at if recurring.ends_at != NEVER else None,
            "next_at": recurring.next_at,
            "period_start": recurring.period_start or None,
            "period_end": recurring.period_end or None,
            "created_at": recurring.created_at,
            "grants": [
                grant.number
                for grant in recurring.account.grants
                if grant.recurring == recurring.number
            ],
        }
        for recurring in state.recurring.values()
    }


def limits_of(state: State) -> dict[int, dict[str, int]]:
    """By account, what is not zero: lifetime values, and since when it owes (rule H6)."""
    found: dict[int, dict[str, int]] = {}
    for account in state.accounts.values():
        rests_on = {
            f"lifetime value, asset {asset}": value
            for asset, value in account.lifetime.items()
            if value
        } | {
            f"owed since, asset {asset}": debt.since
            for asset, debt in account.debt.items()
            if debt.since
        }
        if rests_on:
            found[account.number] = rests_on
    return found


def commitments_of(state: State) -> Facts:
    """Commitments, with their segments and invoices."""
    return {
        commitment.number: {
            "tenant": commitment.account.tenant,
            "account": commitment.account.number,
            "terms": _decoded(commitment.terms),
            "created_at": commitment.created_at,
            "grants": [grant.number for grant in commitment.grants],
            "planned": sorted([invoice.at for invoice in commitment.invoices]),
            "to_invoice": sum([invoice.amount for invoice in commitment.invoices]),
            "invoiced": sorted([each.at for each in commitment.invoices[: commitment.invoiced]]),
            "invoiced_money": sum(
                [each.amount for each in commitment.invoices[: commitment.invoiced]]
            ),
            "ended_at": commitment.ended_at,
            "ending": commitment.ending,
            "moved_to": commitment.moved_to,
        }
        for commitment in state.commitments.values()
    }


def top_ups_of(state: State) -> Facts:
    """Top-ups that the state remembers."""
    return {
        each.number: {
            "tenant": each.account.tenant,
            "account": each.account.number,
            "state": each.state,
            "asset": each.asset,
            "amount": each.amount,
            "price_paid": each.price_paid,
            "price_asset": each.price_asset,
            "source": each.source,
            "version": each.version,
            "available": str(each.available),
            "requested_at": each.requested_at,
            "expires_at": each.expires_at,
            "settled_at": each.settled_at or None,
            "grant": each.grant or None,
        }
        for each in state.top_ups.values()
        if each.remembered(state.settled_before)
    }


def _said_of(budget: Budget) -> dict[str, Any]:
    """What it is; of the counter of a value: of which budget, and the value."""
    if budget.of is not None:
        return {"of": budget.of.number, "value": list(budget.value)}
    terms = msgspec.structs.asdict(budget.terms)
    values = budget.values
    if values is not None:
        terms["group_by"] = values.said.group_by
        terms["values_max"] = values.said.values_max
        terms["value_limits"] = [msgspec.structs.asdict(each) for each in values.said.limits]
    terms = msgspec.json.decode(msgspec.json.encode(terms))
    return {"name": budget.name, "version": budget.version, "terms": terms}


def budgets_of(state: State) -> Facts:
    """By number: terms, totals, and what is counted in the windows that the state keeps (H5)."""
    return {
        budget.number: {
            "tenant": budget.account.tenant,
            "account": budget.account.number,
            **_said_of(budget),
            "posted": budget.counter.posted,
            "pending": budget.counter.pending,
            "windows": {
                (cell.since, cell.end): (cell.posted, cell.pending) for cell in budget.counter.cells
            },
        }
        for family in state.families.values()
        for budget in family.budgets.values()
    }


def kept_windows(state: State, rows: Facts) -> Facts:
    """The rows without windows that the state has forgotten."""
    kept = budgets_of(state)
    return {
        number: {
            **row,
            "windows": {
                place: figures
                for place, figures in row["windows"].items()
                if number in kept and place in kept[number]["windows"]
            },
        }
        for number, row in rows.items()
    }


def waiting_of(state: State) -> Facts:
    """By the number of the usage event's entry (rule B8)."""
    return {
        each.entry_seq: {
            "tenant": state.accounts[each.account].tenant,
            "account": each.account,
            "effective_at": each.effective_at,
            "quantities": list(each.quantities),
            "places": list(each.places),
        }
        for family in state.families.values()
        for each in family.waiting.values()
    }


def gauges_of(state: State) -> dict[tuple[int, int, int, int], tuple[int, list[int]]]:
    """By account, gauge and scope: the tenant, and what it shows (rule T2)."""
    return {
        (account.number, gauge.key, *scope): (account.tenant, list(gauge.level))
        for account in state.accounts.values()
        if account.gauges is not None
        for scope, gauges in account.gauges.scopes.items()
        for gauge in gauges.values()
    }


def rules_of(state: State) -> Facts:
    """The top-up rules in force, by account and asset."""
    found: Facts = {}
    for account in state.accounts.values():
        for asset, (_, rule) in account.top_up_rules.items():
            if rule is not None:
                kept = found.setdefault(account.number, {})
                kept[str(asset)] = msgspec.json.decode(
                    msgspec.json.encode(msgspec.structs.asdict(rule))
                )
    return found


def runways_of(state: State) -> Facts:
    """The runway alerts in force, by account and asset."""
    found: Facts = {}
    for account in state.accounts.values():
        for each in account.runways:
            if each.alert is not None:
                found[account.number, each.asset] = {
                    "version": each.version,
                    "hours": each.alert.hours,
                    "rearm_hours": each.alert.rearm_hours,
                    "short": each.short,
                    "crossings": each.crossings,
                    "crossed_at": each.crossed_at,
                    "empty_at": each.empty_at,
                    "available": each.available,
                    "needed": each.needed,
                }
    return found


def policies_of(state: State) -> Facts:
    """Rules of decisions: an account's own, at the version that it has, and its package's."""
    found: Facts = {}
    for account in state.accounts.values():
        own = account.own_rules
        kept: dict[str, Any] = {"tenant": account.tenant}
        if own.version:
            kept["own"] = [own.version, msgspec.json.decode(policy_rules_json(own.rules))]
        if own.packaged:
            rules = msgspec.json.decode(policy_rules_json(own.packaged))
            kept[f"of package {own.package}"] = [own.package_version, rules]
        if len(kept) > 1:
            found[account.number] = kept
    return found


def contracts_of(state: State) -> Facts:
    """Contracts, by account and name."""
    return {
        account.number: {
            each.name: {
                "tenant": account.tenant,
                "package": each.package,
                "version": each.version,
                "starts_at": each.starts_at,
                "ends_at": each.until,
                "auto_renew": bool(each.auto_renew),
                "state": each.state,
            }
            for each in account.contracts
        }
        for account in state.accounts.values()
        if account.contracts
    }


def subscriptions_of(state: State) -> Facts:
    """The subscription of each account that has one."""
    return {
        account.number: {
            "tenant": account.tenant,
            "package": account.subscription.package,
            "version": account.subscription.version,
            "period_start": account.subscription.period_start,
            "period_end": account.subscription.period_end,
            "over": account.subscription.over,
        }
        for account in state.accounts.values()
        if account.subscription is not None
    }


def charges_of(state: State) -> Facts:
    """`charged`: the sum of the last period's fees. The end of what is charged once follows from
    its period."""
    return {
        charge.number: {
            "tenant": charge.account.tenant,
            "account": charge.account.number,
            "name": charge.name,
            "quantity": charge.quantity,
            "period": charge.begun or None,
            "period_start": charge.period_start if charge.begun else None,
            "ends_at": charge.ends_at if charge.recurs and charge.ends_at != NEVER else None,
            "charged": charge.charged,
        }
        for charge in state.charges.values()
    }


def is_gone(until: int | None, plan: dict[str, Any]) -> bool:
    """Whether a seat was gone as its plan's last period began; it may be forgotten."""
    return until is not None and until <= plan["period_start"]


def seat_plans_of(state: State) -> Facts:
    """Plans of seats, by account and name."""
    found: Facts = {}
    for account in state.accounts.values():
        for plan in account.seats.plans.values() if account.seats is not None else ():
            figures = {
                "tenant": account.tenant,
                "terms": msgspec.json.decode(msgspec.json.encode(seat_terms_fields(plan.terms))),
                "period_start": plan.period_start,
                "period_end": plan.period_end,
                "unassigned": plan.tally.unassigned,
                "leaving": plan.tally.leaving,
                "largest": plan.tally.largest,
                "released": plan.tally.released,
                "ends_at": None if plan.ends_at == NEVER else plan.ends_at,
                "version": plan.revision,
            }
            seats: list[Any] = [
                [
                    seat.number,
                    seat.name,
                    None if seat.until == NEVER else seat.until,
                    seat.suspended,
                ]
                for _, seat in sorted(plan.seats.items())
            ]
            figures["seats"] = [each for each in seats if not is_gone(each[2], figures)]
            found[account.number, plan.name] = figures
    return found


def statements_of(state: State) -> Facts:
    """Of each account that has said anything of statements."""
    return {
        account.number: {
            "tenant": account.tenant,
            "version": said.version or None,
            "form": said.form if said.version else None,
            "ended": said.number,
            "until": said.until or None,
            "to_close": len(said.ended),
        }
        for account in state.accounts.values()
        if (said := account.statements) is not None and not said.blank
    }


def _decoded(terms: RecurringTerms | CommitmentTerms | None) -> object:
    """As it comes back from JSON."""
    if terms is None:
        return None
    return msgspec.json.decode(msgspec.json.encode(terms_fields(terms)))
