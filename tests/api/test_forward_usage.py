"""Usage at any server: a batch over several owners is answered per item, in order (rule I3).

`near` owns the families asked about, `far` owns none of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ledger.api.intake.forward_usage import part_of
from ledger.api.replies import OUTCOMES
from ledger.journal.storage import MemoryStorage, PostgresStorage
from ledger.v1 import (
    correction_pb2,
    usage_pb2,
)
from tests.api.paired import Pair, paired
from tests.api.served import (
    TENANT,
    SystemClock,
    compact,
    event,
    plain,
)

APPLIED = usage_pb2.INGEST_OUTCOME_APPLIED


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """In memory."""
    first = MemoryStorage(SystemClock().now_us, 4)
    async with paired([first, first.seen_by_another()]) as made:
        yield made


@pytest.fixture
async def stored(database: str) -> AsyncIterator[Pair]:
    """On PostgreSQL: each has caches of its own."""
    storages = [await PostgresStorage.open(database, 4) for _ in range(2)]
    async with paired(storages) as made:
        yield made
    for storage in storages:
        await storage.close()


@pytest.mark.parametrize("form", [plain, compact])
async def test_a_batch_over_several_owners_is_answered_per_item_in_order(pair: Pair, form) -> None:
    far = pair.sides[0]
    mine, theirs = pair.name(0), pair.name(1)
    for team in (mine, theirs):
        await far.account(team)
        await far.grant(team, 600)
    events = [
        event("1", theirs, operation="op", personal_attributes={"who": "me"}),
        event("2", mine, attributes={"model": "m"}),
        event("3", "nobody"),
        event("4", theirs, input_tokens=0, output_tokens=0),
        event("5", theirs, attributes={"model": "m"}),
        event("6", mine),
    ]
    reply = await far.usage.Ingest(form(*events))
    outcomes, charges, over = _columns(reply, len(events))
    assert [OUTCOMES[each] for each in outcomes] == [
        "APPLIED", "APPLIED", "ACCOUNT_UNKNOWN", "INVALID", "APPLIED", "APPLIED",
    ]  # fmt: skip
    assert charges == [600, 600, 0, 0, 600, 600]
    assert over == [4, 5], "the grants of 600 paid the first event of each"
    assert [(asset.asset, asset.scale) for asset in reply.assets] == [("credit", 6)]
    again = await pair.sides[1].usage.Ingest(form(*events))
    assert _columns(again, len(events)) == (outcomes, charges, over)
    for team in (mine, theirs):
        seen = await far.balance(team, min_position=reply.position)
        assert seen.advance == "600"


@pytest.mark.parametrize("form", [plain, compact])
async def test_groups_of_a_batch_stay_whole_on_their_way_to_several_owners(
    pair: Pair, form
) -> None:
    far = pair.sides[0]
    mine, theirs = pair.name(0), pair.name(1)
    for team in (mine, theirs):
        await far.account(team)
        await far.grant(team, 6_000)
    ahead = far.ledger.clock.now_us() + 3_600_000_000
    events = [
        event("1", mine),
        event("2", theirs),
        event("3", theirs, effective_at_us=ahead),
        event("4", mine),
        event("5", theirs),
        event("6", theirs),
        event("7", theirs),
        event("8", mine),
    ]
    linked = [(1, 2), (4, 2), (6, 2)]  # refused there; recorded there; of two families
    groups = [usage_pb2.LinkedEvents(first=first, count=count) for first, count in linked]
    reply = await far.usage.Ingest(form(*events, linked=groups))
    outcomes, _, _ = _columns(reply, len(events))
    assert [OUTCOMES[each] for each in outcomes] == [
        "APPLIED", "LINKED_FAILED", "IN_FUTURE", "APPLIED", "APPLIED", "APPLIED",
        "LINKED_FAILED", "INVALID",
    ]  # fmt: skip
    for team, used in ((mine, 2 * 600), (theirs, 2 * 600)):
        seen = await far.balance(team, min_position=reply.position)
        assert seen.available == str(6_000 - used)


def _columns(reply: usage_pb2.IngestResponse, count: int) -> tuple[list[int], list[int], list[int]]:
    if reply.HasField("compact"):
        columns = reply.compact
        return list(columns.outcomes), list(columns.charges), list(columns.over_limit)
    results = reply.results
    assert len(results) == count
    return (
        [result.outcome for result in results],
        [result.charge for result in results],
        [place for place, result in enumerate(results) if result.over_limit],
    )


async def test_reversals_over_several_owners_are_answered_per_item_in_order(pair: Pair) -> None:
    far = pair.sides[0]
    mine, theirs = pair.name(0), pair.name(1)
    for team in (mine, theirs):
        await far.account(team)
        await far.grant(team, 600)
    await far.ingest(event("1", theirs), event("2", mine), event("3", theirs))
    request = correction_pb2.ReverseUsageRequest(
        tenant=TENANT,
        reversals=[
            correction_pb2.Reversal(
                request_id=f"reverse {number}",
                account=team,
                event=correction_pb2.SourceAndId(source="gateway", id=number),
            )
            for number, team in (("1", theirs), ("2", mine), ("4", theirs), ("3", theirs))
        ],
    )
    reply = await far.corrections.ReverseUsage(request)
    told = [(each.amount, each.reason) for each in reply.results]
    assert told == [(600, ""), (600, ""), (0, "USAGE_UNKNOWN"), (600, "")]
    again = await pair.sides[1].corrections.ReverseUsage(request)
    assert [each.replayed for each in again.results] == [True, True, False, True]
    for team in (mine, theirs):
        assert (await far.balance(team, min_position=reply.position)).available == "600"


async def test_a_stream_carries_batches_of_every_owner(pair: Pair) -> None:
    far = pair.sides[0]
    mine, theirs = pair.name(0), pair.name(1)
    for team in (mine, theirs):
        await far.account(team)

    async def batches() -> AsyncIterator[usage_pb2.IngestStreamRequest]:
        for number in range(1, 6):
            batch = plain(event(f"s-{number}", mine), event(f"s-{number}", theirs))
            yield usage_pb2.IngestStreamRequest(batch_number=number, batch=batch)

    answered = [reply async for reply in far.usage.IngestStream(batches())]
    assert [reply.batch_number for reply in answered] == [1, 2, 3, 4, 5]
    assert {result.outcome for reply in answered for result in reply.batch.results} == {APPLIED}


@pytest.mark.parametrize("form", [plain, compact])
async def test_a_stream_keeps_its_order_at_another_owner(pair: Pair, form) -> None:
    far = pair.sides[0]
    theirs = pair.name(1)
    await far.account(theirs)

    async def batches() -> AsyncIterator[usage_pb2.IngestStreamRequest]:
        large = [event(f"e{n}", theirs, 1, 0) for n in range(2_000)]
        yield usage_pb2.IngestStreamRequest(batch_number=1, batch=form(*large))
        yield usage_pb2.IngestStreamRequest(batch_number=2, batch=plain(large[-1]))

    first, second = [reply.batch async for reply in far.usage.IngestStream(batches())]
    assert not first.compact.replayed
    assert not any(result.replayed for result in first.results)
    assert [result.replayed for result in second.results] == [True]


async def test_parked_usage_of_another_servers_family_is_brought_in(stored: Pair) -> None:
    far, near = stored.sides
    team = stored.name(1, "late")
    await far.ingest(event("p", team), park_unknown=True)
    await near.account(team)
    await near.server.parking.idle()
    shown = await far.balance(team)
    assert shown.advance == "600"
    alias = f"key-of-{team}"
    await far.ingest(event("q", alias), park_unknown=True)
    await far.ledger.directory.assign_alias(1, alias, team, 1)
    await far.ledger.names.catch_up()
    await near.ledger.names.catch_up()
    assert await far.server.parking.bring_in(1, alias) == 1
    assert (await far.balance(team)).advance == "1200"


def test_a_part_of_a_compact_batch_is_the_compact_batch_of_its_events() -> None:
    events = [
        event(
            str(n),
            f"account-{n % 3}",
            attributes={"model": str(n % 2)},
            operation="op" if n % 4 == 0 else "",
            personal_attributes={"who": str(n)} if n % 5 == 0 else {},
        )
        for n in range(20)
    ]
    places = [1, 4, 5, 10, 16]
    whole = compact(*events, product="p", park_unknown=True)
    wanted = compact(*[events[place] for place in places], product="p", park_unknown=True)
    assert part_of(whole, places) == wanted
    assert part_of(whole, range(20)) is whole
