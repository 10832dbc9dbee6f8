"""A product that is not sold to every account (rule P2) has no price for the others."""

from __future__ import annotations

from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.events import Suspense
from ledger.core.shapes import Shape
from rating.card import ExpiryPolicy, Meter, PriceRow, Product, RateCard
from rating.compile import NO_ROW, CompiledCard
from rating.versions import CardVersion

TENANT = 1
KEY = (TENANT, "default")
BETA = Shape("beta", (), ("calls", "tokens"))


def version(number: int, since: int, *products: Product) -> CardVersion:
    rows = (PriceRow("*", "calls", "1"), PriceRow("*", "tokens", "2"))
    meters = (Meter("calls"), Meter("tokens"))
    card = RateCard("default", "credit", 0, meters, rows, products)
    return CardVersion(number, since, since, CompiledCard(card, number))


def catalog_of(*versions: CardVersion) -> Catalog:
    catalog = Catalog()
    catalog.add_asset(Asset(asset_number(TENANT, 9), TENANT, "credit", 0, "credit"))
    for each in versions:
        catalog.add_card(TENANT, "default", each)
    return catalog


def test_no_row_prices_what_is_not_sold_and_the_version_that_says_so_is_named():
    """So that what waits can be rated when a later version sells it (rule B8)."""
    catalog = catalog_of(version(1, 10, Product("beta", entitled=False)))
    bound, plan = catalog.step(KEY, BETA, 10, (1, 1))
    assert plan.rows == (NO_ROW, NO_ROW)
    assert (bound.declaration.card_version, bound.waits) == (1, Suspense.NOT_ENTITLED)
    other, plan = catalog.step(KEY, Shape("chat", (), ("calls",)), 10, (1,))
    assert (plan.numerators, other.waits) == ((1,), Suspense.UNPRICED)


def test_each_version_says_whom_its_products_are_sold_to():
    """Usage goes by the version in force at its effective time, also after both were asked."""
    catalog = catalog_of(
        version(1, 10, Product("beta", entitled=False)),
        version(2, 20, Product("beta")),
        version(3, 30, Product("beta", entitled=False)),
        version(4, 40),
    )
    for _ in range(2):
        waits = [
            catalog.step(KEY, BETA, at, (1, 1))[1].rows[0] == NO_ROW for at in (10, 20, 30, 40)
        ]
        assert waits == [True, False, True, False]


def test_terms_of_holds_and_tags_are_those_of_the_product_all_the_same():
    product = Product("beta", "", ExpiryPolicy.CHARGE, True, ("ai",), entitled=False)
    bound, _ = catalog_of(version(1, 10, product)).step(KEY, BETA, 10, (1, 1))
    assert bound.use.tags == {"ai"}
    assert bound.terms.lifetime_max > 86_400_000_000


def test_a_recorded_declaration_is_found_again():
    """A hold that outlives the version is charged by what it was authorised by (rule H1)."""
    catalog = catalog_of(
        version(1, 10, Product("beta")), version(2, 20, Product("beta", entitled=False))
    )
    for at, waits in ((10, False), (20, True)):
        bound, _ = catalog.step(KEY, BETA, at, (1, 1))
        found = catalog.card(KEY).declared(BETA, bound.declaration)
        assert (found.plan.rows, found.waits) == (bound.plan.rows, bound.waits)
        assert (bound.plan.rows[0] == NO_ROW) == waits
