"""What the steps of a round share: the ledger under measurement, its references, the plan of a run.

Owns the tags, so that no two runs send the same id, and the judgement of answers: a step whose
answers are wrong fails the whole benchmark, for a fast wrong figure is worth nothing. Must not
measure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.callers import INGEST, Plan, Result
from bench.ours import Ours
from bench.past import History
from bench.report import faults_of
from bench.sizes import Sizes
from ledger.journal.embedded import EmbeddedPostgres

PREPARED_BATCHES = 3_000  # x 60 to 140 kB


class WrongAnswers(Exception):
    """A run whose replies were not what they must be; it measures nothing."""


class World:
    """What the steps of one round share. `history` outlives the round: filling it takes minutes."""

    def __init__(
        self,
        sizes: Sizes,
        templates: Path,
        ledger: Ours,
        postgres: EmbeddedPostgres,
        history: History,
        number: int,
    ) -> None:
        self.sizes = sizes
        self.templates = templates
        self.ledger = ledger
        self.postgres = postgres
        self.history = history
        self.verified: list[dict[str, Any]] = []  # reports of ledgers that are gone
        self.opened_us = 0  # when the accounts were all there
        self._recorded = False
        self._number = number
        self._runs = 0

    def next_tag(self) -> str:
        """Eight characters that no other run has had."""
        self._runs += 1
        return f"r{self._number:02d}-{self._runs:03d}-"[:8]

    def start(self) -> None:
        """Start the ledger and open the workload's accounts."""
        self.ledger.start()
        self.ledger.seed(self.sizes, time.time_ns() // 1_000)
        self.ledger.catch_up()
        self.ledger.stop()
        self.ledger.keep()
        self.opened_us = time.time_ns() // 1_000
        self.ledger.start()

    def begin_anew(self) -> None:
        """The ledger is what it was when it was started: what grows with a run is no part of the
        next one. What is thrown away is verified first. After as many times as the size wants, it
        goes on instead."""
        if not self._recorded:
            self._recorded = True
            return
        if len(self.verified) == self.sizes.anew_max:
            return
        self.ledger.stop()
        self.verified.append(self.ledger.verify())
        self.ledger.go_back()
        self.ledger.start()


def batch_plan(world: World, target: str, template: str, distinct: int) -> Plan:
    """A run of batches: until `ingest_ms` and so many distinct ids are reached."""
    sizes = world.sizes
    return Plan(
        target=target,
        method=INGEST,
        template=str(world.templates / template),
        tag=world.next_tag(),
        prepared=min(PREPARED_BATCHES, 6 * sizes.template_batches),
        in_flight=sizes.in_flight,
        warmup_ms=sizes.ingest_warmup_ms,
        duration_ms=sizes.ingest_ms,
        distinct=distinct,
        charges=True,
        pids={},
        trees={},
    )


def with_(plan: Plan, **changes: Any) -> Plan:
    """The plan with other fields."""
    return msgspec.structs.replace(plan, **changes)


def sound(name: str, results: Sequence[Result], *, charged: bool) -> Sequence[Result]:
    """The results, if every answer is right. Raises WrongAnswers."""
    faults = faults_of(results, charged=charged)
    if faults:
        raise WrongAnswers(f"{name}: " + "; ".join(faults))
    return results
