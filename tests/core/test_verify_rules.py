"""Whatever the core decides breaks none of the rules that `verify` judges it by, apart from it."""

from __future__ import annotations

from typing import Any

from core_world import Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase
from test_properties import Run, steps
from test_usual import ZONES, Usage, moves

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.clocks import ClockWatch, PublishedClocks
from ledger.verify.holds import HoldWatch
from ledger.verify.operations import look_at_operations
from ledger.verify.packages import PublishedPackages
from ledger.verify.report import Finding, Findings, ShardReport
from ledger.verify.rules import Rules


def published_packages(core: Core) -> PublishedPackages:
    """What the core's configuration says of packages and assets."""
    found, catalog = PublishedPackages(), core.state.catalog
    for (tenant, _), versions in catalog.packages.items():
        found.versions.update({(tenant, each.version): each for each in versions})
    for asset in catalog.assets.values():
        found.add_asset(asset.tenant, asset.code, asset.number)
    return found


def judged(
    core: Core, replays: bool = True, published: PublishedClocks | None = None
) -> list[Finding]:
    """What the rules say to everything that the core recorded."""
    findings = Findings(ShardReport(0))
    rules, holds, clocks = (
        Rules(findings, published_packages(core)),
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
            if isinstance(event, e.HoldAuthorized | e.HoldExtended | e.LeaseRenewed):
                holds.expires(state, event)
        clocks.batch(state)
        holds.batch(state)
    holds.end(state)
    look_at_operations(findings, state)
    assert not replays or len(replay(core.journal()).holds) == len(state.holds)
    return findings.found


@given(steps)
def test_what_the_core_decides_breaks_no_rule(taken: list[tuple[Any, ...]]) -> None:
    run = Run()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    assert judged(run.core) == []


@given(moves, st.tuples(*[st.sampled_from(ZONES)] * 3))
def test_nor_do_months_of_many_zones(taken: list[tuple[str, Any]], zones: tuple[str, ...]) -> None:
    """Late usage, closings, and changes of zone and grace (rules T1, T2)."""
    run = Usage(plainly=False, zones=zones)
    run.begin()
    for verb, given_ in taken:
        run.move(verb, given_)
    assert judged(run.core) == []


def test_plain_rows_need_not_say_where_their_totals_stood() -> None:
    """A capture that leaves its hold open, what had waited, and usage with a cost: each may be of
    rows that round over a month and have no price model (rules B8, H1, R1)."""
    case = LedgerCase()
    case.run(
        """
        account  acme
        grant    acme 100
        hold     acme 10 as=h of=third
        capture  h 4 open
        usage    acme 10 of=priceless
        override acme priceless:1/3@-2d..
        sweep
        policy   acme card=resold
        usage    acme 10 of=half
        """
    )
    written = {type(event) for _, events in case.core.batches for event in events}
    assert written >= {e.UsageCaptured, e.SuspenseRated, e.UsageCosted}
    assert judged(case.core) == []
