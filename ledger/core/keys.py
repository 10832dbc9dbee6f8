"""The identities that a shard remembers: key digest -> locator of the entry that answered it.

Exact, rebuilt by replay, bounded by KEYS_A_SHARD_MAX. Keys live by recorded time: a generation
whose last key is older than the dedupe window is dropped whole (rule I4). The dicts hold bytes and
integers only, so the garbage collector never walks them.
"""

from __future__ import annotations

from ledger.core.limits import DEDUPE_GENERATION_US, DEDUPE_WINDOW_US, FUTURE_TOLERANCE_US


class KeyMap:
    """Generations of keys, newest first."""

    __slots__ = ("_count", "_generations", "_newest", "_starts")

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._generations: list[dict[bytes, int]] = [self._newest]
        self._starts: list[int] = [0]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, key: bytes) -> int | None:
        """Locator of the entry recorded under `key`, or None."""
        locator = self._newest.get(key)
        if locator is None and len(self._generations) > 1:
            for generation in self._generations[1:]:
                locator = generation.get(key)
                if locator is not None:
                    break
        return locator

    def add(self, key: bytes, locator: int) -> None:
        """Remember a key; the same key never comes twice within the window."""
        self._newest[key] = locator
        self._count += 1

    def rotate(self, recorded_at: int) -> None:
        """Start a new generation when due and forget those older than the window."""
        start = recorded_at - recorded_at % DEDUPE_GENERATION_US
        if start <= self._starts[0]:
            return
        self._newest = {}
        self._generations.insert(0, self._newest)
        self._starts.insert(0, start)
        while (
            len(self._starts) > 1
            and self._starts[-2] <= recorded_at - DEDUPE_WINDOW_US - FUTURE_TOLERANCE_US
        ):
            self._starts.pop()
            self._count -= len(self._generations.pop())

    def snapshot(self) -> list[tuple[int, list[tuple[bytes, int]]]]:
        """Generations with their keys sorted: the canonical form for the digest."""
        return [
            (start, sorted(generation.items()))
            for start, generation in zip(self._starts, self._generations, strict=True)
        ]
