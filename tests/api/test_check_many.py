"""Many accounts and pieces of work in one call: each answer is the one that Check would give."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ledger.api import check_many
from ledger.api.check_many import ACCOUNTS_MAX, WORK_MAX
from ledger.journal.storage import MemoryStorage
from ledger.v1 import account_pb2, budget_pb2, decision_pb2, types_pb2
from rating.v1 import card_pb2
from tests.api.cluster import cluster
from tests.api.served import PRODUCT, TENANT, Served, SystemClock, event, refusal_of

ALLOW = decision_pb2.DECISION_ALLOW
DENY = decision_pb2.DECISION_DENY
OVERDRAFT = decision_pb2.DECISION_ALLOW_OVERDRAFT


def asked(product: str = PRODUCT, **quantities: int) -> decision_pb2.WorkToCheck:
    return decision_pb2.WorkToCheck(product=product, quantities=quantities or {"input_tokens": 100})


async def many(
    served: Served,
    accounts: list[str],
    *pieces: decision_pb2.WorkToCheck,
    tenant: str = TENANT,
    **part_of: str,
) -> decision_pb2.CheckManyResponse:
    return await served.decisions.CheckMany(
        decision_pb2.CheckManyRequest(tenant=tenant, accounts=accounts, work=pieces, **part_of)
    )


async def singly(
    served: Served, account: str, each: decision_pb2.WorkToCheck, **part_of: str
) -> tuple[Any, ...]:
    """The same answer by Check; what it fails with is a denial."""
    request = decision_pb2.CheckRequest(
        tenant=TENANT,
        account=account,
        product=each.product,
        attributes=each.attributes,
        quantities=each.quantities,
        **part_of,
    )
    try:
        found = await served.decisions.Check(request)
    except grpc.aio.AioRpcError:
        refusal = await refusal_of(served.decisions.Check(request))
        return (DENY, refusal.reason, 0, 0, ("", 0, "", 0))
    return (
        found.decision,
        found.reason,
        found.charge,
        int(found.available),
        (found.asset, found.scale, found.rate_card, found.rate_card_version),
    )


def answer(reply: decision_pb2.CheckManyResponse, place: int) -> tuple[Any, ...]:
    price = reply.price_names[reply.prices[place]]
    return (
        reply.decisions[place],
        reply.reason_names[reply.reasons[place]],
        reply.charges[place],
        reply.available[place],
        (price.asset, price.scale, price.rate_card, price.rate_card_version),
    )


async def same_as_check(
    served: Served, accounts: list[str], *pieces: decision_pb2.WorkToCheck, **part_of: str
) -> decision_pb2.CheckManyResponse:
    reply = await many(served, accounts, *pieces, **part_of)
    assert len(reply.decisions) == len(accounts) * len(pieces)
    for a, account in enumerate(accounts):
        for w, each in enumerate(pieces):
            found = answer(reply, a * len(pieces) + w)
            assert found == await singly(served, account, each, **part_of), (account, each)
    return reply


async def test_the_columns_say_what_check_says_of_each(priced: Served):
    """
    rich 10,000; poor 100; owing overdraft 1,000; frozen; nobody
    work: 100 input (300), 1,000 input (3,000), no price, contradicting parts
    """
    for name, policy in (("rich", {}), ("poor", {}), ("frozen", {})):
        await priced.account(name, **policy)
    await priced.account("owing", overdraft_asset="credit", overdraft_limit=1_000)
    await priced.grant("rich", 10_000)
    await priced.grant("poor", 100)
    await priced.grant("frozen", 10_000)
    await priced.accounts.Freeze(freezing(priced, "frozen"))
    reply = await same_as_check(
        priced,
        ["rich", "poor", "owing", "frozen", "nobody"],
        asked(input_tokens=100),
        asked(input_tokens=1_000),
        asked("video", input_tokens=1),
        asked(input_tokens=5, cached_tokens=6),
    )
    assert list(reply.decisions[:12]) == [
        *(ALLOW, ALLOW, DENY, DENY),
        *(DENY, DENY, DENY, DENY),
        *(OVERDRAFT, DENY, DENY, DENY),
    ]
    assert [each.reason for each in reply.accounts] == ["", "", "", "", "ACCOUNT_UNKNOWN"]
    assert [each.policy_version for each in reply.accounts] == [1, 1, 1, 1, 0]
    assert all(each.position for each in reply.accounts[:4])


def freezing(served: Served, account: str) -> account_pb2.FreezeRequest:
    return account_pb2.FreezeRequest(
        tenant=TENANT, request_id=served.new_id(), account=account, reason="chargeback"
    )


async def test_grants_for_some_products_shares_caps_and_budgets_count(priced: Served):
    """
    team      grant 5,000 shared; team/a draws it, own grant 700 only for video
    budgeted  grant 5,000, a budget of 400 a charge
    """
    await priced.account("team")
    await priced.account("team/a", parent="team")
    await priced.grant("team", 5_000, shared=True)
    await priced.grant("team/a", 700, products=["video"])
    await priced.account("budgeted")
    await priced.grant("budgeted", 5_000)
    await priced.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT,
            request_id=priced.new_id(),
            account="budgeted",
            budget=budget_pb2.Budget(
                name="ever",
                measure=budget_pb2.BUDGET_MEASURE_CHARGE,
                asset="credit",
                limit=400,
                window=types_pb2.Window(kind=types_pb2.WINDOW_KIND_LIFETIME),
            ),
        )
    )
    reply = await same_as_check(
        priced, ["team/a", "budgeted", "team"], asked(input_tokens=100), asked(input_tokens=200)
    )
    assert list(reply.decisions) == [ALLOW, ALLOW, ALLOW, DENY, ALLOW, ALLOW]
    assert reply.reason_names[reply.reasons[3]] == "BUDGET_EXCEEDED"


async def capped(served: Served, account: str, operation: str, limit: int) -> str:
    """The key of an operation that now has a budget of the account."""
    made = await served.budgets.SetOperationBudget(
        budget_pb2.SetOperationBudgetRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account=account,
            operation=operation,
            budget=budget_pb2.Budget(
                measure=budget_pb2.BUDGET_MEASURE_CHARGE, asset="credit", limit=limit
            ),
        )
    )
    return made.operation_key


async def test_the_operation_of_a_call_counts_for_the_accounts_that_its_budget_covers(
    priced: Served,
):
    """
    acme   grant 5,000 shared; acme/bot draws it; `run` has 400 of acme (rule H4)
    other  grant 5,000 of another family, where `run` has no budget
    """
    await priced.account("acme")
    await priced.account("acme/bot", parent="acme")
    await priced.account("other")
    await priced.grant("acme", 5_000, shared=True)
    await priced.grant("other", 5_000)
    key = await capped(priced, "acme", "run", 400)
    names, pieces = ["acme/bot", "other"], (asked(input_tokens=100), asked(input_tokens=200))
    reply = await same_as_check(priced, names, *pieces, operation="run")
    assert list(reply.decisions) == [ALLOW, DENY, ALLOW, ALLOW]
    assert reply.reason_names[reply.reasons[1]] == "OPERATION_BUDGET_EXCEEDED"
    limit = reply.limit_names[reply.limits[1]].limit
    assert (limit.kind, limit.account, limit.name, limit.left) == (
        decision_pb2.LIMIT_KIND_OPERATION, "acme", key, 400,
    )  # fmt: skip
    below = await same_as_check(priced, names, *pieces, operation="tool", operation_parent="run")
    assert list(below.decisions) == [ALLOW, DENY, ALLOW, ALLOW]
    for part_of in ({}, {"operation": "tool"}):  # to ask has made nothing known
        apart = await same_as_check(priced, names, *pieces, **part_of)
        assert set(apart.decisions) == {ALLOW}
    refused = await refusal_of(many(priced, names, *pieces, operation_parent="run"))
    assert ("operation", "FIELD_REQUIRED") in refused.violations


async def test_prices_that_run_on_are_asked_of_each_account(served: Served):
    """The first 1,000 tokens of a month are free, then 0.000003 each; half-unit prices add up."""
    tiers = [
        card_pb2.PriceRow(
            product=PRODUCT,
            quantity="input_tokens",
            graduated=card_pb2.GraduatedModel(
                tiers=[
                    card_pb2.Tier(up_to=1_000, price="0"),
                    card_pb2.Tier(price="0.000003"),
                ]
            ),
        ),
        card_pb2.PriceRow(product="half", quantity="input_tokens", price="0.0000015"),
    ]
    await served.priced(rows=tiers)
    for name in ("fresh", "used"):
        await served.account(name)
        await served.grant(name, 1_000)
    await served.ingest(event("u", "used", 900, 0))
    reply = await same_as_check(
        served, ["fresh", "used"], asked(input_tokens=200), asked("half", input_tokens=3)
    )
    assert [reply.charges[0], reply.charges[2]] == [0, 300]


async def test_what_is_wrong_with_the_call_is_named(priced: Served):
    await priced.account("acme")
    found = await refusal_of(many(priced, [], asked()))
    assert ("accounts", "FIELD_REQUIRED") in found.violations
    found = await refusal_of(many(priced, ["acme"]))
    assert ("work", "FIELD_REQUIRED") in found.violations
    found = await refusal_of(many(priced, ["acme"] * (ACCOUNTS_MAX + 1), asked()))
    assert found.reason == "TOO_MANY"
    found = await refusal_of(many(priced, ["acme"], *[asked()] * (WORK_MAX + 1)))
    assert found.reason == "TOO_MANY"
    found = await refusal_of(many(priced, ["acme", ""], asked()))
    assert ("accounts[1]", "FIELD_REQUIRED") in found.violations
    nothing = decision_pb2.WorkToCheck(product=PRODUCT, quantities={"input_tokens": 0})
    found = await refusal_of(many(priced, ["acme"], asked(), nothing))
    assert ("work[1].quantities", "QUANTITIES_ALL_ZERO") in found.violations


async def test_the_loop_has_its_turns_between(priced: Served, monkeypatch: pytest.MonkeyPatch):
    """While 100 x 100 answers are found, another task of the server's loop gets many turns."""
    monkeypatch.setattr(check_many, "TURN_US", 100)
    for number in range(10):
        await priced.account(f"a{number}")
        await priced.grant(f"a{number}", 10_000)
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    watching = asyncio.create_task(watch())
    try:
        accounts = [f"a{number % 10}" for number in range(ACCOUNTS_MAX)]
        pieces = [asked(input_tokens=place + 1) for place in range(WORK_MAX)]
        await many(priced, accounts, *pieces)
        turns = 0
        reply = await many(priced, accounts, *pieces)
    finally:
        watching.cancel()
    assert turns >= ACCOUNTS_MAX // 2
    assert set(reply.decisions) == {ALLOW}
    assert list(reply.charges[:3]) == [3, 6, 9]


async def test_accounts_of_other_servers_are_asked_of_them():
    """Two servers; one call at one of them is answered for accounts of both, in their order."""
    shared = MemoryStorage(SystemClock().now_us, 4)
    async with cluster([shared, shared]) as servers:
        first = servers[0]
        await first.priced()
        names = [f"account-{number}" for number in range(12)]
        for number, name in enumerate(names):
            await first.account(name)
            await first.grant(name, 1_000 * (number % 2) + 1)
        for server in servers:
            reply = await same_as_check(
                server, [*names, "nobody"], asked(input_tokens=100), asked("video", pages=1)
            )
            assert list(reply.decisions[::2]) == [*[DENY, ALLOW] * 6, DENY]
        owners = {first.ledger.shards.owns(shard) for shard in range(4)}
        assert owners == {True, False}
        for name in names[1::2]:
            await capped(first, name, "run", 299)  # 100 tokens cost 300
        for server in servers:
            reply = await same_as_check(
                server, names, asked(input_tokens=100), operation="tool", operation_parent="run"
            )
            reasons = [reply.reason_names[each] for each in reply.reasons]
            assert reasons == ["INSUFFICIENT_CREDITS", "OPERATION_BUDGET_EXCEEDED"] * 6
