"""The clock of a sandbox tenant: whatever time causes happens as it is moved (rules T4, T5)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from core_world import (
    FAMILY,
    ROWS,
    START_US,
    TENANT,
    Core,
    SandboxCore,
    card,
    move_clock,
    replay,
)
from hypothesis import given
from ledger_case import LedgerCase
from msgspec.structs import replace
from test_packing import Restless, moves_of, packed_shard
from test_properties import Run, steps
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, DEDUPE_WINDOW_US, HOUR_US
from ledger.core.live_timers import rebuild_timers
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family, unpack_shard
from ledger.core.state import NEVER
from rating.compile import CompiledCard
from rating.versions import CardVersion

LIVE = 2
LIVE_CREDITS = asset_number(LIVE, 1)
CREDITS = asset_number(TENANT, 1)
ACME, BETA, OTHER = 1, 2, 3
"""Accounts: two families of the sandbox, one of the live tenant."""

MODULES = (
    "test_recurring",
    "test_grants",
    "test_grant_kinds",
    "test_holds",
    "test_costs",
    "test_holds_in_parts",
    "test_commitments",
    "test_overdraft",
    "test_top_ups",
    "test_usage",
    "test_corrections",
    "test_closing",
    "test_payments",
    "test_shared_grants",
)


OUTLIVED = (
    "test_a_settled_hold_is_remembered_as_long_as_its_keys",
    "test_a_key_is_known_for_as_long_as_its_event_may_come_again",
)
"""What is remembered is remembered by the writer's clock: in a sandbox, longer (see below)."""


def stories() -> Iterator[Any]:
    """Every case of these modules in which time passes."""
    for name in MODULES:
        module = importlib.import_module(name)
        for called, test in vars(module).items():
            wrapped = getattr(test, "__wrapped__", None)
            story = test.__doc__ or ""
            if called.startswith("test_") and wrapped and "clock " in story:
                if called in OUTLIVED:
                    continue
                yield pytest.param(story, id=f"{name}:{called}")


@pytest.mark.parametrize("story", list(stories()))
def test_what_time_causes_is_the_same_in_a_sandbox(story: str) -> None:
    """Grants, expiries, rollovers, breakage, holds, invoices, true-ups, top-ups, grace: each story
    of time, told to a tenant for whom time passes only as its clock is moved (rule T4)."""
    case = LedgerCase(SandboxCore())
    case.run(story)
    case.finish()
    assert judged(case.core) == []


class SandboxRun(Run):
    core_class = SandboxCore


class RestlessSandbox(Restless):
    core_class = SandboxCore


@given(steps)
def test_a_sandbox_decides_as_the_naive_waterfall_does(taken: list[tuple[Any, ...]]) -> None:
    run = SandboxRun()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.check_against_model()
    assert digest(replay(run.core.journal())) == digest(run.state)
    assert judged(run.core) == []


@given(steps, moves_of)
def test_families_that_are_packed_elsewhere_follow_the_clock(
    taken: list[tuple[Any, ...]], moves: list[int]
) -> None:
    """The clock moves while the family is paged out, and between a checkpoint and its restart."""
    run = RestlessSandbox(list(moves))
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.check_against_model()
    assert digest(replay(run.core.journal())) == digest(run.state)


# -- two tenants, one shard ------------------------------------------------------------------------


def world() -> Core:
    """Two families of a sandbox and one of a live tenant, each with 100 credits for 30 days."""
    core = Core()
    core.catalog.add_asset(Asset(LIVE_CREDITS, LIVE, "credits", 0, "credit"))
    compiled = CompiledCard(card("default", "credits", ROWS), 3)
    core.catalog.add_card(LIVE, "default", CardVersion(3, 0, 0, compiled))
    for account in (ACME, BETA, OTHER):
        tenant = LIVE if account == OTHER else TENANT
        ask(core, c.CreateAccount, tenant, account, 0, account, e.AccountPolicy())
        asset = LIVE_CREDITS if account == OTHER else CREDITS
        kind = e.GrantKind.PROMOTIONAL
        expires_at = core.now + 30 * DAY_US
        ask(core, c.IssueGrant, account, kind, asset, 100, 0, 0, 0, 0, expires_at, (), b"")
    return core


def ask(core: Core, command: Any, *fields: Any) -> Any:
    """A command under a new key."""
    key = FAMILY.request(f"{core.state.locator}/{len(core.batches)}/{len(fields)}/{fields[0]}")
    return core.run(command(key, *fields))


def usage(core: Core, account: int, name: str, tokens: int = 1, at: int = 0) -> c.RecordUsage:
    key = FAMILY.usage("case", f"{account}/{name}")
    return c.RecordUsage(key, account, core.shape("chat", "tokens"), (tokens,), at, c.NO_NAMES)


def last(core: Core, count: int) -> list[Any]:
    return core.batches[-1][1][-count:]


def kinds(core: Core) -> list[str]:
    return [type(event).__name__ for event in core.batches[-1][1]]


def test_tenants_in_one_batch_each_have_their_own_time() -> None:
    """An entry says of which time those after it are, once for each change (rules T4, T5)."""
    core = world()
    core.advance(1)
    move_clock(core, TENANT, DAY_US)
    for name in ("a", "b"):
        for account in (OTHER, ACME, BETA):
            assert isinstance(core.run(usage(core, account, name)), e.UsageRecorded)
    plan = "PlanDeclared"  # one a tenant: they are priced by cards of their own
    assert [kind for kind in kinds(core) if kind not in (plan, "BookOpened")] == [
        "ConfigurationApplied",
        "ClockAdvanced",
        "UsageRecorded",
        "TimeShifted",
        "UsageRecorded",
        "UsageRecorded",
        "TimeShifted",
        "UsageRecorded",
        "TimeShifted",
        "UsageRecorded",
        "UsageRecorded",
    ]
    recorded = [each for each in core.batches[-1][1] if isinstance(each, e.UsageRecorded)]
    ahead = [each.effective_at - core.now for each in recorded]
    assert ahead == [0, DAY_US, DAY_US, 0, DAY_US, DAY_US]
    core.begin_batch()
    core.run(usage(core, OTHER, "c"))
    assert "TimeShifted" not in kinds(core), "each batch begins at its own time"
    assert digest(replay(core.journal())) == digest(core.state)
    assert judged(core) == []


def test_many_at_a_time_stop_at_the_first_of_another_time() -> None:
    """The hot path and the plain one record the same (rule T5)."""
    made = []
    for plainly in (False, True):
        core = world()
        move_clock(core, TENANT, HOUR_US)
        for account in (ACME, OTHER):  # books are open
            core.run(usage(core, account, "first"))
        core.plainly = plainly
        order = (OTHER, OTHER, ACME, BETA, OTHER, BETA)
        group = [usage(core, account, str(place)) for place, account in enumerate(order)]
        usual = 0 if plainly else core.run_usual(group)
        assert usual == (0 if plainly else 2)
        for command in group[usual:]:
            core.run(command)
        made.append(core.journal())
    assert made[0] == made[1]


def test_a_refusal_leaves_no_entry_and_no_other_time() -> None:
    """A refusal changes nothing: no shift of time without an entry after it (rule I2)."""
    core = world()
    core.advance(1)
    move_clock(core, TENANT, DAY_US)
    core.run(usage(core, OTHER, "a"))
    before, entries = digest(core.state), len(core.batches[-1][1])
    refused = (
        usage(core, ACME, "zero", 0),
        usage(core, ACME, "ahead", 1, core.now + DAY_US + HOUR_US),
        c.VoidGrant(FAMILY.request("void"), ACME, 99),
        c.CloseAccount(FAMILY.request("close"), ACME),
    )
    for command in refused:
        assert isinstance(core.run(command), Refusal)
    assert len(core.batches[-1][1]) == entries and digest(core.state) == before
    core.run(usage(core, OTHER, "b"))
    assert kinds(core)[-1] == "UsageRecorded", "and the live tenant's time goes on"
    assert last(core, 1)[0].effective_at == core.now


def test_what_is_recorded_once_is_recorded_once_whatever_the_clock_says() -> None:
    """Identities are kept by the writer's time; a window of 35 days is the sandbox's (rule I4)."""
    core = world()
    move_clock(core, TENANT, DAY_US)
    core.run(usage(core, ACME, "a"))
    core.advance(1)
    move_clock(core, TENANT, 2 * DEDUPE_WINDOW_US)
    assert isinstance(core.run(usage(core, ACME, "a")), Known)
    old = core.run(usage(core, ACME, "old", 1, core.now + DEDUPE_WINDOW_US - 1))
    assert isinstance(old, e.UsageQuarantined)
    live = core.run(usage(core, OTHER, "new", 1, core.now - 34 * DAY_US))
    assert isinstance(live, e.UsageRecorded | Refusal) and not isinstance(live, e.UsageQuarantined)


# -- moving ----------------------------------------------------------------------------------------


def test_a_clock_never_falls_and_is_applied_once() -> None:
    core = world()
    move_clock(core, TENANT, DAY_US)
    assert kinds(core)[-2:] == ["ConfigurationApplied", "ClockAdvanced"]
    for offset in (-1, 0, HOUR_US, DAY_US):  # another asset; what a later version says again
        move_clock(core, TENANT, offset)
        assert kinds(core)[-1] == "ConfigurationApplied"
    assert core.state.offsets == {TENANT: DAY_US}
    again = core.run(c.ApplyConfiguration(TENANT, 2, b"clock", 9 * DAY_US))
    assert isinstance(again, Refusal) and again.reason is Reason.VERSION_MISMATCH
    assert digest(replay(core.journal())) == digest(core.state)


def test_what_was_missed_comes_in_order_across_families_a_few_at_a_time() -> None:
    """Several periods missed in one jump: each is posted once, earliest first, never more than one
    batch should hold (rules T1, T4)."""
    core = world()
    for account, hour in ((ACME, 0), (BETA, 1)):
        week, whole = e.PeriodUnit.WEEK, e.Proration.NONE
        terms = e.RecurringTerms(
            e.GrantKind.PROMOTIONAL, CREDITS, 10, 0, 0, 0, (), week, 1, 0, "UTC", whole, 0
        )
        starts_at = START_US + DAY_US + hour * HOUR_US
        ask(core, c.StartRecurring, account, terms, b"", starts_at, 0)
    core.advance(1)
    move_clock(core, TENANT, 31 * DAY_US)
    core.begin_batch()
    posted: list[Any] = []
    for _ in range(40):
        swept = core.sweep(1)
        assert len(swept) <= 8
        posted += [each for each in swept if isinstance(each, e.RecurringIssued)]
        core.begin_batch()
    starts = [each.start for each in posted]
    assert starts == sorted(starts) and len(starts) == 10, "one family after the other, by time"
    assert {account: [each.account for each in posted].count(account) for account in (1, 2)} == {
        ACME: 5,
        BETA: 5,
    }
    assert core.sweep() == [] and digest(replay(core.journal())) == digest(core.state)
    assert judged(core) == []


def test_the_live_tenant_is_not_touched() -> None:
    """What is due for the sandbox is not for its neighbour."""
    core = world()
    move_clock(core, TENANT, 40 * DAY_US)
    core.begin_batch()
    swept = core.sweep()
    assert sorted(each.account for each in swept if isinstance(each, e.GrantExpired)) == [1, 2]
    core.advance(40 * DAY_US)
    assert [each.account for each in core.sweep() if isinstance(each, e.GrantExpired)] == [OTHER]


def test_a_restart_between_the_move_and_the_sweep_loses_nothing() -> None:
    """Checkpoint and timers know the clock; all that it makes due happens, once (rule T4)."""
    core = world()
    bodies = {r: pack_family(core.state, r, core.state.settled_before) for r in core.state.families}
    move_clock(core, TENANT, 40 * DAY_US)
    core.begin_batch()
    state = core.state
    loaded = unpack_shard(packed_shard(state), core.catalog)
    assert loaded.offsets == {TENANT: 40 * DAY_US}
    for body in bodies.values():
        unpack_family(loaded, body)
    loaded.keys = state.keys
    rebuild_timers(loaded)
    assert digest(loaded) == digest(state)
    core.state = loaded
    core.begin_batch()
    assert sorted(each.account for each in core.sweep() if isinstance(each, e.GrantExpired)) == [
        ACME,
        BETA,
    ]
    core.begin_batch()
    assert core.sweep() == []


def test_families_that_are_paged_out_are_fetched_as_the_clock_moves() -> None:
    """By their own tenant's clock, and only those (rule T4)."""
    core = world()
    state = core.state
    bodies = {root: pack_family(state, root, state.settled_before) for root in (ACME, BETA, OTHER)}
    for root in bodies:
        drop_family(state, root)
    move_clock(core, TENANT, 30 * DAY_US)
    core.begin_batch()
    assert core.sweep() == [] and state.overdue == [], "a grant keeps its day of grace (rule T3)"
    move_clock(core, TENANT, 31 * DAY_US)
    core.begin_batch()
    assert core.sweep() == [] and sorted(state.overdue) == [ACME, BETA]
    move_clock(core, TENANT, 32 * DAY_US)
    core.begin_batch()
    assert core.sweep() == [], "they are being fetched"
    for root in (ACME, BETA):
        unpack_family(state, bodies[root])
    assert sorted(each.account for each in core.sweep() if isinstance(each, e.GrantExpired)) == [
        ACME,
        BETA,
    ]
    assert state.paged_families[OTHER] not in (0, NEVER)
    unpack_family(state, bodies[OTHER])
    assert digest(replay(core.journal())) == digest(state)


# -- verify ----------------------------------------------------------------------------------------


def tampered(change: Callable[[list[e.Event]], list[e.Event]]) -> list[str]:
    """What the rules say when the last batch but one was changed."""
    core = world()
    core.advance(1)
    move_clock(core, TENANT, DAY_US)
    core.run(usage(core, OTHER, "a"))
    core.run(usage(core, ACME, "a"))
    core.begin_batch()
    at, events = core.batches[-2]
    core.batches[-2] = (at, change(events))
    core.state = replay(core.journal(), Catalog())
    return [finding.what for finding in judged(core, replays=False)]


def without(kind: type) -> Callable[[list[e.Event]], list[e.Event]]:
    return lambda events: [event for event in events if not isinstance(event, kind)]


def changed(kind: type, **fields: Any) -> Callable[[list[e.Event]], list[e.Event]]:
    return lambda events: [
        replace(each, **fields) if isinstance(each, kind) else each for each in events
    ]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed(e.ClockAdvanced, offset=-1), "clock of tenant 1"),
        (changed(e.ClockAdvanced, offset=0), "clock of tenant 1"),
        (changed(e.TimeShifted, offset=HOUR_US), "shift of time"),
        (changed(e.TimeShifted, offset=0), "shift of time"),
        (lambda events: [*events, e.TimeShifted(0)], "after a shift of time"),
        (
            lambda events: [*events, e.TimeShifted(0), e.TimeShifted(DAY_US)],
            "after a shift of time",
        ),
        (changed(e.ClockAdvanced, offset=HOUR_US), "recorded ahead"),
    ],
    ids=["shrinks", "stays", "of nobody", "the same", "at the end", "twice", "another clock"],
)
def test_a_tampered_time_is_found(
    change: Callable[[list[e.Event]], list[e.Event]], found: str
) -> None:
    """`verify` says apart from the core that each entry is of its tenant's time (rule T4)."""
    assert any(found in each for each in tampered(change)), tampered(change)


@pytest.mark.parametrize(
    ("offset", "found"),
    [(DAY_US, ""), (HOUR_US, "clock of tenant 1"), (0, "clock of tenant 1")],
    ids=["as published", "published otherwise", "never published"],
)
def test_a_clock_is_moved_by_what_was_published_and_nothing_else(offset: int, found: str) -> None:
    core = world()
    move_clock(core, TENANT, DAY_US)
    core.run(usage(core, ACME, "a"))
    findings = judged(core, published={(TENANT, 1): offset, (TENANT, 2): 2 * DAY_US})
    assert [finding.what for finding in findings if found not in finding.what] == []
    assert bool(findings) == bool(found)
    move_clock(core, TENANT, -1)  # of a version that was published to move it
    core.run(usage(core, ACME, "b"))
    findings = judged(core, published={(TENANT, 1): DAY_US, (TENANT, 2): 2 * DAY_US})
    assert "entry after configuration" in findings[0].what
