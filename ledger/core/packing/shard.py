"""What is left of a shard beside its families, as bytes, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ledger.core.books import AssetTotals
from ledger.core.catalog import Catalog
from ledger.core.events import BookKind
from ledger.core.evolve.books import place_book
from ledger.core.packing.books import PackedBook, pack_counters, unpack_book
from ledger.core.packing.family import encode, pack_family, unpack_family
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import State

FORMAT: Final = 10  # of both kinds of bytes


class PackedShard(msgspec.Struct, array_like=True, gc=False):
    """A shard without its families and keys: where it stands, its house books, its totals."""

    shard: int
    epoch: int
    batch_seq: int
    entry_seq: int
    recorded_at: int
    next_book: int
    next_grant: int
    next_hold: int
    next_recurring: int
    next_commitment: int
    next_top_up: int
    configuration: list[tuple[int, int]]
    totals: list[tuple[int, Wide, Wide, Wide, Wide]]
    house: list[PackedBook]
    suspended: list[tuple[int, int]]  # root -> usage events that wait for a price
    offsets: list[tuple[int, int]] = []
    next_quote: int = 1
    minimums_from: list[tuple[int, int]] = []  # tenant -> since when its cards have minimums
    next_budget: int = 1
    next_charge: int = 1


_decode_shard: Final = msgspec.msgpack.Decoder(PackedShard).decode


# -- shards --------------------------------------------------------------------------------------


def pack_shard(state: State, batch_seq: int, entry_seq: int, recorded_at: int) -> bytes:
    """The shard without families and keys, at the end of that batch. Linear in its house books."""
    return encode(
        PackedShard(
            state.shard,
            state.epoch,
            batch_seq,
            entry_seq,
            recorded_at,
            state.next_book,
            state.next_grant,
            state.next_hold,
            state.next_recurring,
            state.next_commitment,
            state.next_top_up,
            sorted(state.configuration.items()),
            [
                (
                    asset,
                    wide(total.debits_posted),
                    wide(total.credits_posted),
                    wide(total.debits_pending),
                    wide(total.credits_pending),
                )
                for asset, total in sorted(state.books.totals.items())
            ],
            [
                PackedBook(
                    book.number,
                    BookKind(book.kind),
                    book.asset,
                    book.owner,
                    pack_counters(book),
                    book.tenant,
                    book.name,
                )
                for _, book in sorted(state.house.items())
            ],
            sorted(state.suspended.items()),
            sorted(state.offsets.items()),
            state.next_quote,
            sorted(state.minimums_from.items()),
            state.next_budget,
            state.next_charge,
        )
    )


def unpack_shard(body: bytes, catalog: Catalog) -> State:
    """A state that stands at the end of that batch, without families and keys.

    The catalog is to be filled with what `configuration` names. Raises msgspec.MsgspecError.
    """
    packed = _decode_shard(body)
    state = State(packed.shard, catalog)
    state.epoch = packed.epoch
    state.stand_at(packed.batch_seq, packed.entry_seq, packed.recorded_at)
    state.next_book = packed.next_book
    state.next_grant = packed.next_grant
    state.next_hold = packed.next_hold
    state.next_recurring = packed.next_recurring
    state.next_commitment = packed.next_commitment
    state.next_top_up = packed.next_top_up
    state.configuration = dict(packed.configuration)
    state.offsets = dict(packed.offsets)
    state.suspended = dict(packed.suspended)
    state.suspended_events = sum(state.suspended.values())
    state.next_quote = packed.next_quote
    state.minimums_from = dict(packed.minimums_from)
    state.next_budget = packed.next_budget
    state.next_charge = packed.next_charge
    state.books.numbered = [None] * packed.next_book
    for asset, *sides in packed.totals:
        total = state.books.totals[asset] = AssetTotals()
        total.debits_posted, total.credits_posted = int(sides[0]), int(sides[1])
        total.debits_pending, total.credits_pending = int(sides[2]), int(sides[3])
    for each in packed.house:
        place_book(state, unpack_book(state, each, each.tenant))
    return state


def whole(
    state: State,
    packed: Mapping[int, bytes],
    segments: Iterable[tuple[int, dict[bytes, int]]] = (),
) -> State:
    """A copy with everything in memory: what is here, the families in `packed` that are paged out,
    and the keys of segments as (generation's start, keys). For digests, tests and `verify`."""
    copy = unpack_shard(
        pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at), Catalog()
    )
    for root in sorted(state.families):
        unpack_family(copy, pack_family(state, root, state.settled_before))
    for root in sorted(state.paged_families):
        unpack_family(copy, packed[root])
    for start, keys in state.keys.snapshot():
        if keys:
            copy.keys.restore(start, dict(keys))
    for start, more in segments:
        copy.keys.restore(start, more)
    copy.keys.forget(state.recorded_at)
    return copy
