"""The clock of a sandbox tenant over gRPC: shown, moved, refused; what it makes due (rule T4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.client import DrawdownClient, Outcome, UsageEvent
from ledger.core.limits import DAY_US, HOUR_US
from ledger.engine.sandbox import ADVANCE_MAX_US, LATEST_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import (
    account_pb2,
    balance_pb2,
    decision_pb2,
    recurring_pb2,
    types_pb2,
    usage_pb2,
)
from ledger.v1 import clock_pb2 as pb
from ledger.verify import verify
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import Served, card, event, refusal_of
from tests.api.served import served as serve
from tests.projections.projecting import looking, project

SANDBOX = "sandbox"


@pytest.fixture
async def sandbox(served: Served) -> Served:
    """A priced sandbox with an account that has 1,000,000 credits for 30 days."""
    return await _filled(served)


async def _filled(served: Served) -> Served:
    served.tenant = SANDBOX
    await served.priced()
    await served.account("acme")
    expires_at_us = (await shown(served)).now_us + 30 * DAY_US
    await served.grant("acme", 1_000_000, expires_at_us=expires_at_us)
    return served


@pytest.fixture
async def stored_sandbox(database: str) -> AsyncIterator[Served]:
    """The same on PostgreSQL, with read models to look back in."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            yield await _filled(caller)
    finally:
        await storage.close()


async def shown(served: Served, tenant: str = SANDBOX) -> pb.ClockServiceGetResponse:
    return await served.clock.Get(pb.ClockServiceGetRequest(tenant=tenant))


async def advance(served: Served, **fields: Any) -> pb.AdvanceResponse:
    """Move the clock and wait until all of it has happened."""
    request = asking(served, **fields)
    while True:
        reply = await served.clock.Advance(request)
        if reply.settled:
            return reply


def asking(served: Served, **fields: Any) -> pb.AdvanceRequest:
    return pb.AdvanceRequest(**{"tenant": SANDBOX, "request_id": served.new_id(), **fields})


async def grants(served: Served) -> list[types_pb2.Grant]:
    reply = await served.balances.Get(
        balance_pb2.BalanceServiceGetRequest(tenant=SANDBOX, account="acme")
    )
    return [grant for balance in reply.balances for grant in balance.grants]


# -- showing and moving ----------------------------------------------------------------------------


async def test_a_clock_shows_what_it_was_moved_by(sandbox: Served) -> None:
    before = await shown(sandbox)
    assert before.sandbox and before.offset_us == 0
    reply = await advance(sandbox, by_us=31 * DAY_US)
    assert (reply.offset_us, reply.accounts_left, reply.replayed) == (31 * DAY_US, 0, False)
    after = await shown(sandbox)
    assert after.offset_us == 31 * DAY_US and after.now_us >= before.now_us + 31 * DAY_US
    to_us = after.now_us + HOUR_US
    assert (await advance(sandbox, to_us=to_us)).reached_us == to_us
    assert (await shown(sandbox)).now_us >= to_us
    live = await shown(sandbox, "default")
    assert (live.sandbox, live.offset_us) == (False, 0) and live.now_us < after.now_us


async def test_the_same_request_moves_it_once(sandbox: Served) -> None:
    """A retry finds the first move; another body under its id is a conflict (rule I5)."""
    first = await advance(sandbox, request_id="month", by_us=31 * DAY_US)
    again = await advance(sandbox, request_id="month", by_us=31 * DAY_US)
    assert again.replayed and again.reached_us == first.reached_us
    other = await refusal_of(
        sandbox.clock.Advance(asking(sandbox, request_id="month", by_us=30 * DAY_US))
    )
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
    to = await refusal_of(sandbox.clock.Advance(asking(sandbox, request_id="month", to_us=10**15)))
    assert to.reason == "CONFLICT"
    assert (await shown(sandbox)).offset_us == 31 * DAY_US


@pytest.mark.parametrize(
    ("fields", "code", "reason", "field"),
    [
        ({"tenant": "default", "by_us": 1}, "FAILED_PRECONDITION", "TENANT_NOT_SANDBOX", "tenant"),
        ({"tenant": "nobody", "by_us": 1}, "NOT_FOUND", "TENANT_UNKNOWN", "tenant"),
        ({"to_us": 1}, "INVALID_ARGUMENT", "CLOCK_BACKWARDS", "to_us"),
        ({"by_us": ADVANCE_MAX_US + 1}, "INVALID_ARGUMENT", "CLOCK_TOO_FAR", "by_us"),
        ({"to_us": LATEST_US + 1}, "INVALID_ARGUMENT", "CLOCK_TOO_FAR", "to_us"),
        ({"by_us": 0}, "INVALID_ARGUMENT", "NUMBER_OUT_OF_RANGE", "by_us"),
        ({"by_us": -1}, "INVALID_ARGUMENT", "NUMBER_OUT_OF_RANGE", "by_us"),
        ({}, "INVALID_ARGUMENT", "FIELD_REQUIRED", "by_us"),
        ({"request_id": "", "by_us": 1}, "INVALID_ARGUMENT", "FIELD_REQUIRED", "request_id"),
    ],
)
async def test_what_cannot_be_moved_is_refused(
    sandbox: Served, fields: dict[str, Any], code: str, reason: str, field: str
) -> None:
    """Only a sandbox, only forward, by no more than ten years, never beyond 2200 (rule T4)."""
    found = await refusal_of(sandbox.clock.Advance(asking(sandbox, **fields)))
    assert (found.code.name, found.reason) == (code, reason)
    assert field in (found.metadata.get("field", ""), *[each for each, _ in found.violations])
    assert (await shown(sandbox)).offset_us == 0


async def test_a_caller_in_a_hurry_is_told_how_far_it_is(sandbox: Served) -> None:
    """The answer comes before the deadline; the same request goes on waiting."""
    request = asking(sandbox, by_us=400 * DAY_US)
    first = await sandbox.clock.Advance(request, timeout=10)
    assert first.settled == (first.accounts_left == 0)
    reply = await advance(sandbox, request_id=request.request_id, by_us=400 * DAY_US)
    assert reply.settled and reply.replayed
    assert [grant.state for grant in await grants(sandbox)] in (
        [],
        [types_pb2.GRANT_STATE_EXPIRED],
    )


# -- what time causes ------------------------------------------------------------------------------


async def test_grants_expire_and_periods_begin(sandbox: Served) -> None:
    await sandbox.recurring.Start(
        recurring_pb2.RecurringGrantServiceStartRequest(
            tenant=SANDBOX,
            request_id="start",
            account="acme",
            terms=recurring_pb2.RecurringTerms(
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
                asset="credit",
                amount=70,
                every=1,
                unit=recurring_pb2.PERIOD_UNIT_WEEK,
            ),
        )
    )
    assert int((await sandbox.balance("acme")).available) == 1_000_070
    await advance(sandbox, by_us=32 * DAY_US)
    listed = [
        grant async for grant in DrawdownClient(sandbox.address, tenant=SANDBOX).list_grants("acme")
    ]
    assert [grant.state for grant in listed].count(types_pb2.GRANT_STATE_EXPIRED) == 5
    assert int((await sandbox.balance("acme")).available) == 70, "of the fifth week"


async def test_decisions_and_answers_are_in_its_time(sandbox: Served) -> None:
    await advance(sandbox, by_us=DAY_US)
    now_us = (await shown(sandbox)).now_us
    reply = await sandbox.ingest(event("a", "acme"), event("b", "acme", effective_at_us=now_us))
    assert [each.outcome for each in reply.results] == [usage_pb2.INGEST_OUTCOME_APPLIED] * 2
    async with DrawdownClient(
        sandbox.address, tenant=SANDBOX, source="sdk", product="chat"
    ) as client:
        (packed,) = await client.ingest([UsageEvent("c", "acme", {"input_tokens": 1})])
    assert packed.outcome is Outcome.APPLIED
    held = await sandbox.authorize("acme")
    assert held.expires_at_us > now_us
    await advance(sandbox, by_us=HOUR_US)
    hold = await sandbox.decisions.GetHold(
        decision_pb2.GetHoldRequest(tenant=SANDBOX, hold_id=held.hold_id)
    )
    assert hold.hold.state == types_pb2.HOLD_STATE_EXPIRED
    checked = await sandbox.check("acme")
    assert checked.decision == decision_pb2.DECISION_ALLOW
    await advance(sandbox, by_us=29 * DAY_US)
    assert (await sandbox.check("acme")).decision == decision_pb2.DECISION_DENY, "it has expired"


async def test_aliases_and_rates_take_effect_in_its_time(sandbox: Served) -> None:
    await advance(sandbox, by_us=10 * DAY_US)
    now_us = (await shown(sandbox)).now_us
    made = await sandbox.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(
            tenant=SANDBOX, request_id="alias", account="acme", alias="key-1"
        )
    )
    assert made.alias.effective_from_us >= now_us
    reply = await sandbox.ingest(event("a", "key-1"))
    assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    products = [card_pb2.Product(product="chat", display_name="Talk")]
    await sandbox.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=SANDBOX, request_id="later", card=card(products=products), expected_version=2
        )
    )
    versions = [
        each async for each in DrawdownClient(sandbox.address, tenant=SANDBOX).list_rate_cards()
    ]
    assert max(each.effective_from_us for each in versions) >= now_us


async def test_the_sdk_moves_it(sandbox: Served) -> None:
    async with DrawdownClient(sandbox.address, tenant=SANDBOX) as client:
        assert (await client.advance_clock(by_us=DAY_US)).settled
        assert (await client.get_clock()).offset_us == DAY_US


# -- stored ----------------------------------------------------------------------------------------


async def test_read_models_stand_in_its_time_and_verify_agrees(
    stored_sandbox: Served, database: str
) -> None:
    """Recorded times are the sandbox's; the past is looked up in them (rules T4, T5)."""
    served = stored_sandbox
    start_us = (await shown(served)).now_us
    await served.ingest(event("a", "acme"))
    await advance(served, by_us=10 * DAY_US)
    await served.ingest(event("b", "acme"), event("c", "acme"))
    await advance(served, by_us=30 * DAY_US)
    await project(database)
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT event_id, recorded_at, effective_at FROM projection.usage_events ORDER BY 2"
        )
        ends = await connection.fetch("SELECT settled_at FROM projection.grants")
    days = {row["event_id"]: (row["recorded_at"] - start_us) // DAY_US for row in rows}
    assert days == {"a": 0, "b": 10, "c": 10}
    assert all(row["recorded_at"] == row["effective_at"] for row in rows)
    assert [(row["settled_at"] - start_us) // DAY_US for row in ends] == [40]
    charged = 100 * 3 + 20 * 15
    for day, available in ((1, 1), (11, 3), (29, 3)):
        at_us = start_us + day * DAY_US
        reply = await served.balances.Get(
            balance_pb2.BalanceServiceGetRequest(
                tenant=SANDBOX, account="acme", effective_at_us=at_us, known_at_us=at_us
            )
        )
        assert int(reply.balances[0].available) == 1_000_000 - charged * available, day
    ahead = await refusal_of(
        served.balances.Get(
            balance_pb2.BalanceServiceGetRequest(
                tenant=SANDBOX, account="acme", effective_at_us=start_us + 41 * DAY_US
            )
        )
    )
    assert ahead.reason == "IN_FUTURE"
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_restart_keeps_the_time(database: str) -> None:
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage) as caller:
            await _filled(caller)
            await advance(caller, by_us=31 * DAY_US)
        async with serve(storage) as caller:
            caller.tenant = SANDBOX
            assert (await shown(caller)).offset_us == 31 * DAY_US
            assert (await advance(caller, by_us=DAY_US)).offset_us == 32 * DAY_US
            reply = await caller.ingest(event("a", "acme"))
            assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    finally:
        await storage.close()
