"""The same for what is agreed for periods: recurring grants, packages, fixed charges, contracts,
seats and commitments.

What a package or a contract brought with it has no key of its own, and no command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core import commands as c
from ledger.core import events as e


def _start(event: e.RecurringStarted) -> c.Command:
    return c.StartRecurring(
        event.key,
        event.account,
        event.terms,
        event.external_key,
        event.start_given,
        event.ends_at,
        trace=event.trace,
    )


def _change(event: e.RecurringChanged) -> c.Command:
    return c.ChangeRecurring(
        event.key,
        event.account,
        event.recurring,
        event.terms,
        event.timing,
        event.expected_version,
        trace=event.trace,
    )


def _pause(event: e.RecurringPaused) -> c.Command:
    return c.PauseRecurring(event.key, event.account, event.recurring, trace=event.trace)


def _resume(event: e.RecurringResumed) -> c.Command:
    return c.ResumeRecurring(event.key, event.account, event.recurring, trace=event.trace)


def _end(event: e.RecurringEnded) -> c.Command:
    return c.EndRecurring(
        event.key, event.account, event.recurring, event.timing, trace=event.trace
    )


def _subscribe(event: e.Subscribed) -> c.Command:
    return c.Subscribe(
        event.key,
        event.account,
        event.package,
        event.follow,
        event.version,
        event.locked_until,
        trace=event.trace,
    )


def _change_package(event: e.PackageChanged) -> c.Command:
    return c.ChangePackage(
        event.key,
        event.account,
        event.package,
        event.timing,
        event.follow,
        event.version,
        event.locked_until,
        event.old_grants,
        event.expected_version,
        trace=event.trace,
    )


def _cancel(event: e.SubscriptionCancelled) -> c.Command:
    return c.CancelSubscription(
        event.key,
        event.account,
        event.timing,
        event.old_grants,
        event.expected_version,
        trace=event.trace,
    )


def _start_charge(event: e.ChargeStarted) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.StartCharge(
        event.key,
        event.account,
        event.name,
        event.terms,
        event.quantity,
        event.start_given,
        event.ends_at,
        trace=event.trace,
    )


def _change_charge(event: e.ChargeChanged) -> c.Command | None:
    if not event.key:
        return None  # a part of another decision
    if event.terms is not None:
        return c.ChangeTerms(
            event.key,
            event.account,
            event.charge,
            event.terms,
            event.expected_version,
            trace=event.trace,
        )
    return c.ChangeQuantity(
        event.key,
        event.account,
        event.charge,
        event.quantity,
        event.timing,
        event.expected_version,
        trace=event.trace,
    )


def _end_charge(event: e.ChargeEnded) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.EndCharge(event.key, event.account, event.charge, event.timing, trace=event.trace)


def _sign(event: e.ContractSigned) -> c.Command:
    return c.SignContract(
        event.key,
        event.account,
        event.contract,
        event.package,
        event.version_given,
        event.starts_given,
        event.ends_at,
        tuple([each.override for each in event.overrides]),
        event.auto_renew,
        event.minimum,
        event.committed,
        event.rollover,
        trace=event.trace,
    )


def _amend(event: e.ContractAmended) -> c.Command:
    return c.AmendContract(
        event.key,
        event.account,
        event.contract,
        event.effective_given,
        tuple([each.override for each in event.overrides]) if event.overrides is not None else None,
        event.version,
        event.ends_at,
        event.auto_renew,
        event.committed,
        event.expected_version,
        event.minimum,
        event.rollover,
        trace=event.trace,
    )


def _start_plan(event: e.SeatPlanStarted) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.StartSeatPlan(
        event.key,
        event.account,
        event.seat_plan,
        event.terms,
        event.names,
        event.count,
        trace=event.trace,
    )


def _add_seats(event: e.SeatsAdded) -> c.Command:
    return c.AddSeats(
        event.key,
        event.account,
        event.seat_plan,
        event.names,
        event.count,
        event.expected_version,
        trace=event.trace,
    )


def _remove_seats(event: e.SeatsRemoved) -> c.Command:
    return c.RemoveSeats(
        event.key,
        event.account,
        event.seat_plan,
        event.names,
        event.count,
        event.mode,
        event.expected_version,
        trace=event.trace,
    )


def _reassign(event: e.SeatReassigned) -> c.Command:
    return c.ReassignSeat(
        event.key,
        event.account,
        event.seat_plan,
        event.name,
        event.to,
        event.expected_version,
        trace=event.trace,
    )


def _suspend_seat(event: e.SeatSuspended) -> c.Command:
    asked_for = c.SuspendSeat if event.suspended else c.ResumeSeat
    return asked_for(
        event.key,
        event.account,
        event.seat_plan,
        event.name,
        event.expected_version,
        trace=event.trace,
    )


def _change_seat_terms(event: e.SeatTermsChanged) -> c.Command:
    return c.ChangeSeatTerms(
        event.key,
        event.account,
        event.seat_plan,
        event.terms,
        event.expected_version,
        trace=event.trace,
    )


def _end_plan(event: e.SeatPlanEnded) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.EndSeatPlan(
        event.key,
        event.account,
        event.seat_plan,
        event.timing,
        event.mode,
        event.expected_version,
        trace=event.trace,
    )


def _commit(event: e.CommitmentCreated) -> c.Command:
    return c.CreateCommitment(
        event.key,
        event.account,
        event.terms,
        event.segments,
        event.invoices,
        event.external_key,
        trace=event.trace,
    )


def _add_segment(event: e.SegmentAdded) -> c.Command | None:
    if not event.key:
        return None  # moved there from another commitment
    return c.AddSegment(
        event.key,
        event.account,
        event.commitment,
        event.segment,
        event.invoices,
        trace=event.trace,
    )


ASKED_TERMS: Final[dict[type, Callable[[Any], c.Command | None]]] = {
    e.RecurringStarted: _start,
    e.RecurringChanged: _change,
    e.RecurringPaused: _pause,
    e.RecurringResumed: _resume,
    e.RecurringEnded: _end,
    e.Subscribed: _subscribe,
    e.PackageChanged: _change_package,
    e.SubscriptionCancelled: _cancel,
    e.ContractSigned: _sign,
    e.ContractAmended: _amend,
    e.ChargeStarted: _start_charge,
    e.ChargeChanged: _change_charge,
    e.ChargeEnded: _end_charge,
    e.SeatPlanStarted: _start_plan,
    e.SeatsAdded: _add_seats,
    e.SeatsRemoved: _remove_seats,
    e.SeatReassigned: _reassign,
    e.SeatSuspended: _suspend_seat,
    e.SeatTermsChanged: _change_seat_terms,
    e.SeatPlanEnded: _end_plan,
    e.CommitmentCreated: _commit,
    e.SegmentAdded: _add_segment,
}
