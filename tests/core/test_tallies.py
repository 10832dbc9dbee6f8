"""What runs of usual usage count in budgets: what entry by entry would, said once (H4, H5)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core, replay
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.tallies import Tallies
from ledger.core.commands.base import NO_NAMES
from ledger.core.decide import execute
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US, INT64_MAX, MINUTE_US
from ledger.core.metering.usual import record_usual
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.upcast import UPCASTS, BudgetsTallied1
from ledger.core.windows import FOR_EVER

ROOT, TEAM, BOT, OTHER = 1, 2, 3, 9  # two families
WINDOWS = (
    e.Window(),
    e.Window(e.WindowKind.CALENDAR, e.WindowUnit.DAY, "Europe/Berlin"),
    e.Window(e.WindowKind.CALENDAR, e.WindowUnit.MONTH, "UTC"),
    e.Window(e.WindowKind.BILLING),
    e.Window(e.WindowKind.FIXED, length=30 * HOUR_US),
    e.Window(e.WindowKind.SLIDING, length=6 * HOUR_US),
)
MEASURES: tuple[dict[str, Any], ...] = (
    {"measure": e.BudgetMeasure.CHARGE, "asset": CREDITS},
    {"measure": e.BudgetMeasure.CHARGE, "asset": USD},
    {"measure": e.BudgetMeasure.NET_CHARGE, "asset": CREDITS},
    {"measure": e.BudgetMeasure.COST, "asset": USD},
    {"measure": e.BudgetMeasure.REQUESTS},
    {"measure": e.BudgetMeasure.QUANTITY, "quantity": "tokens"},
    {"measure": e.BudgetMeasure.QUANTITY, "quantity": "input"},
)
FOR: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"products": ("chat",)},
    {"tags": ("text",)},
    {"attributes": (("region", "eu"),)},
)


DAY = (1767222000000000, 1767308400000000)  # in Berlin

VALUES: tuple[e.BudgetValues | None, ...] = (
    None,
    e.BudgetValues(("user",), 2),
    e.BudgetValues(("user",), 100, (e.ValueLimit(("b",), 40),)),
    e.BudgetValues(("region", "user"), 3),
)


class Family:
    """Two families of which one shares; usage comes in runs, or plainly one by one."""

    def __init__(self, *, plainly: bool, rate_card: str = "default") -> None:
        self.core = Core(START_US + 10 * HOUR_US)
        self.plainly = plainly
        self.requests = 0
        for number, parent, root in ((1, 0, 1), (2, 1, 1), (3, 2, 1), (9, 0, 9)):
            policy = e.AccountPolicy(rate_card=rate_card)
            self.ask(c.CreateAccount, TENANT, number, parent, root, policy)
        for account, kind, paid in (
            (ROOT, e.GrantKind.PREPAID, 7),
            (OTHER, e.GrantKind.PROMOTIONAL, 0),
        ):
            terms = (kind, CREDITS, 10**9, paid, USD, 0, 0, 0, (), b"")
            self.ask(c.IssueGrant, account, *terms, NO_NAMES, b"", "", (), (), True)

    def ask(self, command: Any, *fields: Any) -> Any:
        self.requests += 1
        made = command(FAMILY.request(str(self.requests)), *fields)
        return execute(self.core.state, made, self.core.batches[-1][1])

    def use(self, commands: list[c.RecordUsage]) -> None:
        """As a writer does: runs, and what is not usual by itself."""
        state, batch = self.core.state, self.core.batches[-1][1]
        place = 0
        while place < len(commands):
            if not self.plainly:
                place = record_usual(state, commands, place, batch, [])
            if place < len(commands):
                execute(state, commands[place], batch)
                place += 1

    def counted(self) -> dict[int, Any]:
        """Of each budget: in all, late, in the present window, told."""
        state = self.core.state
        return {
            number: (
                budget.counter.posted,
                budget.counter.late,
                budget.counter.within(budget.terms.window, state.now),
                budget.crossed,
            )
            for root in (ROOT, OTHER)
            for number, budget in state.families[root].budgets.items()
        }

    def drawn(self) -> dict[int, Any]:
        """Of each cap: in all, held, late, and in the window of now."""
        state = self.core.state
        return {
            cap.number: (
                cap.counter.posted,
                cap.counter.pending,
                cap.counter.late,
                cap.counted(state.now),
            )
            for account in state.family_accounts(ROOT)
            for cap in account.caps_given.values()
        }

    def events(self, kind: type) -> list[Any]:
        return [each for _, events in self.core.batches for each in events if type(each) is kind]


def usage(core: Core, draw: Random, number: int) -> c.RecordUsage:
    product = draw.choice(["chat", "chat", "half", "gpt"])
    names = ("input", "cached", "output") if product == "gpt" else ("tokens",)
    attributes = draw.choice([(), (("region", "eu"),), (("region", "eu"), ("user", "a"))])
    if draw.random() < 0.5:
        attributes = (("user", draw.choice("bcdefgh")),)
    ago = draw.choice([0, 0, 1, MINUTE_US, 3 * HOUR_US, 9 * HOUR_US])
    return c.RecordUsage(
        FAMILY.usage("tests", str(number)),
        draw.choice([ROOT, TEAM, BOT, BOT, OTHER]),
        core.shape(product, *names, attributes=attributes),
        tuple([draw.choice([3, 10, 60]) for _ in names]),
        core.now - ago if ago else 0,
        NO_NAMES,
    )


@pytest.mark.parametrize("seed", range(12))
def test_runs_count_what_entry_by_entry_would(seed: int) -> None:
    """Budgets of every measure in every kind of window, for all usage or some, with thresholds:
    runs of usage, on time and late, over days."""
    draws = Random(seed)
    rate_card = draws.choice(["default", "default", "resold"])
    both = [Family(plainly=plainly, rate_card=rate_card) for plainly in (False, True)]
    for place in range(14):
        terms = e.BudgetTerms(
            limit=draws.choice([200, 5_000, 10**12]),
            hard=draws.random() < 0.5,
            window=draws.choice(WINDOWS),
            thresholds=draws.choice([(), (50, 100), (1,)]),
            **draws.choice(MEASURES),
            **draws.choice(FOR),
        )
        account = draws.choice([ROOT, TEAM, BOT, OTHER])
        values = draws.choice(VALUES)
        for each in both:
            said = (f"b{place}", terms, 0, NO_NAMES, b"", values)
            assert isinstance(each.ask(c.SetBudget, account, *said), e.BudgetSet)
    number = 0
    for _ in range(12):
        size = draws.randrange(1, 40)
        again = draws.getstate()
        for each in both:
            draws.setstate(again)
            each.use([usage(each.core, draws, number + step) for step in range(size)])
        number += size
        assert both[0].counted() == both[1].counted()
        step = draws.choice([1, MINUTE_US, 2 * HOUR_US, 20 * HOUR_US])
        for each in both:
            each.core.advance(step)
    runs, plain = both
    books = [
        {
            book.number: (book.debits_posted, book.credits_posted)
            for book in each.core.state.books.accounts.values()
        }
        for each in both
    ]
    assert books[0] == books[1]
    assert runs.events(e.BudgetsTallied) and not plain.events(e.BudgetsTallied)
    assert len(runs.events(e.BudgetCrossed)) == len(plain.events(e.BudgetCrossed))
    for each in both:
        state = each.core.state
        assert judged(each.core) == []
        assert digest(replay(each.core.journal())) == digest(state)
        for root in (ROOT, OTHER):
            body = pack_family(state, root, state.settled_before)
            before = digest(state)
            drop_family(state, root)
            unpack_family(state, body)
            assert digest(state) == before
            assert pack_family(state, root, state.settled_before) == body


def opened(*budgets: e.BudgetTerms) -> Family:
    """A family whose bot has these budgets, all windows open, and its plans declared."""
    family = Family(plainly=False)
    for place, terms in enumerate(budgets):
        family.ask(c.SetBudget, BOT, f"b{place}", terms)
    for account in (BOT, OTHER):
        family.use([bot(family.core, -account, account)])
    family.core.advance(1)
    return family


def bot(core: Core, number: int, account: int = BOT, tokens: int = 10) -> c.RecordUsage:
    shape = core.shape("chat", "tokens")
    return c.RecordUsage(FAMILY.usage("b", str(number)), account, shape, (tokens,), 0, NO_NAMES)


CHARGES = e.BudgetTerms(e.BudgetMeasure.CHARGE, 10**6, CREDITS, thresholds=(50,))
REQUESTS = e.BudgetTerms(e.BudgetMeasure.REQUESTS, 10**6, window=WINDOWS[1])


def test_a_run_is_said_once_a_family_behind_it() -> None:
    """Five events of one family and one of another, in which nothing has a budget."""
    family = opened(CHARGES, REQUESTS)
    commands = [bot(family.core, number) for number in range(5)]
    family.use([*commands, bot(family.core, 9, OTHER)])
    *_, tallied = family.core.batches[-1][1]
    assert isinstance(tallied, e.BudgetsTallied)
    assert (tallied.account, tallied.budgets, tallied.posted) == (ROOT, (1, 2), (50, 5))
    assert [tallied.windows[place] for place in tallied.counted_in] == [
        FOR_EVER, DAY,
    ]  # fmt: skip
    kinds = [type(each).__name__ for each in family.core.batches[-1][1]]
    assert kinds == ["PlanDeclared", *["UsageRecorded"] * 6, "BudgetsTallied"]
    assert judged(family.core) == []


def test_a_run_ends_where_a_threshold_is_reached() -> None:
    """50 % of 100: the fifth event reaches it, is counted by itself, and tells it."""
    family = opened(replace(CHARGES, limit=100))
    family.use([bot(family.core, number) for number in range(8)])
    kinds = [type(each).__name__ for each in family.core.batches[-1][1]]
    assert kinds == [
        "PlanDeclared", *["UsageRecorded"] * 3, "BudgetsTallied",
        "UsageRecorded", "BudgetsCounted", "BudgetCrossed",
        *["UsageRecorded"] * 4, "BudgetsTallied",
    ]  # fmt: skip
    assert judged(family.core) == []


def test_a_budget_above_counts_usage_of_accounts_that_have_none() -> None:
    family = Family(plainly=False)
    family.ask(c.SetBudget, ROOT, "all", replace(CHARGES, thresholds=()))
    family.use([bot(family.core, number) for number in range(6)])
    family.core.advance(1)
    family.use([bot(family.core, number) for number in range(10, 16)])
    assert len(family.events(e.BudgetsTallied)) == 2
    assert family.counted()[1][0] == 120
    assert judged(family.core) == []


def test_what_is_of_a_window_that_is_kept_no_more_is_late() -> None:
    """Three days later nothing has counted in another window, and that one is over too long."""
    family = opened(REQUESTS)
    first = family.core.now
    family.use([bot(family.core, 50)])  # a run has met the window
    family.core.advance(3 * DAY_US)
    family.use([replace(bot(family.core, number), effective_at=first) for number in range(3)])
    assert family.counted()[1][:3] == (5, 3, (0, 0))
    assert judged(family.core) == []


def test_a_move_fits_64_bits() -> None:
    """Rule N1: what a run would count beyond it begins another."""
    family = opened(CHARGES)
    tallies = Tallies(0)
    core = family.core
    account = core.state.accounts[BOT]
    bound, _ = core.catalog.step(account.card_key, core.shape("chat", "tokens"), core.now, (1,))
    grant = core.state.accounts[ROOT].grants[0]

    def count(total: int) -> bool:
        shape = core.shape("chat", "tokens")
        now = core.state.now
        return tallies.count(account, bound, shape, (1,), total, grant, -1, now, now, 0)

    family.ask(c.SetBudget, BOT, "b0", replace(CHARGES, thresholds=()))
    assert count(INT64_MAX - 5)
    assert not count(6)
    assert [each.posted for each in tallies.entries()] == [(INT64_MAX - 5,)]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"posted": (51, 5)}, "posted in budget 1"),
        ({"budgets": (2, 2)}, "posted in budget 1"),
        ({"windows": ((0, 5), DAY)}, "window of budget 1"),
        ({"posted": (10**6, 5)}, "threshold 50 of budget 1"),
        (
            {"budgets": (1, 1, 2), "counted_in": (0, 0, 1), "posted": (10**6 - 1, 1, 5)},
            "threshold 50 of budget 1",
        ),
        (None, "budgets of UsageRecorded"),
    ],
)
def test_verify_finds_what_was_not_tallied_so(changes: dict[str, Any] | None, what: str) -> None:
    family = opened(CHARGES, REQUESTS)
    family.use([bot(family.core, number) for number in range(5)])
    events = family.core.batches[-1][1]
    tallied = events[-1]
    assert isinstance(tallied, e.BudgetsTallied)
    if changes is None:
        del events[-1]
    else:
        events[-1] = replace(tallied, **changes)
    family.core.advance(1)
    family.use([bot(family.core, 90)])
    found = judged(family.core, replays=False)
    assert any(what in each.what for each in found), found


def test_an_entry_is_counted_once() -> None:
    """By a tally, or by itself: a tally that begins later leaves some uncounted."""
    family = opened(CHARGES)
    family.use([bot(family.core, number) for number in range(3)])
    events = family.core.batches[-1][1]
    tallied = events[-1]
    assert isinstance(tallied, e.BudgetsTallied)
    events[-1] = replace(tallied, first=tallied.first + 2)
    family.core.advance(DAY_US)
    family.use([bot(family.core, 90)])
    assert [each.what for each in judged(family.core, replays=False)]


def test_a_tally_of_before_says_the_same_in_columns() -> None:
    """It said a move at a time, tag 116."""
    old = BudgetsTallied1(
        1, 7, (e.BudgetMove(4, 0, 50, 3), e.BudgetMove(5, 10, 20, 1), e.BudgetMove(6, 0, 50, 9))
    )
    told = UPCASTS[BudgetsTallied1](old)
    assert told == e.BudgetsTallied(1, 7, ((0, 50), (10, 20)), (4, 5, 6), (0, 1, 0), (3, 1, 9))
    assert told.moves() == list(old.moves)


def test_a_run_forgets_no_window_that_a_replay_keeps() -> None:
    """Usage of half a minute ahead opens the next day's window on two evenings. A run that counts
    in the third day's leaves the first's, which is over too long: in a replay as well."""
    family = opened(REQUESTS)
    core = family.core
    counter = core.state.families[ROOT].budgets[1].counter
    for number in range(2):
        core.advance(counter.cells[-1].end - MINUTE_US // 2 - core.now)
        family.use([replace(bot(core, 50 + number), effective_at=core.now + MINUTE_US)])
    core.advance(MINUTE_US)
    family.use([bot(core, 70)])
    assert type(core.batches[-1][1][-1]) is e.BudgetsTallied
    assert [cell.posted for cell in counter.cells] == [1, 1, 2]
    assert digest(replay(core.journal())) == digest(core.state)
    assert judged(core) == []
