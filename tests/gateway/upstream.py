"""What stands behind the gateway: a model and a job runner that do what the request tells them.

`x-answer`: json (default) | stream | slow | endless | error | header. `x-say-input` and
`x-say-output`: the tokens that it says it used; `x-say-usage`: the header x-usage-seconds of a job.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Upstream:
    """Serves from a thread of its own; `asked`: the headers of every request that came through."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.bodies: list[Any] = []  # in JSON
        self.told: dict[str, str] = {}  # does so, whatever a request says
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        methods = ["GET", "POST"]
        application = Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])
        config = uvicorn.Config(
            application, log_level="error", lifespan="off", timeout_keep_alive=60
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def close(self) -> None:
        """Also twice."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    async def _answer(self, request: Request) -> Response:
        headers = dict(request.headers) | self.told
        self.asked.append(headers)
        if body := await request.body():
            self.bodies.append(json.loads(body))
        usage = {
            "prompt_tokens": int(headers.get("x-say-input", "0")),
            "completion_tokens": int(headers.get("x-say-output", "0")),
        }
        answer = headers.get("x-answer", "json")
        if answer == "error":
            return JSONResponse({"error": "out of order"}, 503)
        if answer == "header":
            told = headers.get("x-say-usage")
            return JSONResponse({"done": True}, headers={"x-usage-seconds": told} if told else {})
        if answer == "slow":
            await asyncio.sleep(0.2)
        if answer in ("stream", "endless"):
            told = {"x-usage-seconds": headers["x-say-usage"]} if "x-say-usage" in headers else {}
            return StreamingResponse(
                _events(usage, endless=answer == "endless"),
                media_type="text/event-stream",
                headers=told,
            )
        return JSONResponse({"usage": usage, "seen": headers})


async def _events(usage: dict[str, int], *, endless: bool) -> AsyncIterator[bytes]:
    """As a model streams: words, at last the usage."""

    def event(data: Any) -> bytes:
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    number = 0
    while number < 5 or endless:
        yield event({"choices": [{"delta": {"content": f"word {number}"}}]})
        await asyncio.sleep(0.01)
        number += 1
    yield event({"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"
