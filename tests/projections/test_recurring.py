"""Recurring grants and what they issued, in tables, over periods, changes and a restart."""

from __future__ import annotations

import json

from ledger.core.commands import (
    ChangeRecurring,
    EndRecurring,
    PauseRecurring,
    ResumeRecurring,
    StartRecurring,
)
from ledger.core.events import (
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringStarted,
    RecurringTerms,
    Timing,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, Books, open_books
from tests.projections.projecting import looking, project

WEEKLY = RecurringTerms(
    GrantKind.PROMOTIONAL, CREDIT, 7_000, 0, 0, 0, (), PeriodUnit.WEEK, 1, 0, "", Proration.BOTH, 0
)


async def story(books: Books, database: str) -> None:
    """A week after the other, projected in between."""
    team = await books.account("team")

    async def ask(command: object) -> object:
        (outcome,) = await books.ask(team, command)  # type: ignore[arg-type]
        assert not isinstance(outcome, Refusal), outcome
        return outcome

    key, account = books.key, team.number
    started = await ask(StartRecurring(key(team), account, WEEKLY, b"", 0, 0))
    assert isinstance(started, RecurringStarted)
    kept = started.recurring
    other = await ask(StartRecurring(key(team), account, WEEKLY, b"key", 0, 0))
    assert isinstance(other, RecurringStarted)
    await project(database)
    richer = RecurringTerms(*[14_000 if each == 7_000 else each for each in _values(WEEKLY)])
    await ask(ChangeRecurring(key(team), account, kept, richer, Timing.NOW))
    await ask(ChangeRecurring(key(team), account, kept, WEEKLY, Timing.NEXT_PERIOD))
    await ask(PauseRecurring(key(team), account, other.recurring))
    await project(database)
    books.clock.ahead_us += 7 * DAY_US
    await books.use(team, "second week")
    books.clock.ahead_us += 2 * DAY_US
    await ask(ResumeRecurring(key(team), account, other.recurring))
    await ask(EndRecurring(key(team), account, other.recurring, Timing.NOW))
    books.clock.ahead_us += 21 * DAY_US
    await books.use(team, "fifth week")


def _values(terms: RecurringTerms) -> list[object]:
    return [getattr(terms, name) for name in terms.__struct_fields__]


async def test_tables_of_recurring_grants(database: str) -> None:
    async with open_books(database) as books:
        await story(books, database)
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        first, second = await connection.fetch(
            "SELECT * FROM projection.recurring_grants ORDER BY number"
        )
        assert (first["version"], first["next_terms"], first["ends_at"]) == (3, None, None)
        assert json.loads(first["terms"])["amount"] == 7_000
        assert first["next_at"] == first["period_end"]
        assert second["ends_at"] is not None
        issues = await connection.fetch(
            "SELECT cause, amount, grant_number, period_start, period_end, remaining, whole "
            "FROM projection.recurring_issues WHERE recurring = $1 ORDER BY entry_seq",
            first["number"],
        )
        causes = [each["cause"] for each in issues]
        assert causes == [1, 2, 1, 1, 1, 1]
        assert [each["amount"] for each in issues if each["cause"] == 1] == [7_000] * 5
        periods = [(e["period_start"], e["period_end"]) for e in issues if e["cause"] == 1]
        assert [end for _, end in periods[:-1]] == [start for start, _ in periods[1:]]
        more = issues[1]
        assert 6_900 < more["amount"] <= 7_000
        assert more["remaining"] < more["whole"] == 7 * DAY_US
        linked = await connection.fetch(
            "SELECT number, recurring FROM projection.grant_balances WHERE recurring = $1",
            first["number"],
        )
        assert {row["number"] for row in linked} == {each["grant_number"] for each in issues}
        # What was issued for the time after the end was taken back.
        voided = await connection.fetchval(
            "SELECT voided FROM projection.grant_balances WHERE recurring = $1 "
            "ORDER BY number DESC LIMIT 1",
            second["number"],
        )
        assert voided > 4_000
