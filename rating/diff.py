"""What differs between two rate cards, and what applying the difference gives.

Owns the comparison: rows by what they match, products and meters by name, the head of the card
field by field, each in a stable order; and the judgement which moves of a price are large. Pure.
Both cards have passed ``card.validate``, so that no two of their parts have the same key.

``apply(diff(a, b), a)`` is b to the byte: parts keep their places, because the later of two equal
rows wins (rule R3). What neither came nor went nor moved stands in the order that it had.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from rating.card import Meter, PriceRow, Product, RateCard
from rating.exact import parse_price, written

LARGE_FACTOR: Final = "10"  # a price that moves by more is asked about: a unit may be misread

_LISTS: Final = ("meters", "products", "rows")
_HEAD: Final = tuple(name for name in RateCard.__struct_fields__ if name not in _LISTS)

T = TypeVar("T", bound=Struct)


class Placed(Struct, Generic[T], frozen=True):
    """A part, and its place in the later card."""

    place: int
    part: T


class Changed(Struct, Generic[T], frozen=True):
    """A part of both cards that does not say the same in both."""

    before: T
    after: T


class Changes(Struct, Generic[T], frozen=True):
    """What became of one list of a card. Sorted by key."""

    added: tuple[Placed[T], ...] = ()
    removed: tuple[T, ...] = ()
    changed: tuple[Changed[T], ...] = ()
    moved: tuple[Placed[T], ...] = ()  # to another place among those of both cards

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.moved)


class HeadChange(Struct, frozen=True):
    """A field of the card itself: its name, asset, scale, rounding, prompt quantity ..."""

    field: str
    before: Any
    after: Any


class CardDiff(Struct, frozen=True):
    """The difference of a later card from an earlier one; empty is false."""

    head: tuple[HeadChange, ...] = ()
    meters: Changes[Meter] = Changes()
    products: Changes[Product] = Changes()
    rows: Changes[PriceRow] = Changes()

    def __bool__(self) -> bool:
        return bool(self.head or self.meters or self.products or self.rows)


def diff(earlier: RateCard, later: RateCard) -> CardDiff:
    """What the later card says otherwise than the earlier one."""
    return CardDiff(
        head=tuple(
            HeadChange(name, getattr(earlier, name), getattr(later, name))
            for name in _HEAD
            if getattr(earlier, name) != getattr(later, name)
        ),
        meters=_changes(earlier.meters, later.meters, _meter_key),
        products=_changes(earlier.products, later.products, _product_key),
        rows=_changes(earlier.rows, later.rows, row_key),
    )


def apply(change: CardDiff, earlier: RateCard) -> RateCard:
    """The later card, given the earlier one of the same diff."""
    head = {each.field: each.after for each in change.head}
    return msgspec.structs.replace(
        earlier,
        meters=_applied(change.meters, earlier.meters, _meter_key),
        products=_applied(change.products, earlier.products, _product_key),
        rows=_applied(change.rows, earlier.rows, row_key),
        **head,
    )


def ratio(before: str, after: str) -> str | None:
    """The later price over the earlier one, exact; None where the earlier is zero.

    "1.25" is a quarter more; a ratio that has no end as a decimal is written "4/3".
    """
    (old, old_of), (new, new_of) = parse_price(before), parse_price(after)
    return written((new * old_of, new_of * old)) if old else None


def moved_by(row: Changed[PriceRow]) -> str | None:
    """By what the price of a row was multiplied; None where it was free, or a model says it."""
    if row.before.model is not None or row.after.model is not None:
        return None
    return ratio(row.before.price, row.after.price)


def large_moves(change: CardDiff, factor: str = LARGE_FACTOR) -> list[Changed[PriceRow]]:
    """Rows whose price rose or fell by more than this factor, or to or from zero.

    So too where more than the price differs, a model for one: nothing says by how much.
    """
    most = Fraction(*parse_price(factor))
    return [row for row in change.rows.changed if _is_large(row, most)]


def _is_large(row: Changed[PriceRow], most: Fraction) -> bool:
    if msgspec.structs.replace(row.before, price=row.after.price) != row.after:
        return True
    old, new = Fraction(*parse_price(row.before.price)), Fraction(*parse_price(row.after.price))
    return new > old * most or old > new * most


def row_key(row: PriceRow) -> tuple[Any, ...]:
    """What a row matches, ``card.selector_of`` in an order: no two rows of a card have the same."""
    attributes = tuple(sorted(row.attributes.items()))
    hours = () if row.hours is None else msgspec.structs.astuple(row.hours)
    return row.product, row.quantity, attributes, row.above_prompt, row.priority, hours


def _meter_key(meter: Meter) -> str:
    return meter.quantity


def _product_key(product: Product) -> str:
    return product.product


def _changes(before: Sequence[T], after: Sequence[T], key: Callable[[T], Any]) -> Changes[T]:
    old = {key(part): part for part in before}
    new = {key(part): (place, part) for place, part in enumerate(after)}
    assert len(old) == len(before) and len(new) == len(after), "the cards are valid: keys differ"
    kept = [each for each in old if each in new]
    ranks = {each: rank for rank, each in enumerate(each for each in new if each in old)}
    still = _longest_ascending([ranks[each] for each in kept])
    moved = [each for each in kept if ranks[each] not in still]
    return Changes(
        added=tuple(Placed(*new[each]) for each in sorted(new.keys() - old.keys())),
        removed=tuple(old[each] for each in sorted(old.keys() - new.keys())),
        changed=tuple(
            Changed(old[each], new[each][1]) for each in sorted(kept) if old[each] != new[each][1]
        ),
        moved=tuple(Placed(*new[each]) for each in sorted(moved)),
    )


def _applied(changes: Changes[T], before: Sequence[T], key: Callable[[T], Any]) -> tuple[T, ...]:
    placed: dict[int, T] = {each.place: each.part for each in (*changes.added, *changes.moved)}
    gone: set[Hashable] = {key(part) for part in changes.removed}
    gone.update(key(each.part) for each in changes.moved)
    now: dict[Hashable, T] = {key(each.after): each.after for each in changes.changed}
    still = (now.get(key(part), part) for part in before if key(part) not in gone)
    size = len(before) - len(changes.removed) + len(changes.added)
    return tuple(placed[place] if place in placed else next(still) for place in range(size))


def _longest_ascending(ranks: Iterable[int]) -> set[int]:
    """The members of a longest ascending run among distinct numbers, in n log n steps."""
    ends: list[int] = []  # the least end of a run of each length
    before: dict[int, int | None] = {}
    for rank in ranks:
        place = bisect_left(ends, rank)
        before[rank] = ends[place - 1] if place else None
        ends[place : place + 1] = [rank]
    found: set[int] = set()
    last: int | None = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found
