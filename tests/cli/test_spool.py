"""`drawdown spool`: what was set aside is listed and sent again."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from cli.processes import Server, drawdown
from ledger.client import DrawdownClient, UsageEvent
from ledger.client.spool_aside import AsideFile, refused
from ledger.client.spool_files import SpoolFiles
from ledger.client.spool_records import SpooledCapture
from ledger.core.limits import DAY_US


def test_what_is_set_aside_is_listed_and_sent_again(server: Server, tmp_path: Path) -> None:
    where = ("--tenant", "sandbox", "--address", server.address)
    ahead_us = time.time_ns() // 1_000 + 3 * DAY_US
    event = UsageEvent("e-1", "spooled", {"n": 2}, "chat", effective_at_us=ahead_us, source="api")
    capture = SpooledCapture("01890a5d-ac96-774b-bcce-b302099a8057", {"n": 1}, "c-1", 5)
    AsideFile(tmp_path).add(
        [refused(event, "IN_FUTURE", "ahead"), refused(capture, "HOLD_UNKNOWN", "gone")]
    )

    async def made() -> None:
        async with DrawdownClient(server.address, tenant="sandbox") as client:
            await client.create_account("spooled")

    asyncio.run(made())
    shown = drawdown("spool", "list", str(tmp_path))
    assert "usage of spooled" in shown.stdout and "IN_FUTURE" in shown.stdout
    listed = json.loads(drawdown("spool", "list", str(tmp_path), "--json").stdout)
    assert [(each["id"], each["reason"]) for each in listed] == [
        ("e-1", "IN_FUTURE"),
        ("c-1", "HOLD_UNKNOWN"),
    ]
    assert listed[0]["event"]["effective_at_us"] == str(ahead_us)

    kept = SpoolFiles(tmp_path, 1 << 20, 10)
    busy = drawdown("spool", "resend", str(tmp_path), *where)
    assert busy.returncode == 1 and "stop that process" in busy.stderr
    kept.close()
    again = drawdown("spool", "resend", str(tmp_path), "--id", "c-1", *where)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("1 sent again, 2 set aside now")
    done = drawdown(
        "spool", "resend", str(tmp_path), "--id", "e-1", "--shift=-3d", "--json", *where
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 1
    assert [each["id"] for each in json.loads(done.stdout)["set_aside"]] == ["c-1"]

    async def recorded() -> int:
        async with DrawdownClient(server.address, tenant="sandbox") as client:
            return (await client.get_usage("spooled", "api", "e-1")).effective_at_us

    assert asyncio.run(recorded()) == ahead_us - 3 * DAY_US

    none = drawdown("spool", "resend", str(tmp_path), "--id", "e-1", *where)
    assert none.returncode == 1 and "nothing with id e-1" in none.stderr
    wrong = drawdown("spool", "resend", str(tmp_path), "--shift=3d", *where)
    assert wrong.returncode == 2 and "with its sign" in wrong.stderr
    gone = drawdown("spool", "resend", str(tmp_path), "--address", "127.0.0.1:1")
    assert gone.returncode == 3
