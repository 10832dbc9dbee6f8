"""Top-up rules and the charges that they asked for, in tables, over a restart of the projection."""

from __future__ import annotations

import json

from msgspec.structs import replace

from ledger.core.catalog import asset_number
from ledger.core.commands import ConfirmTopUp, DeclineTopUp, RemoveTopUpRule, SetTopUpRule
from ledger.core.events import TopUpRule
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Refusal
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import CREDIT, open_books
from tests.projections.projecting import looking, project

USD = asset_number(TENANT_DEFAULT, 2)
RULE = TopUpRule(CREDIT, 100, 1_000, 0, 3, 2, USD, "card on file", 20, DAY_US)


async def test_tables_of_top_ups(database: str) -> None:
    async with open_books(database) as books:
        acme = await books.account("acme")

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        account = acme.number
        await ask(SetTopUpRule(books.key(acme), account, RULE))
        await ask(ConfirmTopUp(books.key(acme), account, 1))
        await project(database)
        higher = replace(RULE, threshold=2_000, target=5_000)
        await ask(SetTopUpRule(books.key(acme), account, higher))
        await project(database)
        await ask(DeclineTopUp(books.key(acme), account, 2))
        books.clock.ahead_us += HOUR_US
        await books.use(acme, "asks again")
        books.clock.ahead_us += DAY_US
        await books.use(acme, "expired, and asked for again")
        await ask(ConfirmTopUp(books.key(acme), account, 3))
        await project(database)
        await ask(RemoveTopUpRule(books.key(acme), account, CREDIT))
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        rules = await connection.fetch(
            "SELECT version, rule FROM projection.top_up_rules ORDER BY entry_seq"
        )
        assert [each["version"] for each in rules] == [1, 2, None]
        assert json.loads(rules[0]["rule"])["source"] == "card on file"
        top_ups = await connection.fetch("SELECT * FROM projection.top_ups ORDER BY number")
        assert [each["state"] for each in top_ups] == [2, 3, 2, 1]
        first = top_ups[0]
        assert (first["amount"], first["price_paid"], first["available"]) == (1_000, 1_500, 0)
        issued = await connection.fetchrow(
            "SELECT amount, price_paid FROM projection.grants WHERE number = $1",
            first["grant_number"],
        )
        assert tuple(issued) == (1_000, 1_500)
        assert top_ups[1]["settled_at"] is not None and top_ups[1]["grant_number"] is None
