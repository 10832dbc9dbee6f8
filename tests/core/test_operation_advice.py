"""Advice with a hold of an operation is what is decided with it, in each story of such holds and
in whatever order calls come (rules H1, H4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import test_operation_counting
import test_operation_holds
import test_operation_parts
from core_world import Core
from operation_case import OperationCase, operation_case

from ledger.api.advising import Advice, advise
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.authorizing import range_of
from ledger.core.decisions.checking import Answered, Asked, Checker, Work
from ledger.core.decisions.reckoning import reckon
from ledger.core.digest import digest
from ledger.core.outcomes import Known, Reason, Refusal

Drawing = c.AuthorizeHold | c.DebitWork
STORIES = [
    pytest.param(story, id=name)
    for module in (test_operation_holds, test_operation_parts, test_operation_counting)
    for name, story in vars(module).items()
    if name.startswith("test_") and getattr(story, "__module__", "") == module.__name__
    if not story.__code__.co_argcount
    and name != "test_two_hundred_callers_get_exactly_what_the_hold_affords"
]
OF_THE_CALL = (Reason.HOLD_LIFETIME_INVALID, Reason.CONFLICT)
"""Refusals of what only Authorize says."""


def in_windows() -> None:
    for window in ("fixed/1h", "sliding/1h", "day"):
        test_operation_counting.test_no_cap_is_passed_by_a_hold_whose_window_is_over(window)


@pytest.mark.parametrize("story", [*STORIES, in_windows])
def test_each_story_is_told_before_it_happens(
    story: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Core.run

    def run(core: Core, command: c.Command) -> object:
        if not isinstance(command, Drawing) or not command.hold:
            return decide(core, command)
        before = digest(core.state)
        said, listed = advice_of(core, command)
        assert digest(core.state) == before
        outcome = decide(core, command)
        _agree(said, outcome)
        if not command.alternatives:
            _agree_listed(said, listed)
        return outcome

    monkeypatch.setattr(Core, "run", run)
    story()


def advice_of(core: Core, command: Drawing) -> tuple[Advice | Refusal, Answered | None]:
    """What Check and CheckMany say of it."""
    state, now = core.state, max(core.now, core.state.recorded_at + 1)
    account = state.accounts.get(command.account)
    said = advise(
        state, command.account, command.shape, command.quantities, now,
        (command.up_to, command.minimum), command.alternatives, None, command.operation,
        command.hold,
    )  # fmt: skip
    if account is None:
        return said, None
    if isinstance(said, Advice):
        _add_up(core, said, command)
    up_to = range_of(command.shape, command.quantities, command.up_to, command.minimum)
    if isinstance(up_to, Refusal):
        return said, None
    asked = Asked([Work(command.shape, command.quantities, up_to)])
    checker = Checker(state.catalog)
    return said, checker.answer(state, account, asked, now, command.operation, command.hold)


def _add_up(core: Core, said: Advice, command: Drawing) -> None:
    """The steps by which it is explained come to what it costs and to what refuses it."""
    found, account = said.as_asked.found, core.state.accounts[command.account]
    assert said.hold is not None
    steps = reckon(
        core.state, account, found, command.shape, said.as_asked.quantities, said.now,
        said.operation, said.hold,
    )  # fmt: skip
    gives = steps.taken + sum([step.gives for step in steps.pots])
    refusing = [step.budget for step in steps.budgets if not step.allows]
    assert all(step.gives >= 0 for step in steps.pots)
    if found.denied == Reason.INSUFFICIENT_CREDITS:
        assert all(step.gives == step.room for step in steps.pots)
    if found.budget is not None:
        assert refusing[0] is found.budget.budget
    elif not found.denied:
        assert (gives, refusing) == (found.charge, [])


def _agree(said: Advice | Refusal, outcome: object) -> None:
    if isinstance(outcome, Known):
        return
    if isinstance(outcome, Refusal):
        if outcome.reason not in OF_THE_CALL:
            assert isinstance(said, Refusal)
            assert (said.reason, said.field) == (outcome.reason, outcome.field)
        return
    assert isinstance(said, Advice), (said, outcome)
    found, quantities, _ = said.afforded
    if isinstance(outcome, e.WorkDenied):
        assert (found.denied, found.charge, found.available, said.limit) == (
            outcome.reason, outcome.charge, outcome.available, outcome.limit,
        )  # fmt: skip
        return
    assert not found.denied
    assert isinstance(outcome, e.OperationPartHeld | e.HoldDebited)
    assert quantities == outcome.quantities
    assert found.taken == outcome.taken
    assert found.slices == outcome.slices
    assert said.limit == outcome.limit


def _agree_listed(said: Advice | Refusal, listed: Answered | None) -> None:
    if listed is None:
        return
    if isinstance(said, Refusal):
        assert (listed.denied, listed.taken) == ([said.reason], [0])
        return
    found = said.afforded.found
    assert (listed.denied, listed.charges, listed.available, listed.limits, listed.taken) == (
        [found.denied], [found.charge], [found.available], [said.limit], [sum(found.taken)],
    )  # fmt: skip


@operation_case
def test_a_hold_that_is_due_is_none_to_advice(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run lifetime=1h
    clock   +2h
    """
    command = c.DebitWork(
        b"k" * 16, case.accounts["acme"], case.core.shape("image", "images"), (10,),
        hold=case.holds["R"][1],
    )  # fmt: skip
    said, listed = advice_of(case.core, command)
    assert isinstance(said, Refusal) and said.reason == Reason.HOLD_SETTLED
    assert listed is not None and listed.denied == [Reason.HOLD_SETTLED]
