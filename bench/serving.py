"""What the two reference servers share: one grpc.aio server on uvloop, with ours' channel options.

Prints "ready" when it listens; ends when standard input closes, so that none outlives its parent.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import grpc
import uvloop

MESSAGE_BYTES_MAX: Final = 16 << 20
OPTIONS: Final = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
]


def serve(add: Callable[[grpc.aio.Server], None], address: str) -> None:
    """Serve until standard input closes."""
    uvloop.run(_serve(add, address))


async def _serve(add: Callable[[grpc.aio.Server], None], address: str) -> None:
    server = grpc.aio.server(options=OPTIONS)
    add(server)
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
