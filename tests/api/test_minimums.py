"""Minimums over gRPC: published, shown, settled as a sandbox's months end, verified (rule R2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import account_pb2, clock_pb2, report_pb2
from ledger.verify import verify
from rating.v1 import card_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import Served, card, event, refusal_of
from tests.api.served import served as serve
from tests.projections.projecting import project

SANDBOX = "sandbox"
FUNDS = 1_000_000
CHARGED = 100 * 3 + 20 * 15  # of one event of the tests
LEAST = pb.Minimum(scope=pb.MINIMUM_SCOPE_ACCOUNT, amount="0.05")  # 50,000 minor units
OF_CHAT = pb.Minimum(scope=pb.MINIMUM_SCOPE_PRODUCT, product="chat", amount="0.03")
OF_A_LINE = pb.Minimum(
    scope=pb.MINIMUM_SCOPE_LINE, product="chat", quantity="output_tokens", amount="0.01"
)


@pytest.fixture
async def sandbox(database: str) -> AsyncIterator[Served]:
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            caller.tenant = SANDBOX
            yield caller
    finally:
        await storage.close()


async def advance(served: Served, to_us: int) -> None:
    request = clock_pb2.AdvanceRequest(tenant=SANDBOX, request_id=served.new_id(), to_us=to_us)
    while not (await served.clock.Advance(request)).settled:
        pass


async def next_month(served: Served, months: int = 1) -> int:
    """The first instant of a later month by the sandbox's clock."""
    shown = await served.clock.Get(clock_pb2.ClockServiceGetRequest(tenant=SANDBOX))
    now = datetime.fromtimestamp(shown.now_us // 1_000_000, UTC)
    month = now.year * 12 + now.month - 1 + months
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


async def left(served: Served, account: str = "acme") -> int:
    return int((await served.balance(account)).available)


async def test_a_month_that_lacks_something_is_settled_when_its_grace_is_over(
    sandbox: Served, database: str
) -> None:
    """50,000 a month of which 600 were used: 49,400 are drawn, once, a day after it has ended."""
    await sandbox.priced(minimums=[LEAST, OF_CHAT, OF_A_LINE])
    await sandbox.account("acme")
    await sandbox.grant("acme", FUNDS)
    first = await next_month(sandbox)
    await advance(sandbox, first + DAY_US)
    before = await left(sandbox)
    assert FUNDS - 50_000 <= before < FUNDS, "its share of the month in which it was opened"
    await sandbox.ingest(event("u", "acme"))
    assert await left(sandbox) == before - CHARGED
    second = await next_month(sandbox)
    await advance(sandbox, second)
    assert await left(sandbox) == before - CHARGED, "the month is over, its grace is not"
    await sandbox.ingest(event("late", "acme", effective_at_us=second - 1))
    await advance(sandbox, second + DAY_US)
    assert await left(sandbox) == before - 50_000
    await sandbox.ingest(event("v", "acme"))
    assert await left(sandbox) == before - 50_000 - CHARGED
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_minimum_that_the_parent_is_billed_for_is_the_childs(
    sandbox: Served, database: str
) -> None:
    """Of 50,000 a month the child has used 600; nothing pays the rest but the parent's overage."""
    await sandbox.priced(minimums=[LEAST])
    await sandbox.account("acme")
    await sandbox.account(
        "acme/search", "acme", rate_card="default", overage=account_pb2.OVERAGE_PARENT
    )
    await advance(sandbox, await next_month(sandbox) + DAY_US)
    first = await next_month(sandbox, 0)
    await sandbox.ingest(event("u", "acme/search"))
    await advance(sandbox, await next_month(sandbox) + DAY_US)
    await project(database)
    request = report_pb2.GetOverageRequest(tenant=SANDBOX, account="acme", from_us=first)
    rows = (await sandbox.reports.GetOverage(request)).rows
    assert [(row.account, row.amount) for row in rows] == [("acme/search", "50000")]


async def test_a_card_shows_its_minimums_as_they_were_published(sandbox: Served) -> None:
    await sandbox.priced(minimums=[LEAST, OF_CHAT, OF_A_LINE])
    reply = await sandbox.pricing.GetRateCard(
        pricing_pb2.GetRateCardRequest(tenant=SANDBOX, name="default")
    )
    assert list(reply.card.minimums) == [LEAST, OF_CHAT, OF_A_LINE]


async def test_a_minimum_for_cash_is_billed(sandbox: Served, database: str) -> None:
    """Grants in dollars stay as they are; what is lacking is owed, as overage is."""
    await sandbox.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    cash = pb.Minimum(scope=pb.MINIMUM_SCOPE_ACCOUNT, amount="10", cash_only=True)
    rows = [pb.PriceRow(product="chat", quantity="input_tokens", price="0.01")]
    await publish(sandbox, asset="USD", asset_scale=2, rows=rows, minimums=[cash])
    await sandbox.account("acme", overage=account_pb2.OVERAGE_OFF)
    await sandbox.grant("acme", 5_000, asset="USD")
    await advance(sandbox, await next_month(sandbox) + DAY_US)
    await advance(sandbox, await next_month(sandbox) + DAY_US)
    assert await left(sandbox) == 5_000
    owed = [
        book.owed
        for writer in sandbox.ledger.writers
        for account in writer.state.accounts.values()
        for book in account.unbilled.values()
    ]
    assert len(owed) == 1 and 1_000 < owed[0] <= 2_000
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings


async def publish(served: Served, **changes: Any) -> None:
    await served.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=SANDBOX, request_id=served.new_id(), card=card(**changes)
        )
    )


@pytest.mark.parametrize(
    ("minimum", "path", "reason"),
    [
        (pb.Minimum(amount="1"), "minimums[0].scope", "SCOPE_UNKNOWN"),
        (pb.Minimum(scope=9, amount="1"), "minimums[0].scope", "SCOPE_UNKNOWN"),  # type: ignore[arg-type]
        (
            pb.Minimum(scope=pb.MINIMUM_SCOPE_ACCOUNT, amount="1", cash_only=True),
            "minimums[0].cash_only",
            "MINIMUM_ASSET_NOT_MONEY",
        ),
        (
            pb.Minimum(scope=pb.MINIMUM_SCOPE_ACCOUNT, amount="10000000000000"),
            "minimums[0].amount",
            "AMOUNT_TOO_LARGE",
        ),
        (
            pb.Minimum(scope=pb.MINIMUM_SCOPE_PRODUCT, product="*", amount="1"),
            "minimums[0].product",
            "MINIMUM_SCOPE",
        ),
        (
            pb.Minimum(scope=pb.MINIMUM_SCOPE_LINE, product="chat", quantity="x", amount="1"),
            "minimums[0].quantity",
            "QUANTITY_UNKNOWN",
        ),
    ],
)
async def test_what_no_minimum_can_be_is_refused_by_its_place(
    served: Served, minimum: pb.Minimum, path: str, reason: str
) -> None:
    await served.asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
    found = await refusal_of(
        served.pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(
                tenant=served.tenant, request_id=served.new_id(), card=card(minimums=[minimum])
            )
        )
    )
    assert ("card." + path, reason) in found.violations or (path, reason) in found.violations
