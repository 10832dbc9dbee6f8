"""What verify finds of contracts, and their prices against a plain list (rules P5, R4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import START_US
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from signing_world import APRIL, MARCH, Signing, committed
from test_package_prices import DOUBLE, FIVE, THREE, charge
from test_packages import ACME, FEBRUARY, HALF, plan
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import (
    PackagedOverage,
    PackagedPolicy,
)
from ledger.core.packing import drop_family, pack_family, unpack_family


@pytest.fixture
def world() -> Iterator[Signing]:
    made = Signing()
    made.publish("starter", plan(100))
    made.publish("enterprise", plan(1_000, policy=PackagedPolicy(overage=PackagedOverage.SELF)))
    yield made
    made.finish()


# -- what verify finds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.ContractSigned, {"starts_at": START_US + 1}, "start of the contract"),
        (e.ContractSigned, {"ends_at": START_US}, "end of the contract"),
        (e.ContractSigned, {"commitments": (9,)}, "commitment 9"),
        (e.ContractSigned, {"version_given": 77}, "version of the package"),
        (e.ContractBegun, {"at": HALF}, "start of the contract"),
        (e.ContractAmended, {"revision": 9}, "version of the contract"),
        (e.ContractAmended, {"effective_at": APRIL}, "time of an amendment"),
        (e.ContractAmended, {"rerate_from": 0}, "rated again"),
        (e.ContractAmended, {"ends_at": APRIL + 30 * DAY_US}, "time of the contract"),
        (e.ContractRenewed, {"starts_at": HALF}, "renewal"),
        (e.ContractRenewed, {"committed": ()}, "committed again"),
        (e.ContractEnded, {"ended_at": HALF}, "end of the term"),
        (e.ContractEnded, {"expected_version": 9}, "expected version"),
        (e.Subscribed, {"follow": e.Follow.FOLLOW}, "package of a contract"),
    ],
)
def test_verify_finds_what_no_contract_may_say(
    world: Signing, kind: type, changes: dict[str, Any], what: str
) -> None:
    """Rules P5, D7, R7: each sound entry, broken once."""
    world.sign(
        ends_at=FEBRUARY, auto_renew=1, overrides=(THREE,), committed=(committed(5, end=FEBRUARY),)
    )
    world.sign("after", starts_at=APRIL, ends_at=APRIL + 90 * DAY_US)
    world.to(HALF)
    world.amend(overrides=(FIVE,), effective_at=START_US + DAY_US, expected_version=1)
    world.to(FEBRUARY)
    world.to(MARCH)
    world.amend(auto_renew=2)
    world.to(APRIL)
    batches = world.core.batches
    place, index = next(
        (n, i)
        for n, (_, events) in enumerate(batches)
        for i, event in enumerate(events)
        if type(event) is kind
    )
    at, events = batches[place]
    told = [*events[:index], replace(events[index], **changes), *events[index + 1 :]]
    world.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
    found = judged(world.core, replays=False)
    world.core.batches = batches
    assert any(what in each.what for each in found), found


def test_a_price_that_was_to_come_later_comes_when_it_is_said_anew(world: Signing) -> None:
    """Rule P5: three from February on, then the same three from the middle of January on."""
    world.sign()
    world.amend(overrides=(THREE,), effective_at=FEBRUARY)
    world.amend(overrides=(THREE,), effective_at=HALF)
    assert charge(world.use(10)) == 10
    world.to(HALF)
    assert charge(world.use(10)) == 30
    world.to(FEBRUARY)
    assert charge(world.use(10)) == 30


# -- against a plain list --------------------------------------------------------------------------

OVERRIDES = {0: (), 2: (DOUBLE,), 3: (THREE,), 5: (FIVE,)}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("sign"), st.tuples(st.integers(-30, 30), st.integers(1, 60))),
        st.tuples(st.just("amend"), st.integers(-30, 40)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("use"), st.integers(0, 30)),
        st.tuples(st.just("pack"), st.just(0)),
    ),
    max_size=14,
)


@given(steps=steps, prices=st.lists(st.sampled_from(sorted(OVERRIDES)), min_size=14, max_size=14))
def test_usage_of_any_day_has_the_price_of_a_plain_list(
    steps: list[tuple[str, Any]], prices: list[int]
) -> None:
    """Rules P5, R4, D5: against a price for each day, written over by each signing, amendment and
    early end; contracts that would overlap are refused."""
    world = Signing()
    world.publish("enterprise", plan(10))
    world.to(START_US + 34 * DAY_US)
    world.to(START_US + 34 * DAY_US + 1)
    today = 34
    price = dict.fromkeys(range(300), 1)
    taken: dict[int, str] = {}
    for count, ((step, value), number) in enumerate(zip(steps, prices, strict=False)):
        name, now = f"deal {count}", START_US + today * DAY_US
        state = world.core.state
        if step == "sign":
            first, days = max(0, today + value[0]), value[1]
            if first + days <= today:
                continue
            start, end = START_US + first * DAY_US, START_US + (first + days) * DAY_US
            command = world.signing(name, starts_at=start, ends_at=end, overrides=OVERRIDES[number])
            span = range(first, first + days)
            if any(day in taken for day in span):
                assert world.refused(command).reason == Reason.CONTRACTS_OVERLAP
                continue
            world.ask(command)
            taken.update(dict.fromkeys(span, name))
            price.update(dict.fromkeys(span, number or 1))
        elif step in ("amend", "end"):
            going = [day for day in taken if day >= today]
            if not going:
                continue
            deal = taken[min(going)]
            days_of = [day for day, each in taken.items() if each == deal]
            if step == "end":
                if min(days_of) <= today:
                    continue  # within a day, which this list does not know
                world.end(deal)
                for day in days_of:
                    del taken[day]
                    price[day] = 1
                continue
            first = min(max(today + value, min(days_of)), max(days_of))
            world.amend(deal, overrides=OVERRIDES[number], effective_at=START_US + first * DAY_US)
            price.update({day: number or 1 for day in days_of if day >= first})
        elif step == "wait":
            today += value
            world.to(START_US + today * DAY_US + today)
        elif step == "pack":
            body = pack_family(state, ACME, state.settled_before)
            drop_family(state, ACME)
            unpack_family(state, body)
        else:
            day = max(0, today - value)
            if now - START_US - day * DAY_US < 34 * DAY_US:
                at = START_US + day * DAY_US if day < today else state.now
                assert charge(world.use(1, at=at)) == price[day], (day, today)
    world.finish()
