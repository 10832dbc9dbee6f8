"""The synchronous client: every call of the other one, with the same arguments, from threads."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.client import (
    CallError,
    ClientClosed,
    Denied,
    DrawdownClient,
    Outcome,
    Refused,
    RetryPolicy,
    UsageEvent,
    sync,
)
from ledger.v1 import decision_pb2
from tests.client.conftest import PROMPT, CuttingProxy


def usage(number: int) -> UsageEvent:
    return UsageEvent(f"e-{number}", "acme", {"output_tokens": 1}, product="chat", source="test")


def test_every_call_has_its_twin_with_the_same_arguments() -> None:
    """A new call of the SDK wants a line in sync_calls."""
    calls = {
        name: method
        for name, method in inspect.getmembers(DrawdownClient, callable)
        if not name.startswith("_")
    }
    assert {name for name in calls if not hasattr(sync.DrawdownClient, name)} == set()
    client = sync.DrawdownClient("127.0.0.1:1")
    for name, method in calls.items():
        twin = getattr(client, name)
        expected = list(inspect.signature(method).parameters)
        found = list(inspect.signature(twin, follow_wrapped=True).parameters)
        assert found in (expected, expected[1:]), name
        assert twin.__doc__, name


async def test_calls_lists_and_reads_of_what_was_written(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address, source="test", product="chat") as caller:
            caller.create_account("gamma", parent="acme", display_name="Gamma")
            [child, other] = caller.list_accounts(parent="acme")
            assert {child.account, other.account} == {"acme/chat", "gamma"}
            assert caller.record(usage(1)).charge == 15
            assert [each.replayed for each in caller.ingest([usage(1), usage(2)])] == [True, False]
            [balance] = caller.balance("acme").balances
            assert balance.granted == str(10**9 - 30)
            pairs = list(caller.ingest_stream([usage(3), usage(4)]))
            assert [each.outcome for _, each in pairs] == [Outcome.APPLIED] * 2
            assert caller.position
            with pytest.raises(Refused, match="ACCOUNT_UNKNOWN"):
                caller.get_account("nobody")
            first = caller.list_accounts()
            next(first)
            first.close()  # type: ignore[attr-defined]
        with pytest.raises((ClientClosed, RuntimeError), match="closed"):
            caller.record(usage(5))

    await asyncio.to_thread(work)


async def test_threads_share_batches_and_each_event_counts_once(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    proxy.cuts = [400, 300, 500]

    def work() -> None:
        with (
            sync.DrawdownClient(proxy.address, retry=PROMPT) as caller,
            ThreadPoolExecutor(16) as pool,
        ):
            outcomes = list(pool.map(lambda number: caller.record(usage(number)), range(200)))
        assert {each.outcome for each in outcomes} == {Outcome.APPLIED}

    await asyncio.to_thread(work)
    assert proxy.cut == 3
    [balance] = (await client.balance("acme", product="chat")).balances
    assert balance.granted == str(10**9 - 200 * 15)


async def test_a_metered_block_settles_however_it_ends(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address) as caller:
            with caller.metered("acme", "chat", estimate={"output_tokens": 50}) as call:
                for _ in call.metering(range(3), lambda chunk: {"output_tokens": 1}):
                    pass
                call.add(input_tokens=1)
                call.set(input_tokens=2)
            assert isinstance(call.settled, decision_pb2.CaptureResponse)
            assert call.settled.charge == 3 * 15 + 2 * 3

            def fails() -> None:
                with caller.metered("acme", "chat", estimate={"output_tokens": 50}) as failing:
                    failing.add(output_tokens=1)
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                fails()
            with pytest.raises(Denied, match="INSUFFICIENT_CREDITS"):
                caller.metered("acme", "chat", estimate={"output_tokens": 10**9}).__enter__()

    await asyncio.to_thread(work)
    assert not (await client.list_holds("acme")).holds
    [balance] = (await client.balance("acme", product="chat")).balances
    assert balance.granted == str(10**9 - 4 * 15 - 6)


def test_a_client_that_cannot_reach_anyone_leaves_no_thread() -> None:
    impatient = RetryPolicy(first_us=1_000, longest_us=1_000, give_up_us=10_000)
    before = set(threading.enumerate())
    with pytest.raises(CallError, match="UNAVAILABLE"):
        sync.DrawdownClient("127.0.0.1:1", retry=impatient).__enter__()
    assert set(threading.enumerate()) <= before
