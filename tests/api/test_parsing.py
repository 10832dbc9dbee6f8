"""Both forms of a batch mean the same commands, whatever they hold and however they are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.errors import Fault
from ledger.api.intake.batches import PARSE_SLICE, Parsed, SeatCache
from ledger.api.intake.metering import Meters
from ledger.api.intake.parse_compact import parse_compact
from ledger.api.intake.parse_plain import parse_plain
from ledger.api.intake.plain_events import PlainEvents
from ledger.api.intake.shapes import ShapeCache
from ledger.engine.ledger import Ledger
from ledger.journal.storage import MemoryStorage
from tests.api.served import SystemClock, compact, event, plain

names = st.sampled_from(["a", "b", "c", "unknown", "", "x" * 129, "key-1"])
texts = st.sampled_from(["", "one", "é" * 65, "y" * 129, "n\0l"])
events = st.builds(
    event,
    event_id=st.sampled_from(["1", "2", "3", "", "z" * 129, "é", "\0"]),
    account=names,
    product=st.sampled_from(["chat", "video", ""]),
    source=st.sampled_from(["", "other", "s" * 129]),
    quantities=st.dictionaries(
        st.sampled_from(["t", "u", "v", ""]), st.integers(-1, 2**63 - 1), max_size=3
    ),
    attributes=st.dictionaries(st.sampled_from(["m", "n"]), texts, max_size=2),
    personal_attributes=st.dictionaries(st.just("email"), texts, max_size=1),
    effective_at_us=st.sampled_from([0, 1, -1, 1_790_000_000_000_000]),
    operation=st.sampled_from(["", "op"]),
    operation_parent=st.sampled_from(["", "parent"]),
)


async def a_ledger() -> Ledger:
    """Not started: parsing asks only the directory."""
    ledger = Ledger(MemoryStorage(SystemClock().now_us, 4), SystemClock())
    for name in ("a", "b", "c"):
        await ledger.directory.claim(1, name, None)
    await ledger.directory.assign_alias(1, "key-1", "a", 5)
    return ledger


async def parsed_as(form: Any, batch: list[Any], shapes: ShapeCache, **defaults: Any) -> Parsed:
    request = form(*batch, **{"product": "default", **defaults})
    ledger = await a_ledger()
    if form is compact:
        return await parse_compact(ledger, shapes, SeatCache(), 1, request)
    return await parse_plain(ledger, shapes, SeatCache(), Meters(ledger), 1, request)


def meaning(parsed: Parsed) -> tuple[Any, ...]:
    lanes = [(lane.places, lane.commands) for lane in parsed.lanes]
    return lanes, {place: fault.reason for place, fault in parsed.faults.items()}


@given(st.lists(events, min_size=1, max_size=12), st.sampled_from(["", "gateway"]))
async def test_both_forms_mean_the_same(batch, source):
    shapes = ShapeCache()
    first, second = [
        await parsed_as(form, batch, shapes, source=source) for form in (plain, compact)
    ]
    assert meaning(first) == meaning(second)
    assert first.unknown == second.unknown
    places = [place for lane in first.lanes for place in lane.places]
    assert sorted([*places, *first.faults]) == list(range(len(batch)))


@given(st.lists(events, min_size=1, max_size=6))
def test_one_event_of_a_batch_reads_the_same_in_both_forms(batch):
    one, other = [PlainEvents(form(*batch, product="default")) for form in (plain, compact)]
    for place in range(len(batch)):
        assert one.at(place) == other.at(place)


@pytest.mark.parametrize("form", [plain, compact])
async def test_batches_longer_than_a_slice_keep_their_order(form):
    """Names that are met for the first time in any slice are looked up without reordering."""
    accounts = ["a", "b", "c", "key-1", "unknown"]
    count = 3 * PARSE_SLICE + 7
    batch = [
        event(f"e{n}", accounts[(n // (PARSE_SLICE // 2)) % 5], effective_at_us=9)
        for n in range(count)
    ]
    parsed = await parsed_as(form, batch, ShapeCache())
    for lane in parsed.lanes:
        assert lane.places == sorted(lane.places)
        assert [command.names.event_id for command in lane.commands] == [
            f"e{place}" for place in lane.places
        ]
    assert sum(len(lane.places) for lane in parsed.lanes) + len(parsed.faults) == count
    assert set(parsed.unknown.values()) == {"unknown"}


async def test_a_fault_says_which_value_was_wrong():
    parsed = await parsed_as(plain, [event("1", "a", quantities={"t": -7})], ShapeCache())
    fault = parsed.faults[0]
    assert isinstance(fault, Fault)
    assert (fault.field, fault.value) == ("quantities['t']", "-7")
