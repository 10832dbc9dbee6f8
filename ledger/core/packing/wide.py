"""Integers that may not fit 64 bits."""

from __future__ import annotations

from typing import Final, TypeAlias

Wide: TypeAlias = int | str
"""An integer; as text where it does not fit 64 bits (rule N1)."""

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1


def wide(value: int) -> Wide:
    return value if _INT64_MIN <= value <= _UINT64_MAX else str(value)
