"""What people call an account, as pairs: for its digest in the journal, and for what stands beside.

The private record always names `display_name`, so that a profile that was emptied is told from one
that was erased. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_DISPLAY_NAME: Final = "display_name"
_METADATA: Final = "metadata."


def profile_pairs(display_name: str, metadata: Mapping[str, str]) -> Pairs:
    """What is digested: sorted, without an empty display name."""
    named = [(_DISPLAY_NAME, display_name)] if display_name else []
    return tuple(sorted([*named, *((_METADATA + name, metadata[name]) for name in metadata)]))


def private_pairs(display_name: str, metadata: Mapping[str, str]) -> Pairs:
    """What is written beside the entry."""
    given = ((_METADATA + name, metadata[name]) for name in sorted(metadata))
    return ((_DISPLAY_NAME, display_name), *given)


def profile_from(pairs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Display name and metadata of a private record."""
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in pairs.items()
        if name.startswith(_METADATA)
    }
    return pairs.get(_DISPLAY_NAME, ""), metadata
