"""Exact prices: a price written as text becomes a ratio of two integers, never a float (rule N2).

Owns the grammar of a price and its limits. Must not know what a card or a meter is.
"""

import re
from math import gcd

PRICE_CHARS_MAX = 80  # a price with 30 digits on both sides, an exponent, and room to spare
PRICE_EXPONENT_MAX = 40  # 10**40 and its inverse: bounds the integers that one price can make

_PLAIN = re.compile(r"[0-9]{1,39}(?:\.[0-9]{1,39})?", re.ASCII)  # as nearly all are written
_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?", re.ASCII)
_RATIO = re.compile(r"([0-9]+)/([0-9]+)", re.ASCII)


class PriceError(ValueError):
    """A text is not a price. ``reason`` is stable: PRICE_NEGATIVE or PRICE_MALFORMED."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_plain_price(text: str) -> bool:
    """Whether a text is certainly a price: a decimal without an exponent. Costs a third of
    ``parse_price``; what is not plain may be a price all the same."""
    return _PLAIN.fullmatch(text) is not None


def parse_price(text: str) -> tuple[int, int]:
    """The price as (numerator, denominator), reduced, denominator >= 1 (rule N2).

    Accepts a decimal ("0.0000025", "2.5e-06") or a ratio ("1/3"), never signed. At most
    ``PRICE_CHARS_MAX`` characters and exponents within ±``PRICE_EXPONENT_MAX``.
    Raises PriceError.
    """
    if _PLAIN.fullmatch(text) is not None:
        whole, _, fraction = text.partition(".")
        return _shifted(int(whole + fraction), -len(fraction))
    if len(text) > PRICE_CHARS_MAX:
        raise PriceError(
            "PRICE_MALFORMED", f"a price has at most {PRICE_CHARS_MAX} characters, not {len(text)}"
        )
    if text.startswith("-"):
        raise PriceError("PRICE_NEGATIVE", f"price {text!r} is negative; a price is zero or more")
    decimal = _DECIMAL.fullmatch(text)
    if decimal is not None:
        whole, fraction, exponent = decimal.groups(default="")
        shift = int(exponent or "0")
        if abs(shift) > PRICE_EXPONENT_MAX:
            raise PriceError(
                "PRICE_MALFORMED", f"price {text!r} has an exponent beyond ±{PRICE_EXPONENT_MAX}"
            )
        return _shifted(int(whole + fraction), shift - len(fraction))
    ratio = _RATIO.fullmatch(text)
    if ratio is not None and int(ratio[2]) > 0:
        return reduced(int(ratio[1]), int(ratio[2]))
    raise PriceError(
        "PRICE_MALFORMED",
        f'price {text!r} is neither a decimal such as "0.0000025" nor a ratio such as "1/3"',
    )


def reduced(numerator: int, denominator: int) -> tuple[int, int]:
    """The same ratio in lowest terms."""
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def written(ratio: tuple[int, int]) -> str:
    """The ratio as the text of a price: a decimal where it ends, else "n/d" in lowest terms."""
    numerator, denominator = reduced(*ratio)
    digits = 0
    rest = denominator
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        digits = max(digits, count)
    if rest != 1:
        return f"{numerator}/{denominator}"
    if not digits:
        return str(numerator)
    text = str(numerator * 10**digits // denominator).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


def scaled(price: tuple[int, int], asset_scale: int, meter_scale: int) -> tuple[int, int]:
    """A price in major units as minor units of the asset for one minor unit of the meter."""
    numerator, denominator = price
    return reduced(numerator * 10**asset_scale, denominator * 10**meter_scale)


def scaled_price(text: str, asset_scale: int, meter_scale: int) -> tuple[int, int]:
    """A price as it is written, in minor units of both: ``scaled`` of ``parse_price``, at half the
    cost for what is plain. Raises PriceError."""
    if _PLAIN.fullmatch(text) is None:
        return scaled(parse_price(text), asset_scale, meter_scale)
    whole, _, fraction = text.partition(".")
    return _shifted(int(whole + fraction), asset_scale - meter_scale - len(fraction))


def _shifted(digits: int, exponent: int) -> tuple[int, int]:
    if exponent >= 0:
        return digits * 10**exponent, 1
    denominator = 10**-exponent
    common = gcd(digits, denominator)
    return digits // common, denominator // common
