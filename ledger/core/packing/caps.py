"""Caps on what is shared, with their counters."""

from __future__ import annotations

import msgspec

from ledger.core.events import CapTerms
from ledger.core.evolve.caps import attach
from ledger.core.funding.caps import Cap
from ledger.core.state import State
from ledger.core.windows import PackedCounter, unpack_counter


class PackedCap(msgspec.Struct, array_like=True, gc=False):
    """A cap of an owner on an account below; of all grants where `grant` is 0."""

    number: int
    owner: int
    below: int
    asset: int
    grant: int
    terms: CapTerms
    version: int
    created_at: int
    counter: PackedCounter
    since: int = 0


def pack_cap(cap: Cap) -> PackedCap:
    return PackedCap(
        cap.number,
        cap.owner.number,
        cap.below.number,
        cap.asset,
        cap.grant.number if cap.grant is not None else 0,
        cap.terms,
        cap.version,
        cap.created_at,
        cap.counter.pack(),
        cap.since,
    )


def unpack_cap(state: State, packed: PackedCap) -> None:
    """The caps of an account stand in the order in which they were set: that of their numbers."""
    cap = Cap(
        packed.number,
        state.accounts[packed.owner],
        state.accounts[packed.below],
        packed.asset,
        state.grants[packed.grant] if packed.grant else None,
        packed.terms,
        packed.created_at,
    )
    cap.version, cap.since = packed.version, packed.since
    cap.begin_at(unpack_counter(packed.counter))
    attach(cap)
