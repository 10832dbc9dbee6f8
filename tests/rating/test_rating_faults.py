"""A card that can't be used says why, each fault with its place, a stable reason and the value."""

import msgspec
import pytest

from rating.card import (
    ROWS_MAX,
    CardError,
    Meter,
    PriceRow,
    Product,
    RateCard,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
    validate_succession,
)
from rating.exact import PriceError, parse_price

GOOD = RateCard(
    name="llm",
    asset="USD",
    asset_scale=9,
    meters=(Meter("input_tokens"), Meter("cached_tokens", subset_of="input_tokens")),
    products=(Product("gpt", "GPT"),),
    rows=(PriceRow("gpt", "input_tokens", "0.000001"),),
)


def row(**changes: object) -> RateCard:
    return change(rows=(*GOOD.rows, msgspec.structs.replace(GOOD.rows[0], priority=9, **changes)))


def change(**changes: object) -> RateCard:
    return msgspec.structs.replace(GOOD, **changes)


def meters(*more: Meter) -> RateCard:
    return change(meters=(*GOOD.meters, *more))


def test_a_good_card_has_no_faults():
    assert validate(GOOD) == []


@pytest.mark.parametrize(
    ("card", "path", "reason", "value"),
    [
        (row(price="-0.1"), "rows[1].price", "PRICE_NEGATIVE", "-0.1"),
        (row(price="a lot"), "rows[1].price", "PRICE_MALFORMED", "a lot"),
        (row(price=""), "rows[1].price", "PRICE_MALFORMED", ""),
        (row(price="NaN"), "rows[1].price", "PRICE_MALFORMED", "NaN"),
        (row(price="1/0"), "rows[1].price", "PRICE_MALFORMED", "1/0"),
        (row(price="1e999"), "rows[1].price", "PRICE_MALFORMED", "1e999"),
        (row(price="٣"), "rows[1].price", "PRICE_MALFORMED", "٣"),
        (row(price="1" * 81), "rows[1].price", "PRICE_MALFORMED", "1" * 81),
        (row(quantity="tokens"), "rows[1].quantity", "QUANTITY_UNKNOWN", "tokens"),
        (row(product=""), "rows[1].product", "NAME_EMPTY", ""),
        (row(product="é" * 65), "rows[1].product", "NAME_TOO_LONG", "é" * 65),
        (row(product="\ud800"), "rows[1].product", "NAME_NOT_UTF8", "'\\ud800'"),
        (row(above_prompt=-1), "rows[1].above_prompt", "NUMBER_OUT_OF_RANGE", "-1"),
        (row(above_prompt=2**63), "rows[1].above_prompt", "NUMBER_OUT_OF_RANGE", str(2**63)),
        (
            row(attributes={"a" * 65: "x"}),
            f"rows[1].attributes['{'a' * 65}']",
            "NAME_TOO_LONG",
            "a" * 64,
        ),
        (
            row(attributes={"a": "x" * 129}),
            "rows[1].attributes['a']",
            "NAME_TOO_LONG",
            "x" * 128,
        ),
        (
            row(attributes={str(n): "x" for n in range(17)}),
            "rows[1].attributes",
            "TOO_MANY",
            "17",
        ),
        (change(rows=GOOD.rows * 2), "rows[1]", "ROW_TIE", "gpt"),
        (meters(Meter("input_tokens")), "meters[2].quantity", "METER_DUPLICATE", "input_tokens"),
        (meters(Meter("x", scale=19)), "meters[2].scale", "SCALE_OUT_OF_RANGE", "19"),
        (
            meters(Meter("x", subset_of="nothing")),
            "meters[2].subset_of",
            "SUBSET_PARENT_UNKNOWN",
            "nothing",
        ),
        (
            meters(Meter("x", scale=3, subset_of="input_tokens")),
            "meters[2].subset_of",
            "SUBSET_SCALE_DIFFERS",
            "input_tokens",
        ),
        (meters(Meter("x", subset_of="x")), "meters[2].subset_of", "SUBSET_CYCLE", "x"),
        (change(asset_scale=-1), "asset_scale", "SCALE_OUT_OF_RANGE", "-1"),
        (change(name=""), "name", "NAME_EMPTY", ""),
        (change(products=(Product("*"),)), "products[0].product", "NAME_RESERVED", "*"),
        (
            change(products=GOOD.products * 2),
            "products[1].product",
            "PRODUCT_DUPLICATE",
            "gpt",
        ),
    ],
)
def test_one_fault(card: RateCard, path: str, reason: str, value: str) -> None:
    faults = validate(card)
    assert [(fault.path, fault.reason, fault.value) for fault in faults] == [(path, reason, value)]
    assert faults[0].message


def test_every_fault_is_named_at_once():
    card = change(
        asset="",
        rows=(PriceRow("gpt", "nothing", "free"), PriceRow("", "input_tokens", "-1")),
    )
    assert [(fault.path, fault.reason) for fault in validate(card)] == [
        ("asset", "NAME_EMPTY"),
        ("rows[0].quantity", "QUANTITY_UNKNOWN"),
        ("rows[0].price", "PRICE_MALFORMED"),
        ("rows[1].product", "NAME_EMPTY"),
        ("rows[1].price", "PRICE_NEGATIVE"),
    ]


def test_a_cycle_names_each_meter_in_it_and_only_those():
    card = meters(
        Meter("a", subset_of="b"), Meter("b", subset_of="a"), Meter("beside", subset_of="a")
    )
    assert [fault.path for fault in validate(card) if fault.reason == "SUBSET_CYCLE"] == [
        "meters[2].subset_of",
        "meters[3].subset_of",
    ]


def test_a_price_by_prompt_size_needs_the_prompt_as_a_meter():
    card = change(prompt_quantity="prompt")
    assert validate(card) == []
    card = msgspec.structs.replace(row(above_prompt=5), prompt_quantity="prompt")
    assert [(fault.path, fault.reason) for fault in validate(card)] == [
        ("prompt_quantity", "QUANTITY_UNKNOWN")
    ]


def test_too_many_rows_are_refused():
    rows = tuple(PriceRow(str(n), "input_tokens", "1") for n in range(ROWS_MAX + 1))
    assert validate(change(rows=rows[:ROWS_MAX])) == []
    assert [(f.path, f.reason) for f in validate(change(rows=rows))] == [("rows", "TOO_MANY")]


def test_scales_and_asset_never_change_between_versions():
    assert validate_succession(GOOD, GOOD) == []
    assert validate_succession(GOOD, meters(Meter("new", scale=3))) == []
    later = change(asset_scale=6, meters=(Meter("input_tokens", scale=3),))
    assert [(f.path, f.reason, f.value) for f in validate_succession(GOOD, later)] == [
        ("asset_scale", "SCALE_CHANGED", "6"),
        ("meters[0].scale", "SCALE_CHANGED", "3"),
    ]
    assert [f.reason for f in validate_succession(GOOD, change(asset="EUR"))] == ["ASSET_CHANGED"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",
        canonical_bytes(GOOD)[:-1],
        canonical_bytes(GOOD) + b"\x00",
        canonical_bytes(GOOD).replace(b"\xa3llm", b"\xa3ll\xff"),
        msgspec.msgpack.encode({**msgspec.to_builtins(GOOD), "later_field": 1}),
    ],
)
def test_bytes_that_are_no_card_are_refused(body: bytes) -> None:
    with pytest.raises(CardError, match="not a rate card") as refused:
        decode_card(body)
    assert [fault.reason for fault in refused.value.faults] == ["CARD_MALFORMED"]


def test_the_canonical_bytes_of_a_card_never_change():
    """Defaults are left out, so a field added later changes no hash of an older card."""
    assert content_hash(canonical_bytes(GOOD)).hex() == (
        "a1169963cc4bb031f09339eaac630bc6fae364fae74d817d04ac7cd5a8b29b2f"
    )


def test_a_default_that_was_said_gives_the_same_bytes_as_one_left_out():
    """Text that came over the wire is equal to the default without being the same object."""
    said = msgspec.structs.replace(GOOD, prompt_quantity="".join(["input_", "tokens"]))
    assert said == GOOD
    assert canonical_bytes(said) == canonical_bytes(GOOD)


def test_the_order_of_attributes_does_not_matter_to_the_hash():
    one = row(attributes={"mode": "batch", "region": "eu"})
    other = row(attributes={"region": "eu", "mode": "batch"})
    assert canonical_bytes(one) == canonical_bytes(other)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("0", (0, 1)),
        ("0.0", (0, 1)),
        ("0/7", (0, 1)),
        ("2.5e-06", (1, 400_000)),
        ("1E+2", (100, 1)),
        ("10/4", (5, 2)),
        ("007.50", (15, 2)),
    ],
)
def test_prices_are_reduced_ratios(text: str, ratio: tuple[int, int]) -> None:
    assert parse_price(text) == ratio


@pytest.mark.parametrize(
    "text", [".5", "5.", "+1", "1_000", "1,5", " 1", "1\n", "0x1", "1/-2", "∞"]
)
def test_other_spellings_are_not_prices(text: str) -> None:
    with pytest.raises(PriceError) as refused:
        parse_price(text)
    assert refused.value.reason == "PRICE_MALFORMED"
