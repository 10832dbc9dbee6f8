"""How a command reaches the books themselves: `DATABASE_URL`, or a PostgreSQL of our own.

Owns the options for it, the bounded wait for a PostgreSQL that is away, and the embedded server's
life around a command. Never shows a password.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click

from ledger.cli.output import Failed, say

if TYPE_CHECKING:
    from ledger.journal.embedded import EmbeddedPostgres
    from ledger.settings import DatabaseSettings

T = TypeVar("T")


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--database-url and --data-dir."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="Where the embedded PostgreSQL keeps its data. Default: the user's data "
            "directory (~/.local/share/drawdown), /var/lib/drawdown for root.  "
            "[env: DRAWDOWN_DATA_DIR]",
        ),
        click.option(
            "--database-url",
            help="A PostgreSQL 15 or newer of yours, instead of the embedded one.  "
            "[env: DATABASE_URL]",
        ),
    ):
        command = option(command)
    return command


class Books(NamedTuple):
    """Where the books are; `embedded` is the PostgreSQL of ours, if it is ours."""

    dsn: str
    embedded: EmbeddedPostgres | None


@contextlib.contextmanager
def database(settings: DatabaseSettings, *, create: bool = False) -> Iterator[Books]:
    """The books, open; the embedded PostgreSQL runs meanwhile. Blocks: call before a loop.

    `create` makes a new embedded one where there is none.
    """
    if settings.database_url is not None:
        yield Books(settings.database_url, None)
        return
    from ledger.journal.embedded import EmbeddedPostgres

    if not create and not (settings.data_dir / "cluster").exists():
        raise Failed(
            f"there is no ledger in {settings.data_dir}",
            "start one with `drawdown serve`, or name another with --data-dir or DATABASE_URL",
            exit_code=3,
        )
    with EmbeddedPostgres(settings.data_dir) as server:
        yield Books(server.dsn, server)


async def with_patience(settings: DatabaseSettings, work: Callable[[], Awaitable[T]]) -> T:
    """Do it again while PostgreSQL is away, for `connect_timeout_s`. Raises JournalUnavailable."""
    from tenacity import (
        AsyncRetrying,
        RetryCallState,
        retry_if_exception_type,
        stop_after_delay,
        wait_exponential_jitter,
    )

    from ledger.journal.errors import JournalUnavailable

    def tell(state: RetryCallState) -> None:
        reason = state.outcome.exception() if state.outcome is not None else None
        say(f"{reason}; trying again for {settings.connect_timeout_s} s at most")

    attempts = AsyncRetrying(
        retry=retry_if_exception_type(JournalUnavailable),
        stop=stop_after_delay(settings.connect_timeout_s),
        wait=wait_exponential_jitter(initial=0.2, max=2),
        before_sleep=tell,
        reraise=True,
    )
    try:
        async for attempt in attempts:
            with attempt:
                return await work()
        raise AssertionError("the last attempt neither returned nor raised")
    except JournalUnavailable as error:
        where = describe(settings.database_url)
        raise Failed(
            f"{error}, tried {where} for {settings.connect_timeout_s} s",
            "start PostgreSQL, or correct DATABASE_URL; DRAWDOWN_CONNECT_TIMEOUT_S waits longer",
            exit_code=3,
        ) from error


def describe(database_url: str | None) -> str:
    """The database's host, port and name, without user and password."""
    if database_url is None:
        return "the embedded PostgreSQL"
    try:
        parts = urlsplit(database_url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "DATABASE_URL"
    return f"{parts.hostname or 'the local socket'}{port}{parts.path}"
