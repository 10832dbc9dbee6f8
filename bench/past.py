"""Ledgers of the workload `history`: one with millions of events behind it, and empty ones.

Each is the real server on an embedded PostgreSQL of its own, all with the same settings. The one
with a past is filled once a measurement and serves every round. No server may run on it meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Final

from bench.history import Fill
from bench.ours import Ours, ours
from bench.processes import fill
from bench.report import Figures
from bench.sizes import Sizes
from ledger.core.limits import DAY_US
from ledger.engine.upkeep import Upkeep
from ledger.journal.embedded import EmbeddedPostgres

QUIET: Final = ("--no-projector", "--no-sealer")
NO_CHECKPOINTS: Final = Upkeep(1 << 60, DAY_US)
GRANTS_BEFORE_US: Final = 31 * DAY_US  # the events of the past find them


class History:
    """A ledger that is given its past once, and keeps it."""

    def __init__(self, ledger: Ours, sizes: Sizes) -> None:
        self.ledger = ledger
        self.filled: Figures = {}
        self._sizes = sizes

    def fill(self) -> Figures:
        """Open the accounts and record the past, if that is not done; what it took."""
        if self.filled:
            return self.filled
        sizes = self._sizes
        open_accounts(self.ledger, sizes)
        shards = len(self.ledger.gauges("drawdown_durable_entries"))
        self.ledger.stop()
        processes = min(shards, os.cpu_count() or 1)
        with EmbeddedPostgres(self.ledger.data_dir) as postgres:
            began_ns = time.monotonic_ns()
            filled = fill(
                [
                    Fill(
                        dsn=postgres.dsn,
                        sizes=sizes.name,
                        events=sizes.history_events,
                        checkpoint_entries=sizes.history_upkeep.checkpoint_entries,
                        now_us=time.time_ns() // 1_000,
                        shards=shards,
                        own=list(range(first, shards, processes)),
                    )
                    for first in range(processes)
                ]
            )
            took_ms = (time.monotonic_ns() - began_ns) // 1_000_000
        events = sum(each.events for each in filled)
        self.filled = {
            "events": events,
            "fill_ms": took_ms,
            "fill_events_per_s": events * 1_000 // max(1, took_ms),
            "fill_cpu_us_per_event": round(sum(each.cpu_ms for each in filled) * 1_000 / events, 2),
            "fill_checkpoints": sum(each.checkpoints for each in filled),
            "fill_last_checkpoints_ms": max(each.last_checkpoints_ms for each in filled),
        }
        return self.filled


def open_accounts(ledger: Ours, sizes: Sizes) -> None:
    """Start the ledger, with the workload's accounts and grants in force before the past begins."""
    ledger.start()
    ledger.seed(sizes, time.time_ns() // 1_000 - GRANTS_BEFORE_US)


@contextlib.contextmanager
def history(sizes: Sizes) -> Iterator[History]:
    """The ledger that can be given a past; it is gone afterwards, and costs nothing until then."""
    with ours(QUIET, sizes.history_upkeep) as ledger:
        yield History(ledger, sizes)


@contextlib.contextmanager
def empty(sizes: Sizes, upkeep: Upkeep) -> Iterator[Ours]:
    """A ledger like it, without a past, that serves."""
    with ours(QUIET, upkeep) as ledger:
        open_accounts(ledger, sizes)
        yield ledger
