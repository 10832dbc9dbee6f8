"""Forecasts over gRPC on PostgreSQL: recorded usage by the hour, against what pays."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.api import read_models
from ledger.client import DrawdownClient, Refused
from ledger.core.limits import HOUR_US
from ledger.v1 import account_pb2, budget_pb2, correction_pb2, types_pb2
from ledger.v1 import balance_pb2 as pb
from tests.api.served import TENANT, Served, event, refusal_of
from tests.projections.projecting import looking, project

DAYS = 7
RATE = 600  # micro-credits that `event` costs: 100 × 3 + 20 × 15


async def forecast(caller: Served, account: str = "acme", **changes: Any) -> pb.ForecastResponse:
    return await caller.balances.Forecast(
        pb.ForecastRequest(tenant=TENANT, account=account, **changes)
    )


def hours_ago(caller: Served, hours: int) -> int:
    return caller.ledger.clock.now_us() // HOUR_US * HOUR_US - hours * HOUR_US


async def used(caller: Served, account: str, hours: int, name: str = "u") -> None:
    """One event in each of the last whole hours."""
    events = [
        event(f"{name}{hour}", account, effective_at_us=hours_ago(caller, hour) + 60_000_000)
        for hour in range(hours, 0, -1)
    ]
    for at in range(0, len(events), 100):
        await caller.ingest(*events[at : at + 100])


async def long_granted(caller: Served, account: str, amount: int, **changes: Any) -> str:
    """A grant in force since eight days ago."""
    since = hours_ago(caller, 24 * (DAYS + 1))
    return (await caller.grant(account, amount, effective_at_us=since, **changes)).grant.grant_id


async def test_a_steady_burn_says_when_the_balance_is_empty(stored: Served, database: str):
    """600 an hour for a week; 60,000 are left: 100 hours, in every future."""
    await stored.account("acme")
    await long_granted(stored, "acme", RATE * 24 * DAYS + 60_000)
    await used(stored, "acme", 24 * DAYS)
    await project(database)
    found = await forecast(stored)
    (asset,) = found.assets
    assert (asset.asset, asset.scale, asset.available) == ("credit", 6, "60000")
    assert (asset.burn_per_hour, asset.burn_per_day, asset.burn_last_day) == (
        "600",
        "14400",
        "14400",
    )
    assert (asset.history_hours, asset.outlook) == (24 * DAYS, pb.OUTLOOK_EMPTIES)
    empty = found.as_of_us + 100 * HOUR_US
    assert (asset.empty_at_us.p10, asset.empty_at_us.p50, asset.empty_at_us.p90) == (empty,) * 3
    assert asset.used == pb.AmountBand(p10="432000", p50="432000", p90="432000")
    assert found.horizon_us == found.as_of_us + 720 * HOUR_US
    assert found.as_of_us < found.period_end_us
    assert (asset.bill_so_far, asset.bill.p50) == ("0", "0")
    soon = await forecast(stored, horizon_hours=99)
    assert soon.assets[0].outlook == pb.OUTLOOK_LASTS
    assert not soon.assets[0].empty_at_us.p10
    again = await forecast(stored, horizon_hours=720, min_position=found.position)
    assert again.usage_position == found.usage_position


async def test_what_is_given_back_was_not_used(stored: Served, database: str):
    await stored.account("acme")
    await long_granted(stored, "acme", 1_000_000)
    await used(stored, "acme", 100)
    await stored.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="back",
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id="u5"),
                    reason="a test call",
                )
            ],
        )
    )
    await project(database)
    (asset,) = (await forecast(stored)).assets
    assert asset.burn_last_day == str(23 * RATE)
    async with looking(database) as connection:
        rows = await connection.fetch("SELECT hour, amount FROM projection.usage_hours")
    assert sorted({int(row["amount"]) for row in rows}) == [0, RATE]
    assert len(rows) == 100


async def test_expiries_and_grants_to_come_count(stored: Served, database: str):
    """1,000 h of use at 600, of which all but 10 h expire in 5 h; more comes after 20 h."""
    await stored.account("acme")
    now = stored.ledger.clock.now_us()
    await long_granted(stored, "acme", RATE * 100 + RATE * 10)
    await used(stored, "acme", 100)
    await stored.grant("acme", RATE * 1_000, expires_at_us=now + 5 * HOUR_US + 1)
    await stored.grant("acme", RATE * 30, effective_at_us=now + 20 * HOUR_US)
    await project(database)
    found = await forecast(stored, horizon_hours=40)
    (asset,) = found.assets
    assert asset.available == str(RATE * 1_010)
    assert asset.coming == str(RATE * 30)
    assert (asset.empty_at_us.p50 - found.as_of_us) // HOUR_US in (15, 16)
    assert int(asset.expired.p50) in (RATE * 994, RATE * 995)


async def test_a_little_history_foretells_nothing(stored: Served, database: str):
    await stored.account("acme")
    await long_granted(stored, "acme", 1_000_000)
    await used(stored, "acme", 71)
    await project(database)
    (asset,) = (await forecast(stored)).assets
    assert asset.outlook == pb.OUTLOOK_INSUFFICIENT_HISTORY
    assert (asset.burn_per_hour, asset.HasField("empty_at_us")) == ("600", False)


async def test_a_subtree_is_foretold_as_one_and_siblings_draw_on_what_is_shared(
    stored: Served, database: str
):
    """Two children burn 600 an hour each from one grant: either sees it go at 1,200."""
    await stored.account("acme")
    await long_granted(stored, "acme", RATE * 200 + 120_000, shared=True)
    for name in ("a", "b"):
        await stored.account(f"acme/{name}", parent="acme")
        await used(stored, f"acme/{name}", 100, name)
    await project(database)
    for account, subtree in (("acme", True), ("acme/a", False), ("acme/b", False)):
        found = await forecast(stored, account, subtree=subtree)
        (asset,) = found.assets
        assert (asset.available, asset.burn_per_hour) == ("120000", "1200"), account
        assert asset.empty_at_us.p50 == found.as_of_us + 100 * HOUR_US
    (own,) = (await forecast(stored, "acme")).assets
    assert (own.outlook, own.burn_per_hour) == (pb.OUTLOOK_INSUFFICIENT_HISTORY, "0")


async def test_the_bill_is_overage_until_now_and_what_is_to_come(stored: Served, database: str):
    """Overage from the first unit on: the bill grows by 600 an hour until the month ends."""
    await stored.account("acme", overage=account_pb2.OVERAGE_SELF)
    await used(stored, "acme", 100)
    await project(database)
    found = await forecast(stored)
    (asset,) = found.assets
    hours = -((found.as_of_us - found.period_end_us) // HOUR_US)
    balance = await stored.balance("acme")
    assert (asset.outlook, asset.bill_so_far) == (pb.OUTLOOK_EMPTY, balance.overage)
    assert asset.unpaid.p50 == str(hours * RATE)
    assert asset.bill.p90 == str(int(balance.overage) + hours * RATE)


async def test_a_budget_runs_out_at_the_pace_of_its_window(stored: Served, database: str):
    await stored.account("acme")
    await long_granted(stored, "acme", 1_000_000)
    await stored.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT,
            request_id="budget",
            account="acme",
            budget=budget_pb2.Budget(
                name="month",
                asset="credit",
                measure=budget_pb2.BUDGET_MEASURE_CHARGE,
                limit=RATE,
                window=types_pb2.Window(kind=types_pb2.WINDOW_KIND_LIFETIME),
            ),
        )
    )
    await used(stored, "acme", 2)
    await project(database)
    found = await forecast(stored)
    (budget,) = found.budgets
    assert (budget.account, budget.name, budget.limit) == ("acme", "month", RATE)
    assert (budget.used, budget.left) == (str(2 * RATE), str(-RATE))
    assert budget.runs_out_at_us == found.as_of_us


async def test_a_horizon_is_limited(stored: Served):
    await stored.account("acme")
    refused = await refusal_of(forecast(stored, horizon_hours=2_161))
    assert (refused.reason, refused.metadata["field"]) == ("NUMBER_OUT_OF_RANGE", "horizon_hours")


async def test_without_read_models_nothing_is_foretold(priced: Served):
    await priced.account("acme")
    assert (await refusal_of(forecast(priced))).reason == "READ_MODELS_ABSENT"


async def test_where_nobody_keeps_the_read_models_up_that_is_said_and_nothing_foretold(
    stored: Served, database: str, monkeypatch: pytest.MonkeyPatch
):
    """Before anything was projected, and once nobody projects; behind alone is no fault."""
    monkeypatch.setattr(read_models, "WAIT_S", 0.05)
    await stored.account("acme")
    await stored.grant("acme", RATE)
    assert (await refusal_of(forecast(stored))).reason == "READ_MODELS_BEHIND"
    with monkeypatch.context() as impatient:
        impatient.setattr(read_models, "STALL_S", 0)
        refused = await refusal_of(forecast(stored))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "READ_MODELS_STALLED",
    )
    assert "drawdown project" in refused.message
    await project(database)
    await stored.grant("acme", RATE)
    assert (await forecast(stored)).assets
    monkeypatch.setattr(read_models, "STALL_S", 0.1)
    async with DrawdownClient(stored.address, tenant=TENANT) as client:
        client.saw((await stored.grant("acme", RATE)).position)
        with pytest.raises(Refused, match="READ_MODELS_STALLED"):
            await client.keep_runway("acme", "credit", 72)
        await project(database)
        assert (await client.runway("acme", "credit", 72)).available == 3 * RATE
