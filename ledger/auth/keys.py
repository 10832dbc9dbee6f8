"""Public keys of an issuer, read from PEM, JWK or JWKS: which kid, which algorithms.

Asymmetric keys only: what verifies must not be able to sign. A key's own kind fixes the algorithms
that it verifies, whatever a token's header asks for, so that a public key is never taken for a
shared secret and "none" never for an algorithm.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

RSA_BITS_MIN: Final = 2_048
KEYS_MAX: Final = 100  # of one issuer
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS: Final = frozenset({"EdDSA", *_CURVES.values(), *_RSA})
"""All that are taken."""

_KINDS: Final = (
    ("RSA", None),
    ("EC", "P-256"),
    ("EC", "P-384"),
    ("EC", "P-521"),
    ("OKP", "Ed25519"),
)
"""(kty, crv) of those that verify tokens."""

_BEGIN: Final = b"-----BEGIN "


class KeysUnusable(ValueError):
    """There is no key that could verify a token; the message says why."""


class VerifyingKey(NamedTuple):
    """A public key; `kid` is the issuer's name for it, or its RFC 7638 thumbprint."""

    kid: str
    algorithms: frozenset[str]
    key: Any


def read_keys(data: bytes) -> dict[str, VerifyingKey]:
    """The keys of a PEM file, a JWK or a JWKS, by kid. Raises KeysUnusable.

    Keys for encryption, of unknown kinds and symmetric ones among others are passed over.
    """
    keys = list(_from_pem(data) if _BEGIN in data else _from_json(data))
    if not keys:
        raise KeysUnusable("there is no public RSA, EC or Ed25519 key for signatures in it")
    if len(keys) > KEYS_MAX:
        raise KeysUnusable(f"{len(keys)} keys; at most {KEYS_MAX} are possible")
    found = {key.kid: key for key in keys}
    if len(found) < len(keys):
        raise KeysUnusable("two keys have the same kid")
    return found


def jwk_of(public_key: Any) -> dict[str, Any]:
    """A public key as JWK, its kid the thumbprint. Raises KeysUnusable for kinds not taken."""
    jwk: dict[str, Any]
    if isinstance(public_key, Ed25519PublicKey):
        jwk = OKPAlgorithm.to_jwk(public_key, as_dict=True)
    elif isinstance(public_key, EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public_key, as_dict=True)
    elif isinstance(public_key, RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public_key, as_dict=True)
        jwk.pop("key_ops", None)
    else:
        raise KeysUnusable("a key of this kind signs no token: use Ed25519, EC or RSA")
    return {**jwk, "kid": thumbprint(jwk), "use": "sig"}


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638: SHA-256 over the members that the key's kind requires."""
    members = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
    required = {name: jwk[name] for name in members[jwk["kty"]]}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def _from_pem(data: bytes) -> Iterator[VerifyingKey]:
    for block in data.split(_BEGIN)[1:]:
        kind = block.partition(b"-----")[0]
        if b"PRIVATE" in kind:
            raise KeysUnusable("it holds a private key: give the public one to whoever verifies")
        try:
            if kind == b"CERTIFICATE":
                public: Any = load_pem_x509_certificate(_BEGIN + block).public_key()
            else:
                public = load_pem_public_key(_BEGIN + block)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeysUnusable(f"a PEM block cannot be read: {error}") from None
        yield _key(public, jwk_of(public)["kid"], None)


def _from_json(data: bytes) -> Iterator[VerifyingKey]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise KeysUnusable("it is neither PEM nor JSON") from None
    if not isinstance(document, dict):
        raise KeysUnusable("it is no JWK or JWKS: a JSON object is expected")
    jwks = document.get("keys", [document])
    if not isinstance(jwks, list) or not all(isinstance(jwk, dict) for jwk in jwks):
        raise KeysUnusable('"keys" is a list of JWKs')
    for jwk in jwks:
        if (jwk.get("kty"), jwk.get("crv")) not in _KINDS or jwk.get("use", "sig") != "sig":
            continue
        if "d" in jwk:
            raise KeysUnusable("it holds a private key: give the public ones to whoever verifies")
        algorithm = jwk.get("alg")
        if algorithm is not None and not (isinstance(algorithm, str) and algorithm in ALGORITHMS):
            continue
        try:
            public = PyJWK(jwk, algorithm or _some_algorithm(jwk)).key
            kid = jwk.get("kid") or thumbprint(jwk)
        except (PyJWTError, ValueError, KeyError, TypeError, UnsupportedAlgorithm) as error:
            raise KeysUnusable(f"a JWK cannot be read: {error}") from None
        if not isinstance(kid, str):
            raise KeysUnusable("a kid is a text")
        yield _key(public, kid, algorithm)


def _some_algorithm(jwk: dict[str, Any]) -> str:
    """Any algorithm of the JWK's kind: all read it alike."""
    return {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[jwk["kty"]]


def _key(public: Any, kid: str, algorithm: str | None) -> VerifyingKey:
    """With the algorithms of its kind; `algorithm` None: all of them."""
    if isinstance(public, RSAPublicKey):
        if public.key_size < RSA_BITS_MIN:
            raise KeysUnusable(f"an RSA key of {public.key_size} bits: {RSA_BITS_MIN} are needed")
        possible = _RSA
    elif isinstance(public, EllipticCurvePublicKey) and public.curve.name in _CURVES:
        possible = frozenset({_CURVES[public.curve.name]})
    elif isinstance(public, Ed25519PublicKey):
        possible = frozenset({"EdDSA"})
    else:
        raise KeysUnusable("a key of this kind verifies no token: use Ed25519, EC or RSA")
    if algorithm is not None and algorithm not in possible:
        raise KeysUnusable(f"a JWK says that it is for {algorithm}, which its kind cannot be")
    return VerifyingKey(kid, possible if algorithm is None else frozenset({algorithm}), public)
