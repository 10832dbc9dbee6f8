"""A spool and a guard of callers that do not await: the same promises, from threads."""

from __future__ import annotations

import asyncio
import inspect
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.client import (
    ClientClosed,
    DecidedBy,
    Denied,
    DrawdownClient,
    Guard,
    GuardedCall,
    LeaseTerms,
    LocalPrices,
    OpenBounds,
    Outcome,
    Refused,
    SetAside,
    Spool,
    SpoolBusy,
    SpooledCapture,
    UsageEvent,
    sync,
)
from ledger.v1 import types_pb2
from ledger.v1.fail_mode_pb2 import FAIL_MODE_LEASE_ONLY, FAIL_MODE_OPEN
from tests.client.conftest import CuttingProxy
from tests.client.test_guarded import sheet
from tests.client.test_spool import IMPATIENT, PATIENCE_US, charged, usage
from tests.patience import HANGS_S

PRICE = 15
PATIENT_US = HANGS_S * 1_000_000  # where connections are cut, the client gives up by itself


def go_away(proxy: CuttingProxy) -> None:
    proxy.cuts = [1] * 1_000_000


def run(guard: sync.Guard, tokens: int, account: str = "acme") -> DecidedBy:
    with guard.metered(account, "chat", estimate={"output_tokens": tokens}) as call:
        call.add(output_tokens=tokens)
    return call.decided_by


def test_each_has_what_its_twin_has_with_the_same_arguments() -> None:
    for twin, ours in (
        (Spool, sync.Spool),
        (Guard, sync.Guard),
        (GuardedCall, sync.GuardedCall),
    ):
        for name, method in inspect.getmembers(twin):
            of_its_calls = {"is_away", "went_away", "came_back", "let_in", "ended", "lease_of"}
            if name.startswith("_") or (twin is Guard and name in of_its_calls | {"client"}):
                continue
            if name == "let_go":  # what leaving ours does where the loop is gone
                continue
            found = getattr(ours, name)
            assert found.__doc__, name
            if callable(method):
                expected = list(inspect.signature(method).parameters)
                assert list(inspect.signature(found).parameters) == expected, name
    expected = inspect.signature(Spool).parameters
    assert list(inspect.signature(sync.Spool).parameters) == list(expected)


async def test_threads_keep_what_no_server_judges_and_all_of_it_counts_once(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    def work() -> None:
        caller = sync.DrawdownClient(proxy.address, source="test", retry=IMPATIENT)
        settled: list[str] = []
        with (
            sync.Spool(
                caller,
                tmp_path,
                patience_us=PATIENCE_US,
                settled=lambda event, _: settled.append(event.id),
            ) as spool,
            ThreadPoolExecutor(8) as pool,
        ):
            assert spool.folder == tmp_path
            go_away(proxy)
            assert set(pool.map(lambda number: spool.record(usage(number)), range(40))) == {None}
            assert spool.kept_events == 40
            assert spool.kept_bytes > 40 * 50
            assert spool.has_room(1, 100)
            with pytest.raises(SpoolBusy):
                sync.Spool(caller, tmp_path).__enter__()
            proxy.cuts.clear()
            spool.drained()
            assert sorted(settled) == sorted(f"e-{number}" for number in range(40))
            assert not spool.damage
        with pytest.raises(ClientClosed, match="not open"):
            spool.record(usage(41))
        caller.close()

    await asyncio.to_thread(work)
    assert await charged(client) == 40


async def test_a_spool_may_be_left_after_its_client_is_closed_and_keeps_what_it_has(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    def work() -> None:
        away = sync.DrawdownClient("127.0.0.1:1", source="test", retry=IMPATIENT)
        with sync.Spool(away, tmp_path, patience_us=PATIENCE_US) as spool:
            assert spool.record(usage(1)) is None
            away.close()
            with pytest.raises(ClientClosed):
                spool.record(usage(2))
        with (
            sync.DrawdownClient(address, source="test") as caller,
            sync.Spool(caller, tmp_path) as again,
        ):
            assert not again.damage
            again.drained()

    await asyncio.to_thread(work)
    assert await charged(client) == 1


async def test_what_is_refused_is_told_listed_and_sent_again(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    ahead_us = time.time_ns() // 1_000 + 3 * 86_400_000_000
    ahead = UsageEvent("e-1", "acme", {"output_tokens": 2}, "chat", effective_at_us=ahead_us)
    hold = await client.authorize("acme", "chat", {"output_tokens": 9})

    def work() -> None:
        told: list[SetAside] = []
        with (
            sync.DrawdownClient(address, source="test") as caller,
            sync.Spool(caller, tmp_path, patience_us=PATIENT_US, aside=told.append) as spool,
        ):
            outcome = spool.record(ahead)
            assert outcome is not None
            assert outcome.outcome is Outcome.IN_FUTURE
            assert not spool.set_aside(), "whoever recorded it has the outcome"
            again = spool.charge(ahead)
            assert again is not None
            assert again.outcome is Outcome.IN_FUTURE
            assert [each.reason for each in told] == ["IN_FUTURE"]
            assert spool.set_aside() == told
            assert spool.resend(["e-1"], shift_us=-3 * 86_400_000_000) == 1
            spool.drained()
            assert spool.set_aside() == []
            captured = spool.capture(SpooledCapture(hold.hold_id, {"output_tokens": 3}, "c-1"))
            assert captured is not None
            assert captured.charge == 3 * PRICE
            with pytest.raises(Refused, match="HOLD"):
                spool.capture(SpooledCapture(hold.hold_id, {"output_tokens": 3}, "c-2"))
            assert [each.id for each in spool.set_aside()] == ["c-2"]

    await asyncio.to_thread(work)
    assert await charged(client) == 5


async def test_a_guard_decides_by_the_mode_of_the_product(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """
    chat    open, 2 calls: a server decides, then two run, then none
    search  of no mode: closed
    a hold of before is captured from the disk
    """
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)

    def work() -> str:
        with (
            sync.DrawdownClient(proxy.address, source="test", retry=IMPATIENT) as caller,
            sync.Spool(caller, tmp_path, patience_us=PATIENT_US) as spool,
        ):
            guard = caller.guard(
                spool, bounds=OpenBounds(calls=2), patience_us=PATIENT_US, again_us=1
            )
            assert run(guard, 1) is DecidedBy.SERVER
            assert guard.mode_of("chat") is DecidedBy.FAIL_OPEN
            with guard.metered("acme", "chat", estimate={"output_tokens": 9}) as before:
                before.add(output_tokens=4)
                go_away(proxy)
            assert (before.decided_by, before.kept, before.settled) == ("server", True, None)
            with ThreadPoolExecutor(2) as pool:
                decided = list(pool.map(lambda tokens: run(guard, tokens), (10, 20)))
            assert decided == [DecidedBy.FAIL_OPEN] * 2
            with pytest.raises(Denied) as bound:
                run(guard, 1)
            assert (bound.value.reason, bound.value.decided_by) == ("FAIL_OPEN_BOUND", "fail_open")
            with pytest.raises(Denied, match="LEDGER_UNAVAILABLE"):
                guard.metered("acme", "search", estimate={"n": 1}).__enter__()
            proxy.cuts.clear()
            spool.drained()
            assert run(guard, 1) is DecidedBy.SERVER
            return before.hold_id

    hold_id = await asyncio.to_thread(work)
    assert (await client.get_hold(hold_id)).state == types_pb2.HOLD_STATE_CAPTURED
    assert await charged(client) == 1 + 4 + 10 + 20 + 1


async def test_a_guard_decides_by_a_lease_of_its_own_client(
    client: DrawdownClient, proxy: CuttingProxy, address: str, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_LEASE_ONLY)
    prices = LocalPrices(await sheet(client), 1)
    terms = LeaseTerms(wanted=100 * PRICE)

    def work() -> None:
        with (
            sync.DrawdownClient(proxy.address, source="test", retry=IMPATIENT) as caller,
            sync.DrawdownClient(address, source="test") as other,
            sync.Spool(caller, tmp_path, patience_us=PATIENCE_US) as spool,
            caller.hold_lease("acme", "chat", terms, prices=prices) as lease,
        ):
            with pytest.raises(ValueError, match="another client"):
                other.guard(spool)
            guard = caller.guard(spool, patience_us=PATIENCE_US)
            with pytest.raises(ValueError, match="another client"):
                guard.use("acme", "chat", other.hold_lease("acme", "chat", terms, prices=prices))
            with pytest.raises(ValueError, match="with prices"):
                guard.use("acme", "chat", caller.hold_lease("acme", "chat", terms))
            guard.use("acme", "chat", lease)
            go_away(proxy)
            assert run(guard, 60) is DecidedBy.LEASE
            assert lease.remaining == 40 * PRICE
            with pytest.raises(Denied, match="LEASE_INSUFFICIENT"):
                run(guard, 41)
            proxy.cuts.clear()

    await asyncio.to_thread(work)
    assert await charged(client) == 60
