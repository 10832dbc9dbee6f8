"""Lives in which everything is asked: of any account and any span of time the read models say
what the journal says (rules T2, H8, D7)."""

from __future__ import annotations

from random import Random

import pytest

from ledger.core import events as e
from ledger.journal.connection import open_pool
from ledger.statements.folding import Folding, Wanted
from ledger.statements.reading import read
from tests.core.core_world import TENANT
from tests.core.replaying import walked
from tests.projections.histories import write_batches
from tests.projections.projecting import project


@pytest.mark.parametrize("seed", range(4))
async def test_any_span_of_any_account(database: str, seed: int) -> None:
    core = walked(seed, 250)
    random = Random(seed)
    await write_batches(core.batches, database)
    await project(database)
    opened = [
        event for _, events in core.batches for event in events
        if isinstance(event, e.AccountCreated)
    ]  # fmt: skip
    times = [at for at, events in core.batches if events]
    pool = await open_pool(database, application_name="test")
    told, wanted = [], []
    try:
        for event in opened:
            for whole in (True, False):
                start, end = sorted((random.choice(times), random.choice(times) + 1))
                async with read(pool, TENANT, 0, event.account) as reading:
                    found = await reading.draft(
                        [], start, end, consolidated=whole, attribute="region"
                    )
                told.append(found)
                wanted.append(Wanted(found.head, event.root, found.head.until, ()))
    finally:
        await pool.close()
    folding = Folding(0, wanted)
    for recorded_at, events in core.batches:
        folding.batch(recorded_at, events)
    for one, again in zip(told, folding.finish(), strict=True):
        assert one == again
