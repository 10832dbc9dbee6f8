"""The client against the real server: what goes in comes back, and reads see one's own writes."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from bench.ports import free_port
from ledger.client import (
    ALLOWED,
    ClientClosed,
    DrawdownClient,
    InvalidEvent,
    Limits,
    Outcome,
    OutcomeUnknown,
    Refused,
    RetryPolicy,
    UsageEvent,
)
from ledger.v1 import account_pb2, decision_pb2, journal_pb2, types_pb2
from rating.v1 import pricing_pb2
from tests.client.conftest import PROMPT, SMALL, CuttingProxy
from tests.patience import HANGS_S


def event(number: int, account: str, **changes: object) -> UsageEvent:
    fields = {"quantities": {"input_tokens": 100, "output_tokens": 20}, **changes}
    return UsageEvent(f"e-{number}", account, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("plain", [False, True])
async def test_outcomes_come_back_in_the_order_given(
    client: DrawdownClient, address: str, plain: bool
) -> None:
    now_us = time.time_ns() // 1_000
    async with DrawdownClient(address, source="test", product="chat", plain=plain) as sender:
        outcomes = await sender.ingest(
            [
                event(
                    1, "acme", attributes={"region": "eu"}, operation="op", operation_parent="top"
                ),
                event(2, "nobody"),
                event(3, "beta", product="unheard-of"),
                event(4, "acme/chat", effective_at_us=now_us - 1_000_000),
                event(5, "beta", effective_at_us=now_us + 3_600_000_000),
                event(6, "beta", quantities={"input_tokens": 10, "cached_tokens": 4}),
                event(7, "beta", quantities={"input_tokens": -1}),
                event(
                    1, "acme", attributes={"region": "eu"}, operation="op", operation_parent="top"
                ),
                event(1, "acme", attributes={"region": "us"}),
                event(8, "beta", quantities={}),
                event(9, "beta", personal_attributes={"user": "ada"}),
            ]
        )
    assert [outcome.outcome.name for outcome in outcomes] == [
        "APPLIED",
        "ACCOUNT_UNKNOWN",
        "SUSPENSE",
        "APPLIED",
        "IN_FUTURE",
        "APPLIED",
        "INVALID",
        "APPLIED",
        "CONFLICT",
        "INVALID",
        "APPLIED",
    ]
    first = outcomes[0]
    assert (first.charge, first.asset, first.scale) == (100 * 3 + 20 * 15, "credit", 6)
    assert (first.replayed, first.reason, first.field) == (False, "", "")
    assert outcomes[5].charge == 6 * 3 + 4 * 1
    assert (outcomes[7].replayed, outcomes[7].charge) == (True, first.charge)
    assert outcomes[2].reason == "UNPRICED"
    assert "attributes" in outcomes[8].field
    assert outcomes[6].reason == "QUANTITY_INVALID"


async def test_a_read_sees_what_this_client_wrote(client: DrawdownClient) -> None:
    for number in range(20):
        await client.ingest([event(number, "acme")])
        reply = await client.balance("acme", product="chat")
        assert reply.balances[0].granted == str(10**9 - 600 * (number + 1))
        assert reply.balances[0].applicable == reply.balances[0].available


async def test_one_event_is_shown_with_its_lines_and_transfers(client: DrawdownClient) -> None:
    await client.ingest([event(1, "acme", personal_attributes={"user": "ada"})])
    entry = await client.get_usage("acme", "test", "e-1")
    assert [line.charge for line in entry.lines] == [300, 300]
    assert sum(part.amount for part in entry.slices) == entry.charge == 600
    assert entry.transfers[0].credit_account == "used/chat"
    assert entry.personal_attributes == {"user": "ada"}
    with pytest.raises(Refused) as caught:
        await client.get_usage("acme", "test", "e-2")
    assert caught.value.reason == "USAGE_UNKNOWN"


async def test_authorize_capture_release_and_denial(client: DrawdownClient) -> None:
    await client.create_account("poor")
    work = {"input_tokens": 100, "output_tokens": 20}
    await client.issue_grant("poor", "credit", 1_500, external_key="first")
    assert (await client.check("poor", "chat", work)).decision in ALLOWED
    hold = await client.authorize("poor", "chat", work)
    assert (hold.decision, hold.amount) == (decision_pb2.DECISION_ALLOW, 600)
    settled = await client.capture(hold.hold_id, {"input_tokens": 100})
    assert (settled.charge, settled.released) == (300, 300)
    second = await client.authorize("poor", "chat", work)
    denied = await client.authorize("poor", "chat", {"input_tokens": 10_000}, request_id="big")
    assert (denied.decision, denied.reason) == (decision_pb2.DECISION_DENY, "INSUFFICIENT_CREDITS")
    again = await client.authorize("poor", "chat", {"input_tokens": 10_000}, request_id="big")
    assert again.replayed
    assert (await client.release(second.hold_id)).released == 600
    outcome = await client.get_outcome("poor", "big")
    assert outcome.state == journal_pb2.OUTCOME_STATE_RECORDED
    assert outcome.authorize.decision == decision_pb2.DECISION_DENY


async def test_accounts_aliases_grants_and_prices(client: DrawdownClient) -> None:
    assert [account.account async for account in client.list_accounts()] == [
        "acme",
        "acme/chat",
        "beta",
    ]
    assert [child.account async for child in client.list_accounts(parent="acme")] == ["acme/chat"]
    now_us = time.time_ns() // 1_000
    await client.assign_alias("key-1", "acme/chat", effective_from_us=now_us - 10_000_000)
    assert (await client.get_account("key-1")).account.account == "acme/chat"
    [outcome] = await client.ingest([event(1, "key-1")])
    assert outcome.outcome is Outcome.APPLIED
    await client.end_alias("key-1", "acme/chat")
    policy = account_pb2.AccountPolicy(overdraft_asset="credit", overdraft_limit=5)
    updated = await client.update_policy("beta", policy, 1)
    assert updated.account.policy.version == 2
    with pytest.raises(Refused) as caught:
        await client.update_policy("beta", policy, 1)
    assert (caught.value.code, caught.value.reason) == ("ABORTED", "VERSION_MISMATCH")
    grant = (
        await client.issue_grant(
            "beta", "credit", 7, kind=types_pb2.GRANT_KIND_PROMOTIONAL, products=["chat"]
        )
    ).grant
    assert (await client.get_grant(grant.grant_id)).grant == grant
    assert [each.amount async for each in client.list_grants("beta")] == [10**9, 7]
    assert (await client.void_grant(grant.grant_id)).voided == 7
    assert [asset.asset async for asset in client.list_assets()] == ["credit"]
    [version] = [version async for version in client.list_rate_cards("default")]
    assert (await client.get_rate_card("default")).version == version
    sheet = await client.get_price_sheet(account="beta")
    assert (sheet.version, bool(sheet.sheet)) == (version, True)
    assert (
        await client.get_price_sheet("default", if_none_match=version.content_hash)
    ).not_modified
    alias = (await client.set_rate_card_alias("pro", "default")).alias
    assert [each async for each in client.list_rate_card_aliases()] == [alias]
    same = await client.diff_rate_cards("default", version.version)
    assert same.summary == "no difference"
    quote = await client.quote("beta", "chat", {"input_tokens": 2})
    assert quote.charge == 6
    compared = await client.compare(
        "beta",
        [
            pricing_pb2.CompareOption(
                label=str(size), product="chat", quantities={"input_tokens": size}
            )
            for size in (3, 2, 4)
        ],
        charge_max=9,
    )
    assert [(each.label, each.rank) for each in compared.options] == [("2", 1), ("3", 2), ("4", 0)]
    made = await client.create_quote("beta", "chat", {"input_tokens": 2}, hold=True)
    assert (made.quote.charge, made.quote.lines[0].quantity_max) == (6, 2)
    assert [each async for each in client.list_quotes("beta")] == [made.quote]
    assert (await client.capture(made.quote.hold_id, {"input_tokens": 2})).charge == 6
    used = await client.get_quote(made.quote.quote_id)
    assert used.state == pricing_pb2.QUOTE_STATE_USED
    other = (await client.create_quote("beta", "chat", {"input_tokens": 2})).quote
    held = await client.authorize("beta", "chat", {"input_tokens": 2}, quote_id=other.quote_id)
    await client.release(held.hold_id)
    for event_id, reason in (("quoted", ""), ("again", "QUOTE_USED")):
        usage = UsageEvent(
            event_id, "beta", {"input_tokens": 2}, product="chat", quote_id=other.quote_id
        )
        [outcome] = await client.ingest([usage])
        assert (outcome.outcome, outcome.charge, outcome.reason) == (Outcome.APPLIED, 6, reason)
    assert (await client.trial_balance()).balanced
    assert (await client.get_usage_outcome("acme", "test", "e-1")).state == (
        journal_pb2.OUTCOME_STATE_RECORDED
    )
    await client.create_account("empty")
    assert (await client.close_account("empty")).account.closed_at_us > 0
    await client.erase_account("empty")


async def test_a_mutating_call_says_the_same_id_at_every_attempt(client: DrawdownClient) -> None:
    first = await client.issue_grant("beta", "credit", 5, request_id="same")
    second = await client.issue_grant("beta", "credit", 5, request_id="same")
    assert (second.grant.grant_id, second.replayed) == (first.grant.grant_id, True)
    with pytest.raises(Refused) as caught:
        await client.issue_grant("beta", "credit", 6, request_id="same")
    assert (caught.value.reason, caught.value.field) == ("CONFLICT", "amount")


async def test_every_fault_of_a_request_is_named(client: DrawdownClient) -> None:
    with pytest.raises(Refused) as caught:
        await client.issue_grant("beta", "", 0)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert len(caught.value.violations) >= 2
    assert caught.value.field
    assert caught.value.reason in str(caught.value)


async def test_many_tasks_share_batches_and_each_gets_its_own_outcomes(
    client: DrawdownClient,
) -> None:
    async def one(number: int) -> None:
        quantities = {"input_tokens": number + 1}
        account = ("acme", "acme/chat", "beta")[number % 3]
        [outcome] = await client.ingest([event(number, account, quantities=quantities)])
        assert outcome.charge == 3 * (number + 1)

    await asyncio.gather(*(one(number) for number in range(500)))
    assert client.pending_events == 0


async def test_a_stream_takes_more_than_its_buffer_holds(
    client: DrawdownClient, address: str
) -> None:
    limits = Limits(batch_events=50, pending_events=200, worth_events=10)
    async with DrawdownClient(address, source="stream", product="chat", limits=limits) as sender:
        seen = []
        async for sent, outcome in sender.ingest_stream(
            event(number, "beta" if number % 2 else "acme") for number in range(3_000)
        ):
            assert sender.pending_events <= 200
            assert outcome.outcome is Outcome.APPLIED
            seen.append(sent.id)
    assert seen == [f"e-{number}" for number in range(3_000)]


async def test_an_async_source_is_streamed_as_it_comes(client: DrawdownClient) -> None:
    async def source():
        for number in range(10):
            yield event(number, "beta")
            await asyncio.sleep(0)

    outcomes = [outcome async for _, outcome in client.ingest_stream(source())]
    assert [outcome.outcome for outcome in outcomes] == [Outcome.APPLIED] * 10


async def test_submit_waits_for_room_only(client: DrawdownClient, address: str) -> None:
    limits = Limits(pending_events=10, batch_events=10)
    async with DrawdownClient(address, source="s", product="chat", limits=limits) as sender:
        futures = [await sender.submit([event(number, "beta")]) for number in range(100)]
        assert sender.pending_events <= 10
        await sender.drain()
        assert all(future.result()[0].outcome is Outcome.APPLIED for future in futures)


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_connections_lose_nothing_and_charge_nothing_twice(
    client: DrawdownClient, proxy: CuttingProxy, stream: bool
) -> None:
    async with DrawdownClient(
        proxy.address, source="cut", product="chat", limits=SMALL, retry=PROMPT
    ) as sender:
        proxy.cuts = [400, 1_500, 90, 3_000, 700]
        events = [
            event(number, ("acme", "acme/chat", "beta")[number % 3]) for number in range(2_000)
        ]
        if stream:
            outcomes = [outcome async for _, outcome in sender.ingest_stream(events)]
        else:
            outcomes = await sender.ingest(events)
    assert proxy.cut == 5
    assert [outcome.outcome for outcome in outcomes] == [Outcome.APPLIED] * 2_000
    spent = 0
    for account in ("acme", "acme/chat", "beta"):
        [balance] = (await client.balance(account, min_position=sender.position)).balances
        spent += 10**9 - int(balance.granted)
    assert spent == 2_000 * 600


async def test_a_call_whose_answer_is_lost_is_sent_again(
    client: DrawdownClient, proxy: CuttingProxy
) -> None:
    async with DrawdownClient(proxy.address, retry=PROMPT) as caller:
        await caller.balance("beta")
        proxy.cuts = [1]
        reply = await caller.issue_grant("beta", "credit", 11)
        assert proxy.cut == 1
        assert reply.grant.amount == 11
    assert [grant.amount async for grant in client.list_grants("beta")] == [10**9, 11]


async def test_linked_events_stand_or_fall_together(client: DrawdownClient) -> None:
    events = [event(number, "acme", source="linked", product="chat") for number in (1, 2, 3)]
    ahead = time.time_ns() // 1_000 + 3_600_000_000
    bad = event(2, "acme", source="linked", product="chat", effective_at_us=ahead)
    outcomes = await client.ingest_linked([events[0], bad, events[2]])
    failed, future = Outcome.LINKED_FAILED, Outcome.IN_FUTURE
    assert [each.outcome for each in outcomes] == [failed, future, failed]
    assert not any(each.outcome.recorded for each in outcomes)
    for replayed in (False, True):
        outcomes = await client.ingest_linked(events)
        assert [each.outcome for each in outcomes] == [Outcome.APPLIED] * 3
        assert [each.replayed for each in outcomes] == [replayed] * 3
    with pytest.raises(Refused) as refused:
        await client.ingest_linked(events[:1])
    assert refused.value.reason == "BATCH_LINKED"
    with pytest.raises(InvalidEvent):
        await client.ingest_linked(
            [events[0], event(4, "acme", quantities={"input_tokens": 2**63})]
        )


async def test_nobody_there_is_unknown_in_time() -> None:
    retry = RetryPolicy(first_us=1_000, longest_us=2_000, give_up_us=50_000)
    client = DrawdownClient(f"127.0.0.1:{free_port()}", retry=retry)
    try:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.refresh_routing()
        assert (caught.value.code, caught.value.reason) == ("UNAVAILABLE", "")
        outcomes = await client.ingest([event(1, "a")])
        assert outcomes[0].outcome is Outcome.UNKNOWN
        stream = [outcome async for _, outcome in client.ingest_stream([event(2, "a")])]
        assert stream[0].outcome is Outcome.UNKNOWN
    finally:
        await client.close()


async def test_an_unknown_tenant_is_an_outcome_of_its_events(address: str) -> None:
    async with DrawdownClient(address, source="s") as client:
        client._envelope = type(client._envelope)(tenant="nobody", source="s")
        [outcome] = await client.ingest([event(1, "a")])
        assert (outcome.outcome, outcome.reason) == (Outcome.INVALID, "TENANT_UNKNOWN")
        assert not outcome.judged  # the event is right, and may be sent again
        assert outcome.message.startswith("the whole call was refused, not this event: ")
        results = [outcome async for _, outcome in client.ingest_stream([event(2, "a")])]
        assert [result.reason for result in results] == ["TENANT_UNKNOWN"]


async def test_closing_answers_what_waits(client: DrawdownClient, proxy: CuttingProxy) -> None:
    sender = DrawdownClient(proxy.address, source="x", limits=Limits(linger_us=10**9))
    waiting = await sender.submit([event(1, "beta")])
    await sender.close()
    [outcome] = await waiting
    assert (outcome.outcome, outcome.reason) == (Outcome.RETRY, "CLIENT_CLOSED")
    with pytest.raises(ClientClosed):
        await sender.ingest([event(1, "beta")])
    with pytest.raises(ClientClosed):
        await sender.balance("beta")


async def test_closing_tells_all_who_wait_for_room(proxy: CuttingProxy) -> None:
    """Also those who wait for their turn to wait."""
    sender = DrawdownClient(proxy.address, limits=Limits(linger_us=10**9, pending_events=1))
    taken = await sender.submit([event(1, "beta")])
    waiting = [asyncio.create_task(sender.ingest([event(n, "beta")])) for n in range(2, 5)]
    await asyncio.sleep(0)
    await sender.close()
    assert [outcome.outcome for outcome in await taken] == [Outcome.RETRY]
    async with asyncio.timeout(HANGS_S):
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [ClientClosed] * 3


async def test_a_bad_event_takes_nobody_with_it(client: DrawdownClient) -> None:
    with pytest.raises(InvalidEvent):
        await client.ingest([event(1, "beta"), event(2, "beta", quantities={"t": 2**70})])
    assert await client.ingest([]) == []
    [outcome] = await client.ingest([event(1, "beta")])
    assert not outcome.replayed


async def test_the_shard_map_of_the_server_is_taken(client: DrawdownClient) -> None:
    reply = await client.refresh_routing()
    assert reply.hash == "blake2b-64"
    routing = client._caller.routing
    created = await client.create_account("gamma")
    assert routing.address("gamma") == routing.addresses[0]
    assert routing._shards["gamma"] == created.account.shard


async def test_a_watched_balance_goes_on_over_broken_connections(
    client: DrawdownClient, address: str
) -> None:
    """Each cut is followed by a whole message; the last state is always shown."""
    await client.create_account("watched")
    async with (
        CuttingProxy(address) as proxy,
        DrawdownClient(proxy.address, retry=PROMPT) as watcher,
    ):
        said = watcher.watch("watched")
        async with contextlib.aclosing(said):
            assert (await anext(said)).snapshot
            whole = 0
            for number in range(1, 6):
                proxy.cuts = [1]
                await client.issue_grant("watched", "credit", 10)
                async with asyncio.timeout(HANGS_S):
                    while True:
                        message = await anext(said)
                        whole += message.snapshot
                        shown = [each.available for each in message.accounts[0].balances]
                        if shown == [str(10 * number)]:
                            break
            assert proxy.cut >= 1
            assert whole >= 1
