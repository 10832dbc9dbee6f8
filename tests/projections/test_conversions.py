"""What is paid in the settlement currency, in tables (rule R5)."""

from __future__ import annotations

from ledger.core.commands import BillAccount
from ledger.core.events import AccountPolicy, BookKind, Overage
from ledger.core.limits import DAY_US
from ledger.engine.configuration import ConversionBody
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import MONEY, Books, open_books
from tests.projections.projecting import looking, project
from tests.projections.test_corrections import reverse
from tests.projections.test_payments import issue


async def story(books: Books, database: str) -> None:
    body = ConversionBody("CREDIT", "USD", "0.01")
    rate = await books.ledger.publish_conversion(TENANT_DEFAULT, body)
    assert isinstance(rate, ConfigurationEntry), rate
    policy = AccountPolicy(
        overdraft_asset=MONEY, overdraft_limit=1_000, overage=Overage.SELF, settlement_asset=MONEY
    )
    team = await books.account("team", policy=policy)
    await books.use(team, "owed and billed")
    await project(database)
    await issue(books, team, 250, 40)
    await books.use(team, "in part")
    await reverse(books, team, "in part", (80, 0))
    await project(database)
    await books.ask(team, BillAccount(books.key(team), team.number, MONEY))
    held = await books.hold(team, (1, 1))
    await books.capture(team, held, (100, 20))
    await books.ask(team, books.usage(team, "late", age_us=34 * DAY_US))
    await reverse(books, team, "late")
    await reverse(books, team, "in part")


async def test_conversions_in_tables(database: str) -> None:
    """Every transfer stands there, each asset is balanced, and `verify` finds nothing."""
    async with open_books(database) as books:
        await story(books, database)
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        unbalanced = await connection.fetch(
            "SELECT shard, asset FROM projection.books "
            "GROUP BY shard, asset HAVING sum(debits_posted) <> sum(credits_posted)"
        )
        sides = await connection.fetch(
            "SELECT asset, debits_posted > 0 AS debited, credits_posted > 0 AS credited "
            "FROM projection.books WHERE kind = $1 ORDER BY asset",
            BookKind.CONVERSION,
        )
    assert not unbalanced
    assert [tuple(side)[1:] for side in sides] == [(True, True), (True, True)]
