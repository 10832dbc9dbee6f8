"""The read models as a claim about the state: counters, grants, holds, accounts, usage.

Books are compared twice: their counters, and the sums of the transfers that touch them.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec

from ledger.core.budgets.budgets import Budget
from ledger.core.events import BookKind, CommitmentTerms, RecurringTerms
from ledger.core.state import NEVER, TOP_UP_PENDING, State
from ledger.journal.connection import Connection
from ledger.projections.described import (
    policy_fields,
    policy_rules_json,
    seat_terms_fields,
    terms_fields,
)
from ledger.projections.sql import load
from ledger.verify.hours import NOTHING, HourSums
from ledger.verify.reflections import Reflection, Tally
from ledger.verify.report import Findings

_SQL: Final = load("verify")

Facts = dict[Any, dict[str, Any]]
"""By number: field -> value."""


class ReadModels:
    """One shard's read models, as they stood at `batch_seq`."""

    name = "read models"

    def __init__(self, batch_seq: int, entries: int, hash: bytes) -> None:
        self.batch_seq = batch_seq
        self.entries = entries
        self.hash = hash
        self.books: Facts = {}
        self.lines: Facts = {}
        self.accounts: Facts = {}
        self.grants: Facts = {}
        self.holds: Facts = {}
        self.recurring: Facts = {}
        self.commitments: Facts = {}
        self.limits: dict[int, dict[str, int]] = {}  # see `_limits_of`
        self.top_ups: Facts = {}
        self.top_up_rules: Facts = {}
        self.decision_policies: Facts = {}
        self.subscriptions: Facts = {}
        self.charges: Facts = {}
        self.contracts: Facts = {}
        self.seat_plans: Facts = {}  # by account and name
        self.statements: Facts = {}
        self.budgets: Facts = {}
        self.usage: dict[tuple[int, int, int], list[int]] = {}
        self.waiting: Facts = {}
        self.gauges: dict[tuple[int, int, int, int], tuple[int, list[int]]] = {}
        self.costs: dict[tuple[int, int], list[int]] = {}
        self.clocks: dict[int, int] = {}
        self.denials = 0
        self.hours: HourSums = {}

    def compare(self, state: State, tally: Tally, head_hash: bytes, findings: Findings) -> None:
        """See Reflection."""
        findings.compare("checkpoint entries", state.entry_seq, self.entries)
        if self.batch_seq:
            findings.compare("checkpoint hash", head_hash, self.hash)
        _compare("book", _books_of(state), self.books, findings)
        _compare("transfers of book", _counters_of(state), self.lines, findings)
        _compare("account", _accounts_of(state), self.accounts, findings)
        _compare("grant", _grants_of(state), self.grants, findings)
        _compare("hold", _holds_of(state), self.holds, findings)
        _compare("recurring grant", _recurring_of(state), self.recurring, findings)
        limits = _limits_of(state)
        for account in sorted(limits.keys() | self.limits.keys()):
            what = f"what the limit of account {account} rests on"
            findings.compare(what, limits.get(account, {}), self.limits.get(account, {}))
        _compare("commitment", _commitments_of(state), self.commitments, findings)
        kept = {  # settled ones are forgotten, their rows stay
            number: row
            for number, row in self.top_ups.items()
            if row["state"] == TOP_UP_PENDING or row["requested_at"] > state.settled_before
        }
        _compare("top-up", _top_ups_of(state), kept, findings)
        _compare("top-up rules of account", _rules_of(state), self.top_up_rules, findings)
        policies = _policies_of(state)
        _compare("decision policy of account", policies, self.decision_policies, findings)
        _compare("budget", _budgets_of(state), _of_budgets(state, self.budgets), findings)
        _compare("plan of seats", _seat_plans_of(state), self.seat_plans, findings)
        _compare("subscription of account", _subscriptions_of(state), self.subscriptions, findings)
        _compare("fixed charge", _charges_of(state), self.charges, findings)
        _compare("statements of account", _statements_of(state), self.statements, findings)
        _compare("contracts of account", _contracts_of(state), self.contracts, findings)
        _compare("usage that waits,", _waiting_of(state), self.waiting, findings)
        gauges = _gauges_of(state)
        for account, gauge, start, end in sorted(gauges.keys() | self.gauges.keys()):
            what = f"gauge {gauge} of account {account} from {start} to {end}"
            at = (account, gauge, start, end)
            findings.compare(what, gauges.get(at), self.gauges.get(at))
        for place in sorted(tally.usage.keys() | self.usage.keys()):
            tenant, asset, outcome = place
            where = f"usage events of tenant {tenant} in asset {asset} with outcome {outcome}"
            expected, found = tally.usage.get(place, [0, 0]), self.usage.get(place, [0, 0])
            findings.compare(f"number of {where}", expected[0], found[0])
            findings.compare(f"sum of charges of {where}", expected[1], found[1])
        costs = _costs_of(state)
        for tenant, asset in sorted(costs.keys() | self.costs.keys()):
            what = f"costs of usage of tenant {tenant} in asset {asset}, and what was taken off"
            expected, found = (each.get((tenant, asset), [0, 0]) for each in (costs, self.costs))
            findings.compare(what, expected, found)
        for tenant in sorted(state.offsets.keys() | self.clocks.keys()):
            ahead = self.clocks.get(tenant)
            findings.compare(f"clock of tenant {tenant}", state.offsets.get(tenant), ahead)
        for account in sorted(tally.hours.keys() | self.hours.keys()):
            what = f"what usage of account {account} drew by the hour: in all, × hours, × books"
            drawn = tally.hours.get(account, NOTHING)
            findings.compare(what, drawn, self.hours.get(account, NOTHING))
        findings.compare("number of denials", tally.denials, self.denials)


async def read_models(connection: Connection, shard: int) -> Reflection | None:
    """See ReflectionSource. None where nothing was projected yet."""
    if not await connection.fetchval(_SQL["exists"]):
        return None
    position = await connection.fetchrow(_SQL["position"], shard)
    if position is None:
        return None
    models = ReadModels(*position)
    for row in await connection.fetch(_SQL["books"], shard):
        _take_book(models, row)
    for row in await connection.fetch(_SQL["accounts"], shard):
        number, *values = row
        models.accounts[number] = dict(zip(_ACCOUNT, values, strict=True))
        models.accounts[number]["policy"] = msgspec.json.decode(models.accounts[number]["policy"])
    for row in await connection.fetch(_SQL["grants"], shard):
        number, *values = map(_plain, row)
        models.grants[number] = dict(zip(_GRANT, values, strict=True))
        models.grants[number]["attributes"] = msgspec.json.decode(
            models.grants[number]["attributes"]
        )
    for row in await connection.fetch(_SQL["holds"], shard):
        number, *values = row
        models.holds[number] = dict(zip(_HOLD, values, strict=True))
    for row in await connection.fetch(_SQL["recurring"], shard):
        number, *values = row
        found = models.recurring[number] = dict(zip(_RECURRING, values, strict=True))
        for name in ("terms", "next_terms"):
            if found[name] is not None:
                found[name] = msgspec.json.decode(found[name])
    for kind, account, asset, value in await connection.fetch(_SQL["limits"], shard):
        what = "lifetime value" if kind == 1 else "owed since"
        models.limits.setdefault(account, {})[f"{what}, asset {asset}"] = int(value)
    for row in await connection.fetch(_SQL["commitments"], shard):
        number, *values = map(_plain, row)
        found = models.commitments[number] = dict(zip(_COMMITMENT, values, strict=True))
        found["terms"] = msgspec.json.decode(found["terms"])
    for row in await connection.fetch(_SQL["top_ups"], shard):
        number, *values = row
        models.top_ups[number] = dict(zip(_TOP_UP, values, strict=True))
    for account, asset, rule in await connection.fetch(_SQL["top_up_rules"], shard):
        if rule is not None:
            kept = models.top_up_rules.setdefault(account, {})
            kept[str(asset)] = msgspec.json.decode(rule)
    for account, tenant, package, version, rules in await connection.fetch(
        _SQL["decision_policies"], shard
    ):
        found = msgspec.json.decode(rules)
        if found or not package:
            kept = models.decision_policies.setdefault(account, {"tenant": tenant})
            kept[f"of package {package}" if package else "own"] = [version, found]
    for number, tenant, account, name, version, terms in await connection.fetch(
        _SQL["budgets"], shard
    ):
        if terms is not None:
            models.budgets[number] = {
                "tenant": tenant,
                "account": account,
                "name": name,
                "version": version,
                "terms": msgspec.json.decode(terms),
                "posted": 0,
                "pending": 0,
                "windows": {},
            }
    for number, tenant, account, of, value in await connection.fetch(_SQL["budget_values"], shard):
        models.budgets[number] = {
            "tenant": tenant,
            "account": account,
            "of": of,
            "value": value,
            "posted": 0,
            "pending": 0,
            "windows": {},
        }
    for number, since, until, posted, pending in await connection.fetch(
        _SQL["budget_windows"], shard
    ):
        if number in models.budgets:
            budget = models.budgets[number]
            budget["posted"] += int(posted)
            budget["pending"] += int(pending)
            budget["windows"][since, until] = (int(posted), int(pending))
    for row in await connection.fetch(_SQL["subscriptions"], shard):
        account, *values = row
        models.subscriptions[account] = dict(zip(_SUBSCRIPTION, values, strict=True))
    for row in await connection.fetch(_SQL["fixed_charges"], shard):
        number, *values = row
        models.charges[number] = dict(zip(_CHARGE, values, strict=True))
    for row in await connection.fetch(_SQL["contracts"], shard):
        account, name, *values = row
        models.contracts.setdefault(account, {})[name] = dict(zip(_CONTRACT, values, strict=True))
    for row in await connection.fetch(_SQL["seat_plans"], shard):
        account, plan, *values = row
        found = dict(zip(_SEAT_PLAN, values, strict=True))
        found["terms"] = msgspec.json.decode(found["terms"])
        seats = msgspec.json.decode(found["seats"])
        found["seats"] = [each for each in seats if not _gone(each[2], found)]
        models.seat_plans[account, plan] = found
    for row in await connection.fetch(_SQL["statements"], shard):
        account, *values = row
        models.statements[account] = dict(zip(_STATEMENTS, values, strict=True))
    for account, gauge, start, end, tenant, level in await connection.fetch(_SQL["gauges"], shard):
        models.gauges[account, gauge, start, end] = (tenant, list(level))
    for tenant, asset, outcome, count, charge in await connection.fetch(_SQL["usage"], shard):
        models.usage[(tenant, asset, outcome)] = [count, int(charge)]
    for entry, tenant, account, at, quantities, reasons in await connection.fetch(
        _SQL["waiting"], shard
    ):
        places = [place for place, reason in enumerate(reasons) if reason is not None]
        values = (tenant, account, at, quantities, places)
        models.waiting[entry] = dict(zip(_WAITING, values, strict=True))
    for tenant, asset, cost, given_back in await connection.fetch(_SQL["costs"], shard):
        if cost:
            models.costs[tenant, asset] = [int(cost), int(given_back)]
    models.clocks = dict(await connection.fetch(_SQL["clocks"], shard))
    for account, *sums in await connection.fetch(_SQL["usage_hours"], shard):
        amount, by_hour, by_book = map(int, sums)
        models.hours[account] = (amount, by_hour, by_book)
    models.denials = await connection.fetchval(_SQL["denials"], shard)
    return models


_COUNTERS: Final = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
_BOOK: Final = ("tenant", "kind", "asset", "owner", "name", *_COUNTERS)
_ACCOUNT: Final = (
    "tenant", "parent", "root", "policy", "version", "created_at", "closed_at", "reopened_at",
    "frozen_at", "profile_version",
)  # fmt: skip
_GRANT: Final = (
    "tenant", "account", "ordinal", "kind", "state", "asset", "amount", "price_paid",
    "price_asset", "priority", "effective_at", "expires_at", "products", "tags", "attributes",
    "shared", "book", "funding_book", "cash_book", "deferred_book", "origin", "drawn", "recognised",
    "held", "rolled", "cancelled", "returned", "recurring",
    "commitment",
)  # fmt: skip
_TOP_UP: Final = (
    "tenant", "account", "state", "asset", "amount", "price_paid", "price_asset", "source",
    "version", "available", "requested_at", "expires_at", "settled_at", "grant",
)  # fmt: skip
_RECURRING: Final = (
    "tenant", "account", "paused", "version", "terms", "next_terms", "starts_at", "ends_at",
    "next_at", "period_start", "period_end", "created_at", "grants",
)  # fmt: skip
_COMMITMENT: Final = (
    "tenant", "account", "terms", "created_at", "grants", "planned", "to_invoice", "invoiced",
    "invoiced_money", "ended_at", "ending", "moved_to",
)  # fmt: skip
_WAITING: Final = ("tenant", "account", "effective_at", "quantities", "places")
_HOLD: Final = (
    "tenant", "account", "asset", "amount", "expires_at", "captured", "captures",
    "reported_at",
)  # fmt: skip


def _take_book(models: ReadModels, row: asyncpg.Record) -> None:
    number, *values = map(_plain, row)
    described, lines = values[: len(_BOOK)], values[len(_BOOK) :]
    models.lines[number] = dict(zip(_COUNTERS, lines, strict=True))
    if described[0] is not None:
        models.books[number] = dict(zip(_BOOK, described, strict=True))


def _plain(value: Any) -> Any:
    """NUMERIC to int; the rest as it is."""
    if value is None or isinstance(value, int | str | list):
        return value
    return int(value)


def _costs_of(state: State) -> dict[tuple[int, int], list[int]]:
    """What the cost books were debited and credited, by tenant and asset (rule B4)."""
    costs: dict[tuple[int, int], list[int]] = {}
    for book in state.house.values():
        if book.kind == BookKind.COST:
            sums = costs.setdefault((book.tenant, book.asset), [0, 0])
            sums[0] += book.debits_posted
            sums[1] += book.credits_posted
    return costs


def _compare(what: str, expected: Facts, found: Facts, findings: Findings) -> None:
    for number in sorted(expected.keys() | found.keys()):
        wanted, seen = expected.get(number), found.get(number)
        if wanted is None or seen is None:
            findings.add(
                f"{what} {number}",
                "none" if wanted is None else "a row",
                "none" if seen is None else "a row",
            )
        elif wanted != seen:
            for field, value in wanted.items():
                findings.compare(f"{what} {number}, {field}", value, seen[field])


def _books_of(state: State) -> Facts:
    return {
        number: {name: getattr(book, name) for name in _BOOK}
        for number, book in state.books.accounts.items()
    }


def _counters_of(state: State) -> Facts:
    return {
        number: {name: getattr(book, name) for name in _COUNTERS}
        for number, book in state.books.accounts.items()
    }


def _accounts_of(state: State) -> Facts:
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


def _grants_of(state: State) -> Facts:
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


def _holds_of(state: State) -> Facts:
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


def _recurring_of(state: State) -> Facts:
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


def _limits_of(state: State) -> dict[int, dict[str, int]]:
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


def _commitments_of(state: State) -> Facts:
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


def _top_ups_of(state: State) -> Facts:
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


def _budgets_of(state: State) -> Facts:
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


def _of_budgets(state: State, rows: Facts) -> Facts:
    """The rows without windows that the state has forgotten."""
    kept = _budgets_of(state)
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


def _waiting_of(state: State) -> Facts:
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


def _gauges_of(state: State) -> dict[tuple[int, int, int, int], tuple[int, list[int]]]:
    """By account, gauge and scope: the tenant, and what it shows (rule T2)."""
    return {
        (account.number, gauge.key, *scope): (account.tenant, list(gauge.level))
        for account in state.accounts.values()
        if account.gauges is not None
        for scope, gauges in account.gauges.scopes.items()
        for gauge in gauges.values()
    }


def _rules_of(state: State) -> Facts:
    found: Facts = {}
    for account in state.accounts.values():
        for asset, (_, rule) in account.top_up_rules.items():
            if rule is not None:
                kept = found.setdefault(account.number, {})
                kept[str(asset)] = msgspec.json.decode(
                    msgspec.json.encode(msgspec.structs.asdict(rule))
                )
    return found


def _policies_of(state: State) -> Facts:
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


_CONTRACT = ("tenant", "package", "version", "starts_at", "ends_at", "auto_renew", "state")


def _contracts_of(state: State) -> Facts:
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


_SUBSCRIPTION = ("tenant", "package", "version", "period_start", "period_end", "over")


def _subscriptions_of(state: State) -> Facts:
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


_CHARGE = (
    "tenant", "account", "name", "quantity", "period", "period_start", "ends_at", "charged",
)  # fmt: skip


def _charges_of(state: State) -> Facts:
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


_SEAT_PLAN = (
    "tenant", "terms", "period_start", "period_end", "unassigned", "leaving", "largest", "released",
    "ends_at", "version", "seats",
)  # fmt: skip


def _gone(until: int | None, plan: dict[str, Any]) -> bool:
    """Whether a seat was gone as its plan's last period began; it may be forgotten."""
    return until is not None and until <= plan["period_start"]


def _seat_plans_of(state: State) -> Facts:
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
            figures["seats"] = [each for each in seats if not _gone(each[2], figures)]
            found[account.number, plan.name] = figures
    return found


_STATEMENTS = ("tenant", "version", "form", "ended", "until", "to_close")


def _statements_of(state: State) -> Facts:
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
