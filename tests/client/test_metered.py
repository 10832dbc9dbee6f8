"""The block around a model's call: every way out of it leaves no open hold and charges once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any

import pytest

from ledger.client import (
    CallError,
    Denied,
    DrawdownClient,
    NotApplied,
    OutcomeUnknown,
    RetryPolicy,
)
from ledger.v1 import decision_pb2, journal_pb2, types_pb2
from ledger.v1.decision_policy_pb2 import PolicyRule
from tests.client.conftest import PROMPT, CuttingProxy
from tests.patience import HANGS_S, BoundReached, time_given

GRANTED = 10**9
OUTPUT_PRICE = 15  # minor units a token


async def model(tokens: int, fails_after: int = -1) -> AsyncIterator[int]:
    for number in range(tokens):
        if number == fails_after:
            raise ConnectionResetError("the model went away")
        yield 1


def one_token(chunk: int) -> dict[str, int]:
    return {"output_tokens": chunk}


async def left(client: DrawdownClient, account: str = "acme") -> int:
    """What is granted and neither charged nor held."""
    [balance] = (await client.balance(account, product="chat")).balances
    return int(balance.available)


async def open_holds(client: DrawdownClient, account: str = "acme") -> int:
    return len((await client.list_holds(account)).holds)


async def reaches(caller: DrawdownClient) -> None:
    """Waits until the server answers it again."""
    async with asyncio.timeout(HANGS_S):
        while True:
            with contextlib.suppress(CallError):
                await left(caller)
                return


async def none_is_held(client: DrawdownClient) -> None:
    """Waits until no hold is open: what settles them runs by itself."""
    until = time.monotonic() + HANGS_S
    while await open_holds(client):
        assert time.monotonic() < until, "a hold is left open"
        await asyncio.sleep(0.005)


async def test_a_stream_is_metered_chunk_by_chunk_and_captured(client: DrawdownClient) -> None:
    async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        assert await left(client) == GRANTED - 100 * OUTPUT_PRICE
        seen = [chunk async for chunk in call.metering(model(7), one_token)]
        call.add(input_tokens=2)
    assert seen == [1] * 7
    assert call.used == {"output_tokens": 7, "input_tokens": 2}
    assert isinstance(call.settled, decision_pb2.CaptureResponse)
    assert call.settled.charge == 7 * OUTPUT_PRICE + 2 * 3
    assert await left(client) == GRANTED - call.settled.charge
    assert await open_holds(client) == 0


async def test_what_the_model_reports_at_the_end_replaces_what_was_counted(
    client: DrawdownClient,
) -> None:
    async with client.metered("acme", "chat", estimate={"output_tokens": 9}) as call:
        call.add(output_tokens=4)
        call.set(output_tokens=6)
        with pytest.raises(ValueError, match="0 or more, not -1"):
            call.set(output_tokens=-1)
    assert call.used == {"output_tokens": 6}
    with pytest.raises(ValueError, match="is settled"):
        call.add(output_tokens=1)


async def test_with_nothing_used_the_hold_is_released(client: DrawdownClient) -> None:
    async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
        call.add(output_tokens=0)
    assert isinstance(call.settled, decision_pb2.ReleaseResponse)
    assert await left(client) == GRANTED


async def test_an_exception_charges_what_came_before_it(client: DrawdownClient) -> None:
    async def answer() -> None:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            async for _ in call.metering(model(9, fails_after=4), one_token):
                pass

    with pytest.raises(ConnectionResetError, match="the model went away"):
        await answer()
    assert await left(client) == GRANTED - 4 * OUTPUT_PRICE
    assert await open_holds(client) == 0


async def test_a_generator_that_is_closed_early_settles(client: DrawdownClient) -> None:
    async def answer() -> AsyncIterator[int]:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            async for chunk in call.metering(model(50), one_token):
                yield chunk

    stream = answer()
    assert [await anext(stream) for _ in range(3)] == [1, 1, 1]
    await stream.aclose()  # type: ignore[attr-defined]
    assert await left(client) == GRANTED - 3 * OUTPUT_PRICE
    assert await open_holds(client) == 0


async def test_a_denial_says_why_and_what_is_left(client: DrawdownClient) -> None:
    ran = False
    with pytest.raises(Denied) as denied:
        async with client.metered("acme", "chat", estimate={"output_tokens": GRANTED}):
            ran = True
    assert not ran
    error = denied.value
    assert (error.reason, error.account, error.product) == ("INSUFFICIENT_CREDITS", "acme", "chat")
    assert (error.asked, error.available) == (GRANTED * OUTPUT_PRICE, GRANTED)
    assert (error.asset, error.scale) == ("credit", 6)
    assert error.limit.startswith("LIMIT_KIND_")
    assert "15000000000 asked for, 1000000000 available" in str(error)
    assert await open_holds(client) == 0


async def test_as_much_as_is_affordable(client: DrawdownClient) -> None:
    async with client.metered(
        "acme", "chat", estimate={"output_tokens": GRANTED}, up_to=("output_tokens", 1)
    ) as call:
        assert call.allowed_quantity == GRANTED // OUTPUT_PRICE


async def test_a_long_stream_keeps_its_hold(client: DrawdownClient) -> None:
    """What is put off by a lifetime from then on is open after its first expiry."""

    async def check(lifetime_s: float) -> None:
        lifetime_us = int(lifetime_s * 1_000_000)
        async with client.metered(
            "acme", "chat", estimate={"output_tokens": 100}, lifetime_us=lifetime_us
        ) as call:
            assert call.decision is not None
            async with asyncio.timeout(HANGS_S):
                while True:
                    hold = await client.get_hold(call.hold_id)
                    if hold.state == types_pb2.HOLD_STATE_EXPIRED:
                        raise BoundReached
                    assert hold.state == types_pb2.HOLD_STATE_OPEN
                    if hold.expires_at_us > call.decision.expires_at_us + lifetime_us:
                        break
                    await asyncio.sleep(0.02)
            call.add(output_tokens=1)
        assert isinstance(call.settled, decision_pb2.CaptureResponse)
        if call.settled.late:
            raise BoundReached

    await time_given(check, 0.6)


@types.coroutine
def interrupted(block: Coroutine[Any, Any, None], at: int) -> Generator[Any, Any, bool]:
    """Run it and cancel it where it waits for the `at`-th time; False: it never waited so often."""
    waits = 0
    try:
        waited_for = block.send(None)
        while True:
            if waits == at:
                waited_for = block.throw(asyncio.CancelledError())
            waits += 1
            yield waited_for
            waited_for = block.send(None)
    except StopIteration:
        return False
    except asyncio.CancelledError:
        return True


@pytest.mark.parametrize("used", [0, 3])
async def test_cancelled_at_any_of_its_waits_it_leaves_no_open_hold(
    client: DrawdownClient, used: int
) -> None:
    async def block() -> None:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            for _ in range(used):
                call.add(output_tokens=1)
                await asyncio.sleep(0)

    at = 0
    while await interrupted(block(), at):
        await client._settling.finish(HANGS_S)
        assert await open_holds(client) == 0, at
        at += 1
    assert at >= 2
    charged = GRANTED - await left(client)
    assert charged % OUTPUT_PRICE == 0
    assert charged <= (at + 1) * used * OUTPUT_PRICE


async def test_cancelled_at_any_moment_it_leaves_no_open_hold(client: DrawdownClient) -> None:
    async def block() -> None:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            await asyncio.sleep(0.002)
            call.add(output_tokens=1)

    for moment in range(24):
        task = asyncio.create_task(block())
        await asyncio.sleep(moment * 0.000_4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await none_is_held(client)


async def test_closing_the_client_waits_for_what_is_being_settled(
    client: DrawdownClient, address: str
) -> None:
    async with DrawdownClient(address, retry=PROMPT) as other:
        added = asyncio.Event()

        async def block() -> None:
            async with other.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
                call.add(output_tokens=5)
                added.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(block())
        await added.wait()
        task.cancel()
        await asyncio.sleep(0)
    assert await open_holds(client) == 0
    assert await left(client) == GRANTED - 5 * OUTPUT_PRICE


async def test_answers_that_are_lost_are_asked_for_again_and_nothing_is_charged_twice(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    async with DrawdownClient(proxy.address, retry=PROMPT) as caller:
        for _ in range(8):
            proxy.cuts = [1, 60, 1]
            async with caller.metered("acme", "chat", estimate={"output_tokens": 10}) as call:
                proxy.cuts += [1, 1]
                call.add(output_tokens=2)
    assert proxy.cut >= 8
    assert await open_holds(client) == 0
    assert await left(client) == GRANTED - 8 * 2 * OUTPUT_PRICE


async def test_a_server_that_is_gone_fails_the_block_that_ended_well_and_notes_it_on_another(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    impatient = RetryPolicy(first_us=1_000, longest_us=5_000, give_up_us=30_000)
    async with DrawdownClient(proxy.address, retry=impatient) as caller:

        async def answer(*, fails: bool) -> None:
            async with caller.metered("acme", "chat", estimate={"output_tokens": 10}) as call:
                call.add(output_tokens=2)
                proxy.cuts = [1] * 1_000
                if fails:
                    raise RuntimeError("the model failed")

        with pytest.raises((NotApplied, OutcomeUnknown)):
            await answer(fails=False)
        proxy.cuts.clear()
        await reaches(caller)  # its channel waits a while after so many cuts
        with pytest.raises(RuntimeError) as failed:
            await answer(fails=True)
        assert "could not be settled" in failed.value.__notes__[0]


SIGNALLED = """
import asyncio, signal, sys
from ledger.client import DrawdownClient, cancelled_by

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

async def main():
    async with DrawdownClient(sys.argv[1]) as client:
        async with client.metered("acme", "chat", estimate={"output_tokens": 100}) as call:
            call.add(output_tokens=4)
            print("holding", flush=True)
            await asyncio.sleep(60)

async def guarded():
    with cancelled_by():
        await main()

asyncio.run(guarded())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_that_ends_the_process_settles_first(
    client: DrawdownClient, address: str, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SIGNALLED,
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "GRPC_VERBOSITY": "ERROR"},
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"holding\n"
    assert await open_holds(client) == 1
    process.send_signal(number)
    await process.communicate()
    assert process.returncode != 0
    assert await open_holds(client) == 0
    assert await left(client) == GRANTED - 4 * OUTPUT_PRICE


async def test_the_same_request_id_again_is_the_same_call_and_is_charged_once(
    client: DrawdownClient,
) -> None:
    """A job that is started again after its process was lost."""
    for again in (False, True):
        async with client.metered(
            "acme", "chat", estimate={"output_tokens": 10}, request_id="job-1"
        ) as call:
            call.add(output_tokens=4)
        assert isinstance(call.settled, decision_pb2.CaptureResponse)
        assert call.settled.replayed is again
    assert await left(client) == GRANTED - 4 * OUTPUT_PRICE


async def test_other_work_runs_only_where_the_caller_takes_it(client: DrawdownClient) -> None:
    """A fifth of the tokens is affordable; whoever would run all of them is denied, and nothing
    stays held."""
    half = decision_pb2.QuantityMap(quantity="output_tokens", becomes="output_tokens", permille=200)
    brief = decision_pb2.Alternative(attributes={"mode": "brief"}, quantities=[half])
    most = 2 * GRANTED // OUTPUT_PRICE
    rule = PolicyRule(action=decision_pb2.POLICY_ACTION_DOWNGRADE, alternatives=[brief])
    await client.set_decision_policy("acme", [rule])
    with pytest.raises(Denied) as denied:
        async with client.metered("acme", "chat", estimate={"output_tokens": most}):
            raise AssertionError("it ran")
    assert denied.value.reason == "INSUFFICIENT_CREDITS"
    while await open_holds(client):
        await asyncio.sleep(0.01)
    async with client.metered(
        "acme", "chat", estimate={"output_tokens": most}, instead=True
    ) as call:
        assert call.instead is not None
        assert call.instead.attributes["mode"] == "brief"
        assert call.instead.quantities["output_tokens"] == -(-most // 5)
        call.add(output_tokens=1)
    assert await left(client) == GRANTED - OUTPUT_PRICE
    async with client.metered("acme", "chat", estimate={"output_tokens": 1}) as call:
        assert call.instead is None


async def test_a_question_of_unknown_outcome_holds_nothing_once_a_server_answers(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    """The hold was made and its answer lost: the client takes it back by itself (rule I5)."""
    impatient = RetryPolicy(first_us=1_000, longest_us=5_000, give_up_us=300_000)
    async with DrawdownClient(proxy.address, retry=impatient) as caller:
        proxy.cuts = [1] * 100_000
        with pytest.raises(OutcomeUnknown):
            async with caller.metered(
                "acme", "chat", estimate={"output_tokens": 10}, request_id="lost"
            ):
                pass
        proxy.cuts.clear()
        until = time.monotonic() + HANGS_S
        while True:
            found = await client.get_outcome("acme", "lost")
            settled = found.state == journal_pb2.OUTCOME_STATE_ABANDONED or not await open_holds(
                client
            )
            if found.state != journal_pb2.OUTCOME_STATE_NOT_FOUND and settled:
                break
            assert time.monotonic() < until, "nobody takes it back"
            await asyncio.sleep(0.01)
        assert await left(client) == GRANTED


async def test_whoever_goes_while_the_answer_is_lost_leaves_no_hold_either(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    """Cancelled while it is asked; the question is given up without an answer; the hold goes back
    once a server answers."""

    async def check(attempt_s: float) -> None:
        attempt_us = int(attempt_s * 1_000_000)
        hasty = RetryPolicy(
            first_us=1_000, longest_us=5_000, give_up_us=attempt_us, attempt_us=attempt_us
        )
        await none_is_held(client)
        async with DrawdownClient(proxy.address, retry=hasty) as caller:
            proxy.speaks.clear()

            async def block() -> None:
                async with caller.metered("acme", "chat", estimate={"output_tokens": 10}):
                    raise AssertionError("nobody has answered")

            task = asyncio.create_task(block())
            try:
                while not await open_holds(client) and not task.done():
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.wait({task}, timeout=HANGS_S)
                assert task.done()
                if not task.cancelled():
                    raise BoundReached from task.exception()
                assert await open_holds(client) == 1
            finally:
                proxy.speaks.set()
            await none_is_held(client)
        assert await left(client) == GRANTED

    await time_given(check, 1)
