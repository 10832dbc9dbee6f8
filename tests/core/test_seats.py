"""Seats: quantities and names of a pool, changes at any instant, the end (rules S1 and D1).

April has 30 days; a plan begins on the 1st unless a test says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS
from seat_world import ACME, APRIL, KEEP, MAY, PRORATED, UNUSED, Team, day, individual, pooled

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Known

# -- a pool ----------------------------------------------------------------------------------------


def test_a_team_on_pooled_seats_grows_in_the_middle_of_the_month_and_shrinks(team: Team) -> None:
    """The second story. 20 seats of 1,000 a month; 25 from the 16th on; 22 from May on.

    1 April: 20 x 1,000 = 20,000. 16 April, 15 of 30 days left: 5 x 1,000 x 15 / 30 = 2,500.
    20 April: 3 leave with the month, which gives and takes nothing. May: 22 x 1,000 = 22,000.
    """
    team.start(pooled(1_000), count=20)
    assert (team.quantity(), team.left()) == (20, 20_000)
    assert team.use(6_000) == [("grant", 6_000)]
    team.to(day(16))
    team.add(count=5)
    assert (team.quantity(), team.left()) == (25, 16_500)
    team.to(day(20))
    removed = team.remove(count=3)
    assert (removed.taken, team.quantity(), team.left()) == ((), 25, 16_500)
    assert team.use(16_500) == [("grant", 14_000), ("grant", 2_500)]
    assert team.use(10) == [("advance", 10)]
    team.to(MAY)
    assert (team.quantity(), team.left()) == (22, 22_000)  # free units repay nothing
    assert team.issued() == [(1, 20_000), (16, 2_500), (31, 22_000)]


@pytest.mark.parametrize(
    ("amount", "at", "more", "given"),
    [
        (1_000, day(16), 5, 2_500),
        (1_000, day(30), 1, 33),  # 1,000 / 30 = 33.3
        (1_000, MAY - 1, 1, 0),  # a microsecond of a month
        (1, day(16), 1, 0),  # a half, to even
        (3, day(16), 1, 2),  # one and a half, to even
        (1_000, APRIL, 4, 4_000),  # at the first instant: whole
        (7, day(11), 3, 14),  # 21 x 20 / 30, rounded once, not 3 x 4.67
    ],
)
def test_seats_that_are_added_have_the_share_of_the_time_that_is_left(
    team: Team, amount: int, at: int, more: int, given: int
) -> None:
    """Rule S1: rounded once, never above the full amount."""
    team.start(pooled(amount), count=2)
    team.to(at)
    added = team.add(count=more)
    assert sum(each.amount for each in added.issues) == given


def test_adding_seat_by_seat_never_gives_more_than_the_time_share(team: Team) -> None:
    """Rules S1, S2: the time of all seats is added up and rounded once. 1 a seat, ten seats, each
    with two thirds of the month: 6.67 in all, so 7, and not ten times 1."""
    team.start(pooled(1))
    team.to(day(11))
    for _ in range(10):
        team.add(count=1)
    assert team.left() == 7


def test_removed_and_added_again_gives_nothing_new(team: Team) -> None:
    """Rule S2: who comes back in the period has what was left, however often."""
    team.start(pooled(1_000), count=10)
    team.to(day(16))
    for _ in range(5):
        team.remove(count=4)
        added = team.add(count=4)
        assert added.issues == ()
    assert (team.quantity(), team.left()) == (10, 10_000)
    team.add(count=2)
    assert team.left() == 11_000
    team.to(MAY)
    assert (team.quantity(), team.left()) == (12, 12_000)


@pytest.mark.parametrize(
    ("mode", "used", "left"),
    [
        (KEEP, 0, 10_000),
        (UNUSED, 0, 6_000),  # four of ten seats brought 4,000
        (UNUSED, 8_000, 0),  # of that, the 2,000 that are there
        (PRORATED, 0, 8_000),  # 4,000 x 15 / 30
        (PRORATED, 9_000, 0),
        (PRORATED, 3_000, 5_000),
    ],
)
def test_what_removing_seats_takes_back_of_a_pool(
    team: Team, mode: e.SeatRemoval, used: int, left: int
) -> None:
    """Rule S2: clawback stops at what is unspent."""
    team.start(pooled(1_000), count=10)
    if used:
        team.use(used)
    team.to(day(16))
    team.remove(count=4, mode=mode)
    assert team.left() == left
    team.to(MAY)
    assert (team.quantity(), team.left()) == (6, 6_000)


def test_what_was_forfeited_comes_back_by_the_time_that_is_left(team: Team) -> None:
    """Rule S2: on the 16th half of 2 seats goes, 1,000; on the 23rd, 8 of 30 days left, a seat
    comes back with 1,000 x 8 / 30 = 267; then two with 267 each, of which
    one is a fourth."""
    team.start(pooled(1_000), count=3)
    team.to(day(16))
    removed = team.remove(count=2, mode=PRORATED)
    assert sum(each.amount for each in removed.taken) == 1_000
    team.to(day(23))
    assert [each.amount for each in team.add(count=1).issues] == [267]
    assert [each.amount for each in team.add(count=2).issues] == [534]
    assert team.quantity() == 4
    assert team.plan().tally.released == 3_000 - 1_000 + 267 + 534


def test_spent_seats_come_back_with_nothing(team: Team) -> None:
    """Rule S2: what is spent is not taken back, and so not given again."""
    team.start(pooled(1_000), count=2)
    team.use(2_000)
    team.remove(count=2, mode=UNUSED)
    assert (team.quantity(), team.left()) == (0, 0)
    assert team.add(count=2).issues == ()
    team.to(MAY)
    assert team.left() == 2_000


def test_named_seats_of_a_pool_and_unassigned_ones(team: Team) -> None:
    """Rule S2: a quantity, or named with unassigned ones; who has which changes no quantity."""
    team.start(pooled(100), "ann", "bob", count=3)
    assert (team.quantity(), team.left()) == (5, 500)
    team.reassign("", "cid")
    team.reassign("ann", "dee")
    team.reassign("bob", "")
    assert sorted(team.plan().by_name) == ["bob", "cid", "dee"]
    assert [seat.name for seat in team.plan().present(team.core.now)] == ["dee", "cid"]
    assert (team.quantity(), team.left(), team.plan().tally.unassigned) == (5, 500, 3)
    team.remove("cid")
    team.reassign("cid", "")
    assert (team.plan().tally.unassigned, team.plan().tally.leaving) == (3, 1)
    team.to(MAY)
    assert (team.quantity(), team.left(), sorted(team.plan().by_name)) == (4, 400, ["dee"])


def test_a_plan_that_begins_within_its_period_has_the_rest_of_it(team: Team) -> None:
    """Rule S1: from the 21st on, 10 of 30 days."""
    team.to(day(21))
    team.start(pooled(3_000), count=2)
    assert team.left() == 2_000
    team.to(MAY)
    assert team.left() == 6_000


def test_a_plan_without_an_anchor_begins_its_periods_where_it_starts(team: Team) -> None:
    """Rule T1: the first period is whole."""
    team.to(day(21))
    team.start(pooled(3_000, anchor=0), count=2)
    assert (team.left(), team.plan().period_end) == (6_000, MAY + 20 * DAY_US)


def test_periods_that_nobody_saw_are_begun_in_order(team: Team) -> None:
    """Rule T1: by the next entry, each as of its own time."""
    team.start(pooled(100), "ann", count=1)
    team.core.now = MAY + 62 * DAY_US
    team.core.begin_batch()
    assert team.use(5) == [("grant", 5)]
    assert team.issued() == [(1, 200), (31, 200), (62, 200), (92, 200)]
    assert team.left() == 195


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "left"), [(KEEP, (270, 80)), (UNUSED, (0, 0)), (PRORATED, (120, 30))]
)
def test_a_plan_ends_now(team: Team, mode: e.SeatRemoval, left: tuple[int, int]) -> None:
    """Rule S2: all of its seats are removed so; on the 16th half of 300 goes, and of 100."""
    team.start(pooled(100), count=3, plan="pool")
    team.start(individual(100), "ann")
    team.use(30)
    team.use(20, "ann")
    team.to(day(16))
    ann = team.plan().by_name["ann"]
    team.end(mode=mode)
    team.end(mode=mode, plan="pool")
    assert (team.left(plan="pool"), ann.left) == left
    assert (team.quantity(), team.quantity("pool")) == (0, 0)
    team.to(MAY)
    assert len(team.issued()) == 2
    gone = c.AddSeats(team.key(), ACME, "agents", ("bob",))
    assert team.refused(gone)[:2] == ("SEAT_PLAN_ENDED", "plan")


def test_a_plan_ends_with_its_period_and_starts_again_after_it(team: Team) -> None:
    """Rule S2: not within it, for what it has granted would be granted again."""
    team.start(individual(100), "ann")
    team.end(e.Timing.NEXT_PERIOD)
    assert team.use(10, "ann") == [("ann", 10)]
    team.add("bob", count=1)
    team.reassign("", "cid")
    assert team.quantity() == 3
    team.to(MAY)
    assert (team.quantity(), team.use(10, "ann")) == (0, [("advance", 10)])
    team.start(individual(200), "ann", "bob")
    assert team.use(10, "ann") == [("ann", 10)]
    assert (team.left("ann"), team.plan().revision, team.quantity()) == (190, 5, 2)
    team.end()
    again = c.StartSeatPlan(team.key(), ACME, "agents", individual(5), ("ann",))
    assert team.refused(again)[0] == "SEAT_PLAN_ENDED"


def test_an_account_with_seats_is_not_closed(team: Team) -> None:
    """Its plans are ended first; then what is left of seats counts as any credits."""
    team.start(individual(100), "ann")
    close = c.CloseAccount(team.key(), ACME, write_off=True)
    assert team.refused(close)[2] == "plans of seats"
    team.end(mode=KEEP)
    assert team.refused(c.CloseAccount(team.key(), ACME))[2] == "credits"
    team.ask(c.CloseAccount(team.key(), ACME, write_off=True))


# -- refusals --------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused(team: Team) -> None:
    """A reason, the field and the value; nothing changed."""

    def start(terms: e.SeatTerms, *seats: str, count: int = 0, plan: str = "new") -> Any:
        return team.refused(c.StartSeatPlan(team.key(), ACME, plan, terms, seats, count))

    def add(*seats: str, count: int = 0, **fields: Any) -> Any:
        return team.refused(c.AddSeats(team.key(), ACME, "agents", seats, count, **fields))

    def remove(*seats: str, count: int = 0, mode: Any = KEEP) -> Any:
        return team.refused(c.RemoveSeats(team.key(), ACME, "agents", seats, count, mode))

    def reassign(seat: str, to: str) -> Any:
        return team.refused(c.ReassignSeat(team.key(), ACME, "agents", seat, to))

    assert add("ann") == ("SEAT_PLAN_UNKNOWN", "plan", "agents")
    own, pool = individual(100), pooled(100)
    assert start(own, "ann", "ann") == ("SEATS_INVALID", "seats", "ann")
    assert start(own, "") == ("SEATS_INVALID", "seats", "")
    assert start(own, count=-1) == ("SEATS_INVALID", "count", "-1")
    assert start(own, count=1_001) == ("SEATS_LIMIT", "seats", "1001")
    assert start(pool, count=1_000_001) == ("SEATS_LIMIT", "seats", "1000001")
    assert start(pooled(2**62), count=2) == ("OVERFLOW", "seats", "2")
    assert start(pooled(0), count=2) == ("AMOUNT_INVALID", "terms.allowance.amount", "0")
    assert start(pooled(1, every=0)) == ("PERIOD_INVALID", "terms.allowance.every", "0")
    nameless = e.SeatTerms("", e.Allotment.INDIVIDUAL, own.allowance)
    assert start(nameless) == ("SEATS_INVALID", "terms.attribute", "")
    assert start(individual(1, shared=True))[1] == "terms.allowance.shared"
    rolling = e.Rollover(1, 2)
    assert start(pooled(1, rollover=rolling))[1] == "terms.allowance.rollover"
    postpaid = {"kind": e.GrantKind.POSTPAID, "price_paid": 1, "price_asset": CREDITS + 1}
    assert start(pooled(1, **postpaid))[1] == "terms.allowance.kind"
    assert start(individual(1, alert=-2)) == ("SEATS_INVALID", "terms.alert", "-2")
    alerting = e.SeatTerms("agent", e.Allotment.POOLED, own.allowance, alert=5)
    assert start(alerting) == ("SEATS_INVALID", "terms.alert", "5")
    team.start(own, "ann", count=1)
    assert start(own, plan="agents") == ("SEAT_PLAN_EXISTS", "plan", "agents")
    assert add() == ("SEATS_INVALID", "count", "0")
    assert add("ann") == ("SEAT_TAKEN", "seats", "ann")
    assert add(count=999) == ("SEATS_LIMIT", "seats", "1001")
    assert add("bob", expected_version=9) == ("VERSION_MISMATCH", "expected_version", "1")
    assert remove("zed") == ("SEAT_UNKNOWN", "seats", "zed")
    assert remove(count=2) == ("SEATS_TOO_FEW", "count", "1")
    team.remove("ann", count=1)
    assert remove("ann") == ("SEAT_LEAVING", "seats", "ann")
    assert remove(count=1) == ("SEATS_TOO_FEW", "count", "0")
    team.remove("ann", mode=UNUSED)
    assert reassign("ann", "bob") == ("SEAT_UNKNOWN", "seat", "ann")
    assert reassign("", "bob") == ("SEATS_TOO_FEW", "seat", "0")
    team.add("bob", "cid")
    assert reassign("bob", "cid") == ("SEAT_TAKEN", "to", "cid")
    assert reassign("bob", "bob") == ("SEATS_INVALID", "to", "bob")
    for number in range(15):
        team.start(pool, plan=f"more {number}")
    assert start(pool) == ("SEATS_LIMIT", "plan", "16")


@pytest.mark.parametrize(
    ("first", "other", "field"),
    [
        (("add", ("bob",), 0), ("add", ("cid",), 0), "seats"),
        (("add", ("bob",), 0), ("add", ("bob",), 1), "count"),
        (("remove", ("ann",), KEEP), ("remove", ("ann",), UNUSED), "mode"),
        (("reassign", "ann", "bob"), ("reassign", "ann", "cid"), "to"),
        (("suspend", "ann"), ("resume", "ann"), "request"),
        (("end", e.Timing.NOW), ("end", e.Timing.NEXT_PERIOD), "timing"),
    ],
)
def test_the_same_request_has_one_answer(team: Team, first: Any, other: Any, field: str) -> None:
    """Rule I5: another body under the key is a conflict that names the field."""
    team.start(individual(100), "ann")
    key = team.key()

    def made(verb: str, *rest: Any) -> Any:
        kinds: dict[str, Any] = {
            "add": lambda seats, count: c.AddSeats(key, ACME, "agents", seats, count),
            "remove": lambda seats, mode: c.RemoveSeats(key, ACME, "agents", seats, 0, mode),
            "reassign": lambda seat, to: c.ReassignSeat(key, ACME, "agents", seat, to),
            "suspend": lambda seat: c.SuspendSeat(key, ACME, "agents", seat),
            "resume": lambda seat: c.ResumeSeat(key, ACME, "agents", seat),
            "end": lambda timing: c.EndSeatPlan(key, ACME, "agents", timing),
        }
        return kinds[verb](*rest)

    command = made(*first)
    team.ask(command)
    again = team.run(command)
    assert isinstance(again, Known) and team.core.difference(command, again) == ""
    changed = made(*other)
    known = team.run(changed)
    assert isinstance(known, Known) and team.core.difference(changed, known) == field
