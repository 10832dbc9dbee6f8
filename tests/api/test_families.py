"""Sharing, caps and reserves over gRPC (rules D1, D4, D8)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, HOUR_US
from ledger.v1 import account_pb2, grant_pb2, journal_pb2, types_pb2, usage_pb2
from ledger.v1 import family_pb2 as pb
from tests.api.served import TENANT, Served, event, refusal_of

DAILY = types_pb2.Window(
    kind=types_pb2.WINDOW_KIND_CALENDAR, unit=types_pb2.WINDOW_UNIT_DAY, zone="Europe/Berlin"
)


async def setting(served: Served, request_id: str = "", version: int = 0, **fields: Any) -> Any:
    """Set a cap as these fields say."""
    return await served.families.SetCap(
        pb.SetCapRequest(
            tenant=TENANT,
            request_id=request_id or served.new_id(),
            cap=pb.Cap(**fields),
            expected_version=version,
        )
    )


async def capped(served: Served, below: str, **fields: Any) -> pb.Cap:
    """A new cap of acme on what it shares in credits."""
    return (await setting(served, account="acme", below=below, asset="credit", **fields)).cap


async def shown(served: Served, cap: pb.Cap) -> pb.CapStanding:
    request = pb.GetCapRequest(tenant=TENANT, cap_id=cap.cap_id)
    return (await served.families.GetCap(request)).cap


async def sharing(
    served: Served, grant_id: str, mode: int, request_id: str = "", version: int = 0, **fields: Any
) -> pb.UpdateSharingResponse:
    return await served.families.UpdateSharing(
        pb.UpdateSharingRequest(
            tenant=TENANT,
            request_id=request_id or served.new_id(),
            grant_id=grant_id,
            sharing=pb.Sharing(mode=mode, **fields),
            expected_version=version,
        )
    )


async def uses(served: Served, account: str, units: int) -> list[str]:
    """What paid for usage that costs so many units: "pot amount", and the payer of an overage."""
    name = served.new_id("event")
    quantities = {"input_tokens": units // 3}
    reply = await served.ingest(event(name, account, quantities=quantities))
    assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_APPLIED, reply
    found = await served.usage.Get(
        usage_pb2.UsageServiceGetRequest(tenant=TENANT, account=account, source="gateway", id=name)
    )
    assert found.entry.account == account
    return [
        f"{types_pb2.Pot.Name(each.pot).removeprefix('POT_').lower()} {each.amount} {each.payer}"
        .strip()
        for each in found.entry.slices
    ]  # fmt: skip


async def authorized(served: Served, account: str, units: int) -> str:
    held = await served.authorize(account, quantities={"input_tokens": units // 3})
    return held.reason or str(held.hold_id)


async def outcome(served: Served, request_id: str) -> journal_pb2.GetOutcomeResponse:
    return await served.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
    )


@pytest.fixture
async def family(priced: Served) -> Served:
    """acme with two departments, and a team below one; each pays its own overage, research's goes
    to acme."""
    await priced.account("acme")
    await priced.account("search", "acme", overage=account_pb2.OVERAGE_SELF)
    await priced.account("team", "search", overage=account_pb2.OVERAGE_SELF)
    labels = ["science", "2026"]
    await priced.account("research", "acme", overage=account_pb2.OVERAGE_PARENT, labels=labels)
    return priced


async def test_departments_draw_on_one_commitment_each_within_its_cap_and_with_its_own_bill(
    family: Served,
):
    """The first story: one commitment drawn through two levels; what a cap leaves of usage is the
    department's own overage, or its parent's, by its policy; the commitment has room still."""
    issued = await family.grant("acme", 3_000, shared=True)
    of_search = await capped(family, "search", limit=900)
    of_research = await capped(family, "research", numerator=1, denominator=2)
    assert await uses(family, "team", 600) == ["grant 600"]
    assert await uses(family, "search", 600) == ["grant 300", "overage 300"]
    assert await uses(family, "team", 30) == ["overage 30"]
    assert await uses(family, "research", 1_800) == ["grant 1500", "overage 300 acme"]
    first, second = await shown(family, of_search), await shown(family, of_research)
    assert (first.used, first.held, first.ceiling, first.left) == ("900", "0", "900", "0")
    assert (second.used, second.ceiling, second.left) == ("1500", "1500", "0")
    assert (first.cap.account, first.cap.below, first.cap.scale) == ("acme", "search", 6)
    request = grant_pb2.GrantServiceGetRequest(tenant=TENANT, grant_id=issued.grant.grant_id)
    assert (await family.grants.Get(request)).grant.remaining == 600
    assert (await family.balance("search")).overage == "300"
    assert (await family.balance("team")).overage == "30"
    assert (await family.balance("research")).overage == "300"  # whose usage it was


async def test_a_cap_counts_holds_in_its_window_and_resets(family: Served):
    await family.grant("acme", 10_000, shared=True)
    cap = await capped(family, "search", limit=900, window=DAILY)
    hold = await authorized(family, "team", 600)
    standing = await shown(family, cap)
    assert (standing.used, standing.held, standing.left) == ("0", "600", "300")
    assert 0 < standing.resets_at_us - standing.window_start_us <= DAY_US + HOUR_US
    assert await uses(family, "search", 600) == ["grant 300", "overage 300"]
    listed = await family.families.ListCaps(
        pb.ListCapsRequest(tenant=TENANT, account="team", binding=True)
    )
    assert [(each.cap.cap_id, each.left) for each in listed.caps] == [(cap.cap_id, "0")]
    assert hold.startswith("hold_")


async def test_what_is_reserved_siblings_cannot_touch(family: Served):
    grant_id = (await family.grant("acme", 1_000, shared=True)).grant.grant_id
    cap = await capped(family, "search", grant_id=grant_id, reserved=400)
    assert await uses(family, "research", 900) == ["grant 600", "overage 300 acme"]
    standing = await shown(family, cap)
    assert (standing.set_aside, standing.ceiling, standing.left) == ("400", "", "")
    assert await uses(family, "team", 300) == ["grant 300"]
    assert (await shown(family, cap)).set_aside == "100"
    more = await refusal_of(
        setting(family, account="acme", below="search", cap_id=cap.cap_id, reserved=401)
    )
    assert (more.reason, more.metadata["field"]) == ("RESERVE_EXCEEDS", "cap.reserved")
    assert (more.metadata["value"], more.code) == ("401", grpc.StatusCode.FAILED_PRECONDITION)


async def test_shared_with_those_listed_or_with_those_that_match(family: Served):
    grant_id = (await family.grant("acme", 1_000)).grant.grant_id
    first = await sharing(family, grant_id, pb.SHARING_MODE_LISTED, accounts=["search"])
    assert (first.sharing.version, list(first.alike)) == (2, [])
    assert list(first.sharing.sharing.accounts) == ["search"]
    assert await uses(family, "team", 30) == ["grant 30"]
    assert await uses(family, "research", 30) == ["overage 30 acme"]
    await sharing(family, grant_id, pb.SHARING_MODE_MATCHING, labels=["science"])
    assert await uses(family, "team", 30) == ["overage 30"]
    assert await uses(family, "research", 30) == ["grant 30"]
    got = await family.accounts.Get(
        account_pb2.AccountServiceGetRequest(tenant=TENANT, account="research")
    )
    policy = got.account.policy
    assert list(policy.labels) == ["science", "2026"]
    policy.labels[:] = ["2026"]
    await family.accounts.UpdatePolicy(
        account_pb2.UpdatePolicyRequest(
            tenant=TENANT, request_id="u", account="research", policy=policy, expected_version=1
        )
    )
    assert await uses(family, "research", 30) == ["overage 30 acme"]
    seen = await family.families.GetSharing(pb.GetSharingRequest(tenant=TENANT, grant_id=grant_id))
    assert (seen.sharing.account, seen.sharing.version) == ("acme", 3)
    assert seen.sharing.sharing == pb.Sharing(mode=pb.SHARING_MODE_MATCHING, labels=["science"])
    await sharing(family, grant_id, pb.SHARING_MODE_ALL)
    assert await uses(family, "team", 30) == ["grant 30"]
    await sharing(family, grant_id, pb.SHARING_MODE_NONE)
    assert await uses(family, "team", 30) == ["overage 30"]


async def test_a_retry_is_answered_as_before_and_outcomes_name_what_was_changed(family: Served):
    grant_id = (await family.grant("acme", 1_000)).grant.grant_id
    fields = {"account": "acme", "below": "search", "grant_id": grant_id, "limit": 9}
    made = await setting(family, "cap", **fields)
    again = await setting(family, "cap", **fields)
    assert (again.cap, made.replayed, again.replayed) == (made.cap, False, True)
    assert made.cap.asset == "credit"
    conflict = await refusal_of(setting(family, "cap", **{**fields, "limit": 8}))
    assert (conflict.reason, conflict.metadata["field"]) == ("CONFLICT", "cap")
    told = await outcome(family, "cap")
    assert (told.kind, told.resource) == (journal_pb2.MUTATION_KIND_SET_CAP, made.cap.cap_id)
    changed = await setting(family, "more", version=1, cap_id=made.cap.cap_id, limit=10)
    assert (changed.cap.version, changed.cap.limit, changed.cap.below) == (2, 10, "search")
    stale = await refusal_of(setting(family, version=1, cap_id=made.cap.cap_id, limit=11))
    assert stale.reason == "VERSION_MISMATCH"
    shared = await sharing(family, grant_id, pb.SHARING_MODE_ALL, "share")
    assert (await sharing(family, grant_id, pb.SHARING_MODE_ALL, "share")).replayed
    assert shared.sharing.version == 2
    told = await outcome(family, "share")
    assert (told.kind, told.resource) == (journal_pb2.MUTATION_KIND_UPDATE_SHARING, grant_id)
    remove = pb.RemoveCapRequest(tenant=TENANT, request_id="gone", cap_id=made.cap.cap_id)
    assert not (await family.families.RemoveCap(remove)).replayed
    assert (await family.families.RemoveCap(remove)).replayed
    told = await outcome(family, "gone")
    assert (told.kind, told.resource) == (journal_pb2.MUTATION_KIND_REMOVE_CAP, made.cap.cap_id)
    gone = await refusal_of(shown(family, made.cap))
    assert (gone.reason, gone.code) == ("CAP_UNKNOWN", grpc.StatusCode.NOT_FOUND)


async def test_caps_are_listed_in_pages(family: Served):
    await family.grant("acme", 1_000, shared=True)
    await family.grant("search", 1_000, shared=True)
    made = [await capped(family, below, limit=9) for below in ("team", "search", "research")]
    nearest = (
        await setting(family, account="search", below="team", asset="credit", limit=1)
    ).cap  # fmt: skip
    request = pb.ListCapsRequest(tenant=TENANT, account="acme", page_size=2)
    first = await family.families.ListCaps(request)
    request.page_token = first.next_page_token
    second = await family.families.ListCaps(request)
    assert [each.cap for each in (*first.caps, *second.caps)] == made
    assert second.next_page_token == ""
    binding = await family.families.ListCaps(
        pb.ListCapsRequest(tenant=TENANT, account="team", binding=True)
    )
    assert [each.cap for each in binding.caps] == [made[0], nearest, made[1]]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"account": ""}, "FIELD_REQUIRED", "cap.account"),
        ({"account": "none"}, "ACCOUNT_UNKNOWN", "cap.account"),
        ({"below": "none"}, "ACCOUNT_UNKNOWN", "cap.below"),
        ({"below": "acme"}, "NOT_BELOW", "cap.below"),
        ({"account": "search", "below": "research"}, "NOT_BELOW", "cap.below"),
        ({"asset": "none"}, "ASSET_UNKNOWN", "cap.asset"),
        ({"grant_id": "grant_x"}, "GRANT_UNKNOWN", "cap.grant_id"),
        ({"limit": None}, "CAP_INVALID", "cap.limit"),
        ({"limit": -1}, "NUMBER_OUT_OF_RANGE", "cap.limit"),
        ({"limit": None, "numerator": 2, "denominator": 1}, "CAP_INVALID", "cap.fraction"),
        ({"numerator": 1, "denominator": 2}, "CAP_INVALID", "cap.limit"),
        ({"reserved": 5}, "CAP_INVALID", "cap.reserved"),
        (
            {"window": types_pb2.Window(kind=types_pb2.WINDOW_KIND_SLIDING)},
            "CAP_INVALID",
            "cap.window.length_us",
        ),
        ({"cap_id": "cap_x"}, "CAP_UNKNOWN", "cap.cap_id"),
    ],
)
async def test_what_is_no_cap_is_refused_by_its_field(
    family: Served, fields: dict[str, Any], reason: str, field: str
):
    whole = {"account": "acme", "below": "search", "asset": "credit", "limit": 5, **fields}
    refused = await refusal_of(setting(family, **whole))
    assert (refused.reason, refused.metadata["field"]) == (reason, field), refused


async def test_what_a_cap_cannot_be_of_is_named(family: Served):
    above = (await family.grant("acme", 1_000, shared=True)).grant.grant_id
    own = (await family.grant("search", 1_000, shared=True)).grant.grant_id
    not_above = await refusal_of(
        setting(family, account="acme", below="search", grant_id=own, limit=5)
    )
    assert (not_above.reason, not_above.metadata["field"]) == ("GRANT_UNKNOWN", "cap.grant_id")
    assert not_above.metadata["value"] == own
    below_reserve = await refusal_of(
        setting(family, account="acme", below="search", grant_id=above, limit=5, reserved=6)
    )
    assert (below_reserve.reason, below_reserve.metadata["value"]) == ("CAP_INVALID", "6")
    part = {"numerator": 1, "denominator": 10, "reserved": 101}
    less = await refusal_of(setting(family, account="acme", below="search", grant_id=above, **part))
    assert (less.reason, less.metadata["field"]) == ("CAP_INVALID", "cap.reserved")
    stands = await capped(family, "search", grant_id=above, reserved=5)
    within = await refusal_of(
        setting(family, account="acme", below="team", grant_id=above, reserved=5)
    )
    assert (within.reason, within.metadata["value"]) == ("CAP_INVALID", stands.cap_id)
    for other in ({"below": "research"}, {"account": "search"}, {"window": DAILY}):
        fixed = await refusal_of(setting(family, cap_id=stands.cap_id, limit=9, **other))
        assert (fixed.reason, fixed.metadata["field"]) == (
            "CAP_INVALID",
            f"cap.{next(iter(other))}",
        )


async def test_what_is_no_sharing_is_refused_by_name(family: Served):
    await family.account("other")
    grant_id = (await family.grant("acme", 1_000)).grant.grant_id
    for mode, fields, reason, field, value in (
        (0, {}, "NUMBER_OUT_OF_RANGE", "sharing.mode", "0"),
        (pb.SHARING_MODE_LISTED, {}, "SHARING_INVALID", "sharing.accounts", "0"),
        (pb.SHARING_MODE_MATCHING, {}, "SHARING_INVALID", "sharing.labels", "0"),
        (pb.SHARING_MODE_ALL, {"labels": ["x"]}, "SHARING_INVALID", "sharing.labels", "1"),
        (
            pb.SHARING_MODE_LISTED,
            {"accounts": ["search", "none"]},
            "ACCOUNT_UNKNOWN",
            "sharing.accounts[1]",
            "none",
        ),
        (
            pb.SHARING_MODE_LISTED,
            {"accounts": ["search", "other"]},
            "NOT_BELOW",
            "sharing.accounts",
            "other",
        ),
        (
            pb.SHARING_MODE_MATCHING,
            {"labels": ["x "]},
            "SHARING_INVALID",
            "sharing.labels",
            "x ",
        ),
    ):
        refused = await refusal_of(sharing(family, grant_id, mode, **fields))
        found = (refused.reason, refused.metadata["field"], refused.metadata["value"])
        assert found == (reason, field, value)
    unknown = await refusal_of(sharing(family, "grant_x", pb.SHARING_MODE_ALL))
    assert (unknown.reason, unknown.metadata["field"]) == ("GRANT_UNKNOWN", "grant_id")
    stale = await refusal_of(sharing(family, grant_id, pb.SHARING_MODE_ALL, version=2))
    assert (stale.reason, stale.metadata["field"]) == ("VERSION_MISMATCH", "expected_version")
