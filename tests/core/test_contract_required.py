"""A rate card that asks for a package or a contract: usage without one waits (rule B8).

The card `needy` charges a credit a token of chat; it is the account's by its policy. Hours count
from 1 January.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import CREDITS, START_US, TENANT, USD
from hypothesis import given
from hypothesis import strategies as st
from replaying import replayed
from signing_world import Signing
from test_backtest import assert_is_the_ledger
from test_packages import ACME, FEBRUARY

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.events.leases import LEASED_QUANTITY
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import Package
from rating.card import Meter, PriceRow, Product, RateCard, validate
from rating.compile import CompiledCard
from rating.versions import CardVersion

HOUR = 3_600_000_000
CHILD = 2
WAITS = e.Suspense.NO_CONTRACT


def publish(world: Signing, required: bool, *products: Product) -> None:
    core = world.core
    made = RateCard(
        "needy",
        "credits",
        0,
        (Meter("tokens"),),
        (PriceRow("*", "tokens", "1"),),
        products,
        contract_required=required,
    )
    assert validate(made) == []
    version = core.state.configuration.get(TENANT, 0) + 1
    core.run(c.ApplyConfiguration(TENANT, version, b"card"))
    number = 100 + version
    compiled = CompiledCard(made, number)
    core.catalog.add_card(TENANT, "needy", CardVersion(number, core.now, core.now, compiled))


@pytest.fixture
def world() -> Iterator[Signing]:
    made = begun()
    yield made
    made.finish()


def begun() -> Signing:
    made = Signing()
    publish(made, True)
    policy = e.AccountPolicy(rate_card="needy", overage=e.Overage.SELF)
    made.ask(c.UpdatePolicy(made.key(), ACME, policy))
    made.publish("base", Package())
    return made


def at(hour: int) -> int:
    return START_US + hour * HOUR


def rated(world: Signing) -> list[tuple[int, int]]:
    """(hour of its time, charge) of everything that was rated after it had waited, in order."""
    return [
        ((event.effective_at - START_US) // HOUR, sum(event.charges))
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.SuspenseRated)
    ]


def authorize(world: Signing, account: int = ACME) -> Any:
    shape = world.core.shape("chat", "tokens")
    return world.core.run(c.AuthorizeHold(world.key(), account, shape, (10,), HOUR))


def test_usage_without_a_package_waits_and_is_denied(world: Signing) -> None:
    """Rule B8: the same for Ingest and Authorize; with one it is charged, after it waits again."""
    waiting = world.use(10)
    assert (waiting.charges, waiting.suspense) == ((-1,), WAITS)
    assert authorize(world).reason == Reason.NO_CONTRACT
    world.to(at(1))
    world.subscribe("base")
    assert world.use(10).charges == (10,)
    assert isinstance(authorize(world), e.HoldAuthorized)
    world.to(at(2))
    world.cancel()
    assert world.use(10).suspense == WAITS
    assert authorize(world).reason == Reason.NO_CONTRACT


def test_each_event_goes_by_its_own_time(world: Signing) -> None:
    """Rule D5: late usage of the time in which there was a package is charged."""
    world.to(at(2))
    world.subscribe("base")
    world.to(at(4))
    world.cancel()
    world.to(at(6))
    assert [world.use(10, at=at(hour)).suspense for hour in (1, 2, 3, 4, 5)] == [
        WAITS, 0, 0, WAITS, WAITS,
    ]  # fmt: skip


def test_a_subscription_that_ends_with_its_period_counts_to_its_end(world: Signing) -> None:
    """And one that is taken up again goes on."""
    world.subscribe("base")
    world.cancel(e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY + HOUR)
    assert world.use(10, at=FEBRUARY - 1).suspense == 0
    assert world.use(10, at=FEBRUARY).suspense == WAITS
    world.subscribe("base")
    assert world.core.state.accounts[ACME].packaged == (
        (START_US, FEBRUARY), (FEBRUARY + HOUR, 2**63 - 1),
    )  # fmt: skip


def test_what_waits_is_rated_in_order_when_a_back_dated_contract_comes(world: Signing) -> None:
    """Rules B8, P5: of the 1st hour it waits on, of the 3rd and the 2nd, as recorded."""
    world.to(at(4))
    for hour, tokens in ((1, 10), (3, 30), (2, 20)):
        assert world.use(tokens, at=at(hour)).suspense == WAITS
    world.sign(package="base", starts_at=at(2), ends_at=FEBRUARY)
    world.core.sweep()
    assert rated(world) == [(3, 30), (2, 20)]
    assert world.core.state.suspended_events == 1


def test_a_contract_counts_from_its_start_to_its_end(world: Signing) -> None:
    """Signed for later, ended early; whatever the sweep had seen of it."""
    world.sign(package="base", starts_at=at(2), ends_at=FEBRUARY)
    assert world.use(10).suspense == WAITS
    world.core.now = at(3)
    world.core.begin_batch()
    assert world.use(10).suspense == 0
    world.to(at(5))
    world.end()
    world.to(at(6))
    assert [world.use(10, at=at(hour)).suspense for hour in (1, 2, 4, 5)] == [WAITS, 0, 0, WAITS]


def test_a_contract_whose_end_was_missed_counts_to_its_end(world: Signing) -> None:
    """Rule T1: it ended on 2 January; the ledger was away for a day."""
    world.sign(package="base", ends_at=at(24))
    world.to(at(48))
    assert [world.use(10, at=at(hour)).suspense for hour in (23, 24, 47)] == [0, WAITS, WAITS]


def test_a_family_has_it_of_whoever_is_above(world: Signing) -> None:
    """A child has the package of its parent, and one of its own that the parent has not."""
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    assert world.use(10, account=CHILD).suspense == WAITS
    world.ask(c.Subscribe(world.key(), CHILD, "base"))
    world.core.sweep()
    assert world.use(10, account=CHILD).suspense == 0
    assert world.use(10).suspense == WAITS
    world.to(at(1))
    world.ask(c.CancelSubscription(world.key(), CHILD, e.Timing.NOW))
    world.to(at(2))
    assert world.use(10, account=CHILD).suspense == WAITS
    world.subscribe("base")
    world.core.sweep()
    assert world.use(10, account=CHILD).suspense == 0
    assert authorize(world, CHILD).reason == Reason.INSUFFICIENT_CREDITS


def test_a_package_has_what_waits_of_now_rated(world: Signing) -> None:
    """Rule B8: though it was tried before, and nothing else has come."""
    world.use(10)
    world.core.sweep()
    assert rated(world) == []
    world.subscribe("base")
    world.core.sweep()
    assert rated(world) == [(0, 10)]


def test_a_card_that_asks_no_more_rates_what_waited(world: Signing) -> None:
    """A later version counts for later usage; one that is meant from before, for what waits."""
    world.use(10)
    world.to(at(1))
    publish(world, False)
    world.core.sweep()
    assert world.use(20).charges == (20,)
    assert world.core.state.suspended_events == 1


def test_a_policy_with_another_card_rates_what_waited(world: Signing) -> None:
    world.use(10)
    world.ask(c.UpdatePolicy(world.key(), ACME, e.AccountPolicy(overage=e.Overage.SELF)))
    world.core.sweep()
    assert rated(world) == [(0, 10)]


def test_a_product_that_is_not_sold_waits_for_the_contract_first(world: Signing) -> None:
    """Rules P2, B8: then for the entitlement."""
    publish(world, True, Product("chat", entitled=False))
    assert world.use(10).suspense == WAITS
    world.subscribe("base")
    assert world.use(10).suspense == e.Suspense.NOT_ENTITLED
    assert authorize(world).reason == Reason.NOT_ENTITLED


def test_a_lease_is_refused_too(world: Signing) -> None:
    """A lease of an account without a contract, and of one with a package."""
    shape = world.core.shape("chat", LEASED_QUANTITY)
    lease = c.AcquireLease(world.key(), ACME, shape, "gateway", 10, 0, 0, e.LeaseLapse.RETURN)
    assert world.core.run(lease).reason == Reason.NO_CONTRACT
    world.subscribe("base")
    grant = c.IssueGrant(
        world.key(), ACME, e.GrantKind.PROMOTIONAL, CREDITS, 100, 0, USD, 0, 0, FEBRUARY, (), b""
    )
    world.ask(grant)
    assert isinstance(world.core.run(lease), e.LeaseGranted)


def test_its_journal_decided_again_makes_the_same_entries(world: Signing) -> None:
    world.use(10)
    world.to(at(1))
    world.subscribe("base")
    world.core.sweep()
    world.use(10)
    world.to(at(2))
    world.cancel()
    world.use(10)
    world.to(at(3))
    world.sign(package="base", starts_at=at(2), ends_at=FEBRUARY)
    world.core.sweep()
    again = replayed(world.core, catalog=world.core.catalog, plainly=True, faithfully=True)
    assert_is_the_ledger(again, world.core)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), st.just(0)),
        st.tuples(st.just("cancel"), st.booleans()),
        st.tuples(st.just("sign"), st.integers(-5, 5)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 30)),
        st.tuples(st.just("use"), st.integers(-20, 0)),
    ),
    max_size=16,
)


@given(STEPS)
def test_usage_is_charged_of_the_times_with_a_package_and_no_others(
    steps: list[tuple[str, Any]],
) -> None:
    """Rule B8: whatever is subscribed to, signed, cancelled and ended in whatever order: once it
    is swept, what is charged is the usage of hours in which there was a package."""
    world = begun()
    world.to(at(30))  # so that usage of the past is of the card's time
    had: list[list[int]] = []  # [from, until) in hours, as the calls say
    waiting: list[int] = []
    expected: dict[int, int] = {}
    contract = 0
    for verb, value in steps:
        now = (world.core.now - START_US) // HOUR
        account = world.core.state.accounts[ACME]
        runs = account.subscription is not None and not account.subscription.over
        by_contract = runs and bool(account.subscription.contract)
        if verb == "subscribe" and not runs:
            world.subscribe("base")
            had.append([now, 10**6])
        elif verb == "cancel" and runs and not by_contract:
            world.cancel(e.Timing.NOW if value else e.Timing.NEXT_PERIOD)
            if value:
                had[-1][1] = now
        elif verb == "sign" and not by_contract:
            contract += 1
            command = world.signing(
                f"c{contract}", package="base", starts_at=at(now + value), ends_at=at(now + 400)
            )
            if isinstance(world.core.run(command), e.ContractSigned):
                if value <= 0:
                    if runs:
                        had[-1][1] = now
                    had.append([now + value, 10**6])
                else:
                    world.ask(c.EndContract(world.key(), ACME, f"c{contract}"))
        elif verb == "end" and by_contract:
            world.end(account.subscription.contract)
            had[-1][1] = now
        elif verb == "wait":
            world.to(at(now + value))
        elif verb == "use":
            waiting.append(now + value)
            world.use(10, at=at(now + value) if value else 0)
        world.core.sweep()
        for hour in list(waiting):  # what has been charged stays so
            if any(since <= hour < until for since, until in had):
                waiting.remove(hour)
                expected[hour] = expected.get(hour, 0) + 10
    charged: dict[int, int] = {}
    for _, batch in world.core.batches:
        for event in batch:
            if isinstance(event, e.UsageRecorded | e.SuspenseRated):
                hour = (event.effective_at - START_US) // HOUR
                charge = sum(each for each in event.charges if each > 0)
                charged[hour] = charged.get(hour, 0) + charge
    # A cancellation with the period, a month away, ends nothing here: 16 steps wait 480 hours.
    assert {hour: charge for hour, charge in charged.items() if charge} == expected
    world.finish()
