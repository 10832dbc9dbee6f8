"""Statements of random histories: what the read models say is what the journal says, statements
follow each other without a gap, and whatever moved is in exactly one of them (rules T2, T5, H8)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US, HOUR_US
from ledger.journal.connection import Pool, open_pool
from ledger.statements.figures import LineKind, Statement, canonical_bytes
from ledger.statements.folding import Folding, Wanted
from ledger.statements.places import Closed
from ledger.statements.reading import Ended, read
from tests.core.core_world import CREDITS, TENANT, USD
from tests.projections.histories import CHILD, LONER, PARENT, History, write_batches
from tests.projections.projecting import project

THIRD = 14


class Life(History):
    """A history of months, in which a third account moves between the other two of its family."""

    def open(self) -> None:
        super().open()
        self.ask(c.CreateAccount, TENANT, THIRD, PARENT, PARENT, e.AccountPolicy())
        for account, asset in ((PARENT, CREDITS), (CHILD, USD), (LONER, CREDITS)):
            for billing in e.ChargeBilling:
                terms = e.ChargeTerms(
                    "plan", asset, 11, billing, e.PeriodUnit.MONTH, 1, 0, "",
                    e.Proration.BOTH, True, False, e.ChargePayer.OVERAGE,
                )  # fmt: skip
                self.ask(c.StartCharge, account, f"plan {billing}", terms, 3)
        self.ask(c.SetStatements, PARENT, e.StatementForm.CONSOLIDATED)
        self.ask(c.SetStatements, CHILD, e.StatementForm.CONSOLIDATED)
        self.ask(c.SetStatements, LONER, e.StatementForm.SEPARATE)

    def pass_days(self, days: int) -> None:
        for _ in range(days):
            self.go_on(self.random.randint(3, 10))
            if self.random.random() < 0.2:
                self.move()
            self.core.advance(self.random.choice([HOUR_US, DAY_US, DAY_US, 2 * DAY_US]))
            self.core.sweep(10_000)

    def move(self) -> None:
        account = self.core.state.accounts[THIRD]
        assert account.parent is not None
        to = CHILD if account.parent.number == PARENT else PARENT
        self.ask(c.MoveAccount, THIRD, to, account.place_version)


def ended_in(batches: list[tuple[int, list[Any]]]) -> dict[int, list[Ended]]:
    """The statements of each account, as the journal says."""
    found: dict[int, list[Ended]] = {}
    entry = 0
    for recorded_at, events in batches:
        for event in events:
            if isinstance(event, e.StatementEnded):
                found.setdefault(event.account, []).append(
                    Ended(
                        event.statement, int(event.form), event.attribute, event.start, event.end,
                        entry, recorded_at, *[None] * 7,
                    )
                )  # fmt: skip
            entry += 1
    return found


def folded(batches: list[tuple[int, list[Any]]], wanted: list[Wanted]) -> list[Statement]:
    folding = Folding(0, wanted)
    for recorded_at, events in batches:
        folding.batch(recorded_at, events)
    return folding.finish()


def wanted_as(statement: Statement, before: int, earlier: list[Ended]) -> Wanted:
    closed = [Closed(each.statement, each.start, each.end) for each in earlier]
    root = LONER if statement.head.account == LONER else PARENT
    return Wanted(statement.head, root, before, closed)


def moved(statement: Statement) -> Counter[tuple[int, int, int]]:
    """(book, the other's kind, side) -> units that moved, adjustments too."""
    found: Counter[tuple[int, int, int]] = Counter()
    for book in statement.books:
        for move in book.moves:
            found[book.key.book, move.other, 0] += move.debits
            found[book.key.book, move.other, 1] += move.credits
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_statements_of_a_life(database: str, seed: int) -> None:
    life = Life(Random(seed))
    life.open()
    life.pass_days(120)
    batches = life.core.batches
    await write_batches(life.core.batches, database)
    await project(database)
    ended = ended_in(batches)
    assert len(ended[PARENT]) >= 3
    pool = await open_pool(database, application_name="test")
    try:
        statements: dict[int, list[Statement]] = {}
        asked: list[Wanted] = []
        for account in (PARENT, CHILD, LONER):
            async with read(pool, TENANT, 0, account) as reading:
                assert [each[:7] for each in await reading.ended()] == [
                    each[:7] for each in ended[account]
                ]
                line = ended[account]
                found = statements[account] = []
                for place, each in enumerate(line):
                    found.append(await reading.of(line, each.statement))
                    before = line[place - 1].ended_by if place else each.ended_by
                    asked.append(wanted_as(found[-1], before, line[:place]))
                draft = await reading.draft(
                    line, line[-1].end, life.core.now + 40 * DAY_US, consolidated=True, attribute=""
                )
                asked.append(wanted_as(draft, line[-1].ended_by, line))
                found.append(draft)
        await children_add_up(pool, statements[PARENT][1], ended[PARENT])
    finally:
        await pool.close()
    expected = [each for found in statements.values() for each in found]
    for told, again in zip(expected, folded(batches, asked), strict=True):
        assert told == again
        assert canonical_bytes(told) == canonical_bytes(again)
    late = [line for found in expected for line in found.lines if line.key.adjusts is not None]
    assert late, "nothing came late"
    kinds = {line.key.kind for found in expected for line in found.lines}
    assert {LineKind.USAGE, LineKind.FEE} <= kinds
    for account in (PARENT, LONER):
        follow_each_other(statements[account])
    adds_up_to_the_books(life, statements[PARENT], statements[LONER])


async def children_add_up(pool: Pool, whole: Statement, ended: list[Ended]) -> None:
    """The statements of each account alone, of the same entries: together the family's."""
    lines, books = [], []
    for account in (PARENT, CHILD, THIRD):
        async with read(pool, TENANT, 0, account) as reading:
            head = whole.head._replace(account=account, consolidated=False)
            alone = await reading.figures(head, ended[0].ended_by, ended[:1])
            lines += alone.lines
            books += alone.books
    assert sorted(map(repr, lines)) == sorted(map(repr, whole.lines))
    assert sorted(map(repr, books)) == sorted(map(repr, whole.books))


def follow_each_other(found: list[Statement]) -> None:
    """What one leaves is what the next begins with, of books that were there by then."""
    for one, following in pairwise(found):
        closing = {book.key: (book.closing, book.held) for book in one.books}
        for book in following.books:
            expected = closing.pop(book.key, (0, 0))
            assert (book.opening, book.opening_held) == expected, book
        assert not any(any(rest) for rest in closing.values()), closing


def adds_up_to_the_books(life: Life, *families: list[Statement]) -> None:
    """All statements of a family together, with the draft of what runs: the counters."""
    for found in families:
        everything: Counter[tuple[int, int, int]] = Counter()
        for statement in found:
            everything += moved(statement)
        books = {book for book, _, _ in everything}
        for number in books:
            book = life.core.state.books.accounts[number]
            for side, counter in ((0, book.debits_posted), (1, book.credits_posted)):
                before = 0  # all of it is of the first period or later, but for what is backdated
                first = [each for each in found[0].books if each.key.book == number]
                before += sum(abs(each.opening) for each in first)
                total = sum(
                    amount for (each, _, at), amount in everything.items()
                    if (each, at) == (number, side)
                )  # fmt: skip
                assert total == counter or before, (number, side, total, counter)
