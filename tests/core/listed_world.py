"""A core with a card `listed`, in credits, and `listed-usd`, in money: rows with list prices (R9).

Prices a token, at commit rate and at list: api 5 or 8; third 1/3 or 1/2; gpt: input 2 or 3, output
3 (no list price), cached 1 or 4; free 0 or 1. Holds for gpt are charged when they expire.
"""

from __future__ import annotations

from collections.abc import Callable

from core_world import TENANT, Core
from ledger_case import LedgerCase, told_to
from test_verify_rules import judged

from ledger.core.digest import digest
from ledger.core.packing import drop_family, pack_family, unpack_family
from rating.card import ExpiryPolicy, Meter, PriceRow, Product, RateCard, validate
from rating.compile import CompiledCard
from rating.versions import CardVersion

ROWS = (
    PriceRow("api", "tokens", "5", list_price="8"),
    PriceRow("third", "tokens", "1/3", list_price="1/2"),
    PriceRow("gpt", "input", "2", list_price="3"),
    PriceRow("gpt", "cached", "1", list_price="4"),
    PriceRow("gpt", "output", "3"),
    PriceRow("free", "tokens", "0", list_price="1"),
)
METERS = (Meter("tokens"), Meter("input"), Meter("cached"), Meter("output"))
PRODUCTS = (Product("gpt", hold_expiry=ExpiryPolicy.CHARGE),)


class ListedCase(LedgerCase):
    """Tells stories to such a core; at the end its families have to survive being packed too."""

    def __init__(self) -> None:
        core = Core()
        for number, (name, asset) in enumerate(
            (("listed", "credits"), ("listed-usd", "USD")), start=20
        ):
            made = RateCard(name, asset, 0, METERS, ROWS, PRODUCTS)
            assert validate(made) == []
            version = CardVersion(number, 0, 0, CompiledCard(made, number))
            core.catalog.add_card(TENANT, name, version)
        super().__init__(core)

    def finish(self) -> None:
        super().finish()
        assert judged(self.core) == []
        state = self.core.state
        before = digest(state)
        for root in list(state.families):
            body = pack_family(state, root, state.settled_before)
            drop_family(state, root)
            assert unpack_family(state, body) == root
        assert digest(state) == before


def listed_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger whose prices have a list price beside them."""
    return told_to(ListedCase, test)
