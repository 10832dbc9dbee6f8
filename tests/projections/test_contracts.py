"""Contracts and phases in tables, as the journal says (rules P4, P5)."""

from __future__ import annotations

import json

from ledger.core.commands import AmendContract, EndContract, SignContract, Subscribe
from ledger.core.events import (
    CommitmentTerms,
    Committed,
    ContractRollover,
    GrantKind,
    Segment,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package, PackagedGrant, PackagedUnit, Phase
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import CREDIT, MONEY, open_books
from tests.projections.projecting import looking, project


async def test_tables_of_contracts(database: str) -> None:
    async with open_books(database) as books:
        package = Package(
            PackagedUnit.WEEK,
            grants=(PackagedGrant("credits", "CREDIT", 7_000),),
            phases=(Phase("trial", days=3), Phase("ramp", periods=1)),
        )
        entry = await books.ledger.publish_package(TENANT_DEFAULT, "plan", package)
        assert isinstance(entry, ConfigurationEntry), entry
        team, left = await books.account("team"), await books.account("left")

        async def ask(account: object, command: object) -> None:
            (outcome,) = await books.ask(account, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        now = books.clock.now_us()
        await ask(
            team,
            SignContract(
                books.key(team), team.number, "first", "plan", 0, 0, now + 5 * DAY_US, (), 1
            ),
        )
        await ask(
            team,
            SignContract(
                books.key(team), team.number, "later", "plan", 0, now + 40 * DAY_US,
                now + 50 * DAY_US,
            ),
        )  # fmt: skip
        await ask(left, Subscribe(books.key(left), left.number, "plan"))
        await project(database)
        await ask(
            team, AmendContract(books.key(team), team.number, "first", ends_at=now + 6 * DAY_US)
        )
        books.clock.ahead_us += 7 * DAY_US
        await books.use(team, "second term")
        await books.use(left, "in the ramp")
        await ask(team, EndContract(books.key(team), team.number, "later"))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        found = await connection.fetch(
            "SELECT contract, state, auto_renew, ends_at - starts_at AS length "
            "FROM projection.contracts ORDER BY contract"
        )
        changes = await connection.fetch(
            "SELECT contract, change FROM projection.contract_entries ORDER BY entry_seq"
        )
        phases = await connection.fetch(
            "SELECT phase, periods FROM projection.package_phases WHERE account = $1 "
            "ORDER BY entry_seq",
            left.number,
        )
    assert [(row["contract"], row["state"], row["auto_renew"]) for row in found] == [
        ("first", 2, True),
        ("later", 3, False),
    ]
    assert 11 * DAY_US < found[0]["length"] <= 12 * DAY_US
    assert [tuple(row) for row in changes] == [
        ("first", 1), ("first", 2), ("later", 1), ("first", 3), ("first", 4), ("later", 5),
    ]  # fmt: skip
    assert [tuple(row) for row in phases] == [("trial", 1), ("ramp", 1)]


async def test_tables_of_what_rolls_over(database: str) -> None:
    """Rules P5, T3: the segment of the next term, of what was left, and where it came from."""
    async with open_books(database) as books:
        entry = await books.ledger.publish_package(TENANT_DEFAULT, "plan", Package())
        assert isinstance(entry, ConfigurationEntry), entry
        team = await books.account("team")
        terms = CommitmentTerms(GrantKind.POSTPAID, CREDIT, MONEY, 0, ())
        end = books.clock.now_us() + 5 * DAY_US
        sign = SignContract(
            books.key(team),
            team.number,
            "deal",
            "plan",
            0,
            0,
            end,
            auto_renew=1,
            committed=(Committed(terms, (Segment(0, end, 100, 900),)),),
            rollover=ContractRollover(1, 2, 30),
        )
        (outcome,) = await books.ask(team, sign)
        assert not isinstance(outcome, Refusal), outcome
        books.clock.ahead_us += 5 * DAY_US + 1_000_000
        await books.use(team, "second term")
        await project(database)
        books.clock.ahead_us += 2 * DAY_US
        await books.use(team, "after the grace of the first")
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        segments = await connection.fetch(
            "SELECT commitment, amount, price, moved_from IS NOT NULL "
            "FROM projection.commitment_segments ORDER BY grant_number"
        )
        rolled = await connection.fetchval("SELECT max(rolled) FROM projection.grants")
        terms = await connection.fetch(
            "SELECT rollover FROM projection.grants ORDER BY number LIMIT 2"
        )
    first, second = segments[0]["commitment"], segments[1]["commitment"]
    assert [tuple(row) for row in segments][:3] == [
        (first, 100, 900, False), (second, 100, 900, False), (second, 30, 270, True),
    ]  # fmt: skip
    assert rolled == 30
    of_first, of_second = [row["rollover"] for row in terms]
    assert json.loads(of_first)["numerator"] == 1
    assert json.loads(of_first)["denominator"] == 2
    assert of_second is None
