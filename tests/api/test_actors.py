"""Who asked for a change stands in the read models and with what lists it, until it is erased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.projections.scrub import scrub
from ledger.v1 import correction_pb2 as pb
from tests.api.proven import Proven, proven
from tests.api.served import event
from tests.projections.projecting import looking, project


@pytest.fixture
async def asked(database: str, tmp_path: Path) -> AsyncIterator[Proven]:
    """On PostgreSQL, with read models; everybody proves who it is."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with proven(storage, tmp_path / "keys.json", history=History(storage.pool)) as found:
            yield found
    finally:
        await storage.close()


async def test_an_adjustment_says_who_asked_for_it(asked: Proven, database: str) -> None:
    operator, mary = asked.caller(tenant="*", sub="operator"), asked.caller(sub="mary")
    await operator.priced()
    await operator.account("acme")
    await operator.grant("acme", 1_000_000)
    await mary.ingest(event("call-1", "acme"))
    await mary.authorize("acme")
    await mary.corrections.AdjustBalance(
        pb.AdjustBalanceRequest(
            tenant="default", request_id="by hand", account="acme", asset="credit", amount=500,
            reason="an outage", actor="somebody",
        )
    )  # fmt: skip
    reversal = pb.Reversal(
        request_id="back",
        account="acme",
        event=pb.SourceAndId(source="gateway", id="call-1"),
        reason="a test",
    )
    await operator.corrections.ReverseUsage(
        pb.ReverseUsageRequest(tenant="default", reversals=[reversal])
    )
    await project(database)
    listed = await mary.corrections.ListAdjustments(
        pb.ListAdjustmentsRequest(tenant="default", account="acme")
    )
    found = [(each.kind, each.actor) for each in listed.adjustments]
    assert found == [
        (pb.ADJUSTMENT_KIND_MANUAL, "token:mary"),
        (pb.ADJUSTMENT_KIND_REVERSAL, "token:operator"),
    ]
    entry = await asked.ledger.resolve(1, "acme")
    assert entry is not None
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT account, actor FROM projection.entry_actors ORDER BY entry_seq"
        )
        # Opened, granted, adjusted, reversed; not the usage, nor the hold.
        assert [row["actor"].partition(":")[2] for row in rows] == [
            "operator", "operator", "mary", "operator",
        ]  # fmt: skip
        assert {row["account"] for row in rows} == {entry.number}
        storage = asked.ledger.storage
        assert isinstance(storage, PostgresStorage)
        assert await scrub(storage.pool, entry.number) == 5
        assert not await connection.fetchval("SELECT count(*) FROM projection.entry_actors")
    listed = await mary.corrections.ListAdjustments(
        pb.ListAdjustmentsRequest(tenant="default", account="acme")
    )
    assert [each.actor for each in listed.adjustments] == ["", ""]
