"""Quantiles of a stream of integers in little memory: KLL sketches of Apache DataSketches.

The library keeps some of the integers that it was given, and answers with one of them, so a
quantile is an exact quantity that was once used, at a rank that is off by less than RANK_ERROR of
all (in 99 of 100 sketches). Sketches merge. Which integers are kept is drawn at random: two
sketches of one stream agree within the error, not byte for byte. The one place that knows the
library.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from datasketches import PyLongsSerDe, kll_items_sketch

K: Final = 400  # at most ~1,200 integers kept, 10 kB as bytes; 0.25 us an observation
RANK_ERROR: Final = Fraction(7, 1_000)  # what the library states for K
PERMILLES: Final = 1_000

_BYTES: Final = PyLongsSerDe()


class Sketch:
    """A stream of quantities, as far as it is kept."""

    __slots__ = ("_kept",)

    def __init__(self, data: bytes | None = None) -> None:
        """`data`: what `to_bytes` gave; None = an empty one."""
        if data is None:
            self._kept = kll_items_sketch(K)
        else:
            self._kept = kll_items_sketch.deserialize(data, _BYTES)

    @property
    def observations(self) -> int:
        """How many were seen."""
        return int(self._kept.n)

    def take(self, quantity: int) -> None:
        """See one more."""
        self._kept.update(quantity)

    def merge(self, other: Sketch) -> None:
        """See all that another one saw."""
        self._kept.merge(other._kept)

    def quantile(self, permille: int) -> int:
        """The quantity that so many of a thousand did not exceed. Not for an empty one."""
        return int(self._kept.get_quantile(permille / PERMILLES, inclusive=True))

    def to_bytes(self) -> bytes:
        """For the database."""
        return bytes(self._kept.serialize(_BYTES))


def merged(parts: Iterable[bytes]) -> Sketch:
    """What all of them saw."""
    whole = Sketch()
    for part in parts:
        whole.merge(Sketch(part))
    return whole
