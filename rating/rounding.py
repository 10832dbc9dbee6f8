"""How an exact ratio becomes whole minor units (rule N2). Integers only, of any size.

Owns the codes of the rounding modes and the one function that rounds. Plain functions, so that it
compiles with mypyc as it stands.
"""

from typing import Final

ROUND_HALF_EVEN: Final = 0
ROUND_HALF_UP: Final = 1
ROUND_UP: Final = 2
ROUND_DOWN: Final = 3


def rounded(numerator: int, denominator: int, rounding: int) -> int:
    """The ratio, zero or more, as a whole number by one of the ROUND_ codes (rule N2)."""
    assert numerator >= 0
    whole, rest = divmod(numerator, denominator)
    if rest == 0 or rounding == ROUND_DOWN:
        return whole
    if rounding == ROUND_UP:
        return whole + 1
    twice = rest + rest
    if twice < denominator:
        return whole
    if twice == denominator and rounding == ROUND_HALF_EVEN:
        return whole + (whole & 1)
    return whole + 1
