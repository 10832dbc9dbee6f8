"""Commitments in tables: segments, invoices, an early end, with a projection in between."""

from __future__ import annotations

import json

from ledger.core.commands import AddSegment, CreateCommitment, EndCommitment
from ledger.core.events import (
    CommitmentCreated,
    CommitmentEnding,
    CommitmentTerms,
    GrantKind,
    Invoice,
    Segment,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, MONEY, Books, open_books
from tests.projections.projecting import looking, project


async def story(books: Books, database: str) -> None:
    """One commitment that is upsized and ended, one that is left alone."""
    team = await books.account("team")
    start = books.clock.now_us()

    async def ask(command: object) -> object:
        (outcome,) = await books.ask(team, command)  # type: ignore[arg-type]
        assert not isinstance(outcome, Refusal), outcome
        return outcome

    made = []
    for kind in (GrantKind.POSTPAID, GrantKind.PREPAID):
        terms = CommitmentTerms(kind, CREDIT, MONEY, 0, (), ("t",) if made else ())
        segments = (
            Segment(0, start + 10 * DAY_US, 1_000_000, 700),
            Segment(start + 10 * DAY_US, start + 20 * DAY_US, 2_000_000, 900),
        )
        invoices = (Invoice(start, 100), Invoice(start + 15 * DAY_US, 1_500))
        created = await ask(
            CreateCommitment(books.key(team), team.number, terms, segments, invoices, b"")
        )
        assert isinstance(created, CommitmentCreated)
        made.append(created.commitment)
    await project(database)
    await books.use(team, "first")
    await ask(
        AddSegment(
            books.key(team),
            team.number,
            made[0],
            Segment(0, start + 9 * DAY_US, 10, 10),
            (Invoice(start + DAY_US, 10),),
        )
    )
    books.clock.ahead_us += 2 * DAY_US
    await ask(EndCommitment(books.key(team), team.number, made[0], CommitmentEnding.TRUE_UP))
    await project(database)
    books.clock.ahead_us += 30 * DAY_US
    await books.use(team, "second")


async def test_a_transfer_in_tables(database: str) -> None:
    """Rule D7: the tables say which commitment took the rest, and of which grant a segment is."""
    async with open_books(database) as books:
        team = await books.account("team")
        start = books.clock.now_us()
        terms = CommitmentTerms(GrantKind.PREPAID, CREDIT, MONEY, 0, ())
        segment = Segment(0, start + 10 * DAY_US, 1_000_000, 700)
        invoices = (Invoice(start + 5 * DAY_US, 700),)
        for planned in (invoices, ()):
            await books.ask(
                team,
                CreateCommitment(books.key(team), team.number, terms, (segment,), planned, b""),
            )
        await books.use(team, "first")
        await project(database)
        (ended,) = await books.ask(
            team,
            EndCommitment(
                books.key(team), team.number, 1, CommitmentEnding.TRANSFER, team.number, 2
            ),
        )
        assert not isinstance(ended, Refusal), ended
        await project(database)
        books.clock.ahead_us += 30 * DAY_US
        await books.use(team, "second")
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        moved = await connection.fetchrow(
            "SELECT commitment, moved_from FROM projection.commitment_segments "
            "WHERE moved_from IS NOT NULL"
        )
        assert tuple(moved) == (2, 1)
        rows = await connection.fetch(
            "SELECT commitment, kind, ending, target FROM projection.commitment_entries "
            "ORDER BY entry_seq"
        )
        assert [tuple(row) for row in rows] == [(1, 2, 3, 2), (2, 1, None, None)]


async def test_tables_of_commitments(database: str) -> None:
    async with open_books(database) as books:
        await story(books, database)
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        first, second = await connection.fetch(
            "SELECT * FROM projection.commitments ORDER BY number"
        )
        assert json.loads(first["terms"])["kind"] == GrantKind.POSTPAID
        linked = await connection.fetch(
            "SELECT amount, price_paid, state FROM projection.grant_balances "
            "WHERE commitment = $1 ORDER BY number",
            first["number"],
        )
        assert [tuple(row) for row in linked] == [
            (1_000_000, 700, 2),  # trued up
            (2_000_000, 900, 1),  # voided
            (10, 10, 2),
        ]
        entries = "SELECT kind, amount FROM projection.commitment_entries WHERE commitment = $1"
        rows = await connection.fetch(f"{entries} ORDER BY entry_seq", first["number"])
        assert [tuple(row) for row in rows[:2]] == [(1, 100), (1, 10)]
        assert [row["kind"] for row in rows] == [1, 1, 2]
        rows = await connection.fetch(f"{entries} ORDER BY entry_seq", second["number"])
        assert [tuple(row) for row in rows] == [(1, 100), (1, 1_500)]
        receivable = await connection.fetchval(
            "SELECT debits_posted FROM projection.books WHERE kind = 14"
        )
        assert receivable == 100 + 10 + 100 + 1_500
