"""Balances as they change: durable states alone, nothing missed, slow readers cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from ledger.api.positions import encode_position
from ledger.v1 import account_pb2, budget_pb2, decision_pb2, types_pb2
from ledger.v1 import balance_pb2 as pb
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import TENANT, Served, card, event, refused
from tests.api.test_overrides import cheaper, put
from tests.patience import HANGS_S


class Reader:
    """One stream, and what it has shown so far put together."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.available: dict[str, str] = {}
        self.messages: list[pb.WatchResponse] = []

    async def next(self) -> pb.WatchResponse:
        async with asyncio.timeout(HANGS_S):
            message = await self.call.read()
        assert message is not grpc.aio.EOF
        for account in message.accounts:
            for balance in account.balances:
                self.available[account.account] = balance.available
        self.messages.append(message)
        return message

    async def until(self, account: str, available: int) -> pb.WatchResponse:
        while self.available.get(account) != str(available):
            await self.next()
        return self.messages[-1]


@asynccontextmanager
async def watching(caller: Served, *accounts: str, **fields: Any) -> AsyncIterator[Reader]:
    call = caller.balances.Watch(pb.WatchRequest(tenant=TENANT, accounts=accounts, **fields))
    try:
        yield Reader(call)
    finally:
        call.cancel()


async def refusal(caller: Served, *accounts: str, **fields: Any):
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async with watching(caller, *accounts, **fields) as reader:
            await reader.next()
    return refused(raised.value)


async def family(caller: Served) -> None:
    await caller.account("acme")
    for name in ("a", "b"):
        await caller.account(f"acme/{name}", parent="acme")
    await caller.grant("acme/a", 1_000)
    await caller.grant("acme/b", 500)


async def test_the_first_message_is_whole_and_the_next_says_what_changed(priced: Served):
    await family(priced)
    async with watching(priced, "acme", subtree=True) as reader:
        first = await reader.next()
        assert first.snapshot and first.position
        assert [each.account for each in first.accounts] == ["acme", "acme/a", "acme/b"]
        assert first.accounts[0].prices.rate_card == "default"
        assert first.accounts[0].prices.rate_card_version >= 1
        await priced.ingest(event("e", "acme/a", input_tokens=10, output_tokens=0))
        second = await reader.next()
        assert not second.snapshot and second.batches >= 1
        assert [each.account for each in second.accounts] == ["acme/a"]
        [balance] = second.accounts[0].balances
        assert (balance.asset, balance.available, balance.granted) == ("credit", "970", "970")
        assert not second.accounts[0].HasField("prices")


async def test_another_family_wakes_nobody(priced: Served):
    await family(priced)
    await priced.account("other")
    async with watching(priced, "acme") as reader:
        await reader.next()
        await priced.grant("other", 5)
        await priced.grant("acme", 7)
        message = await reader.next()
        assert reader.available == {"acme": "7"}
        assert [each.account for each in message.accounts] == ["acme"]


async def test_holds_are_shown_as_they_open_and_end(priced: Served):
    await family(priced)
    async with watching(priced, "acme/a", holds=True) as reader:
        await reader.next()
        held = await priced.decisions.Authorize(
            decision_pb2.AuthorizeRequest(
                tenant=TENANT,
                request_id="hold",
                account="acme/a",
                product="chat",
                quantities={"input_tokens": 100},
            )
        )
        opened = (await reader.until("acme/a", 700)).accounts[0].holds
        assert [(each.hold_id, each.state, each.left) for each in opened] == [
            (held.hold_id, types_pb2.HOLD_STATE_OPEN, 300)
        ]
        await priced.decisions.Release(
            decision_pb2.ReleaseRequest(tenant=TENANT, request_id="release", hold_id=held.hold_id)
        )
        ended = (await reader.until("acme/a", 1_000)).accounts[0].holds
        assert [(each.hold_id, each.state) for each in ended] == [
            (held.hold_id, types_pb2.HOLD_STATE_RELEASED)
        ]


async def test_budgets_and_prices_are_shown_as_they_change(priced: Served):
    await family(priced)
    async with watching(priced, "acme/a", budgets=True) as reader:
        await reader.next()
        await priced.budgets.Set(
            budget_pb2.BudgetServiceSetRequest(
                tenant=TENANT,
                request_id="budget",
                account="acme/a",
                budget=budget_pb2.Budget(
                    name="calls", measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=2
                ),
            )
        )
        [budget] = (await reader.next()).accounts[0].budgets
        assert (budget.name, budget.limit, budget.used, budget.left) == ("calls", 2, "0", "2")
        await priced.ingest(event("e", "acme/a", input_tokens=1, output_tokens=0))
        [budget] = (await reader.until("acme/a", 997)).accounts[0].budgets
        assert (budget.used, budget.left) == ("1", "1")
        await priced.budgets.Remove(
            budget_pb2.BudgetServiceRemoveRequest(
                tenant=TENANT, request_id="gone", account="acme/a", name="calls"
            )
        )
        [account] = (await reader.next()).accounts
        assert account.no_budgets and not account.budgets


async def test_a_slow_reader_is_shown_the_last_state_once(priced: Served):
    """What has changed within the interval comes as one message, with the number of batches."""
    await family(priced)
    async with watching(priced, "acme/a", min_interval_us=200_000) as reader:
        await reader.next()
        began_s = asyncio.get_running_loop().time()
        for number in range(20):
            await priced.ingest(event(f"e-{number}", "acme/a", input_tokens=1, output_tokens=0))
        await reader.until("acme/a", 1_000 - 20 * 3)
        intervals = (asyncio.get_running_loop().time() - began_s) / 0.2
        assert len(reader.messages) <= intervals + 3
        assert sum(message.batches for message in reader.messages[1:]) == 20


async def test_whoever_comes_back_with_a_position_is_shown_all_of_then(priced: Served):
    await family(priced)
    async with watching(priced, "acme/a") as reader:
        position = (await reader.next()).position
    await priced.ingest(event("e", "acme/a", input_tokens=10, output_tokens=0))
    async with watching(priced, "acme/a", after_position=position) as reader:
        message = await reader.next()
        assert message.snapshot and reader.available == {"acme/a": "970"}


async def test_accounts_that_are_opened_later_come_as_they_are_opened(priced: Served):
    await family(priced)
    async with watching(priced, "acme", subtree=True) as reader:
        await reader.next()
        await priced.account("acme/c", parent="acme")
        message = await reader.next()
        assert [each.account for each in message.accounts] == ["acme/c"]


async def test_an_account_that_moves_away_is_named_once(priced: Served):
    await family(priced)
    await priced.account("acme/a/x", parent="acme/a")
    async with watching(priced, "acme/a", subtree=True) as reader:
        await reader.next()
        await priced.accounts.Move(
            account_pb2.MoveRequest(
                tenant=TENANT,
                request_id="move",
                account="acme/a/x",
                parent="acme/b",
                expected_version=1,
            )
        )
        assert list((await reader.next()).gone) == ["acme/a/x"]
        await priced.grant("acme/a", 1)
        assert not (await reader.until("acme/a", 1_001)).gone


async def test_a_hundred_readers_agree_with_what_is_read(priced: Served):
    """Whatever happens meanwhile, each reader ends at the balance that Get shows."""
    await family(priced)
    readers = [watching(priced, "acme/a", "acme/b") for _ in range(100)]
    async with asyncio.timeout(HANGS_S):
        opened = [await each.__aenter__() for each in readers]
        await asyncio.gather(*[each.next() for each in opened])
        calls = [
            priced.ingest(event(f"e-{number}", "acme/a", input_tokens=2, output_tokens=0))
            for number in range(50)
        ]
        await asyncio.gather(*calls)
        await asyncio.gather(*[each.until("acme/a", 1_000 - 50 * 6) for each in opened])
        for each in readers:
            with suppress(asyncio.CancelledError):
                await each.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("accounts", "fields", "reason", "field"),
    [
        ((), {}, "WATCH_LIMIT", "accounts"),
        (("acme",) * 201, {}, "WATCH_LIMIT", "accounts"),
        (("acme", "other"), {}, "WATCH_FAMILIES", "accounts"),
        (("nobody",), {}, "ACCOUNT_UNKNOWN", "accounts"),
        (("acme",), {"min_interval_us": -1}, "NUMBER_OUT_OF_RANGE", "min_interval_us"),
        (("acme",), {"min_interval_us": 60_000_001}, "NUMBER_OUT_OF_RANGE", "min_interval_us"),
        (("acme",), {"after_position": "?"}, "POSITION_INVALID", "min_position"),
    ],
)
async def test_what_cannot_be_watched(priced: Served, accounts, fields, reason, field):
    await family(priced)
    await priced.account("other")
    found = await refusal(priced, *accounts, **fields)
    assert found.reason == reason
    assert field in (found.metadata.get("field"), *[name for name, _ in found.violations])


async def test_a_position_that_the_shard_has_not_reached_is_said(priced: Served):
    await family(priced)
    shard = (await priced.ledger.resolve(1, "acme")).shard
    ahead = encode_position({shard: 10**9})
    found = await refusal(priced, "acme", after_position=ahead)
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_AHEAD")


async def test_a_price_that_changes_wakes_whoever_it_concerns(priced: Served):
    await family(priced)
    async with watching(priced, "acme", "acme/a") as reader:
        before = (await reader.next()).accounts[0].prices.rate_card_version
        await priced.pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(
                tenant=TENANT,
                request_id="dearer",
                expected_version=before,
                card=card(
                    rows=[
                        card_pb2.PriceRow(
                            product="chat", quantity="input_tokens", price="0.000004"
                        ),
                        card_pb2.PriceRow(
                            product="chat", quantity="output_tokens", price="0.000004"
                        ),
                        card_pb2.PriceRow(
                            product="chat", quantity="cached_tokens", price="0.000001"
                        ),
                    ]
                ),
            )
        )
        message = await reader.next()
        assert [each.prices.rate_card_version for each in message.accounts] == [before + 1] * 2
        assert not message.accounts[0].balances


async def alias(caller: Served, means: str, version: int = 0) -> int:
    """The version that the alias `pro` has from now on."""
    request = pricing_pb2.SetRateCardAliasRequest(
        tenant=TENANT,
        request_id=f"means-{means}",
        expected_version=version,
        alias="pro",
        rate_card=means,
    )
    return int((await caller.pricing.SetRateCardAlias(request)).alias.version)


async def test_a_price_above_an_account_or_behind_an_alias_wakes_whoever_it_concerns(
    priced: Served,
):
    for name in ("one", "two"):
        await priced.pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(
                tenant=TENANT, request_id=name, expected_version=0, card=card(name=name)
            )
        )
    version = await alias(priced, "one")
    await priced.account("acme", rate_card="pro")
    await priced.account("acme/a", parent="acme")
    async with watching(priced, "acme/a") as reader:
        seen = [(await reader.next()).accounts[0].prices]
        await alias(priced, "two", version)
        seen.append((await reader.next()).accounts[0].prices)
        for places in ("0.5", "0.25"):
            await put(priced, "acme", cheaper(places))
            seen.append((await reader.next()).accounts[0].prices)
    assert {(each.rate_card, each.overrides_version) for each in seen} == {("pro", 0)}
    versions = [each.rate_card_version for each in seen]
    assert 0 < versions[0] < versions[1] and versions[1:] == [versions[1]] * 3
    assert len({each.revision for each in seen}) == 4
    async with watching(priced, "acme/a") as reader:  # whoever comes back compares
        assert (await reader.next()).accounts[0].prices.revision == seen[-1].revision


async def test_nobody_is_kept_when_readers_go(priced: Served):
    await family(priced)
    shard = (await priced.ledger.resolve(1, "acme")).shard
    async with watching(priced, "acme") as reader:
        await reader.next()
        assert priced.ledger.writers[shard].watchers
    async with asyncio.timeout(HANGS_S):
        while priced.ledger.writers[shard].watchers:
            await priced.grant("acme", 1, request_id=f"wake-{priced.ledger.clock.now_us()}")
