"""Deciding fixed charges: start, new quantity or terms, end, and what time makes due (T1, S1).

The periods of a charge follow each other without gap or overlap, and each is begun and charged
once, by the writer's clock, as entries of its own; what is missed is charged in order, as of its
own time. What a period costs is rounded once, however often its quantity changes: a change charges,
or gives back, the difference to what was charged before. `charge_fees` says who pays and what is
earned when. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import open_account, recorded_before, unknown_account
from ledger.core.charges.charge_fees import fee, recognised
from ledger.core.charges.charge_prices import cost, weight
from ledger.core.charges.charge_terms import invalid_quantity, invalid_terms
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.commands import ChangeQuantity, ChangeTerms, EndCharge, StartCharge
from ledger.core.events import (
    ChargeBilling,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    ChargeTerms,
    Event,
    Proration,
    Timing,
)
from ledger.core.limits import (
    ANCHOR_MAX_US,
    CHARGES_AN_ACCOUNT_MAX,
    DEDUPE_WINDOW_US,
    ID_BYTES_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.periods import Cycle
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State

_FIRST = (Proration.FIRST, Proration.BOTH)
_LAST = (Proration.LAST, Proration.BOTH)


# -- what may be asked -----------------------------------------------------------------------------


def decide_start_charge(
    state: State, command: StartCharge, out: list[Event]
) -> Event | Known | Refusal:
    """Have the account charged; the first period follows if it is due already."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = (
        _not_startable(state, account, command)
        or invalid_terms(state, account, command.terms)
        or invalid_quantity(command.terms, command.quantity)
    )
    if refusal is not None:
        return refusal
    started = ChargeStarted(
        command.key,
        account.number,
        state.next_charge,
        command.name,
        command.terms,
        command.quantity,
        command.starts_at or state.now,
        command.ends_at,
        command.starts_at,
        command.trace,
    )
    out.append(started)
    return started


def _not_startable(state: State, account: Account, command: StartCharge) -> Refusal | None:
    if not 0 < len(command.name.encode()) <= ID_BYTES_MAX:
        return Refusal(
            Reason.CHARGE_INVALID,
            "name",
            command.name,
            f"a charge has a name of up to {ID_BYTES_MAX} bytes",
        )
    now = state.now
    for charge in account.charges:
        if charge.name == command.name and not charge.is_over(now):
            return Refusal(
                Reason.CHARGE_NAME_TAKEN,
                "name",
                command.name,
                f"charge {charge.number} of the account has this name and goes on; change that "
                "one, end it first, or take another name",
            )
    plan = seats_of(account, command.name, now)
    if plan is not None:
        return Refusal(
            Reason.CHARGE_NAME_TAKEN,
            "name",
            command.name,
            f"the fee of the plan of seats {plan.name!r} had this name, and the plan goes on; end "
            "the plan first, or take another name",
        )
    if len(account.charges) >= CHARGES_AN_ACCOUNT_MAX:
        return Refusal(
            Reason.CHARGES_LIMIT,
            "account",
            str(len(account.charges)),
            f"an account has at most {CHARGES_AN_ACCOUNT_MAX} charges, ended ones too",
        )
    starts_at = command.starts_at or now
    if not now - DEDUPE_WINDOW_US <= starts_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.START_INVALID,
            "starts_at_us",
            str(command.starts_at),
            f"a charge starts from {DEDUPE_WINDOW_US} us ago to {ANCHOR_MAX_US}",
        )
    if command.ends_at and not command.terms.every:
        return Refusal(
            Reason.END_INVALID,
            "ends_at_us",
            str(command.ends_at),
            "what is charged once has no end; leave it out",
        )
    if command.ends_at and not max(now, starts_at) < command.ends_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.END_INVALID,
            "ends_at_us",
            str(command.ends_at),
            f"a charge ends after it starts, after now, and by {ANCHOR_MAX_US}",
        )
    return None


def decide_change_quantity(
    state: State, command: ChangeQuantity, out: list[Event]
) -> Event | Known | Refusal:
    """So many from now on, which is charged or given back by the time that is left (rule S1); or
    from the next period on. Either replaces a quantity that was to come."""
    charge = _find(state, command.key, command.account, command.charge, command.expected_version)
    if not isinstance(charge, FixedCharge):
        return charge
    if not charge.recurs and charge.begun:
        return Refusal(
            Reason.TERMS_FIXED,
            "quantity",
            str(command.quantity),
            f"the charge was made once, for {charge.quantity}; start another for what is more",
        )
    refusal = _goes_by_seats(charge, state.now)
    if refusal is not None:
        return refusal
    quantity = command.quantity
    refusal = invalid_quantity(charge.next_terms or charge.terms, quantity)
    if refusal is None and command.timing == Timing.NOW:
        refusal = invalid_quantity(charge.terms, quantity)
    if refusal is not None:
        return refusal
    return change_quantity(state, charge, quantity, command.timing, out, command)


def seats_of(account: Account, name: str, now: int) -> SeatPlan | None:
    """The plan of seats that goes on whose fee is the charge of that name (rule S2)."""
    seats = account.seats
    for plan in seats.plans.values() if seats is not None else ():
        if plan.terms.charge == name and plan.ends_at > now:
            return plan
    return None


def _goes_by_seats(charge: FixedCharge, now: int) -> Refusal | None:
    """A plan of seats that goes on says how many are charged (rule S2)."""
    plan = seats_of(charge.account, charge.name, now)
    if plan is None:
        return None
    return Refusal(
        Reason.TERMS_FIXED,
        "quantity",
        plan.name,
        f"its quantity is that of the seats of the plan {plan.name!r}; add or remove seats",
    )


def _other_periods(charge: FixedCharge, terms: ChargeTerms, now: int) -> Refusal | None:
    """The fee of a plan of seats that goes on keeps the periods of its seats (rule S2)."""
    plan = seats_of(charge.account, charge.name, now)
    if plan is None:
        return None
    for field in ("unit", "every", "anchor", "zone"):
        if getattr(terms, field) != getattr(charge.terms, field):
            return Refusal(
                Reason.TERMS_FIXED,
                f"terms.{field}",
                plan.name,
                f"it is the fee of the plan {plan.name!r} and keeps the periods of its seats; end "
                "the plan first, or start another charge",
            )
    return None


def change_quantity(
    state: State,
    charge: FixedCharge,
    quantity: int,
    timing: Timing,
    out: list[Event],
    command: ChangeQuantity | None = None,
    *,
    before: int = 0,
) -> ChargeChanged:
    """Append the change of a valid quantity, and before it the fee of what the running period costs
    more or less by it. Without a command it is part of another decision, which has the key and has
    made so many changes of the charge `before`."""
    amount, weighed, weighed_to = 0, "", 0
    if timing == Timing.NOW and charge.runs(state.now):
        weighed, weighed_to, amount = _weighed_anew(state, charge, charge.terms, quantity)
        _fee_of_more(state, charge, charge.terms, quantity, amount, out)
    changed = ChargeChanged(
        command.key if command is not None else b"",
        charge.account.number,
        charge.number,
        timing,
        charge.version + 1 + before,
        quantity,
        None,
        command.expected_version if command is not None else 0,
        weighed,
        weighed_to,
        amount,
        command.trace if command is not None else b"",
    )
    out.append(changed)
    return changed


def _weighed_anew(
    state: State, charge: FixedCharge, terms: ChargeTerms, quantity: int
) -> tuple[str, int, int]:
    """What the running period weighs up to where other terms or another quantity count, that
    instant, and what it costs more or less by them."""
    so_far, weighed_to = charge.weighed, 0
    if terms.prorate_changes:
        weighed_to = state.now
        so_far += _weight(charge, charge.counted, charge.weighed_to, weighed_to)
    elif terms.billing == ChargeBilling.ARREARS:  # the last one counts for all of it
        weighed_to, so_far = charge.charged_from, 0
    if not weighed_to:
        return "", 0, 0
    amount = 0
    if terms.billing == ChargeBilling.ADVANCE:
        until = charge.charged_to
        total = so_far + weight(terms, charge.begun, quantity, weighed_to, until)
        amount = _more(charge, terms, total, until)
    return str(so_far), weighed_to, amount


def _fee_of_more(
    state: State,
    charge: FixedCharge,
    terms: ChargeTerms,
    quantity: int,
    amount: int,
    out: list[Event],
) -> None:
    """Append the fee of what the running period costs more or less from now on."""
    if amount:
        fee(
            state, charge, terms, charge.begun, state.now, charge.period_end, quantity,
            charge.charged + amount, amount, state.now, out, settled=False,
        )  # fmt: skip


def reprice(
    state: State, charge: FixedCharge, terms: ChargeTerms, quantity: int, out: list[Event]
) -> None:
    """Append that so many are charged otherwise from now on; the fee of what the running period
    costs more or less by that follows as that is applied."""
    weighed, weighed_to, amount = "", 0, 0
    if charge.runs(state.now):
        weighed, weighed_to, amount = _weighed_anew(state, charge, terms, quantity)
    out.append(
        ChargeRepriced(
            charge.account.number,
            charge.number,
            charge.version + 1,
            terms,
            quantity,
            weighed,
            weighed_to,
            amount,
        )
    )


def fee_with(state: State, event: ChargeRepriced | ChargeEnded, out: list[Event]) -> None:
    """Append the fee of a package's charge that changes or ends, as that is applied: what else the
    decision takes back and charges has been drawn by then, and is not drawn twice (rule B1)."""
    charge = state.charges[event.charge]
    if isinstance(event, ChargeRepriced):
        _fee_of_more(state, charge, event.terms, event.quantity, event.amount, out)
    elif not event.key and event.timing == Timing.NOW:
        amount = settle_until(state, charge, event.ends_at, out)
        assert amount == event.amount, (charge.number, amount, event.amount)


def decide_change_terms(
    state: State, command: ChangeTerms, out: list[Event]
) -> Event | Known | Refusal:
    """New terms from the next period on. The asset stays, and whether it is charged once."""
    charge = _find(state, command.key, command.account, command.charge, command.expected_version)
    if not isinstance(charge, FixedCharge):
        return charge
    terms = command.terms
    for field, given, kept in (
        ("asset", terms.asset, charge.terms.asset),
        ("once", not terms.every, not charge.recurs),
    ):
        if given != kept or (not charge.recurs and charge.begun):
            return Refusal(
                Reason.TERMS_FIXED,
                f"terms.{field}",
                str(given),
                "a charge keeps its asset, and what is charged once, its terms too; end it and "
                "start another",
            )
    to_come = max(charge.quantity, charge.next_quantity)
    refusal = (
        invalid_terms(state, charge.account, terms)
        or _other_periods(charge, terms, state.now)
        or invalid_quantity(terms, to_come)
    )
    if refusal is not None:
        return refusal
    changed = ChargeChanged(
        command.key,
        command.account,
        charge.number,
        Timing.NEXT_PERIOD,
        charge.version + 1,
        terms=terms,
        expected_version=command.expected_version,
        trace=command.trace,
    )
    out.append(changed)
    return changed


def decide_end_charge(
    state: State, command: EndCharge, out: list[Event]
) -> Event | Known | Refusal:
    """Charge nothing after the present period. Or end it now: by the proration of a last period the
    unused rest is given back, or the used part charged; else the period is charged whole."""
    charge = _find(state, command.key, command.account, command.charge)
    if not isinstance(charge, FixedCharge):
        return charge
    now, amount = state.now, 0
    ends_at = now
    if command.timing == Timing.NEXT_PERIOD:
        ends_at = min(max(now, charge.period_end), charge.ends_at)
    else:
        amount = settle_until(state, charge, now, out)
    ended = ChargeEnded(
        command.key,
        command.account,
        charge.number,
        command.timing,
        ends_at,
        amount,
        command.trace,
    )
    out.append(ended)
    return ended


def settle_until(state: State, charge: FixedCharge, at: int, out: list[Event]) -> int:
    """Settle the period that runs as of an instant, now or before, by the proration of a last
    period; returns what that adds to its fees. All is earned then."""
    now, before = state.now, len(out)
    amount = 0
    last = _last_part(charge, at)
    if last is not None:
        weighed, until = last
        amount = _more(charge, charge.terms, weighed, until)
        if amount or not charge.settled:
            end = min(until, now)
            fee(
                state, charge, charge.terms, charge.begun, end, end, charge.counted,
                charge.charged + amount, amount, now, out, settled=True,
            )  # fmt: skip
    if len(out) == before and charge.unearned:
        out.append(recognised(state, charge, now, now, ends=True))
    return amount


def owed_until(charge: FixedCharge, at: int) -> int:
    """What settling the period that runs as of an instant adds to its fees."""
    last = _last_part(charge, at)
    return _more(charge, charge.terms, *last) if last is not None else 0


def _last_part(charge: FixedCharge, at: int) -> tuple[int, int] | None:
    """What the period that runs weighs where it ends then, by the proration of a last one, and
    until when it is charged; None where it costs what was charged."""
    if not charge.recurs or not charge.runs(max(at, charge.period_start)):
        return None
    until = charge.charged_to
    if charge.terms.proration in _LAST:
        until = max(at, charge.weighed_to, charge.period_start)
    if charge.terms.billing != ChargeBilling.ARREARS and until == charge.charged_to:
        return None
    counted_to = max(charge.weighed_to, until)
    return charge.weighed + _weight(charge, charge.counted, charge.weighed_to, counted_to), until


def _more(charge: FixedCharge, terms: ChargeTerms, weighed: int, until: int) -> int:
    """What the running period costs by that weight, less what was charged."""
    length = until - charge.charged_from
    return cost(terms, charge.begun, weighed, length, charge.full) - charge.charged


def _weight(charge: FixedCharge, quantity: int, start: int, end: int) -> int:
    return weight(charge.terms, charge.begun, quantity, start, end)


def _find(
    state: State, key: bytes, account: int, number: int, expected_version: int = 0
) -> FixedCharge | Known | Refusal:
    """A charge that has not ended; one whose account is closed has."""
    known = recorded_before(state, key)
    if known is not None:
        return known
    if account not in state.accounts:
        return unknown_account(account)
    charge = state.charges.get(number)
    if charge is None or charge.account.number != account:
        return Refusal(
            Reason.CHARGE_UNKNOWN,
            "charge_id",
            str(number),
            "the account has no such charge",
        )
    if charge.ends_at <= state.now:
        return Refusal(
            Reason.CHARGE_ENDED,
            "charge_id",
            str(charge.ends_at),
            "the charge ended at this instant; start another",
        )
    if expected_version and expected_version != charge.version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(charge.version),
            f"the charge is at version {charge.version}, not {expected_version}; read it again",
        )
    return charge


# -- what time makes due ---------------------------------------------------------------------------


def post_charge(state: State, charge: FixedCharge, out: list[Event]) -> None:
    """Post what is due of a charge: what it has earned, the fee of a period that has ended, or the
    period that begins."""
    due = charge.due
    assert due <= state.now, (charge.number, due)
    if charge.unearned and charge.earns_at == due:
        out.append(recognised(state, charge, due, due - 1))
    elif not charge.settled:
        _charge_ended_period(state, charge, out)
    else:
        _begin(state, charge, out)


def _charge_ended_period(state: State, charge: FixedCharge, out: list[Event]) -> None:
    """In arrears: what the period costs by the time that each quantity stood."""
    number, end = charge.begun, charge.period_end
    weighed = charge.weighed
    weighed += _weight(charge, charge.counted, charge.weighed_to, charge.charged_to)
    total = cost(
        charge.terms, number, weighed, charge.charged_to - charge.charged_from, charge.full
    )
    at = max(charge.period_start, end - 1)
    fee(
        state, charge, charge.terms, number, charge.period_start, end, charge.counted, total,
        total - charge.charged, at, out, settled=True,
    )  # fmt: skip


def _begin(state: State, charge: FixedCharge, out: list[Event]) -> None:
    """Begin the period that is due, and charge it if it is charged in advance."""
    terms = charge.next_terms or charge.terms
    quantity = charge.next_quantity if charge.next_quantity >= 0 else charge.quantity
    start, number = charge.next_at, charge.begun + 1
    end, charged_from, charged_to, full = bounds_of(
        cycle_of(charge, terms), terms, number, start, charge.ends_at
    )
    out.append(
        ChargePeriodBegun(
            charge.account.number,
            charge.number,
            charge.version,
            number,
            start,
            end,
            charged_from,
            charged_to,
            full,
            quantity,
        )
    )
    if terms.billing == ChargeBilling.ADVANCE:
        weighed = weight(terms, number, quantity, charged_from, charged_to)
        total = cost(terms, number, weighed, charged_to - charged_from, full)
        fee(
            state, charge, terms, number, start, end, quantity, total, total, start, out,
            settled=True,
        )  # fmt: skip


def bounds_of(
    cycle: Cycle, terms: ChargeTerms, number: int, start: int, ends_at: int
) -> tuple[int, int, int, int]:
    """(end, charged_from, charged_to, full) of a period that starts then."""
    if not terms.every:
        return start + terms.earned_over, start, start + 1, 1
    cycle_start, cycle_end = cycle.period_of(start)
    end = min(cycle_end, ends_at)
    # A new zone or anchor leaves a part of a period, which is never charged whole.
    charged_from = start if terms.proration in _FIRST or number > 1 else cycle_start
    charged_to = end if terms.proration in _LAST else cycle_end
    return end, charged_from, charged_to, cycle_end - cycle_start


def cycle_of(charge: FixedCharge, terms: ChargeTerms) -> Cycle:
    """The periods of these terms: in their own zone, else the account's."""
    return Cycle(
        terms.unit,
        terms.every,
        terms.anchor or charge.starts_at,
        terms.zone or charge.account.calendar.zone,
    )


__all__ = [
    "bounds_of",
    "change_quantity",
    "cycle_of",
    "decide_change_quantity",
    "decide_change_terms",
    "decide_end_charge",
    "decide_start_charge",
    "fee_with",
    "owed_until",
    "post_charge",
    "reprice",
    "seats_of",
    "settle_until",
]
