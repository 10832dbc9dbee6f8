"""Budgets, their windows and the thresholds that were reached, in tables (rules H4, H5)."""

from __future__ import annotations

import json

from msgspec.structs import replace

from ledger.core.commands import RemoveBudget, SetBudget
from ledger.core.events import BudgetMeasure, BudgetTerms, Window, WindowKind, WindowUnit
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, open_books
from tests.projections.projecting import looking, project

DAILY = Window(WindowKind.CALENDAR, WindowUnit.DAY, "UTC")
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
