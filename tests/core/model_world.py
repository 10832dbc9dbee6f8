"""A core with a card `models`: a product for each price model, in credits of scale 0.

Prices a token. graduated: 3 to 100, 2 to 1,000, then 1. volume: 10 to 100, then 5. dearer: 1 to
100, then 2. package: 5 for every 100. stairstep: 50 to 5, then 80. share: a tenth and 1 beside it,
5 at most, the first 1,000 free. included: 1 after 100, 500 at most. daily: as graduated, by day.
day-volume and billed-volume: as volume, by day and by billing period. area: tokens x the attribute
`width`. divided: 100 / tokens. cost: what the provider takes. power: 3, at night in Berlin 2.
steep: 2^60 after 100. falling: 2^60 to 14, then free. many: input by volume, output 1, cached by
the attribute `width`. Sold by result: tiers as
graduated, bulk as volume. Any other product: as volume, on `cached`. Holds for power and volume are
charged when they expire.
"""

from __future__ import annotations

from collections.abc import Callable

from core_world import CREDITS, TENANT, Core
from ledger_case import LedgerCase, told_to
from test_verify_rules import judged

from ledger.core.digest import digest
from ledger.core.packing import drop_family, pack_family, unpack_family
from rating.card import ExpiryPolicy, Meter, Outcome, PriceRow, Product, RateCard, validate
from rating.compile import CompiledCard
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Hours,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.versions import CardVersion

GRADUATED = Graduated((Tier(100, "3"), Tier(1000, "2"), Tier(None, "1")))
VOLUME = Volume((Tier(100, "10"), Tier(None, "5")))
NIGHT = Hours("Europe/Berlin", "22:00", "06:00")
WIDTH = ("width",)


def _row(product: str, model: object, quantity: str = "tokens", **more: object) -> PriceRow:
    return PriceRow(product, quantity, "", model=model, **more)  # type: ignore[arg-type]


ROWS = (
    _row("steep", Graduated((Tier(100, "0"), Tier(None, str(2**60))))),
    _row("falling", Graduated((Tier(14, str(2**60)), Tier(None, "0")))),
    _row("graduated", GRADUATED),
    _row("volume", VOLUME),
    _row("dearer", Volume((Tier(100, "1"), Tier(None, "2")))),
    _row("package", Package(100, "5")),
    _row("stairstep", Stairstep((Tier(5, flat="50"), Tier(None, flat="80")))),
    _row("share", Percentage("0.1", fixed="1", free=1000, transaction_maximum="5")),
    PriceRow("included", "tokens", "1", included=100, maximum="500"),
    _row("daily", GRADUATED, scope=Scope.DAY),
    _row("day-volume", VOLUME, scope=Scope.DAY),
    _row("billed-volume", VOLUME, scope=Scope.PERIOD),
    _row("area", Formula('tokens * attr("width")', WIDTH), scope=Scope.EVENT),
    _row("divided", Formula("100 / tokens"), scope=Scope.EVENT),
    _row("cost", CostPlus("1.2")),
    PriceRow("power", "tokens", "3"),
    PriceRow("power", "tokens", "2", hours=NIGHT),
    _row("many", VOLUME, "input"),
    PriceRow("many", "output", "1"),
    _row("many", Formula('cached * attr("width")', WIDTH), "cached", scope=Scope.EVENT),
    _row("tiers", GRADUATED),
    _row("bulk", VOLUME),
    _row("*", VOLUME, "cached"),
)
PRODUCTS = (
    Product("power", hold_expiry=ExpiryPolicy.CHARGE),
    Product("volume", hold_expiry=ExpiryPolicy.CHARGE),
    Product("tiers", outcome=Outcome()),
    Product("bulk", outcome=Outcome()),
)
METERS = (Meter("tokens"), Meter("input"), Meter("cached"), Meter("output"))


def models_card(name: str, asset: str) -> RateCard:
    made = RateCard(name, asset, 0, meters=METERS, rows=ROWS, products=PRODUCTS)
    assert validate(made) == []
    return made


class ModelCore(Core):
    """A core whose catalog has the cards `models`, in credits, and `models-usd`, in money."""

    def __init__(self) -> None:
        super().__init__()
        assert CREDITS in self.catalog.assets
        for number, (name, asset) in enumerate(
            (("models", "credits"), ("models-usd", "USD")), start=5
        ):
            compiled = CompiledCard(models_card(name, asset), number)
            self.catalog.add_card(TENANT, name, CardVersion(number, 0, 0, compiled))


class ModelCase(LedgerCase):
    """Tells stories to such a core; at the end its families have to survive being packed too."""

    def __init__(self) -> None:
        super().__init__(ModelCore())

    def finish(self) -> None:
        super().finish()
        assert judged(self.core) == []
        state = self.core.state
        before = digest(state)
        for root in list(state.families):
            body = pack_family(state, root, state.settled_before)
            drop_family(state, root)
            assert unpack_family(state, body) == root
            assert pack_family(state, root, state.settled_before) == body
        assert digest(state) == before


def model_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger that has these prices."""
    return told_to(ModelCase, test)
