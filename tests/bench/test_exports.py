"""`python -m bench.exports` in small: every format is measured, and nothing is left behind."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.journal.embedded_host import throwaway_root

ROOT = Path(__file__).parents[2]
TRANSFERS = 500


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """For what this run alone makes."""
    made = throwaway_root() / f"drawdown-tested-exports-{secrets.token_hex(4)}"
    made.mkdir()
    made.chmod(0o777)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    command = [sys.executable, "-m", "bench.exports", f"--transfers={TRANSFERS}"]
    own = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=own, check=False)
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


def test_nothing_is_left_behind(
    document: dict[str, dict[str, dict[str, int]]], folder: Path
) -> None:
    assert document
    assert not list(folder.iterdir())
