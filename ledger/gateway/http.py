"""The routes of the side port that belong to the ledger: a question, and usage.

The side port has a thread and a loop of its own; whatever touches the ledger runs on the server's
loop, one hand-over a request. Where callers are asked who they are, so are these: by
`drawdown-authorization`, which a proxy sets beside what its client sent, else by `authorization`.
Owns bounds of bodies and what is answered before the ledger serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from grpc import StatusCode
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ledger.api.calls import Call, Detached
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import PassedOn
from ledger.api.gate import Gate
from ledger.engine.clock import Clock
from ledger.gateway import cloud_events, replies
from ledger.gateway.away import Answers
from ledger.gateway.cloud_events import CloudEvents
from ledger.gateway.forward_auth import ForwardAuth
from ledger.gateway.inside import Inside
from ledger.gateway.replies import Reply, denied, header_value
from ledger.gateway.routes import Routes

WAIT_S: Final = 10  # for an answer of the ledger
BODIES_BYTES_MAX: Final = 64 << 20  # of all requests under way; x 4 for what Python makes of them
PROOF: Final = "drawdown-authorization"
NOT_YET: Final = "the server is starting or stopping"

T = TypeVar("T")


class HttpGateway:
    """Made with the side port, and empty until `attach`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forward_auth: ForwardAuth | None = None
        self._cloud_events: CloudEvents | None = None
        self._clock: Clock | None = None
        self._gate: Gate | None = None
        self._bodies_bytes = 0

    @property
    def routes(self) -> list[Route]:
        """For the side port."""
        return [
            Route("/v1/check", self._check, methods=["GET", "HEAD"]),
            Route("/api/v1/events", self._events, methods=["POST"]),
        ]

    def attach(
        self,
        answers: Answers,
        inside: Inside,
        routes: Routes,
        clock: Clock,
        gate: Gate | None = None,
    ) -> None:
        """The ledger serves, on the running loop; `gate` None: nobody is asked who calls."""
        self._gate = gate
        self._forward_auth = ForwardAuth(answers, routes)
        self._cloud_events = CloudEvents(inside, routes.defaults.tenant)
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    def detach(self) -> None:
        """It does not any more."""
        self._loop = None

    async def _check(self, request: Request) -> Response:
        query = request.query_params.multi_items()
        if len({name for name, _ in query}) != len(query):
            twice = denied(replies.MISCONFIGURED, "ROUTE_INVALID", "a name stands twice in the URL")
            return _plain(twice)
        headers = _headers(request)

        async def ask() -> Reply:
            assert self._forward_auth is not None
            return await self._forward_auth.answer(dict(query), headers, await self._call(headers))

        try:
            return _plain(await self._over_there(ask))
        except (CallFailed, TimeoutError) as error:
            return _away(error)

    async def _events(self, request: Request) -> Response:
        headers = _headers(request)
        if self._loop is None:
            return _away(CallFailed("SHUTTING_DOWN", NOT_YET))
        if self._gate is not None:
            try:  # nothing is read of a body whose sender nobody knows
                await self._over_there(lambda: self._call(headers))
            except (CallFailed, TimeoutError) as error:
                return _away(error)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in cloud_events.CONTENT_TYPES:
            message = f"events are {', '.join(cloud_events.CONTENT_TYPES)}"
            return _error(415, "MALFORMED_REQUEST", message)
        parts: list[bytes] = []
        try:
            refused = await self._read(request, parts)
            return refused or await self._recorded(request, headers, content_type, parts)
        finally:
            self._bodies_bytes -= sum(map(len, parts))

    async def _read(self, request: Request, parts: list[bytes]) -> Response | None:
        """The body into `parts`, or why not."""
        size, most = 0, cloud_events.BODY_BYTES_MAX
        try:
            async for part in request.stream():
                size += len(part)
                if size > most:
                    message = f"the body is above {most} bytes: split it"
                    return _error(cloud_events.TOO_LARGE, "BATCH_TOO_LARGE", message)
                if self._bodies_bytes + len(part) > BODIES_BYTES_MAX:
                    message = f"bodies of {self._bodies_bytes} bytes are under way; send it again"
                    again = {"retry-after": "1"}
                    return _error(replies.UNAVAILABLE, "QUEUE_FULL", message, again)
                self._bodies_bytes += len(part)
                parts.append(part)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        return None

    async def _recorded(
        self,
        request: Request,
        headers: Mapping[str, str],
        content_type: str,
        parts: list[bytes],
    ) -> Response:
        body = b"".join(parts)
        tenant = request.query_params.get("tenant", "")
        show = request.query_params.get("results", "") == "all"

        async def record() -> cloud_events.Told:
            assert self._cloud_events is not None
            call = await self._call(headers)  # once more: a key may be revoked by now
            return await self._cloud_events.answer(content_type, body, tenant, show, call)

        try:
            told = await self._over_there(record)
        except (CallFailed, TimeoutError) as error:
            return _away(error)
        if told.body is None:
            return Response(status_code=told.status)
        again = {"retry-after": "1"} if told.status == cloud_events.UNAVAILABLE else {}
        return JSONResponse(told.body, told.status, headers=again)

    async def _call(self, headers: Mapping[str, str]) -> Call:
        """The call that a request is. Raises AuthRefused."""
        assert self._clock is not None
        passed = tuple((name, headers[name]) for name in ("traceparent",) if name in headers)
        call = Call(Detached(passed), self._clock, None, self._gate)
        if self._gate is not None:
            proof = headers.get(PROOF) or headers.get("authorization", "")
            call.principal = await self._gate.authenticate({"authorization": proof})
        return call

    async def _over_there(self, work: Callable[[], Awaitable[T]]) -> T:
        """The outcome of work on the server's loop. Raises CallFailed, TimeoutError."""
        loop = self._loop
        if loop is None:
            raise CallFailed("SHUTTING_DOWN", NOT_YET)

        async def there() -> T:
            try:
                return await work()
            except PassedOn as passed:
                raise passed.failure() from passed
            except Exception as error:
                failed = failure_of(error)
                if failed is None:
                    raise
                raise failed from error

        work_there = asyncio.run_coroutine_threadsafe(there(), loop)
        return await asyncio.wait_for(asyncio.wrap_future(work_there), WAIT_S)


def _headers(request: Request) -> dict[str, str]:
    """By names in lower case, in UTF-8 where they are. Values of one name stand together, with
    commas between: so no header that a client adds to a gateway's own is taken in its place."""
    found = dict[str, str]()
    for name, value in request.headers.raw:
        key, text = name.decode("latin-1"), _text(value)
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _plain(reply: Reply) -> Response:
    headers = {name: header_value(value) for name, value in reply.headers.items()}
    if reply.body:
        headers["content-type"] = "application/json; charset=utf-8"
    return Response(reply.body, reply.status, headers=headers)


def _away(error: Exception) -> Response:
    reason = error.reason if isinstance(error, CallFailed) else "DEADLINE"
    if isinstance(error, CallFailed) and (status := _UNLET.get(TABLE[reason].code)) is not None:
        return _error(status, reason, error.message)
    message = str(error) or f"no answer within {WAIT_S} s; send the same again"
    return _error(replies.UNAVAILABLE, reason, message, {"retry-after": "1"})


_UNLET: Final = {
    StatusCode.UNAUTHENTICATED: replies.UNAUTHORIZED,
    StatusCode.PERMISSION_DENIED: replies.FORBIDDEN,
}
"""What is not let in, whatever the request asks for."""


def _error(
    status: int, reason: str, message: str, headers: Mapping[str, Any] | None = None
) -> Response:
    body = {"error": {"code": reason, "message": message}}
    return JSONResponse(body, status, headers=dict(headers or {}) | {replies.REASON: reason})
