"""Groups of a batch over a real socket: recorded together, refused together, sent again safely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from ledger.core.limits import LINKED_MAX
from ledger.v1 import usage_pb2 as pb
from tests.api.served import Served, compact, event, plain, refusal_of

APPLIED = pb.INGEST_OUTCOME_APPLIED
FAILED = pb.INGEST_OUTCOME_LINKED_FAILED
FORMS = [plain, compact]
Form = Callable[..., pb.IngestRequest]


def groups(*pairs: tuple[int, int]) -> list[pb.LinkedEvents]:
    return [pb.LinkedEvents(first=first, count=count) for first, count in pairs]


async def sent(priced: Served, form: Form, *events: Any, **changes: Any) -> list[pb.IngestResult]:
    """The outcomes of a batch in the plain form, whatever the form of the request."""
    reply = await priced.usage.Ingest(form(*events, **changes))
    if form is plain:
        return list(reply.results)
    columns = reply.compact
    results = [
        pb.IngestResult(outcome=outcome, charge=charge, replayed=place in set(columns.replayed))
        for place, (outcome, charge) in enumerate(
            zip(columns.outcomes, columns.charges, strict=True)
        )
    ]
    for detail in columns.details:
        results[detail.event].MergeFrom(detail.result)
    return results


async def used(priced: Served, account: str = "acme") -> int:
    return 1_000_000 - int((await priced.balance(account)).available)


@pytest.fixture
async def acme(priced: Served) -> Served:
    await priced.account("acme")
    await priced.account("acme/team", "acme")
    await priced.grant("acme", 1_000_000)
    return priced


@pytest.mark.parametrize("form", FORMS)
async def test_a_group_is_recorded_whole_and_replayed_whole(acme: Served, form: Form):
    events = [event(each, "acme") for each in "abcd"]
    for replayed in (False, True):
        results = await sent(acme, form, *events, linked=groups((1, 3)))
        assert [each.outcome for each in results] == [APPLIED] * 4
        assert [each.replayed for each in results] == [replayed] * 4
        assert await used(acme) == 4 * 600


@pytest.mark.parametrize("form", FORMS)
async def test_one_that_is_refused_by_the_edge_takes_its_group_along(acme: Served, form: Form):
    bad = event("bad", "acme", input_tokens=-1)
    events = [event("a", "acme"), event("b", "acme"), bad, event("c", "acme"), event("d", "acme")]
    results = await sent(acme, form, *events, linked=groups((1, 3)))
    invalid = pb.INGEST_OUTCOME_INVALID
    assert [each.outcome for each in results] == [APPLIED, FAILED, invalid, FAILED, APPLIED]
    assert results[2].reason == "QUANTITY_INVALID"
    for each in (results[1], results[3]):
        assert (each.reason, each.field) == ("LINKED_FAILED", "linked")
        assert "'bad'" in each.message and "QUANTITY_INVALID" in each.message
    assert await used(acme) == 2 * 600
    events[2] = event("bad", "acme")
    results = await sent(acme, form, *events[1:4], linked=groups((0, 3)))
    assert [each.outcome for each in results] == [APPLIED] * 3, "the same ids may come again"


@pytest.mark.parametrize("form", FORMS)
async def test_one_that_is_refused_by_its_shard_takes_its_group_along(acme: Served, form: Form):
    later = acme.ledger.clock.now_us() + 3_600_000_000
    events = [
        event("a", "acme"),
        event("b", "acme", effective_at_us=later),
        event("c", "acme/team"),
    ]
    results = await sent(acme, form, *events, linked=groups((0, 3)))
    future = pb.INGEST_OUTCOME_IN_FUTURE
    assert [each.outcome for each in results] == [FAILED, future, FAILED]
    assert "'b'" in results[0].message
    assert await used(acme) == 0


async def test_groups_are_apart_from_each_other(acme: Served):
    events = [event(each, "acme") for each in "abcd"]
    events[1].quantities["input_tokens"] = -1
    results = await sent(acme, plain, *events, linked=groups((0, 2), (2, 2)))
    invalid = pb.INGEST_OUTCOME_INVALID
    assert [each.outcome for each in results] == [FAILED, invalid, APPLIED, APPLIED]


async def test_linked_events_belong_to_one_family(acme: Served):
    for number in range(6):  # some on the same shard, some on others
        await acme.account(f"other{number}")
        await acme.grant(f"other{number}", 1_000_000)
        events = [event(f"a{number}", "acme"), event(f"b{number}", f"other{number}")]
        results = await sent(acme, plain, *events, linked=groups((0, 2)))
        assert [each.reason for each in results] == ["LINKED_FAILED", "LINKED_FAMILIES"]
        assert await used(acme, f"other{number}") == 0
    assert await used(acme) == 0


async def test_usage_of_nobody_is_parked_with_no_group(acme: Served):
    events = [event("a", "acme"), event("b", "nobody")]
    results = await sent(acme, plain, *events, linked=groups((0, 2)), park_unknown=True)
    assert [each.reason for each in results] == ["LINKED_FAILED", "ACCOUNT_UNKNOWN"]
    assert results[1].outcome == pb.INGEST_OUTCOME_ACCOUNT_UNKNOWN
    await acme.account("nobody")
    await acme.grant("nobody", 1_000_000)
    assert await used(acme, "nobody") == 0 == await used(acme)


async def test_parts_and_other_bodies_of_a_recorded_group(acme: Served):
    await sent(acme, plain, event("a", "acme"), event("b", "acme"), linked=groups((0, 2)))
    other = event("b", "acme", input_tokens=1)
    results = await sent(acme, plain, event("a", "acme"), other, linked=groups((0, 2)))
    assert [each.outcome for each in results] == [APPLIED, pb.INGEST_OUTCOME_CONFLICT]
    assert (results[0].replayed, results[1].reason) == (True, "CONFLICT")
    results = await sent(acme, plain, event("b", "acme"), event("c", "acme"), linked=groups((0, 2)))
    assert [each.reason for each in results] == ["LINKED_RECORDED", "LINKED_FAILED"]
    assert await used(acme) == 2 * 600


async def test_groups_stand_in_one_batch_of_the_journal_however_large_the_ticket(acme: Served):
    """Longer than a slice of the writer's, and groups over its edges."""
    events = [event(f"e{number}", "acme", 1, 0) for number in range(600)]
    bad = [event(f"bad{number}", "acme", 1, 0) for number in range(10)]
    pairs = [(start, LINKED_MAX) for start in range(30, 590 - LINKED_MAX, LINKED_MAX)]
    for number, (first, count) in enumerate(pairs[::2]):
        bad[number].effective_at_us = acme.ledger.clock.now_us() + 3_600_000_000
        events[first + count - 1] = bad[number]
    results = await sent(acme, plain, *events, linked=groups(*pairs))
    for number, (first, count) in enumerate(pairs):
        outcomes = [each.outcome for each in results[first : first + count]]
        if number % 2:
            assert outcomes == [APPLIED] * count
        else:
            assert outcomes == [FAILED] * (count - 1) + [pb.INGEST_OUTCOME_IN_FUTURE]
    applied = sum(each.outcome == APPLIED for each in results)
    assert await used(acme) == 3 * applied


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        ([(0, 1)], "linked[0].count"),
        ([(0, 0)], "linked[0].count"),
        ([(0, LINKED_MAX + 1)], "linked[0].count"),
        ([(3, 2)], "linked[0].first"),
        ([(-1, 2)], "linked[0].first"),
        ([(0, 2), (1, 2)], "linked[1].first"),
        ([(2, 2), (0, 2)], "linked[1].first"),
    ],
)
async def test_a_malformed_list_of_groups_fails_the_batch(acme: Served, pairs, field):
    events = [event(each, "acme") for each in "abcd"]
    found = await refusal_of(acme.usage.Ingest(plain(*events, linked=groups(*pairs))))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_LINKED")
    assert found.metadata["field"] == field
    assert await used(acme) == 0
