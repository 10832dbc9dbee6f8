"""Where an account stands, as its row says after each entry and after all of them (I2, T2)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.core import commands as c
from ledger.core import events as e
from ledger.verify import verify
from tests.projections.books import open_books
from tests.projections.projecting import looking, project

FIELDS = ("closed_at", "reopened_at", "frozen_at", "profile_version")
STEPS: tuple[tuple[type[Any], tuple[Any, ...], tuple[bool, bool, bool, int]], ...] = (
    (c.FreezeAccount, (), (False, False, True, 1)),
    (c.UpdateProfile, (b"digest",), (False, False, True, 2)),
    (c.CloseAccount, (), (True, False, True, 2)),
    (c.ReopenAccount, (), (False, True, True, 2)),
    (c.UnfreezeAccount, (), (False, True, False, 2)),
    (c.CloseAccount, (), (True, True, False, 2)),
    (c.UpdateProfile, (b"other",), (True, True, False, 3)),
)


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_row_follows_the_entries(database: str, at_once: bool) -> None:
    async with open_books(database) as books:
        account = await books.account("acme")
        if not at_once:
            await project(database)
        for command, fields, stands in STEPS:
            await books.ask(account, command(books.key(account), account.number, *fields))
            if not at_once:
                await project(database)
                assert await row(database, account.number) == stands
    await project(database)
    assert await row(database, account.number) == STEPS[-1][2]
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_row_that_says_otherwise_is_found(database: str) -> None:
    async with open_books(database) as books:
        account = await books.account("acme")
        await books.ask(account, c.FreezeAccount(books.key(account), account.number))
    await project(database)
    async with looking(database) as connection:
        await connection.execute("UPDATE projection.accounts SET frozen_at = NULL")
    found = [each.what for each in (await verify(database)).findings]
    assert found == [f"account {account.number}, frozen_at"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_closing_with_what_is_left(database: str, at_once: bool) -> None:
    """Holds given back, credits forfeited, an advance absorbed: the transfers of one entry."""
    async with open_books(database) as books:
        account = await books.account("acme")
        grant = await books.grant(account, 1_000, paid=99)
        kept = await books.grant(account, 50, products=("other",))
        await books.hold(account, (10, 1))
        await books.hold(account, (10, 1))
        await books.use(account, "a", "b")
        if not at_once:
            await project(database)
        closing = c.CloseAccount(
            books.key(account), account.number, write_off=True, release_holds=True
        )
        (closed,) = await books.ask(account, closing)
        assert isinstance(closed, e.AccountClosedOut)
        assert len(closed.holds) == 2
        kinds = [each.kind.name for each in closed.write_offs]
        assert kinds == ["GRANT", "BREAKAGE", "GRANT", "ADVANCE"]
    await project(database)
    async with looking(database) as connection:
        grants = await connection.fetch(
            "SELECT number, state, expired, remaining, held FROM projection.grant_balances"
        )
        held = await connection.fetchval("SELECT count(*) FROM projection.holds WHERE state = 2")
    left = {each.grant: each.amount for each in closed.write_offs if each.kind == 1}
    assert left.keys() == {grant.grant, kept.grant}
    assert {tuple(each) for each in grants} == {
        (number, 2, amount, 0, 0) for number, amount in left.items()
    }
    assert held == 2
    report = await verify(database)
    assert report.ok, report.findings


async def row(dsn: str, number: int) -> tuple[bool, bool, bool, int]:
    """Whether each instant is set, and the version."""
    async with looking(dsn) as connection:
        closed, reopened, frozen, version = await connection.fetchrow(
            f"SELECT {', '.join(FIELDS)} FROM projection.accounts WHERE account = $1", number
        )
    return closed is not None, reopened is not None, frozen is not None, version
