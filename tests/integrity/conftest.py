"""`sealed_database`: one sealed journal a module; `dsn`: a copy of it for one test to damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.journal.embedded import EmbeddedPostgres
from tests.conftest import copied, run_apart
from tests.integrity.sealing import fill


@pytest.fixture(scope="module")
def sealed_database(module_database: str) -> str:
    """Filled, sealed, and nobody is connected to it."""
    run_apart(lambda: fill(module_database))
    return module_database


@pytest.fixture
def dsn(sealed_database: str, postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A copy of it for one test."""
    yield from copied(postgres_server, sealed_database.split("@/")[1].split("?")[0])
