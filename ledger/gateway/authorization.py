"""Envoy's external authorisation: envoy.service.auth.v3.Authorization/Check.

A hold is keyed by what Envoy itself makes of a request: the number of its stream and the instant it
began. No header has a part in it, so a client that pins its x-request-id pays for every request;
and Envoy may ask twice for one. Insufficient credits is an answer, and so is what the product's
fail mode says while the account's shard is away (`away`); where we cannot answer at all the call
fails, and Envoy's `failure_mode_allow` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from google.protobuf import struct_pb2
from grpc import StatusCode

from ledger.api.calls import Call
from ledger.gateway import replies
from ledger.gateway.authorizing import Asked, asked
from ledger.gateway.away import Answers
from ledger.gateway.envoy import authorization_pb2 as pb
from ledger.gateway.envoy import base_pb2, http_status_pb2
from ledger.gateway.replies import Reply, denied
from ledger.gateway.routes import RouteInvalid, Routes

_OVERWRITE: Final = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_DENIED: Final[int] = StatusCode.PERMISSION_DENIED.value[0]
FOR_CLIENTS: Final = (
    replies.DECISION,
    replies.CHARGE,
    replies.ASSET,
    replies.SCALE,
    replies.ALLOWED,
    replies.FAIL_MODE,
    replies.DECIDED_BY,
)
"""What the client sees of an answer that lets its request go on."""


class EnvoysRequest:
    """See sources.Seen."""

    __slots__ = ("_attributes",)

    def __init__(self, attributes: pb.AttributeContext) -> None:
        self._attributes = attributes

    @property
    def headers(self) -> Mapping[str, str]:
        """See Seen."""
        return self._attributes.request.http.headers

    @property
    def principal(self) -> str:
        """See Seen."""
        return self._attributes.source.principal

    def metadata(self, namespace: str) -> Mapping[str, Any]:
        """See Seen."""
        said = self._attributes.metadata_context.filter_metadata
        return _named(said[namespace]) if namespace in said else {}


class AuthorizationService:
    """See Envoy's external_auth.proto."""

    def __init__(self, answers: Answers, routes: Routes) -> None:
        self._answers = answers
        self._routes = routes

    async def check(self, request: pb.CheckRequest, call: Call) -> pb.CheckResponse:
        """Hold, deny, or advise, as the route says."""
        attributes = request.attributes
        try:
            route = self._routes.of(attributes.context_extensions)
        except RouteInvalid as error:
            return _response(denied(replies.MISCONFIGURED, "ROUTE_INVALID", str(error)))
        work = asked(route, EnvoysRequest(attributes))
        if not isinstance(work, Asked):
            return _response(work)
        if not route.holds:
            return _response(await self._answers.check(call, work))
        key = key_of(attributes)
        if not key:
            message = "the gateway gives its requests no id of its own, so nothing can be held"
            return _response(denied(replies.MISCONFIGURED, "ROUTE_INVALID", message))
        return _response(await self._answers.authorize(call, work, key))


def _named(said: struct_pb2.Struct) -> dict[str, Any]:
    """What stands under names in it; a list has none."""
    found = dict[str, Any]()
    for name, value in said.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "struct_value":
            found[name] = _named(value.struct_value)
        elif kind in ("string_value", "number_value", "bool_value"):
            found[name] = getattr(value, kind)
    return found


def key_of(attributes: pb.AttributeContext) -> str:
    """The id of a request that nobody but Envoy has a hand in; "" where it has none."""
    request = attributes.request
    stream = request.http.id
    if not stream:
        return ""
    began = request.time
    peer = attributes.source.address.socket_address
    said = f"{stream}\n{began.seconds}.{began.nanos:09}\n{peer.address}:{peer.port_value}"
    return f"envoy-{blake2b(said.encode(), digest_size=20).hexdigest()}"


def _response(reply: Reply) -> pb.CheckResponse:
    if not reply.allows:
        response = pb.CheckResponse(status=pb.Status(code=_DENIED))
        answer = response.denied_response
        answer.status.code = http_status_pb2.StatusCode.ValueType(reply.status)
        _set(answer.headers, reply.headers)
        _set(answer.headers, {"content-type": "application/json; charset=utf-8"})
        answer.body = reply.body
        return response
    response = pb.CheckResponse()
    response.CopyFrom(_allowing(tuple(reply.headers)))
    ok, headers = response.ok_response, reply.headers
    for option, value in zip(ok.headers, headers.values(), strict=True):
        option.header.value = replies.header_value(value)
    for option, name in zip(ok.response_headers_to_add, _shown(tuple(headers)), strict=True):
        option.header.value = replies.header_value(headers[name])
    fields = response.dynamic_metadata.fields
    for name, value in reply.metadata.items():
        fields[name].string_value = value
    return response


@lru_cache(maxsize=64)  # of the few answers that there are: half the time of naming them each time
def _allowing(said: tuple[str, ...]) -> pb.CheckResponse:
    """An answer with headers of these names, still without values. Our headers that it does not
    set are removed: a client's own do not pass."""
    response = pb.CheckResponse(status=pb.Status(code=0))
    ok = response.ok_response
    _set(ok.headers, dict.fromkeys(said, ""))
    _set(ok.response_headers_to_add, dict.fromkeys(_shown(said), ""))
    ok.headers_to_remove.extend([name for name in replies.OURS if name not in said])
    return response


@lru_cache(maxsize=64)
def _shown(said: tuple[str, ...]) -> tuple[str, ...]:
    """Those of them that the client sees, too."""
    return tuple([name for name in FOR_CLIENTS if name in said])


def _set(headers: Any, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        option = headers.add(append_action=_OVERWRITE)  # filled in place: a third of the time
        option.header.key = name
        option.header.value = replies.header_value(value)
