"""`python -m bench.exports` in small: every format is measured, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.journal.embedded_host import throwaway_root

ROOT = Path(__file__).parents[2]
TRANSFERS = 500


@pytest.fixture(scope="module")
def document() -> dict[str, dict[str, dict[str, int]]]:
    command = [sys.executable, "-m", "bench.exports", f"--transfers={TRANSFERS}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("format", ["hledger", "beancount", "csv", "parquet"])
def test_every_format_is_measured(
    document: dict[str, dict[str, dict[str, int]]], format: str
) -> None:
    figures = document["exports"][format]
    assert figures["transfers"] > TRANSFERS  # the grants as well
    assert figures["transfers_per_s"] > 0
    assert figures["bytes"] > 0


def test_nothing_is_left_behind(document: dict[str, dict[str, dict[str, int]]]) -> None:
    assert document
    assert not list(throwaway_root().glob("drawdown-bench-exports-*"))
