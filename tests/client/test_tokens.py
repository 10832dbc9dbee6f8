"""Tokens that are replaced while streams go on, and tokens that cannot be had for a while."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest

from ledger.client import DrawdownClient, Outcome, Refused, UsageEvent
from ledger.journal.storage import MemoryStorage
from ledger.v1.decision_pb2 import DECISION_ALLOW
from tests.api.proven import Proven, proven
from tests.api.served import SystemClock, refused
from tests.client.conftest import PROMPT
from tests.patience import HANGS_S

PIPED: dict[str, Any] = {"pipelined": True, "streaming": True}
CALLED: dict[str, Any] = {}


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Proven]:
    """A server that asks who calls, with an account that has credits."""
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with proven(storage, tmp_path / "keys.json") as server:
        caller = server.caller()
        await caller.priced()
        await caller.account("acme")
        await caller.grant("acme", 10**9)
        yield server


class Source:
    """Gives the token that is good now."""

    def __init__(self, first: str) -> None:
        self.token = first
        self.fails = False
        self.failed = asyncio.Event()

    def __call__(self) -> str:
        if self.fails:
            self.failed.set()
            raise ConnectionError("the issuer is away")
        return self.token


def used(number: int) -> UsageEvent:
    return UsageEvent(f"e-{number}", "acme", {"output_tokens": 1}, source="t", product="chat")


async def expired(asking: Proven, secret: str) -> None:
    """A token is good no more."""
    asking.tolerate_none()
    assert await outcome_of(asking.bearing(secret).balance("acme")) == "TOKEN_EXPIRED"


async def outcome_of(call: Awaitable[Any]) -> str | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return refused(error).reason
    return None


async def test_a_stream_whose_token_expired_goes_on_with_the_next(asking: Proven) -> None:
    """Whoever debits, reports usage or watches then, is answered as by calls of their own."""
    source = Source(asking.token())
    async with DrawdownClient(asking.address, token=source, retry=PROMPT, **PIPED) as client:
        source.token = before = asking.on_leeway()
        assert (await client.debit("acme", "chat", {"output_tokens": 1})).decision == DECISION_ALLOW
        [first] = await client.ingest([used(1)])
        async with contextlib.aclosing(client.watch("acme")) as watch:
            shown = await anext(watch)
            await expired(asking, before)
            source.token = asking.token()
            debits = [client.debit("acme", "chat", {"output_tokens": 1}) for _ in range(20)]
            answers = await asyncio.gather(*debits)
            [second] = await client.ingest([used(2)])
            async with asyncio.timeout(HANGS_S):
                while shown.accounts[0].balances[0].granted != str(10**9 - 23 * 15):
                    shown = await anext(watch)
    assert {each.decision for each in answers} == {DECISION_ALLOW}
    assert (first.outcome, second.outcome) == (Outcome.APPLIED, Outcome.APPLIED)


async def test_tokens_that_were_never_good_are_refused_at_once(asking: Proven) -> None:
    """Though each is another one."""
    numbers = itertools.count()
    source = Source(asking.token())
    async with DrawdownClient(
        asking.address, token=lambda: source.token or f"none-{next(numbers)}", **PIPED
    ) as client:
        source.token = ""
        async with asyncio.timeout(HANGS_S):
            with pytest.raises(Refused, match="token"):
                await client.debit("acme", "chat", {"output_tokens": 1})


async def test_a_token_that_stays_as_it_was_is_refused_at_once(asking: Proven) -> None:
    source = Source(asking.token())
    async with DrawdownClient(asking.address, token=source, retry=PROMPT, **PIPED) as client:
        source.token = before = asking.on_leeway()
        await client.debit("acme", "chat", {"output_tokens": 1})
        await expired(asking, before)
        with pytest.raises(Refused, match="expired"):
            await client.debit("acme", "chat", {"output_tokens": 1})


@pytest.mark.parametrize("how", [PIPED, CALLED])
async def test_a_token_that_cannot_be_had_holds_nobody_up_for_ever(
    asking: Proven, how: dict[str, Any]
) -> None:
    """Whoever debits hears why; usage is sent once there is one again."""
    source = Source(asking.token())
    async with DrawdownClient(asking.address, token=source, retry=PROMPT, **how) as client:
        source.fails = True
        async with asyncio.timeout(HANGS_S):
            with pytest.raises(ConnectionError):
                await client.debit("acme", "chat", {"output_tokens": 1})
            source.failed.clear()
            sending = asyncio.create_task(client.ingest([used(1)]))
            await source.failed.wait()
            source.fails = False
            [recorded] = await sending
            answer = await client.debit("acme", "chat", {"output_tokens": 1})
    assert recorded.outcome == Outcome.APPLIED
    assert answer.decision == DECISION_ALLOW
