"""The identities that a shard remembers: key digest -> locator of the entry that answered it.

Exact, rebuilt by replay, bounded by KEYS_A_SHARD_MAX. Keys live by recorded time: a generation
whose last key is older than the dedupe window is dropped whole (rule I4). The dicts hold bytes and
integers only, so the garbage collector never walks them.
"""

from __future__ import annotations

from typing import Final

from ledger.core.limits import (
    DEDUPE_GENERATION_US,
    DEDUPE_WINDOW_US,
    FUTURE_TOLERANCE_US,
    KEYS_A_SHARD_MAX,
)


class KeyMap:
    """Generations of keys. `newest` is written to; `older`, newest first, are only read."""

    __slots__ = ("_older_starts", "_start", "keys_max", "newest", "newest_max", "older")

    def __init__(self, keys_max: int = KEYS_A_SHARD_MAX) -> None:
        self.newest: dict[bytes, int] = {}
        self.older: list[dict[bytes, int]] = []
        self.keys_max: Final = keys_max
        self.newest_max = keys_max  # what the older ones leave: a full `newest` takes no more
        self._start = 0  # recorded times of `newest` begin here
        self._older_starts: list[int] = []

    def __len__(self) -> int:
        return len(self.newest) + self.keys_max - self.newest_max

    def find(self, key: bytes) -> int | None:
        """Locator of the entry recorded under `key`, or None."""
        locator = self.newest.get(key)
        if locator is None and self.older:
            return self.find_older(key)
        return locator

    def find_older(self, key: bytes) -> int | None:
        """The same in all generations but the newest."""
        for generation in self.older:
            locator = generation.get(key)
            if locator is not None:
                return locator
        return None

    def add(self, key: bytes, locator: int) -> None:
        """Remember a key; the same key never comes twice within the window."""
        self.newest[key] = locator

    def rotate(self, recorded_at: int) -> None:
        """Start a new generation when due and forget those older than the window.

        A key may be asked for until its event, up to FUTURE_TOLERANCE_US ahead, is too old.
        """
        start = recorded_at - recorded_at % DEDUPE_GENERATION_US
        if start > self._start:
            if self.newest:
                self.older.insert(0, self.newest)
                self._older_starts.insert(0, self._start)
                self.newest_max -= len(self.newest)
                self.newest = {}
            self._start = start
        oldest = recorded_at - DEDUPE_WINDOW_US - FUTURE_TOLERANCE_US
        while self.older and self._older_starts[-1] + DEDUPE_GENERATION_US <= oldest:
            self._older_starts.pop()
            self.newest_max += len(self.older.pop())

    def snapshot(self) -> list[tuple[int, list[tuple[bytes, int]]]]:
        """Generations with their keys sorted: the canonical form for the digest."""
        return [
            (start, sorted(generation.items()))
            for start, generation in zip(
                [self._start, *self._older_starts], [self.newest, *self.older], strict=True
            )
        ]
