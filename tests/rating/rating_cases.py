"""The language of the rating tables: a card and events with what they must cost.

    asset   USD scale=9 rounding=half_even
    meter   cached_tokens of input_tokens
    price   gpt  output_tokens  0.00001  mode=batch above=200000 priority=1
    event   gpt  mode=batch input_tokens=100 cached_tokens=40 -> input_tokens 60, cached_tokens free

    graduated   api  calls  100=0.10 1000=0.05 rest=0.02+5   included=10 maximum=50 scope=day
    volume      api  calls  100=0.10 rest=0.05
    stairstep   api  calls  100=+5 rest=+9
    package     api  calls  size=100 price=5
    percentage  card amount rate=0.029 fixed=0.30 free=1000 transaction_minimum=1
    cost_plus   gpt  tokens markup=1.2 fixed=0.01
    formula     img  images : images * attr("width") / 1000
    event       api  calls=150 -> calls 12, rerate -3
    back        api  calls=150 -> calls 12, rerate -3

A tier is "up to=price+flat". "cost.tokens=5" is what the provider takes. "back" gives back what the
last events of that row were charged. What a line costs is in minor units of the asset; "unpriced"
goes to suspense, "nothing" has no price and needs none, "invalid REASON" is refused. Running totals
go on from event to event; "total N" checks what all of them cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from types import SimpleNamespace
from typing import Any

import pytest

from rating.card import Meter, PriceRow, RateCard, Rounding, validate
from rating.compile import CompiledCard
from rating.model_lines import Facts
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Model,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.price import UNPRICED, RatingFault, rate, refund, rerate


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

    def model(self, rest: str, made: Callable[[list[str]], Model]) -> None:
        product, quantity, *words = rest.split()
        terms = {"scope", "included", "maximum", "list_price"}
        given = dict(word.split("=") for word in words if word.split("=")[0] in terms)
        model = made([word for word in words if word.split("=")[0] not in terms])
        self.rows.append(
            PriceRow(
                product,
                quantity,
                "",
                model=model,
                scope=Scope(given.get("scope", "month")),
                included=int(given.get("included", 0)),
                maximum=given.get("maximum", ""),
                list_price=given.get("list_price", ""),
            )
        )

    def do_graduated(self, rest: str) -> None:
        self.model(rest, lambda words: Graduated(tiers(words)))

    def do_volume(self, rest: str) -> None:
        self.model(rest, lambda words: Volume(tiers(words)))

    def do_stairstep(self, rest: str) -> None:
        self.model(rest, lambda words: Stairstep(tiers(words)))

    def do_package(self, rest: str) -> None:
        self.model(rest, lambda words: Package(int(words[0][5:]), words[1][6:]))

    def do_percentage(self, rest: str) -> None:
        def made(words: list[str]) -> Model:
            given: dict[str, Any] = dict(word.split("=") for word in words)
            return Percentage(**{**given, "free": int(given.get("free", 0))})

        self.model(rest, made)

    def do_cost_plus(self, rest: str) -> None:
        self.model(rest, lambda words: CostPlus(**dict(word.split("=") for word in words)))

    def do_formula(self, rest: str) -> None:
        head, _, expression = rest.partition(":")
        names = tuple(sorted(set(re.findall(r'attr\("([^"]*)"\)', expression))))
        formula = Formula(expression.strip(), names)
        self.model(f"{head} scope=event", lambda words: formula)

    def do_included(self, rest: str) -> None:
        """A plain row with terms: "included api calls price=0.10 included=5 maximum=3"."""
        product, quantity, price, *words = rest.split()
        given = dict(word.split("=") for word in words)
        self.rows.append(
            PriceRow(
                product,
                quantity,
                price.removeprefix("price="),
                scope=Scope(given.get("scope", "month")),
                included=int(given.get("included", 0)),
                maximum=given.get("maximum", ""),
            )
        )

    def do_newday(self, rest: str) -> None:
        """Every running total starts from zero, as it does in the next window of its scope."""
        self.totals.clear()

    def do_back(self, rest: str) -> None:
        given, _, expected = rest.partition("->")
        product, *pairs = given.split()
        quantities = {name: int(value) for name, value in (pair.split("=") for pair in pairs)}
        plan = self.card().match(product, {}, tuple(quantities))
        lines, moves = refund(plan, tuple(quantities.values()), self.totals)
        for row, quantity in moves:
            self.totals[row] -= quantity
        moved = sum(amount for _, amount in rerate(plan, tuple(quantities.values()), self.totals))
        said = dict(claim.split() for claim in expected.split(","))
        assert moved == int(said.pop("rerate", 0)), rest
        assert {name: str(lines[list(quantities).index(name)]) for name in said} == said
        self.charged -= sum(lines) + moved

    def do_event(self, rest: str) -> None:
        given, _, expected = rest.partition("->")
        product, *pairs = given.split()
        split = [pair.split("=") for pair in pairs]
        names = {meter.quantity for meter in self.meters} | {"unheard_of"}
        times = next((int(value) for name, value in split if name == "times"), 1)
        quantities = {name: int(value) for name, value in split if name in names}
        attributes = {n: v for n, v in split if n not in names and n != "times" and "." not in n}
        costs = {name[5:]: int(value) for name, value in split if name.startswith("cost.")}
        facts = Facts(attributes, [costs[name] for name in quantities] if costs else ())
        for _ in range(times):
            self.one_event(product, attributes, quantities, expected.strip(), facts)

    def one_event(
        self,
        product: str,
        attributes: dict[str, str],
        quantities: dict[str, int],
        expected: str,
        facts: Facts,
    ) -> None:
        plan = self.card().match(product, attributes, tuple(quantities))
        if expected.startswith("invalid"):
            with pytest.raises(RatingFault) as refused:
                rate(plan, tuple(quantities.values()), self.totals, facts)
            assert refused.value.reason == expected.split()[1]
            return
        numbers = tuple(quantities.values())
        charges, total, advances, used = rate(plan, numbers, self.totals, facts)
        moved = sum(amount for _, amount in rerate(used, numbers, self.totals))
        assert total == sum(charge for charge in charges if charge != UNPRICED)
        self.charged += total + moved
        claims = [claim for claim in expected.split(",") if claim]
        assert moved == sum(int(c.split()[1]) for c in claims if c.split()[0] == "rerate"), claims
        for row, quantity in advances:
            self.totals[row] = self.totals.get(row, 0) + quantity
        for claim in claims:
            quantity, cost = claim.split()
            if quantity == "rerate":
                continue
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


def tiers(words: list[str]) -> tuple[Tier, ...]:
    """ "100=0.10+5" is up to 100, 0.10 a unit and 5 flat; "rest=..." is the open tier."""
    made = []
    for word in words:
        up_to, _, terms = word.partition("=")
        price, _, flat = terms.partition("+")
        made.append(Tier(None if up_to == "rest" else int(up_to), price, flat))
    return tuple(made)
