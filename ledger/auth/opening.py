"""An authenticator put together from what an operator set. Opens files and URLs; keeps nothing.

API keys of the database are taken wherever callers are asked at all; signed tokens where their
issuer's keys are named; certificates where TLS asks for them.
"""

from __future__ import annotations

from typing import Protocol

from ledger.auth.api_keys import Clock, KeyFinder, KeyVerifier
from ledger.auth.asked import Asked
from ledger.auth.authenticator import Authenticator
from ledger.auth.certificates import Certificates, read_certificates
from ledger.auth.key_sources import KeySet, MonotonicClock
from ledger.auth.passing import PrincipalSeal
from ledger.auth.tokens import TokenVerifier
from ledger.core.limits import SECOND_US


class Clocks(Clock, MonotonicClock, Protocol):
    """Both clocks of a machine."""


async def open_authenticator(
    asked: Asked, clock: Clocks, keys: KeyFinder, seal: PrincipalSeal
) -> Authenticator:
    """Raises KeysUnusable, CertificatesInvalid."""
    tokens = None
    if asked.jwks is not None:
        key_set = KeySet(asked.jwks, asked.refresh_s * SECOND_US, clock)
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
