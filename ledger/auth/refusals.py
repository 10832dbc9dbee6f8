"""Why a caller is not let in: reasons that never change their meaning, and the one exception.

`Unproven`: nobody knows who calls. `Denied`: we know, and they may not. `Undecided`: it could not
be found out now. Messages say what to do, and never show a secret.
"""

from __future__ import annotations

from enum import StrEnum


class Unproven(StrEnum):
    """Who calls is not proven. UNAUTHENTICATED, HTTP 401."""

    TOKEN_REQUIRED = "TOKEN_REQUIRED"
    TOKEN_MALFORMED = "TOKEN_MALFORMED"
    TOKEN_ALGORITHM_REFUSED = "TOKEN_ALGORITHM_REFUSED"
    TOKEN_KEY_UNKNOWN = "TOKEN_KEY_UNKNOWN"
    TOKEN_FORGED = "TOKEN_FORGED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    TOKEN_NOT_YET_VALID = "TOKEN_NOT_YET_VALID"
    TOKEN_ISSUER_WRONG = "TOKEN_ISSUER_WRONG"
    TOKEN_AUDIENCE_WRONG = "TOKEN_AUDIENCE_WRONG"
    TOKEN_CLAIMS_INVALID = "TOKEN_CLAIMS_INVALID"
    TOKENS_NOT_TAKEN = "TOKENS_NOT_TAKEN"
    API_KEY_UNKNOWN = "API_KEY_UNKNOWN"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    API_KEY_EXPIRED = "API_KEY_EXPIRED"
    CERTIFICATE_UNKNOWN = "CERTIFICATE_UNKNOWN"
    SERVER_UNPROVEN = "SERVER_UNPROVEN"


class Denied(StrEnum):
    """Who calls is known, and may not do this. PERMISSION_DENIED, HTTP 403."""

    SCOPE_MISSING = "SCOPE_MISSING"
    TENANT_NOT_PERMITTED = "TENANT_NOT_PERMITTED"
    NOT_PERMITTED = "NOT_PERMITTED"
    """The account is none of those that the caller may act for, or is not there at all: whoever
    may not see an account does not learn whether it exists."""

    WHOLE_TENANT_NEEDED = "WHOLE_TENANT_NEEDED"
    SERVERS_ONLY = "SERVERS_ONLY"


class Undecided(StrEnum):
    """It could not be found out; safe to try again. UNAVAILABLE, HTTP 503."""

    AUTHENTICATION_UNAVAILABLE = "AUTHENTICATION_UNAVAILABLE"


Why = Unproven | Denied | Undecided


class AuthRefused(Exception):
    """A caller that is not let in; `field` and `value` name what was asked for, never a secret."""

    def __init__(self, reason: Why, message: str, *, field: str = "", value: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field
        self.value = value

    @property
    def http_status(self) -> int:
        """401, 403 or 503."""
        if isinstance(self.reason, Unproven):
            return 401
        return 403 if isinstance(self.reason, Denied) else 503
