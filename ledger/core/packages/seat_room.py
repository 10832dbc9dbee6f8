"""What seats of packages may still be given of a period beside other seats (rules P3, S2).

Whoever goes to another package keeps what the seats of the one before were given until their period
ends. So the seats of the other are given what its seats come to for the time that is left, above
what is there for that time already: flipping plans mints nothing. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from ledger.core.contracts.contracts import Contract, ContractState
from ledger.core.seats.seat_shares import ANYTHING, Part
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State


def room(
    state: State, account: Account, asset: int, named: Collection[str], part: Part, more: int
) -> int:
    """Units that seats of a package whose plans are `named` may be granted for a part of their
    period, that come to so many `more` a whole one. Where no other package's plans count, there is
    no limit."""
    plans = counted(account, asset, part.start)
    if all(plan.name in named for plan in plans):
        return ANYTHING
    due = more * part.remaining // part.full
    due += sum([_due(plan, part.start) for plan in plans if plan.name in named])
    return max(0, due - sum([_given(state, plan, part.start) for plan in plans]))


def counted(account: Account, asset: int, at: int) -> list[SeatPlan]:
    """The plans of packages that give of an asset, and whose period that runs then counts."""
    return [
        plan
        for plan in (account.seats.plans.values() if account.seats is not None else ())
        if plan.terms.packaged
        and plan.terms.allowance.asset == asset
        and plan.period_end > at
        and not _kept(account, plan)
    ]


def _kept(account: Account, plan: SeatPlan) -> bool:
    """Whether what its period was given is kept beside what a contract gives that began within it
    (rule P5): not where another contract had ended within it, for who signs again is granted
    nothing twice (rule P3). What a contract's package gives has its periods from where that
    starts, and so has what follows within them."""
    anchor = plan.terms.allowance.anchor
    began = [
        each
        for each in account.contracts
        if each.state != ContractState.SIGNED and each.starts_at <= each.until
    ]
    later = [
        each for each in began if each.starts_at != anchor and plan.period_start < _begun_at(each)
    ]
    if not later:
        return False
    first = min(later, key=_begun_at)
    start = plan.period_end - plan.full
    return not any(
        start + (each.ended_at == each.ends_at) <= each.ended_at <= _begun_at(first)
        for each in began
        if each.state == ContractState.ENDED and each is not first
    )


def _begun_at(contract: Contract) -> int:
    """When it began to count: one that was signed late, as it was signed."""
    return max(contract.signed_at, contract.starts_at)


def _due(plan: SeatPlan, at: int) -> int:
    """What its seats come to for the time that is left, rounded down."""
    amount = plan.quantity(at) * plan.terms.allowance.amount
    return amount * (plan.period_end - at) // plan.full


def _given(state: State, plan: SeatPlan, at: int) -> int:
    """The share of the time that is left of what it was given, less what was taken back, rounded
    up: each grant is for the time from when it was issued to the period's end."""
    left = plan.period_end - at
    given: dict[int, int] = {}  # time of the grant -> units x time
    for number in (*plan.grants, *[each for seat in plan.seats.values() for each in seat.grants]):
        grant = state.grants[number]
        lasts = plan.period_end - grant.effective_at
        share = max(0, grant.amount * left - grant.unused * lasts)
        given[lasts] = given.get(lasts, 0) + share
    return sum([-(-share // lasts) for lasts, share in given.items()])
