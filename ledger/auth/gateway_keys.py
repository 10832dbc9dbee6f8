"""What the servers of a database sign with what a gateway hands back: keys that no client sees.

The signature is a keyed BLAKE2b of the text, by secrets that all servers share.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from ledger.auth.api_keys import Clock
from ledger.auth.shared_keys import SECRET_BYTES, SharedKey, SharedKeys


class GatewayKeySource(Protocol):
    """Where they stand; `PostgresKeyStore` does."""

    async def gateway_keys(self) -> Sequence[SharedKey]:
        """All of them, the newest first, at least one. Raises JournalError."""
        ...


class MemoryGatewayKeys:
    """Of servers in one process."""

    def __init__(self) -> None:
        self.keys = [SharedKey(secrets.token_bytes(SECRET_BYTES), 0)]

    async def gateway_keys(self) -> Sequence[SharedKey]:
        """See GatewayKeySource."""
        return self.keys


class GatewayKeys:
    """Those that one server knows; `learn` before anything else."""

    def __init__(self, source: GatewayKeySource, clock: Clock) -> None:
        self._keys = SharedKeys(source.gateway_keys, clock)

    async def learn(self) -> None:
        """Read them. Raises JournalError."""
        await self._keys.learn()

    def signature(self, text: str) -> str:
        """By the newest key: 43 characters of base64."""
        return _signature(self._keys.newest, text)

    async def signed(self, text: str, signature: str) -> bool:
        """Whether one of our servers signed it, with a key that counts. Raises JournalError where
        none that is known fits and they cannot be read."""
        await self._keys.refresh()
        said = signature.encode()
        return await self._keys.fits(
            lambda secret: hmac.compare_digest(_signature(secret, text).encode(), said)
        )


def _signature(secret: bytes, text: str) -> str:
    digest = blake2b(text.encode(), key=secret, digest_size=32, person=b"dd-let-in").digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
