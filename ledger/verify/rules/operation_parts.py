"""Holds of calls that are parts of their operation's: no unit is held twice, and what is left of
one is held for the operation again (rules H1, H4)."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    BudgetMeasure,
    BudgetsCounted,
    Event,
    GrantKind,
    HoldAuthorized,
    HoldExpired,
    HoldRefilled,
    HoldReleased,
    OperationPartHeld,
    Pot,
    Slice,
    UsageCaptured,
    UsageRecorded,
)
from ledger.core.state import Hold, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.usage import is_committed


def drawn_anew(state: State, event: HoldAuthorized) -> tuple[Slice, ...]:
    """The slices of a hold without what it has of its operation's."""
    if not isinstance(event, OperationPartHeld) or event.of not in state.holds:
        return event.slices
    whole = state.holds[event.of]
    given = {
        (piece.pot, piece.book): units
        for piece, units in zip(whole.slices, event.taken, strict=False)
    }
    left = [
        Slice(piece.pot, piece.book, piece.amount - given.get((piece.pot, piece.book), 0), 0)
        for piece in event.slices
    ]
    return tuple([piece for piece in left if piece.amount])


def counted_at(state: State, event: HoldAuthorized) -> int:
    """When a hold counts in windows: a part of an operation's as that one does (rule H5)."""
    if isinstance(event, OperationPartHeld) and any(event.taken) and event.of in state.holds:
        return state.holds[event.of].authorized_at
    return event.effective_at


def look_at_part(judge: Judge, state: State, event: OperationPartHeld) -> None:
    """It has of an open hold of the account's what that gives, all of it before anything else."""
    judge.passed = []
    whole = state.holds.get(event.of)
    if whole is None or whole.drawn is None or whole.account.number != event.account:
        judge.wrong(state, f"hold {event.of}", "an open one of an operation", "another")
        return
    if whole.expires_at <= state.now:
        judge.wrong(state, f"hold {event.of}", "expired first", f"due at {whole.expires_at}")
    if not event.taken:  # priced in another asset
        return
    judge.equal(state, "asset of the hold", whole.asset, state.declared[event.plan].asset)
    judge.equal(state, "slices taken of", len(whole.slices), len(event.taken))
    held = {(piece.pot, piece.book): piece.amount for piece in event.slices}
    beyond = dict.fromkeys((False, True), 0)  # commitments hold their part of a list price (R9)
    for each in event.slices:
        beyond[is_committed(state, each)] += each.amount
    for each, taken in zip(whole.slices, event.taken, strict=False):
        beyond[is_committed(state, each)] -= taken
    for piece, taken in zip(whole.slices, event.taken, strict=False):
        most = min(piece.amount, held.get((piece.pot, piece.book), 0))
        if not 0 <= taken <= most:
            what = f"taken of book {piece.book} of hold {whole.number}"
            judge.wrong(state, what, f"0 to {most}", taken)
        elsewhere = piece.pot == Pot.OVERAGE and event.period != whole.period
        more = beyond[is_committed(state, piece)]
        if more and taken < piece.amount and not elsewhere:
            what = f"left of book {piece.book} of hold {whole.number} beside what is held anew"
            judge.wrong(state, what, 0, piece.amount - taken)


def hold_refilled(judge: Judge, state: State, event: HoldRefilled) -> None:
    """What is left of a part, to the whole that it is of; the part is settled by the next entry."""
    part, whole = state.holds.get(event.part), state.holds.get(event.hold)
    if part is None or whole is None or part.part_of != event.hold:
        judge.wrong(state, f"hold {event.part}", f"a part of {event.hold}, both open", "another")
        return
    judge.equal(state, "account of the hold", whole.account.number, event.account)
    judge.equal(state, "slices held again", len(whole.slices), len(event.units))
    left = {
        (piece.pot, piece.book): units for piece, units in zip(part.slices, part.parts, strict=True)
    }
    for piece, units in zip(whole.slices, event.units, strict=False):
        most = left.get((piece.pot, piece.book), 0)
        if not 0 <= units <= most:
            what = f"held again of book {piece.book} of hold {whole.number}"
            judge.wrong(state, what, f"0 to {most}", units)
    judge.refilling = event


def goes_on_refilling(judge: Judge, state: State, event: Event) -> None:
    """The part is settled right after; what it draws is its operation's first."""
    refilled, judge.refilling = judge.refilling, None
    assert refilled is not None
    part, whole = state.holds.get(refilled.part), state.holds.get(refilled.hold)
    if not _settles(event) or getattr(event, "hold", 0) != refilled.part:
        judge.wrong(state, f"what settles hold {refilled.part}", "the next entry", type(event))
    elif part is not None and whole is not None:
        back = {
            (piece.pot, piece.book): units
            for piece, units in zip(whole.slices, refilled.units, strict=False)
        }
        taken = _taken(part, event)
        for piece, left, drawn in zip(part.slices, part.parts, taken, strict=True):
            if back.get((piece.pot, piece.book), 0) and drawn > left:
                what = f"drawn of book {piece.book} of hold {whole.number} by its part"
                judge.wrong(state, what, drawn, left)


def look_at_rest(judge: Judge, state: State, hold: Hold, event: Event) -> None:
    """A part that is settled gives nothing to the account that its operation's hold has given."""
    if not _settles(event) or hold.part_of not in state.holds:
        return
    taken = _taken(hold, event)
    rest = [max(0, part - units) for part, units in zip(hold.parts, taken, strict=True)]
    judge.equal(state, f"units of hold {hold.part_of} that leave it with its part", 0, sum(rest))


def _taken(part: Hold, event: Event) -> tuple[int, ...]:
    """What the entry that settles it draws of each of its slices."""
    if isinstance(event, UsageRecorded):
        return part.taken_by(event.slices, event.period)
    return (0,) * len(part.slices)


def _settles(event: Event) -> bool:
    if isinstance(event, UsageRecorded):
        return event.hold > 0 and not event.late and not isinstance(event, UsageCaptured)
    return isinstance(event, HoldReleased | HoldExpired)


def passed_on(
    judge: Judge, state: State, of: OperationPartHeld | HoldRefilled, event: BudgetsCounted
) -> bool:
    """Whether a count is of what pends by another hold from now on; the sum of both stays."""
    family = state.families[state.accounts[event.account].root]
    if isinstance(of, HoldRefilled) and event.hold == of.hold:
        again = [(each.budget, each.since, each.end, -each.pending) for each in event.moves]
        judge.equal(state, "what pends by the hold of an operation again", judge.passed, again)
        judge.passed = []
        return True
    loser = of.part if isinstance(of, HoldRefilled) else of.of
    if event.hold != loser:
        return False
    units = of.units if isinstance(of, HoldRefilled) else of.taken
    whole = of.hold if isinstance(of, HoldRefilled) else of.of
    for move in event.moves:
        budget = family.budgets[move.budget]
        pends = budget.held.get(loser, ((0, 0), 0))[1]
        most = min(pends, _counted(state, budget, state.holds.get(whole), units))
        judge.equal(state, f"posted in budget {move.budget}", 0, move.posted)
        judge.equal(state, f"pending in budget {move.budget}", -most, move.pending)
    judge.passed = [(each.budget, each.since, each.end, each.pending) for each in event.moves]
    return True


def passed_to(judge: Judge, of: Event, budget: int) -> int:
    """What pended in a budget by an operation's hold, and does by that of a call from now on."""
    if not isinstance(of, OperationPartHeld):
        return 0
    return -sum([pending for number, _, _, pending in judge.passed if number == budget])


def _counted(state: State, budget: Budget, whole: Hold | None, units: Sequence[int]) -> int:
    """What so much of each of a hold's slices is in a budget of a charge."""
    if whole is None:
        return 0
    total = 0
    for piece, amount in zip(whole.slices, units, strict=False):
        grant = state.books.accounts[piece.book].grant
        free = grant is not None and grant.kind == GrantKind.PROMOTIONAL
        if budget.terms.measure == BudgetMeasure.CHARGE or not free:
            total += amount
    return total
