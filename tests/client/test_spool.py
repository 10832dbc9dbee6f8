"""Usage is kept on the disk while no server answers: in bounds, in order, over crashes, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.client import (
    ClientClosed,
    DrawdownClient,
    EventOutcome,
    InvalidEvent,
    Outcome,
    RetryPolicy,
    Spool,
    SpoolBusy,
    SpoolFailed,
    SpoolFull,
    UsageEvent,
)
from ledger.client.spool_files import SEGMENT_BYTES, SpoolFiles
from ledger.client.spool_records import record_of
from rating.v1 import pricing_pb2
from tests.api.served import card
from tests.client.conftest import PROMPT, CuttingProxy
from tests.crash.processes import ServerProcess
from tests.patience import HANGS_S

IMPATIENT = RetryPolicy(first_us=1_000, longest_us=20_000, give_up_us=200_000)
PATIENCE_US = 50_000
LARGE = 1 << 30


def usage(number: int, account: str = "acme") -> UsageEvent:
    return UsageEvent(f"e-{number}", account, {"output_tokens": 1}, "chat", {"n": str(number)})


def files(folder: Path, bytes_max: int = LARGE, events_max: int = LARGE) -> SpoolFiles:
    return SpoolFiles(folder, bytes_max, events_max)


def stored(kept: SpoolFiles) -> list[str]:
    """The ids on the disk, in order; all of it is let go of."""
    found: list[str] = []
    while (segment := kept.oldest()) is not None:
        offset = 0
        while offset < segment.bytes:
            events, offset = kept.read(segment, offset, 7)
            found += [event.id for event in events]
        kept.let_go(segment)
    return found


# -- the files -------------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_was(tmp_path: Path) -> None:
    event = UsageEvent(
        "é-1", "acme/søk", {"a": -(2**63), "b": 0}, "chat", {"region": "eu"}, 17, "api", "op",
        "top", {"user": "ada ☃"}, "quote",
    )  # fmt: skip
    bare = UsageEvent("e-2", "acme", {})
    kept = files(tmp_path)
    kept.append([record_of(event), record_of(bare)])
    kept.close()
    again = files(tmp_path)
    segment = again.oldest()
    assert segment is not None
    assert again.read(segment, 0, 10)[0] == [event, bare]
    assert (again.events, again.bytes) == (2, segment.bytes)
    again.close()


def test_a_directory_has_one_writer(tmp_path: Path) -> None:
    kept = files(tmp_path)
    with pytest.raises(SpoolBusy, match=str(tmp_path)):
        files(tmp_path)
    kept.close()
    files(tmp_path).close()


@pytest.mark.parametrize(("bytes_max", "events_max"), [(LARGE, 3), (350, LARGE)])
def test_what_is_full_says_so_and_keeps_what_it_has(
    tmp_path: Path, bytes_max: int, events_max: int
) -> None:
    kept = files(tmp_path, bytes_max, events_max)
    for number in range(3):
        kept.append([record_of(usage(number))])
    with pytest.raises(SpoolFull, match=f"of at most {events_max} in {bytes_max}"):
        kept.append([record_of(usage(3))])
    assert kept.events == 3
    assert stored(kept) == ["e-0", "e-1", "e-2"]
    kept.append([record_of(usage(9))])
    kept.close()


def test_segments_follow_each_other_and_go_when_they_are_done(tmp_path: Path) -> None:
    kept = files(tmp_path)
    blob = "x" * 100_000
    for number in range(90):
        kept.append([record_of(UsageEvent(f"e-{number}", "acme", {}, attributes={"b": blob}))])
    assert len(list(tmp_path.glob("*.spool"))) == 3
    assert all(path.stat().st_size <= SEGMENT_BYTES for path in tmp_path.glob("*.spool"))
    kept.close()
    again = files(tmp_path)
    again.append([record_of(usage(90))])
    assert stored(again) == [f"e-{number}" for number in range(91)]
    assert list(tmp_path.glob("*.spool")) == []
    assert (again.events, again.bytes) == (0, 0)
    again.close()


@given(st.integers(1, 6), st.integers(0, 400), st.binary(max_size=60))
def test_whatever_a_crash_leaves_behind_the_last_sync_the_events_before_it_are_kept(
    tmp_path_factory: pytest.TempPathFactory, synced: int, cut: int, garbage: bytes
) -> None:
    """A write that was cut anywhere, and any bytes in its place."""
    folder = tmp_path_factory.mktemp("spool")
    kept = files(folder)
    for number in range(synced):
        kept.append([record_of(usage(number))])
    kept.close()
    [path] = folder.glob("*.spool")
    torn = record_of(usage(99))[: cut % len(record_of(usage(99)))]
    whole = path.read_bytes()
    path.write_bytes(whole + (torn if cut % 2 else garbage))
    again = files(folder)
    again.append([record_of(usage(synced))])
    assert stored(again) == [f"e-{number}" for number in range(synced + 1)]
    again.close()


def test_a_disk_that_does_not_write_fails_the_event_and_not_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = files(tmp_path)
    kept.append([record_of(usage(1))])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(SpoolFailed, match="No space left"):
            kept.append([record_of(usage(2))])
    kept.append([record_of(usage(3))])
    assert stored(kept) == ["e-1", "e-3"]
    kept.close()


def test_a_full_disk_does_not_stop_the_next_process_from_sending_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write is cut short by a full disk, and the process killed: what was kept still opens."""
    kept = files(tmp_path)
    kept.append([record_of(usage(1))])
    kept.close()
    [path] = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes() + record_of(usage(2))[:20])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", full)
        again = files(tmp_path)
    assert list(tmp_path.glob("*.torn")) == []
    assert stored(again) == ["e-1"]
    again.close()


def test_a_directory_that_does_not_read_is_said_and_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = files(tmp_path)
    kept.append([record_of(usage(1))])
    kept.close()

    def broken_disk(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", broken_disk)
        with pytest.raises(SpoolFailed, match="Input/output error"):
            files(tmp_path)
    again = files(tmp_path)
    assert stored(again) == ["e-1"]
    again.close()


def test_room_is_of_the_bounds_and_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = files(tmp_path, 1_000, 3)
    kept.append([record_of(usage(1))])
    left = 1_000 - kept.bytes
    assert kept.has_room(2, left)
    assert not kept.has_room(3, left)
    assert not kept.has_room(2, left + 1)
    found = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*found[:4], 0, *found[5:])))
    assert not kept.has_room(1, 1)
    kept.close()


# -- with a server, and without --------------------------------------------------------------------


@asynccontextmanager
async def spooling(address: str, folder: Path, **changes: object) -> AsyncIterator[Spool]:
    async with (
        DrawdownClient(address, source="test", retry=IMPATIENT) as client,
        Spool(client, folder, **{"patience_us": PATIENCE_US, **changes}) as spool,  # type: ignore[arg-type]
    ):
        yield spool


async def charged(client: DrawdownClient, account: str = "acme") -> int:
    [balance] = (await client.balance(account, product="chat")).balances
    return (10**9 - int(balance.granted)) // 15


async def test_while_a_server_answers_the_disk_is_not_used(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    async with spooling(address, tmp_path, patience_us=HANGS_S * 1_000_000) as spool:
        outcome = await spool.record(usage(1))
        refused = await spool.record(usage(2, "nobody"))
        with pytest.raises(InvalidEvent):
            await spool.record(UsageEvent("e-3", "acme", {"n": 2**63}))
        assert spool.kept_events == 0
    assert outcome is not None and outcome.charge == 15
    assert refused is not None and refused.outcome is Outcome.ACCOUNT_UNKNOWN
    with pytest.raises(ClientClosed):
        await spool.record(usage(4))


async def test_who_is_cancelled_as_a_directory_is_taken_or_let_go_of_leaves_it_free(
    address: str, tmp_path: Path
) -> None:
    async def work() -> None:
        async with spooling(address, tmp_path):
            pass

    for turns in range(16):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await work()  # it is nobody's


async def test_an_event_that_a_server_refuses_is_judged_and_not_kept_for_ever(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    settled: list[EventOutcome] = []
    async with spooling(
        proxy.address, tmp_path, settled=lambda _, outcome: settled.append(outcome)
    ) as spool:
        proxy.cuts = [1] * 100_000
        await spool.record(UsageEvent("e-1", "acme", {"output_tokens": -1}, "chat"))
        await spool.record(usage(2))
        proxy.cuts.clear()
        async with asyncio.timeout(HANGS_S):
            await spool.drained()
    assert [each.outcome for each in settled] == [Outcome.INVALID, Outcome.APPLIED]
    assert await charged(client) == 1


async def test_what_is_kept_is_sent_in_order_once_a_server_is_back(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    settled: list[tuple[str, EventOutcome]] = []
    async with spooling(
        proxy.address, tmp_path, settled=lambda event, outcome: settled.append((event.id, outcome))
    ) as spool:
        proxy.cuts = [1] * 100_000
        kept = [await spool.record(usage(number)) for number in range(30)]
        assert kept == [None] * 30
        assert spool.kept_events == 30
        kept_too = await asyncio.gather(*[spool.record(usage(30 + n)) for n in range(70)])
        assert set(kept_too) == {None}
        proxy.cuts.clear()
        async with asyncio.timeout(HANGS_S):
            await spool.drained()
        assert await charged(client) == 100
        assert [id_ for id_, _ in settled] == [f"e-{number}" for number in range(100)]
        assert {outcome.outcome for _, outcome in settled} == {Outcome.APPLIED}
        async with asyncio.timeout(HANGS_S):
            while await spool.record(usage(1_000)) is None:
                await spool.drained()
    assert await charged(client) == 101


async def test_a_full_spool_refuses_and_goes_on_when_there_is_room(
    client: DrawdownClient, proxy: CuttingProxy, tmp_path: Path
) -> None:
    async with spooling(proxy.address, tmp_path, events_max=5) as spool:
        proxy.cuts = [1] * 100_000
        await spool.record(usage(0))
        found = await asyncio.gather(
            *[spool.record(usage(number)) for number in range(1, 10)], return_exceptions=True
        )
        assert [each is None for each in found] == [True] * 4 + [False] * 5
        assert all(isinstance(each, SpoolFull) for each in found[4:])
        proxy.cuts.clear()
        async with asyncio.timeout(HANGS_S):
            await spool.drained()
    assert await charged(client) == 5


async def test_a_call_that_is_refused_as_a_whole_settles_nothing(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    """Every call of a client with a wrong tenant is refused: the events wait for one that works."""
    wrong = DrawdownClient(address, tenant="x" * 200, retry=PROMPT)
    async with Spool(wrong, tmp_path, patience_us=PATIENCE_US) as spool:
        assert await spool.record(usage(1)) is None
        await asyncio.sleep(0.2)
        assert spool.kept_events == 1
    await wrong.close()
    async with spooling(address, tmp_path) as spool, asyncio.timeout(HANGS_S):
        await spool.drained()
    assert await charged(client) == 1


KEEPING = """
import asyncio, sys
from ledger.client import DrawdownClient, RetryPolicy, Spool, UsageEvent

async def main():
    client = DrawdownClient("127.0.0.1:1", retry=RetryPolicy(give_up_us=100_000))
    async with Spool(client, sys.argv[1], patience_us=10_000) as spool:
        for number in range(100_000):
            event = UsageEvent(f"e-{number}", "acme", {"output_tokens": 1}, "chat", source="test")
            assert await spool.record(event) is None
            print(number, flush=True)

asyncio.run(main())
"""


def keeping(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", KEEPING, str(folder)], stdout=subprocess.PIPE)


async def test_a_process_that_is_killed_loses_nothing_that_it_was_told_is_kept(
    client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    told = 0
    for _ in range(2):  # the second goes on in the first one's directory, under the same ids
        process = await asyncio.to_thread(keeping, tmp_path)
        assert process.stdout is not None
        for _ in range(random.Random(told).randrange(20, 80)):
            told = max(told, int(await asyncio.to_thread(process.stdout.readline)) + 1)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines(keepends=True):
            told = max(told, int(line) + 1) if line.endswith(b"\n") else told
        process.stdout.close()
        process.wait()
    async with spooling(address, tmp_path) as spool, asyncio.timeout(HANGS_S):
        assert spool.kept_events >= told
        await spool.drained()
    assert told <= await charged(client) <= told + 1


async def test_a_server_that_is_killed_amid_batches_counts_each_event_once(
    database: str, tmp_path: Path
) -> None:
    """SIGKILL under load, twice: what was answered stands, what was not is on the disk or sent
    again, also while the next server waits for the leases of the one that was killed, and in the
    end each event is charged once."""
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address) as client:
            await client.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
            await client.publish_rate_card(card())
            await client.create_account("acme")
            await client.issue_grant("acme", "credit", 10**9)
            numbers = iter(range(10**9))
            ended = asyncio.Event()
            recorded: list[int] = []

            async with spooling(server.address, tmp_path / "spool") as spool:

                async def caller() -> None:
                    while not ended.is_set():
                        number = next(numbers)
                        await spool.record(usage(number))
                        recorded.append(number)
                        await asyncio.sleep(0.005)

                async with asyncio.TaskGroup() as callers:
                    for _ in range(8):
                        callers.create_task(caller())
                    for _ in range(2):
                        before = len(recorded)
                        while len(recorded) < before + 100:
                            await asyncio.sleep(0.01)
                        server.kill()
                        while not spool.kept_events:
                            await asyncio.sleep(0.01)
                        server.start()
                        await server.ready()
                    ended.set()
                async with asyncio.timeout(HANGS_S):
                    await spool.drained()
            assert sorted(recorded) == list(range(len(recorded)))
            assert await charged(client) == len(recorded)
    finally:
        server.stop()
