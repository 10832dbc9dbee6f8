"""Advice on many at once is, of each, the advice that it gets alone."""

from __future__ import annotations

from random import Random

import pytest
from core_world import PRODUCTS
from test_machine import STEPS, WORLDS, CoreMachine

from ledger.core.checking import Checker, Work
from ledger.core.holds import Assessment, assess, holds_limit
from ledger.core.outcomes import Refusal

AMOUNTS = (1, 3, 7, 20, 45, 90, 5_000)


def agrees(machine: CoreMachine) -> int:
    """Ask each account about everything, together and alone; how many answers were read off."""
    core = machine.case.core
    state = core.state
    work = [Work(core.shape(each.product, "tokens"), (n,)) for each in PRODUCTS for n in AMOUNTS]
    work.append(Work(core.shape("priceless", "tokens"), (1,)))
    work.append(Work(core.shape("gpt", "cached", "input"), (5, 4)))
    checker = Checker(state.catalog)
    read_off = 0
    for account in state.accounts.values():
        found = checker.answer(state, account, work, state.now)
        assert len(found.allowed) == len(work)
        read_off += found.spent < 2 * len(work)
        refused = holds_limit(account)
        for place, (shape, quantities) in enumerate(work):
            alone = refused or assess(state, account, shape, quantities, state.now)
            if isinstance(alone, Refusal):
                expected = (0, alone.reason, 0, 0, None)
            else:
                assert isinstance(alone, Assessment)
                allowed = 0 if alone.denied else 2 if alone.uses_debt else 1
                expected = (allowed, alone.denied, alone.charge, alone.available, alone.bound)
            assert expected == (
                found.allowed[place],
                found.denied[place],
                found.charges[place],
                found.available[place],
                found.bounds[place],
            ), (account.number, shape, quantities)
    return read_off


@pytest.mark.parametrize("seed", range(9))
def test_many_answers_are_those_that_are_given_alone(seed: int):
    """Over lives of a family with every kind of grant, cap of debt, hold and freeze."""
    machine, drawn = CoreMachine(), Random(seed)
    machine.begin(WORLDS[seed % len(WORLDS)])
    names = sorted(STEPS)
    read_off = 0
    for _ in range(12):
        for _ in range(10):
            name = drawn.choice(names)
            arguments = {each: drawn.choice(domain) for each, domain in STEPS[name].items()}
            getattr(machine, name)(**arguments)
        machine.do("sweep")
        read_off += agrees(machine)
    assert read_off
