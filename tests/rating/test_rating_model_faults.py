"""Terms that are refused say why: place, stable reason and value of each fault (R2, R3)."""

from __future__ import annotations

import msgspec
import pytest

from rating.card import (
    HOURS_MAX,
    Meter,
    PriceRow,
    RateCard,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
)
from rating.models import (
    FORMULAS_MAX,
    MINIMUMS_MAX,
    TIERS_MAX,
    UP_TO_MAX,
    CostPlus,
    Formula,
    Graduated,
    Hours,
    Minimum,
    MinimumScope,
    Model,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)

TIERS = (Tier(10, "1"), Tier(None, "0.5"))
OPEN = Tier(None, "1")


def card(*rows: PriceRow, minimums: tuple[Minimum, ...] = ()) -> RateCard:
    return RateCard(
        name="any",
        asset="USD",
        asset_scale=2,
        meters=(Meter("calls"), Meter("bytes")),
        rows=rows,
        minimums=minimums,
    )


def row(model: Model | None = None, **terms: object) -> RateCard:
    price = terms.pop("price", "" if model else "1")
    if isinstance(model, Formula):
        terms = {"scope": Scope.EVENT, **terms}
    return card(PriceRow("api", "calls", price, model=model, **terms))


def minimum(*minimums: Minimum, maximum: str = "") -> RateCard:
    return card(PriceRow("api", "calls", "1", maximum=maximum), minimums=minimums)


ACCOUNT, LINE = MinimumScope.ACCOUNT, MinimumScope.LINE

GOOD = [
    row(Graduated(TIERS), scope=Scope.DAY, included=5, maximum="10", list_price="2"),
    row(Volume((Tier(1, "0"), Tier(2, flat="1/3"), OPEN))),
    row(Stairstep((Tier(10, flat="1"), Tier(20, flat="1"), Tier(None, flat="2")))),
    row(Package(100, "5"), scope=Scope.PERIOD),
    row(Percentage("0.029", "0.30", 100, "0.5", "0.5")),
    row(Percentage("0.029"), maximum="5"),
    row(Formula('calls * attr("w")', ("w",))),
    row(CostPlus("1.2", "0.01")),
    row(CostPlus("1.2"), maximum="9"),
    row(hours=Hours("Europe/Berlin", "22:00", "06:00", (1, 5))),
    minimum(Minimum(ACCOUNT, "10"), Minimum(LINE, "5", "api", "calls", True), maximum="5"),
    minimum(Minimum(MinimumScope.PRODUCT, "5", "api"), Minimum(MinimumScope.CONTRACT, "5")),
]


@pytest.mark.parametrize("good", GOOD)
def test_good_terms_have_no_faults_and_round_trip(good: RateCard) -> None:
    assert validate(good) == []
    body = canonical_bytes(good)
    assert decode_card(body) == good
    assert canonical_bytes(decode_card(body)) == body


@pytest.mark.parametrize(
    ("bad", "path", "reason", "value"),
    [
        (row(Graduated(())), "model.tiers", "TIERS_EMPTY", ""),
        (row(Graduated((Tier(10, "1"),))), "model.tiers[0].up_to", "TIER_LAST_NOT_OPEN", "10"),
        (row(Graduated((OPEN, OPEN))), "model.tiers[0].up_to", "TIER_OPEN_NOT_LAST", ""),
        (
            row(Graduated((Tier(10, "1"), Tier(10, "1"), OPEN))),
            "model.tiers[1].up_to",
            "TIERS_NOT_ASCENDING",
            "10",
        ),
        (
            row(Volume((Tier(10, "1"), Tier(5, "1"), Tier(11, "1"), OPEN))),
            "model.tiers[1].up_to",
            "TIERS_NOT_ASCENDING",
            "5",
        ),
        (row(Volume((Tier(0, "1"), OPEN))), "model.tiers[0].up_to", "TIERS_NOT_ASCENDING", "0"),
        (
            row(Volume((Tier(2**63, "1"), OPEN))),
            "model.tiers[0].up_to",
            "TIERS_NOT_ASCENDING",
            str(2**63),
        ),
        (row(Volume((Tier(5), OPEN))), "model.tiers[0]", "TIER_WITHOUT_PRICE", ""),
        (row(Volume((Tier(5, "-1"), OPEN))), "model.tiers[0].price", "PRICE_NEGATIVE", "-1"),
        (row(Volume((Tier(5, flat="x"), OPEN))), "model.tiers[0].flat", "PRICE_MALFORMED", "x"),
        (row(Stairstep((Tier(None),))), "model.tiers[0]", "TIER_WITHOUT_PRICE", ""),
        (
            row(Stairstep((Tier(None, "1", "1"),))),
            "model.tiers[0].price",
            "PRICE_NOT_FOR_MODEL",
            "1",
        ),
        (
            row(Stairstep((Tier(5, flat="2"), Tier(None, flat="1/1")))),
            "model.tiers[1].flat",
            "TIERS_DECREASING",
            "1/1",
        ),
        (row(Package(0, "5")), "model.size", "NUMBER_OUT_OF_RANGE", "0"),
        (row(Package(1, "")), "model.price", "PRICE_MALFORMED", ""),
        (row(Percentage("3%")), "model.rate", "PRICE_MALFORMED", "3%"),
        (row(Percentage("1", "0.001")), "model.fixed", "AMOUNT_NOT_WHOLE", "0.001"),
        (row(Percentage("1", free=-1)), "model.free", "NUMBER_OUT_OF_RANGE", "-1"),
        (
            row(Percentage("1", "", 0, "2", "1")),
            "model.transaction_minimum",
            "MINIMUM_ABOVE_MAXIMUM",
            "2",
        ),
        (row(CostPlus("-1")), "model.markup", "PRICE_NEGATIVE", "-1"),
        (row(CostPlus("1", "1/3")), "model.fixed", "AMOUNT_NOT_WHOLE", "1/3"),
        (row(Formula("1 +")), "model.expression", "FORMULA_MALFORMED", ""),
        (row(Formula("tokens")), "model.expression", "FORMULA_QUANTITY_UNKNOWN", "tokens"),
        (row(Formula("1 / 0")), "model.expression", "FORMULA_DIVISION_BY_ZERO", "1 / 0"),
        (
            row(Formula('attr("w")', ("h",))),
            "model.attributes",
            "FORMULA_ATTRIBUTE_UNKNOWN",
            "w",
        ),
        (row(Formula("1", ("",))), "model.attributes[0]", "NAME_EMPTY", ""),
        (row(Formula("1", tuple("abcdefghijklmnopq"))), "model.attributes", "TOO_MANY", "17"),
        (row(Formula("1"), scope=Scope.MONTH), "scope", "WRONG_SCOPE", "month"),
        (row(Volume(TIERS), price="1"), "price", "PRICE_WITH_MODEL", "1"),
        (row(price=""), "price", "PRICE_MALFORMED", ""),
        (row(included=-1), "included", "NUMBER_OUT_OF_RANGE", "-1"),
        (row(included=UP_TO_MAX + 1), "included", "NUMBER_OUT_OF_RANGE", str(UP_TO_MAX + 1)),
        (row(Percentage("1"), included=1), "included", "INCLUDED_NOT_FOR_MODEL", "1"),
        (row(CostPlus("1"), included=1), "included", "INCLUDED_NOT_FOR_MODEL", "1"),
        (row(maximum="0.005"), "maximum", "AMOUNT_NOT_WHOLE", "0.005"),
        (row(maximum="-1"), "maximum", "PRICE_NEGATIVE", "-1"),
        (row(Percentage("1", "1"), maximum="9"), "maximum", "MAXIMUM_NOT_FOR_MODEL", "9"),
        (row(Formula("1"), maximum="9"), "maximum", "MAXIMUM_NOT_FOR_MODEL", "9"),
        (row(list_price="free"), "list_price", "PRICE_MALFORMED", "free"),
        (row(CostPlus("1"), list_price="1"), "list_price", "LIST_PRICE_NOT_FOR_MODEL", "1"),
        (row(Percentage("1"), list_price="1"), "list_price", "LIST_PRICE_NOT_FOR_MODEL", "1"),
        (row(hours=Hours("Mars/Base")), "hours.zone", "ZONE_UNKNOWN", "Mars/Base"),
        (row(hours=Hours("UTC", "24:00")), "hours.start", "CLOCK_MALFORMED", "24:00"),
        (row(hours=Hours("UTC", "8:00")), "hours.start", "CLOCK_MALFORMED", "8:00"),
        (row(hours=Hours("UTC", "08:00", "24:01")), "hours.end", "CLOCK_MALFORMED", "24:01"),
        (row(hours=Hours("UTC", "08:00", "08:00")), "hours.end", "HOURS_EMPTY", "08:00"),
        (row(hours=Hours("UTC", weekdays=())), "hours.weekdays", "WEEKDAYS_MALFORMED", "[]"),
        (
            row(hours=Hours("UTC", weekdays=(0, 1))),
            "hours.weekdays",
            "WEEKDAYS_MALFORMED",
            "[0, 1]",
        ),
        (
            row(hours=Hours("UTC", weekdays=(2, 1))),
            "hours.weekdays",
            "WEEKDAYS_MALFORMED",
            "[2, 1]",
        ),
    ],
)
def test_one_fault(bad: RateCard, path: str, reason: str, value: str) -> None:
    faults = [(fault.path, fault.reason, fault.value) for fault in validate(bad)]
    assert faults == [(f"rows[0].{path}", reason, value)]
    assert validate(bad)[0].message


@pytest.mark.parametrize(
    ("bad", "path", "reason", "value"),
    [
        (minimum(Minimum(ACCOUNT, "1/3")), "amount", "AMOUNT_NOT_WHOLE", "1/3"),
        (minimum(Minimum(ACCOUNT, "-1")), "amount", "PRICE_NEGATIVE", "-1"),
        (minimum(Minimum(LINE, "1", "api")), "quantity", "NAME_EMPTY", ""),
        (minimum(Minimum(MinimumScope.PRODUCT, "1")), "product", "NAME_EMPTY", ""),
        (minimum(Minimum(ACCOUNT, "1", "api")), "product", "MINIMUM_SCOPE", "api"),
        (
            minimum(Minimum(LINE, "6", "api", "calls"), maximum="5"),
            "amount",
            "MINIMUM_ABOVE_MAXIMUM",
            "6",
        ),
    ],
)
def test_one_fault_of_a_minimum(bad: RateCard, path: str, reason: str, value: str) -> None:
    """Rule R2: a minimum names its scope, and no more than that needs."""
    faults = [(fault.path, fault.reason, fault.value) for fault in validate(bad)]
    assert faults == [(f"minimums[0].{path}", reason, value)]


def test_there_is_one_minimum_for_one_thing() -> None:
    twice = minimum(Minimum(ACCOUNT, "1"), Minimum(ACCOUNT, "2"))
    assert [(f.path, f.reason) for f in validate(twice)] == [("minimums[1]", "MINIMUM_DUPLICATE")]


def test_limits_are_as_stated() -> None:
    most = tuple(Tier(n + 1, "1") for n in range(TIERS_MAX - 1))
    assert validate(row(Graduated((*most, OPEN)))) == []
    more = (*most, Tier(TIERS_MAX, "1"), OPEN)
    assert [(f.path, f.reason, f.value) for f in validate(row(Graduated(more)))] == [
        ("rows[0].model.tiers", "TOO_MANY", "101")
    ]
    formulas = [
        PriceRow("api", "calls", "", model=Formula(str(n)), scope=Scope.EVENT, priority=n)
        for n in range(FORMULAS_MAX + 1)
    ]
    assert validate(card(*formulas[:FORMULAS_MAX])) == []
    assert [(f.path, f.reason) for f in validate(card(*formulas))] == [
        ("rows.model.expression", "TOO_MANY")
    ]
    names = [Minimum(MinimumScope.PRODUCT, "1", str(n)) for n in range(MINIMUMS_MAX + 1)]
    assert [f.path for f in validate(minimum(*names))] == ["minimums"]
    rows = [
        PriceRow("api", "calls", "1", hours=Hours("UTC", f"{n // 60:02}:{n % 60:02}"))
        for n in range(HOURS_MAX + 1)
    ]
    assert validate(card(*rows[:HOURS_MAX])) == []
    assert [(f.path, f.reason) for f in validate(card(*rows))] == [("rows.hours", "TOO_MANY")]


def test_rows_that_differ_in_their_terms_alone_tie() -> None:
    """What a row costs is no condition: hours are."""
    plain = PriceRow("api", "calls", "1")
    model = PriceRow("api", "calls", "", model=Graduated(TIERS))
    timed = PriceRow("api", "calls", "1", hours=Hours("UTC", "08:00", "09:00"))
    assert [(f.path, f.reason) for f in validate(card(plain, model))] == [("rows[1]", "ROW_TIE")]
    assert validate(card(plain, timed)) == []
    assert [f.path for f in validate(card(timed, plain, timed))] == ["rows[2]"]


def test_a_model_of_an_unknown_kind_is_not_decoded() -> None:
    body = canonical_bytes(row(Package(1, "1"))).replace(b"package", b"parcels")
    with pytest.raises(ValueError, match="not a rate card"):
        decode_card(body)
    later = msgspec.to_builtins(row(Package(1, "1")))
    later["rows"][0]["model"]["colour"] = "red"
    with pytest.raises(ValueError, match="colour"):
        decode_card(msgspec.msgpack.encode(later))


def test_the_canonical_bytes_of_terms_never_change() -> None:
    """A card with every model, hours and minimums keeps its name for ever."""
    rows = [each for good in GOOD for each in good.rows]
    minimums = [each for good in GOOD for each in good.minimums]
    whole = card(*rows, minimums=tuple(minimums))
    assert content_hash(canonical_bytes(whole)).hex() == (
        "010ffceeb4db847e640755f242a0dafd7717628290f120206e3407da52ef7baf"
    )
