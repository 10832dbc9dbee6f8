"""API keys of our own: minted once, kept as a digest, verified within a bound of their revocation.

A key is `dd_{id}_{secret}`: 8 and 32 random bytes in hex. The secret has 256 random bits, so a
plain digest of it tells nobody anything. What was verified is believed for a second from the moment
that the question was sent to the database: so long may a revoked key go on, on any server.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

import msgspec

from ledger.auth.principal import Kind, Principal, lasting, scopes_of
from ledger.auth.refusals import AuthRefused, Undecided, Unproven
from ledger.auth.tokens import Verified
from ledger.journal.errors import JournalUnavailable

PREFIX: Final = "dd_"
REVOCATION_US: Final = 1_000_000
"""How long a key that was revoked may still be taken."""

LOOKS_MAX: Final = 4  # keys looked up at once; a flood of invented ones queues, not the pool
LABEL_BYTES_MAX: Final = 128
_FORM: Final = re.compile(r"dd_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)


class NewKey(NamedTuple):
    """A key as it is minted; `secret` is shown once and kept nowhere."""

    id: str
    digest: bytes
    secret: str


class StoredKey(msgspec.Struct, frozen=True):
    """A key to verify by. `missing`: it names accounts, and one of them is no more."""

    id: str
    digest: bytes
    tenant: str
    accounts: tuple[str, ...]
    scopes: tuple[str, ...]
    expires_at_us: int
    revoked: bool
    missing: bool = False


class KeyFinder(Protocol):
    """Where keys stand. Raises JournalUnavailable."""

    async def find(self, key_id: str) -> StoredKey | None:
        """The key of that id."""
        ...


class Clock(Protocol):
    """Microseconds since 1970, UTC."""

    def now_us(self) -> int:
        """Now."""
        ...


def mint_key() -> NewKey:
    """A new key."""
    key_id, secret = secrets.token_hex(8), secrets.token_bytes(32)
    return NewKey(key_id, _digest(secret), f"{PREFIX}{key_id}_{secret.hex()}")


class KeyVerifier:
    """Verifies API keys."""

    generation: Final = 0
    fresh: Final = True

    def __init__(self, finder: KeyFinder, clock: Clock) -> None:
        self._finder = finder
        self._clock = clock
        self._slots = asyncio.Semaphore(LOOKS_MAX)

    async def verify(self, token: str) -> Verified:
        """Who the key speaks for. Raises AuthRefused."""
        form = _FORM.fullmatch(token)
        if form is None:
            message = "this is no API key: it has been cut or mistyped"
            raise AuthRefused(Unproven.TOKEN_MALFORMED, message)
        try:
            async with self._slots:
                asked_at = self._clock.now_us()
                stored = await self._finder.find(form[1])
        except JournalUnavailable:
            raise AuthRefused(
                Undecided.AUTHENTICATION_UNAVAILABLE,
                "API keys cannot be verified while the database is away; send it again",
            ) from None
        digest = _digest(bytes.fromhex(form[2]))
        if stored is None or not hmac.compare_digest(stored.digest, digest):
            raise AuthRefused(
                Unproven.API_KEY_UNKNOWN,
                "nobody issued this API key here: `drawdown token issue` makes one",
            )
        if stored.revoked:
            message = "the API key was revoked: get a new one"
            raise AuthRefused(Unproven.API_KEY_REVOKED, message, field="key", value=stored.id)
        if 0 < stored.expires_at_us <= asked_at:
            message = "the API key has expired: get a new one"
            raise AuthRefused(Unproven.API_KEY_EXPIRED, message, field="key", value=stored.id)
        if stored.missing and not stored.accounts:
            message = "the accounts of the API key are gone: get a new one"
            raise AuthRefused(Unproven.API_KEY_UNKNOWN, message, field="key", value=stored.id)
        until_us = asked_at + REVOCATION_US
        if stored.expires_at_us:
            until_us = min(until_us, stored.expires_at_us)
        scopes = scopes_of(stored.scopes)
        principal = Principal(Kind.API_KEY, stored.id, scopes, stored.tenant, stored.accounts)
        return Verified(lasting(principal, stored.expires_at_us), until_us)


def _digest(secret: bytes) -> bytes:
    return blake2b(secret, digest_size=32).digest()
