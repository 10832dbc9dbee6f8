"""A lease that this process holds, of a real server: decisions, reports, renewals, return (H7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ledger.client import ALLOWED, DrawdownClient, LeaseTerms, LocalPrices, UsageEvent
from ledger.client.lease_core import AcquireRequest, LeaseCore, RenewRequest, ReportRequest
from ledger.v1 import budget_pb2, decision_pb2, lease_pb2
from rating.card import Meter, PriceRow, Product, RateCard
from rating.v1 import card_pb2
from tests.api.served import TENANT, Served
from tests.patience import HANGS_S

SOON = LeaseTerms(wanted=3_000, report_every_us=20_000, ask_every_us=20_000)


@pytest.fixture
async def holding(served: Served) -> AsyncIterator[DrawdownClient]:
    """A call of 100 and 20 tokens costs 600 of the 10,000 units of `acme`."""
    await served.priced()
    await served.account("acme")
    await served.grant("acme", 10_000)
    async with DrawdownClient(served.address, tenant=served.tenant) as client:
        yield client


def used(number: int) -> UsageEvent:
    return UsageEvent(f"e-{number}", "", {"input_tokens": 100, "output_tokens": 20})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANGS_S):
        while not holds():
            await asyncio.sleep(0.005)


async def test_it_decides_until_the_balance_is_used_up(holding: DrawdownClient) -> None:
    """16 calls of 600 are affordable, and 400 units are left."""
    allowed = 0
    async with holding.hold_lease("acme", "chat", SOON, holder="edge-1") as lease:
        assert lease.remaining == 3_000
        [shown] = [each async for each in holding.list_leases("acme")]
        assert (shown.holder, shown.left) == ("edge-1", 3_000)
        for number in range(16):
            await until(lambda: lease.remaining >= 600)
            assert lease.spend(600, used(number))
            allowed += 1
        await until(lambda: lease.remaining == 400)
        assert not lease.try_spend(401)
        assert not lease.unrecorded
    [balance] = (await holding.balance("acme")).balances
    assert (balance.available, balance.leased) == ("400", "0")
    assert allowed == 16


async def test_work_that_is_not_done_gives_its_units_back(holding: DrawdownClient) -> None:
    async with holding.hold_lease("acme", "chat", SOON) as lease:
        assert lease.try_spend(600)
        assert lease.remaining == 2_400
        lease.give_up(600)
        assert lease.remaining == 3_000
        lease_id = lease.lease_id
    ended = await holding.show_lease(lease_id)
    assert (ended.state, ended.reports) == (lease_pb2.LEASE_STATE_RETURNED, 0)
    assert [each.in_escrow for each in await holding.lease_exposure("acme")] == []


@pytest.mark.parametrize("turns", [1, 4, 12, 20, 32])
async def test_who_is_cancelled_as_a_lease_begins_or_ends_leaves_nothing_in_escrow(
    served: Served, holding: DrawdownClient, turns: int
) -> None:
    """The client is closed right away, and waits for the return. With CHARGE the slice would stay
    charged for good."""
    async with DrawdownClient(served.address, tenant=served.tenant) as client:

        async def work() -> None:
            lapse = lease_pb2.LEASE_LAPSE_CHARGE
            async with client.hold_lease("acme", "chat", SOON, on_lapse=lapse):
                pass

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    [balance] = (await holding.balance("acme")).balances
    assert (balance.available, balance.leased) == ("10000", "0")


@pytest.mark.parametrize("beside", [0, 1])
async def test_usage_that_no_message_holds_is_told_and_keeps_nothing_from_being_reported(
    holding: DrawdownClient, beside: int
) -> None:
    odd = [
        UsageEvent("\ud800", "", {"input_tokens": 100}),
        UsageEvent("e-large", "", {"input_tokens": 2**64}),
    ]
    async with holding.hold_lease("acme", "chat", SOON) as lease:
        for event in [*odd, *[used(number) for number in range(beside)]]:
            assert lease.spend(600, event)
        await until(lambda: len(lease.unrecorded) >= 2)
        await until(lambda: lease.core.waiting == 0)
        assert lease.spend(600, used(7))
    assert [event for event, _ in lease.unrecorded] == odd
    [balance] = (await holding.balance("acme")).balances
    assert (balance.available, balance.leased) == (str(10_000 - 600 * (beside + 1)), "0")


async def test_a_recall_is_met(holding: DrawdownClient) -> None:
    async with holding.hold_lease("acme", "chat", SOON) as lease:
        await holding.recall_lease(lease.lease_id, 1_000)
        assert lease.spend(600, used(1))  # its report is told
        await until(lambda: lease.remaining <= 1_000)


async def test_why_there_is_none(holding: DrawdownClient) -> None:
    async with holding.hold_lease("nobody", "chat", SOON) as lease:
        assert (lease.refused, lease.remaining) == ("ACCOUNT_UNKNOWN", 0)
        assert not lease.try_spend(1)


async def test_it_prices_by_a_pinned_sheet(holding: DrawdownClient) -> None:
    card = RateCard(
        name="default",
        asset="credit",
        asset_scale=6,
        meters=(Meter("input_tokens"), Meter("output_tokens")),
        products=(Product("chat"),),
        rows=(
            PriceRow(product="chat", quantity="input_tokens", price="0.000003"),
            PriceRow(product="chat", quantity="output_tokens", price="0.000015"),
        ),
    )
    prices = LocalPrices(card, 2)
    assert prices.amount("chat", {}, {"output_tokens": 20, "input_tokens": 100}) == 600
    with pytest.raises(ValueError, match="has no price"):
        prices.amount("images", {}, {"pictures": 1})
    async with holding.hold_lease("acme", "chat", SOON, prices=prices) as lease:
        assert lease.spend_priced(used(1))
        assert lease.remaining == 2_400
    [balance] = (await holding.balance("acme")).balances
    assert balance.available == "9400"


async def nested(served: Served) -> None:
    """One unit a piece of work: `bot` may spend 500 of `team`'s 700 of the company's 900, and has
    2,000 credits."""
    price = {"product": "chat", "quantity": "calls", "price": "0.000001"}
    meters = [card_pb2.Meter(quantity="calls")]
    await served.priced(meters=meters, rows=[card_pb2.PriceRow(**price)])
    await served.account("company")
    await served.account("team", parent="company")
    await served.account("bot", parent="team")
    await served.grant("bot", 2_000)
    for account, limit in (("company", 900), ("team", 700), ("bot", 500)):
        budget = budget_pb2.Budget(
            name="limit", measure=budget_pb2.BUDGET_MEASURE_CHARGE, asset="credit", limit=limit
        )
        await served.budgets.Set(
            budget_pb2.BudgetServiceSetRequest(
                tenant=served.tenant, request_id=served.new_id(), account=account, budget=budget
            )
        )


async def used_exactly(served: Served, client: DrawdownClient) -> None:
    """All 500 count in each budget, nothing is reserved any more, and the credits say the same."""
    for account in ("company", "team", "bot"):
        shown = await served.budgets.Get(
            budget_pb2.BudgetServiceGetRequest(tenant=served.tenant, account=account, name="limit")
        )
        assert (shown.budget.used, shown.budget.pending) == ("500", "0")
    balances = (await client.balance("bot")).balances
    assert [each.available for each in balances] == ["1500"]


class Allowed:
    """How much work was let go ahead; a second after all of it was, callers give up."""

    def __init__(self, affordable: int) -> None:
        self.count = 0
        self.enough = asyncio.Event()
        self._affordable = affordable

    def one(self) -> None:
        self.count += 1
        if self.count == self._affordable:
            asyncio.get_running_loop().call_later(1, self.enough.set)


async def by_lease(client: DrawdownClient, allowed: Allowed, number: int) -> None:
    """A caller that holds a lease of its own, and goes on until nothing is to be had."""
    terms = LeaseTerms(wanted=8, report_every_us=50_000, ask_every_us=100_000)
    async with client.hold_lease("bot", "chat", terms, holder=f"caller-{number}") as lease:
        done = 0
        while not allowed.enough.is_set():
            if lease.spend(1, UsageEvent(f"{number}-{done}", "", {"calls": 1})):
                done += 1
                allowed.one()
            await asyncio.sleep(0.01)
        assert not lease.unrecorded


async def by_hold(client: DrawdownClient, allowed: Allowed, number: int) -> None:
    """A caller that holds before, and settles after."""
    while not allowed.enough.is_set():
        held = await client.authorize("bot", "chat", {"calls": 1})
        if held.decision in ALLOWED:
            await client.capture(held.hold_id, {"calls": 1})
            allowed.one()
        else:
            await asyncio.sleep(0.05)


async def by_stream(client: DrawdownClient, allowed: Allowed, number: int) -> None:
    """A caller that debits on a stream of its own, one after the other."""
    answered = asyncio.Event()
    answered.set()

    async def items() -> AsyncIterator[decision_pb2.DecideItem]:
        done = 0
        while not allowed.enough.is_set():
            await answered.wait()
            answered.clear()
            done += 1
            debit = decision_pb2.DebitRequest(
                tenant=TENANT,
                request_id=f"stream-{number}-{done}",
                account="bot",
                product="chat",
                quantities={"calls": 1},
            )
            yield decision_pb2.DecideItem(number=done, debit=debit)

    async for reply in client.decide_stream(items()):
        assert not reply.HasField("error"), reply
        if reply.debit.decision in ALLOWED:
            allowed.one()
        else:
            await asyncio.sleep(0.05)
        answered.set()


@pytest.mark.parametrize("ways", [(by_lease,), (by_lease, by_hold, by_stream)])
async def test_200_callers_within_three_nested_limits(
    served: Served, ways: tuple[Any, ...]
) -> None:
    """Each goes on until nothing is to be had: exactly 500 are let go ahead, and nothing is over,
    whoever of them gets how much, and in whichever way they ask."""
    await nested(served)
    allowed = Allowed(500)
    async with DrawdownClient(served.address, tenant=served.tenant) as client:
        async with asyncio.timeout(HANGS_S):
            await asyncio.gather(
                *[ways[number % len(ways)](client, allowed, number) for number in range(200)]
            )
        assert allowed.count == 500
        await used_exactly(served, client)


# -- the core --------------------------------------------------------------------------------------


def test_the_deadline_is_by_when_it_was_first_asked_for() -> None:
    """Term 60 s and margin 6 s from the first try on, however late the answer comes."""
    core: LeaseCore[str] = LeaseCore(LeaseTerms(100), "a")
    first = core.next_request(1_000_000)
    assert isinstance(first, AcquireRequest)
    assert core.next_request(1_500_000) is None
    core.failed(first.number, 3_000_000, 10)
    assert core.next_request(3_000_005) is None
    assert core.next_request(3_000_010) is first
    core.acquired(first.number, "lease", 100, 60_000_000, 6_000_000, 4_000_000)
    core.acquired(first.number, "other", 900, 60_000_000, 6_000_000, 4_000_001)  # doubled
    assert (core.lease_id, core.remaining, core.deadline_us) == ("lease", 100, 55_000_000)
    assert core.try_spend(10, 54_999_999)
    assert not core.try_spend(10, 55_000_000)


def test_what_is_not_reported_stays_bound_over_a_renewal() -> None:
    core: LeaseCore[str] = LeaseCore(LeaseTerms(100, report_every_us=10**9), "a")
    asked = core.next_request(0)
    assert isinstance(asked, AcquireRequest)
    core.acquired(asked.number, "lease", 100, 60_000_000, 6_000_000, 0)
    assert core.try_spend(80, 1)
    core.record("e", 80, 1)
    renewal = core.next_request(2)
    assert isinstance(renewal, RenewRequest)
    assert (renewal.wanted, renewal.keep) == (180, 100)
    assert core.try_spend(20, 3)
    assert not core.try_spend(1, 3)
    core.renewed(renewal.number, 150, 150, 60_000_000, 6_000_000, 4)
    assert (core.remaining, core.spent) == (50, 100)
    core.close()
    report = core.next_request(5)
    assert isinstance(report, ReportRequest)
    assert report.events == (("e", 80),)
    core.reported(report.number, 70, 70, (), True)
    assert (core.remaining, core.spent) == (50, 20)


def test_work_of_a_lost_lease_that_is_given_up_is_no_room_in_the_next() -> None:
    """Else the next one lets more go ahead than it has."""
    core: LeaseCore[str] = LeaseCore(LeaseTerms(100), "a")

    def has_a_lease(lease_id: str, now_us: int) -> None:
        asked = core.next_request(now_us)
        assert isinstance(asked, AcquireRequest)
        core.acquired(asked.number, lease_id, 100, 60_000_000, 6_000_000, now_us)

    has_a_lease("first", 0)
    assert core.try_spend(60, 1)
    renewal = core.next_request(50_000_000)
    assert isinstance(renewal, RenewRequest)
    core.lost(renewal.number, "LEASE_LAPSED", 61_000_000, 0)
    has_a_lease("second", 61_000_000)
    assert core.try_spend(80, 61_000_001)
    core.give_up(60)  # of the first
    assert core.remaining == 20
    core.give_up(80)  # of the second
    assert core.remaining == 100
