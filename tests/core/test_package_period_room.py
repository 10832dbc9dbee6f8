"""Packages of which one grants to the account and another has seats: of a period both together give
no more than the larger one (rules P3, S2).

The subscription begins on 1 January, a month of 31 days."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_package_seats_flipped import OWN, POOLED, add, end, released, remove, seats, sign
from test_packages import ACME, FEBRUARY, HALF, START_US, World, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import Package, PackagedAllotment, PackagedGrant, Phase

KEEP, FORFEIT, PRORATE = e.OldGrants.KEEP, e.OldGrants.FORFEIT_UNUSED, e.OldGrants.PRORATE
UNUSED = e.SeatRemoval.FORFEIT_UNUSED


def both(amount: int, name: str, each: int, included: int, allotment: PackagedAllotment) -> Package:
    grants = (PackagedGrant("credits", "credits", amount),)
    return Package(grants=grants, seats=(seats(name, each, included, allotment),))


def offered(allotment: PackagedAllotment) -> World:
    """Packages of grants, of seats, and of both."""
    made = World()
    made.publish("grants", plan(1_000))
    made.publish("large", plan(3_000))
    made.publish("team", Package(seats=(seats("desks", 50, 20, allotment),)))
    made.publish("crowd", Package(seats=(seats("crowd", 50, 40, allotment),)))
    made.publish("starter", both(100, "few", 50, 4, allotment))
    made.publish("pro", both(300, "many", 50, 12, allotment))
    return made


@pytest.fixture(params=[POOLED, OWN], ids=["pooled", "individual"])
def world(request: Any) -> Any:
    made = offered(request.param)
    yield made
    made.finish()


def had(world: World) -> tuple[int, int]:
    """What the period has granted, and what its seats were given, less what was taken back."""
    granted = sum([each.released for each in world.subscription.minted])
    return granted, sum(released(world).values()) if world.core.state.accounts[ACME].seats else 0


def test_to_and_fro_between_a_grant_and_seats_gives_one_of_them(world: World) -> None:
    """1,000 to the account, then 20 seats of 50: once, whatever the order."""
    world.subscribe("grants")
    for _ in range(3):
        world.change("team")
        world.change("grants")
    assert had(world) == (1_000, 0)
    world.to(FEBRUARY)
    assert world.available == 1_000
    world.change("team", e.Timing.NEXT_PERIOD)
    world.to(START_US + 59 * DAY_US)
    world.core.sweep()
    assert (world.available, had(world)) == (1_000, (0, 1_000))
    world.change("grants")
    assert had(world) == (0, 1_000)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("grants", "crowd", (1_000, 1_000)),  # of 2,000
        ("grants", "team", (1_000, 0)),
        ("team", "grants", (0, 1_000)),
        ("team", "large", (1_500, 1_000)),  # half of 3,000, of 3,000 less 1,000
        ("crowd", "large", (1_000, 2_000)),
        ("starter", "pro", (250, 400)),  # 100 + 150; half of 600 is 300, of which 100 are there
        ("pro", "starter", (300, 600)),
        ("starter", "grants", (600, 200)),  # 100 + 500, of 1,000 less 300
    ],
)
def test_at_half_of_the_period_both_are_what_the_larger_gives(
    world: World, first: str, second: str, expected: tuple[int, int]
) -> None:
    """Rule P3: what is there stays; the new ones are the share of the time, up to the larger."""
    world.subscribe(first)
    world.to(HALF)
    world.change(second)
    assert had(world) == expected
    world.to(FEBRUARY)


@pytest.mark.parametrize(
    ("old_grants", "used", "expected"),
    [
        (KEEP, 0, (1_000, 0)),
        (FORFEIT, 0, (0, 500)),
        (PRORATE, 0, (500, 500)),
        (FORFEIT, 700, (700, 300)),
        (PRORATE, 700, (700, 300)),
    ],
)
def test_what_a_change_takes_back_makes_room_for_its_seats(
    world: World, old_grants: e.OldGrants, used: int, expected: tuple[int, int]
) -> None:
    """Rules P3, S1: half of 1,000 comes with the seats, as far as it is there no more."""
    world.subscribe("grants")
    if used:
        world.use(used)
    world.to(HALF)
    world.change("team", old_grants=old_grants)
    assert had(world) == expected


def test_what_was_taken_back_of_seats_makes_room_for_grants(world: World) -> None:
    """Once: who has it again there has it here no more."""
    world.subscribe("team")
    remove(world, "desks", 10, UNUSED)
    assert had(world) == (0, 500)
    world.to(HALF)
    world.change("grants")
    assert had(world) == (500, 500)
    add(world, "desks", 10)
    assert had(world) == (500, 500)


def test_seats_that_come_by_hand_count_with_the_grants_of_before(world: World) -> None:
    """Whoever had 1,000 has seats of more than that given, above it."""
    world.subscribe("grants")
    world.to(HALF)
    world.change("team")
    add(world, "desks", 4)
    assert had(world) == (1_000, 100)  # half of 24 x 50 less 20 x 50
    remove(world, "desks", 4, UNUSED)
    add(world, "desks", 4)
    assert had(world) == (1_000, 100)
    world.to(FEBRUARY)
    world.core.sweep()
    assert had(world) == (0, 24 * 50)


def test_seats_of_a_package_that_grants_too_come_as_ever(world: World) -> None:
    """Its own grants take nothing from its seats: begun, added, in the next period."""
    world.subscribe("pro")
    assert had(world) == (300, 600)
    world.to(HALF)
    add(world, "many", 2)
    assert had(world) == (300, 650)
    world.to(FEBRUARY)
    world.core.sweep()
    assert had(world) == (300, 700)


@pytest.mark.parametrize("timing", list(e.Timing))
def test_who_cancels_and_subscribes_to_the_other_has_nothing_twice(
    world: World, timing: e.Timing
) -> None:
    """Within the period; behind it the period is a new one."""
    world.subscribe("team")
    world.cancel(timing)
    if timing == e.Timing.NEXT_PERIOD:
        world.to(FEBRUARY)
        world.core.sweep()
    world.subscribe("grants")
    again = timing == e.Timing.NEXT_PERIOD
    assert world.available == 1_000
    assert had(world) == (1_000 if again else 0, 1_000)


def test_a_contract_gives_both_beside_what_was_there_once(world: World) -> None:
    """Rule P5; to sign again gives nothing twice, in seats or in grants (rule P3)."""
    world.subscribe("grants")
    world.to(START_US + DAY_US)
    sign(world, "one", "team")
    assert had(world) == (0, 1_000)
    assert world.available == 2_000
    end(world, "one")
    sign(world, "two", "grants")
    assert had(world) == (0, 1_000)
    end(world, "two")
    world.subscribe("crowd")
    assert had(world) == (0, 2_000)


def test_seats_of_a_short_trial_count_by_the_time_that_is_left_of_them(world: World) -> None:
    """Of 3,100 for a month, 26 of 31 days are within the first month of what follows."""
    trial = (Phase("trial", days=5),)
    world.publish("tried", Package(seats=(seats("desk", 3_100, 1),), phases=trial))
    world.subscribe("tried")
    world.change("large", e.Timing.NEXT_PERIOD)
    world.to(START_US + 5 * DAY_US)
    world.core.sweep()
    assert had(world) == (500, 3_100)
    world.to(START_US + 33 * DAY_US)  # they are over, and were of this month
    for _ in range(3):
        world.change("grants")
        world.change("large")
    assert had(world)[0] == 500
    world.to(START_US + 36 * DAY_US)
    world.core.sweep()
    assert had(world)[0] == 3_000


def test_another_assets_grants_are_not_counted(world: World) -> None:
    other = PackagedGrant("money", "USD", 700)
    world.publish("money", Package(grants=(other,)))
    world.subscribe("money")
    world.change("team")
    assert had(world) == (700, 1_000)


def test_a_price_goes_by_the_units_that_are_granted() -> None:
    """Of 1,000 units at 300 that seats leave 500 of, 500 are granted, at 150 (rule B4)."""
    world = World()
    world.publish("team", Package(seats=(seats("desks", 50, 10),)))
    paid = PackagedGrant("credits", "credits", 1_000, price_paid=300, price_asset="USD")
    world.publish("paid", Package(grants=(paid,)))
    world.subscribe("team")
    changed = world.change("paid")
    assert [(each.amount, each.price_paid) for each in changed.term.issues] == [(500, 150)]
    world.finish()


# -- whatever is done within a period --------------------------------------------------------------


_PACKAGES = {
    "none": Package(),
    "grants": plan(1_000),
    "small": plan(250),
    "pool": Package(seats=(seats("pool", 70, 9),)),
    "own": Package(seats=(seats("own", 90, 5, OWN),)),
    "pooled": both(400, "hall", 50, 3, POOLED),
    "owned": both(150, "desks", 110, 4, OWN),
    "again": both(700, "desks", 110, 2, OWN),
}
_NAMES = ("pool", "own", "hall", "desks")
_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"), st.sampled_from(sorted(_PACKAGES)), st.sampled_from(e.OldGrants)
        ),
        st.tuples(st.just("cancel"), st.sampled_from(e.OldGrants)),
        st.tuples(st.just("use"), st.integers(1, 900)),
        st.tuples(st.just("wait"), st.integers(1, 9)),
        st.tuples(st.just("add"), st.sampled_from(_NAMES), st.integers(1, 5)),
        st.tuples(
            st.just("remove"),
            st.sampled_from(_NAMES),
            st.integers(1, 5),
            st.sampled_from(e.SeatRemoval),
        ),
    ),
    max_size=14,
)


@given(_STEPS)
def test_a_period_gives_no_more_than_the_largest_package_of_it(
    steps: list[tuple[Any, ...]],
) -> None:
    """Rules P3, S2: grants and seats together, less what was taken back, whatever is done within
    the period, with as many seats as each package had."""
    world = World()
    for name, package in _PACKAGES.items():
        world.publish(name, package)
    names: set[str] = set()
    for verb, *said in (("change", "small", KEEP), *steps):
        _do(world, verb, said)
        if world.core.state.now >= FEBRUARY:
            break
        names.add(world.subscription.package)
        most = max([_worth(world, _PACKAGES[name]) for name in names])
        assert sum(had(world)) <= most, (verb, said)
    world.finish()


def _do(world: World, verb: str, said: list[Any]) -> None:
    running = world.subscription is not None and not world.subscription.over
    key = world.key()
    if verb == "change":
        if running:
            world.change(said[0], old_grants=said[1])
        else:
            world.subscribe(said[0])
    elif verb == "cancel" and running:
        world.cancel(old_grants=said[0])
    elif verb == "use":
        world.use(said[0])
    elif verb == "wait":
        world.to(world.core.state.now + said[0] * DAY_US)
    elif verb == "add":
        world.core.run(c.AddSeats(key, ACME, said[0], (), said[1]))
    elif verb == "remove":
        world.core.run(c.RemoveSeats(key, ACME, said[0], (), *said[1:]))


def _worth(world: World, package: Package) -> int:
    """What a package gives for the whole period, with the most seats that each plan had."""
    of = world.core.state.accounts[ACME].seats
    plans = of.plans if of is not None else {}
    each = [
        plans[seats.name].tally.largest * seats.allowance.amount
        for seats in package.seats
        if seats.name in plans
    ]
    return sum([grant.amount for grant in package.grants]) + sum(each)
