"""Runway alerts over gRPC on PostgreSQL: found in the background, told once a crossing.

600 an hour are used, for a week, so every future is the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from ledger.api import forecasting, runway_watch
from ledger.api.forecasting import Seen
from ledger.api.runway_watch import RunwayWatch
from ledger.client import DrawdownClient
from ledger.core.commands import ReportRunway
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import account_pb2, journal_pb2
from ledger.v1 import runway_pb2 as pb
from ledger.verify import verify
from tests.api.cluster import cluster
from tests.api.served import TENANT, Served, refusal_of
from tests.api.test_forecasts import DAYS, HOUR_US, RATE, hours_ago, long_granted, used
from tests.cli.processes import drawdown
from tests.patience import HANGS_S
from tests.projections.projecting import looking, project

LEFT = 60_000  # 100 hours


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that have changed are looked at again in each round."""
    monkeypatch.setattr(runway_watch, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(forecasting, "CATCH_UP_S", 0.05)


@pytest.fixture
async def client(stored: Served, database: str) -> AsyncIterator[DrawdownClient]:
    """Of a ledger where `acme` has 100 hours left; nobody looks but the test."""
    assert stored.server.runways is not None
    await stored.server.runways.stop()
    async with DrawdownClient(stored.address, tenant="default", read_your_writes=False) as made:
        await stored.account("acme")
        await long_granted(stored, "acme", RATE * 24 * DAYS + LEFT)
        await used(stored, "acme", 24 * DAYS)
        yield made


def watch(served: Served) -> RunwayWatch:
    assert served.server.runways is not None
    return served.server.runways


async def told(served: Served, database: str) -> int:
    """Crossings that a round tells of once the read models have all."""
    await project(database)
    return await watch(served).round()


async def alert(client: DrawdownClient, account: str = "acme") -> pb.RunwayAlert:
    [found] = (await client.get_runway_alerts(account)).alerts
    return found


async def test_a_crossing_is_told_once_and_again_after_it_lasted(
    stored: Served, client: DrawdownClient, database: str
):
    """100 hours are left: short of 120, till more than 150 are."""
    made = await client.set_runway_alert("acme", "credit", 120)
    assert (made.alert.hours, made.alert.rearm_hours, made.alert.version) == (120, 150, 1)
    assert await told(stored, database) == 1
    found = await alert(client)
    assert (found.short, found.crossings, found.scale) == (True, 1, 6)
    assert (found.available, found.needed) == (str(LEFT), str(RATE * 120))
    assert 0 <= found.empty_at_us - found.crossed_at_us - 99 * HOUR_US <= HOUR_US
    assert await told(stored, database) == 0, "it is told already"

    await long_granted(stored, "acme", RATE * 50)
    assert await told(stored, database) == 0, "150 hours are not more than 150"
    await long_granted(stored, "acme", RATE)
    assert await told(stored, database) == 1
    found = await alert(client)
    assert (found.short, found.crossings, found.empty_at_us) == (False, 2, 0)
    again = await client.set_runway_alert("acme", "credit", 160, expected_version=1)
    assert (again.alert.version, again.alert.crossings) == (2, 0)
    assert await told(stored, database) == 1, "another version tells anew"
    await client.remove_runway_alert("acme", "credit")
    assert not (await client.get_runway_alerts("acme")).alerts
    assert await told(stored, database) == 0

    await project(database)
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT version, crossing, short, empty_at IS NULL AS lasts, available, needed "
            "FROM projection.runway_crossings ORDER BY entry_seq"
        )
        assert [tuple(row) for row in rows] == [
            (1, 1, True, False, LEFT, RATE * 120),
            (1, 2, False, True, LEFT + RATE * 51, RATE * 150),
            (2, 1, True, False, LEFT + RATE * 51, RATE * 160),
        ]
        assert not await connection.fetch("SELECT * FROM projection.runway_alerts")
    report = await verify(database)
    assert report.ok, report.findings


async def test_watch_shows_what_is_told(stored: Served, client: DrawdownClient, database: str):
    await client.set_runway_alert("acme", "credit", 120)
    async with asyncio.timeout(HANGS_S), aclosing(client.watch("acme")) as messages:
        first = await anext(messages)
        [shown] = first.accounts[0].runways.alerts
        assert (shown.hours, shown.short) == (120, False)
        assert await told(stored, database) == 1
        async for message in messages:
            if message.accounts and message.accounts[0].HasField("runways"):
                [shown] = message.accounts[0].runways.alerts
                assert shown.short and shown.available == str(LEFT)
                break
        await client.remove_runway_alert("acme", "credit")
        async for message in messages:
            if message.accounts and message.accounts[0].HasField("runways"):
                assert not message.accounts[0].runways.alerts
                break


async def test_read_models_that_are_behind_or_absent_tell_nothing(
    stored: Served, client: DrawdownClient, database: str
):
    """Nothing is projected, then all but the last: nothing is told; caught up, it is."""
    await client.set_runway_alert("acme", "credit", 120)
    assert await watch(stored).round() == 0, "nothing is projected"
    await project(database)
    await long_granted(stored, "acme", RATE * 24 * 30)
    assert await watch(stored).round() == 0, "what is recorded is not projected"
    assert await told(stored, database) == 0, "it lasts by now"
    await client.set_runway_alert("acme", "credit", 1_000)
    await project(database)
    await used(stored, "acme", 1, "late")
    assert await watch(stored).round() == 0
    assert await told(stored, database) == 1


async def test_what_comes_while_it_is_foretold_is_no_alert(
    stored: Served, client: DrawdownClient, database: str, monkeypatch: pytest.MonkeyPatch
):
    """A grant is issued between the forecast and its report."""
    caught_up = forecasting.Forecasts.caught_up

    async def late(self: Any, *arguments: Any) -> Seen:
        seen = await caught_up(self, *arguments)
        await long_granted(stored, "acme", RATE * 1_000)
        return seen

    await client.set_runway_alert("acme", "credit", 120)
    monkeypatch.setattr(forecasting.Forecasts, "caught_up", late)
    assert await told(stored, database) == 0
    monkeypatch.setattr(forecasting.Forecasts, "caught_up", caught_up)
    assert await told(stored, database) == 0
    assert not (await alert(client)).short


async def test_unknown_histories_and_closed_accounts_are_not_told_of(
    stored: Served, client: DrawdownClient, database: str
):
    await stored.account("young")
    await long_granted(stored, "young", 10)
    await client.set_runway_alert("young", "credit", 2_160)
    await client.set_runway_alert("acme", "credit", 120)
    await stored.accounts.Close(
        account_pb2.AccountServiceCloseRequest(
            tenant=TENANT, request_id=stored.new_id(), account="acme", write_off=True
        )
    )
    assert await told(stored, database) == 0
    assert not (await alert(client, "young")).short


async def test_accounts_that_have_not_changed_are_left_for_an_hour(
    stored: Served, client: DrawdownClient, database: str, monkeypatch: pytest.MonkeyPatch
):
    looked: list[str] = []
    caught_up = forecasting.Forecasts.caught_up

    async def counted(self: Any, entry: Any, *arguments: Any) -> Seen:
        looked.append(entry.account_id)
        return await caught_up(self, entry, *arguments)

    monkeypatch.setattr(forecasting.Forecasts, "caught_up", counted)
    for name in ("b", "c"):
        await stored.account(name)
        await long_granted(stored, name, 1_000)
        await client.set_runway_alert(name, "credit", 10)
    await told(stored, database)
    assert sorted(looked) == ["b", "c"]
    await used(stored, "c", 1, "c")
    looked.clear()
    await told(stored, database)
    assert looked == ["c"]
    looked.clear()
    monkeypatch.setattr(runway_watch, "UNCHANGED_S", 0.0)
    monkeypatch.setattr(runway_watch, "LOOKS_A_ROUND", 1)
    for _ in range(4):
        await told(stored, database)
    assert looked == ["b", "c", "b", "c"], "those whose look is the oldest first"


async def test_two_servers_tell_once_each_of_its_own(database: str):
    """Each looks at its own shards, and nothing is told by both."""
    storages = [await PostgresStorage.open(database, 4) for _ in range(2)]
    history = History(storages[0].pool)
    async with cluster(list(storages), history=history) as servers:
        first = servers[0]
        await first.priced()
        names = [f"account-{number}" for number in range(6)]
        for each in servers:
            await watch(each).stop()
        for name in names:
            await first.account(name)
            await long_granted(first, name, RATE * 110)
            await used(first, name, 100, name)
            await first.runways.SetAlert(
                pb.SetAlertRequest(
                    tenant=TENANT,
                    request_id=first.new_id(),
                    account=name,
                    alert=pb.RunwayAlert(asset="credit", hours=24),
                )
            )
        told_by = [0, 0]
        for _ in range(len(names)):  # what is told is to be projected before the next is foretold
            await project(database)
            for number, each in enumerate(servers):
                told_by[number] += await watch(each).round()
        assert sum(told_by) == len(names) and min(told_by) > 0
        for name in names:
            request = pb.GetAlertsRequest(tenant=TENANT, account=name)
            [found] = (await first.runways.GetAlerts(request)).alerts
            assert (found.short, found.crossings) == (True, 1)
    for storage in storages:
        await storage.close()


async def test_a_report_that_is_lost_is_made_again_and_one_made_twice_is_one(
    stored: Served, client: DrawdownClient, database: str, monkeypatch: pytest.MonkeyPatch
):
    """The server ends before it reports; the next one, with nothing in memory, does."""
    await client.set_runway_alert("acme", "credit", 120)
    monkeypatch.setattr(runway_watch, "_report", lambda *_: None)
    assert await told(stored, database) == 0
    monkeypatch.undo()
    successor = RunwayWatch(stored.server.edge, watch(stored)._history)
    assert await successor.round() == 1
    [shown] = [await alert(client)]
    number = await stored.server.edge.account(await stored.server.edge.tenant(TENANT), "acme")
    asset = stored.server.edge.assets.number(number.tenant, "credit", number.shard)
    writer = stored.ledger.writers[number.shard]
    key = runway_watch.key_of(number.number, asset, 1, 1)
    again = ReportRunway(key, number.number, asset, 1, 1, stored.ledger.clock.now_us(), 0, 0, 0)
    await writer.submit([again])
    assert await alert(client) == shown


async def test_what_is_wrong_is_named(stored: Served, client: DrawdownClient):
    async def refused(**changes: Any) -> tuple[grpc.StatusCode, str, list[tuple[str, str]]]:
        fields: dict[str, Any] = {"asset": "credit", "hours": 72, **changes}
        request = pb.SetAlertRequest(
            tenant=TENANT,
            request_id=stored.new_id(),
            account="acme",
            alert=pb.RunwayAlert(**fields),
        )
        found = await refusal_of(stored.runways.SetAlert(request))
        return found.code, found.reason, found.violations

    for field, changes in (
        ("alert.hours", {"hours": 0}),
        ("alert.hours", {"hours": 2_161}),
        ("alert.rearm_hours", {"rearm_hours": 71}),
        ("alert.rearm_hours", {"rearm_hours": 2_161}),
    ):
        code, reason, violations = await refused(**changes)
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RUNWAY_ALERT_INVALID")
        assert violations[0][0] == field
    assert (await refused(asset="gold"))[1] == "ASSET_UNKNOWN"
    made = await client.set_runway_alert("acme", "credit", 72, request_id="one")
    again = await client.set_runway_alert("acme", "credit", 72, request_id="one")
    assert again.replayed and again.alert == made.alert
    found = await refusal_of(
        stored.runways.SetAlert(
            pb.SetAlertRequest(
                tenant=TENANT,
                request_id="one",
                account="acme",
                alert=pb.RunwayAlert(asset="credit", hours=73),
            )
        )
    )
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "alert")
    outcome = await stored.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="one")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_SET_RUNWAY_ALERT
    found = await refusal_of(
        stored.runways.RemoveAlert(
            pb.RemoveAlertRequest(
                tenant=TENANT, request_id=stored.new_id(), account="acme", asset="USD"
            )
        )
    )
    assert found.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


async def test_what_is_shared_from_above_counts(
    stored: Served, client: DrawdownClient, database: str
):
    """A child lives on what its parent shares: it is told of, and of what comes to the parent."""
    await stored.account("parent")
    await stored.account("child", parent="parent")
    await long_granted(stored, "parent", RATE * 110, shared=True)
    await used(stored, "child", 100, "s")
    await client.set_runway_alert("child", "credit", 24)
    assert await told(stored, database) == 1
    found = await alert(client, "child")
    assert (found.short, found.available) == (True, str(RATE * 10))
    await long_granted(stored, "parent", RATE * 30, shared=True)
    assert await told(stored, database) == 1
    assert not (await alert(client, "child")).short


async def test_one_account_that_cannot_be_looked_at_keeps_nobody_from_it(
    stored: Served, client: DrawdownClient, database: str, monkeypatch: pytest.MonkeyPatch
):
    caught_up = forecasting.Forecasts.caught_up

    async def broken(self: Any, entry: Any, *arguments: Any) -> Seen:
        assert entry.account_id != "bad"
        return await caught_up(self, entry, *arguments)

    await stored.account("bad")
    await client.set_runway_alert("bad", "credit", 120)
    await client.set_runway_alert("acme", "credit", 120)
    monkeypatch.setattr(forecasting.Forecasts, "caught_up", broken)
    assert await told(stored, database) == 1
    assert (await alert(client)).short


async def test_what_expires_is_told_of(stored: Served, client: DrawdownClient, database: str):
    """A thousand hours are left, all of which expire in 90: no future pays for the last ten."""
    await stored.account("ends")
    since, ends = hours_ago(stored, 101), hours_ago(stored, -90)
    await stored.grant("ends", RATE * 1_100, effective_at_us=since, expires_at_us=ends)
    await used(stored, "ends", 100, "e")
    await client.set_runway_alert("ends", "credit", 72)
    assert await told(stored, database) == 0
    await client.set_runway_alert("ends", "credit", 100)
    assert await told(stored, database) == 1
    assert (await alert(client, "ends")).needed == str(RATE * 1_010)


async def test_the_command_sets_shows_and_removes(
    stored: Served, client: DrawdownClient, database: str
):
    where = ["--address", stored.address]
    done = await asyncio.to_thread(
        drawdown, "runway-alert", "set", "acme", "credit", "--hours", "120", *where
    )
    assert done.returncode == 0, done.stderr
    assert "acme: tells when credit may not last for 120 h, again after 150 h" in done.stdout
    assert await told(stored, database) == 1
    done = await asyncio.to_thread(drawdown, "runway-alert", "list", "acme", "--json", *where)
    [shown] = json.loads(done.stdout)["alerts"]
    assert (shown["asset"], shown["short"], shown["available"]) == ("credit", True, str(LEFT))
    done = await asyncio.to_thread(drawdown, "runway-alert", "list", "acme", *where)
    assert "short" in done.stdout and "0.06" in done.stdout
    done = await asyncio.to_thread(drawdown, "runway-alert", "remove", "acme", "credit", *where)
    assert done.returncode == 0, done.stderr
    done = await asyncio.to_thread(drawdown, "runway-alert", "list", "acme", *where)
    assert "no runway alerts" in done.stdout
