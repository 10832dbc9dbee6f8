"""What verify says of charges of packages, and what holds whatever is done (rules P3, S1)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from core_world import CREDITS
from hypothesis import given
from hypothesis import strategies as st
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
)
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_packages import ACME, FEBRUARY, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    Package,
    PackagedGrant,
    PackagedSeats,
)
from ledger.core.packages.packaged_charges import (
    PackagedBilling,
)


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("free", plan(1_000))
    made.publish("small", sold(base(310)))
    made.publish("large", sold(base(620), base(31, "support")))
    yield made
    made.finish()


# -- what verify says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (e.ChargeRepriced, {"version": 5}, "version of the charge"),
        (e.ChargeRepriced, {"quantity": -1}, "quantity"),
        (e.ChargeRepriced, {"weighed": "7"}, "weight"),
        (e.ChargeRepriced, {"weighed": ""}, "whether the period counts it"),
        (e.ChargeRepriced, {"amount": 7}, "amount of the change"),
        (e.ChargeEnded, {"ends_at": 1}, "end of charge"),
        (e.ChargeEnded, None, "charge of a package that ends"),
        (e.SubscriptionCancelled, None, "entry of the package whose charges stand before it"),
    ],
)
def test_verify_finds_what_no_package_may_do(
    world: World, kind: type, change: dict[str, Any] | None, what: str
) -> None:
    """Each sound entry, broken or left out (None) once."""
    world.subscribe("small")
    world.to(day(11))
    world.change("large")
    world.cancel()
    world.to(day(12))
    world.use(1)
    found = _told_otherwise(world, kind, change)
    assert any(what in each.what for each in found), found


def test_verify_finds_other_terms_within_a_period(world: World) -> None:
    """Only amounts are otherwise; what somebody has changed by hand is no package's."""
    world.subscribe("small")
    world.to(day(11))
    world.change("large")
    terms = replace(charge_of(world, "base").terms, product="other")
    found = _told_otherwise(world, e.ChargeRepriced, {"terms": terms})
    assert any("product within a period" in each.what for each in found), found
    number = charge_of(world, "base").number
    world.ask(c.ChangeQuantity(world.key(), ACME, number, 3, e.Timing.NOW))
    world.ask(c.EndCharge(world.key(), ACME, number, e.Timing.NOW))
    found = _told_otherwise(world, e.ChargeEnded, {"key": b""})
    assert any("charge that ends with a package" in each.what for each in found), found


def _told_otherwise(world: World, kind: type, change: dict[str, Any] | None) -> list[Any]:
    """What verify finds where the last entry of that kind says something else, or is not there."""
    batches = world.core.batches
    for place in reversed(range(len(batches))):
        at, events = batches[place]
        for index in reversed(range(len(events))):
            if isinstance(events[index], kind):
                instead = [] if change is None else [replace(events[index], **change)]
                told = [*events[:index], *instead, *events[index + 1 :]]
                world.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
                found = judged(world.core, replays=False)
                world.core.batches = batches
                return found
    raise AssertionError(kind)


def test_its_journal_decided_again_makes_the_same_entries(world: World) -> None:
    """What a package starts, changes and ends follows from it, and is asked for by nobody."""
    world.publish("small", sold(base(280), base(9, "late", billing=ARREARS)), since=FEBRUARY)
    world.subscribe("small")
    world.to(day(11))
    world.change("large")
    world.use(1)
    world.change("small", e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY)
    world.to(FEBRUARY + DAY_US)
    world.change("free")
    world.use(1)
    world.cancel()
    world.subscribe("large")
    world.ask(c.ChangeQuantity(world.key(), ACME, charge_of(world, "base").number, 3, e.Timing.NOW))
    world.to(MARCH)
    again = replayed(world.core, catalog=world.core.catalog, plainly=True, faithfully=True)
    assert_is_the_ledger(again, world.core)


# -- whatever is done ------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 500)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("xy"), AMOUNTS, st.integers(0, 3)),
        st.tuples(st.just("take"), st.sampled_from("xy"), st.booleans()),
        st.tuples(st.just("cancel"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 20 * DAY_US)),
        st.tuples(st.just("period")),
    ),
    max_size=14,
)


@given(STEPS, st.sampled_from(list(PackagedBilling)))
def test_a_period_costs_what_its_packages_cost_by_their_time(
    steps: list[tuple[Any, ...]], billing: PackagedBilling
) -> None:
    """Rules P3, S1: whatever is published, taken, changed and cancelled within it, in whatever
    order, each period costs the sum of quantity x amount x time, rounded once a charge; and never
    more than the largest package for the whole of it. What was minted is bounded as ever."""
    world = World()
    versions: dict[str, tuple[int, int]] = {"x": (310, 1), "y": (77, 2)}

    def publish(name: str) -> None:
        amount, quantity = versions[name]
        world.publish(name, sold(base(amount, quantity=quantity, billing=billing)))

    for name in versions:
        publish(name)
    rate, since, cost, largest = 0, 0, Fraction(0), 0  # of the period that runs
    has, following, fee = "", None, {}  # what it has, what it is to have; fee of each period

    def goes(to: int, until: int) -> None:
        """What has stood costs until then; then it is otherwise."""
        nonlocal rate, since, cost, largest
        if has and until > since:
            cost += Fraction(rate * (until - since))
            largest = max(largest, rate)
        rate, since = to, until

    def rate_of(name: str) -> int:
        return versions[name][0] * versions[name][1]

    for verb, *given_ in steps:
        if verb == "publish":
            name, amount, quantity = given_
            versions[name] = (amount, quantity)
            publish(name)
            continue
        now = world.core.state.now
        subscription = world.subscription
        if verb == "take" and not has:
            world.subscribe(given_[0])
            goes(rate_of(given_[0]), world.core.now)
            has, following = given_[0], None
        elif verb == "take":
            name, at_once = given_
            world.change(name, e.Timing.NOW if at_once else e.Timing.NEXT_PERIOD)
            if at_once:
                goes(rate_of(name), now)
                has, following = name, None
            else:
                following = name
        elif verb == "cancel" and has:
            world.cancel(e.Timing.NOW if given_[0] else e.Timing.NEXT_PERIOD)
            if given_[0]:
                goes(0, now)
                has, following = "", None
            else:
                following = ""
        elif verb in ("wait", "period") and subscription is not None:
            end = subscription.period_end
            to = end if verb == "period" else min(end, now + given_[0])
            if to <= now:
                continue
            if to == end:
                goes(0, end)
                fee[end] = (cost / subscription.full, largest)
                cost, largest = Fraction(0), 0
                has = has if following is None else following
                following = None
            world.to(to)
            if to == end and has:
                goes(rate_of(has), end)
    if world.subscription is not None:
        end = world.subscription.period_end
        goes(0, max(since, world.core.state.now))
        world.cancel() if has else None
        fee.setdefault(end, (cost / world.subscription.full, largest))
    found: dict[int, int] = {}
    pieces: dict[int, set[int]] = {}
    for _, batch in world.core.batches:
        for event in batch:
            if isinstance(event, e.FeeCharged):
                end = min(each for each in fee if each > event.start)
                found[end] = found.get(end, 0) + event.amount
                pieces.setdefault(end, set()).add(event.charge)
    for end, (exact, most) in fee.items():
        charged, charges = found.get(end, 0), pieces.get(end, set())
        if len(charges) == 1:
            assert charged == round(exact), (end, exact)
            assert charged <= most
        assert abs(charged - exact) <= Fraction(len(charges), 2), (end, exact)
    world.finish()


# -- fees that one decision draws beside what else it does -----------------------------------------


@pytest.mark.parametrize("how", ["cancelled", "changed", "left"])
@pytest.mark.parametrize(
    ("old_grants", "owed"),
    [
        (e.OldGrants.KEEP, 100),  # 200 - 150, then 50 of 150
        (e.OldGrants.FORFEIT_UNUSED, 300),
        (e.OldGrants.PRORATE, 203),  # 16 of 31 days of 200 are 103
    ],
)
def test_no_fee_draws_what_the_same_decision_takes_back_or_drew(
    how: str, old_grants: e.OldGrants, owed: int
) -> None:
    """Rules B1, P3: after 15 of 31 days, two fees of 150 each end, in arrears, from 200 units."""
    world = World()
    terms = {"asset": "credits", "cash_only": False, "billing": ARREARS}
    charges = tuple([replace(base(310, name), **terms) for name in ("one", "other")])
    world.publish("used", replace(plan(200), charges=charges))
    world.publish("nothing", Package())
    if how == "left":
        world.ask(c.SignContract(world.key(), ACME, "deal", "used", 0, 0, APRIL))
    else:
        world.subscribe("used")
    world.to(day(16))
    if how == "left":
        world.ask(c.EndContract(world.key(), ACME, "deal", old_grants=old_grants))
    elif how == "changed":
        world.change("nothing", old_grants=old_grants)
    else:
        world.cancel(old_grants=old_grants)
    assert [each for _, _, each in fees(world)] == [150, 150]
    assert world.available == 0
    assert world.core.state.accounts[ACME].advance[CREDITS].owed == owed
    world.finish()


def test_fees_that_grow_together_draw_each_what_the_one_before_left() -> None:
    """Rule B1: after 15 of 31 days two fees in advance grow by 310 a month each, of 200 units."""
    world = World()
    terms = {"asset": "credits", "cash_only": False}
    small = tuple([replace(base(31, name), **terms) for name in ("one", "other")])
    large = tuple([replace(base(341, name), **terms) for name in ("one", "other")])
    world.publish("small", replace(plan(262), charges=small))
    world.publish("large", replace(plan(262), charges=large))
    world.subscribe("small")
    assert world.available == 262 - 2 * 31
    world.to(day(16))
    world.change("large")
    assert [each for _, _, each in fees(world)] == [31, 31, 160, 160]
    assert world.available == 0
    assert world.core.state.accounts[ACME].advance[CREDITS].owed == 2 * 160 - 200
    world.finish()


@pytest.mark.parametrize(
    ("subscribed", "signed", "charged"),
    [
        # January is the package's, and what is given back of February the contract's, 10 of 31 days
        (1, 11, [(0, 310), (31, 310), (34, -310), (31, 100), (41, 310)]),
        # nothing was charged before: all of the contract's time
        (20, 11, [(19, 310), (19, -310), (10, 310)]),
    ],
)
def test_a_contract_that_is_signed_late_charges_no_day_twice(
    world: World, subscribed: int, signed: int, charged: list[tuple[int, int]]
) -> None:
    """Rules P5, S1: what was charged for periods that are over stays."""
    world.to(day(subscribed))
    world.subscribe("small")
    world.to(day(subscribed) + 1)
    world.to(day(35) if subscribed == 1 else day(20) + 2)
    world.ask(c.SignContract(world.key(), ACME, "deal", "small", 0, day(signed), APRIL))
    world.to(day(43) if subscribed == 1 else day(20) + 3)
    assert [(at, amount) for _, at, amount in fees(world)] == charged


def test_a_fee_that_goes_back_to_what_is_forfeited_stands_behind_new_seats() -> None:
    """Rules D3, S2: 16 of 31 days of 31 units come back in a grant of their own, in a book that
    follows those of the seats' allowance."""
    world = World()
    old = replace(base(31), asset="credits", cash_only=False)
    world.publish("old", replace(plan(100), charges=(old,)))
    seats = PackagedSeats("desks", PackagedGrant("desk", "credits", 62), included=2)
    world.publish("seated", Package(seats=(seats,), charges=(base(31, "other"),)))
    world.subscribe("old")
    world.to(day(16))
    world.change("seated", old_grants=e.OldGrants.FORFEIT_UNUSED)
    assert [amount for _, amount in world.issued()] == [100, 64]  # 2 x 62 x 16 / 31
    assert world.available == 64 + 16
    world.finish()


def test_a_contract_of_the_past_takes_over_what_has_changed_since() -> None:
    """Rules P5, S1: 10 a day in arrears for three days, then 20 a day, which is given back from
    there; the contract of the third day on charges 30 of its 31 days, and nothing else goes on."""
    world = World()
    world.publish("slow", sold(base(310, billing=ARREARS)))
    world.publish("fast", sold(base(620)))
    world.subscribe("slow")
    world.to(day(4))
    world.change("fast")
    world.to(day(6))
    world.ask(c.SignContract(world.key(), ACME, "deal", "fast", 0, day(3), APRIL))
    assert fees(world) == [
        ("base", 3, 30), ("base", 3, 560), ("base", 5, -560), ("base", 3, 600),
    ]  # fmt: skip
    world.to(day(35))
    assert fees(world)[4:] == [("base", 33, 620)]  # 3 February to 3 March
    world.finish()
