"""Margins and operations over gRPC, from the read models in PostgreSQL (rules B4, C12)."""

from __future__ import annotations

from typing import Any

import grpc

from ledger.projections.rebuild import rebuild
from ledger.v1 import account_pb2, correction_pb2, payment_pb2
from ledger.v1 import report_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of
from tests.api.test_conversions import publish as publish_conversion
from tests.api.test_costs import COST, resell
from tests.projections.projecting import project


async def margins(caller: Served, by: str = "PRODUCT", **fields: Any) -> list[pb.MarginRow]:
    reply = await caller.reports.GetMargin(
        pb.GetMarginRequest(
            tenant=TENANT, group_by=pb.MarginGroup.Value(f"MARGIN_GROUP_{by}"), **fields
        )
    )
    assert not reply.next_page_token
    return list(reply.rows)


def money(earned: pb.Earnings) -> list[tuple[str, int, int, int, int]]:
    return [
        (each.asset, int(each.earned), int(each.repaid), int(each.cost), int(each.margin))
        for each in earned.money
    ]


async def used(caller: Served, database: str) -> None:
    """Usage of acme, of an account below it, and of one whose card knows no costs."""
    await resell(caller)
    await caller.account("acme/search", parent="acme", rate_card="resold")
    await caller.account("other")
    await caller.ingest(
        event("a", "acme", attributes={"region": "eu"}, operation="answer"),
        event("b", "acme/search", attributes={"region": "us"}, operation="find",
              operation_parent="answer"),
        event("c", "other"),
        event("d", "other", product="nobody's"),
    )  # fmt: skip
    await project(database)


async def test_what_each_group_earned_and_cost(stored: Served, database: str) -> None:
    """acme's 600 of 1,000 units earned 600,000. What search used is drawn in advance: it costs, and
    has earned nothing yet. Nobody knows what other's usage costs."""
    await used(stored, database)
    products = {row.group: row.earnings for row in await margins(stored)}
    assert money(products["chat"]) == [("USD", 600_000, 0, 2 * COST, 600_000 - 2 * COST)]
    assert (products["chat"].calls, products["chat"].unknown_cost_calls) == (3, 1)
    assert [(each.asset, each.amount) for each in products["chat"].burnt] == [("credit", "1800")]
    assert [each.amount for each in products["chat"].advanced] == ["1200"]
    assert (products["nobody's"].calls, products["nobody's"].unrated_calls) == (1, 1)

    accounts = {row.group: row.earnings for row in await margins(stored, "ACCOUNT")}
    assert money(accounts["acme"]) == [("USD", 600_000, 0, COST, 600_000 - COST)]
    assert money(accounts["acme/search"]) == [("USD", 0, 0, COST, -COST)]
    assert money(accounts["other"]) == []

    regions = await margins(stored, "ATTRIBUTE", attribute="region")
    assert [(row.group, row.named, row.earnings.calls) for row in regions] == [
        ("", False, 2),
        ("eu", True, 1),
        ("us", True, 1),
    ]
    alone = await margins(stored, "ACCOUNT", account="acme")
    below = await margins(stored, "ACCOUNT", account="acme", subtree=True)
    assert [row.group for row in alone] == ["acme"]
    assert sorted(row.group for row in below) == ["acme", "acme/search"]


async def test_what_is_given_back_and_repaid_counts(stored: Served, database: str) -> None:
    """The cost that stays stays; a grant that repays the advance recognises what it had earned."""
    await used(stored, database)
    await stored.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="r",
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id="a"),
                )
            ],
        )
    )
    await stored.grant("acme/search", 1_000, price_paid=2_000_000, price_asset="USD")
    await project(database)
    accounts = {row.group: row.earnings for row in await margins(stored, "ACCOUNT")}
    assert money(accounts["acme"]) == [("USD", 0, 0, COST, -COST)]
    assert [each.amount for each in accounts["acme"].burnt] == ["0"]
    assert money(accounts["acme/search"]) == [("USD", 0, 1_200_000, COST, 1_200_000 - COST)]
    before = [await margins(stored, by) for by in ("PRODUCT", "ACCOUNT", "OPERATION")]
    await rebuild(database)
    assert [await margins(stored, by) for by in ("PRODUCT", "ACCOUNT", "OPERATION")] == before


async def test_what_is_paid_in_the_settlement_currency_is_earned_by_its_usage(
    stored: Served, database: str
) -> None:
    """500 of 600 units at a cent a credit are 5,000 nano-dollars (rule R5); all of it goes back."""
    await stored.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await publish_conversion(stored)
    await stored.account("acme", settlement_asset="USD", overage=account_pb2.OVERAGE_SELF)
    await stored.grant("acme", 100)
    await stored.ingest(event("u", "acme"))
    await project(database)
    [row] = await margins(stored)
    assert money(row.earnings) == [("USD", 5_000, 0, 0, 5_000)]
    assert [(each.asset, each.amount) for each in row.earnings.burnt] == [("credit", "600")]
    await stored.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="r",
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id="u"),
                )
            ],
        )
    )
    await project(database)
    [row] = await margins(stored)
    assert money(row.earnings) == [("USD", 0, 0, 0, 0)]


async def test_pages_and_spans(stored: Served, database: str) -> None:
    await used(stored, database)
    names = []
    request = pb.GetMarginRequest(tenant=TENANT, group_by=pb.MARGIN_GROUP_ACCOUNT, page_size=2)
    while True:
        reply = await stored.reports.GetMargin(request)
        names += [row.group for row in reply.rows]
        request.page_token = reply.next_page_token
        if not reply.next_page_token:
            break
    assert sorted(names) == ["acme", "acme/search", "other"]
    now = stored.ledger.clock.now_us()
    assert not await margins(stored, from_us=now + 1)
    assert not await margins(stored, to_us=now - 3_600_000_000)
    assert len(await margins(stored, from_us=now - 3_600_000_000, to_us=now + 1)) == 2


async def test_an_operation_with_what_it_caused(stored: Served, database: str) -> None:
    await used(stored, database)
    request = pb.GetOperationRequest(tenant=TENANT, account="acme", operation="answer")
    tree = await stored.reports.GetOperation(request)
    answer, find = tree.operations
    assert (answer.operation.operation, find.operation.operation) == ("answer", "find")
    assert (answer.depth, find.depth) == (0, 1)
    assert find.parent_key == answer.operation.operation_key
    assert money(answer.own) == [("USD", 600_000, 0, COST, 600_000 - COST)]
    assert money(answer.total) == [("USD", 600_000, 0, 2 * COST, 600_000 - 2 * COST)]
    assert (answer.total.calls, find.total.calls) == (2, 1)
    assert not tree.parents
    request.operation = "find"
    below = await stored.reports.GetOperation(request)
    assert [each.operation.operation for each in below.operations] == ["find"]
    assert [each.operation for each in below.parents] == ["answer"]
    rows = {row.group: row for row in await margins(stored, "OPERATION")}
    assert set(rows) == {"", answer.operation.operation_key, find.operation.operation_key}


async def test_an_erased_operation_is_shown_by_its_key(stored: Served, database: str) -> None:
    await used(stored, database)
    request = pb.GetOperationRequest(tenant=TENANT, account="acme", operation="answer")
    key = (await stored.reports.GetOperation(request)).operations[0].operation.operation_key
    for account in ("acme/search", "acme"):
        await stored.accounts.Erase(
            account_pb2.AccountServiceEraseRequest(
                tenant=TENANT, request_id=stored.new_id(), account=account
            )
        )
    refusal = await refusal_of(stored.reports.GetOperation(request))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    tree = await stored.reports.GetOperation(
        pb.GetOperationRequest(tenant=TENANT, operation_key=key)
    )
    assert tree.operations[0].operation.operation_key == key
    assert tree.operations[0].total.calls == 2


async def test_what_is_asked_wrongly_is_refused(stored: Served, database: str) -> None:
    await stored.account("acme")
    await project(database)
    for request, field, reason in (
        (pb.GetMarginRequest(group_by=4), "attribute", "FIELD_REQUIRED"),
        (pb.GetMarginRequest(attribute="region"), "attribute", "FIELD_NOT_ALLOWED"),
        (pb.GetMarginRequest(from_us=-1), "from_us", "NUMBER_OUT_OF_RANGE"),
        (pb.GetMarginRequest(group_by=9), "group_by", "NUMBER_OUT_OF_RANGE"),
    ):
        request.tenant = TENANT
        refusal = await refusal_of(stored.reports.GetMargin(request))
        assert refusal.violations == [(field, reason)], request
    for asked, field, reason in (
        (pb.GetOperationRequest(operation_key="12"), "operation_key", "TEXT_INVALID"),
        (pb.GetOperationRequest(account="acme"), "operation", "FIELD_REQUIRED"),
        (pb.GetOperationRequest(account="acme", operation_key="0" * 32), "operation_key",
         "FIELD_NOT_ALLOWED"),
    ):  # fmt: skip
        asked.tenant = TENANT
        refusal = await refusal_of(stored.reports.GetOperation(asked))
        assert refusal.violations == [(field, reason)], asked
    unknown = pb.GetOperationRequest(tenant=TENANT, operation_key="0" * 32)
    refusal = await refusal_of(stored.reports.GetOperation(unknown))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "OPERATION_UNKNOWN")


async def test_without_read_models_there_is_nothing_to_report_from(priced: Served) -> None:
    refusal = await refusal_of(priced.reports.GetMargin(pb.GetMarginRequest(tenant=TENANT)))
    assert refusal.reason == "READ_MODELS_ABSENT"


async def overage(caller: Served, account: str, **fields: Any) -> list[tuple[str, str, int]]:
    reply = await caller.reports.GetOverage(
        pb.GetOverageRequest(tenant=TENANT, account=account, **fields)
    )
    assert not reply.next_page_token
    return [(row.account, row.asset, int(row.amount)) for row in reply.rows]


async def test_overage_of_a_payer_by_whose_usage_it_was(stored: Served, database: str) -> None:
    """Each event costs 600. Two children bill their parent, one itself; what is given back, and
    what is debited by hand, counts where it was used; the rows add up to the books (H8)."""
    self_, parent = account_pb2.OVERAGE_SELF, account_pb2.OVERAGE_PARENT
    await stored.account("house", overage=self_)
    await stored.account("house/a", "house", overage=parent)
    await stored.account("house/b", "house", overage=parent)
    await stored.account("house/c", "house", overage=self_)
    await stored.account("house/a/x", "house/a", overage=parent)
    await stored.grant("house", 700, shared=True)
    for name, account in enumerate(
        ("house/a", "house/a", "house/b", "house", "house/c", "house/a/x")
    ):
        await stored.ingest(event(f"o{name}", account))
    await project(database)
    assert await overage(stored, "house") == [
        ("house", "credit", 600),
        ("house/a", "credit", 500),
        ("house/b", "credit", 600),
    ]
    assert await overage(stored, "house/c") == [("house/c", "credit", 600)]
    assert await overage(stored, "house/a") == [("house/a/x", "credit", 600)]
    assert await overage(stored, "house/b") == []
    await stored.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="back",
                    account="house/a",
                    event=correction_pb2.SourceAndId(source="gateway", id="o1"),
                )
            ],
        )
    )
    billed = await stored.payments.Bill(
        payment_pb2.BillRequest(tenant=TENANT, request_id="bill", account="house", asset="credit")
    )
    assert [each.amount for each in billed.lines] == [1_200]
    await project(database)
    assert await overage(stored, "house") == [
        ("house", "credit", 600),
        ("house/a", "credit", 0),
        ("house/b", "credit", 600),
    ]
    page = await stored.reports.GetOverage(
        pb.GetOverageRequest(tenant=TENANT, account="house", page_size=2)
    )
    assert [row.account for row in page.rows] == ["house", "house/a"]
    rest = await stored.reports.GetOverage(
        pb.GetOverageRequest(tenant=TENANT, account="house", page_size=2,
                             page_token=page.next_page_token)
    )  # fmt: skip
    assert [row.account for row in rest.rows] == ["house/b"]
    assert await overage(stored, "house", to_us=1) == []
    await rebuild(database)
    assert [amount for _, _, amount in await overage(stored, "house")] == [600, 0, 600]
