"""A rich history on a real ledger: days, assets of every scale, odd ids, every way a grant ends."""

from __future__ import annotations

from ledger.core.catalog import asset_number
from ledger.core.commands import ChangeQuantity, IssueGrant, ReverseUsage, StartCharge, VoidGrant
from ledger.core.events import (
    AccountPolicy,
    ChargeBilling,
    ChargePayer,
    ChargeTerms,
    GrantIssued,
    GrantKind,
    Overage,
    PeriodUnit,
    Proration,
    Timing,
)
from ledger.core.limits import DAY_US, INT64_MAX, PERIOD_GRACE_US
from ledger.core.shapes import Shape
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT, Entry
from rating.card import Meter, PriceRow, RateCard
from tests.projections.books import CREDIT, MONEY, Books, open_books
from tests.projections.projecting import project
from tests.projections.test_corrections import reverse
from tests.projections.test_costs import resell

ODD_IDS = (
    "acme/search",
    "acme-search",
    "acme--2Fsearch",
    "Ünïcödé 企業 🚀",
    'quo"te\\back\nline\ttab',
    "; comment: date:2020-01-01, type:X",
    "  spaces   within  ",
    "(virtual) [brackets] * !",
    "17",
    "a:b:c",
)
ODD_PRODUCTS = (
    "chat",
    "Chat",
    "x-chat",
    "X-chat",
    "3d/render",
    "gpt-4o",
    "模型",
    'p"; q\n',
    "-",
    "/",
)
ODD_ASSETS = (
    ("tok", 0, "unit"),
    ("Credit", 2, "credit"),
    ('odd "asset"; 50%\n', 18, "credit"),
    ("GPU-N4", 3, "unit"),
    ("A", 1, "unit"),
)
ERASED = "person@example.com"
TOKEN_CARD = RateCard(
    name="tokens",
    asset="tok",
    asset_scale=0,
    meters=(Meter(quantity="runs"),),
    rows=tuple(PriceRow(product=each, quantity="runs", price="7") for each in ODD_PRODUCTS),
)


async def write_history(dsn: str) -> None:
    """Everything, projected."""
    async with open_books(dsn) as books:
        await books.a_bit_of_everything()
        await _odd_assets(books)
        await _odd_names(books)
        await _days(books)
        await _costs(books)
        await _fees(books)
        await books.ledger.directory.erase(TENANT_DEFAULT, ERASED)
    await project(dsn)


async def _odd_assets(books: Books) -> None:
    """Grants in every asset, among them the largest that there is, twice."""
    rich = await books.account("rich")
    for code, scale, kind in ODD_ASSETS:
        made = await books.ledger.publish_asset(TENANT_DEFAULT, code, scale, kind)
        assert isinstance(made, ConfigurationEntry), made
        number = asset_number(TENANT_DEFAULT, made.version)
        for amount in (1, 10**scale, INT64_MAX, INT64_MAX):
            await issue(books, rich, number, amount)
        voided = await issue(books, rich, number, 12_345)
        await books.ask(rich, VoidGrant(books.key(rich), rich.number, voided.grant))
    await issue(books, rich, MONEY, 1_234_567_890)  # a prepaid balance in money has unit books


async def issue(
    books: Books, entry: Entry, asset: int, amount: int, kind: GrantKind = GrantKind.PROMOTIONAL
) -> GrantIssued:
    command = IssueGrant(
        key=books.key(entry),
        account=entry.number,
        kind=kind,
        asset=asset,
        amount=amount,
        price_paid=0,
        price_asset=0,
        priority=0,
        effective_at=0,
        expires_at=0,
        products=(),
        external_key=b"",
    )
    (issued,) = await books.ask(entry, command)
    assert isinstance(issued, GrantIssued), issued
    return issued


async def _odd_names(books: Books) -> None:
    card = await books.ledger.publish_card(TENANT_DEFAULT, TOKEN_CARD)
    assert isinstance(card, ConfigurationEntry), card
    tokens = books.ledger.writers[0].state.catalog.asset_of(TENANT_DEFAULT, "tok")
    assert tokens is not None
    policy = AccountPolicy(rate_card="tokens", overage=Overage.SELF)
    for parent, account_id in zip((None, *ODD_IDS), (*ODD_IDS, ERASED), strict=True):
        if parent is not None and ODD_IDS.index(parent) % 3:
            parent = None
        entry = await books.account(account_id, parent, policy)
        await issue(books, entry, tokens.number, 50)
        for index, product in enumerate(ODD_PRODUCTS):
            shape = Shape(product, (), ("runs",))
            usage = books.usage(entry, f"{account_id[:40]} {index}", (2,), shape, index * DAY_US)
            await books.ask(entry, usage)  # the grant pays some, overage the rest


async def _days(books: Books) -> None:
    """Usage over a month and some of it given back, holds that stay, and grants that expire."""
    team = await books.account("calendar")
    await books.grant(team, 100_000, paid=500, lifetime_us=DAY_US)
    await books.grant(team, 10_000_000, paid=500_000)
    for day in range(30):
        await books.ask(team, books.usage(team, f"day {day}", age_us=day * DAY_US))
    await books.hold(team)
    await reverse(books, team, "day 0")
    await reverse(books, team, "day 3")
    await reverse(books, team, "day 5", charged=100)
    books.clock.ahead_us += DAY_US + PERIOD_GRACE_US + 1
    await books.ask(team, books.usage(team, "after the expiry"))
    await books.hold(team)


async def _costs(books: Books) -> None:
    """What a provider takes for usage, and takes less for what is given back."""
    await resell(books)
    team = await books.account("reseller", policy=AccountPolicy(rate_card="resold"))
    await books.grant(team, 5_000, paid=70_000)
    await books.use(team, "resold 1", "resold 2")
    writer = books.ledger.writers[team.shard]
    recorded = await writer.recorded.under(books.ledger.family(team).usage("app", "resold 2"))
    assert recorded is not None
    back = ReverseUsage(books.key(team), team.number, recorded.original, (30, 0), refund_cost=True)
    await books.ask(team, back)


async def _fees(books: Books) -> None:
    """Fixed charges in money, and in credits that were paid for; begun weeks ago."""
    seated = await books.account("seated", policy=AccountPolicy(overage=Overage.SELF))
    await books.grant(seated, 1_000_000, paid=77_777)
    start = books.clock.now_us() - 30 * DAY_US
    for name, asset, cash_only in (("seats", MONEY, True), ("support", CREDIT, False)):
        terms = ChargeTerms(
            name,
            asset,
            310_000,
            ChargeBilling.ADVANCE,
            PeriodUnit.YEAR,
            1,
            0,
            "",
            Proration.BOTH,
            True,
            cash_only,
            ChargePayer.OVERAGE,
        )
        begun = StartCharge(books.key(seated), seated.number, name, terms, 2, start)
        (started,) = await books.ask(seated, begun)
        for quantity in (3, 1):
            key = books.key(seated)
            change = ChangeQuantity(key, seated.number, started.charge, quantity, Timing.NOW)
            await books.ask(seated, change)
