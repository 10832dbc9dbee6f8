"""Simulations that a server runs for its callers: one at a time, in niced processes beside it.

Ends with whoever waits for it: a caller that goes away takes the processes with it.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ledger.backtest.figures import Figures
from ledger.backtest.processes import Watch, Work, replay_all

NICENESS: Final = 10  # below the checks of rate cards: nobody waits for a simulation to sell


class SimulationRunning(Exception):
    """Another one runs."""


class Simulator:
    """Runs what `replay_all` does, if nothing else is run."""

    def __init__(self, dsn: str, shards: int) -> None:
        self._dsn = dsn
        self._shards = shards
        self._running = False

    async def run(self, work: Work, watch: Watch) -> Figures:
        """Replay every shard. Raises SimulationRunning, SimulationFailed."""
        if self._running:
            raise SimulationRunning
        self._running = True
        try:
            return await replay_all(
                self._dsn, self._shards, replace(work, niceness=NICENESS), watch
            )
        finally:
            self._running = False
