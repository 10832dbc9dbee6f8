"""Seats: quantities and names, what a period releases, changes at any instant (rules S1 to S3, D1).

April has 30 days; a plan begins on the 1st unless a test says otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, FAMILY, TENANT, USD, SandboxCore, replay
from msgspec.structs import replace
from seat_world import (
    ACME,
    APRIL,
    KEEP,
    MAY,
    PRORATED,
    UNUSED,
    Team,
    day,
    individual,
    pooled,
)

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.assessing import assess, available_in_all, available_to
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Known, Refusal
from ledger.core.shapes import Use


@pytest.fixture
def team() -> Any:
    made = Team()
    yield made
    made.finish()


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


# -- allowances of their own -----------------------------------------------------------------------


def test_only_its_own_usage_draws_the_allowance_of_a_seat(team: Team) -> None:
    """Rules D1, D2: the seat first, then the account's grants; nobody draws another's."""
    team.grant(50)
    team.start(individual(100), "ann", "bob")
    assert team.use(30, "ann") == [("ann", 30)]
    assert team.use(90, "ann") == [("ann", 70), ("grant", 20)]
    assert team.use(40, "zed") == [("grant", 30), ("advance", 10)]
    assert team.use(10) == [("advance", 10)]
    assert team.use(10, "bob") == [("bob", 10)]
    assert (team.left("ann"), team.left("bob")) == (0, 90)


def test_each_period_gives_each_seat_its_own_allowance(team: Team) -> None:
    """Rule S1: what is left ends with the period."""
    team.start(individual(100), "ann", count=1)
    team.use(30, "ann")
    team.to(day(16))
    team.add("bob")
    assert team.left("bob") == 50
    team.to(MAY)
    assert [team.left(name) for name in ("ann", "bob")] == [100, 100]
    assert team.issued() == [(1, 100), (1, 100), (16, 50), (31, 100), (31, 100), (31, 100)]
    team.to(MAY + 2 * DAY_US)  # and the grace of late usage
    assert team.use(110, "ann") == [("ann", 100), ("advance", 10)]


def test_late_usage_draws_what_its_seat_had_then(team: Team) -> None:
    """Rule D5: of a seat that is gone too, until the grace ends."""
    team.start(individual(100), "ann", "bob")
    team.remove("ann")
    team.to(MAY + HOUR_US)
    assert team.use(30, "ann", MAY - 1) == [("ann", 30)]
    assert team.use(30, "bob", MAY - 1) == [("bob", 30)]
    assert team.use(30, "ann") == [("advance", 30)]
    assert team.left("bob") == 100
    team.to(MAY + 2 * DAY_US)
    assert team.use(30, "bob", MAY - 1) == [("advance", 30)]


def test_a_seat_is_reassigned_with_what_is_left_of_it(team: Team) -> None:
    """Rule S2: never a new allowance."""
    team.start(individual(100), "ann", count=1)
    team.use(60, "ann")
    team.reassign("ann", "bob")
    assert team.use(50, "bob") == [("bob", 40), ("advance", 10)]
    assert team.use(5, "ann") == [("advance", 5)]
    team.reassign("bob", "ann")
    assert team.left("ann") == 0
    team.reassign("", "cid")
    assert team.use(70, "cid") == [("cid", 70)]
    team.reassign("cid", "")
    team.reassign("", "dee")
    assert team.left("dee") == 30
    assert team.issued() == [(1, 100), (1, 100)]


@pytest.mark.parametrize(
    ("mode", "used", "back", "again"),
    [
        (UNUSED, 0, 100, 27),  # 100 x 8 / 30 on the 23rd
        (UNUSED, 90, 10, 10),  # what was taken back, at most
        (PRORATED, 0, 50, 27),
        (PRORATED, 80, 20, 20),
        (PRORATED, 100, 0, 0),
    ],
)
@pytest.mark.parametrize("name", ["ann", "new"])
def test_who_takes_the_place_of_a_seat_that_left_has_what_was_left(
    team: Team, mode: e.SeatRemoval, used: int, back: int, again: int, name: str
) -> None:
    """Rule S2: removed on the 16th, added again on the 23rd, whoever it is."""
    team.start(individual(100), "ann", "bob")
    if used:
        team.use(used, "ann")
    team.to(day(16))
    removed = team.remove("ann", mode=mode)
    assert sum(each.amount for each in removed.taken) == back
    assert team.quantity() == 1
    team.to(day(23))
    team.add(name)
    given = team.plan().by_name[name].released - 100 + back
    assert given == again
    team.add("third")  # now there are more than ever: a share of the time
    assert team.left("third") == 27
    team.to(MAY)
    assert [team.left(each) for each in (name, "bob", "third")] == [100, 100, 100]


def test_a_seat_that_leaves_with_the_period_keeps_what_it_has_until_then(team: Team) -> None:
    """Rule S2: and stays, if it is added again."""
    team.start(individual(100), "ann", "bob", count=2)
    team.remove("ann", count=1)
    assert team.use(10, "ann") == [("ann", 10)]
    assert team.quantity() == 4
    team.add("ann", count=1)
    assert (team.left("ann"), len(team.issued())) == (90, 4)
    team.remove("bob", count=2)
    team.to(MAY)
    assert (team.quantity(), team.left("ann")) == (1, 100)


def test_changes_at_one_instant_apply_in_order(team: Team) -> None:
    """Rule S2."""
    team.start(individual(100), "ann")
    team.use(70, "ann")
    team.remove("ann", mode=UNUSED)
    team.add("bob")
    team.remove("bob", mode=UNUSED)
    team.add("ann")
    assert team.left("ann") == 30
    assert team.plan().tally.released == 100


def test_a_hold_reserves_the_allowance_of_its_seat(team: Team) -> None:
    """Rules H1, S2: captured from it, given back to it, and its seat stays as long."""
    team.grant(100)
    team.start(individual(100), "ann", "bob")
    hold = team.hold(120, "ann")
    assert team.drew(hold) == [("ann", 100), ("grant", 20)]
    assert team.left("ann") == 0
    for mode in (KEEP, UNUSED, PRORATED):
        command = c.RemoveSeats(team.key(), ACME, "agents", ("bob", "ann"), 0, mode)
        assert team.refused(command) == ("SEAT_HELD", "seats", "ann")
    ended = c.EndSeatPlan(team.key(), ACME, "agents", e.Timing.NOW)
    assert team.refused(ended) == ("SEAT_HELD", "seats", "ann")
    captured = team.ask(
        c.CaptureHold(team.key(), ACME, hold.hold, ("tokens",), (30,), 0, c.NO_NAMES)
    )
    assert team.drew(captured) == [("ann", 30)]
    assert (team.left("ann"), team.left("bob")) == (70, 100)
    team.remove("ann", mode=UNUSED)


def test_a_reversal_gives_back_to_the_seat(team: Team) -> None:
    """Rule D3: in the reverse of the order in which it drew."""
    team.start(individual(100), "ann")
    command = team.usage(130, "ann")
    team.ask(command)
    locator = team.core.state.keys.find(command.key)
    assert locator is not None
    original = team.core.original(locator)
    team.ask(c.ReverseUsage(team.key(), ACME, original, (50,)))
    assert team.left("ann") == 20
    assert team.use(30, "ann") == [("ann", 20), ("advance", 10)]


# -- who pays what an allowance does not (rule S3) -------------------------------------------------


@pytest.mark.parametrize(
    ("exhausted", "held", "recorded"),
    [
        (e.ExhaustedSeat.ACCOUNT, [("ann", 100), ("grant", 20)], [("ann", 100), ("grant", 20)]),
        (e.ExhaustedSeat.OVERAGE, [("ann", 100), ("overage", 20)], [("ann", 100), ("overage", 20)]),
        (e.ExhaustedSeat.DENY, "SEAT_EXHAUSTED", [("ann", 100), ("grant", 20)]),
    ],
)
def test_an_exhausted_allowance(exhausted: e.ExhaustedSeat, held: Any, recorded: Any) -> None:
    """Rule S3: `deny` is for what is to be authorised; recorded usage is never refused."""
    policy = e.AccountPolicy(overage=e.Overage.SELF, holds_overage=True)
    for holds in (True, False):
        team = Team(policy)
        team.grant(1_000)
        team.start(individual(100, exhausted=exhausted), "ann")
        if holds:
            answer = team.hold(120, "ann")
            found: Any = getattr(answer, "reason", None) or team.drew(answer)
            assert found == held
        else:
            assert team.use(120, "ann") == recorded
        assert team.drew(team.hold(5)) == [("grant", 5)]
        team.finish()


def test_an_exhausted_allowance_that_goes_to_overage_takes_no_overdraft() -> None:
    """Rules S3, D4: neither recorded usage nor a hold; without a seat it is as the policy says."""
    policy = e.AccountPolicy(
        overage=e.Overage.SELF,
        holds_overage=True,
        overdraft_asset=CREDITS,
        overdraft_limit=50,
        holds_overdraft=True,
    )
    team = Team(policy)
    team.start(individual(100, exhausted=e.ExhaustedSeat.OVERAGE), "ann")
    assert team.use(120, "ann") == [("ann", 100), ("overage", 20)]
    assert team.drew(team.hold(5, "ann")) == [("overage", 5)]
    assert team.use(60) == [("advance", 50), ("overage", 10)]
    use = Use("chat", (("agent", "ann"),))
    assert available_to(team.account, CREDITS, use, team.core.state.now) == 0
    team.finish()


@pytest.mark.parametrize(
    ("unknown", "drew"),
    [
        (e.UnknownSeat.POOL, [("grant", 30)]),
        (e.UnknownSeat.UNASSIGNED, [("unassigned", 30)]),
    ],
)
def test_usage_of_an_unknown_seat(team: Team, unknown: e.UnknownSeat, drew: Any) -> None:
    """Rule S3."""
    team.grant(1_000)
    team.start(individual(25, unknown=unknown), "ann", count=2)
    found = team.use(30, "zed")
    assert found in (drew, [("unassigned", 25), ("unassigned", 5)])
    assert (found == drew) == (unknown == e.UnknownSeat.POOL)
    assert team.use(30) == [("grant", 30)]
    assert team.left("ann") == 25


@pytest.mark.parametrize("terms", [pooled, individual])
def test_usage_of_an_unknown_seat_is_rejected_where_the_plan_says_so(
    team: Team, terms: Any
) -> None:
    """Rules S3, I2: it is not recorded, and the same id is taken once there is such a seat; holds
    alike. What is of the time before the plan is not asked for a seat."""
    team.grant(1_000)
    team.core.advance(DAY_US)
    team.start(terms(100, unknown=e.UnknownSeat.REJECT, anchor=0), "ann")
    command = team.usage(30, "zed", team.core.now)
    assert team.refused(command) == ("SEAT_UNKNOWN", "attributes.agent", "zed")
    shape = team.core.shape("chat", "tokens", attributes=(("agent", "zed"),))
    hold = c.AuthorizeHold(team.key(), ACME, shape, (5,), 0, c.NO_NAMES)
    assert team.refused(hold) == ("SEAT_UNKNOWN", "attributes.agent", "zed")
    assert team.use(7, "zed", team.core.now - HOUR_US) == [("grant", 7)]
    assert team.use(7) == [("grant", 7)]
    team.add("zed")
    assert len(team.drew(team.ask(command))) == 1
    assert isinstance(team.run(command), Known)


def test_work_that_is_sold_by_result_goes_by_seats(team: Team) -> None:
    """Rules D1, S3: its price pends on the seat's allowance; an unknown seat is rejected alike."""
    team.start(individual(100, unknown=e.UnknownSeat.REJECT, alert=70), "ann")

    def report(seat: str) -> Any:
        shape = team.core.shape("case", "tokens", attributes=(("agent", seat),))
        return c.ReportOutcome(team.key(), ACME, shape, (30,), 0)

    assert team.refused(report("zed")) == ("SEAT_UNKNOWN", "attributes.agent", "zed")
    assert team.drew(team.ask(report("ann"))) == [("ann", 30)]
    assert (team.left("ann"), team.told()) == (70, [("ann", 70)])
    team.to(day(4))  # it confirms itself after two days
    assert team.plan().by_name["ann"].left == 70


def test_an_allowance_that_is_not_for_such_usage_has_no_say(team: Team) -> None:
    """Rule D1: seats are given something for chat alone; images are the account's."""
    terms = individual(10, products=("chat",), exhausted=e.ExhaustedSeat.DENY)
    team.grant(100)
    team.start(terms, "ann")
    assert team.hold(30, "ann").reason == "SEAT_EXHAUSTED"
    assert team.drew(team.hold(30, "ann", "image")) == [("grant", 30)]


def test_nothing_is_authorised_for_a_suspended_seat(team: Team) -> None:
    """Recorded usage has happened; the seat keeps what it has, and counts."""
    team.start(individual(100), "ann", "bob")
    team.suspend("ann")
    assert team.hold(1, "ann").reason == "SEAT_SUSPENDED"
    assert team.use(10, "ann") == [("ann", 10)]
    assert team.drew(team.hold(1, "bob")) == [("bob", 1)]
    suspend = c.SuspendSeat(team.key(), ACME, "agents", "ann")
    assert team.refused(suspend) == ("SEAT_SUSPENDED", "seat", "ann")
    team.to(MAY)
    assert (team.hold(1, "ann").reason, team.left("ann")) == ("SEAT_SUSPENDED", 100)
    team.resume("ann")
    hold = team.hold(1, "ann")
    assert team.drew(hold) == [("ann", 1)]
    resume = c.ResumeSeat(team.key(), ACME, "agents", "ann")
    assert team.refused(resume) == ("SEAT_NOT_SUSPENDED", "seat", "ann")
    team.suspend("ann")
    team.ask(c.ReleaseHold(team.key(), ACME, hold.hold))
    team.reassign("ann", "cid")
    assert team.drew(team.hold(1, "cid")) == [("cid", 1)]


def test_suspended_in_a_pool(team: Team) -> None:
    """The same where the seat has nothing of its own."""
    team.start(pooled(100), "ann")
    team.suspend("ann")
    assert team.hold(1, "ann").reason == "SEAT_SUSPENDED"
    assert team.use(10, "ann") == [("grant", 10)]


def test_little_left_is_told_once_a_seat_and_period(team: Team) -> None:
    """By usage and by holds, where what is left falls to the figure or below."""
    team.start(individual(100, alert=20), "ann", "bob")
    team.use(79, "ann")
    assert team.told() == []
    team.use(1, "ann")
    team.use(5, "ann")
    assert team.told() == [("ann", 20)]
    team.hold(95, "bob")
    assert team.told() == [("ann", 20), ("bob", 5)]
    team.to(MAY)
    team.use(100, "ann")
    assert team.told()[2:] == [("ann", 0)]


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


# -- beside other parts ----------------------------------------------------------------------------


def test_an_allowance_of_a_seat_repays_no_debt_of_the_account(team: Team) -> None:
    """Rules B3, D1: only its seat draws it; a pool's repays, as any grant does."""
    team.core.state.accounts[ACME].policy = e.AccountPolicy()
    team.ask(c.UpdatePolicy(team.key(), ACME, e.AccountPolicy(promotional_backfills=True)))
    team.use(30)
    team.start(individual(100), "ann")
    assert team.left("ann") == 100
    team.start(pooled(100), count=1, plan="pool")
    assert team.left(plan="pool") == 70


def test_what_is_a_seats_own_is_not_shared(team: Team) -> None:
    """Rule D1: a pool may be, with all below the account."""
    team.start(individual(100), "ann")
    team.start(pooled(100, shared=True), count=1, plan="pool")
    (own,), (shared,) = team.plan().seats[1].grants, team.plan("pool").grants
    sharing = e.Sharing(e.SharingMode.ALL)
    command = c.UpdateSharing(team.key(), ACME, own, sharing)
    assert team.refused(command) == ("SHARING_INVALID", "grant_id", str(own))
    team.ask(c.CreateAccount(team.key(), TENANT, 2, ACME, ACME, e.AccountPolicy()))
    below = replace(team.usage(130, "ann"), account=2)
    assert team.drew(team.ask(below)) == [("grant", 100), ("advance", 30)]
    assert team.core.state.grants[shared].book.available == 0
    assert team.left("ann") == 100


def test_quotes_and_checks_go_by_seats(team: Team) -> None:
    """Rules D1, H9: what a seat may draw is its own and then the account's."""
    team.grant(50)
    deny = {"exhausted": e.ExhaustedSeat.DENY}
    team.start(individual(100, **deny), "ann")
    state, account = team.core.state, team.account
    for attributes, units in (((("agent", "ann"),), 100), ((("agent", "zed"),), 50), ((), 50)):
        assert available_to(account, CREDITS, Use("chat", attributes), state.now) == units
    assert available_in_all(account, CREDITS, state.now) == 150
    shape = team.core.shape("chat", "tokens", attributes=(("agent", "ann"),))
    found = assess(state, account, shape, (101,), state.now)
    assert not isinstance(found, Refusal) and found.denied == "SEAT_EXHAUSTED"
    team.ask(c.CreateQuote(team.key(), ACME, shape, (90,), 0, 0, True, c.NO_NAMES))
    assert team.left("ann") == 10


def test_a_price_follows_the_units(team: Team) -> None:
    """Rules B4, B5: an allowance's price is its share of the fee; half a month, half the price."""
    priced = {"kind": e.GrantKind.ALLOWANCE, "price_paid": 60, "price_asset": CREDITS + 1}
    team.start(pooled(1_000, **priced), count=2)
    team.to(day(16))
    added = team.add(count=1)
    assert [(each.amount, each.price_paid) for each in added.issues] == [(500, 30)]
    removed = team.remove(count=1, mode=PRORATED)
    assert sum(each.amount for each in removed.taken) == 500
    assert team.core.state.accounts[ACME].unbilled[CREDITS + 1].owed == 120


def test_a_budget_is_for_one_seat(team: Team) -> None:
    """Rule H4: by the attribute that names it."""
    team.start(individual(100), "ann", "bob")
    attributes = (("agent", "ann"),)
    terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, 40, CREDITS, attributes=attributes)
    team.ask(c.SetBudget(team.key(), ACME, "ann", terms))
    assert team.hold(41, "ann").reason == "BUDGET_EXCEEDED"
    assert team.drew(team.hold(41, "bob")) == [("bob", 41)]
    assert team.drew(team.hold(40, "ann")) == [("ann", 40)]


def test_two_plans_of_one_account(team: Team) -> None:
    """Each asks its own attribute; usage that names a seat of both draws both, in the order of the
    plans' names only as far as the first has a say."""
    humans = e.SeatTerms("human", e.Allotment.INDIVIDUAL, individual(10).allowance)
    team.start(individual(100), "ann")
    team.start(humans, "eve", plan="humans")
    shape = team.core.shape("chat", "tokens", attributes=(("human", "eve"),))
    usage = c.RecordUsage(team.key(), ACME, shape, (15,), 0, c.NO_NAMES)
    assert team.drew(team.ask(usage)) == [("eve", 10), ("advance", 5)]
    assert team.use(15, "ann") == [("ann", 15)]


def test_a_pool_stays_on_the_fast_loop_and_seats_of_their_own_leave_it(team: Team) -> None:
    """Usage of a pool that rejects no seat is as any usage; what goes by seats is not."""
    team.start(pooled(1_000), "ann", plan="pool")
    for seat in ("ann", "zed", ""):
        team.use(1, seat)  # what the first event of a shape opens
    commands = [team.usage(7, seat) for seat in ("ann", "zed", "")]
    assert team.core.run_usual(commands) == 3
    team.start(individual(100), "ann")
    assert team.core.run_usual([team.usage(7, "ann")]) == 0
    assert team.use(7, "ann") == [("ann", 7)]
    team.end()
    assert team.core.run_usual([team.usage(7, "ann")]) == 0


def test_a_sandbox_sees_the_periods_of_seats_as_its_clock_moves() -> None:
    """Rule T4: everything that time causes then happens, in order."""
    core = SandboxCore(APRIL)
    core.run(c.CreateAccount(FAMILY.request("a"), TENANT, ACME, 0, ACME, e.AccountPolicy()))
    terms = individual(100, anchor=0)
    core.run(c.StartSeatPlan(FAMILY.request("s"), ACME, "agents", terms, ("ann",), 1))
    core.advance(70 * DAY_US)
    core.begin_batch()
    core.sweep()
    begun = [
        event.start
        for _, batch in core.batches
        for event in batch
        if isinstance(event, e.SeatPeriodBegun)
    ]
    started = core.state.accounts[ACME].seats
    assert started is not None
    first = started.plans["agents"].started_at
    assert begun == [first + 30 * DAY_US, first + 61 * DAY_US]
    assert digest(replay(core.journal())) == digest(core.state)


# -- the fee (rule S2) -----------------------------------------------------------------------------


def fee(team: Team, **fields: Any) -> Any:
    """3,000 a seat and month in money, in advance, billed to the account."""
    given: dict[str, Any] = {
        "product": "seats",
        "asset": USD,
        "unit_amount": 3_000,
        "billing": e.ChargeBilling.ADVANCE,
        "unit": e.PeriodUnit.MONTH,
        "every": 1,
        "anchor": APRIL,
        "zone": "UTC",
        "proration": e.Proration.BOTH,
        "prorate_changes": True,
        "cash_only": True,
        "payer": e.ChargePayer.ACCOUNT,
    }
    terms = e.ChargeTerms(**(given | fields))
    return team.ask(c.StartCharge(team.key(), ACME, "seat fee", terms, 0))


def charged(team: Team) -> list[tuple[int, int]]:
    """(day, amount) of every fee, days counted from 1 April."""
    return [
        ((event.effective_at - APRIL) // DAY_US + 1, event.amount)
        for _, batch in team.core.batches
        for event in batch
        if isinstance(event, e.FeeCharged) and event.amount
    ]


def with_fee(terms: e.SeatTerms) -> e.SeatTerms:
    return replace(terms, charge="seat fee")


@pytest.mark.parametrize("terms", [pooled, individual])
def test_fee_and_allowance_change_together(team: Team, terms: Any) -> None:
    """Rule S2: 10 seats on the 1st: 30,000. 5 more on the 16th: 5 x 3,000 x 15 / 30 = 7,500. On the
    21st 3 leave with the month: nothing; 2 are given back: 2 x 3,000 x 10 / 30 = 2,000 off. On the
    26th a seat comes back: 3,000 x 5 / 30 = 500. May: 11 x 3,000."""
    fee(team)
    team.start(with_fee(terms(300)), count=10)
    team.to(day(16))
    team.add(count=5)
    team.to(day(21))
    team.remove(count=3)
    team.remove(count=2, mode=PRORATED)
    team.to(day(26))
    team.add(count=4)  # of whom three had not left yet
    assert team.quantity() == 14
    team.remove(count=3)
    assert charged(team) == [(1, 30_000), (16, 7_500), (21, -2_000), (26, 500)]
    team.to(MAY)
    assert (team.quantity(), charged(team)[4:]) == (11, [(31, 33_000)])
    assert team.account.charges[0].quantity == 11


def test_a_forfeited_allowance_leaves_its_fee_until_the_period_ends(team: Team) -> None:
    """Rule S2: and who takes that seat's place is paid for already."""
    fee(team)
    team.start(with_fee(individual(300)), "ann", "bob")
    team.to(day(16))
    team.remove("ann", mode=UNUSED)
    team.add("cid")
    assert charged(team) == [(1, 6_000)]
    team.remove("cid", mode=UNUSED)
    team.to(MAY)
    assert charged(team) == [(1, 6_000), (31, 3_000)]


def test_a_plan_that_ends_ends_its_fee(team: Team) -> None:
    """Rule S2: with its period, or now with the share of the time that is left."""
    fee(team)
    team.start(with_fee(pooled(300)), count=2)
    team.to(day(16))
    team.end(mode=PRORATED)
    assert charged(team) == [(1, 6_000), (16, -3_000)]
    team.to(MAY)
    team.start(with_fee(pooled(300)), count=1)
    team.end(e.Timing.NEXT_PERIOD)
    team.to(MAY + 40 * DAY_US)
    assert charged(team)[2:] == [(31, 3_000)]


def test_a_fee_that_does_not_fit_is_refused(team: Team) -> None:
    """There is none; its periods are others; it is another plan's; its figures do not fit."""

    def start(plan: str = "agents") -> Any:
        terms = with_fee(pooled(1))
        return team.refused(c.StartSeatPlan(team.key(), ACME, plan, terms, (), 1))

    assert start() == ("CHARGE_UNKNOWN", "terms.charge", "seat fee")
    fee(team, anchor=APRIL + DAY_US)
    assert start()[:2] == ("SEATS_INVALID", "terms.charge")
    team.ask(c.EndCharge(team.key(), ACME, 1, e.Timing.NOW))
    fee(team, unit_amount=2**61)
    team.start(with_fee(pooled(1)), count=3)
    assert start("other")[:2] == ("SEATS_INVALID", "terms.charge")
    more = c.AddSeats(team.key(), ACME, "agents", (), 1)
    assert team.refused(more)[:2] == ("OVERFLOW", "seats")
    by_hand = c.ChangeQuantity(team.key(), ACME, 2, 5, e.Timing.NOW)
    assert team.refused(by_hand) == ("TERMS_FIXED", "quantity", "agents")
    team.ask(c.EndCharge(team.key(), ACME, 2, e.Timing.NOW))
    team.add(count=1)


def test_a_plan_keeps_the_fee_that_it_started_with(team: Team) -> None:
    """Rule S2: no other charge takes its name while the plan goes on, nor has its fee other periods
    than the seats: a month's removals would be charged for longer."""
    fee(team)
    team.start(with_fee(pooled(1)), count=4)
    terms = team.account.charges[0].terms
    longer = c.ChangeTerms(team.key(), ACME, 1, replace(terms, every=2))
    assert team.refused(longer) == ("TERMS_FIXED", "terms.every", "agents")
    elsewhere = c.ChangeTerms(team.key(), ACME, 1, replace(terms, anchor=day(2)))
    assert team.refused(elsewhere) == ("TERMS_FIXED", "terms.anchor", "agents")
    team.ask(c.ChangeTerms(team.key(), ACME, 1, replace(terms, unit_amount=5)))
    team.ask(c.EndCharge(team.key(), ACME, 1, e.Timing.NOW))
    dear = c.StartCharge(team.key(), ACME, "seat fee", replace(terms, unit_amount=2**62), 1)
    assert team.refused(dear) == ("CHARGE_NAME_TAKEN", "name", "seat fee")
    team.remove(count=1)
    team.end()
    team.ask(dear)


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
