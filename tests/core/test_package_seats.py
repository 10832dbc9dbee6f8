"""Seats that a package carries: begun and ended with it, by the version of each period (P1, S2).

The subscription begins on 1 January, a month of 31 days; February has 28."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from seat_world import individual
from test_packages import ACME, FEBRUARY, HALF, World, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    Package,
    PackagedAllotment,
    PackagedExhausted,
    PackagedGrant,
    PackagedKind,
    PackagedSeats,
    validate,
)
from ledger.core.seats.seat_draws import left_of_period

MARCH = FEBRUARY + 28 * DAY_US
OWN = PackagedAllotment.INDIVIDUAL


def seats(amount: int, included: int, **fields: Any) -> PackagedSeats:
    grant = PackagedGrant("agents", "credits", amount, PackagedKind.PROMOTIONAL)
    return PackagedSeats("agents", grant, "agent", included=included, **fields)


def team(amount: int, included: int, **fields: Any) -> Package:
    return Package(seats=(seats(amount, included, **fields),))


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("starter", plan(100))
    made.publish("team", team(1_000, 3))
    made.publish("agents", team(500, 2, allotment=OWN, exhausted=PackagedExhausted.DENY))
    yield made
    made.finish()


def plan_of(world: World) -> Any:
    return world.core.state.accounts[ACME].seats.plans["agents"]


def quantity(world: World) -> int:
    return int(plan_of(world).quantity(world.core.state.now))


def add(world: World, *names: str, count: int = 0) -> Any:
    return world.ask(c.AddSeats(world.key(), ACME, "agents", names, count))


def test_a_subscription_begins_with_the_seats_that_it_includes(world: World) -> None:
    """And each period gives them their allowance; who adds seats adds them as to any plan."""
    world.subscribe("team")
    assert (quantity(world), world.available) == (3, 3_000)
    world.to(HALF)
    add(world, count=2)
    assert (quantity(world), world.available) == (5, 4_000)
    world.to(FEBRUARY)
    world.core.sweep()
    assert (quantity(world), world.available) == (5, 5_000)


def test_followers_have_a_new_versions_seats_with_their_next_period(world: World) -> None:
    """Rule P1: the allowance of the version then, for the seats that there are."""
    world.subscribe("team")
    add(world, "ann")
    world.publish("team", team(2_000, 9))
    assert world.available == 4_000
    world.to(FEBRUARY)
    world.core.sweep()
    assert (quantity(world), world.available) == (4, 8_000)
    assert plan_of(world).terms.allowance.amount == 2_000
    world.to(MARCH)
    world.core.sweep()
    assert (quantity(world), world.available) == (4, 8_000)


def test_pinned_ones_keep_theirs(world: World) -> None:
    """Rule P1."""
    first = world.publish("team", team(1_000, 3))
    world.subscribe("team", follow=e.Follow.PIN, version=first)
    world.publish("team", team(2_000, 9))
    world.to(FEBRUARY)
    world.core.sweep()
    assert world.available == 3_000


def test_allowances_of_their_own_stay_so_while_the_plan_goes_on(world: World) -> None:
    """A version that gives them otherwise leaves the plan as it is."""
    world.subscribe("agents")
    world.ask(c.ReassignSeat(world.key(), ACME, "agents", "", "ann"))
    world.publish("agents", team(700, 2))
    world.to(FEBRUARY)
    world.core.sweep()
    state = world.core.state
    there = plan_of(world).present(FEBRUARY)
    assert [left_of_period(state, seat) for seat in there] == [500, 500]
    assert plan_of(world).terms.exhausted == e.ExhaustedSeat.DENY


def test_another_package_ends_the_seats_with_their_period(world: World) -> None:
    """Rule P3: whatever the change, what seats were given stays until then."""
    world.subscribe("team")
    world.to(HALF)
    world.change("starter")
    assert (quantity(world), world.available) == (3, 3_000)  # as much as the larger gives
    world.to(FEBRUARY)
    world.core.sweep()
    assert (quantity(world), world.available) == (0, 100)
    world.change("team")
    assert (quantity(world), world.available) == (3, 3_000)  # of which 100 were there


def test_flipping_packages_mints_no_seats(world: World) -> None:
    """Rules P3, S2: a plan that ends with its period is not started again within it."""
    world.subscribe("team")
    for _ in range(3):
        world.change("starter", old_grants=e.OldGrants.FORFEIT_UNUSED)
        world.change("team", old_grants=e.OldGrants.FORFEIT_UNUSED)
    seated = [each for each in world.issued() if each[1] >= 1_000]
    assert (seated, quantity(world)) == ([(0, 3_000)], 3)
    world.to(FEBRUARY)
    world.core.sweep()
    assert (quantity(world), world.available) == (3, 3_000)


def test_a_plan_that_was_ended_by_hand_is_not_started_again_within_its_period(
    world: World,
) -> None:
    """Rule S2: what the period granted would be granted again; the next period starts it."""
    world.subscribe("team")
    keep = e.SeatRemoval.KEEP_UNTIL_PERIOD_END
    world.ask(c.EndSeatPlan(world.key(), ACME, "agents", e.Timing.NOW, keep))
    world.to(HALF)
    world.change("starter")
    world.change("team")
    assert quantity(world) == 0
    world.to(FEBRUARY)
    world.core.sweep()
    assert quantity(world) == 3


@pytest.mark.parametrize("timing", list(e.Timing))
def test_a_cancelled_subscription_ends_its_seats(world: World, timing: e.Timing) -> None:
    """With the period, either way."""
    world.subscribe("agents")
    world.cancel(timing)
    assert quantity(world) == 2
    world.to(FEBRUARY)
    world.core.sweep()
    assert (quantity(world), world.available) == (0, 0)
    world.subscribe("agents")
    assert quantity(world) == 2


def test_periods_that_nobody_saw_are_begun_in_order(world: World) -> None:
    """Rule T1: the package's first, then its seats', each as of its own time."""
    world.subscribe("team")
    world.publish("team", team(2_000, 3))
    world.core.advance(60 * DAY_US)
    world.use(1)
    assert world.issued() == [(0, 3_000), (31, 6_000), (59, 6_000)]


def test_what_an_account_cannot_have_is_refused(world: World) -> None:
    """A plan of its own of that name; more than one transfer."""
    own = c.StartSeatPlan(world.key(), ACME, "agents", individual(5), ("ann",))
    world.ask(own)
    refusal = world.refused(c.Subscribe(world.key(), ACME, "team"))
    assert (refusal.reason, refusal.field) == ("SEAT_PLAN_EXISTS", "seats[0].name")
    world.publish("huge", Package(seats=(replace(seats(2**62, 3), name="huge"),)))
    refusal = world.refused(c.Subscribe(world.key(), ACME, "huge"))
    assert (refusal.reason, refusal.field) == ("OVERFLOW", "seats[0].seats")


def test_every_fault_of_packaged_seats_is_named() -> None:
    """With its place, as of any package."""
    good = seats(5, 1)
    broken = Package(
        seats=(
            good,
            good,
            replace(good, name="a", included=-1),
            replace(good, name="b", allotment=OWN, attribute=""),
            replace(good, name="c", alert=3),
            replace(good, name="d", allowance=replace(good.allowance, amount=0)),
        )
    )
    assert [(each.path, each.reason) for each in validate(broken)] == [
        ("seats[2].included", "NUMBER_OUT_OF_RANGE"),
        ("seats[3].attribute", "SEATS_INVALID"),
        ("seats[4].alert", "SEATS_INVALID"),
        ("seats[5].allowance.amount", "NUMBER_OUT_OF_RANGE"),
        ("seats[1].name", "NAME_REPEATED"),
    ]
