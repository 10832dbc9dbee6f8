"""What the engine tells whoever watches it: per batch, never per event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ledger.engine.ticket import Ticket


class CheckpointFigures(msgspec.Struct, frozen=True):
    """What a checkpoint took, and what its shard has in segments since."""

    entries: int
    """Of the shard, that the checkpoint covers."""
    duration_us: int
    longest_pause_us: int
    """The longest that the shard's decisions waited for a slice of it."""
    families: int
    keys: int
    bytes: int
    segment_keys: int
    segments: int


class Observer(Protocol):
    """Metrics and traces hang on here. Must not raise, must not wait."""

    def batch_sealed(
        self, shard: int, batch_seq: int, tickets: Sequence[Ticket], entries: int, row_bytes: int
    ) -> object:
        """A batch goes to the journal; what is returned comes back with `batch_ended`."""
        ...

    def batch_ended(self, started: object, commit_us: int, error: BaseException | None) -> None:
        """The batch is durable, or `error` says why not."""
        ...

    def queue_changed(self, shard: int, commands: int) -> None:
        """So many commands wait."""
        ...

    def shard_opened(self, shard: int, entries: int, elapsed_us: int) -> None:
        """A shard was replayed and taken over."""
        ...

    def checkpoint_written(self, shard: int, figures: CheckpointFigures) -> None:
        """A checkpoint is durable."""
        ...

    def families_changed(self, shard: int, resident: int, paged: int) -> None:
        """So many families are in memory, and so many are not."""
        ...

    def suspense_changed(self, shard: int, waiting: int, rated: int) -> None:
        """So many usage events wait for a price, and `rated` more entries rated such."""
        ...


class NoObserver:
    """Watches nothing."""

    def batch_sealed(
        self, shard: int, batch_seq: int, tickets: Sequence[Ticket], entries: int, row_bytes: int
    ) -> object:
        """See Observer."""
        return None

    def batch_ended(self, started: object, commit_us: int, error: BaseException | None) -> None:
        """See Observer."""

    def queue_changed(self, shard: int, commands: int) -> None:
        """See Observer."""

    def shard_opened(self, shard: int, entries: int, elapsed_us: int) -> None:
        """See Observer."""

    def checkpoint_written(self, shard: int, figures: CheckpointFigures) -> None:
        """See Observer."""

    def families_changed(self, shard: int, resident: int, paged: int) -> None:
        """See Observer."""

    def suspense_changed(self, shard: int, waiting: int, rated: int) -> None:
        """See Observer."""
