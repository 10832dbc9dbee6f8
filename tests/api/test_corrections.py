"""Recorded usage given back, over a real socket."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.v1 import correction_pb2 as pb
from ledger.v1 import journal_pb2, usage_pb2
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

APPLIED = pb.CORRECTION_OUTCOME_APPLIED
REFUSED = pb.CORRECTION_OUTCOME_REFUSED


def of(event_id: str, **changes: Any) -> pb.Reversal:
    """A reversal of one event of `acme`."""
    fields = {
        "request_id": f"reverse {event_id}",
        "account": "acme",
        "event": pb.SourceAndId(source="gateway", id=event_id),
        **changes,
    }
    if "entry" in fields:
        del fields["event"]
    return pb.Reversal(**fields)


async def reverse(caller: Served, *reversals: pb.Reversal) -> list[pb.ReversalResult]:
    reply = await caller.corrections.ReverseUsage(
        pb.ReverseUsageRequest(tenant=TENANT, reversals=reversals)
    )
    return list(reply.results)


async def shown(caller: Served, event_id: str) -> usage_pb2.UsageEntry:
    reply = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account="acme", source="gateway", id=event_id
        )
    )
    return reply.entry


@pytest.fixture
async def spent(priced: Served) -> Served:
    """`acme` with two grants, of which the event `u` has drawn 300 and 300."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    await priced.grant("acme", 300, priority=1, price_paid=30, price_asset="USD")
    await priced.grant("acme", 1_000, priority=2)
    await priced.ingest(event("u", "acme"))
    return priced


async def test_a_reversal_gives_back_the_last_slice_first(spent: Served) -> None:
    first, second = (await shown(spent, "u")).slices
    [result] = await reverse(spent, of("u", quantities={"input_tokens": 100, "output_tokens": 3}))
    assert (result.outcome, result.replayed, result.amount) == (APPLIED, False, 345)
    assert (result.asset, result.scale) == ("credit", 6)
    assert dict(result.quantities) == {"input_tokens": 100, "output_tokens": 3}
    back = [(each.grant_id, each.amount, each.value, each.restored) for each in result.given_back]
    assert back == [(second.grant_id, 300, 0, False), (first.grant_id, 45, 5, False)]
    assert [each.value_asset for each in result.given_back] == ["", "USD"]
    assert result.given_back[0].drawn_from == result.given_back[0].credited_to
    assert (await spent.balance("acme")).available == "1045"
    entry = await shown(spent, "u")
    assert (entry.charge, entry.reversed) == (600, 345)
    assert dict(entry.reversed_quantities) == {"input_tokens": 100, "output_tokens": 3}
    assert result.original_entry_seq == entry.entry_seq < result.entry_seq


async def test_the_same_request_is_answered_the_same(spent: Served) -> None:
    [result] = await reverse(spent, of("u"))
    [again] = await reverse(spent, of("u"))
    assert again.replayed
    again.replayed = False
    assert again == result
    [other] = await reverse(spent, of("u", as_charged=1))
    assert (other.outcome, other.reason, other.field) == (REFUSED, "CONFLICT", "as_charged")
    [texts] = await reverse(spent, of("u", reason="another"))
    assert (texts.reason, texts.field) == ("CONFLICT", "reason")


async def test_a_set_is_answered_per_item_in_order(spent: Served) -> None:
    await spent.account("other")
    await spent.ingest(event("v", "acme"), event("w", "other"))
    results = await reverse(
        spent,
        of("nothing"),
        of("u", as_charged=100, reason="goodwill", actor="mary"),
        of("w", account="other"),
        of("u", request_id="more", as_charged=501),
        of("v", quantities={"tokens": 1}),
        of("v", request_id=""),
        of("v", account="nobody"),
        of("v"),
    )
    assert [(each.outcome, each.reason, each.field, each.amount) for each in results] == [
        (REFUSED, "USAGE_UNKNOWN", "event.id", 0),
        (APPLIED, "", "", 100),
        (APPLIED, "", "", 600),
        (REFUSED, "CORRECTION_TOO_LARGE", "as_charged", 0),
        (REFUSED, "QUANTITY_UNKNOWN", "quantities", 0),
        (REFUSED, "FIELD_REQUIRED", "request_id", 0),
        (REFUSED, "ACCOUNT_UNKNOWN", "account", 0),
        (APPLIED, "", "", 600),
    ]
    assert results[2].given_back[0].drawn_from == "advance/other"
    assert all(each.message for each in results if each.outcome == REFUSED)


async def test_usage_is_named_by_its_entry_too(spent: Served) -> None:
    entry = await shown(spent, "u")
    place = pb.EntryRef(batch_seq=entry.batch_seq, entry_seq=entry.entry_seq)
    searched = pb.EntryRef(entry_seq=entry.entry_seq)
    beyond = pb.EntryRef(entry_seq=99_999)
    wrong = pb.EntryRef(batch_seq=1, entry_seq=entry.entry_seq)
    results = await reverse(
        spent,
        of("a", entry=place, quantities={"output_tokens": 1}),
        of("b", entry=searched, quantities={"output_tokens": 1}),
        of("c", entry=beyond),
        of("d", entry=wrong),
    )
    assert [each.amount for each in results] == [15, 15, 0, 0]
    assert [each.reason for each in results] == ["", "", "ENTRY_UNKNOWN", "ENTRY_UNKNOWN"]
    reversal = pb.EntryRef(entry_seq=results[0].entry_seq)
    [again] = await reverse(spent, of("e", entry=reversal))
    assert (again.reason, again.field) == ("NOT_REVERSIBLE", "entry")


async def test_nobody_corrects_an_entry_of_another_family(spent: Served) -> None:
    entry = await shown(spent, "u")
    for number in range(40):  # some share the shard
        await spent.account(f"other-{number}")
    place = pb.EntryRef(entry_seq=entry.entry_seq)
    results = await reverse(
        spent, *[of(f"o{n}", account=f"other-{n}", entry=place) for n in range(40)]
    )
    reasons = {each.reason for each in results}  # on other shards the number is another entry's
    assert "ENTRY_UNKNOWN" in reasons and reasons <= {"ENTRY_UNKNOWN", "NOT_REVERSIBLE"}
    assert (await spent.balance("acme")).available == "700"


async def test_what_a_captured_hold_used_is_reversed_by_its_request(spent: Served) -> None:
    held = await spent.authorize("acme")
    from ledger.v1 import decision_pb2

    await spent.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="capture",
            hold_id=held.hold_id,
            quantities={"input_tokens": 100, "output_tokens": 20},
        )
    )
    [result] = await reverse(spent, of("x", event=pb.SourceAndId(id="capture")))
    assert (result.outcome, result.amount) == (APPLIED, 600)


async def test_its_outcome_is_known(spent: Served) -> None:
    [result] = await reverse(spent, of("u"))
    outcome = await spent.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="reverse u")
    )
    assert outcome.state == journal_pb2.OUTCOME_STATE_RECORDED
    assert outcome.kind == journal_pb2.MUTATION_KIND_REVERSE_USAGE
    assert outcome.position == result.position


@pytest.mark.parametrize(("count", "reason"), [(0, "FIELD_REQUIRED"), (1_001, "TOO_MANY")])
async def test_no_reversal_and_too_many_are_refused(spent, count: int, reason: str) -> None:
    found = await refusal_of(
        spent.corrections.ReverseUsage(
            pb.ReverseUsageRequest(tenant=TENANT, reversals=[of("u")] * count)
        )
    )
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"as_charged": -1}, "as_charged"),
        ({"as_charged": 1, "quantities": {"input_tokens": 1}}, "as_charged"),
        ({"ended_grants": 9}, "ended_grants"),
        ({"reason": "r" * 1_025}, "reason"),
        ({"actor": "a" * 129}, "actor"),
        ({"entry": pb.EntryRef(batch_seq=-1)}, "entry.batch_seq"),
        ({"entry": pb.EntryRef(entry_seq=-1)}, "entry.entry_seq"),
        ({"event": pb.SourceAndId(id="")}, "event.id"),
        ({"event": None}, "usage"),
        ({"quantities": {"input_tokens": -1}}, "quantities"),
        ({"quantities": {"input_tokens": 0}}, "quantities"),
        ({"quantities": {"input_tokens": 101}}, "quantities"),
    ],
)
async def test_bad_input_says_which_field(spent, changes: dict[str, Any], field: str) -> None:
    [result] = await reverse(spent, of("u", **changes))
    assert (result.outcome, result.field) == (REFUSED, field)
    assert (await spent.balance("acme")).available == "700"


# -- amendments ----------------------------------------------------------------------------------

wrong = usage_pb2.UsageEvent
MINUS, NOTHING = {"input_tokens": -1}, {"input_tokens": 0}


def amending(event_id: str = "u", replacement: str = "v", **changes: Any) -> pb.AmendUsageRequest:
    usage = usage_pb2.UsageEvent(
        id=replacement, quantities={"input_tokens": 10, "output_tokens": 0}, operation="retry"
    )
    usage.MergeFrom(changes.pop("usage", usage_pb2.UsageEvent()))
    fields = {
        "tenant": TENANT,
        "request_id": "amend",
        "account": "acme",
        "event": pb.SourceAndId(source="gateway", id=event_id),
        "replacement": usage,
        "reason": "counted twice",
        "actor": "mary",
        **changes,
    }
    return pb.AmendUsageRequest(**fields)


async def test_an_amendment_reverses_and_records_at_once(spent: Served) -> None:
    reply = await spent.corrections.AmendUsage(amending())
    assert (reply.reversal.outcome, reply.reversal.amount) == (APPLIED, 600)
    assert reply.usage.outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    assert (reply.usage.charge, reply.asset, reply.scale) == (30, "credit", 6)
    before, after = await shown(spent, "u"), await shown(spent, "v")
    assert (before.reversed, after.charge, after.operation) == (600, 30, "retry")
    assert after.effective_at_us == before.effective_at_us
    assert after.batch_seq > before.batch_seq
    assert after.entry_seq > reply.reversal.entry_seq
    assert (await spent.balance("acme")).available == "1270"
    again = await spent.corrections.AmendUsage(amending())
    assert again.replayed and again.reversal.replayed
    again.replayed = again.reversal.replayed = False
    assert again == reply
    outcome = await spent.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="amend")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_AMEND_USAGE


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ({"event": pb.SourceAndId(source="gateway", id="x")}, "USAGE_UNKNOWN", "event.id"),
        (
            {"event": None, "entry": pb.EntryRef(entry_seq=9_999)},
            "ENTRY_UNKNOWN",
            "entry.entry_seq",
        ),
        ({"replacement": None}, "FIELD_REQUIRED", "replacement"),
        ({"usage": wrong(id="u")}, "CONFLICT", "replacement.id"),
        ({"usage": wrong(account="b")}, "FIELD_NOT_ALLOWED", "replacement.account"),
        (
            {"usage": usage_pb2.UsageEvent(quantities={"input_tokens": -1})},
            "QUANTITY_INVALID",
            "quantities",
        ),
        (
            {"usage": usage_pb2.UsageEvent(quantities={"input_tokens": 0})},
            "QUANTITIES_ALL_ZERO",
            "quantities",
        ),
        ({"usage": wrong(effective_at_us=2**62)}, "IN_FUTURE", "effective_at_us"),
        ({"ended_grants": 7}, "NUMBER_OUT_OF_RANGE", "ended_grants"),
    ],
)
async def test_an_amendment_that_is_wrong_changes_nothing(
    spent: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    found = await refusal_of(spent.corrections.AmendUsage(amending(**changes)))
    assert found.reason == reason
    assert found.metadata["field"].startswith(field)
    assert (await spent.balance("acme")).available == "700"


async def test_another_body_is_a_conflict(spent: Served) -> None:
    await spent.corrections.AmendUsage(amending())
    for changes, field in (
        ({"usage": usage_pb2.UsageEvent(quantities={"output_tokens": 1})}, "replacement"),
        ({"replacement": "w"}, "replacement.id"),
        ({"reason": "another"}, "reason"),
    ):
        found = await refusal_of(spent.corrections.AmendUsage(amending(**changes)))
        assert (found.reason, found.metadata["field"]) == ("CONFLICT", field)
    [reversal] = await reverse(spent, of("u", request_id="amend"))
    assert (reversal.reason, reversal.field) == ("CONFLICT", "request")


# -- manual adjustments --------------------------------------------------------------------------


def adjusting(amount: int, **changes: Any) -> pb.AdjustBalanceRequest:
    fields = {
        "tenant": TENANT,
        "request_id": f"adjust {amount}",
        "account": "acme",
        "asset": "credit",
        "amount": amount,
        "reason": "goodwill",
        "actor": "mary",
        **changes,
    }
    return pb.AdjustBalanceRequest(**fields)


async def test_units_are_credited_and_debited_by_hand(spent: Served) -> None:
    credit = await spent.corrections.AdjustBalance(adjusting(50))
    assert credit.grant_id and not credit.slices and not credit.given_back
    assert (await spent.balance("acme")).available == "750"
    again = await spent.corrections.AdjustBalance(adjusting(50))
    assert (again.grant_id, again.replayed) == (credit.grant_id, True)
    debit = await spent.corrections.AdjustBalance(adjusting(-720))
    assert sum(piece.amount for piece in debit.slices) == 720
    assert debit.slices[0].grant_id == credit.grant_id, "priority 0 pays first"
    [paid, *_] = (await shown(spent, "u")).slices
    back = await spent.corrections.AdjustBalance(adjusting(100, grant_id=paid.grant_id))
    assert [(each.grant_id, each.amount, each.value) for each in back.given_back] == [
        (paid.grant_id, 100, 10)
    ]
    assert (await spent.balance("acme")).available == "130"
    outcome = await spent.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="adjust 50")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_ADJUST_BALANCE


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"amount": 0}, "AMOUNT_INVALID", "amount"),
        ({"amount": -(2**63)}, "NUMBER_OUT_OF_RANGE", "amount"),
        ({"amount": -701}, "INSUFFICIENT_CREDITS", "amount"),
        ({"reason": ""}, "FIELD_REQUIRED", "reason"),
        ({"actor": ""}, "FIELD_REQUIRED", "actor"),
        ({"asset": "gold"}, "ASSET_UNKNOWN", "asset"),
        ({"grant_id": "grant_x"}, "GRANT_UNKNOWN", "grant_id"),
        ({"expires_at_us": 1}, "EXPIRY_INVALID", "expires_at_us"),
    ],
)
async def test_an_adjustment_that_is_wrong_changes_nothing(
    spent: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    found = await refusal_of(spent.corrections.AdjustBalance(adjusting(**{"amount": 5, **changes})))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert (await spent.balance("acme")).available == "700"
