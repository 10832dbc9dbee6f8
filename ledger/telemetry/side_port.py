"""The HTTP side port: /metrics for Prometheus, /healthz and /readyz for whoever restarts us.

Answers from a thread and loop of its own, so that it still answers when the server's event loop
does not: that is what /healthz reports. Loopback by default; shows no account, only counts. Others
bring routes of their own, and see to it that what belongs to the server's loop runs there. Where
callers are asked who they are, so is who reads metrics: an operator with the scope `read`. Health
is for everybody.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ledger.auth.principal import ALL_TENANTS, Principal, Scope
from ledger.auth.refusals import AuthRefused, Undecided
from ledger.telemetry.bounded_http import BoundedProtocol
from ledger.telemetry.http_bounds import Bounds

BEAT_US: Final = 1_000_000  # how often the loop says that it lives
BEATS_MISSED_MAX: Final = 10
KEPT_S: Final = 86_400  # Bounds ends connections before
STOP_S: Final = 2  # for answers under way

Readiness = Callable[[], dict[str, str]]
"""Why it is not ready, by what is not; {} = ready."""


AUTHENTICATION_TIMEOUT_S: Final = 5


class Guard(Protocol):
    """Finds out who calls; `ledger.api.gate.Gate` does."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who sent these headers. Raises AuthRefused."""
        ...

    async def permit(self, principal: Principal, scope: Scope, tenant: str) -> None:
        """Raises AuthRefused where they may not."""
        ...


class Heart:
    """The event loop's sign of life."""

    __slots__ = ("_beat_ns",)

    def __init__(self) -> None:
        self._beat_ns = time.monotonic_ns()

    def beat(self) -> None:
        """Still here. Called from the loop every BEAT_US."""
        self._beat_ns = time.monotonic_ns()

    @property
    def silent_us(self) -> int:
        """Microseconds since the last sign."""
        return (time.monotonic_ns() - self._beat_ns) // 1_000


class SidePort:
    """Serves from its making until `close`."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: CollectorRegistry,
        heart: Heart,
        readiness: Readiness,
        routes: Sequence[Route] = (),
        bounds: Bounds | None = None,
    ) -> None:
        """`port` 0 takes a free one. Raises OSError where the address cannot be taken."""
        self._metrics = metrics
        self._heart = heart
        self._readiness = readiness
        self._guard: tuple[Guard, asyncio.AbstractEventLoop] | None = None
        ours = [
            Route("/metrics", self._scrape),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
            *routes,
        ]
        self._paths = [route.path for route in ours]
        self._socket = _listening(host, port)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            Starlette(routes=ours, exception_handlers={404: self._nothing_here}),
            loop="none",
            http=type("Connection", (BoundedProtocol,), {"bounds": bounds or Bounds()}),
            ws="none",
            lifespan="off",
            log_config=None,  # scrapes are no news
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_S,
            timeout_graceful_shutdown=STOP_S,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send is no news
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="side-port", daemon=True)
        self._thread.start()

    def guard(self, guard: Guard | None, loop: asyncio.AbstractEventLoop) -> None:
        """From now on ask who reads metrics, on the loop of the guard; None: nobody is asked."""
        self._guard = None if guard is None else (guard, loop)

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._server.serve([self._socket]))

    async def _scrape(self, request: Request) -> Response:
        refused = await self._refusal(request)
        if refused is not None:
            body = {"reason": refused.reason.value, "message": refused.message}
            return JSONResponse(body, refused.http_status)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics), headers={"content-type": content_type})

    async def _refusal(self, request: Request) -> AuthRefused | None:
        """Why whoever asks may not read metrics, if they may not."""
        if self._guard is None:
            return None
        guard, loop = self._guard
        header = request.headers.get("authorization", "")
        work = asyncio.run_coroutine_threadsafe(_admit(guard, header), loop)
        try:
            await asyncio.wait_for(asyncio.wrap_future(work), AUTHENTICATION_TIMEOUT_S)
        except AuthRefused as error:
            return error
        except TimeoutError:
            message = "the server is too busy to find out who asks; ask again"
            return AuthRefused(Undecided.AUTHENTICATION_UNAVAILABLE, message)
        return None

    async def _health(self, request: Request) -> Response:
        silent_us = self._heart.silent_us
        alive = silent_us < BEAT_US * BEATS_MISSED_MAX
        body = {"alive": alive, "loop_silent_us": silent_us}
        return JSONResponse(body, 200 if alive else 503)

    async def _ready(self, request: Request) -> Response:
        problems = self._readiness()
        return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)

    async def _nothing_here(self, request: Request, error: Any) -> Response:
        return JSONResponse({"error": f"no {request.url.path} here", "paths": self._paths}, 404)


async def _admit(guard: Guard, authorization: str) -> None:
    headers = {"authorization": authorization} if authorization else {}
    principal = await guard.authenticate(headers)
    await guard.permit(principal, Scope.READ, ALL_TENANTS)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)
