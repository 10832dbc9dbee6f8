"""May this request run, asked over plain HTTP: `GET /v1/check`, for NGINX, Traefik, Caddy, APISIX.

Such gateways send the headers of the client's request to a URL of their configuration. What a route
says to Envoy's filter in `context_extensions`, that URL says in its query, under the same names.
Advice by default: a hold needs an id that the gateway makes, named by `key`. Must not read a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ledger.api.calls import Call
from ledger.auth.principal import Principal
from ledger.gateway import replies
from ledger.gateway.authorizing import Asked, asked
from ledger.gateway.away import Answers
from ledger.gateway.replies import Reply, denied
from ledger.gateway.routes import Route, RouteInvalid, Routes
from ledger.gateway.sources import Kind, Source, SourceInvalid, source_of

KEY: Final = "key"
DENY_STATUS: Final = "deny_status"
STATUSES: Final = ("401", "402", "403")
"""What a denial may be answered with. NGINX takes 401 and 403, and any other for its failure."""

_DENIALS: Final = frozenset(
    {replies.BAD_REQUEST, replies.PAYMENT_REQUIRED, replies.CONFLICT, replies.TOO_MANY}
)
"""Statuses of denials that `deny_status` stands for, beside those that it may be itself."""

_ELSEWHERE: Final = frozenset({Kind.JWT, Kind.METADATA})


class PlainRequest:
    """See sources.Seen: there are headers, and what a token proves.

    Its principal is the one account that the token is for. A token for several, or for a whole
    tenant, says nothing of whose the request is.
    """

    __slots__ = ("headers", "principal")

    def __init__(self, headers: Mapping[str, str], proven: Principal) -> None:
        self.headers = headers
        self.principal = proven.accounts[0] if len(proven.accounts) == 1 else ""

    def metadata(self, namespace: str) -> Mapping[str, Any]:
        """See Seen."""
        return {}


class ForwardAuth:
    """Answers `GET /v1/check`."""

    def __init__(self, answers: Answers, routes: Routes) -> None:
        self._answers = answers
        self._routes = routes

    async def answer(
        self, query: Mapping[str, str], headers: Mapping[str, str], call: Call
    ) -> Reply:
        """Hold, deny or advise, as the query says. Raises where we cannot answer."""
        said = dict(query)
        key_text, status = said.pop(KEY, ""), said.pop(DENY_STATUS, None)
        said.setdefault("mode", "check")
        try:
            route = self._routes.of(said)
            key = source_of(key_text) if key_text else None
            _understood(route, key, status)
        except (RouteInvalid, SourceInvalid) as error:
            return denied(replies.MISCONFIGURED, "ROUTE_INVALID", str(error))
        seen = PlainRequest(headers, call.principal)
        work = asked(route, seen)
        if not isinstance(work, Asked):
            return _told(work, status)
        if key is None:
            reply = await self._answers.check(call, work)
        else:
            request_id = key.of(seen)
            if not request_id:
                message = f"the gateway sent no id of the request: {key.shown} is missing"
                return denied(replies.MISCONFIGURED, "ROUTE_INVALID", message)
            reply = await self._answers.authorize(call, work, f"http-{request_id}")
        return _told(reply, status)


def _told(reply: Reply, status: str | None) -> Reply:
    """A reply with the status that the gateway can take."""
    if status is not None and reply.status in _DENIALS:
        return reply._replace(status=int(status))
    return reply


def _understood(route: Route, key: Source | None, status: str | None) -> None:
    """Raises RouteInvalid."""
    if status is not None and status not in STATUSES:
        raise RouteInvalid(f"{DENY_STATUS} is {status!r}: write {', '.join(STATUSES)}")
    if route.holds and key is None:
        raise RouteInvalid(
            "mode=hold needs an id that the gateway itself makes for each request: say where it "
            "is, for example key=header:x-request-id, and have the gateway set that header"
        )
    if not route.holds and key is not None:
        raise RouteInvalid("key names a hold's id: write mode=hold, or leave it out")
    if key is not None and key.kind is not Kind.HEADER:
        raise RouteInvalid("key takes a header that the gateway sets: write key=header:NAME")
    for source in route.sources:
        if source.kind in _ELSEWHERE:
            raise RouteInvalid(
                f"{source.shown} is known of a request that Envoy asks for; over HTTP there are "
                "headers, values and principal"
            )
