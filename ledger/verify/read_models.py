"""The read models as a claim about the state: how their rows are read, and held to it.

Books are compared twice: their counters, and the sums of the transfers that touch them.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec

from ledger.core.state import TOP_UP_PENDING, State
from ledger.journal.connection import Connection
from ledger.projections.sql import load
from ledger.verify import stated
from ledger.verify.hours import NOTHING, HourSums
from ledger.verify.reflections import Reflection, Tally
from ledger.verify.report import Findings

_SQL: Final = load("verify")


class ReadModels:
    """One shard's read models, as they stood at `batch_seq`."""

    name = "read models"

    def __init__(self, batch_seq: int, entries: int, hash: bytes) -> None:
        self.batch_seq = batch_seq
        self.entries = entries
        self.hash = hash
        self.books: stated.Facts = {}
        self.lines: stated.Facts = {}
        self.accounts: stated.Facts = {}
        self.grants: stated.Facts = {}
        self.holds: stated.Facts = {}
        self.recurring: stated.Facts = {}
        self.commitments: stated.Facts = {}
        self.limits: dict[int, dict[str, int]] = {}  # see `stated.limits_of`
        self.top_ups: stated.Facts = {}
        self.top_up_rules: stated.Facts = {}
        self.runways: stated.Facts = {}
        self.decision_policies: stated.Facts = {}
        self.subscriptions: stated.Facts = {}
        self.charges: stated.Facts = {}
        self.contracts: stated.Facts = {}
        self.seat_plans: stated.Facts = {}  # by account and name
        self.statements: stated.Facts = {}
        self.budgets: stated.Facts = {}
        self.usage: dict[tuple[int, int, int], list[int]] = {}
        self.waiting: stated.Facts = {}
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
        _compare("book", stated.books_of(state), self.books, findings)
        _compare("transfers of book", stated.counters_of(state), self.lines, findings)
        _compare("account", stated.accounts_of(state), self.accounts, findings)
        _compare("grant", stated.grants_of(state), self.grants, findings)
        _compare("hold", stated.holds_of(state), self.holds, findings)
        _compare("recurring grant", stated.recurring_of(state), self.recurring, findings)
        limits = stated.limits_of(state)
        for account in sorted(limits.keys() | self.limits.keys()):
            what = f"what the limit of account {account} rests on"
            findings.compare(what, limits.get(account, {}), self.limits.get(account, {}))
        _compare("commitment", stated.commitments_of(state), self.commitments, findings)
        kept = {  # settled ones are forgotten, their rows stay
            number: row
            for number, row in self.top_ups.items()
            if row["state"] == TOP_UP_PENDING or row["requested_at"] > state.settled_before
        }
        _compare("top-up", stated.top_ups_of(state), kept, findings)
        _compare("top-up rules of account", stated.rules_of(state), self.top_up_rules, findings)
        _compare("runway alert", stated.runways_of(state), self.runways, findings)
        policies = stated.policies_of(state)
        _compare("decision policy of account", policies, self.decision_policies, findings)
        _compare(
            "budget", stated.budgets_of(state), stated.kept_windows(state, self.budgets), findings
        )
        _compare("plan of seats", stated.seat_plans_of(state), self.seat_plans, findings)
        _compare(
            "subscription of account", stated.subscriptions_of(state), self.subscriptions, findings
        )
        _compare("fixed charge", stated.charges_of(state), self.charges, findings)
        _compare("statements of account", stated.statements_of(state), self.statements, findings)
        _compare("contracts of account", stated.contracts_of(state), self.contracts, findings)
        _compare("usage that waits,", stated.waiting_of(state), self.waiting, findings)
        gauges = stated.gauges_of(state)
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
        costs = stated.costs_of(state)
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
    for account, asset, *values in await connection.fetch(_SQL["runways"], shard):
        models.runways[account, asset] = dict(zip(_RUNWAY, values, strict=True))
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
        found["seats"] = [each for each in seats if not stated.is_gone(each[2], found)]
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
_RUNWAY: Final = (
    "version", "hours", "rearm_hours", "short", "crossings", "crossed_at", "empty_at", "available",
    "needed",
)  # fmt: skip
_CONTRACT: Final = ("tenant", "package", "version", "starts_at", "ends_at", "auto_renew", "state")
_SUBSCRIPTION: Final = ("tenant", "package", "version", "period_start", "period_end", "over")
_CHARGE: Final = (
    "tenant", "account", "name", "quantity", "period", "period_start", "ends_at", "charged",
)  # fmt: skip
_SEAT_PLAN: Final = (
    "tenant", "terms", "period_start", "period_end", "unassigned", "leaving", "largest", "released",
    "ends_at", "version", "seats",
)  # fmt: skip
_STATEMENTS: Final = ("tenant", "version", "form", "ended", "until", "to_close")


def _take_book(models: ReadModels, row: asyncpg.Record) -> None:
    number, *values = map(_plain, row)
    described, lines = values[: len(stated.BOOK)], values[len(stated.BOOK) :]
    models.lines[number] = dict(zip(stated.COUNTERS, lines, strict=True))
    if described[0] is not None:
        models.books[number] = dict(zip(stated.BOOK, described, strict=True))


def _plain(value: Any) -> Any:
    """NUMERIC to int; the rest as it is."""
    if value is None or isinstance(value, int | str | list):
        return value
    return int(value)


def _compare(what: str, expected: stated.Facts, found: stated.Facts, findings: Findings) -> None:
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
