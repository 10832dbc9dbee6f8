"""Alerts and top-ups before a balance is empty: a rule kept by a forecast, over gRPC on PostgreSQL.

600 an hour are used, for a week, so every future is the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ledger.client import DrawdownClient
from ledger.client.runway import NoTopUpRule, UnknownAsset, runway_of, threshold_for
from ledger.v1 import balance_pb2, top_up_pb2
from rating.v1 import pricing_pb2
from tests.api.served import Served
from tests.api.test_forecasts import DAYS, HOUR_US, RATE, long_granted, used
from tests.cli.processes import drawdown
from tests.projections.projecting import project

LEFT = 60_000  # 100 hours
RULE = top_up_pb2.TopUpRule(
    asset="credit",
    threshold=1_000,
    amount=10_000,
    price_numerator=1,
    price_asset="USD",
    requests_max=24,
    window_us=HOUR_US,
)


@pytest.fixture
async def client(stored: Served, database: str) -> AsyncIterator[DrawdownClient]:
    """Of a ledger where `acme` has 100 hours left and a rule, and `young` an hour of history."""
    async with DrawdownClient(  # the read models follow when the test says
        stored.address, tenant="default", read_your_writes=False
    ) as made:
        await made.create_asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
        await stored.account("acme")
        await long_granted(stored, "acme", RATE * 24 * DAYS + LEFT)
        await used(stored, "acme", 24 * DAYS)
        await stored.account("young")
        await long_granted(stored, "young", LEFT)
        await used(stored, "young", 1, "y")
        await project(database)
        for account in ("acme", "young"):
            await made.set_top_up_rule(account, RULE)
        yield made


async def pending(client: DrawdownClient, account: str = "acme") -> list[int]:
    state = top_up_pb2.TOP_UP_STATE_PENDING
    return [each.amount async for each in client.list_top_ups(account, state=state)]


async def test_a_runway_is_short_from_the_hour_that_division_gives(client: DrawdownClient):
    long, short = [await client.runway("acme", "credit", hours) for hours in (99, 100)]
    assert (long.short, long.empty_at_us, long.needed) == (False, 0, RATE * 99)
    assert (short.short, short.available, short.needed) == (True, LEFT, RATE * 100)
    assert short.empty_at_us == short.as_of_us + 100 * HOUR_US


async def test_a_crossing_is_one_entry_and_one_charge(client: DrawdownClient, database: str):
    far = await client.keep_runway("acme", "credit", 72, otherwise=1_000)
    assert (far.changed, far.rule.version, far.runway.short) == (False, 1, False)
    short = await client.keep_runway("acme", "credit", 120, otherwise=1_000)
    assert (short.changed, short.rule.threshold, short.rule.version) == (True, RATE * 120, 2)
    assert await pending(client) == [20_000]  # 12,000 are missing; the rule buys by 10,000
    again = await client.keep_runway("acme", "credit", 120, otherwise=1_000)
    assert (again.changed, again.rule.version) == (False, 2)
    assert await pending(client) == [20_000]
    [bought] = [each async for each in client.list_top_ups("acme")]
    assert bought.rule_version == 2
    await client.confirm_top_up(bought.top_up_id)
    await project(database)
    back = await client.keep_runway("acme", "credit", 120, otherwise=1_000)
    assert (back.runway.short, back.runway.available) == (False, LEFT + 20_000)
    assert (back.changed, back.rule.threshold, back.rule.version) == (True, 1_000, 3)
    assert not await pending(client)


async def test_two_who_ask_at_once_write_once(client: DrawdownClient):
    kept = await asyncio.gather(
        *[client.keep_runway("acme", "credit", 120, otherwise=1_000) for _ in range(2)]
    )
    assert {each.rule.version for each in kept} == {2}
    assert await pending(client) == [20_000]


async def test_a_rule_buys_no_more_than_its_target_and_what_it_may(client: DrawdownClient):
    capped = await client.keep_runway("acme", "credit", 2_000, at_most=65_000)
    assert capped.rule.threshold == 65_000
    assert await pending(client) == [10_000]
    target = top_up_pb2.TopUpRule()
    target.CopyFrom(RULE)
    target.amount, target.target = 0, 90_000
    await client.set_top_up_rule("acme", target)
    kept = await client.keep_runway("acme", "credit", 2_000)
    assert (kept.rule.threshold, kept.rule.target) == (90_000, 90_000)
    assert sum(await pending(client)) == 90_000 - LEFT


async def test_what_is_not_known_changes_nothing(client: DrawdownClient):
    kept = await client.keep_runway("young", "credit", 2_000, otherwise=5)
    assert (kept.changed, kept.runway.short, kept.rule.threshold) == (False, False, 1_000)
    with pytest.raises(UnknownAsset, match="never used 'gold'; what it used: credit"):
        await client.runway("acme", "gold", 72)
    await client.remove_top_up_rule("acme", "credit")
    with pytest.raises(NoTopUpRule, match="set one first"):
        await client.keep_runway("acme", "credit", 72)


@pytest.mark.parametrize(
    ("threshold", "needed", "kept"),
    [
        (1_000, 72_000, 72_000),  # the crossing
        (72_000, 73_000, 72_000),  # a need that moves a little
        (72_000, 80_000, 72_000),
        (72_000, 83_000, 83_000),  # by more than an eighth
        (72_000, 60_500, 72_000),  # a smaller need, as long as it is short
        (59_000, 60_500, 60_500),  # near, but above what is there: it has not asked yet
        (1_000, 59_000, 60_001),  # an odd band: it asks all the same
    ],
)
def test_a_threshold_moves_where_more_is_needed(threshold: int, needed: int, kept: int):
    reply = balance_pb2.ForecastResponse(
        assets=[
            balance_pb2.AssetForecast(
                asset="credit",
                outlook=balance_pb2.OUTLOOK_EMPTIES,
                available=str(LEFT),
                used=balance_pb2.AmountBand(p90=str(needed - 400)),
                expired=balance_pb2.AmountBand(p90="400"),
            )
        ]
    )
    rule = top_up_pb2.TopUpRule(asset="credit", threshold=threshold, amount=1)
    assert threshold_for(rule, runway_of(reply, "credit", 72), 1_000, 2**63 - 1) == kept
    rule.disabled = True
    assert threshold_for(rule, runway_of(reply, "credit", 72), 1_000, 2**63 - 1) == threshold


async def test_a_scheduler_is_told_by_the_exit_code(client: DrawdownClient, stored: Served):
    async def run(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(drawdown, "runway", *words, "--address", stored.address)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    code, said = await run("acme", "credit", "--hours", "99")
    assert (code, said) == (0, "acme: lasts for 99 h; 0.06 credit available")
    code, said = await run("acme", "credit", "--hours", "120")
    assert code == 4
    assert "within 120 h; 0.06 credit available, 0.072 needed" in said
    assert not await pending(client)
    code, said = await run(
        "acme", "credit", "--hours", "120", "--top-up", "--otherwise", "1000", "--json"
    )
    assert code == 4
    shown = json.loads(said)
    assert (shown["threshold"], shown["changed"], shown["needed"]) == ("72000", True, "72000")
    assert (shown["outlook"], shown["rule_version"]) == ("OUTLOOK_EMPTIES", "2")
    assert await pending(client) == [20_000]
    code, said = await run("acme", "credit", "--hours", "120", "--top-up")
    assert code == 4
    assert said.endswith("top-up rule: buys below 0.072 credit, as before (version 2)")
    code, said = await run("young", "credit")
    assert (code, said[:30]) == (0, "young: not known yet: less tha")
    code, said = await run("acme", "gold")
    assert code == 1
    assert "never used 'gold'" in said
