"""The public LLM price map: every price of the shipped map, and maps with faults."""

import json
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from rating.card import (
    FACT_VALUE_BYTES_MAX,
    RateCard,
    canonical_bytes,
    decode_card,
    validate,
)
from rating.compile import CompiledCard
from rating.data import price_map
from rating.llm_fields import (
    ALTERNATIVES,
    BASES,
    METERS,
    FieldPrice,
    field_price,
    multiplier,
    variant,
)
from rating.llm_prices import ImportReport, PriceMapError, import_price_map
from rating.price import rate

NOT_PRODUCTS = ("sample_spec", "last_updated", "fallback_generalizations")

# field -> where its units stand in an event: the parents that must hold them, then the priced one
QUANTITIES = {
    "input_cost_per_token": ("input_tokens",),
    "output_cost_per_token": ("output_tokens",),
    "cache_read_input_token_cost": ("input_tokens", "cached_tokens"),
    "input_cost_per_token_cache_hit": ("input_tokens", "cached_tokens"),
    "cache_creation_input_token_cost": ("input_tokens", "cache_creation_tokens"),
    "cache_read_input_audio_token_cost": (
        "input_tokens",
        "cached_tokens",
        "cached_audio_tokens",
    ),
    "cache_creation_input_audio_token_cost": (
        "input_tokens",
        "cache_creation_tokens",
        "cache_creation_audio_tokens",
    ),
    "input_cost_per_audio_token": ("input_tokens", "input_audio_tokens"),
    "input_cost_per_image_token": ("input_tokens", "input_image_tokens"),
    "output_cost_per_reasoning_token": ("output_tokens", "reasoning_tokens"),
    "output_cost_per_audio_token": ("output_tokens", "output_audio_tokens"),
    "output_cost_per_image_token": ("output_tokens", "output_image_tokens"),
    "output_cost_per_video_token": ("output_tokens", "output_video_tokens"),
    "citation_cost_per_token": ("citation_tokens",),
    "input_cost_per_character": ("input_characters",),
    "output_cost_per_character": ("output_characters",),
    "input_cost_per_image": ("input_images",),
    "output_cost_per_image": ("output_images",),
    "input_cost_per_pixel": ("input_pixels",),
    "output_cost_per_pixel": ("output_pixels",),
    "input_cost_per_second": ("input_seconds",),
    "output_cost_per_second": ("output_seconds",),
    "input_cost_per_audio_per_second": ("input_audio_seconds",),
    "input_cost_per_video_per_second": ("input_video_seconds",),
    "output_cost_per_video_per_second": ("output_video_seconds",),
    "input_cost_per_request": ("requests",),
    "input_cost_per_query": ("queries",),
    "search_context_cost_per_query": ("search_queries",),
    "code_interpreter_cost_per_session": ("code_interpreter_sessions",),
    "ocr_cost_per_page": ("ocr_pages",),
    "ocr_cost_per_credit": ("ocr_credits",),
    "annotation_cost_per_page": ("annotation_pages",),
}
UNITS = {  # minor units of a quantity in one unit that the map prices
    "input_seconds": 1_000,
    "output_seconds": 1_000,
    "input_audio_seconds": 1_000,
    "input_video_seconds": 1_000,
    "output_video_seconds": 1_000,
    "ocr_credits": 1_000_000,
}
CONDITIONS = {
    "_batches": ("mode", "batch"),
    "_priority": ("mode", "priority"),
    "_flex": ("mode", "flex"),
    "_above_1hr": ("cache_ttl", "1h"),
    "_1080p": ("resolution", "1080p"),
    "_above_8s_interval": ("video_interval", "above_8s"),
    "_above_15s_interval": ("video_interval", "above_15s"),
}
THOUSANDS = (128, 200, 256, 272, 512)
SMALL_PROMPT = 1_000  # below every threshold of the map
PART = 777


@cache
def shipped() -> tuple[RateCard, ImportReport]:
    return import_price_map(price_map())


@cache
def compiled() -> CompiledCard:
    return CompiledCard(shipped()[0], version=1)


@cache
def entries() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(price_map(), parse_float=Decimal)
    return {key: entry for key, entry in loaded.items() if key not in NOT_PRODUCTS}


class Stated(Struct, frozen=True):
    """A price as the map states it, read without the importer."""

    key: str
    field: str
    quantities: tuple[str, ...]
    attributes: dict[str, str]
    above: int
    price: Decimal

    @property
    def product(self) -> str:
        return self.key if "-x-" not in self.key else without_size(self.key)[0]

    @property
    def priced(self) -> str:
        return self.quantities[-1]

    def event(self) -> tuple[dict[str, str], dict[str, int]]:
        """Attributes and quantities of an event that this price, and no other, applies to."""
        quantities = dict.fromkeys(self.quantities, PART)
        if "output_tokens" in quantities and self.priced != "output_tokens":
            quantities["output_tokens"] = 5_000
        prompt = self.above + 1 if self.above else SMALL_PROMPT
        if "input_tokens" in quantities or self.above:
            quantities["input_tokens"] = prompt
        return self.attributes, quantities

    def expected(self, price: Decimal) -> int:
        """In billionths of a dollar, half-even."""
        quantity = Decimal(self.event()[1][self.priced]) / UNITS.get(self.priced, 1)
        with localcontext(Context(prec=60)):
            return int((price * quantity * 10**9).to_integral_value(ROUND_HALF_EVEN))


def without_size(key: str) -> tuple[str, dict[str, str]]:
    """The product of a key that names an image's size, and what the key says of the image."""
    before, _, after = key.partition("-x-")
    *front, width = before.split("/")
    height, *rest = after.split("/")
    size = "max" if width == "max" else f"{width}x{height}"
    attributes = {"image_size": size}
    if front and front[-1] in ("low", "medium", "high", "standard", "hd"):
        attributes["image_quality"] = front.pop()
    if rest[0].endswith("-steps"):
        attributes["image_steps"] = rest.pop(0).removesuffix("-steps")
    return "/".join([*front, *rest]), attributes


def stated(key: str, field: str, price: Decimal, **more: str) -> Stated:
    """Takes the conditions off a field's name until a known one is left."""
    attributes = dict(more) | (without_size(key)[1] if "-x-" in key else {})
    name, above = field, 0
    for thousands in THOUSANDS:
        if f"_above_{thousands}k_tokens" in name:
            name, above = name.replace(f"_above_{thousands}k_tokens", ""), thousands * 1_000
    while name not in QUANTITIES:
        suffix = next(suffix for suffix in CONDITIONS if name.endswith(suffix))
        name = name.removesuffix(suffix)
        attributes[CONDITIONS[suffix][0]] = CONDITIONS[suffix][1]
    return Stated(key, field, QUANTITIES[name], attributes, above, Decimal(price))


def is_money(field: str) -> bool:
    return "cost" in field and "dbu" not in field


@cache
def stated_prices() -> list[Stated]:
    return list(read_prices())


def read_prices() -> Iterator[Stated]:
    for key, entry in entries().items():
        for field, value in entry.items():
            if field == "search_context_cost_per_query":
                for name, price in value.items():
                    size = name.removeprefix("search_context_size_")
                    yield stated(key, field, price, search_context_size=size)
            elif is_money(field):
                yield stated(key, field, value)
        for tier in entry.get("tiered_pricing", []):
            for field, price in filter(lambda item: is_money(item[0]), tier.items()):
                if "max_results_range" in tier:
                    first, last = tier["max_results_range"]
                    yield stated(key, field, price, max_results=f"{first}-{last}")
                else:
                    plain = stated(key, field, price)
                    yield Stated(
                        key,
                        field,
                        plain.quantities,
                        plain.attributes,
                        int(tier["range"][0]),
                        plain.price,
                    )


def stated_multipliers() -> Iterator[tuple[str, list[tuple[dict[str, str], Decimal]]]]:
    """(key, for each combination of its multipliers the attributes and the factor)."""
    for key, entry in entries().items():
        single = [
            (
                {"processing_region": region},
                entry[f"regional_processing_uplift_multiplier_{region}"],
            )
            for region in ("eu", "us")
            if f"regional_processing_uplift_multiplier_{region}" in entry
        ]
        for name, value in entry.get("provider_specific_entry", {}).items():
            if isinstance(value, Decimal):
                attribute = "speed" if name == "fast" else "processing_region"
                single.append(({attribute: name}, value))
        both = [
            (one | other, by * and_by)
            for (one, by), (other, and_by) in combinations(single, 2)
            if not one.keys() & other.keys()
        ]
        if single:
            yield key, single + both


def charge(price: Stated, attributes: dict[str, str]) -> tuple[int, bool]:
    """What the priced quantity costs, and whether its running total moves on."""
    quantities = price.event()[1]
    plan = compiled().match(price.product, attributes, tuple(quantities))
    charges, _, advances, used = rate(plan, tuple(quantities.values()), {})
    place = list(quantities).index(price.priced)
    return charges[place], used.rows[place] in dict(advances)


def test_every_price_of_the_map_is_charged_to_the_digit():
    """Each field of each entry, against a straight computation in decimals (rules N2, R3)."""
    prices = stated_prices()
    assert len(prices) == 8_824
    assert sum(price.above > 0 for price in prices) == 444 + 77 + 10
    assert sum("image_size" in price.attributes for price in prices) == 138
    for price in prices:
        charged, advanced = charge(price, price.attributes)
        assert charged == price.expected(price.price), price
        minor = price.price * 10**9 / UNITS.get(price.priced, 1)
        assert advanced == (minor % 1 != 0), price


def test_every_multiplier_of_the_map_multiplies_every_token_price_and_nothing_else():
    """Regions and speeds, alone and together, over all conditions that a price has."""
    by_key: dict[str, list[Stated]] = {}
    for price in stated_prices():
        by_key.setdefault(price.key, []).append(price)
    compared = 0
    for key, factors in stated_multipliers():
        for price in by_key[key]:
            for attributes, factor in factors:
                multiplied = price.price * (factor if price.priced.endswith("_tokens") else 1)
                charged, _ = charge(price, price.attributes | attributes)
                assert charged == price.expected(multiplied), (price, attributes)
                compared += price.priced.endswith("_tokens")
    assert compared == shipped()[1].multiplied == 540


def test_every_row_of_the_card_is_a_stated_price_or_a_multiplied_one():
    card, report = shipped()
    assert report.rows == len(card.rows) == 9_341
    assert report.prices == len(stated_prices())
    assert report.rows - report.multiplied + report.repeated == report.prices
    assert report.repeated == 23  # input_cost_per_token_cache_hit beside an equal cache read price
    assert (report.not_imported, report.conflicts, report.texts) == ((), (), 0)
    known = {(price.product, price.priced) for price in stated_prices()}
    assert {(row.product, row.quantity) for row in card.rows} == known


def test_every_entry_is_a_product_or_a_variant_of_one_or_said_to_be_none():
    card, report = shipped()
    assert report.entries == len(entries()) + len(report.skipped) == 2_985
    assert report.skipped == ("sample_spec", "fallback_generalizations", "last_updated")
    sized = [key for key in entries() if "-x-" in key]
    assert report.variants == len(sized) == 86
    expected = {without_size(key)[0] if key in sized else key for key in entries()}
    assert {each.product for each in card.products} == expected
    assert report.products == len(card.products) == len(expected)
    priced = {row.product for row in card.rows}
    assert set(report.without_prices) == expected - priced
    assert report.last_updated == "2026-07-24T18:23:43.215560+00:00"


def test_everything_else_of_the_map_is_a_fact_of_its_product():
    """Limits, modes, providers, flags, sources: nothing is dropped (facts charge nothing)."""
    facts = {each.product: each.facts for each in shipped()[0].products}
    renamed = {
        "litellm_provider": "provider",
        "mode": "model_mode",
        "max_input_tokens": "context_limit",
        "max_output_tokens": "output_limit",
    }
    compared = 0
    for key, entry in entries().items():
        product, attributes = without_size(key) if "-x-" in key else (key, {})
        marks = "".join(f"[{name}={attributes[name]}]" for name in sorted(attributes))
        for field, value in leaves(entry):
            name = renamed.get(field, field)
            found = facts[product].get(f"{name}{marks}", facts[product].get(name))
            assert found == as_text(value), (key, field)
            compared += 1
    assert compared > 26_000
    assert facts["gpt-5"]["context_limit"] == "272000"
    assert facts["databricks/databricks-claude-opus-4"]["input_dbu_cost_per_token"] == "0.000214286"


def leaves(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of an entry is no price in its money and no multiplier."""
    for field, value in entry.items():
        if field == "metadata" or field == "provider_specific_entry":
            for name, inner in value.items():
                if field == "metadata" or isinstance(inner, str):
                    yield f"{field}.{name}", inner
        elif not is_money(field) and field != "tiered_pricing" and "multiplier" not in field:
            yield field, value


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return json.dumps(value, separators=(",", ":"))


def test_the_report_says_what_every_field_became_that_speaks_of_money():
    report = shipped()[1]
    words = ("cost", "pric", "rate", "multiplier", "fee", "usd", "dbu")
    for key, entry in entries().items():
        for field, value in entry.items():
            if any(word in field for word in words):
                told = [name for name in report.fields if name.partition(".")[0] == field]
                assert told, (key, field)
                if not isinstance(value, dict | list):
                    assert told == [field]
    became = {field: use.became for field, use in report.fields.items()}
    assert became["cache_read_input_token_cost_above_272k_tokens_priority"] == (
        "cached_tokens mode=priority above_prompt=272000"
    )
    assert became["search_context_cost_per_query.search_context_size_low"] == (
        "search_queries search_context_size=low"
    )
    assert became["provider_specific_entry.fast"] == "multiplies token prices"
    assert became["input_dbu_cost_per_token"] == "in another unit: kept as a fact"
    assert report.fields["input_cost_per_second"].entries == 79
    assert not [field for field in became if became[field].startswith("not imported")]


def test_the_docs_name_every_field_of_the_map_and_every_quantity_that_it_becomes():
    """docs/pricing.md: fields by base and suffix, as the tables list them."""
    page = (Path(__file__).parents[2] / "docs" / "pricing.md").read_text()
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    named = set(re.findall(r"`([^`]+)`", page))
    for base, quantity in BASES.items():
        assert {base, quantity} <= named
        row = next(line for line in page.splitlines() if f"`{base}`" in line)
        assert f"`{quantity}`" in row, base
    suffix = re.compile(r"_(above_[0-9]+(k_tokens|hr|s_interval)|batches|priority|flex|1080p)$")
    for field in shipped()[1].fields:
        base = field.partition(".")[0]
        while base not in named and suffix.search(base):
            base = suffix.sub("", base)
        assert base in named, f"{field} stands in no table"


def test_a_threshold_is_crossed_strictly_above_it():
    for price in stated_prices():
        if price.above:
            attributes, quantities = price.event()
            plan = compiled().match(price.product, attributes, tuple(quantities))
            place = list(quantities).index(price.priced)
            assert plan.at(price.above).rows[place] != plan.at(price.above + 1).rows[place], price


def test_the_largest_threshold_exceeded_prices_input_and_output():
    plan = compiled().match("dashscope/qwen3-coder-plus", {}, ("input_tokens", "output_tokens"))
    charged = [rate(plan, (prompt, 1), {})[0] for prompt in (32_000, 32_001, 128_001, 256_001)]
    assert charged == [
        (32_000_000, 5_000),
        (57_601_800, 9_000),
        (384_003_000, 15_000),
        (1_536_006_000, 60_000),
    ]


def test_units_and_conditions_as_an_event_says_them():
    """
    dall-e-3 image_quality=hd image_size=1024x1792 input_pixels=1835008 -> 0.11999117312
    dall-e-3 input_images=2 -> 0.08
    stability.stable-diffusion-xl-v0 image_size=max image_steps=max output_images=1 -> 0.072
    gpt-image-1.5 image_quality=high image_size=1024x1024 input_images=1 -> 0.133
    deepgram/nova-3 input_seconds=90500 -> 0.006486135
    gemini/veo-3.1-lite-generate-preview resolution=1080p output_seconds=8000 -> 0.64
    gemini/veo-3.1-lite-generate-preview resolution=720p output_seconds=8000 -> 0.4
    multimodalembedding video_interval=above_8s input_video_seconds=10000 -> 0.01
    sora-2 output_video_seconds=12000 -> 1.2
    azure/tts-1 input_characters=1000 -> 0.015
    openai/container code_interpreter_sessions=3 -> 0.09
    claude-opus-4-7 search_context_size=low search_queries=5 -> 0.05
    exa_ai/search max_results=26-100 queries=1 -> 0.025
    rerank-v3.5 queries=2 -> 0.004
    mistral/mistral-ocr-latest ocr_pages=3 annotation_pages=2 -> 0.022
    reducto/parse-v3 ocr_credits=1500000 -> 0.0225
    perplexity/pplx-70b-online requests=1 -> 0.005
    claude-opus-4-7 cache_ttl=5m cache_creation_tokens=1000 -> 0.00625
    claude-opus-4-7 cache_ttl=1h cache_creation_tokens=1000 -> 0.01
    claude-opus-4-7 speed=fast processing_region=us input_tokens=1000 -> 0.033
    gpt-5.6 mode=batch processing_region=eu input_tokens=1000 -> 0.00275
    """
    declared = {meter.quantity for meter in METERS}
    for line in (
        (test_units_and_conditions_as_an_event_says_them.__doc__ or "").strip().splitlines()
    ):
        said, _, dollars = line.partition(" -> ")
        product, *pairs = said.split()
        given = dict(pair.split("=") for pair in pairs)
        attributes = {name: value for name, value in given.items() if name not in declared}
        quantities = {name: int(value) for name, value in given.items() if name in declared}
        plan = compiled().match(product, attributes, tuple(quantities))
        charges, total, _, _ = rate(plan, tuple(quantities.values()), {})
        assert min(charges) >= 0, line
        assert total == int((Decimal(dollars) * 10**9).to_integral_value(ROUND_HALF_EVEN)), line


def test_a_search_that_does_not_say_how_much_context_waits_for_its_price():
    """The map has no price without a size: nobody is charged by a guess (rule B8)."""
    plan = compiled().match("claude-opus-4-7", {}, ("search_queries",))
    assert rate(plan, (1,), {})[0] == (-1,)


def test_what_is_priced_in_two_units_is_reported_in_one():
    """Rule R8: the product's facts name the quantities of which an event bears one."""
    facts = {each.product: each.facts for each in shipped()[0].products}
    assert facts["gpt-image-1"]["report_either"] == (
        "input_images or input_pixels or input_image_tokens"
    )
    assert facts["gpt-4o-mini-tts"]["report_either"] == "output_seconds or output_audio_tokens"
    assert "report_either" not in facts["gpt-5"]
    declared = {meter.quantity for meter in METERS}
    assert {each for group in ALTERNATIVES for each in group} <= declared
    assert set(BASES.values()) <= declared


def test_the_card_of_the_map_is_valid_and_keeps_its_bytes():
    card = shipped()[0]
    assert validate(card) == []
    assert decode_card(canonical_bytes(card)) == card


def test_an_explicit_zero_is_free_and_a_missing_price_is_not():
    card, report = import_price_map('{"m": {"input_cost_per_token": 0.0}, "n": {"mode": "chat"}}')
    plan = CompiledCard(card, 1).match("m", {}, ("input_tokens", "output_tokens"))
    assert rate(plan, (10, 10), {})[0] == (0, -1)
    assert report.without_prices == ("n",)


@pytest.mark.parametrize(
    ("field", "meaning"),
    [
        ("input_cost_per_token", FieldPrice("input_tokens", {})),
        ("output_cost_per_token_batches", FieldPrice("output_tokens", {"mode": "batch"})),
        ("input_cost_per_token_batch_requests", FieldPrice("input_tokens", {"mode": "batch"})),
        (
            "cache_read_input_token_cost_above_272k_tokens_priority",
            FieldPrice("cached_tokens", {"mode": "priority"}, 272_000),
        ),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            FieldPrice("cache_creation_tokens", {"cache_ttl": "1h"}, 200_000),
        ),
        ("input_cost_per_token_cache_hit", FieldPrice("cached_tokens", {})),
        ("input_cost_per_character_above_7k_tokens", FieldPrice("input_characters", {}, 7_000)),
        (
            "output_cost_per_video_per_second_720p",
            FieldPrice("output_video_seconds", {"resolution": "720p"}),
        ),
        (
            "computer_use_input_cost_per_1k_tokens",
            FieldPrice("computer_use_input_tokens", {}, per=1_000),
        ),
        ("file_search_cost_per_1k_calls", FieldPrice("file_search_calls", {}, per=1_000)),
        ("vector_store_cost_per_gb_per_day", FieldPrice("vector_store_gb_days", {})),
        ("input_dbu_cost_per_token", None),
        ("input_cost_per_token_unheard_of", None),
        ("input_cost_per_token_above_1hr", None),
        ("input_cost_per_token_above_9s_interval", None),
        ("input_cost_per_image_1080p", None),
        ("output_cost_per_token_flex_flex", None),
        ("input_cost_per_tokens", None),
        ("max_tokens", None),
    ],
)
def test_fields(field: str, meaning: FieldPrice | None) -> None:
    assert field_price(field) == meaning


@pytest.mark.parametrize(
    ("key", "product", "attributes"),
    [
        ("gpt-5", "gpt-5", {}),
        ("hd/1024-x-1024/dall-e-3", "dall-e-3", {"image_quality": "hd", "image_size": "1024x1024"}),
        ("azure/low/1-x-2/m", "azure/m", {"image_quality": "low", "image_size": "1x2"}),
        ("max-x-max/50-steps/a/b", "a/b", {"image_size": "max", "image_steps": "50"}),
        ("vendor/1-x-2/m", "vendor/m", {"image_size": "1x2"}),
        ("low/m", "low/m", {}),
        ("m/1-x-2", "m/1-x-2", {}),
        ("1-x-2/3-x-4/m", "1-x-2/3-x-4/m", {}),
        ("1-x-2/50-steps", "1-x-2/50-steps", {}),
    ],
)
def test_keys_that_name_an_image(key: str, product: str, attributes: dict[str, str]) -> None:
    assert variant(key) == (product, attributes)


def test_multipliers_are_known_by_name():
    assert multiplier("regional_processing_uplift_multiplier_eu") == ("processing_region", "eu")
    assert multiplier("provider_specific_entry.us") == ("processing_region", "us")
    assert multiplier("provider_specific_entry.fast") == ("speed", "fast")
    assert multiplier("provider_specific_entry.slow") is None
    assert multiplier("fast") is None


def imported(entry: object) -> tuple[list[tuple[str, str, int]], ImportReport]:
    return imported_text(json.dumps({"m": entry}))


def imported_text(text: str) -> tuple[list[tuple[str, str, int]], ImportReport]:
    card, report = import_price_map(text)
    assert validate(card) == []
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
@pytest.mark.parametrize(
    "field", ["input_cost_per_token", "regional_processing_uplift_multiplier_eu"]
)
def test_a_value_that_is_no_price_is_reported_with_its_place(
    field: str, value: str, reason: str
) -> None:
    text = f'{{"m": {{"{field}": {value}, "output_cost_per_token": 1e-6}}}}'
    card, report = import_price_map(text)
    assert [row.quantity for row in card.rows] == ["output_tokens"]
    assert [(each.product, each.field, each.reason) for each in report.not_imported] == [
        ("m", field, reason)
    ]


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"cost_per_smile": 1}, "cost_per_smile"),
        ({"cost_per_smile": "0.1"}, "cost_per_smile"),
        ({"cost_per_smile": None}, "cost_per_smile"),
        ({"cost_per_smile": {"small": 1}}, "cost_per_smile.small"),
        ({"off_peak_pricing": [1]}, "off_peak_pricing"),
        ({"provider_specific_entry": {"slow": 2}}, "provider_specific_entry.slow"),
        ({"provider_specific_entry": {"slow": "2"}}, "provider_specific_entry.slow"),
        ({"search_context_cost_per_query": {"large": 2}}, "search_context_cost_per_query.large"),
        ({"search_context_cost_per_query": 2}, "search_context_cost_per_query"),
        (
            {"tiered_pricing": [{"range": [0], "cost_per_smile": 1}]},
            "tiered_pricing[0].cost_per_smile",
        ),
    ],
)
def test_a_field_that_nobody_knows_and_that_speaks_of_money_is_reported(
    entry: object, field: str
) -> None:
    rows, report = imported(entry)
    assert rows == []
    assert [(each.field, each.reason) for each in report.not_imported] == [(field, "FIELD_UNKNOWN")]
    assert report.fields[field].became == "not imported: nobody knows this field"


def test_a_price_among_the_rules_for_names_is_reported():
    rules = {"rules": [{"pattern": "gpt", "model_info": {"input_cost_per_token": 1, "mode": "x"}}]}
    _, report = import_price_map(json.dumps({"fallback_generalizations": rules}))
    assert report.skipped == ("fallback_generalizations",)
    assert [(each.product, each.field, each.reason) for each in report.not_imported] == [
        ("fallback_generalizations", "input_cost_per_token", "FIELD_UNKNOWN")
    ]


def test_a_word_or_a_flag_is_a_fact_whatever_its_name():
    card, report = import_price_map('{"m": {"cost_model": "shared", "prices_vary": true}}')
    assert card.products[0].facts == {"cost_model": "shared", "prices_vary": "true"}
    assert report.not_imported == ()


def test_facts_that_do_not_fit_are_reported():
    many = {f"f{number}": number for number in range(200)}
    card, report = import_price_map(json.dumps({"m": {"note": "x" * 1_025, "n" * 129: 1, **many}}))
    assert validate(card) == []
    assert len("x" * 1_025) > FACT_VALUE_BYTES_MAX
    assert len(card.products[0].facts) == 127
    reasons = [each.reason for each in report.not_imported]
    assert reasons == ["FACT_TOO_LONG", "FACT_TOO_LONG", *["FACTS_TOO_MANY"] * 73]


def test_two_fields_that_are_one_fact_may_not_differ():
    _, report = imported({"mode": "chat", "model_mode": "talk"})
    assert [(each.field, each.reason) for each in report.not_imported] == [
        ("model_mode", "FACT_DIFFERS")
    ]


@pytest.mark.parametrize(
    "spelt", ["2.5e-06", '"2.5e-06"', '"0.00000250"', "0.0000025", '"1/400000"']
)
def test_another_spelling_is_no_other_price(spelt: str) -> None:
    """A number written as text is taken, and counted; so a refresh differs only where it must."""
    rows, report = imported_text(f'{{"m": {{"input_cost_per_token": {spelt}}}}}')
    assert rows == [("input_tokens", "0.0000025", 0)]
    assert report.texts == spelt.startswith('"')


def test_a_price_of_too_many_digits_to_be_spelt_out_keeps_its_spelling():
    spelt = f"1.{'3' * 50}e-30"
    assert imported({"input_cost_per_token": spelt})[0] == [("input_tokens", spelt, 0)]


def test_the_whole_map_spelt_as_text_is_the_same_card():
    """Multipliers too: no price is lost to the way in which it is written."""
    spelt = json.loads(price_map(), parse_float=str)
    for entry in map(spelt.get, entries()):
        for tier in entry.get("tiered_pricing", []):
            if "range" in tier:
                tier["range"] = [int(Decimal(bound)) for bound in tier["range"]]
    card, report = import_price_map(json.dumps(spelt))
    assert card.rows == shipped()[0].rows
    assert (report.not_imported, report.multiplied) == ((), 540)


def test_digits_are_kept_however_many():
    text = '{"m": {"input_cost_per_token": 2.9999900000000002345678901234567890e-06}}'
    card, _ = import_price_map(text)
    assert card.rows[0].price == "0.000002999990000000000234567890123456789"


def test_a_price_for_a_thousand_is_that_of_one_exactly():
    rows, _ = imported({"file_search_cost_per_1k_calls": "0.0025", "ocr_cost_per_page": "1/3"})
    assert rows == [("file_search_calls", "0.0000025", 0), ("ocr_pages", "1/3", 0)]
    rows, _ = imported({"file_search_cost_per_1k_calls": "1/3"})
    assert rows == [("file_search_calls", "1/3000", 0)]


def test_a_multiplied_price_is_exact_and_one_with_too_many_digits_is_reported():
    """Rule N2: a third times 1.1 is 11/30."""
    card, report = import_price_map(
        """{"m": {
            "input_cost_per_token": "0.33333333333333333333333333333333333333333",
            "output_cost_per_token": "1/3",
            "provider_specific_entry": {"us": 1.1, "fast": 3},
            "regional_processing_uplift_multiplier_eu": 1.3333333333333333333333333333333333333333
        }}"""
    )
    assert validate(card) == []
    prices = {
        " ".join(sorted(row.attributes.values())): row.price
        for row in card.rows
        if row.quantity == "output_tokens"
    }
    assert prices == {
        "": "1/3",
        "us": "11/30",
        "fast": "1",
        "fast us": "1.1",
        "eu fast": f"1.{'3' * 40}",
    }
    assert [(each.field, each.reason) for each in report.not_imported] == [
        ("input_tokens under eu", "PRICE_MALFORMED"),
        ("output_tokens under eu", "PRICE_MALFORMED"),
        ("input_tokens under eu and fast", "PRICE_MALFORMED"),
    ]


def test_two_multipliers_of_one_region_conflict():
    text = '{"m": {"input_cost_per_token": 1, "provider_specific_entry": {"us": 1.1}, %s}}'
    field = '"regional_processing_uplift_multiplier_us": '
    assert import_price_map(text % f"{field}1.10")[1].conflicts == ()
    (conflict,) = import_price_map(text % f"{field}1.2")[1].conflicts
    assert (conflict.kept, conflict.dropped) == ("1.1", "1.2")


def test_two_names_of_the_cache_read_price():
    both = {"input_cost_per_token_cache_hit": 2, "cache_read_input_token_cost": 2}
    rows, report = imported(both)
    assert (rows, report.repeated, report.conflicts) == ([("cached_tokens", "2", 0)], 1, ())
    rows, report = imported({**both, "cache_read_input_token_cost": 3})
    assert rows == [("cached_tokens", "3", 0)]
    (conflict,) = report.conflicts
    assert (conflict.product, conflict.field) == ("m", "input_cost_per_token_cache_hit")
    assert (conflict.kept, conflict.dropped) == ("3", "2")


def test_ranges_become_thresholds():
    rows, report = imported_text(
        """{"m": {"tiered_pricing": [
            {"range": [0, 32000], "input_cost_per_token": 1},
            {"range": [32000.0, 64000], "input_cost_per_token": 2, "input_cost_per_query": 9},
            {"range": ["64k"], "input_cost_per_token": 3},
            {"range": [0.5, 1], "input_cost_per_token": 3},
            {"range": [1, 2], "max_results_range": [1, 2], "input_cost_per_token": 3},
            {"max_results_range": [1], "input_cost_per_token": 3},
            {"input_cost_per_token": 4},
            "nothing"
        ]}}"""
    )
    assert rows == [
        ("input_tokens", "1", 0),
        ("input_tokens", "2", 32_000),
        ("queries", "9", 32_000),
    ]
    assert [(each.field, each.reason) for each in report.not_imported] == [
        *[
            (f"tiered_pricing[{place}].input_cost_per_token", "RANGE_MALFORMED")
            for place in range(2, 7)
        ],
        ("tiered_pricing[7]", "RANGE_MALFORMED"),
    ]


def test_an_entry_that_is_no_object_is_reported():
    rows, report = imported("gpt")
    assert rows == []
    assert [each.reason for each in report.not_imported] == ["ENTRY_MALFORMED"]


@pytest.mark.parametrize(
    "text", ["", "[]", "not json", b"\xff", '{"m": {"x": 1e9999999999999999999}}']
)
def test_a_text_that_is_no_map_is_refused(text: str | bytes) -> None:
    with pytest.raises(PriceMapError):
        import_price_map(text)
