"""Fixed charges in tables, over periods, changes and ends, as the journal says (S1, B4, H8)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ledger.core.commands import ChangeQuantity, ChangeTerms, EndCharge, StartCharge
from ledger.core.events import (
    AccountPolicy,
    ChargeBilling,
    ChargePayer,
    ChargeStarted,
    ChargeTerms,
    Overage,
    PeriodUnit,
    Proration,
    Timing,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.projections.rebuild import rebuild
from ledger.verify import verify
from tests.projections.books import MONEY, Books, open_books
from tests.projections.projecting import looking, project

WEEKLY = ChargeTerms(
    "seats",
    MONEY,
    700,
    ChargeBilling.ADVANCE,
    PeriodUnit.WEEK,
    1,
    0,
    "",
    Proration.BOTH,
    True,
    True,
    ChargePayer.OVERAGE,
)
ONCE = replace(WEEKLY, product="setup", every=0, earned_over=30 * DAY_US)
LATE = replace(WEEKLY, billing=ChargeBilling.ARREARS)


async def ask(books: Books, account: Any, command: Any) -> Any:
    (outcome,) = await books.ask(account, command)
    assert not isinstance(outcome, Refusal), outcome
    return outcome


async def test_tables_of_charges(database: str) -> None:
    """A week in advance and a second, one in arrears, one fee once; a child bills its parent."""
    async with open_books(database) as books:
        house = await books.account("house", policy=AccountPolicy(overage=Overage.SELF))
        team = await books.account("team", "house", AccountPolicy(overage=Overage.PARENT))

        async def start(name: str, terms: ChargeTerms, quantity: int) -> int:
            command = StartCharge(books.key(team), team.number, name, terms, quantity)
            started = await ask(books, team, command)
            assert isinstance(started, ChargeStarted)
            return started.charge

        seats, late = await start("seats", WEEKLY, 10), await start("late", LATE, 1)
        await start("setup", ONCE, 3)
        await project(database)
        change = ChangeQuantity(books.key(team), team.number, seats, 0, Timing.NOW)
        await ask(books, team, change)
        change = ChangeQuantity(books.key(team), team.number, seats, 2, Timing.NEXT_PERIOD)
        await ask(books, team, change)
        dearer = ChangeTerms(books.key(team), team.number, seats, replace(WEEKLY, unit_amount=900))
        await ask(books, team, dearer)
        books.clock.ahead_us += 8 * DAY_US
        await books.use(team, "second week")
        end = EndCharge(books.key(team), team.number, late, Timing.NEXT_PERIOD)
        await ask(books, team, end)
        owed = books.ledger.writers[house.shard].state.accounts[house.number].overage[MONEY].owed
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    for again in (False, True):
        if again:
            await rebuild(database)
        async with looking(database) as connection:
            fees = await connection.fetch(
                "SELECT product, charge, period, quantity, amount, total FROM projection.fee_lines "
                "ORDER BY entry_seq"
            )
            changes = await connection.fetch(
                "SELECT charge, change, quantity, period FROM projection.charge_entries "
                "ORDER BY entry_seq"
            )
            stand = await connection.fetch(
                "SELECT name, quantity, period, ends_at IS NULL FROM projection.fixed_charges "
                "ORDER BY charge"
            )
            drawn = await connection.fetchrow(
                "SELECT account, sum(amount) FROM projection.overage_draws "
                "WHERE payer = $1 AND asset = $2 GROUP BY account",
                house.number,
                MONEY,
            )
        assert [tuple(row) for row in fees] == [
            ("seats", 1, 1, 10, 7_000, 7_000),
            ("setup", 3, 1, 3, 2_100, 2_100),
            ("seats", 1, 1, 0, -7_000, 0),
            ("seats", 1, 2, 2, 1_800, 1_800),
            ("seats", 2, 1, 1, 700, 700),
        ]
        assert [tuple(row) for row in changes] == [
            (1, 1, 10, None),
            (1, 2, 10, 1),
            (2, 1, 1, None),
            (2, 2, 1, 1),
            (3, 1, 3, None),
            (3, 2, 3, 1),
            (1, 3, 0, None),
            (1, 4, 2, None),
            (1, 5, None, None),
            (1, 2, 2, 2),
            (2, 2, 1, 2),
            (2, 7, None, None),
        ]
        assert [tuple(row) for row in stand] == [
            ("seats", 2, 2, True),
            ("late", 1, 2, False),
            ("setup", 3, 1, True),
        ]
        assert tuple(drawn) == (team.number, owed)


async def test_a_wrong_fee_in_the_tables_is_found(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("team")
        begun = StartCharge(books.key(team), team.number, "seats", WEEKLY, 10)
        await ask(books, team, begun)
    await project(database)
    async with looking(database) as connection:
        await connection.execute("UPDATE projection.fee_lines SET amount = amount + 1")
    report = await verify(database)
    assert [each.what for each in report.findings] == ["fixed charge 1, charged"]
