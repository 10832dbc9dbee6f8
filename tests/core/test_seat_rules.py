"""What verify says of seats: each rule broken once in a journal that is otherwise in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from replaying import counters, replayed, totals
from seat_world import KEEP, MAY, PRORATED, UNUSED, Team, day, individual, pooled
from test_verify_rules import judged

from ledger.core import events as e


def lived() -> Team:
    """A pool and seats of their own, over every kind of change and a period."""
    team = Team()
    team.start(pooled(100), "eve", count=3, plan="pool")
    team.start(individual(100, alert=10, unknown=e.UnknownSeat.UNASSIGNED), "ann", count=2)
    team.to(day(16))
    team.add("bob")
    team.add(count=2, plan="pool")
    team.use(95, "ann")
    team.use(5, "zed")
    team.hold(7, "bob")
    team.remove(count=1, mode=PRORATED)
    team.remove(count=1, plan="pool", mode=UNUSED)
    team.reassign("ann", "cid")
    team.suspend("cid")
    team.to(MAY)
    team.end(mode=PRORATED, plan="pool")
    return team


def test_the_story_breaks_no_rule() -> None:
    """So whatever is found below was broken there."""
    team = lived()
    team.finish()
    kinds = {type(event) for _, batch in team.core.batches for event in batch}
    assert kinds >= {
        e.SeatPlanStarted, e.SeatsAdded, e.SeatsRemoved, e.SeatReassigned, e.SeatSuspended,
        e.SeatPeriodBegun, e.SeatPlanEnded, e.SeatAllowanceLow,
    }  # fmt: skip


def test_unchanged_prices_make_the_journals_own_entries() -> None:
    """Row C8: each entry of seats is read as the command that it answered, or as what time did."""
    core = lived().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


def first(event: Any, **fields: Any) -> Any:
    """With other fields in the first of its seats."""
    return replace(event, seats=(replace(event.seats[0], **fields), *event.seats[1:]))


def tallied(event: Any, **fields: Any) -> Any:
    return replace(event, tally=replace(event.tally, **fields))


def more(event: Any, by: int = 1) -> Any:
    """A unit more is said to have been issued."""
    issue = replace(event.issues[0], amount=event.issues[0].amount + by)
    return replace(event, issues=(issue, *event.issues[1:]))


def own(event: Any) -> bool:
    return bool(event.seat_plan == "agents")


def pool(event: Any) -> bool:
    return bool(event.seat_plan == "pool")


BROKEN: list[tuple[type, Callable[[Any], bool], Callable[[Any], Any]]] = [
    (e.SeatPlanStarted, own, lambda event: replace(event, start=event.start + 1)),
    (e.SeatPlanStarted, own, lambda event: replace(event, revision=2)),
    (e.SeatPlanStarted, own, lambda event: replace(event, full=event.full + event.full // 50)),
    (e.SeatPlanStarted, own, lambda event: first(event, entitled=101)),
    (e.SeatPlanStarted, own, more),
    (e.SeatPlanStarted, pool, more),
    (e.SeatPlanStarted, pool, lambda event: tallied(event, seat_us=event.tally.seat_us + 1)),
    (e.SeatPlanStarted, pool, lambda event: tallied(event, largest=5)),
    (e.SeatPlanStarted, pool, lambda event: tallied(event, released=500)),
    (e.SeatsAdded, own, lambda event: replace(event, revision=1)),
    (e.SeatsAdded, own, lambda event: replace(event, names=("ann",))),
    (e.SeatsAdded, own, lambda event: first(event, released=100, entitled=100)),
    (e.SeatsAdded, own, lambda event: first(event, entitled=event.seats[0].released - 1)),
    (e.SeatsAdded, own, lambda event: replace(event, seat_plan="nothing")),
    (e.SeatsAdded, pool, more),
    (e.SeatsAdded, pool, lambda event: tallied(event, seat_us=event.tally.seat_us * 2)),
    (e.SeatsAdded, pool, lambda event: tallied(event, largest=3)),
    (e.SeatsAdded, pool, lambda event: tallied(event, unassigned=9)),
    (e.SeatsRemoved, own, lambda event: replace(event, taken=())),
    (e.SeatsRemoved, own, lambda event: first(event, released=100)),
    (
        e.SeatsRemoved,
        own,
        lambda event: replace(event, taken=(replace(event.taken[0], grant=2),)),
    ),
    (e.SeatsRemoved, own, lambda event: replace(event, names=("zed",))),
    (e.SeatsRemoved, pool, lambda event: tallied(event, released=1_000)),
    (e.SeatsRemoved, pool, lambda event: tallied(event, unassigned=-1)),
    (e.SeatReassigned, own, lambda event: first(event, released=99)),
    (e.SeatReassigned, own, lambda event: replace(event, to="bob")),
    (e.SeatReassigned, own, lambda event: tallied(event, unassigned=1)),
    (e.SeatSuspended, own, lambda event: replace(event, suspended=False)),
    (e.SeatSuspended, own, lambda event: replace(event, name="zed")),
    (e.SeatPeriodBegun, own, lambda event: replace(event, start=event.start - 1)),
    (e.SeatPeriodBegun, own, lambda event: replace(event, seats=event.seats[:-1])),
    (e.SeatPeriodBegun, own, more),
    (e.SeatPeriodBegun, pool, lambda event: tallied(event, unassigned=5)),
    (e.SeatPeriodBegun, pool, lambda event: replace(event, seat_plan="nothing")),
    (e.SeatPlanEnded, pool, lambda event: replace(event, ends_at=event.ends_at + 1)),
    (e.SeatPlanEnded, pool, lambda event: tallied(event, released=7)),
    (e.SeatPlanEnded, pool, lambda event: replace(event, revision=9)),
    (
        e.SeatPlanEnded,
        pool,
        lambda event: replace(event, taken=(replace(event.taken[0], grant=1),)),
    ),
    (e.SeatAllowanceLow, own, lambda event: replace(event, left=event.left + 1)),
    (e.SeatAllowanceLow, own, lambda event: replace(event, seat=3)),
]


@pytest.mark.parametrize("place", range(len(BROKEN)))
def test_what_breaks_a_rule_is_found(place: int) -> None:
    """Of one entry of the story at a time."""
    kind, which, broken = BROKEN[place]
    team = lived()
    for _, batch in team.core.batches:
        for index, event in enumerate(batch):
            if type(event) is kind and which(event):
                batch[index] = broken(event)
                try:
                    found = judged(team.core, replays=False)
                except (KeyError, AssertionError):
                    return  # nothing that could be applied: verify stops there and says so
                assert found
                return
    raise AssertionError(f"the story has no such {kind.__name__}")


@pytest.mark.parametrize(
    ("tokens", "seat", "attribute"),
    [(95, "ann", ("agent", "bob")), (95, "ann", ("human", "ann")), (5, "", ("agent", "ann"))],
)
def test_only_its_own_usage_draws_the_allowance_of_a_seat(
    tokens: int, seat: str, attribute: tuple[str, str]
) -> None:
    """Rules D1, S3: usage that names another seat, or none, draws it in no journal."""
    team = lived()
    for _, batch in team.core.batches:
        for event in batch:
            if isinstance(event, e.UsageRecorded) and event.quantities == (tokens,):
                declared = batch[event.plan]
                batch[event.plan] = replace(declared, attributes=(attribute,))
                assert any("seat that pays" in each.what for each in judged(team.core, False))
                return


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(("mode", "wrong"), [(PRORATED, True), (KEEP, True), (UNUSED, False)])
def test_no_more_is_taken_back_of_seats_than_their_share(
    own: bool, ends: bool, mode: e.SeatRemoval, wrong: bool
) -> None:
    """Rules S1, S2: what `UNUSED` takes back on the 16th, all of it, is more than the half."""
    team = Team()
    team.start(individual(100) if own else pooled(100), count=2)
    team.to(day(16))
    if ends:
        team.end()
    else:
        team.remove(count=1, mode=UNUSED)
    _, batch = team.core.batches[-1]
    batch[-1] = replace(batch[-1], mode=mode)
    found = [each.what for each in judged(team.core, replays=False)]
    assert any("units taken back of seat" in each for each in found) == wrong, found
