"""An alias of a rate card means one card at a time; what it means is resolved once a change."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.pricing.aliases import AliasedCard, CardAlias, point_alias
from ledger.core.shapes import Shape
from rating.card import Meter, PriceRow, Product, RateCard
from rating.compile import CompiledCard
from rating.models import Hours
from rating.versions import NEVER_US, CardVersion

TENANT = 1
CHAT = Shape("chat", (), ("tokens",))
FIRST, SECOND = "pro-2026", "pro-2027"


def card(name: str, price: str, **changes: object) -> RateCard:
    fields: dict[str, object] = {
        "meters": (Meter("tokens"),),
        "rows": (PriceRow("chat", "tokens", price),),
        "products": (Product("chat", tags=(name,)),),
    }
    return RateCard(name, "credit", 0, **{**fields, **changes})  # type: ignore[arg-type]


def catalog_of(*cards: RateCard) -> Catalog:
    """The cards as versions 1, 2, ..., each in force from ever."""
    catalog = Catalog()
    catalog.add_asset(Asset(asset_number(TENANT, 99), TENANT, "credit", 0, "credit"))
    for number, each in enumerate(cards, start=1):
        version = CardVersion(number, 10 * number, 1, CompiledCard(each, number))
        catalog.add_card(TENANT, each.name, version)
    return catalog


def pro(catalog: Catalog) -> Callable[[int], tuple[str, int]]:
    """(the card, the price) of a token at an instant, as an account of the alias pays it."""

    def found(at: int) -> tuple[str, int]:
        bound, plan = catalog.step((TENANT, "pro"), CHAT, at, (1,))
        priced = plan.rows[0] >= 0
        return bound.declaration.rate_card, plan.numerators[0] if priced else -1

    return found


def test_an_alias_means_a_card_from_its_effective_instant_on():
    """
    pro -> pro-2026 from ever
    pro -> pro-2027 from 1000, published at 500: usage of 999 keeps the old price for ever
    """
    catalog = catalog_of(card(FIRST, "2"), card(SECOND, "3"))
    paid = pro(catalog)
    assert paid(5) == ("pro", -1), "it means nothing yet"
    point_alias(catalog, TENANT, "pro", CardAlias(3, 100, 1, FIRST))
    assert [paid(at) for at in (1, 99, 100, 2_000)] == [(FIRST, 2)] * 4
    point_alias(catalog, TENANT, "pro", CardAlias(4, 500, 1_000, SECOND))
    assert [paid(at) for at in (1, 999)] == [(FIRST, 2)] * 2
    assert [paid(at) for at in (1_000, 9_999)] == [(SECOND, 3)] * 2


def test_a_move_that_is_dated_back_changes_nothing_before_its_publication():
    """Nobody's price changes behind their back."""
    catalog = catalog_of(card(FIRST, "2"), card(SECOND, "3"))
    paid = pro(catalog)
    point_alias(catalog, TENANT, "pro", CardAlias(3, 100, 1, FIRST))
    point_alias(catalog, TENANT, "pro", CardAlias(4, 500, 50, SECOND))
    assert [paid(at) for at in (49, 50, 499, 500)] == [(FIRST, 2)] * 3 + [(SECOND, 3)]


def test_a_new_version_of_the_card_that_it_means_is_seen_at_once():
    """Also after shapes were settled under the alias: they are priced anew."""
    catalog = catalog_of(card(FIRST, "2"))
    paid = pro(catalog)
    point_alias(catalog, TENANT, "pro", CardAlias(3, 100, 1, FIRST))
    assert paid(5_000) == (FIRST, 2)
    aliased = catalog.cards[(TENANT, "pro")]
    assert CHAT in aliased.settled, "the hot path finds it"
    later = CardVersion(4, 200, 1_000, CompiledCard(card(FIRST, "7"), 4))
    catalog.add_card(TENANT, FIRST, later)
    assert [paid(at) for at in (999, 1_000)] == [(FIRST, 2), (FIRST, 7)]
    assert aliased.settled_from_us == 1_000


def test_an_alias_of_a_card_with_hours_is_never_settled():
    """Its prices depend on the time of day."""
    night = PriceRow("chat", "tokens", "1", hours=Hours("UTC", "00:00", "06:00"))
    catalog = catalog_of(card(FIRST, "2", rows=(PriceRow("chat", "tokens", "2"), night)))
    point_alias(catalog, TENANT, "pro", CardAlias(3, 100, 1, FIRST))
    day_us = 86_400_000_000
    hour_us = day_us // 24
    assert [pro(catalog)(400 * day_us + hour * hour_us)[1] for hour in (5, 6)] == [1, 2]
    assert catalog.cards[(TENANT, "pro")].settled_from_us == NEVER_US


def test_large_prompts_and_tags_are_those_of_the_card_that_it_means():
    steps = (
        PriceRow("chat", "tokens", "2"),
        PriceRow("chat", "tokens", "5", above_prompt=100),
    )
    catalog = catalog_of(card(FIRST, "2", rows=steps, prompt_quantity="tokens"), card(SECOND, "3"))
    point_alias(catalog, TENANT, "pro", CardAlias(3, 100, 1, FIRST))
    point_alias(catalog, TENANT, "pro", CardAlias(4, 500, 1_000, SECOND))
    bound, plan = catalog.step((TENANT, "pro"), CHAT, 5, (101,))
    assert (bound.declaration.rate_card, plan.numerators) == (FIRST, (5,))
    aliased = catalog.card((TENANT, "pro"))
    assert [aliased.use_at("chat", at).tags for at in (5, 1_000)] == [{FIRST}, {SECOND}]
    found = [aliased.card(version) for version in (1, 2, 3)]
    assert [each.card.name if each is not None else "" for each in found] == [FIRST, SECOND, ""]


TIMES = st.integers(1, 8)
MOVES = st.lists(st.tuples(TIMES, TIMES, st.sampled_from([FIRST, SECOND])), max_size=5)


@given(MOVES, st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_what_was_looked_up_before_never_changes_what_is_looked_up_after(
    moves: list[tuple[int, int, str]], instants: list[int]
) -> None:
    """A catalog that was asked between moves answers as one that was not: memory is no state."""
    used, fresh = (catalog_of(card(FIRST, "2"), card(SECOND, "3")) for _ in range(2))
    for number, (published, effective, target) in enumerate(sorted(moves), start=3):
        for at in instants:
            pro(used)(at)
        for catalog in (used, fresh):
            point_alias(catalog, TENANT, "pro", CardAlias(number, published, effective, target))
    assert [pro(used)(at) for at in instants] == [pro(fresh)(at) for at in instants]
    if moves:
        aliased = fresh.cards[(TENANT, "pro")]
        assert isinstance(aliased, AliasedCard)
        for at in range(10):
            target = aliased.target_at(at)
            name = "pro" if target is None else target.name
            assert pro(used)(at)[0] == name
