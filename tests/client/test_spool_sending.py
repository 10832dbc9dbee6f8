"""What leaves a spool: nothing that a caller, a clock or one capture does stops what is behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.client import (
    ClientClosed,
    DrawdownClient,
    EventOutcome,
    Limits,
    Outcome,
    SetAside,
    Spool,
    SpooledCapture,
    SpoolFailed,
    UsageEvent,
    spool_sending,
)
from ledger.client.spool_files import SpoolFiles
from ledger.client.spool_records import record_of
from ledger.core.limits import DAY_US
from ledger.v1.fail_mode_pb2 import FAIL_MODE_OPEN
from tests.client.conftest import CuttingProxy, DeafProxy
from tests.client.test_spool import IMPATIENT, PATIENCE_US, charged, files, spooling, usage
from tests.patience import HANGS_S


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_sending, "AGAIN_S", 0.01)
    monkeypatch.setattr(spool_sending, "CAPTURE_S", 0.1)


def go_away(proxy: CuttingProxy) -> None:
    proxy.cuts = [1] * 1_000_000


async def drained(spool: Spool) -> None:
    async with asyncio.timeout(HANGS_S):
        await spool.drained()


def timed(number: int, days: int) -> UsageEvent:
    """An event of a clock that is so many days off."""
    at_us = time.time_ns() // 1_000 + days * DAY_US
    return UsageEvent(f"e-{number}", "acme", {"output_tokens": 1}, "chat", effective_at_us=at_us)


# -- callers ---------------------------------------------------------------------------------------


async def test_a_callback_that_raises_is_told_of_the_next_and_stops_nothing(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    settled: list[str] = []
    aside: list[str] = []

    def raises(event: UsageEvent, _: EventOutcome) -> None:
        settled.append(event.id)
        raise LookupError("of the caller")

    def raises_too(entry: SetAside) -> None:
        aside.append(entry.id)
        raise ClientClosed("of the caller")

    async with spooling(proxy.address, tmp_path, settled=raises, aside=raises_too) as spool:
        go_away(proxy)
        for number in range(3):
            await spool.record(usage(number))
        await spool.record(usage(3, "nobody"))
        proxy.cuts.clear()
        await drained(spool)
        go_away(proxy)
        while await spool.record(usage(4)) is not None:
            pass
        proxy.cuts.clear()
        await drained(spool)
    assert (set(settled), aside) == ({"e-0", "e-1", "e-2", "e-3", "e-4"}, ["e-3"])
    assert await charged(client) == 4


async def test_whoever_waits_for_a_spool_that_is_closed_is_told(
    proxy: CuttingProxy, tmp_path: Path
) -> None:
    async with spooling(proxy.address, tmp_path) as spool:
        go_away(proxy)
        await spool.record(usage(1))
        waiting = asyncio.create_task(spool.drained())
        await asyncio.sleep(0)
    with pytest.raises(ClientClosed, match="was closed"):
        await waiting
    with pytest.raises(ClientClosed, match="not open"):
        await spool.drained()


async def test_whoever_waits_for_a_spool_whose_client_is_closed_is_told(
    proxy: CuttingProxy, tmp_path: Path
) -> None:
    client = DrawdownClient(proxy.address, retry=IMPATIENT)
    go_away(proxy)
    async with Spool(client, tmp_path, patience_us=PATIENCE_US) as spool:
        await spool.record(usage(1))
        await client.close()
        with pytest.raises(ClientClosed):
            await drained(spool)


# -- what is never answered ------------------------------------------------------------------------


async def test_a_capture_that_is_never_answered_holds_nothing_up(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    """
    segment 1  the capture of a hold that nobody answers for, event 1
    segment 2  the capture of another hold, event 2
    """
    deaf, heard = [
        (await client.authorize("acme", "chat", {"output_tokens": 9}, request_id=name)).hold_id
        for name in ("deaf", "heard")
    ]
    kept = SpoolFiles(tmp_path, 1 << 20, 100)
    kept.append([record_of(SpooledCapture(deaf, {"output_tokens": 3}, "c-1")), record_of(usage(1))])
    kept.put_behind([record_of(SpooledCapture(heard, {"output_tokens": 5}, "c-2"))])
    kept.append([record_of(usage(2))])
    kept.close()
    async with DeafProxy(address) as proxy:
        proxy.deaf = {deaf.encode()}
        async with spooling(proxy.address, tmp_path) as spool:
            async with asyncio.timeout(HANGS_S):
                while await charged(client) < 7:
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(HANGS_S):
                while spool.kept_events > 1:
                    await asyncio.sleep(0.01)
            await spool.record(usage(3))
            async with asyncio.timeout(HANGS_S):
                while await charged(client) < 8:
                    await asyncio.sleep(0.01)
        async with spooling(address, tmp_path) as spool:
            assert spool.kept_events >= 1
            await drained(spool)
    assert await charged(client) == 11


async def test_events_that_are_never_answered_hold_nothing_up_either(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    kept = files(tmp_path)
    for name, account in (("deaf", "beta"), ("heard", "acme")):
        kept.put_behind([record_of(UsageEvent(name, account, {"output_tokens": 1}, "chat"))])
    kept.close()
    async with DeafProxy(address) as proxy:
        proxy.deaf = {b"beta"}
        retry = replace(IMPATIENT, attempt_us=100_000)
        async with (
            DrawdownClient(proxy.address, source="test", retry=retry) as caller,
            Spool(caller, tmp_path) as spool,
            asyncio.timeout(HANGS_S),
        ):
            while not await charged(client):
                await asyncio.sleep(0.01)
            proxy.deaf = set()
            await spool.drained()
    assert (await charged(client), await charged(client, "beta")) == (1, 1)


async def test_while_no_server_answers_nothing_changes_its_place(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_sending, "SEND_EVENTS", 2)
    settled: list[str] = []
    before = files(tmp_path)
    before.append([record_of(usage(number)) for number in range(7)])
    before.close()
    caller = DrawdownClient(proxy.address, source="test", retry=IMPATIENT)
    go_away(proxy)
    async with Spool(caller, tmp_path, settled=lambda event, _: settled.append(event.id)) as spool:
        await asyncio.sleep(1.5)  # x 4 tries that are given up after 0.2 s
        assert spool.kept_events == 7
        proxy.cuts.clear()
        await drained(spool)
    await caller.close()
    assert settled == [f"e-{number}" for number in range(7)]


# -- what is refused -------------------------------------------------------------------------------


async def test_usage_of_a_clock_that_has_jumped_is_set_aside_told_and_sent_again(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """
    e-1  3 days ahead: IN_FUTURE, recorded nowhere
    e-2  in time
    e-3  60 days behind: TOO_OLD, recorded without a charge
    """
    told: list[SetAside] = []
    async with spooling(proxy.address, tmp_path, aside=told.append) as spool:
        go_away(proxy)
        for number, days in ((1, 3), (2, 0), (3, -60)):
            assert await spool.record(timed(number, days)) is None
        proxy.cuts.clear()
        await drained(spool)
        assert await charged(client) == 1
        assert [(each.id, each.reason) for each in told] == [
            ("e-1", "IN_FUTURE"),
            ("e-3", "TOO_OLD"),
        ]
        assert "after the writer's clock" in told[0].message
    async with spooling(proxy.address, tmp_path) as again:
        assert await again.set_aside() == told
        assert again.kept_events == 0
        assert await again.resend(["e-1"]) == 1  # its time is ahead still
        await drained(again)
        assert [each.id for each in await again.set_aside()] == ["e-3", "e-1"]
        assert await again.resend(["e-1"], shift_us=-3 * DAY_US) == 1
        assert await again.resend(["e-3"], shift_us=60 * DAY_US) == 1
        await drained(again)
        assert await again.set_aside() == []
        assert await again.resend() == 0
    assert await charged(client) == 3
    found = await client.get_usage("acme", "test", "again/e-3")
    assert abs(found.effective_at_us - time.time_ns() // 1_000) < DAY_US


async def test_a_capture_that_is_refused_is_set_aside_as_well(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    kept = files(tmp_path)
    lost = SpooledCapture("01890a5d-ac96-774b-bcce-b302099a8057", {"output_tokens": 3}, "c-1", 5)
    kept.append([record_of(lost), record_of(usage(1))])
    kept.close()
    async with spooling(address, tmp_path) as spool:
        await drained(spool)
        [entry] = await spool.set_aside()
    assert (entry.kept, entry.id, entry.reason) == (lost, "c-1", "HOLD_UNKNOWN")
    assert await charged(client) == 1


async def test_an_event_that_this_clients_batches_do_not_take_is_set_aside(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    """It was kept by a client of other limits."""
    large = UsageEvent("e-2", "acme", {"output_tokens": 1}, attributes={"a": "x" * 5_000})
    kept = files(tmp_path)
    kept.append([record_of(usage(1)), record_of(large), record_of(usage(3))])
    kept.close()
    limits = Limits(batch_bytes=4_096)
    async with (
        DrawdownClient(address, source="test", product="chat", limits=limits) as small,
        Spool(small, tmp_path) as spool,
    ):
        await drained(spool)
        [entry] = await spool.set_aside()
    assert (entry.kept, entry.reason) == (large, "EVENT_TOO_LARGE")
    assert await charged(client) == 2


async def test_what_cannot_be_set_aside_stays_until_it_can(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    """The file cannot be written: here because a directory has its name."""
    kept = files(tmp_path)
    kept.append([record_of(usage(1, "nobody")), record_of(usage(2))])
    kept.close()
    settled: list[tuple[str, Outcome]] = []
    async with spooling(
        address,
        tmp_path,
        settled=lambda event, outcome: settled.append((event.id, outcome.outcome)),
    ) as spool:
        (tmp_path / "set-aside.jsonl").mkdir()
        with pytest.raises(SpoolFailed, match="set-aside"):
            await spool.set_aside()
        await asyncio.sleep(0.3)
        assert spool.kept_events
        (tmp_path / "set-aside.jsonl").rmdir()
        await drained(spool)
        assert [each.id for each in await spool.set_aside()] == ["e-1"]
    assert sorted(settled) == [("e-1", Outcome.ACCOUNT_UNKNOWN), ("e-2", Outcome.APPLIED)]


async def test_usage_of_work_that_a_guard_let_in_is_set_aside_where_a_server_refuses_it_at_once(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """The account is unknown, which nobody could say while no server answered."""
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    caller = DrawdownClient(proxy.address, source="test", retry=IMPATIENT)
    async with Spool(caller, tmp_path, patience_us=HANGS_S * 1_000_000) as spool:
        await caller.refresh_routing()
        guard = caller.guard(spool, patience_us=PATIENCE_US, again_us=60_000_000)
        guard.went_away()
        async with guard.metered("nobody", "chat", estimate={"output_tokens": 1}) as call:
            call.add(output_tokens=1)
        assert (call.decided_by, call.kept) == ("fail_open", False)
        [entry] = await spool.set_aside()
        assert entry.reason == "ACCOUNT_UNKNOWN"
        await client.create_account("nobody")
        assert await spool.resend() == 1
        await drained(spool)
        assert await spool.set_aside() == []
    await caller.close()
    [balance] = (await client.balance("nobody", product="chat")).balances
    assert int(balance.available) == -15
