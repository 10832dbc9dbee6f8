"""Subscriptions in tables, over periods, changes and an end, as the journal says (P1, P3)."""

from __future__ import annotations

from ledger.core.commands import CancelSubscription, ChangePackage, Subscribe
from ledger.core.events import OldGrants, Timing
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packaged import (
    Package,
    PackagedGrant,
    PackagedOverage,
    PackagedPolicy,
    PackagedUnit,
)
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import Books, open_books
from tests.projections.projecting import looking, project


async def publish(books: Books, name: str, amount: int) -> int:
    package = Package(
        PackagedUnit.WEEK,
        grants=(PackagedGrant("credits", "CREDIT", amount),),
        policy=PackagedPolicy(overage=PackagedOverage.SELF),
    )
    entry = await books.ledger.publish_package(TENANT_DEFAULT, name, package)
    assert isinstance(entry, ConfigurationEntry), entry
    return entry.version


async def test_tables_of_subscriptions(database: str) -> None:
    async with open_books(database) as books:
        small = await publish(books, "small", 7_000)
        large = await publish(books, "large", 70_000)
        team, left = await books.account("team"), await books.account("left")

        async def ask(account: object, command: object) -> None:
            (outcome,) = await books.ask(account, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        for account in (team, left):
            await ask(account, Subscribe(books.key(account), account.number, "small"))
        await project(database)
        await ask(
            team,
            ChangePackage(
                books.key(team), team.number, "large", Timing.NOW, old_grants=OldGrants.PRORATE
            ),
        )
        await ask(left, CancelSubscription(books.key(left), left.number, Timing.NEXT_PERIOD))
        books.clock.ahead_us += 8 * DAY_US
        await books.use(team, "second week")
        await books.use(left, "over")
        await ask(team, ChangePackage(books.key(team), team.number, "small", Timing.NEXT_PERIOD))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        found = await connection.fetch(
            "SELECT account, package, version, over FROM projection.subscriptions ORDER BY account"
        )
        entries = await connection.fetch(
            "SELECT account, change FROM projection.subscription_entries ORDER BY shard, entry_seq"
        )
    expected = sorted([(team.number, "large", large, False), (left.number, "small", small, True)])
    assert [tuple(row) for row in found] == expected
    changes = {
        account: [row["change"] for row in entries if row["account"] == account]
        for account in (team.number, left.number)
    }
    assert changes == {team.number: [1, 2, 4, 3], left.number: [1, 6, 7]}
