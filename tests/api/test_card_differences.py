"""The difference of two rate cards over the wire: complete, large moves first."""

from __future__ import annotations

import grpc
import pytest

from ledger.api.card_difference import REPLY_BYTES_MAX, compared
from ledger.api.rendering.render_card import card_of
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, refusal_of


def rows(*prices: tuple[str, str]) -> list[card_pb2.PriceRow]:
    return [
        card_pb2.PriceRow(product="chat", quantity=quantity, price=price)
        for quantity, price in prices
    ]


LATER = card(
    rows=rows(("cached_tokens", "0.0000015"), ("input_tokens", "0.00006")),
    products=[card_pb2.Product(product="chat", display_name="Chat"), card_pb2.Product(product="x")],
    rounding=card_pb2.ROUNDING_UP,
)


async def diff_of(caller: Served, **fields) -> pb.DiffRateCardsResponse:
    request = pb.DiffRateCardsRequest(**{"tenant": TENANT, "name": "default", **fields})
    return await caller.pricing.DiffRateCards(request)


async def publish(caller: Served, changed: card_pb2.RateCard, expected: int) -> None:
    await caller.pricing.PublishRateCard(
        pb.PublishRateCardRequest(
            tenant=TENANT, request_id=caller.new_id(), card=changed, expected_version=expected
        )
    )


def told(reply: pb.DiffRateCardsResponse) -> list[tuple[int, str, str, str, str, bool]]:
    return [
        (
            row.change,
            (row.after or row.before).quantity or row.before.quantity,
            row.before.price,
            row.after.price,
            row.ratio,
            row.large,
        )
        for row in reply.rows
    ]


async def test_two_versions_and_a_candidate_are_compared_alike(priced: Served):
    """
    input_tokens  0.000003 -> 0.00006: twenty times, large, so it stands first
    cached_tokens 0.000001 -> 0.0000015: half as dear again
    output_tokens gone; cached_tokens stands before input_tokens now
    """
    tried = await diff_of(priced, candidate=LATER)
    expected = [
        (pb.PART_CHANGE_CHANGED, "input_tokens", "0.000003", "0.00006", "20", True),
        (pb.PART_CHANGE_CHANGED, "cached_tokens", "0.000001", "0.0000015", "1.5", False),
        (pb.PART_CHANGE_REMOVED, "output_tokens", "0.000015", "", "", False),
    ]
    assert told(tried)[:3] == expected
    [moved] = tried.rows[3:]
    assert moved.change == pb.PART_CHANGE_MOVED
    assert (tried.earlier.version, tried.HasField("later")) == (2, False)
    [field] = tried.fields
    assert (field.field, field.before, field.after) == ("rounding", "half_even", "up")
    [product] = tried.products
    assert (product.change, product.after.product, product.place) == (pb.PART_CHANGE_ADDED, "x", 1)
    assert (tried.summary, tried.omitted) == (
        "rounding changed, 1 row removed, 2 rows changed, 1 row moved, 1 product added",
        0,
    )
    await publish(priced, LATER, 2)
    found = await diff_of(priced, from_version=2)
    assert (found.earlier.version, found.later.version) == (2, 3)
    assert (found.rows, found.products, found.fields) == (tried.rows, tried.products, tried.fields)
    assert (await diff_of(priced, from_version=3, to_version=3)).summary == "no difference"
    back = await diff_of(priced, from_version=3, to_version=2)
    assert [row.ratio for row in back.rows[:2]] == ["0.05", "2/3"]
    wide = await diff_of(priced, from_version=2, large_factor="20")
    assert not any(row.large for row in wide.rows)


async def test_a_candidate_of_a_new_name_is_all_new(priced: Served):
    found = await diff_of(priced, name="own", candidate=card(name="own"))
    assert [row.change for row in found.rows] == [pb.PART_CHANGE_ADDED] * 3
    assert not found.HasField("earlier")


async def test_every_fault_of_a_candidate_is_named(priced: Served):
    wrong = card(name="other", rows=rows(("input_tokens", "-1"), ("lost", "cheap")))
    found = await refusal_of(diff_of(priced, candidate=wrong))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RATE_CARD_INVALID")
    assert found.violations == [
        ("candidate.rows[0].price", "PRICE_NEGATIVE"),
        ("candidate.rows[1].quantity", "QUANTITY_UNKNOWN"),
        ("candidate.rows[1].price", "PRICE_MALFORMED"),
        ("candidate.name", "NAME_DIFFERS"),
    ]


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED"),
        ({"name": ""}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED"),
        ({"from_version": -1}, grpc.StatusCode.INVALID_ARGUMENT, "NUMBER_OUT_OF_RANGE"),
        ({"from_version": 2, "to_version": 9}, grpc.StatusCode.NOT_FOUND, "RATE_CARD_UNKNOWN"),
        ({"from_version": 9}, grpc.StatusCode.NOT_FOUND, "RATE_CARD_UNKNOWN"),
        (
            {"from_version": 2, "to_version": 2, "candidate": card()},
            grpc.StatusCode.INVALID_ARGUMENT,
            "FIELD_NOT_ALLOWED",
        ),
        (
            {"from_version": 2, "large_factor": "0.5"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "FACTOR_INVALID",
        ),
        (
            {"from_version": 2, "large_factor": "many"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "FACTOR_INVALID",
        ),
    ],
    ids=str,
)
async def test_bad_comparisons(priced: Served, fields, code, reason):
    found = await refusal_of(diff_of(priced, **fields))
    assert (found.code, found.reason) == (code, reason)


def test_a_difference_beyond_a_message_says_what_it_leaves_out():
    """65,536 rows that all change fill more than there is room for; large moves come first."""
    before, _ = card_of(card(rows=many("1")))
    after, _ = card_of(card(rows=many("2", last="100")))
    reply = compared(before, after, "10")
    assert reply.ByteSize() <= REPLY_BYTES_MAX + 4_096
    assert reply.omitted > 0
    assert len(reply.rows) + reply.omitted == 65_536
    assert [row.large for row in reply.rows[:2]] == [True, False]


def many(price: str, last: str = "") -> list[card_pb2.PriceRow]:
    found = [
        card_pb2.PriceRow(product=f"model-{n:0100d}", quantity="input_tokens", price=price)
        for n in range(65_536)
    ]
    found[-1].price = last or price
    return found
