"""Blanks the private records of erased accounts: the second half of an erasure.

The directory has forgotten the account (`Directory.erase`); this removes its event ids, sources,
operations and personal attributes from the side table of its shard. Payloads and hashes are never
touched, so the chain stays whole. Works in small pages beside a running writer and can be run
again at any time: what is pending stands in the directory until it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from msgspec import Struct

from ledger.journal.codec import decode_private, encode_private
from ledger.journal.connection import Pool, borrow
from ledger.journal.directory import Directory
from ledger.journal.sql import load

PAGE_ROWS: Final = 64  # x ~200 kB of records = 13 MB
_SQL: Final = load("journal")


class Blanked(Struct, frozen=True):
    """What a run did: accounts done, batches looked at, batches rewritten."""

    accounts: int
    batches_read: int
    batches_changed: int


async def blank_pending(
    pool: Pool,
    directory: Directory,
    progress: Callable[[int, int], None] = lambda _s, _b: None,
    *,
    scrub: Callable[[Pool, int], Awaitable[object]] | None = None,
) -> Blanked:
    """Blank what every pending erasure left, one pass a shard, then report each of them done.

    `scrub` cleans what was copied from there, account by account, before an erasure counts as done
    (see projections.scrub). `progress` is told (shard, batch_seq) after each page. Erase an account
    only once nothing of it is in flight (closed, or its family idle): a batch that commits behind
    the pass is not seen.
    Raises JournalUnavailable; run it again.
    """
    by_shard: dict[int, list[int]] = {}
    for erasure in await directory.erasures_pending():
        by_shard.setdefault(erasure.shard, []).append(erasure.number)
    read = changed = 0
    for shard, numbers in sorted(by_shard.items()):
        shard_read, shard_changed = await blank_shard(pool, shard, numbers, progress)
        read, changed = read + shard_read, changed + shard_changed
        for number in numbers:
            if scrub is not None:
                await scrub(pool, number)
            await directory.erasure_done(number)
    return Blanked(sum(map(len, by_shard.values())), read, changed)


async def blank_shard(
    pool: Pool,
    shard: int,
    accounts: Collection[int],
    progress: Callable[[int, int], None] = lambda _s, _b: None,
) -> tuple[int, int]:
    """Blank these accounts in all private records of a shard: (batches read, batches changed)."""
    gone = frozenset(accounts)
    read = changed = after = 0
    while True:
        async with borrow(pool) as connection:
            page = await connection.fetch(_SQL["private_page"], shard, after, PAGE_ROWS)
            for batch_seq, packed in page:
                records = decode_private(packed)
                if not gone.isdisjoint(records.accounts):
                    blanked = encode_private(records.blank(gone))
                    done = await connection.execute(
                        _SQL["private_replace"], shard, batch_seq, blanked, packed
                    )
                    if done == "UPDATE 0":
                        break  # another erasure was here: look at this batch again
                    changed += 1
                after = batch_seq
        read += len(page)
        if not page:
            return read, changed
        progress(shard, after)
