"""Compare over gRPC: prices and published facts of several offers, filtered and ranked."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, refusal_of

FACTS = {
    "small": {"provider": "alpha", "context_limit": "32000", "quality_tier": "1"},
    "large": {"provider": "beta", "context_limit": "200000", "quality_tier": "3"},
    "odd": {"provider": "beta", "context_limit": "unlimited", "quality_tier": "2"},
}
PRICES = {"small": "0.000001", "large": "0.000004", "odd": "0.000002"}


async def offered(caller: Served, credits: int = 1_000) -> None:
    """A card of three products with facts, and an account with credits."""
    await caller.priced(
        meters=[
            card_pb2.Meter(quantity="input_tokens"),
            card_pb2.Meter(quantity="cached_tokens", subset_of="input_tokens"),
        ],
        products=[card_pb2.Product(product=name, facts=facts) for name, facts in FACTS.items()],
        rows=[
            card_pb2.PriceRow(product=name, quantity=quantity, price=price)
            for name, price in PRICES.items()
            for quantity in ("input_tokens", "cached_tokens")
        ],
    )
    await caller.account("acme")
    await caller.grant("acme", credits)


def option(product: str, label: str = "", **changes: Any) -> pb.CompareOption:
    fields = {"label": label or product, "product": product, "quantities": {"input_tokens": 100}}
    return pb.CompareOption(**{**fields, **changes})


async def compare(caller: Served, *options: pb.CompareOption, **changes: Any) -> pb.CompareResponse:
    chosen = options or tuple([option(product) for product in FACTS])
    fields = {"tenant": TENANT, "account": "acme", "options": chosen, **changes}
    return await caller.pricing.Compare(pb.CompareRequest(**fields))


def ranked(reply: pb.CompareResponse) -> list[tuple[str, int, str]]:
    return [(each.label, each.rank, each.score) for each in reply.options]


async def test_the_cheapest_is_first_where_nothing_else_is_asked(served: Served):
    """Every offer comes back with its price, who would pay, what is left, and its facts."""
    await offered(served)
    reply = await compare(served)
    assert ranked(reply) == [("small", 1, "1"), ("odd", 2, "2/3"), ("large", 3, "0")]
    first = reply.options[0]
    assert (first.product, first.quote.charge, first.quote.asset) == ("small", 100, "credit")
    assert (first.quote.allowed, first.quote.available_after) == (True, "900")
    assert first.quote.applicable_after == "900"
    assert dict(first.facts) == FACTS["small"]
    assert reply.effective_at_us == first.quote.effective_at_us > 0


async def test_what_is_filtered_out_comes_back_with_what_it_broke(served: Served):
    await offered(served)
    reply = await compare(
        served,
        charge_max=250,
        one_of=[pb.FactOneOf(fact="provider", values=["beta"])],
        bounds=[pb.FactBounds(fact="context_limit", at_least="1e5")],
    )
    assert {
        each.label: [(failure.constraint, failure.reason) for failure in each.failures]
        for each in reply.options
    } == {
        "large": [("charge_max", "CHARGE_ABOVE_MAXIMUM")],
        "odd": [("bounds[0]", "FACT_NOT_NUMERIC")],
        "small": [("one_of[0]", "FACT_DIFFERS"), ("bounds[0]", "FACT_BELOW_MINIMUM")],
    }
    assert [each.rank for each in reply.options] == [0, 0, 0]
    assert [each.label for each in reply.options] == ["large", "odd", "small"]


async def test_weights_decide_between_price_and_quality(served: Served):
    """Mean by weight of each measure's place between the worst and the best."""
    await offered(served)
    weights = [
        pb.CompareWeight(weight=1),
        pb.CompareWeight(fact="quality_tier", weight=3, higher_is_better=True),
    ]
    reply = await compare(served, weights=weights)
    assert ranked(reply) == [("large", 1, "3/4"), ("odd", 2, "13/24"), ("small", 3, "1/4")]


async def test_what_the_account_cannot_pay_is_left_out_where_that_is_asked(served: Served):
    await offered(served, credits=150)
    without = await compare(served)
    assert [each.label for each in without.options] == ["small", "odd", "large"]
    assert [each.quote.allowed for each in without.options] == [True, False, False]
    reply = await compare(served, affordable=True)
    assert ranked(reply) == [("small", 1, "1"), ("large", 0, ""), ("odd", 0, "")]
    [failure] = reply.options[1].failures
    assert (failure.constraint, failure.reason) == ("affordable", "INSUFFICIENT_CREDITS")


async def test_an_offer_that_cannot_be_priced_does_not_spoil_the_others(served: Served):
    """No price, parts above their whole, a charge above 64 bits: each its own failure (B8, R8)."""
    await offered(served)
    reply = await compare(
        served,
        option("small"),
        option("video"),
        option("small", "parts", quantities={"input_tokens": 1, "cached_tokens": 2}),
        option("large", "vast", quantities={"input_tokens": 2**63 - 1}),
    )
    assert {
        each.label: [(failure.constraint, failure.reason) for failure in each.failures]
        for each in reply.options
    } == {
        "small": [],
        "video": [("price", "UNPRICED")],
        "parts": [("quantities", "SUBSET_EXCEEDS_PARENT")],
        "vast": [("quantities", "OVERFLOW")],
    }
    by_label = {each.label: each for each in reply.options}
    assert not by_label["vast"].HasField("quote")
    assert dict(by_label["vast"].facts) == FACTS["large"]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"options": []}, "NUMBER_OUT_OF_RANGE", "options"),
        (
            {"options": [option("small", f"o{place}") for place in range(65)]},
            "NUMBER_OUT_OF_RANGE",
            "options",
        ),
        ({"options": [option("small", "x" * 129)]}, "TEXT_TOO_LONG", "options[0].label"),
        ({"options": [option("a", "o"), option("b", "o")]}, "NAME_REPEATED", "options[1].label"),
        ({"options": [option("a"), option("")]}, "FIELD_REQUIRED", "options[1].label"),
        ({"options": [option("", "o")]}, "FIELD_REQUIRED", "options[0].product"),
        (
            {"options": [option("small", quantities={"input_tokens": -1})]},
            "QUANTITY_INVALID",
            "options[0].quantities['input_tokens']",
        ),
        ({"charge_max": -1}, "NUMBER_OUT_OF_RANGE", "charge_max"),
        ({"effective_at_us": -1}, "NUMBER_OUT_OF_RANGE", "effective_at_us"),
        ({"one_of": [pb.FactOneOf(fact="f")]}, "NUMBER_OUT_OF_RANGE", "one_of[0].values"),
        ({"one_of": [pb.FactOneOf(values=["v"])]}, "FIELD_REQUIRED", "one_of[0].fact"),
        ({"bounds": [pb.FactBounds(fact="f")]}, "FIELD_REQUIRED", "bounds[0].at_least"),
        (
            {"bounds": [pb.FactBounds(fact="f", at_most="many")]},
            "NUMBER_MALFORMED",
            "bounds[0].at_most",
        ),
        ({"weights": [pb.CompareWeight()]}, "NUMBER_OUT_OF_RANGE", "weights[0].weight"),
        ({"weights": [pb.CompareWeight(weight=1)] * 2}, "NAME_REPEATED", "weights"),
        ({"weights": [pb.CompareWeight(weight=1)] * 17}, "TOO_MANY", "weights"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_comparison_is_named(served: Served, changes, reason, field):
    await offered(served)
    fields = {"tenant": TENANT, "account": "acme", "options": [option("small")], **changes}
    found = await refusal_of(served.pricing.Compare(pb.CompareRequest(**fields)))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert found.metadata["field"] == field


async def test_an_account_that_takes_nothing_new_refuses_the_whole(served: Served):
    await offered(served)
    found = await refusal_of(compare(served, account="nobody"))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_UNKNOWN")
