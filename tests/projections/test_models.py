"""Price models in the read models: re-rates as transfers of their own, reasons of suspense (R1)."""

from __future__ import annotations

from ledger.core.commands import ReverseUsage
from ledger.core.events import AccountPolicy, UsageReversed
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from rating.card import Meter, PriceRow, RateCard
from rating.models import Formula, Scope, Tier, Volume
from tests.projections.books import Books, open_books
from tests.projections.projecting import looking, project

MODELS = RateCard(
    name="models",
    asset="CREDIT",
    asset_scale=6,
    meters=(Meter("input_tokens"), Meter("output_tokens")),
    rows=(
        PriceRow(
            "chat",
            "input_tokens",
            "",
            model=Volume((Tier(100, "0.000010"), Tier(None, "0.000005"))),
        ),
        PriceRow(
            "chat",
            "output_tokens",
            "",
            scope=Scope.EVENT,
            model=Formula('output_tokens * attr("width")', ("width",)),
        ),
    ),
)


async def priced_by_models(books: Books) -> None:
    card = await books.ledger.publish_card(TENANT_DEFAULT, MODELS)
    assert isinstance(card, ConfigurationEntry), card


async def test_a_re_rate_is_an_entry_with_transfers_of_its_own(database: str) -> None:
    """The usage keeps its own charge; what earlier usage costs less goes back beside it, with the
    money that it had recognised, and after a reversal it is drawn again."""
    async with open_books(database) as books:
        await priced_by_models(books)
        team = await books.account("acme", policy=AccountPolicy(rate_card="models"))
        await books.grant(team, 10_000, paid=1_000)
        await books.ask(team, books.usage(team, "a", (100, 0)))
        await books.ask(team, books.usage(team, "b", (50, 0)))
        await project(database)
        assert (await verify(database)).ok
        recorded = await books.ledger.writers[team.shard].recorded.under(
            books.ledger.family(team).usage("app", "b")
        )
        assert recorded is not None
        reverse = ReverseUsage(books.key(team), team.number, recorded.original, (), 0)
        (outcome,) = await books.ask(team, reverse)
        assert isinstance(outcome, UsageReversed), outcome
        await project(database)
        async with looking(database) as connection:
            transfers = await connection.fetch(
                "SELECT d.kind AS debit, c.kind AS credit, t.amount, t.value "
                "FROM projection.transfers t "
                "JOIN projection.books d ON (d.tenant, d.book) = (t.tenant, t.debit_book) "
                "JOIN projection.books c ON (c.tenant, c.book) = (t.tenant, t.credit_book) "
                "WHERE 6 IN (d.kind, c.kind) ORDER BY t.entry_seq, t.line"
            )
            grant, used = 1, 6
            assert [tuple(row) for row in transfers] == [
                (grant, used, 1_000, 100),
                (grant, used, 250, 25),
                (used, grant, 500, -50),  # the first hundred cost half
                (used, grant, 250, -25),
                (grant, used, 500, 50),  # and whole again
            ]
            charges = await connection.fetch(
                "SELECT event_id, charge, reversed FROM projection.usage_events ORDER BY entry_seq"
            )
            assert [tuple(row) for row in charges] == [("a", 1_000, 0), ("b", 250, 250)]
            [drawn] = await connection.fetch(
                "SELECT drawn, recognised FROM projection.grant_balances"
            )
            assert tuple(map(int, drawn)) == (1_000, 100)
    report = await verify(database)
    assert report.ok, report.findings


async def test_why_a_quantity_waits_stands_in_the_tables(database: str) -> None:
    """And the other quantity of the event is charged (rule B8)."""
    async with open_books(database) as books:
        await priced_by_models(books)
        team = await books.account("acme", policy=AccountPolicy(rate_card="models"))
        await books.grant(team, 10_000)
        await books.ask(team, books.usage(team, "a", (10, 5)))
        await project(database)
        async with looking(database) as connection:
            [usage] = await connection.fetch(
                "SELECT outcome, reason, charges, charge FROM projection.usage_events"
            )
        assert tuple(usage) == (2, "ATTRIBUTE_MISSING", [100, None], 100)
    report = await verify(database)
    assert report.ok, report.findings
