"""What verify says of periods that give more than their packages: the rest of the journal agrees
with it, grant, issues and tallies (rules P3, S2).

The subscription begins on 1 January, a month of 31 days; everything happens at half of it."""

from __future__ import annotations

from typing import Any

import pytest
import test_verify_rules
from msgspec.structs import replace
from test_package_period_room import both, had, offered
from test_package_seats_flipped import OWN, POOLED, add, seats, sign
from test_packages import ACME, HALF, START_US, World
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import Package, PackagedAllotment, Phase, PhasedGrant
from ledger.verify.packages import PublishedPackages


@pytest.fixture(params=[POOLED, OWN], ids=["pooled", "individual"])
def world(request: Any) -> Any:
    made = offered(request.param)
    made.publish("thirty", Package(seats=(seats("thirty", 50, 30, request.param),)))
    yield made
    made.finish()


def more(event: Any, by: int, kind: type) -> Any:
    """The same where the grants behind an entry of that kind are so many units more."""
    if isinstance(event, e.GrantIssued):
        return replace(event, amount=event.amount + by)
    if type(event) is not kind:
        return event
    if isinstance(event, e.SeatPlanStarted | e.SeatsAdded):
        issue = replace(event.issues[0], amount=event.issues[0].amount + by)
        tally = replace(event.tally, released=event.tally.released + by)
        entries = event.seats
        if event.seats:
            units = event.seats[0].released + by
            entries = (replace(entries[0], entitled=units, released=units), *entries[1:])
        else:
            tally = replace(tally, seat_us=tally.seat_us + by * 31 * DAY_US // 50)
        return replace(event, seats=entries, issues=(issue, *event.issues[1:]), tally=tally)
    issues = tuple([replace(each, amount=each.amount + by) for each in event.term.issues])
    minted = tuple([replace(each, released=each.released + by) for each in event.term.minted])
    return replace(event, term=replace(event.term, issues=issues, minted=minted))


def found(world: World, by: int, kind: type) -> list[str]:
    """What verify finds where the first grant of the last batch is so many units more, and all of
    the entry behind it."""
    at, events = world.core.batches[-1]
    first = next(place for place, each in enumerate(events) if isinstance(each, e.GrantIssued))
    told, left = [], 1
    for place, each in enumerate(events):
        changes = place == first or (place > first and type(each) is kind and left)
        told.append(more(each, by, kind) if changes else each)
        left -= place > first and type(each) is kind
    world.core.batches[-1] = (at, told)
    seen = judged(world.core, replays=False)
    world.core.batches[-1] = (at, events)
    return [f"{each.what.partition(', ')[2]}: {each.expected}" for each in seen]


def unseen(world: World, by: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same where nothing is known of what was published."""
    with monkeypatch.context() as patched:
        patched.setattr(test_verify_rules, "published_packages", lambda core: PublishedPackages())
        return found(world, by, kind)


@pytest.mark.parametrize("by", [1, 500])
def test_a_grant_beside_seats(world: World, by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 are there of 40 seats, so that of 1,500 for the rest 1,000 are left of 3,000."""
    world.subscribe("crowd")
    world.to(HALF)
    world.change("large")
    assert had(world) == (1_000, 2_000)
    assert found(world, 0, e.PackageChanged) == []
    assert found(world, by, e.PackageChanged) == ["amount of 'credits': 1000"]
    assert unseen(world, by, e.PackageChanged, monkeypatch) == []


def test_seats_beside_a_grant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 are there, so that of 750 for the rest 500 are left of 1,500."""
    world.subscribe("grants")
    world.to(HALF)
    world.change("thirty")
    assert had(world) == (1_000, 500)
    assert found(world, 0, e.SeatPlanStarted) == []
    [what] = found(world, 1, e.SeatPlanStarted)
    assert what.endswith("for seats: 500 at most")
    assert unseen(world, 1, e.SeatPlanStarted, monkeypatch) == []


def test_seats_beside_other_seats(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """600 would be 300 for the rest, of which 100 are there; grants leave 550."""
    world.subscribe("starter")
    world.to(HALF)
    world.change("pro")
    assert had(world) == (250, 400)
    at, events = world.core.batches[-1]
    issued = [place for place, each in enumerate(events) if isinstance(each, e.GrantIssued)]
    told = list(events)
    told[issued[1]] = more(events[issued[1]], 1, e.SeatPlanStarted)
    [place] = [place for place, each in enumerate(events) if isinstance(each, e.SeatPlanStarted)]
    told[place] = more(events[place], 1, e.SeatPlanStarted)
    world.core.batches[-1] = (at, told)
    seen = judged(world.core, replays=False)
    with monkeypatch.context() as patched:
        patched.setattr(test_verify_rules, "published_packages", lambda core: PublishedPackages())
        assert judged(world.core, replays=False) == []
    world.core.batches[-1] = (at, events)
    [finding] = seen
    assert finding.expected == "200 at most, beside other seats"


@pytest.mark.parametrize("by", [1, 700])
def test_seats_that_are_added(world: World, by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 are there and 20 seats that had nothing; with 50 more, of 3,500, 500 are left."""
    world.subscribe("large")
    world.to(HALF)
    world.change("team")
    world.core.begin_batch()
    add(world, "desks", 50)
    assert had(world) == (3_000, 500)
    assert found(world, 0, e.SeatsAdded) == []
    rest = unseen(world, by, e.SeatsAdded, monkeypatch)  # what one seat has is looked at, too
    assert found(world, by, e.SeatsAdded) == ["units of seats that are added: 500 at most", *rest]
    if world.core.state.accounts[ACME].seats.plans["desks"].terms.allotment == e.Allotment.POOLED:
        assert rest == []


def test_a_larger_package_than_any(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A term that says of the largest package that it were larger, and grants by it."""

    def larger(event: Any) -> Any:
        event = more(event, 10, e.PackageChanged)
        if not isinstance(event, e.PackageChanged):
            return event
        minted = tuple([replace(each, largest=9_000) for each in event.term.minted])
        return replace(event, term=replace(event.term, minted=minted))

    world.subscribe("large")
    world.to(HALF)
    world.change("grants", old_grants=e.OldGrants.PRORATE)
    at, events = world.core.batches[-1]
    world.core.batches[-1] = (at, [larger(each) for each in events])
    seen = [each.what.partition(", ")[2] for each in judged(world.core, replays=False)]
    with monkeypatch.context() as patched:
        patched.setattr(test_verify_rules, "published_packages", lambda core: PublishedPackages())
        assert judged(world.core, replays=False) == []
    world.core.batches[-1] = (at, events)
    assert seen == ["largest package of the period", "amount of 'credits'"]


@pytest.mark.parametrize("allotment", [POOLED, OWN])
def test_the_phase_counts_that_the_term_is_of(allotment: PackagedAllotment) -> None:
    """A trial of 100 of 1,000: that it grants 101 is found, and its second period goes on."""
    world = World()
    trial = Phase("trial", periods=2, grants=(PhasedGrant("credits", 100),))
    package = both(1_000, "desks", 50, 2, allotment)
    world.publish("tried", replace(package, phases=(trial,)))
    world.subscribe("tried")
    assert found(world, 0, e.Subscribed) == []
    assert found(world, 1, e.Subscribed)[-1] == "amount of 'credits': 100"
    world.to(START_US + 95 * DAY_US)
    assert judged(world.core) == []


def test_the_first_contract_of_a_period_gives_all(world: World) -> None:
    """Rule P5: beside what the package before gave, and what is signed again nothing twice."""
    world.subscribe("grants")
    world.to(HALF)
    sign(world, "first", "thirty")
    assert had(world) == (0, 1_500)
    assert judged(world.core) == []
