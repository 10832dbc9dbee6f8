"""Where a figure or a name of a request is taken from: `header:x-tokens|1000`, `jwt:sub`, `chat`.

Owns the notation and how it is read from what a gateway says of a request. A text without a known
beginning is the value itself. Must not know what the value is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

JWT_NAMESPACE: Final = "envoy.filters.http.jwt_authn"
EXACT_BELOW: Final = 1 << 53
JWT_PAYLOAD: Final = "jwt_payload"
"""Under this name Envoy's filter puts the claims: `payload_in_metadata: jwt_payload`."""


class Kind(StrEnum):
    """What a source reads."""

    VALUE = "value"
    HEADER = "header"
    JWT = "jwt"
    METADATA = "metadata"
    PRINCIPAL = "principal"


class Seen(Protocol):
    """A request, as far as the gateway shows it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By names in lower case. Whoever sends the request writes them."""
        ...

    @property
    def principal(self) -> str:
        """Who sent it by the certificate of the connection, or by a token; "" = nobody."""
        ...

    def metadata(self, namespace: str) -> Mapping[str, Any]:
        """What a filter before this one said."""
        ...


class SourceInvalid(ValueError):
    """A text that is no source; the message says why."""


class Source(NamedTuple):
    """One source, with what stands in where it has nothing."""

    kind: Kind
    name: str
    namespace: str
    otherwise: str

    def of(self, seen: Seen) -> str:
        """The value; "" = there is none."""
        if self.kind is Kind.VALUE:
            return self.name
        if self.kind is Kind.HEADER:
            found = seen.headers.get(self.name, "")
        elif self.kind is Kind.PRINCIPAL:
            found = seen.principal
        else:
            said: Any = seen.metadata(self.namespace)
            if self.kind is Kind.JWT:
                said = _at(said, JWT_PAYLOAD)
            found = _text(_at(said, self.name))
        return found or self.otherwise

    @property
    def shown(self) -> str:
        """What is missing where it has no value."""
        if self.kind is Kind.HEADER:
            return f"the header {self.name}"
        if self.kind is Kind.JWT:
            return f"the claim {self.name} of a verified JWT"
        if self.kind is Kind.METADATA:
            return f"{self.name} in the metadata {self.namespace}"
        if self.kind is Kind.PRINCIPAL:
            return "a client certificate, or a token for one account,"
        return "a value"


def source_of(text: str) -> Source:
    """The source that a text of a configuration names. Raises SourceInvalid."""
    stem, _, otherwise = text.partition("|")
    beginning, separator, name = stem.partition(":")
    otherwise = otherwise.strip()
    if beginning == Kind.PRINCIPAL and not separator:
        return Source(Kind.PRINCIPAL, "", "", otherwise)
    if not separator or beginning not in ("value", "header", "jwt", "metadata"):
        return Source(Kind.VALUE, text, "", "")
    if beginning == Kind.VALUE:
        return Source(Kind.VALUE, text.partition(":")[2], "", "")
    name = name.strip()
    if not name:
        raise SourceInvalid(f"{text!r} names no {beginning}: write {beginning}:NAME")
    if beginning == Kind.HEADER:
        return Source(Kind.HEADER, name.lower(), "", otherwise)
    if beginning == Kind.JWT:
        return Source(Kind.JWT, name, JWT_NAMESPACE, otherwise)
    namespace, separator, key = name.partition(":")
    if not separator or not namespace or not key:
        raise SourceInvalid(f"{text!r}: write metadata:NAMESPACE:KEY")
    return Source(Kind.METADATA, key, namespace, otherwise)


def _at(said: Any, name: str) -> Any:
    """What stands under a name, or, part by part, under one with dots."""
    if not isinstance(said, Mapping):
        return None
    if name in said:
        return said[name]
    first, dot, rest = name.partition(".")
    return _at(said.get(first), rest) if dot else None


def _text(found: Any) -> str:
    """A text, or a number that is whole and was certainly not rounded on its way: Envoy hands on
    every number of JSON as a float."""
    if isinstance(found, str):
        return found
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return ""
    return str(int(found)) if abs(found) < EXACT_BELOW and found == int(found) else ""
