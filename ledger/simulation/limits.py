"""Limits of the engine so small that a handful of operations reaches them, while a world runs.

Owns which module's limit becomes what; they are put back when the world is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from ledger.engine import batch, deciding, recent, resolve, segments, upkeep, writer
from ledger.projections import shard
from ledger.simulation.scenario import Scenario

TIGHT: Final[tuple[tuple[ModuleType, str, object], ...]] = (
    (batch, "BATCH_COMMANDS_MAX", 2),  # tickets that come back find no room
    (deciding, "DECIDE_SLICE", 2),
    (deciding, "COPYING_SLICE", 1),
    (upkeep, "SLICE_US", 0),  # every slice of work is over at once
    (resolve, "FAMILIES_A_QUERY", 1),
    (resolve, "BUCKETS_A_QUERY", 1),
    (segments, "SEGMENTS_A_GENERATION", 2),  # segments are merged with nearly each checkpoint
    (segments, "BUCKET_BITS_MIN", 1),  # ... and grow: 4, 16, 64 keys
    (segments, "BUCKET_KEYS_BITS", 1),
    (segments, "FALSE_POSITIVE_ONE_IN", 3),  # filters that are often wrong
)


@contextmanager
def limited(scenario: Scenario) -> Iterator[None]:
    """The limits of a scenario; nothing is logged meanwhile."""
    wanted: list[tuple[ModuleType, str, object]] = [
        (recent, "RECENT_EVENTS_MAX", scenario.recent_events_max),
        (writer, "SWEEP_ENTRIES_MAX", scenario.sweep_entries_max),
        (shard, "POLL_MAX_S", 1),
        (shard, "STEP_EVENTS", 20),
        *(TIGHT if scenario.tight else ()),
    ]
    kept = [(module, name, getattr(module, name)) for module, name, _ in wanted]
    for module, name, value in wanted:
        setattr(module, name, value)
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for module, name, value in kept:
            setattr(module, name, value)
