"""What the world sells: two assets, two rate cards, and variants of them to publish later.

Owns both forms of each card: the one that is published, and the naive one of Fractions that the
model prices with. Must not price anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from rating.card import (
    ExpiryPolicy,
    Meter,
    PriceRow,
    Product,
    RateCard,
    Rounding,
    canonical_bytes,
    content_hash,
)

CREDITS: Final = "credits"  # scale 0
USD: Final = "USD"  # scale 2
ASSETS: Final = ((CREDITS, 0, "credit"), (USD, 2, "money"))
CARDS: Final = (("default", CREDITS, 0), ("dollars", USD, 2))
VARIANTS: Final = 6  # those that operations publish; one more says farewell

METERS: Final = (Meter("tokens"), Meter("input"), Meter("cached", subset_of="input"))
SUBSETS: Final = {"cached": "input"}
PRODUCTS: Final[dict[str, tuple[str, ...]]] = {
    "chat": ("tokens",),
    "half": ("tokens",),
    "gpt": ("cached", "input"),
    "mystery": ("tokens",),
}
"""Product -> names of the quantities that its events carry, sorted."""


@dataclass(frozen=True)
class Prices:
    """A card as the model sees it: (product, quantity) -> minor units for one, exact."""

    rows: dict[tuple[str, str], Fraction]
    rounding: Rounding
    tags: dict[str, tuple[str, ...]]  # of products
    charged: tuple[str, ...]  # products whose holds are charged when they expire (rule H2)
    batch: tuple[str, ...]  # products whose holds may live for 35 days (rule H1)


def _table(variant: int) -> dict[tuple[str, str], Fraction]:
    rows = {
        ("chat", "tokens"): Fraction(1 + variant),
        ("half", "tokens"): Fraction(2 * variant + 1, 2 + variant % 2),
        ("gpt", "input"): Fraction(2 + variant),
        ("gpt", "cached"): Fraction(1, 3),
    }
    if variant >= 3:
        rows["mystery", "tokens"] = Fraction(2)
    return rows


def _rounding(variant: int) -> Rounding:
    return Rounding.UP if variant % 3 == 2 else Rounding.HALF_EVEN


def _terms(variant: int) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    """Tags of products, whose holds are charged, whose live long: of every other variant."""
    if variant % 2 == 0:
        return {}, (), ()
    return {"chat": ("text",), "gpt": ("text",), "half": ("work",)}, ("gpt", "half"), ("half",)


def card(name: str, asset: str, scale: int, variant: int) -> RateCard:
    """The card to publish."""
    rows = tuple(
        PriceRow(product=product, quantity=quantity, price=str(price / 10**scale))
        for (product, quantity), price in _table(variant).items()
    )
    tags, charged, batch = _terms(variant)
    return RateCard(
        name=name,
        asset=asset,
        asset_scale=scale,
        meters=METERS,
        rows=rows,
        products=tuple(
            Product(
                product,
                hold_expiry=ExpiryPolicy.CHARGE if product in charged else ExpiryPolicy.RELEASE,
                batch=product in batch,
                tags=tags[product],
            )
            for product in tags
        ),
        rounding=_rounding(variant),
        prompt_quantity="input",
    )


def _naive() -> dict[bytes, Prices]:
    return {
        content_hash(canonical_bytes(card(*named, variant))): Prices(
            _table(variant), _rounding(variant), *_terms(variant)
        )
        for named in CARDS
        for variant in range(VARIANTS + 1)
    }


NAIVE: Final = _naive()
"""Content hash of every card that may be published -> what the model makes of it."""
