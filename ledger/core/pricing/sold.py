"""What a package and a contract say of an account's prices, as state (rules R4, P2, P5).

Overrides stand in lists, a contract's before the account's own and those before a package's (rule
R4); what is not sold to everybody is sold in windows of time. What has ended stays for as long as
late usage may need it (rule D5). Only `evolve` changes an account's.
"""

from __future__ import annotations

from typing import Final

import msgspec

from rating.overrides import NEVER_US, Layer, NumberedOverride, SetOverride, SoldProducts


class Sold(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Beside an account's own overrides; an account without either has none of it."""

    package: Layer = ()
    contract: Layer = ()
    products: tuple[SoldProducts, ...] = ()  # by its package, one window after the other


NOTHING_SOLD: Final = Sold()


def standing(layer: Layer) -> tuple[NumberedOverride, ...]:
    """Those of a list that are not taken back."""
    return tuple([each.numbered for each in layer if each.ended_at_us == NEVER_US])


def products_sold(sold: Sold | None) -> tuple[str, ...]:
    """The products that its package sells to an account now."""
    if sold is None or not sold.products or sold.products[-1].until_us != NEVER_US:
        return ()
    return sold.products[-1].products


def replaced(
    layer: Layer, numbered: tuple[NumberedOverride, ...], at_us: int, before_us: int
) -> Layer:
    """The list where these stand from an instant on: as before where they stood already. What was
    taken back by `before_us` is forgotten."""
    found = {each.numbered.number: each for each in layer if each.ended_at_us == NEVER_US}
    numbers = {each.number for each in numbered}
    kept = [each.ended(at_us) if each.numbered.number not in numbers else None for each in layer]
    ended = [each for each in kept if each is not None and each.ended_at_us > before_us]
    return (
        *ended,
        *[found.get(each.number) or SetOverride(each, at_us) for each in numbered],
    )


def selling(
    sold: tuple[SoldProducts, ...], products: tuple[str, ...], at_us: int, before_us: int
) -> tuple[SoldProducts, ...]:
    """The windows where these products are sold from an instant on."""
    if sold and sold[-1].until_us == NEVER_US and sold[-1].products == products:
        return sold
    ended = [each.ended(at_us) for each in sold]
    kept = tuple([each for each in ended if each.until_us > before_us])
    return (*kept, SoldProducts(products, at_us)) if products else kept
