"""A journal that contradicts the books stops whoever folds it (rule B7)."""

from __future__ import annotations

import pytest

from ledger.core.books import BooksUnbalanced
from ledger.core.events import PlanDeclared, Slice, UsageRecorded
from ledger.core.evolve import evolve
from tests.engine.ledger_world import PRICE, World


async def test_no_event_draws_a_grant_below_zero() -> None:
    world = World()
    ledger, entry = await world.funded(amount=10 * PRICE)
    ticket = await ledger.submit(entry, world.usage(ledger, entry, "e1", 4))
    drawn = ticket.outcomes[0]
    assert isinstance(drawn, UsageRecorded)
    state = ledger.writers[0].state
    await ledger.stop()
    state.begin_batch(state.batch_seq + 1, state.recorded_at + 1)
    evolve(state, PlanDeclared("chat", (), ("tokens",), "default", 2, (0,), 1))
    beyond = UsageRecorded(
        b"another-key-....",
        drawn.account,
        drawn.effective_at,
        0,
        (7,),
        (7 * PRICE,),
        drawn.used_book,
        (Slice(drawn.slices[0].pot, drawn.slices[0].book, 7 * PRICE),),
        drawn.period,
    )
    with pytest.raises(BooksUnbalanced, match="beyond its units"):
        evolve(state, beyond)
