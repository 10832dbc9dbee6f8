"""Prices and products that come with a package (rules R4, P1, P2, B8, D5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import METERS, ROWS, START_US, TENANT, Core
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_packages import ACME, FEBRUARY, HALF, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import Entitlement, Package, PackagedPolicy, validate
from ledger.core.packing import drop_family, pack_family, unpack_family
from rating.card import Product, RateCard
from rating.compile import CompiledCard
from rating.overrides import Multiplier, Override, Overwrite
from rating.versions import CardVersion

CHILD = 2
DOUBLE = Override("chat", "tokens", Multiplier("2"))
THREE = Override("chat", "tokens", Overwrite("credits", "3"))
FIVE = Override("chat", "tokens", Overwrite("credits", "5"))


def sells(*products: str) -> tuple[Entitlement, ...]:
    return (Entitlement("more", products=products),)


def publish_card(core: Core, *products: Product) -> None:
    """Another version of the default card, in force at once."""
    version = core.state.configuration.get(TENANT, 0) + 1
    core.run(c.ApplyConfiguration(TENANT, version, b"card"))
    card = RateCard("default", "credits", 0, METERS, ROWS, products)
    core.catalog.add_card(
        TENANT, "default", CardVersion(version, core.now, core.now, CompiledCard(card, version))
    )
    core.begin_batch()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.publish("plain", plan(1_000))
    made.publish("double", plan(1_000, overrides=(DOUBLE,)))
    made.publish("three", plan(1_000, overrides=(THREE,), entitlements=sells("image")))
    yield made
    made.finish()


def charge(event: Any) -> int:
    return int(event.charges[0])


def prices_set(world: World) -> list[tuple[int, tuple[int, ...], tuple[str, ...]]]:
    return [
        (event.at, tuple([each.number for each in event.overrides]), event.products)
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.PackagePricesSet)
    ]


# -- overrides of a package (rule R4) --------------------------------------------------------------


def test_a_package_prices_its_subscribers_from_when_they_have_it(world: World) -> None:
    """Rules R4, P3: 10 at 1, at 2 with `double`, at 3 with `three`, at 1 without a package."""
    assert charge(world.use(10)) == 10
    world.subscribe("double")
    assert charge(world.use(10)) == 20
    world.change("three")
    assert charge(world.use(10)) == 30
    world.cancel()
    assert charge(world.use(10)) == 10
    assert prices_set(world) == [
        (START_US, (1,), ()),
        (START_US, (2,), ("image",)),
        (START_US, (), ()),
    ]


def test_a_package_without_prices_leaves_nothing(world: World) -> None:
    """An account whose package says nothing of prices pays nothing for that they might."""
    key = world.core.state.accounts[ACME].card_key
    world.subscribe("plain")
    account = world.core.state.accounts[ACME]
    assert (prices_set(world), account.sold, account.card_key) == ([], None, key)


def test_late_usage_is_priced_by_what_was_in_force_at_its_time(world: World) -> None:
    """Rule D5: before the subscription, in it, and after a change."""
    world.subscribe("double")
    world.to(START_US + DAY_US)
    world.change("three")
    world.to(START_US + 2 * DAY_US)
    assert charge(world.use(10, at=START_US - 1)) == 10
    assert charge(world.use(10, at=START_US)) == 20
    assert charge(world.use(10, at=START_US + DAY_US - 1)) == 20
    assert charge(world.use(10, at=START_US + DAY_US)) == 30


def test_followers_have_new_prices_with_their_next_period_and_pinned_ones_never(
    world: World,
) -> None:
    """Rules P1, R4: as its grants do; a period of the same version says nothing again."""
    first = world.subscribe("three").term.version
    second = world.publish("three", plan(1_000, overrides=(FIVE,)))
    assert charge(world.use(10)) == 30
    world.to(FEBRUARY)
    assert charge(world.use(10)) == 50
    world.to(START_US + 59 * DAY_US)
    assert [at for at, _, _ in prices_set(world)] == [START_US, FEBRUARY]
    world.change("three", e.Timing.NEXT_PERIOD, follow=e.Follow.PIN, version=first)
    world.publish("three", plan(1_000))
    world.to(START_US + 90 * DAY_US)
    assert charge(world.use(10)) == 30
    world.to(START_US + 120 * DAY_US)
    assert (charge(world.use(10)), second > first) == (30, True)


def test_what_was_missed_counts_from_the_period_that_it_is_of(world: World) -> None:
    """Rule T1: nobody swept; usage of the new period has its price, that of the old one its."""
    world.subscribe("three")
    world.publish("three", plan(1_000, overrides=(FIVE,)))
    world.to(FEBRUARY + 2 * HOUR_US)
    assert charge(world.use(10, at=FEBRUARY - 1)) == 30
    assert charge(world.use(10, at=FEBRUARY)) == 50


def test_the_accounts_own_override_counts_before_its_packages(world: World) -> None:
    """Rule R4: one applies, they never stack: 2, not 2 of 3."""
    world.subscribe("three")
    world.ask(c.SetPriceOverrides(world.key(), ACME, (DOUBLE,), 0))
    assert charge(world.use(10)) == 20
    world.ask(c.SetPriceOverrides(world.key(), ACME, (), 0))
    assert charge(world.use(10)) == 30


def test_within_a_package_the_priority_counts_then_the_later(world: World) -> None:
    """Rule R4: overwrites first, the higher priority, the lowest multiplier."""
    cheap = Override("chat", "tokens", Multiplier("0.5"))
    world.publish("many", plan(1, overrides=(DOUBLE, cheap, FIVE, replace(THREE, priority=1))))
    world.subscribe("many")
    assert charge(world.use(10)) == 30
    world.publish("few", plan(1, overrides=(DOUBLE, cheap)))
    world.change("few")
    assert charge(world.use(10)) == 5


def test_a_child_has_its_own_packages_prices_else_its_ancestors(world: World) -> None:
    """Rules R4, D8: package over ancestor; moved away, it has them no more."""
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.subscribe("three")
    assert charge(world.use(10, account=CHILD)) == 30
    assert charge(world.use(10, "image", account=CHILD)) == 10
    world.ask(c.Subscribe(world.key(), CHILD, "double"))
    assert charge(world.use(10, account=CHILD)) == 20
    world.cancel()
    assert charge(world.use(10, account=CHILD)) == 20
    world.ask(c.CancelSubscription(world.key(), CHILD, e.Timing.NOW))
    assert charge(world.use(10, account=CHILD)) == 10


def test_an_override_that_the_card_cannot_have_is_refused(world: World) -> None:
    """As an account's own is; nothing is granted either."""
    other = Override("chat", "tokens", Overwrite("USD", "3"))
    world.publish("dollars", plan(1, overrides=(other,)))
    refusal = world.refused(c.Subscribe(world.key(), ACME, "dollars"))
    assert (refusal.reason, refusal.field) == (
        Reason.OVERRIDES_INVALID,
        "overrides[0].change.asset",
    )
    world.publish("usd", plan(1, overrides=(other,), policy=PackagedPolicy(rate_card="usd")))
    world.subscribe("usd")


def test_a_follower_stays_where_a_version_does_not_fit(world: World) -> None:
    """Rule P1: its card is another one by now."""
    world.subscribe("double")
    other = Override("chat", "tokens", Overwrite("USD", "3"))
    world.publish("double", plan(500, overrides=(other,)))
    world.to(FEBRUARY)
    assert charge(world.use(10)) == 20
    assert [amount for _, amount in world.issued()] == [1_000, 1_000]


def test_what_is_wrong_with_a_packages_prices() -> None:
    """Rule P4: terms are relative, so a package's override has no time of its own."""
    wrong = Package(
        overrides=(replace(THREE, effective_from_us=7), FIVE, replace(FIVE, product="")),
        entitlements=(Entitlement("x", products=("",)),),
    )
    assert [(each.path, each.reason) for each in validate(wrong)] == [
        ("entitlements[0].products[0]", "NAME_EMPTY"),
        ("overrides[2].product", "NAME_EMPTY"),
        ("overrides[0].effective_from_us", "TIME_INVALID"),
    ]


# -- products that not everybody may buy (rule P2) -------------------------------------------------


def test_a_product_is_sold_by_an_entitlement_of_the_package(world: World) -> None:
    """Rules P2, B8: NOT_ENTITLED before, priced with it, NOT_ENTITLED again."""
    publish_card(world.core, Product("image", entitled=False))
    before = world.use(10, "image")
    assert (before.charges, before.suspense) == ((-1,), e.Suspense.NOT_ENTITLED)
    world.to(START_US + HOUR_US)
    world.subscribe("three")
    assert charge(world.use(10, "image")) == 10
    world.cancel()
    assert world.use(10, "image").suspense == e.Suspense.NOT_ENTITLED


def test_what_is_sold_to_an_account_is_sold_to_those_below_it(world: World) -> None:
    """Rule P2: also to a child that has a package of its own."""
    publish_card(world.core, Product("image", entitled=False))
    world.to(START_US + HOUR_US)
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.ask(c.Subscribe(world.key(), CHILD, "double"))
    assert world.use(10, "image", account=CHILD).suspense == e.Suspense.NOT_ENTITLED
    world.subscribe("three")
    assert charge(world.use(10, "image", account=CHILD)) == 10


def test_late_usage_is_entitled_by_the_version_of_its_time(world: World) -> None:
    """Rule D5: what waited from before the subscription waits on; what was of it is priced."""
    publish_card(world.core, Product("image", entitled=False))
    world.to(START_US + HOUR_US)
    world.use(10, "image")
    world.to(START_US + 2 * HOUR_US)
    world.subscribe("three")
    world.to(START_US + 3 * HOUR_US)
    world.core.sweep()
    assert world.core.state.suspended_events == 1
    world.cancel()
    world.to(START_US + 4 * HOUR_US)
    hours = [world.use(10, "image", START_US + n * HOUR_US).suspense for n in (1, 2, 3)]
    assert hours == [e.Suspense.NOT_ENTITLED, 0, e.Suspense.NOT_ENTITLED]


def test_holds_go_by_the_package_too(world: World) -> None:
    """Rule B8: the same for Authorize; what was authorised is charged after the package's end."""
    publish_card(world.core, Product("image", entitled=False))

    def hold() -> Any:
        shape = world.core.shape("image", "tokens")
        return c.AuthorizeHold(world.key(), ACME, shape, (10,), HOUR_US)

    assert world.ask(hold()).reason == Reason.NOT_ENTITLED
    world.subscribe("three")
    held = world.ask(hold())
    assert sum(piece.amount for piece in held.slices) == 10


def test_verify_finds_prices_that_no_package_sets(world: World) -> None:
    """Rules R4, P1: another number, another time, a product twice."""
    world.subscribe("three")
    world.to(HALF)
    world.change("double")
    batches = world.core.batches
    at, events = batches[-1]
    place = next(i for i, event in enumerate(events) if isinstance(event, e.PackagePricesSet))
    wrong = {
        "time of a package's prices": {"at": HALF - 1},
        "number of an override": {"overrides": (replace(events[place].overrides[0], number=9),)},
        "as it stands": {"overrides": (replace(events[place].overrides[0], number=1),)},
        "products sold": {"products": ("b", "a")},
    }
    for what, changes in wrong.items():
        told = [*events[:place], replace(events[place], **changes), *events[place + 1 :]]
        world.core.batches = [*batches[:-1], (at, told)]
        found = judged(world.core, replays=False)
        assert any(what in f"{each.what} {each.expected}" for each in found), (what, found)
    world.core.batches = batches


PRICES = {"plain": 1, "double": 2, "three": 3, "five": 5, "": 1}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("package"), st.sampled_from(sorted(PRICES))),
        st.tuples(st.just("own"), st.sampled_from([0, 2])),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("late"), st.integers(0, 20)),
        st.tuples(st.just("pack"), st.just(0)),
    ),
    max_size=14,
)


@given(steps=steps)
def test_usage_of_any_time_has_the_price_of_a_plain_list(steps: list[tuple[str, Any]]) -> None:
    """Rules R4, D5: against a list of (from when, own price, package's price)."""
    world = World()
    world.publish("plain", plan(10))
    world.publish("double", plan(10, overrides=(DOUBLE,)))
    world.publish("three", plan(10, overrides=(THREE,)))
    world.publish("five", plan(10, overrides=(FIVE, DOUBLE)))
    own, package = 0, ""
    said = [(0, 0, "")]
    for step, value in steps:
        now = world.core.now
        if step == "package" and value != package:
            if not value:
                world.cancel()
            elif package:
                world.change(value)
            else:
                world.subscribe(value)
            package = value
        elif step == "own" and value != own:
            overrides = (DOUBLE,) if value else ()
            world.ask(c.SetPriceOverrides(world.key(), ACME, overrides, 0))
            own = value
        elif step == "wait":
            world.to(now + value * HOUR_US)
        elif step == "pack":
            state = world.core.state
            body = pack_family(state, ACME, state.settled_before)
            drop_family(state, ACME)
            unpack_family(state, body)
        elif step == "late":
            at = now - value * HOUR_US
            _, of_account, of_package = [each for each in said if each[0] <= at][-1]
            expected = of_account or PRICES[of_package]
            assert charge(world.use(1, at=at)) == expected
        said.append((now, own, package))
    world.finish()


def test_a_period_that_brings_prices_begins_while_what_waits_is_tried(world: World) -> None:
    """Rules B8, P1: a card is published, and before anything is swept the month ends: what is due
    is posted before what waits is rated, and the prices that this brings start the tries anew."""
    world.publish("starter", plan(1_000))
    world.subscribe("starter")
    world.use(10, "priceless")
    world.use(10, "priceless")
    world.publish("starter", plan(1_000, overrides=(DOUBLE,)))
    world.core.now = FEBRUARY - 1
    world.core.begin_batch()
    publish_card(world.core, Product("chat"), Product("image"))
    assert world.core.state.families[ACME].waiting
    world.to(FEBRUARY)
    assert prices_set(world) == [(FEBRUARY, (1,), ())]
    assert charge(world.use(10)) == 20
