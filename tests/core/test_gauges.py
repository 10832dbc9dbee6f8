"""Gauges: a scope is charged its latest report, once, when it is over (T1, T2, R1, I1, D3)."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from core_world import (
    CREDITS,
    FAMILY,
    START_US,
    TENANT,
    USD,
    Core,
    SandboxCore,
    publish,
    replay,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from minimum_world import minimum_of, publish_minimums
from msgspec.structs import replace
from replaying import catalog_at, replayed, totals
from seat_world import pooled
from test_backtest import assert_is_the_ledger
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.books import BooksUnbalanced
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, GAUGE_REPORTS_MAX, GAUGES_AN_ACCOUNT_MAX, HOUR_US
from ledger.core.metering.gauging import charge_key
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.pricing.repricing import Job
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules
from rating.functions import SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD

ACME, BETA = 1, 2
MONTH_US = 31 * DAY_US
GRACE_US = DAY_US
KEYS = FAMILY.level


class World:
    """Two accounts with overage of their own, and reports of gauges, one credit a unit of chat."""

    def __init__(self, core: Core | None = None, **policy: Any) -> None:
        self.core = core or Core()
        self.ids = count(1)
        for number in (ACME, BETA):
            kept = e.AccountPolicy(overage=e.Overage.SELF, **policy)
            self.core.run(
                c.CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, 0, number, kept)
            )

    def command(self, *values: int, **options: Any) -> c.ReportGauge:
        names = options.get("names", ("tokens",))
        event_id = options.get("id") or f"r{next(self.ids)}"
        named = options.get("named", "disk")
        return c.ReportGauge(
            FAMILY.usage("s", event_id),
            options.get("account", ACME),
            self.core.shape(options.get("product", "chat"), *names),
            values,
            options.get("at", 0),
            c.Names("s", event_id),
            gauge=KEYS(named.encode()),
            scope=options.get("scope", SCOPE_MONTH),
        )

    def report(self, *values: int, **options: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The level before and after."""
        self.core.advance(1)
        outcome = self.core.run(self.command(*values, **options))
        assert isinstance(outcome, e.GaugeReported), outcome
        return outcome.before, outcome.after

    def refused(self, *values: int, **options: Any) -> str:
        before = digest(self.core.state)
        outcome = self.core.run(self.command(*values, **options))
        assert isinstance(outcome, Refusal), outcome
        assert digest(self.core.state) == before
        return outcome.reason

    def original(self, event_id: str, charged: bool = False) -> c.Original:
        key = FAMILY.usage("s", event_id)
        known = self.core.state.keys.find(charge_key(key) if charged else key)
        assert known is not None
        return self.core.original(known)

    def back(self, event_id: str, charged: bool = False, **more: Any) -> Any:
        self.core.advance(1)
        key = FAMILY.request(more.pop("request", f"back {next(self.ids)}"))
        original = self.original(event_id, charged)
        return self.core.run(c.ReverseUsage(key, ACME, original, **more))

    def to(self, at: int) -> list[e.GaugeCharged]:
        """Go on to a time, and what the sweep charges there."""
        self.core.advance(at - self.core.now)
        return self.sweep()

    def sweep(self) -> list[e.GaugeCharged]:
        return [each for each in self.core.sweep() if isinstance(each, e.GaugeCharged)]

    def close(self) -> None:
        outcome = self.core.run(c.CloseAccount(FAMILY.request(f"c{next(self.ids)}"), ACME))
        assert isinstance(outcome, e.AccountClosed), outcome

    def check(self, *, backtest: bool = True) -> None:
        """The journal says all of it: a replay is the same state, and breaks no rule; families come
        back as they were; the unchanged card makes the journal's own entries."""
        state = self.core.state
        state.books.check()
        again = replay(self.core.journal())
        assert digest(again) == digest(state)
        assert judged(self.core) == []
        for root in (ACME, BETA):
            packed = pack_family(state, root, state.settled_before)
            assert packed == pack_family(again, root, again.settled_before)
            due = {each.number: each.gauges and each.gauges.due for each in state.accounts.values()}
            drop_family(state, root)
            assert unpack_family(state, packed) == root
            assert pack_family(state, root, state.settled_before) == packed
            assert due == {
                each.number: each.gauges and each.gauges.due for each in state.accounts.values()
            }
            gauged = [each for each in state.family_accounts(root) if each.gauges is not None]
            assert state.families[root].gauged == len(gauged)
        assert digest(again) == digest(state)
        if backtest:
            assert totals(replayed(self.core).state) == totals(state)


@pytest.fixture
def world() -> World:
    return World()


def amounts(charged: list[e.GaugeCharged]) -> list[int]:
    return [sum([piece.amount for piece in each.slices]) for each in charged]


def test_a_month_is_charged_its_latest_report_once_when_its_grace_is_over(world: World) -> None:
    """Neither its largest nor its last recorded: 7 was shown last, on the 20th."""
    assert world.report(40) == ((), (40,))
    world.core.advance(19 * DAY_US)
    assert world.report(7) == ((40,), (7,))
    assert world.report(90, at=START_US + 5 * DAY_US) == ((7,), (7,))  # late, and of before
    assert world.to(START_US + MONTH_US + GRACE_US - 1) == []
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert amounts([charged]) == [7]
    assert charged.effective_at == START_US + MONTH_US - 1
    assert charged.period == START_US
    assert (charged.start, charged.end) == (START_US, START_US + MONTH_US)
    assert world.to(START_US + 70 * DAY_US) == []
    assert world.core.state.accounts[ACME].gauges is None
    world.check()


def test_of_one_time_the_later_recorded_counts(world: World) -> None:
    at = START_US + DAY_US
    world.core.advance(2 * DAY_US)
    assert world.report(4, at=at) == ((), (4,))
    assert world.report(3, at=at) == ((4,), (3,))
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [3]
    world.check()


@pytest.mark.parametrize(
    ("scope", "ends"),
    [(SCOPE_DAY, DAY_US), (SCOPE_MONTH, MONTH_US), (SCOPE_PERIOD, 14 * DAY_US)],
)
def test_a_scope_is_the_accounts_day_month_or_billing_period(scope: int, ends: int) -> None:
    """Billing periods run from the 15th, so that the first ends there."""
    world = World(billing_anchor=START_US - 17 * DAY_US)
    world.report(5, scope=scope)
    assert world.to(START_US + ends + GRACE_US - 1) == []
    [charged] = world.to(START_US + ends + GRACE_US)
    assert (charged.end, amounts([charged])) == (START_US + ends, [5])
    world.check()


def test_days_are_those_of_the_accounts_zone() -> None:
    """Midnight in Berlin is 23:00 UTC."""
    world = World(zone="Europe/Berlin")
    world.report(5, scope=SCOPE_DAY)
    world.report(6, scope=SCOPE_DAY, at=START_US + 23 * HOUR_US - 1 - DAY_US)
    world.core.advance(23 * HOUR_US)
    world.report(8, scope=SCOPE_DAY)
    charged = world.to(START_US + 3 * DAY_US)
    ends = START_US + 23 * HOUR_US
    assert [(each.end, sum(each.quantities)) for each in charged] == [
        (ends, 5),
        (ends + DAY_US, 8),
    ]
    world.check()


def test_a_scope_without_a_report_is_charged_nothing(world: World) -> None:
    """Nothing is carried over into February."""
    world.report(5)
    assert amounts(world.to(START_US + 100 * DAY_US)) == [5]
    world.check()


def test_a_level_of_zero_is_charged_zero_and_settled(world: World) -> None:
    """A gauge may show nothing, which no usage may."""
    world.report(5)
    assert world.report(0) == ((5,), (0,))
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert (charged.quantities, charged.charges, charged.slices) == ((0,), (0,), ())
    world.check()


def test_accounts_and_gauges_have_levels_of_their_own(world: World) -> None:
    world.report(5)
    world.report(6, account=BETA)
    world.report(7, named="memory", product="half")
    charged = world.to(START_US + MONTH_US + GRACE_US)
    assert sorted(amounts(charged)) == [4, 5, 6], "3.5 is rounded half to even"
    world.check()


def test_inner_scopes_are_charged_first(world: World) -> None:
    """On the last day of the month both end together: the day draws first, whichever came first."""
    world.core.advance(30 * DAY_US + HOUR_US)
    world.report(9, scope=SCOPE_MONTH)
    world.report(5, scope=SCOPE_DAY, named="cpu")
    charged = world.to(START_US + MONTH_US + GRACE_US)
    assert amounts(charged) == [5, 9]
    world.check()


def test_late_reports_count_until_the_grace_is_over_and_are_refused_then(world: World) -> None:
    """Rule T2: what was charged stays; the refusal says what to do."""
    world.report(5)
    world.core.advance(MONTH_US + 12 * HOUR_US)
    last = START_US + MONTH_US - 1
    assert world.report(8, at=last) == ((5,), (8,))
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [8]
    assert world.refused(9, at=last) == Reason.GAUGE_CHARGED
    assert world.refused(9, at=last, named="never reported") == Reason.GAUGE_CHARGED
    world.check()


def test_a_longer_grace_waits_longer_and_never_opens_what_was_closed(world: World) -> None:
    world.report(5, scope=SCOPE_DAY)
    policy = e.AccountPolicy(overage=e.Overage.SELF, period_grace=3 * DAY_US)
    world.core.run(c.UpdatePolicy(FAMILY.request("grace"), ACME, policy))
    assert world.to(START_US + 3 * DAY_US) == []
    assert amounts(world.to(START_US + 4 * DAY_US)) == [5]
    world.check()


def test_what_touches_the_account_charges_it_first(world: World) -> None:
    """No sweep has run: usage of March finds January charged before it."""
    world.report(5)
    world.core.advance(70 * DAY_US)
    shape = world.core.shape("chat", "tokens")
    world.core.run(c.RecordUsage(FAMILY.usage("s", "u"), ACME, shape, (1,), 0, c.NO_NAMES))
    kinds = [type(each) for each in world.core.batches[-1][1] if isinstance(each, e.UsageRecorded)]
    assert kinds == [e.GaugeCharged, e.UsageRecorded]
    assert world.sweep() == []
    world.check()


def test_it_is_priced_by_the_card_in_force_at_the_scopes_last_instant(world: World) -> None:
    """Neither by that of the report nor by that of the charge."""
    world.report(5)
    world.core.advance(10 * DAY_US)
    publish(world.core, {"chat.tokens": "3"})
    world.core.advance(21 * DAY_US + HOUR_US)
    publish(world.core, {"chat.tokens": "7"})
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [15]
    world.check(backtest=False)


def test_it_draws_grants_in_force_then_as_usage_does(world: World) -> None:
    """A grant that expires with the month pays, and is forfeited after it; one of February does
    not pay."""
    end = START_US + MONTH_US
    issue = c.IssueGrant(
        FAMILY.request("g"), ACME, e.GrantKind.PROMOTIONAL, CREDITS, 3, 0, 0, 0, 0, 0, (), b""
    )
    world.core.run(replace(issue, expires_at=end))
    world.report(5)
    world.core.advance(MONTH_US)
    later = replace(issue, key=FAMILY.request("h"), amount=50)
    world.core.run(replace(later, effective_at=world.core.now))
    [charged] = world.to(end + GRACE_US)
    assert [(piece.pot, piece.amount) for piece in charged.slices] == [
        (e.Pot.GRANT, 3),
        (e.Pot.OVERAGE, 2),
    ]
    world.check(backtest=False)


def test_several_quantities_are_one_gauge_and_one_charge(world: World) -> None:
    world.report(10, 4, product="gpt", names=("input", "output"))
    world.report(6, 5, product="gpt", names=("input", "output"))
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert (charged.quantities, charged.charges) == ((6, 5), (12, 15))
    world.check()


def test_what_the_provider_takes_stands_in_the_charge() -> None:
    world = World(rate_card="resold")
    world.report(5)
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert charged.cost is not None and charged.cost.total == 15
    world.check()


def test_costs_run_on_over_the_month_of_the_scope() -> None:
    """Rule R1: the supplier takes 1/3 a unit of half, rounded over a month. 1 was used in January:
    with the one that is shown at its end, 2/3 are 1. Alone, as in February, it would be 0."""
    world = World(rate_card="resold")
    shape = world.core.shape("half", "tokens")
    usage = c.RecordUsage(FAMILY.usage("s", "u"), ACME, shape, (1,), 0, c.NO_NAMES)
    assert isinstance(world.core.run(usage), e.UsageCosted)
    world.report(1, product="half")
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert charged.cost is not None and charged.cost.total == 1
    world.check()


def test_a_report_without_a_price_waits_once_its_scope_is_over(world: World) -> None:
    """Rule B8: and is rated when the price comes."""
    world.report(5, product="unheard of")
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert (charged.charges, charged.suspense) == ((-1,), e.Suspense.UNPRICED)
    publish(world.core, {"unheard of.tokens": "2"}, since=START_US)
    world.core.state.try_suspended(ACME)
    rated = [each for each in world.core.sweep() if isinstance(each, e.SuspenseRated)]
    assert [each.charges for each in rated] == [(10,)]
    world.check(backtest=False)


def test_what_could_not_be_charged_is_refused_at_once(world: World) -> None:
    """Rules N1, R8: and what cannot be charged any more, for the card has changed, waits."""
    assert world.refused(8, product="huge") == Reason.OVERFLOW
    assert world.refused(1, product="case") == Reason.OUTCOME_EXPECTED
    names = ("cached", "input")
    assert world.refused(9, 2, product="gpt", names=names) == Reason.SUBSET_EXCEEDS_PARENT
    world.report(9)
    world.core.advance(DAY_US)
    publish(world.core, {"chat.tokens": str(2**61)})
    [charged] = world.to(START_US + MONTH_US + GRACE_US)
    assert (charged.charges, charged.suspense) == ((-1,), e.Suspense.UNPRICED)
    world.check(backtest=False)


def test_the_same_report_again_is_the_first_outcome(world: World) -> None:
    """Rule I1: another value, time or gauge conflicts; so does usage of that id, and the other way
    round."""
    world.report(10)
    world.report(12, id="twice")
    world.report(20)

    def again(**options: Any) -> str:
        command = world.command(options.pop("value", 12), id="twice", **options)
        known = world.core.run(command)
        assert isinstance(known, Known)
        return world.core.difference(command, known)

    assert again() == ""
    assert again(value=2) == "quantities"
    assert again(named="memory") == "properties"
    assert again(account=BETA) == "account"
    assert again(at=START_US) == "effective_at_us"
    assert again(product="image") == "product"
    shape = world.core.shape("chat", "tokens")
    plain = c.RecordUsage(FAMILY.usage("s", "twice"), ACME, shape, (12,), 0, c.NO_NAMES)
    known = world.core.run(plain)
    assert isinstance(known, Known)
    assert world.core.difference(plain, known) == "request"
    world.check()


def test_reports_too_old_are_quarantined_and_those_of_the_future_refused(world: World) -> None:
    world.core.advance(60 * DAY_US)
    command = world.command(5, at=START_US, id="old")
    outcome = world.core.run(command)
    assert isinstance(outcome, e.UsageQuarantined)
    assert outcome.quantities == (5,)
    known = world.core.run(command)
    assert isinstance(known, Known)
    assert world.core.difference(command, known) == ""
    assert world.refused(5, at=world.core.now + HOUR_US) == Reason.IN_FUTURE
    assert world.refused(-1) == Reason.QUANTITY_INVALID
    world.check()


# -- taken back ------------------------------------------------------------------------------------


def test_a_report_that_is_taken_back_leaves_the_one_before(world: World) -> None:
    """Rule D3, in any order: also one that did not count."""
    for value in (4, 10, 7):
        world.report(value, id=f"v{value}")
    outcome = world.back("v7")
    assert isinstance(outcome, e.GaugeReversed)
    assert (outcome.before, outcome.after) == ((7,), (10,))
    outcome = world.back("v4")
    assert (outcome.before, outcome.after) == ((10,), (10,))
    assert amounts(world.to(START_US + MONTH_US + GRACE_US)) == [10]
    world.check()


def test_without_a_report_left_nothing_is_charged(world: World) -> None:
    world.report(4, id="a")
    outcome = world.back("a")
    assert (outcome.before, outcome.after) == ((4,), ())
    assert world.to(START_US + 40 * DAY_US) == []
    assert world.core.state.accounts[ACME].gauges is None
    world.check()


def test_taking_back_again_is_the_first_outcome_and_once_more_is_refused(world: World) -> None:
    world.report(4, id="a")
    world.report(5, id="b")
    assert isinstance(world.back("b", request="x"), e.GaugeReversed)
    known = world.back("b", request="x")
    assert isinstance(known, Known)
    original = world.original("b")
    command = c.ReverseUsage(FAMILY.request("x"), ACME, original)
    assert world.core.difference(command, known) == ""
    for changes, field in (
        ({"note": b"n"}, "reason"),
        ({"quantities": (1,)}, "quantities"),
        ({"as_charged": 1}, "as_charged"),
        ({"original": world.original("a")}, "original"),
        ({"account": BETA}, "account"),
        ({"refund_cost": True}, "refund_cost"),
    ):
        assert world.core.difference(replace(command, **changes), known) == field
    assert world.back("b").reason == Reason.NOT_REVERSIBLE
    world.check()


def test_a_part_of_a_report_is_not_taken_back_nor_is_it_amended(world: World) -> None:
    world.report(4, id="a")
    for more in ({"quantities": (1,)}, {"as_charged": 1}, {"refund_cost": True}):
        assert world.back("a", **more).reason == Reason.NOT_REVERSIBLE
    shape = world.core.shape("chat", "tokens")
    usage = c.RecordUsage(FAMILY.usage("s", "n"), ACME, shape, (1,), world.core.now, c.NO_NAMES)
    amend = c.AmendUsage(FAMILY.request("m"), ACME, world.original("a"), usage, b"body")
    outcome = world.core.run(amend)
    assert isinstance(outcome, Refusal) and outcome.reason == Reason.NOT_REVERSIBLE
    world.check()


def test_only_so_many_reports_are_kept_to_be_taken_back(world: World) -> None:
    """The level is exact all the same: the last that is kept is not taken back where older ones are
    not kept."""
    for number in range(GAUGE_REPORTS_MAX + 2):
        world.report(number, id=f"v{number}")
    assert world.back("v0").reason == Reason.NOT_REVERSIBLE
    assert world.back("v1").reason == Reason.NOT_REVERSIBLE
    for number in range(GAUGE_REPORTS_MAX + 1, 2, -1):
        assert world.back(f"v{number}").after == (number - 1,)
    refused = world.back("v2")
    assert refused.reason == Reason.NOT_REVERSIBLE and "kept" in refused.message
    world.report(9, id="new")
    assert world.back("v2").after == (9,)
    world.check()


def test_the_charge_is_corrected_as_usage_by_the_id_of_its_report(world: World) -> None:
    """Its key follows from that of the report that it charges; the report counts no more."""
    world.report(4, id="a")
    world.report(10, id="b")
    world.to(START_US + MONTH_US + GRACE_US)
    assert world.back("b").reason == Reason.NOT_REVERSIBLE
    assert world.core.state.keys.find(charge_key(FAMILY.usage("s", "a"))) is None
    outcome = world.back("b", charged=True, quantities=(4,))
    assert isinstance(outcome, e.UsageReversed)
    assert sum(piece.amount for piece in outcome.given_back) == 4
    world.check()


def test_a_charge_is_rated_again_by_a_job(world: World) -> None:
    """Rule R7: as any usage."""
    world.report(6, id="a")
    world.to(START_US + MONTH_US + GRACE_US)
    world.core.reprice("chat", "tokens", "3")
    job = Job("contract", "default", world.core.versions)
    shape = world.core.shape("chat", "tokens")
    take, put = job.commands_of(FAMILY, world.original("a", charged=True), shape, (6,))
    assert isinstance(world.core.run(take), e.UsageReversed)
    again = world.core.run(put)
    assert isinstance(again, e.UsageRepriced)
    assert sum(piece.amount for piece in again.slices) == 18
    world.check(backtest=False)


# -- accounts that close, freeze, and their limits -------------------------------------------------


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
    world.core.state.rebuild_timers()
    assert amounts(world.to(START_US + 2 * DAY_US)) == [5]
    world.core.state.rebuild_timers()
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


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=80, deadline=None)
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


# -- simulations, and what verify finds ------------------------------------------------------------


def test_the_unchanged_card_makes_the_journals_own_entries(world: World) -> None:
    world.report(40, id="a")
    world.report(7, id="b")
    world.back("b")
    world.report(3, scope=SCOPE_DAY, named="cpu")
    world.to(START_US + MONTH_US + GRACE_US)
    world.back("a", charged=True, quantities=(10,))
    assert_is_the_ledger(replayed(world.core, faithfully=True), world.core)


def test_other_prices_are_tried_on_what_was_reported(world: World) -> None:
    """What gauges showed is a fact; a candidate prices it."""
    world.report(40)
    world.to(START_US + MONTH_US + GRACE_US)
    replay_ = replayed(world.core, catalog=catalog_at(Fraction(2)))
    found = replay_.close(10)
    assert found.usage_events == 1
    [line] = found.burn
    assert (line.old, line.new) == (40, 80)


def _changed(event: e.Event, kind: type, **changes: Any) -> e.Event:
    return replace(event, **changes) if isinstance(event, kind) else event


def _findings(core: Core) -> list[str]:
    """What the rules say, up to an entry that cannot be applied."""
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    with contextlib.suppress(KeyError, IndexError, AssertionError, BooksUnbalanced):
        for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
            state.begin_batch(batch_seq, recorded_at)
            for event in events:
                rules.before(state, event)
                evolve(state, event)
    return [f"{each.what}: {each.expected}" for each in findings.found]


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        (e.GaugeReported, {"before": (9,)}, "level before a report"),
        (e.GaugeReported, {"after": (9,)}, "level after a report"),
        (e.GaugeReported, {"end": START_US}, "scope of a report"),
        (e.GaugeReported, {"end": START_US + 90 * DAY_US}, "length of a scope"),
        (e.GaugeReported, {"effective_at": START_US - 40 * DAY_US}, "effective time"),
        (e.GaugeReported, {"quantities": (-1,)}, "what a gauge shows"),
        (e.GaugeReversed, {"report": b"x" * 16}, "report that is taken back"),
        (e.GaugeReversed, {"before": (9,)}, "level before it is taken back"),
        (e.GaugeReversed, {"after": (9,)}, "level once it is taken back"),
        (e.GaugeReversed, {"gauge": 1}, "gauge of a report"),
        (e.GaugeCharged, {"gauge": 1}, "gauge that is charged"),
        (e.GaugeCharged, {"report": 1}, "report that is charged"),
        (e.GaugeCharged, {"key": b"x" * 16}, "key of the charge"),
        (e.GaugeCharged, {"quantities": (9,)}, "quantities of a gauge"),
        (e.GaugeCharged, {"effective_at": START_US}, "effective time"),
        (e.GaugeCharged, {"period": START_US + MONTH_US}, "month"),
        (e.GaugeCharged, {"charges": (9,)}, "sum of slices"),
    ],
)
def test_verify_holds_gauges_to_their_reports(
    world: World, kind: type, changes: dict[str, Any], found: str
) -> None:
    """A journal that says otherwise than its reports is found out."""
    world.report(5, id="a")
    world.report(6, id="b")
    world.back("b")
    world.to(START_US + MONTH_US + GRACE_US)
    assert judged(world.core) == []
    for place, (at, events) in enumerate(world.core.batches):
        changed = [_changed(event, kind, **changes) for event in events]
        world.core.batches[place] = (at, changed)
    assert any(found in each for each in _findings(world.core))


def _told(world: World, *events: e.Event) -> list[str]:
    """What the rules say where these entries come next."""
    world.core.advance(1)
    world.core.batches[-1][1].extend(events)
    found = _findings(world.core)
    world.core.batches[-1][1].clear()
    return found


def test_verify_finds_reports_that_come_too_late_or_are_not_kept(world: World) -> None:
    """Of a scope that is over, or was charged as its account closed; one gauge too many."""
    for number in range(GAUGE_REPORTS_MAX + 1):
        world.report(number, id=f"v{number}")
    world.core.advance(DAY_US)
    first = world.core.batches[1][1]
    plan, reported = first
    assert isinstance(reported, e.GaugeReported)
    again = replace(reported, key=b"n" * 16, plan=0, before=(GAUGE_REPORTS_MAX,))
    level = (GAUGE_REPORTS_MAX,)
    assert _told(world, plan, replace(again, after=level)) == []
    other = replace(plan, product="image")
    assert any("is usage of" in each for each in _told(world, other, replace(again, after=level)))
    late = replace(again, start=START_US - DAY_US, end=START_US, effective_at=START_US - 1)
    late = replace(late, before=(), after=late.quantities)
    assert any("one whose grace has not ended" in each for each in _told(world, plan, late))
    for number in range(GAUGE_REPORTS_MAX, 1, -1):
        assert isinstance(world.back(f"v{number}"), e.GaugeReversed)
    last = world.original("v1")
    assert isinstance(last.event, e.GaugeReported)
    back = e.GaugeReversed(
        b"b" * 16, ACME, last.locator, last.entry_seq, last.event.key, last.event.gauge,
        last.event.start, last.event.end, (1,), (),
    )  # fmt: skip
    [found] = _told(world, back)
    assert "not the last that is kept" in found
    found = _told(world, replace(back, original=last.locator + 1))[-1]
    assert f"report that is taken back: {last.locator}" in found
    world.check()


def test_verify_finds_what_is_charged_out_of_turn(world: World) -> None:
    """The inner scope comes first."""
    world.core.advance(30 * DAY_US + HOUR_US)
    world.report(9)
    world.report(5, scope=SCOPE_DAY, named="cpu")
    world.to(START_US + MONTH_US + GRACE_US)
    plan, day, month = [
        each
        for each in world.core.batches[-1][1]
        if isinstance(each, e.PlanDeclared | e.GaugeCharged)
    ]
    at = world.core.batches[-1][0]
    rest = [each for each in world.core.batches[-1][1] if isinstance(each, e.BookOpened)]
    world.core.batches[-1] = (at, [*rest, plan, month, day])
    index = len(rest)
    turned = [replace(each, plan=index) for each in (month, day)]  # type: ignore[type-var]
    world.core.batches[-1] = (at, [*rest, plan, *turned])
    assert any("charged first" in each for each in _findings(world.core))


def test_verify_finds_a_report_of_a_scope_that_was_charged_at_a_closing(world: World) -> None:
    world.report(5)
    world.core.advance(10 * DAY_US)
    world.close()
    world.to(world.core.now + GRACE_US)
    world.core.run(c.ReopenAccount(FAMILY.request("o"), ACME))
    plan, reported = world.core.batches[1][1]
    assert isinstance(reported, e.GaugeReported)
    again = replace(reported, key=b"n" * 16, plan=0, effective_at=world.core.now)
    assert any("one that is not charged" in each for each in _told(world, plan, again))


def test_verify_finds_a_charge_before_its_time(world: World) -> None:
    world.report(5)
    world.to(START_US + MONTH_US + GRACE_US)
    at, events = world.core.batches.pop()
    world.core.batches.append((at - 2 * DAY_US, events))
    found = _findings(world.core)
    assert any("scope of a gauge" in what for what in found), found
