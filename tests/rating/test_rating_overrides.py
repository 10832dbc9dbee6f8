"""What an account pays otherwise than its card says: one override counts, and it is rule R4's."""

from __future__ import annotations

import pytest
from override_agreement import run

from rating.card import Meter, PriceRow, RateCard
from rating.compile import CompiledCard
from rating.models import Formula, Graduated, Package, Percentage, Scope, Tier, Volume
from rating.overridden import OverriddenVersions, override_row, plan_again
from rating.override_faults import override_faults
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
from rating.plan import NO_ROW
from rating.price import UNPRICED, rate
from rating.versions import CardVersion, CardVersions

NOW = 1_000
METERS = (Meter("tokens"), Meter("calls"), Meter("minutes"))
CARD = RateCard(
    name="llm",
    asset="USD",
    asset_scale=2,
    meters=METERS,
    rows=(
        PriceRow("chat", "tokens", "1"),
        PriceRow("chat", "tokens", "2", {"mode": "live"}),
        PriceRow("chat", "calls", "", model=Graduated((Tier(10, "1"), Tier(None, "0.5")))),
    ),
)
VERSIONS = CardVersions([CardVersion(1, 0, 0, CompiledCard(CARD, 1))])


def override(change: Change, quantity: str = "tokens", **fields: object) -> Override:
    return Override("chat", quantity, change, **fields)  # type: ignore[arg-type]


def over(*lists: list[Override], set_at_us: int = 0) -> OverriddenVersions:
    """Those of the account, then those of the accounts above it; numbered from 1."""
    number = 0
    layers = []
    for each in lists:
        layer = []
        for one in each:
            number += 1
            layer.append(SetOverride(NumberedOverride(number, one), set_at_us))
        layers.append(tuple(layer))
    return OverriddenVersions(VERSIONS, OverrideSet(tuple(layers)))


def counts(
    versions: OverriddenVersions,
    at_us: int = NOW,
    attributes: dict[str, str] | None = None,
    quantity: str = "tokens",
) -> int:
    """The number of the override that counts; 0 = none does."""
    plan = versions.plan_for(at_us, "chat", attributes or {}, (quantity,))
    assert plan is not None
    found = plan.overrides[0] if plan.overrides else None
    return found.number if found is not None else 0


def charge(
    versions: OverriddenVersions,
    quantity: int,
    name: str = "tokens",
    before: int = 0,
    attributes: dict[str, str] | None = None,
) -> int:
    plan = versions.plan_for(NOW, "chat", attributes or {}, (name,))
    assert plan is not None
    totals = {key: before for key, _ in plan.running}
    return rate(plan, (quantity,), totals)[0][0]


CHEAP, DEAR = Overwrite("USD", "0.5"), Overwrite("USD", "9")


# --- which one counts (rule R4)


def test_one_override_applies_and_they_never_stack():
    both = over([override(Multiplier("0.5")), override(Multiplier("0.8"))])
    assert charge(both, 10) == 500


def test_an_accounts_own_stands_before_those_above_it_the_nearest_first():
    versions = over([override(Multiplier("3"))], [override(CHEAP)], [override(DEAR)])
    assert counts(versions) == 1
    assert counts(over([], [override(CHEAP)], [override(DEAR)])) == 1


def test_an_overwrite_counts_before_a_multiplier_of_a_higher_priority():
    assert counts(over([override(Multiplier("0.1"), priority=9), override(DEAR)])) == 2
    tiers = Tiers("USD", Volume((Tier(None, "0.1"),)))
    assert counts(over([override(tiers, priority=9), override(DEAR)])) == 2


def test_then_the_higher_priority_counts():
    assert counts(over([override(CHEAP), override(DEAR, priority=1)])) == 2
    found = over([override(Multiplier("0.5")), override(Multiplier("2"), priority=1)])
    assert counts(found) == 2


def test_then_the_lowest_multiplier_and_then_tiers():
    ratios = [Multiplier("5/6"), Multiplier("0.8"), Multiplier("0.81")]
    assert counts(over([override(each) for each in ratios])) == 2
    tiers = Tiers("USD", Volume((Tier(None, "0.1"),)))
    assert counts(over([override(tiers), override(Multiplier("2"))])) == 2


def test_then_the_later_effective_time_and_then_the_one_set_later():
    later = [override(CHEAP, effective_from_us=20), override(DEAR, effective_from_us=10)]
    assert counts(over(later)) == 1
    assert counts(over([override(CHEAP), Override("*", "tokens", DEAR)])) == 2


def test_it_selects_as_a_row_does():
    live = over([override(CHEAP, attributes={"mode": "live"})])
    assert [
        counts(live, attributes=each) for each in ({"mode": "live"}, {"mode": "batch"}, {})
    ] == [
        1,
        0,
        0,
    ]
    any_mode = over([override(CHEAP, attributes={"mode": "*"})])
    assert [counts(any_mode, attributes=each) for each in ({"mode": "x"}, {})] == [1, 0]
    assert counts(over([Override("*", "tokens", CHEAP)])) == 1
    assert counts(over([Override("image", "tokens", CHEAP)])) == 0
    assert counts(over([Override("*", "*", Multiplier("0.9"))]), quantity="calls") == 1


# --- when


def test_it_is_in_force_from_its_time_until_its_end():
    timed = over([override(CHEAP, effective_from_us=100, effective_until_us=200)])
    assert [counts(timed, at) for at in (99, 100, 199, 200)] == [0, 1, 1, 0]


def test_it_is_not_in_force_before_it_was_set_nor_after_it_was_taken_back():
    each = SetOverride(NumberedOverride(1, override(CHEAP, effective_from_us=50)), 100).ended(150)
    versions = OverriddenVersions(VERSIONS, OverrideSet(((each,),)))
    assert [counts(versions, at) for at in (60, 99, 100, 149, 150)] == [0, 0, 1, 1, 0]


def test_one_that_is_meant_for_earlier_reaches_back_to_what_would_be_unpriced():
    back = [
        override(Overwrite("USD", "3"), "minutes", effective_from_us=50),
        override(CHEAP, effective_from_us=50),
        override(Multiplier("2"), "minutes", effective_from_us=50, priority=9),
    ]
    versions = over(back, set_at_us=100)
    assert [counts(versions, at, quantity="minutes") for at in (49, 50, 99, 100)] == [0, 1, 1, 1]
    assert [counts(versions, at) for at in (50, 99, 100)] == [0, 0, 2]


def test_a_plan_stays_until_the_next_change():
    timed = over([override(CHEAP, effective_from_us=100, effective_until_us=200)])
    assert timed.settled_at(150) == (100, 200)
    assert timed.settled_at(500) == (200, NEVER_US)
    assert timed.settled_at(7) == (0, 100)
    assert over([]).settled_at(7) == (0, NEVER_US)


# --- what it charges


def test_an_overwrite_prices_what_the_card_does_not():
    versions = over([override(Overwrite("USD", "3"), "minutes")])
    plan = versions.plan_for(NOW, "chat", {}, ("minutes", "tokens"))
    assert plan is not None
    assert plan.rows == (override_row(1), 1 << 20)
    assert rate(plan, (2, 1), {})[0] == (600, 100)
    assert override_row(1) < NO_ROW


def test_a_multiplier_finds_nothing_where_the_card_has_no_price():
    versions = over([override(Multiplier("2"), "minutes")])
    assert charge(versions, 2, "minutes") == UNPRICED


def test_a_multiplier_counts_on_the_row_that_matches():
    versions = over([override(Multiplier("0.8"))])
    assert charge(versions, 10) == 800
    assert charge(versions, 10, attributes={"mode": "live"}) == 1_600


def test_multiplied_tiers_go_on_with_the_total_of_their_row():
    versions = over([override(Multiplier("0.5"), "calls")])
    assert charge(versions, 10, "calls", before=5) == 5 * 50 + 5 * 25
    plan = versions.plan_for(NOW, "chat", {}, ("calls",))
    assert plan is not None and plan.keys == ((1 << 20) + 2,)


def test_tiers_of_the_same_scope_go_on_with_the_total_of_the_row_and_others_do_not():
    model = Graduated((Tier(10, "2"), Tier(None, "1")))
    month = over([override(Tiers("USD", model), "calls")])
    assert charge(month, 10, "calls", before=5) == 5 * 200 + 5 * 100
    day = over([override(Tiers("USD", model, Scope.DAY), "calls")])
    keys = [
        each.plan_for(NOW, "chat", {}, ("calls",)).keys  # type: ignore[union-attr]
        for each in (month, day)
    ]
    assert keys == [((1 << 20) + 2,), (override_row(1),)]


@pytest.mark.parametrize(
    ("row", "quantity", "expected"),
    [
        (PriceRow("chat", "tokens", "", model=Package(10, "1")), 25, 240),
        (PriceRow("chat", "tokens", "", model=Percentage("0.5", "0.30")), 2, 104),
        (
            PriceRow("chat", "tokens", "", model=Volume((Tier(5, "2"), Tier(None, "1", "3")))),
            6,
            720,
        ),
        (PriceRow("chat", "tokens", "1", included=4, maximum="3"), 50, 240),
        (
            PriceRow("chat", "tokens", "", model=Formula("tokens * 2"), scope=Scope.EVENT),
            3,
            480,
        ),
    ],
)
def test_a_multiplier_counts_on_all_that_the_row_says(row: PriceRow, quantity: int, expected: int):
    """Four fifths of the price, tiers, flats, fixed parts and the maximum."""
    card = RateCard(name="c", asset="USD", asset_scale=2, meters=METERS, rows=(row,))
    base = CardVersions([CardVersion(1, 0, 0, CompiledCard(card, 1))])
    one = SetOverride(NumberedOverride(1, override(Multiplier("0.8"))), 0)
    assert charge(OverriddenVersions(base, OverrideSet(((one,),))), quantity) == expected


def test_a_threshold_of_the_prompt_is_overridden_too():
    rows = (
        PriceRow("chat", "tokens", "1"),
        PriceRow("chat", "tokens", "2", above_prompt=100),
    )
    card = RateCard(
        name="c", asset="USD", asset_scale=2, meters=METERS, rows=rows, prompt_quantity="tokens"
    )
    base = CardVersions([CardVersion(1, 0, 0, CompiledCard(card, 1))])
    one = SetOverride(NumberedOverride(1, override(Multiplier("0.5"))), 0)
    versions = OverriddenVersions(base, OverrideSet(((one,),)))
    assert [charge(versions, quantity) for quantity in (100, 101)] == [5_000, 10_100]


def test_the_plan_is_found_again_from_its_rows_and_overrides():
    versions = over([override(Overwrite("USD", "1/3"), "minutes"), override(Multiplier("0.8"))])
    names = ("calls", "minutes", "tokens")
    plan = versions.plan_for(NOW, "chat", {"mode": "live"}, names)
    assert plan is not None
    card = VERSIONS.card(1)
    assert card is not None
    again = plan_again(card, names, plan.rows, plan.overrides)
    for name in ("rows", "numerators", "denominators", "keys", "overrides", "running"):
        assert getattr(again, name) == getattr(plan, name), name


def test_an_override_in_another_asset_does_not_price():
    assert counts(over([override(Overwrite("EUR", "9"))])) == 0


def test_without_a_card_nothing_is_priced():
    versions = OverriddenVersions(CardVersions(), OverrideSet(()))
    assert versions.plan_for(NOW, "chat", {}, ("tokens",)) is None


# --- what is wrong with a list


@pytest.mark.parametrize(
    ("wrong", "path", "reason"),
    [
        (override(CHEAP, "bytes"), "quantity", "QUANTITY_UNKNOWN"),
        (override(CHEAP, "*"), "quantity", "QUANTITY_UNKNOWN"),
        (override(CHEAP, ""), "quantity", "NAME_EMPTY"),
        (Override("", "tokens", CHEAP), "product", "NAME_EMPTY"),
        (override(Overwrite("EUR", "1")), "change.asset", "ASSET_DIFFERS"),
        (override(Overwrite("", "1")), "change.asset", "NAME_EMPTY"),
        (override(Overwrite("USD", "-1")), "change.price", "PRICE_NEGATIVE"),
        (override(Overwrite("USD", "")), "change.price", "PRICE_MALFORMED"),
        (override(Overwrite("USD", "1", maximum="0.001")), "change.maximum", "AMOUNT_NOT_WHOLE"),
        (override(Tiers("USD", Volume(()))), "change.model.tiers", "TIERS_EMPTY"),
        (override(Multiplier("-1")), "change.ratio", "PRICE_NEGATIVE"),
        (override(Multiplier("x")), "change.ratio", "PRICE_MALFORMED"),
        (override(Multiplier("2"), "minutes"), "", "NOTHING_TO_MULTIPLY"),
        (Override("image", "*", Multiplier("2")), "", "NOTHING_TO_MULTIPLY"),
        (override(CHEAP, priority=2**31), "priority", "NUMBER_OUT_OF_RANGE"),
        (override(CHEAP, effective_from_us=-1), "effective_from_us", "NUMBER_OUT_OF_RANGE"),
        (
            override(CHEAP, effective_from_us=9, effective_until_us=9),
            "effective_until_us",
            "END_INVALID",
        ),
        (override(CHEAP, attributes={"": "x"}), "attributes['']", "NAME_EMPTY"),
    ],
)
def test_every_fault_has_its_place(wrong: Override, path: str, reason: str):
    faults = override_faults((Override("*", "tokens", DEAR), wrong), CARD)
    place = f"overrides[1].{path}".rstrip(".")
    assert (place, reason) in [(fault.path, fault.reason) for fault in faults]


def test_all_faults_are_found_at_once():
    wrong = (override(Overwrite("EUR", "1")), override(Multiplier("-1")), override(CHEAP, "x"))
    paths = [fault.path for fault in override_faults(wrong, CARD)]
    assert paths == [
        "overrides[0].change.asset",
        "overrides[1].change.ratio",
        "overrides[2].quantity",
    ]


@pytest.mark.parametrize(
    ("one", "other", "tie"),
    [
        (override(CHEAP), override(DEAR), True),
        (override(CHEAP), override(DEAR, priority=1), False),
        (override(CHEAP), override(DEAR, effective_from_us=5), False),
        (override(CHEAP), override(DEAR, attributes={"mode": "live"}), False),
        (override(Multiplier("0.8")), override(Multiplier("4/5")), True),
        (override(Multiplier("0.8")), override(Multiplier("0.7")), False),
        (override(CHEAP), override(Multiplier("0.8")), False),
    ],
)
def test_overrides_that_tie_in_every_respect_are_refused(
    one: Override, other: Override, *, tie: bool
):
    reasons = [fault.reason for fault in override_faults((one, other), CARD)]
    assert ("OVERRIDE_TIE" in reasons) is tie


def test_a_list_needs_a_card_and_has_a_limit():
    assert [f.reason for f in override_faults((override(CHEAP),), None)] == ["RATE_CARD_UNKNOWN"]
    many = tuple(override(CHEAP, priority=number) for number in range(257))
    assert [fault.reason for fault in override_faults(many, CARD)] == ["TOO_MANY"]
    assert override_faults(many[:256], CARD) == []


def test_overridden_plans_agree_with_a_slow_evaluation():
    """Random cards, overrides, events and reversals, line by line (rules R1 and R4)."""
    assert run(3_000) > 8_000
