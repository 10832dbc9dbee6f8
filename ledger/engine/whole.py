"""A shard's state in one piece: what is in memory, the families paged out, the keys in segments.

For digests and tests: it reads everything and holds it all at once. The copy decides nothing.
"""

from __future__ import annotations

from ledger.core.packing import whole
from ledger.core.state import State
from ledger.engine.segments import KeySegments
from ledger.journal.checkpoint import CheckpointStore, Expected, records_of


async def whole_state(state: State, segments: KeySegments, store: CheckpointStore) -> State:
    """A copy of `state` with everything that is packed elsewhere; nothing may change meanwhile.

    Raises JournalConflict where another process has claimed the checkpoints since.
    """
    families = await store.families(state.paged_families, Expected(state.epoch))
    runs: list[tuple[int, dict[bytes, int]]] = []
    for segment in segments.segments:
        keys: dict[bytes, int] = {}
        async for page in store.all_buckets(segment.number):
            for _, body in page:
                keys.update(records_of(body))
        runs.append((segment.generation, keys))
    return whole(state, {family.place.root: family.body for family in families}, runs)
