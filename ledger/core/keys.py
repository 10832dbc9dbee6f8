"""The identities that a shard remembers in memory: key digest -> locator of the answering entry.

Those recorded since the last checkpoint; older ones stand in its key segments, and whoever runs the
core hands in what it found there (`found`). Keys live by recorded time: a generation whose last key
is older than the dedupe window is forgotten whole (rule I4). The dicts hold bytes and integers
only, so the garbage collector never walks them.
"""

from __future__ import annotations

from typing import Final

from ledger.core.limits import (
    DEDUPE_GENERATION_US,
    DEDUPE_WINDOW_US,
    FUTURE_TOLERANCE_US,
    KEYS_IN_MEMORY_MAX,
)


class KeyMap:
    """Runs of keys. `newest` is written to; `older`, newest first, are only read.

    A run never spans two generations, so what is remembered follows from the journal alone, however
    often a checkpoint cuts a run off.
    """

    __slots__ = ("_older_starts", "_start", "found", "keys_max", "newest", "newest_max", "older")

    def __init__(self, keys_max: int = KEYS_IN_MEMORY_MAX) -> None:
        self.newest: dict[bytes, int] = {}
        self.older: list[dict[bytes, int]] = []
        self.found: dict[bytes, int] = {}  # of the commands at hand, from key segments
        self.keys_max: Final = keys_max
        self.newest_max = keys_max  # what the older ones leave: a full `newest` takes no more
        self._start = 0  # recorded times of `newest` begin here
        self._older_starts: list[int] = []

    def __len__(self) -> int:
        return len(self.newest) + self.keys_max - self.newest_max

    def find(self, key: bytes) -> int | None:
        """Locator of the entry recorded under `key`, or None."""
        locator = self.newest.get(key)
        return self.find_older(key) if locator is None else locator

    def find_older(self, key: bytes) -> int | None:
        """The same in all runs but the newest, and in what was handed in."""
        for run in self.older:
            locator = run.get(key)
            if locator is not None:
                return locator
        return self.found.get(key)

    def holds(self, key: bytes) -> bool:
        """Whether a run in memory has it, whatever was handed in for the commands at hand."""
        return key in self.newest or any(key in run for run in self.older)

    def add(self, key: bytes, locator: int) -> None:
        """Remember a key; the same key never comes twice within the window."""
        self.newest[key] = locator

    def rotate(self, recorded_at: int) -> None:
        """Start a new generation when due and forget those older than the window.

        A key may be asked for until its event, up to FUTURE_TOLERANCE_US ahead, is too old.
        """
        start = generation_of(recorded_at)
        if start > self._start:
            self._cut()
            self._start = start
        if self.older:
            self.forget(recorded_at)

    def forget(self, recorded_at: int) -> None:
        """Drop the runs whose generation has left the window."""
        kept = [not is_forgotten(start, recorded_at) for start in self._older_starts]
        if all(kept):
            return
        for run in [run for place, run in enumerate(self.older) if not kept[place]]:
            self.release(run)

    def freeze(self) -> list[tuple[int, dict[bytes, int]]]:
        """Cut `newest` off; every run, oldest first, with its generation's start. They are frozen:
        still looked up, never written to again."""
        self._cut()
        return list(zip(reversed(self._older_starts), reversed(self.older), strict=True))

    def release(self, run: dict[bytes, int]) -> None:
        """Let go of a frozen run that now stands in a key segment (or is forgotten already)."""
        for place, each in enumerate(self.older):
            if each is run:
                self.older.pop(place)
                self._older_starts.pop(place)
                self.newest_max += len(run)
                return

    def snapshot(self) -> list[tuple[int, list[tuple[bytes, int]]]]:
        """Generations, newest first, with their keys sorted: the canonical form for the digest."""
        generations: dict[int, list[tuple[bytes, int]]] = {self._start: []}
        runs = [self.newest, *self.older]
        for start, run in zip([self._start, *self._older_starts], runs, strict=True):
            generations.setdefault(start, []).extend(run.items())
        return [(start, sorted(generations[start])) for start in sorted(generations, reverse=True)]

    def restore(self, start: int, keys: dict[bytes, int]) -> None:
        """Put a run back in, as the newest of `older`: for a whole copy of a state."""
        self.older.insert(0, keys)
        self._older_starts.insert(0, start)
        self.newest_max -= len(keys)

    def _cut(self) -> None:
        if self.newest:
            self.restore(self._start, self.newest)
            self.newest = {}


def generation_of(recorded_at: int) -> int:
    """Start of the generation that a recorded time falls in."""
    return recorded_at - recorded_at % DEDUPE_GENERATION_US


def is_forgotten(start: int, recorded_at: int) -> bool:
    """Whether the generation that began at `start` has left the window by `recorded_at`."""
    return start + DEDUPE_GENERATION_US <= recorded_at - DEDUPE_WINDOW_US - FUTURE_TOLERANCE_US
