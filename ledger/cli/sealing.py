"""Which key seals, for every command that needs one; and the children's pipe.

Owns the options and where a key is looked for. Never shows a private key.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import say

if TYPE_CHECKING:
    from ledger.settings import SealSettings


def seal_key_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--seal-key."""
    option = click.option(
        "--seal-key",
        help="File with the Ed25519 private key (PEM) that seals the journal; the variable may "
        "hold the PEM text itself. Default: with an embedded PostgreSQL the key in its data "
        "directory.  [env: DRAWDOWN_SEAL_KEY]",
    )
    return option(command)


def own_key_file(settings: SealSettings) -> Path | None:
    """The key file of an embedded PostgreSQL's data directory; None with a database of yours."""
    from ledger.integrity.key_files import FILE_NAME

    return None if settings.database_url is not None else settings.data_dir / FILE_NAME


def key_to_seal_with(settings: SealSettings) -> str | None:
    """The key that was given, else the data directory's own, made if there is none; None: no seals.

    Raises KeyUnusable.
    """
    from ledger.integrity.key_files import KeyExists, create_key, read_key

    source = settings.seal_key
    own = own_key_file(settings)
    if source is None and own is not None:
        if not own.exists():
            with contextlib.suppress(KeyExists):  # another server of this directory was quicker
                made = create_key(own)
                say(f"made seal key {made.key_id.hex()} in {own}; keep a copy of it elsewhere")
        source = str(own)
    if source is not None:
        read_key(source)  # fails here, not in a child
    return source


async def input_ends(stop: asyncio.Event) -> None:
    """Set `stop` when standard input, a pipe, closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    with contextlib.suppress(ConnectionError):
        while await reader.read(1_024):
            pass
    stop.set()
