"""What claims to be a shard's state at some batch: the read models, the checkpoint.

A claim is read whole before the replay begins, in one short snapshot, so that it may be compared
when the replay stands at its batch, however long that takes.
"""

from __future__ import annotations

from typing import Protocol

from ledger.core.state import State
from ledger.journal.connection import Connection
from ledger.verify.hours import HourSums
from ledger.verify.report import Findings


class Tally:
    """Sums over the usage events replayed so far: (tenant, asset, outcome) -> [count, charge]; and
    what usage drew by the hour."""

    __slots__ = ("denials", "hours", "usage")

    def __init__(self) -> None:
        self.usage: dict[tuple[int, int, int], list[int]] = {}
        self.denials = 0
        self.hours: HourSums = {}

    def add(self, tenant: int, asset: int, outcome: int, charge: int) -> None:
        """One usage event."""
        sums = self.usage.get((tenant, asset, outcome))
        if sums is None:
            self.usage[(tenant, asset, outcome)] = [1, charge]
        else:
            sums[0] += 1
            sums[1] += charge


class Reflection(Protocol):
    """A claim about the state after `batch_seq`."""

    name: str
    batch_seq: int

    def compare(self, state: State, tally: Tally, head_hash: bytes, findings: Findings) -> None:
        """Add what differs from the replayed state."""
        ...


class ReflectionSource(Protocol):
    """Reads a claim of one shard; None where there is none."""

    async def __call__(self, connection: Connection, shard: int) -> Reflection | None:
        """Runs in a transaction whose statements see one snapshot."""
        ...
