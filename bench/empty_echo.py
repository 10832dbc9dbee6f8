"""The ceiling of single calls: the same messages, a handler that returns a prepared reply.

Requests are parsed and replies serialised as in ours; there are no interceptors and nothing is
decided. What ours adds on top of that is the ratio to this server.
`python -m bench.empty_echo HOST:PORT`.
"""

from __future__ import annotations

import sys

import grpc

from bench.serving import serve
from ledger.v1 import decision_pb2, decision_pb2_grpc, types_pb2

CHECK = decision_pb2.CheckResponse(
    decision=decision_pb2.DECISION_ALLOW,
    available="999999999999999",
    charge=7_208_216,
    asset="credit",
    scale=9,
    policy_version=1,
    rate_card="default",
    rate_card_version=3,
    position="0:123456789",
)
AUTHORIZE = decision_pb2.AuthorizeResponse(
    decision=decision_pb2.DECISION_ALLOW,
    hold_id="hold-0-0000000000001234",
    amount=7_208_216,
    asset="credit",
    scale=9,
    expires_at_us=1_800_000_000_000_000,
    available="999999999999999",
    policy_version=1,
    rate_card="default",
    rate_card_version=3,
    hold_state=types_pb2.HOLD_STATE_OPEN,
    position="0:123456789",
)


class EmptyEcho(decision_pb2_grpc.DecisionServiceServicer):
    """Two empty handlers."""

    async def Check(  # noqa: N802
        self, request: decision_pb2.CheckRequest, context: object
    ) -> decision_pb2.CheckResponse:
        return CHECK

    async def Authorize(  # noqa: N802
        self, request: decision_pb2.AuthorizeRequest, context: object
    ) -> decision_pb2.AuthorizeResponse:
        return AUTHORIZE

    Capture = Release = Extend = GetHold = ListHolds = CheckMany = Debit = DecideStream = None  # type: ignore[assignment]  # not asked


def add(server: grpc.aio.Server) -> None:
    """Put the service on a server."""
    decision_pb2_grpc.add_DecisionServiceServicer_to_server(EmptyEcho(), server)


if __name__ == "__main__":
    serve(add, sys.argv[1])
