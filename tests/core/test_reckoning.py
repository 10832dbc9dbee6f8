"""The steps by which a decision is explained are those by which it is made (rules D1, D4, H4)."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest
from budget_case import BudgetCase
from core_machine import STEPS, WORLDS, CoreMachine
from core_world import FAMILY, PRODUCTS
from family_case import FamilyCase
from test_budget_properties import EVERY_MEASURE, EVERY_WINDOW

from ledger.core import events as e
from ledger.core.commands import SetBudget
from ledger.core.decisions.assessing import assess
from ledger.core.decisions.reckoning import reckon
from ledger.core.digest import digest
from ledger.core.outcomes import Reason, Refusal

AMOUNTS = (1, 3, 7, 20, 45, 90, 5_000)
NUMBERS = count()
BY_POTS = ("", Reason.INSUFFICIENT_CREDITS, Reason.BUDGET_EXCEEDED)


def agrees(machine: CoreMachine) -> set[str]:
    """Reckon each account's chance of every work: the steps come to what is decided."""
    core = machine.case.core
    state, seen = core.state, set[str]()
    before = digest(state)
    work = [(core.shape(each.product, "tokens"), (n,)) for each in PRODUCTS for n in AMOUNTS]
    work.append((core.shape("priceless", "tokens"), (1,)))
    for account in state.accounts.values():
        for shape, quantities in work:
            found = assess(state, account, shape, quantities, state.now)
            if isinstance(found, Refusal):
                continue
            steps = reckon(state, account, found, shape, quantities, state.now)
            gives = sum([step.gives for step in steps.pots])
            refusing = [step.budget for step in steps.budgets if not step.allows]
            for step in steps.pots:
                assert step.gives == 0 if step.withheld else step.gives <= step.room % 2**63
                seen.add(step.withheld)
            if found.denied in BY_POTS:
                assert (gives == found.charge) is (found.denied != Reason.INSUFFICIENT_CREDITS)
                if not found.denied:
                    assert not refusing
                if found.budget is not None:
                    assert refusing[0] is found.budget.budget
                seen.add(found.denied)
    assert digest(state) == before
    return seen


@pytest.mark.parametrize("seed", range(6))
def test_the_steps_come_to_the_decision(seed: int) -> None:
    """Over lives of a family with every kind of grant, debt, hold and freeze, and budgets of every
    measure, in every kind of window."""
    machine, drawn = CoreMachine(), Random(seed)
    machine.begin(WORLDS[1 + seed % 2])
    accounts = list(machine.case.core.state.accounts)
    set_budgets(machine, accounts, hard=False)
    names, seen = sorted(STEPS), set[str]()
    for _ in range(8):
        for _ in range(10):
            name = drawn.choice(names)
            arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
            getattr(machine, name)(**arguments)
        machine.do("sweep")
        open_ones = [
            each for each in accounts if not machine.case.core.state.accounts[each].closed_at
        ]
        set_budgets(machine, open_ones, hard=True)
        seen |= agrees(machine)
        set_budgets(machine, open_ones, hard=False)
    assert {"", "NOT_GIVEN", Reason.BUDGET_EXCEEDED, Reason.INSUFFICIENT_CREDITS} <= seen


def set_budgets(machine: CoreMachine, accounts: list[int], *, hard: bool) -> None:
    """Half of them refuse where they are `hard`: what else the machine asks knows none that do."""
    core = machine.case.core
    for account in accounts:
        for place, (measure, asset, quantity) in enumerate(EVERY_MEASURE):
            window = EVERY_WINDOW[place % len(EVERY_WINDOW)]
            terms = e.BudgetTerms(measure, 2, asset, quantity, hard and place % 2 == 0, window)
            values = e.BudgetValues(("model",), 2) if place % 3 == 0 else None
            key = FAMILY.request(f"budget {next(NUMBERS)}")
            made = core.run(SetBudget(key, account, f"b{place}", terms, values=values))
            assert isinstance(made, e.BudgetSet), made
    machine.case.read()


def test_a_case_by_hand() -> None:
    """The account's own grant first, the shared one for the rest; the budget above refuses."""
    case = BudgetCase()
    case.run(
        """
        account acme
        account dev   parent=acme
        grant   acme  100 as=G1 shared
        grant   dev   10  as=G2 expires=+1d
        grant   dev   30  as=G3 effective=+6h
        grant   dev   50  as=G4 for=image
        budget  acme/all 40
        budget  dev/calls 5 of=requests
        hold    dev   4 as=H
        """
    )
    core = case.core
    state, shape = core.state, core.shape("chat", "tokens")
    account = state.accounts[case.accounts["dev"]]
    found = assess(state, account, shape, (37,), state.now)
    assert not isinstance(found, Refusal)
    assert found.denied == Reason.BUDGET_EXCEEDED
    steps = reckon(state, account, found, shape, (37,), state.now)
    grants = {name: case.grants[name] for name in ("G1", "G2", "G3", "G4")}
    told = {
        name: (step.units, step.room, step.gives, step.withheld)
        for step in steps.pots
        for name, number in grants.items()
        if step.grant == number
    }
    assert told == {
        "G2": (6, 6, 6, ""),
        "G1": (100, 100, 31, ""),
        "G3": (30, 0, 0, "NOT_YET_EFFECTIVE"),
        "G4": (50, 0, 0, "NOT_APPLICABLE"),
    }
    assert [(step.pot, step.withheld) for step in steps.pots if not step.grant] == [
        (e.Pot.OVERDRAFT, "NOT_GIVEN"),
        (e.Pot.OVERAGE, "NOT_GIVEN"),
    ]
    assert [(each.budget.name, *each[3:]) for each in steps.budgets] == [
        ("calls", 5, 0, 1, 1, 0, 4, True),
        ("all", 40, 0, 4, 37, 0, 36, False),
    ]


def test_what_one_pot_gives_counts_in_the_cap_of_the_next() -> None:
    """A cap of 10 over two shared grants of 8: the second may give what the first one left of it;
    of a third nothing may be had (rule D8)."""
    case = FamilyCase()
    case.run(
        """
        account acme
        account dev   parent=acme
        grant   acme  8 as=G1 shared priority=1
        grant   acme  8 as=G2 shared priority=2
        grant   acme  8 as=G3 shared priority=3
        cap     acme  dev 10
        """
    )
    state, shape = case.core.state, case.core.shape("chat", "tokens")
    account = state.accounts[case.accounts["dev"]]
    found = assess(state, account, shape, (12,), state.now)
    assert not isinstance(found, Refusal)
    assert found.denied == Reason.INSUFFICIENT_CREDITS
    steps = reckon(state, account, found, shape, (12,), state.now)
    assert [(each.units, each.room, each.gives, each.withheld) for each in steps.pots[:3]] == [
        (8, 8, 8, ""),
        (8, 2, 2, ""),
        (8, 0, 0, "CAP_REACHED"),
    ]
