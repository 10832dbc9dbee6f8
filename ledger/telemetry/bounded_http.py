"""A connection of the side port, within bounds of time for each of its parts, and of their number.

A connection is in one part at a time: its head, its body, the answer, or between two requests. Each
has an end that what trickles in does not move; then the connection is cut. At the bound of
connections a new one takes the place of the one that waits for its peer and whose time ends first;
where all are being answered it is cut itself. Must not know any route.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ledger.telemetry.http_bounds import Bounds

_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Part(Enum):
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    IDLE = "idle"


class BoundedProtocol(H11Protocol):
    """Of one connection; `bounds` is set in a class of its own for each port."""

    bounds = Bounds()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._part: tuple[_Part, object] | None = None
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            waiting = [
                each
                for each in self.connections
                if isinstance(each, BoundedProtocol) and each is not self and each.waits
            ]
            (min(waiting, key=lambda each: each.ends_at) if waiting else self).cut()
        self._begin(_Part.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """The answer is written, as far as the peer reads it."""
        self._part = None
        super().on_response_complete()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read ends the connection: an answer under way has nobody to go to."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.cut()

    @property
    def waits(self) -> bool:
        """Whether the peer has still to send what there is to answer."""
        return self._part is None or self._part[0] is not _Part.ANSWER

    @property
    def ends_at(self) -> float:
        """When its part has to be whole, by the loop's clock."""
        return self._end.when() if self._end is not None else 0.0

    def cut(self) -> None:
        """Let go of it now; what is not written is not."""
        self._stop()
        self.connections.discard(self)
        self.transport.abort()

    # -- parts -------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Which part it is in now."""
        if self.conn.their_state is h11.SEND_BODY:
            self._begin(_Part.BODY)
        elif self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._begin(_Part.ANSWER)
        else:
            whole = self.cycle is not None and not self.conn.trailing_data[0]
            self._begin(_Part.IDLE if whole else _Part.HEAD)

    def _begin(self, part: _Part) -> None:
        known = (part, self.cycle)
        if known == self._part:
            return
        self._stop()
        self._part = known
        seconds: float = getattr(self.bounds, f"{part.value}_s")
        self._end = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        part = self._part[0] if self._part is not None else _Part.IDLE
        if part is _Part.BODY:
            asks = self.cycle is not None and not self.cycle.response_started
        else:
            asks = part is _Part.HEAD and bool(self.conn.trailing_data[0])
        if asks:
            self.transport.write(_LATE)
        self.cut()

    def _stop(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
