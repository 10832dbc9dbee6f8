"""The difference of two rate cards: complete, in a stable order, and what it says in words."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.card import (
    ExpiryPolicy,
    Meter,
    PriceRow,
    Product,
    RateCard,
    Rounding,
    canonical_bytes,
    selector_of,
    validate,
)
from rating.data import price_map
from rating.diff import Changed, apply, diff, large_moves, moved_by, ratio, row_key
from rating.diff_text import counts, document, lines, summary
from rating.exact import parse_price, reduced, written
from rating.llm_prices import import_price_map
from rating.models import Graduated, Hours, Minimum, MinimumScope, Package, Scope, Tier


def card(*rows: PriceRow, **fields: object) -> RateCard:
    meters = (Meter("input_tokens"), Meter("output_tokens"))
    return msgspec.structs.replace(
        RateCard("default", "USD", 9, meters=meters, rows=rows), **fields
    )


PLAIN = PriceRow("gpt", "input_tokens", "0.000002")
BATCH = PriceRow("gpt", "input_tokens", "0.000001", {"mode": "batch"}, 200_000, 1)
OUTPUT = PriceRow("gpt", "output_tokens", "0.00001")

NAMES = st.sampled_from(["a", "b", "c", "d"])
METERS = st.lists(
    st.builds(Meter, NAMES, st.integers(0, 1)), unique_by=lambda meter: meter.quantity
)
PRODUCTS = st.lists(
    st.builds(
        Product,
        NAMES,
        NAMES,
        st.sampled_from(ExpiryPolicy),
        st.booleans(),
        st.lists(NAMES, max_size=2).map(tuple),
        st.dictionaries(NAMES, NAMES, max_size=2),
    ),
    unique_by=lambda product: product.product,
)
NIGHT = Hours("Europe/Berlin", "22:00", "06:00", (1, 2, 3, 4, 5))
TIERS = Graduated((Tier(100, "0.10"), Tier(None, "0.02")))
HOURS = st.sampled_from([None, NIGHT, Hours("UTC"), Hours("UTC", "00:00", "12:00")])
ROW = st.builds(
    PriceRow,
    NAMES,
    NAMES,
    st.sampled_from(["0", "1", "2", "1/3", "25"]),
    st.dictionaries(NAMES, NAMES, max_size=2),
    st.integers(0, 1),
    st.integers(0, 1),
    included=st.sampled_from([0, 0, 5]),
    hours=HOURS,
)
MODELED = st.builds(
    PriceRow,
    NAMES,
    NAMES,
    st.just(""),
    model=st.sampled_from([TIERS, Package(100, "5")]),
    scope=st.sampled_from(Scope),
    hours=HOURS,
)
ROWS = st.lists(st.one_of(ROW, MODELED), unique_by=selector_of, max_size=12)
CARDS = st.builds(
    RateCard,
    name=NAMES,
    asset=NAMES,
    asset_scale=st.integers(0, 9),
    meters=METERS.map(tuple),
    rows=ROWS.map(tuple),
    products=PRODUCTS.map(tuple),
    rounding=st.sampled_from(Rounding),
    prompt_quantity=NAMES,
)


@given(CARDS)
def test_a_card_does_not_differ_from_itself(one: RateCard) -> None:
    change = diff(one, one)
    assert not change
    assert (summary(change), lines(change)) == ("no difference", {})
    assert apply(change, one) == one


@given(CARDS, CARDS)
def test_applying_a_difference_gives_the_later_card_to_the_byte(
    earlier: RateCard, later: RateCard
) -> None:
    """The order of rows too: of two equal ones the later wins (rule R3)."""
    change = diff(earlier, later)
    assert canonical_bytes(apply(change, earlier)) == canonical_bytes(later)
    assert bool(change) == (earlier != later)
    back = diff(later, earlier)
    assert {row_key(each.part) for each in change.rows.added} == {
        row_key(row) for row in back.rows.removed
    }
    assert len(change.rows.moved) == len(back.rows.moved)


@given(CARDS, CARDS)
def test_the_difference_is_data_that_lasts(earlier: RateCard, later: RateCard) -> None:
    """The order is stable, and the document is JSON as it stands, without floats."""
    change = diff(earlier, later)
    for listed in (change.rows.removed, [each.part for each in change.rows.added]):
        assert list(map(row_key, listed)) == sorted(map(row_key, listed))
    told = document(change, large_moves(change))
    assert json.loads(json.dumps(told), parse_float=pytest.fail) == told
    assert (told["summary"] == "no difference") == (earlier == later)


@given(st.one_of(ROW, MODELED), st.one_of(ROW, MODELED))
def test_rows_are_told_apart_by_what_they_match_and_by_nothing_else(
    one: PriceRow, other: PriceRow
) -> None:
    """Hours too: a card may price the night beside the day (rule R3)."""
    assert (row_key(one) == row_key(other)) == (selector_of(one) == selector_of(other))


@given(st.permutations(range(8)))
def test_the_fewest_rows_are_moved(order: list[int]) -> None:
    rows = [PriceRow("gpt", "input_tokens", "1", {"n": str(number)}) for number in range(8)]
    change = diff(card(*rows), card(*[rows[place] for place in order]))
    best = max(
        sum(1 for _ in run)
        for mask in range(1 << 8)
        for run in [[order[place] for place in range(8) if mask >> place & 1]]
        if run == sorted(run)
    )
    assert len(change.rows.moved) == 8 - best


def test_rows_added_removed_and_changed() -> None:
    """
    gpt input_tokens mode=batch above_prompt=200000 priority=1: gone
    gpt input_tokens: half as dear again
    gpt output_tokens: new
    """
    dearer = msgspec.structs.replace(PLAIN, price="3e-6")
    change = diff(card(PLAIN, BATCH), card(OUTPUT, dearer))
    assert change.rows.removed == (BATCH,)
    assert [(each.place, each.part) for each in change.rows.added] == [(0, OUTPUT)]
    assert change.rows.changed == (Changed(PLAIN, dearer),)
    assert change.rows.moved == ()
    assert summary(change) == "1 row added, 1 row removed, 1 row changed"
    assert lines(change) == {
        "prices changed": ["gpt input_tokens  0.000002 -> 3e-6  x 1.5"],
        "rows removed": [
            "gpt input_tokens mode=batch above_prompt=200000 priority=1  0.000001",
        ],
        "rows added": ["gpt output_tokens  0.00001"],
    }
    told = document(change, large_moves(change))
    assert told["rows"]["changed"] == [
        {
            "before": {"product": "gpt", "quantity": "input_tokens", "price": "0.000002"},
            "after": {"product": "gpt", "quantity": "input_tokens", "price": "3e-6"},
            "ratio": "1.5",
        }
    ]
    assert told["counts"]["rows"] == {"added": 1, "removed": 1, "changed": 1, "moved": 0}
    assert counts(change) == told["counts"]


def test_products_meters_and_the_card_itself() -> None:
    earlier = card(
        meters=(Meter("a"), Meter("b")),
        products=(Product("x", facts={"k": "1", "gone": "2"}), Product("y"), Product("z")),
    )
    later = card(
        meters=(Meter("b", subset_of="c"), Meter("c")),
        products=(Product("z"), Product("x", tags=("t",), facts={"k": "2"}), Product("new")),
        rounding=Rounding.UP,
    )
    change = diff(earlier, later)
    assert lines(change) == {
        "the card": ["rounding: half_even -> up"],
        "meters": ["a removed", "c added", "b subset_of:  -> c"],
        "products": [
            "y removed",
            "new added",
            "x tags: () -> ('t',); gone: 2 -> unsaid; k: 1 -> 2",
            "x moved to 1",
        ],
    }
    assert summary(change) == (
        "rounding changed, 1 product added, 1 product removed, 1 product changed, 1 product moved, "
        "1 meter added, 1 meter removed, 1 meter changed"
    )
    assert apply(change, earlier) == later


def test_rows_with_models_say_their_terms_and_no_ratio() -> None:
    """
    gpt input_tokens: 0.000002 a unit, then in tiers: large, as nothing says by how much
    gpt output_tokens at night: 100 are free now
    """
    night = PriceRow("gpt", "output_tokens", "0.00001", hours=NIGHT)
    tiers = PriceRow("gpt", "input_tokens", "", model=TIERS, scope=Scope.DAY)
    freer = msgspec.structs.replace(night, included=100)
    change = diff(card(PLAIN, OUTPUT, night), card(tiers, OUTPUT, freer))
    assert change.rows.changed == (Changed(PLAIN, tiers), Changed(night, freer))
    assert [moved_by(row) for row in change.rows.changed] == [None, "1"]
    assert large_moves(change) == list(change.rows.changed)
    in_tiers = 'graduated tiers=[{"up_to":100,"price":"0.10"},{"price":"0.02"}] scope=day'
    where = "hours=22:00-06:00 Europe/Berlin days=1,2,3,4,5"
    assert lines(change)["prices changed"] == [
        f"gpt input_tokens  0.000002 -> {in_tiers}",
        f"gpt output_tokens {where}  0.00001 -> 0.00001 included=100  x 1",
    ]
    told = document(change)["rows"]["changed"]
    assert [each["ratio"] for each in told] == [None, "1"]
    assert told[0]["after"]["model"]["type"] == "graduated"
    assert lines(diff(card(tiers), card()))["rows removed"] == [f"gpt input_tokens  {in_tiers}"]
    bound = card(minimums=(Minimum(MinimumScope.ACCOUNT, "10"),))
    assert lines(diff(card(), bound))["the card"] == [
        'minimums: [] -> [{"scope":"account","amount":"10"}]'
    ]


def test_a_price_written_another_way_is_a_change_of_the_card_and_not_of_the_price() -> None:
    """The bytes differ, so that the hash does; the ratio says that nobody pays more."""
    change = diff(card(PLAIN), card(msgspec.structs.replace(PLAIN, price="2e-6")))
    (changed,) = change.rows.changed
    assert ratio(changed.before.price, changed.after.price) == "1"
    assert large_moves(change, "1") == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("2", "3", "1.5"),
        ("3", "4", "4/3"),
        ("0.0000001", "0.0001", "1000"),
        ("1/3", "1/3", "1"),
        ("5", "0", "0"),
        ("0", "5", None),
        ("0", "0", None),
    ],
)
def test_ratios_are_exact(before: str, after: str, expected: str | None) -> None:
    assert ratio(before, after) == expected


@pytest.mark.parametrize(
    ("before", "after", "factor", "large"),
    [
        ("1", "10", "10", False),
        ("1", "10.0000001", "10", True),
        ("10", "1", "10", False),
        ("10.0000001", "1", "10", True),
        ("1", "1.5", "1.5", False),
        ("1", "1.5", "1.4", True),
        ("1", "4/3", "4/3", False),
        ("0", "0.000001", "10", True),
        ("0.000001", "0", "10", True),
        ("0", "0.0", "10", False),
    ],
)
def test_a_move_is_large_strictly_above_the_factor(
    before: str, after: str, factor: str, large: bool
) -> None:
    """Up and down alike, and always where a price comes from nothing or goes to nothing."""
    change = diff(
        card(msgspec.structs.replace(PLAIN, price=before)),
        card(msgspec.structs.replace(PLAIN, price=after)),
    )
    assert bool(large_moves(change, factor)) == large


def test_a_large_move_is_said_first() -> None:
    change = diff(card(PLAIN), card(msgspec.structs.replace(PLAIN, price="0.002")))
    told = lines(change, large_moves(change))
    assert list(told) == ["large moves of a price", "prices changed"]
    assert told["large moves of a price"] == ["gpt input_tokens  0.000002 -> 0.002  x 1000"]
    free = diff(card(msgspec.structs.replace(PLAIN, price="0")), card(PLAIN))
    assert lines(free)["prices changed"] == ["gpt input_tokens  0 -> 0.000002  was free"]


def test_the_whole_map_against_a_refreshed_one() -> None:
    """One price by a thousand, one product gone, one new: three lines, not ten thousand."""
    entries = json.loads(price_map(), parse_float=str)
    earlier, _ = import_price_map(json.dumps(entries))
    entries["gpt-5"]["input_cost_per_token"] = "0.00125"
    del entries["gpt-4"]
    entries["gpt-next"] = {"input_cost_per_token": "0.000001", "mode": "chat"}
    later, _ = import_price_map(json.dumps(entries))
    assert validate(later) == []
    change = diff(earlier, later)
    assert [row.after.product for row in large_moves(change)] == ["gpt-5"]
    assert [product.product for product in change.products.removed] == ["gpt-4"]
    assert [each.part.product for each in change.products.added] == ["gpt-next"]
    assert {row.product for row in change.rows.removed} == {"gpt-4"}
    assert not change.rows.moved
    assert canonical_bytes(apply(change, earlier)) == canonical_bytes(later)


@given(st.integers(0, 10**30), st.integers(1, 10**12))
def test_a_ratio_is_written_so_that_it_is_read_as_the_same(
    numerator: int, denominator: int
) -> None:
    text = written((numerator, denominator))
    read, of = parse_price(text)
    assert read * denominator == numerator * of
    assert ("/" in text) == (not _is_finite(reduced(numerator, denominator)[1]))


def _is_finite(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
