"""Random walks over packages, contracts, seats, fees, caps, shared grants, budgets and statements
at once (`walking`): a few of them here, as many as wanted by `python tests/core/walking.py`."""

from __future__ import annotations

from random import Random

import pytest
from core_world import SandboxCore
from walking import Walk, WalkFailed, main, walk
from walking_actions import TEMPERS, Action

from ledger.core import events as e

FAULTS = {
    "fees are drawn of what stood before a change took back": (55, 57, 62),
    "a second change takes the share of the time back again": (34, 71, 85),
    "who signs again, and subscribed between, is granted twice": (6, 9, 13),
    "each package of a period gives its own seats in full": (26, 40, 48, 50),
    "grants and seats of a period are each bounded by themselves": (3, 8, 12, 15),
}
"""Faults that were put back into the core on purpose, and seeds that catch each."""
SEEDS = sorted({*range(13), *(seeds[0] for seeds in FAULTS.values())})
"""Some of every temper, and one of those each."""
MET = {
    e.Subscribed,
    e.PackageChanged,
    e.PackagePeriodBegun,
    e.PackagePhaseBegun,
    e.PackagePricesSet,
    e.SubscriptionCancelled,
    e.SubscriptionEnded,
    e.ContractSigned,
    e.ContractBegun,
    e.ContractAmended,
    e.ContractRenewed,
    e.ContractEnded,
    e.ChargeRepriced,
    e.ChargeEnded,
    e.FeeCharged,
    e.FeeRecognised,
    e.SeatPlanStarted,
    e.SeatsAdded,
    e.SeatsRemoved,
    e.SeatReassigned,
    e.SeatSuspended,
    e.UsageCaptured,
    e.SeatPeriodBegun,
    e.SeatPlanEnded,
    e.CapBegun,
    e.CapSet,
    e.CapRemoved,
    e.SharingUpdated,
    e.BudgetsCounted,
    e.BudgetCrossed,
    e.StatementEnded,
}
"""What the walks of the suite have to come across, of what hangs together."""


def test_walks_hold_and_meet_what_they_are_for() -> None:
    """By both kinds of clock; a failure says its seed and its steps."""
    written: set[type] = set()
    clocks: set[bool] = set()
    for seed in SEEDS:
        core = walk(seed).case.core
        written |= {type(event) for _, events in core.batches for event in events}
        clocks.add(isinstance(core, SandboxCore))
    assert clocks == {True, False}
    assert {seed % len(TEMPERS) for seed in SEEDS} == set(range(len(TEMPERS)))
    assert not {each.__name__ for each in MET - written}


def test_a_walk_is_said_by_its_seed() -> None:
    one, other = walk(1, 20), walk(1, 20)
    assert one.steps == other.steps
    assert one.case.core.journal() == other.case.core.journal()
    assert walk(2, 20).steps != one.steps


def test_a_walk_that_fails_says_its_seed_and_its_steps() -> None:
    def fall(walking: Walk, drawn: Random) -> None:
        walking.do("sweep")
        if len(walking.steps) == 3:
            raise ValueError("fell")

    with pytest.raises(WalkFailed) as failed:
        walk(7, 5, {"fall": Action("time", 1, fall)})
    assert str(failed.value).splitlines() == [
        "seed 7, length 5: ValueError: fell",
        "    1 sweep -> nothing",
        "    2 sweep -> nothing",
        "    3 sweep -> nothing",
    ]


def test_what_a_long_run_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0..2", "--length", "3"]) == 0
    assert capsys.readouterr().out.startswith("seeds 0..2: all hold; ")
