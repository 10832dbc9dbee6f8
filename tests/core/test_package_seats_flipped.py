"""Packages whose plans of seats have other names: going to and fro between them mints nothing
(rules P3, S2).

The subscription begins on 1 January, a month of 31 days."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from test_packages import ACME, FEBRUARY, HALF, START_US, World, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    Package,
    PackagedAllotment,
    PackagedGrant,
    PackagedKind,
    PackagedSeats,
    Phase,
)

POOLED, OWN = PackagedAllotment.POOLED, PackagedAllotment.INDIVIDUAL
PRORATED = e.SeatRemoval.FORFEIT_PRORATED


def seats(
    name: str, amount: int, included: int, allotment: PackagedAllotment = POOLED
) -> PackagedSeats:
    grant = PackagedGrant(name, "credits", amount, PackagedKind.PROMOTIONAL)
    return PackagedSeats(name, grant, "agent", allotment, included)


@pytest.fixture(params=[POOLED, OWN], ids=["pooled", "individual"])
def world(request: Any) -> Any:
    made = World()
    made.publish("none", plan(0))
    for name, amount, included in (("small", 500, 2), ("big", 1_000, 3), ("huge", 2_000, 5)):
        made.publish(name, Package(seats=(seats(f"of {name}", amount, included, request.param),)))
    two = (seats("first", 1_000, 2, request.param), seats("second", 500, 2, request.param))
    made.publish("two", Package(seats=two))
    yield made
    made.finish()


def released(world: World) -> dict[str, int]:
    """What the periods of the account's plans have released, by plan."""
    plans = world.core.state.accounts[ACME].seats.plans
    return {name: each.tally.released for name, each in plans.items()}


def add(world: World, name: str, count: int = 1) -> Any:
    return world.ask(c.AddSeats(world.key(), ACME, name, (), count))


def remove(world: World, name: str, count: int = 1, mode: e.SeatRemoval = PRORATED) -> Any:
    return world.ask(c.RemoveSeats(world.key(), ACME, name, (), count, mode))


def sign(world: World, name: str, package: str, days: int = 90) -> Any:
    ends_at = world.core.state.now + days * DAY_US
    return world.ask(c.SignContract(world.key(), ACME, name, package, 0, 0, ends_at))


def end(world: World, name: str) -> Any:
    waive = e.CommitmentEnding.WAIVE
    return world.ask(c.EndContract(world.key(), ACME, name, waive, e.OldGrants.KEEP))


def test_flips_give_what_the_largest_gives(world: World) -> None:
    """Whatever becomes of the old grants: of the seats' nothing is taken back."""
    world.subscribe("big")
    for old in e.OldGrants:
        world.change("small", old_grants=old)
        world.change("big", old_grants=old)
    assert released(world) == {"of big": 3_000, "of small": 0}
    world.to(FEBRUARY)
    world.core.sweep()
    assert world.available == 3_000


def test_to_a_larger_package_it_is_the_difference_of_the_time(world: World) -> None:
    """At half: 3,000 are there for the month, 1,500 of them for the rest, of which 10,000 would
    have 5,000."""
    world.subscribe("big")
    world.to(HALF)
    world.change("huge")
    assert released(world) == {"of big": 3_000, "of huge": 3_500}
    world.change("small")
    world.change("two")
    assert sum(released(world).values()) == 6_500
    assert world.available == 6_500


def test_a_larger_one_for_an_instant_brings_its_rest_once(world: World) -> None:
    """The third package has the time that is left of the largest, not of the one before."""
    world.subscribe("small")
    world.to(HALF)
    world.change("big")
    assert released(world) == {"of big": 1_000, "of small": 1_000}
    world.to(START_US + 31 * DAY_US * 3 // 4)
    world.change("two")
    assert sum(released(world).values()) == 2_000
    world.change("huge")
    assert released(world)["of huge"] == (10_000 - 3_000) // 4


def test_plans_of_one_package_do_not_take_from_each_other(world: World) -> None:
    world.subscribe("two")
    assert released(world) == {"first": 2_000, "second": 1_000}
    world.to(HALF)
    add(world, "second", 2)
    assert released(world) == {"first": 2_000, "second": 1_500}
    world.change("big")
    assert released(world)["of big"] == 0


@pytest.mark.parametrize("timing", list(e.Timing))
def test_who_cancels_and_subscribes_again_has_nothing_twice(world: World, timing: e.Timing) -> None:
    """Within the period; behind it the period is a new one."""
    world.subscribe("big")
    world.cancel()
    world.subscribe("small")
    world.cancel(timing)
    if timing == e.Timing.NEXT_PERIOD:
        world.to(FEBRUARY)
        world.core.sweep()
    world.subscribe("two")
    again = timing == e.Timing.NEXT_PERIOD
    assert world.available == 3_000
    assert released(world)["first"] == (2_000 if again else 0)


def test_with_the_next_period_the_other_package_gives_all(world: World) -> None:
    world.subscribe("big")
    world.to(HALF)
    world.change("small", e.Timing.NEXT_PERIOD)
    assert "of small" not in released(world)
    world.to(FEBRUARY)
    world.core.sweep()
    assert world.available == 1_000


def test_seats_that_come_by_hand_count(world: World) -> None:
    """On either side: what is added is above the largest quantity, or takes its place."""
    world.subscribe("small")
    add(world, "of small", 4)  # 6 x 500
    world.change("big")  # 3 x 1,000
    assert released(world) == {"of big": 0, "of small": 3_000}
    world.to(HALF)
    remove(world, "of big", 2)
    add(world, "of big", 2)
    assert released(world)["of big"] == 0
    add(world, "of big", 2)  # 2,000 a month more than there was
    assert released(world) == {"of big": 1_000, "of small": 3_000}
    add(world, "of small", 1)  # of the package that goes: 3,500 a month are less than 5,000
    assert released(world) == {"of big": 1_000, "of small": 3_000}


def test_what_was_taken_back_makes_room(world: World) -> None:
    """Once: who has it again there has it here no more."""
    world.subscribe("big")
    world.to(HALF)
    remove(world, "of big", 2)
    assert released(world) == {"of big": 2_000}
    world.change("small")
    assert released(world) == {"of big": 2_000, "of small": 0}
    add(world, "of small", 2)
    assert released(world) == {"of big": 2_000, "of small": 500}
    add(world, "of big", 2)
    assert released(world) == {"of big": 2_500, "of small": 500}


def test_a_contract_gives_its_seats_beside_what_was_there(world: World) -> None:
    """Rule P5; to sign again gives nothing twice, whatever the account had between (rule P3)."""
    world.subscribe("big")
    world.to(START_US + DAY_US)
    sign(world, "one", "small")
    assert released(world) == {"of big": 3_000, "of small": 1_000}
    add(world, "of small", 1)
    assert released(world) == {"of big": 3_000, "of small": 1_500}
    end(world, "one")
    world.subscribe("two")
    assert sum(released(world).values()) == 4_500 + 1_500
    sign(world, "two", "huge")
    assert released(world)["of huge"] == 10_000 - 3_000
    end(world, "two")
    world.subscribe("big")
    sign(world, "three", "small")
    assert sum(released(world).values()) == 3_000 + 10_000


def test_a_contract_that_was_signed_again_does_not_give_by_its_seats_either(world: World) -> None:
    """Seats of the second contract that leave and come back bring nothing."""
    sign(world, "one", "big")
    end(world, "one")
    sign(world, "two", "small")
    remove(world, "of small", 2)
    add(world, "of small", 2)
    assert released(world) == {"of big": 3_000, "of small": 0}


def test_seats_of_a_short_trial_count_while_their_month_lasts(world: World) -> None:
    """A phase of days has a month's seats; the package behind it has those of the days after."""
    big = Package(seats=(seats("of big", 1_000, 3),), phases=(Phase("trial", days=5),))
    world.publish("tried", big)
    world.subscribe("tried")
    world.change("small", e.Timing.NEXT_PERIOD)
    world.to(START_US + 5 * DAY_US)
    world.core.sweep()
    assert world.subscription.period_end == START_US + 36 * DAY_US
    assert released(world) == {"of big": 3_000, "of small": 0}


def test_a_contract_that_was_signed_late_counts_like_any(world: World) -> None:
    """Its second period, which had begun before it was signed, is of the contract."""
    world.to(START_US + 40 * DAY_US)
    ends_at = START_US + 90 * DAY_US
    world.ask(c.SignContract(world.key(), ACME, "late", "big", 0, START_US, ends_at))
    world.to(START_US + 41 * DAY_US)
    assert released(world) == {"of big": 3_000}
    end(world, "late")
    world.subscribe("small")
    assert released(world) == {"of big": 3_000, "of small": 0}


@pytest.mark.parametrize("allotment", [POOLED, OWN])
def test_a_period_that_begins_beside_another_packages_has_its_share_of_the_rest(
    world: World, allotment: PackagedAllotment
) -> None:
    """A plan of a trial goes on in its own periods: five days of one are of the package's, in which
    seats of another package are there."""
    kept, big = seats("kept", 500, 1, allotment), seats("big", 2_000, 1)
    trial = (Phase("trial", days=5),)
    world.publish("tried", Package(seats=(kept,), phases=trial))
    world.publish("both", Package(seats=(kept, big)))
    world.publish("one", Package(seats=(kept,)))
    world.subscribe("tried")
    world.to(START_US + 10 * DAY_US)
    world.change("both")
    world.change("one")
    share = 2_000 * 26 // 31
    assert released(world) == {"big": share, "kept": 500}
    world.to(START_US + 31 * DAY_US)
    assert released(world) == {"big": share, "kept": 0}
    world.to(START_US + 36 * DAY_US)
    assert released(world)["kept"] == 500


def test_seats_of_one_package_are_rounded_as_those_of_any_plan() -> None:
    """Rule S1: each by itself where no other package counts: 22 of 31 days of a unit are one."""
    world = World()
    world.publish("units", Package(seats=(seats("units", 1, 0, OWN),)))
    world.subscribe("units")
    world.to(START_US + 9 * DAY_US)
    add(world, "units", 3)
    assert released(world) == {"units": 3}
    world.finish()


def test_another_asset_is_not_counted(world: World) -> None:
    other = replace(seats("other", 700, 1).allowance, asset="USD")
    package = Package(seats=(replace(seats("other", 700, 1), allowance=other),))
    world.publish("money", package)
    world.subscribe("big")
    world.change("money")
    assert released(world) == {"of big": 3_000, "other": 700}


def test_a_price_goes_by_the_units() -> None:
    """Of 1,000 units at 300 that a pool would have, 500 are granted, at 150 (rule B4)."""
    world = World()
    world.publish("small", Package(seats=(seats("small", 500, 1),)))
    paid = PackagedGrant("big", "credits", 1_000, price_paid=300, price_asset="USD")
    world.publish("big", Package(seats=(PackagedSeats("big", paid, included=1),)))
    world.subscribe("small")
    world.change("big")
    [issued] = [
        event
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.GrantIssued) and event.price_paid
    ]
    assert (issued.amount, issued.price_paid) == (500, 150)
    world.finish()


@pytest.mark.parametrize("allotment", [POOLED, OWN])
def test_what_another_package_had_given_comes_back_with_no_seat(
    allotment: PackagedAllotment,
) -> None:
    """Its period ended within that of seats that were given less for it: seats that leave with
    nothing to take back and come again bring nothing (rule S2)."""
    world = World()
    big = Package(seats=(seats("of big", 1_000, 3),), phases=(Phase("trial", days=5),))
    world.publish("tried", big)
    world.publish("after", Package(seats=(seats("of it", 500, 2, allotment),)))
    world.subscribe("tried")
    world.change("after", e.Timing.NEXT_PERIOD)
    world.to(START_US + 5 * DAY_US)
    world.to(START_US + 32 * DAY_US)  # 3,000 were there until the day before
    assert released(world)["of it"] == 0
    for _ in range(10):
        assert not remove(world, "of it", 2, e.SeatRemoval.FORFEIT_UNUSED).taken
        add(world, "of it", 2)
        if world.available:
            world.use(world.available)
    assert released(world)["of it"] == 0
    remove(world, "of it", 1, e.SeatRemoval.FORFEIT_UNUSED)
    add(world, "of it", 2)  # one of them is above the largest quantity
    assert released(world)["of it"] == 65
    world.finish()


def test_a_seat_that_had_nothing_is_no_place_beside_one_that_had() -> None:
    """Rule S2: who comes takes what was taken back, or is above the largest quantity, the first
    first; what left with nothing brings nothing."""
    world = World()
    big = Package(seats=(seats("of big", 1_000, 3),), phases=(Phase("trial", days=5),))
    world.publish("tried", big)
    world.publish("after", Package(seats=(seats("of it", 500, 0, OWN),)))
    world.subscribe("tried")
    world.change("after", e.Timing.NEXT_PERIOD)
    world.to(START_US + 5 * DAY_US)
    name = "of it"

    def come(*names: str) -> None:
        world.ask(c.AddSeats(world.key(), ACME, name, names, 0))

    def leave(*names: str) -> None:
        mode = e.SeatRemoval.FORFEIT_UNUSED
        world.ask(c.RemoveSeats(world.key(), ACME, name, names, 0, mode))

    come("ann", "bob")
    world.to(START_US + 32 * DAY_US)
    come("cid")
    assert released(world)[name] == 65  # of 500 for 4 of 31 days
    leave("ann", "cid")
    assert released(world)[name] == 0
    come("dan", "ann", "cid", "eve")  # cid's own, and two above the largest quantity
    found = {each.name: each.released for each in _plan(world, name).present(world.core.state.now)}
    assert found == {"bob": 0, "dan": 65, "ann": 65, "cid": 65, "eve": 0}
    leave("eve", "dan")
    come("fay", "guy")
    assert released(world)[name] == 3 * 65
    world.finish()


def _plan(world: World, name: str) -> Any:
    return world.core.state.accounts[ACME].seats.plans[name]
