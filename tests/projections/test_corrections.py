"""Reversals and adjustments in the read models, and what `verify` says of them."""

from __future__ import annotations

from ledger.core.commands import AdjustBalance, AmendUsage, Names, ReverseUsage, VoidGrant
from ledger.core.events import UsageReversed
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.periods import month_of
from ledger.journal.directory import Entry
from ledger.verify import verify
from tests.projections.books import CREDIT, Books, open_books
from tests.projections.projecting import looking, project

ADJUSTMENTS = """
    SELECT a.*, u.event_id, r.original_entry, coalesce(u.charge, -r.amount) AS amount
    FROM projection.adjustments a
    LEFT JOIN projection.usage_events u USING (tenant, shard, entry_seq)
    LEFT JOIN projection.reversals r USING (tenant, shard, entry_seq)
    WHERE a.tenant = $1 AND a.account = $2 ORDER BY a.entry_seq
"""


async def reverse(
    books: Books, entry: Entry, event_id: str, quantities: tuple[int, ...] = (), charged: int = 0
) -> UsageReversed:
    writer = books.ledger.writers[entry.shard]
    recorded = await writer.recorded.under(books.ledger.family(entry).usage("app", event_id))
    assert recorded is not None
    command = ReverseUsage(books.key(entry), entry.number, recorded.original, quantities, charged)
    (outcome,) = await books.ask(entry, command)
    assert isinstance(outcome, UsageReversed), outcome
    return outcome


async def test_what_an_advance_paid_is_given_back_before_anything_is_projected(
    database: str,
) -> None:
    """The advance's book is opened in an earlier batch of the same transaction."""
    async with open_books(database) as books:
        team = await books.account("acme")
        await books.use(team, "owed")
        await reverse(books, team, "owed")
        await project(database)
    assert (await verify(database)).ok


async def test_what_was_given_back_stands_in_the_tables(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("acme")
        voided = await books.grant(team, 700, paid=70)
        await books.use(team, "a", "b")
        await books.ask(team, VoidGrant(books.key(team), team.number, voided.grant))
        await project(database)
        await reverse(books, team, "b", (100, 0))
        await reverse(books, team, "a", charged=50)
        await reverse(books, team, "a")
        await books.grant(team, 10_000, paid=77)
        await books.use(team, "c")
        await reverse(books, team, "c")
        await books.ask(team, books.usage(team, "late", age_us=34 * DAY_US))
        await project(database)
        async with looking(database) as connection:
            usage = await connection.fetch(
                "SELECT event_id, charge, reversed, reversed_quantities "
                "FROM projection.usage_events ORDER BY entry_seq"
            )
            assert [tuple(row) for row in usage] == [
                ("a", 600, 600, [100, 20]),
                ("b", 600, 300, [100, 0]),
                ("c", 600, 600, [100, 20]),
                ("late", 600, 0, None),
            ]
            reversals = await connection.fetch(
                "SELECT amount, as_charged, quantities, refunds FROM projection.reversals "
                "ORDER BY entry_seq"
            )
            assert [tuple(row) for row in reversals] == [
                (300, 0, [100, 0], [300, 0]),
                (50, 50, [0, 0], [0, 0]),
                (550, 0, [100, 20], [300, 300]),
                (600, 0, [100, 20], [300, 300]),
            ]
            grants = await connection.fetch(
                "SELECT origin, amount, price_paid, drawn, given_back, recognised, remaining "
                "FROM projection.grant_balances ORDER BY number"
            )
            assert [tuple(map(_number, row)) for row in grants] == [
                (None, 700, 70, 100, 600, 10, 0),
                (1, 50, 5, 0, 0, 0, 50),
                (1, 550, 55, 0, 0, 0, 550),
                (None, 10_000, 77, 200, 600, 1, 9_800),
            ]
            [late] = await connection.fetch(
                "SELECT u.event_id, a.closed < a.period AS earlier FROM projection.adjustments a "
                "JOIN projection.usage_events u USING (tenant, shard, entry_seq)"
            )
            assert tuple(late) == ("late", True)
            value = await connection.fetchval("SELECT sum(value) FROM projection.transfers")
            assert value == 10 + 1, "what is recognised, net of what was given back"
        report = await verify(database)
        assert report.ok, report.findings


async def test_adjustments_are_listed_by_period(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("acme")
        await books.grant(team, 10_000)
        now = books.clock.now_us()
        late = books.usage(team, "late", age_us=34 * DAY_US)
        await books.ask(team, late, books.usage(team, "now"))
        await reverse(books, team, "late", (10, 0))
        await reverse(books, team, "now", (10, 0))
        await project(database)
        period, closed = month_of(now)[0], month_of(late.effective_at)[0]
        async with looking(database) as connection:
            rows = await connection.fetch(ADJUSTMENTS, 1, team.number)
        assert [(row["event_id"], row["amount"]) for row in rows] == [("late", 600), (None, -30)]
        assert {(row["closed"], row["period"]) for row in rows} == {(closed, period)}
        assert rows[1]["original_entry"] == rows[0]["entry_seq"]


async def test_a_debit_by_hand_is_projected_whatever_was_projected_before(database: str) -> None:
    """A projector that begins at a debit of what was paid finds where its money waits (rule B4)."""
    async with open_books(database) as books:
        team = await books.account("acme")
        await books.grant(team, 10_000, paid=100)
        await project(database)
        debit = AdjustBalance(books.key(team), team.number, CREDIT, -700, 0)
        [outcome] = await books.ask(team, debit)
        assert not isinstance(outcome, Refusal), outcome
        await project(database)  # another projector, which has seen nothing of the grant
        async with looking(database) as connection:
            [grant] = await connection.fetch("SELECT recognised FROM projection.grant_balances")
            assert _number(grant["recognised"]) == 7


async def test_amendments_and_adjustments_stand_in_the_tables(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("acme")
        grant = await books.grant(team, 10_000, paid=100)
        await books.use(team, "a")
        writer = books.ledger.writers[team.shard]
        recorded = await writer.recorded.under(books.ledger.family(team).usage("app", "a"))
        assert recorded is not None
        amend = AmendUsage(
            books.key(team),
            team.number,
            recorded.original,
            books.usage(team, "b", (10, 2)),
            b"body",
            note=b"texts",
            names=Names("", "amend", personal=(("reason", "wrong"),)),
        )
        adjustments = [
            AdjustBalance(books.key(team), team.number, CREDIT, amount, number)
            for amount, number in ((500, 0), (-700, 0), (30, grant.grant))
        ]
        outcomes = await books.ask(team, amend, *adjustments)
        assert not any(isinstance(each, Refusal) for each in outcomes), outcomes
        await project(database)
        async with looking(database) as connection:
            [amended] = await connection.fetch(
                "SELECT u.event_id, u.charge, o.event_id, o.reversed, r.amount "
                "FROM projection.amendments a "
                "JOIN projection.usage_events u USING (tenant, shard, entry_seq) "
                "JOIN projection.usage_events o ON o.entry_seq = a.original_entry "
                "  AND o.shard = a.shard "
                "JOIN projection.reversals r ON r.entry_seq = a.reversal_entry "
                "  AND r.shard = a.shard"
            )
            assert tuple(amended) == ("b", 60, "a", 600, 600)
            manual = await connection.fetch(
                "SELECT amount, number FROM projection.manual_adjustments ORDER BY entry_seq"
            )
            assert [tuple(row) for row in manual] == [(500, 2), (-700, None), (30, 1)]
            grants = await connection.fetch(
                "SELECT drawn, given_back, recognised, remaining FROM projection.grant_balances "
                "ORDER BY number"
            )
            # b draws 60 of the paid grant; then the free one, then the paid one pays for 700
            assert [tuple(map(_number, row)) for row in grants] == [
                (230, 630, 2, 9_770),
                (500, 0, 0, 0),
            ]
        report = await verify(database)
        assert report.ok, report.findings


def _number(value: object) -> object:
    return value if value is None else int(value)  # type: ignore[call-overload]
