"""A shard that is down holds up its own accounts and no others; an account's order is kept."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ledger.api.server import LedgerServer
from ledger.client import (
    DrawdownClient,
    EventOutcome,
    Limits,
    Outcome,
    Spool,
    UsageEvent,
    spool_sending,
)
from ledger.client.spool_records import record_of
from ledger.journal.storage import MemoryStorage
from tests.api.cluster import cluster, until
from tests.api.served import SystemClock
from tests.client.conftest import CuttingProxy, DeafProxy
from tests.client.test_spool import IMPATIENT, charged, files
from tests.gateway.test_several_servers import own
from tests.patience import HANGS_S


class Told:
    """What became of the kept events of each account, in order."""

    def __init__(self) -> None:
        self.ids = defaultdict[str, list[str]](list)

    def __call__(self, event: UsageEvent, outcome: EventOutcome) -> None:
        assert outcome.outcome is Outcome.APPLIED, outcome
        self.ids[event.account].append(event.id)

    def count(self, account: str) -> int:
        return len(self.ids[account])


def numbered(account: str, count: int, start: int = 0) -> list[UsageEvent]:
    return [
        UsageEvent(f"{account}-{number:04d}", account, {"input_tokens": 1}, "chat")
        for number in range(start, start + count)
    ]


def keep(folder: Path, events: Sequence[UsageEvent], segment: int = 50) -> None:
    """As a program that ended has left them."""
    kept = files(folder)
    for at in range(0, len(events), segment):
        kept.put_behind([record_of(each) for each in events[at : at + segment]])
    kept.close()


def segments(folder: Path) -> int:
    """Files of it."""
    return len(list(folder.glob("*.spool")))


async def test_of_two_shards_one_is_down_and_the_others_usage_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more of the shard that is down than is sent at a time, and it stands before the rest."""
    monkeypatch.setattr(spool_sending, "SEND_EVENTS", 16)
    monkeypatch.setattr(spool_sending, "STALL_S", 0.05)
    first = MemoryStorage(SystemClock().now_us, 4)
    async with cluster([first, first.seen_by_another()]) as [near, far]:
        await near.priced()
        down, up = own(far), own(near)
        for side, account in ((far, down), (near, up)):
            await side.account(account)
            await side.grant(account, 1_000_000)
        keep(tmp_path, [*numbered(down, 300), *numbered(up, 200)])
        theirs, ours = far.ledger.shards.keeper, near.ledger.shards.keeper
        assert theirs is not None
        assert ours is not None
        await far.server._server.stop(0)
        told = Told()
        back = LedgerServer(far.ledger)
        try:
            async with (
                DrawdownClient(ours.identity.address, source="test", product="chat") as client,
                Spool(client, tmp_path, settled=told) as spool,
                asyncio.timeout(HANGS_S),  # half of what the client takes to give up
            ):
                await until(lambda: told.count(up) == 200)
                assert told.count(down) == 0
                later = numbered(up, 20, 200)
                assert [await spool.record(each) for each in later] == [None] * 20
                assert await spool.record(numbered(down, 1, 300)[0]) is None
                await until(lambda: told.count(up) == 220)
                await back.listen(theirs.identity.address)
                await back.serve()
                await spool.drained()
            assert told.ids[down] == [each.id for each in numbered(down, 301)]
            assert told.ids[up] == [each.id for each in numbered(up, 220)]
        finally:
            await back.stop(0)


async def test_what_waits_is_written_anew_and_an_account_keeps_its_order(
    client: DrawdownClient, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten segments nine in ten events are settled: the disk keeps the rest, and no more."""
    monkeypatch.setattr(spool_sending, "AGAIN_S", 0.01)
    events = [
        UsageEvent(f"e-{number:04d}", "beta" if number % 10 == 0 else "acme", {"output_tokens": 1})
        for number in range(200)
    ]
    keep(tmp_path, events, 20)
    told = Told()
    retry = replace(IMPATIENT, attempt_us=200_000)
    async with DeafProxy(address) as proxy:
        proxy.deaf = {b"beta"}
        async with (
            DrawdownClient(proxy.address, source="test", product="chat", retry=retry) as caller,
            Spool(caller, tmp_path, settled=told) as spool,
            asyncio.timeout(HANGS_S),
        ):
            await until(lambda: told.count("acme") == 180 and spool.kept_events == 20)
            assert segments(tmp_path) == 1
            late = UsageEvent("e-9999", "beta", {"output_tokens": 1}, "chat")
            await spool.record(late)
            proxy.deaf = set()
            await spool.drained()
    wanted = [each.id for each in events]
    assert told.ids["acme"] == [each for each in wanted if not each.endswith("0")]
    assert told.ids["beta"] == [*(each for each in wanted if each.endswith("0")), "e-9999"]
    assert (await charged(client), await charged(client, "beta")) == (180, 21)
    assert segments(tmp_path) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_over_broken_connections_each_counts_once_and_in_order(
    client: DrawdownClient,
    proxy: CuttingProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """With bounds that are met all the time, and while more is kept."""
    monkeypatch.setattr(spool_sending, "AGAIN_S", 0.01)
    monkeypatch.setattr(spool_sending, "STALL_S", 0.01)
    monkeypatch.setattr(spool_sending, "SEND_EVENTS", 5)
    monkeypatch.setattr(spool_sending, "AHEAD_EVENTS", 40)
    chance = random.Random(seed)
    names = [chance.choice(["acme", "beta", "acme/chat"]) for _ in range(300)]
    events = [
        UsageEvent(f"e-{number:04d}", name, {"output_tokens": 1}, "chat")
        for number, name in enumerate(names)
    ]
    keep(tmp_path, events[:200], 7)
    proxy.cuts = [chance.randrange(1, 2_000) for _ in range(60)]
    ids = defaultdict[str, list[str]](list)

    def settled(event: UsageEvent, outcome: EventOutcome) -> None:
        assert outcome.outcome is Outcome.APPLIED, outcome
        ids[event.account].append(event.id)

    few = Limits(pending_events=64)
    async with (
        DrawdownClient(proxy.address, source="test", retry=IMPATIENT, limits=few) as caller,
        Spool(caller, tmp_path, settled=settled) as spool,
        asyncio.timeout(HANGS_S),
    ):
        for event in events[200:]:
            assert await spool.record(event) is None or not spool.kept_events
        proxy.cuts.clear()
        await spool.drained()
    for account in set(names):
        wanted = [each.id for each in events[:200] if each.account == account]
        assert ids[account][: len(wanted)] == wanted
        assert ids[account] == sorted(ids[account])
    total = await charged(client) + await charged(client, "beta")
    assert total + await charged(client, "acme/chat") == 300
