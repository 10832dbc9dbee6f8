"""A spool's files as crashes, disks and later versions leave them: what is whole is sent, once."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.client import Damage, SetAside, UsageEvent
from ledger.client.spool_aside import AsideFile, listed
from ledger.client.spool_files import SpoolFiles
from ledger.client.spool_records import SpooledCapture, record_of
from tests.client.test_spool import files, stored, usage
from tests.patience import HANGS_S

SIZE = len(record_of(usage(1)))


def segments(folder: Path, *ids: list[int]) -> list[Path]:
    """One segment a list."""
    for some in ids:
        kept = files(folder)
        kept.append([record_of(usage(number)) for number in some])
        kept.close()
    return sorted(folder.glob("*.spool"))


def told(kept: SpoolFiles) -> list[tuple[str, int]]:
    return [(found.path.name, found.offset) for found in kept.damage]


def test_what_is_whole_around_damage_is_sent_and_the_file_stays(tmp_path: Path) -> None:
    """
    segment 1  e-1 damaged, e-2, e-3 damaged, e-4
    segment 2  e-5
    """
    first, _ = segments(tmp_path, [1, 2, 3, 4], [5])
    data = bytearray(first.read_bytes())
    data[20] ^= 1
    data[2 * SIZE] ^= 0xFF  # of a length
    first.write_bytes(data)
    kept = files(tmp_path)
    assert kept.events == 3
    assert told(kept) == [("000000000001.damaged", 0), ("000000000001.damaged", 2 * SIZE)]
    assert first.read_bytes() == data, "nothing is touched until it is sent"
    assert stored(kept) == ["e-2", "e-4", "e-5"]
    kept.append([record_of(usage(6))])
    kept.close()
    assert first.with_suffix(".damaged").read_bytes() == data
    again = files(tmp_path)
    assert (stored(again), told(again)) == (["e-6"], [])
    again.close()


def test_several_torn_segments_are_sent_as_far_as_they_are_whole(tmp_path: Path) -> None:
    """
    segment 1  e-1, torn
    segment 2  torn
    segment 3  e-3, torn: the last, of whose end nobody was told
    """
    first, second, third = segments(tmp_path, [1], [2], [3])
    half = record_of(usage(9))[:30]
    first.write_bytes(first.read_bytes() + half)
    second.write_bytes(half)
    third.write_bytes(third.read_bytes() + half)
    kept = files(tmp_path)
    assert told(kept) == [("000000000001.torn", 0), ("000000000002.torn", 0)]
    kept.append([record_of(usage(4))])
    assert stored(kept) == ["e-1", "e-3", "e-4"]
    kept.close()
    assert {path.read_bytes() for path in tmp_path.glob("*.torn")} == {half}
    assert len(list(tmp_path.glob("*.torn"))) == 3
    [fourth] = segments(tmp_path, [5])
    assert fourth.stem == "000000000004", "no number that a file of before has"


def test_damage_that_comes_while_it_is_sent_is_passed_over(tmp_path: Path) -> None:
    [first] = segments(tmp_path, [1, 2, 3])
    kept = files(tmp_path)
    data = bytearray(first.read_bytes())
    data[-3] ^= 1
    first.write_bytes(data)
    assert stored(kept) == ["e-1", "e-2"]
    assert told(kept) == [("000000000001.damaged", 2 * SIZE)]
    kept.close()


def test_a_record_of_a_later_version_is_passed_over_and_kept(tmp_path: Path) -> None:
    [first] = segments(tmp_path, [1])
    payload = json.dumps({"id": "e-2", "account": "acme", "unheard_of": 1}).encode()
    head = len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big")
    first.write_bytes(first.read_bytes() + head + payload + record_of(usage(3)))
    kept = files(tmp_path)
    assert stored(kept) == ["e-1", "e-3"]
    assert told(kept) == [("000000000001.damaged", SIZE)]
    kept.close()
    assert payload in first.with_suffix(".damaged").read_bytes()


@given(st.integers(1, 8), st.data())
def test_wherever_bytes_are_damaged_the_records_beside_are_sent(
    tmp_path_factory: pytest.TempPathFactory, count: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    [path] = segments(folder, list(range(count)))
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    garbage = data.draw(st.binary(min_size=1, max_size=2 * SIZE))[: len(whole) - at]
    changed = bytes(whole[:at]) + garbage + bytes(whole[at + len(garbage) :])
    path.write_bytes(changed)
    kept = files(folder)
    expected = [
        f"e-{number}"
        for number in range(count)
        if changed[number * SIZE : (number + 1) * SIZE] == record_of(usage(number))
    ]
    assert stored(kept) == expected
    kept.close()


# -- what is set aside -----------------------------------------------------------------------------

FIRST = SetAside(UsageEvent("é-1", "acme", {"n": 1}, effective_at_us=9), "IN_FUTURE", "☃", 17)
SECOND = SetAside(SpooledCapture("hold", {"n": 2}, "r/used", 8), "HOLD_UNKNOWN", "gone", 18)


def test_what_is_set_aside_comes_back_as_it_was_and_once(tmp_path: Path) -> None:
    aside = AsideFile(tmp_path)
    assert (listed(tmp_path), aside.bytes) == ([], 0)
    aside.add([FIRST, SECOND])
    aside.add([FIRST._replace(message="again")])
    assert listed(tmp_path) == [FIRST._replace(message="again"), SECOND]
    assert aside.path.stat().st_mode & 0o777 == 0o600
    assert AsideFile(tmp_path).bytes == aside.bytes == aside.path.stat().st_size
    aside.remove(lambda each: each.id == "é-1")
    assert listed(tmp_path) == [SECOND]
    aside.remove(lambda _: True)
    assert (listed(tmp_path), aside.bytes, aside.path.exists()) == ([], 0, False)


def test_a_line_that_was_cut_short_hides_no_other(tmp_path: Path) -> None:
    aside = AsideFile(tmp_path)
    aside.add([FIRST])
    aside.path.write_bytes(aside.path.read_bytes() + b'{"reason":"IN_FU')
    again = AsideFile(tmp_path)
    again.add([SECOND])
    assert listed(tmp_path) == [FIRST, SECOND]
    again.remove(lambda each: each.id == "é-1")
    assert listed(tmp_path) == [SECOND]
    assert b'{"reason":"IN_FU\n' in again.path.read_bytes(), "what is not ours to read stays"


def test_what_is_set_aside_fills_the_bounds(tmp_path: Path) -> None:
    kept = files(tmp_path, bytes_max=3 * SIZE)
    kept.aside.add([FIRST])
    assert not kept.has_room(1, 3 * SIZE - kept.aside.bytes + 1)
    assert kept.has_room(1, 3 * SIZE - kept.aside.bytes)
    kept.close()


def test_times_are_moved_and_what_is_recorded_without_a_charge_gets_another_id() -> None:
    assert FIRST.moved(0) is FIRST.kept
    assert FIRST.moved(-3) == UsageEvent("é-1", "acme", {"n": 1}, effective_at_us=6)
    old = FIRST._replace(reason="TOO_OLD")
    assert old.moved(5) == UsageEvent("again/é-1", "acme", {"n": 1}, effective_at_us=14)
    assert SECOND.moved(1) == SpooledCapture("hold", {"n": 2}, "r/used", 9)
    with pytest.raises(ValueError, match="above 0"):
        FIRST.moved(-9)


# -- a disk that is full ---------------------------------------------------------------------------

FILLING = """
import asyncio, resource, sys
from ledger.client import DrawdownClient, RetryPolicy, Spool, SpoolFailed, UsageEvent

async def main():
    client = DrawdownClient("127.0.0.1:1", retry=RetryPolicy(give_up_us=10_000))
    async with Spool(client, sys.argv[1], patience_us=10_000) as spool:
        for number in range(100):
            try:
                await spool.record(UsageEvent(f"e-{number}", "acme", {"n": 1}, effective_at_us=1))
            except SpoolFailed as error:
                print("failed", error)
                return
            print("kept", flush=True)

asyncio.run(main())
"""


def test_what_a_full_disk_cut_short_is_said_and_what_was_kept_is_sent(tmp_path: Path) -> None:
    """Writing ends within a record, at 1,000 bytes of a file, as a real disk ends it."""
    done = subprocess.run(
        [sys.executable, "-c", FILLING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
    )
    *lines, last = done.stdout.splitlines()
    assert "could not be written" in last
    again = files(tmp_path)
    assert again.events == len(lines) > 3
    assert told(again) == []
    assert stored(again) == [f"e-{number}" for number in range(len(lines))]
    again.close()


def test_a_damage_says_where_the_file_will_be(tmp_path: Path) -> None:
    path, _ = segments(tmp_path, [1], [2])
    path.write_bytes(b"\0" * 10 + path.read_bytes())
    kept = files(tmp_path)
    assert kept.damage == [Damage(path.with_suffix(".damaged"), 0)]
    stored(kept)
    kept.close()
    assert kept.damage[0].path.exists()
