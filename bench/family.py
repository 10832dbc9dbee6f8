"""The workload `family_shared`: one parent, its departments, and many children that all draw on one
commitment, through two levels of caps, with three budgets each.

Opened over gRPC like any customer would. Events, prices and resends are those of `workload`, of
other accounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import grpc

from bench.batches import Template, ingest
from bench.seeding import CALL_TIMEOUT_S, at_once
from bench.sizes import Sizes
from bench.workload import ASSET, MONEY, TENANT, batches
from ledger.core.limits import DAY_US
from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    budget_pb2,
    budget_pb2_grpc,
    commitment_pb2,
    commitment_pb2_grpc,
    family_pb2,
    family_pb2_grpc,
    types_pb2,
)

DEPARTMENTS: Final = 10
COMMITTED: Final = 1_000_000_000_000_000  # units that no run uses up
PRICE: Final = 800_000_000_000_000  # of all of them, in minor units of MONEY
ENOUGH: Final = 100_000_000_000_000  # for a cap or a budget that no run reaches
MONTH: Final = types_pb2.Window(
    kind=types_pb2.WINDOW_KIND_CALENDAR, unit=types_pb2.WINDOW_UNIT_MONTH
)
DAY: Final = types_pb2.Window(kind=types_pb2.WINDOW_KIND_CALENDAR, unit=types_pb2.WINDOW_UNIT_DAY)
BUDGETS: Final = (
    budget_pb2.Budget(
        name="spend", measure=budget_pb2.BUDGET_MEASURE_CHARGE, asset=ASSET, limit=ENOUGH,
        window=MONTH, thresholds=[80, 100],
    ),
    budget_pb2.Budget(
        name="calls", measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=ENOUGH, window=DAY
    ),
    budget_pb2.Budget(
        name="tokens", measure=budget_pb2.BUDGET_MEASURE_QUANTITY, quantity="input_tokens",
        limit=ENOUGH, window=MONTH, soft=True,
    ),
)  # fmt: skip


def parent(sizes: Sizes) -> str:
    """Id of the root: families of different size can stand in one ledger."""
    return f"house-{sizes.children}"


@cache
def departments(sizes: Sizes) -> tuple[str, ...]:
    """Ids of the accounts between the parent and the children."""
    return tuple(f"{parent(sizes)}/dept-{number}" for number in range(DEPARTMENTS))


@cache
def children(sizes: Sizes) -> tuple[str, ...]:
    """Ids of the accounts that use."""
    above = departments(sizes)
    return tuple(
        f"{above[number % DEPARTMENTS]}/team-{number:05d}" for number in range(sizes.children)
    )


def templates(sizes: Sizes, now_us: int) -> Iterator[Template]:
    """Batches of their usage, in plain form."""
    for batch in batches(sizes, now_us, accounts=sizes.children):
        yield ingest(batch, children(sizes), compact=False)


async def seed_family(target: str, sizes: Sizes, now_us: int) -> None:
    """Open the family, commit its parent, and cap and budget all below it. Raises AioRpcError where
    the ledger refuses."""
    root = parent(sizes)
    async with grpc.aio.insecure_channel(target) as channel:
        accounts = account_pb2_grpc.AccountServiceStub(channel)

        def opened(name: str) -> account_pb2.AccountServiceCreateRequest:
            return account_pb2.AccountServiceCreateRequest(
                tenant=TENANT,
                request_id=f"account-{name}",
                account=name,
                parent=name.rpartition("/")[0],
            )

        for level in ((root,), departments(sizes), children(sizes)):
            await at_once(accounts.Create(opened(name), timeout=CALL_TIMEOUT_S) for name in level)
        await commitment_pb2_grpc.CommitmentServiceStub(channel).Create(
            commitment_pb2.CommitmentServiceCreateRequest(
                tenant=TENANT,
                request_id="commitment",
                account=root,
                terms=commitment_pb2.CommitmentTerms(
                    kind=types_pb2.GRANT_KIND_POSTPAID,
                    asset=ASSET,
                    price_asset=MONEY,
                    shared=True,
                ),
                segments=[
                    commitment_pb2.CommitmentSegment(
                        starts_at_us=now_us - DAY_US,
                        ends_at_us=now_us + 365 * DAY_US,
                        amount=COMMITTED,
                        price=PRICE,
                    )
                ],
            ),
            timeout=CALL_TIMEOUT_S,
        )
        caps = family_pb2_grpc.FamilyServiceStub(channel)
        await at_once(
            caps.SetCap(
                family_pb2.SetCapRequest(
                    tenant=TENANT,
                    request_id=f"cap-{name}",
                    cap=family_pb2.Cap(
                        account=root, below=name, asset=ASSET, limit=ENOUGH, window=MONTH
                    ),
                ),
                timeout=CALL_TIMEOUT_S,
            )
            for name in (*departments(sizes), *children(sizes))
        )
        budgets = budget_pb2_grpc.BudgetServiceStub(channel)
        await at_once(
            budgets.Set(
                budget_pb2.BudgetServiceSetRequest(
                    tenant=TENANT,
                    request_id=f"budget-{name}-{budget.name}",
                    account=name,
                    budget=budget,
                ),
                timeout=CALL_TIMEOUT_S,
            )
            for name in children(sizes)
            for budget in BUDGETS
        )
