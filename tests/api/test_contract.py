"""The edge's tables are complete, its opaque strings checked, its figures those of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.errors import TABLE, CallFailed, Fault
from ledger.api.ids import GRANT, HOLD, mint, unmint
from ledger.api.intake.shapes import ShapeCache
from ledger.api.pages import page_after, page_token
from ledger.api.past_balances import Place, _place, _token
from ledger.api.positions import decode_position, encode_position, position_of
from ledger.api.replies import OUTCOMES
from ledger.auth.refusals import Denied, Undecided, Unproven
from ledger.core import limits
from ledger.core.events import Excess, FreezeCause, GrantKind, Overage, Pot, WriteOffKind
from ledger.core.outcomes import Reason
from ledger.core.shapes import Shape
from ledger.engine.sandbox import ClockReason
from ledger.engine.ticket import NotAppliedReason
from ledger.journal.configuration import ConfigurationReason
from ledger.journal.directory import Reason as DirectoryReason
from ledger.projections.past import NOTHING, Point
from ledger.v1 import account_pb2, types_pb2, usage_pb2
from rating.metering import MeterReason

ROOT = Path(__file__).resolve().parents[2]
INT64 = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize(
    "reasons",
    [
        Reason,
        NotAppliedReason,
        DirectoryReason,
        ConfigurationReason,
        ClockReason,
        Unproven,
        Denied,
        Undecided,
    ],
)
def test_every_reason_of_every_part_has_a_row(reasons):
    assert [reason.value for reason in reasons if reason.value not in TABLE] == []


def test_every_reason_that_the_edge_names_has_a_row():
    """Also in the other direction: a row that nobody can reach is dead."""
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "ledger/api").rglob("*.py"))
        if path.name != "errors.py"
    )
    named = set(re.findall(r'(?:CallFailed|Fault)\(\s*"([A-Z_]+)"', source))
    assert named
    assert sorted(named - TABLE.keys()) == []
    parts = {
        reason.value
        for reasons in (
            Reason,
            NotAppliedReason,
            DirectoryReason,
            ConfigurationReason,
            ClockReason,
            MeterReason,
            Unproven,
            Denied,
            Undecided,
        )
        for reason in reasons
    }
    errors = (ROOT / "ledger/api/errors.py").read_text(encoding="utf-8")
    own = set(re.findall(r'CallFailed\(\s*"([A-Z_]+)"', errors))
    spoken = {name for name in TABLE if f'"{name}"' in source}
    assert sorted(TABLE.keys() - named - parts - own - spoken) == []


def test_statuses_that_stock_clients_retry_are_those_that_were_certainly_not_applied():
    unavailable = {
        reason for reason, row in TABLE.items() if row.code == grpc.StatusCode.UNAVAILABLE
    }
    assert unavailable == {
        "BATCH_FULL",
        "QUEUE_FULL",
        "WRITER_REOPENING",
        "WRITER_HALTED",
        "SHUTTING_DOWN",
        "JOURNAL_UNAVAILABLE",
        "NOT_OWNER",
        "LEASE_LAPSED",
        "OWNER_UNREACHABLE",
        "READ_MODELS_BEHIND",
        "AUTHENTICATION_UNAVAILABLE",
    }
    assert all(TABLE[reason].retryable for reason in unavailable)
    assert TABLE["OUTCOME_UNKNOWN"].code == grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_every_reason_makes_a_status(reason):
    failure = CallFailed(reason, "what happened", field="f", value="v" * 999, retry_after_us=50_000)
    status = failure.status()
    assert status.code == failure.code.value[0]
    assert status.details
    assert len(status.SerializeToString()) < 4_000  # trailers have room for 8 kB


def test_a_status_with_very_many_large_faults_still_fits_the_trailers():
    faults = [Fault("TEXT_TOO_LONG", "é" * 9_999, "é" * 9_999, "é" * 200) for _ in range(9_999)]
    failure = CallFailed(
        "RATE_CARD_INVALID", "é" * 9_999, field="é" * 9_999, value="é" * 9_999, faults=faults
    )
    escaped = 6 * len(failure.message)  # %C3%A9
    assert len(failure.status().SerializeToString()) * 4 // 3 + escaped < 8_000


@given(st.dictionaries(st.integers(0, 1_023), INT64, min_size=1, max_size=64))
def test_positions_come_back(entries):
    assert decode_position(encode_position(entries)) == entries
    for shard, count in entries.items():
        assert position_of(shard, count) == encode_position({shard: count})


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_positions_pages_and_ids(text):
    """Whatever is read without complaint is what would have been written."""
    assert _reason(lambda: encode_position(decode_position(text)), text) in OPAQUE
    assert (
        _reason(lambda: page_token("all", page_after("all", text)) if text else "", text) in OPAQUE
    )
    assert _reason(lambda: mint(HOLD, *unmint(HOLD, text, 4)), text) in OPAQUE


OPAQUE = ("", "POSITION_INVALID", "PAGE_INVALID", "HOLD_UNKNOWN", "FIELD_REQUIRED")


def _reason(read: Callable[[], str], text: str) -> str:
    """Why it was refused; "" where it was read and is written the same again."""
    try:
        return "" if read() == text else "read, but written otherwise"
    except CallFailed as failure:
        return failure.reason


@given(st.sampled_from([HOLD, GRANT]), st.integers(0, 1_023), INT64, INT64)
def test_minted_ids_come_back(kind, shard, account, number):
    text = mint(kind, shard, account, number)
    assert unmint(kind, text, 1_024) == (shard, account, number)
    assert len(text) <= 40
    for changed in (text[:-1], text + "A", text.replace("_", "-", 1), text.upper()):
        with pytest.raises(CallFailed):
            unmint(kind, changed, 1_024)


def test_an_id_of_a_shard_that_is_not_there_is_unknown():
    with pytest.raises(CallFailed, match="no id of a hold"):
        unmint(HOLD, mint(HOLD, 4, 1, 1), 4)


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_no_id_of_a_number_that_cannot_be_is_looked_up(number: int):
    """The database has no such number, and looking for one was taken for a bug of the server."""
    for found in ((0, number, 1), (0, 1, number)):
        with pytest.raises(CallFailed) as caught:
            unmint(HOLD, mint(HOLD, *found), 4)
        assert caught.value.reason == "HOLD_UNKNOWN"
    assert unmint(HOLD, mint(HOLD, 0, 2**63 - 1, 2**63 - 1), 4).number == 2**63 - 1


@pytest.mark.parametrize("entries", [{1_024: 1}, {2**62: 1}, {0: 2**63}, {0: 1, 1: 2**69}])
def test_no_position_of_a_place_that_cannot_be_is_waited_for(entries: dict[int, int]):
    with pytest.raises(CallFailed) as caught:
        decode_position(encode_position(entries))
    assert caught.value.reason == "POSITION_INVALID"
    assert decode_position(encode_position({1_023: 2**63 - 1})) == {1_023: 2**63 - 1}


def test_no_page_begins_after_what_cannot_be():
    assert page_after("all", page_token("all", 2**63 - 1)) == 2**63 - 1
    assert page_after("all", page_token("all", 2**63), 2**100) == 2**63
    for after, most in ((2**63, None), (10**30, None), (2**100 + 1, 2**100)):
        with pytest.raises(CallFailed) as caught:
            page_after("all", page_token("all", after), *([] if most is None else [most]))
        assert caught.value.reason == "PAGE_INVALID"


@pytest.mark.parametrize(
    "place",
    [
        Place(Point(2**63, 1), Point(1, 1)),
        Place(Point(1, 1), Point(1, -(2**64))),
        Place(Point(1, 1), Point(1, 1), (2**63, 0, 0)),
        Place(Point(1, 1), Point(1, 1), (1, 2**31, 0)),
        Place(Point(1, 1), Point(1, 1), (1, 0, 2)),
        Place(Point(1, 1), Point(1, 1), shifts=-1),
    ],
)
def test_no_page_of_changes_begins_where_none_can(place: Place):
    with pytest.raises(CallFailed) as caught:
        _place(b"all", _token(b"all", place))
    assert caught.value.reason == "PAGE_INVALID"
    first = Place(NOTHING, Point(1, 1))
    assert _place(b"all", _token(b"all", first)) == first


def test_page_tokens_are_bound_to_their_listing():
    assert page_after("grants/1", page_token("grants/1", 17)) == 17
    with pytest.raises(CallFailed):
        page_after("grants/2", page_token("grants/1", 17))


def test_one_shape_whatever_the_order_of_names():
    cache = ShapeCache()
    first = cache.of("chat", {"a": "1", "b": "2"}, ("x", "y"))
    assert isinstance(first, Shape)
    assert cache.of("chat", {"b": "2", "a": "1"}, ("y", "x")) is first
    assert (first.attributes, first.quantity_names) == ((("a", "1"), ("b", "2")), ("x", "y"))
    assert cache.of("chat", {"a": "1"}, ("x", "y")) is not first


def test_shapes_are_bounded_and_those_in_use_survive():
    cache = ShapeCache(shapes_max=8)
    kept = cache.of("chat", {}, ("x",))
    for number in range(1_000):
        cache.of("chat", {"request": str(number)}, ("x",))
        assert cache.of("chat", {}, ("x",)) is kept
    assert len(cache._young) + len(cache._old) <= 8
    assert len(cache._canonical) + len(cache._canonical_old) <= 8


def test_enums_of_the_core_have_the_contracts_numbers():
    for core, wire, prefix in (
        (Pot, types_pb2.Pot, "POT_"),
        (GrantKind, types_pb2.GrantKind, "GRANT_KIND_"),
        (Overage, account_pb2.Overage, "OVERAGE_"),
        (Excess, account_pb2.Excess, "EXCESS_"),
        (FreezeCause, account_pb2.FreezeCause, "FREEZE_CAUSE_"),
        (WriteOffKind, account_pb2.WriteOffKind, "WRITE_OFF_KIND_"),
    ):
        assert {f"{prefix}{each.name}": each.value for each in core} == {
            name: number for name, number in wire.items() if number
        }


def test_the_contracts_comments_state_the_cores_figures():
    text = " ".join(
        re.sub(r"\s*//\s*", " ", path.read_text(encoding="utf-8"))
        for path in (ROOT / "protos").rglob("*.proto")
    )
    assert f"1 to {limits.QUANTITIES_MAX} quantities" in text
    assert f"at most {limits.ATTRIBUTES_MAX} pairs of 64 + 128 bytes" in text
    assert (limits.ATTRIBUTE_NAME_BYTES_MAX, limits.ATTRIBUTE_VALUE_BYTES_MAX) == (64, 128)
    assert f"1 to {limits.ID_BYTES_MAX} bytes" in text
    assert f"at most {limits.PRODUCTS_A_GRANT_MAX} names" in text
    assert f"at most {limits.DEPTH_MAX - 1} levels below its root" in text
    assert f"{limits.DEDUPE_WINDOW_US // limits.DAY_US} days old" in text
    assert f"{limits.FUTURE_TOLERANCE_US // limits.MINUTE_US} minutes in the future" in text
    longest = limits.HOLD_LIFETIME_MAX_US // limits.HOUR_US
    of_batch = limits.HOLD_LIFETIME_BATCH_MAX_US // limits.DAY_US
    assert f"{longest} hours, {of_batch} days where the product is marked batch; 0 = 15" in text
    assert limits.HOLD_LIFETIME_DEFAULT_US == 15 * limits.MINUTE_US
    assert f"0 = {limits.HOLDS_OPEN_MAX_DEFAULT:,}" in text


async def test_every_method_of_the_contract_is_served(served):
    for service, servicer in served.server.served:
        for method in service.methods:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
            assert callable(getattr(servicer, name)), method.full_name


def test_outcomes_keep_the_names_of_the_contract():
    assert set(OUTCOMES) == set(usage_pb2.IngestOutcome.values())
