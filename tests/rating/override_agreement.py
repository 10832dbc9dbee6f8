"""Overridden plans against a slow evaluation of rule R4, on random cards, overrides and events.

The world of `agreement`, in which an account and one above it have overrides that come and go. What
counts is found by trying one after the other; what it charges, by the slow rows.

    python tests/rating/override_agreement.py 1000000
"""

from __future__ import annotations

import sys
from fractions import Fraction

from agreement import EVENTS_A_WORLD, PRICES, QUANTITIES, Event, World
from model_evaluator import SlowRow

from rating.card import PriceRow, RateCard, is_plain
from rating.hours import DAY_US
from rating.models import CostPlus, Formula, Graduated, Percentage, Scope, Volume
from rating.overridden import OverriddenVersions
from rating.overrides import (
    NEVER_US,
    Change,
    Multiplier,
    NumberedOverride,
    Override,
    OverrideSet,
    Overwrite,
    SetOverride,
    Tiers,
)

RATIOS = ("0.8", "1", "2", "1/3", "0", "0.999", "5/6")


class OverriddenWorld(World):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.layers = tuple(
            tuple(self.set_override(1 + 10 * layer + place) for place in range(count))
            for layer, count in enumerate((self.rng.randrange(5), self.rng.randrange(3)))
        )
        self.versions = OverriddenVersions(self.versions, OverrideSet(self.layers))

    def set_override(self, number: int) -> SetOverride:
        rng = self.rng
        change = self.change()
        quantity = rng.choice(QUANTITIES)
        if isinstance(change, Multiplier) and rng.random() < 0.5:
            quantity = "*"
        override = Override(
            rng.choice(["*", "api", "api", "other"]),
            quantity,
            change,
            rng.choice([{}, {}, {"mode": "batch"}, {"mode": "*"}, {"mode": "live"}]),
            rng.choice([0, 0, 0, 1, -1]),
            rng.choice([0, 0, 5 * DAY_US, 20 * DAY_US]),
            rng.choice([0, 0, 0, 30 * DAY_US]),
        )
        set_at = rng.choice([0, 0, 12 * DAY_US])
        ended = rng.choice([NEVER_US, NEVER_US, 25 * DAY_US])
        return SetOverride(NumberedOverride(number, override), set_at, ended)

    def change(self) -> Change:
        rng = self.rng
        asset = "EUR" if rng.random() < 0.1 else "USD"
        included = rng.choice([0, 0, 5, 30])
        maximum = rng.choice(["", "", "1", "50"])
        scope = rng.choice(list(Scope))
        kind = rng.randrange(4)
        if kind < 2:
            return Multiplier(rng.choice(RATIOS))
        if kind == 2:
            model = Graduated(self.tiers()) if rng.random() < 0.5 else Volume(self.tiers())
            return Tiers(asset, model, scope, included, maximum)
        model = self.model(rng.choice([None, None, 0, 1, 3, 4, 5, 6]))
        if model is None:
            return Overwrite(asset, rng.choice(PRICES))
        if isinstance(model, Formula):
            return Overwrite(asset, model=model, scope=Scope.EVENT)
        if isinstance(model, CostPlus | Percentage):
            included, maximum = 0, ""
        return Overwrite(asset, "", model, scope, included, maximum)

    def found(
        self, card: RateCard, event: Event, name: str, given: dict[str, int]
    ) -> tuple[SlowRow, object] | None:
        base = super().found(card, event, name, given)
        at = event.at
        counts: tuple[int, SetOverride] | None = None
        for layer, each in self.all():
            override = each.numbered.override
            since = max(override.effective_from_us, each.set_at_us)
            until = min(override.effective_until_us or NEVER_US, each.ended_at_us)
            applies = since <= at < until and self.applies(card, override, event, name, base)
            if applies and (counts is None or comes_before((layer, each), counts)):
                counts = (layer, each)
        for layer, each in self.all() if counts is None and base is None else ():
            override = each.numbered.override
            until = min(override.effective_until_us or NEVER_US, each.set_at_us)
            meant = 0 < override.effective_from_us <= at < until
            applies = meant and self.applies(card, override, event, name, base)
            if applies and (counts is None or comes_before((layer, each), counts)):
                counts = (layer, each)
        if counts is None:
            return base
        return self.overridden(card, counts[1].numbered, name, base)

    def all(self) -> list[tuple[int, SetOverride]]:
        return [(layer, each) for layer, found in enumerate(self.layers) for each in found]

    def applies(
        self,
        card: RateCard,
        override: Override,
        event: Event,
        name: str,
        base: tuple[SlowRow, object] | None,
    ) -> bool:
        if override.product == "other" or override.quantity not in ("*", name):
            return False
        mode = override.attributes.get("mode")
        if mode is not None and ("mode" not in event.attributes or mode == "live"):
            return False
        if isinstance(override.change, Multiplier):
            return base is not None
        return override.change.asset == card.asset

    def overridden(
        self,
        card: RateCard,
        numbered: NumberedOverride,
        name: str,
        base: tuple[SlowRow, object] | None,
    ) -> tuple[SlowRow, object]:
        change = numbered.override.change
        if isinstance(change, Multiplier):
            assert base is not None
            return SlowRow(card, base[0].row, Fraction(change.ratio)), base[1]
        price = change.price if isinstance(change, Overwrite) else ""
        said = PriceRow(
            "*",
            name,
            price,
            model=change.model,
            scope=change.scope,
            included=change.included,
            maximum=change.maximum,
        )
        row, own = SlowRow(card, said), ("override", numbered.number)
        if base is None:
            return row, own
        before = base[0].row
        if is_plain(said):  # rounding goes on with that of the row
            return row, base[1] if is_plain(before) else own
        of_units = not isinstance(before.model, CostPlus | Formula) and not isinstance(
            said.model, CostPlus | Formula
        )
        goes_on = not is_plain(before) and before.scope is said.scope and of_units
        return row, base[1] if goes_on else own


def comes_before(one: tuple[int, SetOverride], other: tuple[int, SetOverride]) -> bool:
    """Rule R4, clause by clause."""
    (layer, a), (other_layer, b) = one, other
    if layer != other_layer:
        return layer < other_layer
    first, second = a.numbered.override, b.numbered.override
    overwrites = [isinstance(each.change, Overwrite) for each in (first, second)]
    if overwrites[0] != overwrites[1]:
        return overwrites[0]
    if first.priority != second.priority:
        return first.priority > second.priority
    if not overwrites[0]:
        ratios = [
            Fraction(each.change.ratio) if isinstance(each.change, Multiplier) else None
            for each in (first, second)
        ]
        if (ratios[0] is None) != (ratios[1] is None):
            return ratios[0] is not None
        if ratios[0] is not None and ratios[1] is not None and ratios[0] != ratios[1]:
            return ratios[0] < ratios[1]
    times = [max(each.numbered.override.effective_from_us, each.set_at_us) for each in (a, b)]
    if times[0] != times[1]:
        return times[0] > times[1]
    return a.numbered.number > b.numbered.number


def run(events: int, first_world: int = 0) -> int:
    """Runs worlds until so many events have happened; the number of lines compared."""
    lines = 0
    for seed in range(first_world, first_world + -(-events // EVENTS_A_WORLD)):
        try:
            lines += OverriddenWorld(seed).run(EVENTS_A_WORLD)
        except Exception as error:
            raise AssertionError(f"world {seed}: {error}") from error
    return lines


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{wanted:,} events: {run(wanted):,} lines agree")
