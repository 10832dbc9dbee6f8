"""Mandates under hostile hands: what a holder of a token may try, and that it comes to nothing."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from ledger.api.access import ACCESS, Reach
from ledger.auth.principal import Scope
from ledger.auth.refusals import AuthRefused
from ledger.client.agent import attenuated as attenuated_by
from ledger.client.agent import holder_of, shortened
from ledger.client.mandate_words import PREFIX, Less, block_of, until_block
from ledger.core.limits import SECOND_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import account_pb2, budget_pb2, decision_pb2, journal_pb2
from ledger.v1 import mandate_pb2 as pb
from tests.api.proven import Proven, new_mandate_keys, proven
from tests.api.served import PRODUCT, TENANT, SystemClock, refusal_of
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
    token_of,
)


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[Proven]:
    """acme shares ten million with whoever is below it."""
    async with proven(MemoryStorage(SystemClock().now_us, 4), tmp_path / "keys.json") as found:
        operator = operator_of(found)
        await operator.priced()
        await operator.account("acme")
        await operator.account("acme/b", parent="acme")
        await operator.grant("acme", 10_000_000, shared=True)
        yield found


def soon(seconds: int) -> int:
    return (int(time.time()) + seconds) * SECOND_US


async def test_a_token_that_ends_soon_begets_none_that_lasts(family: Proven) -> None:
    """Whoever was given a token for an hour does not have one signed for ever."""
    _, token = await agent_of(family, 10 * COST)
    public = bytes(family.mandates.public_key.to_bytes()).hex()
    short = shortened(token, public, soon(3_600))
    assert holder_of(short) == holder_of(token)
    agent = family.bearing(short)
    await grant(agent, "acme/bot", "sub", COST)
    for account in ("acme/bot", "acme/bot/sub"):
        own = await token_of(agent, account)
        said = family.mandates.read(own, SystemClock().now_us())
        assert 0 < said.until_us <= soon(3_600)
        refused = await refusal_of(token_of(agent, account, expires_at_us=soon(7_200)))
        assert (refused.reason, refused.violations[0][0]) == (
            "NUMBER_OUT_OF_RANGE", "expires_at_us",
        )  # fmt: skip
        sooner = await token_of(agent, account, expires_at_us=soon(60))
        assert family.mandates.read(sooner, SystemClock().now_us()).until_us <= soon(60)
    assert not family.mandates.read(await token_of(operator_of(family), "acme/bot"), 1).until_us
    issuers = family.caller(scope="agent", accounts=["acme"])
    said = family.mandates.read(await token_of(issuers, "acme/bot"), SystemClock().now_us())
    assert 0 < said.until_us <= soon(86_400), "with the token of the issuer that asked for it"


async def test_a_token_of_an_erased_account_is_of_nobody_elses(family: Proven) -> None:
    """Its id may be given to another account, of a person, say: the number is never given again."""
    operator = operator_of(family)
    agent, token = await agent_of(family, 10 * COST)
    below = attenuated(family, token, block_of(Less("sub")))
    account = (await present(agent, below)).mandate.account
    for name in (account, "acme/bot"):
        await operator.accounts.Close(
            account_pb2.AccountServiceCloseRequest(
                tenant=TENANT, request_id=f"close {name}", account=name
            )
        )
        await operator.accounts.Erase(
            account_pb2.AccountServiceEraseRequest(
                tenant=TENANT, request_id=f"erase {name}", account=name
            )
        )
    family.clock.ahead_us += 2 * SECOND_US  # what was verified is believed for a second
    assert (await refusal_of(agent.balance("acme/bot"))).reason == "NOT_PERMITTED"
    await operator.account("acme/bot", parent="acme")
    await operator.account(account, parent="acme/bot")
    for call in (
        agent.balance("acme/bot"),
        agent.debit("acme/bot"),
        agent.authorize(account),
        shown(agent, "acme/bot"),
        family.bearing(below).balance(account),
        family.bearing(below).debit(account),
        present(agent, below),
    ):
        assert (await refusal_of(call)).reason == "NOT_PERMITTED"


async def test_every_method_is_closed_to_whatever_is_above_and_beside(family: Proven) -> None:
    """By the table: what an agent may call names an account, and then its own or one below; the
    rest is what all of a tenant may see, and lists no account."""
    agent, _ = await agent_of(family, 10 * COST)
    await grant(operator_of(family), "acme", "twin", COST)
    open_to_agents = {name for name, rule in ACCESS.items() if Scope.AGENT in rule.scopes}
    reaching = {name: ACCESS[name].reach for name in open_to_agents}
    assert not [name for name, reach in reaching.items() if reach in (Reach.TENANT, Reach.SERVERS)]
    catalog = {name for name, reach in reaching.items() if reach == Reach.CATALOG}
    assert catalog == {
        "ledger.v1.SizingService/ListRules",
        "ledger.v1.FailModeService/ListFailModes",
        "ledger.v1.JournalService/GetRouting",
        "ledger.v1.JournalService/ListSeals",
        "ledger.v1.JournalService/GetSealKeys",
        "ledger.v1.ClockService/Get",
        "rating.v1.PricingService/ListAssets",
        "rating.v1.MeterService/ListMeters",
    }
    for account in ("acme", "acme/b", "acme/twin"):
        for call in (
            agent.budgets.List(budget_pb2.BudgetServiceListRequest(tenant=TENANT, account=account)),
            agent.mandates.List(pb.MandateServiceListRequest(tenant=TENANT, account=account)),
            agent.mandates.RequestTopUp(
                pb.RequestTopUpRequest(
                    tenant=TENANT, request_id="x", account=account, asset="credit", amount=1
                )
            ),
            agent.journal.GetOutcome(
                journal_pb2.GetOutcomeRequest(tenant=TENANT, account=account, request_id="x")
            ),
            agent.decisions.ListHolds(
                decision_pb2.ListHoldsRequest(tenant=TENANT, account=account)
            ),
        ):
            refused = await refusal_of(call)
            assert (refused.code, refused.reason) == NOT_PERMITTED, account
    widened = budget_pb2.BudgetServiceListRequest(
        tenant=TENANT, account="acme/bot", include_above=True
    )
    assert (await refusal_of(agent.budgets.List(widened))).reason == "NOT_PERMITTED"


async def test_holds_of_others_are_not_settled(family: Proven) -> None:
    operator = operator_of(family)
    agent, _ = await agent_of(family, 10 * COST)
    await grant(operator, "acme", "twin", 10 * COST)
    twin = family.bearing(await token_of(operator, "acme/twin"))
    held = await twin.authorize("acme/twin")
    for call in (
        agent.decisions.Capture(
            decision_pb2.CaptureRequest(
                tenant=TENANT,
                request_id="c",
                hold_id=held.hold_id,
                quantities={"input_tokens": 1},
            )
        ),
        agent.decisions.Release(
            decision_pb2.ReleaseRequest(tenant=TENANT, request_id="r", hold_id=held.hold_id)
        ),
        agent.decisions.Extend(
            decision_pb2.ExtendRequest(tenant=TENANT, request_id="e", hold_id=held.hold_id)
        ),
        agent.decisions.GetHold(decision_pb2.GetHoldRequest(tenant=TENANT, hold_id=held.hold_id)),
    ):
        assert (await refusal_of(call)).reason == "NOT_PERMITTED"
    assert (await twin.authorize("acme/twin")).decision == decision_pb2.DECISION_ALLOW


async def test_a_token_of_another_tenant(family: Proven) -> None:
    """Neither for this one's accounts, nor presented as if it were of this one."""
    operator = operator_of(family)
    await agent_of(family, 10 * COST)
    foreign = family.mandates.sign("elsewhere", "acme/bot")
    refused = await refusal_of(family.bearing(foreign).balance("acme/bot"))
    assert refused.code == grpc.StatusCode.PERMISSION_DENIED
    assert refused.reason == "TENANT_NOT_PERMITTED"
    for caller in (operator, family.bearing(foreign)):
        assert (await refusal_of(present(caller, foreign))).reason == "TENANT_NOT_PERMITTED"


async def test_a_token_as_long_as_a_message_is_not_looked_at(family: Proven) -> None:
    """To verify a megabyte takes seconds, in which nobody else is answered."""
    agent, token = await agent_of(family, 10 * COST)
    words = "".join([f'product("p{number}");\n' for number in range(20_000)])
    long = attenuated(family, token, f'delegate("a");\n{words}')
    busy_s = time.process_time()  # both sides of the call: what else the machine does is no matter
    assert (await refusal_of(present(agent, long))).reason == "TOKEN_MALFORMED"
    assert time.process_time() - busy_s < 2
    public = bytes(family.mandates.public_key.to_bytes()).hex()
    with pytest.raises(ValueError, match="at most"):
        attenuated_by(token, public, Less("a", products=tuple(map(str, range(2_000)))))
    fits = attenuated_by(token, public, Less("a", products=tuple(map(str, range(100)))))
    assert family.mandates.read(fits, SystemClock().now_us()).below[0].products


def test_bytes_that_are_no_token_are_refused_as_such() -> None:
    """Whatever becomes of the bytes of one: no other exception, and never another account."""
    keys, drawn = new_mandate_keys(), random.Random(3)
    secret = keys.sign(TENANT, "acme/bot", 0, 7)
    body = secret.removeprefix(PREFIX)
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for _ in range(2_000):
        bent = bytearray(raw)
        for _ in range(drawn.randint(1, 4)):
            place = drawn.randrange(len(bent))
            match drawn.randrange(4):
                case 0:
                    bent[place] = drawn.randrange(256)
                case 1:
                    del bent[place : place + 2]
                case 2:
                    bent.insert(place, drawn.randrange(256))
                case _:
                    bent = bent[: place + 1]
            bent = bent or bytearray(b"\x00")
        try:
            said = keys.read(PREFIX + base64.urlsafe_b64encode(bent).decode(), 1)
        except AuthRefused:
            continue
        assert (said.account, said.number, said.below) == ("acme/bot", 7, ())


async def test_one_name_asked_for_by_many_at_once(family: Proven) -> None:
    """One gets it; the others hear that it is there, or that theirs is another body."""
    operator = operator_of(family)
    budgets = range(1, 21)
    replies = await asyncio.gather(
        *[grant(operator, "acme", "bot", budget) for budget in budgets], return_exceptions=True
    )
    made = [each for each in replies if isinstance(each, pb.MandateServiceGrantResponse)]
    assert len(made) == 1
    kept = await shown(operator, "acme/bot")
    assert kept == made[0].mandate
    token = await token_of(operator, "acme/bot")
    secret = attenuated(family, token, block_of(Less("sub", budget=1)))
    said = await asyncio.gather(*[present(operator, secret) for _ in range(20)])
    assert len({each.mandate.account for each in said}) == 1


async def test_two_hundred_callers_through_a_tree(family: Proven) -> None:
    """Random trees of mandates, delegated and attenuated; holds, captures, debits, releases and
    revocations all at once: no node is ever above its budget, and those below sum up in it."""
    drawn = random.Random(7)
    operator = operator_of(family)
    await grant(operator, "acme", "bot", 60 * COST)
    token = await token_of(operator, "acme/bot")
    nodes = [(family.bearing(token), "acme/bot", token, 60)]
    for number in range(12):
        caller, account, secret, most = drawn.choice(nodes[-4:])
        budget = drawn.randint(1, most)
        if drawn.random() < 0.5:
            own = attenuated(family, secret, block_of(Less(f"n{number}", budget=budget * COST)))
            bearer = family.bearing(own)
            name = (await present(bearer, own)).mandate.account
        else:
            name = (await grant(caller, account, f"n{number}", budget * COST)).mandate.account
            own = await token_of(caller, name)
            bearer = family.bearing(own)
        assert holder_of(own).account == name
        nodes.append((bearer, name, own, budget))

    async def work(number: int) -> None:
        caller, account, _, _ = nodes[number % len(nodes)]
        if number % 3 == 0:
            await caller.debit(account)
            return
        held = await caller.authorize(account)
        if held.decision != decision_pb2.DECISION_ALLOW:
            return
        await asyncio.sleep(0)
        if number % 3 == 1:
            quantities = {"input_tokens": 100, "output_tokens": 20}
            await caller.decisions.Capture(
                decision_pb2.CaptureRequest(
                    tenant=TENANT,
                    request_id=caller.new_id(),
                    hold_id=held.hold_id,
                    quantities=quantities,
                )
            )
        else:
            await caller.decisions.Release(
                decision_pb2.ReleaseRequest(
                    tenant=TENANT, request_id=caller.new_id(), hold_id=held.hold_id
                )
            )

    stopped = nodes[5][1]
    await asyncio.gather(*[work(number) for number in range(200)], revoke(operator, stopped))
    spent: dict[str, int] = {}
    for _, account, _, budget in nodes:
        found = await shown(operator, account)
        assert found.spent <= budget * COST and found.held == 0
        spent[account] = found.spent
    for _, account, _, _ in nodes:
        below = [sum_ for name, sum_ in spent.items() if name.rpartition("/")[0] == account]
        assert sum(below) <= spent[account]
    assert spent["acme/bot"] % COST == 0 and spent["acme/bot"] > 0
    refused = await nodes[5][0].debit(stopped)
    assert refused.reason == "MANDATE_REVOKED"


async def test_no_log_and_no_message_shows_a_token(
    family: Proven, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent, token = await agent_of(family, 10 * COST)
    secret = attenuated(family, token, block_of(Less("sub", budget=20 * COST)))
    bad = token[:-20] + ("A" if token[-20] != "A" else "B") + token[-19:]
    shown_ = [str(await refusal_of(present(agent, each))) for each in (secret, bad, token + "x")]
    shown_ += [str(await refusal_of(family.bearing(bad).balance("acme/bot")))]
    await agent.debit("acme/bot")
    shown_ += [record.getMessage() for record in caplog.records if record.name[:4] != "grpc"]
    for text in shown_:
        assert token[8:60] not in text and bad[8:60] not in text


async def test_a_closed_payer_pays_nothing_and_buys_nothing(family: Proven) -> None:
    """What stands below a frozen payer is denied; nothing is closed over the heads of agents."""
    operator = operator_of(family)
    agent, _ = await agent_of(family, 10 * COST)
    await operator.accounts.Freeze(
        account_pb2.FreezeRequest(tenant=TENANT, request_id="f", account="acme", reason="unpaid")
    )
    assert (await refusal_of(agent.debit("acme/bot"))).reason == "ACCOUNT_FROZEN"
    await operator.accounts.Unfreeze(
        account_pb2.UnfreezeRequest(tenant=TENANT, request_id="u", account="acme", reason="paid")
    )
    closing = account_pb2.AccountServiceCloseRequest(tenant=TENANT, request_id="c", account="acme")
    assert (await refusal_of(operator.accounts.Close(closing))).reason == "ACCOUNT_NOT_EMPTY"
    assert (await agent.debit("acme/bot")).decision == decision_pb2.DECISION_ALLOW


async def test_names_that_make_no_id(family: Proven) -> None:
    """Whoever presents a token for another opens nothing that no id may be called."""
    agent, token = await agent_of(family, 10 * COST)
    for less in (Less("n" * 120), Less("ä" * 60)):
        refused = await refusal_of(present(agent, attenuated(family, token, block_of(less))))
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ID_INVALID")
    names = await family.ledger.directory.list_accounts(1, "acme/bot", 10, "")
    assert not names.accounts  # type: ignore[union-attr]


async def test_a_stream_ends_with_its_token(family: Proven) -> None:
    """Each message is proven as a call of its own would be."""
    _, token = await agent_of(family, 10 * COST)
    short = attenuated(family, token, until_block(soon(200)))
    stream = family.bearing(short).decisions.DecideStream()
    item = decision_pb2.DecideItem(
        number=1,
        debit=decision_pb2.DebitRequest(
            tenant=TENANT,
            request_id="s-1",
            account="acme/bot",
            product=PRODUCT,
            quantities={"input_tokens": 100, "output_tokens": 20},
        ),
    )
    await stream.write(decision_pb2.DecideStreamRequest(items=[item]))
    [answered] = (await stream.read()).replies
    assert answered.debit.decision == decision_pb2.DECISION_ALLOW
    family.clock.ahead_us += 202 * SECOND_US  # what was verified is believed for a second
    item.number, item.debit.request_id = 2, "s-2"
    await stream.write(decision_pb2.DecideStreamRequest(items=[item]))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        assert await stream.read() is None
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert (await shown(operator_of(family), "acme/bot")).spent == COST
