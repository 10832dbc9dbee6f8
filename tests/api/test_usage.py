"""Usage goes in, is charged once, and is shown whole."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from ledger.api.intake import parking
from ledger.core.limits import HOUR_US
from ledger.journal.errors import JournalUnavailable
from ledger.journal.parked import MemoryParkedStore
from ledger.v1 import account_pb2, types_pb2, usage_pb2
from tests.api.served import TENANT, Served, SystemClock, compact, event, plain, refusal_of

APPLIED = usage_pb2.INGEST_OUTCOME_APPLIED
FORMS = pytest.mark.parametrize("form", [plain, compact], ids=["plain", "compact"])


def results(reply: usage_pb2.IngestResponse) -> list[usage_pb2.IngestResult]:
    """The outcomes of either form, one an event."""
    if not reply.HasField("compact"):
        return list(reply.results)
    columns = reply.compact
    found = [
        usage_pb2.IngestResult(outcome=outcome, charge=charge)
        for outcome, charge in zip(columns.outcomes, columns.charges, strict=True)
    ]
    for detail in columns.details:
        found[detail.event].MergeFrom(detail.result)
    for place in columns.replayed:
        found[place].replayed = True
    for place in columns.over_limit:
        found[place].over_limit = True
    return found


def outcomes(reply: usage_pb2.IngestResponse) -> list[str]:
    prefix = "INGEST_OUTCOME_"
    return [
        usage_pb2.IngestOutcome.Name(each.outcome).removeprefix(prefix) for each in results(reply)
    ]


@FORMS
async def test_usage_is_priced_drawn_down_and_readable_at_its_position(priced: Served, form):
    await priced.account("acme")
    await priced.grant("acme", 10_000)
    reply = await priced.usage.Ingest(form(event("a", "acme"), event("b", "acme", 1, 0)))
    assert [each.charge for each in results(reply)] == [600, 3]
    assert outcomes(reply) == ["APPLIED", "APPLIED"]
    assert [(asset.asset, asset.scale) for asset in reply.assets] == [("credit", 6)]
    balance = await priced.balance("acme", min_position=reply.position)
    assert (balance.available, balance.granted) == ("9397", "9397")


@FORMS
async def test_the_same_batch_again_is_charged_once(priced: Served, form):
    await priced.account("acme")
    request = form(event("a", "acme"), event("b", "acme"))
    first = await priced.usage.Ingest(request)
    again = await priced.usage.Ingest(request)
    assert [each.charge for each in results(again)] == [each.charge for each in results(first)]
    assert all(each.replayed for each in results(again))
    assert (await priced.balance("acme")).advance == "1200"


@FORMS
async def test_one_id_twice_in_a_batch_is_a_replay_or_a_conflict(priced: Served, form):
    await priced.account("acme")
    reply = await priced.usage.Ingest(
        form(event("a", "acme"), event("a", "acme"), event("a", "acme", 7))
    )
    assert outcomes(reply) == ["APPLIED", "APPLIED", "CONFLICT"]
    _, second, third = results(reply)
    assert second.replayed
    assert second.charge == 600
    assert (third.reason, third.field) == ("CONFLICT", "quantities")


@FORMS
async def test_a_batch_over_several_shards_answers_in_order(priced: Served, form):
    names = [f"customer-{number}" for number in range(12)]
    for name in names:
        await priced.account(name)
    events = [event(f"e{n}", names[n % 12], n + 1, 0) for n in range(48)]
    reply = await priced.usage.Ingest(form(*events))
    assert [each.charge for each in results(reply)] == [3 * (n + 1) for n in range(48)]
    shards = {
        (await priced.usage.Get(wanted(name, f"e{place}"))).entry.shard
        for place, name in enumerate(names)
    }
    assert len(shards) > 1


def wanted(account: str, event_id: str) -> usage_pb2.UsageServiceGetRequest:
    return usage_pb2.UsageServiceGetRequest(
        tenant=TENANT, account=account, source="gateway", id=event_id
    )


@FORMS
async def test_an_unpriced_quantity_waits_and_the_others_are_charged(priced: Served, form):
    await priced.account("acme")
    odd = event("a", "acme", quantities={"input_tokens": 10, "images": 2})
    reply = await priced.usage.Ingest(form(odd))
    (found,) = results(reply)
    assert outcomes(reply) == ["SUSPENSE"]
    assert (found.charge, found.reason) == (30, "UNPRICED")
    entry = (await priced.usage.Get(wanted("acme", "a"))).entry
    assert [(line.quantity_name, line.unrated_reason) for line in entry.lines] == [
        ("images", "UNPRICED"),
        ("input_tokens", ""),
    ]
    assert entry.outcome == usage_pb2.INGEST_OUTCOME_SUSPENSE


@FORMS
async def test_one_event_is_shown_from_usage_to_journal_line(priced: Served, form):
    await priced.asset("USD", 9, 1)
    await priced.account("acme")
    grant = await priced.grant("acme", 400, price_paid=1_000, price_asset="USD")
    sent = event(
        "a",
        "acme",
        attributes={"region": "eu"},
        operation="run-7",
        operation_parent="run-1",
        personal_attributes={"email": "x@example.com"},
        quantities={"input_tokens": 100, "cached_tokens": 40, "output_tokens": 20},
    )
    reply = await priced.usage.Ingest(form(sent))
    entry = (await priced.usage.Get(wanted("acme", "a"))).entry
    assert entry.charge == 60 * 3 + 40 * 1 + 20 * 15
    assert (entry.account, entry.id, entry.source) == ("acme", "a", "gateway")
    assert (entry.operation, entry.operation_parent) == ("run-7", "run-1")
    assert dict(entry.attributes) == {"region": "eu"}
    assert dict(entry.personal_attributes) == {"email": "x@example.com"}
    lines = [
        (line.quantity_name, line.quantity, line.priced_quantity, line.unit_price, line.charge)
        for line in entry.lines
    ]
    assert lines == [
        ("cached_tokens", 40, 40, "1", 40),
        ("input_tokens", 100, 60, "3", 180),
        ("output_tokens", 20, 20, "15", 300),
    ]
    slices = [(piece.pot, piece.amount, piece.value) for piece in entry.slices]
    assert slices == [(types_pb2.POT_GRANT, 400, 1_000), (types_pb2.POT_EXCESS_OWED, 120, 0)]
    assert entry.slices[0].grant_id == grant.grant.grant_id
    assert entry.slices[0].value_asset == "USD"
    assert [(t.debit_account, t.credit_account, t.amount) for t in entry.transfers] == [
        (f"grant/{grant.grant.grant_id}", "used/chat", 400),
        ("advance/acme", "used/chat", 120),
        (f"deferred/{grant.grant.grant_id}", "revenue/chat", 1_000),
    ]
    assert entry.over_limit
    assert results(reply)[0].over_limit
    assert (entry.rate_card, entry.rate_card_version) == ("default", 2)
    assert entry.lines[0].price_row >> 20 == 2
    assert entry.entry_seq > 0


async def test_usage_that_is_not_recorded_is_not_found(priced: Served):
    await priced.account("acme")
    found = await refusal_of(priced.usage.Get(wanted("acme", "nothing")))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "USAGE_UNKNOWN")


@FORMS
async def test_usage_of_unknown_accounts_is_refused_or_waits_for_them(priced: Served, form):
    await priced.account("known")
    batch = [event("a", "later", 1, 0), event("b", "known", 2, 0), event("c", "later", 3, 0)]
    assert outcomes(await priced.usage.Ingest(form(*batch))) == [
        "ACCOUNT_UNKNOWN",
        "APPLIED",
        "ACCOUNT_UNKNOWN",
    ]
    parked = await priced.usage.Ingest(form(*batch, park_unknown=True))
    assert outcomes(parked) == ["QUARANTINED", "APPLIED", "QUARANTINED"]
    assert results(parked)[0].reason == "ACCOUNT_UNKNOWN"
    again = await priced.usage.Ingest(form(*batch, park_unknown=True))
    assert [each.replayed for each in results(again)] == [True, True, True]
    await priced.account("later")
    await priced.server.parking.idle()
    assert (await priced.balance("later")).advance == "12"
    assert await priced.ledger.parked.names(1) == {}
    assert [each.replayed for each in results(await priced.usage.Ingest(form(*batch)))] == [
        True,
        True,
        True,
    ]


async def test_a_parked_id_with_another_body_is_a_conflict(priced: Served):
    await priced.ingest(event("a", "later"), park_unknown=True)
    reply = await priced.ingest(event("a", "later", 7), park_unknown=True)
    assert outcomes(reply) == ["CONFLICT"]


@FORMS
async def test_parked_usage_without_a_time_is_brought_in_as_it_was_sent(priced: Served, form):
    """It finds an alias that was given later, and sent again it is no conflict."""
    priced.ledger.parked = MemoryParkedStore(clock=priced.ledger.clock.now_us)
    sent = event("a", "key-1", 1, 0)
    assert outcomes(await priced.usage.Ingest(form(sent, park_unknown=True))) == ["QUARANTINED"]
    await priced.account("acme")
    await priced.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(tenant=TENANT, request_id="r", alias="key-1", account="acme")
    )
    await priced.server.parking.idle()
    assert await priced.ledger.parked.names(1) == {}
    (again,) = results(await priced.usage.Ingest(form(sent, park_unknown=True)))
    assert (again.outcome, again.replayed, again.charge) == (APPLIED, True, 3)


async def test_parked_usage_that_cannot_be_recorded_holds_nothing_up(
    priced: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parking, "LIST_DEFAULT", 2)
    wrong = [
        event(f"a{place}", "later", quantities={"input_tokens": 1, "cached_tokens": 2})
        for place in range(5)
    ]
    good = [event(f"b{place}", "later", 1, 0) for place in range(3)]
    parked = await priced.ingest(*wrong, *good, park_unknown=True)
    assert set(outcomes(parked)) == {"QUARANTINED"}
    await priced.account("later")
    await priced.server.parking.idle()
    assert (await priced.balance("later")).advance == "9"
    assert await priced.ledger.parked.names(1) == {"later": 5}, "listed, not lost"


async def test_parked_usage_waits_for_the_time_of_an_alias(
    priced: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(parking, "LIST_DEFAULT", 2)
    for name in ("a", "b", "c", "key-1", "z"):
        await priced.ingest(event("first", name, 1, 0), park_unknown=True)
    await priced.account("acme")
    clock = priced.ledger.clock
    assert isinstance(clock, SystemClock)
    begins_us = clock.now_us() + HOUR_US
    await priced.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(
            tenant=TENANT,
            request_id="r",
            alias="key-1",
            account="acme",
            effective_from_us=begins_us,
        )
    )
    await priced.server.parking.idle()
    assert "key-1" in await priced.ledger.parked.names(1, 10), "the alias means nothing yet"
    clock.ahead_us += HOUR_US
    await priced.server.parking.bring_in_all(1)
    assert set(await priced.ledger.parked.names(1, 10)) == {"a", "b", "c", "z"}
    assert (await priced.balance("acme")).advance == "3"


async def test_usage_of_the_future_is_not_parked(priced: Served):
    ahead = event("a", "later", effective_at_us=priced.ledger.clock.now_us() + 3_600_000_000)
    reply = await priced.ingest(ahead, park_unknown=True)
    assert outcomes(reply) == ["IN_FUTURE"]
    assert reply.results[0].field == "effective_at_us"
    assert await priced.ledger.parked.names(1) == {}


async def test_quarantined_usage_is_shown_though_it_could_not_be_rated(priced: Served):
    await priced.account("acme")
    quantities = {"input_tokens": 1, "cached_tokens": 2}
    reply = await priced.ingest(event("a", "acme", quantities=quantities, effective_at_us=1))
    assert outcomes(reply) == ["QUARANTINED"]
    entry = (await priced.usage.Get(wanted("acme", "a"))).entry
    assert [(line.quantity_name, line.quantity, line.charge) for line in entry.lines] == [
        ("cached_tokens", 2, 0),
        ("input_tokens", 1, 0),
    ]


@FORMS
async def test_an_alias_means_its_account_at_the_time_of_the_event(priced: Served, form):
    now = priced.ledger.clock.now_us()
    for name in ("old", "new"):
        await priced.account(name)
    for account, start in (("old", now - 3_000_000), ("new", now - 1_000_000)):
        await priced.accounts.AssignAlias(
            account_pb2.AssignAliasRequest(
                tenant=TENANT,
                request_id="r",
                alias="key-1",
                account=account,
                effective_from_us=start,
            )
        )
        if account == "old":
            await priced.accounts.EndAlias(
                account_pb2.EndAliasRequest(
                    tenant=TENANT,
                    request_id="r",
                    alias="key-1",
                    account="old",
                    effective_to_us=now - 1_000_000,
                )
            )
    batch = form(
        event("a", "key-1", 1, 0, effective_at_us=now - 2_000_000),
        event("b", "key-1", 2, 0, effective_at_us=now),
        event("c", "key-1", 4, 0),
        event("d", "key-1", 4, 0, effective_at_us=now - 9_000_000),
        event("e", "new", 8, 0),
    )
    reply = await priced.usage.Ingest(batch)
    assert outcomes(reply) == ["APPLIED", "APPLIED", "APPLIED", "ACCOUNT_UNKNOWN", "APPLIED"]
    assert (await priced.balance("old")).advance == "3"
    assert (await priced.balance("new")).advance == str(3 * (2 + 4 + 8))


async def test_a_stream_answers_each_batch_in_order(priced: Served):
    await priced.account("acme")

    async def batches():
        for number in range(30):
            events = [event(f"e{number}-{n}", "acme", 1, 0) for n in range(20)]
            form = compact if number % 2 else plain
            yield usage_pb2.IngestStreamRequest(batch_number=number, batch=form(*events))

    numbers = []
    async for reply in priced.usage.IngestStream(batches()):
        numbers.append(reply.batch_number)
        assert outcomes(reply.batch) == ["APPLIED"] * 20
    assert numbers == list(range(30))
    assert (await priced.balance("acme")).advance == str(30 * 20 * 3)


@FORMS
async def test_batches_of_a_stream_are_recorded_in_the_order_sent(priced: Served, form):
    """A small batch is parsed in a moment; it waits for the large one before it all the same."""
    await priced.account("acme")

    async def batches():
        large = [event(f"e{n}", "acme", 1, 0) for n in range(2_000)]
        yield usage_pb2.IngestStreamRequest(batch_number=1, batch=form(*large))
        yield usage_pb2.IngestStreamRequest(batch_number=2, batch=form(large[-1]))

    first, second = [reply.batch async for reply in priced.usage.IngestStream(batches())]
    assert not any(each.replayed for each in results(first))
    assert [each.replayed for each in results(second)] == [True]


async def test_nothing_of_a_stream_is_recorded_behind_a_batch_that_fails(priced: Served):
    """Its status says that all without a reply may be sent again: nothing was recorded."""
    await priced.account("acme")
    await priced.ingest(event("known", "acme"))
    resolve = priced.ledger.directory.resolve
    sent = asyncio.Event()

    async def away(*_: object) -> None:
        await sent.wait()
        for _ in range(5):
            await priced.check("acme")  # the batch behind has long been read by then
        raise JournalUnavailable("as if")

    async def batches():
        yield usage_pb2.IngestStreamRequest(batch_number=1, batch=plain(event("a", "stranger")))
        yield usage_pb2.IngestStreamRequest(batch_number=2, batch=plain(event("b", "acme")))
        sent.set()

    priced.ledger.directory.resolve = away
    found = await refusal_of(anext(priced.usage.IngestStream(batches()).__aiter__()))
    assert (found.reason, found.metadata["retryable"]) == ("JOURNAL_UNAVAILABLE", "true")
    priced.ledger.directory.resolve = resolve
    (again,) = results(await priced.ingest(event("b", "acme")))
    assert not again.replayed


async def test_a_malformed_batch_ends_a_stream_after_the_replies_before_it(priced: Served):
    await priced.account("acme")

    async def batches():
        yield usage_pb2.IngestStreamRequest(batch_number=1, batch=plain(event("a", "acme")))
        yield usage_pb2.IngestStreamRequest(batch_number=2, batch=plain())
        yield usage_pb2.IngestStreamRequest(batch_number=3, batch=plain(event("b", "acme")))

    replies = priced.usage.IngestStream(batches()).__aiter__()
    assert (await anext(replies)).batch_number == 1
    assert (await refusal_of(anext(replies))).reason == "BATCH_EMPTY"


async def test_a_cancelled_stream_leaves_a_server_that_works(priced: Served):
    await priced.account("acme")
    started = asyncio.Event()

    async def batches():
        for number in range(1_000):
            yield usage_pb2.IngestStreamRequest(
                batch_number=number, batch=plain(event(f"e{number}", "acme", 1, 0))
            )

    call = priced.usage.IngestStream(batches())
    async for _ in call:
        started.set()
        call.cancel()
        break
    assert started.is_set()
    assert outcomes(await priced.ingest(event("after", "acme"))) == ["APPLIED"]
