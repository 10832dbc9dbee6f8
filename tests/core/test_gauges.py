"""Gauges: a scope is charged its latest report, once, when it is over (T1, T2, R1, I1, D3)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import (
    CREDITS,
    FAMILY,
    START_US,
    publish,
)
from gauge_world import ACME, BETA, GRACE_US, MONTH_US, World, amounts
from msgspec.structs import replace

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US, GAUGE_REPORTS_MAX, HOUR_US
from ledger.core.metering.gauging import charge_key
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.repricing import Job
from rating.functions import SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD


@pytest.fixture
def world() -> World:
    return World()


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
