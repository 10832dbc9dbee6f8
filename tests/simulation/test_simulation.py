"""The whole ledger in a world that fails: rules hold, and deliberate faults are caught.

`make simulate` runs 10,000 worlds, and searches for each fault until it is caught.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from types import CodeType
from typing import Any, get_args

import pytest

from ledger.core import commands, events
from ledger.core.decide import _DECIDERS
from ledger.engine import recovery
from ledger.simulation import mutation
from ledger.simulation.batches import run_mutants, run_seeds
from ledger.simulation.model import HANDLERS
from ledger.simulation.mutant_seeds import SEEDS as KNOWN_SEEDS
from ledger.simulation.mutants import MUTANTS
from ledger.simulation.mutation import Mutant, MutantStale, mutated, source_of, swappable
from ledger.simulation.rules import Rule
from ledger.simulation.scenario import SELDOM, SHARDS, FaultKind, calm, draw, hash_seed_of
from ledger.simulation.shrink import Shrinker, told
from ledger.simulation.spoilt import Spoilt
from ledger.simulation.workload import ENTRIES
from ledger.simulation.world import run

OF_METERS = {commands.MeteredUsage, commands.ReportGauge}  # tests/core/test_levels, test_gauges
OF_OUTCOMES = {commands.ReportOutcome, commands.ConfirmOutcome, commands.RejectOutcome}
"""tests/core/test_machine and test_outcome_charges draw them."""
OF_TREES = {commands.MoveAccount}  # tests/core/test_machine and test_moving draw it
OF_POLICIES = {commands.SetOperationPolicy}  # tests/core/test_operation_policies draws it
OF_CAPS = {commands.UpdateSharing, commands.SetCap, commands.RemoveCap}
"""tests/core/test_cap_properties draws them."""
OF_STATEMENTS = {commands.SetStatements, commands.EndStatement, commands.CloseStatement}
"""tests/core/test_statements draws them."""
OF_JOBS = {commands.RepriceUsage}  # a job's; tests/core/test_repricing draws it
OF_RUNWAYS = {commands.SetRunwayAlert, commands.RemoveRunwayAlert, commands.ReportRunway}
"""tests/core/test_runways draws them."""
SEEDS = 50
DRAWN_WITHIN = 64
ELSEWHERE = OF_METERS | OF_OUTCOMES | OF_TREES | OF_CAPS | OF_JOBS
ELSEWHERE |= OF_STATEMENTS | OF_RUNWAYS | OF_POLICIES
"""What worlds do not draw."""
JOBS = 2


def nobody(done: int, total: int) -> None:
    """Nobody watches."""


def test_every_rule_holds_in_50_worlds() -> None:
    report = run_seeds(0, SEEDS - 1, JOBS, nobody)
    assert report.failures == []
    assert report.seeds_run == SEEDS
    assert report.crashes > SEEDS // 4, "worlds in which servers are killed"
    assert report.entries > SEEDS * 50


def test_every_deliberate_fault_is_caught() -> None:
    """Each by the seed that is known to. Worlds that are drawn otherwise than when the seeds were
    written down let some pass: then find theirs anew (tests.simulation.seeds)."""
    found = run_mutants(MUTANTS, JOBS, nobody, seeds_max=0)
    assert [each["mutant"] for each in found if not each["caught"]] == [], (
        "python -m tests.simulation.seeds"
    )
    assert len(found) == len(MUTANTS) >= 150
    assert len({each["rule"] for each in found}) > 15, "each by the rule that it breaks"


def worker(seed: int, first: int | None = None) -> dict[str, Any]:
    """A seed in a fresh process, after those from `first` on."""
    first = seed if first is None else first
    command = [sys.executable, "-m", "ledger.simulation.worker", "seeds"]
    done = subprocess.run(
        [*command, str(first), str(seed - first + 1)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed_of(seed))},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_seed_runs_the_same_way_in_every_process() -> None:
    alone = worker(17)
    assert alone == worker(17)
    assert alone == worker(17, first=12), "what ran before in the process leaves no trace"
    assert alone["digest"] != worker(18)["digest"]


def test_a_seed_depends_on_its_hash_seed_only_as_its_own() -> None:
    assert hash_seed_of(0) == hash_seed_of(49) != hash_seed_of(50)


def test_a_calm_world_answers_everything_at_once() -> None:
    verdict = run(replace(calm(draw(3)), leases=True))  # without them the last one starts anew
    assert verdict.violation is None
    assert verdict.crashes == 0


def test_a_failing_history_is_shrunk_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the journal's time, planted: the shortest history names the same rule."""
    monkeypatch.setattr(recovery, "check_skew", lambda clock, now: None)
    monkeypatch.setattr("ledger.engine.answers.answer_again", lambda command, recorded: recorded)
    failing = next(
        scenario for scenario in map(draw, range(50)) if run(scenario).violation is not None
    )
    verdict = run(failing)
    assert verdict.violation is not None
    shrinker = Shrinker(failing, verdict, runs_max=150)
    shrinker.shrink()
    assert shrinker.verdict.violation is not None
    assert shrinker.verdict.violation.rule is verdict.violation.rule
    assert len(shrinker.best.operations) < len(failing.operations)
    assert len(shrinker.best.operations) <= 8
    lines = told(shrinker.best, shrinker.verdict)
    assert verdict.violation.rule.name in lines[0]
    assert run(shrinker.best).digest == shrinker.verdict.digest, "the short one replays too"


def test_every_command_is_in_the_workload_and_every_event_in_the_model() -> None:
    """A new command needs an entry in workload.ENTRIES, a new event a method of the model."""
    drawn = {entry.command for entry in ENTRIES.values()} - {None}
    assert drawn | ELSEWHERE == set(get_args(commands.Command)) == set(_DECIDERS)
    assert set(HANDLERS) == set(get_args(events.Event))


def test_every_command_is_drawn_within_the_first_worlds() -> None:
    """Worlds draw the whole credit model: no command of the core is left to luck."""
    drawn = {
        ENTRIES[operation.kind].command
        for scenario in map(draw, range(DRAWN_WITHIN))
        for operation in scenario.operations
    }
    assert set(_DECIDERS) - drawn == ELSEWHERE


def test_worlds_of_plain_usage_alone_are_left() -> None:
    """What only much of plain usage shows has worlds of its own."""
    plain = [
        scenario
        for scenario in map(draw, range(200))
        if not any(ENTRIES[operation.kind].topic for operation in scenario.operations)
    ]
    assert 36 <= len(plain) <= 120


def test_a_swapped_function_is_the_one_of_a_mutated_module() -> None:
    """Whoever knows the function runs the fault; what is not within one function is not swapped."""
    for mutant in MUTANTS:
        assert swappable(mutant), "else it has an interpreter of its own, which takes seconds"
    signature = Mutant("a", "ledger.core.books", "Books.transfer", "amount: int", "amount: str", "")
    whole = Mutant("b", "ledger.core.books", "Books", "def check(self)", "def check(this)", "")
    assert not swappable(signature)
    assert not swappable(whole)


def test_mutants_have_names_of_their_own_and_apply() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        source = source_of(mutant.module).read_text()
        assert mutated(mutant, source) != source


def test_mutants_use_names_that_are_there() -> None:
    """Else what is caught is not the fault, but that it cannot run."""
    for mutant in MUTANTS:
        module = importlib.import_module(mutant.module)
        code = compile(mutated(mutant, source_of(mutant.module).read_text()), "mutated", "exec")
        for name in mutant.function.split("."):
            [code] = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name]
        used = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
        assert used <= vars(module).keys() | vars(builtins).keys(), mutant.name


def test_every_mutant_has_a_seed_that_catches_it() -> None:
    assert set(KNOWN_SEEDS) == {mutant.name for mutant in MUTANTS}


@pytest.mark.parametrize("kind", SELDOM, ids=lambda kind: kind.name)
def test_seldom_faults_happen(kind: FaultKind) -> None:
    scenario = next(
        each for each in map(draw, range(500)) if any(fault.kind is kind for fault in each.faults)
    )
    verdict = run(scenario)
    assert verdict.violation is None
    assert any(f"fault {kind.name}" in line for line in verdict.happened)


def test_a_spoilt_checkpoint_is_ignored() -> None:
    """Each way of spoiling one finds a stored checkpoint in some world, and no rule is broken."""
    left = set(Spoilt)
    for scenario in map(draw, range(1_000)):
        ways = {
            Spoilt(fault.amount // SHARDS)
            for fault in scenario.faults
            if fault.kind is FaultKind.CHECKPOINT_SPOILT
        }
        if len(ways) != 1 or not ways & left or scenario.checkpoint_entries > 10:
            continue
        verdict = run(scenario)
        assert verdict.violation is None
        if any("a checkpoint is spoilt: True" in line for line in verdict.happened):
            left -= ways
        if not left:
            return
    assert left == set()


def test_a_mutant_whose_text_is_gone_fails_loudly() -> None:
    mutant = MUTANTS[0]
    source = source_of(mutant.module).read_text()
    for stale in (
        Mutant("a", mutant.module, mutant.function, "no such text", "", ""),
        Mutant("b", mutant.module, "no_such_function", mutant.before, "", ""),
        Mutant("c", mutant.module, mutant.function, "grant", "", ""),
    ):
        with pytest.raises(MutantStale):
            mutated(stale, source)
    with pytest.raises(MutantStale, match="imported already"):
        mutation.install(mutant)


def test_every_rule_says_what_it_stands_for() -> None:
    assert all(rule.value and rule.name.isupper() for rule in Rule)
