"""Who was proven to call: their scopes, their tenant, the accounts that they act for.

A principal is made once, by whatever proved it, and never changes. It covers an account and all
below it; which accounts are below is for `ledger.api.permits` to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

ALL_TENANTS: Final = "*"  # of operators; no tenant has this name
ID_BYTES_MAX: Final = 128  # of a principal's id
ACCOUNTS_MAX: Final = 100  # that one principal names; each covers all below it
TENANT_BYTES_MAX: Final = 128


class Scope(StrEnum):
    """What a principal may do. No scope implies another; a principal has as many as it needs."""

    INGEST = "ingest"
    DECIDE = "decide"
    READ = "read"
    PRICE = "price"
    ADMIN = "admin"
    AGENT = "agent"  # what an agent does within its mandate, and nothing else


ALL_SCOPES: Final = frozenset(Scope)


class Kind:
    """How it was proven. Further kinds are further words: nothing branches on a kind but `SERVER`
    and `ANYONE`, which no token, key or certificate can say."""

    TOKEN: Final = "token"
    API_KEY: Final = "key"
    CERTIFICATE: Final = "certificate"
    MANDATE: Final = "mandate"
    SERVER: Final = "server"
    ANYONE: Final = "anyone"


class Principal(msgspec.Struct, frozen=True, array_like=True):
    """Who calls. `tenant` ALL_TENANTS: an operator of all; `accounts` (): the whole tenant.

    `until_us`: what it was proven by ends then, and so does what it is given; 0 = it does not
    matter. `rests_on`: an account and its number, where what it was proven by is worth nothing once
    another account has that id; ("", 0) = none.
    """

    kind: str
    id: str
    scopes: frozenset[Scope]
    tenant: str
    accounts: tuple[str, ...] = ()
    until_us: int = 0
    rests_on: tuple[str, int] = ("", 0)

    @property
    def actor(self) -> str:
        """What stands beside an entry that they caused, such as "token:alice"; "" = nobody said."""
        return "" if self.kind == Kind.ANYONE else f"{self.kind}:{self.id}"


ANYONE: Final = Principal(Kind.ANYONE, "", ALL_SCOPES, ALL_TENANTS)
"""Whoever reaches a server that asks nobody who they are."""


def server_principal(process: str) -> Principal:
    """A server of the same database, for work of its own."""
    return Principal(Kind.SERVER, process, ALL_SCOPES, ALL_TENANTS)


def lasting(principal: Principal, until_us: int) -> Principal:
    """The principal of what ends then, 0 = never. Whoever acts as an agent alone is given nothing
    that lasts longer; an administrator's grants are not a session's."""
    if Scope.AGENT in principal.scopes and Scope.ADMIN not in principal.scopes:
        return replace(principal, until_us=until_us)
    return principal


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these words. Raises ValueError with the one that is none."""
    known = {scope.value: scope for scope in Scope}
    found = set()
    for word in words:
        if word not in known:
            raise ValueError(f"{word!r} is no scope; there are {', '.join(known)}")
        found.add(known[word])
    return frozenset(found)


def principal_fault(principal: Principal) -> str:
    """What is wrong with what a principal says, "" where nothing is."""
    if not _is_text(principal.id, ID_BYTES_MAX):
        return f"its subject is a text of 1 to {ID_BYTES_MAX} bytes without control characters"
    if not principal.scopes:
        return f"it has no scope; there are {', '.join(Scope)}"
    if not _is_text(principal.tenant, TENANT_BYTES_MAX):
        return f'its tenant is the name of one, or "{ALL_TENANTS}" for all'
    if len(principal.accounts) > ACCOUNTS_MAX:
        return f"it names {len(principal.accounts)} accounts; at most {ACCOUNTS_MAX} are possible"
    if not all(_is_text(account, ID_BYTES_MAX) for account in principal.accounts):
        return f"an account is a text of 1 to {ID_BYTES_MAX} bytes without control characters"
    if principal.accounts and principal.tenant == ALL_TENANTS:
        return "it names accounts, so it has to name their tenant"
    return ""


def _is_text(text: str, bytes_max: int) -> bool:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= bytes_max and text.isprintable()
