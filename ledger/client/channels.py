"""gRPC channels, one an address, with what every call has in common. Nothing is retried here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import grpc

from ledger.client.forking import opening
from ledger.client.limits import MESSAGE_BYTES_MAX
from ledger.client.retry import Failure, FailureKind

OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # the client's own retries know what a failure leaves
    ("grpc.max_receive_message_length", 2 * MESSAGE_BYTES_MAX),  # a reply may explain every event
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 8_000),  # a server that stands still is noticed in 12 s
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class Channels:
    """Opened as needed; `close` once."""

    def __init__(
        self,
        credentials: grpc.ChannelCredentials | None,
        metadata: Sequence[tuple[str, str]] = (),
        token: str | Callable[[], str] = "",
    ) -> None:
        """`token` proves who calls; a function is asked for it before each call. "" = none."""
        self._metadata: Final = tuple(metadata)
        self._token = token
        self._credentials = credentials
        self._channels: dict[str, grpc.aio.Channel] = {}

    @property
    def tls(self) -> bool:
        """Whether they speak TLS."""
        return self._credentials is not None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call that begins now."""
        token = self._token if isinstance(self._token, str) else self._token()
        return (*self._metadata, ("authorization", f"Bearer {token}")) if token else self._metadata

    def since(
        self, used: tuple[tuple[str, str], ...], failure: Failure, *, answered: bool
    ) -> Failure:
        """What ended a stream that bore `used`, and had `answered`. Where its token was good and is
        no more, and another is given now, what was not answered was not looked at, and goes on a
        new stream."""
        if failure.code != "UNAUTHENTICATED" or not answered or isinstance(self._token, str):
            return failure
        with contextlib.suppress(Exception):  # whoever begins a call will hear of it
            if self.metadata != used:
                return replace(failure, kind=FailureKind.RETRY, again=True)
        return failure

    def to(self, address: str) -> grpc.aio.Channel:
        """The channel to host:port. Raises RuntimeError in a process that was forked too late."""
        opening()
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = (
                grpc.aio.insecure_channel(address, OPTIONS)
                if self._credentials is None
                else grpc.aio.secure_channel(address, self._credentials, OPTIONS)
            )
        return channel

    async def close(self) -> None:
        """Close all of them."""
        for channel in self._channels.values():
            await channel.close()


def no_token(error: Exception) -> Failure:
    """Nothing was sent, as whoever gives the token could not."""
    return Failure(FailureKind.RETRY, "UNAUTHENTICATED", "", f"no token could be had: {error!r}")
