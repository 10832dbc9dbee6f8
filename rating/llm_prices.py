"""The public map of LLM prices (LiteLLM's) as a rate card.

Owns the reading of the map: every price becomes a row, every multiplier the rows that it makes,
everything else a fact of its product (see ``llm_fields`` for what is what). Every price is exact,
never a float. What can't be taken is reported with its reason, never dropped in silence. Pure: the
map comes in as text.

Where the map has no price for a mode, the plain one applies, being the row with fewer conditions.
A price for a mode or a cache wins over a plain price above a prompt size (rule R3). A price that
the map states only under a condition (a search by the size of its context) has no row without it:
an event that does not say which goes to suspense instead of being guessed at (rule B8).
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import product as combinations
from typing import Any, Final

from msgspec import Struct

from rating import llm_fields
from rating.card import FACT_VALUE_BYTES_MAX, FACTS_MAX, NAME_BYTES_MAX, PriceRow, Product, RateCard
from rating.exact import PRICE_CHARS_MAX, PriceError, parse_price, reduced, written
from rating.llm_fields import ALIASES, SEARCH, TIERS, FieldPrice
from rating.llm_values import condition_of, fact_text, may_be_price, price_text, words

NOT_PRODUCTS: Final = {
    "sample_spec": "describes the fields",
    "last_updated": "when the map was made",
    "fallback_generalizations": "what models of a name are able to do, without prices",
}
"""Keys of the map that are no products, and what they are."""

UNKNOWN: Final = "not imported: nobody knows this field"
MULTIPLIES: Final = "multiplies token prices"
OTHER_UNIT: Final = "in another unit: kept as a fact"


class NotImported(Struct, frozen=True):
    """A field of the map that no row and no fact holds: where, the value, and a stable reason.

    FIELD_UNKNOWN, PRICE_MISSING, PRICE_MALFORMED, PRICE_NEGATIVE, RANGE_MALFORMED,
    ENTRY_MALFORMED, FACT_TOO_LONG, FACTS_TOO_MANY, FACT_DIFFERS (one fact of two fields).
    """

    product: str
    field: str
    value: str
    reason: str


class PriceConflict(Struct, frozen=True):
    """Two fields that price the same thing differently: the first was kept."""

    product: str
    field: str
    kept: str
    dropped: str


class FieldUse(Struct):
    """What a field that speaks of money became, and how many times the map states it."""

    became: str
    entries: int = 0


class ImportReport(Struct, frozen=True):
    """What became of the map.

    ``prices`` = rows less those multiplied + ``repeated`` + conflicts.
    """

    entries: int  # all keys of the map
    products: int
    rows: int
    prices: int  # stated by the map and taken or set aside
    multiplied: int  # rows made by a multiplier of the product
    repeated: int  # the same price stated by two fields, taken once
    texts: int  # prices written as text, taken
    variants: int  # keys that name size or quality of an image: rows of their product
    facts: int
    last_updated: str  # as the map says
    skipped: tuple[str, ...]  # keys that are no products
    without_prices: tuple[str, ...]  # products of which the map has facts only
    fields: dict[str, FieldUse]  # every field that speaks of money
    not_imported: tuple[NotImported, ...]
    conflicts: tuple[PriceConflict, ...]


class PriceMapError(ValueError):
    """The text is not a price map at all."""


def import_price_map(
    text: str | bytes, name: str = "llm", asset: str = "USD", asset_scale: int = 9
) -> tuple[RateCard, ImportReport]:
    """A rate card of every price of the map, and a report of what is not in it.

    The prices of the map are in US dollars for one unit. Raises PriceMapError.
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


class _Product:
    """What was taken for one product so far."""

    def __init__(self) -> None:
        self.rows: list[PriceRow] = []
        self.exact: dict[object, tuple[int, int]] = {}  # of a selector
        self.multipliers: dict[str, dict[str, tuple[int, int]]] = {}  # attribute -> value -> by
        self.facts: dict[str, str] = {}
        self.own_facts: bool = False  # of the key itself, not of a variant


class _Import:
    """One pass over the map."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries
        self._products: dict[str, _Product] = {}
        self._not_imported: list[NotImported] = []
        self._conflicts: list[PriceConflict] = []
        self._fields: dict[str, FieldUse] = {}
        self._variants = self._prices = self._repeated = self._texts = 0
        self._key = ""
        self._product = ""
        self._attributes: dict[str, str] = {}
        self._taken = _Product()

    def run(self, name: str, asset: str, asset_scale: int) -> tuple[RateCard, ImportReport]:
        keys = [key for key in self._entries if key not in NOT_PRODUCTS]
        keys.sort(key=lambda key: bool(llm_fields.variant(key)[1]))  # a product's own facts first
        for key in keys:
            self._take_entry(key, self._entries[key])
        self._key = "fallback_generalizations"
        for field, value in _members(self._entries.get(self._key)):
            if may_be_price(field, value):
                self._refuse(field, value, "FIELD_UNKNOWN")
        rows: list[PriceRow] = []
        for taken in self._products.values():
            rows += taken.rows
            rows += self._multiplied(taken)
        card = RateCard(
            name=name,
            asset=asset,
            asset_scale=asset_scale,
            meters=llm_fields.METERS,
            products=tuple(
                Product(product, facts=_with_alternatives(taken))
                for product, taken in self._products.items()
            ),
            rows=tuple(rows),
        )
        return card, self._report(card)

    def _report(self, card: RateCard) -> ImportReport:
        stated = sum(len(taken.rows) for taken in self._products.values())
        return ImportReport(
            entries=len(self._entries),
            products=len(card.products),
            rows=len(card.rows),
            prices=self._prices,
            multiplied=len(card.rows) - stated,
            repeated=self._repeated,
            texts=self._texts,
            variants=self._variants,
            facts=sum(len(product.facts) for product in card.products),
            last_updated=str(self._entries.get("last_updated", "")),
            skipped=tuple(key for key in self._entries if key in NOT_PRODUCTS),
            without_prices=tuple(key for key, taken in self._products.items() if not taken.rows),
            fields=dict(sorted(self._fields.items())),
            not_imported=tuple(self._not_imported),
            conflicts=tuple(self._conflicts),
        )

    def _take_entry(self, key: str, entry: Any) -> None:
        self._key = key
        if not isinstance(entry, dict):
            self._refuse("", entry, "ENTRY_MALFORMED")
            return
        self._product, self._attributes = llm_fields.variant(key)
        self._variants += bool(self._attributes)
        self._taken = self._products.setdefault(self._product, _Product())
        self._taken.own_facts |= not self._attributes
        for field, value in sorted(entry.items(), key=lambda item: item[0] in ALIASES):
            if field == SEARCH and isinstance(value, dict):
                for size, price in value.items():
                    self._take_price(f"{SEARCH}.{size}", llm_fields.search_price(size), price)
            elif field == TIERS:
                self._take_tiers(value)
            else:
                meaning = llm_fields.field_price(field)
                if meaning is not None:
                    self._take_price(field, meaning, value)
                else:
                    self._take_other(field, value)

    def _take_tiers(self, tiers: Any) -> None:
        """The prices of each range of prompt sizes, or of results asked for."""
        for index, tier in enumerate(tiers if isinstance(tiers, list) else [tiers]):
            place = f"{TIERS}[{index}]"
            if not isinstance(tier, dict):
                self._refuse(place, tier, "RANGE_MALFORMED")
                continue
            bounds = {name: tier[name] for name in ("range", "max_results_range") if name in tier}
            condition = condition_of(bounds)
            for field, value in sorted(tier.items(), key=lambda item: item[0] in ALIASES):
                meaning = llm_fields.field_price(field)
                if field in bounds:
                    continue
                if meaning is None:
                    self._refuse(f"{place}.{field}", value, "FIELD_UNKNOWN")
                elif condition is None:
                    self._refuse(f"{place}.{field}", bounds, "RANGE_MALFORMED")
                else:
                    above, attributes = condition
                    bound = FieldPrice(
                        meaning.quantity,
                        meaning.attributes | attributes,
                        max(above, meaning.above_prompt),
                        meaning.per,
                    )
                    self._take_price(f"{place}.{field}", bound, value, f"{TIERS}.{field}")

    def _take_price(
        self, field: str, meaning: FieldPrice | None, value: Any, name: str = ""
    ) -> None:
        if meaning is None:
            self._refuse(field, value, "FIELD_UNKNOWN")
            return
        try:
            price = price_text(value, meaning.per)
            exact = parse_price(price)
        except PriceError as error:
            self._refuse(field, value, error.reason)
            return
        self._count(name or field, words(meaning, bool(name)))
        self._prices += 1
        self._texts += isinstance(value, str)
        attributes = self._attributes | meaning.attributes
        selector = (meaning.quantity, frozenset(attributes.items()), meaning.above_prompt)
        known = self._taken.exact.get(selector)
        if known is None:
            self._taken.exact[selector] = exact
            row = PriceRow(self._product, meaning.quantity, price, attributes, meaning.above_prompt)
            self._taken.rows.append(row)
        elif known == exact:
            self._repeated += 1
        else:
            self._conflicts.append(PriceConflict(self._key, field, written(known), price))

    def _take_other(self, field: str, value: Any) -> None:
        """A multiplier, a fact, or something that speaks of money and that nobody knows."""
        if isinstance(value, dict):
            for name, inner in value.items():
                self._take_other(f"{field}.{name}", inner)
            return
        under = llm_fields.multiplier(field)
        if under is not None:
            self._take_multiplier(field, under, value)
        elif llm_fields.is_in_other_units(field):
            if llm_fields.is_price_like(field):
                self._count(field, OTHER_UNIT)
            self._take_fact(field, value)
        elif may_be_price(field, value):
            self._refuse(field, value, "FIELD_UNKNOWN")
        elif value is not None:
            self._take_fact(field, value)

    def _take_multiplier(self, field: str, under: tuple[str, str], value: Any) -> None:
        try:
            by = parse_price(price_text(value))
        except PriceError as error:
            self._refuse(field, value, error.reason)
            return
        attribute, name = under
        known = self._taken.multipliers.setdefault(attribute, {}).setdefault(name, by)
        if known == by:
            self._count(field, MULTIPLIES)
        else:
            self._conflicts.append(PriceConflict(self._key, field, written(known), str(value)))

    def _multiplied(self, taken: _Product) -> Iterator[PriceRow]:
        """The token prices under each combination of the product's multipliers."""
        dimensions = [
            [None, *((attribute, value, by) for value, by in sorted(choices.items()))]
            for attribute, choices in sorted(taken.multipliers.items())
        ]
        for chosen in combinations(*dimensions):
            factors = [each for each in chosen if each is not None]
            for row in taken.rows:
                if not factors or not llm_fields.is_multiplied(row.quantity):
                    continue
                numerator, denominator = parse_price(row.price)
                attributes = dict(row.attributes)
                for attribute, value, by in factors:
                    numerator, denominator = reduced(numerator * by[0], denominator * by[1])
                    attributes[attribute] = value
                price = written((numerator, denominator))
                if len(price) > PRICE_CHARS_MAX:
                    self._key = row.product
                    under = " and ".join(value for _, value, _ in factors)
                    self._refuse(f"{row.quantity} under {under}", price, "PRICE_MALFORMED")
                    continue
                yield PriceRow(row.product, row.quantity, price, attributes, row.above_prompt)

    def _take_fact(self, field: str, value: Any) -> None:
        """What a key of a size or quality says otherwise than its product bears their names."""
        name, text = llm_fields.FACT_NAMES.get(field, field), fact_text(value)
        taken, variant = self._taken, sorted(self._attributes.items())
        if variant and taken.facts.get(name, "" if taken.own_facts else text) != text:
            name += "".join(f"[{attribute}={of}]" for attribute, of in variant)
        size, most = len(text.encode(errors="replace")), FACT_VALUE_BYTES_MAX
        if size > most or len(name.encode(errors="replace")) > NAME_BYTES_MAX:
            self._refuse(field, text, "FACT_TOO_LONG")
        elif len(taken.facts) >= FACTS_MAX - 1:  # one is left for `report_either`
            self._refuse(field, text, "FACTS_TOO_MANY")
        elif taken.facts.setdefault(name, text) != text:
            self._refuse(field, text, "FACT_DIFFERS")

    def _refuse(self, field: str, value: Any, reason: str) -> None:
        if reason == "FIELD_UNKNOWN":
            self._count(field, UNKNOWN)
        self._not_imported.append(NotImported(self._key, field, fact_text(value), reason))

    def _count(self, field: str, became: str) -> None:
        self._fields.setdefault(field, FieldUse(became)).entries += 1


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of all objects within, however deep."""
    if isinstance(value, list):
        for each in value:
            yield from _members(each)
    elif isinstance(value, dict):
        for field, inner in value.items():
            if isinstance(inner, dict | list):
                yield from _members(inner)
            else:
                yield field, inner


def _with_alternatives(taken: _Product) -> dict[str, str]:
    """The facts, and which quantities of the product are one thing in several units."""
    exact = taken.exact.values()
    priced = {row.quantity for row, price in zip(taken.rows, exact, strict=True) if price[0]}
    groups = [[each for each in group if each in priced] for group in llm_fields.ALTERNATIVES]
    either = [" or ".join(group) for group in groups if len(group) > 1]
    return taken.facts | ({"report_either": "; ".join(either)} if either else {})
