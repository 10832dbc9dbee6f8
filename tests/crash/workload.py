"""A workload whose every acknowledgement is remembered, and resent until there is one.

Batches are made from their number alone, so that a resent batch is the same batch. What the server
acknowledged is kept with its charge; at the end everything is sent once more and must be answered
as a replay of the same outcome.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import grpc

from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    balance_pb2,
    balance_pb2_grpc,
    grant_pb2,
    grant_pb2_grpc,
    types_pb2,
    usage_pb2,
    usage_pb2_grpc,
)
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc
from tests.patience import HANGS_S

TENANT = "default"
ACCOUNTS = 12  # three families of four
EVENTS_A_BATCH = 40
GRANTED = 10**12
PRICE = 1_000  # minor units a token
RECORDED = {usage_pb2.INGEST_OUTCOME_APPLIED, usage_pb2.INGEST_OUTCOME_SUSPENSE}
AGAIN = {usage_pb2.INGEST_OUTCOME_RETRY, usage_pb2.INGEST_OUTCOME_UNKNOWN}
RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        "loadBalancingConfig": [{"round_robin": {}}],  # where an address names several servers
    }
)
RETRIED_CODES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def patient_channel(address: str) -> grpc.aio.Channel:
    """A channel whose calls are tried again while the server says UNAVAILABLE, as clients do."""
    return grpc.aio.insecure_channel(address, [("grpc.service_config", RETRIES)])


Reply = TypeVar("Reply")


async def insisting(call: Callable[[], Awaitable[Reply]]) -> Reply:
    """The reply of a call that is safe to repeat, asked until there is one: a server on a busy
    machine may be late with its lease longer than a channel tries, or amid what it publishes."""
    async with asyncio.timeout(HANGS_S):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in (*RETRIED_CODES, grpc.StatusCode.UNKNOWN):
                    raise
                await asyncio.sleep(0.02)


def account_name(number: int) -> str:
    root = f"root-{number // 4}"
    return root if number % 4 == 0 else f"{root}/child-{number % 4}"


def card_of(*more: card_pb2.PriceRow) -> card_pb2.RateCard:
    """The prices of the workload, and others."""
    return card_pb2.RateCard(
        name="default",
        asset="USD",
        asset_scale=9,
        meters=[card_pb2.Meter(quantity="tokens")],
        rows=[card_pb2.PriceRow(product="chat", quantity="tokens", price="0.000001"), *more],
    )


def batch_of(number: int) -> usage_pb2.IngestRequest:
    """The batch with that number: always the same."""
    events = []
    for index in range(EVENTS_A_BATCH):
        mixed = number * EVENTS_A_BATCH + index
        events.append(
            usage_pb2.UsageEvent(
                id=f"event-{number}-{index}",
                account=account_name(mixed * 7 % ACCOUNTS),
                quantities={"tokens": 1 + mixed % 50},
            )
        )
    return usage_pb2.IngestRequest(tenant=TENANT, source="crash", product="chat", events=events)


async def send_again(address: str, batches: Iterable[int]) -> set[tuple[int, int]]:
    """Send these batches once more; returns the events (batch, index) that were there already."""
    replayed = set()
    async with patient_channel(address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)
        for number in sorted(batches):
            for index, result in enumerate(await answered(stub, batch_of(number))):
                if result.replayed:
                    replayed.add((number, index))
    return replayed


@dataclass
class Workload:
    """Sends batches 0, 1, 2 … from several senders until told to stop."""

    address: str
    acknowledged: dict[tuple[int, int], int] = field(default_factory=dict)  # -> charge
    started: set[int] = field(default_factory=set)
    completed: set[int] = field(default_factory=set)
    told: Counter[int] = field(default_factory=Counter)  # outcomes of events to be sent again
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)
    stopping: bool = False
    _next: int = 0

    async def prepare(self) -> None:
        """Assets, prices, accounts and grants."""
        async with patient_channel(self.address) as channel:
            pricing = pricing_pb2_grpc.PricingServiceStub(channel)
            usd = pricing_pb2.Asset(asset="USD", scale=9, kind=pricing_pb2.ASSET_KIND_MONEY)
            asset = pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="usd", asset=usd)
            await insisting(partial(pricing.CreateAsset, asset))
            card = pricing_pb2.PublishRateCardRequest(
                tenant=TENANT, request_id="card", card=card_of()
            )
            published = await insisting(partial(pricing.PublishRateCard, card))
            assert not published.faults
            accounts = account_pb2_grpc.AccountServiceStub(channel)
            grants = grant_pb2_grpc.GrantServiceStub(channel)
            for number in range(ACCOUNTS):
                name = account_name(number)
                account = account_pb2.AccountServiceCreateRequest(
                    tenant=TENANT,
                    request_id=f"create-{number}",
                    account=name,
                    parent="" if number % 4 == 0 else name.split("/")[0],
                )
                await insisting(partial(accounts.Create, account))
                grant = grant_pb2.GrantServiceIssueRequest(
                    tenant=TENANT,
                    request_id=f"grant-{number}",
                    account=name,
                    asset="USD",
                    amount=GRANTED,
                    kind=types_pb2.GRANT_KIND_PREPAID,
                )
                await insisting(partial(grants.Issue, grant))

    async def sender(self) -> None:
        """Take the next batch and send it until every event of it is acknowledged."""
        async with patient_channel(self.address) as channel:
            stub = usage_pb2_grpc.UsageServiceStub(channel)
            while not self.stopping:
                number = self._next
                self._next += 1
                self.started.add(number)
                await self._deliver(stub, number)

    async def _deliver(self, stub: usage_pb2_grpc.UsageServiceAsyncStub, number: int) -> None:
        request = batch_of(number)
        while True:
            try:
                reply = await stub.Ingest(request, timeout=20, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED_CODES:
                    raise
                continue
            again = False
            for index, result in enumerate(reply.results):
                if result.outcome in AGAIN:
                    again = True
                    self.told[result.outcome] += 1
                    continue
                assert result.outcome in RECORDED, result
                self._acknowledge((number, index), result.charge)
            if not again:
                self.completed.add(number)
                async with self.progress:
                    self.progress.notify_all()
                return
            await asyncio.sleep(0.01)

    def _acknowledge(self, event: tuple[int, int], charge: int) -> None:
        known = self.acknowledged.setdefault(event, charge)
        assert known == charge, f"{event} was acknowledged with {known}, now with {charge}"

    async def reached(self, completed: int) -> None:
        """Return when so many batches are acknowledged whole."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.completed) >= completed)

    @property
    def events(self) -> int:
        """How many were sent, each counted once."""
        return len(self.started) * EVENTS_A_BATCH

    async def look(self) -> Found:
        """Send everything once more, and look at the balances; to be called when nobody sends."""
        found = Found()
        async with patient_channel(self.address) as channel:
            stub = usage_pb2_grpc.UsageServiceStub(channel)
            for number in sorted(self.started):
                for index, result in enumerate(await answered(stub, batch_of(number))):
                    place = (number, index)
                    if not result.replayed or result.charge != self.acknowledged[place]:
                        found.lost.append(f"event {place}: {result}")
            balances = balance_pb2_grpc.BalanceServiceStub(channel)
            charged = self._charged()
            for name, expected in charged.items():
                request = balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=name)
                balance = await insisting(partial(balances.Get, request))
                used = GRANTED - sum(int(asset.available) for asset in balance.balances)
                found.compare(name, expected, used)
        assert sum(self.acknowledged.values()) == sum(charged.values()), "the wrong price"
        return found

    async def check(self) -> None:
        """Everything sent is a replay, and the balances show each event once."""
        found = await self.look()
        assert not found.lost, f"acknowledged, and not there: {found.lost[:5]}"
        assert not found.charged_wrong, found.charged_wrong

    def _charged(self) -> dict[str, int]:
        charged = {account_name(number): 0 for number in range(ACCOUNTS)}
        for number in self.started:
            for event in batch_of(number).events:
                charged[event.account] += event.quantities["tokens"] * PRICE
        return charged


@dataclass
class Found:
    """What is not as it was acknowledged."""

    lost: list[str] = field(default_factory=list)
    charged_wrong: dict[str, int] = field(default_factory=dict)  # account -> minor units too many

    def compare(self, account: str, expected: int, used: int) -> None:
        if used != expected:
            self.charged_wrong[account] = used - expected

    def __add__(self, other: Found) -> Found:
        return Found(self.lost + other.lost, self.charged_wrong | other.charged_wrong)


async def answered(
    stub: usage_pb2_grpc.UsageServiceAsyncStub, request: usage_pb2.IngestRequest
) -> list[usage_pb2.IngestResult]:
    """A batch's results, sent again until each says what became of its event."""
    async with asyncio.timeout(HANGS_S):
        while True:
            try:
                reply = await stub.Ingest(request, timeout=20, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED_CODES:
                    raise
                continue
            if not any(result.outcome in AGAIN for result in reply.results):
                assert all(result.outcome in RECORDED for result in reply.results), reply
                return list(reply.results)
            await asyncio.sleep(0.01)
