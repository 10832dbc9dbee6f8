"""The read models of accounts that move: history stays where it was (rules T5, D1)."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from ledger.api.balance_figures import balance_figures
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import HOUR_US, INT64_MAX
from ledger.core.shapes import Use
from ledger.journal.connection import open_pool
from ledger.projections.as_of import History as Looking
from ledger.projections.earnings import Earnings, Figure, GroupBy
from ledger.projections.past import Point
from tests.core.core_world import CREDITS, TENANT, USD
from tests.projections.histories import History, Live, write_batches
from tests.projections.projecting import project
from tests.projections.test_as_of import explains

ROOT, NORTH, SOUTH, TEAM, ANN = range(11, 16)
PARENTS: Final = {ROOT: 0, NORTH: ROOT, SOUTH: ROOT, TEAM: NORTH, ANN: TEAM}


class Moving(History):
    """A family of which accounts move all the time."""

    def open(self) -> None:
        self.parents = dict(PARENTS)
        self.drawn: list[tuple[set[int], int]] = []  # who is at or above, units
        for number, parent in PARENTS.items():
            self.ask(c.CreateAccount, TENANT, number, parent, ROOT, e.AccountPolicy())
        self.share()

    def share(self) -> None:
        account = self.random.choice(list(PARENTS))
        terms = (e.GrantKind.PREPAID, CREDITS, self.random.randint(50, 200), 7, USD, 0, 0, 0, ())
        self.ask(c.IssueGrant, account, *terms, b"", c.NO_NAMES, b"", "", (), (), True)

    def move(self) -> None:
        moved = self.random.choice((NORTH, SOUTH, TEAM, ANN))
        parent = self.random.choice(list(PARENTS))
        if self.ask(c.MoveAccount, moved, parent) is not None:
            assert moved not in self.line(parent)
            self.parents[moved] = parent

    def use(self) -> None:
        account, amount = self.random.choice(list(PARENTS)), self.random.randint(1, 9)
        shape = self.core.shape("chat", "tokens")
        used = self.ask(c.RecordUsage, account, shape, (amount,), self.core.now, c.NO_NAMES)
        self.drawn.append((self.line(account), sum(used.charges)))

    def line(self, account: int) -> set[int]:
        found = set()
        while account:
            found.add(account)
            account = self.parents[account]
        return found

    def note(self) -> None:
        state, now = self.core.state, self.core.state.recorded_at
        for number in PARENTS:
            view = balance_figures(state, state.accounts[number], CREDITS, "chat", now)
            figures = (view.available, view.granted, view.advance, view.applicable)
            self.live.append(Live(number, CREDITS, now, *figures))


@pytest.mark.parametrize("seed", range(3))
async def test_balances_and_usage_of_before_a_move_show_the_tree_of_then(
    database: str, seed: int
) -> None:
    random = Random(seed)
    history = Moving(random)
    history.open()
    for _ in range(60):
        for _ in range(random.randint(1, 4)):
            getattr(history, random.choice(("use", "use", "use", "move", "share")))()
        history.note()
        history.core.advance(HOUR_US)
    await write_batches(history.core.batches, database)
    await project(database)
    pool = await open_pool(database, application_name="test")
    try:
        for account in PARENTS:
            async with Looking(pool).look(TENANT, 0, account) as look:
                mine = [live for live in history.live if live.account == account]
                for live in mine:
                    (past,) = await look.past([Point(live.at, live.at)])
                    said = past.balance(CREDITS, Use("chat"))
                    found = (said.available, said.granted, said.advance, said.applicable)
                    assert found == (live.available, live.granted, live.advance, live.applicable)
                for _ in range(5):
                    one, other = sorted(random.sample([live.at for live in mine], 2))
                    await explains(look, Point(one, one), Point(other, other), 1_000)
            groups, _ = await Earnings(pool).margin(
                TENANT, account, True, 0, INT64_MAX, GroupBy.PRODUCT, "", 0, 10
            )
            burnt = sum(earned.of(Figure.BURNT).get(CREDITS, 0) for _, earned in groups)
            assert burnt == sum(units for line, units in history.drawn if account in line)
    finally:
        await pool.close()
