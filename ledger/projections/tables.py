"""The narrow way of a projector to the read models of one shard: what a store has to promise.

Owns the protocol and its values. `store` is the real one, on PostgreSQL; the simulator has another;
one suite of tests holds both to this. Knows no SQL and no driver.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec import Struct

from ledger.journal.errors import JournalError
from ledger.journal.protocol import JournalRow
from ledger.projections.changes import Changes
from ledger.projections.facts import Facts, Needed


class ProjectionDamaged(JournalError):
    """The read models contradict the journal: run `drawdown rebuild`."""


class Position(Struct, frozen=True):
    """Where a shard's read models stand. `entries` = the entry_seq that comes next."""

    batch_seq: int
    entries: int
    recorded_at: int
    hash: bytes
    scrubs: int


class Tables(Protocol):
    """One shard's read models, over a connection of its own.

    Methods raise JournalUnavailable (or the driver's own error, which the opener translates) when
    the database is away; then nothing of the transaction stands.
    """

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """All or nothing: what is written within stands when it ends without an exception."""
        ...

    async def lock(self) -> Position | None:
        """Take the shard until the transaction ends; None = another projector has it."""
        ...

    async def glance(self) -> tuple[Position, int, int]:
        """Where the shard stands, whoever has it; the last batch and the entries of its journal."""
        ...

    async def learn(self, needed: Needed, facts: Facts) -> None:
        """Look up what a batch needs. Raises ProjectionDamaged where it is not there."""
        ...

    async def write(self, changes: Changes, facts: Facts) -> None:
        """Write everything but the checkpoint. Raises ProjectionDamaged."""
        ...

    async def advance(self, before: Position, last: JournalRow) -> None:
        """Move the checkpoint on, only from where it stood. Raises ProjectionDamaged."""
        ...

    async def report(self, last: JournalRow, head_entries: int, by: str) -> int:
        """Write the lag down and return it in microseconds."""
        ...

    def close(self) -> None:
        """Let go; what was not committed is gone."""
        ...
