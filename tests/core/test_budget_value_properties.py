"""Budgets by value against a list of everything that each value used (rules H4, H5)."""

from __future__ import annotations

import pytest
from budget_case import BudgetCase
from core_world import SandboxCore, replay
from hypothesis import given
from hypothesis import strategies as st
from test_windows import Listed

from ledger.core.digest import digest
from ledger.core.limits import HOUR_US, MINUTE_US

ACCOUNTS = ("acme", "dev", "side")
LINES = {"acme": ("acme",), "dev": ("dev", "acme"), "side": ("side", "acme")}
USERS = ("", "a", "b", "c", "d", "vip")
WINDOWS = [
    "",
    "each=day",
    "each=week@Asia/Kolkata",
    "each=last:1d",
    "each=last:6h",
    "each=first:5h",
]
AMOUNT = st.integers(1, 40)
WHO = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(USERS))
NOBODY = st.just(("", ""))
STEPS = st.one_of(
    st.tuples(st.just("hold"), WHO, AMOUNT),
    st.tuples(st.just("hold"), WHO, AMOUNT),
    st.tuples(st.just("hold"), WHO, AMOUNT),
    st.tuples(st.just("debit"), WHO, AMOUNT),
    st.tuples(st.just("usage"), WHO, AMOUNT),
    st.tuples(st.just("late"), WHO, st.integers(1, 80)),
    st.tuples(st.just("capture"), NOBODY, AMOUNT),
    st.tuples(st.just("part"), NOBODY, AMOUNT),
    st.tuples(st.just("release"), NOBODY, AMOUNT),
    st.tuples(st.just("reverse"), NOBODY, AMOUNT),
    st.tuples(st.just("limit"), WHO, st.integers(0, 120)),
    st.tuples(st.just("hours"), NOBODY, st.integers(1, 30)),
    st.tuples(st.just("pack"), NOBODY, st.just(0)),
)
BUDGETS = st.tuples(
    st.sampled_from(ACCOUNTS), st.sampled_from(WINDOWS), st.integers(0, 100), st.integers(0, 150)
)


class Told:
    """Runs steps, and remembers by itself what each value used of each budget, and when."""

    def __init__(
        self, budgets: list[tuple[str, str, int, int]], values: int, sandbox: bool
    ) -> None:
        case = self.case = BudgetCase(SandboxCore() if sandbox else None)
        case.run(
            "account acme\naccount dev parent=acme\naccount side parent=acme\n"
            "grant acme 1000000 shared effective=-40d"
        )
        self.values = values
        self.budgets: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.limits: dict[str, tuple[int, int]] = {}
        for place, (name, window, limit, of_vip) in enumerate(budgets):
            self.set(f"{name}/b{place}", name, window, limit, of_vip)
        self.listed: dict[tuple[str, str], Listed] = {}  # (budget, user) -> all of it
        self.holds: dict[str, tuple[str, str, int, int]] = {}  # open: whose, when, what pends
        self.usage: list[tuple[str, str, str, int, int]] = []
        self.steps = 0

    def set(self, place: str, name: str, window: str, limit: int, of_vip: int) -> None:
        self.case.run(
            f"budget {place} {limit} {window} by=user values={self.values} but=vip:{of_vip}"
        )
        self.budgets[place], self.said[place] = name, window
        self.limits[place] = (limit, of_vip)

    def of(self, place: str, user: str) -> Listed:
        window = self.case.budget(place).terms.window
        return self.listed.setdefault((place, user), Listed(window))

    def count(self, name: str, user: str, at: int, posted: int, pending: int) -> None:
        for place, owner in self.budgets.items():
            if owner in LINES[name]:
                self.of(place, user).add(at, self.case.core.now, posted, pending)

    def step(self, what: str, who: tuple[str, str], amount: int) -> None:
        self.steps += 1
        case, now, called = self.case, self.case.core.now, f"s{self.steps}"
        name, user = who
        of = {"with": f"user:{user}"} if user else {}
        by = f"with=user:{user}" if user else ""
        if what == "hours":
            case.run(f"clock +{amount}h")
        elif what == "pack":
            case.core.begin_batch()
        elif what == "limit":
            for place, owner in self.budgets.items():
                if owner == name:
                    self.set(place, owner, self.said[place], amount, amount // 2)
        elif what == "usage":
            case.run(f"usage {name} {amount} id={called} {by}")
            self.usage.append((called, name, user, now, amount))
            self.count(name, user, now, amount, 0)
        elif what == "late":
            at = now - amount * HOUR_US + MINUTE_US
            case.run(f"usage {name} 3 id={called} at=-{amount * 60 - 1}m {by}")
            self.usage.append((called, name, user, at, 3))
            self.count(name, user, at, 3, 0)
        elif what == "hold":
            options = {"as": called, "lifetime": "20h"} | of
            if self.allowed(case._hold(options, name, str(amount)), name, user, amount):
                self.holds[called] = (name, user, now, amount)
                self.count(name, user, now, 0, amount)
        elif what == "debit":
            if self.allowed(
                case._debit({"id": called} | of, name, str(amount)), name, user, amount
            ):
                self.usage.append((called, name, user, now, amount))
                self.count(name, user, now, amount, 0)
        elif what == "reverse" and self.usage:
            was, whose, its, at, much = self.usage.pop(amount % len(self.usage))
            case.run(f"reverse {was}")
            self.count(whose, its, at, -much, 0)
        elif what in ("capture", "part", "release") and self.holds:
            self.settle(what, amount, called)

    def allowed(self, told: str, name: str, user: str, amount: int) -> bool:
        """What was allowed is within the limit of the value everywhere; what was denied is not by
        that of the budget that is named, unless the value counts with others there."""
        now = self.case.core.now
        over = [
            place
            for place, owner in self.budgets.items()
            if owner in LINES[name]
            and sum(self.of(place, user).within(now)) + amount > self.limit(place, user)
        ]
        if not told.startswith("denied"):
            assert not over, (told, over)
            return True
        if "and others" not in told:
            budget = told.removeprefix("denied by ").partition(":")[0]
            assert budget in over, (told, over)
        return False

    def limit(self, place: str, user: str) -> int:
        return self.limits[place][user == "vip"]

    def settle(self, what: str, amount: int, called: str) -> None:
        case = self.case
        number = sorted(self.holds)[amount % len(self.holds)]
        name, user, at, pending = self.holds.pop(number)
        if case.core.now >= at + 20 * HOUR_US:  # it has expired: posted by the command itself
            case.run("sweep")
            self.count(name, user, at, 0, -pending)
        elif what == "release":
            case.run(f"release {number}")
            self.count(name, user, at, 0, -pending)
        else:
            stays = "open" if what == "part" else ""
            case.run(f"capture {number} {amount} {stays} id={called}")
            self.usage.append((called, name, user, at, amount))
            taken = min(pending, amount) if stays else pending
            self.count(name, user, at, amount, -taken)
            if stays:
                self.holds[number] = (name, user, at, pending - taken)

    def expire(self) -> None:
        now = self.case.core.now
        self.case.run("sweep")
        for number, (name, user, at, pending) in list(self.holds.items()):
            if now >= at + 20 * HOUR_US:
                del self.holds[number]
                self.count(name, user, at, 0, -pending)

    def look(self, exactly: bool) -> None:
        """As many counters as there may be, and each shows what its value used."""
        now = self.case.core.now
        for place in self.budgets:
            budget = self.case.budget(place)
            values = budget.values
            assert values is not None
            assert len([each for each in values.kept if each not in values.limits]) <= self.values
            for user in USERS if exactly else ():
                kept = values.kept.get((user,))
                found = kept.counter.within(budget.terms.window, now) if kept else (0, 0)
                assert found == self.of(place, user).within(now), (place, user)


@given(
    budgets=st.lists(BUDGETS, min_size=1, max_size=3),
    steps=st.lists(STEPS, max_size=30),
    sandbox=st.booleans(),
)
def test_where_all_have_counters_each_value_counts_and_is_refused_as_a_list_says(
    budgets: list[tuple[str, str, int, int]], steps: list[tuple[str, tuple[str, str], int]],
    sandbox: bool,
) -> None:  # fmt: skip
    """Holds, captures, usage on time and late, reversals, limits changed amid holds, windows that
    pass: nothing that is authorised exceeds the limit of its value in any budget of its line, what
    is denied would exceed that of the budget that is named, and each counter is what a list of the
    value's use gives (rules H4, H5)."""
    told = Told(budgets, 20, sandbox)
    for step in steps:
        told.step(*step)
        told.expire()
        told.look(exactly=True)
    told.case.finish()
    assert digest(replay(told.case.core.journal())) == digest(told.case.core.state)


@given(
    budgets=st.lists(BUDGETS, min_size=1, max_size=3),
    values=st.integers(1, 3),
    steps=st.lists(STEPS, max_size=40),
    sandbox=st.booleans(),
)
def test_where_values_share_a_counter_none_is_authorised_more_than_its_limit(
    budgets: list[tuple[str, str, int, int]], values: int,
    steps: list[tuple[str, tuple[str, str], int]], sandbox: bool,
) -> None:  # fmt: skip
    """More values than may have a counter, which come and go with their windows: whatever is
    authorised is within the limit of its value by all that the value used (rule H5)."""
    told = Told(budgets, values, sandbox)
    for step in steps:
        told.step(*step)
        told.expire()
        told.look(exactly=False)
    told.case.finish()
    assert digest(replay(told.case.core.journal())) == digest(told.case.core.state)


@pytest.mark.parametrize("values", [1, 2])
def test_counters_that_are_over_are_kept_no_more(values: int) -> None:
    """A new user every hour, in windows of three: the state holds those of a window and the one
    that opens next, however long it goes on."""
    case = BudgetCase()
    case.run(
        "account acme\ngrant acme 1000000\n"
        f"budget acme/per 100 each=first:3h by=user values={values}"
    )
    for hour in range(60):
        case.run(f"usage acme 1 with=user:u{hour}\nclock +1h")
        budget = case.budget("acme/per")
        assert budget.values is not None
        assert len(budget.values.counters()) <= values + 1
        assert len(case.core.state.families[1].budgets) <= values + 2
    case.finish()
