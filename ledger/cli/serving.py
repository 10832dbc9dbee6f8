"""The life of `drawdown serve`: start, say that it is ready, wait for a signal, stop.

Apart from the command itself, because it imports the whole server.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from ledger.cli.database import Books, describe, with_patience
from ledger.cli.output import Failed, progress, say
from ledger.journal.migrate import Migrated, migrate
from ledger.server import Server, StartFailed
from ledger.settings import ServerSettings


async def serve_until_signal(settings: ServerSettings, books: Books, as_json: bool) -> None:
    """Serve until a signal; a second one cuts the waiting short."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: hurry.set() if stop.is_set() else stop.set()
        )
    endings: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait(), name="signal")]
    if books.embedded is not None:
        endings.append(asyncio.create_task(books.embedded.supervise(), name="supervise"))
    try:
        if books.embedded is not None:
            await with_patience(settings, lambda: _migrate(settings, books.dsn))
        await _serve_until(endings, settings, books, hurry, as_json)
    finally:
        for ending in endings:
            ending.cancel()


async def _serve_until(
    endings: list[asyncio.Task[Any]],
    settings: ServerSettings,
    books: Books,
    hurry: asyncio.Event,
    as_json: bool,
) -> None:
    with progress("entries") as watch:
        server = await with_patience(settings, lambda: _open(settings, books.dsn, watch))
        start = asyncio.create_task(server.start())
        await asyncio.wait([start, *endings], return_when=asyncio.FIRST_COMPLETED)
    try:
        if start.done():
            start.result()
            _announce(server, settings, books, as_json)
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        for ending in endings:
            if ending.done():
                ending.result()  # the embedded PostgreSQL cannot be kept running
    except StartFailed as error:
        raise Failed(str(error)) from error
    finally:
        say("stopping: calls in flight finish, everything accepted becomes durable")
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        await server.stop(hurry)


async def _migrate(settings: ServerSettings, dsn: str) -> Migrated:
    return await migrate(dsn, settings.shards, progress=lambda name: say(f"applying {name}"))


async def _open(settings: ServerSettings, dsn: str, watch: Callable[[str, int, int], None]) -> Any:
    try:
        return await Server.open(settings, dsn, watch)
    except OSError as error:
        place = f"{settings.metrics_host}:{settings.metrics_port}"
        raise Failed(
            f"the side port {place} cannot be opened: {error.strerror or error}",
            "--metrics-port takes another; 0 takes any free one",
        ) from error


def _announce(server: Server, settings: ServerSettings, books: Books, as_json: bool) -> None:
    where = (
        f"embedded in {books.embedded.data_dir}"
        if books.embedded is not None
        else describe(settings.database_url)
    )
    if as_json:
        document = {
            "event": "ready",
            "address": server.address,
            "metrics": server.metrics_address,
            "shards": server.storage.shards,
            "database": where,
            "pid": os.getpid(),
        }
        if books.embedded is not None:
            document["database_url"] = books.dsn  # by its socket: no password in it
        click.echo(json.dumps(document))
        sys.stdout.flush()
        return
    secured = "TLS" if settings.tls_cert is not None else "plain"
    say(f"drawdown serves gRPC on {server.address} ({secured}), {server.storage.shards} shards")
    say(f"  PostgreSQL   {where}")
    say(f"  metrics      http://{server.metrics_address}/metrics  (/healthz, /readyz)")
    say("  next         drawdown import-prices; Ctrl-C stops it")
