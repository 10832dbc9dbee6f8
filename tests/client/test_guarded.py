"""Work that is decided while no server answers: bounded, said, recorded once when one is back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ledger.client import (
    CallError,
    DecidedBy,
    Denied,
    DrawdownClient,
    Guard,
    LeaseTerms,
    LocalPrices,
    OpenBounds,
    RetryPolicy,
    Spool,
    UsageEvent,
)
from ledger.v1 import types_pb2
from ledger.v1.fail_mode_pb2 import FAIL_MODE_CLOSED, FAIL_MODE_LEASE_ONLY, FAIL_MODE_OPEN
from rating.card import RateCard
from rating.v1 import pricing_pb2
from tests.api.served import card
from tests.client.conftest import CuttingProxy
from tests.crash.processes import LastingServer
from tests.patience import HANGS_S

IMPATIENT = RetryPolicy(first_us=1_000, longest_us=20_000, give_up_us=200_000)
AWAY_US = 50_000
STILL_US = 2_000_000  # far more than a busy machine's answer takes
PRICE = 15  # minor units an output token
GRANTED = 10**9


@asynccontextmanager
async def guarding(
    address: str, folder: Path, patience_us: int = HANGS_S * 1_000_000, **more: object
) -> AsyncIterator[Guard]:
    """A guard and its spool, as patient as each other: of connections that are cut, the client
    gives up by itself."""
    client = DrawdownClient(address, source="test", retry=IMPATIENT)
    try:
        async with Spool(client, folder, patience_us=patience_us) as spool:
            yield client.guard(spool, patience_us=patience_us, again_us=1, **more)  # type: ignore[arg-type]
    finally:
        await client.close()


def away(proxy: CuttingProxy) -> None:
    proxy.cuts = [1] * 1_000_000


async def back(proxy: CuttingProxy, guard: Guard) -> None:
    proxy.cuts.clear()
    async with asyncio.timeout(HANGS_S):
        await guard.spool.drained()


async def reached(guard: Guard) -> None:
    """A server answers again: after so many cuts a channel waits a while."""
    async with asyncio.timeout(HANGS_S):
        while True:
            with contextlib.suppress(CallError):
                await guard.client.refresh_routing()
                return


async def run(guard: Guard, tokens: int, account: str = "acme", id_: str = "") -> DecidedBy:
    async with guard.metered(
        account, "chat", estimate={"output_tokens": tokens}, request_id=id_
    ) as call:
        call.add(output_tokens=tokens)
    return call.decided_by


async def learned(guard: Guard) -> None:
    """One call that a server decides, and what it says of the modes is known."""
    assert await run(guard, 1) is DecidedBy.SERVER
    async with asyncio.timeout(HANGS_S):
        while guard.client.fail_modes is None:
            await asyncio.sleep(0.005)


async def denied(guard: Guard, tokens: int, account: str = "acme") -> Denied:
    with pytest.raises(Denied) as caught:
        await run(guard, tokens, account)
    return caught.value


async def charged(client: DrawdownClient, account: str = "acme") -> int:
    """Output tokens that were charged."""
    [balance] = (await client.balance(account, product="chat")).balances
    return (GRANTED - int(balance.granted)) // PRICE


async def no_hold_is_left(client: DrawdownClient) -> None:
    until = time.monotonic() + HANGS_S
    while (await client.list_holds("acme")).holds:
        assert time.monotonic() < until, "a hold is left open"
        await asyncio.sleep(0.01)


async def test_while_a_server_answers_it_decides(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with guarding(address, tmp_path) as guard:
        assert await run(guard, 3) is DecidedBy.SERVER
        short = await denied(guard, GRANTED)
    assert (short.reason, short.decided_by) == ("INSUFFICIENT_CREDITS", "server")
    assert await charged(client) == 3


@pytest.mark.parametrize("mode", [None, FAIL_MODE_CLOSED])
async def test_a_closed_product_is_denied(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path, mode: int | None
) -> None:
    """So is one that nobody gave a mode."""
    if mode is not None:
        await client.set_fail_mode("chat", FAIL_MODE_CLOSED)
    async with guarding(proxy.address, tmp_path) as guard:
        await learned(guard)
        away(proxy)
        error = await denied(guard, 1)
        assert (error.reason, error.decided_by) == ("LEDGER_UNAVAILABLE", DecidedBy.FAIL_CLOSED)
        assert "no server answers" in str(error)
        proxy.cuts.clear()
        await reached(guard)
        assert await run(guard, 1) is DecidedBy.SERVER
        await no_hold_is_left(client)
    assert await charged(client) == 2


async def test_an_open_product_runs_and_its_usage_says_so_and_is_recorded_once(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with guarding(proxy.address, tmp_path) as guard:
        await learned(guard)
        away(proxy)
        for number in range(5):
            assert await run(guard, 10, id_=f"open-{number}") is DecidedBy.FAIL_OPEN
        async with guard.metered("acme", "chat", estimate={"output_tokens": 9}) as nothing:
            pass
        assert (nothing.decided_by, nothing.kept) == (DecidedBy.FAIL_OPEN, False)
        assert guard.spool.kept_events == 5
        await back(proxy, guard)
        await no_hold_is_left(client)
        assert await run(guard, 1) is DecidedBy.SERVER
    assert await charged(client) == 52
    usage = await client.get_usage("acme", "test", "open-3")
    assert dict(usage.attributes) == {"decided_by": "fail_open"}


async def test_a_call_of_an_operation_holds_of_it_and_is_usage_of_it_without_a_server(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with guarding(proxy.address, tmp_path) as guard:
        await learned(guard)
        async with guard.client.operation("acme", "run", hold=100 * PRICE) as whole:
            for number, by in enumerate((DecidedBy.SERVER, DecidedBy.FAIL_OPEN)):
                call = guard.metered(
                    "acme", "chat", estimate={"output_tokens": 10}, of=whole, operation="tool",
                    request_id=f"part-{number}",
                )  # fmt: skip
                async with call:
                    call.add(output_tokens=4)
                assert call.decided_by is by
                away(proxy)
            await back(proxy, guard)
            async with asyncio.timeout(HANGS_S):  # what the cut call may have held is given back
                while (hold := await client.get_hold(whole.hold_id)).left != 96 * PRICE:
                    await asyncio.sleep(0.01)
            assert dict(hold.drawn) == {"chat": 4 * PRICE}
            with pytest.raises(ValueError, match="of acme, not of other"):
                guard.metered("other", "chat", estimate={"output_tokens": 1}, of=whole)
            with pytest.raises(ValueError, match="goes with `of`"):
                guard.metered("acme", "chat", estimate={"output_tokens": 1}, operation="tool")
        await no_hold_is_left(client)
    assert await charged(client) == 1 + 4 + 4
    usage = await client.get_usage("acme", "test", "part-1")
    assert (usage.operation, usage.operation_parent) == ("tool", "run")


async def test_what_is_not_recorded_is_bounded_an_account_and_room_comes_back(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """
    bounds  3 calls, 100 output tokens
    acme    60 + 50 is above; 60 + 40 is not; then nothing; beta has bounds of its own
    """
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    bounds = OpenBounds(calls=3, quantities={"output_tokens": 100})
    async with guarding(proxy.address, tmp_path, bounds=bounds) as guard:
        await learned(guard)
        away(proxy)
        await run(guard, 60)
        error = await denied(guard, 50)
        assert (error.reason, error.decided_by) == ("FAIL_OPEN_BOUND", DecidedBy.FAIL_OPEN)
        async with guard.metered("acme", "chat", estimate={"output_tokens": 40}) as call:
            assert (await denied(guard, 1)).reason == "FAIL_OPEN_BOUND"
            call.add(output_tokens=10)
        await run(guard, 30)  # of 40, 10 were used
        assert (await denied(guard, 0)).reason == "FAIL_OPEN_BOUND"  # the fourth call
        await run(guard, 100, "beta")
        await back(proxy, guard)
        assert await run(guard, 1) is DecidedBy.SERVER
        away(proxy)
        assert await run(guard, 100) is DecidedBy.FAIL_OPEN
        await back(proxy, guard)
    assert (await charged(client), await charged(client, "beta")) == (202, 100)


async def test_no_work_is_let_in_whose_usage_the_spool_has_no_room_for(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """
    spool  3 events
    acme   one has ended, two run: a fourth is denied before it runs, of whichever account;
           room that one did not use is for another; all that ran is charged
    """
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    away_client = DrawdownClient(proxy.address, source="test", retry=IMPATIENT)
    patient = HANGS_S * 1_000_000
    async with Spool(away_client, tmp_path, patience_us=patient, events_max=3) as spool:
        guard = away_client.guard(spool, patience_us=patient, again_us=1)
        await learned(guard)
        away(proxy)
        await run(guard, 10)
        async with guard.metered("acme", "chat", estimate={"output_tokens": 5}) as first:
            async with guard.metered("acme", "chat", estimate={"output_tokens": 5}):
                assert (await denied(guard, 1)).reason == "FAIL_OPEN_BOUND"
                assert (await denied(guard, 1, "beta")).reason == "FAIL_OPEN_BOUND"
            await run(guard, 7)
            assert (await denied(guard, 1)).reason == "FAIL_OPEN_BOUND"
            first.add(output_tokens=3)
        await back(proxy, guard)
    await away_client.close()
    assert (await charged(client), await charged(client, "beta")) == (1 + 10 + 7 + 3, 0)


async def test_a_lease_decides_where_one_covers_it(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_LEASE_ONLY)
    prices = LocalPrices(await sheet(client), 1)
    async with guarding(proxy.address, tmp_path) as guard:
        await learned(guard)
        away(proxy)
        assert (await denied(guard, 1)).reason == "LEASE_INSUFFICIENT"
        terms = LeaseTerms(wanted=100 * PRICE)
        with pytest.raises(ValueError, match="with prices"):
            guard.use("acme", "chat", client.hold_lease("acme", "chat", terms))
        async with client.hold_lease("acme", "chat", terms, prices=prices) as lease:
            guard.use("acme", "chat", lease)
            async with guard.metered("acme", "chat", estimate={"output_tokens": 60}) as call:
                assert lease.remaining == 40 * PRICE
                error = await denied(guard, 41)
                assert (error.reason, error.decided_by) == ("LEASE_INSUFFICIENT", DecidedBy.LEASE)
                call.add(output_tokens=20)
            assert call.decided_by is DecidedBy.LEASE
            assert lease.remaining == 80 * PRICE
            async with guard.metered("acme", "chat", estimate={"output_tokens": 10}):
                pass
            assert lease.remaining == 80 * PRICE
            async with guard.metered("acme", "chat", estimate={"output_tokens": 10}) as more:
                more.add(output_tokens=15)
            assert lease.remaining == 65 * PRICE
        proxy.cuts.clear()
    assert await charged(client) == 36


async def sheet(client: DrawdownClient) -> RateCard:
    from rating.card_file import read_card

    reply = await client.get_price_sheet("default")
    return read_card(reply.sheet)


async def test_a_hold_of_before_is_captured_from_the_disk(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    async with guarding(proxy.address, tmp_path) as guard:
        async with guard.metered("acme", "chat", estimate={"output_tokens": 50}) as call:
            call.add(output_tokens=20)
            away(proxy)
        assert (call.decided_by, call.kept, call.settled) == (DecidedBy.SERVER, True, None)
        assert guard.spool.kept_events == 1
    proxy.cuts.clear()
    async with guarding(proxy.address, tmp_path) as again:
        await back(proxy, again)
    hold = await client.get_hold(call.hold_id)
    assert hold.state == types_pb2.HOLD_STATE_CAPTURED
    assert await charged(client) == 20


async def test_a_process_that_begins_without_a_server_knows_the_modes_of_before(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with guarding("127.0.0.1:1", tmp_path, AWAY_US) as guard:
        assert (await denied(guard, 1)).reason == "LEDGER_UNAVAILABLE"
    async with DrawdownClient(address, source="test") as known, Spool(known, tmp_path) as spool:
        assert known.guard(spool).mode_of("chat") is DecidedBy.FAIL_OPEN
    async with guarding("127.0.0.1:1", tmp_path, AWAY_US) as guard:
        assert await run(guard, 7) is DecidedBy.FAIL_OPEN
    async with guarding(address, tmp_path) as guard, asyncio.timeout(HANGS_S):
        await guard.spool.drained()
    assert await charged(client) == 7
    for damaged in (b"{", b"[]", b'{"chat": null}', b'{"chat": "open"}'):
        (tmp_path / "fail_modes.json").write_bytes(damaged)
        async with guarding("127.0.0.1:1", tmp_path, AWAY_US) as guard:
            assert guard.mode_of("chat") is DecidedBy.FAIL_CLOSED


async def test_what_the_only_call_has_learned_is_known_after_it(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    """The modes go to the disk as they come, not with a second call."""
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with guarding(address, tmp_path) as guard:
        await learned(guard)
    async with guarding("127.0.0.1:1", tmp_path, AWAY_US) as guard:
        assert await run(guard, 1) is DecidedBy.FAIL_OPEN


async def test_modes_that_come_while_a_server_is_asked_decide(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """A question without an answer is decided by what is known when its patience ends."""
    async with guarding(proxy.address, tmp_path) as guard:
        await learned(guard)
        away(proxy)
        entering = asyncio.create_task(run(guard, 1))
        async with asyncio.timeout(HANGS_S):
            while proxy.cuts and len(proxy.cuts) == 1_000_000:
                await asyncio.sleep(0)
        assert guard.client.fail_modes == {}
        guard.client._caller.refreshing.fail_modes = {"chat": FAIL_MODE_OPEN}
        assert await entering is DecidedBy.FAIL_OPEN


async def test_an_attribute_of_ours_is_not_for_callers(address: str, tmp_path: Path) -> None:
    async with guarding(address, tmp_path) as guard:
        with pytest.raises(ValueError, match="by the client alone"):
            guard.metered("acme", "chat", {"decided_by": "me"}, estimate={})
    with pytest.raises(ValueError, match="1 or more"):
        OpenBounds(calls=0)


RUNNING = """
import asyncio, sys
from ledger.client import DrawdownClient, OpenBounds, RetryPolicy, Spool

async def main():
    client = DrawdownClient("127.0.0.1:1", source="test", retry=RetryPolicy(give_up_us=100_000))
    async with Spool(client, sys.argv[1], patience_us=10_000) as spool:
        guard = client.guard(spool, patience_us=10_000, bounds=OpenBounds(calls=10**6))
        for number in range(100_000):
            async with guard.metered(
                "acme", "chat", estimate={"output_tokens": 1}, request_id=f"r-{number}"
            ) as call:
                call.add(output_tokens=1)
            assert call.kept
            print(number, flush=True)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_while_away_loses_nothing_that_has_ended(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    await client.set_fail_mode("chat", FAIL_MODE_OPEN)
    async with DrawdownClient(address) as known, Spool(known, tmp_path) as spool:
        known.guard(spool).mode_of("chat")
    process = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", RUNNING, str(tmp_path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(30):
        assert await asyncio.to_thread(process.stdout.readline)
    process.send_signal(signal.SIGKILL)
    ended = 30 + len(process.stdout.read().split(b"\n")) - 1
    process.stdout.close()
    process.wait()
    async with guarding(address, tmp_path) as guard, asyncio.timeout(HANGS_S):
        await guard.spool.drained()
    assert ended <= await charged(client) <= ended + 1


@pytest.mark.parametrize("stopped", [False, True], ids=["killed", "stopped"])
async def test_a_server_that_dies_amid_calls_loses_none_and_counts_none_twice(
    database: str, tmp_path: Path, stopped: bool
) -> None:
    """SIGKILL, or SIGSTOP until it goes on: each call that ran is charged with what it used, once;
    no hold stays; the fail mode outlives the server."""
    server = LastingServer(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address) as client:
            await client.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
            await client.publish_rate_card(card())
            await client.create_account("acme")
            await client.issue_grant("acme", "credit", GRANTED)
            await client.set_fail_mode("chat", FAIL_MODE_OPEN)
            by: dict[DecidedBy, int] = dict.fromkeys(DecidedBy, 0)
            ended = asyncio.Event()
            async with guarding(server.address, tmp_path / "spool", 60_000_000) as patient:
                await learned(patient)
                by[DecidedBy.SERVER] += 1
            bounds = OpenBounds(calls=10**6)
            # Only one that stands still is given up by patience, a round of the callers at a time.
            patience_us, away_calls = (STILL_US, 8) if stopped else (HANGS_S * 1_000_000, 50)
            async with guarding(
                server.address, tmp_path / "spool", patience_us, bounds=bounds
            ) as guard:

                async def caller() -> None:
                    while not ended.is_set():
                        by[await run(guard, 1)] += 1
                        await asyncio.sleep(0.005)

                async def until(decided_by: DecidedBy, more: int) -> None:
                    wanted = by[decided_by] + more
                    async with asyncio.timeout(HANGS_S):
                        while by[decided_by] < wanted:
                            await asyncio.sleep(0.01)

                async with asyncio.TaskGroup() as callers:
                    for _ in range(4):
                        callers.create_task(caller())
                    await until(DecidedBy.SERVER, 50)
                    if stopped:
                        server.signal(signal.SIGSTOP)
                    else:
                        server.kill()
                    await until(DecidedBy.FAIL_OPEN, away_calls)
                    if stopped:
                        server.signal(signal.SIGCONT)
                    else:
                        server.start()
                    await server.ready()
                    await until(DecidedBy.SERVER, 50)
                    ended.set()
                async with asyncio.timeout(HANGS_S):
                    await guard.spool.drained()
                await no_hold_is_left(client)
            assert [each.mode async for each in client.list_fail_modes()] == [FAIL_MODE_OPEN]
            assert by[DecidedBy.FAIL_CLOSED] == 0
            assert await charged(client) == sum(by.values())
    finally:
        server.stop()


async def test_usage_event_is_what_the_spool_keeps(tmp_path: Path) -> None:
    """Captures stand among events in the order kept."""
    from ledger.client.spool_files import SpoolFiles
    from ledger.client.spool_records import Kept, SpooledCapture, record_of

    kept: list[Kept] = [
        UsageEvent("e-1", "acme", {"n": 1}),
        SpooledCapture("h-1", {"n": 2}, "r/used", 17),
        UsageEvent("e-2", "acme", {}),
    ]
    files = SpoolFiles(tmp_path, 1 << 20, 10)
    files.append([record_of(each) for each in kept])
    segment = files.oldest()
    assert segment is not None
    assert files.read(segment, 0, 9)[0] == kept
    files.close()
