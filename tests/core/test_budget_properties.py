"""Budgets against a list of everything that was used (rules H4, H5)."""

from __future__ import annotations

from random import Random

import core_machine as machine
import pytest
from budget_case import BudgetCase
from core_world import CREDITS, DAY_US, FAMILY, USD, SandboxCore, replay
from hypothesis import given
from hypothesis import strategies as st
from test_windows import Listed

from ledger.core import events as e
from ledger.core.commands import SetBudget
from ledger.core.digest import digest
from ledger.core.limits import HOUR_US, MINUTE_US

EVERY_MEASURE = (
    (e.BudgetMeasure.CHARGE, CREDITS, ""),
    (e.BudgetMeasure.NET_CHARGE, CREDITS, ""),
    (e.BudgetMeasure.COST, USD, ""),
    (e.BudgetMeasure.QUANTITY, 0, "tokens"),
    (e.BudgetMeasure.REQUESTS, 0, ""),
    (e.BudgetMeasure.CHARGE, USD, ""),
)
EVERY_WINDOW = (
    e.Window(),
    e.Window(e.WindowKind.CALENDAR, e.WindowUnit.DAY, "Europe/Berlin"),
    e.Window(e.WindowKind.SLIDING, length=DAY_US),
    e.Window(e.WindowKind.BILLING),
    e.Window(e.WindowKind.FIXED, length=HOUR_US),
)
ACCOUNTS = ("acme", "dev", "bot", "side")
LINES = {
    "acme": ("acme",),
    "dev": ("dev", "acme"),
    "bot": ("bot", "dev", "acme"),
    "side": ("side", "acme"),
}
WINDOWS = st.sampled_from(["", "each=day", "each=week@Asia/Kolkata", "each=last:1d", "each=month"])
AMOUNT = st.integers(1, 40)
WHO = st.sampled_from(ACCOUNTS)
STEPS = st.one_of(
    st.tuples(st.just("hold"), WHO, AMOUNT),
    st.tuples(st.just("hold"), WHO, AMOUNT),
    st.tuples(st.just("usage"), WHO, AMOUNT),
    st.tuples(st.just("late"), WHO, st.integers(1, 80)),
    st.tuples(st.just("capture"), st.just(""), AMOUNT),
    st.tuples(st.just("part"), st.just(""), AMOUNT),
    st.tuples(st.just("release"), st.just(""), AMOUNT),
    st.tuples(st.just("reverse"), st.just(""), AMOUNT),
    st.tuples(st.just("limit"), WHO, st.integers(0, 150)),
    st.tuples(st.just("hours"), st.just(""), st.integers(1, 30)),
    st.tuples(st.just("pack"), st.just(""), st.just(0)),
)


class Told:
    """Runs steps, and remembers by itself what each of them counts, and when."""

    def __init__(self, windows: list[tuple[str, str, int, bool]], sandbox: bool) -> None:
        case = self.case = BudgetCase(SandboxCore() if sandbox else None)
        case.run(
            "account acme\naccount dev parent=acme\naccount bot parent=dev\n"
            "account side parent=acme\ngrant acme 1000000 shared effective=-40d"
        )
        self.budgets: dict[str, tuple[str, Listed]] = {}
        for place, (name, window, limit, hard) in enumerate(windows):
            case.run(f"budget {name}/b{place} {limit} {window} {'' if hard else 'soft'}")
            budget = case.budget(f"{name}/b{place}")
            self.budgets[f"{name}/b{place}"] = (name, Listed(budget.terms.window))
        self.holds: dict[str, tuple[str, int, int]] = {}  # open: whose, when, what pends
        self.usage: list[tuple[str, str, int, int]] = []  # id, whose, which instant, how much
        self.steps = 0

    def count(self, name: str, at: int, posted: int, pending: int) -> None:
        for owner, listed in self.budgets.values():
            if owner in LINES[name]:
                listed.add(at, self.case.core.now, posted, pending)

    def step(self, what: str, name: str, amount: int) -> None:
        self.steps += 1
        case, now, called = self.case, self.case.core.now, f"s{self.steps}"
        if what == "hours":
            case.run(f"clock +{amount}h")
        elif what == "pack":
            case.core.begin_batch()
        elif what == "limit":
            for place, (owner, _) in self.budgets.items():
                if owner == name:
                    terms = case.budget(place).terms
                    each = self._each(terms.window)
                    soft = "" if terms.hard else "soft"
                    case.run(f"budget {place} {amount} {each} {soft}")
        elif what == "usage":
            case.run(f"usage {name} {amount} id={called}")
            self.usage.append((called, name, now, amount))
            self.count(name, now, amount, 0)
        elif what == "late":
            at = now - amount * HOUR_US + MINUTE_US
            case.run(f"usage {name} 3 id={called} at=-{amount * 60 - 1}m")
            self.usage.append((called, name, at, 3))
            self.count(name, at, 3, 0)
        elif what == "hold":
            self._hold(name, amount, called)
        elif what == "reverse" and self.usage:
            was, whose, at, much = self.usage.pop(amount % len(self.usage))
            case.run(f"reverse {was}")
            self.count(whose, at, -much, 0)
        elif self.holds and what in ("capture", "part", "release"):
            self._settle(what, amount, called)

    @staticmethod
    def _each(window: e.Window) -> str:
        if window.kind == e.WindowKind.LIFETIME:
            return ""
        if window.kind == e.WindowKind.SLIDING:
            return "each=last:1d"
        return f"each={e.WindowUnit(window.unit).name.lower()}@{window.zone}"

    def _hold(self, name: str, amount: int, called: str) -> None:
        case, now = self.case, self.case.core.now
        line = [place for place, (owner, _) in self.budgets.items() if owner in LINES[name]]
        refusing = []
        for place in line:
            terms = case.budget(place).terms
            used = sum(self.budgets[place][1].within(now))
            if terms.hard and used + amount > terms.limit:
                refusing.append(place)
        told = case._hold({"as": called, "lifetime": "20h"}, name, str(amount))
        if refusing:
            order = sorted(refusing, key=lambda place: LINES[name].index(place.split("/")[0]))
            left = case.budget(order[0])
            used = sum(self.budgets[order[0]][1].within(now))
            room = max(0, left.terms.limit - used)
            assert told == f"denied by {order[0]}, {room} left"
            return
        assert not told.startswith("denied"), told
        self.holds[called] = (name, now, amount)
        self.count(name, now, 0, amount)

    def _settle(self, what: str, amount: int, called: str) -> None:
        case = self.case
        number = sorted(self.holds)[amount % len(self.holds)]
        name, at, pending = self.holds.pop(number)
        if case.core.now >= at + 20 * HOUR_US:  # it has expired: posted by the command itself
            case.run("sweep")
            self.count(name, at, 0, -pending)
        elif what == "release":
            case.run(f"release {number}")
            self.count(name, at, 0, -pending)
        elif what == "capture":
            case.run(f"capture {number} {amount} id={called}")
            self.usage.append((called, name, at, amount))
            self.count(name, at, amount, -pending)
        else:
            case.run(f"capture {number} {amount} open id={called}")
            self.usage.append((called, name, at, amount))
            taken = min(pending, amount)
            self.count(name, at, amount, -taken)
            self.holds[number] = (name, at, pending - taken)

    def expire(self) -> None:
        """What is over by now, on whichever account: the sweep posts it."""
        now = self.case.core.now
        self.case.run("sweep")
        for number, (name, at, pending) in list(self.holds.items()):
            if now >= at + 20 * HOUR_US:
                del self.holds[number]
                self.count(name, at, 0, -pending)

    def look(self) -> None:
        now = self.case.core.now
        for place, (_, listed) in self.budgets.items():
            budget = self.case.budget(place)
            found = budget.counter.within(budget.terms.window, now)
            assert found == listed.within(now), place


@given(
    windows=st.lists(
        st.tuples(WHO, WINDOWS, st.integers(0, 150), st.booleans()), min_size=1, max_size=5
    ),
    steps=st.lists(STEPS, max_size=25),
    sandbox=st.booleans(),
)
def test_at_any_interleaving_budgets_count_and_refuse_as_a_list_says(
    windows: list[tuple[str, str, int, bool]], steps: list[tuple[str, str, int]], sandbox: bool
) -> None:
    """Holds, captures, usage on time and late, reversals, limits changed amid holds, windows that
    pass: what is authorised never exceeds a hard budget of the account or of one above it, the
    first that refuses is named with what is left, and each counter is what a list of all use gives.
    A replay, and families packed and back, are the same, in a sandbox too, whose clock runs ahead
    (rules H4, H5, T4)."""
    told = Told(windows, sandbox)
    for step in steps:
        told.step(*step)
        told.expire()
        told.look()
    told.case.finish()
    assert digest(replay(told.case.core.journal())) == digest(told.case.core.state)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_asked_counts_in_budgets_of_every_measure(seed: int) -> None:
    """Each account has a soft budget of each measure, each in another kind of window, and whatever
    the ledger can be asked is asked in some order: what they count is what `verify` says, books
    balance, and a replay and packed families are the same (rules H4, H5)."""
    walked, drawn = machine.CoreMachine(), Random(seed)
    walked.begin(machine.WORLDS[seed % len(machine.WORLDS)])
    core = walked.case.core
    for account in list(core.state.accounts):
        for place, (measure, asset, quantity) in enumerate(EVERY_MEASURE):
            terms = e.BudgetTerms(
                measure, 50, asset, quantity, False, EVERY_WINDOW[place % len(EVERY_WINDOW)],
                thresholds=(50, 100),
            )  # fmt: skip
            for by, values in (("", None), (" by value", e.BudgetValues(("model",), 2))):
                key = FAMILY.request(f"budget {account} {place}{by}")
                made = core.run(SetBudget(key, account, f"b{place}{by}", terms, values=values))
                assert isinstance(made, e.BudgetSet)
    walked.case.read()
    names = sorted(machine.STEPS)
    for _ in range(150):
        name = drawn.choice(names)
        arguments = {each: drawn.choice(domain) for each, domain in machine.STEPS[name].items()}
        getattr(walked, name)(**arguments)
        for invariant in walked.invariants:
            invariant.function(walked)
    counted = [each for _, events in core.batches for each in events]
    assert any(isinstance(each, e.BudgetsCounted) for each in counted)
    walked.teardown()
