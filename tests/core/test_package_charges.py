"""Fixed charges that a package carries: begun, changed, ended with it (rules P1, P3, P4, S1).

The subscription begins on 1 January, a month of 31 days; February has 28. The base fee of a package
is in money and billed, so that 31 a day is easy to see: 310 a month is 10 a day of January.
"""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, START_US, USD
from msgspec.structs import replace
from package_charge_world import (
    APRIL,
    ARREARS,
    MARCH,
    base,
    charge_of,
    day,
    fees,
    sold,
    standing,
    total,
)
from test_packages import ACME, FEBRUARY, World, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    PackagedUnit,
    Phase,
    canonical_bytes,
    decode_package,
    validate,
)
from ledger.core.packages.packaged_charges import (
    PackagedCharge,
    PackagedDiscount,
    PackagedPayer,
    PackagedStep,
    PhasedCharge,
)


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("free", plan(1_000))
    made.publish("small", sold(base(310)))
    made.publish("large", sold(base(620), base(31, "support")))
    yield made
    made.finish()


# -- begun, every period, ended (rule P1) ----------------------------------------------------------


def test_a_subscription_begins_with_its_fees(world: World) -> None:
    """Rules P1, T1: the whole period at once, each once, by the package's periods."""
    world.subscribe("large")
    assert fees(world) == [("base", 0, 620), ("support", 0, 31)]
    kinds = [type(each) for each in world.core.batches[-1][1]]
    assert kinds.index(e.ChargeStarted) < kinds.index(e.Subscribed) < kinds.index(e.FeeCharged)
    world.to(MARCH)
    assert fees(world)[2:] == [
        ("base", 31, 620), ("support", 31, 31), ("base", 59, 620), ("support", 59, 31),
    ]  # fmt: skip


def test_a_retried_subscription_is_known(world: World) -> None:
    """What its fees are recorded by is no key of anybody's."""
    command = c.Subscribe(world.key(), ACME, "small")
    world.ask(command)
    event, _ = world.core.recorded(world.ask(command))
    assert isinstance(event, e.Subscribed)
    assert len(fees(world)) == 1


def test_followers_are_charged_by_the_version_of_each_period(world: World) -> None:
    """Rule P1: grants, budgets and fees change at their next period; one charge goes on."""
    world.subscribe("small")
    world.publish("small", sold(base(280, quantity=2), base(7, "new")))
    world.to(day(20))
    assert standing(world) == [("base", 310, 1, 1)]
    world.to(FEBRUARY)
    assert standing(world) == [("base", 280, 2, 3), ("new", 7, 1, 1)]
    assert fees(world) == [("base", 0, 310), ("base", 31, 560), ("new", 31, 7)]
    world.publish("small", sold(base(280, quantity=2)))
    world.to(MARCH)
    assert fees(world)[3:] == [("base", 59, 560)]
    assert standing(world) == [("base", 280, 2, 3)]  # nothing is said twice


def test_pinned_ones_keep_theirs(world: World) -> None:
    first = world.publish("small", sold(base(100)))
    world.subscribe("small", follow=e.Follow.PIN, version=first)
    world.publish("small", sold(base(900)))
    world.to(FEBRUARY)
    assert fees(world) == [("base", 0, 100), ("base", 31, 100)]


def test_in_arrears_each_period_goes_by_the_version_that_it_began_with(world: World) -> None:
    """The fee of January comes with its end, by January's version."""
    world.publish("late", sold(base(310, billing=ARREARS)))
    world.subscribe("late")
    world.publish("late", sold(base(280, billing=ARREARS)))
    world.to(FEBRUARY)
    assert fees(world) == [("base", 30, 310)]
    world.to(MARCH)
    assert fees(world)[1:] == [("base", 58, 280)]


@pytest.mark.parametrize("timing", list(e.Timing))
def test_fees_end_with_the_subscription(world: World, timing: e.Timing) -> None:
    """Rule S1: now, 21 of 31 days go back; with the period, nothing does."""
    world.subscribe("small")
    world.to(day(11))
    world.cancel(timing)
    world.to(MARCH)
    assert standing(world) == []
    assert total(world) == (100 if timing == e.Timing.NOW else 310)
    assert charge_of(world, "base").unearned == ()


@pytest.mark.parametrize(
    ("fields", "charged"),
    [
        ({"whole_last": True}, 310),
        ({"billing": ARREARS}, 100),
        ({"billing": ARREARS, "whole_last": True}, 310),
    ],
)
def test_how_the_last_period_is_charged(world: World, fields: dict[str, Any], charged: int) -> None:
    world.publish("last", sold(base(310, **fields)))
    world.subscribe("last")
    world.to(day(11))
    world.cancel()
    world.to(MARCH)
    assert total(world) == charged


# -- another package (rules P3, S1) ----------------------------------------------------------------


def test_a_change_now_charges_the_difference_of_the_time_that_is_left(world: World) -> None:
    """100 of the small one, 21 of 31 days of 620 and of 31: as if it had been so from the first."""
    world.subscribe("small")
    world.to(day(11))
    world.change("large")
    assert standing(world) == [("base", 620, 1, 2), ("support", 31, 1, 1)]
    assert fees(world) == [("base", 0, 310), ("base", 10, 210), ("support", 10, 21)]
    world.to(day(21))
    world.change("small")
    assert fees(world)[3:] == [("support", 20, -11), ("base", 20, -110)]
    assert total(world) == 100 + 200 + 110 + 10
    world.to(FEBRUARY)
    assert fees(world)[5:] == [("base", 31, 310)]


def test_a_change_with_the_next_period_costs_nothing_now(world: World) -> None:
    world.subscribe("large")
    world.to(day(11))
    world.change("small", e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY)
    assert fees(world)[2:] == [("base", 31, 310)]


def test_quantity_and_amount_change_together(world: World) -> None:
    """3 x 310 for 10 days, 2 x 620 for 21: 300 + 840."""
    world.publish("three", sold(base(310, quantity=3)))
    world.publish("two", sold(base(620, quantity=2)))
    world.subscribe("three")
    world.to(day(11))
    world.change("two")
    assert (total(world), standing(world)) == (1_140, [("base", 620, 2, 2)])


def test_in_arrears_a_change_now_is_weighed(world: World) -> None:
    """10 days of 310 and 21 of 620, charged with the period."""
    world.publish("late", sold(base(310, billing=ARREARS)))
    world.publish("later", sold(base(620, billing=ARREARS)))
    world.subscribe("late")
    world.to(day(11))
    world.change("later")
    assert fees(world) == []
    world.to(FEBRUARY)
    assert fees(world) == [("base", 30, 520)]


def test_changes_that_are_not_prorated_come_with_the_next_period(world: World) -> None:
    world.publish("whole", sold(base(310, whole_changes=True)))
    world.publish("wholer", sold(base(620, whole_changes=True)))
    world.subscribe("whole")
    world.to(day(11))
    world.change("wholer")
    assert total(world) == 310
    world.change("whole")
    world.change("wholer")
    world.to(FEBRUARY)
    assert fees(world)[1:] == [("base", 31, 620)]


def test_what_counts_otherwise_ends_and_is_started_anew(world: World) -> None:
    """Another product: 21 of 31 days go back, and are charged for the other."""
    world.publish("other", sold(replace(base(620), product="other")))
    world.subscribe("small")
    world.to(day(11))
    world.change("other")
    assert fees(world) == [("base", 0, 310), ("base", 10, -210), ("base", 10, 420)]
    first, second = world.core.state.accounts[ACME].charges
    assert (first.terms.product, second.terms.product) == ("plan", "other")


def test_another_asset_comes_with_the_next_period_too(world: World) -> None:
    """The asset of a charge never changes: it ends with the period, another begins."""
    world.subscribe("small")
    world.publish("small", sold(replace(base(40), asset="credits", cash_only=False)))
    world.to(FEBRUARY)
    assert fees(world) == [("base", 0, 310), ("base", 31, 40)]
    assert world.available == 960  # of the 1,000 that February grants


def test_periods_of_another_length_come_with_the_next_period(world: World) -> None:
    """Rule T1: a year from there on, of one charge."""
    world.publish("yearly", sold(base(3_650), unit=PackagedUnit.YEAR))
    world.subscribe("small")
    world.change("yearly", e.Timing.NEXT_PERIOD)
    world.to(START_US + 395 * DAY_US)
    assert fees(world) == [("base", 0, 310), ("base", 31, 3_650)]
    assert len(world.core.state.accounts[ACME].charges) == 1


# -- discounts, trials, setups: once for an account ------------------------------------------------


def test_a_discount_goes_on_through_changes_and_a_new_subscription(world: World) -> None:
    """Half off two periods, whatever the account does between: nobody has it twice."""
    half = PackagedDiscount(1, 2, periods=2)
    world.publish("offer", sold(base(310, discount=half)))
    world.publish("offered", sold(base(620, discount=half)))
    world.subscribe("offer")
    assert total(world) == 155
    world.to(day(11))
    world.cancel()
    assert total(world) == 50
    world.subscribe("offer")  # 21 days at half, still in the first period
    assert total(world) == 155
    world.change("offered")
    assert total(world) == 50 + 210
    world.to(FEBRUARY)
    assert fees(world)[-1] == ("base", 31, 310)
    world.to(MARCH)
    assert fees(world)[-1] == ("base", 59, 620)
    world.cancel()
    world.subscribe("offer")
    assert fees(world)[-1] == ("base", 59, 310)


def test_a_trial_and_a_ramp_go_on_too(world: World) -> None:
    """Nothing, 100, then 200 from period 3 on; from another package in period 2 the same."""
    ramped = {"trial_periods": 1, "ramp": (PackagedStep(3, 200),)}
    world.publish("ramped", sold(base(100, **ramped)))
    world.subscribe("ramped")
    world.to(FEBRUARY)
    assert fees(world) == [("base", 31, 100)]
    world.cancel()
    world.subscribe("ramped")
    assert fees(world)[1:] == [("base", 31, -100), ("base", 31, 100)]
    world.to(MARCH)
    assert fees(world)[3:] == [("base", 59, 200)]


def test_a_setup_is_charged_once_for_an_account(world: World) -> None:
    """And is not given back; one that is earned over a length is earned by its end."""
    setup = base(500, "setup", once=True, earned_over_us=10 * DAY_US)
    world.publish("one", sold(setup))
    world.publish("two", sold(replace(setup, unit_amount=900), base(310)))
    world.subscribe("one")
    world.change("two")
    world.cancel()
    world.subscribe("two")
    world.to(FEBRUARY)
    assert [each for each in fees(world) if each[0] == "setup"] == [("setup", 0, 500)]
    assert charge_of(world, "setup").unearned == ()


# -- phases (rule P4) ------------------------------------------------------------------------------


def test_a_trial_is_free_a_ramp_is_cheaper(world: World) -> None:
    """Nothing for 14 days, 100 for two periods, then 310; the setup comes with the end of it."""
    phases = (
        Phase("trial", days=14, charges=(PhasedCharge("setup"),)),
        Phase("ramp", periods=2, charges=(PhasedCharge("base", 100),)),
    )
    world.publish("team", sold(base(310), base(50, "setup", once=True), phases=phases))
    world.subscribe("team")
    assert fees(world) == []
    world.to(START_US + 120 * DAY_US)
    assert fees(world) == [
        ("base", 14, 100), ("setup", 14, 50), ("base", 45, 100), ("base", 73, 310),
        ("base", 104, 310),
    ]  # fmt: skip


def test_a_trial_of_periods_charges_what_it_says(world: World) -> None:
    """What a phase does not say is as in the package."""
    phases = (Phase("trial", periods=1, charges=(PhasedCharge("base"),)),)
    world.publish("tried", sold(base(310), base(31, "support"), phases=phases))
    world.subscribe("tried")
    world.to(FEBRUARY)
    assert fees(world) == [("support", 0, 31), ("support", 31, 31), ("base", 31, 310)]


# -- what is the account's own ---------------------------------------------------------------------


def own_terms(amount: int) -> e.ChargeTerms:
    return e.ChargeTerms(
        "plan", USD, amount, e.ChargeBilling.ADVANCE, e.PeriodUnit.MONTH, 1, 0, "",
        e.Proration.BOTH, True, True, e.ChargePayer.OVERAGE,
    )  # fmt: skip


def test_what_somebody_has_set_by_hand_holds(world: World) -> None:
    """One that was started, and one that was changed: no version, change or end touches it."""
    world.ask(c.StartCharge(world.key(), ACME, "support", own_terms(7), 1))
    world.subscribe("large")
    number = charge_of(world, "base").number
    world.ask(c.ChangeQuantity(world.key(), ACME, number, 0, e.Timing.NOW))
    world.publish("large", sold(base(900), base(900, "support")))
    world.to(FEBRUARY)
    world.change("small")
    world.cancel()
    assert standing(world) == [("base", 620, 0, 2), ("support", 7, 1, 1)]


def test_terms_by_hand_hold_from_the_next_period_on(world: World) -> None:
    world.subscribe("small")
    number = charge_of(world, "base").number
    world.ask(c.ChangeTerms(world.key(), ACME, number, own_terms(5)))
    world.change("large")
    world.to(FEBRUARY)
    assert ("base", 5, 1, 2) in standing(world)


def test_one_that_was_ended_by_hand_comes_back_with_the_period(world: World) -> None:
    """The next period has what its version says."""
    world.subscribe("small")
    number = charge_of(world, "base").number
    world.ask(c.EndCharge(world.key(), ACME, number, e.Timing.NOW))
    assert (total(world), standing(world)) == (0, [])
    world.to(FEBRUARY)
    assert fees(world)[-1] == ("base", 31, 310)


# -- what is refused -------------------------------------------------------------------------------


def test_what_an_account_cannot_have_is_refused(world: World) -> None:
    """By the place of the charge: an asset that is not there, too much, a name of seats."""
    world.publish("broken", sold(base(1), replace(base(1, "x"), asset="pearls")))
    refusal = world.refused(c.Subscribe(world.key(), ACME, "broken"))
    assert (refusal.reason, refusal.field, refusal.value) == (
        "ASSET_UNKNOWN", "charges[1].asset", "pearls",
    )  # fmt: skip
    world.subscribe("free")
    refusal = world.refused(c.ChangePackage(world.key(), ACME, "broken", e.Timing.NOW))
    assert (refusal.reason, refusal.field) == ("ASSET_UNKNOWN", "charges[1].asset")


def test_a_version_that_does_not_fit_leaves_a_follower_at_its_own(world: World) -> None:
    world.subscribe("small")
    world.publish("small", sold(replace(base(1), asset="pearls")))
    world.to(FEBRUARY)
    assert fees(world)[1:] == [("base", 31, 310)]


def test_every_field_is_that_of_the_terms(world: World) -> None:
    said = PackagedCharge(
        "full",
        "plan",
        "credits",
        500,
        quantity=3,
        billing=ARREARS,
        whole_first=True,
        whole_last=True,
        whole_changes=True,
        payer=PackagedPayer.ACCOUNT,
        discount=PackagedDiscount(amount=7, from_period=2, periods=3),
        trial_periods=1,
        ramp=(PackagedStep(2, 600), PackagedStep(4, 700)),
    )
    assert decode_package(canonical_bytes(sold(said))) == sold(said)
    world.publish("full", sold(said))
    world.subscribe("full")
    charge = charge_of(world, "full")
    assert (charge.quantity, charge.packaged) == (3, True)
    assert charge.terms == e.ChargeTerms(
        "plan", CREDITS, 500, e.ChargeBilling.ARREARS, e.PeriodUnit.MONTH, 1, START_US, "",
        e.Proration.NONE, False, False, e.ChargePayer.ACCOUNT, e.ChargeDiscount(0, 0, 7, 2, 3), 1,
        0, (e.RampStep(2, 0, 600), e.RampStep(4, 0, 700)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("charge", "path", "reason"),
    [
        (base(-1), "unit_amount", "AMOUNT_INVALID"),
        (base(1, ""), "name", "NAME_EMPTY"),
        (replace(base(1), asset=""), "asset", "NAME_EMPTY"),
        (replace(base(1), product=""), "product", "CHARGE_INVALID"),
        (base(1, quantity=-1), "quantity", "NUMBER_OUT_OF_RANGE"),
        (base(2**62, quantity=4), "quantity", "OVERFLOW"),
        (base(1, once=True, billing=ARREARS), "billing", "CHARGE_INVALID"),
        (base(1, earned_over_us=5), "earned_over_us", "CHARGE_INVALID"),
        (base(1, ramp=(PackagedStep(3, 1), PackagedStep(2, 1))), "ramp", "CHARGE_INVALID"),
        (base(1, discount=PackagedDiscount(3, 2)), "discount.fraction", "CHARGE_INVALID"),
        (base(1, trial_periods=-1), "trial_periods", "CHARGE_INVALID"),
    ],
)
def test_faults_have_their_places(charge: PackagedCharge, path: str, reason: str) -> None:
    found = {(each.path, each.reason) for each in validate(sold(charge))}
    assert (f"charges[0].{path}", reason) in found, found


def test_faults_of_phases_and_names_have_their_places() -> None:
    phases = (
        Phase("a", days=3, charges=(PhasedCharge("base", 5), PhasedCharge("none", 5))),
        Phase("b", periods=3, charges=(PhasedCharge("base", -5), PhasedCharge("base", 5))),
    )
    found = {(each.path, each.reason) for each in validate(sold(base(1), base(2), phases=phases))}
    assert {path for path, _ in found} == {
        "charges[1].name",
        "phases[0].charges[0].unit_amount",
        "phases[0].charges[1].name",
        "phases[1].charges[0].unit_amount",
        "phases[1].charges[1].name",
    }, found


# -- contracts, missed time ------------------------------------------------------------------------


def test_a_contract_takes_charges_over_and_ends_them(world: World) -> None:
    """Rules P5, S1: the package's fee goes back from where the contract begins; the period that its
    end cuts is charged by its time: 2 of 28 days."""
    world.subscribe("small")
    world.to(day(11))
    world.ask(c.SignContract(world.key(), ACME, "deal", "large", 0, 0, day(44)))
    assert fees(world) == [
        ("base", 0, 310),
        ("base", 10, -210),
        ("base", 10, 620),
        ("support", 10, 31),
    ]
    world.to(START_US + 100 * DAY_US)
    # From 11 January: 31 days, then 2 of 28.
    assert fees(world)[4:] == [("base", 41, 44), ("support", 41, 2)]
    assert standing(world) == []


def test_a_contract_of_the_past_charges_from_its_start(world: World) -> None:
    """Signed on the 21st as of the 11th: nothing is charged twice, nor left out."""
    world.subscribe("small")
    world.to(day(21))
    world.ask(c.SignContract(world.key(), ACME, "deal", "large", 0, day(11), MARCH))
    assert total(world) == 100 + 620 + 31
    world.ask(c.EndContract(world.key(), ACME, "deal"))
    assert total(world) == 100 + 200 + 10


def test_a_contract_that_renews_goes_on_charging(world: World) -> None:
    """Its term is no whole number of periods: the cut period, then what is left of it."""
    end = day(21)
    world.ask(c.SignContract(world.key(), ACME, "deal", "small", 0, 0, end, auto_renew=1))
    assert fees(world) == [("base", 0, 200)]
    world.to(FEBRUARY)
    assert fees(world)[1:] == [("base", 20, 110), ("base", 31, 310 * 9 // 28 + 1)]


def test_what_was_missed_is_charged_in_order_as_of_its_own_time(world: World) -> None:
    """Rule T1: the ledger was away from 11 January to April; each period by its version."""
    world.subscribe("small")
    world.publish("small", sold(base(280)), since=MARCH)
    world.to(day(11))
    world.change("large", e.Timing.NEXT_PERIOD)
    world.to(APRIL)
    assert fees(world) == [
        ("base", 0, 310), ("base", 31, 620), ("support", 31, 31), ("base", 59, 620),
        ("support", 59, 31), ("base", 90, 620), ("support", 90, 31),
    ]  # fmt: skip


def test_a_contract_whose_end_was_missed_charges_to_its_end(world: World) -> None:
    """Amended to end on the 21st; the ledger was away until March."""
    world.ask(c.SignContract(world.key(), ACME, "deal", "small", 0, 0, APRIL))
    world.to(day(11))
    world.ask(c.AmendContract(world.key(), ACME, "deal", ends_at=day(21)))
    world.to(MARCH)
    assert (total(world), standing(world)) == (200, [])
    assert charge_of(world, "base").unearned == ()


def test_fees_packages_may_be_paid_by_their_grants(world: World) -> None:
    """Rule D1: 1,000 credits are granted first, and pay 40 of them."""
    world.publish("paid", sold(replace(base(40), asset="credits", cash_only=False)))
    world.subscribe("paid")
    assert world.available == 960
