"""Gauges of accounts that close, freeze, move or reach a limit: each scope once (T1, T2, T5)."""

from __future__ import annotations

import pytest
from core_world import (
    CREDITS,
    FAMILY,
    START_US,
    TENANT,
    USD,
    SandboxCore,
)
from gauge_world import ACME, GRACE_US, KEYS, MONTH_US, World, amounts
from hypothesis import given
from hypothesis import strategies as st
from minimum_world import minimum_of, publish_minimums
from msgspec.structs import replace
from seat_world import pooled

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, GAUGES_AN_ACCOUNT_MAX, HOUR_US
from ledger.core.live_timers import rebuild_timers
from ledger.core.outcomes import Reason, Refusal
from rating.functions import SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD


@pytest.fixture
def world() -> World:
    return World()


def test_the_scopes_of_a_closed_account_end_as_it_closes(world: World) -> None:
    """Rule T2: reports of before count until the grace of the closing ends; usage is of its last
    instant."""
    world.report(5)
    world.core.advance(10 * DAY_US)
    closed_at = world.core.now
    world.close()
    world.core.advance(HOUR_US)
    assert world.report(6, at=closed_at - 1) == ((5,), (6,))
    assert world.refused(7) == Reason.ACCOUNT_CLOSED
    assert world.to(closed_at + GRACE_US - 1) == []
    [charged] = world.to(closed_at + GRACE_US)
    assert (charged.effective_at, amounts([charged])) == (closed_at - 1, [6])
    world.check()


def test_an_account_that_is_opened_again_in_time_goes_on(world: World) -> None:
    world.report(5)
    world.core.advance(10 * DAY_US)
    world.close()
    world.core.advance(HOUR_US)
    world.core.run(c.ReopenAccount(FAMILY.request("o"), ACME))
    assert world.report(6) == ((5,), (6,))
    assert world.to(START_US + 12 * DAY_US) == []
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [6]
    world.check()


def test_what_was_reported_before_is_charged_at_its_scopes_end_once_it_is_open_again(
    world: World,
) -> None:
    """Nothing is reported after the account was opened again."""
    world.report(5)
    world.core.advance(10 * DAY_US)
    world.close()
    world.core.advance(HOUR_US)
    world.core.run(c.ReopenAccount(FAMILY.request("o"), ACME))
    assert world.to(START_US + 12 * DAY_US) == []
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [5]
    world.check()


def test_timers_that_are_worked_out_anew_are_the_same(world: World) -> None:
    """As after a replay."""
    world.report(5, scope=SCOPE_DAY)
    world.report(6, named="memory")
    rebuild_timers(world.core.state)
    assert amounts(world.to(START_US + 2 * DAY_US)) == [5]
    rebuild_timers(world.core.state)
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [6]
    world.check()


def test_a_report_of_a_seat_that_nobody_knows_is_rejected_where_the_plan_says_so(
    world: World,
) -> None:
    """Rule S3: as its usage would be."""
    terms = pooled(10, unknown=e.UnknownSeat.REJECT, anchor=START_US)
    plan = c.StartSeatPlan(FAMILY.request("seats"), ACME, "agents", terms, ("ann",))
    assert not isinstance(world.core.run(plan), Refusal)
    of_zed = replace(
        world.command(5, id="zed"),
        shape=world.core.shape("chat", "tokens", attributes=(("agent", "zed"),)),
    )
    refused = world.core.run(of_zed)
    assert isinstance(refused, Refusal) and refused.reason == Reason.SEAT_UNKNOWN
    of_ann = replace(
        of_zed, shape=world.core.shape("chat", "tokens", attributes=(("agent", "ann"),))
    )
    assert isinstance(world.core.run(of_ann), e.GaugeReported)
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert charged.slices[0].pot == e.Pot.GRANT
    world.check(backtest=False)


def test_a_scope_that_was_charged_as_its_account_closed_is_not_charged_again(world: World) -> None:
    """Opened again in the same month: what is reported of the gauge then is refused, until the
    next scope."""
    world.report(5)
    world.core.advance(10 * DAY_US)
    world.close()
    assert amounts(world.to(world.core.now + GRACE_US)) == [5]
    world.core.run(c.ReopenAccount(FAMILY.request("o"), ACME))
    assert world.refused(6) == Reason.GAUGE_CHARGED
    assert world.report(3, named="memory") == ((), (3,))
    assert world.refused(6) == Reason.GAUGE_CHARGED
    world.check()
    before = digest(world.core.state)
    gauges = world.core.state.accounts[ACME].gauges
    assert gauges is not None
    charged, gauges.charged = gauges.charged, {}
    assert digest(world.core.state) != before, "what was charged is a part of the state"
    gauges.charged = charged
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [3]
    assert world.report(6) == ((), (6,))
    gauges = world.core.state.accounts[ACME].gauges
    assert gauges is not None and not gauges.charged, "its own end has closed it by now"
    world.check()


def test_a_frozen_account_takes_no_reports_and_is_charged_all_the_same(world: World) -> None:
    world.report(5)
    world.core.run(c.FreezeAccount(FAMILY.request("f"), ACME))
    assert world.refused(6) == Reason.ACCOUNT_FROZEN
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [5]
    world.check()


def test_so_many_gauges_may_be_open_at_once(world: World) -> None:
    world.report(1, named="first")
    gauges = world.core.state.accounts[ACME].gauges
    assert gauges is not None
    scope, found = next(iter(gauges.scopes.items()))
    for number in range(GAUGES_AN_ACCOUNT_MAX - 1):
        found[number] = found[KEYS(b"first")]
    assert world.refused(1, named="one too many") == Reason.GAUGES_LIMIT
    assert world.report(2, named="first") == ((1,), (2,))
    assert gauges.of(scope, KEYS(b"first")) is not None


def test_many_gauges_are_charged_in_turns(world: World) -> None:
    """In the order in which they were first reported; a sweep takes as many as it may."""
    for number in range(150):
        world.report(number + 1, named=f"disk {number}")
    world.core.advance(40 * DAY_US)
    charged: list[e.GaugeCharged] = []
    for _ in range(9):
        charged += [each for each in world.core.sweep(64) if isinstance(each, e.GaugeCharged)]
        world.core.begin_batch()
    assert amounts(charged) == [number + 1 for number in range(150)]
    world.check()


def test_budgets_count_the_charge_in_the_window_of_its_time(world: World) -> None:
    """Rule H5: usage counts in the window of its effective time."""
    window = e.Window(e.WindowKind.CALENDAR, e.WindowUnit.MONTH, "UTC")
    terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, 100, CREDITS, window=window)
    outcome = world.core.run(c.SetBudget(FAMILY.request("b"), ACME, "monthly", terms))
    assert isinstance(outcome, e.BudgetSet), outcome
    world.report(5)
    world.core.advance(MONTH_US + GRACE_US)
    counted = [each for each in world.core.sweep() if isinstance(each, e.BudgetsCounted)]
    assert [(move.since, move.posted) for each in counted for move in each.moves] == [(START_US, 5)]
    world.check()


def test_a_sandbox_clock_makes_it_due(world: World) -> None:
    """Rule T4."""
    world = World(SandboxCore())
    world.report(5)
    world.core.advance(MONTH_US + GRACE_US)
    assert amounts(world.sweep()) == [5]
    world.check(backtest=False)


def _child(world: World, number: int, parent: int) -> None:
    policy = e.AccountPolicy(overage=e.Overage.SELF)
    made = c.CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, parent, parent, policy)
    assert isinstance(world.core.run(made), e.AccountCreated)


def test_what_gauges_are_charged_counts_for_the_minimum_of_their_period() -> None:
    """Rule R2: at the same instant, charged first, also of an account below; 100 are due, 7 and 5
    were shown. The late charge of one counts in the period of its time."""
    world = World(rate_card="plan")
    publish_minimums(world.core, "plan", (minimum_of("all", "100"),))
    _child(world, 3, ACME)
    world.report(7)
    world.report(5, account=3)
    world.core.advance(START_US + MONTH_US + GRACE_US - world.core.now)
    [acme] = [each for each in world.core.sweep() if _is_minimum_of(each, ACME)]
    assert isinstance(acme, e.MinimumCharged)
    assert (acme.charged, sum(piece.amount for piece in acme.slices)) == (12, 88)
    world.check(backtest=False)


def _is_minimum_of(event: e.Event, account: int) -> bool:
    return isinstance(event, e.MinimumCharged) and event.account == account


def test_what_touches_the_payer_of_a_minimum_charges_the_gauges_below_first() -> None:
    """No sweep has run, and the account that has the gauge is not touched itself."""
    world = World(rate_card="plan")
    publish_minimums(world.core, "plan", (minimum_of("all", "100"),))
    _child(world, 3, ACME)
    world.report(5, account=3)
    world.core.advance(40 * DAY_US)
    shape = world.core.shape("chat", "tokens")
    world.core.run(c.RecordUsage(FAMILY.usage("s", "u"), ACME, shape, (1,), 0, c.NO_NAMES))
    kinds = [type(each) for each in world.core.batches[-1][1]]
    assert kinds.index(e.GaugeCharged) < kinds.index(e.MinimumCharged)
    [charged] = [each for each in world.core.batches[-1][1] if _is_minimum_of(each, ACME)]
    assert isinstance(charged, e.MinimumCharged)
    assert charged.charged == 5
    world.check(backtest=False)


@pytest.mark.parametrize("shared", [True, False])
def test_gauges_below_are_charged_before_what_they_may_draw_of_is_forfeited(shared: bool) -> None:
    """Rules T3, D7: grants and commitments above that end with the scope; nothing but what is above
    is touched."""
    world = World()
    end = START_US + MONTH_US
    _child(world, 3, ACME)
    if shared:
        issue = c.IssueGrant(
            FAMILY.request("g"), ACME, e.GrantKind.PROMOTIONAL, CREDITS, 9, 0, 0, 0, 0, end, (), b""
        )
        assert isinstance(world.core.run(replace(issue, shared=True)), e.GrantIssued)
    else:
        terms = e.CommitmentTerms(e.GrantKind.POSTPAID, CREDITS, USD, 0, (), shared=True)
        segments = (e.Segment(0, end, 9, 90),)
        made = c.CreateCommitment(FAMILY.request("c"), ACME, terms, segments, (), b"")
        assert isinstance(world.core.run(made), e.CommitmentCreated)
    world.report(5, account=3)
    world.core.advance(40 * DAY_US)
    shape = world.core.shape("chat", "tokens")
    world.core.run(c.RecordUsage(FAMILY.usage("s", "u"), ACME, shape, (1,), 0, c.NO_NAMES))
    [charged] = [each for each in world.core.batches[-1][1] if isinstance(each, e.GaugeCharged)]
    assert [(piece.pot, piece.amount) for piece in charged.slices] == [(e.Pot.GRANT, 5)]
    world.check(backtest=False)


def test_totals_and_re_rates_are_those_of_its_own_month() -> None:
    """Rule R1: volume is 10 to 100 units a month, then 5 for all. 90 were used in January, 30 are
    shown at its end: 120 at 5 are 600, of which 900 were charged; February has a total of its
    own."""
    world = World(rate_card="plan")
    publish_minimums(world.core, "plan", ())
    issue = c.IssueGrant(
        FAMILY.request("g"), ACME, e.GrantKind.PROMOTIONAL, CREDITS, 5_000, 0, 0, 0, 0, 0, (), b""
    )
    world.core.run(issue)
    shape = world.core.shape("volume", "tokens")

    def use(event_id: str, tokens: int) -> None:
        key = FAMILY.usage("s", event_id)
        outcome = world.core.run(c.RecordUsage(key, ACME, shape, (tokens,), 0, c.NO_NAMES))
        assert isinstance(outcome, e.UsageRecorded)

    use("january", 90)
    world.report(30, product="volume")
    world.core.advance(MONTH_US)
    use("february", 10)
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert (charged.totals_before, charged.charges) == ((90,), (150,))
    rerates = [
        each
        for _, events in world.core.batches
        for each in events
        if isinstance(each, e.UsageRerated)
    ]
    assert [sum(piece.amount for piece in each.given_back) for each in rerates] == [450]
    assert [each.period for each in rerates] == [START_US]
    [grant] = world.core.state.grants.values()
    assert grant.book.available == 5_000 - 600 - 100
    world.check(backtest=False)


def test_a_move_changes_what_it_inherits_alone(world: World) -> None:
    """Rule D8: the level goes along, and is priced by the card that counts then."""
    _child(world, 3, ACME)
    policy = e.AccountPolicy("usd", overage=e.Overage.SELF)
    made = c.CreateAccount(FAMILY.request("a4"), TENANT, 4, ACME, ACME, policy)
    assert isinstance(world.core.run(made), e.AccountCreated)
    world.report(5, account=3)
    moved = world.core.run(c.MoveAccount(FAMILY.request("m"), 3, 4))
    assert isinstance(moved, e.AccountMoved), moved
    assert world.report(6, account=3) == ((5,), (6,))
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    book = world.core.state.books.accounts[charged.used_book]
    assert (book.asset, amounts([charged])) == (USD, [6])
    world.check(backtest=False)


# -- against a plain model -------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["report", "report", "report", "late", "back", "wait"]),
        st.sampled_from(["disk", "memory"]),
        st.sampled_from([SCOPE_DAY, SCOPE_MONTH]),
        st.integers(0, 9),
    ),
    max_size=24,
)


@given(STEPS)
def test_what_is_charged_is_the_last_report_of_each_scope(
    steps: list[tuple[str, str, int, int]],
) -> None:
    """Reports, late ones, and some taken back, over days: each scope with a report is charged once,
    what its last one by time said."""
    world = World()
    reports: dict[str, tuple[str, int, int, int, int]] = {}
    for number, (what, named, scope, value) in enumerate(steps):
        event_id = f"e{number}"
        name = f"{named} {scope}"
        if what == "wait":
            world.to(world.core.now + value * 5 * HOUR_US)
        elif what == "back":
            pending = [
                each
                for each, (_, of, at, _, _) in reports.items()
                if _end_of(of, at) + GRACE_US > world.core.now + 1
            ]
            if pending:
                chosen = pending[value % len(pending)]
                assert isinstance(world.back(chosen), e.GaugeReversed)
                del reports[chosen]
        else:
            world.core.advance(1)
            at = world.core.now - (value * HOUR_US if what == "late" else 0)
            if at < START_US:
                continue
            world.report(value, named=name, scope=scope, at=at, id=event_id)
            reports[event_id] = (name, scope, at, number, value)
    expected: dict[tuple[str, int], tuple[int, int, int]] = {}
    for name, scope, at, number, value in reports.values():
        place = (name, _end_of(scope, at))
        expected[place] = max(expected.get(place, (0, -1, 0)), (at, number, value))
    world.to(START_US + 90 * DAY_US)
    charged = [
        each
        for _, events in world.core.batches
        for each in events
        if isinstance(each, e.GaugeCharged)
    ]
    found = {(each.gauge, each.end): each.quantities[0] for each in charged}
    assert len(found) == len(charged)
    assert found == {
        (KEYS(name.encode()), end): value for (name, end), (_, _, value) in expected.items()
    }
    world.check()


def _end_of(scope: int, at: int) -> int:
    if scope == SCOPE_DAY:
        return at - at % DAY_US + DAY_US
    return START_US + (MONTH_US if at < START_US + MONTH_US else 59 * DAY_US)


HAPPENS = [
    "report",
    "report",
    "report",
    "report",
    "back",
    "wait",
    "wait",
    "sweep",
    "usage",
    "close",
    "reopen",
    "freeze",
    "unfreeze",
    "grace",
    "zone",
    "anchor",
]
LIVES = st.lists(
    st.tuples(
        st.sampled_from(HAPPENS),
        st.sampled_from([SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD]),
        st.integers(0, 9),
    ),
    max_size=30,
)
ZONES = ("", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


class Life:
    """A world in which anything may happen to the account; what is refused changes nothing."""

    def __init__(self) -> None:
        self.world = World()
        self.reported: list[str] = []
        self.policy = e.AccountPolicy(overage=e.Overage.SELF)

    def step(self, number: int, what: str, scope: int, value: int) -> None:
        world, key = self.world, FAMILY.request(f"life {number}")
        world.core.advance(1)
        now = world.core.now
        if what == "report":
            at = max(START_US, now - value * 3 * HOUR_US)
            command = world.command(value, scope=scope, named=f"g{scope}", at=at, id=f"e{number}")
            if isinstance(world.core.run(command), e.GaugeReported):
                self.reported.append(f"e{number}")
        elif what == "back" and self.reported:
            world.back(self.reported[value % len(self.reported)])
        elif what == "wait":
            world.core.advance(value * 20 * HOUR_US)
        elif what == "sweep":
            world.core.sweep()
        elif what == "close":
            world.core.run(c.CloseAccount(key, ACME))
        elif what == "reopen":
            world.core.run(c.ReopenAccount(key, ACME))
        elif what == "freeze":
            world.core.run(c.FreezeAccount(key, ACME))
        elif what == "unfreeze":
            world.core.run(c.UnfreezeAccount(key, ACME))
        elif what == "usage":
            shape = world.core.shape("chat", "tokens")
            usage = c.RecordUsage(FAMILY.usage("s", f"u{number}"), ACME, shape, (1,), 0, c.NO_NAMES)
            world.core.run(usage)
        else:
            self.change(key, what, value, now)

    def change(self, key: bytes, what: str, value: int, now: int) -> None:
        """Another grace, zone or anchor."""
        if what == "grace":
            policy = replace(self.policy, period_grace=value * 8 * HOUR_US)
        elif what == "zone":
            policy = replace(self.policy, zone=ZONES[value % len(ZONES)])
        else:
            policy = replace(self.policy, billing_anchor=now - value * DAY_US)
        outcome = self.world.core.run(c.UpdatePolicy(key, ACME, policy))
        if isinstance(outcome, e.AccountPolicyUpdated):
            self.policy = policy


@given(LIVES)
def test_whatever_happens_to_its_account_a_scope_is_charged_once_and_nothing_is_left(
    steps: list[tuple[str, int, int]],
) -> None:
    """Each scope of a gauge has one charge at most, of its last instant or that of a closing; in
    the end all that was reported and not taken back is charged."""
    life = Life()
    world = life.world
    for number, (what, scope, value) in enumerate(steps):
        life.step(number, what, scope, value)
    for _ in range(3):
        world.core.advance(50 * DAY_US)
        world.core.sweep()
    account = world.core.state.accounts[ACME]
    assert account.gauges is None or not account.gauges.scopes
    events = [each for _, entries in world.core.batches for each in entries]
    charged = [each for each in events if isinstance(each, e.GaugeCharged)]
    scopes = {(each.gauge, each.start, each.end) for each in charged}
    assert len(scopes) == len(charged)
    left: dict[tuple[int, int, int], set[bytes]] = {}
    for each in events:
        if isinstance(each, e.GaugeReported):
            left.setdefault((each.gauge, each.start, each.end), set()).add(each.key)
        elif isinstance(each, e.GaugeReversed):
            left[each.gauge, each.start, each.end].discard(each.report)
    assert {place for place, reports in left.items() if reports} == scopes
    world.check()
