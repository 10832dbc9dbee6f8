"""Bad input to the credit model over gRPC: a stable reason, the field, nothing changed anywhere.

The same list at the core: `tests/core/test_bad_input.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ledger.core.digest import snapshot
from ledger.core.limits import DAY_US, INT64_MAX
from ledger.v1 import (
    commitment_pb2,
    correction_pb2,
    decision_pb2,
    grant_pb2,
    payment_pb2,
    top_up_pb2,
    types_pb2,
)
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

CLOCK = ("batch_seq", "recorded_at")  # a writer that was only asked may have moved to a new batch


@dataclass
class World:
    """`acme` with a grant, a released hold, a void grant, used and reversed usage."""

    caller: Served
    now: int
    hold: str = ""
    void: str = ""
    refunded: str = ""
    segment: str = ""
    open: str = ""
    reversal: int = 0

    async def made(self) -> World:
        caller = self.caller
        await caller.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
        await caller.account("acme")
        paid = {"price_paid": 100, "price_asset": "USD"}
        await caller.grant("acme", 10_000, request_id="taken", **paid)
        self.hold = (await caller.authorize("acme")).hold_id
        await caller.decisions.Release(self.of(decision_pb2.ReleaseRequest, hold_id=self.hold))
        self.void = (await caller.grant("acme", 5)).grant.grant_id
        await caller.grants.Void(self.of(grant_pb2.GrantServiceVoidRequest, grant_id=self.void))
        self.refunded = (await caller.grant("acme", 10, **paid)).grant.grant_id
        await caller.payments.Refund(self.of(payment_pb2.RefundRequest, grant_id=self.refunded))
        await caller.ingest(event("u", "acme"), event("w", "acme"))
        self.reversal = (await self.reverse("w")).entry_seq
        self.open = (await caller.authorize("acme")).hold_id
        created = await caller.commitments.Create(
            self.commitment([(0, 30, 10)], kind=types_pb2.GRANT_KIND_PREPAID)
        )
        self.segment = created.commitment.segments[0].grant_id
        return self

    def of(self, request: Any, **fields: Any) -> Any:
        return request(**{"tenant": TENANT, "request_id": self.caller.new_id(), **fields})

    def commitment(
        self, segments: list[tuple[int, int, int]], kind: int = types_pb2.GRANT_KIND_POSTPAID
    ) -> Any:
        return self.of(
            commitment_pb2.CommitmentServiceCreateRequest,
            account="acme",
            terms=commitment_pb2.CommitmentTerms(kind=kind, asset="credit", price_asset="USD"),
            segments=[
                commitment_pb2.CommitmentSegment(
                    starts_at_us=self.now + start * DAY_US if start else 0,
                    ends_at_us=self.now + end * DAY_US,
                    amount=amount,
                    price=1,
                )
                for start, end, amount in segments
            ],
        )

    async def reverse(self, of: str, **fields: Any) -> correction_pb2.ReversalResult:
        named = {"event": correction_pb2.SourceAndId(source="gateway", id=of)}
        reversal = {"request_id": self.caller.new_id(), "account": "acme", **named, **fields}
        reply = await self.caller.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(
                tenant=TENANT, reversals=[correction_pb2.Reversal(**reversal)]
            )
        )
        [result] = reply.results
        return result

    async def rule(self, **fields: Any) -> Any:
        rule = {
            "asset": "credit",
            "threshold": 10,
            "price_numerator": 1,
            "price_denominator": 1,
            "price_asset": "USD",
            "source": "card",
            "requests_max": 3,
            "window_us": DAY_US,
            **fields,
        }
        return await self.caller.top_ups.SetRule(
            self.of(
                top_up_pb2.TopUpServiceSetRuleRequest,
                account="acme",
                rule=top_up_pb2.TopUpRule(**rule),
            )
        )

    def unchanged(self) -> list[Any]:
        """All that the shards know, but for their clocks."""
        found = []
        for writer in self.caller.ledger.writers:
            whole = snapshot(writer.state)
            found.append({name: part for name, part in whole.items() if name not in CLOCK})
        return found


def rolls(numerator: int, denominator: int) -> types_pb2.Rollover:
    return types_pb2.Rollover(numerator=numerator, denominator=denominator)


Case = Callable[[World], Awaitable[Any]]
CASES: dict[str, tuple[Case, str, str]] = {
    "a key with another body": (
        lambda w: w.caller.grant("acme", 7, request_id="taken"),
        "CONFLICT",
        "amount",
    ),
    "expiry before effective": (
        lambda w: w.caller.grant(
            "acme", 7, effective_at_us=w.now + 2 * DAY_US, expires_at_us=w.now + DAY_US
        ),
        "EXPIRY_INVALID",
        "expires_at_us",
    ),
    "expiry as it takes effect": (
        lambda w: w.caller.grant(
            "acme", 7, effective_at_us=w.now + DAY_US, expires_at_us=w.now + DAY_US
        ),
        "EXPIRY_INVALID",
        "expires_at_us",
    ),
    "overlapping segments": (
        lambda w: w.caller.commitments.Create(w.commitment([(0, 9, 5), (8, 20, 5)])),
        "SEGMENTS_OVERLAP",
        "segments[1].starts_at_us",
    ),
    "a target and an amount": (
        lambda w: w.rule(target=20, amount=5),
        "TOP_UP_RULE_INVALID",
        "rule.amount",
    ),
    "a fraction above 1": (
        lambda w: w.caller.grant("acme", 7, expires_at_us=w.now + DAY_US, rollover=rolls(3, 2)),
        "ROLLOVER_INVALID",
        "rollover.fraction",
    ),
    "a fraction below 0": (
        lambda w: w.caller.grant("acme", 7, expires_at_us=w.now + DAY_US, rollover=rolls(-1, 2)),
        "NUMBER_OUT_OF_RANGE",
        "rollover.numerator",
    ),
    "a capture of a released hold": (
        lambda w: w.caller.decisions.Capture(
            w.of(decision_pb2.CaptureRequest, hold_id=w.hold, quantities={"input_tokens": 1})
        ),
        "HOLD_SETTLED",
        "hold_id",
    ),
    "a release of a released hold": (
        lambda w: w.caller.decisions.Release(w.of(decision_pb2.ReleaseRequest, hold_id=w.hold)),
        "HOLD_SETTLED",
        "hold_id",
    ),
    "a second void": (
        lambda w: w.caller.grants.Void(w.of(grant_pb2.GrantServiceVoidRequest, grant_id=w.void)),
        "GRANT_SETTLED",
        "grant_id",
    ),
    "a refund of what was refunded": (
        lambda w: w.caller.payments.Refund(w.of(payment_pb2.RefundRequest, grant_id=w.refunded)),
        "REFUND_TOO_LARGE",
        "units",
    ),
    "a refund of what is yet to be paid": (
        lambda w: w.caller.payments.Refund(w.of(payment_pb2.RefundRequest, grant_id=w.segment)),
        "NOT_PAID",
        "grant_id",
    ),
    "a debit of a grant with nothing left": (
        lambda w: w.caller.corrections.AdjustBalance(
            w.of(
                correction_pb2.AdjustBalanceRequest,
                account="acme",
                asset="credit",
                amount=-1,
                grant_id=w.refunded,
                reason="r",
                actor="a",
            )
        ),
        "INSUFFICIENT_CREDITS",
        "amount",
    ),
    "an account above itself": (
        lambda w: w.caller.account("ring", parent="ring"),
        "PARENT_UNKNOWN",
        "parent",
    ),
    "a charge beyond 64 bits": (
        lambda w: w.caller.authorize("acme", quantities={"input_tokens": INT64_MAX}),
        "OVERFLOW",
        "quantities",
    ),
    "usage before the window": (
        lambda w: w.caller.decisions.Capture(
            w.of(
                decision_pb2.CaptureRequest,
                hold_id=w.open,
                quantities={"input_tokens": 1},
                effective_at_us=w.now - 40 * DAY_US,
            )
        ),
        "TOO_OLD",
        "effective_at_us",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_refusal_names_its_reason_and_changes_nothing(priced: Served, name: str) -> None:
    ask, reason, field = CASES[name]
    world = await World(priced, priced.ledger.clock.now_us()).made()
    before = world.unchanged()
    found = await refusal_of(ask(world))
    assert (found.reason, found.metadata["field"]) == (reason, field), found
    assert found.message
    assert world.unchanged() == before


REVERSALS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a reversal of a reversal": ("reversed", {}, "NOT_REVERSIBLE", "entry"),
    "more than the event": ("u", {"as_charged": 601}, "CORRECTION_TOO_LARGE", "as_charged"),
    "what was reversed whole": ("w", {}, "CORRECTION_TOO_LARGE", "quantities"),
    "more of a quantity": (
        "u",
        {"quantities": {"input_tokens": 101}},
        "CORRECTION_TOO_LARGE",
        "quantities",
    ),
}


@pytest.mark.parametrize("name", REVERSALS)
async def test_a_reversal_that_makes_no_sense_changes_nothing(priced: Served, name: str) -> None:
    of, fields, reason, field = REVERSALS[name]
    world = await World(priced, priced.ledger.clock.now_us()).made()
    before = world.unchanged()
    if of == "reversed":
        fields = {"entry": correction_pb2.EntryRef(entry_seq=world.reversal), "event": None}
    found = await world.reverse(of, **fields)
    assert found.outcome == correction_pb2.CORRECTION_OUTCOME_REFUSED
    assert (found.reason, found.field) == (reason, field)
    assert world.unchanged() == before
