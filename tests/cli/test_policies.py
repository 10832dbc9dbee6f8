"""`drawdown policy`: rules of an account, from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"
RULES = [
    {
        "action": "downgrade",
        "products": ["chat"],
        "limits": ["grants", "LIMIT_KIND_BUDGET"],
        "margin_floor_permille": 50,
        "alternatives": [{"product": "mini", "attributes": {"mode": "brief"}}],
    },
    {"action": "overdraw", "asset": "ruled", "bound": 250, "lasting_us": 60_000_000},
    {"action": "top_up"},
]


def test_rules_are_set_shown_and_removed(server: Server, tmp_path: Path) -> None:
    where = ("--tenant", TENANT, "--address", server.address)
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="ruled", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="ruled", asset=asset)
        )
        for name, parent in (("ruled", ""), ("ruled-team", "ruled")):
            account_pb2_grpc.AccountServiceStub(channel).Create(
                account_pb2.AccountServiceCreateRequest(
                    tenant=TENANT, request_id=name, account=name, parent=parent
                )
            )
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    nothing = drawdown("policy", "show", "ruled", *where)
    assert nothing.stdout.strip() == "no policy"
    made = drawdown("policy", "set", "ruled", str(file), *where)
    assert (made.returncode, made.stdout) == (0, "policy of ruled: version 1\n"), made.stderr
    shown = drawdown("policy", "show", "ruled-team", *where)
    assert shown.returncode == 0, shown.stderr
    for words in (
        "policy of ruled, version 1",
        "downgrade",
        "mini mode=brief",
        "2.5 ruled",
        "60 s",
    ):
        assert words in shown.stdout, shown.stdout
    told = json.loads(drawdown("policy", "show", "ruled-team", *where, "--json").stdout)
    assert [each["action"] for each in told["standing"]["rules"]] == [
        "POLICY_ACTION_DOWNGRADE",
        "POLICY_ACTION_OVERDRAW",
        "POLICY_ACTION_TOP_UP",
    ]
    stale = drawdown("policy", "set", "ruled", str(file), "--expected-version", "7", *where)
    assert stale.returncode != 0 and "VERSION_MISMATCH" in stale.stderr
    file.write_text('[{"action": "pray"}]')
    wrong = drawdown("policy", "set", "ruled", str(file), *where)
    assert wrong.returncode != 0 and "these are no rules" in wrong.stderr
    file.write_text("[]")
    assert drawdown("policy", "set", "ruled", str(file), *where).returncode == 0
    assert drawdown("policy", "show", "ruled-team", *where).stdout.strip() == "no policy"
