"""A principal that one server of a database hands to another, sealed with what only servers have.

The seal is a keyed BLAKE2b over method, principal and an instant after which it counts no more; the
key is a random secret in the database. So a client cannot say for whom it calls, and a server does
not hand on the token that it was shown. The channel between servers keeps others from reading it.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import Final

import msgspec

from ledger.auth.api_keys import Clock
from ledger.auth.principal import Principal
from ledger.auth.refusals import AuthRefused, Unproven
from ledger.core.limits import MINUTE_US

METADATA: Final = "drawdown-caller-bin"
LIFETIME_US: Final = MINUTE_US
"""From the sealing to its first look: what clocks differ by, and the way."""

_SEAL_BYTES: Final = 32
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, str, Principal]).decode


class PrincipalSeal:
    """Seals and opens."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def seal(self, principal: Principal, method: str) -> bytes:
        """What goes with a call of that method that is passed on."""
        body = _encode((self._clock.now_us() + LIFETIME_US, method, principal))
        return self._seal_of(body) + body

    def open(self, sealed: bytes, method: str) -> Principal:
        """For whom a call is passed on. Raises AuthRefused SERVER_UNPROVEN."""
        seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal_of(body)):
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

    def _seal_of(self, body: bytes) -> bytes:
        return blake2b(
            body, key=self._secret, digest_size=_SEAL_BYTES, person=b"dd-caller"
        ).digest()


def _unproven(why: str) -> AuthRefused:
    return AuthRefused(
        Unproven.SERVER_UNPROVEN,
        f"the call says that a server passed it on, and does not prove it: {why}",
    )
