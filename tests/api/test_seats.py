"""Seats over gRPC: a team that grows and shrinks, allowances of their own, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import account_pb2, decision_pb2, journal_pb2, package_pb2, recurring_pb2, types_pb2
from ledger.v1 import seat_pb2 as pb
from tests.api.served import (
    TENANT,
    Served,
    SystemClock,
    compact,
    event,
    plain,
    refusal_of,
    served,
)

APRIL_US = int(datetime(2028, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000
NOW = recurring_pb2.RECURRING_TIMING_NOW
KINDS = journal_pb2.MutationKind


@pytest.fixture
def clock() -> SystemClock:
    made = SystemClock()
    made.ahead_us += APRIL_US - made.now_us()
    return made


@pytest.fixture
async def caller(clock: SystemClock) -> AsyncIterator[Served]:
    """One account, with a price, on the first of a month of 30 days."""
    async with served(MemoryStorage(clock.now_us, 4), clock) as made:
        await made.priced()
        await made.account("acme")
        yield made


def terms(amount: int, *, own: bool = False, **changes: Any) -> pb.SeatTerms:
    allotment = pb.SEAT_ALLOTMENT_INDIVIDUAL if own else pb.SEAT_ALLOTMENT_POOLED
    given: dict[str, Any] = {
        "kind": types_pb2.GRANT_KIND_PROMOTIONAL,
        "asset": "credit",
        "amount": amount,
        "unit": recurring_pb2.PERIOD_UNIT_MONTH,
        "anchor_us": APRIL_US,
        **changes.pop("allowance", {}),
    }
    fields = {
        "attribute": "agent",
        "allotment": allotment,
        "allowance": pb.SeatAllowance(**given),
        **changes,
    }
    return pb.SeatTerms(**fields)


def asked(caller: Served, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": "acme",
        "plan": "agents",
        **changes,
    }


async def start(caller: Served, **changes: Any) -> pb.SeatServiceStartPlanResponse:
    request = pb.SeatServiceStartPlanRequest(**asked(caller, **changes))
    return await caller.seats.StartPlan(request)


async def add(caller: Served, **changes: Any) -> pb.SeatServiceAddResponse:
    return await caller.seats.Add(pb.SeatServiceAddRequest(**asked(caller, **changes)))


async def remove(caller: Served, **changes: Any) -> pb.SeatServiceRemoveResponse:
    return await caller.seats.Remove(pb.SeatServiceRemoveRequest(**asked(caller, **changes)))


async def plan(caller: Served) -> pb.SeatPlan:
    request = pb.SeatServiceGetPlanRequest(tenant=TENANT, account="acme", plan="agents")
    return (await caller.seats.GetPlan(request)).plan


async def seats(caller: Served, name: str = "") -> list[pb.Seat]:
    """Two a page."""
    found: list[pb.Seat] = []
    request = pb.SeatServiceListSeatsRequest(
        tenant=TENANT, account="acme", plan="agents", name=name, page_size=2
    )
    while True:
        reply = await caller.seats.ListSeats(request)
        found += reply.seats
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


def to_day(clock: SystemClock, day: int) -> None:
    """The first moments of a day of April; of May from 31 on."""
    clock.ahead_us += APRIL_US + (day - 1) * DAY_US - clock.now_us()


async def test_a_team_on_twenty_seats_grows_and_shrinks(caller: Served, clock: SystemClock) -> None:
    """The second story: 20 pooled seats of 1,000, 25 from the 16th on, and 22 from May on.

    20,000 at once; 5 x 1,000 x 15 / 30 = 2,500 on the 16th; 22,000 in May."""
    started = await start(caller, terms=terms(1_000), count=20)
    assert [(each.number, each.amount) for each in started.issues] == [(0, 20_000)]
    assert (started.plan.quantity, started.plan.unassigned, started.plan.version) == (20, 20, 1)
    to_day(clock, 16)
    added = await add(caller, count=5, expected_version=1)
    assert [each.amount for each in added.issues] == [2_500]
    assert (added.plan.quantity, added.plan.available, added.plan.released) == (25, 22_500, 22_500)
    removed = await remove(caller, count=3)
    assert (removed.taken_back, removed.plan.quantity, removed.plan.leaving) == (0, 25, 3)
    assert (await caller.balance("acme")).available == "22500"
    to_day(clock, 31)
    while (await plan(caller)).period_start_us == APRIL_US:
        await asyncio.sleep(0)
    found = await plan(caller)
    assert (found.quantity, found.available, found.leaving) == (22, 22_000, 0)
    assert (found.period_start_us, found.period_end_us) == (
        APRIL_US + 30 * DAY_US,
        APRIL_US + 61 * DAY_US,
    )


async def test_a_seat_has_a_balance_of_its_own(caller: Served) -> None:
    """Rules D1, S2: usage that names it draws it, holds reserve it, the rest is the account's."""
    await caller.grant("acme", 10_000)
    given = terms(1_000, own=True, alert=100)
    started = await start(caller, terms=given, seats=["ann", "bob"], count=1)
    assert [(each.name, each.amount) for each in started.issues] == [
        ("ann", 1_000),
        ("bob", 1_000),
        ("", 1_000),
    ]
    shown = (await plan(caller)).terms
    assert (shown.alert, shown.attribute, shown.unknown) == (100, "agent", pb.UNKNOWN_SEAT_POOL)
    assert shown.allowance.scale == 6
    await caller.ingest(event("first", "acme", 100, 0, attributes={"agent": "ann"}))
    (ann,) = await seats(caller, "ann")
    assert (ann.available, ann.released, len(ann.grant_ids)) == (700, 1_000, 1)
    held = await caller.authorize("acme", attributes={"agent": "bob"})
    assert held.hold_id
    (bob,) = await seats(caller, "bob")
    assert (bob.available, bob.pending) == (400, 600)
    refusal = await refusal_of(remove(caller, seats=["bob"]))
    assert (refusal.reason, refusal.metadata["field"], refusal.metadata["value"]) == (
        "SEAT_HELD",
        "seats",
        "bob",
    )
    assert [each.name for each in await seats(caller)] == ["ann", "bob", ""]
    before = await caller.balance("acme")
    assert (before.granted, before.available) == ("12700", "12100")


async def test_a_plan_gives_otherwise_from_its_next_period_on(
    caller: Served, clock: SystemClock
) -> None:
    """Rules P3, S2: shown as to come, granted then; what a plan keeps is refused."""
    await start(caller, terms=terms(1_000), count=2)
    request = pb.SeatServiceChangeTermsRequest(**asked(caller, terms=terms(2_500)))
    changed = await caller.seats.ChangeTerms(request)
    assert changed.plan.terms.allowance.amount == 1_000
    assert (changed.plan.next_terms.allowance.amount, changed.plan.version) == (2_500, 2)
    assert (await caller.seats.ChangeTerms(request)).replayed
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request.request_id)
    )
    assert outcome.kind == KINDS.MUTATION_KIND_CHANGE_SEAT_TERMS
    wrong = pb.SeatServiceChangeTermsRequest(**asked(caller, terms=terms(1_000, own=True)))
    refusal = await refusal_of(caller.seats.ChangeTerms(wrong))
    assert (refusal.reason, refusal.metadata["field"]) == ("TERMS_FIXED", "terms.allotment")
    to_day(clock, 31)
    while (await plan(caller)).period_start_us == APRIL_US:
        await asyncio.sleep(0)
    found = await plan(caller)
    assert (found.available, found.HasField("next_terms")) == (5_000, False)


async def test_seats_are_reassigned_suspended_and_ended(caller: Served) -> None:
    """Rules S2, I5: each by a request of its own, which is remembered."""
    await start(caller, terms=terms(1_000, own=True), seats=["ann"], count=1)
    service = caller.seats
    made = await service.Reassign(
        pb.SeatServiceReassignRequest(**asked(caller, seat="ann", to="cid"))
    )
    assert (made.plan.quantity, made.plan.version) == (2, 2)
    suspend = pb.SeatServiceSuspendRequest(**asked(caller, seat="cid"))
    await service.Suspend(suspend)
    denied = await caller.authorize("acme", attributes={"agent": "cid"})
    assert denied.reason == "SEAT_SUSPENDED"
    resume = pb.SeatServiceResumeRequest(**asked(caller, seat="cid"))
    await service.Resume(resume)
    again = await service.Resume(resume)
    assert again.replayed
    for request_id, kind in (
        (suspend.request_id, KINDS.MUTATION_KIND_SUSPEND_SEAT),
        (resume.request_id, KINDS.MUTATION_KIND_RESUME_SEAT),
    ):
        outcome = await caller.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert (outcome.kind, outcome.resource) == (kind, "acme")
    ended = await service.EndPlan(pb.SeatServiceEndPlanRequest(**asked(caller, timing=NOW)))
    assert (ended.taken_back, ended.plan.quantity, ended.plan.unassigned) == (2_000, 0, 0)
    assert ended.plan.ends_at_us
    closing = account_pb2.AccountServiceCloseRequest(
        tenant=TENANT, request_id=caller.new_id(), account="acme"
    )
    await caller.accounts.Close(closing)


async def test_usage_of_an_unknown_seat_is_refused_where_the_plan_says_so(caller: Served) -> None:
    """Rules S3, I2: not recorded, so the same id is taken once there is such a seat."""
    await caller.grant("acme", 10_000)
    await start(caller, terms=terms(1_000, unknown=pb.UNKNOWN_SEAT_REJECT), seats=["ann"])
    usage = event("first", "acme", 100, 0, attributes={"agent": "zed"})
    (outcome,) = (await caller.ingest(usage)).results
    assert (outcome.reason, outcome.field) == ("SEAT_UNKNOWN", "attributes.agent")
    refusal = await refusal_of(caller.authorize("acme", attributes={"agent": "zed"}))
    assert (refusal.reason, refusal.metadata["value"]) == ("SEAT_UNKNOWN", "zed")
    await add(caller, seats=["zed"])
    (outcome,) = (await caller.ingest(usage)).results
    assert not outcome.reason


async def test_an_exhausted_seat_is_denied_where_the_plan_says_so(caller: Served) -> None:
    """Rule S3: a hold, not recorded usage."""
    await caller.grant("acme", 1_000_000)
    deny = terms(10, own=True, exhausted=pb.EXHAUSTED_SEAT_DENY)
    await start(caller, terms=deny, seats=["ann"])
    denied = await caller.authorize("acme", attributes={"agent": "ann"})
    assert denied.reason == "SEAT_EXHAUSTED"
    allowed = await caller.authorize("acme")
    assert allowed.hold_id
    usage = event("first", "acme", 100, 0, attributes={"agent": "ann"})
    (outcome,) = (await caller.ingest(usage)).results
    assert not outcome.reason


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"terms": None}, "FIELD_REQUIRED", "terms"),
        ({"plan": ""}, "FIELD_REQUIRED", "plan"),
        ({"count": -1}, "NUMBER_OUT_OF_RANGE", "count"),
        ({"seats": ["a", "a"]}, "NAME_REPEATED", "seats"),
        ({"seats": [""]}, "FIELD_REQUIRED", "seats[0]"),
        ({"seats": [f"s{number}" for number in range(1_001)]}, "TOO_MANY", "seats"),
        ({"terms": terms(0)}, "NUMBER_OUT_OF_RANGE", "terms.allowance.amount"),
        ({"terms": terms(1, allotment=0)}, "NUMBER_OUT_OF_RANGE", "terms.allotment"),
        ({"terms": terms(1, attribute="x" * 65)}, "TEXT_TOO_LONG", "terms.attribute"),
        ({"terms": terms(1, own=True, attribute="")}, "SEATS_INVALID", "terms.attribute"),
        ({"terms": terms(1, alert=-1)}, "NUMBER_OUT_OF_RANGE", "terms.alert"),
        ({"terms": terms(1, alert=5)}, "SEATS_INVALID", "terms.alert"),
        ({"terms": terms(1, allowance={"asset": "x"})}, "ASSET_UNKNOWN", "terms.allowance.asset"),
        (
            {"terms": terms(1, allowance={"price_paid": 5})},
            "FIELD_REQUIRED",
            "terms.allowance.price_asset",
        ),
        ({"count": 1_000_001}, "SEATS_LIMIT", "seats"),
    ],
)
async def test_bad_plans_are_refused(
    caller: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    """The field and the reason, and nothing is started."""
    given = {"terms": terms(1), **changes}
    refusal = await refusal_of(start(caller, **given))
    assert (refusal.reason, refusal.metadata["field"]) == (reason, field)
    reply = await caller.seats.ListPlans(
        pb.SeatServiceListPlansRequest(tenant=TENANT, account="acme")
    )
    assert not reply.plans


async def test_a_plan_that_is_not_there(caller: Served) -> None:
    """Reads and changes alike."""
    for call in (
        caller.seats.GetPlan(
            pb.SeatServiceGetPlanRequest(tenant=TENANT, account="acme", plan="agents")
        ),
        seats(caller),
        add(caller, count=1),
    ):
        assert (await refusal_of(call)).reason == "SEAT_PLAN_UNKNOWN"


async def alias(caller: Served, name: str, seat: str, **changes: Any) -> account_pb2.Alias:
    request = account_pb2.AssignAliasRequest(
        tenant=TENANT,
        request_id=caller.new_id(),
        alias=name,
        account="acme",
        seat_attribute="agent" if seat else "",
        seat=seat,
        **changes,
    )
    return (await caller.accounts.AssignAlias(request)).alias


@pytest.mark.parametrize("form", [plain, compact])
async def test_an_alias_names_the_seat_of_an_event(
    caller: Served, clock: SystemClock, form: Any
) -> None:
    """Rule I7: as it is meant at the event's time; an event that names a seat itself keeps it."""
    await caller.grant("acme", 10_000)
    await start(caller, terms=terms(1_000, own=True), seats=["ann", "bob"])
    since = clock.now_us()
    clock.ahead_us += 1_000_000
    made = await alias(caller, "key-1", "ann", effective_from_us=since)
    assert (made.seat_attribute, made.seat) == ("agent", "ann")
    await alias(caller, "key-2", "bob", effective_from_us=since)
    await alias(caller, "key-3", "", effective_from_us=since)
    reply = await caller.usage.Ingest(
        form(
            event("a", "key-1", 10, 0),
            event("b", "key-2", 20, 0),
            event("c", "key-1", 30, 0, attributes={"agent": "bob"}),
            event("d", "acme", 40, 0),
            event("e", "key-3", 50, 0),
            event("f", "key-1", 60, 0, attributes={"tier": "x"}),
        )
    )
    assert len(reply.compact.outcomes or reply.results) == 6
    found = {each.name: each.available for each in await seats(caller)}
    assert found == {"ann": 1_000 - 3 * (10 + 60), "bob": 1_000 - 3 * (20 + 30)}
    again = await caller.usage.Ingest(form(event("a", "key-1", 10, 0)))
    replayed = [each.replayed for each in again.results] or list(again.compact.replayed)
    assert replayed in ([True], [0])
    held = await caller.authorize("key-2")
    (bob,) = await seats(caller, "bob")
    assert held.hold_id and bob.pending == 600
    checked = await caller.decisions.Check(
        decision_pb2.CheckRequest(
            tenant=TENANT, account="key-1", product="chat", quantities={"input_tokens": 10}
        )
    )
    assert checked.available == str(790 + 10_000 - 270)


async def test_an_alias_of_a_seat_names_both(caller: Served) -> None:
    """The attribute and the seat, or neither; another seat is another alias."""
    request = account_pb2.AssignAliasRequest(
        tenant=TENANT, request_id="one", alias="key-1", account="acme", seat="ann"
    )
    refusal = await refusal_of(caller.accounts.AssignAlias(request))
    assert (refusal.reason, refusal.metadata["field"]) == ("FIELD_REQUIRED", "seat_attribute")
    await alias(caller, "key-1", "ann")
    assert (await alias(caller, "key-1", "ann")).seat == "ann"
    assert (await refusal_of(alias(caller, "key-1", "bob"))).reason == "ALIAS_OVERLAPS"


async def test_a_package_carries_a_plan_of_seats(caller: Served, clock: SystemClock) -> None:
    """Rule P1: published, listed as it was, begun with the subscription, ended with it."""
    carried = package_pb2.PackageSeats(
        name="agents",
        attribute="agent",
        allotment=pb.SEAT_ALLOTMENT_INDIVIDUAL,
        allowance=package_pb2.PackageGrant(
            asset="credit", amount=500, kind=types_pb2.GRANT_KIND_PROMOTIONAL
        ),
        included=2,
        unknown=pb.UNKNOWN_SEAT_REJECT,
        exhausted=pb.EXHAUSTED_SEAT_DENY,
        alert=50,
    )
    package = package_pb2.PackageVersion(name="team", seats=[carried])

    async def publish(**changes: Any) -> package_pb2.PackageServicePublishResponse:
        fields = {"tenant": TENANT, "request_id": caller.new_id(), "package": package, **changes}
        return await caller.packages.Publish(package_pb2.PackageServicePublishRequest(**fields))

    made = (await publish()).package.seats[0]
    assert (made.included, made.alert, made.unknown) == (2, 50, pb.UNKNOWN_SEAT_REJECT)
    assert (made.exhausted, made.allowance.amount) == (pb.EXHAUSTED_SEAT_DENY, 500)
    bad = package_pb2.PackageVersion(name="bad")
    bad.seats.add().CopyFrom(carried)
    bad.seats[0].attribute = ""
    bad.seats[0].allowance.asset = "nothing"
    faults = (await publish(package=bad, validate_only=True)).faults
    assert {(each.path, each.reason) for each in faults} == {
        ("seats[0].attribute", "SEATS_INVALID"),
        ("seats[0].allowance.asset", "ASSET_UNKNOWN"),
    }
    await caller.packages.Subscribe(
        package_pb2.PackageServiceSubscribeRequest(
            tenant=TENANT, request_id=caller.new_id(), account="acme", package="team"
        )
    )
    begun = await plan(caller)
    assert (begun.quantity, begun.released, begun.terms.alert) == (2, 1_000, 50)
    assert len((await add(caller, seats=["ann"])).issues) == 1
    await caller.packages.Cancel(
        package_pb2.PackageServiceCancelRequest(
            tenant=TENANT, request_id=caller.new_id(), account="acme"
        )
    )
    clock.ahead_us += begun.period_end_us - clock.now_us()
    while not (await plan(caller)).ends_at_us:
        await asyncio.sleep(0)
    assert (await plan(caller)).quantity == 0
