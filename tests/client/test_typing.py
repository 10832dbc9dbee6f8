"""Types of the SDK as a caller's type checker sees them, and what importing it brings along."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from tests.patience import HANGS_S

SAMPLES = Path(__file__).parent / "typing"
OF_THE_SERVER = (
    "api", "auth", "backtest", "cli", "core", "demo", "engine", "exports", "gateway", "integrity",
    "journal", "projections", "server", "settings", "simulation", "statements", "telemetry",
    "verify",
)  # fmt: skip
NOT_FOR_CALLERS = ("asyncpg", "cryptography", "lark", "prometheus_client", "starlette", "uvloop")
LOADED = "import sys, ledger.client, ledger.client.sync; print(*sorted(sys.modules))"


def checked(sample: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(SAMPLES / sample)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_what_a_caller_may_write_is_well_typed() -> None:
    assert checked("sample_good.py") == []


def test_what_is_wrong_is_found_where_it_stands() -> None:
    lines = (SAMPLES / "sample_bad.py").read_text().splitlines()
    marked = {
        (number, found.group(1))
        for number, line in enumerate(lines, 1)
        if (found := re.search(r"# E: ([\w-]+)", line))
    }
    said = {
        (int(found.group(1)), found.group(2))
        for line in checked("sample_bad.py")
        if (found := re.match(r".*sample_bad\.py:(\d+): error: .* \[([\w-]+)\]", line))
    }
    assert said == marked


def test_the_package_says_that_it_is_typed() -> None:
    assert files("ledger").joinpath("py.typed").is_file()


def test_importing_the_client_loads_nothing_of_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=HANGS_S, check=True
    )
    loaded = done.stdout.split()
    assert "ledger.client.sync" in loaded
    ours = {name.split(".")[1] for name in loaded if name.startswith("ledger.")}
    assert ours & set(OF_THE_SERVER) == set()
    assert ours <= {"client", "v1"}
    assert {name.split(".")[0] for name in loaded} & set(NOT_FOR_CALLERS) == set()
