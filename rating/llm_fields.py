"""The vocabulary of the public map of LLM prices: what each of its fields is.

Owns the meters and the grammar of the fields: a base that names a quantity, and suffixes that
name conditions. Must not read a map: see ``llm_prices``.

Quantities, so that nothing is charged twice (rule R8); the subsets of one parent never overlap:

    input_tokens                   the whole prompt, cached part included
      cached_tokens                read from a cache, of any kind
        cached_audio_tokens, cached_image_tokens     of these, audio and images
      cache_creation_tokens        written to a cache, of any kind
        cache_creation_audio_tokens
      input_audio_tokens           audio neither read from nor written to a cache; so also:
      input_image_tokens, input_video_tokens
    output_tokens                  everything generated
      reasoning_tokens, output_audio_tokens, output_image_tokens, output_video_tokens

All others stand beside those, each priced by itself. Where a product has prices for one thing in
two units (an image by itself, by its pixels or by its tokens), an event reports it in one: see
``ALTERNATIVES``.
"""

import re
from typing import Final

from msgspec import Struct

from rating.card import Meter

METERS: Final = (
    Meter("input_tokens"),
    Meter("output_tokens"),
    Meter("cached_tokens", subset_of="input_tokens"),
    Meter("cached_audio_tokens", subset_of="cached_tokens"),
    Meter("cached_image_tokens", subset_of="cached_tokens"),
    Meter("cache_creation_tokens", subset_of="input_tokens"),
    Meter("cache_creation_audio_tokens", subset_of="cache_creation_tokens"),
    Meter("input_audio_tokens", subset_of="input_tokens"),
    Meter("input_image_tokens", subset_of="input_tokens"),
    Meter("input_video_tokens", subset_of="input_tokens"),
    Meter("reasoning_tokens", subset_of="output_tokens"),
    Meter("output_audio_tokens", subset_of="output_tokens"),
    Meter("output_image_tokens", subset_of="output_tokens"),
    Meter("output_video_tokens", subset_of="output_tokens"),
    Meter("citation_tokens"),
    Meter("computer_use_input_tokens"),
    Meter("computer_use_output_tokens"),
    Meter("input_characters"),
    Meter("output_characters"),
    Meter("input_images"),
    Meter("output_images"),
    Meter("input_pixels"),
    Meter("output_pixels"),
    Meter("input_seconds", scale=3),  # events carry milliseconds
    Meter("output_seconds", scale=3),
    Meter("input_audio_seconds", scale=3),
    Meter("input_video_seconds", scale=3),
    Meter("output_video_seconds", scale=3),
    Meter("requests"),
    Meter("queries"),
    Meter("search_queries"),
    Meter("maps_queries"),
    Meter("code_interpreter_sessions"),
    Meter("file_search_calls"),
    Meter("file_search_gb_days", scale=9),  # events carry byte-days
    Meter("vector_store_gb_days", scale=9),
    Meter("ocr_pages"),
    Meter("ocr_credits", scale=6),
    Meter("annotation_pages"),
)

ALTERNATIVES: Final = (
    ("input_tokens", "input_characters"),
    ("output_tokens", "output_characters"),
    ("input_images", "input_pixels", "input_image_tokens"),
    ("output_images", "output_pixels", "output_image_tokens"),
    ("input_seconds", "input_audio_seconds", "input_audio_tokens"),
    ("input_video_seconds", "input_video_tokens"),
    ("output_seconds", "output_audio_tokens"),
    ("output_seconds", "output_video_seconds", "output_video_tokens"),
)
"""One thing in several units: an event that reports it in two would pay for it twice."""

BASES: Final = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "cache_read_input_token_cost": "cached_tokens",
    "cache_read_input_audio_token_cost": "cached_audio_tokens",
    "cache_read_input_image_token_cost": "cached_image_tokens",
    "cache_creation_input_token_cost": "cache_creation_tokens",
    "cache_creation_input_audio_token_cost": "cache_creation_audio_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "input_cost_per_image_token": "input_image_tokens",
    "input_cost_per_video_token": "input_video_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_image_token": "output_image_tokens",
    "output_cost_per_video_token": "output_video_tokens",
    "citation_cost_per_token": "citation_tokens",
    "computer_use_input_cost_per_1k_tokens": "computer_use_input_tokens",
    "computer_use_output_cost_per_1k_tokens": "computer_use_output_tokens",
    "input_cost_per_character": "input_characters",
    "output_cost_per_character": "output_characters",
    "input_cost_per_image": "input_images",
    "output_cost_per_image": "output_images",
    "input_cost_per_pixel": "input_pixels",
    "output_cost_per_pixel": "output_pixels",
    "input_cost_per_second": "input_seconds",
    "output_cost_per_second": "output_seconds",
    "input_cost_per_audio_per_second": "input_audio_seconds",
    "input_cost_per_video_per_second": "input_video_seconds",
    "output_cost_per_video_per_second": "output_video_seconds",
    "input_cost_per_request": "requests",
    "input_cost_per_query": "queries",
    "google_maps_grounding_cost_per_query": "maps_queries",
    "code_interpreter_cost_per_session": "code_interpreter_sessions",
    "file_search_cost_per_1k_calls": "file_search_calls",
    "file_search_cost_per_gb_per_day": "file_search_gb_days",
    "vector_store_cost_per_gb_per_day": "vector_store_gb_days",
    "ocr_cost_per_page": "ocr_pages",
    "ocr_cost_per_credit": "ocr_credits",
    "annotation_cost_per_page": "annotation_pages",
}
"""A field's base -> the quantity that it prices."""

ALIASES: Final = {
    "input_cost_per_token_cache_hit": "cache_read_input_token_cost",
    "input_cost_per_token_batch_requests": "input_cost_per_token_batches",
    "output_cost_per_token_batch_requests": "output_cost_per_token_batches",
}
"""Other names of the same price."""

SEARCH: Final = "search_context_cost_per_query"  # an object: size of the context -> price
TIERS: Final = "tiered_pricing"  # a list of objects: a range, and the prices within it
SPECIFIC: Final = "provider_specific_entry"  # an object: multipliers and settings
FACT_NAMES: Final = {
    "litellm_provider": "provider",
    "mode": "model_mode",  # chat, embedding ...; `mode` is an attribute of events: batch, flex ...
    "max_input_tokens": "context_limit",
    "max_output_tokens": "output_limit",
}
"""Fields that are no prices, by the name that the price sheet gives them; others keep theirs."""

_MODES: Final = {
    "batches": "batch",
    "priority": "priority",
    "flex": "flex",
    "ultrafast": "ultrafast",
}
_BY_LENGTH: Final = "|".join(sorted(BASES, key=len, reverse=True))
_FIELD: Final = re.compile(rf"(?P<base>{_BY_LENGTH})(?P<conditions>(?:_.+)?)", re.ASCII)
_CONDITION: Final = re.compile(
    r"_above_(?P<hours>1)hr|_above_(?P<thousands>[0-9]{1,9})k_tokens"
    r"|_above_(?P<interval>[0-9]{1,6}s)_interval|_(?P<resolution>[0-9]{3,4}p|[0-9]k)"
    rf"|_(?P<mode>{'|'.join(_MODES)})",
    re.ASCII,
)
_UPLIFT: Final = re.compile(r"regional_processing_uplift_multiplier_(?P<region>[a-z]{2,8})")
_REGION: Final = re.compile(r"[a-z]{2}")
_PRICE_LIKE: Final = re.compile(r"cost|pric|rate|multiplier|surcharge|discount|dbu|usd|fee")
_OTHER_UNITS: Final = re.compile(r"(?:in|out)put_dbu_cost_per_token|metadata\..+", re.ASCII)
_SIZE: Final = re.compile(r"(?P<width>[0-9]+|max)-x-(?P<height>[0-9]+|max)", re.ASCII)
_STEPS: Final = re.compile(r"(?P<steps>[0-9]+|max)-steps", re.ASCII)
_QUALITIES: Final = frozenset({"low", "medium", "high", "standard", "hd"})


class FieldPrice(Struct, frozen=True):
    """What a field of the map prices: `per` major units of the quantity cost what it says."""

    quantity: str
    attributes: dict[str, str]
    above_prompt: int = 0
    per: int = 1


def field_price(field: str) -> FieldPrice | None:
    """What this field prices; None where it is not one price in the map's money."""
    field = ALIASES.get(field, field)
    match = _FIELD.fullmatch(field)
    if match is None:
        return None
    quantity = BASES[match["base"]]
    found = _conditions(match["conditions"])
    if found is None:
        return None
    attributes, above = {}, int(found.pop("thousands", "0")) * 1_000
    for condition, value in found.items():
        if condition == "mode":
            attributes["mode"] = _MODES[value]
        elif condition == "hours" and quantity.startswith("cache_creation"):
            attributes["cache_ttl"] = f"{value}h"
        elif condition == "interval" and quantity.endswith("_seconds"):
            attributes["video_interval"] = f"above_{value}"
        elif condition == "resolution" and quantity.startswith("output_"):
            attributes["resolution"] = value
        else:
            return None
    return FieldPrice(quantity, attributes, above, 1_000 if "_per_1k_" in match["base"] else 1)


def _conditions(text: str) -> dict[str, str] | None:
    """The suffixes of a field, each once; None where there is another."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _CONDITION.match(text, place)
        if match is None or match.lastgroup is None or match.lastgroup in found:
            return None
        found[match.lastgroup] = match[match.lastgroup]
        place = match.end()
    return found


def search_price(size: str) -> FieldPrice | None:
    """What a member of ``SEARCH`` prices: a web search with this much context."""
    name = size.removeprefix("search_context_size_")
    if name == size or not name:
        return None
    return FieldPrice("search_queries", {"search_context_size": name})


def multiplier(field: str) -> tuple[str, str] | None:
    """The attribute and its value under which token prices are multiplied by this field."""
    match = _UPLIFT.fullmatch(field)
    if match is not None:
        return "processing_region", match["region"]
    name = field.removeprefix(f"{SPECIFIC}.")
    if name == field:
        return None
    if name == "fast":
        return "speed", "fast"
    return ("processing_region", name) if _REGION.fullmatch(name) else None


def is_multiplied(quantity: str) -> bool:
    """Multipliers are of tokens of every kind, cached ones too; tools and searches cost the same.

    The vendors say so: "all token pricing categories".
    """
    return quantity.endswith("_tokens")


def is_price_like(field: str) -> bool:
    """Whether the name of a field that nobody knows speaks of money."""
    return _PRICE_LIKE.search(field) is not None


def is_in_other_units(field: str) -> bool:
    """A price beside the map's own, in another unit: it charges nothing and is kept as a fact."""
    return _OTHER_UNITS.fullmatch(field) is not None


def variant(key: str) -> tuple[str, dict[str, str]]:
    """The product of a key and what the key says of an image's size, quality and steps.

    "azure/hd/1024-x-1792/dall-e-3" is azure/dall-e-3 with image_size 1024x1792, image_quality hd.
    """
    parts = key.split("/")
    places = [place for place, part in enumerate(parts) if _SIZE.fullmatch(part)]
    if len(places) != 1 or places[0] == len(parts) - 1:
        return key, {}
    attributes: dict[str, str] = {}
    rest: list[str] = []
    for place, part in enumerate(parts):
        size, steps = _SIZE.fullmatch(part), _STEPS.fullmatch(part)
        if size is not None:
            width, height = size.groups()
            attributes["image_size"] = "max" if "max" in (width, height) else f"{width}x{height}"
        elif place == places[0] - 1 and part in _QUALITIES:
            attributes["image_quality"] = part
        elif place == places[0] + 1 and steps is not None:
            attributes["image_steps"] = steps["steps"]
        else:
            rest.append(part)
    return ("/".join(rest), attributes) if rest else (key, {})
