"""The HTTP side port: /metrics for Prometheus, /healthz and /readyz for whoever restarts us.

Answers from a thread of its own, so that it still answers when the event loop does not: that is
what /healthz reports. Loopback by default; shows no account, only counts.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

BEAT_US: Final = 1_000_000  # how often the loop says that it lives
BEATS_MISSED_MAX: Final = 10

Readiness = Callable[[], dict[str, str]]
"""Why it is not ready, by what is not; {} = ready."""


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
        self, host: str, port: int, metrics: CollectorRegistry, heart: Heart, readiness: Readiness
    ) -> None:
        """`port` 0 takes a free one. Raises OSError where the address cannot be taken."""
        self._metrics = make_wsgi_app(metrics)
        self._heart = heart
        self._readiness = readiness
        self._server = make_server(host, port, self._answer, _Server, _Quiet)
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="side-port", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(
        self, environment: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environment, start_response)
            return answer
        if path == "/healthz":
            silent_us = self._heart.silent_us
            alive = silent_us < BEAT_US * BEATS_MISSED_MAX
            body: dict[str, Any] = {"alive": alive, "loop_silent_us": silent_us}
            return _json(start_response, "200 OK" if alive else "503 Service Unavailable", body)
        if path == "/readyz":
            problems = self._readiness()
            status = "503 Service Unavailable" if problems else "200 OK"
            return _json(start_response, status, {"ready": not problems, "problems": problems})
        paths = ["/metrics", "/healthz", "/readyz"]
        return _json(start_response, "404 Not Found", {"error": f"no {path} here", "paths": paths})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # a client that connects and says nothing is let go

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


def _json(start_response: StartResponse, status: str, body: dict[str, Any]) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json; charset=utf-8")])
    return [json.dumps(body).encode() + b"\n"]
