"""Seats in tables, over changes, periods and an end, as the journal says (rules S1 to S3)."""

from __future__ import annotations

from ledger.core.commands import (
    AddSeats,
    EndSeatPlan,
    ReassignSeat,
    RemoveSeats,
    ResumeSeat,
    StartSeatPlan,
    SuspendSeat,
)
from ledger.core.events import (
    Allotment,
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringTerms,
    SeatRemoval,
    SeatTerms,
    Timing,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, open_books
from tests.projections.projecting import looking, project


def terms(allotment: Allotment, alert: int = -1) -> SeatTerms:
    allowance = RecurringTerms(
        GrantKind.PROMOTIONAL, CREDIT, 700, 0, 0, 0, (), PeriodUnit.WEEK, 1, 0, "UTC",
        Proration.BOTH, 0,
    )  # fmt: skip
    return SeatTerms("seat", allotment, allowance, alert=alert)


async def test_tables_of_seats(database: str) -> None:
    async with open_books(database) as books:
        team, firm = await books.account("team"), await books.account("firm")

        async def ask(account: object, command: object) -> None:
            (outcome,) = await books.ask(account, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        own, pool = terms(Allotment.INDIVIDUAL, 0), terms(Allotment.POOLED)
        start = StartSeatPlan(books.key(team), team.number, "agents", own, ("ann", "bob"), 1)
        await ask(team, start)
        await ask(firm, StartSeatPlan(books.key(firm), firm.number, "desks", pool, ("eve",), 9))
        await project(database)
        for made in (
            AddSeats(books.key(team), team.number, "agents", ("cid",)),
            RemoveSeats(
                books.key(team), team.number, "agents", ("bob",), 0, SeatRemoval.FORFEIT_UNUSED
            ),
            ReassignSeat(books.key(team), team.number, "agents", "", "dee"),
            SuspendSeat(books.key(team), team.number, "agents", "dee"),
            SuspendSeat(books.key(team), team.number, "agents", "ann"),
            ResumeSeat(books.key(team), team.number, "agents", "ann"),
            RemoveSeats(books.key(team), team.number, "agents", ("cid",)),
        ):
            await ask(team, made)
        await ask(firm, RemoveSeats(books.key(firm), firm.number, "desks", (), 4))
        books.clock.ahead_us += 8 * DAY_US
        await books.use(team, "second week")
        await books.use(firm, "second week")
        await ask(firm, EndSeatPlan(books.key(firm), firm.number, "desks", Timing.NEXT_PERIOD))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        plans = await connection.fetch(
            "SELECT plan, unassigned, leaving, largest, released, version, ends_at = period_end, "
            "terms -> 'allowance' ->> 'amount' FROM projection.seat_plans ORDER BY plan"
        )
        seats = await connection.fetch(
            "SELECT plan, name, until IS NULL, suspended, released FROM projection.seats "
            "WHERE plan = 'agents' ORDER BY seat"
        )
        changes = await connection.fetch(
            "SELECT change FROM projection.seat_plan_entries WHERE plan = 'agents' "
            "ORDER BY entry_seq"
        )
        issues = await connection.fetch(
            "SELECT plan, seat, amount FROM projection.seat_issues ORDER BY plan, entry_seq, seat"
        )
    assert [tuple(row) for row in plans] == [
        ("agents", 0, 0, 2, 1_400, 8, None, "700"),
        ("desks", 5, 0, 6, 4_200, 3, True, "700"),
    ]
    assert [tuple(row) for row in seats] == [
        ("agents", "ann", True, False, 700),
        ("agents", "bob", False, False, 0),
        ("agents", "dee", True, True, 700),
        ("agents", "cid", False, False, 700),
    ]
    assert [row["change"] for row in changes] == [1, 2, 3, 4, 5, 5, 6, 3, 7]
    assert [tuple(row) for row in issues] == [
        ("agents", 1, 700), ("agents", 2, 700), ("agents", 3, 700), ("agents", 4, 700),
        ("agents", 1, 700), ("agents", 3, 700),
        ("desks", 0, 7_000), ("desks", 0, 4_200),
    ]  # fmt: skip
