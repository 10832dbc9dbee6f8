"""Balances of the past and what made the difference, over gRPC on PostgreSQL (rules T5, B6)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ledger.api import past_balances
from ledger.core.limits import HOUR_US
from ledger.v1 import balance_pb2 as pb
from ledger.v1 import decision_pb2, grant_pb2, types_pb2
from tests.api.served import TENANT, Served, SystemClock, event, refusal_of
from tests.patience import HANGS_S
from tests.projections.projecting import project

FAR_US = 4_000_000_000_000_000


async def get(caller: Served, account: str = "acme", **changes: Any) -> Any:
    return await caller.balances.Get(
        pb.BalanceServiceGetRequest(tenant=TENANT, account=account, **changes)
    )


async def changes(caller: Served, account: str = "acme", **fields: Any) -> pb.ListChangesResponse:
    return await caller.balances.ListChanges(
        pb.ListChangesRequest(tenant=TENANT, account=account, **fields)
    )


def now(caller: Served) -> int:
    return caller.ledger.clock.now_us()


async def moment(caller: Served) -> int:
    """An instant between what came before and what comes after."""
    await asyncio.sleep(0.005)
    at = now(caller)
    await asyncio.sleep(0.005)
    return at


async def test_a_late_event_changes_what_was_known_of_an_instant(stored: Served, database: str):
    await stored.account("acme")
    began = await moment(stored)
    await stored.grant("acme", 1_000)
    noon = await moment(stored)
    live = await stored.balance("acme", product="chat")
    await stored.ingest(event("late", "acme", effective_at_us=noon))
    evening = await moment(stored)
    await project(database)
    then = await get(stored, effective_at_us=noon, known_at_us=noon, product="chat")
    assert (then.as_of_us, then.known_at_us) == (noon, noon)
    (balance,) = then.balances
    assert (balance.available, balance.applicable) == (live.available, live.applicable)
    assert balance.available == "1000"
    (known,) = (await get(stored, effective_at_us=noon, known_at_us=evening)).balances
    assert (known.available, known.credits_posted, known.debits_posted) == ("400", "1000", "600")
    assert (known.applicable, known.overage, list(known.grants)) == ("", "", [])
    assert not (await get(stored, known_at_us=began)).balances
    latest = await get(stored, effective_at_us=noon)
    assert latest.balances[0].available == "400"
    assert noon < latest.known_at_us < evening

    found = await changes(
        stored,
        before=pb.BalanceInstant(effective_at_us=noon, known_at_us=noon),
        after=pb.BalanceInstant(effective_at_us=noon, known_at_us=evening),
    )
    (change,) = found.changes
    assert (change.kind, change.amount) == (pb.BALANCE_CHANGE_KIND_POSTED, "-600")
    assert (change.source, change.usage_id) == ("gateway", "late")
    assert change.credit_account == "used/chat"
    assert change.debit_account == f"grant/{change.grant_id}"
    assert (change.effective_at_us, change.removed) == (noon, False)
    assert change.recorded_at_us > noon
    (difference,) = found.differences
    assert (difference.available_before, difference.available_after, difference.difference) == (
        "1000",
        "400",
        "-600",
    )
    back = await changes(stored, before=found.after, after=found.before)
    assert [(each.amount, each.removed) for each in back.changes] == [("600", True)]


async def test_holds_count_from_their_authorisation_to_their_release(stored: Served, database: str):
    await stored.account("acme", overdraft_asset="credit", overdraft_limit=500)
    await stored.grant("acme", 1_000)
    before = await moment(stored)
    held = await stored.authorize("acme")
    holding = await moment(stored)
    await stored.decisions.Release(
        decision_pb2.ReleaseRequest(tenant=TENANT, request_id=stored.new_id(), hold_id=held.hold_id)
    )
    after = await moment(stored)
    await project(database)
    figures = [
        (balance.available, balance.pending, balance.overdraft_limit)
        for at in (before, holding, after)
        for balance in (await get(stored, known_at_us=at)).balances
    ]
    assert figures == [("1500", "0", "500"), ("900", "600", "500"), ("1500", "0", "500")]
    found = await changes(stored, before=pb.BalanceInstant(known_at_us=before))
    assert [(each.kind, each.amount) for each in found.changes] == [
        (pb.BALANCE_CHANGE_KIND_HELD, "-600"),
        (pb.BALANCE_CHANGE_KIND_RELEASED, "600"),
    ]
    assert found.differences[0].difference == "0"


async def test_a_grant_at_every_stage_of_its_life(stored: Served, database: str):
    await stored.account("acme")
    soon = now(stored) + HOUR_US
    issued = await stored.grant("acme", 1_000, expires_at_us=soon + HOUR_US, effective_at_us=soon)
    grant_id = issued.grant.grant_id
    other = await stored.grant("acme", 70)
    scheduled = await moment(stored)
    clock = stored.ledger.clock
    assert isinstance(clock, SystemClock)
    clock.ahead_us += HOUR_US
    active = await moment(stored)
    await stored.ingest(event("a", "acme"))
    drawn = await moment(stored)
    await stored.grants.Void(
        grant_pb2.GrantServiceVoidRequest(
            tenant=TENANT, request_id=stored.new_id(), grant_id=other.grant.grant_id
        )
    )
    clock.ahead_us += HOUR_US
    expired = await moment(stored)
    await project(database)

    async def at(instant: int) -> tuple[Any, ...]:
        reply = await get(stored, "", grant_id=grant_id, effective_at_us=instant)
        (grant,) = reply.balances[0].past_grants
        state = types_pb2.GrantState.Name(grant.state).removeprefix("GRANT_STATE_")
        return state, reply.balances[0].available, grant.drawn, grant.left, grant.amount

    assert await at(scheduled) == ("SCHEDULED", "0", "0", "1000", "1000")
    assert await at(active) == ("ACTIVE", "1000", "0", "1000", "1000")
    assert await at(drawn) == ("ACTIVE", "400", "600", "400", "1000")
    assert await at(expired) == ("EXPIRED", "0", "600", "400", "1000")
    (whole,) = (await get(stored, effective_at_us=expired)).balances
    assert (whole.available, whole.expired_unposted) == ("0", "400")
    assert [grant.returned for grant in whole.past_grants] == ["0", "70"]
    found = await changes(
        stored,
        before=pb.BalanceInstant(effective_at_us=drawn),
        after=pb.BalanceInstant(effective_at_us=expired),
    )
    assert [(each.kind, each.amount, each.state_after) for each in found.changes] == [
        (pb.BALANCE_CHANGE_KIND_POSTED, "-70", 0),
        (pb.BALANCE_CHANGE_KIND_GRANT, "-400", types_pb2.GRANT_STATE_EXPIRED),
    ]
    early = await get(stored, "", grant_id=grant_id, known_at_us=scheduled - HOUR_US)
    assert not early.balances


async def test_pages_of_changes_add_up(stored: Served, database: str):
    await stored.account("acme")
    await stored.grant("acme", 3_000)
    for number in range(7):
        await stored.ingest(event(f"{number}", "acme"))  # the last two into debt
    await stored.grant("acme", 5_000)  # repays it: two sides of one transfer
    await project(database)
    whole = await changes(stored, page_size=1_000)
    assert not whole.HasField("before")
    assert sum(int(change.amount) for change in whole.changes) == 8_000 - 4_200
    assert whole.differences[0].difference == str(8_000 - 4_200)
    assert (whole.differences[0].available_before, whole.next_page_token) == ("0", "")
    token, pages = "", []
    while True:
        page = await changes(stored, page_size=4, page_token=token)
        pages.append(page)
        token = page.next_page_token
        if not token:
            break
        await stored.ingest(event(f"after {len(pages)}", "acme"))
        await project(database)  # what comes meanwhile is in no page
    assert [change for page in pages for change in page.changes] == list(whole.changes)
    assert len(pages) == 3
    found = await refusal_of(changes(stored, page_token=pages[0].next_page_token + "A"))
    assert found.reason == "PAGE_INVALID"
    after = pb.BalanceInstant(known_at_us=1)
    found = await refusal_of(changes(stored, after=after, page_token=pages[0].next_page_token))
    assert found.reason == "PAGE_INVALID"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"effective_at_us": -1}, "NUMBER_OUT_OF_RANGE", "effective_at_us"),
        ({"known_at_us": -1}, "NUMBER_OUT_OF_RANGE", "known_at_us"),
        ({"effective_at_us": FAR_US}, "IN_FUTURE", "effective_at_us"),
        ({"known_at_us": FAR_US}, "IN_FUTURE", "known_at_us"),
        ({"known_at_us": 1, "account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ({"grant_id": "no grant"}, "GRANT_UNKNOWN", "grant_id"),
        ({"known_at_us": 1, "min_position": "x"}, "POSITION_INVALID", "min_position"),
    ],
)
async def test_refused_balances_of_the_past(stored: Served, fields: Any, reason: str, field: str):
    await stored.account("acme")
    found = await refusal_of(get(stored, **{"account": "acme", **fields}))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_refused_changes(stored: Served, database: str):
    await stored.account("acme")
    for side in ("before", "after"):
        far = pb.BalanceInstant(known_at_us=FAR_US)
        found = await refusal_of(changes(stored, **{side: far}))
        assert (found.reason, found.metadata["field"]) == ("IN_FUTURE", f"{side}.known_at_us")
    await stored.account("other")
    grant = (await stored.grant("other", 5)).grant
    await project(database)
    found = await refusal_of(get(stored, "acme", grant_id=grant.grant_id))
    assert found.reason == "GRANT_UNKNOWN"


async def test_an_answer_waits_for_read_models_or_says_that_they_are_behind(
    stored: Served, database: str, monkeypatch: pytest.MonkeyPatch
):
    await stored.account("acme")
    issued = await stored.grant("acme", 9)
    at = await moment(stored)
    monkeypatch.setattr(past_balances, "WAIT_S", HANGS_S)
    asked = asyncio.create_task(get(stored, known_at_us=at))
    await asyncio.sleep(0.1)
    await project(database)
    assert (await asked).balances[0].available == "9"
    monkeypatch.setattr(past_balances, "WAIT_S", 0.05)
    late = await stored.grant("acme", 1)
    found = await refusal_of(get(stored, effective_at_us=at, min_position=late.position))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "READ_MODELS_BEHIND")
    assert found.retry_after_us > 0
    found = await refusal_of(get(stored, known_at_us=await moment(stored)))
    assert found.reason == "READ_MODELS_BEHIND"
    stale = await get(stored, effective_at_us=at, min_position=issued.position)
    assert stale.balances[0].available == "9"


async def test_without_read_models_there_is_no_past(priced: Served):
    await priced.account("acme")
    found = await refusal_of(get(priced, known_at_us=1))
    assert found.reason == "READ_MODELS_ABSENT"
