"""The ceiling of a question through Envoy: the same messages, a handler that allows everything.

The answer has as many headers as ours; nothing is read of the request and nothing is decided.
`python -m bench.empty_ext_authz HOST:PORT`.
"""

from __future__ import annotations

import sys

import grpc

from bench.serving import serve
from ledger.gateway import replies
from ledger.gateway.envoy import authorization_pb2 as pb
from ledger.gateway.envoy import authorization_pb2_grpc, base_pb2


def _allowed() -> pb.CheckResponse:
    response = pb.CheckResponse(status=pb.Status(code=0))
    for name in replies.OURS:
        header = base_pb2.HeaderValue(key=name, value="1000000")
        option = base_pb2.HeaderValueOption(header=header, append_action=2)
        response.ok_response.headers.append(option)
    return response


ALLOWED = _allowed()


class EmptyAuthorization(authorization_pb2_grpc.AuthorizationServicer):
    """One empty handler."""

    async def Check(self, request: pb.CheckRequest, context: object) -> pb.CheckResponse:  # noqa: N802
        return ALLOWED


def add(server: grpc.aio.Server) -> None:
    """Put the service on a server."""
    authorization_pb2_grpc.add_AuthorizationServicer_to_server(EmptyAuthorization(), server)


if __name__ == "__main__":
    serve(add, sys.argv[1])
