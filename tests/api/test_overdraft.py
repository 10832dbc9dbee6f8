"""Overdraft and its grace over gRPC (rules D4, H6)."""

from __future__ import annotations

from ledger.core.limits import HOUR_US
from ledger.v1 import account_pb2
from rating.v1 import pricing_pb2
from tests.api.served import Served, event, refusal_of

BEARS = {
    "overdraft_asset": "credit",
    "overdraft_limit": 2_000,
    "overdraft_grace_us": 0,
}


async def test_authorisation_is_denied_below_zero_until_a_grant_repays(priced: Served):
    await priced.account("acme", **BEARS)
    held = await priced.authorize("acme")
    assert held.hold_id
    await priced.ingest(event(priced.new_id("event"), "acme"))
    denied = await priced.authorize("acme")
    assert (denied.hold_id, denied.reason) == ("", "GRACE_ENDED")
    assert (await priced.balance("acme")).available == "-1200"
    recorded = await priced.ingest(event(priced.new_id("event"), "acme"))
    assert recorded
    await priced.grant("acme", 5_000)
    assert (await priced.authorize("acme")).hold_id


async def test_a_share_of_lifetime_value_is_of_money(priced: Served):
    kind = account_pb2.OVERDRAFT_KIND_PERCENT_OF_LIFETIME
    share = {"overdraft_limit": 10, "overdraft_kind": kind, "overdraft_basis_points": 500}
    refused = await refusal_of(priced.account("acme", overdraft_asset="credit", **share))
    assert (refused.reason, refused.metadata["field"]) == (
        "ASSET_KIND_INVALID",
        "policy.overdraft_asset",
    )
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("globex", overdraft_asset="USD", overdraft_grace_us=HOUR_US, **share)
