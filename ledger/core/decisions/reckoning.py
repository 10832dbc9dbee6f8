"""How a decision comes about, step by step: prices, pots in their turn, budgets (rules D1, D4, H4).

For the explanation of what was assessed: the same functions decide and are asked here, one by one.
Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.budgets.budgeting import counted_of, estimate_of
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import covering
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
from ledger.core.events import Overage, Pot, Slice
from ledger.core.funding.caps import Rooms, unreserved
from ledger.core.outcomes import Refusal
from ledger.core.seats.seat_draws import turn_of
from ledger.core.shapes import Shape
from ledger.core.state import Account, Grant, State

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
    allows: bool


class Reckoning(NamedTuple):
    """The steps of one assessment."""

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
) -> Reckoning:
    """The steps by which work of those quantities, part of `operation`, was found to be allowed, or
    not."""
    slices: tuple[Slice, ...] = ()
    if not found.priced.suspense:
        anew = payable(state, account, found.bound, found.priced, now)
        slices = anew.slices if not isinstance(anew, Refusal) else ()
    return Reckoning(
        (*_grants(account, found, slices, now), *_debt(account, found, slices, now)),
        tuple(_budgets(state, account, found, shape, quantities, slices, now, operation)),
    )


def _grants(
    account: Account, found: Assessment, slices: tuple[Slice, ...], now: int
) -> list[PotStep]:
    asset, use = found.asset, found.bound.use
    gives = _given(slices)
    mine = list(paying(account, asset, use, now, False))
    turned = set(mine)
    rooms = Rooms(account, now)
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
    account: Account, found: Assessment, slices: tuple[Slice, ...], now: int
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


def _given(slices: tuple[Slice, ...]) -> dict[int, int]:
    given: dict[int, int] = {}
    for each in slices:
        given[each.book] = given.get(each.book, 0) + each.amount
    return given


def _budgets(
    state: State,
    account: Account,
    found: Assessment,
    shape: Shape,
    quantities: tuple[int, ...],
    slices: tuple[Slice, ...],
    now: int,
    operation: bytes,
) -> list[BudgetStep]:
    """Those of the account's line before those of its operation (rule H4), as they are asked."""
    bound = found.bound
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state.families[account.root], account, operation, now))
    steps = []
    for budget in budgets:
        if not budget.applies(bound.use):
            continue
        counts = estimate_of(
            state, account, budget.terms, bound, shape, quantities, found.charge, slices, now
        )
        of = counted_of(budget, bound, now)
        posted, pending = of.counter.within(budget.terms.window, now)
        fits = counts <= 0 or counts <= of.limit - posted - pending
        steps.append(
            BudgetStep(
                budget, of.value, of.shared, of.limit, posted, pending, counts,
                fits or not budget.terms.hard,
            )
        )  # fmt: skip
    return steps
