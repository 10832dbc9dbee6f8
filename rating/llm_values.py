"""Values of the public map of LLM prices as texts: prices, facts and ranges, digit for digit.

Owns what a JSON value of the map may be, given what its field is (see ``llm_fields``).
"""

import json
from decimal import Decimal
from typing import Any

from rating import llm_fields
from rating.exact import PRICE_CHARS_MAX, PRICE_EXPONENT_MAX, PriceError, parse_price, written
from rating.llm_fields import FieldPrice


def price_text(value: Any, per: int = 1) -> str:
    """A JSON value as the text of the price of one unit, exact. Raises PriceError.

    Numbers and numbers written as text are prices, of `per` units; null is PRICE_MISSING. However
    the map spells a number, the text is the same: another spelling is no other price.
    """
    if value is None:
        raise PriceError("PRICE_MISSING", "the price is null")
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PriceError("PRICE_MALFORMED", f"{value!r} is not a price")
    else:
        exact = Decimal(value)
        if abs(exact.adjusted()) > PRICE_EXPONENT_MAX:
            raise PriceError("PRICE_MALFORMED", f"{value} is beyond any price")
        text = _plain(exact)
    numerator, denominator = parse_price(text)
    price = written((numerator, denominator * per))
    if len(price) <= PRICE_CHARS_MAX:
        return price
    if per == 1:
        return text
    raise PriceError("PRICE_MALFORMED", f"{value} for {per} has too many digits")


def fact_text(value: Any) -> str:
    """A JSON value as the text of a fact: text as it is, a number digit for digit, else JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return _plain(value) if abs(value.adjusted()) <= PRICE_EXPONENT_MAX else str(value)
    return json.dumps(value, ensure_ascii=False, default=fact_text, separators=(",", ":"))


def _plain(value: Decimal) -> str:
    """A decimal without an exponent and without zeros at its end."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def words(meaning: FieldPrice, ranged: bool) -> str:
    """What a price is of: "cached_tokens mode=flex above_prompt=200000"."""
    conditions = [f"{name}={value}" for name, value in sorted(meaning.attributes.items())]
    if meaning.above_prompt:
        conditions.append(f"above_prompt={meaning.above_prompt}")
    return " ".join([meaning.quantity, *conditions, *(["by range"] if ranged else [])])


def may_be_price(field: str, value: Any) -> bool:
    """Whether a field that nobody knows holds money: by its name, and it is no word or flag."""
    named = llm_fields.is_price_like(field) or field.startswith(f"{llm_fields.SPECIFIC}.")
    if isinstance(value, bool) or not named:
        return False
    try:
        return not isinstance(value, str) or bool(parse_price(value))
    except PriceError:
        return False


def condition_of(bounds: dict[str, Any]) -> tuple[int, dict[str, str]] | None:
    """A range as (prompt above, attributes); None where it is none."""
    if len(bounds) != 1:
        return None
    ((name, limits),) = bounds.items()
    whole = [_whole(limit) for limit in limits] if isinstance(limits, list) else []
    if not whole or whole[0] is None:
        return None
    if name == "range":
        return whole[0], {}
    if len(whole) != 2 or whole[1] is None:
        return None
    return 0, {"max_results": f"{whole[0]}-{whole[1]}"}


def _whole(value: Any) -> int | None:
    """A count of tokens or results; None where the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return int(value) if 0 <= value < 2**63 and int(value) == value else None
