"""What is wrong with overrides: every fault with its place and a stable reason.

Owns the checks of an override alone, beside the card that it is to change, and beside the others of
its list. An override that ``fits`` a card compiles without an error.
"""

from collections.abc import Iterator

from rating.card import (
    ANY,
    ATTRIBUTE_NAME_BYTES_MAX,
    ATTRIBUTE_VALUE_BYTES_MAX,
    ATTRIBUTES_MAX,
    PRIORITY_MAX,
    RateCard,
    is_plain,
)
from rating.exact import PriceError, parse_price
from rating.faults import CardFault, check_between, check_count, check_name, check_price
from rating.model_faults import check_terms
from rating.overrides import OVERRIDES_MAX, Multiplier, Override, Overwrite, row_for

UNTIL_MAX_US = 2**63 - 1


def override_faults(overrides: tuple[Override, ...], card: RateCard | None) -> list[CardFault]:
    """Every fault of a list of overrides of this card; None = no card is published yet."""
    found: list[CardFault] = [*check_count("overrides", len(overrides), OVERRIDES_MAX)]
    same = _same_before(overrides)
    for index, override in enumerate(overrides[:OVERRIDES_MAX]):
        path = f"overrides[{index}]"
        found += _alone(path, override)
        found += beside_card(path, override, card)
        found += _ties(path, override, index, same)
    return found


def faults_alone(overrides: tuple[Override, ...]) -> list[CardFault]:
    """Every fault of a list of overrides whatever card they are of."""
    found: list[CardFault] = []
    same = _same_before(overrides)
    for index, override in enumerate(overrides[:OVERRIDES_MAX]):
        path = f"overrides[{index}]"
        found += _alone(path, override)
        found += _ties(path, override, index, same)
    return found


def beside_card(path: str, override: Override, card: RateCard | None) -> Iterator[CardFault]:
    """What is wrong with an override as one of this card; None = no card is published yet."""
    if card is None:
        message = "no version of the account's rate card is published; publish one first"
        yield CardFault(path, "RATE_CARD_UNKNOWN", override.product, message)
        return
    yield from _beside(path, override, card)
    if isinstance(override.change, Multiplier) and not _any_row(override, card):
        message = "the card has no such price to be multiplied; overwrite it instead"
        yield CardFault(path, "NOTHING_TO_MULTIPLY", override.product, message)


def _same_before(overrides: tuple[Override, ...]) -> list[int]:
    """For each the place of the first that is alike in what decides which counts."""
    seen: dict[object, int] = {}
    return [
        seen.setdefault(_in_every_respect(override), index)
        for index, override in enumerate(overrides[:OVERRIDES_MAX])
    ]


def _ties(path: str, override: Override, index: int, same: list[int]) -> Iterator[CardFault]:
    if same[index] != index:
        message = f"neither counts before overrides[{same[index]}]; give one another priority"
        yield CardFault(path, "OVERRIDE_TIE", override.product, message)


def fits(override: Override, card: RateCard) -> bool:
    """Whether an override can change prices of that card: it is in its asset, and of its meters."""
    return next(_beside("", override, card), None) is None


def _alone(path: str, override: Override) -> Iterator[CardFault]:
    yield from check_name(f"{path}.product", override.product)
    yield from check_name(f"{path}.quantity", override.quantity)
    yield from check_count(f"{path}.attributes", len(override.attributes), ATTRIBUTES_MAX)
    for name, value in override.attributes.items():
        place = f"{path}.attributes[{name!r}]"
        yield from check_name(place, name, ATTRIBUTE_NAME_BYTES_MAX)
        yield from check_name(place, value, ATTRIBUTE_VALUE_BYTES_MAX, empty=True)
    yield from check_between(f"{path}.priority", override.priority, -PRIORITY_MAX, PRIORITY_MAX)
    since, until = override.effective_from_us, override.effective_until_us
    yield from check_between(f"{path}.effective_from_us", since, 0, UNTIL_MAX_US)
    yield from check_between(f"{path}.effective_until_us", until, 0, UNTIL_MAX_US)
    if 0 < until <= since:
        message = f"it would end at {until}, before it begins at {since}"
        yield CardFault(f"{path}.effective_until_us", "END_INVALID", str(until), message)
    if isinstance(override.change, Multiplier):
        yield from check_price(f"{path}.change.ratio", override.change.ratio)
    else:
        yield from check_name(f"{path}.change.asset", override.change.asset)


def _beside(path: str, override: Override, card: RateCard) -> Iterator[CardFault]:
    change, quantity = override.change, override.quantity
    scales = {meter.quantity: meter.scale for meter in card.meters}
    multiplies = isinstance(change, Multiplier)
    if quantity not in scales and not (multiplies and quantity == ANY):
        message = f"{quantity!r} is not a meter of card {card.name!r}"
        if quantity == ANY:
            message = "a price is for one quantity; only a multiplier may be for any"
        yield CardFault(f"{path}.quantity", "QUANTITY_UNKNOWN", quantity, message)
        return
    if isinstance(change, Multiplier):
        return
    if change.asset != card.asset:
        message = f"card {card.name!r} charges in {card.asset!r}; say the price in that"
        yield CardFault(f"{path}.change.asset", "ASSET_DIFFERS", change.asset, message)
        return
    row = row_for(override)
    if row.model is None:
        yield from check_price(f"{path}.change.price", row.price)
    if not is_plain(row):
        yield from check_terms(f"{path}.change", row, card.asset_scale, scales)


def _any_row(override: Override, card: RateCard) -> bool:
    """Whether some event has a price of the card's that the override would multiply."""
    for row in card.rows:
        products = ANY in (override.product, row.product) or override.product == row.product
        if products and override.quantity in (ANY, row.quantity):
            wanted = override.attributes
            if all(
                ANY in (value, wanted.get(name, ANY)) or wanted[name] == value
                for name, value in row.attributes.items()
            ):
                return True
    return False


def _in_every_respect(override: Override) -> object:
    change = override.change
    kind: object = type(change) is Overwrite
    if isinstance(change, Multiplier):
        try:
            kind = parse_price(change.ratio)
        except PriceError:
            kind = change.ratio
    elif not isinstance(change, Overwrite):
        kind = "tiered"
    return (
        override.product,
        override.quantity,
        frozenset(override.attributes.items()),
        kind,
        override.priority,
        override.effective_from_us,
    )
