"""A core with a card `together`, whose totals several accounts share: in credits of scale 0.

A token, by the month of the subtree: graduated is 3 to 100, 2 to 1,000, then 1; volume 10 to 100,
then 5; dearer, as volume, 1 to 100, then 2; package 5 for every 100; stairstep 50 to 5, then 80;
included 1 after 100, 500 at most; share a tenth, the first 100 free; thirds, as volume, 1/3 to 10,
then 1/4; steep 2^60 after 100. day-volume and billed-volume are as volume by the day and the
billing period. termed and term-volume are graduated and volume over the term of a contract; either
charges output at 1 too.
`alone` is volume by the month of the account.
"""

from __future__ import annotations

from collections.abc import Callable

from contract_world import ContractCase
from core_world import TENANT, Core, SandboxCore
from ledger_case import LedgerCase, told_to
from test_verify_rules import judged

from rating.card import Meter, PriceRow, RateCard, validate
from rating.compile import CompiledCard
from rating.models import Graduated, Package, Percentage, Scope, Stairstep, Tier, Volume
from rating.versions import CardVersion

GRADUATED = Graduated((Tier(100, "3"), Tier(1000, "2"), Tier(None, "1")))
VOLUME = Volume((Tier(100, "10"), Tier(None, "5")))
MONTH = Scope.SUBTREE_MONTH


def _row(product: str, model: object, scope: Scope = MONTH, **more: object) -> PriceRow:
    return PriceRow(product, "tokens", "", model=model, scope=scope, **more)  # type: ignore[arg-type]


ROWS = (
    _row("graduated", GRADUATED),
    _row("volume", VOLUME),
    _row("steep", Graduated((Tier(100, "0"), Tier(None, str(2**60))))),
    _row("dearer", Volume((Tier(100, "1"), Tier(None, "2")))),
    _row("package", Package(100, "5")),
    _row("stairstep", Stairstep((Tier(5, flat="50"), Tier(None, flat="80")))),
    PriceRow("included", "tokens", "1", scope=MONTH, included=100, maximum="500"),
    _row("share", Percentage("0.1", free=100)),
    _row("thirds", Volume((Tier(10, "1/3"), Tier(None, "1/4")))),
    _row("day-volume", VOLUME, Scope.SUBTREE_DAY),
    _row("billed-volume", VOLUME, Scope.SUBTREE_PERIOD),
    _row("termed", GRADUATED, Scope.CONTRACT),
    _row("term-volume", VOLUME, Scope.CONTRACT),
    PriceRow("termed", "output", "1"),
    PriceRow("term-volume", "output", "1"),
    _row("alone", VOLUME, Scope.MONTH),
)


def together(rows: tuple[PriceRow, ...] = ROWS) -> RateCard:
    made = RateCard("together", "credits", 0, meters=(Meter("tokens"), Meter("output")), rows=rows)
    assert validate(made) == []
    return made


class SharedCase(ContractCase):
    """Tells stories to such a core; at the end its families have to survive being packed, verify
    has to find nothing, and its journal, decided again, makes the same entries."""

    def __init__(self, core: Core | None = None) -> None:
        super().__init__(core)
        self.core.catalog.add_card(
            TENANT, "together", CardVersion(20, 0, 0, CompiledCard(together(), 20))
        )


class SandboxCase(SharedCase):
    """The same for a sandbox, whose clock is moved (rule T4)."""

    def __init__(self) -> None:
        super().__init__(SandboxCore())

    def finish(self) -> None:
        LedgerCase.finish(self)
        assert judged(self.core) == []


def shared_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger that has these prices."""
    return told_to(SharedCase, test)
