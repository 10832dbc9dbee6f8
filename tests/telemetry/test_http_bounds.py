"""Connections of the side port that never end, trickle or are too many: cut, others answered."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ledger.settings import ServerSettings
from ledger.telemetry.http_bounds import Bounds
from ledger.telemetry.side_port import Heart, SidePort
from tests.patience import HANGS_S, BoundReached, given_time

SHORT_S = 0.2  # the usual bound of tests is HANGS_S
LARGE = 8 << 20  # more than sockets buffer
GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"


class Beating(Heart):
    """However long a test takes."""

    silent_us = 0  # type: ignore[assignment]


async def _body(request: Request) -> Response:
    try:
        return Response(str(len(await request.body())))
    except ClientDisconnect:
        return Response()


async def _large(_: Request) -> Response:
    return Response(b"x" * LARGE)


@contextlib.contextmanager
def port(**bounds: float) -> Iterator[SidePort]:
    routes = [Route("/body", _body, methods=["POST"]), Route("/large", _large)]
    usual = dict.fromkeys(("head_s", "body_s", "answer_s", "idle_s"), HANGS_S)
    made = Bounds(**{**usual, **bounds})  # type: ignore[arg-type]
    side_port = SidePort("127.0.0.1", 0, CollectorRegistry(), Beating(), dict, routes, made)
    try:
        yield side_port
    finally:
        side_port.close()


def connected(side_port: SidePort) -> socket.socket:
    host, _, number = side_port.address.rpartition(":")
    return socket.create_connection((host, int(number)), HANGS_S)


def answer(connection: socket.socket) -> bytes:
    """One answer, whose connection may stay."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65_536)
        if not more:
            raise ConnectionResetError(data)
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.startswith(b"content-length")
    ]
    while len(body) < length:
        more = connection.recv(65_536)
        if not more:
            raise ConnectionResetError(data)
        body += more
    return head.split(b"\r\n")[0]


def asks_in_time(connection: socket.socket, header: bytes = b"") -> None:
    """Ask something and be answered, where no bound has cut the connection before."""
    try:
        connection.sendall(GET + header + b"\r\n")
        said = answer(connection)
    except ConnectionError as cut:
        raise BoundReached from cut
    if said.startswith(b"HTTP/1.1 408"):
        raise BoundReached
    assert said == b"HTTP/1.1 200 OK"


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side lets go."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(1 << 20):
            data += more
    return data


def trickled(connection: socket.socket, byte: bytes) -> bytes:
    """The same, while a byte goes out again and again."""
    ended = threading.Event()

    def trickle() -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(SHORT_S / 20):
                connection.sendall(byte)

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        return rest(connection)
    finally:
        ended.set()
        sender.join()


def test_who_says_nothing_is_let_go() -> None:
    with port(head_s=SHORT_S) as side_port, connected(side_port) as silent:
        assert rest(silent) == b""


def test_a_head_that_trickles_is_cut() -> None:
    with port(head_s=SHORT_S) as side_port, connected(side_port) as slow:
        slow.sendall(GET)
        assert trickled(slow, b"x-a: b\r\n")[:12] in (b"HTTP/1.1 408", b"")


def test_the_head_of_a_second_request_is_bounded_as_well() -> None:
    def check(bound_s: float) -> None:
        with port(head_s=bound_s) as side_port, connected(side_port) as slow:
            asks_in_time(slow)
            slow.sendall(GET)
            assert rest(slow).startswith(b"HTTP/1.1 408")

    given_time(check, SHORT_S)


def test_a_body_that_trickles_is_cut() -> None:
    with port(body_s=SHORT_S) as side_port, connected(side_port) as slow:
        slow.sendall(POST)
        assert trickled(slow, b"x")[:12] in (b"HTTP/1.1 408", b"")


def test_a_body_that_nobody_reads_is_cut() -> None:
    """The answer is there before it: no reason to let it go on for ever."""

    def check(bound_s: float) -> None:
        with port(body_s=bound_s) as side_port, connected(side_port) as slow:
            asks_in_time(slow, b"content-length: 1000\r\n")
            assert trickled(slow, b"x") == b""

    given_time(check, SHORT_S)


def test_an_idle_connection_is_let_go_and_one_that_asks_is_not() -> None:
    def check(bound_s: float) -> None:
        with port(idle_s=bound_s) as side_port, connected(side_port) as kept:
            until = time.monotonic() + 1.5 * bound_s
            while time.monotonic() < until:
                asks_in_time(kept)
            assert rest(kept) == b""

    given_time(check, SHORT_S)


@pytest.mark.parametrize("bound", ["answer_s", "idle_s"])
def test_an_answer_that_is_not_read_is_cut(bound: str) -> None:
    """It is written to the end once, and left in a buffer; with "close" the port waits for it."""
    close = b"connection: close\r\n" if bound == "answer_s" else b""

    def check(bound_s: float) -> None:
        with port(**{bound: bound_s}) as side_port, connected(side_port) as deaf:
            deaf.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n" + close + b"\r\n")
            connections = side_port._server.server_state.connections
            with connected(side_port) as other:
                until = time.monotonic() + HANGS_S
                both = True
                while both and time.monotonic() < until:
                    asks_in_time(other)  # so it is one of them
                    both = len(connections) > 1
            assert len(rest(deaf)) < LARGE

    given_time(check, SHORT_S)


def test_bodies_in_time_are_whole() -> None:
    with port() as side_port, connected(side_port) as kept:
        for _ in range(3):
            kept.sendall(POST)
            for _ in range(10):
                kept.sendall(b"x" * 100)
            assert answer(kept) == b"HTTP/1.1 200 OK"


def test_requests_one_behind_the_other_have_time_each() -> None:
    def check(bound_s: float) -> None:
        with port(answer_s=bound_s) as side_port, connected(side_port) as kept:
            kept.sendall((GET + b"\r\n") * 20)
            data = b""
            while data.count(b"HTTP/1.1 200 OK") < 20:
                more = kept.recv(65_536)
                if not more:
                    raise BoundReached
                data += more

    given_time(check, 5)


def test_of_too_many_connections_the_one_goes_whose_time_ends_first() -> None:
    """So whoever opens them without end keeps nobody from asking after our health."""
    with port(connections=8) as side_port, contextlib.ExitStack() as stack:
        many = []
        for _ in range(50):
            many.append(stack.enter_context(connected(side_port)))
            many[-1].sendall(GET)  # unfinished
        with connected(side_port) as asks:
            asks.sendall(GET + b"\r\n")
            assert answer(asks) == b"HTTP/1.1 200 OK"
            assert len(side_port._server.server_state.connections) <= 8
        assert rest(many[0]) == b""


def test_no_line_of_the_log_for_what_strangers_send(caplog: pytest.LogCaptureFixture) -> None:
    with port() as side_port, caplog.at_level(logging.INFO):
        for said in (
            b"\x00\xff\r\n\r\n",
            POST + b"x",
            GET + b"upgrade: x\r\nconnection: upgrade\r\n\r\n",
        ):
            with connected(side_port) as strange:
                strange.sendall(said)
                strange.shutdown(socket.SHUT_WR)
                rest(strange)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_the_bounds_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerSettings().http_bounds == Bounds()
    monkeypatch.setenv("DRAWDOWN_HTTP_BODY_S", "7")
    monkeypatch.setenv("DRAWDOWN_HTTP_CONNECTIONS", "9")
    assert ServerSettings().http_bounds == Bounds(body_s=7, connections=9)


def test_no_bytes_are_a_fault_of_the_port(caplog: pytest.LogCaptureFixture) -> None:
    """Requests with other bytes in them, cut short, one behind the other, and other protocols."""
    dice = random.Random(11)
    whole = [
        GET + b"\r\n",
        POST + b"x" * 1_000,
        POST.replace(b"content-length: 1000", b"transfer-encoding: chunked")
        + b"5\r\nabcde\r\n0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://x/healthz HTTP/1.0\r\n\r\n",
        b"GET /%ff%00%zz?a=%ff&a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HEAD /metrics HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        GET + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
        GET + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        GET + b"content-length: 99999999999999999999\r\n\r\n",
        GET + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n",
    ]
    said = list(whole)
    for _ in range(150):
        one = bytearray(b"".join(dice.choices(whole, k=dice.randrange(1, 4))))
        for _ in range(dice.randrange(4)):
            one[dice.randrange(len(one))] = dice.randrange(256)
        said.append(bytes(one[: dice.randrange(1, len(one) + 1)]))
    with port(answer_s=5, body_s=5, head_s=5) as side_port:
        for one in said:
            with connected(side_port) as strange:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    strange.sendall(one)
                    strange.shutdown(socket.SHUT_WR)
                rest(strange)
        with connected(side_port) as asks:
            asks.sendall(GET + b"\r\n")
            assert answer(asks) == b"HTTP/1.1 200 OK"
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []
