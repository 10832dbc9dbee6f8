"""Rate cards are checked in another process: the same verdict, whatever becomes of that process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine
from typing import Any

import psutil
import pytest
import uvloop

from ledger.api.card_check import FAULTS_MAX, CheckedHere, check_card
from ledger.api.rendering.render_card import card_of
from ledger.card_process import CardProcess, CheckFailed
from ledger.journal.storage import MemoryStorage
from rating.card import canonical_bytes
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, SystemClock, card, event, served
from tests.patience import HANGS_S


def body_of(message: card_pb2.RateCard) -> bytes:
    made, faults = card_of(message)
    assert not faults
    return canonical_bytes(made)


def many_faults() -> card_pb2.RateCard:
    rows = [
        card_pb2.PriceRow(product="chat", quantity="input_tokens", price="-1", priority=number)
        for number in range(FAULTS_MAX + 1)
    ]
    return card(rows=rows)


CARDS = {
    "sound": card(),
    "empty": card_pb2.RateCard(),
    "no rounding": card(rounding=9),
    "another scale": card(asset_scale=2),
    "many faults": many_faults(),
}


async def ended(pid: int) -> None:
    """Return when the process is gone, or is somebody's dead child."""
    async with asyncio.timeout(HANGS_S):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)


async def test_the_verdict_is_the_same_as_in_place() -> None:
    before = body_of(card())
    process = CardProcess()
    try:
        for message in CARDS.values():
            for latest in (None, before):
                found = await process.check(message.SerializeToString(), latest)
                assert found == check_card(message.SerializeToString(), latest)
    finally:
        await process.stop()
    sound = check_card(CARDS["sound"].SerializeToString(), before)
    assert (sound.body, sound.rows, sound.faults_total) == (before, 3, 0)
    faulty = check_card(CARDS["many faults"].SerializeToString(), None)
    assert (len(faulty.faults), faulty.faults_total, faulty.body) == (
        FAULTS_MAX,
        FAULTS_MAX + 1,
        b"",
    )
    scale = check_card(CARDS["another scale"].SerializeToString(), before)
    assert [fault.reason for fault in scale.succession] == ["SCALE_CHANGED"]


async def test_cards_are_checked_one_after_the_other_by_one_process() -> None:
    process = CardProcess()
    try:
        messages = [card(name=f"card {n}") for n in range(20)]
        found = await asyncio.gather(
            *[process.check(each.SerializeToString(), None) for each in messages]
        )
        assert [each.body for each in found] == [body_of(each) for each in messages]
        pid = process.pid
        assert pid is not None
    finally:
        await process.stop()
    assert process.pid is None
    assert not psutil.pid_exists(pid)


async def test_a_process_that_was_killed_is_started_again() -> None:
    process = CardProcess()
    try:
        message = card().SerializeToString()
        expected = await process.check(message, None)
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert await process.check(message, None) == expected
        assert process.pid not in (None, pid)
    finally:
        await process.stop()


LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@LOOPS
def test_a_process_that_cannot_live_fails_the_call_and_nothing_else(
    run: Callable[[Coroutine[Any, Any, None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        process = CardProcess()
        message = card().SerializeToString()
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/bin/false")
            with pytest.raises(CheckFailed, match="ended twice"):
                await process.check(message, None)
        assert (await process.check(message, None)).body == body_of(card())
        await process.stop()

    run(check())


@LOOPS
def test_an_idle_process_ends_and_the_next_card_starts_another(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """On the loop of the server too, which closes a pipe before it says how the process ended."""

    async def check_thrice() -> None:
        process = CardProcess(idle_s=0)
        try:
            for _ in range(3):
                found = await process.check(card().SerializeToString(), None)
                assert found.body == body_of(card())
                assert process._process is not None and process._process.stdin is not None
                async with asyncio.timeout(HANGS_S):
                    while not process._process.stdin.is_closing():
                        await asyncio.sleep(0)
        finally:
            await process.stop()

    run(check_thrice())


async def test_a_caller_that_gives_up_leaves_the_next_its_own_answer() -> None:
    process = CardProcess()
    try:
        first = asyncio.create_task(process.check(card(name="a").SerializeToString(), None))
        second = asyncio.create_task(process.check(card(name="b").SerializeToString(), None))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).body == body_of(card(name="b"))
        with pytest.raises(asyncio.CancelledError):
            await first
    finally:
        await process.stop()


async def test_it_is_gone_when_its_server_is_killed() -> None:
    code = (
        "import asyncio\n"
        "from ledger.card_process import CardProcess\n"
        "async def main():\n"
        "    process = CardProcess()\n"
        "    await process.check(b'', None)\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    assert server.stdout is not None
    pid = int(await server.stdout.readline())
    assert psutil.pid_exists(pid)
    server.kill()
    await server.wait()
    await ended(pid)


async def test_a_card_is_published_by_way_of_the_process() -> None:
    checker = CardProcess()
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with served(storage, checker=checker) as ours:
        await ours.priced()
        await ours.account("acme")
        [result] = (await ours.ingest(event("e", "acme"))).results
        assert result.charge == 600
        again = await ours.pricing.PublishRateCard(
            pb.PublishRateCardRequest(tenant=TENANT, request_id="again", card=card())
        )
        assert (again.replayed, again.version.version) == (True, 2)
        pid = checker.pid
        assert pid is not None
    await ended(pid)


async def test_in_place_nothing_is_started() -> None:
    here = CheckedHere()
    found = await here.check(card().SerializeToString(), None)
    assert found == check_card(card().SerializeToString(), None)
    await here.stop()
