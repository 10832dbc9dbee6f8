"""What is wrong with a card: faults as data, and the checks that every part of a card shares.

Owns the form of a fault (its place, a stable reason, the value, what to do). Must not know what a
card is: see ``card`` and ``model_faults``.
"""

from collections.abc import Iterator

from msgspec import Struct

from rating.exact import PriceError, is_plain_price, parse_price

NAME_BYTES_MAX = 128
PLAIN_NAME_BYTES_MAX = 64  # every limit of a name is at least this


class CardFault(Struct, frozen=True):
    """One fault of a card: where, a stable reason, the value, and what to do about it."""

    path: str
    reason: str
    value: str
    message: str


class CardError(ValueError):
    """The card can't be used; ``faults`` says why, every one with its place."""

    def __init__(self, faults: list[CardFault]) -> None:
        super().__init__("; ".join(f"{f.path}: {f.message}" for f in faults[:5]))
        self.faults = faults


def is_plain_name(value: str) -> bool:
    """Whether a text is certainly a name of any length that is allowed, as nearly all are."""
    return 0 < len(value) <= PLAIN_NAME_BYTES_MAX and value.isascii()


def check_name(
    path: str, value: str, bytes_max: int = NAME_BYTES_MAX, *, empty: bool = False
) -> Iterator[CardFault]:
    """A name is valid UTF-8, not too long, and not empty unless said."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        yield CardFault(path, "NAME_NOT_UTF8", ascii(value), "the text is not valid UTF-8")
        return
    if size > bytes_max:
        message = f"{size} bytes; at most {bytes_max} are allowed"
        yield CardFault(path, "NAME_TOO_LONG", value[:bytes_max], message)
    if not value and not empty:
        yield CardFault(path, "NAME_EMPTY", value, "a name is needed here")


def check_between(path: str, value: int, low: int, high: int) -> Iterator[CardFault]:
    """A number is within its limits, both included."""
    if not low <= value <= high:
        message = f"{value} is not within {low} and {high}"
        yield CardFault(path, "NUMBER_OUT_OF_RANGE", str(value), message)


def check_count(path: str, value: int, most: int) -> Iterator[CardFault]:
    """There are not too many of something."""
    if value > most:
        yield CardFault(path, "TOO_MANY", str(value), f"{value} entries; at most {most} allowed")


def check_price(path: str, text: str) -> Iterator[CardFault]:
    """A text is an exact price, zero or more (rule N2)."""
    if is_plain_price(text):
        return
    try:
        parse_price(text)
    except PriceError as error:
        yield CardFault(path, error.reason, text, str(error))


def check_amount(path: str, text: str, asset_scale: int) -> Iterator[CardFault]:
    """A text is an amount of the card's asset that is whole in its minor units."""
    try:
        numerator, denominator = parse_price(text)
    except PriceError as error:
        yield CardFault(path, error.reason, text, str(error))
        return
    if 0 <= asset_scale <= 18 and numerator * 10**asset_scale % denominator:
        message = f"{text} is not whole at the asset's scale of {asset_scale} digits; round it"
        yield CardFault(path, "AMOUNT_NOT_WHOLE", text, message)


class RatingFault(Exception):
    """An event that can't be priced as it is. ``reason`` is stable:

    SUBSET_EXCEEDS_PARENT (rule R8), COST_MISSING, ATTRIBUTE_MISSING, ATTRIBUTE_NOT_NUMERIC,
    FORMULA_DIVISION_BY_ZERO, FORMULA_OVERFLOW, FORMULA_NEGATIVE.
    """

    def __init__(self, reason: str, message: str, quantity: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.quantity = quantity  # of the row; empty where the whole event is at fault
