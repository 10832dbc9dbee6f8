"""Agents with tokens of mandates: what they may see and spend, and what bad ones come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from biscuit_auth import Biscuit, BlockBuilder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.auth.mandate_tokens import MandateKeys, signing_key
from ledger.client.agent import Mandate
from ledger.client.agent import attenuated as attenuated_by
from ledger.client.errors import Refused as ClientRefused
from ledger.client.mandate_words import (
    PREFIX,
    UNTIL_MAX_US,
    Less,
    WordsInvalid,
    block_of,
    until_block,
)
from ledger.core.limits import SECOND_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import (
    balance_pb2,
    decision_pb2,
    journal_pb2,
    lease_pb2,
)
from ledger.v1 import mandate_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.proven import Proven, proven
from tests.api.served import PRODUCT, TENANT, Served, SystemClock, plain, refusal_of
from tests.patience import HANGS_S

COST = 100 * 3 + 20 * 15  # of what `served.work` asks for, in minor units
NOT_PERMITTED = (grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED")


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[Proven]:
    """acme shares a million with whoever is below it."""
    async with proven(MemoryStorage(SystemClock().now_us, 4), tmp_path / "keys.json") as found:
        operator = operator_of(found)
        await operator.priced()
        await operator.account("acme")
        await operator.account("acme/b", parent="acme")
        await operator.account("other")
        await operator.grant("acme", 1_000_000, shared=True)
        await operator.grant("other", 1_000_000)
        yield found


def operator_of(family: Proven) -> Served:
    return family.caller(tenant="*", sub="operator")


def terms(budget: int, **changes: Any) -> pb.MandateTerms:
    return pb.MandateTerms(asset="credit", budget=budget, **changes)


async def grant(caller: Served, parent: str, name: str, *of: Any, **changes: Any) -> Any:
    return await caller.mandates.Grant(
        pb.MandateServiceGrantRequest(
            tenant=TENANT,
            request_id=changes.pop("request_id", caller.new_id()),
            parent=parent,
            name=name,
            terms=terms(*of, **changes),
        )
    )


async def token_of(caller: Served, account: str, **changes: Any) -> str:
    reply = await caller.mandates.IssueToken(
        pb.IssueTokenRequest(tenant=TENANT, account=account, **changes)
    )
    assert reply.token.startswith(PREFIX) and len(bytes.fromhex(reply.public_key)) == 32
    return reply.token


async def agent_of(family: Proven, budget: int, **changes: Any) -> tuple[Served, str]:
    """The agent `acme/bot`, and its token."""
    operator = operator_of(family)
    await grant(operator, "acme", "bot", budget, **changes)
    token = await token_of(operator, "acme/bot")
    return family.bearing(token), token


def attenuated(family: Proven, token: str, *blocks: str) -> str:
    biscuit = Biscuit.from_base64(token.removeprefix(PREFIX), family.mandates.public_key)
    for block in blocks:
        biscuit = biscuit.append(BlockBuilder(block))
    return PREFIX + biscuit.to_base64()


async def revoke(caller: Served, account: str) -> Any:
    return await caller.mandates.Revoke(
        pb.MandateServiceRevokeRequest(
            tenant=TENANT, request_id=caller.new_id(), account=account, reason="stopped"
        )
    )


async def present(caller: Served, token: str) -> pb.PresentResponse:
    return await caller.mandates.Present(pb.PresentRequest(tenant=TENANT, token=token))


async def shown(caller: Served, account: str) -> pb.Mandate:
    reply = await caller.mandates.Get(pb.MandateServiceGetRequest(tenant=TENANT, account=account))
    return reply.mandate


async def test_an_agent_spends_within_its_mandate(family: Proven) -> None:
    agent, _ = await agent_of(family, 2 * COST)
    held = await agent.authorize("acme/bot")
    assert held.decision == decision_pb2.DECISION_ALLOW
    assert (await agent.debit("acme/bot")).decision == decision_pb2.DECISION_ALLOW
    denied = await agent.debit("acme/bot")
    assert denied.decision == decision_pb2.DECISION_DENY
    assert (denied.reason, denied.limit.kind) == (
        "MANDATE_EXCEEDED", decision_pb2.LIMIT_KIND_MANDATE,
    )  # fmt: skip
    assert (denied.limit.account, denied.limit.left) == ("acme/bot", 0)
    mine = await shown(agent, "acme/bot")
    assert (mine.spent, mine.held, mine.left) == (COST, COST, 0)
    assert (mine.state, mine.parent) == (pb.MANDATE_STATE_OPEN, "acme")


async def test_an_agent_reads_and_spends_nothing_else(family: Proven) -> None:
    """Neither who pays for it, nor its siblings, nor other families; and it does nothing else."""
    agent, _ = await agent_of(family, 10 * COST)
    await grant(operator_of(family), "acme", "twin", 10 * COST)
    for name in ("acme", "acme/b", "acme/twin", "other", "nobody"):
        for call in (
            agent.authorize(name),
            agent.debit(name),
            agent.check(name),
            agent.balance(name),
            shown(agent, name),
            token_of(agent, name),
            revoke(agent, name),
            grant(agent, name, "sub", 1),
            agent.pricing.GetPriceSheet(
                pricing_pb2.GetPriceSheetRequest(tenant=TENANT, account=name)
            ),
        ):
            refused = await refusal_of(call)
            assert (refused.code, refused.reason) == NOT_PERMITTED, name
    work = {"tenant": TENANT, "account": "acme/bot"}
    for call in (
        agent.usage.Ingest(plain()),
        agent.grant("acme/bot", 1),
        agent.account("acme/bot/x", parent="acme/bot"),
        agent.leases.List(lease_pb2.LeaseServiceListRequest(**work)),
    ):
        assert (await refusal_of(call)).reason == "SCOPE_MISSING"


async def test_an_agents_calls(family: Proven) -> None:
    """Balance, price sheet, quote, compare, hold, settle, watch."""
    agent, _ = await agent_of(family, 10 * COST, price_max=COST)
    assert (await agent.balance("acme/bot")).available == "1000000"
    sheet = await agent.pricing.GetPriceSheet(
        pricing_pb2.GetPriceSheetRequest(tenant=TENANT, account="acme/bot")
    )
    assert sheet.ByteSize()
    held = await agent.authorize("acme/bot")
    captured = await agent.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id=agent.new_id(),
            hold_id=held.hold_id,
            quantities={"input_tokens": 100, "output_tokens": 20},
        )
    )
    assert captured.charge == COST
    dear = await agent.authorize("acme/bot", quantities={"input_tokens": 300})
    assert (dear.reason, dear.limit.left) == ("MANDATE_PRICE", COST)
    assert (await agent.check("acme/bot", product="image")).reason == "UNPRICED"
    watch = agent.balances.Watch(balance_pb2.WatchRequest(tenant=TENANT, accounts=["acme/bot"]))
    first = await asyncio.wait_for(watch.read(), HANGS_S)
    assert first is not grpc.aio.EOF
    watch.cancel()


async def test_an_agent_delegates_and_its_sub_agents_count_with_it(family: Proven) -> None:
    agent, _ = await agent_of(family, 3 * COST)
    made = await grant(agent, "acme/bot", "sub", 2 * COST)
    assert made.mandate.account == "acme/bot/sub"
    sub = family.bearing(await token_of(agent, "acme/bot/sub"))
    assert (await sub.debit("acme/bot/sub")).decision == decision_pb2.DECISION_ALLOW
    assert (await agent.debit("acme/bot")).decision == decision_pb2.DECISION_ALLOW
    assert (await shown(agent, "acme/bot")).spent == 2 * COST
    assert (await shown(sub, "acme/bot/sub")).left == COST
    assert (await agent.debit("acme/bot")).decision == decision_pb2.DECISION_ALLOW
    denied = await sub.debit("acme/bot/sub")
    assert (denied.reason, denied.limit.account) == ("MANDATE_EXCEEDED", "acme/bot")
    refused = await refusal_of(sub.debit("acme/bot"))
    assert (refused.code, refused.reason) == NOT_PERMITTED
    listed = await agent.mandates.List(
        pb.MandateServiceListRequest(tenant=TENANT, account="acme/bot")
    )
    assert [each.account for each in listed.mandates] == ["acme/bot/sub"]


async def test_over_attenuated(family: Proven) -> None:
    agent, token = await agent_of(family, 100, products=[PRODUCT])
    refused = await refusal_of(grant(agent, "acme/bot", "sub", 101, products=[PRODUCT]))
    assert (refused.code, refused.reason, refused.violations[0][0]) == (
        grpc.StatusCode.INVALID_ARGUMENT, "MANDATE_EXCEEDS_PARENT", "terms.budget",
    )  # fmt: skip
    more = attenuated(family, token, block_of(Less("sub", budget=101)))
    refused = await refusal_of(
        family.bearing(more).mandates.Present(pb.PresentRequest(tenant=TENANT, token=more))
    )
    assert refused.reason == "MANDATE_EXCEEDS_PARENT"
    other = attenuated(family, token, block_of(Less("sub", products=("image",))))
    refused = await refusal_of(present(agent, other))
    assert refused.reason == "MANDATE_EXCEEDS_PARENT"
    names = await family.ledger.directory.list_accounts(1, "acme/bot", 10, "")
    assert not names.accounts  # type: ignore[union-attr]  # no id was claimed


async def test_attenuated_offline(family: Proven) -> None:
    """The ledger opens what the token names as it is presented, once; each is a node below."""
    agent, token = await agent_of(family, 3 * COST)
    blocks = (
        block_of(Less("team", budget=2 * COST)),
        block_of(Less("one", budget=COST, products=(PRODUCT,))),
    )
    own = attenuated(family, token, *blocks)
    bearer = family.bearing(own)
    first = await present(bearer, own)
    again = await present(bearer, own)
    assert first.mandate == again.mandate
    account = first.mandate.account
    assert account.startswith("acme/bot/team~") and "/one~" in account
    assert (await bearer.debit(account)).decision == decision_pb2.DECISION_ALLOW
    denied = await bearer.debit(account)
    assert (denied.reason, denied.limit.account) == ("MANDATE_EXCEEDED", account)
    refused = await refusal_of(bearer.debit("acme/bot"))
    assert (refused.code, refused.reason) == NOT_PERMITTED
    assert (await shown(agent, "acme/bot")).spent == COST
    twin = attenuated(family, token, blocks[0], block_of(Less("one", budget=COST - 1)))
    said = await present(agent, twin)
    assert said.mandate.account != account, "another budget is another mandate"


async def test_one_that_was_not_presented_is_of_no_account(family: Proven) -> None:
    _, token = await agent_of(family, 100)
    bearer = family.bearing(attenuated(family, token, block_of(Less("sub", budget=1))))
    refused = await refusal_of(bearer.debit("acme/bot"))
    assert (refused.code, refused.reason) == NOT_PERMITTED


async def test_revoked_from_the_next_decision_on(family: Proven) -> None:
    """By whoever granted it, and with all below it; open holds settle."""
    agent, _ = await agent_of(family, 10 * COST)
    await grant(agent, "acme/bot", "sub", 5 * COST)
    sub = family.bearing(await token_of(agent, "acme/bot/sub"))
    held = await sub.authorize("acme/bot/sub")
    await revoke(operator_of(family), "acme/bot")
    for caller, account in ((agent, "acme/bot"), (sub, "acme/bot/sub")):
        denied = await caller.debit(account)
        assert (denied.reason, denied.limit.account) == ("MANDATE_REVOKED", "acme/bot")
    released = await sub.decisions.Release(
        decision_pb2.ReleaseRequest(tenant=TENANT, request_id="r", hold_id=held.hold_id)
    )
    assert released.released == COST
    assert (await shown(sub, "acme/bot/sub")).state == pb.MANDATE_STATE_REVOKED
    refused = await refusal_of(token_of(agent, "acme/bot"))
    assert refused.reason == "MANDATE_REVOKED"
    refused = await refusal_of(grant(agent, "acme/bot", "late", 1))
    assert refused.reason == "MANDATE_REVOKED"


async def test_every_bad_token(family: Proven) -> None:
    """Each is UNAUTHENTICATED with a reason of its own, and no message shows it."""
    _, token = await agent_of(family, 100)
    stranger = MandateKeys(signing_key(Ed25519PrivateKey.generate()))
    forged = stranger.sign(TENANT, "acme/bot")
    past = int(time.time()) * SECOND_US - 60 * SECOND_US
    public = family.mandates.public_key
    flipped = token[:-20] + ("A" if token[-20] != "A" else "B") + token[-19:]
    twisted = PREFIX + Biscuit.from_base64(token.removeprefix(PREFIX), public).append(
        BlockBuilder('tenant("other")')
    ).to_base64()  # fmt: skip
    for secret, reason in (
        (PREFIX + "xx", "TOKEN_MALFORMED"),
        (forged, "TOKEN_KEY_UNKNOWN"),
        (flipped, "TOKEN_FORGED"),
        (family.mandates.sign(TENANT, "acme/bot", past), "TOKEN_EXPIRED"),
        (attenuated(family, token, until_block(past)), "TOKEN_EXPIRED"),
        (twisted, "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, "budget(5)"), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, 'delegate("a"); budget(0)'), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, 'delegate("a"); price_max(0)'), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, 'check if user("ann")'), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, 'delegate("a/b")'), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, *['delegate("a")'] * 16), "TOKEN_CLAIMS_INVALID"),
        (attenuated(family, token, "right($a) <- product($a)"), "TOKEN_CLAIMS_INVALID"),
    ):
        refused = await refusal_of(family.bearing(secret).debit("acme/bot"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        assert secret[4:40] not in refused.message


async def test_a_token_of_the_key_before_is_still_taken() -> None:
    before, now = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    old = MandateKeys(signing_key(before)).sign(TENANT, "acme/bot")
    keys = MandateKeys(signing_key(now), [signing_key(before)])
    assert keys.read(old, 1).account == "acme/bot"
    assert keys.read(keys.sign(TENANT, "acme/bot"), 1).account == "acme/bot"


async def test_what_a_request_says_wrong(family: Proven) -> None:
    operator = operator_of(family)
    for name, changes, reason in (
        ("a/b", {}, "ID_INVALID"),
        ("a~b", {}, "ID_INVALID"),
        ("a", {"asset": "nothing"}, "ASSET_UNKNOWN"),
        ("a", {"budget": 0}, "MANDATE_INVALID"),
        ("a", {"expires_at_us": 1}, "MANDATE_INVALID"),
    ):
        said = pb.MandateTerms(**{"asset": "credit", "budget": 1, **changes})
        request = pb.MandateServiceGrantRequest(
            tenant=TENANT, request_id=operator.new_id(), parent="acme", name=name, terms=said
        )
        refused = await refusal_of(operator.mandates.Grant(request))
        assert refused.reason == reason
    refused = await refusal_of(shown(operator, "acme/b"))
    assert refused.reason == "MANDATE_UNKNOWN"
    refused = await refusal_of(grant(operator, "acme", "b", 1))
    assert refused.reason == "ACCOUNT_EXISTS"


async def test_a_retry_is_answered_as_the_first(family: Proven) -> None:
    operator = operator_of(family)
    first = await grant(operator, "acme", "bot", 5, request_id="g")
    again = await grant(operator, "acme", "bot", 5, request_id="g")
    assert not first.replayed and again.replayed and first.mandate == again.mandate
    refused = await refusal_of(grant(operator, "acme", "bot", 6, request_id="g"))
    assert (refused.reason, refused.metadata["field"]) == ("CONFLICT", "terms")
    found = await operator.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme/bot", request_id="g")
    )
    assert (found.kind, found.resource) == (
        journal_pb2.MUTATION_KIND_GRANT_MANDATE, "acme/bot",
    )  # fmt: skip


async def test_an_issuers_agent_grants_below_mandates_alone(family: Proven) -> None:
    """Whoever has the scope `agent` for an account has no say over what it gives away."""
    agent = family.caller(scope="agent", accounts=["acme"])
    refused = await refusal_of(grant(agent, "acme", "bot", 5))
    assert refused.reason == "SCOPE_MISSING"
    await grant(operator_of(family), "acme", "bot", 5)
    assert (await grant(agent, "acme/bot", "sub", 5)).mandate.account == "acme/bot/sub"


async def test_many_at_once_never_spend_more(family: Proven) -> None:
    """Forty debits at a time, by an agent and its sub-agents, of a budget for ten."""
    agent, token = await agent_of(family, 10 * COST)
    callers = [(agent, "acme/bot")]
    for name in ("one", "two", "three"):
        secret = attenuated(family, token, block_of(Less(name, budget=6 * COST)))
        said = await present(agent, secret)
        callers.append((family.bearing(secret), said.mandate.account))
    replies = await asyncio.gather(
        *[caller.debit(account) for _ in range(10) for caller, account in callers]
    )
    allowed = [each for each in replies if each.decision == decision_pb2.DECISION_ALLOW]
    assert len(allowed) == 10
    mine = await shown(agent, "acme/bot")
    assert (mine.spent, mine.left) == (10 * COST, 0)
    below = [(await shown(caller, account)).spent for caller, account in callers[1:]]
    assert sum(below) <= 10 * COST and max(below) <= 6 * COST


async def test_an_agents_object(family: Proven) -> None:
    """What the SDK makes of a token: all that an agent asks for, and sub-agents without a call."""
    operator = operator_of(family)
    await grant(operator, "acme", "bot", 4 * COST, products=[PRODUCT])
    issued = await operator.mandates.IssueToken(
        pb.IssueTokenRequest(tenant=TENANT, account="acme/bot")
    )
    work = {"input_tokens": 100, "output_tokens": 20}
    async with Mandate(family.address, issued.token, issued.public_key) as mine:
        async with mine.metered(PRODUCT, estimate=work) as call:
            call.add(input_tokens=100, output_tokens=20)
        held = await mine.hold(PRODUCT, work)
        assert (await mine.settle(held.hold_id, work)).charge == COST
        assert (await mine.debit(PRODUCT, work)).decision == decision_pb2.DECISION_ALLOW
        standing = await mine.budget()
        assert (standing.spent, standing.left) == (3 * COST, COST)
        assert (await mine.quote(PRODUCT, work)).charge == COST
        assert (await mine.price_sheet()).ByteSize()
        offers = [
            pricing_pb2.CompareOption(label="allowed", product=PRODUCT, quantities=work),
            pricing_pb2.CompareOption(label="other", product="image", quantities=work),
            pricing_pb2.CompareOption(
                label="dear", product=PRODUCT, quantities={"input_tokens": 10_000}
            ),
        ]
        compared = await mine.compare(offers)
        assert [(each.label, each.rank) for each in compared.options] == [
            ("allowed", 1),
            ("dear", 0),
        ]
        async for first in mine.watch():
            assert first.ByteSize()
            break
        secret = mine.attenuate(Less("sub", budget=COST))
        own = await mine.delegate("named", terms(COST, products=[PRODUCT]))
        with pytest.raises(ValueError, match="this key signed"):
            attenuated_by(issued.token, "00" * 32, Less("sub"))
    async with Mandate(family.address, secret) as sub:
        assert sub.account.startswith("acme/bot/sub~")
        assert (await sub.debit(PRODUCT, work)).decision == decision_pb2.DECISION_ALLOW
        assert (await sub.debit(PRODUCT, work)).reason == "MANDATE_EXCEEDED"
    async with Mandate(family.address, own.token) as named:
        assert (await named.debit(PRODUCT, work)).limit.account == "acme/bot"
    over = attenuated_by(issued.token, issued.public_key, Less("sub", budget=5 * COST))
    with pytest.raises(ClientRefused, match="allows less"):
        await Mandate(family.address, over).__aenter__()
    with pytest.raises(ValueError, match="no token"):
        Mandate(family.address, "ddm_nothing")


async def test_no_token_ends_later_than_its_words_can_say(family: Proven):
    """The year 9999 is the last; a mandate that goes on for longer has tokens all the same."""
    operator = operator_of(family)
    await grant(operator, "acme", "bot", 10 * COST, expires_at_us=2**62)
    token = await token_of(operator, "acme/bot")
    assert family.mandates.read(token, operator.ledger.clock.now_us()).until_us == UNTIL_MAX_US
    assert await token_of(operator, "acme/bot", expires_at_us=UNTIL_MAX_US)
    for later in (UNTIL_MAX_US + 1, 2**63 - 1):
        refused = await refusal_of(token_of(operator, "acme/bot", expires_at_us=later))
        assert refused.violations == [("expires_at_us", "NUMBER_OUT_OF_RANGE")]


def test_words_that_end_later_are_refused_where_they_are_written() -> None:
    with pytest.raises(WordsInvalid, match="before the year 10000"):
        block_of(Less("sub", expires_at_us=UNTIL_MAX_US + SECOND_US))
    with pytest.raises(WordsInvalid, match="before the year 10000"):
        until_block(2**63 // SECOND_US * SECOND_US)
