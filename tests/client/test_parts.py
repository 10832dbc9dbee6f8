"""The core's parts: failure kinds, patience, routing, positions, messages, and what is public."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger.client
from ledger.api.errors import TABLE, CallFailed
from ledger.api.positions import decode_position, encode_position
from ledger.client.compact import Envelope, outcomes_of
from ledger.client.core import IngestCore
from ledger.client.errors import NotApplied, OutcomeUnknown, Refused, error_of
from ledger.client.events import Outcome, UsageEvent
from ledger.client.limits import Limits
from ledger.client.positions import Positions
from ledger.client.retry import Attempts, Failure, FailureKind, RetryPolicy, classify
from ledger.client.routing import Routing, family_shard
from ledger.journal import directory
from ledger.v1 import types_pb2, usage_pb2
from tests.sources import tree_of

PUBLIC = [
    "ALLOWED",
    "RUNS_INSTEAD",
    "CallError",
    "ClientClosed",
    "Damage",
    "DecidedBy",
    "Denied",
    "DrawdownClient",
    "DrawdownError",
    "EventOutcome",
    "GaugeLevel",
    "Guard",
    "GuardedCall",
    "HeldLease",
    "HeldOperation",
    "IngestCore",
    "InvalidEvent",
    "LeaseTerms",
    "Less",
    "Limits",
    "LocalPrices",
    "Mandate",
    "MeteredCall",
    "NotApplied",
    "OpenBounds",
    "Outcome",
    "OutcomeUnknown",
    "RawEvent",
    "Refused",
    "RetryPolicy",
    "SetAside",
    "Spool",
    "SpoolBusy",
    "SpoolError",
    "SpoolFailed",
    "SpoolFull",
    "SpooledCapture",
    "UsageEvent",
    "cancelled_by",
]


def test_what_is_public_changes_on_purpose_only() -> None:
    assert ledger.client.__all__ == PUBLIC
    assert all(hasattr(ledger.client, name) for name in PUBLIC)


def test_the_client_knows_nothing_of_the_server_and_the_core_nothing_of_the_world() -> None:
    shell = {"__init__", "aio", "calls", "channels", "failures", "sender", "transports"}
    shell |= {"refreshing", "metered", "shutdown", "spool", "spool_files"}
    shell |= {"spool_aside", "spool_sending", "sync_spool"}
    shell |= {
        "looping",
        "sync",
        "sync_calls",
        "sync_leases",
        "sync_streams",
        "pipelined",
        "guarded",
        "forking",
        "lease_clock",
    }
    calls = {"accounts", "decisions", "leases", "pricing", "reads", "local_prices"}
    for path in Path(ledger.client.__file__).parent.glob("*.py"):
        imported = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
        for module in imported:
            if module.startswith(("ledger", "rating")):
                known = ("ledger.client", "ledger.v1", "rating.v1")
                priced = path.stem == "local_prices" and module.startswith("rating.")
                assert priced or module.startswith(known), path
        if path.stem not in shell | calls:
            for world in ("asyncio", "time", "random", "uuid", "os", "grpc"):
                assert world not in imported, path


def test_outcomes_are_the_wires() -> None:
    wire = {
        name.removeprefix("INGEST_OUTCOME_"): number
        for name, number in usage_pb2.IngestOutcome.items()
        if number
    }
    assert {outcome.name: outcome.value for outcome in Outcome} == wire


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_every_reason_of_the_server_has_the_kind_that_its_table_says(reason: str) -> None:
    handling = TABLE[reason]
    info = {"retryable": "true" if handling.retryable else "false"}
    failure = classify(CallFailed(reason, "x").code.name, "x", reason=reason, metadata=info)
    assert failure.again == handling.retryable
    if handling.outcome == usage_pb2.INGEST_OUTCOME_UNKNOWN:
        assert failure.kind is FailureKind.UNKNOWN
    else:
        expected = FailureKind.RETRY if handling.retryable else FailureKind.REFUSED
        assert failure.kind is expected


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNAVAILABLE", FailureKind.UNKNOWN),
        ("DEADLINE_EXCEEDED", FailureKind.UNKNOWN),
        ("CANCELLED", FailureKind.UNKNOWN),
        ("INTERNAL", FailureKind.UNKNOWN),
        ("UNIMPLEMENTED", FailureKind.REFUSED),
        ("UNAUTHENTICATED", FailureKind.REFUSED),
        ("PERMISSION_DENIED", FailureKind.REFUSED),
        ("RESOURCE_EXHAUSTED", FailureKind.REFUSED),
        ("INVALID_ARGUMENT", FailureKind.REFUSED),
    ],
)
def test_a_failure_of_the_transport(code: str, kind: FailureKind) -> None:
    failure = classify(code, "broken")
    assert (failure.kind, failure.again) == (kind, kind is not FailureKind.REFUSED)


def test_each_kind_has_its_exception() -> None:
    for kind, error in (
        (FailureKind.REFUSED, Refused),
        (FailureKind.RETRY, NotApplied),
        (FailureKind.UNKNOWN, OutcomeUnknown),
    ):
        made = error_of(Failure(kind, "ABORTED", "R", "m", {"field": "f", "value": "v"}))
        assert type(made) is error
        assert (str(made), made.field, made.value) == ("R: m (f: v)", "f", "v")
    assert str(error_of(Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "", "m"))) == "UNAVAILABLE: m"


def test_attempts_end_in_time_and_remember_what_is_unknown() -> None:
    policy = RetryPolicy(first_us=100, longest_us=400, give_up_us=1_000)
    attempts = Attempts(policy, lambda n: n - 1, now_us=0)
    busy = Failure(FailureKind.RETRY, "UNAVAILABLE", "QUEUE_FULL")
    lost = Failure(FailureKind.UNKNOWN, "UNAVAILABLE")
    assert attempts.failed(busy, 0) == 100
    assert attempts.failed(lost, 100) == 200
    assert attempts.failed(busy, 300) == 400
    last = attempts.failed(busy, 700)
    assert isinstance(last, Failure)
    assert (last.kind, last.reason) == (FailureKind.UNKNOWN, "QUEUE_FULL")


def test_a_refusal_on_the_way_says_nothing_of_an_attempt_before() -> None:
    """Our server looks for the identity before it refuses; what stands before it does not."""
    attempts = Attempts(RetryPolicy(), lambda n: 0, now_us=0)
    attempts.failed(Failure(FailureKind.UNKNOWN, "UNAVAILABLE"), 0)
    on_the_way = attempts.failed(classify("UNAUTHENTICATED", "the token has expired"), 1)
    assert isinstance(on_the_way, Failure)
    assert on_the_way.kind is FailureKind.UNKNOWN
    ours = classify("NOT_FOUND", "m", reason="GRANT_UNKNOWN", metadata={"retryable": "false"})
    assert attempts.failed(ours, 2) == ours


@given(st.integers(1, 200), st.integers(0, 10**9), st.integers(0, 10**6))
def test_patience_is_bounded(attempt: int, after_us: int, chance: int) -> None:
    policy = RetryPolicy()
    delay = policy.delay_us(attempt, after_us, lambda n: chance % n)
    assert max(after_us, policy.first_us // 2) <= delay <= max(after_us, policy.longest_us)


# -- routing ---------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 64))
def test_the_family_hash_is_the_servers(tenant: str, root: str, shards: int) -> None:
    assert family_shard(tenant, root, shards) == directory.family_shard(tenant, root, shards)


def test_the_map_decides_where_a_family_goes() -> None:
    routing = Routing("default", "home:1")
    assert routing.address_of("acme") == "home:1"
    routing.take_map(directory.PLACEMENT_HASH, {0: "zero:1", 1: "", 2: "two:1", 3: "three:1"})
    shard = family_shard("default", "acme", 4)
    assert routing.address_of("acme") == ("zero:1", "home:1", "two:1", "three:1")[shard]
    routing.learn("acme/chat", "acme", 2)  # the family was moved
    assert routing.address_of("acme/chat") == routing.address_of("acme") == "two:1"
    assert routing.addresses == ("home:1", "zero:1", "two:1", "three:1")
    assert routing.address_of("") == "home:1"


def test_an_address_that_cannot_be_reached_is_avoided_until_there_is_a_new_map() -> None:
    routing = Routing("tenant", "home:1", "other:1")
    assert routing.addresses == ("home:1", "other:1")
    routing.avoid("home:1")
    assert routing.address_of("") == "other:1"
    routing.take_map("blake2b-64", {0: "a:1", 1: ""}, "other:1")
    assert routing.address_of("") == "home:1", "a new map: try again"
    assert {routing.address(f"family-{n}") for n in range(20)} == {"a:1", "other:1"}
    routing.avoid("a:1")
    routing.avoid("home:1")
    assert {routing.address(f"family-{n}") for n in range(20)} == {"other:1"}
    routing.avoid("other:1")
    assert routing.address_of("") == "home:1", "nobody is left to prefer"


@pytest.mark.parametrize(
    ("name", "shards"), [("sha256", {0: "a:1"}), ("blake2b-64", {}), ("blake2b-64", {1: "a:1"})]
)
def test_a_map_that_is_not_understood_sends_all_home(name: str, shards: dict[int, str]) -> None:
    routing = Routing("default", "home:1")
    routing.take_map(name, shards)
    assert routing.address_of("acme") == "home:1"
    assert routing.addresses == ("home:1",)


# -- positions -------------------------------------------------------------------------------------

positions = st.dictionaries(st.integers(0, 300), st.integers(0, 2**62), max_size=5)


@given(st.lists(positions, max_size=6))
def test_the_furthest_of_all_positions_is_handed_to_reads(seen: list[dict[int, int]]) -> None:
    furthest: dict[int, int] = {}
    kept = Positions()
    for entries in seen:
        kept.observe(encode_position(entries))
        for shard, count in entries.items():
            furthest[shard] = max(count, furthest.get(shard, 0))
        assert decode_position(str(kept)) == furthest


def test_a_position_of_a_later_version_is_kept_as_it_is() -> None:
    kept = Positions()
    for position in ("AgEC", "AQGC", "not a position", "é"):
        kept.observe(position)
        assert str(kept) == position
    kept.observe(encode_position({1: 5}))
    assert decode_position(str(kept)) == {1: 5}


# -- messages --------------------------------------------------------------------------------------


def items_of(*events: UsageEvent) -> list:
    core = IngestCore(Limits(), RetryPolicy(), Routing("t", "a:1"), lambda n: 0)
    return core.prepare(events).items


def test_the_compact_form_names_shapes_and_accounts_once() -> None:
    request = Envelope("t", source="s", product="p", park_unknown=True).request(
        items_of(
            UsageEvent("1", "a", {"x": 1, "y": 2}, attributes={"k": "v"}),
            UsageEvent("2", "b", {"x": 3, "y": 4}, attributes={"k": "v"}, operation="op"),
            UsageEvent("3", "a", {"x": 5}, product="q", source="r", effective_at_us=9),
            UsageEvent("4", "a", {"x": 6, "y": 7}, attributes={"k": "v"}),
        )
    )
    batch = request.compact
    assert (request.tenant, request.source, request.product, request.park_unknown) == (
        *("t", "s", "p"),
        True,
    )
    assert [
        (s.product, s.source, dict(s.attributes), list(s.quantity_names)) for s in batch.shapes
    ] == [
        ("", "", {"k": "v"}, ["x", "y"]),
        ("q", "r", {}, ["x"]),
    ]
    assert list(batch.accounts) == ["a", "b"]
    assert list(batch.ids) == ["1", "2", "3", "4"]
    assert list(batch.account_index) == [0, 1, 0, 0]
    assert list(batch.shape_index) == [0, 0, 1, 0]
    assert list(batch.effective_at_us) == [0, 0, 9, 0]
    assert list(batch.quantities) == [1, 2, 3, 4, 5, 6, 7]
    assert [(o.event, o.operation) for o in batch.operations] == [(1, "op")]
    assert not batch.personal


def test_no_times_at_all_are_no_column() -> None:
    batch = Envelope("t").request(items_of(UsageEvent("1", "a", {"x": 1}))).compact
    assert not batch.effective_at_us


@given(st.data())
def test_an_events_size_is_never_underestimated(data: st.DataObject) -> None:
    text = st.text(max_size=12)
    numbers = st.integers(-(2**63), 2**63 - 1)
    events = data.draw(
        st.lists(
            st.builds(
                UsageEvent,
                id=text,
                account=text,
                quantities=st.dictionaries(text, numbers, max_size=4),
                product=text,
                attributes=st.dictionaries(text, text, max_size=3),
                effective_at_us=numbers,
                source=text,
                operation=text,
                operation_parent=text,
                personal_attributes=st.dictionaries(text, text, max_size=2),
            ),
            min_size=1,
            max_size=6,
        )
    )
    items = items_of(*events)
    size = sum(item.size for item in items)
    assert Envelope("t").request(items).ByteSize() <= size + 64
    assert Envelope("t", plain=True).request(items).ByteSize() <= size + 64


def test_an_outcome_of_a_later_server_is_unknown() -> None:
    response = usage_pb2.IngestResponse(position="p")
    response.compact.outcomes.extend([1, 99])  # type: ignore[list-item]
    response.compact.charges.extend([0, 0])
    assert [outcome.outcome for outcome in outcomes_of(response)] == [
        Outcome.APPLIED,
        Outcome.UNKNOWN,
    ]


def test_charges_are_in_the_asset_of_each_event() -> None:
    response = usage_pb2.IngestResponse(
        assets=[
            types_pb2.AssetScale(asset="credit", scale=6),
            types_pb2.AssetScale(asset="USD", scale=9),
        ],
        position="p",
    )
    response.compact.outcomes.extend([1, 1, 1])
    response.compact.charges.extend([5, 7, 0])
    response.compact.asset_index.extend([0, 1, 0])
    response.compact.over_limit.append(1)
    response.compact.replayed.append(2)
    first, second, third = outcomes_of(response)
    assert (first.charge, first.asset, first.scale, first.position) == (5, "credit", 6, "p")
    assert (second.charge, second.asset, second.scale) == (7, "USD", 9)
    assert (second.over_limit, third.replayed, third.asset) == (True, True, "")
