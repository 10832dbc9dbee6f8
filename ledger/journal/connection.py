"""How this package opens PostgreSQL connections: session limits, role, keepalives, durability.

Owns nothing but the settings. A connection of the application gives its rights up (`SET ROLE
drawdown_app`) where that role exists and may be taken. No driver timeout on commands: a driver
that gives up would send a cancel, and a cancelled commit has an unknown outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final, TypeAlias, cast

import asyncpg

from ledger.journal.errors import JournalUnavailable
from ledger.niceness import backend_stands_back

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

APPLICATION_ROLE: Final = "drawdown_app"
CONNECT_TIMEOUT_S: Final = 10
POOL_SIZE_MAX: Final = 8

SESSION: Final = {
    "synchronous_commit": "on",  # whatever the database's default; a pool's RESET ALL keeps it
    "statement_timeout": "0",  # a host's default would cancel commits
    "client_min_messages": "notice",  # a warning on commit must reach us
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "tcp_keepalives_idle": "10",  # the server notices a dead client within about 25 s
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}
_CLIENT_KEEPALIVES: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_TRIES_TO_STAND_BACK: Final = 5  # nothing depends on it
_STAND_BACK_AGAIN_S: Final = 0.11
_CLIENT_UNACKED_MS: Final = 25_000  # TCP_USER_TIMEOUT: sent, never acknowledged

# A server that is there but cannot serve: starting, stopping, out of slots or disk, refused us.
CONNECT_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
)

# What a statement meets that is no fault of its own: safe to try the whole work again.
AWAY_ERRORS: Final = (
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)


async def connect(dsn: str, *, application_name: str, role: bool = True) -> Connection:
    """Open one connection. Raises JournalUnavailable with the reason and where it tried."""
    try:
        connection: Connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=None,
            server_settings=SESSION | {"application_name": application_name},
        )
    except CONNECT_ERRORS as error:
        raise JournalUnavailable(f"PostgreSQL cannot be reached: {describe(error)}") from error
    try:
        if role:
            await prepare_session(connection)
    except BaseException as error:
        connection.terminate()
        if isinstance(error, CONNECT_ERRORS):
            raise JournalUnavailable(f"PostgreSQL went away: {describe(error)}") from error
        raise
    return connection


async def open_pool(dsn: str, *, application_name: str, size_max: int = POOL_SIZE_MAX) -> Pool:
    """A pool of such connections, opened as needed. Raises JournalUnavailable."""
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size_max,
            timeout=CONNECT_TIMEOUT_S,
            init=prepare_session,
            server_settings=SESSION | {"application_name": application_name},
        )
    except CONNECT_ERRORS as error:
        raise JournalUnavailable(f"PostgreSQL cannot be reached: {describe(error)}") from error


@contextlib.asynccontextmanager
async def borrow(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool for a short piece of work. Raises JournalUnavailable.

    Reads and idempotent changes only: whoever fails here may do the same again.
    """
    try:
        async with pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            yield cast("Connection", connection)
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"PostgreSQL went away: {describe(error)}") from error


async def prepare_session(connection: Connection) -> None:
    """Keepalives, the application's role (which RESET ALL leaves as it is), and a place behind
    others for who works for a process that stands back."""
    keep_alive(connection)
    await _stand_back_too(connection)
    may_take = await connection.fetchval(
        "SELECT coalesce(bool_or(pg_has_role(current_user, oid, 'MEMBER')), false) "
        "FROM pg_roles WHERE rolname = $1",
        APPLICATION_ROLE,
    )
    if may_take:
        await connection.execute(f"SET ROLE {APPLICATION_ROLE}")


async def _stand_back_too(connection: Connection) -> None:
    sock = _socket_of(connection)
    if sock is None:
        return
    for _ in range(_TRIES_TO_STAND_BACK):
        try:
            backend_stands_back(sock, connection.get_server_pid())
        except BlockingIOError:
            await asyncio.sleep(_STAND_BACK_AGAIN_S)
        else:
            return


def keep_alive(connection: Connection) -> None:
    """Make the client's socket notice a vanished server, where the platform can."""
    sock = _socket_of(connection)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _CLIENT_KEEPALIVES:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _CLIENT_UNACKED_MS)


def _socket_of(connection: Connection) -> socket.socket | None:
    transport = getattr(connection, "_transport", None)  # asyncpg has no public way to it
    return transport.get_extra_info("socket") if transport is not None else None


def describe(error: BaseException) -> str:
    """One line: the class, the SQL state where there is one, the text."""
    state = getattr(error, "sqlstate", None)
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text} ({state or type(error).__name__})"
