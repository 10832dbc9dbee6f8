"""Whatever the core decides breaks none of the rules that `verify` judges it by, apart from it."""

from __future__ import annotations

from typing import Any

from core_world import Core, replay
from hypothesis import given, settings
from test_properties import Run, steps

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.clocks import ClockWatch, PublishedClocks
from ledger.verify.holds import HoldWatch
from ledger.verify.report import Finding, Findings, ShardReport
from ledger.verify.rules import Rules


def judged(
    core: Core, replays: bool = True, published: PublishedClocks | None = None
) -> list[Finding]:
    """What the rules say to everything that the core recorded."""
    findings = Findings(ShardReport(0))
    rules, holds, clocks = (
        Rules(findings),
        HoldWatch(findings),
        ClockWatch(findings, published or {}),
    )
    state = State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            rules.before(state, event)
            clocks.before(state, event)
            if isinstance(event, e.ClockAdvanced):
                holds.advanced(state, event)
            evolve(state, event)
            rules.after(state, event)
            if isinstance(event, e.HoldAuthorized | e.HoldExtended):
                holds.expires(state, event)
        clocks.batch(state)
        holds.batch(state)
    holds.end(state)
    assert not replays or len(replay(core.journal()).holds) == len(state.holds)
    return findings.found


@given(steps)
@settings(max_examples=150, deadline=None)
def test_what_the_core_decides_breaks_no_rule(taken: list[tuple[Any, ...]]) -> None:
    run = Run()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    assert judged(run.core) == []
