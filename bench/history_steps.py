"""The measurements of the workload `history`: ingest, pause and restart with a past behind them.

The canonical uniform ingest runs on empty ledgers and on the one with a past, next to each other in
every round. Its window is long enough for every shard to take a checkpoint in it, by default
settings at full size; a run without any is no measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from bench.callers import Result
from bench.ours import POLL_S, Ours
from bench.past import NO_CHECKPOINTS, empty
from bench.processes import call
from bench.report import Figures, batch_figures
from bench.world import World, WrongAnswers, batch_plan, sound, with_

CHECKPOINT_TIMEOUT_S: Final = 60
VERIFIED_EVENTS_MAX: Final = 1_000_000  # x ~10 us: a longer past is verified by its checked answers


def _fill(world: World) -> Figures:
    return world.history.fill()


def _empty(world: World) -> Figures:
    with empty(world.sizes, world.sizes.history_upkeep) as ledger:
        figures = _ingest(world, ledger)
        return figures | _checkpoints(ledger)


def _without_checkpoints(world: World) -> Figures:
    with empty(world.sizes, NO_CHECKPOINTS) as ledger:
        return _ingest(world, ledger)


def _history(world: World) -> Figures:
    """Ingest on top of the past; then restarts: after a kill, and after an orderly stop."""
    past, ledger = world.history.fill(), world.history.ledger
    ledger.start()
    figures = _ingest(world, ledger) | _checkpoints(ledger)
    ledger.kill()
    ledger.start()
    killed = ledger.recovery()
    ledger.stop()
    ledger.start()
    stopped = ledger.recovery()
    ledger.stop()
    figures |= {
        "events": past["events"],
        "restart_to_serving_ms": stopped.start_ms,
        "restart_replayed_entries": stopped.entries,
        "killed_to_serving_ms": killed.start_ms,
        "killed_replayed_entries": killed.entries,
    }
    if past["events"] <= VERIFIED_EVENTS_MAX:
        figures["verify"] = ledger.verify()
    return figures


def _ingest(world: World, ledger: Ours) -> Figures:
    plan = batch_plan(world, ledger.address, "plain", world.sizes.history_distinct)
    trees = {"postgres": ledger.postgres_pid}
    results: list[Result] = call(with_(plan, pids={"server": ledger.pid}, trees=trees))
    figures = batch_figures(sound("history", results, charged=True))
    figures["run_events"] = figures.pop("events")
    return figures


def _checkpoints(ledger: Ours) -> Figures:
    """What the server's checkpoints took since its start; one that is due may still be written.
    Raises WrongAnswers without any."""
    until = time.monotonic() + CHECKPOINT_TIMEOUT_S
    while not any(taken := ledger.gauges("drawdown_checkpoints_total")):
        if time.monotonic() > until:
            raise WrongAnswers("no checkpoint was due in the run: it has to be longer")
        time.sleep(POLL_S)
    return {
        "checkpoints": sum(taken),
        "shards_with_checkpoints": sum(count > 0 for count in taken),
        "longest_pause_ms": max(ledger.milliseconds("drawdown_checkpoint_pause_max_seconds")),
        "checkpoint_ms": max(ledger.milliseconds("drawdown_checkpoint_duration_seconds")),
        "key_segments": sum(ledger.gauges("drawdown_key_segments")),
        "keys_in_segments": sum(ledger.gauges("drawdown_key_segment_keys")),
    }


HISTORY_STEPS: Final[Mapping[str, Callable[[World], Figures]]] = {
    "history_fill": _fill,
    "history_without_checkpoints": _without_checkpoints,
    "history_empty": _empty,
    "history": _history,
}
