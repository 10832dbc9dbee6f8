"""Events of a type over gRPC: meters published, listed and put to use (rules I1, N1, N4, R1)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.v1 import correction_pb2, usage_pb2
from rating.v1 import card_pb2
from rating.v1 import meter_pb2 as pb
from tests.api.served import TENANT, Served, card, refusal_of

CHAT = pb.MeterRule(
    name="chat",
    event_type="llm.call",
    product="chat",
    filters=[pb.MeterFilter(property="status", one_of=["ok"])],
    attributes=[pb.MeteredAttribute(attribute="model")],
    quantities=[
        pb.MeteredQuantity(
            quantity="input_tokens", aggregation=pb.AGGREGATION_SUM, property="usage.prompt_tokens"
        ),
        pb.MeteredQuantity(
            quantity="output_tokens",
            aggregation=pb.AGGREGATION_SUM,
            property="usage.completion_tokens",
        ),
        pb.MeteredQuantity(
            quantity="cached_tokens",
            aggregation=pb.AGGREGATION_SUM,
            property="usage.cached_tokens",
            optional=True,
        ),
    ],
)
SEATS = pb.MeterRule(
    name="seats",
    event_type="seats",
    product="desk",
    quantities=[
        pb.MeteredQuantity(quantity="seats", aggregation=pb.AGGREGATION_MAX, property="count"),
    ],
)
USERS = pb.MeterRule(
    name="users",
    event_type="login",
    product="desk",
    quantities=[
        pb.MeteredQuantity(
            quantity="users",
            aggregation=pb.AGGREGATION_UNIQUE,
            property="user",
            scope=card_pb2.RUNNING_SCOPE_DAY,
        ),
    ],
)


async def publish(caller: Served, *rules: pb.MeterRule, **changes: Any) -> pb.PublishMetersResponse:
    meters = pb.MeterSet(rules=rules, effective_from_us=changes.pop("effective_from_us", 0))
    return await caller.meters.PublishMeters(
        pb.PublishMetersRequest(tenant=TENANT, request_id=caller.new_id(), meters=meters, **changes)
    )


def raw(event_id: str, event_type: str, **properties: str) -> usage_pb2.UsageEvent:
    return usage_pb2.UsageEvent(
        id=event_id,
        account="acme",
        type=event_type,
        properties={name.replace("__", "."): value for name, value in properties.items()},
    )


def call(event_id: str, prompt: str = "100", **more: str) -> usage_pb2.UsageEvent:
    properties = {"usage__prompt_tokens": prompt, "usage__completion_tokens": "20", **more}
    return raw(event_id, "llm.call", status="ok", **properties)


@pytest.fixture
async def metered(priced: Served) -> Served:
    """An account with credits, and meters for calls, seats and users, each at a price."""
    more = [
        card_pb2.PriceRow(product="desk", quantity="seats", price="1"),
        card_pb2.PriceRow(product="desk", quantity="users", price="2"),
    ]
    found = card()
    found.meters.extend([card_pb2.Meter(quantity="seats"), card_pb2.Meter(quantity="users")])
    found.products.add(product="desk")
    found.rows.extend(more)
    found.name = "metered"
    await priced.pricing.PublishRateCard(_published(priced, found))
    await priced.account("acme", rate_card="metered")
    await priced.grant("acme", 10**9)
    await publish(priced, CHAT, SEATS, USERS)
    return priced


def _published(caller: Served, found: card_pb2.RateCard) -> Any:
    from rating.v1 import pricing_pb2

    return pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id=caller.new_id(), card=found)


async def entry(caller: Served, event_id: str) -> usage_pb2.UsageEntry:
    reply = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account="acme", source="gateway", id=event_id
        )
    )
    return reply.entry


async def test_an_event_of_a_type_is_usage_of_its_meter(metered: Served) -> None:
    """The same in all as what names its quantities itself; sent again, the first outcome."""
    reply = await metered.ingest(
        call("raw", model="large"),
        usage_pb2.UsageEvent(
            id="plain",
            account="acme",
            product="chat",
            attributes={"model": "large"},
            quantities={"input_tokens": 100, "output_tokens": 20, "cached_tokens": 0},
        ),
    )
    first, second = reply.results
    assert (first.outcome, first.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, second.charge)
    shown = await entry(metered, "raw")
    assert shown.product == "chat"
    assert dict(shown.attributes) == {"model": "large"}
    assert [(line.quantity_name, line.quantity) for line in shown.lines] == [
        ("cached_tokens", 0),
        ("input_tokens", 100),
        ("output_tokens", 20),
    ]
    again = (await metered.ingest(call("raw", model="large", nobody="reads this"))).results[0]
    assert again.replayed
    assert again.charge == first.charge
    other = (await metered.ingest(call("raw", "101", model="large"))).results[0]
    assert (other.outcome, other.field) == (usage_pb2.INGEST_OUTCOME_CONFLICT, "quantities")


async def test_reports_count_over_their_levels(metered: Served) -> None:
    """10^6 minor units a seat, 2 x 10^6 a user; what counts nothing is recorded, and replayed."""
    reply = await metered.ingest(
        raw("s-1", "seats", count="4"),
        raw("s-2", "seats", count="10"),
        raw("s-3", "seats", count="7"),
        raw("u-1", "login", user="ada"),
        raw("u-2", "login", user="bob"),
        raw("u-3", "login", user="ada"),
    )
    assert {each.outcome for each in reply.results} == {usage_pb2.INGEST_OUTCOME_APPLIED}
    charged = [each.charge // 10**6 for each in reply.results]
    assert charged == [4, 6, 0, 2, 2, 0]
    again = await metered.ingest(
        raw("s-1", "seats", count="4"),
        raw("s-3", "seats", count="7"),
        raw("u-3", "login", user="ada"),
    )
    assert [each.replayed for each in again.results] == [True] * 3
    assert [each.charge // 10**6 for each in again.results] == [4, 0, 0]
    other = await metered.ingest(raw("s-2", "seats", count="6"), raw("u-3", "login", user="cid"))
    assert [(each.outcome, each.field) for each in other.results] == [
        (usage_pb2.INGEST_OUTCOME_CONFLICT, "quantities"),
        (usage_pb2.INGEST_OUTCOME_CONFLICT, "properties"),
    ]
    reversal = correction_pb2.Reversal(
        request_id="r", account="acme", event=correction_pb2.SourceAndId(source="gateway", id="s-2")
    )
    done = await metered.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(tenant=TENANT, reversals=[reversal])
    )
    assert done.results[0].amount == 6 * 10**6
    after = await metered.ingest(raw("s-4", "seats", count="9"))
    assert after.results[0].charge == 5 * 10**6
    for writer in metered.ledger.writers:
        writer.state.books.check()


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        (raw("e", "unheard"), "NO_METER", "type"),
        (raw("e", "llm.call", status="failed"), "NO_METER", "type"),
        (raw("e", "t" * 129), "TEXT_TOO_LONG", "type"),
        (raw("e", "seats"), "PROPERTY_MISSING", "properties['count']"),
        (raw("e", "seats", count="many"), "PROPERTY_NOT_NUMERIC", "properties['count']"),
        (raw("e", "seats", count="1.5"), "PROPERTY_NOT_WHOLE", "properties['count']"),
        (raw("e", "seats", count="1e30"), "PROPERTY_TOO_LARGE", "properties['count']"),
        (raw("e", "seats", count="0"), "QUANTITIES_ALL_ZERO", "quantities"),
        (raw("e", "seats", **{f"p{n}": "" for n in range(65)}), "TOO_MANY", "properties"),
        (raw("e", "seats", count="1", note="x" * 1_025), "TEXT_TOO_LONG", "properties['note']"),
        (
            usage_pb2.UsageEvent(id="e", account="acme", type="seats", quantities={"seats": 1}),
            "FIELD_NOT_ALLOWED",
            "quantities",
        ),
        (
            usage_pb2.UsageEvent(id="e", account="acme", type="seats", product="desk"),
            "FIELD_NOT_ALLOWED",
            "product",
        ),
    ],
)
async def test_what_cannot_be_metered_is_refused_and_its_id_stays_free(
    metered: Served, event: usage_pb2.UsageEvent, reason: str, field: str
) -> None:
    """Rule I2: nothing is recorded, so that the same id is taken once it can be metered."""
    [result] = (await metered.ingest(event)).results
    assert (result.outcome, result.reason) == (usage_pb2.INGEST_OUTCOME_INVALID, reason)
    assert result.field == field
    assert result.message
    good = raw("e", "seats", count="3")
    assert (await metered.ingest(good)).results[0].outcome == usage_pb2.INGEST_OUTCOME_APPLIED


async def test_levels_are_not_for_linked_events(metered: Served) -> None:
    reply = await metered.ingest(
        call("a"),
        raw("b", "seats", count="3"),
        linked=[usage_pb2.LinkedEvents(first=0, count=2)],
    )
    assert [each.reason for each in reply.results] == ["LINKED_FAILED", "METERS_LINKED"]
    reply = await metered.ingest(
        call("a"), call("b"), linked=[usage_pb2.LinkedEvents(first=0, count=2)]
    )
    assert {each.outcome for each in reply.results} == {usage_pb2.INGEST_OUTCOME_APPLIED}


async def test_a_replacement_names_its_quantities_itself(metered: Served) -> None:
    """Meters count work as it happens: an amendment that asks for them is refused."""
    await metered.ingest(raw("a", "seats", count="3"))
    replacement = raw("b", "seats", count="5")
    replacement.account = ""
    replacement.quantities["seats"] = 1
    refusal = await refusal_of(
        metered.corrections.AmendUsage(
            correction_pb2.AmendUsageRequest(
                tenant=TENANT,
                request_id=metered.new_id(),
                account="acme",
                event=correction_pb2.SourceAndId(source="gateway", id="a"),
                replacement=replacement,
            )
        )
    )
    assert refusal.violations == [("replacement.type", "FIELD_NOT_ALLOWED")]


async def test_usage_for_an_unknown_account_is_parked_as_it_came(metered: Served) -> None:
    event = call("parked")
    event.account = "later"
    reply = await metered.ingest(event, park_unknown=True)
    assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_QUARANTINED
    await metered.account("later", rate_card="metered")
    await metered.server.parking.idle()
    [result] = (await metered.ingest(event)).results
    assert (result.outcome, result.replayed) == (usage_pb2.INGEST_OUTCOME_APPLIED, True)


async def test_meters_are_published_once_and_listed_newest_first(priced: Served) -> None:
    await priced.account("acme")
    assert (await priced.ingest(call("early"))).results[0].reason == "NO_METER"
    first = (await publish(priced, CHAT)).meters
    assert first.effective_from_us == 1  # from ever
    again = await publish(priced, CHAT)
    assert again.replayed
    assert again.meters == first
    second = (await publish(priced, CHAT, SEATS, expected_version=first.version)).meters
    assert second.effective_from_us > second.published_at_us > 0
    listed = await priced.meters.ListMeters(pb.ListMetersRequest(tenant=TENANT))
    assert list(listed.meters) == [second, first]
    page = await priced.meters.ListMeters(pb.ListMetersRequest(tenant=TENANT, page_size=1))
    rest = await priced.meters.ListMeters(
        pb.ListMetersRequest(tenant=TENANT, page_size=1, page_token=page.next_page_token)
    )
    assert [*page.meters, *rest.meters] == [second, first]
    assert not rest.next_page_token
    stale = await refusal_of(publish(priced, SEATS))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_DIFFERS")


async def test_an_event_is_metered_by_the_version_of_its_time(priced: Served) -> None:
    """So that one that is sent again is what it was, whatever was published in between."""
    await priced.account("acme")
    first = (await publish(priced, CHAT)).meters
    now = first.published_at_us
    event = call("once")
    event.effective_at_us = now
    assert (await priced.ingest(event)).results[0].outcome != usage_pb2.INGEST_OUTCOME_INVALID
    other = pb.MeterRule()
    other.CopyFrom(CHAT)
    other.quantities[0].property = "usage.completion_tokens"
    await publish(priced, other, expected_version=first.version)
    again = (await priced.ingest(event)).results[0]
    assert again.replayed


@pytest.mark.parametrize(
    ("rules", "reason", "field"),
    [
        ((), "METERS_INVALID", "meters.rules"),
        ((pb.MeterRule(name="a", event_type="b", product="c"),), "METERS_INVALID",
         "meters.rules[0].quantities"),
        ((pb.MeterRule(name="a", event_type="b", product="c",
                       quantities=[pb.MeteredQuantity(quantity="q", aggregation=9)]),),
         "METERS_INVALID", "meters.rules[0].quantities[0].aggregation"),
        ((pb.MeterRule(name="a", event_type="b", product="c",
                       quantities=[pb.MeteredQuantity(quantity="q", scope=9)]),),
         "METERS_INVALID", "meters.rules[0].quantities[0].scope"),
    ],
)  # fmt: skip
async def test_meters_that_are_not_well_formed_are_refused_with_every_fault(
    priced: Served, rules: tuple[pb.MeterRule, ...], reason: str, field: str
) -> None:
    found = await refusal_of(publish(priced, *rules))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert found.metadata["field"] == field
    checked = await publish(priced, *rules, validate_only=True)
    assert f"meters.{checked.faults[0].path}" == field
    assert not checked.HasField("meters")
    listed = await priced.meters.ListMeters(pb.ListMetersRequest(tenant=TENANT))
    assert not listed.meters
