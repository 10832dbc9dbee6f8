"""The gate of every call: who calls, and may they; asked before a servicer sees the request.

Puts `ledger.auth` (who), `access` (what a method asks for) and `permits` (whose account is whose)
together. A server without a gate asks nobody. Must not know any service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from google.protobuf.message import Message
from grpc.aio import ServicerContext

from ledger.api.access import ACCESS, ACCOUNT, Place, Reach, Rule, texts_at
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.forward import HOP
from ledger.api.ids import HOLD, is_unheld, unmint
from ledger.api.permits import (
    Permits,
    not_permitted,
    require_scope,
    require_tenant,
    whole_tenant_needed,
)
from ledger.auth.authenticator import HEADER, Authenticator, Peer
from ledger.auth.passing import METADATA
from ledger.auth.principal import Kind, Principal, Scope
from ledger.auth.refusals import AuthRefused, Denied, Unproven
from ledger.engine.ticket import NotOwner

_NAMES: Final = ("x509_subject_alternative_name", "x509_common_name")
_READ_ALONE: Final = frozenset({Scope.READ})


class ChangeNotes(Protocol):
    """Where it is written down who asks for changes that stand in no journal entry."""

    async def note_change(
        self, actor: str, method: str, tenant: int, account: int, name: str
    ) -> None:
        """Durable when it returns. Raises JournalUnavailable."""
        ...


class Onward(Protocol):
    """What is asked of a call, only where it matters."""

    @property
    def forwarded(self) -> bool:
        """Whether another server passed it on to us."""
        ...


class Gate:
    """Lets calls in. For others than gRPC: `authenticate` and `permit`."""

    def __init__(
        self, edge: Edge, authenticator: Authenticator, notes: ChangeNotes | None = None
    ) -> None:
        """`notes` None: nothing is written down, as there is no database."""
        self._edge = edge
        self._authenticator = authenticator
        self._notes = notes
        self.permits = Permits(edge)

    # -- for calls that come otherwise than by gRPC ------------------------------------------------

    async def authenticate(self, headers: Mapping[str, str], peer: Peer = Peer()) -> Principal:  # noqa: B008  a value
        """Who calls: names of headers in lower case, and what the transport proved.

        Raises AuthRefused, which knows its HTTP status.
        """
        return await self._authenticator.authenticate(headers, peer)

    async def permit(
        self, principal: Principal, scope: Scope, tenant: str, account: str = ""
    ) -> None:
        """Raises AuthRefused where they may not; see Permits.permit for NotOwner."""
        await self.permits.permit(principal, scope, tenant, account)

    async def covers(self, principal: Principal, tenant: str, account: str, field: str) -> None:
        """What is found by another name is of this account, by its own id, which they cover; what
        they may do is asked elsewhere. Raises AuthRefused, CallFailed, NotOwner."""
        require_tenant(principal, tenant)
        if principal.accounts:
            number = await self._edge.tenant(tenant)
            await self.permits.named(principal, number, account, field)

    # -- for calls by gRPC -------------------------------------------------------------------------

    async def caller(self, method: str, context: ServicerContext[Any, Any]) -> Principal:
        """Who calls a method. Raises AuthRefused."""
        authorization, sealed, hop = "", b"", False
        for key, value in context.invocation_metadata() or ():
            if key == HEADER:
                if authorization or not isinstance(value, str):
                    message = "one authorization is taken, as text"
                    raise AuthRefused(Unproven.TOKEN_MALFORMED, message)
                authorization = value
            elif key == METADATA and isinstance(value, bytes):
                sealed = value
            elif key == HOP:
                hop = True
        if hop or sealed:
            return await self._authenticator.passed_on(sealed, method)
        authenticator = self._authenticator
        if authorization:
            known = authenticator.remembered(authorization)
            return known or await authenticator.authenticate({HEADER: authorization})
        return await authenticator.authenticate({}, _peer_of(context))

    async def let_in(
        self, method: str, principal: Principal, request: Message, call: Onward
    ) -> None:
        """Let a principal call a method so. Raises AuthRefused, CallFailed, NotOwner."""
        rule = ACCESS.get(method)
        if rule is None or (rule.reach is Reach.SERVERS and principal.kind != Kind.SERVER):
            message = "the method is for servers of this database alone"
            raise AuthRefused(Denied.SERVERS_ONLY, message, field="method", value=method)
        if rule.reach in (Reach.SERVERS, Reach.PROVEN, Reach.OPEN):
            return
        require_scope(principal, _scopes(rule, request))
        tenants = [text for path in rule.tenants for text in texts_at(request, path)]
        for tenant in tenants:
            require_tenant(principal, tenant)
        if principal.accounts:
            await self._accounts(rule, principal, request, tenants, call)
        if rule.noted is not None and self._notes is not None and not call.forwarded:
            await self._note(rule, self._notes, method, principal, request)

    async def _accounts(
        self,
        rule: Rule,
        principal: Principal,
        request: Message,
        tenants: Iterable[str],
        call: Onward,
    ) -> None:
        """A principal with accounts: each account of the request is one that it covers."""
        if rule.reach is Reach.TENANT:
            raise whole_tenant_needed(principal)
        if rule.reach is not Reach.ACCOUNTS:
            return
        family = rule.family == "*" or bool(rule.family and getattr(request, rule.family))
        named = False
        tenant = await self._edge.tenant(next(iter(tenants), ""))
        for place in rule.places:
            for text in texts_at(request, place.path):
                named = True
                try:
                    await self._place(principal, tenant, place, text, family)
                except NotOwner:
                    if call.forwarded or "[]" not in place.path:
                        raise  # of one of many, its owner is asked with it: it looks there
        if not named:
            raise whole_tenant_needed(principal)

    async def _place(
        self, principal: Principal, tenant: int, place: Place, text: str, family: bool
    ) -> None:
        if place.kind == ACCOUNT:
            await self.permits.named(principal, tenant, text, place.path, family=family)
            return
        if place.kind == HOLD and is_unheld(text):
            return  # it says itself of which account it is: whoever settles it asks `covers`
        try:
            unmint(place.kind, text, self._edge.ledger.directory.shards, place.path)
            _, entry = await self._edge.minted(tenant, place.kind, text, place.path)
        except CallFailed:  # of another tenant, or of nobody: it cannot be told from one outside
            raise not_permitted(place.path, text) from None
        if not await self.permits.covers(principal, entry):
            raise not_permitted(place.path, text)

    async def found(
        self, principal: Principal, tenant: int, shard: int, number: int, field: str, value: str
    ) -> None:
        """What a call found by another name is of an account that is covered, or AuthRefused."""
        if principal.accounts and not await self.permits.covers_numbers(
            principal, tenant, shard, (number,)
        ):
            raise not_permitted(field, value)

    async def _note(
        self, rule: Rule, notes: ChangeNotes, method: str, principal: Principal, request: Message
    ) -> None:
        tenant = await self._edge.tenant(getattr(request, rule.tenants[0]))
        account, name = 0, ""
        if rule.noted == "account":
            entry = await self._edge.ledger.resolve(tenant, getattr(request, "account", ""))
            account = entry.number if entry is not None else 0
        elif rule.noted:
            name = "".join(texts_at(request, rule.noted))
        await notes.note_change(principal.actor, method, tenant, account, name)


def _scopes(rule: Rule, request: Message) -> frozenset[Scope]:
    """One of these is asked for."""
    if rule.no_read and getattr(request, rule.no_read):
        return rule.scopes - _READ_ALONE
    return rule.scopes


def _peer_of(context: ServicerContext[Any, Any]) -> Peer:
    """The names of the client's certificate, which TLS has verified; none without one."""
    proven = context.auth_context()
    names = [
        name.decode(errors="replace") for key in _NAMES for name in proven.get(key, ()) if name
    ]
    return Peer(tuple(dict.fromkeys(names)))
