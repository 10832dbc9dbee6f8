"""Usage rated again by a job, over gRPC on PostgreSQL (rule R7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.api import rerating
from ledger.core.limits import DAY_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import correction_pb2, usage_pb2
from ledger.verify import verify
from rating.v1 import card_pb2, pricing_pb2
from rating.v1 import rerate_pb2 as pb
from tests.api.cluster import cluster
from tests.api.served import TENANT, Served, SystemClock, card, event, refusal_of, served
from tests.projections.projecting import project

MARCH = int(datetime(2031, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
CHARGE = 600  # of `event`, by the first version; twice as much by the second


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(database: str, clock: SystemClock) -> AsyncIterator[Served]:
    """Two accounts with credits, and the read models. It is the fifth of March 2031."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with served(storage, clock, history=History(storage.pool)) as made:
            await made.priced()
            clock.ahead_us = MARCH + 4 * DAY_US - clock.now_us()
            for account in ("acme", "beta"):
                await made.account(account)
                await made.grant(account, 1_000_000)
            yield made
    finally:
        await storage.close()


async def dearer(caller: Served) -> int:
    """Publish twice the price, from now on; its version."""
    made = card(rows=[])
    made.rows.add(product="chat", quantity="input_tokens", price="0.000006")
    made.rows.add(product="chat", quantity="output_tokens", price="0.00003")
    return await publish(caller, made)


async def publish(caller: Served, made: card_pb2.RateCard) -> int:
    asked = pricing_pb2.ListRateCardsRequest(tenant=TENANT, name=made.name)
    listed = await caller.pricing.ListRateCards(asked)
    request = pricing_pb2.PublishRateCardRequest(
        tenant=TENANT,
        request_id=caller.new_id(),
        card=made,
        expected_version=listed.versions[0].version,
    )
    return int((await caller.pricing.PublishRateCard(request)).version.version)


async def job(caller: Served, version: int, **changes: Any) -> list[pb.RerateAccount]:
    """All pages of a job, the worst account first."""
    fields = {
        "tenant": TENANT,
        "job": "contract",
        "rate_card": "default",
        "version": version,
        "from_us": MARCH,
        **changes,
    }
    request = pb.RerateRequest(**fields)
    found: list[pb.RerateAccount] = []
    while True:
        reply = await caller.pricing.Rerate(request)
        found += reply.accounts
        if not reply.next_page_token:
            return sorted(found, key=lambda each: -abs(difference(each)))
        request.page_token, request.min_position = reply.next_page_token, reply.position


async def available(caller: Served, account: str = "acme") -> int:
    return int((await caller.balance(account)).available)


def difference(account: pb.RerateAccount) -> int:
    return sum(int(each.recharged) - int(each.charged) for each in account.totals)


def figures(account: pb.RerateAccount) -> list[tuple[str, int, int, int]]:
    return [
        (each.product, each.events, int(each.charged), int(each.recharged))
        for each in account.totals
    ]


async def test_a_dry_run_says_what_then_happens(caller: Served, database: str) -> None:
    """Totals by product, the worst account first; then it happens, once, and the books agree."""
    await caller.ingest(*[event(f"a{number}", "acme") for number in range(5)])
    await caller.ingest(event("b", "beta"))
    version = await dearer(caller)
    await project(database)
    before = {name: await available(caller, name) for name in ("acme", "beta")}
    said = await job(caller, version, dry_run=True)
    assert [each.account for each in said] == ["acme", "beta"]
    assert figures(said[0]) == [("chat", 5, 5 * CHARGE, 10 * CHARGE)]
    assert figures(said[1]) == [("chat", 1, CHARGE, 2 * CHARGE)]
    assert {name: await available(caller, name) for name in before} == before
    done = await job(caller, version)
    assert list(map(figures, done)) == list(map(figures, said))
    assert await available(caller) == before["acme"] - 5 * CHARGE
    await project(database)
    again = await job(caller, version)
    assert {each.account: each.done_before for each in again} == {"acme": 5, "beta": 1}
    assert not any(each.totals for each in again)
    assert await available(caller) == before["acme"] - 5 * CHARGE
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_job_that_was_stopped_goes_on(
    caller: Served, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two decisions, after usage was given back and before it was recorded again:
    asked again it records what is missing and nothing twice."""
    monkeypatch.setattr(rerating.AccountJob, "step", 2)
    made = card(rows=[])
    tiers = [card_pb2.GraduatedModel(), card_pb2.GraduatedModel()]
    for model, price in zip(tiers, ("0.000003", "0.000006"), strict=True):
        model.tiers.add(up_to=250, price=price)
        model.tiers.add(price="0.000001")
    for quantity in ("input_tokens", "output_tokens"):
        made.rows.add(product="chat", quantity=quantity, graduated=tiers[0])
    await publish(caller, made)
    await caller.ingest(*[event(f"a{number}", "acme") for number in range(5)])
    dear = card_pb2.RateCard()
    dear.CopyFrom(made)
    del dear.rows[:]
    for quantity in ("input_tokens", "output_tokens"):
        dear.rows.add(product="chat", quantity=quantity, graduated=tiers[1])
    version = await publish(caller, dear)
    await caller.ingest(*[event(f"a{number}", "acme") for number in range(5, 7)])
    await project(database)
    before = await available(caller)
    [said] = await job(caller, version, dry_run=True)
    submitted = rerating.AccountJob._submit
    calls = 0

    async def killed(self: rerating.AccountJob, *arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise RuntimeError("killed")
        await submitted(self, *arguments, **more)

    monkeypatch.setattr(rerating.AccountJob, "_submit", killed)
    assert (await refusal_of(job(caller, version))).reason == "INTERNAL"
    assert await available(caller) > before, "given back, and not all recorded again"
    monkeypatch.setattr(rerating.AccountJob, "_submit", submitted)
    await project(database)
    [rest] = await job(caller, version)
    assert rest.done_before == 2
    assert await available(caller) == before - difference(said)
    inputs, outputs = 250 * 6 + 450 * 1, 140 * 6
    assert 1_000_000 - await available(caller) == inputs + outputs, "as from the start"
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_closed_period_is_adjusted_once(
    caller: Served, clock: SystemClock, database: str
) -> None:
    """Rule T2: the difference of a product and period is one adjustment by hand that names both."""
    await caller.ingest(*[event(f"a{number}", "acme") for number in range(3)])
    clock.ahead_us += 40 * DAY_US
    version = await dearer(caller)
    await project(database)
    before = await available(caller)
    [said] = await job(caller, version, dry_run=True)
    assert not said.totals and not said.adjustments[0].applied
    [done] = await job(caller, version, actor="finance")
    [adjusted] = done.adjustments
    assert adjusted.applied and adjusted.period_us == MARCH
    assert (adjusted.total.charged, adjusted.total.recharged) == (str(3 * CHARGE), str(6 * CHARGE))
    assert await available(caller) == before - 3 * CHARGE
    await project(database)
    [again] = await job(caller, version, actor="finance")
    assert again.adjustments[0].applied and await available(caller) == before - 3 * CHARGE
    await project(database)
    request = correction_pb2.ListAdjustmentsRequest(tenant=TENANT, account="acme")
    [listed] = (await caller.corrections.ListAdjustments(request)).adjustments
    assert listed.kind == correction_pb2.ADJUSTMENT_KIND_MANUAL
    assert listed.usage_id == "" and listed.charged == 3 * CHARGE
    report = await verify(database)
    assert report.ok, report.findings


async def test_what_is_left_alone_is_counted_and_listed(caller: Served, database: str) -> None:
    await caller.ingest(event("a", "acme"), event("b", "acme"))
    request = correction_pb2.ReverseUsageRequest(tenant=TENANT)
    request.reversals.add(
        request_id="r",
        account="acme",
        event=correction_pb2.SourceAndId(source="gateway", id="a"),
    )
    await caller.corrections.ReverseUsage(request)
    version = await dearer(caller)
    await project(database)
    [found] = await job(caller, version, dry_run=True)
    [left] = found.left_alone
    assert (left.reason, left.events, len(left.entry_seqs)) == ("REVERSED", 1, 1)
    assert figures(found) == [("chat", 1, CHARGE, 2 * CHARGE)]


async def test_usage_rated_again_keeps_its_names_and_is_corrected_by_its_own(
    caller: Served, database: str
) -> None:
    """Operation and attributes stay; it is found under the job's name and its entry (rule I1)."""
    await caller.ingest(event("a", "acme", operation="trip"))
    version = await dearer(caller)
    await project(database)
    [done] = await job(caller, version, account="acme")
    assert figures(done) == [("chat", 1, CHARGE, 2 * CHARGE)]
    request = usage_pb2.UsageServiceGetRequest(
        tenant=TENANT, account="acme", source="gateway", id="a"
    )
    original = (await caller.usage.Get(request)).entry
    request.source, request.id = "rerate/contract", str(original.entry_seq)
    again = (await caller.usage.Get(request)).entry
    assert again.charge == 2 * CHARGE and again.operation == "trip"
    reversal = correction_pb2.ReverseUsageRequest(tenant=TENANT)
    reversal.reversals.add(
        request_id="r",
        account="acme",
        event=correction_pb2.SourceAndId(source="rerate/contract", id=str(original.entry_seq)),
    )
    [result] = (await caller.corrections.ReverseUsage(reversal)).results
    assert result.outcome == correction_pb2.CORRECTION_OUTCOME_APPLIED
    assert result.amount == 2 * CHARGE


async def test_a_job_goes_over_the_shards_of_every_server(database: str) -> None:
    """Asked of one of two servers, pages of the other's shards are its own to do (row C14)."""
    storages = [await PostgresStorage.open(database, 4) for _ in range(2)]
    async with cluster(list(storages), history=History(storages[0].pool)) as servers:
        near, far = servers
        await near.priced()
        accounts = [f"team-{number}" for number in range(12)]
        for account in accounts:
            await near.account(account)
            await near.grant(account, 10_000)
            await near.ingest(event(account, account))
        version = await dearer(near)
        await project(database)
        done = await job(far, version, from_us=1)
        assert sorted(each.account for each in done) == sorted(accounts)
        assert {each.shard for each in done} > set(far.ledger.owned), "some are of the other"
        for account in accounts:
            assert await available(near, account) == 10_000 - 2 * CHARGE
    for storage in storages:
        await storage.close()
    report = await verify(database)
    assert report.ok, report.findings


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"job": ""}, "FIELD_REQUIRED", "job"),
        ({"job": "j" * 65}, "TEXT_TOO_LONG", "job"),
        ({"from_us": 0}, "NUMBER_OUT_OF_RANGE", "from_us"),
        ({"to_us": MARCH}, "RANGE_INVALID", "to_us"),
        ({"version": 99}, "RATE_CARD_UNKNOWN", "rate_card"),
        ({"rate_card": "other"}, "RATE_CARD_UNKNOWN", "rate_card"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ({"page_token": "x"}, "PAGE_INVALID", "page_token"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    caller: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    refused = await refusal_of(job(caller, **{"version": 2, **changes}))
    assert refused.reason == reason
    assert field in (refused.metadata.get("field"), *[each[0] for each in refused.violations])
