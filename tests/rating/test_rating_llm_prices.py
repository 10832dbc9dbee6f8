"""The public LLM price map: every price of the shipped map, and maps with faults."""

import json
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache
from typing import Any

import pytest

from rating.card import RateCard, canonical_bytes, decode_card, validate
from rating.compile import CompiledCard
from rating.data import price_map
from rating.llm_prices import (
    ImportReport,
    PriceMapError,
    TokenPrice,
    import_price_map,
    token_price,
)
from rating.price import rate

INPUT_SIDE = {
    "cache_read_input_token_cost": ("cached_tokens",),
    "input_cost_per_token_cache_hit": ("cached_tokens",),
    "cache_creation_input_token_cost": ("cache_creation_tokens",),
    "cache_read_input_audio_token_cost": ("cached_tokens", "cached_audio_tokens"),
    "cache_creation_input_audio_token_cost": (
        "cache_creation_tokens",
        "cache_creation_audio_tokens",
    ),
    "input_cost_per_audio_token": ("input_audio_tokens",),
    "input_cost_per_image_token": ("input_image_tokens",),
}
OUTPUT_SIDE = {
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_image_token": "output_image_tokens",
    "output_cost_per_video_token": "output_video_tokens",
}
SMALL_PROMPT = 1_000  # below every threshold of the map
PART = 777


@cache
def shipped() -> tuple[RateCard, ImportReport]:
    return import_price_map(price_map())


@cache
def entries() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(price_map(), parse_float=Decimal)
    return {
        product: entry
        for product, entry in loaded.items()
        if product not in ("sample_spec", "last_updated", "fallback_generalizations")
    }


def stated_prices() -> list[tuple[str, str, int, Decimal]]:
    """(product, field without thresholds, prompt above which, price): token prices in dollars."""
    stated = []
    for product, entry in entries().items():
        for field, price in entry.items():
            per_token = "token_cost" in field or "_token" in field.replace("k_tokens", "")
            if "cost" in field and per_token and "dbu" not in field:
                name, above = field, 0
                for thousands in (128, 200, 256, 272, 512):
                    if f"_above_{thousands}k_tokens" in field:
                        name = field.replace(f"_above_{thousands}k_tokens", "")
                        above = thousands * 1_000
                stated.append((product, name, above, Decimal(price)))
        for tier in entry.get("tiered_pricing", []):
            for field, price in tier.items():
                if "token" in field:
                    stated.append((product, field, int(tier["range"][0]), Decimal(price)))
    return stated


def event_for(field: str, above: int) -> tuple[dict[str, str], dict[str, int], str]:
    """An event that this price applies to: attributes, quantities, and the priced one."""
    attributes = {}
    for suffix, mode in (("_batches", "batch"), ("_priority", "priority"), ("_flex", "flex")):
        if field.endswith(suffix):
            field, attributes["mode"] = field.removesuffix(suffix), mode
    if field.endswith("_above_1hr"):
        field, attributes["cache_ttl"] = field.removesuffix("_above_1hr"), "1h"
    prompt = above + 1 if above else SMALL_PROMPT
    if field in INPUT_SIDE:
        parts = INPUT_SIDE[field]
        return attributes, {"input_tokens": prompt, **dict.fromkeys(parts, PART)}, parts[-1]
    if field in OUTPUT_SIDE:
        part = OUTPUT_SIDE[field]
        return attributes, {"input_tokens": prompt, "output_tokens": 5_000, part: PART}, part
    if field == "citation_cost_per_token":
        return attributes, {"input_tokens": prompt, "citation_tokens": PART}, "citation_tokens"
    if field == "output_cost_per_token":
        return attributes, {"input_tokens": prompt, "output_tokens": PART}, "output_tokens"
    assert field == "input_cost_per_token", field
    return attributes, {"input_tokens": prompt}, "input_tokens"


def in_nano_dollars(price: Decimal, quantity: int) -> int:
    with localcontext(Context(prec=60)):
        return int((price * quantity * 10**9).to_integral_value(ROUND_HALF_EVEN))


def test_every_price_of_the_map_is_charged_to_the_digit():
    compiled = CompiledCard(shipped()[0], version=1)
    prices = stated_prices()
    assert len(prices) == 7_496 + 118  # flat fields, and those inside of tiered_pricing
    assert sum(above > 0 for _, _, above, _ in prices) == 444 + 77
    for product, field, above, price in prices:
        attributes, quantities, priced = event_for(field, above)
        plan = compiled.match(product, attributes, tuple(quantities))
        charges, _, advances, used = rate(plan, tuple(quantities.values()), {})
        place = list(quantities).index(priced)
        expected = in_nano_dollars(price, quantities[priced])
        assert charges[place] == expected, (product, field, above)
        whole = (price * 10**9) % 1 == 0
        assert (used.rows[place] in dict(advances)) == (not whole), (product, field, above)


def test_a_threshold_is_crossed_strictly_above_it():
    compiled = CompiledCard(shipped()[0], version=1)
    for product, field, above, price in stated_prices():
        if above:
            attributes, quantities, priced = event_for(field, above)
            quantities["input_tokens"] = above
            plan = compiled.match(product, attributes, tuple(quantities))
            used = plan.at(above)
            over = plan.at(above + 1)
            place = list(quantities).index(priced)
            assert used.rows[place] != over.rows[place], (product, field, price)


def test_the_largest_threshold_exceeded_prices_input_and_output():
    compiled = CompiledCard(shipped()[0], version=1)
    plan = compiled.match("dashscope/qwen3-coder-plus", {}, ("input_tokens", "output_tokens"))
    charged = [rate(plan, (prompt, 1), {})[0] for prompt in (32_000, 32_001, 128_001, 256_001)]
    assert charged == [
        (32_000_000, 5_000),
        (57_601_800, 9_000),
        (384_003_000, 15_000),
        (1_536_006_000, 60_000),
    ]


def test_the_report_accounts_for_everything():
    card, report = shipped()
    assert report.entries == 2_985
    assert report.skipped == ("sample_spec", "fallback_generalizations", "last_updated")
    assert report.products == len(card.products) == 2_539
    assert report.products + len(report.without_token_prices) + len(report.skipped) == 2_985
    assert report.rows == len(card.rows) == 7_591
    assert report.repeated == 23  # input_cost_per_token_cache_hit beside an equal cache read price
    assert report.rows + report.repeated == len(stated_prices())
    assert (report.faults, report.conflicts, report.texts) == ((), (), 0)


def test_what_is_no_token_price_is_listed_not_dropped():
    report = shipped()[1]
    assert report.not_imported["input_cost_per_second"] == 79
    assert report.not_imported["output_cost_per_image"] == 138
    assert report.not_imported["input_dbu_cost_per_token"] == 28  # in another unit than dollars
    assert report.not_imported["search_context_cost_per_query.search_context_size_low"] == 183
    assert report.not_imported["tiered_pricing.input_cost_per_query"] == 2
    assert report.not_imported["regional_processing_uplift_multiplier_eu"] == 18
    assert report.not_imported["provider_specific_entry.fast"] == 6
    assert report.not_imported_by_product["assemblyai/best"] == (
        "input_cost_per_second",
        "output_cost_per_second",
    )
    counted = sum(len(fields) for fields in report.not_imported_by_product.values())
    assert counted == sum(report.not_imported.values())


def test_every_field_that_speaks_of_money_is_taken_or_listed():
    report = shipped()[1]
    listed = {field.partition(".")[0] for field in report.not_imported}
    words = ("cost", "price", "pricing", "multiplier", "usd", "fee", "rate_per")
    for product, entry in entries().items():
        for field in entry:
            if any(word in field for word in words) and field != "tiered_pricing":
                assert token_price(field) is not None or field in listed, (product, field)


def test_the_card_of_the_map_is_valid_and_keeps_its_bytes():
    card = shipped()[0]
    assert validate(card) == []
    assert decode_card(canonical_bytes(card)) == card


def test_an_explicit_zero_is_free_and_a_missing_price_is_not():
    card, report = import_price_map('{"m": {"input_cost_per_token": 0.0}, "n": {"mode": "chat"}}')
    plan = CompiledCard(card, 1).match("m", {}, ("input_tokens", "output_tokens"))
    assert rate(plan, (10, 10), {})[0] == (0, -1)
    assert report.without_token_prices == ("n",)


@pytest.mark.parametrize(
    ("field", "meaning"),
    [
        ("input_cost_per_token", TokenPrice("input_tokens", {}, 0)),
        ("output_cost_per_token_batches", TokenPrice("output_tokens", {"mode": "batch"}, 0)),
        (
            "cache_read_input_token_cost_above_272k_tokens_priority",
            TokenPrice("cached_tokens", {"mode": "priority"}, 272_000),
        ),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            TokenPrice("cache_creation_tokens", {"cache_ttl": "1h"}, 200_000),
        ),
        ("input_cost_per_token_cache_hit", TokenPrice("cached_tokens", {}, 0)),
        ("input_dbu_cost_per_token", None),
        ("input_cost_per_token_unheard_of", None),
        ("input_cost_per_character_above_128k_tokens", None),
        ("computer_use_input_cost_per_1k_tokens", None),
        ("max_tokens", None),
    ],
)
def test_fields(field: str, meaning: TokenPrice | None) -> None:
    assert token_price(field) == meaning


def imported(entry: object) -> tuple[list[tuple[str, str, int]], ImportReport]:
    return imported_text(json.dumps({"m": entry}))


def imported_text(text: str) -> tuple[list[tuple[str, str, int]], ImportReport]:
    card, report = import_price_map(text)
    return [(row.quantity, row.price, row.above_prompt) for row in card.rows], report


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("null", "PRICE_MISSING"),
        ("-1e-6", "PRICE_NEGATIVE"),
        ('"soon"', "PRICE_MALFORMED"),
        ("true", "PRICE_MALFORMED"),
        ("[1]", "PRICE_MALFORMED"),
        ("NaN", "PRICE_MALFORMED"),
        ("1e400", "PRICE_MALFORMED"),
    ],
)
def test_a_value_that_is_no_price_is_reported_with_its_place(value: str, reason: str) -> None:
    text = f'{{"m": {{"input_cost_per_token": {value}, "output_cost_per_token": 1e-6}}}}'
    card, report = import_price_map(text)
    assert [row.quantity for row in card.rows] == ["output_tokens"]
    assert [(f.product, f.field, f.reason) for f in report.faults] == [
        ("m", "input_cost_per_token", reason)
    ]


def test_a_price_written_as_text_is_taken_and_counted():
    rows, report = imported({"input_cost_per_token": "2.5e-06"})
    assert rows == [("input_tokens", "2.5e-06", 0)]
    assert report.texts == 1


def test_digits_are_kept_however_many():
    text = '{"m": {"input_cost_per_token": 2.9999900000000002345678901234567890e-06}}'
    card, _ = import_price_map(text)
    assert card.rows[0].price == "0.000002999990000000000234567890123456789"


def test_two_names_of_the_cache_read_price():
    both = {"input_cost_per_token_cache_hit": 2, "cache_read_input_token_cost": 2}
    rows, report = imported(both)
    assert (rows, report.repeated, report.conflicts) == ([("cached_tokens", "2", 0)], 1, ())
    rows, report = imported({**both, "cache_read_input_token_cost": 3})
    assert rows == [("cached_tokens", "3", 0)]
    (conflict,) = report.conflicts
    assert (conflict.product, conflict.field) == ("m", "input_cost_per_token_cache_hit")
    assert (conflict.kept, conflict.dropped) == ("3/1", "2")


def test_ranges_become_thresholds():
    rows, report = imported_text(
        """{"m": {"tiered_pricing": [
            {"range": [0, 32000], "input_cost_per_token": 1},
            {"range": [32000.0, 64000], "input_cost_per_token": 2, "input_cost_per_query": 9},
            {"range": ["64k"], "input_cost_per_token": 3},
            {"range": [0.5, 1], "input_cost_per_token": 3},
            {"input_cost_per_token": 4},
            "nothing"
        ]}}"""
    )
    assert rows == [("input_tokens", "1", 0), ("input_tokens", "2", 32_000)]
    assert report.not_imported == {"tiered_pricing.input_cost_per_query": 1}
    assert [(fault.field, fault.reason) for fault in report.faults] == [
        ("tiered_pricing[2].input_cost_per_token", "RANGE_MALFORMED"),
        ("tiered_pricing[3].input_cost_per_token", "RANGE_MALFORMED"),
        ("tiered_pricing[4].input_cost_per_token", "RANGE_MALFORMED"),
        ("tiered_pricing[5]", "RANGE_MALFORMED"),
    ]


def test_an_entry_that_is_no_object_is_reported():
    rows, report = imported("gpt")
    assert rows == []
    assert [fault.reason for fault in report.faults] == ["ENTRY_MALFORMED"]


@pytest.mark.parametrize(
    "text", ["", "[]", "not json", b"\xff", '{"m": {"x": 1e9999999999999999999}}']
)
def test_a_text_that_is_no_map_is_refused(text: str | bytes) -> None:
    with pytest.raises(PriceMapError):
        import_price_map(text)
