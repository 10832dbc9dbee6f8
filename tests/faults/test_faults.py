"""The server dies at every named step of its I/O, and nothing is lost or counted twice.

`make faults` does the same hundreds of times, at random moments too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.failpoints import STEPS, VARIABLE, Failpoint, FailpointUnknown
from tests.faults.installation import SERVER_STEPS, installation


async def test_the_server_dies_at_every_step_once(tmp_path: Path) -> None:
    async with installation(7, tmp_path / "server.log") as struck:
        died = [await struck.at_step(step, 1, within_s=30) for step in SERVER_STEPS]
        await struck.settle()
    assert died == [f"step {step}" for step in SERVER_STEPS], "each was reached"
    assert struck.kills == 2 * len(SERVER_STEPS)


async def test_an_io_that_fails_once_is_survived(tmp_path: Path) -> None:
    async with installation(13, tmp_path / "server.log") as struck:
        for step in SERVER_STEPS:
            await struck.survive(step, 2 if step.startswith("append") else 1)
        await struck.settle()


async def test_random_kills_of_everything(tmp_path: Path) -> None:
    async with installation(11, tmp_path / "server.log") as struck:
        while struck.kills < 6:
            await struck.strike()
        await struck.settle()


def test_a_failpoint_that_is_no_step_is_refused() -> None:
    with pytest.raises(FailpointUnknown, match=r"say step.*append\.before"):
        Failpoint("append.never")
    with pytest.raises(FailpointUnknown):
        Failpoint("append.sent:x")
    with pytest.raises(FailpointUnknown):
        Failpoint("append.sent:1:explode")


def test_an_io_that_fails_does_so_at_its_turn() -> None:
    failpoint = Failpoint("append.sent:2:error")
    failpoint.reach("append.sent")
    failpoint.reach("append.before")
    with pytest.raises(ConnectionError, match=r"append\.sent"):
        failpoint.reach("append.sent")
    failpoint.reach("append.sent")  # and never again


@pytest.mark.parametrize("step", STEPS)
def test_every_step_stands_somewhere(step: str) -> None:
    found = subprocess.run(
        ["grep", "-rl", f'reached("{step}")', "ledger"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert found.stdout, f"no I/O reaches {step}"


def test_a_failpoint_kills_the_process() -> None:
    code = "from ledger.failpoints import reached; reached('lease.beat'); print('alive')"
    env = os.environ | {VARIABLE: "lease.beat"}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-9, b"")
