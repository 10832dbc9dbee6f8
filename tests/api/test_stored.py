"""The whole path on a real PostgreSQL, and what survives a restart."""

from __future__ import annotations

from ledger.core.events import AccountPolicy
from ledger.journal.storage import PostgresStorage
from ledger.v1 import account_pb2, decision_pb2, journal_pb2, usage_pb2
from rating.v1 import pricing_pb2
from tests.api import served as api
from tests.api.served import TENANT, compact, event, plain
from tests.api.test_usage import outcomes, results


async def test_everything_is_there_after_a_restart(database: str):
    storage = await PostgresStorage.open(database, 4)
    async with api.served(storage) as caller:
        await caller.priced()
        await caller.account("acme", overdraft_asset="credit", overdraft_limit=50)
        await caller.account("acme/search", "acme")
        grant = (await caller.grant("acme", 5_000)).grant
        await caller.accounts.AssignAlias(
            account_pb2.AssignAliasRequest(
                tenant=TENANT, request_id="r", alias="key-1", account="acme"
            )
        )
        sent = [
            event("a", "key-1", operation="run-1", personal_attributes={"user": "u"}),
            event("b", "acme/search"),
            event("c", "waiting"),
        ]
        first = await caller.usage.Ingest(plain(*sent, park_unknown=True))
        assert outcomes(first) == ["APPLIED", "APPLIED", "QUARANTINED"]
        held = await caller.authorize("key-1", request_id="auth")
        await caller.authorize("acme/search", request_id="denied")
        position = held.position
    await storage.close()

    storage = await PostgresStorage.open(database, 4)
    async with api.served(storage) as caller:
        again = await caller.usage.Ingest(compact(*sent, park_unknown=True))
        assert outcomes(again) == outcomes(first)
        assert [each.replayed for each in results(again)] == [True, True, True]
        assert [each.charge for each in results(again)] == [each.charge for each in first.results]
        authorized = await caller.authorize("key-1", request_id="auth")
        assert (authorized.hold_id, authorized.replayed) == (held.hold_id, True)
        denied = await caller.authorize("acme/search", request_id="denied")
        assert (denied.decision, denied.replayed) == (decision_pb2.DECISION_DENY, True)
        balance = await caller.balance("key-1", min_position=position)
        assert (balance.granted, balance.pending) == ("4400", "600")
        assert balance.grants[0].grant_id == grant.grant_id
        entry = (
            await caller.usage.Get(
                usage_pb2.UsageServiceGetRequest(
                    tenant=TENANT, account="acme", source="gateway", id="a"
                )
            )
        ).entry
        assert (entry.operation, dict(entry.personal_attributes)) == ("run-1", {"user": "u"})
        await caller.account("waiting")
        await caller.server.parking.idle()
        assert (await caller.balance("waiting")).advance == "600"
        cards = await caller.pricing.ListRateCards(pricing_pb2.ListRateCardsRequest(tenant=TENANT))
        assert [version.version for version in cards.versions] == [2]
        trial = await caller.journal.TrialBalance(journal_pb2.TrialBalanceRequest(tenant=TENANT))
        assert trial.balanced
    await storage.close()


async def test_usage_parked_before_a_restart_is_brought_in_at_the_start(database: str):
    """The account appeared, and the process died before it brought the waiting usage in."""
    storage = await PostgresStorage.open(database, 4)
    async with api.served(storage) as caller:
        await caller.priced()
        await caller.ingest(event("a", "late"), park_unknown=True)
        await caller.ledger.create_account(1, "late", None, "create", AccountPolicy())
        assert await caller.ledger.parked.names(1) == {"late": 1}
    await storage.close()
    storage = await PostgresStorage.open(database, 4)
    async with api.served(storage) as caller:
        await caller.server.parking.idle()
        assert (await caller.balance("late")).advance == "600"
        assert await caller.ledger.parked.names(1) == {}
    await storage.close()
