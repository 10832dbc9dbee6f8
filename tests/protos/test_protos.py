"""The wire contract keeps its own rules, and the committed modules are what the protos say."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
)

from ledger.v1 import (
    account_pb2,
    balance_pb2,
    budget_pb2,
    charge_pb2,
    clock_pb2,
    commitment_pb2,
    contract_pb2,
    correction_pb2,
    decision_pb2,
    decision_policy_pb2,
    explain_pb2,
    fail_mode_pb2,
    family_pb2,
    grant_pb2,
    journal_pb2,
    lease_pb2,
    mandate_pb2,
    outcome_pb2,
    package_pb2,
    payment_pb2,
    peer_pb2,
    recurring_pb2,
    report_pb2,
    runway_pb2,
    seat_pb2,
    sizing_pb2,
    statement_pb2,
    top_up_pb2,
    types_pb2,
    usage_pb2,
)
from rating.v1 import (
    card_pb2,
    conversion_pb2,
    meter_pb2,
    override_pb2,
    pricing_pb2,
    rerate_pb2,
    simulation_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
ENVOYS = "ledger/gateway/envoy"  # not our contract; tests/gateway holds it against Envoy's
BUF = Path(sysconfig.get_path("scripts")) / "buf"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        account_pb2,
        balance_pb2,
        budget_pb2,
        decision_policy_pb2,
        charge_pb2,
        clock_pb2,
        commitment_pb2,
        correction_pb2,
        decision_pb2,
        explain_pb2,
        fail_mode_pb2,
        family_pb2,
        grant_pb2,
        journal_pb2,
        lease_pb2,
        mandate_pb2,
        outcome_pb2,
        contract_pb2,
        package_pb2,
        payment_pb2,
        peer_pb2,
        recurring_pb2,
        report_pb2,
        runway_pb2,
        seat_pb2,
        sizing_pb2,
        statement_pb2,
        top_up_pb2,
        types_pb2,
        usage_pb2,
        card_pb2,
        conversion_pb2,
        meter_pb2,
        override_pb2,
        pricing_pb2,
        rerate_pb2,
        simulation_pb2,
    )
]
ALLOWED_TYPES = {
    FieldDescriptor.TYPE_BOOL,
    FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_MESSAGE,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_STRING,
}
# Calls that change nothing, and those that take a set, whose items carry ids of their own.
WITHOUT_REQUEST_ID = {
    "IssueToken",  # a token more changes nothing
    "Present",  # the token says it all
    "Ingest",
    "ReportUsage",
    "ReverseUsage",
    "GetExposure",
    "GetOperationBudget",
    "GetOperationPolicy",
    "Get",
    "Check",
    "CheckMany",
    "ExplainDecision",
    "ExplainRecorded",
    "List",
    "ListChanges",
    "Forecast",
    "Watch",
    "ListAdjustments",
    "ListSuspense",
    "ListGauges",
    "ListValues",
    "ListAliases",
    "GetHold",
    "GetMargin",
    "GetAccuracy",
    "ListRules",
    "GetCharge",
    "ListCharges",
    "ListFees",
    "ListFailModes",
    "GetOverage",
    "GetOperation",
    "GetOwed",
    "GetRules",
    "ListHolds",
    "GetOutcome",
    "GetRouting",
    "TrialBalance",
    "ListAssets",
    "ListConversions",
    "ListMeters",
    "Preview",
    "PreviewSubscribers",
    "ResolveEntitlements",
    "GetSubscription",
    "GetPlan",
    "ListPlans",
    "ListSeats",
    "GetSharing",
    "GetCap",
    "ListCaps",
    "GetRateCard",
    "ListRateCards",
    "ListRateCardAliases",
    "DiffRateCards",
    "GetPriceSheet",
    "GetPriceOverrides",
    "Quote",
    "Simulate",
    "Compare",
    "Rerate",  # `job` is its identity
    "Explain",
    "ExplainDifference",
    "GetAlerts",
    "GetQuote",
    "ListQuotes",
    "GetProof",
    "ListSeals",
    "GetSealKeys",
    "Draft",
    "RollUp",
}


IN_MAJOR_UNITS = {"Overwrite", "Tiers"}  # exact prices as text, no amounts


def messages() -> Iterator[Descriptor]:
    for file in FILES:
        yield from file.message_types_by_name.values()


def enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.enum_types_by_name.values()


def unary_methods() -> list[MethodDescriptor]:
    """Every method for clients; streams are left out: their requests wrap those of others."""
    return [
        method
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
        if not method.client_streaming and service.name != "PeerService"
    ]


def buf(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)


def generated(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for package in ("ledger/v1", "rating/v1", "ledger/gateway/envoy")
        for path in (directory / package).iterdir()
        if "_pb2" in path.name and path.is_file()
    }


def test_no_proto_is_left_out_of_these_tests():
    named = {file.name for file in FILES}
    found = {path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto")}
    assert named == {name for name in found if not name.startswith(ENVOYS)}


def test_regenerating_gives_no_difference(tmp_path):
    command = [sys.executable, PROTOS / "generate.py", "--output", tmp_path]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    fresh, committed = generated(tmp_path), generated(ROOT)
    assert sorted(fresh) == sorted(committed)
    assert [name for name in fresh if fresh[name] != committed[name]] == []


@pytest.mark.parametrize("package", ["ledger", "ledger/v1", "rating/v1", ENVOYS])
def test_packages_of_generated_code_import_nothing(package):
    source = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert [line for line in lines if line != "from __future__ import annotations"] == []


def test_buf_finds_no_fault():
    result = buf("lint", "protos")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_protos_are_formatted():
    result = buf("format", "protos", "--diff", "--exit-code")
    assert (result.returncode, result.stdout) == (0, "")


def test_lint_and_breaking_rules_are_the_strict_ones():
    config = yaml.safe_load((PROTOS / "buf.yaml").read_text(encoding="utf-8"))
    assert config["lint"] == {"use": ["STANDARD", "COMMENTS"], "ignore": [ENVOYS]}
    assert config["breaking"] == {"use": ["WIRE_JSON"]}


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("string id = 1;", "string event_id = 1;", "FIELD_SAME_JSON_NAME"),
        ("int64 effective_at_us = 3;", "string effective_at_us = 3;", "TYPE"),
        ("INGEST_OUTCOME_RETRY = 10;", "INGEST_OUTCOME_RETRY = 99;", "ENUM_VALUE"),
        ("  bool park_unknown = 4;\n", "", "FIELD_NO_DELETE"),
    ],
    ids=["renamed field", "other type", "renumbered outcome", "deleted field"],
)
def test_a_breaking_change_is_found(tmp_path, before, after, rule):
    shutil.copytree(PROTOS, tmp_path / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "protos/ledger/v1/usage.proto"
    source = changed.read_text(encoding="utf-8")
    assert before in source
    changed.write_text(source.replace(before, after, 1), encoding="utf-8")
    command = ("breaking", "protos", "--against", str(PROTOS), "--error-format", "json")
    result = buf(*command, cwd=tmp_path)
    assert result.returncode != 0
    assert rule in result.stdout


def test_the_present_contract_does_not_break_itself():
    assert buf("breaking", "protos", "--against", "protos").returncode == 0


def test_enum_numbers_are_unique_and_zero_is_unspecified():
    for enum in enums():
        numbers = [value.number for value in enum.values]
        assert len(numbers) == len(set(numbers)), enum.full_name
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED"), enum.full_name


def test_ingest_outcomes_keep_their_numbers():
    names = [
        "UNSPECIFIED",
        "APPLIED",
        "SUSPENSE",
        "QUARANTINED",
        "INVALID",
        "ACCOUNT_UNKNOWN",
        "ACCOUNT_CLOSED",
        "IN_FUTURE",
        "OVERFLOW",
        "CONFLICT",
        "RETRY",
        "UNKNOWN",
        "ACCOUNT_FROZEN",
        "LINKED_FAILED",
    ]
    values = usage_pb2.DESCRIPTOR.enum_types_by_name["IngestOutcome"].values
    assert [(v.name, v.number) for v in values] == [
        (f"INGEST_OUTCOME_{name}", number) for number, name in enumerate(names)
    ]


def test_no_floats_and_no_unsigned_integers():
    offending = [
        field.full_name
        for message in messages()
        for field in message.fields
        if field.type not in ALLOWED_TYPES
    ]
    assert offending == []


def test_every_request_names_its_tenant_first():
    for method in unary_methods():
        field = method.input_type.fields_by_number.get(1)
        assert field is not None, method.full_name
        assert field.name == "tenant", method.full_name


def test_every_mutation_takes_a_request_id_and_says_whether_it_was_replayed():
    mutations = [method for method in unary_methods() if method.name not in WITHOUT_REQUEST_ID]
    assert len(mutations) == 91
    for method in mutations:
        field = method.input_type.fields_by_number.get(2)
        assert field is not None, method.full_name
        assert field.name == "request_id", method.full_name
        assert "replayed" in method.output_type.fields_by_name, method.full_name


def test_every_list_has_pages():
    lists = [method for method in unary_methods() if method.name.startswith("List")]
    assert len(lists) == 33
    for method in lists:
        assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name.keys())
        assert "next_page_token" in method.output_type.fields_by_name


def test_reads_with_a_position_answer_with_one():
    for method in unary_methods():
        if "min_position" in method.input_type.fields_by_name:
            assert "position" in method.output_type.fields_by_name, method.full_name


def test_every_asset_in_a_reply_has_its_scale_beside_it():
    """A reply that names an asset says in which scale its amounts are."""
    for message in messages():
        if message.name.endswith(("Request", "Policy")) or message.name in IN_MAJOR_UNITS:
            continue
        for field in message.fields:
            if field.name.endswith("asset") and field.type == FieldDescriptor.TYPE_STRING:
                beside = {field.name.replace("asset", "scale"), f"{field.name}_scale"}
                assert beside & set(message.fields_by_name.keys()), field.full_name


def test_a_card_of_8000_rows_fits_one_message():
    card = card_pb2.RateCard(name="default", asset="USD", asset_scale=9)
    for number in range(8_000):
        row = card.rows.add(
            product=f"provider/model-{number:0100d}", quantity="input_tokens", price="0.00000125"
        )
        row.attributes.update({"mode": "priority", "cache_ttl": "1h", "region": "eu-central-1"})
    request = pricing_pb2.PublishRateCardRequest(tenant="live", request_id="r", card=card)
    assert request.ByteSize() < MESSAGE_BYTES_MAX // 4


def test_the_largest_ordinary_batches_fit_one_message():
    count = 8_192
    names = ["input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"]
    attributes = {"model": "provider/model", "mode": "async", "region": "eu-central-1"}
    compact = usage_pb2.IngestRequest(
        tenant="live",
        source="gateway",
        compact=usage_pb2.CompactBatch(
            shapes=[usage_pb2.Shape(product="chat", attributes=attributes, quantity_names=names)],
            accounts=[f"customer-{number:0100d}" for number in range(count)],
            ids=[f"{number:0128d}" for number in range(count)],
            account_index=range(count),
            shape_index=[0] * count,
            effective_at_us=[1_790_000_000_000_000] * count,
            quantities=[2**40] * (count * len(names)),
        ),
    )
    plain = usage_pb2.IngestRequest(tenant="live", source="gateway")
    for number in range(count):
        plain.events.add(
            id=f"{number:0128d}",
            account=f"customer-{number:0100d}",
            effective_at_us=1_790_000_000_000_000,
            product="chat",
            attributes=attributes,
            quantities=dict.fromkeys(names, 2**40),
        )
    assert compact.ByteSize() < plain.ByteSize() < MESSAGE_BYTES_MAX // 2
    assert usage_pb2.IngestRequest.FromString(compact.SerializeToString()) == compact
