"""`drawdown gauges`: what gauges show until they are charged, from a shell."""

from __future__ import annotations

import json

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc
from rating.v1 import meter_pb2, meter_pb2_grpc

TENANT = "sandbox"


def test_gauges_are_listed(server: Server) -> None:
    quantity = meter_pb2.MeteredQuantity(
        quantity="gib", aggregation=meter_pb2.AGGREGATION_LATEST, property="size"
    )
    rule = meter_pb2.MeterRule(
        name="disk", event_type="disk", product="disk", quantities=[quantity]
    )
    with grpc.insecure_channel(server.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(tenant=TENANT, request_id="a", account="acme")
        )
        meter_pb2_grpc.MeterServiceStub(channel).PublishMeters(
            meter_pb2.PublishMetersRequest(
                tenant=TENANT, request_id="m", meters=meter_pb2.MeterSet(rules=[rule])
            )
        )
        where = ("--tenant", TENANT, "--address", server.address)
        none = drawdown("gauges", "list", "acme", *where)
        assert none.stdout == "no gauge waits to be charged\n"
        event = usage_pb2.UsageEvent(
            id="1", account="acme", type="disk", properties={"size": "1200"}
        )
        usage_pb2_grpc.UsageServiceStub(channel).Ingest(
            usage_pb2.IngestRequest(tenant=TENANT, source="s", events=[event])
        )
    listed = drawdown("gauges", "list", "acme", *where, "--json")
    [gauge] = json.loads(listed.stdout)["gauges"]
    assert (gauge["product"], gauge["level"]) == ("disk", {"gib": "1200"})
    shown = drawdown("gauges", "list", "acme", *where)
    assert shown.returncode == 0 and "1,200" in shown.stdout
