"""An authenticator put together from what an operator set. Opens files and URLs; keeps nothing.

API keys of the database are taken wherever callers are asked at all; signed tokens where their
issuer's keys are named; certificates where TLS asks for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import msgspec

from ledger.auth.api_keys import Clock, KeyFinder, KeyVerifier
from ledger.auth.authenticator import Authenticator
from ledger.auth.certificates import Certificates, read_certificates
from ledger.auth.key_sources import KeySet, MonotonicClock
from ledger.auth.passing import PrincipalSeal
from ledger.auth.tokens import LEEWAY_S_DEFAULT, TokenVerifier

REFRESH_S_DEFAULT: Final = 60
US_A_SECOND: Final = 1_000_000


class Asked(msgspec.Struct, frozen=True):
    """How callers prove who they are.

    `jwks`: file or URL of an issuer's public keys; `certificates`: the file that maps names of
    client certificates; `any_certificate`: without such a file each one is an operator's.
    """

    jwks: str | None = None
    issuer: str = ""
    audience: str = ""
    leeway_s: int = LEEWAY_S_DEFAULT
    refresh_s: int = REFRESH_S_DEFAULT
    certificates: Path | None = None
    any_certificate: bool = False


class Clocks(Clock, MonotonicClock, Protocol):
    """Both clocks of a machine."""


async def open_authenticator(
    asked: Asked, clock: Clocks, keys: KeyFinder, seal: PrincipalSeal
) -> Authenticator:
    """Raises KeysUnusable, CertificatesInvalid."""
    tokens = None
    if asked.jwks is not None:
        key_set = KeySet(asked.jwks, asked.refresh_s * US_A_SECOND, clock)
        await key_set.open()
        tokens = TokenVerifier(key_set, asked.issuer, asked.audience, asked.leeway_s)
    certificates = Certificates(None) if asked.any_certificate else None
    if asked.certificates is not None:
        certificates = read_certificates(asked.certificates)
    return Authenticator(
        clock,
        tokens=tokens,
        keys=KeyVerifier(keys, clock),
        certificates=certificates,
        seal=seal,
    )
