"""Holds of operations over gRPC: reserved once, drawn by calls of any product (rules H1, H4)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from ledger.client import Denied, DrawdownClient, Refused
from ledger.client.sync import DrawdownClient as SyncClient
from ledger.client.sync import Spool
from ledger.core.limits import HOUR_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import budget_pb2, correction_pb2, journal_pb2, types_pb2
from ledger.v1 import decision_pb2 as pb
from tests.api.served import PRODUCT, TENANT, Served, SystemClock, refusal_of, served

TOKENS = {"input_tokens": 100, "output_tokens": 20}  # costs 600


@pytest.fixture
async def funded(priced: Served) -> Served:
    await priced.account("acme")
    await priced.grant("acme", 2_000)
    return priced


def reserving(served: Served, **changes: Any) -> pb.AuthorizeRequest:
    fields = {"account": "acme", "operation": "run", "operation_amount": 1_500, **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.AuthorizeRequest(tenant=TENANT, **fields)


def debiting(served: Served, hold_id: str, **changes: Any) -> pb.DebitRequest:
    fields = {"account": "acme", "product": PRODUCT, "quantities": TOKENS, **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.DebitRequest(tenant=TENANT, hold_id=hold_id, **fields)


async def shown(served: Served, hold_id: str) -> pb.Hold:
    return (await served.decisions.GetHold(pb.GetHoldRequest(tenant=TENANT, hold_id=hold_id))).hold


async def test_debits_and_captures_draw_from_it_and_outcomes_are_told(funded: Served):
    held = await funded.decisions.Authorize(reserving(funded, request_id="r"))
    assert (held.decision, held.amount) == (pb.DECISION_ALLOW, 1_500)
    debited = await funded.decisions.Debit(debiting(funded, held.hold_id, request_id="d"))
    assert (debited.decision, debited.charge) == (pb.DECISION_ALLOW, 600)
    capture = pb.CaptureRequest(
        tenant=TENANT, request_id="c", hold_id=held.hold_id, product=PRODUCT, quantities=TOKENS,
        keep_open=True,
    )  # fmt: skip
    captured = await funded.decisions.Capture(capture)
    assert (captured.charge, captured.hold_left) == (600, 300)
    hold = await shown(funded, held.hold_id)
    assert (hold.covers_operation, hold.product, hold.left, hold.captured) == (True, "", 300, 1_200)
    assert dict(hold.drawn) == {PRODUCT: 1_200} and len(hold.operation_key) == 32
    denied = await funded.decisions.Debit(
        debiting(funded, held.hold_id, request_id="n", quantities={"input_tokens": 300})
    )
    assert (denied.reason, denied.charge, denied.available) == ("INSUFFICIENT_CREDITS", 900, "800")
    again = await funded.decisions.Debit(debiting(funded, held.hold_id, request_id="d"))
    assert again.replayed and again.charge == 600
    for request_id, kind in (
        ("r", journal_pb2.MUTATION_KIND_AUTHORIZE),
        ("d", journal_pb2.MUTATION_KIND_DEBIT),
        ("n", journal_pb2.MUTATION_KIND_DEBIT),
        ("c", journal_pb2.MUTATION_KIND_CAPTURE),
    ):
        outcome = await funded.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert outcome.kind == kind
    released = await funded.decisions.Release(
        pb.ReleaseRequest(tenant=TENANT, request_id="x", hold_id=held.hold_id)
    )
    assert released.released == 300
    settled = await shown(funded, held.hold_id)
    assert (settled.state, dict(settled.drawn)) == (
        types_pb2.HOLD_STATE_RELEASED, {PRODUCT: 1_200},
    )  # fmt: skip


async def test_a_reversal_lowers_the_window_in_which_a_draw_counted():
    """The hold's hour is over: the debit counts now, as a whole, which the journal alone tells."""
    clock = SystemClock()
    async with served(MemoryStorage(clock.now_us, 4), clock) as caller:
        await caller.priced()
        await caller.account("acme")
        await caller.grant("acme", 2_000)
        hourly = types_pb2.Window(kind=types_pb2.WINDOW_KIND_SLIDING, length_us=HOUR_US)
        budget = budget_pb2.Budget(
            name="hourly", measure=budget_pb2.BUDGET_MEASURE_CHARGE, limit=1_000, asset="credit",
            window=hourly,
        )  # fmt: skip
        where = {"tenant": TENANT, "account": "acme"}
        await caller.budgets.Set(
            budget_pb2.BudgetServiceSetRequest(request_id="b", budget=budget, **where)
        )
        held = await caller.decisions.Authorize(
            reserving(caller, operation_amount=100, lifetime_us=23 * HOUR_US)
        )
        clock.ahead_us += 5 * HOUR_US
        await caller.decisions.Debit(debiting(caller, held.hold_id, request_id="d"))
        shown = budget_pb2.BudgetServiceGetRequest(name="hourly", **where)
        assert (await caller.budgets.Get(shown)).budget.used == "600"
        debit = correction_pb2.SourceAndId(id="d")
        reversal = correction_pb2.Reversal(account="acme", request_id="u", event=debit)
        await caller.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(tenant=TENANT, reversals=[reversal])
        )
        assert (await caller.budgets.Get(shown)).budget.used == "0"


async def test_what_a_request_may_not_say(funded: Served):
    for request, reason, field in (
        (reserving(funded, operation=""), "FIELD_REQUIRED", "operation"),
        (reserving(funded, product=PRODUCT), "FIELD_NOT_ALLOWED", "product"),
        (reserving(funded, quantities=TOKENS), "FIELD_NOT_ALLOWED", "quantities"),
        (reserving(funded, operation_amount=-1), "NUMBER_OUT_OF_RANGE", "operation_amount"),
    ):
        refused = await refusal_of(funded.decisions.Authorize(request))
        assert (refused.reason, refused.metadata["field"]) == (reason, field)
    await funded.account("other")
    held = await funded.decisions.Authorize(reserving(funded))
    refused = await refusal_of(
        funded.decisions.Debit(debiting(funded, held.hold_id, account="other"))
    )
    assert refused.reason == "HOLD_UNKNOWN"
    for operation, parent, refuses in (("elsewhere", "", True), ("tool", "run", False)):
        request = debiting(funded, held.hold_id, operation=operation, operation_parent=parent)
        if not refuses:
            assert (await funded.decisions.Debit(request)).charge == 600
            continue
        refused = await refusal_of(funded.decisions.Debit(request))
        assert (refused.reason, refused.metadata["field"]) == ("OPERATION_DIFFERS", "operation")
    work = await funded.decisions.Authorize(
        pb.AuthorizeRequest(
            tenant=TENANT,
            request_id="w",
            account="acme",
            product=PRODUCT,
            quantities={"input_tokens": 10},
        )
    )
    refused = await refusal_of(funded.decisions.Debit(debiting(funded, work.hold_id)))
    assert refused.reason == "HOLD_OTHER_WORK"


async def test_a_client_holds_for_a_block_and_many_callers_draw_what_there_is(funded: Served):
    """200 callers at once: as many as the hold and the account afford, and no more."""
    async with DrawdownClient(funded.address, tenant=TENANT) as client:
        async with client.operation("acme", "run", hold=1_500) as run:
            answers = await asyncio.gather(
                *[run.debit(PRODUCT, {"input_tokens": 5}) for _ in range(200)]
            )
            allowed = [each for each in answers if each.decision == pb.DECISION_ALLOW]
            charge = allowed[0].charge
            assert len(allowed) == 2_000 // charge
            assert {each.reason for each in answers} == {"", "INSUFFICIENT_CREDITS"}
        assert (await shown(funded, run.hold_id)).state == types_pb2.HOLD_STATE_RELEASED
        with pytest.raises(Denied, match="operation more"):
            async with client.operation("acme", "more", hold=2_000):
                pass


@pytest.mark.parametrize("how", ["debit", "meter", "authorize"])
async def test_a_call_of_a_block_is_below_the_operation_of_the_block(funded: Served, how: str):
    """Not above it: a budget of the call's operation does not cover the whole one."""
    measure = budget_pb2.BUDGET_MEASURE_CHARGE
    limit = budget_pb2.Budget(measure=measure, asset="credit", limit=700)
    async with DrawdownClient(funded.address, tenant=TENANT) as client:
        tool = await client.set_operation_budget("acme", "tool", limit)
        async with client.operation("acme", "run", hold=1_500) as run:
            await getattr(run, how)(PRODUCT, TOKENS, operation="tool")
            found = await client.get_operation_budget("acme", "tool")
            assert found.operation_key == tool.operation_key
            with pytest.raises(Refused, match="run"):
                await client.get_operation_budget("acme", "run")
            assert (await run.debit(PRODUCT, TOKENS)).decision == pb.DECISION_ALLOW


async def test_the_same_without_await(funded: Served):
    def act() -> str:
        with SyncClient(funded.address, tenant=TENANT) as client:
            with client.operation("acme", "run", hold=1_500) as run:
                assert run.decision is not None and run.decision.amount == 1_500
                assert run.debit(PRODUCT, TOKENS).charge == 600
                assert run.meter(PRODUCT, TOKENS, operation="tool").hold_left == 300
            return run.hold_id

    hold_id = await asyncio.to_thread(act)
    assert (await shown(funded, hold_id)).captured == 1_200


def holding(served: Served, hold_id: str, **changes: Any) -> pb.AuthorizeRequest:
    fields = {"account": "acme", "product": PRODUCT, "quantities": TOKENS, **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.AuthorizeRequest(tenant=TENANT, hold_id=hold_id, **fields)


async def test_a_calls_hold_is_a_part_of_it_and_outcomes_are_told(funded: Served):
    whole = await funded.decisions.Authorize(reserving(funded))
    request = holding(funded, whole.hold_id, request_id="h", operation="tool")
    request.operation_parent = "run"
    held = await funded.decisions.Authorize(request)
    assert (held.decision, held.amount) == (pb.DECISION_ALLOW, 600)
    assert (await shown(funded, whole.hold_id)).left == 900
    part = await shown(funded, held.hold_id)
    assert (part.operation_hold_id, part.product, part.left) == (whole.hold_id, PRODUCT, 600)
    again = await funded.decisions.Authorize(request)
    assert again.replayed and again.hold_id == held.hold_id
    other = pb.AuthorizeRequest()
    other.CopyFrom(request)
    other.hold_id = ""
    refused = await refusal_of(funded.decisions.Authorize(other))
    assert (refused.reason, refused.metadata["field"]) == ("CONFLICT", "hold_id")
    captured = await funded.decisions.Capture(
        pb.CaptureRequest(
            tenant=TENANT, request_id="c", hold_id=held.hold_id, quantities={"input_tokens": 50}
        )
    )
    assert (captured.charge, captured.released) == (150, 450)
    after = await shown(funded, whole.hold_id)
    assert (after.left, dict(after.drawn)) == (1_350, {PRODUCT: 150})
    denied = await funded.decisions.Authorize(
        holding(funded, whole.hold_id, request_id="n", quantities={"input_tokens": 1_000})
    )
    assert (denied.reason, denied.available) == ("INSUFFICIENT_CREDITS", "1850")
    for request_id, hold in (("h", held.hold_id), ("n", "")):
        outcome = await funded.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert outcome.kind == journal_pb2.MUTATION_KIND_AUTHORIZE
        assert outcome.authorize.hold_id == hold


async def test_what_a_calls_hold_may_not_be(funded: Served):
    whole = (await funded.decisions.Authorize(reserving(funded))).hold_id
    await funded.account("other")
    for request, reason, field in (
        (holding(funded, whole, account="other"), "HOLD_UNKNOWN", "hold_id"),
        (holding(funded, whole, operation="elsewhere"), "OPERATION_DIFFERS", "operation"),
        (holding(funded, whole, sizing=pb.SIZING_LEARNED), "FIELD_NOT_ALLOWED", "sizing"),
        (holding(funded, whole, quote_id="quote_AAEAAAAAAAAAAQ"), "FIELD_NOT_ALLOWED", "hold_id"),
        (reserving(funded, hold_id=whole), "FIELD_NOT_ALLOWED", "hold_id"),
    ):
        refused = await refusal_of(funded.decisions.Authorize(request))
        assert (refused.reason, refused.metadata["field"]) == (reason, field)


async def test_a_block_of_a_call_holds_of_its_operations(funded: Served):
    """Callers at once get what the operation and the account afford, and give back what is left."""
    async with DrawdownClient(funded.address, tenant=TENANT) as client:
        async with client.operation("acme", "run", hold=1_500) as run:

            async def call() -> int:
                estimate = {"input_tokens": 100}  # 300 of 2,000
                with contextlib.suppress(Denied):
                    async with run.metered(PRODUCT, estimate=estimate, operation="tool") as one:
                        await asyncio.sleep(0)
                        one.add(input_tokens=10)
                    return 1
                return 0

            ran = sum(await asyncio.gather(*[call() for _ in range(20)]))
            assert 6 <= ran <= 20
            hold = await shown(funded, run.hold_id)
            drawn = hold.drawn[PRODUCT]  # what a call has held of the account itself is not of it
            assert (hold.left, drawn) == (1_500 - drawn, min(drawn, 30 * ran))
            balance = await funded.balance("acme")
            assert balance.available == str(500 - (30 * ran - drawn))
            held = await run.authorize(PRODUCT, {"input_tokens": 10})
            assert (await shown(funded, held.hold_id)).operation_hold_id == run.hold_id
        assert (await shown(funded, held.hold_id)).state == types_pb2.HOLD_STATE_OPEN
        await client.release(held.hold_id)


async def test_a_block_of_a_call_without_await(funded: Served, tmp_path: Path):
    def act() -> str:
        with SyncClient(funded.address, tenant=TENANT, source="test") as client:
            with client.operation("acme", "run", hold=1_500) as run:
                with Spool(client, tmp_path) as spool:
                    guarded = client.guard(spool).metered(
                        "acme", PRODUCT, estimate=TOKENS, of=run, operation="tool"
                    )
                    with guarded:
                        guarded.add(input_tokens=20)
                with run.metered(PRODUCT, estimate=TOKENS) as call:
                    call.add(input_tokens=10)
                assert client.release(run.authorize(PRODUCT, TOKENS).hold_id).released == 600
            return run.hold_id

    hold_id = await asyncio.to_thread(act)
    assert dict((await shown(funded, hold_id)).drawn) == {PRODUCT: 90}


def checking(hold_id: str, **changes: Any) -> dict[str, Any]:
    fields = {"account": "acme", "product": PRODUCT, "quantities": TOKENS, **changes}
    return {"tenant": TENANT, "hold_id": hold_id, **fields}


async def test_advice_with_a_hold_says_what_authorize_would(funded: Served):
    """500 are free beside the 1,500 of the run: 600 of its units, 1,800 of both, 2,100 of neither;
    nothing is drawn."""
    whole = (await funded.decisions.Authorize(reserving(funded))).hold_id
    work = []
    for tokens, decision, charge, from_hold in (
        (200, pb.DECISION_ALLOW, 600, 600),
        (600, pb.DECISION_ALLOW, 1_800, 1_500),
        (700, pb.DECISION_DENY, 2_100, 1_500),
    ):
        quantities = {"input_tokens": tokens}
        found = await funded.decisions.Check(
            pb.CheckRequest(**checking(whole, quantities=quantities))
        )
        assert (found.decision, found.charge, found.from_hold) == (decision, charge, from_hold)
        assert found.available == "2000"
        why = await funded.decisions.ExplainDecision(
            pb.ExplainDecisionRequest(**checking(whole, quantities=quantities))
        )
        why.decision.retry_after_us = found.retry_after_us  # which runs on
        assert why.decision == found
        step = why.hold
        assert (step.hold_id, step.left, step.gives, step.withheld) == (whole, 1_500, from_hold, "")
        beyond = min(charge - from_hold, 500)
        assert [pot.gives for pot in why.pots] == [beyond, 0, 0]
        assert any(line.startswith(f"  hold {whole} has ") for line in why.words)
        work.append(pb.WorkToCheck(product=PRODUCT, quantities=quantities))
    asked = pb.CheckManyRequest(tenant=TENANT, accounts=["acme"], work=work, hold_id=whole)
    many = await funded.decisions.CheckMany(asked)
    assert list(many.from_hold) == [600, 1_500, 1_500]
    assert [many.reason_names[each] for each in many.reasons] == ["", "", "INSUFFICIENT_CREDITS"]
    assert (await shown(funded, whole)).left == 1_500
    alone = await funded.decisions.Check(pb.CheckRequest(**checking("")))
    assert (alone.reason, alone.available, alone.from_hold) == ("INSUFFICIENT_CREDITS", "500", 0)


async def test_what_advice_with_a_hold_may_not_be(funded: Served):
    whole = (await funded.decisions.Authorize(reserving(funded))).hold_id
    over = (await funded.decisions.Authorize(reserving(funded, operation_amount=10))).hold_id
    call = (await funded.decisions.Authorize(holding(funded, whole))).hold_id
    await funded.decisions.Release(
        pb.ReleaseRequest(tenant=TENANT, request_id="over", hold_id=over)
    )
    await funded.account("other")
    work = [pb.WorkToCheck(product=PRODUCT, quantities=TOKENS)]
    for changes, reason, field in (
        ({"account": "other"}, "HOLD_UNKNOWN", "hold_id"),
        ({"operation": "elsewhere"}, "OPERATION_DIFFERS", "operation"),
        ({"sizing": pb.SIZING_LEARNED}, "FIELD_NOT_ALLOWED", "sizing"),
        ({"hold_id": over}, "HOLD_SETTLED", "hold_id"),
        ({"hold_id": call}, "HOLD_OTHER_WORK", "hold_id"),
        ({"hold_id": "hold_x"}, "HOLD_UNKNOWN", "hold_id"),
    ):
        fields = {**checking(whole), **changes}
        for request, method in (
            (pb.CheckRequest(**fields), funded.decisions.Check),
            (pb.ExplainDecisionRequest(**fields), funded.decisions.ExplainDecision),
        ):
            refused = await refusal_of(method(request))
            assert (refused.reason, refused.metadata["field"]) == (reason, field)
        asked = pb.CheckManyRequest(
            tenant=TENANT, accounts=[fields["account"]], work=work, hold_id=fields["hold_id"],
            operation=changes.get("operation", ""),
        )  # fmt: skip
        if changes.get("sizing"):
            asked.work[0].sizing = pb.SIZING_LEARNED
        if changes.get("sizing") or fields["hold_id"] == "hold_x":
            assert (await refusal_of(funded.decisions.CheckMany(asked))).reason == reason
            continue
        many = await funded.decisions.CheckMany(asked)
        assert [many.reason_names[each] for each in many.reasons] == [reason]
        assert list(many.from_hold) == [0]
    both = pb.CheckManyRequest(tenant=TENANT, accounts=["acme", "other"], work=work, hold_id=whole)
    refused = await refusal_of(funded.decisions.CheckMany(both))
    assert (refused.reason, refused.metadata["field"]) == ("FIELD_NOT_ALLOWED", "hold_id")


async def test_a_block_asks_for_advice_with_its_hold(funded: Served):
    def act() -> None:
        work = [pb.WorkToCheck(product=PRODUCT, quantities=TOKENS)]
        with (
            SyncClient(funded.address, tenant=TENANT) as client,
            client.operation("acme", "run", hold=1_500) as run,
        ):
            found = run.check(PRODUCT, {"input_tokens": 600}, operation="tool")
            assert (found.charge, found.from_hold) == (1_800, 1_500)
            why = client.explain_decision("acme", PRODUCT, TOKENS, hold_id=run.hold_id)
            assert why.hold.gives == 600
            many = client.check_many(["acme"], work, hold_id=run.hold_id)
            assert list(many.from_hold) == [600]

    await asyncio.to_thread(act)


async def test_a_budget_is_told_what_of_the_work_pends_there_already(funded: Served):
    """A budget of 1,700, of which 1,500 are held: of 1,800 asked for 300 have to find room."""
    await funded.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT, request_id=funded.new_id(), account="acme",
            budget=budget_pb2.Budget(
                name="all", measure=budget_pb2.BUDGET_MEASURE_CHARGE, limit=1_700, asset="credit"
            ),
        )
    )  # fmt: skip
    whole = (await funded.decisions.Authorize(reserving(funded))).hold_id
    for tokens, allows in ((500, True), (600, False)):
        why = await funded.decisions.ExplainDecision(
            pb.ExplainDecisionRequest(**checking(whole, quantities={"input_tokens": tokens}))
        )
        [step] = why.budgets
        assert (step.held, step.counts, step.pends, step.left) == (1_500, 3 * tokens, 1_500, 200)
        assert step.allows is allows
        assert why.decision.reason == ("" if allows else "BUDGET_EXCEEDED")
    assert "200 of 1700 left, 1800 asked for, 1500 of it held already, refuses" in why.words[-2]
