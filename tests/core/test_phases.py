"""Phases of a package in relative time: trial, ramp, steady (rule P4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import START_US, Core
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_package_prices import publish_card, sells
from test_packages import ACME, FEBRUARY, MONTH, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import (
    Entitlement,
    Package,
    PackagedExcess,
    PackagedKind,
    PackagedPolicy,
    Phase,
    PhasedGrant,
    validate,
)
from ledger.core.packing import drop_family, pack_family, unpack_family
from rating.card import Product

MARCH = START_US + 59 * DAY_US
APRIL = START_US + 90 * DAY_US


def granting(amount: int, name: str, **fields: Any) -> Phase:
    return Phase(name, grants=(PhasedGrant("credits", amount),), **fields)


TRIAL = Phase(
    "trial",
    days=14,
    grants=(PhasedGrant("credits", 20, kind=PackagedKind.PROMOTIONAL),),
    policy=PackagedPolicy(excess=PackagedExcess.ABSORB),
    entitlements=(),
)
RAMP = granting(100, "ramp", periods=2)
PRO = plan(300, phases=(TRIAL, RAMP), entitlements=sells("image"))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.publish("pro", PRO)
    made.publish("ramped", plan(300, phases=(RAMP,)))
    made.publish("starter", plan(50))
    yield made
    made.finish()


def phases(core: Core) -> list[tuple[int, str, int]]:
    """(days since the start, phase, periods) of every phase that began."""
    return [
        ((event.at - START_US) // DAY_US, event.phase, event.periods)
        for _, batch in core.batches
        for event in batch
        if isinstance(event, e.PackagePhaseBegun)
    ]


def test_a_trial_then_a_ramp_then_the_packages_own_terms(world: World) -> None:
    """Rules P4, T1: 14 days at 20, two months from then at 100, then 300; each once, by the clock,
    also where nobody swept for months."""
    world.subscribe("pro")
    assert world.core.state.accounts[ACME].policy.excess == e.Excess.ABSORB
    world.to(START_US + 200 * DAY_US)
    world.core.sweep()
    issued = [(0, 20), (14, 100), (45, 100), (73, 300), (104, 300), (134, 300), (165, 300)]
    assert world.issued() == [*issued, (195, 300)]
    assert phases(world.core) == [(0, "trial", 1), (14, "ramp", 2), (73, "", 0)]
    assert world.core.state.accounts[ACME].policy.excess == e.Excess.OWE


def test_what_a_trial_grants_is_whole_and_free(world: World) -> None:
    """Rules S1, B5: its days are a period of their own."""
    term = world.subscribe("pro").term
    assert (term.remaining, term.full, term.end) == (14 * DAY_US, 14 * DAY_US, term.end)
    [grant] = world.core.state.accounts[ACME].grants
    assert (grant.kind, grant.amount, grant.expires_at) == (
        e.GrantKind.PROMOTIONAL, 20, START_US + 14 * DAY_US,
    )  # fmt: skip


def test_a_trial_sells_only_what_it_says(world: World) -> None:
    """Rules P2, P4: the ramp has the package's entitlements, the trial none."""
    publish_card(world.core, Product("image", entitled=False))
    world.subscribe("pro")
    assert world.use(1, "image").suspense == e.Suspense.NOT_ENTITLED
    world.to(START_US + 15 * DAY_US)
    assert world.use(1, "image").suspense == 0


def test_the_phases_of_a_package_are_had_once(world: World) -> None:
    """Rule P4: cancelled in its trial and subscribed to again it is in that trial; after it the
    package has its own terms."""
    world.subscribe("pro")
    world.to(START_US + 7 * DAY_US)
    world.cancel()
    again = world.subscribe("pro")
    assert (again.term.end, world.subscription.phase) == (START_US + 14 * DAY_US, "trial")
    assert world.issued() == [(0, 20)]
    world.to(START_US + 8 * DAY_US)
    world.cancel()
    world.to(START_US + 20 * DAY_US)
    world.subscribe("pro")
    assert (world.issued()[-1], world.subscription.phase) == ((20, 300), "")
    assert phases(world.core) == [(0, "trial", 1)]


def test_a_change_now_goes_into_the_first_phase_of_the_new_package(world: World) -> None:
    """Rules P3, S1: the rest of the period is its first; flipping back has the phase no more."""
    world.subscribe("starter")
    world.to(START_US + MONTH // 2)
    world.change("ramped")
    assert (world.available, world.subscription.phase_left) == (100, 2)
    world.to(FEBRUARY)
    assert (world.available, world.subscription.phase_left) == (100, 1)
    world.change("starter")
    world.change("ramped")
    assert world.subscription.phase == ""
    world.to(MARCH)
    assert world.available == 300
    assert phases(world.core) == [(15, "ramp", 2)]


def test_a_trial_in_days_is_not_changed_in_its_middle(world: World) -> None:
    """Rule P3: its period is of another length; with its end it may be."""
    world.subscribe("pro")
    refusal = world.refused(c.ChangePackage(world.key(), ACME, "starter", e.Timing.NOW))
    assert refusal.reason == Reason.PACKAGE_PERIOD_DIFFERS
    world.change("starter", e.Timing.NEXT_PERIOD)
    world.to(START_US + 14 * DAY_US)
    assert (world.available, world.subscription.phase) == (50, "")
    world.to(START_US + 44 * DAY_US)
    assert world.issued() == [(0, 20), (14, 50)]
    world.to(START_US + 45 * DAY_US)
    assert world.issued()[-1] == (45, 50)


def test_who_follows_has_the_phase_of_the_new_version_who_is_pinned_that_of_the_old(
    world: World,
) -> None:
    """Rules P1, P4: by its name; a version without it has none."""
    first = world.subscribe("ramped").term.version
    world.publish("ramped", plan(300, phases=(granting(120, "ramp", periods=2),)))
    world.to(FEBRUARY)
    assert world.available == 120
    world.publish("ramped", plan(300))
    world.to(MARCH)
    assert (world.available, phases(world.core)) == (300, [(0, "ramp", 2), (59, "", 0)])
    world.change("ramped", e.Timing.NEXT_PERIOD, follow=e.Follow.PIN, version=first)
    world.to(APRIL)
    assert (world.available, world.subscription.phase) == (300, "")


def test_a_version_without_the_phase_ends_it(world: World) -> None:
    world.subscribe("ramped")
    world.publish("ramped", plan(300))
    world.to(FEBRUARY)
    assert (world.available, phases(world.core)) == (300, [(0, "ramp", 2), (31, "", 0)])


def test_what_is_wrong_with_phases() -> None:
    """Each fault has its place."""
    wrong = Package(
        grants=plan(1).grants,
        phases=(
            Phase("", periods=1, days=1),
            Phase("x", grants=(PhasedGrant("other"), PhasedGrant("credits", 1, 5)), periods=1),
            Phase("x", days=400, entitlements=(Entitlement("a"), Entitlement("a"))),
            Phase("y", periods=1, policy=PackagedPolicy(overage_cap=-2)),
        ),
    )
    assert [(each.path, each.reason) for each in validate(wrong)] == [
        ("phases[0].name", "NAME_EMPTY"),
        ("phases[0].periods", "LENGTH_INVALID"),
        ("phases[1].grants[0].name", "GRANT_UNKNOWN"),
        ("phases[1].grants[1].price_paid", "PRICE_INVALID"),
        ("phases[2].days", "NUMBER_OUT_OF_RANGE"),
        ("phases[2].entitlements[1].feature", "NAME_REPEATED"),
        ("phases[3].policy.overage_cap", "NUMBER_OUT_OF_RANGE"),
        ("phases[2].name", "NAME_REPEATED"),
    ]


def test_verify_finds_a_phase_that_cannot_be(world: World) -> None:
    """Rule P4: of another instant, for no time, without a package."""
    world.subscribe("ramped")
    batches = world.core.batches
    at, events = batches[-1]
    place = next(i for i, event in enumerate(events) if isinstance(event, e.PackagePhaseBegun))
    for what, changes in {
        "start of the phase": {"at": START_US + 1},
        "phase that ends": {"periods": 0},
    }.items():
        told = [*events[:place], replace(events[place], **changes), *events[place + 1 :]]
        world.core.batches = [*batches[:-1], (at, told)]
        found = judged(world.core, replays=False)
        assert any(what in each.what for each in found), (what, found)
    again = replace(events[place], phase="ramp")
    world.core.batches = [*batches[:-1], (at, [*events[: place + 1], again, *events[place + 1 :]])]
    found = judged(world.core, replays=False)
    assert any("phase" in each.what for each in found), found
    world.core.batches = batches


@given(
    lengths=st.lists(st.integers(1, 3), max_size=3),
    steps=st.lists(st.integers(1, 70), min_size=1, max_size=8),
    packs=st.booleans(),
)
def test_each_period_has_the_terms_of_a_plain_list(
    lengths: list[int], steps: list[int], packs: bool
) -> None:
    """Rule P4: phase by phase for its periods, then the package's own, whenever the clock moves."""
    world = World()
    made = tuple(granting(n + 1, f"phase {n}", periods=long) for n, long in enumerate(lengths))
    world.publish("plan", plan(1_000, phases=made))
    world.subscribe("plan")
    for days in steps:
        world.to(world.core.now + days * DAY_US)
        if packs:
            state = world.core.state
            body = pack_family(state, ACME, state.settled_before)
            drop_family(state, ACME)
            unpack_family(state, body)
    world.core.sweep()
    amounts = [amount for _, amount in world.issued()]
    expected = [n + 1 for n, long in enumerate(lengths) for _ in range(long)]
    expected += [1_000] * len(amounts)
    assert amounts == expected[: len(amounts)]
    world.finish()


def test_a_phase_may_grant_nothing(world: World) -> None:
    """Rule P4: a trial of features alone; then the package's own grants."""
    world.publish("shown", plan(300, phases=(granting(0, "trial", days=3),)))
    term = world.subscribe("shown").term
    assert [(each.grant, each.amount) for each in term.issues] == [(0, 0)]
    world.to(START_US + 4 * DAY_US)
    assert world.issued() == [(3, 300)]
