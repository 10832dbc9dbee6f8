"""Corners of the core, driven through a whole ledger: overdue pots, caps, identities."""

from __future__ import annotations

import msgspec
import pytest

from ledger.core.catalog import asset_number
from ledger.core.commands import AuthorizeHold, CaptureHold, UpdatePolicy
from ledger.core.decide import execute
from ledger.core.events import AccountPolicy, Event, HoldAuthorized, Overage, UsageRecorded
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.core.outcomes import Reason, Refusal
from ledger.engine.ticket import Replay
from ledger.journal.directory import TENANT_DEFAULT
from tests.engine.ledger_world import CHAT, PRICE, World


async def test_more_overdue_holds_than_a_batch_takes_are_posted_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No decision sees an overdue pot, and no batch outgrows its index."""
    monkeypatch.setattr("ledger.core.due.SETTLED_A_TOUCH_MAX", 2)
    world = World()
    ledger, entry = await world.funded()
    digest = ledger.family(entry)
    holds = [
        AuthorizeHold(digest.request(f"h{n}"), entry.number, CHAT, (1,), MINUTE_US)
        for n in range(5)
    ]
    await ledger.writers[0].submit(holds)
    usage = world.usage(ledger, entry, "e1")
    state = ledger.writers[0].state
    await ledger.stop()
    left = []
    for _ in range(3):
        state.begin_batch(state.batch_seq + 1, state.recorded_at + 2 * MINUTE_US)
        batch: list[Event] = []
        outcome = execute(state, usage, batch)
        left.append(len(state.holds))
        if isinstance(outcome, Refusal):
            assert outcome.reason == Reason.BATCH_FULL
    assert left == [3, 1, 0]
    assert isinstance(outcome, UsageRecorded)


async def test_another_operation_parent_is_another_body() -> None:
    world = World()
    ledger, entry = await world.funded()
    digest = ledger.family(entry)
    first = world.usage(ledger, entry, "e1")
    first.operation = digest.operation("op", "mother")
    await ledger.submit(entry, first)
    again = (await ledger.submit(entry, msgspec.structs.replace(first))).outcomes[0]
    assert isinstance(again, Replay)
    other = msgspec.structs.replace(first, operation=digest.operation("op", "father"))
    refusal = (await ledger.submit(entry, other)).outcomes[0]
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.field) == (Reason.CONFLICT, "operation_parent")
    await ledger.stop()


async def test_a_capture_dated_into_another_month_asks_that_months_cap() -> None:
    """Rule D4: the overage of a month never passes its cap without being marked."""
    world = World()
    ledger, entry = await world.funded(amount=1)
    digest = ledger.family(entry)
    asset = asset_number(TENANT_DEFAULT, 1)
    await ledger.submit(
        entry,
        UpdatePolicy(
            digest.request("policy"),
            entry.number,
            AccountPolicy(overage=Overage.SELF, overage_cap=100 * PRICE, period_grace=35 * DAY_US),
        ),
    )
    last_month = world.clock.now_us() - 30 * DAY_US
    over_limit = 0
    holds = []
    for n in range(3):
        hold = await ledger.submit(
            entry, AuthorizeHold(digest.request(f"h{n}"), entry.number, CHAT, (30,), 0)
        )
        held = hold.outcomes[0]
        assert isinstance(held, HoldAuthorized)
        holds.append(held.hold)
    for n, number in enumerate(holds):
        capture = await ledger.submit(
            entry,
            CaptureHold(
                digest.request(f"c{n}"), entry.number, number, ("tokens",), (60,), last_month
            ),
        )
        captured = capture.outcomes[0]
        assert isinstance(captured, UsageRecorded)
        over_limit += captured.over_limit
    posted = ledger.writers[0].state.accounts[entry.number].overage_posted
    within = sum(amount for (_, _), amount in posted.items())
    assert posted.keys() == {(asset, captured.period)}
    assert within <= 100 * PRICE
    assert over_limit > 0
    await ledger.stop()
