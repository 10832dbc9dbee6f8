"""The same credits again, every period: over gRPC, with a server whose clock is moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from ledger.core.events import GrantKind
from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import grant_pb2, journal_pb2, types_pb2
from ledger.v1 import recurring_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, event, refusal_of, served
from tests.patience import HANGS_S

MONTH = pb.PERIOD_UNIT_MONTH


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(clock: SystemClock) -> AsyncIterator[Served]:
    """One account, with a price."""
    async with served(MemoryStorage(clock.now_us, 4), clock) as made:
        await made.priced()
        await made.account("acme")
        yield made


def terms(**changes: Any) -> pb.RecurringTerms:
    fields: dict[str, Any] = {
        "kind": types_pb2.GRANT_KIND_PROMOTIONAL,
        "asset": "credit",
        "amount": 10_000,
        "unit": MONTH,
        **changes,
    }
    return pb.RecurringTerms(**fields)


async def start(caller: Served, **changes: Any) -> pb.RecurringGrantServiceStartResponse:
    fields: dict[str, Any] = {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": "acme",
        "terms": terms(),
        **changes,
    }
    return await caller.recurring.Start(pb.RecurringGrantServiceStartRequest(**fields))


async def get(caller: Served, recurring: pb.RecurringGrant) -> pb.RecurringGrant:
    reply = await caller.recurring.Get(
        pb.RecurringGrantServiceGetRequest(
            tenant=TENANT, recurring_grant_id=recurring.recurring_grant_id
        )
    )
    return reply.recurring_grant


def meant(caller: Served, recurring: pb.RecurringGrant, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "recurring_grant_id": recurring.recurring_grant_id,
        **changes,
    }


def month_after(at_us: int) -> int:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    year, month = divmod(at.year * 12 + at.month, 12)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


async def until_issued(caller: Served, recurring: pb.RecurringGrant, period_start: int) -> Any:
    """The clock has moved: the server posts what is due by itself."""
    async with asyncio.timeout(HANGS_S):
        while True:
            found = await get(caller, recurring)
            if found.period_start_us == period_start:
                return found
            await asyncio.sleep(0.02)


async def test_a_month_after_the_other_is_issued_by_the_server_itself(
    caller: Served, clock: SystemClock
) -> None:
    now = clock.now_us()
    first = month_after(now)
    started = await start(
        caller,
        external_key="plan-1",
        terms=terms(anchor_us=first, proration=pb.PRORATION_FIRST, products=["chat"], priority=-1),
    )
    recurring = started.recurring_grant
    assert recurring.external_key == "plan-1"
    assert recurring.state == pb.RECURRING_STATE_ACTIVE
    assert (recurring.version, recurring.terms.every, recurring.terms.scale) == (1, 1, 6)
    assert recurring.terms.proration == pb.PRORATION_FIRST
    assert recurring.starts_at_us == recurring.created_at_us >= now
    # What is left of the month that runs was issued at once.
    assert (recurring.period_start_us, recurring.period_end_us) == (recurring.starts_at_us, first)
    assert recurring.next_at_us == first
    [grant] = (await grants(caller)).grants
    assert [grant.grant_id] == list(recurring.grant_ids)
    assert 0 < grant.amount < 10_000
    assert (grant.effective_at_us, grant.expires_at_us) == (recurring.starts_at_us, first)
    assert (list(grant.products), grant.priority) == (["chat"], -1)

    clock.ahead_us += first - clock.now_us()
    after = await until_issued(caller, recurring, first)
    assert after.period_end_us == after.next_at_us == month_after(first)
    old, new = (await grants(caller)).grants
    assert old == grant or old.state == types_pb2.GRANT_STATE_EXPIRED
    assert (new.amount, new.effective_at_us) == (10_000, first)
    assert (await caller.balance("acme")).available == "10000"


async def grants(caller: Served) -> grant_pb2.GrantServiceListResponse:
    return await caller.grants.List(
        grant_pb2.GrantServiceListRequest(tenant=TENANT, account="acme")
    )


async def test_usage_at_the_turn_of_a_period_finds_its_grant(
    caller: Served, clock: SystemClock
) -> None:
    recurring = (await start(caller)).recurring_grant
    await caller.ingest(event("a", "acme"))
    clock.ahead_us += recurring.next_at_us - clock.now_us() + 1
    late = recurring.next_at_us - 1_000_000
    await caller.ingest(event("b", "acme"), event("c", "acme", effective_at_us=late))
    old, new = (await grants(caller)).grants
    assert (old.remaining, new.remaining) == (10_000 - 2 * 600, 10_000 - 600)


async def test_terms_change_with_the_next_period_and_now(
    caller: Served, clock: SystemClock
) -> None:
    recurring = (await start(caller)).recurring_grant
    changed = await caller.recurring.Change(
        pb.RecurringGrantServiceChangeRequest(
            **meant(caller, recurring, request_id="c", terms=terms(amount=20_000))
        )
    )
    assert (changed.issued, changed.grant_id, changed.recurring_grant.version) == (0, "", 2)
    assert changed.recurring_grant.terms.amount == 10_000
    assert changed.recurring_grant.next_terms.amount == 20_000
    clock.ahead_us += recurring.next_at_us - clock.now_us()
    after = await until_issued(caller, recurring, recurring.next_at_us)
    assert (after.terms.amount, after.HasField("next_terms")) == (20_000, False)
    request = pb.RecurringGrantServiceChangeRequest(
        **meant(caller, recurring),
        terms=terms(amount=50_000),
        timing=pb.RECURRING_TIMING_NOW,
        expected_version=2,
    )
    now = await caller.recurring.Change(request)
    assert 29_900 < now.issued <= 30_000
    assert now.recurring_grant.terms.amount == 50_000
    assert list(now.recurring_grant.grant_ids) == [*after.grant_ids, now.grant_id]
    again = await caller.recurring.Change(request)
    assert again.replayed
    assert (again.issued, again.grant_id) == (now.issued, now.grant_id)
    request.request_id = "other"
    stale = await refusal_of(caller.recurring.Change(request))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")


async def test_pause_resume_and_end(caller: Served, clock: SystemClock) -> None:
    recurring = (await start(caller, terms=terms(proration=pb.PRORATION_BOTH))).recurring_grant
    paused = await caller.recurring.Pause(
        pb.RecurringGrantServicePauseRequest(**meant(caller, recurring, request_id="pause"))
    )
    assert paused.recurring_grant.state == pb.RECURRING_STATE_PAUSED
    assert paused.recurring_grant.next_at_us == 0
    again = await caller.recurring.Pause(
        pb.RecurringGrantServicePauseRequest(**meant(caller, recurring, request_id="pause"))
    )
    assert again.replayed
    twice = await refusal_of(
        caller.recurring.Pause(pb.RecurringGrantServicePauseRequest(**meant(caller, recurring)))
    )
    assert (twice.code, twice.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "RECURRING_PAUSED",
    )
    clock.ahead_us += recurring.next_at_us - clock.now_us() + DAY_US
    resumed = await caller.recurring.Resume(
        pb.RecurringGrantServiceResumeRequest(**meant(caller, recurring))
    )
    found = resumed.recurring_grant
    assert found.state == pb.RECURRING_STATE_ACTIVE
    assert found.period_start_us > recurring.next_at_us
    [grant_id] = found.grant_ids
    ended = await caller.recurring.End(
        pb.RecurringGrantServiceEndRequest(
            **meant(caller, recurring), timing=pb.RECURRING_TIMING_NOW
        )
    )
    assert ended.recurring_grant.state == pb.RECURRING_STATE_ENDED
    assert ended.ends_at_us == ended.recurring_grant.ends_at_us
    last = (await grants(caller)).grants[-1]
    assert last.grant_id == grant_id
    assert last.remaining < last.amount - 9_000  # what was for the time after was taken back
    for call, request in (
        (caller.recurring.Resume, pb.RecurringGrantServiceResumeRequest),
        (caller.recurring.Pause, pb.RecurringGrantServicePauseRequest),
        (caller.recurring.End, pb.RecurringGrantServiceEndRequest),
    ):
        over = await refusal_of(call(request(**meant(caller, recurring))))
        assert over.reason == "RECURRING_ENDED"


async def test_an_end_with_the_period(caller: Served) -> None:
    recurring = (await start(caller)).recurring_grant
    ended = await caller.recurring.End(
        pb.RecurringGrantServiceEndRequest(**meant(caller, recurring))
    )
    assert ended.ends_at_us == recurring.period_end_us
    assert ended.recurring_grant.state == pb.RECURRING_STATE_ACTIVE
    assert ended.recurring_grant.next_at_us == 0


async def test_an_allowance_for_a_team_at_its_share_of_the_fee(
    caller: Served, clock: SystemClock
) -> None:
    await caller.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await caller.account("acme/team", parent="acme")
    given = terms(
        kind=GrantKind.ALLOWANCE,
        price_paid=5_000,
        price_asset="USD",
        shared=True,
        products=["chat", "image"],
        tags=["fast"],
        metadata={"plan": "team"},
        rollover=types_pb2.Rollover(numerator=1, denominator=2, cap=4_000, lifetime_us=DAY_US),
    )
    recurring = (await start(caller, terms=given)).recurring_grant
    assert recurring.terms.kind == GrantKind.ALLOWANCE
    assert (recurring.terms.price_paid, recurring.terms.price_scale) == (5_000, 9)
    assert (recurring.terms.shared, list(recurring.terms.tags)) == (True, ["fast"])
    assert dict(recurring.terms.metadata) == {"plan": "team"}
    clock.ahead_us += recurring.next_at_us - clock.now_us() + 1_000
    await caller.ingest(event("a", "acme/team"))  # finds the new period's, which nobody asked for
    old, *others = (await grants(caller)).grants
    [rolled] = [each for each in others if each.origin]
    [new] = [each for each in others if not each.origin]
    assert recurring.terms.rollover == given.rollover
    assert (rolled.origin, rolled.amount, rolled.price_paid) == (old.grant_id, 4_000, 2_000)
    assert rolled.remaining + new.remaining == 14_000 - 600
    assert old.remaining == 6_000
    for changes, reason in (
        ({"tags": ["a", "a"]}, "NAME_REPEATED"),
        ({"tags": ["a"] * 101}, "TOO_MANY"),
        ({"attributes": {"": "x"}}, "FIELD_REQUIRED"),
        ({"metadata": {"x" * 65: "y"}}, "TEXT_TOO_LONG"),
        ({"source": "x" * 129}, "TEXT_TOO_LONG"),
        ({"rollover": types_pb2.Rollover(denominator=0)}, "NUMBER_OUT_OF_RANGE"),
        ({"rollover": types_pb2.Rollover(numerator=2, denominator=1)}, "ROLLOVER_INVALID"),
    ):
        assert (await refusal_of(start(caller, terms=terms(**changes)))).reason == reason


async def test_they_are_listed_in_pages(caller: Served) -> None:
    made = [
        (await start(caller, terms=terms(amount=amount))).recurring_grant.recurring_grant_id
        for amount in range(1, 6)
    ]

    async def page(size: int, token: str = "") -> pb.RecurringGrantServiceListResponse:
        return await caller.recurring.List(
            pb.RecurringGrantServiceListRequest(
                tenant=TENANT, account="acme", page_size=size, page_token=token
            )
        )

    first = await page(3)
    rest = await page(3, first.next_page_token)
    listed = [*first.recurring_grants, *rest.recurring_grants]
    assert [each.recurring_grant_id for each in listed] == made
    assert not rest.next_page_token
    await caller.account("other")
    none = await caller.recurring.List(
        pb.RecurringGrantServiceListRequest(tenant=TENANT, account="other")
    )
    assert not none.recurring_grants


async def test_a_retry_and_what_became_of_it(caller: Served) -> None:
    first = await start(caller, request_id="s", external_key="k")
    again = await start(caller, request_id="s", external_key="k")
    assert again.replayed
    assert again.recurring_grant == first.recurring_grant
    other = await refusal_of(start(caller, request_id="s", external_key="k", terms=terms(amount=1)))
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
    taken = await refusal_of(start(caller, external_key="k"))
    assert (taken.code, taken.reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "RECURRING_KEY_TAKEN",
    )
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="s")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_START_RECURRING_GRANT
    assert outcome.resource == first.recurring_grant.recurring_grant_id
    await caller.recurring.Pause(
        pb.RecurringGrantServicePauseRequest(**meant(caller, first.recurring_grant, request_id="p"))
    )
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="p")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_PAUSE_RECURRING_GRANT


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"kind": 0}, "NUMBER_OUT_OF_RANGE", "terms.kind"),
        ({"asset": ""}, "FIELD_REQUIRED", "terms.asset"),
        ({"asset": "gold"}, "ASSET_UNKNOWN", "terms.asset"),
        ({"amount": 0}, "NUMBER_OUT_OF_RANGE", "terms.amount"),
        ({"price_paid": 5}, "FIELD_REQUIRED", "terms.price_asset"),
        ({"price_paid": 5, "price_asset": "credit"}, "ASSET_KIND_INVALID", "terms.price_asset"),
        ({"price_paid": 5, "price_asset": "USD"}, "AMOUNT_INVALID", "terms.price_paid"),
        ({"unit": 0}, "NUMBER_OUT_OF_RANGE", "terms.unit"),
        ({"unit": 9}, "NUMBER_OUT_OF_RANGE", "terms.unit"),
        ({"every": 121}, "PERIOD_INVALID", "terms.every"),
        ({"every": -1}, "PERIOD_INVALID", "terms.every"),
        ({"anchor_us": 7_258_118_400_000_001}, "ANCHOR_INVALID", "terms.anchor_us"),
        ({"zone": "Mars/Olympus"}, "ZONE_UNKNOWN", "terms.zone"),
        ({"zone": "x" * 65}, "TEXT_TOO_LONG", "terms.zone"),
        ({"proration": 5}, "NUMBER_OUT_OF_RANGE", "terms.proration"),
        ({"expires_after_us": -1}, "EXPIRY_INVALID", "terms.expires_after_us"),
        ({"products": ["a", "a"]}, "NAME_REPEATED", "terms.products"),
        ({"products": ["a"] * 101}, "TOO_MANY", "terms.products"),
    ],
)
async def test_terms_that_are_refused(
    caller: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    await caller.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    found = await refusal_of(start(caller, terms=terms(**changes)))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_other_bad_requests(caller: Served, clock: SystemClock) -> None:
    now = clock.now_us()
    for changes, reason in (
        ({"terms": None}, "FIELD_REQUIRED"),
        ({"request_id": ""}, "FIELD_REQUIRED"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN"),
        ({"starts_at_us": now - 36 * DAY_US}, "START_INVALID"),
        ({"ends_at_us": now - 1}, "END_INVALID"),
        ({"starts_at_us": now + DAY_US, "ends_at_us": now + DAY_US}, "END_INVALID"),
    ):
        assert (await refusal_of(start(caller, **changes))).reason == reason
    recurring = (await start(caller)).recurring_grant
    for request, reason in (
        (meant(caller, recurring, recurring_grant_id="x"), "RECURRING_UNKNOWN"),
        (meant(caller, recurring, recurring_grant_id=""), "FIELD_REQUIRED"),
        (meant(caller, recurring, request_id=""), "FIELD_REQUIRED"),
        (meant(caller, recurring), "RECURRING_NOT_PAUSED"),
    ):
        found = await refusal_of(
            caller.recurring.Resume(pb.RecurringGrantServiceResumeRequest(**request))
        )
        assert found.reason == reason
    found = await refusal_of(
        caller.recurring.End(
            pb.RecurringGrantServiceEndRequest(**meant(caller, recurring), timing=3)
        )
    )
    assert found.reason == "NUMBER_OUT_OF_RANGE"
    fixed = await refusal_of(
        caller.recurring.Change(
            pb.RecurringGrantServiceChangeRequest(
                **meant(caller, recurring),
                terms=terms(kind=types_pb2.GRANT_KIND_PREPAID),
            )
        )
    )
    assert (fixed.reason, fixed.metadata["field"]) == ("TERMS_FIXED", "terms.kind")
