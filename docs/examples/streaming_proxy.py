"""A proxy before an OpenAI-compatible API: holds, passes the stream on, settles by its usage.

    LEDGER=127.0.0.1:8433 UPSTREAM=https://api.openai.com uvicorn streaming_proxy:app

The hold is for `max_tokens`, or for as many as the account can pay. The request is made to say its
usage in the last event. Every way out settles once: an answer, a stream, an upstream that fails or
breaks off, a client that leaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ledger.client import ALLOWED, DrawdownClient

MAX_TOKENS = 1_000
LEAST_TOKENS = 16  # an answer shorter than that is of no use
PASSED_ON = ("authorization", "content-type")


class Metered:
    """One request's hold, and what is known of its usage so far."""

    def __init__(self, ledger: DrawdownClient, hold_id: str, prompt_tokens: int) -> None:
        self.ledger = ledger
        self.hold_id = hold_id
        self.prompt_tokens = prompt_tokens  # an estimate, until the upstream says it
        self.pieces = 0  # of text that the client got: about a token each
        self.usage: dict[str, Any] | None = None

    def see(self, event: dict[str, Any]) -> None:
        """One event of a stream, or a whole answer."""
        self.usage = event.get("usage") or self.usage
        self.pieces += sum(
            bool((choice.get("delta") or {}).get("content")) for choice in event.get("choices", ())
        )

    async def settle(self) -> None:
        """By what the upstream says, else by what it sent; nothing where it sent nothing."""
        used = {}
        if self.usage is not None:
            used["input_tokens"] = self.usage.get("prompt_tokens", 0)
            used["output_tokens"] = self.usage.get("completion_tokens", 0)
        elif self.pieces:
            used = {"input_tokens": self.prompt_tokens, "output_tokens": self.pieces}
        request = f"settle/{self.hold_id}"
        if any(used.values()):
            await self.ledger.capture(self.hold_id, used, request_id=request)
        else:
            await self.ledger.release(self.hold_id, request_id=request)


async def completions(request: Request) -> Response:
    """POST /v1/chat/completions."""
    state = request.app.state
    account = request.headers.get("x-account", "")  # yours: of a verified key
    if not account:
        return JSONResponse({"error": {"code": "IDENTITY_MISSING"}}, 401)
    asked = await request.json()
    most = asked.setdefault("max_tokens", MAX_TOKENS)
    prompt = len(json.dumps(asked.get("messages", ""))) // 4 + 1  # about four letters a token
    hold = await state.ledger.authorize(
        account,
        "chat",
        {"input_tokens": prompt, "output_tokens": most},
        {"model": asked.get("model", "")},
        lifetime_us=600_000_000,
        up_to=("output_tokens", LEAST_TOKENS),
        request_id=uuid.uuid4().hex,
    )
    if hold.decision not in ALLOWED:
        error = {"code": hold.reason, "needed": hold.amount, "available": hold.available}
        return JSONResponse({"error": error}, 402)
    asked["max_tokens"] = hold.allowed_quantity  # as much as the account can pay
    metered = Metered(state.ledger, hold.hold_id, prompt)
    if asked.get("stream"):
        asked["stream_options"] = {**asked.get("stream_options", {}), "include_usage": True}
    headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    sent = state.upstream.build_request("POST", request.url.path, json=asked, headers=headers)
    sent.headers.pop("x-account", None)
    try:
        reply = await state.upstream.send(sent, stream=True)
    except BaseException:
        await asyncio.shield(metered.settle())
        raise
    kept = {"content-type": reply.headers.get("content-type", "application/json")}
    return StreamingResponse(passed_on(reply, metered), reply.status_code, headers=kept)


async def passed_on(reply: httpx.Response, metered: Metered) -> AsyncIterator[bytes]:
    """The answer, as it comes; settled when it is over, however it is."""
    streamed = reply.headers.get("content-type", "").startswith("text/event-stream")
    rest = b""
    try:
        async for part in reply.aiter_bytes():
            rest += part
            if streamed:
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {"):
                        metered.see(json.loads(line.removeprefix(b"data: ")))
            yield part
        if not streamed and reply.is_success:
            metered.see(json.loads(rest))
    finally:
        await asyncio.shield(closed(reply, metered))


async def closed(reply: httpx.Response, metered: Metered) -> None:
    """Let go of the upstream, and settle."""
    try:
        await reply.aclose()
    finally:
        await metered.settle()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One client of each for the life of the process."""
    async with (
        DrawdownClient(os.environ["LEDGER"], tenant="default", source="proxy") as ledger,
        httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=600) as upstream,
    ):
        app.state.ledger, app.state.upstream = ledger, upstream
        yield


app = Starlette(
    routes=[Route("/v1/chat/completions", completions, methods=["POST"])], lifespan=lifespan
)
