"""What a verified token says, made a principal: sub, tenant, accounts, scope.

Only what the issuer signed gets here. A claim of a wrong type refuses the token: half a token is
never half a right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.auth.principal import Kind, Principal, principal_fault, scopes_of
from ledger.auth.refusals import AuthRefused, Unproven


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """The principal of a token's claims. Raises AuthRefused TOKEN_CLAIMS_INVALID.

    `scope` is a text of words (RFC 8693) or a list; `accounts` a list, absent for the whole tenant;
    `tenant` "*" stands for all.
    """
    scope = claims.get("scope")
    words: Any = scope.split() if isinstance(scope, str) else scope
    if not _is_texts(words):
        raise _invalid("its scope is a text of words, or a list of them")
    try:
        scopes = scopes_of(words)
    except ValueError as error:
        raise _invalid(str(error)) from None
    accounts = claims.get("accounts")
    if "accounts" in claims and not (_is_texts(accounts) and accounts):
        raise _invalid("its accounts are a list of account ids; leave it out for the whole tenant")
    subject, tenant = claims.get("sub"), claims.get("tenant")
    if not isinstance(subject, str) or not isinstance(tenant, str):
        raise _invalid("its sub and its tenant are texts")
    principal = Principal(Kind.TOKEN, subject, scopes, tenant, tuple(accounts or ()))
    fault = principal_fault(principal)
    if fault:
        raise _invalid(fault)
    return principal


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _invalid(message: str) -> AuthRefused:
    return AuthRefused(Unproven.TOKEN_CLAIMS_INVALID, f"the token says what cannot be: {message}")
