"""What waits for a price, and what rated usage that had waited (rule B8)."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.state import Family

Described: TypeAlias = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""Product, attributes, names of the quantities: what many events share."""


class PackedWaiting(msgspec.Struct, array_like=True, gc=False):
    """A usage event by its locator; `described` is a place in the family's list of those."""

    locator: int
    entry_seq: int
    account: int
    effective_at: int
    described: int
    quantities: tuple[int, ...]
    places: tuple[int, ...]


class PackedRated(msgspec.Struct, array_like=True, gc=False):
    """A usage event by its locator, and the locators of what rated it."""

    locator: int
    effective_at: int
    entries: tuple[int, ...]


class PackedSuspense(msgspec.Struct, array_like=True, gc=False):
    """All of a family, in order of recording."""

    described: list[Described]
    waiting: list[PackedWaiting]
    rated: list[PackedRated]
    rated_forgotten: int


def pack_suspense(family: Family, rated_before: int) -> PackedSuspense:
    """What was rated of usage effective by then is left out: it is forgotten."""
    places: dict[Described, int] = {}
    waiting = [
        PackedWaiting(
            locator,
            each.entry_seq,
            each.account,
            each.effective_at,
            places.setdefault(each.described, len(places)),
            each.quantities,
            each.places,
        )
        for locator, each in family.waiting.items()
    ]
    rated = [
        PackedRated(locator, each.effective_at, each.entries)
        for locator, each in family.remembered_rated(rated_before).items()
    ]
    return PackedSuspense(list(places), waiting, rated, family.rated_forgotten)


def unpack_suspense(family: Family, packed: PackedSuspense) -> None:
    for each in packed.waiting:
        product, attributes, quantity_names = packed.described[each.described]
        family.waiting[each.locator] = Waiting(
            each.account,
            each.entry_seq,
            each.effective_at,
            product,
            attributes,
            quantity_names,
            each.quantities,
            each.places,
        )
    for past in packed.rated:
        family.rated[past.locator] = Rated(past.effective_at, past.entries)
    family.rated_forgotten = packed.rated_forgotten
