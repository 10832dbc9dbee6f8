"""Examples of README and of every concept page run as they stand, and say what they show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from ledger.client import DrawdownClient, Spool, sync
from ledger.v1.account_pb2 import ACCOUNT_STATE_OPEN
from ledger.v1.types_pb2 import GRANT_KIND_PROMOTIONAL
from rating.v1.card_pb2 import Meter, PriceRow, Product, RateCard
from rating.v1.pricing_pb2 import ASSET_KIND_CREDIT, ASSET_KIND_MONEY
from tests.docs import examples
from tests.patience import HANGS_S

MICRO = "0.000001"  # a minor unit of a credit


async def nothing_more(ledger: DrawdownClient) -> None:
    """The page's own lines say it all."""


@dataclass(frozen=True)
class Page:
    """What is there before a page's examples begin, and what is to be there after."""

    tenant: str = "default"
    accounts: tuple[str, ...] = ("acme",)
    money_scale: int = 9
    price: tuple[str, str] | None = ("input_tokens", MICRO)  # of a quantity, for `chat`
    asset: tuple[str, int] = ("credit", 6)  # that the price is in
    gift: tuple[str, str, int] | None = None  # a free grant: account, asset, amount
    after: Callable[[DrawdownClient], Awaitable[None]] = nothing_more


async def the_families_stand(ledger: DrawdownClient) -> None:
    [child] = [each async for each in ledger.list_accounts(parent="acme")]
    assert (child.account, child.state) == ("acme/search", ACCOUNT_STATE_OPEN)


async def the_second_event_is_recorded(ledger: DrawdownClient) -> None:
    assert (await ledger.get_usage("acme", "docs", "call-1/search")).product == "search"


async def two_invoices_stand(ledger: DrawdownClient) -> None:
    contract, *moved = [each async for each in ledger.list_commitments("acme")]
    assert len(moved) == 2
    assert [each.posted for each in contract.invoices] == [True, False]
    assert (await ledger.get_commitment(contract.commitment_id)).commitment == contract


async def the_overdraft_stands_and_the_top_up_is_a_grant(ledger: DrawdownClient) -> None:
    assert (await ledger.get_account("acme")).account.policy.overdraft_basis_points == 2_000
    [grant] = [each async for each in ledger.list_grants("acme")]
    assert (grant.amount, grant.price_paid) == (20_000_000, 10_000_000_000)


async def it_ends_with_its_period(ledger: DrawdownClient) -> None:
    [monthly] = [each async for each in ledger.list_recurring_grants("acme")]
    assert monthly.ends_at_us == monthly.period_end_us
    granted = [each.amount async for each in ledger.list_grants("acme")]
    assert granted[0] == 10_000_000


def card(quantity: str, price: str, asset: str, scale: int) -> RateCard:
    return RateCard(
        name="default",
        asset=asset,
        asset_scale=scale,
        meters=[Meter(quantity=quantity)],
        products=[Product(product="chat")],
        rows=[PriceRow(product="chat", quantity=quantity, price=price)],
    )


PAGES = {
    "accounts": Page(
        accounts=("beta",), gift=("beta", "credit", 1_000_000), after=the_families_stand
    ),
    "commitments": Page(money_scale=2, after=two_invoices_stand),
    "concepts": Page(after=the_second_event_is_recorded),
    "conversion": Page(price=("input_tokens", "0.000003")),
    "corrections": Page(price=("input_tokens", "0.000003")),
    "budgets": Page(gift=("acme", "credit", 1_000_000)),
    "operation-budgets": Page(gift=("acme", "credit", 1_000_000)),
    "operation-holds": Page(gift=("acme", "credit", 1_000_000)),
    "costs": Page(price=None),
    "mandates": Page(),
    "decisions": Page(gift=("acme", "credit", 1_000_000)),
    "fail-modes": Page(price=("output_tokens", MICRO), gift=("acme", "credit", 1_000_000)),
    "policies": Page(gift=("acme", "credit", 1_000_000)),
    "drawdown-order": Page(),
    "families": Page(money_scale=2),
    "fixed-charges": Page(tenant="sandbox", money_scale=2, price=None),
    "explain": Page(price=("input_tokens", "0.000003")),
    "grants": Page(accounts=("acme", "acme/eu")),
    "holds": Page(
        price=("output_tokens", "0.00001"), asset=("USD", 9), gift=("acme", "USD", 10**9)
    ),
    "forecast": Page(),
    "live-balance": Page(price=("input_tokens", "0.000001")),
    "leases": Page(gift=("acme", "credit", 1_000_000)),
    "metering": Page(price=None, gift=("acme", "credit", 1_000_000_000)),
    "money": Page(money_scale=2),
    "contracts": Page(),
    "packages": Page(money_scale=2, price=None),
    "outcomes": Page(tenant="sandbox", price=None, gift=("acme", "credit", 10_000_000)),
    "overdraft": Page(after=the_overdraft_stands_and_the_top_up_is_a_grant),
    "pricing": Page(price=None, gift=("acme", "credit", 1_000_000)),
    "quotes": Page(tenant="sandbox", price=None, gift=("acme", "credit", 1_000_000)),
    "sdk": Page(price=("output_tokens", MICRO), gift=("acme", "credit", 1_000_000)),
    "seats": Page(),
    "shared-totals": Page(price=None),
    "recurring": Page(after=it_ends_with_its_period),
    "sandbox": Page(tenant="sandbox"),
    "sizing": Page(price=("output_tokens", MICRO), gift=("acme", "credit", 1_000_000)),
    "statements": Page(tenant="sandbox"),
    "suspense": Page(gift=("acme", "credit", 1_000_000)),
    "time-machine": Page(price=("output_tokens", "0.002"), gift=("acme", "credit", 10_000_000)),
}


PROJECTED = {
    "corrections",
    "costs",
    "fail-modes",
    "families",
    "fixed-charges",
    "forecast",
    "sizing",
    "statements",
    "suspense",
    "time-machine",
}
"""Pages that ask the read models."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spools and guards wait for a busy machine's server where an example does not say how long."""
    for made in (
        Spool.__init__,
        sync.Spool.__init__,
        DrawdownClient.guard,
        sync.DrawdownClient.guard,
    ):
        monkeypatch.setitem(made.__kwdefaults__, "patience_us", HANGS_S * 1_000_000)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("name", PAGES)
async def test_the_examples_of_a_page_run(
    database: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    page, path = PAGES[name], f"docs/{name}.md"
    projector = name in PROJECTED
    async with examples.caller(database, projector=projector, tenant=page.tenant) as ledger:
        await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
        await ledger.create_asset("USD", page.money_scale, ASSET_KIND_MONEY)
        if page.price is not None:
            await ledger.publish_rate_card(card(*page.price, *page.asset))
        for account in page.accounts:
            parent = account.rpartition("/")[0]
            await ledger.create_account(account, parent=parent)
        if page.gift is not None:
            account, asset, amount = page.gift
            await ledger.issue_grant(account, asset, amount, kind=GRANT_KIND_PROMOTIONAL)
        await examples.run(path, ledger)
        await page.after(ledger)
    assert capsys.readouterr().out.splitlines() == examples.said(path)


async def test_the_example_of_the_readme_runs(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = examples.examples("README.md")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    main: Callable[[str], Awaitable[None]] = names["main"]  # type: ignore[assignment]
    async with examples.serving(database) as address:
        await main(address)
    assert capsys.readouterr().out.splitlines() == examples.said("README.md")


ELSEWHERE = {"errors", "exports", "gateway", "integrity", "operations", "reliability", "security"}
"""Pages of commands: tests/exports, tests/gateway, tests/backup and `test_commands` run them; that
of reasons is made of what `test_errors` holds."""


def test_every_page_has_an_example_that_runs() -> None:
    pages = {page.stem for page in (examples.ROOT / "docs").glob("*.md")}
    assert pages - ELSEWHERE - {"glossary"} == set(PAGES)
