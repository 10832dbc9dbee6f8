"""A real server that dies, or stands still, amid what many callers ask: nothing that was answered
is lost, nothing is charged twice, and nobody runs ahead of it without bound."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ledger.client import (
    CallError,
    ClientClosed,
    DrawdownClient,
    EventOutcome,
    LeaseTerms,
    Limits,
    NotApplied,
    Outcome,
    OutcomeUnknown,
    RetryPolicy,
    UsageEvent,
    sync,
)
from ledger.client.sync_leases import HeldLease
from ledger.v1 import decision_pb2, journal_pb2
from rating.v1 import pricing_pb2
from tests.api.served import card
from tests.conftest import run_apart
from tests.crash.processes import LastingServer
from tests.patience import HANGS_S

GRANTED = 10**9
PRICE = 15  # minor units a token
PATIENT = RetryPolicy(first_us=20_000, longest_us=300_000, give_up_us=HANGS_S * 1_000_000)
BRIEF = RetryPolicy(
    first_us=20_000, longest_us=100_000, give_up_us=700_000, attempt_us=300_000
)  # two or three attempts, each with a deadline of its own


@pytest.fixture(scope="module")
def server(
    module_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LastingServer]:
    server = LastingServer(module_database, tmp_path_factory.mktemp("weather") / "server.log")
    server.start()
    try:
        run_apart(server.ready)
        yield server
    finally:
        server.stop()


@pytest.fixture
async def client(server: LastingServer) -> AsyncIterator[DrawdownClient]:
    """A patient client; the server runs, and goes on with the next test."""
    async with DrawdownClient(server.address, source="weather", retry=PATIENT) as client:
        if not [each async for each in client.list_assets()]:
            await client.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
            await client.publish_rate_card(card())
        yield client


async def account(client: DrawdownClient, name: str) -> str:
    await client.create_account(name)
    await client.issue_grant(name, "credit", GRANTED)
    return name


async def charged(client: DrawdownClient, name: str) -> int:
    """Tokens; nothing is held any more."""
    async with asyncio.timeout(HANGS_S):
        while (await client.list_holds(name)).holds:
            await asyncio.sleep(0.02)
    [balance] = (await client.balance(name, product="chat")).balances
    units = GRANTED - int(balance.granted)
    assert units % PRICE == 0
    return units // PRICE


def usage(name: str, number: int) -> UsageEvent:
    return UsageEvent(f"{name}-{number}", name, {"output_tokens": 1}, product="chat")


Ask = Callable[[DrawdownClient, str, int], Awaitable[Any]]


async def records(client: DrawdownClient, name: str, number: int) -> None:
    outcome = await client.record(usage(name, number))
    assert outcome.outcome is Outcome.APPLIED, outcome


async def debits(client: DrawdownClient, name: str, number: int) -> None:
    answer = await client.debit(name, "chat", {"output_tokens": 1}, request_id=f"{name}-{number}")
    assert answer.charge == PRICE


async def meters(client: DrawdownClient, name: str, number: int) -> None:
    async with client.metered(name, "chat", estimate={"output_tokens": 5}) as call:
        call.add(output_tokens=1)
    assert isinstance(call.settled, decision_pb2.CaptureResponse)
    assert call.settled.charge == PRICE


async def watches(client: DrawdownClient, name: str) -> None:
    async for _ in client.watch(name):
        pass


WAYS: dict[str, tuple[Ask, dict[str, Any]]] = {
    "recorded": (records, {}),
    "streamed": (records, {"streaming": True}),
    "debited": (debits, {}),
    "pipelined": (debits, {"pipelined": True}),
    "metered": (meters, {}),
}


async def test_64_callers_each_way_over_a_server_that_is_killed_again_and_again(
    client: DrawdownClient, server: LastingServer
) -> None:
    """SIGKILL three times, at moments when most ways have questions in flight. Everything that was
    asked is answered in the end, and charged once."""
    answered: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    amid: Counter[str] = Counter()  # ways that had something in flight when the server died
    ended = asyncio.Event()
    names = {way: await account(client, f"killed-{way}") for way in WAYS}

    async def caller(way: str, ask: Ask, own: DrawdownClient) -> None:
        while not ended.is_set():
            asked[way] += 1
            await ask(own, names[way], asked[way])
            answered[way] += 1
            await asyncio.sleep(0.1)

    async def storm(kills: int) -> None:
        for _ in range(kills):
            before = dict(answered)
            while min(answered[way] - before.get(way, 0) for way in WAYS) < 80:
                await asyncio.sleep(0.005)
            while sum(asked[way] > answered[way] for way in WAYS) < 3:
                await asyncio.sleep(0)
            amid.update(way for way in WAYS if asked[way] > answered[way])
            server.kill()
            server.start()
            await server.ready()
        ended.set()

    clients = {
        way: DrawdownClient(server.address, source="weather", retry=PATIENT, **options)
        for way, (_, options) in WAYS.items()
    }
    async with asyncio.TaskGroup() as group:
        for way, (ask, _) in WAYS.items():
            for _ in range(64):
                group.create_task(caller(way, ask, clients[way]))
        group.create_task(storm(3))
    for own in clients.values():
        await own.close()
    assert answered == asked
    assert len(amid) >= 3
    assert {way: await charged(client, names[way]) for way in WAYS} == answered


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_given_up_beyond_its_deadline_is_asked_again_and_charged_once(
    client: DrawdownClient, server: LastingServer, way: str
) -> None:
    """The server stands still while it is asked. What it had taken by then it goes on with; asked
    again under the same ids, the answers are those of the first time."""
    ask, options = WAYS[way]
    name, before = await account(client, f"late-{way}"), await account(client, f"before-{way}")

    async def patiently(number: int) -> Any:
        own = again if ask is not meters else client
        return await ask(own, name, number)

    async with (
        DrawdownClient(server.address, source="weather", retry=BRIEF, **options) as hasty,
        DrawdownClient(server.address, source="weather", retry=PATIENT, **options) as again,
    ):
        with contextlib.suppress(CallError, AssertionError):  # where a busy machine is too late
            await ask(hasty, before, 0)
        begun = [asyncio.create_task(ask(hasty, name, number)) for number in range(1, 17)]
        await asyncio.sleep(0.002)
        server.signal(signal.SIGSTOP)
        begun += [asyncio.create_task(ask(hasty, name, number)) for number in range(17, 33)]
        try:
            found = await asyncio.gather(*begun, return_exceptions=True)
        finally:
            server.signal(signal.SIGCONT)
        for each in found[16:]:
            assert isinstance(each, OutcomeUnknown) or "UNKNOWN" in str(each)
            if isinstance(each, OutcomeUnknown):
                assert each.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
        for each in found[:16]:  # answered, or not; or put off by a busy machine's late lease
            put_off = isinstance(each, OutcomeUnknown | NotApplied)
            assert each is None or put_off or re.search("UNKNOWN|RETRY", str(each)), each
        if ask is meters:  # what was held is taken back, and what was captured stands
            assert found.count(None) <= await charged(client, name) <= 32
            return
        await asyncio.gather(*[patiently(number) for number in range(1, 33)])
        assert await charged(client, name) == 32


async def test_of_what_was_given_up_the_ledger_says_what_became_of_it(
    client: DrawdownClient, server: LastingServer
) -> None:
    """An unknown outcome is known once a server answers: the question is asked by its id."""
    name = await account(client, "asked-after")
    async with DrawdownClient(server.address, retry=BRIEF) as hasty:
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown):
                await debits(hasty, name, 1)
        finally:
            server.signal(signal.SIGCONT)
    found = await client.get_outcome(name, f"{name}-1", abandon=True)
    if found.state == journal_pb2.OUTCOME_STATE_ABANDONED:
        assert await charged(client, name) == 0
    else:
        assert found.debit.charge == PRICE
        assert await charged(client, name) == 1


async def test_while_a_server_stands_still_as_many_wait_as_may_and_the_others_queue(
    client: DrawdownClient, server: LastingServer
) -> None:
    """100 events are taken, of 300 callers; of those that queue, who gives up was never there."""
    name = await account(client, "queued")
    limits = Limits(pending_events=100)
    async with DrawdownClient(
        server.address, source="weather", retry=PATIENT, limits=limits
    ) as own:
        server.signal(signal.SIGSTOP)
        try:
            callers = [asyncio.create_task(own.record(usage(name, n))) for n in range(300)]
            for _ in range(100):
                await asyncio.sleep(0.002)
                assert own.pending_events <= 100
            assert own.pending_events == 100
            assert not any(each.done() for each in callers)
            for each in callers[200:]:
                each.cancel()
            callers[0].cancel()  # it was taken: its caller waits no more, it is recorded
            await asyncio.sleep(0.01)
        finally:
            server.signal(signal.SIGCONT)
        found = await asyncio.gather(*callers, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in found] == [
        number == 0 or number >= 200 for number in range(300)
    ]
    outcomes = [each for each in found if isinstance(each, EventOutcome)]
    assert {each.outcome for each in outcomes} == {Outcome.APPLIED}
    assert len(outcomes) == 199
    assert await charged(client, name) == 200


@pytest.mark.parametrize("options", [{}, {"streaming": True}, {"pipelined": True}])
async def test_closing_while_a_server_stands_still_tells_what_is_known(
    client: DrawdownClient, server: LastingServer, options: dict[str, bool]
) -> None:
    """Who was taken hears that it is unknown or was not sent, who queues that the client is
    closed; what is asked again is charged once."""
    name = await account(client, f"closed-amid-{'-'.join(options)}")
    own = DrawdownClient(
        server.address,
        source="weather",
        retry=PATIENT,
        limits=Limits(pending_events=10),
        **options,  # type: ignore[arg-type]
    )
    await own.refresh_routing()
    server.signal(signal.SIGSTOP)
    try:
        callers = [asyncio.create_task(own.record(usage(name, n))) for n in range(30)]
        asking = [asyncio.create_task(debits(own, name, n)) for n in range(100, 104)]
        asking.append(asyncio.create_task(watches(own, name)))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(HANGS_S):
            await own.close()
            found = await asyncio.gather(*callers, *asking, return_exceptions=True)
    finally:
        server.signal(signal.SIGCONT)
    taken = [each for each in found if isinstance(each, EventOutcome)]
    assert len(taken) == 10
    assert {each.outcome for each in taken} <= {Outcome.RETRY, Outcome.UNKNOWN}
    assert sum(isinstance(each, ClientClosed) for each in found[10:30]) == 20
    assert {type(each) for each in found[30:]} == {OutcomeUnknown}, found[30:]
    await asyncio.gather(*[records(client, name, number) for number in range(30)])
    await asyncio.gather(*[debits(client, name, number) for number in range(100, 104)])
    assert await charged(client, name) == 34


async def test_a_stream_of_decisions_that_breaks_says_so_and_is_gone_on_with(
    client: DrawdownClient, server: LastingServer
) -> None:
    """The server dies amid 2,000 debits: the stream raises, and those without an answer are asked
    again under their ids. The last ones are asked when it is dead: it cannot have answered all."""
    name = await account(client, "broken-stream")
    answered: set[int] = set()
    killed = asyncio.Event()

    async def items() -> AsyncIterator[decision_pb2.DecideItem]:
        for number in range(1, 2_001):
            if number > 1_500:
                await killed.wait()
            if number not in answered:
                yield decision_pb2.DecideItem(
                    number=number,
                    debit=decision_pb2.DebitRequest(
                        tenant="default",
                        request_id=f"{name}-{number}",
                        account=name,
                        product="chat",
                        quantities={"output_tokens": 1},
                    ),
                )

    async def ask(until: int) -> None:
        async for reply in client.decide_stream(items()):
            if reply.HasField("error"):  # of a busy machine's lease, say: it is asked again
                assert reply.error.metadata["retryable"] == "true", reply
                continue
            assert reply.debit.charge == PRICE
            answered.add(reply.number)
            if len(answered) == until:
                server.kill()
                killed.set()

    with pytest.raises(OutcomeUnknown):
        await ask(500)
    assert 500 <= len(answered) < 2_000
    server.start()
    await server.ready()
    async with asyncio.timeout(HANGS_S):
        while len(answered) < 2_000:
            await ask(2_001)
    assert answered == set(range(1, 2_001))
    assert await charged(client, name) == 2_000


async def test_threads_decide_by_a_lease_while_the_server_dies_and_comes_back(
    client: DrawdownClient, server: LastingServer
) -> None:
    """Without await: the lease goes on through two kills, and in the end each piece of work that
    was let in is charged once, and the rest is back."""
    name = await account(client, "leased")
    terms = LeaseTerms(wanted=20_000 * PRICE, report_every_us=20_000, ask_every_us=20_000)
    spent = [0] * 8
    ended = threading.Event()

    def work(lease: HeldLease, thread: int) -> None:
        while not ended.is_set():
            event = UsageEvent(f"{name}-{thread}-{spent[thread]}", "", {"output_tokens": 1})
            if lease.spend(PRICE, event):
                spent[thread] += 1
            time.sleep(0.005)

    def threads() -> None:
        with (
            sync.DrawdownClient(server.address, retry=PATIENT) as own,
            own.hold_lease(name, "chat", terms) as lease,
        ):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda thread: work(lease, thread), range(8)))
            assert not lease.refused
        assert not lease.unrecorded

    running = asyncio.create_task(asyncio.to_thread(threads))
    try:
        for _ in range(2):
            before = sum(spent)
            while sum(spent) < before + 200:
                assert not running.done()
                await asyncio.sleep(0.01)
            server.kill()
            amid = sum(spent)
            while sum(spent) < amid + 200:  # nobody waits for the server
                await asyncio.sleep(0.01)
            server.start()
            await server.ready()
    finally:
        ended.set()
    await running
    assert await charged(client, name) == sum(spent)
    [balance] = (await client.balance(name, product="chat")).balances
    assert balance.leased == "0"
