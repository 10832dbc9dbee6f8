"""Totals that several accounts share, over the wire: charged, told, re-rated (rules R1, D8).

`east` and `west` below `acme` count together: 10 micro-credits a call to 100 calls a month, then 5.
"""

from __future__ import annotations

from typing import Any

import pytest

from ledger.projections.rebuild import rebuild
from ledger.v1 import account_pb2, correction_pb2, decision_pb2, explain_pb2, usage_pb2
from ledger.v1 import statement_pb2 as statements
from ledger.v1.statement_pb2_grpc import StatementServiceStub
from ledger.verify import verify
from rating.v1 import card_pb2 as pb
from rating.v1 import meter_pb2, pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of
from tests.api.test_reports import margins
from tests.projections.projecting import looking, project


def card(name: str = "together", **row: Any) -> pb.RateCard:
    tiers = [pb.Tier(up_to=100, price="0.00001"), pb.Tier(price="0.000005")]
    fields: dict[str, Any] = {
        "product": "api",
        "quantity": "calls",
        "volume": pb.VolumeModel(tiers=tiers),
        "scope": pb.RUNNING_SCOPE_SUBTREE_MONTH,
        **row,
    }
    if "price" in row:
        del fields["volume"]
    return pb.RateCard(
        name=name,
        asset="credit",
        asset_scale=6,
        meters=[pb.Meter(quantity="calls")],
        rows=[pb.PriceRow(**fields)],
    )


def publishing(caller: Served, made: pb.RateCard) -> pricing_pb2.PublishRateCardRequest:
    return pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id=caller.new_id(), card=made)


async def family(caller: Served, overage: int = account_pb2.OVERAGE_OFF) -> None:
    await caller.pricing.PublishRateCard(publishing(caller, card()))
    await caller.account("acme", rate_card="together")
    for name in ("east", "west"):
        await caller.account(name, "acme", overage=overage)


def used(name: str, account: str, calls: int) -> usage_pb2.UsageEvent:
    return event(name, account, product="api", quantities={"calls": calls})


async def quoted(caller: Served, account: str, calls: int) -> pricing_pb2.QuoteResponse:
    return await caller.pricing.Quote(
        pricing_pb2.QuoteRequest(
            tenant=TENANT, account=account, product="api", quantities={"calls": calls}
        )
    )


async def available(caller: Served, account: str) -> int:
    return int((await caller.balance(account, "api")).available)


async def test_two_accounts_cross_a_boundary_together(priced: Served) -> None:
    await family(priced)
    for name in ("east", "west"):
        await priced.grant(name, 2_000)
    reply = await priced.ingest(used("a", "east", 60), used("b", "west", 30))
    assert [each.charge for each in reply.results] == [600, 300]
    assert (await quoted(priced, "east", 10)).charge == 100
    assert (await quoted(priced, "east", 30)).charge == 150, "at the tier that all reach together"
    reply = await priced.ingest(used("c", "west", 30))
    assert [each.charge for each in reply.results] == [150]
    # west: 2,000 - 300 - 150 + 150; east: 2,000 - 600 + 300, before anything else of it is decided.
    assert await available(priced, "west") == 1_700
    authorized = await priced.authorize(
        "east", product="api", quantities={"calls": 339}, lifetime_us=60_000_000
    )
    assert authorized.decision == decision_pb2.DECISION_ALLOW, "339 x 5 = 1,695 of 1,700"
    assert await available(priced, "east") == 5
    explained = await priced.explaining.Explain(
        explain_pb2.ExplainRequest(tenant=TENANT, source="gateway", account="west", id="c")
    )
    line = explained.explanation.lines[0]
    assert (line.scope, line.total_before) == ("subtree_month", "90")
    assert "90 before it in the month of the subtree" in " ".join(explained.explanation.words)


async def test_a_reversal_gives_back_by_the_total_of_all(priced: Served) -> None:
    await family(priced)
    for name in ("east", "west"):
        await priced.grant(name, 2_000)
    await priced.ingest(used("a", "east", 60), used("b", "west", 60))
    reply = await priced.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="r",
                    account="west",
                    event=correction_pb2.SourceAndId(source="gateway", id="b"),
                )
            ],
        )
    )
    [result] = reply.results
    assert (result.outcome, result.amount) == (correction_pb2.CORRECTION_OUTCOME_APPLIED, 300)
    await priced.ingest(used("touch", "east", 1))
    assert await available(priced, "west") == 2_000
    assert await available(priced, "east") == 2_000 - 61 * 10


async def test_it_is_shown_as_it_was_published(priced: Served) -> None:
    for scope in (
        pb.RUNNING_SCOPE_SUBTREE_DAY,
        pb.RUNNING_SCOPE_SUBTREE_MONTH,
        pb.RUNNING_SCOPE_SUBTREE_PERIOD,
        pb.RUNNING_SCOPE_CONTRACT,
    ):
        made = card(f"card-{scope}", scope=scope)
        await priced.pricing.PublishRateCard(publishing(priced, made))
        shown = await priced.pricing.GetRateCard(
            pricing_pb2.GetRateCardRequest(tenant=TENANT, name=made.name)
        )
        assert list(shown.card.rows) == list(made.rows)


async def test_usage_without_a_contract_waits(priced: Served) -> None:
    await priced.pricing.PublishRateCard(publishing(priced, card(scope=pb.RUNNING_SCOPE_CONTRACT)))
    await priced.account("acme", rate_card="together")
    await priced.grant("acme", 2_000)
    [result] = (await priced.ingest(used("a", "acme", 60))).results
    assert (result.outcome, result.reason) == (usage_pb2.INGEST_OUTCOME_SUSPENSE, "NO_CONTRACT")
    denied = await priced.authorize("acme", product="api", quantities={"calls": 1})
    assert (denied.decision, denied.reason) == (decision_pb2.DECISION_DENY, "NO_CONTRACT")
    quote = await quoted(priced, "acme", 1)
    assert [line.unrated_reason for line in quote.lines] == ["NO_CONTRACT"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "0.1", "list_price": "0.2"}, "NOT_SERVED"),
        ({"price": "", "formula": pb.FormulaModel(expression="calls")}, "WRONG_SCOPE"),
    ],
)
async def test_what_has_no_such_total_is_refused(
    priced: Served, changes: dict[str, Any], reason: str
) -> None:
    found = await refusal_of(priced.pricing.PublishRateCard(publishing(priced, card(**changes))))
    assert reason in str(found), found


async def test_costs_and_meters_count_an_account_alone(priced: Served) -> None:
    costs = card("costs", price="0.1")
    await priced.pricing.PublishRateCard(publishing(priced, costs))
    resold = card("resold", price="0.2", scope=pb.RUNNING_SCOPE_MONTH)
    resold.cost_card = "costs"
    found = await refusal_of(priced.pricing.PublishRateCard(publishing(priced, resold)))
    assert "COST_SCOPE_INVALID" in str(found), found
    rule = meter_pb2.MeterRule(
        name="m",
        event_type="t",
        product="api",
        quantities=[
            meter_pb2.MeteredQuantity(
                quantity="calls",
                aggregation=meter_pb2.AGGREGATION_MAX,
                property="p",
                scope=pb.RUNNING_SCOPE_SUBTREE_DAY,
            )
        ],
    )
    found = await refusal_of(
        priced.meters.PublishMeters(
            meter_pb2.PublishMetersRequest(
                tenant=TENANT, request_id="m", meters=meter_pb2.MeterSet(rules=[rule])
            )
        )
    )
    assert "SCOPE_INVALID" in str(found), found


async def test_read_models_statements_and_margins_have_it(stored: Served, database: str) -> None:
    """East's re-rate is an entry of its own, by west's: in its statement, its margin and overage,
    and after the read models are made anew."""
    await family(stored, account_pb2.OVERAGE_SELF)
    await stored.grant("east", 500)
    await stored.ingest(used("a", "east", 60), used("b", "west", 60))
    await stored.ingest(used("touch", "east", 1))
    for again in range(2):
        if again:
            await rebuild(database)
        await project(database)
        async with looking(database) as connection:
            [found] = await connection.fetch(
                "SELECT s.amount, u.event_id FROM projection.shared_rerates s "
                "JOIN projection.usage_events u USING (tenant, shard) "
                "WHERE u.entry_seq = s.cause_entry"
            )
            assert (int(found["amount"]), found["event_id"]) == (-300, "b")
            rows = await connection.fetch(
                "SELECT d.account_id AS name, sum(o.amount)::bigint AS amount "
                "FROM projection.overage_draws o "
                "JOIN ledger.account_directory d ON d.number = o.account "
                "GROUP BY 1 ORDER BY 1"
            )
            # 600 were 500 of its grant and 100 of overage: that goes back first.
            assert [tuple(row) for row in rows] == [("east", 0), ("west", 300)]
        report = await verify(database)
        assert report.ok, report.findings
    draft = await StatementServiceStub(stored.channel).Draft(
        statements.DraftRequest(tenant=TENANT, account="acme")
    )
    charged = {each.account: int(each.charged.minor) for each in draft.draft.totals}
    assert (charged["east"], charged["west"], charged[""]) == (305, 300, 605)
    accounts = {row.group: row.earnings for row in await margins(stored, "ACCOUNT")}
    assert [(each.asset, each.amount) for each in accounts["east"].burnt] == [("credit", "305")]
    assert [(each.asset, each.amount) for each in accounts["west"].burnt] == [("credit", "300")]
    products = {row.group: row.earnings for row in await margins(stored)}
    assert [each.amount for each in products["api"].burnt] == ["605"]
