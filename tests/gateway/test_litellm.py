"""The real LiteLLM reports to the side port by environment variables alone (docs/gateway.md).

A token in costs 1 minor unit, one out 10; the model says 10 in and 2 out, which is 30.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ledger.client import DrawdownClient
from ledger.verify import verify
from tests.crash.processes import LastingServer
from tests.docs import examples
from tests.gateway.front import Caller
from tests.gateway.litellm_environment import litellm_environment
from tests.patience import HANGS_S

PROGRAM = Path(__file__).with_name("litellm_calls.py")
PAGE = "docs/gateway.md"
GRANTED = 1_000_000
CHARGE = 10 * 1 + 2 * 10
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
ONCE = (
    "plain",
    "plain-thread",
    "streamed",
    "streamed-thread",
    "retried",
    "fallen-back",
)
NEVER = ("failed", "left", "nobody")
ANYHOW = ("uncounted",)


class Model:
    """An OpenAI-compatible API in a thread; `asked`: how often each call was tried."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.models: dict[str, str] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        route = Route("/v1/chat/completions", self._answer, methods=["POST"])
        config = uvicorn.Config(Starlette(routes=[route]), log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()

    async def _answer(self, request: Request) -> Response:
        call, asks = request.headers["x-call"], await request.json()
        self.asked[call] += 1
        fails_for = request.headers.get("x-fails-for") == asks["model"]
        if fails_for or self.asked[call] <= int(request.headers.get("x-fails", "0")):
            return JSONResponse({"error": {"message": "out of order"}}, 500)
        number = self.asked.total()
        answer = {"id": f"chatcmpl-{number}", "created": 1, "model": asks["model"]}
        if not asks.get("stream"):
            message = {"role": "assistant", "content": "a few words"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return JSONResponse(
                {**answer, "object": "chat.completion", "choices": [choice], "usage": USAGE}
            )
        told = asks.get("stream_options", {}).get("include_usage", False)
        return StreamingResponse(_chunks(answer, told=told), media_type="text/event-stream")


async def _chunks(answer: dict[str, Any], *, told: bool) -> AsyncIterator[bytes]:
    def chunk(**more: Any) -> bytes:
        data = {**answer, "object": "chat.completion.chunk", **more}
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    for word in ("a", " few", " words"):
        delta = {"role": "assistant", "content": word}
        yield chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
        await asyncio.sleep(0.01)
    yield chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if told:
        yield chunk(choices=[], usage=USAGE)
    yield b"data: [DONE]\n\n"


class Calls:
    """The program that calls models, as a process."""

    def __init__(self, model: Model, side_port: str, log: Path) -> None:
        self.log = log
        own = {
            "OPENMETER_API_ENDPOINT": f"http://{side_port}",
            "OPENMETER_API_KEY": "none",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PYTHONPATH": str(litellm_environment()),
        }
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-S", PROGRAM, model.base],
                env=os.environ | own,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self._said("ready")

    def do(self, *names: str) -> None:
        """Return when each has its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(name.replace("-", "_") for name in names) + "\n")
        self._process.stdin.flush()
        self._said("done")

    def end(self) -> None:
        """What has yet to be reported is."""
        self._process.communicate(timeout=HANGS_S)
        assert self._process.returncode == 0, self.log.read_text()[-2_000:]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _said(self, word: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # LiteLLM prints lines of its own
            if line == f"{word}\n":
                return
        raise AssertionError(self.log.read_text()[-2_000:])


@pytest.fixture(scope="module")
def spent(
    module_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, int], Model, str]]:
    """What each call was charged, after all of them; a last one while the server was away."""
    folder = tmp_path_factory.mktemp("litellm")
    server = LastingServer(module_database, folder / "server.log")
    model = Model()
    calls: Calls | None = None
    try:
        server.start()
        asyncio.run(_prepared(server))
        calls = Calls(model, server.metrics, folder / "litellm.log")
        calls.do(*ONCE, *NEVER, *ANYHOW)
        asyncio.run(_charged(server, dict.fromkeys((*ONCE, *ANYHOW), 1)))
        server.kill()
        calls.do("plain")
        server.start()
        asyncio.run(server.ready())
        calls.do("streamed")
        asyncio.run(_charged(server, {"streamed": 2 * CHARGE}))
        calls.end()
        found = asyncio.run(_charges(server, *ONCE, *NEVER, *ANYHOW))
        yield found, model, calls.log.read_text()
    finally:
        if calls is not None:
            calls.kill()
        server.stop()
        model.close()
    report = asyncio.run(verify(module_database))
    assert report.ok, report.findings


async def _prepared(server: LastingServer) -> None:
    """The prices and the rule of the page, and an account for each call."""
    await server.ready()
    async with DrawdownClient(server.address, tenant="default") as ledger:
        await examples.run(PAGE, ledger)
        for name in (*ONCE, *NEVER, *ANYHOW):
            await Caller(server, None, ledger).account(name, GRANTED)


async def _charges(server: LastingServer, *names: str) -> dict[str, int]:
    async with DrawdownClient(server.address, tenant="default") as ledger:
        caller = Caller(server, None, ledger)
        return {name: GRANTED - await caller.available(name) for name in names}


async def _charged(server: LastingServer, least: dict[str, int]) -> None:
    """Once so much was charged for each: LiteLLM reports when the call is over."""
    async with asyncio.timeout(HANGS_S):
        while True:
            found = await _charges(server, *least)
            if all(found[name] >= amount for name, amount in least.items()):
                return
            await asyncio.sleep(0.05)


Spent = tuple[dict[str, int], Model, str]


@pytest.mark.parametrize("name", ONCE)
def test_a_call_is_charged_once(name: str, spent: Spent) -> None:
    """`streamed` was called again after the server had come back; `plain` while it was away."""
    found, _, log = spent
    assert found[name] == CHARGE * (2 if name == "streamed" else 1), log[-2_000:]


def test_what_was_tried_again_was_one_call(spent: Spent) -> None:
    _, model, _ = spent
    assert model.asked["retried"] == 3


@pytest.mark.parametrize("name", NEVER)
def test_a_call_without_an_answer_or_a_user_is_not_charged(name: str, spent: Spent) -> None:
    found, model, _ = spent
    assert found[name] == 0
    assert model.asked[name]


def test_a_stream_that_does_not_say_its_usage_is_counted_by_litellm(spent: Spent) -> None:
    """By its own tokenizer: three words out, and the prompt with what surrounds it."""
    found, _, _ = spent
    assert found["uncounted"] == 12 + 3 * 10


def test_a_call_is_answered_and_not_reported_where_the_server_is_away(spent: Spent) -> None:
    """LiteLLM sends its report once: what no server took is lost."""
    found, model, log = spent
    assert model.asked["plain"] == 2
    assert found["plain"] == CHARGE
    assert "openmeter" in log.lower()
