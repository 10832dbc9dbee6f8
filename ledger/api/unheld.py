"""What a gateway was told to let in without a hold, as DecisionService meets it.

A token stands where a hold's id stands, and is settled by whoever keeps such work. Must not know
how it is kept: the gateway's part of the server does (`ledger.gateway.settling`).
"""

from __future__ import annotations

from typing import Protocol

from ledger.api.calls import Call
from ledger.v1 import decision_pb2 as pb


class Unheld(Protocol):
    """Settles it, for callers that cover its account. Raises AuthRefused, CallFailed, NotOwner."""

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        """Keep what was used; it is recorded from there."""
        ...

    async def release(self, request: pb.ReleaseRequest, call: Call) -> pb.ReleaseResponse:
        """Keep that nothing was used."""
        ...
