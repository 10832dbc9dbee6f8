"""An issuer of tokens for the tests: keys of several kinds, tokens good and bad."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.auth.key_sources import KeySet
from ledger.auth.keys import jwk_of
from ledger.auth.tokens import TokenVerifier

ISSUER = "https://issuer.example"
AUDIENCE = "ledger"


def new_key(kind: str = "EdDSA") -> Any:
    if kind == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, 2_048)


def jwks(*keys: Any, **more: Any) -> bytes:
    return json.dumps({"keys": [{**jwk_of(key.public_key()), **more} for key in keys]}).encode()


def kid_of(key: Any) -> str:
    return str(jwk_of(key.public_key())["kid"])


def pem_of(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    now = int(time.time())
    found = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "tenant": "default",
        "scope": "read ingest",
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(key: Any, algorithm: str = "EdDSA", header: Any = None, **changes: Any) -> str:
    headers = {"kid": kid_of(key), **(header or {})}
    headers = {name: value for name, value in headers.items() if value is not None}
    return jwt.encode(claims(**changes), key, algorithm, headers=headers)


@dataclass
class Clock:
    """A clock that stands until it is moved; both clocks are one."""

    us: int = field(default_factory=lambda: time.time_ns() // 1_000)

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


async def verifier(path: Any, clock: Clock | None = None, **options: Any) -> TokenVerifier:
    """A verifier of the keys in that file, which are read."""
    keys = KeySet(str(path), 60_000_000, clock or Clock())
    await keys.open()
    fields = {"issuer": ISSUER, "audience": AUDIENCE, "leeway_s": 30, **options}
    return TokenVerifier(keys, **fields)
