"""Advice on many at once is, of each, the advice that it gets alone."""

from __future__ import annotations

from random import Random

import pytest
from core_machine import STEPS, WORLDS, CoreMachine
from core_world import PRODUCTS

from ledger.core.decisions.authorizing import assess_up_to
from ledger.core.decisions.checking import Asked, Checker, Work
from ledger.core.decisions.holds import holds_limit
from ledger.core.decisions.shortfall import limit_of
from ledger.core.events import UpTo
from ledger.core.outcomes import Refusal

AMOUNTS = (1, 3, 7, 20, 45, 90, 5_000)


def agrees(machine: CoreMachine) -> int:
    """Ask each account about everything, together and alone; how many answers were read off."""
    core = machine.case.core
    state = core.state
    work = [Work(core.shape(each.product, "tokens"), (n,)) for each in PRODUCTS for n in AMOUNTS]
    work.append(Work(core.shape("priceless", "tokens"), (1,)))
    work.append(Work(core.shape("gpt", "cached", "input"), (5, 4)))
    work += [
        Work(core.shape(each, "tokens"), (90,), UpTo("tokens", 2, 90))
        for each in ("chat", "half", "priceless")
    ]
    asked = Asked(work)
    checker = Checker(state.catalog)
    read_off = 0
    for account in state.accounts.values():
        found = checker.answer(state, account, asked, state.now)
        assert len(found.allowed) == len(work)
        read_off += found.spent < 8 * len(work)
        refused = holds_limit(account)
        for place, (shape, quantities, up_to, _) in enumerate(work):
            alone = refused or assess_up_to(state, account, shape, quantities, up_to, state.now)
            if isinstance(alone, Refusal):
                expected = (0, alone.reason, 0, 0, None, None, 0)
            else:
                assessed, allowed_of, limit = alone
                allowed = 3 if allowed_of != quantities else 2 if assessed.uses_debt else 1
                amount = allowed_of[0] if up_to is not None else 0
                if assessed.denied:
                    allowed, amount = 0, 0
                    limit = limit_of(state, account, assessed, state.now)
                figures = assessed.charge, assessed.available, assessed.bound
                expected = (allowed, assessed.denied, *figures, limit, amount)
            assert expected == (
                found.allowed[place],
                found.denied[place],
                found.charges[place],
                found.available[place],
                found.bounds[place],
                found.limits[place],
                found.amounts[place],
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
