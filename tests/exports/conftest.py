"""One rich history a module, and the real hledger."""

from __future__ import annotations

import pytest

from tests.conftest import run_apart
from tests.exports.history import write_history
from tests.exports.hledger_binary import Hledger, find_hledger


@pytest.fixture(scope="session")
def hledger() -> Hledger:
    """Fails, and says what to install, where there is none: nothing is skipped."""
    return find_hledger()


@pytest.fixture(scope="module")
def history(module_database: str) -> str:
    """The DSN of a database with everything in it, projected."""
    run_apart(lambda: write_history(module_database))
    return module_database
