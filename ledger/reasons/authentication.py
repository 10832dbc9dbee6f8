"""Who calls, and what they may."""

from __future__ import annotations

from typing import Final

from ledger.reasons.form import (
    AGAIN,
    BOTH,
    DENIED,
    UNPROVEN,
    Area,
    Row,
)

AREAS: Final = (
    Area(
        "Not proven",
        "security.md",
        "Nobody knows who calls.",
        (
            Row(
                "TOKEN_REQUIRED",
                UNPROVEN,
                "The server asks who calls, and nothing says it.",
                "Send `authorization: Bearer ...` with a token or an API key, or a client "
                "certificate.",
                BOTH,
            ),
            Row(
                "TOKEN_MALFORMED",
                UNPROVEN,
                "What stands in `authorization` is neither a token nor an API key.",
                "Send `Bearer`, a space and the token as it was issued.",
                BOTH,
            ),
            Row(
                "TOKEN_ALGORITHM_REFUSED",
                UNPROVEN,
                "The token is signed in a way that is not taken, or that its key is not for.",
                "Have it signed by one of the algorithms that are named.",
                BOTH,
            ),
            Row(
                "TOKEN_KEY_UNKNOWN",
                UNPROVEN,
                "The key that signed the token is not among those of its issuer.",
                "Get a new token; see that the server reads the issuer's present keys.",
                BOTH,
            ),
            Row(
                "TOKEN_FORGED",
                UNPROVEN,
                "The signature of the token does not fit what it says.",
                "Get a token from its issuer.",
                BOTH,
            ),
            Row(
                "TOKEN_EXPIRED",
                UNPROVEN,
                "The token has expired.",
                "Get a new one.",
                BOTH,
            ),
            Row(
                "TOKEN_NOT_YET_VALID",
                UNPROVEN,
                "The token begins later than the server's clock.",
                "Wait, or set the clocks.",
                BOTH,
            ),
            Row(
                "TOKEN_ISSUER_WRONG",
                UNPROVEN,
                "The token is of another issuer than the server trusts.",
                "Get one of `--auth-issuer`.",
                BOTH,
            ),
            Row(
                "TOKEN_AUDIENCE_WRONG",
                UNPROVEN,
                "The token is for another audience than this ledger.",
                "Get one for `--auth-audience`.",
                BOTH,
            ),
            Row(
                "TOKEN_CLAIMS_INVALID",
                UNPROVEN,
                "A claim of the token is missing, or says what cannot be.",
                "Have the issuer put the claims in that the page lists.",
                BOTH,
            ),
            Row(
                "TOKENS_NOT_TAKEN",
                UNPROVEN,
                "The server takes no signed tokens.",
                "Send an API key or a certificate, or start the server with `--auth-jwks`.",
                BOTH,
            ),
            Row(
                "API_KEY_UNKNOWN",
                UNPROVEN,
                "Nobody issued this API key here, or its accounts are not there any more.",
                "Issue one with `drawdown token issue`.",
                BOTH,
            ),
            Row(
                "API_KEY_REVOKED",
                UNPROVEN,
                "The API key was revoked.",
                "Use another one.",
                BOTH,
            ),
            Row(
                "API_KEY_EXPIRED",
                UNPROVEN,
                "The API key has expired.",
                "Issue another one.",
                BOTH,
            ),
            Row(
                "CERTIFICATE_UNKNOWN",
                UNPROVEN,
                "The client certificate stands for nobody here.",
                "Have its name added to the file of `--auth-certificates`, or send a token.",
            ),
            Row(
                "SERVER_UNPROVEN",
                UNPROVEN,
                "The call says that a server of this ledger passed it on, and does not prove it.",
                "Leave the headers of servers out; between servers, use one database and the same"
                " settings.",
                BOTH,
            ),
        ),
    ),
    Area(
        "Not permitted",
        "security.md#scopes",
        "Who calls is known, and may not do this.",
        (
            Row(
                "SCOPE_MISSING",
                DENIED,
                "The caller lacks the scope that the call asks for.",
                "Use a token with the scope that is named.",
                BOTH,
            ),
            Row(
                "TENANT_NOT_PERMITTED",
                DENIED,
                "The caller is of another tenant.",
                "Name the caller's own tenant, or use a token of that one.",
                BOTH,
            ),
            Row(
                "NOT_PERMITTED",
                DENIED,
                "The caller may not act for the account, or there is none of that name.",
                "Name an account that the token covers, or use another token.",
                BOTH,
            ),
            Row(
                "WHOLE_TENANT_NEEDED",
                DENIED,
                "The call concerns the whole tenant, and the caller covers some of its accounts.",
                "Name an account that is covered, or use a token without accounts.",
            ),
            Row(
                "SERVERS_ONLY",
                DENIED,
                "Only servers of this ledger make this call.",
                "Use the call's public counterpart.",
            ),
        ),
    ),
    Area(
        "Not found out",
        "security.md",
        "It could not be looked up; safe to send again.",
        (
            Row(
                "AUTHENTICATION_UNAVAILABLE",
                AGAIN,
                "Keys cannot be looked up now: the database or the token's issuer is away.",
                "Send the same again.",
                BOTH,
            ),
        ),
    ),
)
