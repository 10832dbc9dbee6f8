"""A family, and what is left of a shard without its families, as bytes and back.

The family (a root and everything under it: accounts, own books, grants, holds, settled holds) is
what checkpoints store and what leaves memory when idle. Derived indexes (order of grants, timers,
inherited cards) are left out and follow from what is here. The same state always gives the same
bytes, so that a checkpoint can be compared with a replay. A released format is never edited: a
change is a new number, and a checkpoint of an unknown one is not read but replayed. No I/O.
"""

from __future__ import annotations

from ledger.core.packing.family import (
    PackedFamily,
    drop_family,
    family_due,
    forget_settled,
    pack_family,
    unpack_family,
)
from ledger.core.packing.shard import FORMAT, PackedShard, pack_shard, unpack_shard, whole

__all__ = [
    "FORMAT",
    "PackedFamily",
    "PackedShard",
    "drop_family",
    "family_due",
    "forget_settled",
    "pack_family",
    "pack_shard",
    "unpack_family",
    "unpack_shard",
    "whole",
]
