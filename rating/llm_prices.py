"""The public map of LLM prices (LiteLLM's) as a rate card.

Owns the reading of the map: which field prices which quantity, under which attributes and above
which prompt. Every price is an exact decimal, never a float. What is not a price of tokens is
reported, never dropped in silence. Pure: the map comes in as text.

Quantities, so that nothing is charged twice (rule R8); the subsets of one parent never overlap:

    input_tokens                   the whole prompt, cached part included
      cached_tokens                read from a cache, of any kind
        cached_audio_tokens        of these, audio
      cache_creation_tokens        written to a cache, of any kind
        cache_creation_audio_tokens
      input_audio_tokens           audio neither read from nor written to a cache; so also:
      input_image_tokens, input_video_tokens
    output_tokens                  everything generated
      reasoning_tokens, output_audio_tokens, output_image_tokens, output_video_tokens
    citation_tokens                billed beside the prompt

Attributes: ``mode`` is batch, priority or flex; ``cache_ttl`` 1h is the one-hour cache. Where the
map has no price for a mode, the plain one applies, being the row with fewer conditions. A price
for a mode or a cache wins over a plain price above a prompt size (rule R3).
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from rating.card import Meter, PriceRow, Product, RateCard
from rating.exact import PRICE_EXPONENT_MAX, PriceError, parse_price

NOT_PRODUCTS: Final = frozenset({"sample_spec", "last_updated", "fallback_generalizations"})

METERS: Final = (
    Meter("input_tokens"),
    Meter("output_tokens"),
    Meter("cached_tokens", subset_of="input_tokens"),
    Meter("cached_audio_tokens", subset_of="cached_tokens"),
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
)

_QUANTITIES: Final = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "cache_read_input_token_cost": "cached_tokens",
    "cache_read_input_audio_token_cost": "cached_audio_tokens",
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
}
CACHE_HIT: Final = "input_cost_per_token_cache_hit"  # some vendors' name for the cache read price
TIERS: Final = "tiered_pricing"

_MODES: Final = {"batches": "batch", "priority": "priority", "flex": "flex"}
_FIELD: Final = re.compile(
    rf"(?P<base>{'|'.join(_QUANTITIES)}|{CACHE_HIT})"
    r"(?P<hour>_above_1hr)?(?:_above_(?P<thousands>[0-9]{1,9})k_tokens)?"
    r"(?:_(?P<mode>batches|priority|flex))?",
    re.ASCII,
)
_PRICE_LIKE: Final = re.compile(r"cost|price|pricing|multiplier|provider_specific_entry")


class TokenPrice(Struct, frozen=True):
    """What a field of the map prices."""

    quantity: str
    attributes: dict[str, str]
    above_prompt: int


class FieldFault(Struct, frozen=True):
    """A token price that could not be taken: its product, field and value, and why."""

    product: str
    field: str
    value: str
    reason: str  # PRICE_MISSING, PRICE_MALFORMED, PRICE_NEGATIVE, RANGE_MALFORMED, ENTRY_MALFORMED


class PriceConflict(Struct, frozen=True):
    """Two fields that price the same thing differently: the first was kept."""

    product: str
    field: str
    kept: str
    dropped: str


class ImportReport(Struct, frozen=True):
    """What became of the map: ``rows`` + ``repeated`` + faults + conflicts = its token prices."""

    entries: int  # all keys of the map
    products: int  # with at least one row
    rows: int
    repeated: int  # the same price stated by two fields, taken once
    texts: int  # prices written as text, taken
    without_token_prices: tuple[str, ...]  # products that the card does not have
    skipped: tuple[str, ...]  # keys that are no products
    not_imported: dict[str, int]  # field that is no token price -> entries that have it
    not_imported_by_product: dict[str, tuple[str, ...]]
    faults: tuple[FieldFault, ...]
    conflicts: tuple[PriceConflict, ...]


class PriceMapError(ValueError):
    """The text is not a price map at all."""


def token_price(field: str) -> TokenPrice | None:
    """What this field of the map prices; None where it is not a price of tokens in money."""
    match = _FIELD.fullmatch(field)
    if match is None:
        return None
    attributes = {}
    if match["mode"]:
        attributes["mode"] = _MODES[match["mode"]]
    if match["hour"]:
        attributes["cache_ttl"] = "1h"
    base = "cache_read_input_token_cost" if match["base"] == CACHE_HIT else match["base"]
    return TokenPrice(_QUANTITIES[base], attributes, int(match["thousands"] or 0) * 1_000)


def import_price_map(
    text: str | bytes, name: str = "llm", asset: str = "USD", asset_scale: int = 9
) -> tuple[RateCard, ImportReport]:
    """A rate card of every token price of the map, and a report of what is not in it.

    The prices of the map are in US dollars for one token. Raises PriceMapError.
    """
    return _Import(_parsed(text)).run(name, asset, asset_scale)


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        entries = json.loads(text, parse_float=Decimal, parse_constant=str)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise PriceMapError(f"the price map is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise PriceMapError("the price map is not a JSON object of products")
    return entries


class _Import:
    """One pass over the map."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries
        self._rows: list[PriceRow] = []
        self._faults: list[FieldFault] = []
        self._conflicts: list[PriceConflict] = []
        self._not_imported: dict[str, tuple[str, ...]] = {}
        self._repeated = 0
        self._texts = 0

    def run(self, name: str, asset: str, asset_scale: int) -> tuple[RateCard, ImportReport]:
        skipped = tuple(key for key in self._entries if key in NOT_PRODUCTS)
        products: list[str] = []
        without: list[str] = []
        for product, entry in self._entries.items():
            if product in NOT_PRODUCTS:
                continue
            before = len(self._rows)
            self._take_entry(product, entry)
            (products if len(self._rows) > before else without).append(product)
        card = RateCard(
            name=name,
            asset=asset,
            asset_scale=asset_scale,
            meters=METERS,
            products=tuple(Product(product) for product in products),
            rows=tuple(self._rows),
        )
        return card, self._report(len(products), tuple(without), skipped)

    def _report(
        self, products: int, without: tuple[str, ...], skipped: tuple[str, ...]
    ) -> ImportReport:
        counts: dict[str, int] = {}
        for fields in self._not_imported.values():
            for field in fields:
                counts[field] = counts.get(field, 0) + 1
        return ImportReport(
            entries=len(self._entries),
            products=products,
            rows=len(self._rows),
            repeated=self._repeated,
            texts=self._texts,
            without_token_prices=without,
            skipped=skipped,
            not_imported=dict(sorted(counts.items())),
            not_imported_by_product=self._not_imported,
            faults=tuple(self._faults),
            conflicts=tuple(self._conflicts),
        )

    def _take_entry(self, product: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            self._faults.append(FieldFault(product, "", str(entry), "ENTRY_MALFORMED"))
            return
        seen: dict[object, tuple[int, int]] = {}
        others: dict[str, None] = {}  # an ordered set
        for field, value in sorted(entry.items(), key=_aliases_last):
            meaning = token_price(field)
            if meaning is not None:
                self._take_price(product, field, meaning, value, seen)
            elif field == TIERS:
                others.update(dict.fromkeys(self._take_tiers(product, value, seen)))
            elif _PRICE_LIKE.search(field):
                others.update(dict.fromkeys(_leaves(field, value)))
        if others:
            self._not_imported[product] = tuple(sorted(others))

    def _take_tiers(
        self, product: str, tiers: Any, seen: dict[object, tuple[int, int]]
    ) -> Iterator[str]:
        """Takes the token prices of each range of prompt sizes; yields what is none."""
        for index, tier in enumerate(tiers if isinstance(tiers, list) else [tiers]):
            place = f"{TIERS}[{index}]"
            if not isinstance(tier, dict):
                self._faults.append(FieldFault(product, place, str(tier), "RANGE_MALFORMED"))
                continue
            above = _lower_bound(tier.get("range"))
            for field, value in sorted(tier.items(), key=_aliases_last):
                meaning = token_price(field)
                if meaning is None:
                    if _PRICE_LIKE.search(field):
                        yield f"{TIERS}.{field}"
                elif above is None:
                    shown = str(tier.get("range"))
                    self._faults.append(
                        FieldFault(product, f"{place}.{field}", shown, "RANGE_MALFORMED")
                    )
                else:
                    bound = TokenPrice(
                        meaning.quantity, meaning.attributes, max(above, meaning.above_prompt)
                    )
                    self._take_price(product, f"{place}.{field}", bound, value, seen)

    def _take_price(
        self,
        product: str,
        field: str,
        meaning: TokenPrice,
        value: Any,
        seen: dict[object, tuple[int, int]],
    ) -> None:
        try:
            price = price_text(value)
            exact = parse_price(price)
        except PriceError as error:
            self._faults.append(FieldFault(product, field, str(value), error.reason))
            return
        self._texts += isinstance(value, str)
        selector = (meaning.quantity, tuple(meaning.attributes.items()), meaning.above_prompt)
        if selector in seen:
            if seen[selector] == exact:
                self._repeated += 1
            else:
                kept = "/".join(str(part) for part in seen[selector])
                self._conflicts.append(PriceConflict(product, field, kept, price))
            return
        seen[selector] = exact
        self._rows.append(
            PriceRow(
                product=product,
                quantity=meaning.quantity,
                price=price,
                attributes=meaning.attributes,
                above_prompt=meaning.above_prompt,
            )
        )


def price_text(value: Any) -> str:
    """A JSON value as the text of a price, digit for digit. Raises PriceError.

    Numbers and numbers written as text are prices; null is PRICE_MISSING.
    """
    if value is None:
        raise PriceError("PRICE_MISSING", "the price is null")
    if isinstance(value, str):
        parse_price(value)
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PriceError("PRICE_MALFORMED", f"{value!r} is not a price")
    exact = Decimal(value)
    if abs(exact.adjusted()) > PRICE_EXPONENT_MAX:
        raise PriceError("PRICE_MALFORMED", f"{value} is beyond any price")
    plain = format(exact, "f")
    return (plain.rstrip("0").rstrip(".") or "0") if "." in plain else plain


def _aliases_last(item: tuple[str, Any]) -> bool:
    return item[0].startswith(CACHE_HIT)


def _leaves(field: str, value: Any) -> Iterator[str]:
    """The field, or the numeric fields inside it: settings beside prices are none."""
    if not isinstance(value, dict):
        yield field
        return
    for key, inner in value.items():
        if isinstance(inner, int | Decimal) and not isinstance(inner, bool):
            yield f"{field}.{key}"


def _lower_bound(bounds: Any) -> int | None:
    """The lower bound of a range of prompt sizes in tokens; None where it is no such range."""
    if not isinstance(bounds, list) or not bounds or isinstance(bounds[0], bool):
        return None
    low = bounds[0]
    if not isinstance(low, int | Decimal) or not 0 <= low < 2**63 or int(low) != low:
        return None
    return int(low)
