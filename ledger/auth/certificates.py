"""Client certificates that stand for principals, by a file of the operator (TOML).

    [[certificate]]
    name = "spiffe://acme/billing"      # a subject alternative name, or the common name
    id = "billing"                      # of the principal; by default the name
    tenant = "acme"                     # "*" = all
    accounts = ["acme/search"]          # left out: the whole tenant
    scopes = ["ingest", "decide"]

The transport has verified the certificate; a name counts only where its authority gave it. Without
a file every certificate of the authority is an operator's, as those of a private authority are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ledger.auth.principal import (
    ALL_SCOPES,
    ALL_TENANTS,
    ID_BYTES_MAX,
    Kind,
    Principal,
    principal_fault,
    scopes_of,
)
from ledger.auth.refusals import AuthRefused, Unproven

_FIELDS: Final = frozenset({"name", "id", "tenant", "accounts", "scopes"})


class CertificatesInvalid(ValueError):
    """The file says what cannot be; the message says where."""


class Certificates:
    """Principals by the names of certificates; `None`: every certificate is an operator's."""

    def __init__(self, principals: Mapping[str, Principal] | None) -> None:
        self._principals = principals

    def principal(self, names: Sequence[str]) -> Principal:
        """Whom a certificate with these names stands for. Raises AuthRefused."""
        if self._principals is None:
            name = next((name for name in names if name), "unnamed")
            shown = name.encode()[:ID_BYTES_MAX].decode(errors="ignore")
            return Principal(Kind.CERTIFICATE, shown, ALL_SCOPES, ALL_TENANTS)
        for name in names:
            if (found := self._principals.get(name)) is not None:
                return found
        raise AuthRefused(
            Unproven.CERTIFICATE_UNKNOWN,
            "the client certificate stands for nobody here: have its name added to the file of "
            "--auth-certificates, or send a token",
            field="certificate",
            value=", ".join(names),
        )


def read_certificates(path: Path) -> Certificates:
    """The principals of a file. Raises CertificatesInvalid."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CertificatesInvalid(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CertificatesInvalid(f"{path} is no TOML: {error}") from None
    entries = document.get("certificate")
    if not isinstance(entries, list) or set(document) != {"certificate"}:
        raise CertificatesInvalid(f"{path} has [[certificate]] tables and nothing else")
    principals: dict[str, Principal] = {}
    for place, entry in enumerate(entries):
        try:
            name, principal = _entry(entry)
        except ValueError as error:
            raise CertificatesInvalid(f"{path}, certificate {place + 1}: {error}") from None
        if name in principals:
            raise CertificatesInvalid(f"{path}, certificate {place + 1}: {name!r} stands twice")
        principals[name] = principal
    return Certificates(principals)


def _entry(entry: Any) -> tuple[str, Principal]:
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no field; there are {', '.join(sorted(_FIELDS))}")
    name, tenant = entry.get("name"), entry.get("tenant")
    if not isinstance(name, str) or not name or not isinstance(tenant, str):
        raise ValueError("name and tenant are texts")
    principal_id = entry.get("id", name)
    accounts, scopes = entry.get("accounts", []), entry.get("scopes")
    if not isinstance(principal_id, str) or not _is_texts(accounts) or not _is_texts(scopes):
        raise ValueError("id is a text, accounts and scopes are lists of texts")
    if "accounts" in entry and not accounts:
        raise ValueError("accounts is empty; leave it out for the whole tenant")
    principal = Principal(
        Kind.CERTIFICATE, principal_id, scopes_of(scopes), tenant, tuple(accounts)
    )
    fault = principal_fault(principal)
    if fault:
        raise ValueError(fault)
    return name, principal


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
