"""Which version prices which time: never retroactively, but what was unpriced is caught up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.card import Meter, PriceRow, RateCard
from rating.compile import CompiledCard, row_number
from rating.models import CostPlus, Graduated, Model, Scope, Tier, Volume
from rating.price import rate
from rating.versions import CardVersion, CardVersions, version_at

METERS = (Meter("input_tokens"), Meter("output_tokens"))
BOTH = ("input_tokens", "output_tokens")


def version(
    number: int, published: int, effective: int, priced: tuple[str, ...] = BOTH
) -> CardVersion:
    rows = tuple(PriceRow("gpt", quantity, str(number)) for quantity in priced)
    card = RateCard(name="llm", asset="USD", asset_scale=9, meters=METERS, rows=rows)
    return CardVersion(number, published, effective, CompiledCard(card, number))


def in_force(versions: CardVersions, at: int) -> int | None:
    card = versions.at(at)
    return None if card is None else card.version


def tried(versions: CardVersions, at: int) -> list[int]:
    return [card.version for card in versions.candidates(at)]


def priced_by(versions: CardVersions, at: int, quantities: tuple[str, ...] = BOTH) -> int | None:
    plan = versions.plan_for(at, "gpt", {}, quantities)
    return None if plan is None else plan.card_version


def test_without_any_version_nothing_is_priced():
    versions = CardVersions()
    assert (in_force(versions, 5), tried(versions, 5), priced_by(versions, 5)) == (None, [], None)


def test_a_version_is_in_force_from_its_effective_time_to_the_next():
    versions = CardVersions([version(2, 50, 200), version(1, 10, 100)])
    assert [in_force(versions, at) for at in (99, 100, 199, 200, 10**18)] == [None, 1, 1, 2, 2]
    assert [priced_by(versions, at) for at in (99, 100, 199, 200)] == [None, 1, 1, 2]


def test_of_two_versions_from_the_same_time_the_later_version_wins():
    versions = CardVersions([version(1, 10, 100), version(2, 20, 100)])
    assert in_force(versions, 100) == 2


def test_a_version_published_later_may_come_into_force_earlier():
    versions = CardVersions([version(1, 10, 200), version(2, 20, 100)])
    assert [in_force(versions, at) for at in (99, 100, 199, 200)] == [None, 2, 2, 1]


def test_a_back_dated_version_is_in_force_only_from_its_publication():
    versions = CardVersions([version(1, 10, 10), version(2, 100, 50)])
    assert [in_force(versions, at) for at in (49, 50, 99, 100)] == [1, 1, 1, 2]
    assert [priced_by(versions, at) for at in (50, 99, 100)] == [1, 1, 2]


def test_a_back_dated_version_rates_what_would_otherwise_be_unpriced():
    versions = CardVersions([version(1, 10, 10, ("input_tokens",)), version(2, 100, 50)])
    assert tried(versions, 49) == [1]
    assert tried(versions, 50) == [1, 2]
    assert priced_by(versions, 49) == 1
    assert priced_by(versions, 50) == 2
    assert priced_by(versions, 50, ("input_tokens",)) == 1
    assert priced_by(versions, 50, ("output_tokens",)) == 2


def test_before_the_first_version_a_back_dated_one_rates_everything():
    versions = CardVersions([version(1, 100, 50)])
    assert [priced_by(versions, at) for at in (49, 50, 99, 100)] == [None, 1, 1, 1]


def test_of_two_back_dated_versions_the_one_published_first_had_it_already():
    versions = CardVersions([version(2, 200, 20), version(1, 100, 50)])
    assert tried(versions, 60) == [1, 2]
    assert [priced_by(versions, at) for at in (20, 60)] == [2, 1]


TIMES = st.integers(0, 8)


@given(st.lists(st.tuples(TIMES, TIMES), max_size=5), st.integers(0, 9))
def test_the_version_at_an_instant_is_the_one_that_is_tried_first(
    published: list[tuple[int, int]], at: int
) -> None:
    """Without the cards: whoever shows the prices of an instant shows those that are charged."""
    times = [(number, *each) for number, each in enumerate(sorted(published), start=1)]
    versions = CardVersions(version(*each) for each in times)
    assert version_at(times, at) == next(iter(tried(versions, at)), None)


def test_where_none_prices_everything_the_first_that_prices_most_wins():
    versions = CardVersions(
        [version(1, 10, 10, ()), version(2, 100, 50, ("input_tokens",)), version(3, 110, 50, ())]
    )
    three = ("input_tokens", "output_tokens", "unheard_of")
    assert priced_by(versions, 60, three) == 2
    assert priced_by(versions, 60, ("unheard_of",)) == 1


def test_after_the_last_boundary_a_plan_depends_on_the_shape_alone():
    versions = CardVersions([version(1, 10, 10), version(2, 100, 50)])
    assert versions.settled_from_us == 100
    plan = versions.plan_for(100, "gpt", {"mode": "batch", "a": "b"}, BOTH)
    assert plan is not None
    again = versions.plan_for(10**17, "gpt", (("a", "b"), ("mode", "batch")), BOTH)
    assert again is plan


def test_adding_a_version_leaves_the_earlier_state_as_it_was():
    before = CardVersions([version(1, 10, 10)])
    after = before.adding(version(2, 20, 20))
    assert [in_force(before, 30), in_force(after, 30)] == [1, 2]
    with pytest.raises(AssertionError):
        after.adding(version(2, 30, 30))


def tiered(number: int, *rows: tuple[str, Model | None, Scope], priority: int = 0) -> CardVersion:
    made = tuple(
        PriceRow("gpt", quantity, "" if model else "1", {}, 0, priority, model, scope)
        for quantity, model, scope in rows
    )
    card = RateCard(name="llm", asset="USD", asset_scale=9, meters=METERS, rows=made)
    return CardVersion(number, number * 10, number * 10, CompiledCard(card, number))


def key_at(versions: CardVersions, at: int, quantity: str = "input_tokens") -> int:
    plan = versions.plan_for(at, "gpt", {}, (quantity,))
    assert plan is not None
    return plan.keys[0]


MONTH, DAY = Scope.MONTH, Scope.DAY
CHEAP = Graduated((Tier(100, "0.000000010"), Tier(None, "0.000000001")))
DEAR = Graduated((Tier(100, "0.000000020"), Tier(None, "0.000000002")))


def test_a_row_goes_on_with_the_total_of_the_same_row_of_an_earlier_version():
    """Rule R1: a price change within a month does not restart tiers, wherever the row stands."""
    versions = CardVersions(
        [
            tiered(1, ("input_tokens", CHEAP, MONTH)),
            tiered(2, ("output_tokens", CHEAP, MONTH), ("input_tokens", DEAR, MONTH)),
            tiered(3, ("output_tokens", DEAR, MONTH)),
            tiered(4, ("input_tokens", Volume(CHEAP.tiers), MONTH)),
        ]
    )
    first = row_number(1, 0)
    assert [key_at(versions, at) for at in (10, 20, 40)] == [first, first, first]
    assert [key_at(versions, at, "output_tokens") for at in (20, 30)] == [row_number(2, 0)] * 2
    plan = versions.plan_for(20, "gpt", {}, ("input_tokens",))
    assert plan is not None
    assert plan.rows == (row_number(2, 1),)
    assert rate(plan, (10,), {first: 95})[:3] == ((5 * 20 + 5 * 2,), 110, ((first, 10),))


def test_what_runs_on_something_else_is_not_the_same_row():
    """Another scope, the provider's cost, or another condition: each has a total of its own."""
    versions = CardVersions(
        [
            tiered(1, ("input_tokens", CHEAP, MONTH)),
            tiered(2, ("input_tokens", CHEAP, DAY)),
            tiered(3, ("input_tokens", CostPlus("1.2"), MONTH)),
            tiered(4, ("input_tokens", CHEAP, MONTH), priority=1),
            tiered(5, ("input_tokens", DEAR, DAY)),
        ]
    )
    keys = [key_at(versions, at) for at in (10, 20, 30, 40, 50)]
    numbers = [row_number(number, 0) for number in (1, 2, 3, 4)]
    assert keys == [*numbers, numbers[1]]


def test_series_do_not_depend_on_the_order_in_which_versions_are_given():
    made = [tiered(number, ("input_tokens", CHEAP, MONTH)) for number in (3, 1, 2)]
    together = CardVersions(made)
    one_by_one = CardVersions()
    for number in (1, 2, 3):
        one_by_one = one_by_one.adding(tiered(number, ("input_tokens", DEAR, MONTH)))
    for at in (10, 20, 30):
        assert key_at(together, at) == key_at(one_by_one, at) == row_number(1, 0)


def test_a_plain_row_keeps_its_own_number():
    """Its total carries nothing but rounding."""
    versions = CardVersions(
        [
            tiered(1, ("input_tokens", CHEAP, MONTH), ("output_tokens", None, MONTH)),
            tiered(2, ("input_tokens", CHEAP, MONTH), ("output_tokens", None, MONTH)),
        ]
    )
    plan = versions.plan_for(20, "gpt", {}, BOTH)
    assert plan is not None
    assert plan.keys == (row_number(1, 0), row_number(2, 1))
