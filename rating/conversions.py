"""What one asset is worth in another: published rates, each in force from a time on (rule R5).

Owns the choice of the rate and the conversion, which is rounded once. A rate is exact: major units
of the one asset for one major unit of the other, kept as minor units for minor units. Pure: times
come in as microseconds since the Unix epoch.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from rating.exact import PriceError, parse_price, scaled
from rating.faults import CardFault
from rating.rounding import ROUND_HALF_EVEN, rounded

_A = TypeVar("_A")


class Rate:
    """One published version: how many minor units of the target one of the source is worth.

    In force from the later of its publication and its effective time. One that is meant from
    before its publication converts earlier usage too, where no other rate does.
    """

    __slots__ = (
        "denominator",
        "effective_from_us",
        "in_force_from_us",
        "numerator",
        "published_at_us",
        "version",
    )

    def __init__(
        self,
        version: int,
        published_at_us: int,
        effective_from_us: int,
        numerator: int,
        denominator: int,
    ) -> None:
        assert numerator > 0 and denominator > 0, (numerator, denominator)
        self.version: int = version
        self.published_at_us: int = published_at_us
        self.effective_from_us: int = effective_from_us
        self.in_force_from_us: int = max(published_at_us, effective_from_us)
        self.numerator: int = numerator
        self.denominator: int = denominator

    def converted(self, amount: int) -> int:
        """An amount of the source in the target, half to even; both in minor units."""
        return rounded(amount * self.numerator, self.denominator, ROUND_HALF_EVEN)

    def covered(self, amount: int) -> int:
        """The most of the source that so much of the target pays for."""
        return amount * self.denominator // self.numerator


class Rates:
    """All versions of the rate between two assets, read-only; ``adding`` gives the next state."""

    __slots__ = ("_boundaries", "_ordered", "_published")

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self._ordered: tuple[Rate, ...] = tuple(sorted(rates, key=_in_force))
        self._boundaries: list[int] = [rate.in_force_from_us for rate in self._ordered]
        self._published: tuple[Rate, ...] = tuple(sorted(self._ordered, key=_number))

    def adding(self, rate: Rate) -> "Rates":
        """The same rates and one more."""
        return Rates((*self._ordered, rate))

    def at(self, effective_at_us: int) -> Rate | None:
        """The rate that converts usage of that time; None where none does."""
        index = bisect_right(self._boundaries, effective_at_us)
        if index:
            return self._ordered[index - 1]
        for rate in self._published:
            if rate.effective_from_us <= effective_at_us:
                return rate
        return None


def ratio_of(text: str, source_scale: int, target_scale: int) -> tuple[int, int]:
    """A rate as minor units of the target for minor units of the source. Raises PriceError."""
    return scaled(parse_price(text), target_scale, source_scale)


def rate_faults(text: str) -> list[CardFault]:
    """What is wrong with the text of a rate: it is exact and above zero."""
    try:
        numerator, _ = parse_price(text)
    except PriceError as error:
        return [CardFault("rate", error.reason, text, str(error))]
    if numerator == 0:
        return [CardFault("rate", "RATE_ZERO", text, "nothing is worth nothing: above zero")]
    return []


def cycle_of(
    edges: Mapping[_A, Sequence[_A]] | Mapping[_A, set[_A]], source: _A, target: _A
) -> list[_A]:
    """The chain of conversions from the target back to the source; empty where there is none."""
    paths: list[list[_A]] = [[target]]
    seen = {target}
    while paths:
        path = paths.pop()
        if path[-1] == source:
            return path
        for following in edges.get(path[-1], ()):
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return []


def _in_force(rate: Rate) -> tuple[int, int]:
    return rate.in_force_from_us, rate.version


def _number(rate: Rate) -> int:
    return rate.version
