"""How a decision comes about, step by step: prices, pots in their turn, budgets (rules D1, D4, H4).

For the explanation of what was assessed: the same functions decide and are asked here, one by one.
Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.budgets.budgeting import (
    Counted,
    Drawn,
    counted_of,
    estimate_of,
    left_then,
    net_of,
    pending_of,
)
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_cover import covering
from ledger.core.decisions.assessing import Assessment, payable
from ledger.core.drawing.drawdown import (
    applies,
    grace_ended,
    in_turn,
    overage_headroom,
    overdraft_headroom,
    overdraft_limit,
    paying,
)
from ledger.core.events import BudgetMeasure, Overage, Pot, Slice
from ledger.core.funding.caps import Rooms, unreserved
from ledger.core.outcomes import Refusal
from ledger.core.seats.seat_draws import turn_of
from ledger.core.shapes import Shape
from ledger.core.state import Account, Grant, Hold, State

# Why a pot gives nothing, where it is not that pots before it give all.
NOT_YET_EFFECTIVE: Final = "NOT_YET_EFFECTIVE"
EXPIRED: Final = "EXPIRED"
NOT_APPLICABLE: Final = "NOT_APPLICABLE"  # to the product or its attributes
NOT_OF_SEAT: Final = "NOT_OF_SEAT"  # the plan of the seat leaves it out
CAP_REACHED: Final = "CAP_REACHED"
RESERVED: Final = "RESERVED"  # for others
HELD: Final = "HELD"  # all of it
NOT_FOR_HOLDS: Final = "NOT_FOR_HOLDS"  # the policy keeps it for recorded usage (rule H3)
NOT_GIVEN: Final = "NOT_GIVEN"  # the policy has none
LIMIT_REACHED: Final = "LIMIT_REACHED"
GRACE_ENDED: Final = "GRACE_ENDED"

WITHOUT_LIMIT: Final = -1


class PotStep(NamedTuple):
    """A pot in its turn: what it has, what of it the account may take, what it gives."""

    pot: Pot
    owner: int
    grant: int  # 0 = the pot is none
    units: int
    room: int  # WITHOUT_LIMIT = as much as is asked for
    gives: int
    withheld: str  # why `room` is 0; "" = it is not


class BudgetStep(NamedTuple):
    """A budget that applies: what it counts already, and what the work would count."""

    budget: Budget
    value: tuple[str, ...]  # that counts by itself, where each does
    shared: bool  # it counts with others
    limit: int
    posted: int
    pending: int
    counts: int
    pends: int  # of `counts`, by the hold of its operation that pays first
    left: int  # for the rest
    allows: bool


class Reckoning(NamedTuple):
    """The steps of one assessment; `taken`: what a hold of its operation gives before all pots."""

    taken: int
    pots: tuple[PotStep, ...]
    budgets: tuple[BudgetStep, ...]


def reckon(
    state: State,
    account: Account,
    found: Assessment,
    shape: Shape,
    quantities: tuple[int, ...],
    now: int,
    operation: bytes = b"",
    hold: Hold | None = None,
    reserves: bool = False,
) -> Reckoning:
    """The steps by which work of those quantities, part of `operation`, was found to be allowed, or
    not; `hold`: of an operation, which was to pay first; `reserves`: units were to be held for an
    operation with all its calls."""
    slices: tuple[Slice, ...] = ()
    drawn: Drawn | None = None
    if not found.priced.suspense:
        anew = payable(state, account, found.bound, found.priced, now, hold=hold)
        if not isinstance(anew, Refusal):
            slices = anew.slices
            drawn = Drawn(hold, anew.taken) if hold is not None else None
    pots = (
        *_grants(account, found, slices, now, drawn),
        *_debt(account, found, slices, now, drawn),
    )
    budgets = (
        _reserving(state, account, found, slices, now, operation)
        if reserves
        else _budgets(state, account, found, shape, quantities, slices, now, operation, drawn)
    )
    return Reckoning(sum(drawn.taken) if drawn is not None else 0, pots, tuple(budgets))


def _grants(
    account: Account,
    found: Assessment,
    slices: tuple[Slice, ...],
    now: int,
    drawn: Drawn | None,
) -> list[PotStep]:
    asset, use = found.asset, found.bound.use
    gives = _given(slices, drawn)
    mine = list(paying(account, asset, use, now, False))
    turned = set(mine)
    # What is drawn beyond a hold counts towards caps when the hold does (rule H5).
    rooms = Rooms(account, now) if drawn is None else Rooms(account, drawn.hold.counted_at, now)
    steps = []
    for grant in (*mine, *[each for each in in_turn(account) if each not in turned]):
        if grant.asset != asset:
            continue
        withheld, room = _untimely(grant, found, now), 0
        if not withheld and grant not in turned:
            withheld = NOT_OF_SEAT
        if not withheld:
            room = max(0, rooms.of(grant))
            withheld = "" if room else _withheld(account, grant)
        given = gives.get(grant.book.number, 0)
        rooms.take(grant, given)
        steps.append(
            PotStep(
                Pot.GRANT, grant.account.number, grant.number,
                grant.book.available, room, given, withheld,
            )
        )  # fmt: skip
    return steps


def _untimely(grant: Grant, found: Assessment, now: int) -> str:
    if now < grant.effective_at:
        return NOT_YET_EFFECTIVE
    if now >= grant.expires_at:
        return EXPIRED
    return "" if not grant.limited or applies(grant, found.bound.use) else NOT_APPLICABLE


def _withheld(account: Account, grant: Grant) -> str:
    if grant.book.available <= 0:
        return HELD
    return RESERVED if unreserved(grant, account) <= 0 else CAP_REACHED


def _debt(
    account: Account,
    found: Assessment,
    slices: tuple[Slice, ...],
    now: int,
    drawn: Drawn | None,
) -> list[PotStep]:
    """Overdraft, then overage: both are there, given or not."""
    asset, policy, number = found.asset, account.policy, account.number
    ended = grace_ended(account, asset, now)
    seated = None
    if account.seats is not None:
        seated = turn_of(account, asset, found.bound.use, now, False)
    limit = overdraft_limit(account, asset)
    headroom = overdraft_headroom(account, asset)
    withheld = _of_debt(limit, policy.holds_overdraft, ended, headroom)
    if not withheld and seated is not None and not seated.account:
        withheld = NOT_OF_SEAT
    by_pot = {pot: sum([each.amount for each in slices if each.pot == pot]) for pot in Pot}
    for piece, units in _taken(drawn):
        by_pot[Pot(piece.pot)] -= units
    overdraft = PotStep(
        Pot.OVERDRAFT, number, 0, headroom, 0 if withheld else headroom,
        by_pot[Pot.OVERDRAFT], withheld,
    )  # fmt: skip
    most = overage_headroom(account, asset, account.calendar.start_of(now))
    units = WITHOUT_LIMIT if most is None else most
    withheld = _of_debt(policy.overage != Overage.OFF, policy.holds_overage, ended, units)
    if not withheld and seated is not None and not seated.overage:
        withheld = NOT_OF_SEAT
    overage = PotStep(
        Pot.OVERAGE, number, 0, units, 0 if withheld else units, by_pot[Pot.OVERAGE], withheld
    )
    return [overdraft, overage]


def _of_debt(given: int | bool, to_holds: bool, ended: bool, headroom: int) -> str:
    if not given:
        return NOT_GIVEN
    if not to_holds:
        return NOT_FOR_HOLDS
    if ended:
        return GRACE_ENDED
    return "" if headroom else LIMIT_REACHED


def _given(slices: tuple[Slice, ...], drawn: Drawn | None) -> dict[int, int]:
    """By book, beside what is drawn of a hold."""
    given: dict[int, int] = {}
    for each in slices:
        given[each.book] = given.get(each.book, 0) + each.amount
    for piece, units in _taken(drawn):
        given[piece.book] -= units
    return given


def _taken(drawn: Drawn | None) -> list[tuple[Slice, int]]:
    """The pieces of a hold with what is drawn of each."""
    if drawn is None:
        return []
    pairs = zip(drawn.hold.slices, drawn.taken, strict=False)
    return [(piece, units) for piece, units in pairs if units]


def _budgets(
    state: State,
    account: Account,
    found: Assessment,
    shape: Shape,
    quantities: tuple[int, ...],
    slices: tuple[Slice, ...],
    now: int,
    operation: bytes,
    drawn: Drawn | None,
) -> list[BudgetStep]:
    """Those of the account's line before those of its operation (rule H4), as they are asked."""
    bound = found.bound
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state, account, operation, now))
    steps = []
    for budget in budgets:
        if not budget.applies(bound.use):
            continue
        counts = estimate_of(
            state, account, budget.terms, bound, shape, quantities, found.charge, slices, now
        )
        of = counted_of(budget, bound, now)
        posted, pending = of.counter.within(budget.terms.window, now)
        left, pends = of.limit - posted - pending, 0
        if drawn is not None:
            pends = pending_of(state, budget, drawn, counts, now)
            left = min(left, left_then(budget, drawn.hold, now))
        fits = counts - pends <= 0 or counts - pends <= left
        steps.append(
            BudgetStep(
                budget, of.value, of.shared, of.limit, posted, pending, counts, pends,
                max(0, left), fits or not budget.terms.hard,
            )
        )  # fmt: skip
    return steps


def _reserving(
    state: State,
    account: Account,
    found: Assessment,
    slices: tuple[Slice, ...],
    now: int,
    operation: bytes,
) -> list[BudgetStep]:
    """Those that count a hold of an operation as a whole; the others are asked for each call."""
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state, account, operation, now))
    steps = []
    for budget in budgets:
        if not budget.reserves(found.asset):
            continue
        charged = budget.measure == BudgetMeasure.CHARGE
        units = found.charge if charged else net_of(state, slices)
        of = Counted(budget.terms.limit, budget.counter)
        posted, pending = of.counter.within(budget.terms.window, now)
        left = of.limit - posted - pending
        allows = units <= 0 or units <= left or not budget.terms.hard
        steps.append(
            BudgetStep(
                budget, of.value, of.shared, of.limit, posted, pending, units, 0, max(0, left),
                allows,
            )
        )  # fmt: skip
    return steps
