"""Minimums that count while a contract runs (rule R2)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from core_world import START_US, TENANT
from minimum_world import publish_minimums
from signing_world import APRIL, CHILD, MARCH, TERMS, Signing, committed
from test_packages import ACME, FEBRUARY, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import (
    PackagedOverage,
    PackagedPolicy,
)
from rating.models import Minimum, MinimumScope


@pytest.fixture
def world() -> Iterator[Signing]:
    made = Signing()
    made.publish("starter", plan(100))
    made.publish("enterprise", plan(1_000, policy=PackagedPolicy(overage=PackagedOverage.SELF)))
    yield made
    made.finish()


OF_CONTRACT = Minimum(MinimumScope.CONTRACT, "310")


def charged(world: Signing) -> list[tuple[int, int, int, int]]:
    """(account, minimum, charged, drawn) of each that was settled for a contract."""
    return [
        (event.account, event.minimum, event.charged, sum(each.amount for each in event.slices))
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.MinimumCharged) and event.scope == 4
    ]


@pytest.fixture
def least(world: Signing) -> Signing:
    """The package's card asks for 310 a month of whoever has a contract."""
    publish_minimums(world.core, "plan", (OF_CONTRACT,))
    world.publish("least", plan(1_000, policy=PackagedPolicy(rate_card="plan")))
    return world


def test_a_contracts_minimum_is_of_the_time_that_it_runs(least: Signing) -> None:
    """Rules R2, S1: signed at the 11th, 21 of 31 days of 310 are 210, of which 40 were used; then
    300 of 310 in February; over at its 11th of March, 100 of 31 days."""
    least.to(START_US + 10 * DAY_US)
    least.sign(package="least", starts_at=START_US + 10 * DAY_US, ends_at=MARCH + 10 * DAY_US)
    least.use(40)
    least.to(FEBRUARY + 2 * DAY_US)
    least.use(300)
    least.to(APRIL + 2 * DAY_US)
    last = (ACME, 100, 0, 100)
    assert charged(least) == [(ACME, 210, 40, 170), (ACME, 310, 300, 10), last]


def test_a_contract_may_say_another_minimum(least: Signing) -> None:
    least.sign(package="least", minimum=620, ends_at=MARCH)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 620, 0, 620)]


def test_a_minimum_is_amended_from_an_instant_on(least: Signing) -> None:
    """Rules R2, S1: 620 for 10 of 31 days of January, 930 for 21: 200 + 630; from 15 February, as
    said before its time, what the card says: 14 of 28 days of 930 and of 310."""
    least.sign(package="least", minimum=620, ends_at=MARCH)
    least.to(START_US + 10 * DAY_US)
    amended = least.amend(minimum=930)
    assert (amended.minimum, amended.effective_at) == (930, START_US + 10 * DAY_US)
    least.amend(minimum=0, effective_at=FEBRUARY + 14 * DAY_US)
    assert least.contract().minimums == (
        (START_US, 620), (START_US + 10 * DAY_US, 930), (FEBRUARY + 14 * DAY_US, 0),
    )  # fmt: skip
    least.to(MARCH + 2 * DAY_US)
    assert charged(least) == [(ACME, 830, 0, 830), (ACME, 620, 0, 620)]


def test_a_minimum_of_the_past_counts_where_the_period_is_not_settled(least: Signing) -> None:
    """Rule T2: as of 22 January, said on 1 February, in January's grace; a settled period stays.
    What was said for later goes."""
    least.sign(package="least", minimum=310, ends_at=APRIL)
    least.amend(minimum=3_100, effective_at=MARCH)
    least.to(FEBRUARY + DAY_US // 2)
    least.amend(minimum=620, effective_at=START_US + 21 * DAY_US)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 410, 0, 410)]  # 21 of 31 days of 310, 10 of 620
    least.amend(minimum=6_200, effective_at=START_US + 21 * DAY_US)
    least.to(APRIL + 2 * DAY_US)
    assert charged(least)[1:] == [(ACME, 6_200, 0, 6_200), (ACME, 6_200, 0, 6_200)]


def test_a_minimum_that_the_card_does_not_know_is_refused(world: Signing) -> None:
    world.sign()
    refusal = world.refused(c.AmendContract(world.key(), ACME, "deal", minimum=5))
    assert (refusal.reason, refusal.field, refusal.value) == (
        Reason.CONTRACT_INVALID, "minimum", "5",
    )  # fmt: skip


def test_whoever_has_no_contract_pays_none(least: Signing) -> None:
    least.subscribe("least")
    least.sign(package="least", starts_at=APRIL, ends_at=APRIL + 90 * DAY_US)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == []


def test_a_childs_contract_is_no_part_of_its_parents_minimum(least: Signing) -> None:
    """Rule D8: usage of 30 of a child without, of 40 of one with a contract."""
    for number in (CHILD, 3):
        least.ask(c.CreateAccount(least.key(), TENANT, number, ACME, ACME, e.AccountPolicy()))
    least.sign(package="least")
    least.sign("own", account=3, package="starter", ends_at=FEBRUARY)
    least.use(30, account=CHILD)
    least.use(40, account=3)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 310, 30, 280)]


def test_a_true_up_below_that_is_due_counts_before_a_contract_ends_early(world: Signing) -> None:
    """Rule D7: the child's 40 were to be trued up since 2 February, and nothing was swept: of the
    contract's 100, which end on the 3rd, 60 are left to be."""
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.sign(committed=(committed(100, price=100),))
    below = (e.Segment(START_US, FEBRUARY, 40, 40),)
    world.ask(c.CreateCommitment(world.key(), CHILD, TERMS, below, (), b""))
    world.core.now = FEBRUARY + 2 * DAY_US
    world.core.begin_batch()
    world.end()
    events = [event for _, batch in world.core.batches for event in batch]
    assert [each.amount for each in events if isinstance(each, e.TrueUpCounted)] == [40]
    assert [each.units for each in events if isinstance(each, e.CommitmentEnded)] == [60]
