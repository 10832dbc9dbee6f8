"""Balances as of T as known at K are what the journal says (rules T5, B6)."""

from __future__ import annotations

from random import Random

import pytest

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import MINUTE_US, SECOND_US
from ledger.core.outcomes import locator_of
from ledger.core.periods import month_of
from ledger.core.shapes import Use
from ledger.journal.connection import open_pool
from ledger.projections import as_of, shard, store
from ledger.projections.as_of import History as Looking
from ledger.projections.as_of import books_of
from ledger.projections.changes import PENDING, POSTED, RELEASED
from ledger.projections.past import NOTHING, Leg, Past, Point, effect, shifts
from tests.core.core_world import CREDITS, TENANT, USD
from tests.projections.histories import ACCOUNTS, LONER, Balance, History, Truth, write_batches
from tests.projections.projecting import looking, project

EVERY = 8
STEP_EVENTS = 60
POINTS = 60
PAIRS = 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots and transactions so small that a short history has many of both."""
    monkeypatch.setattr(store, "EVERY", EVERY)
    monkeypatch.setattr(as_of, "EVERY", EVERY)
    monkeypatch.setattr(shard, "STEP_EVENTS", STEP_EVENTS)


def of(past: Past) -> Balance:
    """The figures that the brute force knows too."""
    found = past.balance(CREDITS, Use("chat"))
    assert found.available == (
        found.credits_posted
        - found.debits_posted
        - found.held
        - found.expired_unposted
        + found.overdraft_limit
        - found.advance
    )
    return Balance(found.available, found.granted, found.advance, found.held, found.applicable)


@pytest.mark.parametrize("seed", range(4))
async def test_every_balance_of_the_past_is_what_the_journal_says(
    database: str, small: None, seed: int
) -> None:
    random = Random(seed)
    history = History(random)
    history.open()
    history.go_on(700)
    history.clock()
    await write_batches(history.core.batches, database)
    await project(database)
    async with looking(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM projection.book_snapshots") > 20
    truth = Truth(history.core.batches)
    instants = truth.instants()
    pool = await open_pool(database, application_name="test")
    try:
        back = Looking(pool)
        for account in ACCOUNTS:
            async with back.look(TENANT, 0, account) as look:
                for live in (each for each in history.live if each.account == account):
                    (past,) = await look.past([Point(live.at, live.at)])
                    said = past.balance(live.asset, Use("chat"))
                    assert (said.available, said.granted, said.advance, said.applicable) == (
                        live.available,
                        live.granted,
                        live.advance,
                        live.applicable,
                    ), live
                for _ in range(POINTS):
                    point = Point(random.choice(instants), random.choice(instants))
                    (past,) = await look.past([point])
                    assert of(past) == truth.balance(account, point), (account, point)
                    assert past.limit(USD) == truth.limit(account, USD, point), (account, point)
                for _ in range(PAIRS):
                    before = Point(random.choice(instants), random.choice(instants))
                    after = Point(random.choice(instants), random.choice(instants))
                    if random.random() < 0.2:
                        before = NOTHING
                    await explains(look, before, after, random.choice([3, 50, 1_000]))
    finally:
        await pool.close()


async def test_what_usage_gives_back_in_cash_lowers_the_limit_of_then(database: str) -> None:
    """Rules H6, D3: a reversal onward, of usage of a grant that was refunded since, goes to cash:
    the limit by lifetime value is lower from then on, and not before."""
    history = History(Random(0))
    share = e.AccountPolicy(
        overdraft_kind=e.OverdraftKind.PERCENT_OF_LIFETIME,
        overdraft_basis_points=10_000,
        overdraft_asset=USD,
        overdraft_limit=400,
    )
    history.ask(c.CreateAccount, TENANT, LONER, 0, LONER, share)
    terms = (e.GrantKind.PREPAID, CREDITS, 100, 200, USD, 0, 0, 0, (), b"")
    issued = history.ask(c.IssueGrant, LONER, *terms)
    used = used_at(history, 0)
    history.core.advance(SECOND_US)
    assert history.ask(c.VoidGrant, LONER, issued.grant) is not None
    history.clock()
    assert history.ask(c.ReverseUsage, LONER, used, (10,), 0, e.EndedGrants.ONWARD) is not None
    history.clock()
    history.note()
    await write_batches(history.core.batches, database)
    await project(database)
    pool = await open_pool(database, application_name="test")
    try:
        async with Looking(pool).look(TENANT, 0, LONER) as look:
            limits = []
            for live in (each for each in history.live if each.asset == USD):
                (past,) = await look.past([Point(live.at, live.at)])
                assert past.balance(USD, Use("chat")).available == live.available, live
                limits.append(past.limit(USD))
        assert limits == [60, 40, 40]
    finally:
        await pool.close()


def used_at(history: History, at: int) -> c.Original:
    """30 units of usage of that time, by the entry that they became."""
    shape = history.core.shape("chat", "tokens")
    usage = history.ask(c.RecordUsage, LONER, shape, (30,), at, c.NO_NAMES)
    state, batch = history.core.state, history.core.batches[-1][1]
    index = batch.index(usage)
    place = locator_of(state.batch_seq, index)
    return c.Original(place, state.first_event + index, usage, batch[usage.plan])


async def test_a_reversal_before_its_month_begins_counts_in_it(database: str) -> None:
    """Rules T2, I4: usage may be of five minutes after its recording, so of the next month; what
    is given back of it at once is listed there, page by page."""
    history = History(Random(0))
    history.ask(c.CreateAccount, TENANT, LONER, 0, LONER, e.AccountPolicy())
    _, month = month_of(history.core.now)
    history.core.advance(month - 2 * MINUTE_US - history.core.now)
    used = used_at(history, month + MINUTE_US)
    entries = []
    for _ in range(3):
        history.core.advance(SECOND_US)
        assert history.ask(c.ReverseUsage, LONER, used, (1,), 0) is not None
        entries.append(history.core.state.entry_seq - 1)
    history.core.advance(SECOND_US)
    await write_batches(history.core.batches, database)
    await project(database)
    pool = await open_pool(database, application_name="test")
    try:
        months = [(LONER, *month_of(month))]
        beyond, found = (-1, -1), []
        while rows := (await Looking(pool).adjustments(TENANT, 0, months, beyond, 1))[0]:
            found.append(rows[0].entry_seq)
            beyond = (rows[0].entry_seq, rows[0].recorded_at)
        assert found == entries
        before = [(LONER, *month_of(month - 1))]
        assert (await Looking(pool).adjustments(TENANT, 0, before, (-1, -1), 9))[0] == []
    finally:
        await pool.close()


async def explains(look: as_of.Look, before: Point, after: Point, rows: int) -> None:
    """What is listed between two points adds up to the difference, and is listed once."""
    was, now = await look.past([before, after])
    books = sorted({*books_of(was), *books_of(now)})
    legs: list[Leg] = []
    beyond = (-1, 0, 0)
    while True:
        page = await look.legs(books, before, after, beyond, rows)
        legs.extend(page)
        if len(page) < rows:
            break
        beyond = (page[-1].entry_seq, page[-1].line, page[-1].side)
    places = [(leg.entry_seq, leg.line, leg.side) for leg in legs]
    assert places == sorted(set(places))
    moved = sum(effect(leg, POSTED, PENDING, RELEASED) for leg in legs)
    moved += sum(shift.amount for shift in shifts(was, now) if shift.asset == CREDITS)
    difference = of(now).available - of(was).available
    assert moved == difference, (before, after)
