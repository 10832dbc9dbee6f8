"""Accounts, families, policies, other names, erasure."""

from __future__ import annotations

import grpc
import pytest

from ledger.journal.codec import decode_private
from ledger.v1 import account_pb2 as pb
from ledger.v1 import journal_pb2, usage_pb2
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of


def creating(account: str, **changes) -> pb.AccountServiceCreateRequest:
    fields = {"tenant": TENANT, "request_id": f"create-{account}", "account": account, **changes}
    return pb.AccountServiceCreateRequest(**fields)


def getting(account: str, **changes) -> pb.AccountServiceGetRequest:
    return pb.AccountServiceGetRequest(**{"tenant": TENANT, "account": account, **changes})


def updating(account: str, expected_version: int, request_id: str = "update", **policy):
    return pb.UpdatePolicyRequest(
        tenant=TENANT,
        request_id=request_id,
        account=account,
        policy=pb.AccountPolicy(**policy),
        expected_version=expected_version,
    )


async def test_an_account_is_opened_with_its_policy_and_profile(priced: Served):
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    request = creating(
        "acme",
        display_name="Acme & Söhne",
        metadata={"crm": "17"},
        policy=pb.AccountPolicy(
            rate_card="enterprise",
            overdraft_asset="USD",
            overdraft_limit=500,
            overage=pb.OVERAGE_SELF,
            overage_cap=0,
            excess=pb.EXCESS_BILL,
            max_open_holds=5,
            comparator=pb.COMPARATOR_STRIPE_1,
            holds_overdraft=False,
            holds_overage=True,
            zone="Europe/Berlin",
            period_grace_us=0,
            overdraft_kind=pb.OVERDRAFT_KIND_PERCENT_OF_LIFETIME,
            overdraft_basis_points=2_000,
            overdraft_grace_us=0,
            promotional_backfills=True,
            freeze_on_chargeback=True,
            billing_anchor_us=1_767_225_600_000_000,
            settlement_asset="USD",
        ),
    )
    made = await priced.accounts.Create(request)
    account = made.account
    assert (account.account, account.parent, account.root) == ("acme", "", "acme")
    assert (account.display_name, dict(account.metadata)) == ("Acme & Söhne", {"crm": "17"})
    assert account.state == pb.ACCOUNT_STATE_OPEN
    request.policy.version = 1
    assert account.policy == request.policy
    again = await priced.accounts.Create(request)
    assert again.replayed
    assert again.account == account
    found = await priced.accounts.Get(getting("acme", min_position=made.position))
    assert found.account == account


async def test_defaults_of_a_policy(priced: Served):
    policy = (await priced.account("acme")).account.policy
    assert (policy.overage, policy.excess) == (pb.OVERAGE_OFF, pb.EXCESS_OWE)
    assert (policy.max_open_holds, policy.version) == (10_000, 1)
    assert policy.comparator == pb.COMPARATOR_UNSPECIFIED
    assert not policy.HasField("overage_cap")


async def test_a_policy_orders_the_grants_that_pay(priced: Served):
    """Rule D2: the comparator of the parent, then the child's own; what was drawn stays."""
    await priced.account("acme", comparator=pb.COMPARATOR_ORB_1)
    await priced.account("acme/team", "acme")
    later = priced.ledger.clock.now_us() + 86_400_000_000
    urgent = (await priced.grant("acme/team", 10_000, priority=-1)).grant.grant_id
    soon = (await priced.grant("acme/team", 10_000, expires_at_us=later)).grant.grant_id

    async def payer(event_id: str) -> list[str]:
        await priced.ingest(event(event_id, "acme/team"))
        wanted = usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account="acme/team", source="gateway", id=event_id
        )
        return [piece.grant_id for piece in (await priced.usage.Get(wanted)).entry.slices]

    assert await payer("first") == [soon]
    await priced.accounts.UpdatePolicy(
        updating("acme/team", 1, comparator=pb.COMPARATOR_OPENMETER_1)
    )
    assert await payer("second") == [urgent]
    assert await payer("first") == [soon]


async def test_a_family_lives_on_one_shard(priced: Served):
    root = await priced.account("acme")
    child = await priced.account("acme/search", "acme")
    assert (child.account.parent, child.account.root) == ("acme", "acme")
    assert child.account.shard == root.account.shard


async def test_a_taken_id(priced: Served):
    await priced.accounts.Create(creating("acme"))
    found = await refusal_of(priced.accounts.Create(creating("acme", request_id="other")))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ACCOUNT_EXISTS")
    assert found.metadata["value"] == "acme"
    changed = creating("acme", display_name="Acme")
    assert (await refusal_of(priced.accounts.Create(changed))).reason == "CONFLICT"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent": "nobody"}, "PARENT_UNKNOWN"),
        ({"policy": pb.AccountPolicy(overdraft_asset="gold", overdraft_limit=1)}, "ASSET_UNKNOWN"),
        ({"policy": pb.AccountPolicy(overdraft_limit=1)}, "FIELD_REQUIRED"),
        ({"policy": pb.AccountPolicy(overdraft_limit=-1)}, "NUMBER_OUT_OF_RANGE"),
        ({"policy": pb.AccountPolicy(overage_cap=-1)}, "NUMBER_OUT_OF_RANGE"),
        ({"policy": pb.AccountPolicy(max_open_holds=1_000_001)}, "NUMBER_OUT_OF_RANGE"),
        ({"policy": pb.AccountPolicy(overage=9)}, "NUMBER_OUT_OF_RANGE"),
        ({"policy": pb.AccountPolicy(comparator=99)}, "NUMBER_OUT_OF_RANGE"),
        ({"policy": pb.AccountPolicy(rate_card="x" * 129)}, "TEXT_TOO_LONG"),
        ({"request_id": ""}, "FIELD_REQUIRED"),
    ],
    ids=lambda value: str(value)[:40].replace("\n", " "),
)
async def test_a_refused_opening_claims_nothing(priced: Served, changes, reason):
    found = await refusal_of(priced.accounts.Create(creating("acme", **changes)))
    assert found.reason == reason
    assert await priced.ledger.resolve(1, "acme") is None
    assert (await priced.accounts.Create(creating("acme"))).account.account == "acme"


async def test_a_closed_or_too_deep_parent_claims_nothing(priced: Served):
    parent = ""
    for depth in range(16):
        await priced.account(f"level-{depth}", parent)
        parent = f"level-{depth}"
    found = await refusal_of(priced.account("level-16", parent))
    assert found.reason == "DEPTH_EXCEEDED"
    closing = pb.AccountServiceCloseRequest(tenant=TENANT, request_id="c", account="level-15")
    await priced.accounts.Close(closing)
    found = await refusal_of(priced.account("below", "level-15"))
    assert found.reason == "ACCOUNT_CLOSED"
    assert await priced.ledger.resolve(1, "below") is None


async def test_a_policy_is_replaced_at_its_version(priced: Served):
    await priced.account("acme")
    first = updating("acme", 1, overdraft_asset="credit", overdraft_limit=9)
    updated = await priced.accounts.UpdatePolicy(first)
    assert (updated.account.policy.version, updated.account.policy.overdraft_limit) == (2, 9)
    stale = await refusal_of(priced.accounts.UpdatePolicy(updating("acme", 1, "second")))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    await priced.accounts.UpdatePolicy(updating("acme", 2, "third"))
    again = await priced.accounts.UpdatePolicy(first)
    assert again.replayed
    assert again.account.policy == updated.account.policy
    missing = await refusal_of(priced.accounts.UpdatePolicy(updating("acme", 0)))
    assert missing.metadata["field"] == "expected_version"


async def test_accounts_are_listed_in_pages(priced: Served):
    names = sorted(f"customer-{number:02}" for number in range(25))
    for name in names:
        await priced.account(name)
    await priced.account("customer-00/child", "customer-00")
    seen, token, pages = [], "", 0
    while True:
        request = pb.AccountServiceListRequest(tenant=TENANT, page_size=10, page_token=token)
        page = await priced.accounts.List(request)
        seen += [account.account for account in page.accounts]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert seen == sorted([*names, "customer-00/child"])
    assert pages == 3
    children = pb.AccountServiceListRequest(tenant=TENANT, parent="customer-00")
    found = await priced.accounts.List(children)
    assert [(a.account, a.parent, a.root) for a in found.accounts] == [
        ("customer-00/child", "customer-00", "customer-00")
    ]


@pytest.mark.parametrize(
    "changes", [{"page_size": -1}, {"page_token": "nonsense!"}, {"page_token": "x" * 999}]
)
async def test_bad_pages(priced: Served, changes):
    for call in (
        priced.accounts.List(pb.AccountServiceListRequest(tenant=TENANT, **changes)),
        priced.pricing.ListAssets(_assets(**changes)),
    ):
        assert (await refusal_of(call)).reason == "PAGE_INVALID"


def _assets(**changes):
    return pricing_pb2.ListAssetsRequest(tenant=TENANT, **changes)


async def test_an_account_closes_only_when_it_is_empty(priced: Served):
    await priced.account("acme")
    await priced.ingest(event("a", "acme"))
    closing = pb.AccountServiceCloseRequest(tenant=TENANT, request_id="close", account="acme")
    found = await refusal_of(priced.accounts.Close(closing))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACCOUNT_NOT_EMPTY",
    )
    await priced.grant("acme", 600)
    closed = await priced.accounts.Close(closing)
    assert closed.account.state == pb.ACCOUNT_STATE_CLOSED
    assert closed.account.closed_at_us > closed.account.created_at_us
    assert (await priced.accounts.Close(closing)).replayed


def assigning(alias: str, account: str, **changes) -> pb.AssignAliasRequest:
    fields = {"tenant": TENANT, "request_id": "r", "alias": alias, "account": account, **changes}
    return pb.AssignAliasRequest(**fields)


def ending(alias: str, account: str, **changes) -> pb.EndAliasRequest:
    fields = {"tenant": TENANT, "request_id": "r", "alias": alias, "account": account, **changes}
    return pb.EndAliasRequest(**fields)


async def test_an_alias_stands_for_its_account_until_it_ends(priced: Served):
    await priced.account("acme")
    await priced.account("other")
    made = await priced.accounts.AssignAlias(assigning("key-1", "acme"))
    assert not made.replayed
    again = await priced.accounts.AssignAlias(assigning("key-1", "acme"))
    assert again.replayed
    assert again.alias == made.alias
    assert (await priced.accounts.Get(getting("key-1"))).account.account == "acme"
    taken = await refusal_of(priced.accounts.AssignAlias(assigning("key-1", "other")))
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALIAS_OVERLAPS")
    ended = await priced.accounts.EndAlias(ending("key-1", "acme"))
    assert ended.alias.effective_to_us > made.alias.effective_from_us
    exact = ending("key-1", "acme", effective_to_us=ended.alias.effective_to_us)
    assert (await priced.accounts.EndAlias(exact)).replayed
    assert (await refusal_of(priced.accounts.Get(getting("key-1")))).reason == "ACCOUNT_UNKNOWN"
    await priced.accounts.AssignAlias(assigning("key-1", "other"))
    assert (await priced.accounts.Get(getting("key-1"))).account.account == "other"
    listed = await priced.accounts.ListAliases(pb.ListAliasesRequest(tenant=TENANT, account="acme"))
    assert list(listed.aliases) == [ended.alias]


async def test_aliases_are_listed_in_pages(priced: Served):
    await priced.account("acme")
    for number in range(5):
        await priced.accounts.AssignAlias(assigning(f"key-{number}", "acme"))
    first = await priced.accounts.ListAliases(
        pb.ListAliasesRequest(tenant=TENANT, account="acme", page_size=3)
    )
    rest = await priced.accounts.ListAliases(
        pb.ListAliasesRequest(
            tenant=TENANT, account="acme", page_size=3, page_token=first.next_page_token
        )
    )
    names = [alias.alias for alias in [*first.aliases, *rest.aliases]]
    assert names == [f"key-{number}" for number in range(5)]
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (assigning("acme", "other"), "NAME_IS_ACCOUNT"),
        (assigning("", "acme"), "FIELD_REQUIRED"),
        (assigning("key", "nobody"), "ACCOUNT_UNKNOWN"),
        (assigning("key", "acme", effective_from_us=-1), "NUMBER_OUT_OF_RANGE"),
        (ending("key", "acme"), "ALIAS_UNKNOWN"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_bad_aliases(priced: Served, request_, reason):
    await priced.account("acme")
    await priced.account("other")
    call = (
        priced.accounts.AssignAlias
        if isinstance(request_, pb.AssignAliasRequest)
        else priced.accounts.EndAlias
    )
    assert (await refusal_of(call(request_))).reason == reason


async def test_an_id_may_not_be_an_alias(priced: Served):
    await priced.account("acme")
    await priced.accounts.AssignAlias(assigning("key-1", "acme"))
    assert (await refusal_of(priced.account("key-1"))).reason == "NAME_IS_ALIAS"


async def test_an_erased_person_is_gone_and_the_books_stay(stored: Served):
    await stored.accounts.Create(creating("jane@example.com", display_name="Jane"))
    sent = event("a", "jane@example.com", personal_attributes={"ip": "10.0.0.1"}, operation="op")
    reply = await stored.ingest(sent)
    assert reply.results[0].charge == 600
    before = await stored.ledger.resolve(1, "jane@example.com")
    erasing = pb.AccountServiceEraseRequest(
        tenant=TENANT, request_id="erase", account="jane@example.com"
    )
    assert (await stored.accounts.Erase(erasing)).erased_at_us > 0
    await stored.server.eraser.idle()
    assert (await refusal_of(stored.accounts.Get(getting("jane@example.com")))).reason == (
        "ACCOUNT_UNKNOWN"
    )
    late = (await stored.ingest(event("b", "jane@example.com"))).results[0]
    assert late.outcome == usage_pb2.INGEST_OUTCOME_ACCOUNT_UNKNOWN
    journal = stored.ledger.storage.journal(before.shard)
    async for row in journal.read(0):
        assert b"jane" not in row.payload
        assert b"Jane" not in row.payload
        assert "a" not in decode_private(row.private).ids
        assert not decode_private(row.private).personal
    trial = await stored.journal.TrialBalance(journal_pb2.TrialBalanceRequest(tenant=TENANT))
    assert trial.balanced
