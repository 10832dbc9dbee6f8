"""Decisions on a shared stream: the answers of single calls, each once, whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger.client import DrawdownClient, OutcomeUnknown, Refused, RetryPolicy, pipelined
from ledger.client.pipelined import LINGER_S, _Pipe
from ledger.v1.decision_pb2 import (
    DECISION_ALLOW,
    DECISION_DENY,
    DebitRequest,
    DebitResponse,
    DecideStreamRequest,
)
from tests.client.conftest import PROMPT, CuttingProxy
from tests.patience import HANGS_S

GRANTED = 10**9


@pytest.fixture
async def piped(client: DrawdownClient, address: str) -> AsyncIterator[DrawdownClient]:
    async with DrawdownClient(address, retry=PROMPT, pipelined=True) as piped:
        yield piped


async def charged(client: DrawdownClient, account: str = "acme") -> int:
    [balance] = (await client.balance(account, product="chat")).balances
    return GRANTED - int(balance.granted)


async def test_many_callers_debit_one_by_one_and_each_has_its_own_answer(
    client: DrawdownClient, piped: DrawdownClient
) -> None:
    async def caller(number: int) -> list[DebitResponse]:
        account = ("acme", "beta")[number % 2]
        work = {"output_tokens": number + 1}
        return [await piped.debit(account, "chat", work) for _ in range(4)]

    found = await asyncio.gather(*[caller(number) for number in range(64)])
    for number, answers in enumerate(found):
        assert [each.decision for each in answers] == [DECISION_ALLOW] * 4
        assert {each.charge for each in answers} == {(number + 1) * 15}
    due = sum((number + 1) * 15 * 4 for number in range(0, 64, 2))
    assert await charged(client) == due
    assert len({id(pipe) for pipe in piped._caller.pipes._pipes.values()}) == 1  # type: ignore[union-attr]


async def test_a_denial_and_a_refusal_are_of_one_caller_alone(piped: DrawdownClient) -> None:
    found = await asyncio.gather(
        piped.debit("acme", "chat", {"output_tokens": 1}, request_id="one"),
        piped.debit("acme", "chat", {"output_tokens": GRANTED}),
        piped.debit("nobody", "chat", {"output_tokens": 1}),
        piped.debit("acme", "chat", {"output_tokens": 2}, request_id="one"),
        piped.debit("beta", "chat", {"output_tokens": 3}),
        return_exceptions=True,
    )
    assert [getattr(each, "decision", None) for each in found] == [
        DECISION_ALLOW,
        DECISION_DENY,
        None,
        None,
        DECISION_ALLOW,
    ]
    assert isinstance(found[2], Refused) and found[2].reason == "ACCOUNT_UNKNOWN"
    assert isinstance(found[3], Refused) and found[3].reason == "CONFLICT"


async def test_holds_live_on_the_stream_too(client: DrawdownClient, piped: DrawdownClient) -> None:
    async with piped.metered("acme", "chat", estimate={"output_tokens": 50}) as call:
        call.add(output_tokens=2)
        await piped.extend(call.hold_id)
    held = await piped.authorize("acme", "chat", {"output_tokens": 5})
    assert (await piped.release(held.hold_id)).released == 75
    assert await charged(client) == 30
    assert piped.position


async def test_each_is_charged_once_over_streams_that_break(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    async with DrawdownClient(proxy.address, retry=PROMPT, pipelined=True) as caller:
        proxy.cuts = [200, 150, 300, 100, 400]

        async def debits() -> None:
            for _ in range(8):
                reply = await caller.debit("acme", "chat", {"output_tokens": 1})
                assert reply.decision == DECISION_ALLOW

        await asyncio.gather(*[debits() for _ in range(16)])
    assert proxy.cut == 5
    assert await charged(client) == 16 * 8 * 15


async def test_a_server_that_never_answers_leaves_the_outcome_unknown(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    impatient = RetryPolicy(first_us=1_000, longest_us=5_000, give_up_us=100_000)
    async with DrawdownClient(proxy.address, retry=impatient, pipelined=True) as caller:
        proxy.cuts = [1] * 10_000
        with pytest.raises(OutcomeUnknown):
            await caller.debit("acme", "chat", {"output_tokens": 1})


async def test_one_that_stops_waiting_leaves_the_others_alone(
    client: DrawdownClient, piped: DrawdownClient
) -> None:
    tasks = [
        asyncio.create_task(piped.debit("acme", "chat", {"output_tokens": 1})) for _ in range(20)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, DebitResponse) for each in found[1::2])
    assert 10 * 15 <= await charged(client) <= 20 * 15


@pytest.mark.parametrize("others_come", [True, False])
async def test_callers_that_come_while_a_message_is_under_way_share_the_next(
    monkeypatch: pytest.MonkeyPatch, *, others_come: bool
) -> None:
    """As many as are unanswered make the next message; one alone goes at once, and those that
    nobody joins go after a while."""
    monkeypatch.setattr(pipelined, "LINGER_S", HANGS_S if others_come else LINGER_S)
    pipe = _Pipe()
    sent: list[int] = []

    def ask(count: int) -> None:
        for _ in range(count):
            pipe.ask("debit", DebitRequest(), "acme")

    class Wire:
        async def write(self, message: DecideStreamRequest) -> None:
            sent.append(len(message.items))

    writing = asyncio.create_task(pipe.write(Wire()))  # type: ignore[arg-type]
    ask(1)
    await turns()
    assert sent == [1]
    ask(4)
    await turns()
    assert sent == [1, 4]
    ask(4)
    if others_come:
        await turns()
        assert sent == [1, 4]  # five are unanswered
        ask(1)
        await turns()
        assert sent == [1, 4, 5]
    async with asyncio.timeout(HANGS_S):
        while sum(sent) < (10 if others_come else 9):
            await asyncio.sleep(LINGER_S)
    writing.cancel()


async def turns() -> None:
    """Let what is ready run; no time passes."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_a_server_that_takes_and_says_nothing_is_not_waited_for_longer_than_an_attempt() -> (
    None
):
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    address = "127.0.0.1:{1}".format(*silent.sockets[0].getsockname())
    brief = RetryPolicy(first_us=1_000, longest_us=5_000, give_up_us=50_000, attempt_us=100_000)
    caller = DrawdownClient(address, retry=brief, pipelined=True)
    with pytest.raises(OutcomeUnknown, match=r"no reply within 0\.1 s"):
        await caller.debit("acme", "chat", {"output_tokens": 1})
    await caller.close()
    for writer in taken:
        writer.transport.abort()
    silent.close()
    await silent.wait_closed()
