"""Subscriptions in tables, over periods, changes and an end, as the journal says (P1, P3)."""

from __future__ import annotations

from ledger.core.commands import CancelSubscription, ChangePackage, Subscribe
from ledger.core.events import OldGrants, Timing
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import (
    Package,
    PackagedGrant,
    PackagedOverage,
    PackagedPolicy,
    PackagedUnit,
)
from ledger.core.packages.packaged_charges import PackagedCharge
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


async def test_tables_of_their_charges(database: str) -> None:
    """Rules P1, P3, S1: begun, otherwise within the period, ended; fees add up as charged."""

    def sold(amount: int, quantity: int) -> Package:
        fee = PackagedCharge("base", "plan", "USD", amount, quantity, cash_only=True)
        return Package(PackagedUnit.WEEK, charges=(fee,))

    async with open_books(database) as books:
        for name, amount, quantity in (("small", 700, 1), ("large", 1_400, 2)):
            made = await books.ledger.publish_package(TENANT_DEFAULT, name, sold(amount, quantity))
            assert isinstance(made, ConfigurationEntry), made
        team = await books.account("team")

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(team, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        await ask(Subscribe(books.key(team), team.number, "small"))
        await project(database)
        books.clock.ahead_us += DAY_US
        await ask(ChangePackage(books.key(team), team.number, "large", Timing.NOW))
        books.clock.ahead_us += 7 * DAY_US
        await books.use(team, "second week")
        await ask(CancelSubscription(books.key(team), team.number, Timing.NOW))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        charges = await connection.fetch(
            "SELECT name, quantity, period, ends_at IS NOT NULL FROM projection.fixed_charges"
        )
        entries = await connection.fetch(
            "SELECT change FROM projection.charge_entries ORDER BY entry_seq"
        )
        fees = await connection.fetch(
            "SELECT period, quantity, amount > 0, total FROM projection.fee_lines"
            " ORDER BY entry_seq"
        )
    assert [tuple(row) for row in charges] == [("base", 2, 2, True)]
    assert [row["change"] for row in entries] == [1, 2, 8, 2, 6]
    assert [tuple(row)[:3] for row in fees] == [
        (1, 1, True),
        (1, 2, True),
        (2, 2, True),
        (2, 2, False),
    ]
    # The first week: a day of 700, six of 2,800; then a day of 2,800; but for the moments between.
    assert [fees[0]["total"], fees[2]["total"]] == [700, 2_800]
    assert 2_490 <= fees[1]["total"] <= 2_500 and 400 <= fees[3]["total"] <= 410
