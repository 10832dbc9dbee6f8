"""A core whose cards have minimums, published by the stories themselves.

    minimums CARD [all=N] [PRODUCT=N] [PRODUCT.QUANTITY=N] [cash]   a version from now on: the card
             `plan` is in credits, `plan-usd` in money; nothing said = a version without minimums

Prices a token: chat and image 1; gpt: input 2, output 3; volume 10 to 100, then 5 for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from core_world import TENANT, Core, SandboxCore
from ledger_case import LedgerCase, told_to
from test_verify_rules import judged

from ledger.core.commands import ApplyConfiguration
from ledger.core.digest import digest
from ledger.core.packing import drop_family, pack_family, pack_shard, unpack_family, unpack_shard
from rating.card import Meter, PriceRow, Product, RateCard, validate
from rating.compile import CompiledCard
from rating.models import Minimum, MinimumScope, Tier, Volume
from rating.versions import CardVersion

METERS = (Meter("tokens"), Meter("input"), Meter("output"))
ROWS = (
    PriceRow("chat", "tokens", "1"),
    PriceRow("image", "tokens", "1"),
    PriceRow("gpt", "input", "2"),
    PriceRow("gpt", "output", "3"),
    PriceRow("volume", "tokens", "", model=Volume((Tier(100, "10"), Tier(None, "5")))),
)


def publish_minimums(core: Core, name: str, minimums: tuple[Minimum, ...]) -> None:
    """What a shard does with a published version of the card, in force from now on."""
    state = core.state
    asset = "USD" if name.endswith("usd") else "credits"
    made = RateCard(name, asset, 0, METERS, ROWS, (Product("chat"),), minimums=minimums)
    assert validate(made) == []
    version = state.configuration.get(TENANT, 0) + 1
    core.run(ApplyConfiguration(TENANT, version, b"card", minimums=bool(minimums)))
    number = 100 + version
    compiled = CompiledCard(made, number)
    state.catalog.add_card(TENANT, name, CardVersion(number, core.now, core.now, compiled))


def minimum_of(place: str, amount: str, cash_only: bool = False) -> Minimum:
    """`all`, a product, or PRODUCT.QUANTITY."""
    if place == "all":
        return Minimum(MinimumScope.ACCOUNT, amount, cash_only=cash_only)
    product, _, quantity = place.partition(".")
    scope = MinimumScope.LINE if quantity else MinimumScope.PRODUCT
    return Minimum(scope, amount, product, quantity, cash_only)


class MinimumCase(LedgerCase):
    """Tells stories to such a core; at the end its families have to survive being packed too."""

    def __init__(self, core: Core | None = None) -> None:
        super().__init__(core)

    def run(self, text: str) -> None:
        """What is expected may go on in the next line, after a comma or semicolon."""
        super().run(re.sub(r"([;,])\n\s*", r"\1 ", text))

    def _minimums(self, options: dict[str, str], name: str, *flags: str) -> str:
        places = options.items()
        made = [minimum_of(place, amount, "cash" in flags) for place, amount in places]
        publish_minimums(self.core, name, tuple(made))
        return "published"

    def finish(self) -> None:
        super().finish()
        assert judged(self.core) == []
        packed_and_back(self.core)


def packed_and_back(core: Core) -> None:
    """Families and the shard as bytes, and back: the same state, the same timers."""
    state = core.state
    before = digest(state)
    for root in list(state.families):
        due = {each.number: each.minimums_due for each in state.family_accounts(root)}
        body = pack_family(state, root, state.settled_before)
        drop_family(state, root)
        assert unpack_family(state, body) == root
        assert pack_family(state, root, state.settled_before) == body
        for each in state.family_accounts(root):
            if each.minimums_looked == 0 and due[each.number] != each.minimums_due:
                assert each.minimums_due < due[each.number], "it is looked at again, no later"
    assert digest(state) == before
    body = pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at)
    assert unpack_shard(body, state.catalog).minimums_from == state.minimums_from


class SandboxMinimumCase(MinimumCase):
    """The same where time is the tenant's own."""

    def __init__(self) -> None:
        super().__init__(SandboxCore())


def minimum_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    """Run the test's docstring as a ledger whose cards have minimums."""
    return told_to(MinimumCase, test)
