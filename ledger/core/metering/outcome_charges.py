"""Deciding outcomes: reported, and charged once they are confirmed, or rejected (B1, H1, D3, D4).

The work of a report has happened, so what it costs is reserved in the order of recorded usage,
whatever there is to pay it: grants, overdraft, overage, and the rest by the policy's excess. It
pends as the slices of a hold do until one entry settles it: somebody confirms or rejects it, or the
writer's clock does, as its product's terms were at the report. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import (
    in_future,
    known_account,
    refuse_closed,
    refuse_frozen,
    refuse_suspense,
    unusable,
)
from ledger.core.commands import ConfirmOutcome, RejectOutcome, ReportOutcome
from ledger.core.decisions.assessing import estimated
from ledger.core.decisions.charging import charge_usage
from ledger.core.decisions.holds import expire_hold
from ledger.core.drawing.drawdown import draw
from ledger.core.drawing.paying import post
from ledger.core.events import (
    Event,
    HoldExpiry,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    Slice,
)
from ledger.core.funding.following import follow_up, returned_by
from ledger.core.leases.leasing import lapse_lease
from ledger.core.limits import CORRECTION_WINDOW_US, INT64_MAX, OUTCOMES_PENDING_MAX
from ledger.core.opening import declare, used_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import overflow, price
from ledger.core.seats.seat_draws import refuse_seat
from ledger.core.state import HOLD_CAPTURED, HOLD_CHARGED, NEVER, Account, Hold, Outcome, State


def decide_report(
    state: State, command: ReportOutcome, out: list[Event]
) -> Event | Known | Refusal:
    """Record work that is sold by result: priced at its time, reserved, and not charged yet."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    at, quantities = command.effective_at or state.now, command.quantities
    refusal = _report_refused(state, account, at, quantities)
    if refusal is None and account.seats is not None:
        refusal = refuse_seat(account, command.shape, at)
    if refusal is not None:
        return refusal
    bound = bound_for(state, account, command.shape, at, quantities)
    terms = bound.terms.outcome
    if terms is None:
        return Refusal(
            Reason.NOT_AN_OUTCOME,
            "product",
            command.shape.product,
            "the rate card in force at its time does not sell this product by result; record the "
            "work as usage",
        )
    costs = costs_for(state, account, bound, command.shape, quantities, at)
    if isinstance(costs, Refusal):
        return costs
    priced = price(state, account, bound, quantities, at, costs=costs)
    if isinstance(priced, Refusal):
        return priced
    if priced.suspense:
        refusal = refuse_suspense(state, account)
        if refusal is not None:
            return refusal
    charges, total = estimated(bound.plan, priced)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    slices: tuple[Slice, ...] = ()
    used = 0
    if total:
        used = used_book(state, bound, out)
        drawn = draw(
            state, account, bound.asset, bound.use, total, at, priced.period, out, True,
            committed=priced.committed,
        )  # fmt: skip
        slices = tuple(drawn.slices)
    waits = terms.confirm_after
    reported = OutcomeReported(
        command.key,
        account.number,
        state.next_hold,
        declare(state, bound.declaration, out),
        quantities,
        charges,
        used,
        slices,
        at,
        state.now + waits if waits else NEVER,
        waits,
        waits,
        HoldExpiry.CHARGE if terms.confirms else HoldExpiry.RELEASE,
        priced.period,
        account.version,
        command.trace,
        effective_given=1 if command.effective_at else 0,
        suspense=priced.suspense,
        evidence=command.evidence,
    )
    out.append(reported)
    return reported


def _report_refused(
    state: State, account: Account, at: int, quantities: tuple[int, ...]
) -> Refusal | None:
    """Why work of that time is not recorded: as of any usage, and a limit on what pends."""
    if at < account.open_from:
        refusal = refuse_closed(state, account, at) or refuse_frozen(account)
        if refusal is not None:
            return refusal
    refusal = unusable(quantities)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return Refusal(
            Reason.TOO_OLD,
            "effective_at_us",
            str(at),
            "the effective time is before the dedupe window; make a manual adjustment instead",
        )
    if account.outcomes >= OUTCOMES_PENDING_MAX:
        return Refusal(
            Reason.OUTCOMES_LIMIT,
            "account",
            str(account.outcomes),
            "so many outcomes of the account pend; confirm or reject some, then send it again",
        )
    return None


def decide_confirm_outcome(
    state: State, command: ConfirmOutcome, out: list[Event]
) -> Event | Known | Refusal:
    """Charge the work of an outcome that pends; one that is settled is refused by name."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = _pending(state, account, command.outcome)
    if isinstance(hold, Refusal):
        return hold
    if hold.authorized_at < state.now - CORRECTION_WINDOW_US:
        return Refusal(
            Reason.CORRECTION_TOO_OLD,
            "outcome_id",
            str(hold.authorized_at),
            "work of more than 400 days ago is not charged any more; reject the outcome and make a "
            "manual adjustment instead",
        )
    assert hold.outcome is not None
    return _confirm(
        state, hold, hold.outcome, out, command.key, command.evidence, trace=command.trace
    )


def decide_reject_outcome(
    state: State, command: RejectOutcome, out: list[Event]
) -> Event | Known | Refusal:
    """Give back what an outcome reserves; one that is settled is refused by name."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = _pending(state, account, command.outcome)
    if isinstance(hold, Refusal):
        return hold
    rejected = OutcomeRejected(
        command.key, account.number, hold.number, command.note, trace=command.trace
    )
    _reject(state, hold, rejected, out)
    return rejected


def end_in_time(state: State, hold: Hold, out: list[Event]) -> None:
    """Post what time makes of an overdue hold, or of an outcome that nobody has settled: charged or
    given back, as its product's terms were at its report.

    What would fit no transfer, which only a total at the very limit can do, is given back.
    """
    outcome = hold.outcome
    if hold.lease is not None:
        lapse_lease(state, hold, hold.lease, out)
        return
    if outcome is None:
        expire_hold(state, hold, out)
        return
    assert state.now >= hold.expires_at, (state.now, hold.expires_at)
    if outcome.confirms:
        began = len(out)  # the plan of a cost is named by its place in the batch
        confirmed = _confirm(state, hold, outcome, out, by_time=1)
        if not isinstance(confirmed, Refusal):
            return
        del out[began:]
    _reject(state, hold, OutcomeRejected(b"", hold.account.number, hold.number, by_time=1), out)


def _confirm(
    state: State,
    hold: Hold,
    outcome: Outcome,
    out: list[Event],
    key: bytes = b"",
    evidence: bytes = b"",
    by_time: int = 0,
    trace: bytes = b"",
) -> OutcomeConfirmed | Refusal:
    """Charge the work as usage of its own time, by the price rows of its report. As any usage it
    goes on from the running totals of its period (rule R1), so that it may cost something else than
    was reserved: the rest goes back, what is more is drawn anew."""
    account, at, estimate = hold.account, hold.authorized_at, outcome.estimate
    shape = state.catalog.shape(hold.product, hold.attributes, estimate.plan.quantity_names)
    card = state.catalog.card((account.tenant, estimate.plan.rate_card))
    bound = card.declared(shape, estimate.plan)
    charge = charge_usage(state, account, hold, bound, shape, estimate.quantities, at, out)
    if isinstance(charge, Refusal):
        return charge
    priced, payment = charge.priced, charge.payment
    confirmed = OutcomeConfirmed(
        key,
        account.number,
        at,
        declare(state, bound.declaration, out),
        estimate.quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        hold=hold.number,
        personal=evidence,
        trace=trace,
        reasons=priced.reasons,
        scoped=priced.scoped,
        draws=charge.draws,
        totals_before=priced.totals_before,
        listed=priced.listed,
        cost=charge.cost,
        by_time=by_time,
    )
    returned = returned_by(state, hold, charge.taken)
    post(state, account, bound, priced, payment, confirmed, out, returned)
    return confirmed


def _reject(state: State, hold: Hold, rejected: OutcomeRejected, out: list[Event]) -> None:
    out.append(rejected)
    follow_up(state, returned_by(state, hold, ()), out)


def _pending(state: State, account: Account, number: int) -> Hold | Refusal:
    """The account's outcome if it pends, else why it does not."""
    hold = state.holds.get(number)
    if hold is not None:
        if hold.account is account and hold.outcome is not None:
            return hold
        return _unknown(number)
    settled = state.settled_hold(account, number)
    if settled is None or settled.account is not account or settled.outcome is None:
        return _unknown(number)
    confirmed = settled.ended in (HOLD_CAPTURED, HOLD_CHARGED)
    if confirmed:
        reason, what = Reason.OUTCOME_CONFIRMED, "confirmed; correct the usage that it is now"
    else:
        reason, what = Reason.OUTCOME_REJECTED, "rejected; report the work anew to have it charged"
    return Refusal(
        reason, "outcome_id", str(number), f"at {settled.settled_at} the outcome was {what}"
    )


def _unknown(number: int) -> Refusal:
    """No such outcome of this account, or settled longer ago than the dedupe window."""
    return Refusal(
        Reason.NO_SUCH_OUTCOME,
        "outcome_id",
        str(number),
        "the account has no such outcome, or it was settled more than 35 days ago",
    )
