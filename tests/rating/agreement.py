"""The compiled card against the slow evaluator, on random cards, events and periods.

A world is made from its seed: two versions of a card, a stream of events of which some are given
back, wholly or in part, last or earlier. Every line, re-rate, refund and total is compared. The
suite runs thousands of events; any number of them, from worlds 0 on:

    python tests/rating/agreement.py 1000000
"""

from __future__ import annotations

import sys
from random import Random
from typing import NamedTuple

import pytest
from model_evaluator import SlowRow, Unpriceable
from rating_evaluator import SubsetExceedsParent, own_quantity, winner

from rating.card import Meter, PriceRow, RateCard, Rounding, is_plain, validate
from rating.compile import CompiledCard, Plan
from rating.hours import DAY_US
from rating.model_lines import Facts, Standing
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
from rating.row_functions import SCOPES
from rating.versions import CardVersion, CardVersions

EVENTS_A_WORLD = 60
WINDOWS_US = {
    Scope.DAY: DAY_US,
    Scope.MONTH: 30 * DAY_US,
    Scope.PERIOD: 17 * DAY_US,
    Scope.SUBTREE_DAY: DAY_US,
    Scope.SUBTREE_MONTH: 30 * DAY_US,
    Scope.SUBTREE_PERIOD: 17 * DAY_US,
    Scope.CONTRACT: 90 * DAY_US,
}
SCOPE_CODES = {SCOPES[scope]: scope for scope in WINDOWS_US}
QUANTITIES = ("calls", "part", "amount", "other")
PRICES = ("0", "1", "2.5", "0.001", "1/3", "7/11", "0.0004999", "1e-7", "250000000.25")
FLATS = ("0", "1", "0.5", "1/3", "20")
AMOUNTS = ("0", "1", "3", "50")
EXPRESSIONS = (
    "calls * 0.01 + other / 3",
    "if(calls > 20, 20 + (calls - 20) / 2, calls) * 1.5",
    'calls * attr("size") / max(other, 1)',
    "max(0, calls - amount) + ceil(amount / 7) - floor(amount / 9)",
    "calls / other",
    "calls - other",
    "round(calls / 4) * min(2, amount, 5) - -1e-3",
)


class World:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        first = self.card(self.rows(None))
        self.cards = [first, self.card(self.rows(first.rows), first)]
        self.switch_us = self.rng.choice([0, 10 * DAY_US, 20 * DAY_US])
        for card in self.cards:
            assert validate(card) == [], (seed, validate(card))
        self.versions = CardVersions(
            CardVersion(number, at, at, CompiledCard(card, number))
            for number, at, card in ((1, 0, self.cards[0]), (2, self.switch_us, self.cards[1]))
        )
        self.totals: dict[tuple[int, Scope, int], int] = {}
        self.slow_totals: dict[object, int] = {}
        self.history: list[Recorded] = []
        self.charged = 0
        self.lines = 0

    # --- what the world is made of

    def card(self, rows: tuple[PriceRow, ...], like: RateCard | None = None) -> RateCard:
        rng = self.rng
        scales = [rng.choice([0, 0, 2, 3]) for _ in QUANTITIES]
        meters = (
            Meter("calls", scales[0]),
            Meter("part", scales[0], "calls"),
            Meter("amount", scales[2]),
            Meter("other", scales[3]),
        )
        return RateCard(
            name="any",
            asset="USD",
            asset_scale=rng.choice([0, 2, 9]) if like is None else like.asset_scale,
            meters=meters if like is None else like.meters,
            rows=rows,
            rounding=rng.choice(list(Rounding)),
        )

    def rows(self, earlier: tuple[PriceRow, ...] | None) -> tuple[PriceRow, ...]:
        rng, rows, seen = self.rng, [], set()
        for _ in range(rng.randrange(2, 8)):
            attributes = {"mode": "batch"} if rng.random() < 0.3 else {}
            if earlier and rng.random() < 0.7:
                attributes = rng.choice(earlier).attributes
            row = self.row(rng.choice(QUANTITIES), attributes)
            if earlier and rng.random() < 0.8:  # the same row, dearer or cheaper
                before = rng.choice(earlier)
                row = self.row(before.quantity, before.attributes, before)
            key = (row.quantity, tuple(row.attributes))
            if key not in seen:
                seen.add(key)
                rows.append(row)
        return tuple(rows)

    def row(
        self, quantity: str, attributes: dict[str, str], like: PriceRow | None = None
    ) -> PriceRow:
        rng = self.rng
        kind = rng.choice(range(9)) if like is None else None
        model = self.model(kind) if like is None else self.model(kind_of(like.model))
        scope = rng.choice(list(Scope)) if like is None else like.scope
        if isinstance(model, Formula):
            scope = Scope.EVENT
        own = model is not None and isinstance(model, Formula | CostPlus | Percentage)
        return PriceRow(
            "*",
            quantity,
            "" if model else rng.choice(PRICES),
            attributes,
            model=model,
            scope=scope,
            included=0 if own else rng.choice([0, 0, 5, 30]),
            maximum="" if own else rng.choice(["", "", "1", "50"]),
        )

    def model(self, kind: int | None) -> Model | None:
        rng = self.rng
        if kind == 0:
            return Graduated(self.tiers())
        if kind == 1:
            return Volume(self.tiers())
        if kind == 2:
            flats = sorted(rng.choice([0, 1, 5, 20]) for _ in range(3))
            return Stairstep(
                tuple(
                    Tier(bound, flat=str(flat))
                    for bound, flat in zip((7, 40, None), flats, strict=True)
                )
            )
        if kind == 3:
            return Package(rng.choice([1, 3, 10]), rng.choice(FLATS))
        if kind == 4:
            least, most = sorted(rng.sample([0, 1, 3, 50], 2))
            return Percentage(
                rng.choice(PRICES),
                rng.choice(["", *AMOUNTS]),
                rng.choice([0, 0, 25]),
                rng.choice(["", str(least)]),
                rng.choice(["", str(most)]),
            )
        if kind == 5:
            return CostPlus(rng.choice(["1.2", "1", "4/3"]), rng.choice(["", "1"]))
        if kind == 6:
            return Formula(rng.choice(EXPRESSIONS), ("size",))
        return None

    def tiers(self) -> tuple[Tier, ...]:
        rng = self.rng
        bounds = sorted(rng.sample(range(1, 60), rng.randrange(4)))
        return tuple(
            Tier(bound, rng.choice(PRICES), rng.choice(["", "", *FLATS]))
            for bound in [*bounds, None]
        )

    # --- what happens in it

    def run(self, events: int) -> int:
        for _ in range(events):
            if self.history and self.rng.random() < 0.25:
                self.give_back(self.chosen(), whole=self.rng.random() < 0.5)
            else:
                self.use()
        # Last in, first out, all of it goes back: nothing is left anywhere (rule R1).
        while self.history:
            self.give_back(self.history[-1], whole=True)
        assert not any(self.totals.values())
        assert not any(self.slow_totals.values())
        return self.lines

    def chosen(self) -> Recorded:
        return self.history[-1] if self.rng.random() < 0.7 else self.rng.choice(self.history)

    def use(self) -> None:
        rng = self.rng
        at = rng.randrange(40 * DAY_US)
        names = tuple(rng.sample(QUANTITIES, rng.randrange(1, 5)))
        quantities = tuple(
            rng.choice([0, 1, 2, 7, 50, 10**6]) if rng.random() < 0.3 else rng.randrange(20)
            for _ in names
        )
        attributes = {"mode": "batch"} if rng.random() < 0.5 else {}
        attributes |= rng.choice([{}, {"size": "2.5"}, {"size": "-1"}, {"size": "big"}])
        costs = tuple(rng.randrange(1000) if rng.random() < 0.98 else -1 for _ in names)
        costs = costs if rng.random() < 0.95 else ()
        event = Event(at, names, quantities, attributes, costs)
        plan = self.versions.plan_for(at, "api", attributes, names)
        assert plan is not None
        try:
            expected = self.slow(event)
        except (Unpriceable, SubsetExceedsParent) as refused:
            reason = str(refused) if isinstance(refused, Unpriceable) else "SUBSET_EXCEEDS_PARENT"
            with pytest.raises(RatingFault) as fault:
                rate(plan, quantities, self.totals_of(plan, at), Facts(attributes, costs))
            assert fault.value.reason == reason
            return
        facts = Facts(attributes, costs)
        totals = self.totals_of(plan, at)
        charges, total, advances, used = rate(plan, quantities, totals, facts)
        moved = dict(rerate(used, quantities, totals))
        found = [
            (None if charge == UNPRICED else charge, moved.get(row, 0))
            for charge, row in zip(charges, used.rows, strict=True)
        ]
        assert found == [(line.charge, line.rerate) for line in expected], (found, expected)
        assert total == sum(charge for charge in charges if charge != UNPRICED)
        for line in expected:
            if line.key is not None and line.measure:
                self.slow_totals[line.key] = self.slow_totals.get(line.key, 0) + line.measure
        self.move(plan, at, advances, 1)
        self.lines += len(names)
        self.charged += total + sum(moved.values())
        self.history.append(
            Recorded(event, plan, list(quantities), [max(c, 0) for c in charges], list(costs))
        )

    def give_back(self, recorded: Recorded, *, whole: bool) -> None:
        rng, event, plan = self.rng, recorded.event, recorded.plan
        back = list(recorded.quantities)
        costs = list(recorded.costs)
        if not whole:
            back = [rng.randrange(quantity + 1) for quantity in back]
        card = self.card_at(event.at)
        try:
            own = self.owns(card, event.names, back)
            stood = self.owns(card, event.names, recorded.quantities)
            left = [have - less for have, less in zip(stood, own, strict=True)]
            if min(left) < 0:
                return  # a part of a parent may be more than is left of it: no such reversal
            self.owns(card, event.names, left_of(recorded.quantities, back))
            if costs and not whole:  # the provider gives nothing back for nothing, all for all
                costs = [
                    cost if cost < 0 or not kept else rng.randrange(cost + 1) if less else 0
                    for cost, less, kept in zip(costs, own, left, strict=True)
                ]
            expected = self.slow_refund(card, recorded, own, stood, left, costs)
        except (Unpriceable, SubsetExceedsParent):
            return
        totals = self.totals_of(plan, event.at)
        facts = Facts(event.attributes, costs)
        left_of_lines = [max(0, charge) for charge in recorded.charges]  # -1 would say: unpriced
        standing = Standing(recorded.quantities, left_of_lines, recorded.costs)
        lines, moves = refund(plan, back, totals, facts, standing)
        self.move(plan, event.at, moves, -1)
        moved = dict(rerate(plan, back, self.totals_of(plan, event.at)))
        found = [
            (line, moved.get(row, 0) if priced else 0)
            for line, row, priced in zip(lines, plan.rows, own, strict=True)
        ]
        assert found == [(line.charge, line.rerate) for line in expected], (found, expected)
        for line in expected:
            if line.key is not None and line.measure:
                self.slow_totals[line.key] -= line.measure
        self.charged -= sum(lines) + sum(moved.values())
        self.lines += len(lines)
        recorded.quantities[:] = left_of(recorded.quantities, back)
        recorded.charges[:] = [c - line for c, line in zip(recorded.charges, lines, strict=True)]
        recorded.costs[:] = [
            have - less if have >= 0 else have
            for have, less in zip(recorded.costs, costs, strict=True)
        ]
        if whole:
            self.history.remove(recorded)

    # --- the same, slowly

    def card_at(self, at: int) -> RateCard:
        return self.cards[1 if at >= self.switch_us else 0]

    def owns(self, card: RateCard, names: tuple[str, ...], amounts: list[int]) -> list[int]:
        given = dict(zip(names, amounts, strict=True))
        return [own_quantity(card, name, given) for name in names]

    def slow(self, event: Event) -> list[SlowLine]:
        card = self.card_at(event.at)
        given = dict(zip(event.names, event.quantities, strict=True))
        own = self.owns(card, event.names, list(event.quantities))
        lines = []
        for index, name in enumerate(event.names):
            found = self.found(card, event, name, given)
            if found is None:
                lines.append(SlowLine(None if own[index] else 0, 0, None, 0))
                continue
            row, same = found
            if own[index] == 0:
                lines.append(SlowLine(0, 0, None, 0))
            elif isinstance(row.row.model, Formula):
                charge = row.formula(dict(zip(event.names, own, strict=True)), event.attributes)
                lines.append(SlowLine(charge, 0, None, 0))
            else:
                measure = self.measure(row, index, own[index], event.costs)
                key = self.key(row, same, event.at)
                charge, moved = row.line(self.slow_totals.get(key, 0) if key else 0, measure)
                lines.append(SlowLine(charge, moved, key, measure))
        return lines

    def slow_refund(
        self,
        card: RateCard,
        recorded: Recorded,
        own: list[int],
        stood: list[int],
        left: list[int],
        costs: list[int],
    ) -> list[SlowLine]:
        event, lines = recorded.event, []
        given = dict(zip(event.names, event.quantities, strict=True))
        for index, name in enumerate(event.names):
            row, same = self.found(card, event, name, given) or (None, None)
            if row is not None and isinstance(row.row.model, Formula):
                rest = 0
                if left[index]:
                    rest = row.formula(dict(zip(event.names, left, strict=True)), event.attributes)
                charged = recorded.charges[index]
                lines.append(SlowLine(charged - min(rest, charged), 0, None, 0))
                continue
            if row is None or own[index] == 0:
                lines.append(SlowLine(0, 0, None, 0))
                continue
            back = self.measure(row, index, own[index], tuple(costs))
            all_of_it = self.measure(row, index, stood[index], tuple(recorded.costs))
            key = self.key(row, same, event.at)
            total = self.slow_totals.get(key, 0) if key else all_of_it
            if row.of_event or not row.running:
                charged = recorded.charges[index]
                rest = 0
                if left[index]:
                    rest, _ = row.line(max(0, total - all_of_it), all_of_it - back)
                lines.append(SlowLine(charged - min(rest, charged), 0, key, back))
            else:
                line, moved = row.line(total - back, back)
                lines.append(SlowLine(line, moved, key, back))
        return lines

    def measure(self, row: SlowRow, index: int, own: int, costs: tuple[int, ...]) -> int:
        if not isinstance(row.row.model, CostPlus):
            return own
        if not costs or costs[index] == -1:
            raise Unpriceable("COST_MISSING")
        return costs[index]

    def found(
        self, card: RateCard, event: Event, name: str, given: dict[str, int]
    ) -> tuple[SlowRow, object] | None:
        """The row that prices a quantity, and what its total runs on: the row whatever its version;
        of a plain row, whose total carries nothing but rounding, apart by version."""
        ordinal = winner(card, "api", event.attributes, name, given)
        if ordinal is None:
            return None
        row = card.rows[ordinal]
        if is_plain(row):
            return SlowRow(card, row), (self.cards.index(card), ordinal)
        of_cost = isinstance(row.model, CostPlus)
        return SlowRow(card, row), (row.quantity, tuple(row.attributes), of_cost)

    def key(self, row: SlowRow, same: object, at: int) -> object:
        """What a total runs on, in a window of its scope; None where none does."""
        if not row.running or (is_plain(row.row) and row.minor_unit().denominator == 1):
            return None
        return same, row.row.scope, at // WINDOWS_US[row.row.scope]

    # --- totals as the ledger keeps them

    def totals_of(self, plan: Plan, at: int) -> dict[int, int]:
        found = {}
        for key, scope in self.keys(plan):
            total = self.totals.get((key, scope, at // WINDOWS_US[scope]))
            if total is not None:
                found[key] = total
        return found

    def keys(self, plan: Plan) -> list[tuple[int, Scope]]:
        return [(key, SCOPE_CODES[scope]) for key, scope in plan.running]

    def move(self, plan: Plan, at: int, moves: tuple[tuple[int, int], ...], sign: int) -> None:
        scopes = dict(self.keys(plan))
        for key, measure in moves:
            place = (key, scopes[key], at // WINDOWS_US[scopes[key]])
            self.totals[place] = self.totals.get(place, 0) + sign * measure
            assert self.totals[place] >= 0


class Event(NamedTuple):
    at: int
    names: tuple[str, ...]
    quantities: tuple[int, ...]
    attributes: dict[str, str]
    costs: tuple[int, ...]


class Recorded(NamedTuple):
    event: Event
    plan: Plan
    quantities: list[int]
    charges: list[int]
    costs: list[int]


class SlowLine(NamedTuple):
    charge: int | None
    rerate: int
    key: object
    measure: int


def left_of(stood: list[int], back: list[int]) -> list[int]:
    return [have - less for have, less in zip(stood, back, strict=True)]


def kind_of(model: Model | None) -> int | None:
    kinds = (Graduated, Volume, Stairstep, Package, Percentage, CostPlus, Formula)
    return kinds.index(type(model)) if model is not None else None


def run(events: int, first_world: int = 0) -> int:
    """Runs worlds until so many events have happened; the number of lines compared."""
    lines = 0
    for seed in range(first_world, first_world + -(-events // EVENTS_A_WORLD)):
        try:
            lines += World(seed).run(EVENTS_A_WORLD)
        except Exception as error:
            raise AssertionError(f"world {seed}: {error}") from error
    return lines


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{wanted:,} events: {run(wanted):,} lines agree")
