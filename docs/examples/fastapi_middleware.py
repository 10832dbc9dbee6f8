"""FastAPI: hold the estimate before a handler runs, capture what it used, give back the rest.

    LEDGER=127.0.0.1:8433 uvicorn fastapi_middleware:app

Every way out settles once: an answer, an error, a stream that ends, a client that leaves amid it.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from ledger.client import ALLOWED, DrawdownClient

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Metered:
    """For what stands below `prefix`; a handler says what it used in `request.state.used`."""

    def __init__(self, app: Any, *, prefix: str, product: str, estimate: dict[str, int]) -> None:
        self.app = app
        self.prefix = prefix
        self.product = product
        self.estimate = estimate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold, run, settle."""
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
            return
        ledger: DrawdownClient = scope["app"].state.ledger
        account = account_of(scope)
        if not account:
            await answer(send, 401, {"error": {"code": "IDENTITY_MISSING"}})
            return
        request = uuid.uuid4().hex  # ours: a client that sends one id twice still pays twice
        hold = await ledger.authorize(
            account, self.product, self.estimate, lifetime_us=600_000_000, request_id=request
        )
        if hold.decision not in ALLOWED:
            body = {"code": hold.reason, "needed": hold.amount, "available": hold.available}
            await answer(send, 402, {"error": body})
            return
        used: dict[str, int] = {}
        scope.setdefault("state", {})["used"] = used
        try:
            await self.app(scope, receive, send)
        finally:  # also when the client has left and we are cancelled
            await asyncio.shield(settle(ledger, hold.hold_id, used, request))


async def settle(ledger: DrawdownClient, hold_id: str, used: dict[str, int], request: str) -> None:
    """Once, by an id derived from the request's."""
    if any(used.values()):
        await ledger.capture(hold_id, used, request_id=f"{request}/done")
    else:
        await ledger.release(hold_id, request_id=f"{request}/done")


def account_of(scope: Scope) -> str:
    """Whoever the request is from. Yours: look at the session or a verified token."""
    return dict(scope["headers"]).get(b"x-account", b"").decode()


async def answer(send: Send, status: int, body: Any) -> None:
    """A whole answer in JSON."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with DrawdownClient(os.environ["LEDGER"], tenant="default", source="api") as ledger:
        app.state.ledger = ledger
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    Metered, prefix="/v1/", product="chat", estimate={"input_tokens": 100, "output_tokens": 1_000}
)


@app.get("/v1/answer")
async def whole(request: Request) -> dict[str, str]:
    """Uses 100 tokens in, 20 out."""
    request.state.used.update(input_tokens=100, output_tokens=20)
    return {"answer": "42"}


@app.get("/v1/stream")
async def stream(request: Request) -> StreamingResponse:
    """Counts as it goes, so that a client that leaves pays for what it got."""

    async def words() -> AsyncIterator[bytes]:
        request.state.used["input_tokens"] = 100
        for number in range(50):
            request.state.used["output_tokens"] = number + 1
            yield f"word {number}\n".encode()
            await asyncio.sleep(0.01)

    return StreamingResponse(words(), media_type="text/plain")


@app.get("/v1/failing")
async def failing() -> None:
    """Uses nothing."""
    raise RuntimeError("out of order")
