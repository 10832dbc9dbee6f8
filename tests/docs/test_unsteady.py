"""What fails in a whole run is run once more, alone, where it is little (tests/unsteady.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE_OTHERS = """
import os, pytest

@pytest.mark.parametrize("number", range({number}))
def test_that_fails(number):
    assert {passes}
"""
ALONE = '"PYTEST_XDIST_WORKER" not in os.environ'


@pytest.mark.parametrize(
    ("number", "passes", "code"),
    [(1, ALONE, 0), (3, ALONE, 0), (4, ALONE, 1), (1, "False", 1)],
    ids=["one", "a few", "many", "also alone"],
)
def test_a_few_are_run_again_alone(tmp_path: Path, number: int, passes: str, code: int) -> None:
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "test_it.py").write_text(BESIDE_OTHERS.format(number=number, passes=passes))
    first = _run(tmp_path, "pytest", "-n", "1")
    assert first.returncode == 1, first.stdout
    again = _run(tmp_path, "tests.unsteady", "1")
    assert again.returncode == code, again.stdout
    assert ("UNSTEADY" in again.stdout) is (code == 0)


@pytest.mark.parametrize("code", [2, 3, 5])
def test_a_run_that_did_not_come_to_its_end_stays_failed(tmp_path: Path, code: int) -> None:
    """Interrupted, broken, or without tests."""
    kept = tmp_path / ".pytest_cache/v/cache/lastfailed"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"test_it.py::test_passes": true}')
    (tmp_path / "test_it.py").write_text("def test_passes():\n    pass\n")
    assert _run(tmp_path, "tests.unsteady", str(code)).returncode == code


def _run(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
