"""Fixed charges over gRPC: fees of a sandbox whose clock is moved, in books and read models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import charge_pb2 as pb
from ledger.v1 import journal_pb2, payment_pb2, recurring_pb2
from ledger.verify import verify
from rating.v1 import pricing_pb2
from tests.api.served import Served, refusal_of
from tests.api.served import served as serve
from tests.api.test_clock import SANDBOX, advance, shown
from tests.projections.projecting import project

NOW = recurring_pb2.RECURRING_TIMING_NOW
WEEK = recurring_pb2.PERIOD_UNIT_WEEK
ADVANCE, ARREARS = pb.CHARGE_BILLING_ADVANCE, pb.CHARGE_BILLING_ARREARS


async def _filled(caller: Served) -> Served:
    caller.tenant = SANDBOX
    await caller.priced()
    await caller.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    await caller.account("acme")
    return caller


@pytest.fixture
async def sandbox(served: Served) -> Served:
    """A sandbox with an account and two assets."""
    return await _filled(served)


@pytest.fixture
async def stored_sandbox(database: str) -> AsyncIterator[Served]:
    """The same on PostgreSQL, with read models."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            yield await _filled(caller)
    finally:
        await storage.close()


def terms(**changes: Any) -> pb.ChargeTerms:
    """700 a week for each, billed."""
    fields: dict[str, Any] = {
        "product": "seats",
        "asset": "USD",
        "unit_amount": 700,
        "unit": WEEK,
        "cash_only": True,
        **changes,
    }
    return pb.ChargeTerms(**fields)


def start_of(caller: Served, **changes: Any) -> pb.StartChargeRequest:
    fields: dict[str, Any] = {
        "tenant": SANDBOX,
        "request_id": caller.new_id(),
        "account": "acme",
        "name": "seats",
        "terms": terms(),
        "quantity": 10,
        **changes,
    }
    return pb.StartChargeRequest(**fields)


async def start(caller: Served, **changes: Any) -> pb.FixedCharge:
    return (await caller.charges.StartCharge(start_of(caller, **changes))).charge


def about(caller: Served, charge: pb.FixedCharge, **changes: Any) -> dict[str, Any]:
    fields = {"tenant": SANDBOX, "request_id": caller.new_id(), "charge_id": charge.charge_id}
    return fields | changes


async def quantity(
    caller: Served, charge: pb.FixedCharge, many: int, **changes: Any
) -> pb.ChangeQuantityResponse:
    return await caller.charges.ChangeQuantity(
        pb.ChangeQuantityRequest(**about(caller, charge, quantity=many, **changes))
    )


async def get(caller: Served, charge: pb.FixedCharge) -> pb.FixedCharge:
    reply = await caller.charges.GetCharge(
        pb.GetChargeRequest(tenant=SANDBOX, charge_id=charge.charge_id)
    )
    return reply.charge


def unearned(charge: pb.FixedCharge) -> list[tuple[str, int, str]]:
    return [(each.asset, each.scale, each.amount) for each in charge.unearned]


async def owed(caller: Served) -> int:
    reply = await caller.payments.GetOwed(
        payment_pb2.GetOwedRequest(tenant=SANDBOX, account="acme")
    )
    return int(reply.owed[0].unbilled)


async def test_a_charge_from_its_start_to_its_end(sandbox: Served) -> None:
    """Ten seats a week at 7.00; twelve after three days, six after five."""
    began = (await shown(sandbox)).now_us
    charge = await start(sandbox)
    assert (charge.account, charge.name, charge.quantity) == ("acme", "seats", 10)
    assert (charge.version, charge.state) == (1, pb.CHARGE_STATE_ACTIVE)
    assert (charge.terms.scale, charge.terms.every, charge.terms.billing) == (2, 1, ADVANCE)
    assert charge.terms.payer == pb.CHARGE_PAYER_OVERAGE and not charge.HasField("next_terms")
    assert charge.starts_at_us == charge.period_start_us >= began
    assert charge.period_end_us == charge.next_at_us == charge.starts_at_us + 7 * DAY_US
    assert (charge.period, charge.charged, charge.ends_at_us) == (1, 7_000, 0)
    assert unearned(charge) == [("USD", 2, "7000")]
    await advance(sandbox, to_us=charge.starts_at_us + 3 * DAY_US)
    more = await quantity(sandbox, charge, 12, timing=NOW, expected_version=1)
    assert (more.charged, more.charge.charged, more.charge.version) == (800, 7_800, 2)
    await advance(sandbox, to_us=charge.starts_at_us + 5 * DAY_US)
    less = await quantity(sandbox, charge, 6, timing=NOW)
    assert (less.charged, less.charge.charged) == (-1_200, 6_600)
    [left] = less.charge.unearned
    assert int(left.amount) in (1_200, 1_201), "a clock goes on; what is earned is rounded down"
    assert await owed(sandbox) == 6_600
    later = await quantity(sandbox, charge, 1)
    assert (later.charged, later.charge.quantity, later.charge.next_quantity) == (0, 6, 1)
    changed = await sandbox.charges.ChangeTerms(
        pb.ChangeTermsRequest(**about(sandbox, charge, terms=terms(unit_amount=140)))
    )
    assert changed.charge.next_terms.unit_amount == 140
    assert changed.charge.terms.unit_amount == 700
    await advance(sandbox, to_us=charge.starts_at_us + 7 * DAY_US)
    after = await get(sandbox, charge)
    assert (after.period, after.charged, after.quantity) == (2, 140, 1)
    assert unearned(after) == [("USD", 2, "140")] and after.terms.unit_amount == 140
    request = pb.EndChargeRequest(**about(sandbox, charge))
    ended = await sandbox.charges.EndCharge(request)
    assert (ended.ends_at_us, ended.charged) == (after.period_end_us, 0)
    assert ended.charge.state == pb.CHARGE_STATE_ACTIVE and ended.charge.next_at_us == 0
    assert (await sandbox.charges.EndCharge(request)).replayed
    await advance(sandbox, to_us=charge.starts_at_us + 8 * DAY_US)
    now = await sandbox.charges.EndCharge(pb.EndChargeRequest(**about(sandbox, charge, timing=NOW)))
    assert (now.charged, now.charge.state) == (-120, pb.CHARGE_STATE_ENDED)
    assert unearned(now.charge) == [] and await owed(sandbox) == 6_620


async def test_fees_are_listed_from_the_read_models(stored_sandbox: Served, database: str) -> None:
    caller = stored_sandbox
    charge = await start(
        caller, terms=terms(discount=pb.ChargeDiscount(numerator=1, denominator=4))
    )
    late = await start(caller, name="late", terms=terms(billing=ARREARS, product="other"))
    await caller.account("other")
    await advance(caller, to_us=charge.starts_at_us + 7 * DAY_US // 2)
    reply = await quantity(caller, charge, 0, timing=NOW)
    assert reply.charged == -2_625
    await advance(caller, to_us=charge.starts_at_us + 8 * DAY_US)
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings

    async def fees(**fields: Any) -> pb.ListFeesResponse:
        return await caller.charges.ListFees(
            pb.ListFeesRequest(**{"tenant": SANDBOX, "account": "acme", **fields})
        )

    found = (await fees()).fees
    assert [(each.name, each.period, each.amount, each.total) for each in found] == [
        ("seats", 1, 5_250, 5_250),
        ("seats", 1, -2_625, 2_625),
        ("seats", 2, 0, 0),
        ("late", 1, 7_000, 7_000),
    ]
    first, _, _, last = found
    assert (first.charge_id, first.product, first.quantity) == (charge.charge_id, "seats", 10)
    assert (first.asset, first.scale, first.start_us) == ("USD", 2, charge.starts_at_us)
    assert first.end_us == charge.period_end_us and last.charge_id == late.charge_id
    assert (last.effective_at_us, last.product) == (late.period_end_us - 1, "other")
    page = await fees(page_size=3)
    assert len(page.fees) == 3
    rest = await fees(page_size=3, page_token=page.next_page_token)
    assert list(rest.fees) == [last] and not rest.next_page_token
    assert list((await fees(charge_id=late.charge_id)).fees) == [last]
    assert not (await fees(account="other")).fees
    refused = await refusal_of(fees(account="other", charge_id=late.charge_id))
    assert refused.reason == "CHARGE_UNKNOWN"


async def test_charges_are_listed_in_pages(sandbox: Served) -> None:
    started = [await start(sandbox, name=f"c{each}") for each in range(3)]
    request = pb.ListChargesRequest(tenant=SANDBOX, account="acme", page_size=2)
    first = await sandbox.charges.ListCharges(request)
    request.page_token = first.next_page_token
    rest = await sandbox.charges.ListCharges(request)
    assert [*first.charges, *rest.charges] == started and not rest.next_page_token
    await sandbox.account("empty")
    request = pb.ListChargesRequest(tenant=SANDBOX, account="empty")
    assert not (await sandbox.charges.ListCharges(request)).charges


async def test_what_became_of_each_call_is_known(sandbox: Served) -> None:
    charge = await start(sandbox, request_id="start")
    await quantity(sandbox, charge, 3, request_id="quantity")
    await sandbox.charges.ChangeTerms(
        pb.ChangeTermsRequest(**about(sandbox, charge, terms=terms(), request_id="terms"))
    )
    await sandbox.charges.EndCharge(pb.EndChargeRequest(**about(sandbox, charge, request_id="end")))
    for request_id, kind in (
        ("start", "START_CHARGE"),
        ("quantity", "CHANGE_CHARGE_QUANTITY"),
        ("terms", "CHANGE_CHARGE_TERMS"),
        ("end", "END_CHARGE"),
    ):
        outcome = await sandbox.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=SANDBOX, account="acme", request_id=request_id)
        )
        assert outcome.kind == journal_pb2.MutationKind.Value(f"MUTATION_KIND_{kind}")
        assert outcome.resource == charge.charge_id
    again = await quantity(sandbox, charge, 3, request_id="quantity")
    assert again.replayed
    refused = await refusal_of(quantity(sandbox, charge, 4, request_id="quantity"))
    assert refused.reason == "CONFLICT" and refused.metadata["field"] == "quantity"


async def test_all_terms_come_back_as_they_were_given(sandbox: Served) -> None:
    given = terms(
        billing=ARREARS,
        every=2,
        anchor_us=DAY_US,
        zone="Europe/Berlin",
        whole_first=True,
        whole_changes=True,
        payer=pb.CHARGE_PAYER_ACCOUNT,
        discount=pb.ChargeDiscount(amount=5, from_period=2, periods=3),
        trial_periods=1,
        ramp=[
            pb.ChargeRampStep(period=3, unit_amount=7),
            pb.ChargeRampStep(period=4, unit_amount=8),
        ],
    )
    charge = await start(sandbox, terms=given)
    given.scale = 2
    assert charge.terms == given
    once = pb.ChargeTerms(
        product="setup", asset="credit", unit_amount=5, once=True, whole_last=True,
        earned_over_us=DAY_US,
    )  # fmt: skip
    charge = await start(sandbox, name="setup", terms=once, quantity=1)
    once.scale, once.billing, once.payer = 6, ADVANCE, pb.CHARGE_PAYER_OVERAGE
    assert charge.terms == once
    assert charge.ends_at_us == charge.starts_at_us + DAY_US


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"name": ""}, "FIELD_REQUIRED", "name"),
        ({"terms": None}, "FIELD_REQUIRED", "terms"),
        ({"quantity": -1}, "NUMBER_OUT_OF_RANGE", "quantity"),
        ({"terms": terms(product="")}, "FIELD_REQUIRED", "terms.product"),
        ({"terms": terms(asset="gold")}, "ASSET_UNKNOWN", "terms.asset"),
        ({"terms": terms(unit=0)}, "NUMBER_OUT_OF_RANGE", "terms.unit"),
        ({"terms": terms(once=True)}, "NUMBER_OUT_OF_RANGE", "terms.unit"),
        ({"terms": terms(billing=9)}, "NUMBER_OUT_OF_RANGE", "terms.billing"),
        ({"terms": terms(payer=9)}, "NUMBER_OUT_OF_RANGE", "terms.payer"),
        ({"terms": terms(unit_amount=-1)}, "AMOUNT_INVALID", "terms.unit_amount"),
        ({"terms": terms(every=121)}, "PERIOD_INVALID", "terms.every"),
        (
            {"terms": terms(discount=pb.ChargeDiscount(numerator=2, denominator=1))},
            "CHARGE_INVALID",
            "terms.discount.fraction",
        ),
        ({"terms": terms(ramp=[pb.ChargeRampStep()])}, "CHARGE_INVALID", "terms.ramp"),
        ({"terms": terms(unit_amount=2**62), "quantity": 4}, "OVERFLOW", "quantity"),
        ({"starts_at_us": 1}, "START_INVALID", "starts_at_us"),
        ({"ends_at_us": 1}, "END_INVALID", "ends_at_us"),
    ],
)
async def test_what_no_charge_may_be_is_refused(
    sandbox: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    refused = await refusal_of(sandbox.charges.StartCharge(start_of(sandbox, **changes)))
    named = refused.violations[0][0] if refused.violations else refused.metadata["field"]
    assert (refused.reason, named) == (reason, field)


async def test_what_there_is_not_is_refused(sandbox: Served) -> None:
    charge = await start(sandbox)
    taken = await refusal_of(sandbox.charges.StartCharge(start_of(sandbox)))
    assert taken.reason == "CHARGE_NAME_TAKEN"
    unknown = pb.FixedCharge(charge_id="charge_x")
    for call in (quantity(sandbox, unknown, 1), get(sandbox, unknown)):
        assert (await refusal_of(call)).reason == "CHARGE_UNKNOWN"
    stale = await refusal_of(quantity(sandbox, charge, 1, expected_version=7))
    assert stale.reason == "VERSION_MISMATCH"
    await sandbox.charges.EndCharge(pb.EndChargeRequest(**about(sandbox, charge, timing=NOW)))
    assert (await refusal_of(quantity(sandbox, charge, 1))).reason == "CHARGE_ENDED"
    absent = await refusal_of(
        sandbox.charges.ListFees(pb.ListFeesRequest(tenant=SANDBOX, account="acme"))
    )
    assert absent.reason == "READ_MODELS_ABSENT"
