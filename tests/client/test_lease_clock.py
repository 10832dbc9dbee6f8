"""A lease ends by a clock that goes on while the machine is suspended (rule H7)."""

from __future__ import annotations

import shutil
import subprocess
import sys

from ledger.client.lease_clock import passed_ns, passed_us

A_DAY_S = 86_400
SUSPENDED = ("unshare", "--user", "--map-root-user", "--time", "--boottime", str(A_DAY_S), "--fork")
"""A machine that has slept for a day, as its clocks show it; not every kernel can."""
TOLD = f"""
import time
awake = time.clock_gettime_ns
slept = time.CLOCK_BOOTTIME
time.clock_gettime_ns = lambda clock: awake(clock) + (clock == slept) * {A_DAY_S} * 10**9
"""
"""The same as Python is told it."""
APART = """
import time
from ledger.client.lease_clock import passed_ns
print((passed_ns() - time.monotonic_ns()) // 10**9)
"""


def test_it_never_goes_back() -> None:
    seen = [passed_ns() for _ in range(1_000)]
    assert seen == sorted(seen)
    assert passed_us() >= seen[-1] // 1_000


def test_what_a_machine_slept_has_passed() -> None:
    awake_s, told_s = apart_s(APART), apart_s(TOLD + APART)
    assert A_DAY_S - 1 <= told_s - awake_s <= A_DAY_S + 1
    if suspends():
        assert A_DAY_S - 1 <= apart_s(APART, *SUSPENDED) - awake_s <= A_DAY_S + 1


def suspends() -> bool:
    """Whether the kernel gives a process clocks of its own."""
    if shutil.which(SUSPENDED[0]) is None:
        return False
    return not subprocess.run([*SUSPENDED, "true"], check=False, capture_output=True).returncode


def apart_s(script: str, *before: str) -> int:
    """How far a process finds this clock ahead of the one that stands still."""
    command = [*before, sys.executable, "-c", script]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)
