"""Key pairs and signed tokens of our own, for those who have no issuer: `drawdown token`.

A key file is made readable by its owner alone, and never over another. Never prints or logs one.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.auth.keys import KeysUnusable, jwk_of, read_keys
from ledger.auth.principal import Principal
from ledger.integrity.key_files import KeyUnusable, write_key_file

LIFETIME_S_MAX: Final = 366 * 86_400


class SigningKey:
    """A private key that signs tokens."""

    def __init__(self, private: Any) -> None:
        """Raises KeysUnusable for kinds that sign no tokens."""
        self._private = private
        self.jwk = jwk_of(private.public_key())
        self.key_id: str = self.jwk["kid"]
        [key] = read_keys(json.dumps(self.jwk).encode()).values()
        self._algorithm = min(key.algorithms)  # PS256 of RSA's

    def sign(
        self,
        principal: Principal,
        issuer: str,
        audience: str,
        now_s: int,
        expires_s: int,
        token_id: str,
    ) -> str:
        """A token that speaks for the principal. Times are seconds since 1970."""
        claims: dict[str, object] = {
            "iss": issuer,
            "aud": audience,
            "sub": principal.id,
            "tenant": principal.tenant,
            "scope": " ".join(sorted(principal.scopes)),
            "iat": now_s,
            "nbf": now_s,
            "exp": expires_s,
            "jti": token_id,
        }
        if principal.accounts:
            claims["accounts"] = list(principal.accounts)
        header = {"kid": self.key_id, "typ": "at+jwt"}
        return jwt.encode(claims, self._private, self._algorithm, headers=header)

    @property
    def jwks(self) -> Mapping[str, object]:
        """What --auth-jwks of a server reads: public keys alone."""
        return {"keys": [{**self.jwk, "alg": self._algorithm}]}


def create_signing_key(path: Path) -> SigningKey:
    """Make an Ed25519 key in a new file. Raises KeysUnusable."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write_key_file(path, pem)
    except KeyUnusable as error:
        raise KeysUnusable(str(error)) from None
    return SigningKey(private)


def read_signing_key(path: Path) -> SigningKey:
    """The private key of a PEM file. Raises KeysUnusable."""
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise KeysUnusable(f"the key file {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise KeysUnusable(
            f"{path} holds no private key in PEM without a passphrase; "
            "`drawdown token key FILE` makes one"
        ) from None
    return SigningKey(private)


def add_to_jwks(path: Path, key: SigningKey) -> None:
    """Put the public key beside those of a JWKS file, or begin one. Raises KeysUnusable.

    The file is replaced whole: a server that reads it meanwhile sees the old one or the new one.
    """
    keys: list[object] = []
    if path.exists():
        data = path.read_bytes()
        read_keys(data)
        keys = json.loads(data)["keys"]
    keys = [each for each in keys if not _is(each, key.key_id)]
    document = {"keys": [*keys, *_keys(key)]}
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        partial.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise KeysUnusable(f"{path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _is(jwk: object, key_id: str) -> bool:
    return isinstance(jwk, dict) and jwk.get("kid") == key_id


def _keys(key: SigningKey) -> list[object]:
    found = key.jwks["keys"]
    assert isinstance(found, list)
    return found
