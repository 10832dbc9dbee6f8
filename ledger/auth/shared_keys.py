"""Secrets that the servers of a database share and renew, as one server knows them.

Servers use the newest one that they know; an earlier one counts until the instant that its
successor names. They are read again on demand, and where none fits: so a secret that another server
has just begun to use is no forgery.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from ledger.auth.api_keys import Clock
from ledger.journal.errors import JournalError

SECRET_BYTES: Final = 32
LEARN_S: Final = 10.0
AGAIN_S: Final = 0.2  # between two readings for what no key fits


class SharedKey(Struct, frozen=True):
    """One of them; `before_until_us`: until when those before it count, in microseconds since
    1970."""

    secret: bytes
    before_until_us: int


class SharedKeys:
    """Those that one server knows; `learn` before anything else."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[SharedKey]]],
        clock: Clock,
        known: Sequence[SharedKey] = (),
    ) -> None:
        """`read`: all of them, the newest first, at least one; may raise JournalError. `known`:
        what was read by now."""
        self._read = read
        self._clock = clock
        self._keys = known
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    @property
    def newest(self) -> bytes:
        """The secret to use."""
        assert self._keys, "no key was learned"
        return self._keys[0].secret

    async def learn(self) -> None:
        """Read them. Raises JournalError."""
        asked = time.monotonic()
        async with self._reading:
            if self._read_at > asked:
                return  # by another, since
            await asyncio.sleep(self._read_at + AGAIN_S - time.monotonic())
            started = time.monotonic()
            self._keys = await self._read()
            self._read_at = started

    async def refresh(self) -> None:
        """Read them if that was LEARN_S ago and they can be."""
        if time.monotonic() > self._read_at + LEARN_S:
            with contextlib.suppress(JournalError):
                await self.learn()

    async def fits(self, test: Callable[[bytes], bool]) -> bool:
        """Whether a secret that counts passes. Raises JournalError where none that is known does
        and they cannot be read."""
        if any(map(test, self._counting())):
            return True
        await self.learn()
        return any(map(test, self._counting()))

    def _counting(self) -> Iterator[bytes]:
        now_us = self._clock.now_us()
        for key in self._keys:
            yield key.secret
            if key.before_until_us <= now_us:
                break
