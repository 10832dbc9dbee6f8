"""The language of the rating tables: a card and events with what they must cost.

    asset   USD scale=9 rounding=half_even
    meter   cached_tokens of input_tokens
    price   gpt  output_tokens  0.00001  mode=batch above=200000 priority=1
    event   gpt  mode=batch input_tokens=100 cached_tokens=40 -> input_tokens 60, cached_tokens free

What a line costs is in minor units of the asset; "unpriced" goes to suspense, "nothing" has
no price and needs none, "invalid REASON" is refused. Running totals go on from event to
event; "total N" checks what all of them cost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from types import SimpleNamespace

import pytest

from rating.card import Meter, PriceRow, RateCard, Rounding, validate
from rating.compile import CompiledCard
from rating.price import UNPRICED, RatingFault, rate


def rating_case(test: Callable[[], None]) -> Callable[[], None]:
    """The test's docstring is the case."""

    @wraps(test)
    def run() -> None:
        Case(cleandoc(test.__doc__ or "")).run()

    return run


class Case:
    def __init__(self, text: str) -> None:
        self.lines = [line for line in text.splitlines() if line.strip()]
        self.asset = SimpleNamespace(name="USD", scale=9, rounding=Rounding.HALF_EVEN)
        self.meters: list[Meter] = []
        self.rows: list[PriceRow] = []
        self.compiled: CompiledCard | None = None
        self.totals: dict[int, int] = {}
        self.charged = 0

    def run(self) -> None:
        for line in self.lines:
            word, _, rest = line.partition(" ")
            getattr(self, f"do_{word}")(rest.strip())

    def do_asset(self, rest: str) -> None:
        name, *settings = rest.split()
        given = dict(setting.split("=") for setting in settings)
        self.asset.name = name
        self.asset.scale = int(given.get("scale", 9))
        self.asset.rounding = Rounding(given.get("rounding", "half_even"))

    def do_meter(self, rest: str) -> None:
        quantity, *words = rest.split()
        given = dict(word.split("=") for word in words if "=" in word)
        parent = words[words.index("of") + 1] if "of" in words else ""
        self.meters.append(Meter(quantity, int(given.get("scale", 0)), parent))

    def do_price(self, rest: str) -> None:
        product, quantity, price, *conditions = rest.split()
        attributes = dict(condition.split("=") for condition in conditions)
        above = int(attributes.pop("above", 0))
        priority = int(attributes.pop("priority", 0))
        self.rows.append(PriceRow(product, quantity, price, attributes, above, priority))

    def do_event(self, rest: str) -> None:
        given, _, expected = rest.partition("->")
        product, *pairs = given.split()
        split = [pair.split("=") for pair in pairs]
        names = {meter.quantity for meter in self.meters} | {"unheard_of"}
        times = next((int(value) for name, value in split if name == "times"), 1)
        quantities = {name: int(value) for name, value in split if name in names}
        attributes = {n: v for n, v in split if n not in names and n != "times"}
        for _ in range(times):
            self.one_event(product, attributes, quantities, expected.strip())

    def one_event(
        self, product: str, attributes: dict[str, str], quantities: dict[str, int], expected: str
    ) -> None:
        plan = self.card().match(product, attributes, tuple(quantities))
        if expected.startswith("invalid"):
            with pytest.raises(RatingFault) as refused:
                rate(plan, tuple(quantities.values()), self.totals)
            assert refused.value.reason == expected.split()[1]
            return
        charges, total, advances, used = rate(plan, tuple(quantities.values()), self.totals)
        assert total == sum(charge for charge in charges if charge != UNPRICED)
        self.charged += total
        for row, quantity in advances:
            self.totals[row] = self.totals.get(row, 0) + quantity
        for claim in filter(None, expected.split(",")):
            quantity, cost = claim.split()
            place = used.quantities.index(quantity)
            if cost == "unpriced":
                assert charges[place] == UNPRICED, claim
                assert used.rows[place] == -1, claim
            elif cost == "nothing":
                assert (charges[place], used.rows[place]) == (0, -1), claim
            else:
                assert charges[place] == (0 if cost == "free" else int(cost)), claim
                assert used.rows[place] >= 0, claim

    def do_total(self, rest: str) -> None:
        assert self.charged == int(rest)

    def card(self) -> CompiledCard:
        if self.compiled is None:
            card = RateCard(
                name="case",
                asset=self.asset.name,
                asset_scale=self.asset.scale,
                rounding=self.asset.rounding,
                meters=tuple(self.meters),
                rows=tuple(self.rows),
            )
            assert validate(card) == []
            self.compiled = CompiledCard(card, version=7)
        return self.compiled
