"""Opens the accounts of the workload on a running ledger, over gRPC like any customer would.

Two assets, one rate card, families of accounts, two grants each: the first free and soon empty, the
second paid for. Bounded concurrency; every reply is checked by its status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from decimal import Decimal
from typing import Any, Final

import grpc

from bench.sizes import Sizes
from bench.workload import (
    ASSET,
    ASSET_SCALE,
    CARD,
    FIRST_GRANT,
    MONEY,
    PRICES,
    QUANTITIES,
    SECOND_GRANT,
    SECOND_GRANT_PRICE,
    TENANT,
    account_ids,
)
from ledger.core.limits import DAY_US
from ledger.v1 import account_pb2, account_pb2_grpc, grant_pb2, grant_pb2_grpc, types_pb2
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

AT_ONCE: Final = 64
CALL_TIMEOUT_S: Final = 60


def rate_card() -> card_pb2.RateCard:
    """Four models in two modes; the batch mode costs half."""
    card = card_pb2.RateCard(name=CARD, asset=ASSET, asset_scale=ASSET_SCALE)
    card.meters.extend(card_pb2.Meter(quantity=quantity) for quantity in QUANTITIES)
    for product, prices in PRICES.items():
        for quantity, price in zip(QUANTITIES, prices, strict=True):
            a_token = Decimal(price) / 1_000_000
            card.rows.add(product=product, quantity=quantity, price=f"{a_token:f}")
            card.rows.add(
                product=product,
                quantity=quantity,
                price=f"{a_token / 2:f}",
                attributes={"mode": "batch"},
            )
    return card


def candidate_card() -> dict[str, Any]:
    """The same at twice the prices, as a file for `drawdown pricing simulate`."""
    rows = [
        {
            "product": row.product,
            "quantity": row.quantity,
            "price": f"{Decimal(row.price) * 2:f}",
            "attributes": dict(row.attributes),
        }
        for row in rate_card().rows
    ]
    meters = [{"quantity": quantity} for quantity in QUANTITIES]
    return {
        "name": CARD, "asset": ASSET, "asset_scale": ASSET_SCALE, "meters": meters, "rows": rows
    }  # fmt: skip


async def seed(target: str, sizes: Sizes, now_us: int) -> None:
    """Everything that the workload needs. Raises AioRpcError where the ledger refuses."""
    async with grpc.aio.insecure_channel(target) as channel:
        await _prices(pricing_pb2_grpc.PricingServiceStub(channel))
        names = account_ids(sizes)
        accounts = account_pb2_grpc.AccountServiceStub(channel)
        roots = names[:: sizes.family_accounts]
        await at_once(accounts.Create(_account(root, ""), timeout=CALL_TIMEOUT_S) for root in roots)
        await at_once(
            accounts.Create(
                _account(name, names[index - index % sizes.family_accounts]),
                timeout=CALL_TIMEOUT_S,
            )
            for index, name in enumerate(names)
            if index % sizes.family_accounts
        )
        grants = grant_pb2_grpc.GrantServiceStub(channel)
        await at_once(
            grants.Issue(_grant(name, number, now_us), timeout=CALL_TIMEOUT_S)
            for name in names
            for number in (1, 2)
        )


async def seed_more_grants(target: str, sizes: Sizes, now_us: int, more: int) -> None:
    """So many more grants an account, which stand first in order and pay for none of its usage."""
    async with grpc.aio.insecure_channel(target) as channel:
        grants = grant_pb2_grpc.GrantServiceStub(channel)

        def passed_over(name: str, number: int) -> grant_pb2.GrantServiceIssueRequest:
            request = _grant(name, 1, now_us)
            request.request_id = f"grant-{name}-more-{number}-of-{more}"
            request.priority = -1
            request.products.append("elsewhere")
            return request

        await at_once(
            grants.Issue(passed_over(name, number), timeout=CALL_TIMEOUT_S)
            for name in account_ids(sizes)
            for number in range(more)
        )


async def _prices(pricing: Any) -> None:
    kinds = {ASSET: pricing_pb2.ASSET_KIND_CREDIT, MONEY: pricing_pb2.ASSET_KIND_MONEY}
    for code, kind in kinds.items():
        await pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(
                tenant=TENANT,
                request_id=f"asset-{code}",
                asset=pricing_pb2.Asset(asset=code, scale=ASSET_SCALE, kind=kind),
            ),
            timeout=CALL_TIMEOUT_S,
        )
    await pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="card", card=rate_card()),
        timeout=CALL_TIMEOUT_S,
    )


def _account(name: str, parent: str) -> account_pb2.AccountServiceCreateRequest:
    return account_pb2.AccountServiceCreateRequest(
        tenant=TENANT, request_id=f"account-{name}", account=name, parent=parent
    )


def _grant(name: str, number: int, now_us: int) -> grant_pb2.GrantServiceIssueRequest:
    request = grant_pb2.GrantServiceIssueRequest(
        tenant=TENANT,
        request_id=f"grant-{name}-{number}",
        account=name,
        asset=ASSET,
        amount=FIRST_GRANT,
        kind=types_pb2.GRANT_KIND_PROMOTIONAL,
        effective_at_us=now_us - DAY_US,
    )
    if number == 2:
        request.amount = SECOND_GRANT
        request.kind = types_pb2.GRANT_KIND_PREPAID
        request.price_paid = SECOND_GRANT_PRICE
        request.price_asset = MONEY
        request.priority = 1
    return request


async def at_once(calls: Iterable[Awaitable[object]]) -> None:
    """Make every call, AT_ONCE open at a time. A generator's call begins when it is taken."""
    remaining = iter(calls)

    async def work() -> None:
        for call in remaining:
            await call

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
