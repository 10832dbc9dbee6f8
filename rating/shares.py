"""Parts of a whole, exactly: splits, shares of time, minimums, and the rest at list price.

Owns the arithmetic of rules N3, S1, R2 and R9. Amounts are minor units, times microseconds. Pure
functions of integers; when they are called, and with what, is for the ledger.
"""

from collections.abc import Sequence
from math import lcm

from rating.rounding import ROUND_HALF_EVEN, rounded


def split(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """A total in parts by weight, which add up to it: largest remainder, ties to the first (N3).

    Weights are zero or more, and one at least is above; the order is the stable key.
    """
    whole = sum(weights)
    assert total >= 0 and whole > 0 and min(weights) >= 0, (total, weights)
    return _completed(total, [total * weight for weight in weights], whole)


def _completed(total: int, numerators: Sequence[int], denominator: int) -> tuple[int, ...]:
    """The ratios rounded down, and one more for the largest remainders until they add up."""
    parts = [numerator // denominator for numerator in numerators]
    rests = [numerator % denominator for numerator in numerators]
    missing = total - sum(parts)
    for index in sorted(range(len(parts)), key=lambda place: (-rests[place], place))[:missing]:
        parts[index] += 1
    return tuple(parts)


def prorated(amount: int, remaining_us: int, full_us: int, rounding: int = ROUND_HALF_EVEN) -> int:
    """amount x remaining / full, rounded once, never above the full amount (rule S1)."""
    assert amount >= 0 and full_us > 0 and remaining_us >= 0, (amount, remaining_us, full_us)
    return rounded(amount * min(remaining_us, full_us), full_us, rounding)


def shortfall(
    minimum: int,
    charged: int,
    remaining_us: int = 1,
    full_us: int = 1,
    rounding: int = ROUND_HALF_EVEN,
) -> int:
    """What a minimum still asks for at its period's end, given what was charged (rule R2).

    The minimum is prorated where it held for a part of the period only (rule S1).
    """
    return max(0, prorated(minimum, remaining_us, full_us, rounding) - charged)


def rest_at_list(commit: int, listed: int, paid: int, rounding: int = ROUND_HALF_EVEN) -> int:
    """What the part of a line costs that commitments do not pay: L x (C - g) / C (rule R9).

    ``commit`` is C, the line at commit rate; ``listed`` L, at list price; ``paid`` g, what
    commitments pay of C. A line that costs nothing at commit rate leaves no rest.
    """
    assert 0 <= paid <= commit and listed >= 0, (commit, listed, paid)
    return rounded(listed * (commit - paid), commit, rounding) if commit else 0


def rests_at_list(
    commits: Sequence[int],
    lists: Sequence[int],
    paid: Sequence[int],
    rounding: int = ROUND_HALF_EVEN,
) -> tuple[int, ...]:
    """The same for the lines of one event: rounded once, then split over them (rule N3).

    The lines are L x (C - g) / C each, exact; their sum is rounded, and each line gets what is
    whole of its share and the largest remainders one more, so that the parts add up to the sum.
    """
    numerators: list[int] = []
    denominator = lcm(*[commit for commit in commits if commit])
    for commit, listed, part in zip(commits, lists, paid, strict=True):
        assert 0 <= part <= commit and listed >= 0, (commit, listed, part)
        numerators.append(listed * (commit - part) * (denominator // commit) if commit else 0)
    total = rounded(sum(numerators), denominator, rounding)
    return _completed(total, numerators, denominator)
