"""Holds for what was learned, and denials of them: never more than was asked (rules H1, R8)."""

from __future__ import annotations

from ledger.core.events import HoldSized, SizedBy, SizedDenied
from ledger.core.state import State
from ledger.verify.rules.decision_policies import look_at_denial, look_at_ruling
from ledger.verify.rules.decisions import hold_up_to, work_denied
from ledger.verify.rules.judge import Judge


def hold_sized(judge: Judge, state: State, event: HoldSized) -> None:
    """A hold for what is learned."""
    hold_up_to(judge, state, event)
    if event.ruling is not None:
        look_at_ruling(judge, state, event)
    _look_at_sizes(judge, state, event)


def sized_denied(judge: Judge, state: State, event: SizedDenied) -> None:
    """A denial of what is learned."""
    work_denied(judge, state, event)
    if event.ruling is not None:
        look_at_denial(judge, state, event)
    _look_at_sizes(judge, state, event)


def _look_at_sizes(judge: Judge, state: State, event: HoldSized | SizedDenied) -> None:
    """No quantity is above what was asked for; where other work runs, none of that in whose stead
    it runs."""
    work = event.ruling.asked if event.ruling is not None else None
    names = work.quantity_names if work is not None else state.declared[event.plan].quantity_names
    quantities = work.quantities if work is not None else event.quantities
    judge.equal(state, "quantities that were asked for", len(names), len(event.asked))
    for name, quantity, asked in zip(names, quantities, event.asked, strict=False):
        if quantity > asked:
            judge.wrong(state, f"quantity of {name}", f"{asked} at most, as asked", quantity)
    if not event.sizing_version and not event.learned:
        judge.wrong(state, "who chose to learn", "a rule, or the call", "nobody")
    for each in event.sizes:
        if each.quantity not in names:
            judge.wrong(state, "quantity that was learned", f"one of {names}", each.quantity)
        if not 1 <= each.permille <= 999:
            judge.wrong(state, f"permille of {each.quantity}", "1 to 999", each.permille)
        learned = each.by != SizedBy.NONE
        judge.equal(state, f"whether {each.quantity} is learned", learned, bool(each.observations))
