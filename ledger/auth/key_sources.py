"""Where an issuer's public keys come from, and how they are kept up to date.

A file or a URL is read again each refresh interval, and once more, at most every few seconds, when
a token names a kid that is not among them. A key counts from the first reading that has it to the
first that has it no more. What cannot be read leaves the keys of before, for a bounded time, and a
source that hangs holds nobody up for longer than a second.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from ledger.auth.keys import KeysUnusable, VerifyingKey, read_keys
from ledger.auth.refusals import AuthRefused, Undecided, Unproven
from ledger.core.limits import DAY_US, SECOND_US
from ledger.loopback import is_loopback

DOCUMENT_BYTES_MAX: Final = 1 << 20
FETCH_TIMEOUT_S: Final = 5
WAIT_S: Final = 1  # for a reading, where there are keys of before
AGAIN_US: Final = 5 * SECOND_US  # between two readings that an unknown kid or a failure asks for
STALE_US_MAX: Final = DAY_US  # keys that cannot be read anew go on for so long

logger = logging.getLogger(__name__)


class MonotonicClock(Protocol):
    """Microseconds that never go back."""

    def monotonic_us(self) -> int:
        """Since some moment."""
        ...


class KeySet:
    """The keys of one issuer, as they are now. `generation` counts how often they changed."""

    def __init__(self, source: str, refresh_us: int, clock: MonotonicClock) -> None:
        """`source` is a file, or an https URL (http on loopback). Raises KeysUnusable."""
        if _is_url(source):
            _check_url(source)
        self.source = source
        self.generation = 0
        self._refresh_us = refresh_us
        self._clock = clock
        self._keys: dict[str, VerifyingKey] = {}
        self._fresh_until = 0
        self._read_at = 0
        self._asked_at = -AGAIN_US
        self._reading: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> bool:
        """Whether the keys need not be read again before they are used."""
        return self._clock.monotonic_us() < self._fresh_until

    async def open(self) -> None:
        """Read them for the first time. Raises KeysUnusable."""
        self._take(await asyncio.to_thread(_read, self.source))

    async def find(self, kid: str | None) -> VerifyingKey:
        """The key of that name; None: the only one. Raises AuthRefused."""
        if not self.fresh:
            await self._read_again()
        found = self._named(kid)
        if found is None and self._clock.monotonic_us() - self._asked_at >= AGAIN_US:
            await self._read_again()
            found = self._named(kid)
        if found is not None:
            return found
        if kid is None:
            message = "the token names no kid, and its issuer has several keys"
            raise AuthRefused(Unproven.TOKEN_KEY_UNKNOWN, message)
        raise AuthRefused(
            Unproven.TOKEN_KEY_UNKNOWN,
            "the token names a key that its issuer does not have, or has no more: get a new token",
            field="kid",
            value=kid,
        )

    def _named(self, kid: str | None) -> VerifyingKey | None:
        if kid is not None:
            return self._keys.get(kid)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _read_again(self) -> None:
        """One reading for all who ask meanwhile; who has waited long enough goes on without it."""
        if self._reading is None or self._reading.done():
            self._asked_at = self._clock.monotonic_us()
            self._reading = asyncio.create_task(self._refresh())
        done, _ = await asyncio.wait({self._reading}, timeout=WAIT_S)
        now = self._clock.monotonic_us()
        if now - self._read_at > STALE_US_MAX:
            raise AuthRefused(
                Undecided.AUTHENTICATION_UNAVAILABLE,
                "the keys of the token's issuer could not be read for a day; try again",
            )
        if not done:
            self._fresh_until = max(self._fresh_until, now + AGAIN_US)

    async def _refresh(self) -> None:
        try:
            self._take(await asyncio.to_thread(_read, self.source))
        except KeysUnusable as error:
            logger.warning("the keys of %s cannot be read anew: %s", self.source, error)
            self._fresh_until = self._clock.monotonic_us() + AGAIN_US

    def _take(self, keys: dict[str, VerifyingKey]) -> None:
        if {kid: _said(key) for kid, key in keys.items()} != {
            kid: _said(key) for kid, key in self._keys.items()
        }:
            self._keys = keys
            self.generation += 1
        self._read_at = self._clock.monotonic_us()
        self._fresh_until = self._read_at + self._refresh_us


def _said(key: VerifyingKey) -> Any:
    return key.algorithms, key.key


def _is_url(source: str) -> bool:
    return "://" in source


def _check_url(source: str) -> None:
    parts = urlsplit(source)
    secure = parts.scheme == "https" or (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    )
    if not secure or parts.username or parts.password:
        raise KeysUnusable(
            "keys come by https (http on loopback alone), from a URL without user and password"
        )


def _read(source: str) -> dict[str, VerifyingKey]:
    return read_keys(_fetch(source) if _is_url(source) else _of_file(source))


def _of_file(source: str) -> bytes:
    try:
        with Path(source).open("rb") as file:
            return _bounded(file.read(DOCUMENT_BYTES_MAX + 1))
    except OSError as error:
        raise KeysUnusable(f"the file {source} cannot be read: {error.strerror}") from None


def _fetch(source: str) -> bytes:
    try:
        with _OPENER.open(source, timeout=FETCH_TIMEOUT_S) as answer:
            return _bounded(answer.read(DOCUMENT_BYTES_MAX + 1))
    except (OSError, ValueError) as error:  # HTTPError and URLError are OSErrors
        raise KeysUnusable(f"{source} does not answer with keys: {error}") from None


def _bounded(data: bytes) -> bytes:
    if len(data) > DOCUMENT_BYTES_MAX:
        raise KeysUnusable(f"it is longer than {DOCUMENT_BYTES_MAX} bytes")
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from where the operator said, and from nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirect)
