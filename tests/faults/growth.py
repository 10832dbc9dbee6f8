"""Accounts that are opened and prices that are published while everything is killed.

Beside the workload's usage: one at a time, each call repeated as it is until it is answered, as a
client does. What was acknowledged must be there once, under the same request ids.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

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
from tests.crash.workload import (
    GRANTED,
    PRICE,
    RETRIED_CODES,
    TENANT,
    Found,
    answered,
    card_of,
    patient_channel,
)
from tests.patience import HANGS_S

PAUSE_S: Final = 0.2
FAMILY: Final = 3  # a root and its children
EVENTS: Final = 2  # for each account
PUBLISHED_EVERY: Final = 4  # accounts: about once a second
CARD: Final = "default"


def grown(number: int) -> str:
    root = f"grown-{number - number % FAMILY}"
    return root if number % FAMILY == 0 else f"{root}/{number % FAMILY}"


@dataclass
class Growth:
    """`run` until `stopping`, then `look`."""

    address: str
    accounts: int = 0
    charges: dict[int, int] = field(default_factory=dict)  # account's number -> of its usage
    published: Counter[bytes] = field(default_factory=Counter)  # content hash, as acknowledged
    stopping: bool = False

    @property
    def events(self) -> int:
        """How many were sent, each counted once."""
        return self.accounts * EVENTS

    async def run(self) -> None:
        """Open accounts, grant and use, and publish prices between."""
        async with patient_channel(self.address) as channel:
            calls = _Calls(channel)
            latest = await calls.latest()
            while not self.stopping:
                await calls.open(self.accounts)
                await calls.grant(self.accounts)
                results = await calls.use(self.accounts)
                self.charges[self.accounts] = sum(result.charge for result in results)
                self.accounts += 1
                if self.accounts % PUBLISHED_EVERY == 0:
                    version = await calls.publish(self.accounts, latest)
                    self.published[version.content_hash] += 1
                    latest = version.version
                await asyncio.sleep(PAUSE_S)

    async def look(self) -> Found:
        """What is lost or charged wrong; to be called when `run` has ended."""
        found = Found()
        async with patient_channel(self.address) as channel:
            calls = _Calls(channel)
            for number in range(self.accounts):
                name = grown(number)
                if not await calls.open(number):
                    found.lost.append(f"account {name}")
                if not await calls.grant(number):
                    found.lost.append(f"grant of {name}")
                results = await calls.use(number)
                found.lost += [f"usage of {name}: {each}" for each in results if not each.replayed]
                found.compare(name, self.charges[number], GRANTED - await calls.available(name))
            versions = await calls.versions()
            # The workload's own is the first, and nobody else publishes.
            found.lost += [f"prices {each.hex()}" for each in self.published - versions]
            doubled = versions - self.published
            assert doubled.total() == 1, f"published more than once: {doubled}"
        return found


class _Calls:
    """Each is repeated until it is answered; where it may be a replay it returns whether it was."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._accounts = account_pb2_grpc.AccountServiceStub(channel)
        self._grants = grant_pb2_grpc.GrantServiceStub(channel)
        self._usage = usage_pb2_grpc.UsageServiceStub(channel)
        self._balances = balance_pb2_grpc.BalanceServiceStub(channel)
        self._pricing = pricing_pb2_grpc.PricingServiceStub(channel)

    async def open(self, number: int) -> bool:
        request = account_pb2.AccountServiceCreateRequest(
            tenant=TENANT,
            request_id=f"open-{number}",
            account=grown(number),
            parent=grown(number - number % FAMILY) if number % FAMILY else "",
        )
        return bool((await _until_answered(self._accounts.Create, request)).replayed)

    async def grant(self, number: int) -> bool:
        request = grant_pb2.GrantServiceIssueRequest(
            tenant=TENANT,
            request_id=f"grant-grown-{number}",
            account=grown(number),
            asset="USD",
            amount=GRANTED,
            kind=types_pb2.GRANT_KIND_PREPAID,
        )
        return bool((await _until_answered(self._grants.Issue, request)).replayed)

    async def use(self, number: int) -> list[usage_pb2.IngestResult]:
        events = [
            usage_pb2.UsageEvent(
                id=f"grown-{number}-{index}",
                account=grown(number),
                quantities={"tokens": 1 + number % 7},
            )
            for index in range(EVENTS)
        ]
        request = usage_pb2.IngestRequest(
            tenant=TENANT, source="growth", product="chat", events=events
        )
        results = await answered(self._usage, request)
        assert all(result.charge == (1 + number % 7) * PRICE for result in results), results
        return results

    async def available(self, name: str) -> int:
        request = balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=name)
        reply = await _until_answered(self._balances.Get, request)
        return sum(int(asset.available) for asset in reply.balances)

    async def latest(self) -> int:
        request = pricing_pb2.GetRateCardRequest(tenant=TENANT, name=CARD)
        reply = await _until_answered(self._pricing.GetRateCard, request)
        return int(reply.version.version)

    async def publish(self, number: int, latest: int) -> pricing_pb2.RateCardVersion:
        row = card_pb2.PriceRow(product="other", quantity="tokens", price=f"0.{number:09d}")
        request = pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id=f"publish-{number}",
            card=card_of(row),
            expected_version=latest,
        )
        reply = await _until_answered(self._pricing.PublishRateCard, request)
        assert not reply.faults, reply
        version: pricing_pb2.RateCardVersion = reply.version
        return version

    async def versions(self) -> Counter[bytes]:
        """How often each content of the card was published."""
        found: Counter[bytes] = Counter()
        token = ""
        while True:
            request = pricing_pb2.ListRateCardsRequest(tenant=TENANT, name=CARD, page_token=token)
            reply = await _until_answered(self._pricing.ListRateCards, request)
            found.update(version.content_hash for version in reply.versions)
            token = reply.next_page_token
            if not token:
                return found


async def _until_answered(call: Callable[..., Awaitable[Any]], request: Any) -> Any:
    async with asyncio.timeout(HANGS_S):
        while True:
            try:
                return await call(request, timeout=20, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() not in {*RETRIED_CODES, grpc.StatusCode.UNKNOWN}:
                    raise
            await asyncio.sleep(0.02)
