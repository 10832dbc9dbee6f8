"""What commands are made of: names beside the journal, levels of meters."""

from __future__ import annotations

import msgspec


class Names(msgspec.Struct, frozen=True, gc=False):
    """External names of one event, for the side table that erasure may blank."""

    source: str
    event_id: str
    operation: str = ""
    operation_parent: str = ""
    personal: tuple[tuple[str, str], ...] = ()


NO_NAMES = Names("", "")


class Level(msgspec.Struct, frozen=True, gc=False):
    """A quantity that counts what is above a level: the most that counts already in a scope.

    `place` is that of the quantity, which says what was reported; `key` a digest that says whose
    level it is within the account; `scope` as of running totals (rating.functions).
    """

    place: int
    key: int
    scope: int
