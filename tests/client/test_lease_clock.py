"""A lease ends by a clock that goes on while the machine is suspended (rule H7)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ledger.client.lease_clock import passed_ns, passed_us

A_DAY_S = 86_400
SUSPENDED = ("unshare", "--user", "--map-root-user", "--time", "--boottime", str(A_DAY_S), "--fork")
"""A machine that has slept for a day, as its clocks show it."""


def test_it_never_goes_back() -> None:
    seen = [passed_ns() for _ in range(1_000)]
    assert seen == sorted(seen)
    assert passed_us() >= seen[-1] // 1_000


def test_what_a_machine_slept_has_passed() -> None:
    said = (
        "import time; from ledger.client.lease_clock import passed_ns;"
        "print((passed_ns() - time.monotonic_ns()) // 10**9)"
    )
    try:
        subprocess.run([*SUSPENDED, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no clocks of their own for a process here")
    apart = [
        int(
            subprocess.run(
                [*before, sys.executable, "-c", said], check=True, capture_output=True
            ).stdout
        )
        for before in ((), SUSPENDED)
    ]
    assert A_DAY_S - 1 <= apart[1] - apart[0] <= A_DAY_S + 1
