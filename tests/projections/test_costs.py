"""What the provider takes, in the read models: beside its usage, in the books, given back (B4)."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.commands import ReverseUsage
from ledger.core.events import AccountPolicy, UsageCosted, UsageReversed
from ledger.core.limits import INT64_MAX
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.connection import open_pool
from ledger.journal.directory import TENANT_DEFAULT
from ledger.projections.earnings import Earnings, Figure, GroupBy
from ledger.projections.rebuild import rebuild
from ledger.verify import verify
from rating.card import Meter, PriceRow, Product, RateCard
from rating.models import Tier, Volume
from tests.projections.books import CARD, CREDIT, DRAW, MONEY, Books, open_books
from tests.projections.projecting import everything, looking, project

SUPPLIER = RateCard(
    name="supplier",
    asset="USD",
    asset_scale=9,
    meters=(Meter(quantity="input_tokens"), Meter(quantity="output_tokens")),
    rows=(PriceRow(product="chat", quantity="input_tokens", price="0.000001"),),
    products=(Product("chat", provider="acme-ai"),),
)


async def resell(books: Books) -> None:
    """Publish a card of costs, and a card of prices that names it."""
    for card in (SUPPLIER, replace(CARD, name="resold", cost_card="supplier")):
        made = await books.ledger.publish_card(TENANT_DEFAULT, card)
        assert isinstance(made, ConfigurationEntry), made


async def test_costs_stand_beside_the_usage_and_in_the_books(database: str) -> None:
    """100 input tokens at 1,000 nano-dollars; nobody knows what the output costs."""
    async with open_books(database) as books:
        await resell(books)
        team = await books.account("acme", policy=AccountPolicy(rate_card="resold"))
        await books.grant(team, 5_000, paid=1_000_000)
        await books.use(team, "a", "b")
        hold = await books.hold(team)
        captured = await books.capture(team, hold, (40, 5), keep_open=True)
        assert isinstance(captured, UsageCosted)
        recorded = await books.ledger.writers[team.shard].recorded.under(
            books.ledger.family(team).usage("app", "b")
        )
        assert recorded is not None
        command = ReverseUsage(
            books.key(team), team.number, recorded.original, (30, 0), refund_cost=True
        )
        (reversed_,) = await books.ask(team, command)
        assert isinstance(reversed_, UsageReversed)
        await project(database)
        async with looking(database) as connection:
            costs = await connection.fetch(
                "SELECT u.event_id, c.cost, c.lines, c.given_back, p.rate_card "
                "FROM projection.usage_costs c "
                "JOIN projection.usage_events u USING (tenant, shard, entry_seq) "
                "JOIN projection.plans p ON (p.tenant, p.shard, p.plan) "
                "= (c.tenant, c.shard, c.plan) ORDER BY c.entry_seq"
            )
            assert [tuple(row) for row in costs] == [
                ("a", 100_000, [100_000, None], 0, "supplier"),
                ("b", 100_000, [100_000, None], 30_000, "supplier"),
                (None, 40_000, [40_000, None], 0, "supplier"),
            ]
            books_of = await connection.fetch(
                "SELECT kind, name, debits_posted, credits_posted FROM projection.books "
                "WHERE kind IN (20, 21) ORDER BY kind"
            )
            assert [tuple(map(int, (row[0], row[2], row[3]))) for row in books_of] == [
                (20, 240_000, 30_000),
                (21, 30_000, 240_000),
            ]
            assert {row[1] for row in books_of} == {"acme-ai"}
            asked = await connection.fetchval(
                "SELECT count(*) FROM projection.usage_operations WHERE account = $1", team.number
            )
            assert asked == 2
    report = await verify(database)
    assert report.ok, report.findings
    before = await everything(database)
    await rebuild(database)
    assert await everything(database) == before


async def test_verify_finds_a_cost_that_somebody_changed(database: str) -> None:
    async with open_books(database) as books:
        await resell(books)
        team = await books.account("acme", policy=AccountPolicy(rate_card="resold"))
        await books.use(team, "a")
        await project(database)
    async with looking(database) as connection:
        await connection.execute("UPDATE projection.usage_costs SET cost = cost - 1")
    report = await verify(database)
    assert [each.what[:14] for each in report.findings] == ["costs of usage"]


async def test_what_follows_usage_belongs_to_it(database: str) -> None:
    """Pictures had no price; what rates them later earns for the usage, and is no call of its own
    (rule B8)."""
    async with open_books(database) as books:
        team = await books.account("acme")
        await books.grant(team, 5_000_000, paid=1_000_000)
        await books.ask(team, books.usage(team, "wait", (3,), DRAW))
        await project(database)
        pool = await open_pool(database, application_name="tests")
        try:
            earnings = Earnings(pool)
            span = (TENANT_DEFAULT, None, False, 0, INT64_MAX, GroupBy.PRODUCT, "", 0, 10)
            [(product, waiting)], _ = await earnings.margin(*span)
            assert (product, waiting.calls, waiting.unrated) == ("images", 1, 1)
            assert waiting.of(Figure.BURNT) == {}
            row = PriceRow(product="images", quantity="pictures", price="1")
            meters = (*CARD.meters, Meter(quantity="pictures"))
            later = replace(CARD, meters=meters, rows=(*CARD.rows, row))
            made = await books.ledger.publish_card(TENANT_DEFAULT, later, effective_from_us=1)
            assert isinstance(made, ConfigurationEntry), made
            writer = books.ledger.writers[team.shard]
            while await writer.look(
                lambda state: len(state.families[state.accounts[team.number].root].waiting),
                (team.number,),
            ):
                pass
            await project(database)
            [(_, rated)], _ = await earnings.margin(*span)
            assert (rated.calls, rated.unrated) == (1, 0)
            assert rated.of(Figure.BURNT) == {CREDIT: 3_000_000}
            assert rated.of(Figure.EARNED) == {MONEY: 600_000}
        finally:
            await pool.close()
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_re_rate_by_what_had_waited_belongs_to_that_usage(database: str) -> None:
    """Ten pictures cost 2 each, from the eleventh on all cost 1: what is drawn in the end is what
    the usage burnt, also after one of the two is given back (rules R1, B8)."""
    async with open_books(database) as books:
        team = await books.account("acme")
        await books.grant(team, 50_000_000, paid=50_000)
        await books.ask(team, books.usage(team, "a", (8,), DRAW))
        await books.ask(team, books.usage(team, "b", (8,), DRAW))
        volume = PriceRow("images", "pictures", "", model=Volume((Tier(10, "2"), Tier(None, "1"))))
        meters = (*CARD.meters, Meter(quantity="pictures"))
        later = replace(CARD, meters=meters, rows=(*CARD.rows, volume))
        made = await books.ledger.publish_card(TENANT_DEFAULT, later, effective_from_us=1)
        assert isinstance(made, ConfigurationEntry), made
        writer = books.ledger.writers[team.shard]
        while await writer.look(
            lambda state: len(state.families[state.accounts[team.number].root].waiting),
            (team.number,),
        ):
            pass
        await project(database)
        pool = await open_pool(database, application_name="tests")
        try:
            earnings = Earnings(pool)
            span = (TENANT_DEFAULT, None, False, 0, INT64_MAX, GroupBy.PRODUCT, "", 0, 10)
            [(_, both)], _ = await earnings.margin(*span)
            assert both.of(Figure.BURNT) == {CREDIT: 16_000_000}
            assert both.of(Figure.EARNED) == {MONEY: 16_000}
            tree = await earnings.operation(
                TENANT_DEFAULT, books.ledger.family(team).operation("answer")
            )
            assert tree.operations[0].own.of(Figure.BURNT) == {CREDIT: 16_000_000}
        finally:
            await pool.close()
    report = await verify(database)
    assert report.ok, report.findings
