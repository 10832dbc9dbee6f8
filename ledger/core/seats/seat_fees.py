"""The fee of a plan's seats: a fixed charge of the account whose quantity is theirs (rule S2).

Fee and allowance change together, in one decision: seats that are added are charged for the time
that is left; those that leave with the period are charged until then, and so are those of which
what is unused is forfeited; those that give back the share of the time that is left have the fee of
it back. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.charges.charge_terms import invalid_quantity
from ledger.core.charges.charging import change_quantity
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.events import Event, SeatTerms, Timing
from ledger.core.outcomes import Reason, Refusal
from ledger.core.seats.seat_shares import Part
from ledger.core.state import Account, State


def fee_of(account: Account, name: str, now: int) -> FixedCharge | None:
    """The charge of that name that goes on; None where the plan names none, or it has ended."""
    for charge in account.charges:
        if name and charge.name == name and charge.ends_at > now:
            return charge
    return None


def invalid_fee(state: State, account: Account, terms: SeatTerms, part: Part) -> Refusal | None:
    """Why the charge that a plan names cannot be its fee."""
    if not terms.charge:
        return None
    charge = fee_of(account, terms.charge, state.now)
    if charge is None:
        return Refusal(
            Reason.CHARGE_UNKNOWN,
            "terms.charge",
            terms.charge,
            "the account has no fixed charge of this name that goes on; start it, or name none",
        )
    allowance = terms.allowance
    same = (charge.terms.unit, charge.terms.every) == (allowance.unit, allowance.every)
    if not (same and charge.runs(state.now) and charge.period_end == part.end):
        return Refusal(
            Reason.SEATS_INVALID,
            "terms.charge",
            terms.charge,
            "a fee has the periods of the seats: the same unit, from the same anchor, and one runs",
        )
    plans = account.seats.plans.values() if account.seats is not None else ()
    for plan in plans:
        if plan.terms.charge == terms.charge and plan.ends_at > state.now:
            return Refusal(
                Reason.SEATS_INVALID,
                "terms.charge",
                terms.charge,
                f"it is the fee of the plan {plan.name!r} already; start another charge",
            )
    return None


def follow(
    state: State,
    account: Account,
    terms: SeatTerms,
    now: int,
    then: int,
    out: list[Event],
    *,
    given_back: int = 0,
) -> Refusal | None:
    """Have the fee be for the seats that are there `now`, and from the next period on for those
    that stay `then`. Fewer are charged for within a period only as far as seats are `given_back`.
    """
    charge = fee_of(account, terms.charge, state.now)
    if charge is None:
        return None
    present = max(charge.quantity - given_back, now)
    coming = charge.next_quantity if charge.next_quantity >= 0 else charge.quantity
    for quantity in (present, then):
        refusal = invalid_quantity(charge.next_terms or charge.terms, quantity)
        refusal = refusal or invalid_quantity(charge.terms, quantity)
        if refusal is not None:
            return Refusal(refusal.reason, "seats", refusal.value, refusal.message)
    changes = 0
    if present != charge.quantity:
        change_quantity(state, charge, present, Timing.NOW, out)
        coming, changes = present, 1
    if then != coming:
        change_quantity(state, charge, then, Timing.NEXT_PERIOD, out, before=changes)
    return None
