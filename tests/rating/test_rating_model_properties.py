"""Promises over any model: parts add up to the whole, order does not matter, nothing is below zero.

And the agreement of the compiled models with the slow evaluator, over thousands of events.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from agreement import run
from hypothesis import given
from hypothesis import strategies as st
from model_evaluator import SlowRow
from model_strategies import amounts, monotone, plans, transactional, volumes
from rating_evaluator import round_by

from rating.card import Meter, PriceRow, RateCard, Rounding, validate
from rating.compile import CompiledCard
from rating.functions import SCOPE_MONTH
from rating.model_lines import Facts, Standing
from rating.plan import Plan
from rating.price import listed, rate, refund, rerate
from rating.shares import prorated, rest_at_list, rests_at_list, shortfall, split


def facts(amount: int) -> Facts:
    """The provider takes one minor unit a call, where that matters."""
    return Facts(costs=(amount,))


class Running:
    """One plan over its running total."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.totals: dict[int, int] = {}

    def use(self, amount: int) -> int:
        moved = sum(each for _, each in rerate(self.plan, (amount,), self.totals))
        charges, _, advances, _ = rate(self.plan, (amount,), self.totals, facts(amount))
        assert charges[0] >= 0
        for key, more in advances:
            self.totals[key] = self.totals.get(key, 0) + more
        return charges[0] + moved

    def give_back(self, amount: int, standing: Standing | None = None) -> int:
        lines, moves = refund(self.plan, (amount,), self.totals, facts(amount), standing)
        for key, less in moves:
            self.totals[key] -= less
        return lines[0] + sum(each for _, each in rerate(self.plan, (amount,), self.totals))


@given(plans(st.one_of(monotone, volumes)), st.lists(amounts, min_size=1, max_size=12))
def test_events_one_by_one_cost_what_their_sum_costs(
    priced: tuple[RateCard, Plan], parts: list[int]
) -> None:
    """F is of the cumulative quantity alone, however it is split (rule R1)."""
    card, plan = priced
    running = Running(plan)
    charged = sum(running.use(part) for part in parts)
    assert charged == Running(plan).use(sum(parts))
    assert charged == SlowRow(card, card.rows[0]).cost_of(sum(parts))


@given(plans(st.one_of(monotone, volumes)), amounts, amounts)
def test_a_then_b_costs_what_b_then_a_costs(
    priced: tuple[RateCard, Plan], first: int, second: int
) -> None:
    _, plan = priced
    forwards, backwards = Running(plan), Running(plan)
    assert forwards.use(first) + forwards.use(second) == (
        backwards.use(second) + backwards.use(first)
    )


@given(plans(monotone), amounts, amounts)
def test_more_never_costs_less(priced: tuple[RateCard, Plan], first: int, second: int) -> None:
    """Where tiers only add: every line is zero or more and nothing is priced anew."""
    _, plan = priced
    running = Running(plan)
    running.use(first)
    assert rerate(plan, (second,), running.totals) == ()
    assert running.use(second) >= 0


@given(
    plans(st.one_of(monotone, volumes)),
    st.lists(amounts, min_size=1, max_size=8),
    st.lists(st.integers(1, 100), min_size=1, max_size=8),
)
def test_what_is_given_back_last_first_is_what_was_charged(
    priced: tuple[RateCard, Plan], parts: list[int], pieces: list[int]
) -> None:
    """F(Q) - F(Q - q), over any split of what goes back: all of it comes to nothing (rule R1)."""
    _, plan = priced
    running = Running(plan)
    charged = sum(running.use(part) for part in parts)
    left = sum(parts)
    for piece in pieces:
        back = left * piece // 100
        charged -= running.give_back(back)
        left -= back
    assert charged == Running(plan).use(left)
    assert charged == running.give_back(left)
    assert not any(running.totals.values())


@given(
    plans(transactional),
    st.lists(amounts, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 100)), max_size=8),
)
def test_an_event_gives_back_what_it_was_charged_and_no_more(
    priced: tuple[RateCard, Plan], parts: list[int], pieces: list[tuple[int, int]]
) -> None:
    """Fixed parts and limits belong to their event: in any order and any pieces, all goes back."""
    _, plan = priced
    running = Running(plan)
    events = [[part, running.use(part)] for part in parts]
    all_of_each = [(place, 100) for place in range(len(events))]
    for place, percent in [*pieces, *all_of_each]:
        event = events[place % len(events)]
        back = event[0] * percent // 100
        standing = Standing((event[0],), (event[1],), (event[0],))
        given_back = running.give_back(back, standing)
        assert 0 <= given_back <= event[1]
        event[0] -= back
        event[1] -= given_back
    assert events == [[0, 0]] * len(events)
    assert not any(running.totals.values())


@pytest.mark.parametrize("first_world", range(0, 60, 12))
def test_the_compiled_models_agree_with_the_slow_evaluator(first_world: int) -> None:
    assert run(720, first_world) > 500


@given(st.integers(0, 2**70), st.lists(st.integers(0, 2**64), min_size=1, max_size=9))
def test_a_split_adds_up_and_is_fair_to_a_unit(total: int, weights: list[int]) -> None:
    """Rule N3: every part is its exact share, rounded down or up, and they add up."""
    if not any(weights):
        weights[0] = 1
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(
    st.integers(1, 2**64),
    st.integers(0, 2**64),
    st.integers(0, 100),
    st.sampled_from(list(enumerate([Rounding.HALF_EVEN, Rounding.HALF_UP, "up", "down"]))),
)
def test_the_rest_at_list_price_is_exact(
    commit: int, at_list: int, percent: int, mode: tuple[int, str]
) -> None:
    """Rule R9: L x (C - g) / C."""
    paid = commit * percent // 100
    exact = Fraction(at_list * (commit - paid), commit)
    assert rest_at_list(commit, at_list, paid, mode[0]) == round_by(Rounding(mode[1]), exact)
    assert rest_at_list(commit, at_list, commit) == 0
    assert rest_at_list(commit, at_list, 0) == at_list


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 100)),
        min_size=1,
        max_size=6,
    )
)
def test_rests_of_several_lines_are_rounded_once(lines: list[tuple[int, int, int]]) -> None:
    """Rules R9 and N3: the parts add up to the rounded sum of the exact ones."""
    commits = [commit for commit, _, _ in lines]
    lists = [at_list for _, at_list, _ in lines]
    paid = [commit * percent // 100 for commit, _, percent in lines]
    exact = [
        Fraction(at_list * (commit - part), commit) if commit else Fraction(0)
        for commit, at_list, part in zip(commits, lists, paid, strict=True)
    ]
    rests = rests_at_list(commits, lists, paid)
    assert sum(rests) == round(sum(exact))
    assert all(abs(rest - each) < 1 for rest, each in zip(rests, exact, strict=True))


@given(st.integers(0, 2**64), st.integers(0, 100), st.integers(1, 100), st.integers(0, 2**64))
def test_a_shortfall_is_what_the_share_of_a_minimum_lacks(
    minimum: int, remaining: int, full: int, charged: int
) -> None:
    """Rules R2 and S1: prorated, rounded once, never above the whole, never below zero."""
    due = prorated(minimum, remaining, full)
    assert due == round(Fraction(minimum * min(remaining, full), full))
    assert shortfall(minimum, charged, remaining, full) == max(0, due - charged)
    assert shortfall(minimum, charged) == max(0, minimum - charged)


def test_a_list_price_is_charged_for_the_same_quantity() -> None:
    """Rule R9: C = 10 x 0.50 at commit rate, L = 10 x 0.80; 2 of 5 are paid, 60 % of L is left."""
    card = RateCard(
        name="any",
        asset="USD",
        asset_scale=2,
        meters=(Meter("calls"), Meter("other")),
        rows=(
            PriceRow("api", "calls", "0.5", list_price="0.8"),
            PriceRow("api", "other", "0.5"),
        ),
    )
    assert validate(card) == []
    plan = CompiledCard(card, version=1).match("api", {}, ("calls", "other"))
    charges, total, advances, _ = rate(plan, (10, 1), {})
    assert (charges, total) == ((500, 50), 550)
    assert advances == ((plan.keys[0], 10),)
    assert listed(plan, (10, 1), {}) == (800, None)
    assert rest_at_list(500, 800, 200) == 480


def test_what_is_included_and_the_maximum_hold_at_list_price_too() -> None:
    row = PriceRow("api", "calls", "0.5", included=5, maximum="6", list_price="0.8")
    card = RateCard(name="any", asset="USD", asset_scale=2, meters=(Meter("calls"),), rows=(row,))
    plan = CompiledCard(card, version=1).match("api", {}, ("calls",))
    (key,) = plan.keys
    assert plan.running == ((key, SCOPE_MONTH),)
    assert listed(plan, (10,), {}) == (400,)
    assert listed(plan, (10,), {key: 10}) == (200,)
