"""Who waits for changes of families: told when a batch is durable, never before.

A watcher is a flag and a count, so that one that is slow costs nothing: it looks at what there is
when it comes round. Must not read state, nor decide what is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Watcher:
    """Waits for one family. `changed` is set by durable batches; whoever looks clears it first."""

    __slots__ = ("batches", "changed")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.batches = 0  # durable ones that changed the family, since they were last taken

    def take(self) -> int:
        """Batches since the last time; from now on the next ones are waited for."""
        batches, self.batches = self.batches, 0
        self.changed.clear()
        return batches

    def tell(self) -> None:
        """A durable batch changed the family, or what holds for all of them."""
        self.batches += 1
        self.changed.set()


class Watchers:
    """The watchers of one shard, by family."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[int, dict[Watcher, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    @contextmanager
    def watching(self, root: int) -> Iterator[Watcher]:
        """A watcher of a family, for as long as it is wanted."""
        watcher = Watcher()
        self._of.setdefault(root, {})[watcher] = None
        try:
            yield watcher
        finally:
            of = self._of[root]
            del of[watcher]
            if not of:
                del self._of[root]

    def tell(self, roots: Iterable[int]) -> None:
        """A batch that changed these families is durable."""
        for root in roots:
            for watcher in self._of.get(root, ()):
                watcher.tell()

    def tell_all(self) -> None:
        """So is one that changed what holds for all: prices, or the time."""
        self.tell(list(self._of))
