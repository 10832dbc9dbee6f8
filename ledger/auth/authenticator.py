"""One door: what a caller sent and what its transport proved, in; who it is, out.

What was verified is remembered by the digest of the token, until it expires, its issuer's keys
change or its time to be looked at again has come; so most calls cost one digest and one look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from ledger.auth.api_keys import PREFIX, Clock
from ledger.auth.certificates import Certificates
from ledger.auth.passing import PrincipalSeal
from ledger.auth.principal import Principal
from ledger.auth.refusals import AuthRefused, Unproven
from ledger.auth.tokens import TOKEN_BYTES_MAX, Verified

HEADER: Final = "authorization"
_SCHEME: Final = "bearer "
REMEMBERED_MAX: Final = 20_000  # tokens, x ~500 B = 10 MB; full, it begins anew


class Peer(NamedTuple):
    """What the transport proved of a caller: the names of its certificate, () = it showed none."""

    certificate_names: tuple[str, ...] = ()


NO_PEER: Final = Peer()


class Verifier(Protocol):
    """Verifies one kind of token."""

    @property
    def generation(self) -> int:
        """What was verified under another one has to be verified again."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether what was verified counts without a look at what it rests on."""
        ...

    async def verify(self, token: str) -> Verified:
        """Who the token speaks for. Raises AuthRefused."""
        ...


class _Remembered(NamedTuple):
    principal: Principal
    until_us: int
    verifier: Verifier
    generation: int


class Authenticator:
    """Verifies bearer tokens, API keys, certificates and what servers pass on."""

    def __init__(
        self,
        clock: Clock,
        *,
        tokens: Verifier | None = None,
        keys: Verifier | None = None,
        certificates: Certificates | None = None,
        seal: PrincipalSeal | None = None,
    ) -> None:
        """What is None is not taken."""
        self._clock = clock
        self._tokens = tokens
        self._certificates = certificates
        self._seal = seal
        self._by_prefix: dict[str, Verifier] = {} if keys is None else {PREFIX: keys}
        self._remembered: dict[bytes, _Remembered] = {}
        self._verifying: dict[bytes, asyncio.Task[Principal]] = {}

    def take(self, prefix: str, verifier: Verifier) -> None:
        """Have tokens that begin so verified by this one."""
        self._by_prefix[prefix] = verifier

    def remembered(self, authorization: str) -> Principal | None:
        """Who sent this header, if it was verified a moment ago; else ask `authenticate`."""
        found = self._remembered.get(_digest(authorization))
        if (
            found is None
            or found.until_us <= self._clock.now_us()
            or found.generation != found.verifier.generation
            or not found.verifier.fresh
        ):
            return None
        return found.principal

    async def authenticate(self, headers: Mapping[str, str], peer: Peer = NO_PEER) -> Principal:
        """Who calls: by `authorization: Bearer ...`, else by certificate. Raises AuthRefused.

        Names of headers are in lower case, as HTTP/2 and ASGI have them.
        """
        authorization = headers.get(HEADER, "")
        if authorization:
            return self.remembered(authorization) or await self._once(authorization)
        if peer.certificate_names and self._certificates is not None:
            return self._certificates.principal(peer.certificate_names)
        raise AuthRefused(
            Unproven.TOKEN_REQUIRED,
            "this ledger asks who calls: send `authorization: Bearer ...` with a token or an API "
            "key (`drawdown token issue` makes one; DRAWDOWN_TOKEN hands it to commands, "
            "`token=` to a client)",
        )

    async def passed_on(self, sealed: bytes, method: str) -> Principal:
        """For whom another server passes a call on. Raises AuthRefused."""
        if self._seal is None:
            message = "this server has no secret to tell other servers by"
            raise AuthRefused(Unproven.SERVER_UNPROVEN, message)
        return await self._seal.open(sealed, method)

    async def _once(self, authorization: str) -> Principal:
        """Verify a token once for all calls that bring it at the same time."""
        digest = _digest(authorization)
        task = self._verifying.get(digest)
        if task is None:
            task = self._verifying[digest] = asyncio.create_task(self._verify(authorization))
            task.add_done_callback(lambda done: self._verified(digest, done))
        return await asyncio.shield(task)

    def _verified(self, digest: bytes, task: asyncio.Task[Principal]) -> None:
        del self._verifying[digest]
        if not task.cancelled():
            task.exception()  # whoever waited knows; nobody may be left

    async def _verify(self, authorization: str) -> Principal:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            message = "authorization is `Bearer` and a token; no other scheme is taken"
            raise AuthRefused(Unproven.TOKEN_MALFORMED, message)
        token = authorization[len(_SCHEME) :].strip()
        if not token or len(token) > TOKEN_BYTES_MAX or not token.isascii():
            message = f"a token has 1 to {TOKEN_BYTES_MAX} characters of ASCII"
            raise AuthRefused(Unproven.TOKEN_MALFORMED, message)
        verifier = self._verifier_of(token)
        verified = await verifier.verify(token)
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[_digest(authorization)] = _Remembered(
            verified.principal, verified.until_us, verifier, verifier.generation
        )
        return verified.principal

    def _verifier_of(self, token: str) -> Verifier:
        for prefix, verifier in self._by_prefix.items():
            if token.startswith(prefix):
                return verifier
        if self._tokens is None:
            message = "this ledger takes API keys, and no signed tokens: --auth-jwks is not set"
            raise AuthRefused(Unproven.TOKENS_NOT_TAKEN, message)
        return self._tokens


def _digest(authorization: str) -> bytes:
    return blake2b(authorization.encode(errors="replace"), digest_size=16).digest()
