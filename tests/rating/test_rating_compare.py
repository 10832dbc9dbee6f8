"""Comparing offers: every constraint, and a ranking that is exact and total (rules N2, H9)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.compare import (
    CHARGE,
    Bounds,
    Failure,
    Offer,
    OneOf,
    Verdict,
    Weight,
    Wishes,
    compare,
    number_of,
)

QUALITY = "quality_tier"
LATENCY = "latency_ms"


def ranking(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [each.offer.label for each in verdicts if each.rank]


def broken(offer: Offer, wishes: Wishes) -> list[tuple[str, str, str]]:
    """(constraint, reason, value) of everything that the offer breaks."""
    [verdict] = compare([offer], wishes)
    assert (verdict.rank == 0) == bool(verdict.failures)
    return [(each.constraint, each.reason, each.value) for each in verdict.failures]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("128000", Fraction(128_000)),
        ("0.25", Fraction(1, 4)),
        ("-0.5", Fraction(-1, 2)),
        ("+3", Fraction(3)),
        ("1e6", Fraction(1_000_000)),
        ("2.5e-3", Fraction(1, 400)),
        ("0." + "3" * 60, Fraction(int("3" * 60), 10**60)),
        ("", None),
        ("fast", None),
        ("24/7", None),
        ("--1", None),
        ("1.2.3", None),
        ("1 000", None),
        ("٣", None),
        ("1e999", None),
        ("inf", None),
        ("-", None),
    ],
)
def test_a_fact_is_a_number_where_it_is_a_whole_decimal(text, number):
    """Facts are texts: a number is compared exactly, whatever else is none."""
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (Wishes(charge_max=10), []),
        (Wishes(charge_max=9), [("charge_max", "CHARGE_ABOVE_MAXIMUM", "10")]),
        (Wishes(one_of=(OneOf("provider", ("b", "a")),)), []),
        (Wishes(one_of=(OneOf("provider", ("A",)),)), [("one_of[0]", "FACT_DIFFERS", "a")]),
        (Wishes(one_of=(OneOf("region", ("eu",)),)), [("one_of[0]", "FACT_MISSING", "")]),
        (Wishes(bounds=(Bounds(LATENCY, Fraction(250), Fraction(250)),)), []),
        (
            Wishes(bounds=(Bounds(LATENCY, Fraction(2501, 10), None),)),
            [("bounds[0]", "FACT_BELOW_MINIMUM", "250")],
        ),
        (
            Wishes(bounds=(Bounds(LATENCY, None, Fraction(2499, 10)),)),
            [("bounds[0]", "FACT_ABOVE_MAXIMUM", "250")],
        ),
        (
            Wishes(bounds=(Bounds("provider", Fraction(0), None),)),
            [("bounds[0]", "FACT_NOT_NUMERIC", "a")],
        ),
        (
            Wishes(bounds=(Bounds(QUALITY, Fraction(0), None),)),
            [("bounds[0]", "FACT_MISSING", "")],
        ),
        (
            Wishes(weights=(Weight(CHARGE, 1), Weight(QUALITY, 1), Weight("provider", 1))),
            [
                ("weights[1]", "FACT_MISSING", ""),
                ("weights[2]", "FACT_NOT_NUMERIC", "a"),
            ],
        ),
        (
            Wishes(charge_max=1, affordable=True),
            [
                ("charge_max", "CHARGE_ABOVE_MAXIMUM", "10"),
                ("affordable", "INSUFFICIENT_CREDITS", "10"),
            ],
        ),
    ],
    ids=str,
)
def test_each_constraint_that_is_broken_is_named(wishes, expected):
    offer = Offer("o", 10, {"provider": "a", LATENCY: "250"}, denied="INSUFFICIENT_CREDITS")
    assert broken(offer, wishes) == expected


def test_what_has_no_price_is_left_out_whatever_is_asked():
    failure = Failure("price", "UNPRICED", "video", "no price")
    assert broken(Offer("o", 0, {}, (failure,)), Wishes(charge_max=0)) == [
        ("price", "UNPRICED", "video")
    ]


def test_the_score_is_the_mean_by_weight_of_places_between_worst_and_best():
    """Charge 100 to 300, quality 1 to 5, weights 3 and 1: by hand."""
    offers = [
        Offer("cheap", 100, {QUALITY: "1"}),
        Offer("middle", 150, {QUALITY: "4"}),
        Offer("best", 300, {QUALITY: "5"}),
    ]
    wishes = Wishes(weights=(Weight(CHARGE, 3), Weight(QUALITY, 1, higher=True)))
    verdicts = compare(offers, wishes)
    assert [(each.offer.label, each.rank, each.score) for each in verdicts] == [
        ("cheap", 1, Fraction(3, 4)),
        ("middle", 2, Fraction(3, 4) * Fraction(3, 4) + Fraction(1, 4) * Fraction(3, 4)),
        ("best", 3, Fraction(1, 4)),
    ]


def test_only_what_remains_sets_the_scale():
    """An offer that is left out is neither best nor worst of anything."""
    offers = [Offer("a", 1, {}), Offer("b", 2, {}), Offer("huge", 10**30, {})]
    verdicts = compare(offers, Wishes(charge_max=2))
    assert [each.score for each in verdicts] == [1, 0, 0]
    assert [each.rank for each in verdicts] == [1, 2, 0]


def test_ties_go_by_charge_then_label():
    offers = [
        Offer("z", 1, {QUALITY: "1"}),
        Offer("b", 2, {QUALITY: "2"}),
        Offer("a", 2, {QUALITY: "2.0"}),
    ]
    wishes = Wishes(weights=(Weight(CHARGE, 1), Weight(QUALITY, 1, higher=True)))
    verdicts = compare(offers, wishes)
    assert {each.score for each in verdicts} == {Fraction(1, 2)}
    assert ranking(verdicts) == ["z", "a", "b"]


def test_offers_that_differ_by_less_than_a_float_tells_are_told_apart():
    """Numbers are exact (rule N2): 2^63 and one more are not the same."""
    offers = [Offer("a", 2**63 + 1, {}), Offer("b", 2**63, {})]
    assert ranking(compare(offers, Wishes())) == ["b", "a"]


numbers = st.integers(-(10**6), 10**6)
offers_of_any_kind = st.lists(
    st.tuples(st.integers(0, 10**12), numbers, numbers), min_size=1, max_size=8
).map(
    lambda rows: [
        Offer(f"o{place}", charge, {QUALITY: str(quality), LATENCY: str(latency)})
        for place, (charge, quality, latency) in enumerate(rows)
    ]
)
weights_of_any_kind = st.lists(
    st.tuples(st.integers(1, 1_000), st.booleans()), min_size=3, max_size=3
).map(
    lambda rows: tuple(
        [
            Weight(fact, weight, higher)
            for fact, (weight, higher) in zip((CHARGE, QUALITY, LATENCY), rows, strict=True)
        ]
    )
)


@given(offers_of_any_kind, weights_of_any_kind)
def test_the_ranking_is_a_total_order_by_the_stated_score(offers, weights):
    """Every offer has its own rank; the score is in [0, 1] and falls along the ranks."""
    verdicts = compare(offers, Wishes(weights=weights))
    assert [each.rank for each in verdicts] == list(range(1, len(offers) + 1))
    keys = [(-each.score, each.offer.charge, each.offer.label) for each in verdicts]
    assert keys == sorted(keys)
    assert all(0 <= each.score <= 1 for each in verdicts)


@given(offers_of_any_kind, weights_of_any_kind, st.randoms(use_true_random=False))
def test_the_order_of_the_offers_does_not_matter(offers, weights, random):
    wishes = Wishes(charge_max=10**11, weights=weights)
    shuffled = list(offers)
    random.shuffle(shuffled)
    assert compare(shuffled, wishes) == compare(offers, wishes)


@given(offers_of_any_kind, weights_of_any_kind, st.integers(1, 10**6), st.integers(-(10**9), 10**9))
def test_the_unit_of_a_measure_does_not_matter(offers, weights, factor, shift):
    """Milliseconds or seconds, cents or credits: the same scores (any positive affine change)."""
    changed = [
        offer._replace(
            charge=offer.charge * factor,
            facts=offer.facts | {LATENCY: str(int(offer.facts[LATENCY]) * factor + shift)},
        )
        for offer in offers
    ]
    wishes = Wishes(weights=weights)
    before, after = compare(offers, wishes), compare(changed, wishes)
    assert [(each.offer.label, each.score) for each in before] == [
        (each.offer.label, each.score) for each in after
    ]


@given(offers_of_any_kind, weights_of_any_kind, st.data())
def test_an_offer_that_is_better_in_everything_is_never_behind(offers, weights, data):
    """Dominance: cheaper or better in one and no worse in the rest."""
    chosen = data.draw(st.sampled_from(offers))
    better = {weight.fact: 1 if weight.higher else -1 for weight in weights}
    charge = max(0, chosen.charge + better[CHARGE])
    facts = {
        fact: str(int(chosen.facts[fact]) + better[fact] * data.draw(st.integers(0, 3)))
        for fact in (QUALITY, LATENCY)
    }
    dominant = Offer("dominant", charge, facts)
    ranks = {
        each.offer.label: each for each in compare([*offers, dominant], Wishes(weights=weights))
    }
    assert ranks["dominant"].score >= ranks[chosen.label].score
