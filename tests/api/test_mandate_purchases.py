"""Agents that buy: within their mandates' purchase limits, paid for by the payer (rule F1)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ledger.client import sync_agent
from ledger.client.agent import Mandate
from ledger.client.agent import attenuated as attenuated_by
from ledger.client.errors import ClientClosed, Refused
from ledger.client.mandate_words import Less, WordsInvalid, block_of, read_block
from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2, grant_pb2, journal_pb2, payment_pb2
from ledger.v1 import mandate_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.proven import Proven, proven
from tests.api.served import PRODUCT, TENANT, Served, SystemClock, refusal_of
from tests.api.test_mandates import (
    COST,
    NOT_PERMITTED,
    agent_of,
    attenuated,
    grant,
    operator_of,
    present,
    revoke,
    shown,
)

LIMIT = 50
"""Of what is sold at 1 for 100 units, in minor units of USD."""
SOLD = pb.PurchaseTerms(
    limit=LIMIT, price_asset="USD", price_numerator=1, price_denominator=100, source="card"
)


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[Proven]:
    """acme has nothing yet: what its agents use, they buy."""
    async with proven(MemoryStorage(SystemClock().now_us, 4), tmp_path / "keys.json") as found:
        operator = operator_of(found)
        await operator.priced()
        await operator.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
        await operator.account("acme")
        yield found


async def ask(caller: Served, account: str, amount: int, **changes: Any) -> pb.RequestTopUpResponse:
    return await caller.mandates.RequestTopUp(
        pb.RequestTopUpRequest(
            **{
                "tenant": TENANT,
                "request_id": caller.new_id(),
                "account": account,
                "asset": "credit",
                "amount": amount,
                **changes,
            }
        )
    )


async def confirm(caller: Served, grant_id: str) -> None:
    await caller.payments.Confirm(
        payment_pb2.PaymentServiceConfirmRequest(
            tenant=TENANT, request_id=caller.new_id(), grant_id=grant_id
        )
    )


async def test_an_agent_buys_and_the_payment_side_confirms(family: Proven) -> None:
    operator = operator_of(family)
    agent, _ = await agent_of(family, 10 * COST, purchase=SOLD)
    assert (await agent.debit("acme/bot")).reason == "INSUFFICIENT_CREDITS"
    asked = await ask(agent, "acme/bot", 2 * COST)
    assert (asked.price_paid, asked.price_asset, asked.amount) == (12, "USD", 2 * COST)
    assert asked.waits_until_us > SystemClock().now_us() + 6 * DAY_US
    assert (await agent.debit("acme/bot")).reason == "INSUFFICIENT_CREDITS"
    mine = await shown(agent, "acme/bot")
    assert (mine.purchased, mine.purchase_left, mine.purchases_pending) == (12, LIMIT - 12, 1)
    assert mine.terms.purchase.price_asset == "USD"
    waits = await operator.grants.Get(
        grant_pb2.GrantServiceGetRequest(tenant=TENANT, grant_id=asked.grant_id)
    )
    assert (waits.grant.account, waits.grant.pending) == ("acme", 2 * COST)
    await confirm(operator, asked.grant_id)
    assert (await agent.debit("acme/bot")).decision == decision_pb2.DECISION_ALLOW
    mine = await shown(agent, "acme/bot")
    assert (mine.purchased, mine.purchases_pending) == (12, 0)


async def test_what_fails_is_given_back(family: Proven) -> None:
    operator = operator_of(family)
    agent, _ = await agent_of(family, 10 * COST, purchase=SOLD)
    asked = await ask(agent, "acme/bot", 100 * LIMIT)
    refused = await refusal_of(ask(agent, "acme/bot", 100))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION, "MANDATE_PURCHASE_EXCEEDED",
    )  # fmt: skip
    await operator.payments.Fail(
        payment_pb2.PaymentServiceFailRequest(
            tenant=TENANT, request_id="f", grant_id=asked.grant_id
        )
    )
    assert (await shown(agent, "acme/bot")).purchase_left == LIMIT
    assert (await ask(agent, "acme/bot", 100)).price_paid == 1


async def test_a_retry_is_answered_as_the_first(family: Proven) -> None:
    agent, _ = await agent_of(family, 10 * COST, purchase=SOLD)
    first = await ask(agent, "acme/bot", 1_000, request_id="r")
    again = await ask(agent, "acme/bot", 1_000, request_id="r")
    assert again.replayed and not first.replayed
    again.replayed = False
    assert first == again
    refused = await refusal_of(ask(agent, "acme/bot", 1_001, request_id="r"))
    assert (refused.reason, refused.metadata["field"]) == ("CONFLICT", "amount")
    found = await operator_of(family).journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme/bot", request_id="r")
    )
    assert found.kind == journal_pb2.MUTATION_KIND_REQUEST_TOP_UP
    assert found.resource == first.grant_id
    assert (await shown(agent, "acme/bot")).purchased == 10


async def test_whom_nothing_is_sold(family: Proven) -> None:
    operator = operator_of(family)
    agent, token = await agent_of(family, 10 * COST, purchase=SOLD)
    await grant(agent, "acme/bot", "dry", COST)
    for account, changes, reason in (
        ("acme/bot/dry", {}, "MANDATE_BUYS_NOTHING"),
        ("acme/bot", {"asset": "USD"}, "MANDATE_ASSET"),
        ("acme/bot", {"asset": "nothing"}, "ASSET_UNKNOWN"),
        ("acme/bot", {"asset": ""}, "FIELD_REQUIRED"),
        ("acme/bot", {"amount": 0}, "NUMBER_OUT_OF_RANGE"),
        ("acme/bot", {"amount": 2**63 - 1}, "MANDATE_PURCHASE_EXCEEDED"),
    ):
        refused = await refusal_of(ask(agent, account, **{"amount": 10, **changes}))
        assert refused.reason == reason, account
    assert (await refusal_of(ask(operator, "acme", 10))).reason == "MANDATE_UNKNOWN"
    refused = await refusal_of(ask(agent, "acme", 10))
    assert (refused.code, refused.reason) == NOT_PERMITTED
    issuers = family.caller(scope="agent", accounts=["acme"])
    assert (await ask(issuers, "acme/bot", 10)).price_paid == 1
    seeing = family.caller(scope="read", accounts=["acme"])
    assert (await refusal_of(ask(seeing, "acme/bot", 10))).reason == "SCOPE_MISSING"
    await revoke(operator, "acme/bot")
    assert (await refusal_of(ask(agent, "acme/bot", 10))).reason == "MANDATE_REVOKED"
    assert token


async def test_an_agent_confirms_nothing(family: Proven) -> None:
    """Nor does it fail, void or see the payer's grant: it may only ask."""
    agent, _ = await agent_of(family, 10 * COST, purchase=SOLD)
    asked = await ask(agent, "acme/bot", 1_000)
    named = {"tenant": TENANT, "grant_id": asked.grant_id}
    for call in (
        agent.payments.Confirm(payment_pb2.PaymentServiceConfirmRequest(request_id="c", **named)),
        agent.payments.Fail(payment_pb2.PaymentServiceFailRequest(request_id="f", **named)),
        agent.grants.Void(grant_pb2.GrantServiceVoidRequest(request_id="v", **named)),
        agent.grants.Get(grant_pb2.GrantServiceGetRequest(**named)),
    ):
        assert (await refusal_of(call)).reason in ("SCOPE_MISSING", "NOT_PERMITTED")


async def test_sub_agents_buy_within_their_limits(family: Proven) -> None:
    """Delegated by a call, or by a token without one; what they name no price of is as above."""
    agent, token = await agent_of(family, 10 * COST, purchase=SOLD)
    more = pb.PurchaseTerms(limit=LIMIT + 1)
    refused = await refusal_of(grant(agent, "acme/bot", "sub", COST, purchase=more))
    assert (refused.reason, refused.violations[0][0]) == (
        "MANDATE_EXCEEDS_PARENT", "terms.purchase.limit",
    )  # fmt: skip
    dear = pb.PurchaseTerms(limit=1, price_asset="USD", price_numerator=1, price_denominator=200)
    refused = await refusal_of(grant(agent, "acme/bot", "sub", COST, purchase=dear))
    assert refused.violations[0][0] == "terms.purchase.price_numerator"
    made = await grant(agent, "acme/bot", "sub", COST, purchase=pb.PurchaseTerms(limit=20))
    assert made.mandate.terms.purchase.source == "card"
    cases = ((Less("a", purchase=30), 30), (Less("b"), LIMIT), (Less("c", purchase=0), 0))
    for less, left in cases:
        secret = attenuated(family, token, block_of(less))
        assert (await present(agent, secret)).mandate.purchase_left == left
    over = attenuated(family, token, block_of(Less("d", purchase=LIMIT + 1)))
    assert (await refusal_of(present(agent, over))).reason == "MANDATE_EXCEEDS_PARENT"
    secret = attenuated(family, token, block_of(cases[0][0]))
    bearer = family.bearing(secret)
    account = (await present(bearer, secret)).mandate.account
    assert (await ask(bearer, account, 2_000)).price_paid == 20
    refused = await refusal_of(ask(bearer, account, 1_100))
    assert refused.reason == "MANDATE_PURCHASE_EXCEEDED"
    assert (await shown(agent, "acme/bot")).purchase_left == LIMIT - 20


async def test_below_one_that_buys_nothing_nothing_is_bought(family: Proven) -> None:
    agent, token = await agent_of(family, 10 * COST)
    some = pb.PurchaseTerms(limit=1)
    refused = await refusal_of(grant(agent, "acme/bot", "sub", COST, purchase=some))
    assert refused.reason == "MANDATE_EXCEEDS_PARENT"
    priced = pb.PurchaseTerms(limit=1, price_asset="USD", price_numerator=1)
    refused = await refusal_of(grant(agent, "acme/bot", "sub", COST, purchase=priced))
    assert refused.reason == "MANDATE_EXCEEDS_PARENT"
    over = attenuated(family, token, block_of(Less("d", purchase=1)))
    assert (await refusal_of(present(agent, over))).reason == "MANDATE_EXCEEDS_PARENT"


async def test_many_at_once_never_buy_more(family: Proven) -> None:
    """Sixty requests of 5 at a time, by an agent and two sub-agents, of a limit for ten."""
    agent, token = await agent_of(family, 10 * COST, purchase=SOLD)
    callers = [(agent, "acme/bot")]
    for name in ("one", "two"):
        secret = attenuated(family, token, block_of(Less(name, purchase=30)))
        account = (await present(agent, secret)).mandate.account
        callers.append((family.bearing(secret), account))
    replies = await asyncio.gather(
        *[ask(caller, account, 500) for _ in range(20) for caller, account in callers],
        return_exceptions=True,
    )
    made = [each for each in replies if isinstance(each, pb.RequestTopUpResponse)]
    assert sum(each.price_paid for each in made) == LIMIT
    mine = await shown(agent, "acme/bot")
    assert (mine.purchased, mine.purchase_left, mine.purchases_pending) == (LIMIT, 0, 10)
    below = [await shown(caller, account) for caller, account in callers[1:]]
    assert max(each.purchased for each in below) <= 30


async def test_an_agents_object_buys(family: Proven) -> None:
    operator = operator_of(family)
    await grant(operator, "acme", "bot", 4 * COST, products=[PRODUCT], purchase=SOLD)
    issued = await operator.mandates.IssueToken(
        pb.IssueTokenRequest(tenant=TENANT, account="acme/bot")
    )
    async with Mandate(family.address, issued.token, issued.public_key) as mine:
        asked = await mine.buy(1_000, request_id="r")
        assert (asked.price_paid, (await mine.budget()).purchased) == (10, 10)
        assert (await mine.buy(1_000, request_id="r")).replayed
        with pytest.raises(Refused, match="purchase limit"):
            await mine.buy(5_000)
        secret = mine.attenuate(Less("sub", purchase=20))
    async with Mandate(family.address, secret) as sub:
        assert (await sub.buy(2_000)).price_paid == 20


async def test_an_agents_object_without_await(family: Proven) -> None:
    """The same calls with the same arguments, in a thread."""
    operator = operator_of(family)
    await operator.grant("acme", 100 * COST, shared=True)
    await grant(operator, "acme", "bot", 20 * COST, products=[PRODUCT], purchase=SOLD)
    issued = await operator.mandates.IssueToken(
        pb.IssueTokenRequest(tenant=TENANT, account="acme/bot")
    )
    work = {"input_tokens": 100, "output_tokens": 20}

    def run() -> str:
        with sync_agent.Mandate(family.address, issued.token, issued.public_key) as mine:
            with mine.metered(PRODUCT, estimate=work) as call:
                call.add(input_tokens=100, output_tokens=20)
            held = mine.hold(PRODUCT, work)
            assert mine.settle(held.hold_id, work).charge == COST
            assert mine.debit(PRODUCT, work).decision == decision_pb2.DECISION_ALLOW
            assert (mine.budget().spent, mine.account) == (3 * COST, "acme/bot")
            assert mine.client.get_mandate(mine.account).spent == 3 * COST
            assert mine.quote(PRODUCT, work).charge == COST
            assert mine.price_sheet().ByteSize()
            with pytest.raises(Refused, match="no read models"):
                mine.forecast()  # of a server in memory
            offer = pricing_pb2.CompareOption(label="a", product=PRODUCT, quantities=work)
            assert mine.compare([offer]).options[0].rank == 1
            assert next(mine.watch()).ByteSize()
            assert mine.buy(1_000).price_paid == 10
            less = pb.MandateTerms(asset="credit", budget=COST, products=[PRODUCT])
            own = mine.delegate("named", less)
            with sync_agent.Mandate(family.address, own.token) as named:
                assert named.debit(PRODUCT, work).decision == decision_pb2.DECISION_ALLOW
            mine.revoke("acme/bot/named", "enough")
            return mine.attenuate(Less("sub", budget=COST))

    secret = await asyncio.to_thread(run)

    def run_below() -> None:
        with sync_agent.Mandate(family.address, secret) as sub:
            assert sub.debit(PRODUCT, work).decision == decision_pb2.DECISION_ALLOW
            assert sub.debit(PRODUCT, work).reason == "MANDATE_EXCEEDED"
        with pytest.raises(ClientClosed):
            sub.budget()
        over = attenuated_by(issued.token, issued.public_key, Less("sub", budget=50 * COST))
        with pytest.raises(Refused, match="allows less"):
            sync_agent.Mandate(family.address, over).__enter__()

    await asyncio.to_thread(run_below)


def test_every_call_of_an_agent_is_one_without_await() -> None:
    """With the same arguments; what a client is told beside them is its own."""
    names = {name for name in vars(Mandate) if not name.startswith("_")}
    assert names == {name for name in vars(sync_agent.Mandate) if name[0] != "_"} - {"close"}
    for name in names:
        given, same = (
            [each.replace(annotation="") for each in inspect.signature(call).parameters.values()]
            for call in (getattr(Mandate, name), getattr(sync_agent.Mandate, name))
        )
        assert given == same, name


def test_the_word_of_purchases() -> None:
    for less in (Less("a", purchase=0), Less("a", purchase=7), Less("a")):
        assert read_block(block_of(less), first=False).less == less
    with pytest.raises(WordsInvalid):
        block_of(Less("a", purchase=-1))
    for wrong in ("purchase(-1)", "purchase(1);\npurchase(2)", "purchase(99999999999999999999)"):
        with pytest.raises(WordsInvalid):
            read_block(f'delegate("a");\n{wrong};\n', first=False)
