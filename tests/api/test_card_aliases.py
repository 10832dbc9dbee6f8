"""Aliases of rate cards over the wire: a policy names one, and it is moved at an instant."""

from __future__ import annotations

import json

import grpc
import pytest

from ledger.core.limits import HOUR_US
from ledger.v1 import usage_pb2
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, event, refusal_of


def priced_at(name: str, price: str) -> card_pb2.RateCard:
    row = card_pb2.PriceRow(product="chat", quantity="input_tokens", price=price)
    return card(name=name, rows=[row])


async def publish(caller: Served, changed: card_pb2.RateCard) -> None:
    await caller.pricing.PublishRateCard(
        pb.PublishRateCardRequest(tenant=TENANT, request_id=caller.new_id(), card=changed)
    )


async def point(caller: Served, rate_card: str, **fields) -> pb.SetRateCardAliasResponse:
    request = {"tenant": TENANT, "request_id": caller.new_id(), "alias": "pro", **fields}
    return await caller.pricing.SetRateCardAlias(
        pb.SetRateCardAliasRequest(rate_card=rate_card, **request)
    )


async def charge(caller: Served, id_: str, at_us: int = 0) -> int:
    used = event(id_, "acme", quantities={"input_tokens": 10}, effective_at_us=at_us)
    return (await caller.ingest(used)).results[0].charge


async def test_accounts_of_an_alias_move_together_at_its_instant(priced: Served):
    """
    pro -> pro-2026 at 2 a token, then pro-2027 at 5 from an instant between two events
    an event of before that arrives after keeps its price; the entry names the card itself
    """
    await publish(priced, priced_at("pro-2026", "0.000002"))
    await publish(priced, priced_at("pro-2027", "0.000005"))
    await priced.account("acme", rate_card="pro")
    assert await charge(priced, "too early") == 0
    first = await point(priced, "pro-2026")
    assert (first.alias.rate_card, first.alias.effective_from_us) == ("pro-2026", 1)
    assert await charge(priced, "a") == 20
    now = priced.ledger.clock.now_us()
    moved = await point(
        priced,
        "pro-2027",
        expected_version=first.alias.version,
        effective_from_us=now + HOUR_US,
    )
    assert await charge(priced, "b") == 20
    assert moved.alias.version > first.alias.version
    quote = await priced.pricing.Quote(
        pb.QuoteRequest(
            tenant=TENANT,
            account="acme",
            product="chat",
            quantities={"input_tokens": 10},
            effective_at_us=now + HOUR_US,
        )
    )
    assert (quote.charge, quote.rate_card) == (50, "pro-2027")
    entry = (
        await priced.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", source="gateway", id="a"
            )
        )
    ).entry
    assert (entry.lines[0].unit_price, entry.lines[0].charge) == ("2", 20)
    checked = await priced.check("acme", quantities={"input_tokens": 1})
    assert checked.rate_card == "pro-2026"


async def test_the_sheet_of_an_alias_is_that_of_the_card_that_it_means(priced: Served):
    await publish(priced, priced_at("pro-2026", "0.000002"))
    await priced.account("acme", rate_card="pro")
    first = await point(priced, "default")
    now = priced.ledger.clock.now_us()
    await point(
        priced,
        "pro-2026",
        expected_version=first.alias.version,
        effective_from_us=now + HOUR_US,
    )
    for at, name, until in ((0, "default", now + HOUR_US), (now + HOUR_US, "pro-2026", 0)):
        for asked in ({"name": "pro"}, {"account": "acme"}):
            found = await priced.pricing.GetPriceSheet(
                pb.GetPriceSheetRequest(tenant=TENANT, at_us=at, **asked)
            )
            assert (found.version.name, json.loads(found.sheet)["name"]) == (name, name)
            assert found.valid_until_us == until


async def test_an_alias_set_again_sets_nothing_and_all_are_listed_in_pages(priced: Served):
    await publish(priced, priced_at("pro-2026", "0.000002"))
    first = await point(priced, "default")
    again = await point(priced, "default")
    assert (again.replayed, again.alias) == (True, first.alias)
    second = await point(priced, "pro-2026", expected_version=first.alias.version)
    other = await point(priced, "default", alias="basic")
    whole = pb.ListRateCardAliasesRequest(tenant=TENANT)
    listed = (await priced.pricing.ListRateCardAliases(whole)).aliases
    assert list(listed) == [other.alias, second.alias, first.alias]
    page = await priced.pricing.ListRateCardAliases(
        pb.ListRateCardAliasesRequest(tenant=TENANT, page_size=2)
    )
    rest = await priced.pricing.ListRateCardAliases(
        pb.ListRateCardAliasesRequest(tenant=TENANT, page_token=page.next_page_token)
    )
    assert [*page.aliases, *rest.aliases] == list(listed)
    one = await priced.pricing.ListRateCardAliases(
        pb.ListRateCardAliasesRequest(tenant=TENANT, alias="basic")
    )
    assert list(one.aliases) == [other.alias]


async def test_an_alias_is_never_a_card_and_never_means_an_alias(priced: Served):
    """Nothing dangles, and there is no cycle: an alias means a published card."""
    dangling = await refusal_of(point(priced, "nothing"))
    assert (dangling.code, dangling.reason) == (grpc.StatusCode.NOT_FOUND, "RATE_CARD_UNKNOWN")
    assert dangling.metadata["field"] == "rate_card"
    first = await point(priced, "default")
    for chained in ("pro", "basic"):
        found = await refusal_of(
            point(priced, "pro", alias=chained, expected_version=first.alias.version)
        )
        assert found.reason == "RATE_CARD_UNKNOWN"
    taken = await refusal_of(point(priced, "default", alias="default"))
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CARD_NAME_TAKEN")
    card_too = await refusal_of(publish(priced, card(name="pro")))
    assert (card_too.reason, card_too.metadata["field"]) == ("CARD_NAME_TAKEN", "card.name")
    stale = await refusal_of(point(priced, "default", effective_from_us=7))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_DIFFERS")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"alias": ""}, "alias"),
        ({"rate_card": ""}, "rate_card"),
        ({"request_id": ""}, "request_id"),
        ({"alias": "x" * 129}, "alias"),
        ({"effective_from_us": -1}, "effective_from_us"),
        ({"expected_version": -1}, "expected_version"),
    ],
    ids=str,
)
async def test_bad_aliases(priced: Served, fields, field):
    found = await refusal_of(point(priced, **{"rate_card": "default", **fields}))
    assert (found.code, found.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, field)
