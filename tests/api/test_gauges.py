"""Gauges over gRPC: reported, shown, taken back, charged as a sandbox's clock moves (rule T2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.client import DrawdownClient, GaugeLevel, Outcome, RawEvent
from ledger.core.limits import DAY_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import clock_pb2, correction_pb2, explain_pb2, journal_pb2, usage_pb2
from ledger.verify import verify
from rating.v1 import card_pb2, pricing_pb2
from rating.v1 import meter_pb2 as pb
from tests.api.served import Served, card, refusal_of
from tests.api.served import served as serve
from tests.projections.projecting import looking, project

SANDBOX = "sandbox"
FUNDS = 1_000_000_000
GIB = 1_000_000  # minor units of a credit, the price of one
DISK = pb.MeterRule(
    name="disk",
    event_type="disk.sampled",
    product="disk",
    attributes=[pb.MeteredAttribute(attribute="region")],
    quantities=[
        pb.MeteredQuantity(
            quantity="gib",
            aggregation=pb.AGGREGATION_LATEST,
            property="size",
            scope=card_pb2.RUNNING_SCOPE_DAY,
        ),
    ],
)


@pytest.fixture
async def sandbox(database: str) -> AsyncIterator[Served]:
    """An account with credits, and a gauge of its disks, a day each."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            caller.tenant = SANDBOX
            await _filled(caller)
            yield caller
    finally:
        await storage.close()


async def _filled(caller: Served) -> None:
    found = card()
    found.meters.add(quantity="gib")
    found.products.add(product="disk")
    found.rows.add(product="disk", quantity="gib", price="1")
    await caller.asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
    await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(tenant=SANDBOX, request_id=caller.new_id(), card=found)
    )
    await caller.account("acme")
    await caller.grant("acme", FUNDS)
    await meters(caller, DISK)


async def meters(caller: Served, *rules: pb.MeterRule, **more: Any) -> pb.PublishMetersResponse:
    request = pb.PublishMetersRequest(
        tenant=caller.tenant, request_id=caller.new_id(), meters=pb.MeterSet(rules=rules), **more
    )
    return await caller.meters.PublishMeters(request)


def sample(event_id: str, size: str, **more: Any) -> usage_pb2.UsageEvent:
    properties = {"size": size, "region": more.pop("region", "eu")}
    return usage_pb2.UsageEvent(
        id=event_id, account="acme", type="disk.sampled", properties=properties, **more
    )


async def now_us(caller: Served) -> int:
    shown = await caller.clock.Get(clock_pb2.ClockServiceGetRequest(tenant=SANDBOX))
    return shown.now_us


async def days_on(caller: Served, days: int) -> None:
    """To a midnight after this one; what it makes due is posted."""
    now = await now_us(caller)
    to_us = now - now % DAY_US + days * DAY_US
    request = clock_pb2.AdvanceRequest(tenant=SANDBOX, request_id=caller.new_id(), to_us=to_us)
    while not (await caller.clock.Advance(request)).settled:
        pass


async def left(caller: Served) -> int:
    return int((await caller.balance("acme")).available)


async def entry(caller: Served, event_id: str) -> usage_pb2.UsageEntry:
    request = usage_pb2.UsageServiceGetRequest(
        tenant=SANDBOX, account="acme", source="gateway", id=event_id
    )
    return (await caller.usage.Get(request)).entry


async def listed(caller: Served, **more: Any) -> list[usage_pb2.Gauge]:
    request = usage_pb2.ListGaugesRequest(tenant=SANDBOX, account="acme", **more)
    return list((await caller.usage.ListGauges(request)).gauges)


async def reverse(
    caller: Served, event_id: str, request_id: str = "", **more: Any
) -> correction_pb2.ReversalResult:
    reversal = correction_pb2.Reversal(
        request_id=request_id or caller.new_id(),
        account="acme",
        event=correction_pb2.SourceAndId(source="gateway", id=event_id),
        **more,
    )
    request = correction_pb2.ReverseUsageRequest(tenant=SANDBOX, reversals=[reversal])
    [result] = (await caller.corrections.ReverseUsage(request)).results
    return result


async def test_a_gauge_from_its_reports_to_its_charge(sandbox: Served, database: str) -> None:
    """5, then 9, then 2 GiB: nothing is charged until the day and its grace are over, then 2."""
    caller = sandbox
    reply = await caller.ingest(sample("a", "5"), sample("b", "9"), sample("c", "2"))
    assert [result.outcome for result in reply.results] == [usage_pb2.INGEST_OUTCOME_APPLIED] * 3
    assert [dict(result.gauge.before) for result in reply.results] == [{}, {"gib": 5}, {"gib": 9}]
    assert [dict(result.gauge.after) for result in reply.results] == [
        {"gib": 5},
        {"gib": 9},
        {"gib": 2},
    ]
    assert [result.charge for result in reply.results] == [0, 0, 0]
    level = reply.results[2].gauge
    assert level.scope_end_us - level.scope_start_us == DAY_US
    [again] = (await caller.ingest(sample("b", "9"))).results
    assert again.replayed and dict(again.gauge.before) == {"gib": 5}
    [other] = (await caller.ingest(sample("b", "8"))).results
    assert (other.outcome, other.field) == (usage_pb2.INGEST_OUTCOME_CONFLICT, "quantities")
    [elsewhere] = (await caller.ingest(sample("b", "9", region="us"))).results
    assert (elsewhere.outcome, elsewhere.field) == (
        usage_pb2.INGEST_OUTCOME_CONFLICT,
        "attributes",
    )

    assert await left(caller) == FUNDS
    [gauge] = await listed(caller)
    assert (gauge.product, dict(gauge.attributes)) == ("disk", {"region": "eu"})
    assert (dict(gauge.level), gauge.reports) == ({"gib": 2}, 3)
    assert gauge.charged_at_us == gauge.scope_end_us + DAY_US
    shown = await entry(caller, "c")
    assert (shown.outcome, shown.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, 0)
    assert [(line.quantity, line.charge) for line in shown.lines] == [(2, 0)]
    assert dict(shown.gauge.after) == {"gib": 2}

    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    await days_on(caller, 1)
    assert await left(caller) == FUNDS, "the day is over, its grace is not"
    await days_on(caller, 1)
    assert await left(caller) == FUNDS - 2 * GIB
    assert await listed(caller) == []
    charged = await entry(caller, "c")
    assert charged.charge == 2 * GIB
    assert charged.effective_at_us == level.scope_end_us - 1
    assert dict(charged.gauge.after) == {"gib": 2}
    assert len(charged.slices) == 1
    assert (await entry(caller, "b")).charge == 0, "it was not the last"

    explained = await caller.explaining.Explain(
        explain_pb2.ExplainRequest(tenant=SANDBOX, account="acme", source="gateway", id="c")
    )
    assert explained.explanation.lines[0].charge == 2 * GIB
    pending = await caller.explaining.Explain(
        explain_pb2.ExplainRequest(tenant=SANDBOX, account="acme", source="gateway", id="b")
    )
    assert any("GAUGE_REPORTED" in line for line in pending.explanation.words)

    end = level.scope_end_us
    [late] = (await caller.ingest(sample("late", "7", effective_at_us=end - 1))).results
    assert late.reason == "GAUGE_CHARGED"
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    assert all(shard.projected == shard.entries for shard in report.shards), report.shards
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT change, quantities, level FROM projection.gauge_entries ORDER BY entry_seq"
        )
        assert [tuple(row) for row in rows] == [
            (1, [5], [5]),
            (1, [9], [9]),
            (1, [2], [2]),
            (3, [2], [2]),
        ]
        assert await connection.fetchval("SELECT charged FROM projection.gauges")
        assert (
            await connection.fetchval("SELECT sum(charge) FROM projection.usage_events") == 2 * GIB
        )


async def test_reports_and_charges_are_taken_back_by_the_reports_id(
    sandbox: Served, database: str
) -> None:
    """Before the charge the gauge shows what the report before said; after it, units go back."""
    caller = sandbox
    await caller.ingest(sample("a", "5"), sample("b", "9"))
    refused = await reverse(caller, "b", quantities={"gib": 1})
    assert (refused.outcome, refused.reason) == (
        correction_pb2.CORRECTION_OUTCOME_REFUSED,
        "NOT_REVERSIBLE",
    )
    back = await reverse(caller, "b", "take b back")
    assert back.outcome == correction_pb2.CORRECTION_OUTCOME_APPLIED
    assert (dict(back.gauge.before), dict(back.gauge.after)) == ({"gib": 9}, {"gib": 5})
    assert (back.amount, back.replayed) == (0, False)
    again = await reverse(caller, "b", "take b back")
    assert again.replayed and dict(again.gauge.after) == {"gib": 5}
    assert again.entry_seq == back.entry_seq
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=SANDBOX, account="acme", request_id="take b back")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_REVERSE_USAGE
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(
            tenant=SANDBOX,
            account="acme",
            usage=journal_pb2.UsageKey(source="gateway", id="a"),
        )
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_USAGE
    assert dict(outcome.usage.gauge.after) == {"gib": 5}
    amend = correction_pb2.AmendUsageRequest(
        tenant=SANDBOX,
        request_id=caller.new_id(),
        account="acme",
        event=correction_pb2.SourceAndId(source="gateway", id="a"),
        replacement=usage_pb2.UsageEvent(
            source="gateway", id="n", effective_at_us=await now_us(caller), quantities={"gib": 4}
        ),
    )
    assert (await refusal_of(caller.corrections.AmendUsage(amend))).reason == "NOT_REVERSIBLE"

    await days_on(caller, 2)
    assert await left(caller) == FUNDS - 5 * GIB
    charge = await reverse(caller, "a", quantities={"gib": 3})
    assert (charge.outcome, charge.amount) == (correction_pb2.CORRECTION_OUTCOME_APPLIED, 3 * GIB)
    assert not charge.HasField("gauge")
    assert await left(caller) == FUNDS - 2 * GIB
    assert (await reverse(caller, "b")).reason == "NOT_REVERSIBLE"
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings


async def test_what_is_no_report_is_refused(sandbox: Served) -> None:
    """A gauge may show 0; a quote prices none, and none is linked with others."""
    caller = sandbox
    [result] = (await caller.ingest(sample("zero", "0"))).results
    assert dict(result.gauge.after) == {"gib": 0}
    [result] = (await caller.ingest(sample("minus", "-1"))).results
    assert result.reason == "PROPERTY_NOT_NUMERIC"
    linked = usage_pb2.LinkedEvents(first=0, count=2)
    events = [sample("l1", "1"), sample("l2", "2")]
    reply = await caller.usage.Ingest(
        usage_pb2.IngestRequest(tenant=SANDBOX, source="gateway", events=events, linked=[linked])
    )
    assert {each.reason for each in reply.results} == {"METERS_LINKED", "LINKED_FAILED"}
    unknown = usage_pb2.ListGaugesRequest(tenant=SANDBOX, account="nobody")
    refused = await refusal_of(caller.usage.ListGauges(unknown))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_UNKNOWN")


async def test_gauges_are_listed_in_pages(sandbox: Served) -> None:
    caller = sandbox
    await caller.ingest(*[sample(f"s{each}", str(each), region=f"r{each}") for each in range(5)])
    request = usage_pb2.ListGaugesRequest(tenant=SANDBOX, account="acme", page_size=2)
    shown: list[int] = []
    while True:
        page = await caller.usage.ListGauges(request)
        shown += [each.level["gib"] for each in page.gauges]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert shown == [0, 1, 2, 3, 4]


async def test_a_rule_of_a_gauge_has_nothing_else(sandbox: Served) -> None:
    """Every fault is named with its place; the aggregation comes back as it was published."""
    rule = pb.MeterRule()
    rule.CopyFrom(DISK)
    rule.quantities.add(quantity="reads", aggregation=pb.AGGREGATION_COUNT)
    rule.quantities.add(
        quantity="gb", aggregation=pb.AGGREGATION_LATEST, property="p", optional=True
    )
    checked = await meters(sandbox, rule, validate_only=True)
    assert [(fault.path, fault.reason) for fault in checked.faults] == [
        ("rules[0].quantities[2].optional", "OPTIONAL_INVALID"),
        ("rules[0].quantities[1].aggregation", "AGGREGATIONS_MIXED"),
        ("rules[0].quantities[2].scope", "SCOPE_INVALID"),
    ]
    published = await sandbox.meters.ListMeters(pb.ListMetersRequest(tenant=SANDBOX))
    assert published.meters[0].rules[0] == DISK


async def test_the_client_says_what_a_gauge_showed(sandbox: Served) -> None:
    async with DrawdownClient(sandbox.address, tenant=SANDBOX, source="gateway") as client:
        first, second = await client.ingest_raw(
            [
                RawEvent("a", "acme", "disk.sampled", {"size": 5, "region": "eu"}),
                RawEvent("b", "acme", "disk.sampled", {"size": 3, "region": "eu"}),
            ]
        )
        assert first.outcome is Outcome.APPLIED
        assert isinstance(second.gauge, GaugeLevel)
        assert (second.gauge.before, second.gauge.after) == ({"gib": 5}, {"gib": 3})
        shown = [dict(each.level) async for each in client.gauges("acme")]
        assert shown == [{"gib": 3}]
