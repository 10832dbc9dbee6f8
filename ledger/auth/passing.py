"""A principal that one server of a database hands to another, sealed with what only servers have.

The seal is a keyed BLAKE2b over method, principal and an instant after which it counts no more; the
key is a random secret in the database, which is renewed on demand. So a client cannot say for whom
it calls, and a server does not hand on the token that it was shown. The channel between servers
keeps others from reading it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from ledger.auth.api_keys import Clock
from ledger.auth.principal import Principal
from ledger.auth.refusals import AuthRefused, Undecided, Unproven
from ledger.auth.shared_keys import LEARN_S, SharedKey, SharedKeys
from ledger.core.limits import MINUTE_US, SECOND_US
from ledger.journal.errors import JournalError

METADATA: Final = "drawdown-caller-bin"
LIFETIME_US: Final = MINUTE_US
"""From the sealing to its first look: what clocks differ by, and the way."""

BEFORE_US: Final = 2 * LIFETIME_US + 30 * SECOND_US
"""How long an earlier secret counts: until every server has learned the new one, and a seal's."""

_SEAL_BYTES: Final = 32
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, str, Principal]).decode

logger = logging.getLogger(__name__)


class ServerKeySource(Protocol):
    """Where the secrets of servers stand; `PostgresKeyStore` does."""

    async def server_keys(self) -> Sequence[SharedKey]:
        """All of them, the newest first, at least one. Raises JournalError."""
        ...


class PrincipalSeal:
    """Seals and opens; `learn` before anything else."""

    def __init__(
        self, source: ServerKeySource, clock: Clock, known: Sequence[SharedKey] = ()
    ) -> None:
        """`known`: what was read by now."""
        self._keys = SharedKeys(source.server_keys, clock, known)
        self._clock = clock

    async def learn(self) -> None:
        """Read the secrets. Raises JournalError."""
        await self._keys.learn()

    async def keep_learning(self) -> None:
        """Every LEARN_S, for as long as it is let, whatever the database says in between."""
        while True:
            await asyncio.sleep(LEARN_S)
            try:
                await self.learn()
            except JournalError:
                pass  # it is away: the writers say so
            except Exception:
                logger.exception("the secrets of the servers cannot be read")

    def seal(self, principal: Principal, method: str) -> bytes:
        """What goes with a call of that method that is passed on."""
        body = _encode((self._clock.now_us() + LIFETIME_US, method, principal))
        return _seal_of(self._keys.newest, body) + body

    async def open(self, sealed: bytes, method: str) -> Principal:
        """For whom a call is passed on. Raises AuthRefused SERVER_UNPROVEN, or
        AUTHENTICATION_UNAVAILABLE where the secrets cannot be read."""
        seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        try:
            ours = await self._keys.fits(
                lambda secret: hmac.compare_digest(seal, _seal_of(secret, body))
            )
        except JournalError as error:
            message = "the secrets of the servers cannot be read: ask again"
            raise AuthRefused(Undecided.AUTHENTICATION_UNAVAILABLE, message) from error
        if not ours:
            raise _unproven("no server of this database sealed it")
        try:
            until_us, sealed_method, principal = _decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _unproven("a server of another version sealed it") from None
        if sealed_method != method:
            raise _unproven("it was sealed for another method")
        if until_us < self._clock.now_us() or until_us > self._clock.now_us() + 2 * LIFETIME_US:
            raise _unproven("its time is over: are the clocks of the servers far apart?")
        return principal


def _seal_of(secret: bytes, body: bytes) -> bytes:
    return blake2b(body, key=secret, digest_size=_SEAL_BYTES, person=b"dd-caller").digest()


def _unproven(why: str) -> AuthRefused:
    return AuthRefused(
        Unproven.SERVER_UNPROVEN,
        f"the call says that a server passed it on, and does not prove it: {why}",
    )
