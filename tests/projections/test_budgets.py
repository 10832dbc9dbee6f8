"""Budgets, their windows and the thresholds that were reached, in tables (rules H4, H5)."""

from __future__ import annotations

import json

from msgspec.structs import replace

from ledger.core.commands import (
    AuthorizeHold,
    CancelSubscription,
    ChangePackage,
    DebitWork,
    RemoveBudget,
    SetBudget,
    SetOperationBudget,
    SetOperationPolicy,
    Subscribe,
)
from ledger.core.events import (
    BudgetMeasure,
    BudgetTerms,
    BudgetValues,
    Timing,
    ValueLimit,
    Window,
    WindowKind,
    WindowUnit,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package, PackagedUnit
from ledger.core.packages.packaged_budgets import PackagedBudget, PackagedMeasure
from ledger.core.shapes import Shape
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import CREDIT, open_books
from tests.projections.projecting import looking, project

DAILY = Window(WindowKind.CALENDAR, WindowUnit.DAY, "UTC")
CALLS = PackagedMeasure.REQUESTS
TERMS = BudgetTerms(BudgetMeasure.CHARGE, 10, CREDIT, window=DAILY, thresholds=(100,))


async def test_tables_of_budgets(database: str) -> None:
    async with open_books(database) as books:
        acme = await books.account("acme")

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        account = acme.number
        await ask(SetBudget(books.key(acme), account, "daily", TERMS))
        await ask(SetBudget(books.key(acme), account, "gone", replace(TERMS, thresholds=())))
        await books.use(acme, "one")
        await project(database)
        await books.use(acme, "two")
        await ask(SetBudget(books.key(acme), account, "daily", replace(TERMS, limit=20)))
        await project(database)
        books.clock.ahead_us += DAY_US
        await books.use(acme, "three")
        await ask(RemoveBudget(books.key(acme), account, "gone"))
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT version, terms FROM projection.budgets WHERE name = 'daily' ORDER BY entry_seq"
        )
        assert [each["version"] for each in rows] == [1, 2]
        assert [json.loads(each["terms"])["limit"] for each in rows] == [10, 20]
        windows = await connection.fetch(
            "SELECT posted, pending, until - since AS length FROM projection.budget_windows"
            " WHERE number = 1 ORDER BY since"
        )
        charged = await connection.fetch("SELECT charge FROM projection.usage_events")
        each = charged[0]["charge"]
        assert [int(row["posted"]) for row in windows] == [2 * each, each]
        assert {row["length"] for row in windows} == {DAY_US}
        crossed = await connection.fetch("SELECT threshold, used FROM projection.budget_crossings")
        assert [(row["threshold"], int(row["used"])) for row in crossed] == [(100, each)] * 2
        await connection.execute(
            "UPDATE projection.budget_windows SET posted = posted + 1 WHERE number = 1"
        )
    damaged = await verify(database)
    assert {found.what.partition(",")[0] for found in damaged.findings} == {"budget 1"}


def of_user(user: str) -> Shape:
    return Shape("chat", (("user", user),), ("input_tokens", "output_tokens"))


async def test_tables_of_a_budget_that_counts_values_by_themselves(database: str) -> None:
    """Rule H5: which counter is of which value, while it is kept; whose threshold was reached."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        account = acme.number
        calls = BudgetTerms(BudgetMeasure.REQUESTS, 2, window=DAILY, thresholds=(100,))
        values = BudgetValues(("user",), 1, (ValueLimit(("vip",), 1),))

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        async def use(user: str, event_id: str) -> None:
            await ask(replace(books.usage(acme, event_id), shape=of_user(user)))

        await ask(SetBudget(books.key(acme), account, "per", calls, values=values))
        await ask(SetBudget(books.key(acme), account, "gone", calls, values=values))
        for place, user in enumerate(("ada", "ada", "bob", "vip")):
            await use(user, str(place))
        await project(database)
        books.clock.ahead_us += DAY_US
        await use("bob", "next day")
        await ask(RemoveBudget(books.key(acme), account, "gone"))
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT budget, value, closed_at IS NULL AS kept, sum(posted) AS posted"
            " FROM projection.budget_values JOIN projection.budget_windows"
            " USING (tenant, shard, number) GROUP BY number, budget, value, closed_at"
            " ORDER BY budget, number"
        )
        found = [(row["budget"], row["value"], row["kept"], int(row["posted"])) for row in rows]
        assert found == [
            (1, ["ada"], False, 2), (1, [], False, 1), (1, ["vip"], False, 1),
            (1, ["bob"], True, 1),
            (2, ["ada"], False, 2), (2, [], False, 1), (2, ["vip"], False, 1),
            (2, ["bob"], False, 1),
        ]  # fmt: skip
        crossed = await connection.fetch(
            "SELECT budget, value, used FROM projection.budget_crossings WHERE budget = 1"
            " ORDER BY entry_seq"
        )
        assert [(row["value"], int(row["used"])) for row in crossed] == [(["ada"], 2), (["vip"], 1)]
        terms = await connection.fetchval(
            "SELECT terms FROM projection.budgets WHERE name = 'per' ORDER BY entry_seq LIMIT 1"
        )
        said = json.loads(terms)
        assert (said["group_by"], said["values_max"]) == (["user"], 1)
        assert said["value_limits"] == [{"value": ["vip"], "limit": 1}]
        await connection.execute(
            "UPDATE projection.budget_values SET value = '{eve}' WHERE budget = 1"
        )
    damaged = await verify(database)
    assert damaged.findings and all("budget" in found.what for found in damaged.findings)


async def test_tables_of_budgets_of_a_package(database: str) -> None:
    """Rules P1, H4: set, changed and removed by what is published, beside the account's own."""
    async with open_books(database) as books:

        async def publish(name: str, **limits: int) -> None:
            said = [PackagedBudget(each, CALLS, limit) for each, limit in limits.items()]
            package = Package(PackagedUnit.WEEK, budgets=tuple(said))
            made = await books.ledger.publish_package(TENANT_DEFAULT, name, package)
            assert isinstance(made, ConfigurationEntry), made

        await publish("small", calls=5, spare=9)
        await publish("large", calls=50)
        acme = await books.account("acme")
        account = acme.number

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        await ask(SetBudget(books.key(acme), account, "own", TERMS))
        await ask(Subscribe(books.key(acme), account, "small"))
        await books.use(acme, "one")
        await ask(ChangePackage(books.key(acme), account, "large", Timing.NOW))
        await books.use(acme, "two")
        await project(database)
        await ask(CancelSubscription(books.key(acme), account, Timing.NEXT_PERIOD))
        books.clock.ahead_us += 8 * DAY_US
        await books.use(acme, "three")
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT name, version, terms FROM projection.budgets ORDER BY entry_seq"
        )
        posted = await connection.fetch(
            "SELECT sum(posted) AS posted FROM projection.budget_windows WHERE number = 2"
        )
    found = [
        (each["name"], each["version"], each["terms"] and json.loads(each["terms"])["limit"])
        for each in rows
    ]
    assert found == [
        ("own", 1, 10), ("calls", 1, 5), ("spare", 1, 9), ("spare", None, None),
        ("calls", 2, 50), ("calls", None, None),
    ]  # fmt: skip
    assert int(posted[0]["posted"]) == 2


async def test_tables_of_budgets_by_a_policy_of_operations(database: str) -> None:
    """They stand as those that were set by hand (rule H4)."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        account = acme.number
        await books.grant(acme, 1_000_000, lifetime_us=9 * DAY_US)
        terms = BudgetTerms(BudgetMeasure.REQUESTS, 2)
        shape = Shape("chat", (), ("input_tokens", "output_tokens"))
        run = b"r" * 16
        for command in (
            SetOperationPolicy(books.key(acme), account, terms),
            DebitWork(books.key(acme), account, shape, (10, 10), operation=b"c" * 16 + run),
            SetOperationPolicy(books.key(acme), account, None),
            DebitWork(books.key(acme), account, shape, (10, 10), operation=b"d" * 16),
        ):
            (outcome,) = await books.ask(acme, command)
            assert not isinstance(outcome, Refusal), outcome
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rows = await connection.fetch("SELECT name, version FROM projection.budgets")
        assert [(row["name"], row["version"]) for row in rows] == [(run.hex(), 1)]
        windows = await connection.fetch("SELECT posted FROM projection.budget_windows")
        assert [int(row["posted"]) for row in windows] == [1]


async def test_tables_of_an_operations_budget(database: str) -> None:
    """By its digest for a name, until it ends; what holds reserve for it pends there (rule H4)."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        account = acme.number
        await books.grant(acme, 1_000_000, lifetime_us=9 * DAY_US)
        run = b"r" * 16
        terms = BudgetTerms(BudgetMeasure.REQUESTS, 2, thresholds=(100,))

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        await ask(SetOperationBudget(books.key(acme), account, run, terms, idle=DAY_US))
        shape = Shape("chat", (), ("input_tokens", "output_tokens"))
        for operation in (run, b"c" * 16 + run):
            await ask(DebitWork(books.key(acme), account, shape, (10, 10), operation=operation))
        await project(database)
        report = await verify(database)
        assert report.ok, report.findings
        books.clock.ahead_us += 2 * DAY_US
        await ask(SetOperationBudget(books.key(acme), account, b"n" * 16, terms))
        held = AuthorizeHold(books.key(acme), account, shape, (10, 10), 0, operation=b"n" * 16)
        await ask(held)
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT name, version FROM projection.budgets ORDER BY entry_seq"
        )
        named = [(row["name"], row["version"]) for row in rows]
        assert named == [(run.hex(), 1), (run.hex(), None), ((b"n" * 16).hex(), 1)]
        windows = await connection.fetch(
            "SELECT posted, pending FROM projection.budget_windows ORDER BY number"
        )
        assert [(int(row["posted"]), int(row["pending"])) for row in windows] == [(2, 0), (0, 1)]
