"""What another version let in at a gateway: no start fails of it, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ledger.client.guarded import OpenBounds
from ledger.client.spool_files import SpoolFiles
from ledger.client.spool_records import framed
from ledger.gateway import open_spool
from ledger.gateway.let_in import Kept, LetIn, kept_of
from ledger.gateway.open_spool import OpenSpool

WORK = LetIn("default", "acme", "chat", {"a": "b"}, "", "", "key-1", 5, 6)
OTHER = WORK._replace(key="key-2")
LATER = {"let_in": [*OTHER, "a field more"], "estimate": {"input_tokens": 9}, "used": None}


def payload(said: object) -> bytes:
    return json.dumps(said).encode()


def written(folder: Path, *payloads: bytes) -> None:
    files = SpoolFiles(folder, 1 << 20, 1_000)
    files.append([framed(each) for each in payloads])
    files.close()


def of_this_version(kept: Kept) -> bytes:
    return payload(kept._asdict())


MINE = of_this_version(Kept(WORK, {"input_tokens": 1}, None))


def names(folder: Path, suffix: str) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(suffix)]


async def test_a_start_takes_up_what_it_reads_and_sets_the_rest_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path, MINE, payload(LATER))
    for _ in range(2):
        spool = OpenSpool(tmp_path, OpenBounds())
        assert (spool.kept, spool.unread) == (1, 1)
        entry = spool.entry("default", "key-1")
        assert entry is not None
        await spool.close()
    assert "000000000001.unread keeps 1 records that this version cannot read" in caplog.text
    spool = OpenSpool(tmp_path, OpenBounds())
    entry = spool.entry("default", "key-1")
    assert entry is not None
    await spool.done(entry)
    assert (spool.kept, spool.unread, spool.bytes) == (0, 1, 0)
    await spool.close()
    assert (names(tmp_path, ".spool"), names(tmp_path, ".unread")) == ([], ["000000000001.unread"])


@pytest.mark.parametrize("segments", [1, 2], ids="{} segments".format)
async def test_the_version_that_reads_it_takes_it_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    """Of one segment all stands on the disk as it was; of two the one that was not read is gone."""
    together = [MINE, payload(LATER)]
    for each in [together] if segments == 1 else [[one] for one in together]:
        written(tmp_path, *each)
    await OpenSpool(tmp_path, OpenBounds()).close()
    assert len(names(tmp_path, ".spool")) == 1

    def later(found: bytes) -> Kept:
        said = json.loads(found)
        return kept_of(payload(said | {"let_in": said["let_in"][: len(WORK)]}))

    monkeypatch.setattr(open_spool, "kept_of", later)
    for _ in range(2):
        spool = OpenSpool(tmp_path, OpenBounds())
        assert (spool.kept, spool.running, spool.unread) == (2, 2, 0)
        entry = spool.entry("default", "key-2")
        assert entry is not None
        assert entry.estimate == {"input_tokens": 9}
        await spool.close()
        assert names(tmp_path, ".unread") == []
    spool = OpenSpool(tmp_path, OpenBounds())
    for key in ("key-1", "key-2"):
        entry = spool.entry("default", key)
        assert entry is not None
        await spool.done(entry)
    assert (spool.kept, spool.bytes) == (0, 0)
    await spool.close()


async def test_what_is_damaged_of_what_was_set_aside_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is whole around it is taken up, once."""
    written(tmp_path, payload(LATER), payload(LATER), payload(LATER))
    await OpenSpool(tmp_path, OpenBounds()).close()
    path = tmp_path / "000000000001.unread"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF  # in the second
    path.write_bytes(data)
    monkeypatch.setattr(open_spool, "kept_of", lambda _: Kept(OTHER, {"input_tokens": 9}, None))
    for _ in range(2):
        spool = OpenSpool(tmp_path, OpenBounds())
        assert (spool.kept, spool.unread) == (1, 0)
        await spool.close()
    assert names(tmp_path, ".unread") == []
    assert (tmp_path / "000000000001.unread.damaged").read_bytes() == data


async def test_a_segment_of_another_versions_alone_takes_no_room_of_what_is_let_in(
    tmp_path: Path,
) -> None:
    written(tmp_path, payload(LATER))
    spool = OpenSpool(tmp_path, OpenBounds())
    assert (spool.kept, spool.unread, spool.bytes) == (0, 1, 0)
    await spool.close()
    again = OpenSpool(tmp_path, OpenBounds())
    assert (again.unread, names(tmp_path, ".spool")) == (1, [])
    assert await again.keep(WORK, {"input_tokens": 1}) is not None
    await again.close()
    assert names(tmp_path, ".spool") == ["000000000002.spool"]


@pytest.mark.parametrize(
    "said",
    [
        [],
        {},
        {"let_in": list(WORK), "estimate": {}, "used": None, "more": 1},
        {"let_in": list(WORK), "estimate": None, "used": None},
        {"let_in": list(WORK), "estimate": {}, "used": {}},
        {"let_in": list(WORK), "estimate": "many", "used": None},
        {"let_in": list(WORK), "estimate": {"input_tokens": -1}, "used": None},
        {"let_in": list(WORK), "estimate": {"input_tokens": 2**63}, "used": None},
        {"let_in": list(WORK), "estimate": {"input_tokens": 1.5}, "used": None},
        {"let_in": None, "estimate": {}, "used": None},
    ],
    ids=str,
)
def test_what_is_not_a_record_of_this_version_is_not_guessed_at(said: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        kept_of(payload(said))


def test_what_the_version_before_wrote_is_read() -> None:
    """As it stands on the disks of servers of 2026-11."""
    before = (
        '{"let_in":["default","acme","chat",{"a":"b"},"","","key-1",5,6,""],'
        '"estimate":{"input_tokens":1},"used":null}'
    )
    assert kept_of(before.encode()) == Kept(WORK, {"input_tokens": 1}, None)
