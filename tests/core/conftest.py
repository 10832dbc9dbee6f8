"""Which build of the core is tested: plain Python, or the one that build_compiled.py made.

python build_compiled.py --into build/compiled
DRAWDOWN_CORE=compiled PYTHONPATH=build/compiled pytest tests/core
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import ledger.core.decide as decide


def compiled() -> bool:
    return not decide.__file__.endswith(".py")


def pytest_report_header() -> str:
    return f"core: {'compiled' if compiled() else 'plain Python'}, {decide.__file__}"


def pytest_configure() -> None:
    """Neither claim a build that is not tested nor test one that its sources have left behind."""
    wanted = os.environ.get("DRAWDOWN_CORE", "")
    if wanted and (wanted == "compiled") != compiled():
        raise pytest.UsageError(f"DRAWDOWN_CORE={wanted}, but the core is {decide.__file__}")
    if compiled():
        core = Path(decide.__file__).parent
        for library in core.rglob("*.so"):
            source = library.with_name(f"{library.name.split('.')[0]}.py")
            if source.stat().st_mtime > library.stat().st_mtime:
                raise pytest.UsageError(f"{source} changed since it was compiled: compile it again")


@pytest.fixture
def team() -> Any:
    """An account with seats; what must hold after every case does."""
    from seat_world import Team

    made = Team()
    yield made
    made.finish()
