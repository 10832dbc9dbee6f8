"""Bad input is a clear outcome or status, with a stable reason and the value, and no entry."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, FUTURE_TOLERANCE_US, INT64_MAX
from ledger.v1 import account_pb2, balance_pb2, decision_pb2, usage_pb2
from tests.api.served import (
    TENANT,
    Served,
    compact,
    event,
    plain,
    refusal_of,
    work,
)
from tests.api.test_usage import FORMS, outcomes, results

INVALID = grpc.StatusCode.INVALID_ARGUMENT
LONG = "x" * 129
LONG_UNICODE = "é" * 65  # 130 bytes


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"id": ""}, "FIELD_REQUIRED", "id"),
        ({"id": LONG}, "TEXT_TOO_LONG", "id"),
        ({"id": LONG_UNICODE}, "TEXT_TOO_LONG", "id"),
        ({"id": "a\0b"}, "TEXT_INVALID", "id"),
        ({"account": ""}, "FIELD_REQUIRED", "account"),
        ({"account": LONG}, "TEXT_TOO_LONG", "account"),
        ({"product": ""}, "FIELD_REQUIRED", "product"),
        ({"product": LONG}, "TEXT_TOO_LONG", "product"),
        ({"source": LONG}, "TEXT_TOO_LONG", "source"),
        ({"operation": LONG}, "TEXT_TOO_LONG", "operation"),
        ({"operation_parent": "p"}, "FIELD_REQUIRED", "operation"),
        ({"quantities": {}}, "FIELD_REQUIRED", "quantities"),
        ({"quantities": {"input_tokens": 0}}, "QUANTITIES_ALL_ZERO", "quantities"),
        (
            {"quantities": {"input_tokens": -1, "output_tokens": 5}},
            "QUANTITY_INVALID",
            "quantities['input_tokens']",
        ),
        ({"quantities": {f"q{n}": 1 for n in range(17)}}, "TOO_MANY", "quantities"),
        ({"quantities": {LONG: 1}}, "TEXT_TOO_LONG", f"quantities[{LONG!r}]"),
        ({"attributes": {f"a{n}": "" for n in range(17)}}, "TOO_MANY", "attributes"),
        ({"attributes": {"a" * 65: ""}}, "TEXT_TOO_LONG", f"attributes[{'a' * 65!r}]"),
        ({"attributes": {"a": LONG}}, "TEXT_TOO_LONG", "attributes['a']"),
        ({"personal_attributes": {"a": LONG}}, "TEXT_TOO_LONG", "personal_attributes['a']"),
        ({"effective_at_us": -1}, "NUMBER_OUT_OF_RANGE", "effective_at_us"),
        (
            {"quantities": {"input_tokens": 5, "cached_tokens": 6}},
            "SUBSET_EXCEEDS_PARENT",
            "quantities",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
@FORMS
async def test_a_bad_event_is_its_own_outcome(priced: Served, form, changes, reason, field):
    """The others of the batch are recorded, and the same id may be sent again, corrected."""
    await priced.account("acme")
    bad = event(**{"event_id": "bad", "account": "acme", **_renamed(changes)})
    reply = await priced.usage.Ingest(form(event("a", "acme"), bad, event("b", "acme")))
    assert outcomes(reply) == ["APPLIED", "INVALID", "APPLIED"]
    found = results(reply)[1]
    assert (found.reason, found.field) == (reason, field)
    assert found.message
    corrected = await priced.usage.Ingest(form(event("bad", "acme")))
    assert outcomes(corrected) == ["APPLIED"]
    assert not results(corrected)[0].replayed


def _renamed(changes: dict[str, Any]) -> dict[str, Any]:
    """`event` takes the id by another name."""
    renamed = dict(changes)
    if "id" in renamed:
        renamed["event_id"] = renamed.pop("id")
    return renamed


@FORMS
async def test_very_large_values_are_shown_shortened(priced: Served, form):
    await priced.account("acme")
    huge = "é" * 1_000_000
    reply = await priced.usage.Ingest(
        form(
            event(huge, "acme"),
            event("b", "acme", attributes={huge: ""}),
            event("c", huge),
            event("d", "acme"),
        )
    )
    assert outcomes(reply) == ["INVALID", "INVALID", "INVALID", "APPLIED"]
    assert reply.ByteSize() < 10_000
    for call in (
        priced.check(huge),
        priced.check("acme", attributes={huge: ""}),
        priced.usage.Ingest(form(event("a", "acme"), tenant=huge)),
    ):
        assert (await refusal_of(call)).reason == "TEXT_TOO_LONG"


@FORMS
async def test_usage_needs_a_source(priced: Served, form):
    await priced.account("acme")
    reply = await priced.usage.Ingest(
        form(event("a", "acme"), event("b", "acme", source="s"), source="")
    )
    assert outcomes(reply) == ["INVALID", "APPLIED"]
    assert (results(reply)[0].reason, results(reply)[0].field) == ("FIELD_REQUIRED", "source")


@FORMS
async def test_times_outside_the_window(priced: Served, form):
    await priced.account("acme")
    now = priced.ledger.clock.now_us()
    reply = await priced.usage.Ingest(
        form(
            event("old", "acme", effective_at_us=now - 36 * DAY_US),
            event("soon", "acme", effective_at_us=now + FUTURE_TOLERANCE_US // 2),
            event("later", "acme", effective_at_us=now + 2 * FUTURE_TOLERANCE_US),
            event("never", "acme", effective_at_us=INT64_MAX),
        )
    )
    assert outcomes(reply) == ["QUARANTINED", "APPLIED", "IN_FUTURE", "IN_FUTURE"]
    found = results(reply)
    assert [(each.reason, each.field) for each in found] == [
        ("TOO_OLD", "effective_at_us"),
        ("", ""),
        ("IN_FUTURE", "effective_at_us"),
        ("IN_FUTURE", "effective_at_us"),
    ]
    assert found[0].charge == 0
    again = await priced.usage.Ingest(form(event("old", "acme", effective_at_us=now - 36 * DAY_US)))
    assert outcomes(again) == ["QUARANTINED"]
    assert results(again)[0].replayed


@FORMS
async def test_a_charge_that_passes_64_bits_changes_nothing(priced: Served, form):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    reply = await priced.usage.Ingest(form(event("a", "acme", INT64_MAX, 0)))
    assert outcomes(reply) == ["OVERFLOW"]
    assert "credit with scale 6" in results(reply)[0].message
    assert str(3 * INT64_MAX) in results(reply)[0].message
    assert (await priced.balance("acme")).available == "1000"


@FORMS
async def test_a_closed_account(priced: Served, form):
    await priced.account("acme")
    before = priced.ledger.clock.now_us() - 1_000
    closing = account_pb2.AccountServiceCloseRequest(
        tenant=TENANT, request_id="close", account="acme"
    )
    assert (await priced.accounts.Close(closing)).account.state == account_pb2.ACCOUNT_STATE_CLOSED
    reply = await priced.usage.Ingest(
        form(event("a", "acme"), event("late", "acme", effective_at_us=before))
    )
    assert outcomes(reply) == ["ACCOUNT_CLOSED", "APPLIED"]
    found = await refusal_of(priced.authorize("acme"))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACCOUNT_CLOSED",
    )


@FORMS
@pytest.mark.parametrize(
    ("count", "reason"), [(0, "BATCH_EMPTY"), (8_193, "BATCH_TOO_LARGE")], ids=["none", "many"]
)
async def test_empty_and_oversized_batches(priced: Served, form, count, reason):
    await priced.account("acme")
    request = form(*[event(f"e{number}", "acme") for number in range(count)])
    found = await refusal_of(priced.usage.Ingest(request))
    assert (found.code, found.reason) == (INVALID, reason)
    assert await priced.balances.Get(_balance("acme"))
    assert not (await priced.balances.Get(_balance("acme"))).balances


def _balance(account: str) -> Any:
    return balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=account)


@FORMS
async def test_the_largest_batch_is_taken(priced: Served, form):
    await priced.account("acme")
    request = form(*[event(f"e{number}", "acme", 1, 0) for number in range(8_192)])
    assert set(outcomes(await priced.usage.Ingest(request))) == {"APPLIED"}


async def test_both_forms_at_once(priced: Served):
    request = plain(event("a", "acme"))
    request.compact.CopyFrom(compact(event("b", "acme")).compact)
    found = await refusal_of(priced.usage.Ingest(request))
    assert (found.code, found.reason) == (INVALID, "BATCH_FORM")


def _broken(change: str) -> usage_pb2.IngestRequest:
    request = compact(event("a", "acme"), event("b", "acme"))
    batch = request.compact
    match change:
        case "account column short":
            del batch.account_index[-1]
        case "shape column long":
            batch.shape_index.append(0)
        case "time column short":
            del batch.effective_at_us[-1]
        case "quantities short":
            del batch.quantities[-1]
        case "quantities long":
            batch.quantities.append(1)
        case "account beyond table":
            batch.account_index[1] = 1
        case "account below table":
            batch.account_index[1] = -1
        case "shape beyond table":
            batch.shape_index[0] = 5
        case "accounts longer than batch":
            batch.accounts.extend(["b", "c"])
        case "operation beyond batch":
            batch.operations.add(event=2, operation="o")
        case "operations descending":
            batch.operations.add(event=1, operation="o")
            batch.operations.add(event=0, operation="o")
        case "personal twice":
            batch.personal.add(event=0)
            batch.personal.add(event=0)
    return request


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("account column short", "COLUMN_LENGTH"),
        ("shape column long", "COLUMN_LENGTH"),
        ("time column short", "COLUMN_LENGTH"),
        ("quantities short", "COLUMN_LENGTH"),
        ("quantities long", "COLUMN_LENGTH"),
        ("account beyond table", "INDEX_INVALID"),
        ("account below table", "INDEX_INVALID"),
        ("shape beyond table", "INDEX_INVALID"),
        ("accounts longer than batch", "TOO_MANY"),
        ("operation beyond batch", "INDEX_INVALID"),
        ("operations descending", "INDEX_INVALID"),
        ("personal twice", "INDEX_INVALID"),
    ],
)
async def test_columns_that_do_not_fit_refuse_the_whole_batch(priced: Served, change, reason):
    await priced.account("acme")
    found = await refusal_of(priced.usage.Ingest(_broken(change)))
    assert (found.code, found.reason) == (INVALID, reason)
    assert found.metadata["field"].startswith("compact.")
    assert not (await priced.balances.Get(_balance("acme"))).balances


async def test_a_shape_without_names_or_with_one_twice(priced: Served):
    await priced.account("acme")
    request = compact(event("a", "acme"))
    request.compact.shapes.add(product="chat", quantity_names=["input_tokens", "input_tokens"])
    request.compact.shapes.add(product="chat")
    for place in (1, 2):
        request.compact.ids.append(f"bad{place}")
        request.compact.account_index.append(0)
        request.compact.shape_index.append(place)
        request.compact.effective_at_us.append(0)
    request.compact.quantities.extend([1, 1])
    reply = await priced.usage.Ingest(request)
    assert outcomes(reply) == ["APPLIED", "INVALID", "INVALID"]
    assert [each.reason for each in results(reply)] == ["", "NAME_REPEATED", "FIELD_REQUIRED"]


async def test_an_operation_of_a_compact_batch_needs_a_name(priced: Served):
    await priced.account("acme")
    request = compact(event("a", "acme"), event("b", "acme"))
    request.compact.operations.add(event=1, operation="")
    reply = await priced.usage.Ingest(request)
    assert outcomes(reply) == ["APPLIED", "INVALID"]
    assert results(reply)[1].field == "operation"


@FORMS
async def test_bad_utf8_is_named_with_its_place_and_value(priced: Served, form):
    request = form(event("a", "acme"), event("bad-one", "acme"))
    data = request.SerializeToString().replace(b"bad-one", b"bad\xff\xfeon")
    call = priced.channel.unary_unary("/ledger.v1.UsageService/Ingest")
    found = await refusal_of(call(data))
    assert (found.code, found.reason) == (INVALID, "MALFORMED_REQUEST")
    place = "events[1].id" if form is plain else "compact.ids[1]"
    assert found.violations == [(place, "MALFORMED_REQUEST")]
    assert found.metadata["value"] == r"bad\xff\xfeon"


async def test_bytes_that_are_no_message(priced: Served):
    call = priced.channel.unary_unary("/ledger.v1.DecisionService/Check")
    found = await refusal_of(call(b"\x0a\xff"))
    assert (found.code, found.reason) == (INVALID, "MALFORMED_REQUEST")
    stream = priced.channel.stream_stream("/ledger.v1.UsageService/IngestStream")
    replies = stream(iter([b"\x0a\xff"])).__aiter__()
    assert (await refusal_of(anext(replies))).reason == "MALFORMED_REQUEST"


async def test_bad_utf8_in_a_map(priced: Served):
    request = decision_pb2.CheckRequest(**work("acme"), attributes={"region": "marker"})
    data = request.SerializeToString().replace(b"marker", b"mark\xc3\x28")
    found = await refusal_of(priced.channel.unary_unary("/ledger.v1.DecisionService/Check")(data))
    assert found.violations == [("attributes[0].value", "MALFORMED_REQUEST")]


@pytest.mark.parametrize("tenant", ["", "nobody", LONG])
async def test_unknown_tenants(priced: Served, tenant):
    found = await refusal_of(priced.usage.Ingest(plain(event("a", "acme"), tenant=tenant)))
    reasons = {"": "FIELD_REQUIRED", "nobody": "TENANT_UNKNOWN", LONG: "TEXT_TOO_LONG"}
    assert found.reason == reasons[tenant]
    assert found.metadata["field"] == "tenant"


async def test_every_fault_of_a_request_is_listed_at_once(priced: Served):
    request = account_pb2.AccountServiceCreateRequest(
        tenant=TENANT, account=LONG, display_name="x" * 257, metadata={"a": LONG}
    )
    found = await refusal_of(priced.accounts.Create(request))
    assert found.code == INVALID
    assert found.violations == [
        ("request_id", "FIELD_REQUIRED"),
        ("account", "TEXT_TOO_LONG"),
        ("display_name", "TEXT_TOO_LONG"),
        ("metadata['a']", "TEXT_TOO_LONG"),
    ]
