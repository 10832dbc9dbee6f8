"""`sealed_database`: one sealed journal a module; `dsn`: a copy of it for one test to damage."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from ledger.journal.embedded import EmbeddedPostgres
from tests.conftest import database_dsn, run_apart
from tests.integrity.sealing import fill
from tests.projections.projecting import looking


@pytest.fixture(scope="module")
def sealed_database(module_database: str) -> str:
    """Filled, sealed, and nobody is connected to it."""
    run_apart(lambda: fill(module_database))
    return module_database


@pytest.fixture
async def dsn(sealed_database: str, postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A copy of it for one test."""
    name = f"test_{secrets.token_hex(6)}"
    async with looking(sealed_database) as connection:
        template = await connection.fetchval("SELECT current_database()")
    async with looking(postgres_server.dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield database_dsn(postgres_server, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
