"""What an account pays otherwise than its card says, over the wire (rule R4)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2, correction_pb2, journal_pb2, usage_pb2
from rating.v1 import card_pb2, pricing_pb2
from rating.v1 import override_pb2 as pb
from tests.api.served import PRODUCT, TENANT, Served, event, refusal_of, work


def cheaper(ratio: str = "0.5", **fields: Any) -> pb.PriceOverride:
    kept = {"product": PRODUCT, "quantity": "*", **fields}
    return pb.PriceOverride(multiplier=pb.Multiplier(ratio=ratio), **kept)


def another(price: str, quantity: str = "output_tokens", **fields: Any) -> pb.PriceOverride:
    kept = {"product": PRODUCT, "quantity": quantity, **fields}
    asset = kept.pop("asset", "credit")
    return pb.PriceOverride(overwrite=pb.Overwrite(asset=asset, price=price), **kept)


async def put(
    caller: Served, account: str, *overrides: pb.PriceOverride, **changes: Any
) -> pb.SetPriceOverridesResponse:
    fields = {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": account,
        "overrides": overrides,
        **changes,
    }
    return await caller.pricing.SetPriceOverrides(pb.SetPriceOverridesRequest(**fields))


async def got(caller: Served, account: str, position: str = "") -> pb.GetPriceOverridesResponse:
    return await caller.pricing.GetPriceOverrides(
        pb.GetPriceOverridesRequest(tenant=TENANT, account=account, min_position=position)
    )


async def entry_of(caller: Served, account: str, event_id: str) -> usage_pb2.UsageEntry:
    found = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account=account, source="gateway", id=event_id
        )
    )
    return found.entry


async def test_a_quote_of_what_an_override_alone_prices_names_no_row(priced: Served):
    """-1 as everywhere: the number of the override is no row's (rules H9, R4)."""
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    await put(priced, "acme", another("0.000004", product="song"))
    songs: dict[str, Any] = {"product": "song", "quantities": {"output_tokens": 5}}
    made = await priced.pricing.CreateQuote(
        pricing_pb2.CreateQuoteRequest(**{**work("acme"), **songs}, request_id=priced.new_id())
    )
    assert [(line.price_row, line.charge) for line in made.quote.lines] == [(-1, 20)]
    await priced.ingest(event("a", "acme", quote_id=made.quote.quote_id, **songs))
    [line] = (await entry_of(priced, "acme", "a")).lines
    assert (line.price_row, line.quoted_price_row, line.quoted_charge) == (-1, -1, 20)


async def test_usage_quotes_and_reversals_go_by_the_override(priced: Served):
    """100 x 3 and 20 x 15 at half the price, then outputs at 4: who priced a line is shown."""
    await priced.account("acme")
    await priced.account("acme/search", parent="acme")
    await priced.grant("acme/search", 10_000)
    made = await put(priced, "acme", cheaper(), reason="pilot", actor="sales")
    assert (made.version, made.replayed) == (1, False)
    assert [(each.number, each.account) for each in made.overrides] == [(1, "acme")]
    quoted = await priced.pricing.Quote(pricing_pb2.QuoteRequest(**work("acme/search")))
    assert (quoted.charge, [line.price_override for line in quoted.lines]) == (300, [1, 1])
    assert [line.unit_price for line in quoted.lines] == ["3/2", "15/2"]
    await priced.ingest(event("a", "acme/search"))
    await put(priced, "acme/search", another("0.000004"))
    await priced.ingest(event("b", "acme/search"))
    first, second = [await entry_of(priced, "acme/search", each) for each in ("a", "b")]
    assert (first.charge, [line.price_override for line in first.lines]) == (300, [1, 1])
    assert (second.charge, [line.price_override for line in second.lines]) == (230, [1, 2])
    assert [line.charge for line in second.lines] == [150, 80]
    assert second.lines[0].price_row == first.lines[0].price_row == 2 << 20
    await put(priced, "acme/search")
    reversal = correction_pb2.Reversal(
        request_id=priced.new_id(),
        account="acme/search",
        event=correction_pb2.SourceAndId(source="gateway", id="b"),
    )
    reply = await priced.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(tenant=TENANT, reversals=[reversal])
    )
    assert sum(piece.amount for piece in reply.results[0].given_back) == 230
    assert (await priced.balance("acme/search")).available == "9700"


async def test_what_the_card_does_not_price_may_be_priced_by_an_override(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    await put(priced, "acme", another("0.000002", "cached_tokens", product="video"))
    quantities = {"cached_tokens": 10}
    await priced.ingest(event("a", "acme", product="video", quantities=quantities))
    (line,) = (await entry_of(priced, "acme", "a")).lines
    assert (line.charge, line.price_row, line.price_override) == (20, -1, 1)
    assert line.unit_price == "2"


async def test_the_list_is_read_with_what_is_inherited(priced: Served):
    await priced.account("acme")
    await priced.account("acme/a", parent="acme")
    await priced.account("acme/a/x", parent="acme/a")
    above = cheaper("5/6", priority=3, effective_from_us=5, effective_until_us=2**62)
    await put(priced, "acme", above)
    own = [another("1", attributes={"mode": "*"}), cheaper("2")]
    made = await put(priced, "acme/a", *own)
    found = await got(priced, "acme/a", made.position)
    assert [each.override for each in found.overrides] == own
    assert [each.override for each in found.inherited] == [above]
    assert (found.version, [each.number for each in found.overrides]) == (1, [2, 3])
    assert all(each.set_at_us > 0 for each in found.overrides)
    below = await got(priced, "acme/a/x")
    assert [each.account for each in below.inherited] == ["acme/a", "acme/a", "acme"]
    assert (below.version, list(below.overrides)) == (0, [])
    kept = await put(priced, "acme/a", own[1])
    assert [(each.number, each.set_at_us) for each in kept.overrides] == [
        (3, made.overrides[1].set_at_us)
    ]


MODELS = (
    pb.PriceOverride(
        product=PRODUCT,
        quantity="input_tokens",
        overwrite=pb.Overwrite(
            asset="credit",
            package=card_pb2.PackageModel(size=100, price="0.00025"),
            scope=card_pb2.RUNNING_SCOPE_DAY,
            included=100,
            maximum="0.0004",
        ),
    ),
    pb.PriceOverride(
        product=PRODUCT,
        quantity="output_tokens",
        tiered=pb.Tiers(
            asset="credit",
            graduated=card_pb2.GraduatedModel(
                tiers=[
                    card_pb2.Tier(up_to=10, price="0.000020"),
                    card_pb2.Tier(price="0.000001", flat="0.000005"),
                ]
            ),
        ),
    ),
    pb.PriceOverride(
        product=PRODUCT,
        quantity="cached_tokens",
        overwrite=pb.Overwrite(
            asset="credit",
            formula=card_pb2.FormulaModel(expression="cached_tokens * 0.000002"),
            scope=card_pb2.RUNNING_SCOPE_EVENT,
        ),
    ),
)


async def test_price_models_override_and_come_back_the_same(priced: Served):
    """100 of 100 inputs included, then packages; ten outputs at 20, then 5 and 10 at 1."""
    await priced.account("acme")
    await priced.grant("acme", 10_000)
    made = await put(priced, "acme", *MODELS)
    assert [each.override for each in made.overrides] == list(MODELS)
    assert [each.override for each in (await got(priced, "acme")).overrides] == list(MODELS)
    await priced.ingest(event("a", "acme"), event("b", "acme"), event("c", "acme"))
    lines = [
        [line.charge for line in (await entry_of(priced, "acme", each)).lines]
        for each in ("a", "b", "c")
    ]
    assert lines == [[0, 215], [250, 20], [150, 20]]


async def test_a_model_that_does_not_do_is_named(priced: Served):
    await priced.account("acme")
    tiers = pb.Tiers(asset="credit", volume=card_pb2.VolumeModel(tiers=[card_pb2.Tier(up_to=3)]))
    wrong = pb.PriceOverride(product=PRODUCT, quantity="input_tokens", tiered=tiers)
    found = await refusal_of(put(priced, "acme", wrong))
    assert found.violations == [
        ("overrides[0].change.model.tiers[0].up_to", "TIER_LAST_NOT_OPEN"),
        ("overrides[0].change.model.tiers[0]", "TIER_WITHOUT_PRICE"),
    ]
    none = pb.PriceOverride(product=PRODUCT, quantity="input_tokens", tiered=pb.Tiers())
    found = await refusal_of(put(priced, "acme", none))
    assert (found.reason, found.metadata["field"]) == (
        "FIELD_REQUIRED",
        "overrides[0].change.model",
    )
    scoped = pb.PriceOverride(product=PRODUCT, quantity="input_tokens")
    scoped.overwrite.scope = 9
    found = await refusal_of(put(priced, "acme", scoped))
    assert (found.reason, found.metadata["field"]) == (
        "NUMBER_OUT_OF_RANGE",
        "overrides[0].change.scope",
    )


async def test_the_same_call_again_is_answered_again(priced: Served):
    await priced.account("acme")
    first = await put(priced, "acme", cheaper(), request_id="once")
    again = await put(priced, "acme", cheaper(), request_id="once")
    assert again.replayed and again.overrides == first.overrides
    found = await refusal_of(put(priced, "acme", cheaper("0.6"), request_id="once"))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "overrides")
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="once")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_SET_PRICE_OVERRIDES


async def test_another_version_is_refused(priced: Served):
    await priced.account("acme")
    await put(priced, "acme", cheaper())
    found = await refusal_of(put(priced, "acme", expected_version=2))
    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    assert (await put(priced, "acme", expected_version=1)).version == 2


async def test_every_fault_of_a_list_is_named_and_nothing_changes(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 10_000)
    wrong = (
        another("-1", priority=1),
        another("1", asset="gold", priority=2),
        another("1", "seconds"),
        cheaper("x"),
        cheaper("2", product="video"),
        another("1"),
        another("2"),
    )
    found = await refusal_of(put(priced, "acme", *wrong))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "OVERRIDES_INVALID")
    assert found.violations == [
        ("overrides[0].change.price", "PRICE_NEGATIVE"),
        ("overrides[1].change.asset", "ASSET_DIFFERS"),
        ("overrides[2].quantity", "QUANTITY_UNKNOWN"),
        ("overrides[3].change.ratio", "PRICE_MALFORMED"),
        ("overrides[4]", "NOTHING_TO_MULTIPLY"),
        ("overrides[6]", "OVERRIDE_TIE"),
    ]
    assert (await got(priced, "acme")).version == 0
    await priced.ingest(event("a", "acme"))
    assert (await entry_of(priced, "acme", "a")).charge == 600


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ({"expected_version": -1}, "NUMBER_OUT_OF_RANGE", "expected_version"),
        ({"reason": "x" * 257}, "TEXT_TOO_LONG", "reason"),
        ({"overrides": [pb.PriceOverride()] * 257}, "NUMBER_OUT_OF_RANGE", "overrides"),
        ({"overrides": [pb.PriceOverride(product="a")]}, "FIELD_REQUIRED", "overrides[0].change"),
    ],
    ids=str,
)
async def test_bad_requests(priced: Served, changes: dict[str, Any], reason: str, field: str):
    await priced.account("acme")
    found = await refusal_of(put(priced, changes.pop("account", "acme"), **changes))
    assert found.reason == reason
    assert found.metadata["field"] == field


async def test_a_list_follows_an_alias_of_a_card(priced: Served):
    """The policy names an alias; the override is over whatever card it means."""
    await priced.pricing.SetRateCardAlias(
        pricing_pb2.SetRateCardAliasRequest(
            tenant=TENANT, request_id="alias", alias="pro", rate_card="default"
        )
    )
    await priced.account("acme", rate_card="pro")
    await priced.grant("acme", 10_000)
    await put(priced, "acme", cheaper())
    for each in ("a", "b"):
        await priced.ingest(event(each, "acme"))
    entry = await entry_of(priced, "acme", "b")
    assert (entry.charge, entry.rate_card) == (300, "default")


async def test_a_price_sheet_of_an_account_says_what_stands_over_it(priced: Served):
    await priced.account("acme")
    await priced.account("acme/a", parent="acme")
    await put(priced, "acme", cheaper())
    await put(priced, "acme/a", another("1"))
    sheet = await priced.pricing.GetPriceSheet(
        pricing_pb2.GetPriceSheetRequest(tenant=TENANT, account="acme/a")
    )
    assert [(each.number, each.account) for each in sheet.overrides] == [(2, "acme/a"), (1, "acme")]
    again = await priced.pricing.GetPriceSheet(
        pricing_pb2.GetPriceSheetRequest(
            tenant=TENANT, account="acme/a", if_none_match=sheet.version.content_hash
        )
    )
    assert again.not_modified and again.overrides == sheet.overrides
    card = await priced.pricing.GetPriceSheet(
        pricing_pb2.GetPriceSheetRequest(tenant=TENANT, name="default")
    )
    assert not card.overrides


async def test_a_closed_account_takes_none(priced: Served):
    await priced.account("acme")
    await priced.accounts.Close(
        account_pb2.AccountServiceCloseRequest(tenant=TENANT, request_id="c", account="acme")
    )
    found = await refusal_of(put(priced, "acme", cheaper()))
    assert found.reason == "ACCOUNT_CLOSED"
