"""Allowances of seats of their own, and who pays what they do not (rules S1 and S3).

April has 30 days; a plan begins on the 1st unless a test says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, TENANT
from seat_world import (
    ACME,
    KEEP,
    MAY,
    PRORATED,
    UNUSED,
    Team,
    allowance,
    day,
    individual,
    pooled,
)

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.assessing import available_to
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Known
from ledger.core.shapes import Use

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


def test_a_name_that_stays_keeps_no_place_free_that_it_left_before(team: Team) -> None:
    """Rule S2: whose seat was given to who had left takes up its old place no more: who comes next
    to it does, and two seats never have more than two allowances."""
    team.start(individual(100), "ann", "bob")
    for turn in range(3):
        team.remove("ann", mode=UNUSED)
        team.reassign("bob", "ann")
        team.remove("ann")  # with the period
        name = f"new {turn}"
        team.add("ann", name)
        assert team.plan().tally.released == 200
        if not turn:
            team.use(100, name)
        team.remove(name, mode=UNUSED)
        team.reassign("ann", "bob")
        team.add("ann")
        assert (team.plan().tally.released, team.plan().tally.largest) == (200, 2)


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
    [(e.UnknownSeat.POOL, [("grant", 30)]), (e.UnknownSeat.UNASSIGNED, [("unassigned", 30)])],
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


def recur(team: Team, amount: int) -> None:
    weekly = allowance(amount, unit=e.PeriodUnit.WEEK)
    team.ask(c.StartRecurring(team.key(), ACME, weekly, b"", 0, 0))


def test_a_denial_says_when_the_seat_has_its_next_allowance(team: Team) -> None:
    """Rules S3, T1: what the account gets by then does not pay for it; a seat that leaves has none,
    and one that is suspended waits for no time."""
    recur(team, 500)
    team.start(individual(10, exhausted=e.ExhaustedSeat.DENY), "ann", "bob")
    limit = team.hold(11, "ann").limit
    assert (limit.kind, limit.left, limit.retry_at) == (e.LimitKind.SEAT, 10, MAY)
    held = team.hold(7, "ann")
    assert team.hold(4, "ann").limit.retry_at == held.expires_at
    team.ask(c.ReleaseHold(team.key(), ACME, held.hold))
    team.remove("bob")
    assert team.hold(11, "bob").limit.retry_at == 0
    team.suspend("ann")
    assert team.hold(1, "ann").limit.retry_at == 0


def test_a_denial_of_a_seat_that_overage_pays_for_says_when_either_begins_anew() -> None:
    """Periods of the seats are weeks, of overage months (rule D4)."""
    policy = e.AccountPolicy(overage=e.Overage.SELF, overage_cap=5, holds_overage=True)
    team = Team(policy)
    terms = individual(10, exhausted=e.ExhaustedSeat.OVERAGE, unit=e.PeriodUnit.WEEK)
    team.start(terms, "ann")
    assert team.hold(16, "ann").limit.retry_at == day(8)
    team.end(e.Timing.NEXT_PERIOD)
    assert team.hold(16, "ann").limit.retry_at == MAY


@pytest.mark.parametrize("shared", [False, True])
def test_a_denial_says_when_a_pool_has_its_next_allowance(team: Team, shared: bool) -> None:
    """That of the account, and of those below where it is shared."""
    team.start(pooled(10, shared=shared), count=1)
    team.ask(c.CreateAccount(team.key(), TENANT, 2, ACME, ACME, e.AccountPolicy()))
    shape = team.core.shape("chat", "tokens")
    limits = [
        team.ask(c.AuthorizeHold(team.key(), account, shape, (11,), 0, c.NO_NAMES)).limit
        for account in (ACME, 2)
    ]
    assert [each.retry_at for each in limits] == [MAY, MAY if shared else 0]


def test_a_denial_of_a_seat_that_the_account_pays_for_says_the_first_of_both(team: Team) -> None:
    team.start(individual(10), "ann")
    assert team.hold(11, "ann").limit.retry_at == MAY
    recur(team, 1)
    limit = team.hold(12, "ann").limit
    assert (limit.kind, limit.retry_at) == (e.LimitKind.GRANTS, day(8))


# -- rounding given back ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "back", "gives"),
    [
        ([(3, "bob"), (1, "ann"), (1, "ann")], 1, "ann"),  # its own, though bob has drawn as well
        ([(3, "ann"), (1, "bob"), (1, "bob")], 1, "bob"),
        ([(3, "bob"), (1, "ann"), (1, "")], 1, "grant"),  # what pays for it after its own
        ([(1, "ann"), (1, "bob")], 0, "bob"),  # nobody else has drawn it (rule R1)
        ([(3, "bob"), (1, "zed"), (1, "zed")], 1, "grant"),
    ],
)
def test_what_rounding_had_put_on_others_goes_back_to_who_may_pay(
    used: list[tuple[int, str]], back: int, gives: str
) -> None:
    """Rules R1, D1: at a third a token a reversal gives back a unit that other usage has drawn:
    to the seat's own allowance, or the account; to that of another seat only where nobody else has
    drawn it."""
    team = Team()
    team.start(individual(100), "ann", "bob")
    team.grant(50)
    entries = []
    for tokens, seat in used:
        team.core.advance(1)
        command = team.usage(tokens, seat, product="third")
        team.ask(command)
        entries.append(command.key)
    known = team.core.state.keys.find(entries[back])
    made = team.ask(c.ReverseUsage(team.key(), ACME, team.core.original(known), ()))
    books = team.core.state.books.accounts
    [piece] = made.given_back
    grant = books[piece.book].grant
    assert (grant.seat.name if grant.seat is not None else "grant", piece.amount) == (gives, 1)
    team.finish()


def test_rounding_of_a_seat_that_overage_pays_for_stays_off_the_accounts_grants() -> None:
    """Rule S3: those do not pay for its usage, so they have nothing back."""
    team = Team(e.AccountPolicy(overage=e.Overage.SELF))
    team.start(individual(1, exhausted=e.ExhaustedSeat.OVERAGE), "ann")
    team.grant(50)
    entries = []
    for tokens, seat in ((3, "ann"), (1, "ann"), (1, "ann"), (3, "")):
        team.core.advance(1)
        command = team.usage(tokens, seat, product="third")
        team.ask(command)
        entries.append(command.key)
    known = team.core.state.keys.find(entries[1])
    made = team.ask(c.ReverseUsage(team.key(), ACME, team.core.original(known), ()))
    books = team.core.state.books.accounts
    assert [books[piece.book].grant is None or books[piece.book].grant.seat is not None
            for piece in made.given_back] == [True]  # fmt: skip
    team.finish()


def test_rounding_that_only_the_accounts_grants_bore_comes_back_to_them() -> None:
    """Rule R1: a reversal gives back F(Q) - F(Q - q), also where overage pays what the seat's
    allowance does not, and usage of no seat has drawn it: nobody else can have it back."""
    team = Team(e.AccountPolicy(overage=e.Overage.SELF))
    team.start(individual(100, exhausted=e.ExhaustedSeat.OVERAGE), "ann")
    team.grant(50)
    entries = []
    for seat in ("ann", ""):
        team.core.advance(1)
        command = team.usage(1, seat, product="third")
        team.ask(command)
        entries.append(command.key)
    known = team.core.state.keys.find(entries[0])
    made = team.ask(c.ReverseUsage(team.key(), ACME, team.core.original(known), ()))
    books = team.core.state.books.accounts
    assert [(books[each.book].grant.seat, each.amount) for each in made.given_back] == [(None, 1)]
    team.finish()
