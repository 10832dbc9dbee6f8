"""The ceiling of batches: a server that reads every field of every event and answers per item.

No ledger: nothing is checked, priced, remembered or written. Each event's fields become Python
values (text, integers, dicts); the reply has one outcome an event. What ours adds on top of that is
the ratio to this server. `python -m bench.decode_only HOST:PORT`.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc

from bench.serving import serve
from ledger.v1 import types_pb2, usage_pb2, usage_pb2_grpc

ASSET = types_pb2.AssetScale(asset="credit", scale=9)

Values = tuple[Any, ...]


def read_plain(request: usage_pb2.IngestRequest) -> list[Values]:
    """Every field of every event."""
    return [
        (
            event.id,
            event.account,
            event.effective_at_us,
            event.product,
            dict(event.attributes),
            dict(event.quantities),
            event.source,
            event.operation,
            event.operation_parent,
            dict(event.personal_attributes),
        )
        for event in request.events
    ]


def read_compact(batch: usage_pb2.CompactBatch) -> list[Values]:
    """Every field of every event, with its own quantities and the shape that it shares."""
    shapes = [
        (shape.product, dict(shape.attributes), tuple(shape.quantity_names), shape.source)
        for shape in batch.shapes
    ]
    accounts = list(batch.accounts)
    quantities = list(batch.quantities)
    operations = {each.event: (each.operation, each.operation_parent) for each in batch.operations}
    personal = {each.event: dict(each.attributes) for each in batch.personal}
    events, place = [], 0
    columns = zip(
        batch.ids, batch.account_index, batch.shape_index, batch.effective_at_us, strict=True
    )
    for index, (event_id, account, shape_index, effective_at_us) in enumerate(columns):
        shape = shapes[shape_index]
        end = place + len(shape[2])
        events.append(
            (
                event_id,
                accounts[account],
                effective_at_us,
                shape,
                quantities[place:end],
                operations.get(index),
                personal.get(index),
            )
        )
        place = end
    return events


class DecodeOnly(usage_pb2_grpc.UsageServiceServicer):
    """Answers APPLIED to every event; a charge that only shows that its quantities were read."""

    async def Ingest(  # noqa: N802
        self, request: usage_pb2.IngestRequest, context: object
    ) -> usage_pb2.IngestResponse:
        reply = usage_pb2.IngestResponse(assets=[ASSET])
        if request.HasField("compact"):
            events = read_compact(request.compact)
            reply.compact.outcomes.extend([usage_pb2.INGEST_OUTCOME_APPLIED] * len(events))
            reply.compact.charges.extend([sum(event[4]) for event in events])
        else:
            for event in read_plain(request):
                reply.results.add(
                    outcome=usage_pb2.INGEST_OUTCOME_APPLIED, charge=sum(event[5].values())
                )
        return reply

    IngestStream = Get = None  # type: ignore[assignment]  # not measured


def add(server: grpc.aio.Server) -> None:
    """Put the service on a server."""
    usage_pb2_grpc.add_UsageServiceServicer_to_server(DecodeOnly(), server)


if __name__ == "__main__":
    serve(add, sys.argv[1])
