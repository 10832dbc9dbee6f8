"""What a card's minimums count: which of them a line belongs to, and whose total it is (rule R2).

A minimum's total is the sum of what was charged for its scope in a period; the ledger keeps it like
the running total of a row. It goes on over versions of the card that have the same minimum, so its
key is made of names, not of places in a version. Pure.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

from rating.models import Minimum, MinimumScope

ALL_LINES: Final = -1

# (key of the total, place of the quantity whose line counts in it, ALL_LINES = each of them)
Counted = tuple[int, int]

SCOPE_NUMBERS: Final[dict[MinimumScope, int]] = {
    MinimumScope.LINE: 1,
    MinimumScope.PRODUCT: 2,
    MinimumScope.ACCOUNT: 3,
    MinimumScope.CONTRACT: 4,
}
"""As entries say them, inner ones first: that is the order in which they fall due."""


_OF_ALL: Final = (MinimumScope.ACCOUNT, MinimumScope.CONTRACT)
"""Whatever is charged by the card counts in these."""


def minimum_key(card: str, minimum: Minimum) -> int:
    """The key of a minimum's total: 63 bits of a hash of the card's name, scope and names."""
    names = (card, minimum.scope.value, minimum.product, minimum.quantity)
    parts = [f"{len(name)}:{name}" for name in names]
    digest = blake2b("".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def counted_in(
    card: str, minimums: Iterable[Minimum], product: str, quantities: Sequence[str]
) -> tuple[Counted, ...]:
    """The totals in which lines of such an event count."""
    found: list[Counted] = []
    for minimum in minimums:
        if minimum.scope is MinimumScope.LINE:
            if minimum.product == product and minimum.quantity in quantities:
                key = minimum_key(card, minimum)
                found.append((key, list(quantities).index(minimum.quantity)))
        elif minimum.scope in _OF_ALL or minimum.product == product:
            found.append((minimum_key(card, minimum), ALL_LINES))
    return tuple(found)


def in_turn(minimums: Iterable[Minimum]) -> list[Minimum]:
    """Lines first, then products, the account, the contract: what an inner one adds counts in the
    outer."""
    return sorted(minimums, key=_scope_number)


def _scope_number(minimum: Minimum) -> int:
    return SCOPE_NUMBERS[minimum.scope]


def includes(outer: Minimum, inner: Minimum) -> bool:
    """Whether what is charged for one minimum's scope is charged for the other's too."""
    if outer.scope in _OF_ALL:
        return SCOPE_NUMBERS[inner.scope] < SCOPE_NUMBERS[outer.scope]
    of_product = outer.scope is MinimumScope.PRODUCT and inner.scope is MinimumScope.LINE
    return of_product and outer.product == inner.product
