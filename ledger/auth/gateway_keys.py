"""What the servers of a database sign with what a gateway hands back: keys that no client sees.

The signature is a keyed BLAKE2b of the text. All servers sign with the newest key that they know;
an earlier one counts until the instant that its successor names. Keys are read again every LEARN_S,
and where none fits: so a key that another server has just begun to use is no forgery.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

from ledger.auth.api_keys import Clock
from ledger.journal.errors import JournalError

SECRET_BYTES: Final = 32
LEARN_S: Final = 10.0
AGAIN_S: Final = 0.2  # between two readings for texts that no key fits


class GatewayKey(Struct, frozen=True):
    """One key; `before_until_us`: until when those before it count, in microseconds since 1970."""

    secret: bytes
    before_until_us: int


class GatewayKeySource(Protocol):
    """Where they stand; `PostgresKeyStore` does."""

    async def gateway_keys(self) -> Sequence[GatewayKey]:
        """All of them, the newest first, at least one. Raises JournalError."""
        ...


class MemoryGatewayKeys:
    """Of servers in one process."""

    def __init__(self) -> None:
        self.keys = [GatewayKey(secrets.token_bytes(SECRET_BYTES), 0)]

    async def gateway_keys(self) -> Sequence[GatewayKey]:
        """See GatewayKeySource."""
        return self.keys


class GatewayKeys:
    """Those that one server knows; `learn` before anything else."""

    def __init__(self, source: GatewayKeySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._keys: Sequence[GatewayKey] = ()
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def learn(self) -> None:
        """Read them. Raises JournalError."""
        asked = time.monotonic()
        async with self._reading:
            if self._read_at > asked:
                return  # by another, since
            await asyncio.sleep(self._read_at + AGAIN_S - time.monotonic())
            started = time.monotonic()
            self._keys = await self._source.gateway_keys()
            self._read_at = started

    def signature(self, text: str) -> str:
        """By the newest key: 43 characters of base64."""
        assert self._keys, "no key was learned"
        return _signature(self._keys[0].secret, text)

    async def signed(self, text: str, signature: str) -> bool:
        """Whether one of our servers signed it, with a key that counts. Raises JournalError where
        none that is known fits and they cannot be read."""
        if time.monotonic() > self._read_at + LEARN_S:
            with contextlib.suppress(JournalError):
                await self.learn()
        if self._fits(text, signature):
            return True
        await self.learn()
        return self._fits(text, signature)

    def _fits(self, text: str, signature: str) -> bool:
        now_us, said = self._clock.now_us(), signature.encode()
        for key in self._keys:
            if hmac.compare_digest(_signature(key.secret, text).encode(), said):
                return True
            if key.before_until_us <= now_us:
                break
        return False


def _signature(secret: bytes, text: str) -> str:
    digest = blake2b(text.encode(), key=secret, digest_size=32, person=b"dd-let-in").digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
