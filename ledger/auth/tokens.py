"""Signed tokens (JWT): verified by PyJWT under our rules, which are stricter than the format.

The algorithm is one that the key's kind allows; issuer, audience, expiry and subject are required;
extensions that we do not know (`crit`), detached and nested tokens are refused.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import jwt
from jwt import exceptions as faults

from ledger.auth.claims import principal_of
from ledger.auth.key_sources import KeySet
from ledger.auth.keys import ALGORITHMS
from ledger.auth.principal import Principal, lasting
from ledger.auth.refusals import AuthRefused, Unproven
from ledger.core.limits import SECOND_US

TOKEN_BYTES_MAX: Final = 8_192
TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})


class Verified(NamedTuple):
    """Who was proven, and until when that may be remembered, in microseconds since 1970."""

    principal: Principal
    until_us: int


class TokenVerifier:
    """Verifies the tokens of one issuer for one audience."""

    def __init__(self, keys: KeySet, issuer: str, audience: str, leeway_s: int) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s

    @property
    def generation(self) -> int:
        """What was verified under another one has to be verified again."""
        return self._keys.generation

    @property
    def fresh(self) -> bool:
        """Whether what was verified may be remembered without a look at the keys."""
        return self._keys.fresh

    async def verify(self, token: str) -> Verified:
        """Who the token speaks for. Raises AuthRefused."""
        kid, algorithm = _header(token)
        key = await self._keys.find(kid)
        if algorithm not in key.algorithms:
            raise AuthRefused(
                Unproven.TOKEN_ALGORITHM_REFUSED,
                "the token's algorithm is none that its key is for",
                field="alg",
                value=algorithm,
            )
        claims = self._claims(token, key.key, algorithm)
        until_us = (int(claims["exp"]) + self._leeway_s) * SECOND_US
        return Verified(lasting(principal_of(claims), until_us), until_us)

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except faults.PyJWTError as error:
            reason = next((why for kind, why in _REASONS if isinstance(error, kind)), _MALFORMED)
            raise AuthRefused(reason, _MESSAGES[reason]) from None
        except (OverflowError, ValueError, TypeError, RecursionError):
            raise AuthRefused(_MALFORMED, _MESSAGES[_MALFORMED]) from None
        return claims


def _header(token: str) -> tuple[str | None, str]:
    """(kid, algorithm) of the header, which nobody has signed yet."""
    if len(token) > TOKEN_BYTES_MAX:
        raise AuthRefused(_MALFORMED, f"a token has at most {TOKEN_BYTES_MAX} bytes")
    try:
        header = jwt.get_unverified_header(token)
    except (faults.PyJWTError, ValueError, RecursionError):
        raise AuthRefused(_MALFORMED, _MESSAGES[_MALFORMED]) from None
    kid, algorithm, kind = header.get("kid"), header.get("alg"), header.get("typ", "")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise AuthRefused(
            Unproven.TOKEN_ALGORITHM_REFUSED,
            f"tokens are signed with one of {', '.join(sorted(ALGORITHMS))}",
            field="alg",
            value=algorithm if isinstance(algorithm, str) else "",
        )
    if (
        not isinstance(kid, str | None)
        or not isinstance(kind, str)
        or kind.lower() not in TYPES
        or "crit" in header
        or header.get("b64", True) is not True
    ):
        raise AuthRefused(_MALFORMED, "the token's header asks for what is not supported")
    return kid, algorithm


_MALFORMED: Final = Unproven.TOKEN_MALFORMED
_REASONS: Final = (
    (faults.ExpiredSignatureError, Unproven.TOKEN_EXPIRED),
    (faults.ImmatureSignatureError, Unproven.TOKEN_NOT_YET_VALID),
    (faults.InvalidAudienceError, Unproven.TOKEN_AUDIENCE_WRONG),
    (faults.InvalidIssuerError, Unproven.TOKEN_ISSUER_WRONG),
    (faults.MissingRequiredClaimError, Unproven.TOKEN_CLAIMS_INVALID),
    (faults.InvalidAlgorithmError, Unproven.TOKEN_ALGORITHM_REFUSED),
    (faults.InvalidSignatureError, Unproven.TOKEN_FORGED),
    (faults.InvalidSubjectError, Unproven.TOKEN_CLAIMS_INVALID),
    (faults.DecodeError, _MALFORMED),
    (faults.InvalidTokenError, Unproven.TOKEN_CLAIMS_INVALID),
)
"""The first that fits: PyJWT's signature error is a decode error, and all are invalid tokens."""

_MESSAGES: Final = {
    Unproven.TOKEN_EXPIRED: "the token has expired: get a new one",
    Unproven.TOKEN_NOT_YET_VALID: "the token is not valid yet, by this server's clock",
    Unproven.TOKEN_AUDIENCE_WRONG: "the token is for another audience than this ledger's",
    Unproven.TOKEN_ISSUER_WRONG: "the token is of another issuer than this ledger trusts",
    Unproven.TOKEN_CLAIMS_INVALID: "the token lacks a claim: exp, iss, aud, sub, tenant and scope",
    Unproven.TOKEN_ALGORITHM_REFUSED: "the token's algorithm is none that its key is for",
    Unproven.TOKEN_FORGED: "the token's signature is not its issuer's",
    _MALFORMED: "this is no token: three parts in base64 with dots between",
}
