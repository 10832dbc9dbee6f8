"""Many seeds and mutants over worker processes, and the report that they make.

Each worker gets PYTHONHASHSEED of its group of seeds, so that a seed replays exactly by itself.
Owns processes and counting; a seed's world is made in the worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.simulation.mutation import Mutant, swappable
from ledger.simulation.scenario import SEEDS_A_HASH_SEED, hash_seed_of

MUTANT_SEEDS_MAX: Final = 600  # a mutant that survives so many seeds was not caught
MUTANT_HASH_SEED: Final = "0"
MUTANTS_A_WORKER: Final = 72  # swapped in forks of one process, whose imports take as long as six
LOST_RULES: Final = frozenset({"ACKNOWLEDGED_PRESENT", "REPLAY_EQUALS_STATE"})
DOUBLE_RULES: Final = frozenset({"COUNTED_ONCE", "HOLD_SETTLED_ONCE", "ABANDONED_FINAL"})

Watch = Callable[[int, int], None]
"""Told (done, total) as work goes on."""


class WorkerFailed(Exception):
    """A worker ended by itself: a bug of the simulator, or of the machine."""


@dataclass
class Report:
    """What became of a range of seeds."""

    seeds_run: int = 0
    entries: int = 0
    operations: int = 0
    crashes: int = 0
    simulated_us: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def take(self, found: dict[str, Any]) -> None:
        """Count one seed."""
        self.seeds_run += 1
        self.entries += found["entries"]
        self.operations += found["operations"]
        self.crashes += found["crashes"]
        self.simulated_us += found["simulated_us"]
        if found["rule"]:
            self.failures.append(found)

    @property
    def lost(self) -> int:
        """Seeds in which something acknowledged was lost."""
        return sum(failure["rule"] in LOST_RULES for failure in self.failures)

    @property
    def double_counted(self) -> int:
        """Seeds in which something was counted or settled twice."""
        return sum(failure["rule"] in DOUBLE_RULES for failure in self.failures)

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        return {
            "seeds_run": self.seeds_run,
            "lost": self.lost,
            "double_counted": self.double_counted,
            "operations": self.operations,
            "entries": self.entries,
            "crashes": self.crashes,
            "simulated_s": self.simulated_us // 1_000_000,
            "failures": self.failures,
        }


def run_seeds(first: int, last: int, jobs: int, watch: Watch) -> Report:
    """Run the seeds first..last (inclusive) on `jobs` processes. Raises WorkerFailed."""
    report = Report()
    groups = list(_groups(first, last))
    total = last - first + 1
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_seeds, start, count) for start, count in groups]
        for found in _as_they_end(waiting):
            for each in found:
                report.take(each)
            watch(report.seeds_run, total)
    report.failures.sort(key=lambda failure: int(failure["seed"]))
    return report


def run_mutants(
    mutants: Sequence[Mutant], jobs: int, watch: Watch, seeds_max: int = MUTANT_SEEDS_MAX
) -> list[dict[str, Any]]:
    """Run each mutant until a seed catches it: the one that is known to, else one of the first
    `seeds_max`. Raises WorkerFailed, also for a stale mutant."""
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_mutants, seeds_max, *work) for work in _shared_out(mutants)]
        for each in _as_they_end(waiting):
            found += each
            watch(len(found), len(mutants))
    order = {mutant.name: place for place, mutant in enumerate(mutants)}
    return sorted(found, key=lambda each: order[each["mutant"]])


def _groups(first: int, last: int) -> Iterator[tuple[int, int]]:
    """(start, count) of runs of seeds that share a hash seed."""
    start = first
    while start <= last:
        end = min(last, start - start % SEEDS_A_HASH_SEED + SEEDS_A_HASH_SEED - 1)
        yield start, end - start + 1
        start = end + 1


def _as_they_end(
    waiting: Sequence[Future[list[dict[str, Any]]]],
) -> Iterator[list[dict[str, Any]]]:
    try:
        for done in as_completed(waiting):
            yield done.result()
    except BaseException:
        for each in waiting:
            each.cancel()
        raise


def _seeds(start: int, count: int) -> list[dict[str, Any]]:
    return _work(str(hash_seed_of(start)), "seeds", str(start), str(count))


def _shared_out(mutants: Sequence[Mutant]) -> Iterator[tuple[str, list[str]]]:
    """(kind of work, names) for one worker each."""
    swapped = []
    for mutant in mutants:
        if swappable(mutant):
            swapped.append(mutant.name)
        else:
            yield "mutant", [mutant.name]
    for start in range(0, len(swapped), MUTANTS_A_WORKER):
        yield "swapped", swapped[start : start + MUTANTS_A_WORKER]


def _mutants(seeds_max: int, work: str, names: list[str]) -> list[dict[str, Any]]:
    return _work(MUTANT_HASH_SEED, work, str(seeds_max), *names)


def _work(hash_seed: str, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-W", "ignore", "-m", "ledger.simulation.worker", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerFailed(f"{' '.join(arguments)}: {done.stderr[-2_000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]
