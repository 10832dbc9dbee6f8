"""Processes die at every named step of their I/O, and nothing is lost or counted twice.

`make faults` does the same hundreds of times, at random moments too, and at the steps of what runs
beside a server.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.failpoints import STEPS, VARIABLE, Failpoint, FailpointUnknown
from tests.faults.installation import (
    MIGRATION_STEPS,
    SERVER_STEPS,
    SIDE_STEPS,
    TIMES,
    installation,
)
from tests.faults.migrating import migrate_command, new_database, schema_of
from tests.patience import HANGS_S


async def test_a_server_dies_at_every_step_once(tmp_path: Path) -> None:
    async with installation(7, tmp_path, beside=False) as struck:
        died = await struck.at_steps(SERVER_STEPS, within_s=HANGS_S)
        verdict = await struck.settle()
    assert died == [f"step {step}" for step in SERVER_STEPS], "each was reached"
    assert not verdict.wrong


async def test_an_io_that_fails_is_survived(tmp_path: Path) -> None:
    steps = {step: 2 if step.startswith("append") else 1 for step in STEPS}
    del steps["migration.commit"]
    async with installation(13, tmp_path) as struck:
        assert await struck.survive(steps) == set(steps), "each was reached"
        verdict = await struck.settle()
    assert not verdict.wrong


async def test_a_migration_that_cannot_commit_is_tried_again(database: str) -> None:
    async with new_database(database) as dsn:
        assert await asyncio.to_thread(migrate_command, dsn, "migration.commit:3:error") == 0
        assert await schema_of(dsn) == await schema_of(database)


async def test_random_faults_of_two_servers_on_the_same_shards(tmp_path: Path) -> None:
    """One stands still past its lease, one is killed as it starts; `make faults` does hundreds."""
    async with installation(11, tmp_path, servers=2) as struck:
        await struck.pause_server()
        await struck.kill_starting()
        await struck.strike()
        verdict = await struck.settle()
    assert not verdict.wrong
    assert (verdict.lost, verdict.double_counted) == (0, 0)
    assert verdict.events == struck.workload.events + struck.growth.events > 0


def test_the_schedule_leaves_no_step_out() -> None:
    assert {*SERVER_STEPS, *SIDE_STEPS, *MIGRATION_STEPS} == set(STEPS)
    assert set(TIMES) <= set(STEPS)


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
        ["grep", "-rl", f'reached("{step}"', "ledger"],
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
