"""Rate cards as data: what is metered, what is sold, and what each costs.

Owns the facts (meters, products, price rows), their canonical bytes and hash, and every check
that a card passes before it may be published; what models and hours say is checked by
``model_faults``. Must not price anything: see ``compile``.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import blake2b

import msgspec
from msgspec import Struct

from rating.exact import is_plain_price
from rating.faults import NAME_BYTES_MAX as NAME_BYTES_MAX
from rating.faults import CardError as CardError
from rating.faults import CardFault as CardFault
from rating.faults import check_between, check_count, check_name, check_price, is_plain_name
from rating.model_faults import check_minimums, check_terms
from rating.models import (
    FORMULAS_MAX,
    MINIMUMS_MAX,
    Formula,
    Hours,
    Minimum,
    Model,
    Scope,
    with_defaults,
)

ROWS_MAX = 65_536  # x ~100 B = 6.5 MB, under half of a 16 MiB message
METERS_MAX = 1_024
PRODUCTS_MAX = 65_536
TAGS_MAX = 16  # a product
FACTS_MAX = 128  # a product
FACT_VALUE_BYTES_MAX = 1_024
ATTRIBUTES_MAX = 16
ATTRIBUTE_NAME_BYTES_MAX = 64
ATTRIBUTE_VALUE_BYTES_MAX = 128
HOURS_MAX = 64  # distinct conditions a card: bits of a time class
SCALE_MAX = 18  # 10**18 is the last power of ten that fits int64
ABOVE_PROMPT_MAX = 2**63 - 1
PRIORITY_MAX = 2**31 - 1
ANY = "*"
NO_ATTRIBUTES: frozenset[tuple[str, str]] = frozenset()
PROMPT_QUANTITY = "input_tokens"
OUTCOME_WAIT_MAX_US = 365 * 86_400 * 1_000_000
"""With the 35 days that a report may be late, what confirms itself may still be corrected."""


class Rounding(StrEnum):
    """How a line becomes whole minor units (rule N2)."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    UP = "up"
    DOWN = "down"


class Meter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A quantity that events carry, in minor units of 10**-scale.

    ``subset_of`` names the quantity that this one is part of (cached tokens are input tokens);
    the parent is priced without it, so that nothing is charged twice (rule R8). Subsets of one
    parent never overlap.
    """

    quantity: str
    scale: int = 0
    subset_of: str = ""


class ExpiryPolicy(StrEnum):
    """What becomes of a hold that nobody settles in time (rule H2)."""

    RELEASE = "release"  # all that it reserves goes back
    CHARGE = "charge"  # what was estimated and not captured is charged


class OutcomeTimeout(StrEnum):
    """What becomes of a reported outcome that nobody confirms or rejects in time."""

    CONFIRM = "confirm"  # it is charged
    CANCEL = "cancel"  # it is rejected, and nothing is charged


class Outcome(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """That a product is sold by result: its work pends until somebody confirms the result.

    ``confirm_after_us``: how long from its report, in microseconds, until ``on_timeout`` says what
    becomes of it; 0 = it pends until somebody says.
    """

    confirm_after_us: int = 0
    on_timeout: OutcomeTimeout = OutcomeTimeout.CONFIRM


class Product(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something sold, with the name that people read, and the terms of holds for it.

    ``batch``: its holds may live for 35 days from their authorisation, others for one (rule H1).
    ``facts`` are what a buyer asks beside the price (provider, context limit, latency class): they
    stand on the price sheet and charge nothing. ``entitled``: sold to every account (rule P2);
    one that is not is sold to accounts with an explicit entitlement alone. ``provider`` is who is
    paid for it, where the card is one of costs; without one, whoever the card is named after (B4).
    ``outcome``: it is sold by result; its work is reported, and charged once that is confirmed.
    """

    product: str
    display_name: str = ""
    hold_expiry: ExpiryPolicy = ExpiryPolicy.RELEASE
    batch: bool = False
    tags: tuple[str, ...] = ()  # grants may apply to products by tag
    facts: dict[str, str] = {}
    entitled: bool = True
    provider: str = ""
    outcome: Outcome | None = None


class PriceRow(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One price, and when it applies (rule R3).

    ``product`` "*" is any product; ``attributes`` {} is any event, and a value "*" asks only that
    the attribute is present. ``above_prompt`` N > 0: only where the event's own prompt quantity,
    subsets included, is strictly above N. ``price`` is exact, "0.0000025" or "1/3": major units
    of the card's asset for one major unit of the meter. Zero is free, which is not unpriced.

    ``model`` says something else than one price for every unit; ``price`` is then empty. Its total
    runs over ``scope`` (rule R1); the first ``included`` minor units of the meter are free in it,
    and no more than ``maximum`` is charged in it (rule R2). ``hours`` is a condition on the event's
    time. ``list_price`` is what the rest costs that a commitment does not pay (rule R9).
    """

    product: str
    quantity: str
    price: str
    attributes: dict[str, str] = {}
    above_prompt: int = 0
    priority: int = 0
    model: Model | None = None
    scope: Scope = Scope.MONTH
    included: int = 0
    maximum: str = ""
    list_price: str = ""
    hours: Hours | None = None


class RateCard(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole rate card. Rows keep their order: a later one wins where all else is equal.

    ``cost_card`` names the card of what the providers take for the same work (rule B4): one of the
    same form, in the money that they are paid in. Empty = costs are not known.
    ``contract_required``: it prices usage only of the time in which an account has a package or a
    contract, or one above it has (rule B8).
    """

    name: str
    asset: str
    asset_scale: int
    meters: tuple[Meter, ...]
    rows: tuple[PriceRow, ...]
    products: tuple[Product, ...] = ()
    rounding: Rounding = Rounding.HALF_EVEN
    prompt_quantity: str = PROMPT_QUANTITY
    minimums: tuple[Minimum, ...] = ()
    cost_card: str = ""
    contract_required: bool = False


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(RateCard)


def canonical_bytes(card: RateCard) -> bytes:
    """The card as msgpack, the same bytes for the same card for ever (defaults left out)."""
    if card.prompt_quantity == PROMPT_QUANTITY:  # msgspec knows a default text by identity alone
        card = msgspec.structs.replace(card, prompt_quantity=PROMPT_QUANTITY)
    if any(row.hours is not None for row in card.rows):
        card = msgspec.structs.replace(card, rows=tuple(map(_with_defaults, card.rows)))
    return _encoder.encode(card)


def _with_defaults(row: PriceRow) -> PriceRow:
    hours = row.hours
    return row if hours is None else msgspec.structs.replace(row, hours=with_defaults(hours))


def content_hash(body: bytes) -> bytes:
    """BLAKE2b-256 of canonical bytes: the name by which a card's body is stored."""
    return blake2b(body, digest_size=32).digest()


def decode_card(body: bytes) -> RateCard:
    """The card of these bytes. Raises CardError (reason CARD_MALFORMED)."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error) from error


def malformed(error: Exception) -> CardError:
    """What to raise where bytes are no card."""
    fault = CardFault("", "CARD_MALFORMED", "", f"these bytes are not a rate card: {error}")
    return CardError([fault])


def validate(card: RateCard) -> list[CardFault]:
    """Every fault of the card with its place; an empty list means that it can be published."""
    return [
        *_validate_head(card),
        *_validate_meters(card),
        *_validate_products(card),
        *_validate_rows(card),
        *_validate_minimums(card),
    ]


def validate_succession(earlier: RateCard, later: RateCard) -> list[CardFault]:
    """Faults of a new version beside an earlier one: scales never change (rule N1)."""
    faults = []
    if later.asset != earlier.asset:
        message = f"the card is in {earlier.asset!r}; another asset needs another card"
        faults.append(CardFault("asset", "ASSET_CHANGED", later.asset, message))
    elif later.asset_scale != earlier.asset_scale:
        faults.append(_scale_changed("asset_scale", later.asset_scale, earlier.asset_scale))
    before = {meter.quantity: meter.scale for meter in earlier.meters}
    for index, meter in enumerate(later.meters):
        if before.get(meter.quantity, meter.scale) != meter.scale:
            path = f"meters[{index}].scale"
            faults.append(_scale_changed(path, meter.scale, before[meter.quantity]))
    return faults


def _scale_changed(path: str, value: int, before: int) -> CardFault:
    message = f"the scale was {before} and never changes; use another name for another scale"
    return CardFault(path, "SCALE_CHANGED", str(value), message)


def _validate_head(card: RateCard) -> Iterator[CardFault]:
    yield from check_name("name", card.name)
    yield from check_name("asset", card.asset)
    yield from _scale("asset_scale", card.asset_scale)
    if card.cost_card:
        yield from check_name("cost_card", card.cost_card)
    declared = {meter.quantity for meter in card.meters}
    if card.prompt_quantity not in declared and any(row.above_prompt > 0 for row in card.rows):
        yield CardFault(
            "prompt_quantity",
            "QUANTITY_UNKNOWN",
            card.prompt_quantity,
            f"rows depend on the prompt's size, but {card.prompt_quantity!r} is not a meter",
        )


def _validate_meters(card: RateCard) -> Iterator[CardFault]:
    yield from check_count("meters", len(card.meters), METERS_MAX)
    parents = {meter.quantity: meter.subset_of for meter in card.meters}
    seen: set[str] = set()
    for index, meter in enumerate(card.meters):
        path = f"meters[{index}]"
        yield from check_name(f"{path}.quantity", meter.quantity)
        yield from _scale(f"{path}.scale", meter.scale)
        if meter.quantity in seen:
            message = f"meter {meter.quantity!r} is declared twice; remove one"
            yield CardFault(f"{path}.quantity", "METER_DUPLICATE", meter.quantity, message)
        seen.add(meter.quantity)
        if meter.subset_of:
            yield from _subset(f"{path}.subset_of", meter, card.meters, parents)


def _subset(
    path: str, meter: Meter, meters: tuple[Meter, ...], parents: Mapping[str, str]
) -> Iterator[CardFault]:
    parent = meter.subset_of
    if parent not in parents:
        message = f"{meter.quantity!r} is a subset of {parent!r}, which is not a meter; declare it"
        yield CardFault(path, "SUBSET_PARENT_UNKNOWN", parent, message)
        return
    if any(other.quantity == parent and other.scale != meter.scale for other in meters):
        message = (
            f"{meter.quantity!r} and its parent {parent!r} have different scales; give both one"
        )
        yield CardFault(path, "SUBSET_SCALE_DIFFERS", parent, message)
    above, steps = parent, 0
    while above and above != meter.quantity and steps <= len(parents):
        above, steps = parents.get(above, ""), steps + 1
    if above == meter.quantity:
        message = f"{meter.quantity!r} is, over {parent!r}, a subset of itself"
        yield CardFault(path, "SUBSET_CYCLE", parent, message)


def _validate_products(card: RateCard) -> Iterator[CardFault]:
    yield from check_count("products", len(card.products), PRODUCTS_MAX)
    seen: set[str] = set()
    for index, product in enumerate(card.products):
        path = f"products[{index}].product"
        yield from check_name(path, product.product)
        if product.product == ANY:
            message = 'the name "*" stands for any product in a price row; a product needs its own'
            yield CardFault(path, "NAME_RESERVED", ANY, message)
        for place, tag in enumerate(product.tags):
            yield from check_name(f"products[{index}].tags[{place}]", tag)
        if len(product.tags) > TAGS_MAX:
            message = f"a product bears at most {TAGS_MAX} tags"
            yield CardFault(f"products[{index}].tags", "TOO_MANY", str(len(product.tags)), message)
        if product.provider:
            yield from check_name(f"products[{index}].provider", product.provider)
        if product.outcome is not None:
            path_of_wait = f"products[{index}].outcome.confirm_after_us"
            wait = product.outcome.confirm_after_us
            yield from check_between(path_of_wait, wait, 0, OUTCOME_WAIT_MAX_US)
        if product.facts:
            yield from _facts(f"products[{index}].facts", product.facts)
        if product.product in seen:
            message = f"product {product.product!r} is declared twice; remove one"
            yield CardFault(path, "PRODUCT_DUPLICATE", product.product, message)
        seen.add(product.product)


def _validate_rows(card: RateCard) -> Iterator[CardFault]:
    yield from check_count("rows", len(card.rows), ROWS_MAX)
    scales = {meter.quantity: meter.scale for meter in card.meters}
    hours = {row.hours for row in card.rows if row.hours is not None}
    yield from check_count("rows.hours", len(hours), HOURS_MAX)
    formulas = {row.model.expression for row in card.rows if isinstance(row.model, Formula)}
    if len(formulas) > FORMULAS_MAX:  # nothing is parsed then
        yield from check_count("rows.model.expression", len(formulas), FORMULAS_MAX)
        return
    seen: dict[object, int] = {}
    for index, row in enumerate(card.rows[:ROWS_MAX]):
        path = f"rows[{index}]"
        if not is_plain_name(row.product):
            yield from check_name(f"{path}.product", row.product)
        if row.quantity not in scales:
            message = f"{row.quantity!r} is not a meter of this card; declare it"
            yield CardFault(f"{path}.quantity", "QUANTITY_UNKNOWN", row.quantity, message)
        if row.model is None and not is_plain_price(row.price):
            yield from check_price(f"{path}.price", row.price)
        if row.hours is not None or not is_plain(row):
            yield from check_terms(path, row, card.asset_scale, scales)
        if row.attributes:
            yield from _attributes(f"{path}.attributes", row.attributes)
        if row.above_prompt:
            yield from check_between(f"{path}.above_prompt", row.above_prompt, 0, ABOVE_PROMPT_MAX)
        if row.priority:
            yield from check_between(f"{path}.priority", row.priority, -PRIORITY_MAX, PRIORITY_MAX)
        selector = selector_of(row)
        if seen.setdefault(selector, index) != index:
            message = f"the row says the same as rows[{seen[selector]}]; remove one of them"
            yield CardFault(path, "ROW_TIE", row.product, message)


def is_plain(row: PriceRow) -> bool:
    """Whether a row is one price for every unit and nothing else, as most are."""
    return (
        row.model is None
        and not row.included
        and not row.maximum
        and not row.list_price
        and row.scope is Scope.MONTH
    )


def selector_of(row: PriceRow) -> object:
    """What a row applies to: no two rows of a card have the same, and those of later versions that
    do go on with its running total."""
    attributes = frozenset(row.attributes.items()) if row.attributes else NO_ATTRIBUTES
    return (row.product, row.quantity, attributes, row.above_prompt, row.priority, row.hours)


def _attributes(path: str, attributes: Mapping[str, str]) -> Iterator[CardFault]:
    yield from check_count(path, len(attributes), ATTRIBUTES_MAX)
    for name, value in attributes.items():
        if not is_plain_name(name):
            yield from check_name(f"{path}[{name!r}]", name, ATTRIBUTE_NAME_BYTES_MAX)
        if not is_plain_name(value):
            yield from check_name(f"{path}[{name!r}]", value, ATTRIBUTE_VALUE_BYTES_MAX, empty=True)


def _facts(path: str, facts: Mapping[str, str]) -> Iterator[CardFault]:
    yield from check_count(path, len(facts), FACTS_MAX)
    for name, value in facts.items():
        yield from check_name(f"{path}[{name!r}]", name)
        yield from check_name(f"{path}[{name!r}]", value, FACT_VALUE_BYTES_MAX, empty=True)


def _scale(path: str, value: int) -> Iterator[CardFault]:
    if not 0 <= value <= SCALE_MAX:
        message = f"scale {value} is not within 0 and {SCALE_MAX}"
        yield CardFault(path, "SCALE_OUT_OF_RANGE", str(value), message)


def _validate_minimums(card: RateCard) -> Iterator[CardFault]:
    yield from check_count("minimums", len(card.minimums), MINIMUMS_MAX)
    if card.minimums:
        quantities = {meter.quantity for meter in card.meters}
        yield from check_minimums(card.minimums, card.rows, card.asset_scale, quantities)
