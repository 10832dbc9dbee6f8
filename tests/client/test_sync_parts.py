"""What threads do with a client: futures, streams, leases and sessions; and how it all ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from ledger.client import (
    ClientClosed,
    DrawdownClient,
    LeaseTerms,
    Outcome,
    OutcomeUnknown,
    UsageEvent,
    sync,
)
from ledger.client.lease_core import LeaseCore
from ledger.client.looping import LoopThread
from ledger.client.sync_leases import LockedCore
from ledger.client.sync_streams import AHEAD_MAX, Fed
from ledger.v1 import decision_pb2
from tests.patience import HANGS_S

ROOT = Path(__file__).parents[2]
SOON = LeaseTerms(wanted=3_000, report_every_us=20_000, ask_every_us=20_000)


def usage(name: object, account: str = "acme", tokens: int = 1) -> UsageEvent:
    return UsageEvent(f"e-{name}", account, {"output_tokens": tokens}, product="chat")


def debit(number: int) -> decision_pb2.DecideItem:
    request = decision_pb2.DebitRequest(
        tenant="default",
        request_id=f"d-{number}",
        account="acme",
        product="chat",
        quantities={"output_tokens": 1},
    )
    return decision_pb2.DecideItem(number=number, debit=request)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANGS_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def ours() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("drawdown")]


async def granted(client: DrawdownClient) -> int:
    [balance] = (await client.balance("acme", product="chat")).balances
    return 10**9 - int(balance.granted)


# -- usage -----------------------------------------------------------------------------------------


async def test_what_is_submitted_answers_by_a_future_of_any_thread(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address, source="test") as caller, ThreadPoolExecutor(8) as pool:
            given = [[usage(f"{n}-{each}") for each in range(10)] for n in range(40)]
            futures = list(pool.map(caller.submit, given))
            assert not futures[0].cancel()
            done, others = wait(futures, HANGS_S)
            assert len(done) == 40
            assert not others
            outcomes = [outcome for each in futures for outcome in each.result()]
            assert {each.outcome for each in outcomes} == {Outcome.APPLIED}
            left_open = caller.submit([usage("last")])
        [last] = left_open.result(timeout=0)  # closing answers what it gives up
        assert last.outcome in (Outcome.APPLIED, Outcome.RETRY, Outcome.UNKNOWN)

    await asyncio.to_thread(work)
    assert await granted(client) in (400 * 15, 401 * 15)


async def test_events_are_read_while_others_call_and_may_come_of_calls(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address, source="test") as caller:
            source: queue.Queue[UsageEvent | None] = queue.Queue()

            def events() -> Iterator[UsageEvent]:
                while (event := source.get()) is not None:
                    caller.get_account(event.account)  # a call on the way
                    yield event

            def fed() -> None:
                for number in range(20):
                    caller.record(usage(f"beside-{number}", "beta"))
                    source.put(usage(number))
                source.put(None)

            feeding = threading.Thread(target=fed)
            feeding.start()
            pairs = list(caller.ingest_stream(events()))
            feeding.join()
            assert [event.id for event, _ in pairs] == [f"e-{number}" for number in range(20)]
            assert {outcome.outcome for _, outcome in pairs} == {Outcome.APPLIED}

    await asyncio.to_thread(work)
    assert await granted(client) == 20 * 15


# -- decisions -------------------------------------------------------------------------------------


async def test_decisions_of_a_stream_come_while_items_are_still_given(
    client: DrawdownClient, address: str
) -> None:
    """Each item waits for the reply to the one before: a stream that gathered would stand still."""

    def work() -> None:
        with sync.DrawdownClient(address) as caller:
            replied = threading.Semaphore(1)

            def items() -> Iterator[decision_pb2.DecideItem]:
                for number in range(1, 51):
                    assert replied.acquire(timeout=HANGS_S)
                    yield debit(number)

            numbers = []
            for reply in caller.decide_stream(items()):
                assert reply.debit.charge == 15
                numbers.append(reply.number)
                replied.release()
            assert numbers == list(range(1, 51))

    await asyncio.to_thread(work)
    assert await granted(client) == 50 * 15


async def test_a_stream_that_is_left_ends_its_reader_and_one_that_breaks_says_why(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address) as caller:
            given = 0

            def endless() -> Iterator[decision_pb2.DecideItem]:
                nonlocal given
                while True:
                    given += 1
                    yield debit(given)

            replies = caller.decide_stream(endless())
            next(replies)
            replies.close()  # type: ignore[attr-defined]
            until(lambda: "drawdown-reader" not in ours())

            def breaking() -> Iterator[decision_pb2.DecideItem]:
                yield debit(1)
                raise LookupError("the source is gone")

            answered = caller.decide_stream(breaking())
            assert next(answered).debit.charge == 15
            with pytest.raises(LookupError, match="the source is gone"):
                next(answered)

    await asyncio.to_thread(work)


async def test_a_reader_is_a_bounded_way_ahead() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(10 * AHEAD_MAX):
            read = number
            yield number

    fed = Fed(items()).each()
    assert await anext(fed) == 0
    async with asyncio.timeout(HANGS_S):
        while read < AHEAD_MAX:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert read <= AHEAD_MAX + 1
    assert [await anext(fed) for _ in range(3 * AHEAD_MAX)][-1] == 3 * AHEAD_MAX
    await fed.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(HANGS_S):
        while "drawdown-reader" in ours():
            await asyncio.sleep(0.001)


# -- leases ----------------------------------------------------------------------------------------


async def test_threads_share_a_lease_and_spend_what_there_is_and_no_more(
    client: DrawdownClient, address: str
) -> None:
    """16 threads want 600 calls of 15 units each; the account has 500 calls' worth."""
    await client.create_account("scarce")
    await client.issue_grant("scarce", "credit", 500 * 15)

    def work() -> None:
        with (
            sync.DrawdownClient(address) as caller,
            caller.hold_lease("scarce", "chat", SOON, holder="edge-1") as lease,
        ):
            assert lease.lease_id
            spent: list[int] = []

            def spends(thread: int) -> None:
                for number in range(thread, 600, 16):
                    deadline = time.monotonic() + HANGS_S
                    while not lease.spend(15, usage(f"l-{number}", "")):
                        if len(spent) >= 500:
                            return
                        assert time.monotonic() < deadline
                        time.sleep(0.001)
                    spent.append(number)

            with ThreadPoolExecutor(16) as pool:
                list(pool.map(spends, range(16)))
            assert len(spent) == 500
            assert not lease.try_spend(1)
            assert not lease.unrecorded
            lease_id = lease.lease_id
            with pytest.raises(AssertionError, match="with prices"):
                lease.amount_of(usage(1))
        assert lease_id

    await asyncio.to_thread(work)
    [balance] = (await client.balance("scarce")).balances
    assert (balance.available, balance.leased) == ("0", "0")


async def test_units_of_work_that_was_not_done_come_back_and_why_there_is_no_lease(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address) as caller:
            with caller.hold_lease("acme", "chat", SOON) as lease:
                assert lease.try_spend(600)
                assert lease.remaining == 2_400
                lease.give_up(600)
                assert lease.remaining == 3_000
            with caller.hold_lease("nobody", "chat", SOON) as none:
                assert (none.refused, none.remaining) == ("ACCOUNT_UNKNOWN", 0)

    await asyncio.to_thread(work)


async def test_usage_that_nobody_would_report_is_refused_and_what_was_not_reported_is_told(
    client: DrawdownClient, address: str
) -> None:
    late = LeaseTerms(wanted=3_000, report_every_us=60_000_000)

    def work() -> None:
        with sync.DrawdownClient(address) as caller:
            lease = caller.hold_lease("acme", "chat", late)
            lease.open()
            assert lease.try_spend(15)
            lease.close()
            with pytest.raises(ClientClosed, match="the lease is closed"):
                lease.record(15, usage("late", ""))
            assert not lease.try_spend(15)
            kept = caller.hold_lease("acme", "chat", late)
            kept.open()
            assert kept.spend(15, usage("kept", ""))
        assert not kept.try_spend(15)
        [(event, outcome)] = kept.unrecorded
        assert (event.id, outcome.outcome, outcome.judged) == ("e-kept", Outcome.RETRY, False)
        kept.close()

    await asyncio.to_thread(work)


def test_every_change_of_a_lease_by_its_answers_is_locked() -> None:
    """What a thread decides by must not change under it."""
    changing = {
        "try_spend", "give_up", "record", "finished", "leave", "next_request", "acquired",
        "renewed", "reported", "given_back", "lost",
    }  # fmt: skip
    of_the_loop_alone = {"failed", "put_off", "close", "wake_at"}  # they leave the counters alone
    methods = {name for name, each in vars(LeaseCore).items() if callable(each) and name[0] != "_"}
    assert methods == changing | of_the_loop_alone
    assert changing <= set(vars(LockedCore))


# -- sessions --------------------------------------------------------------------------------------


async def test_a_session_has_the_position_of_its_own_replies(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        with sync.DrawdownClient(address, source="test") as caller:
            with caller.session() as user:
                assert user.position == ""
                caller.record(usage(1))
                assert user.position == ""
                user.record(usage(2))
                assert user.position
            other = caller.session(user.position)
            [balance] = other.balance("acme", product="chat").balances
            assert balance.granted == str(10**9 - 30)
            assert caller.record(usage(3)).charge == 15  # the client is open still

    await asyncio.to_thread(work)


# -- the end ---------------------------------------------------------------------------------------


async def test_closing_ends_every_thread_and_tells_all_who_wait(
    client: DrawdownClient, address: str
) -> None:
    def work() -> None:
        caller = sync.DrawdownClient(address, source="test").__enter__()
        watching = caller.watch("acme")
        next(watching)
        with ThreadPoolExecutor(4) as pool:
            waiting = pool.submit(lambda: [next(watching) for _ in range(100)])
            closing = [pool.submit(caller.close) for _ in range(3)]
            for each in closing:
                each.result(HANGS_S)
            with pytest.raises((ClientClosed, OutcomeUnknown), match="closed"):
                waiting.result(HANGS_S)
        caller.close()
        with pytest.raises(ClientClosed, match="the client is closed"):
            caller.record(usage(1))
        assert "drawdown-client" not in ours()

    await asyncio.to_thread(work)


def test_a_loop_is_closed_with_its_thread_and_takes_nothing_while_it_stops() -> None:
    """However threads that call race with the one that stops, each is answered."""
    for _ in range(50):
        thread = LoopThread("drawdown-raced")
        thread.run(asyncio.sleep(0))
        loop = thread._loop
        assert loop is not None

        def calls(thread: LoopThread = thread) -> None:
            with contextlib.suppress(ClientClosed):
                while True:
                    thread.run(asyncio.sleep(0))

        with ThreadPoolExecutor(4) as pool:
            calling = [pool.submit(calls) for _ in range(3)]
            pool.submit(thread.stop).result(HANGS_S)
            for each in calling:
                each.result(HANGS_S)
        assert loop.is_closed()
    assert "drawdown-raced" not in ours()
    gc.collect()


def python(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(source), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )


async def test_a_program_that_never_closes_its_client_ends_all_the_same(
    client: DrawdownClient, address: str
) -> None:
    source = """
        import sys
        from ledger.client import sync
        client = sync.DrawdownClient(sys.argv[1]).__enter__()
        print(client.debit("acme", "chat", {"output_tokens": 1}).charge)
    """
    done = await asyncio.to_thread(python, source, address)
    assert (done.returncode, done.stdout) == (0, "15\n"), done.stderr


FORKED = """
    import os, sys
    from ledger.client import sync
    address, when = sys.argv[1:]

    def debits(client):
        return client.debit("acme", "chat", {"output_tokens": 1}).charge

    made = sync.DrawdownClient(address)
    if when == "opened":
        made.__enter__()
        debits(made)
    if when == "closed":
        with made:
            debits(made)
    child = os.fork()
    if not child:
        try:
            if when == "made":
                with made:
                    print(debits(made), flush=True)
            elif when == "opened":
                try:
                    debits(made)
                except RuntimeError as error:
                    print(error, flush=True)
                made.close()
            with sync.DrawdownClient(address) as own:
                print(debits(own), flush=True)
        except RuntimeError as error:
            print(error, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
    if when == "opened":
        print(debits(made))
        made.close()
"""


async def test_a_client_that_is_opened_after_the_fork_works(
    client: DrawdownClient, address: str
) -> None:
    """As of a server that loads its application, forks, and opens in each worker."""
    done = await asyncio.to_thread(python, FORKED, address, "made")
    assert done.stdout.splitlines() == ["15", "15", "0"], done.stderr
    assert await granted(client) == 30


@pytest.mark.parametrize("when", ["opened", "closed"])
async def test_a_process_that_was_forked_too_late_is_told_so(
    client: DrawdownClient, address: str, when: str
) -> None:
    """gRPC would hang there, or crash."""
    done = await asyncio.to_thread(python, FORKED, address, when)
    *told, status = done.stdout.splitlines()[: 3 if when == "opened" else 2]
    assert status == "0", done.stderr
    assert len(told) == (2 if when == "opened" else 1)
    for line in told:
        assert "open clients after the fork" in line
        assert "post_fork" in line
    if when == "opened":
        assert done.stdout.splitlines()[-1] == "15"  # the parent goes on


FORKED_ON_A_LOOP = """
    import asyncio, os, sys
    from ledger.client import DrawdownClient

    async def debits():
        async with DrawdownClient(sys.argv[1]) as client:
            return (await client.debit("acme", "chat", {"output_tokens": 1})).charge

    print(asyncio.run(debits()), flush=True)
    child = os.fork()
    if not child:
        try:
            asyncio.run(debits())
        except RuntimeError as error:
            print(error, flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    print(asyncio.run(debits()))
"""


async def test_a_client_on_a_loop_is_told_of_the_fork_too(
    client: DrawdownClient, address: str
) -> None:
    done = await asyncio.to_thread(python, FORKED_ON_A_LOOP, address)
    first, told, status, last = done.stdout.splitlines()
    assert (first, status, last) == ("15", "0", "15"), done.stderr
    assert "open clients after the fork" in told
