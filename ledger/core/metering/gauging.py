"""Deciding gauges: reports, reports taken back, and the charge of a scope that has ended (T1, T2).

A scope is a day, a month or a billing period of the account, in its zone. What it is charged is its
last report by effective time, of one time the later recorded: once, when its grace has ended, as
usage of its last instant, priced and drawn as usage of that time is (rules D5, R1). A scope without
a report is charged nothing. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from ledger.core.admission import (
    in_future,
    outcome_expected,
    recorded_before,
    refuse_closed,
    refuse_frozen,
    unknown_account,
    unusable,
)
from ledger.core.catalog import Bound
from ledger.core.commands import ReportGauge, ReverseUsage
from ledger.core.drawing.paying import pay, post
from ledger.core.events import (
    Event,
    GaugeCharged,
    GaugeReported,
    GaugeReversed,
    Suspense,
)
from ledger.core.limits import GAUGE_REPORTS_MAX, GAUGES_AN_ACCOUNT_MAX
from ledger.core.metering.gauges import Gauge, GaugeReport, Gauges, GaugeScope
from ledger.core.metering.usage import quarantine
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import Cost, cost_of, provider_cost
from ledger.core.pricing.pricing import Priced, price
from ledger.core.pricing.rerates import row_draws
from ledger.core.seats.seat_draws import refuse_seat
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from rating.functions import SCOPE_DAY, SCOPE_MONTH
from rating.plan import UNPRICED

_KEY_BYTES: Final = 16
_PURPOSE: Final = b"gauge charged"


def charge_key(report: bytes) -> bytes:
    """Key of the charge of a scope, of that of the report that it charges."""
    return blake2b(report, digest_size=_KEY_BYTES, person=_PURPOSE).digest()


# -- reports ---------------------------------------------------------------------------------------


def decide_report_gauge(
    state: State, command: ReportGauge, out: list[Event]
) -> Event | Known | Refusal:
    """Append what a gauge showed at a time; nothing is charged for it before its scope has ended.

    What could not be charged as things stand is refused at once.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    at = command.effective_at or state.now
    if at < account.open_from:
        refusal = refuse_closed(state, account, at) or refuse_frozen(account)
        if refusal is not None:
            return refusal
    refusal = unusable(command.quantities) if min(command.quantities, default=-1) < 0 else None
    if refusal is None and account.seats is not None:
        refusal = refuse_seat(account, command.shape, at)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return quarantine(state, account, command, at, out)
    scope = scope_of(account, command.scope, at)
    refusal = _refused(state, account, command, scope, at)
    if refusal is not None:
        return refusal
    return _reported(state, account, command, scope, at, out)


def _reported(
    state: State,
    account: Account,
    command: ReportGauge,
    scope: GaugeScope,
    at: int,
    out: list[Event],
) -> GaugeReported:
    gauges = account.gauges
    gauge = gauges.of(scope, command.gauge) if gauges is not None else None
    before: tuple[int, ...] = gauge.level if gauge is not None else ()
    later = gauge is not None and gauge.reports[-1].effective_at > at
    bound = state.catalog.bind(account.card_key, command.shape, at)
    reported = GaugeReported(
        command.key,
        account.number,
        at,
        declare(state, bound.declaration, out),
        command.quantities,
        command.gauge,
        scope.start,
        scope.end,
        before,
        before if later else command.quantities,
        1 if command.effective_at else 0,
        command.operation,
        command.personal,
        command.trace,
    )
    out.append(reported)
    return reported


def _refused(
    state: State, account: Account, command: ReportGauge, scope: GaugeScope, at: int
) -> Refusal | None:
    gauges = account.gauges
    charged = scope.end <= account.closed_by(state.now) or (
        gauges is not None and (scope.start, scope.end, command.gauge) in gauges.charged
    )
    if charged:
        return Refusal(
            Reason.GAUGE_CHARGED,
            "effective_at_us",
            str(at),
            f"the scope that it is of, up to {scope.end}, is over and so is its grace: what was "
            "last reported in time is charged; reverse or amend that charge, by the id of its "
            "report, or record usage",
        )
    if (
        gauges is not None
        and gauges.of(scope, command.gauge) is None
        and gauges.count() >= GAUGES_AN_ACCOUNT_MAX
    ):
        return Refusal(
            Reason.GAUGES_LIMIT,
            "properties",
            str(GAUGES_AN_ACCOUNT_MAX),
            "so many gauges of the account are still to be charged; report fewer different ones, "
            "or a sum of them",
        )
    if not any(command.quantities):
        return None
    found = _rated(state, account, command.shape, command.quantities, at)
    return found if isinstance(found, Refusal) else None


def scope_of(account: Account, scope: int, at: int) -> GaugeScope:
    """The account's day, month or billing period that holds an instant (rule T1)."""
    calendar = account.calendar
    if scope == SCOPE_MONTH:
        return GaugeScope(calendar.start_of(at), calendar.end)
    if scope == SCOPE_DAY:
        return GaugeScope(calendar.day_of(at), calendar.day_end)
    return GaugeScope(account.billing_period_of(at), account.period_end)


# -- reports taken back ----------------------------------------------------------------------------


def take_report_back(
    state: State, account: Account, command: ReverseUsage, out: list[Event]
) -> GaugeReversed | Refusal:
    """Append that a report counts no more: its gauge shows what the others said (rule D3)."""
    recorded, entry = command.original.event, command.original.entry_seq
    assert isinstance(recorded, GaugeReported)
    if recorded.account != command.account:
        return _irreversible(entry, "the entry is no report of the account")
    if command.quantities or command.as_charged or command.refund_cost or command.replaced_by:
        return _irreversible(
            entry,
            "a report that is not charged yet is taken back whole: name no part of it, no charge "
            "and no cost",
        )
    gauges = account.gauges
    gauge = gauges.of(GaugeScope(recorded.start, recorded.end), recorded.gauge) if gauges else None
    place = gauge.place_of(recorded.key) if gauge is not None else -1
    if gauge is None or place < 0:
        return _irreversible(
            entry,
            "the report counts no more: it was taken back, its scope is charged for a later one, "
            f"or {GAUGE_REPORTS_MAX} later ones came; report what the gauge shows, or reverse the "
            "charge of its scope",
        )
    if len(gauge.reports) == 1 and gauge.forgotten:
        return _irreversible(
            entry,
            f"of the reports of its scope only the last {GAUGE_REPORTS_MAX} are kept, and the "
            "others were taken back; report what the gauge shows",
        )
    left = [each for at, each in enumerate(gauge.reports) if at != place]
    reversed_ = GaugeReversed(
        command.key,
        account.number,
        command.original.locator,
        entry,
        recorded.key,
        recorded.gauge,
        recorded.start,
        recorded.end,
        gauge.level,
        left[-1].quantities if left else (),
        command.note,
        command.trace,
    )
    out.append(reversed_)
    return reversed_


def _irreversible(entry: int, message: str) -> Refusal:
    return Refusal(Reason.NOT_REVERSIBLE, "entry", str(entry), message)


# -- the charge of a scope -------------------------------------------------------------------------


def charge_gauge(state: State, gauges: Gauges, out: list[Event]) -> None:
    """Append the charge of the gauge that is due first, as usage of its scope's last instant that
    counts in that one's own month. What cannot be charged waits as what has no price (rule B8)."""
    found = gauges.next()
    assert found is not None and gauges.due <= state.now, (gauges.due, state.now)
    scope, gauge = found
    at = gauges.ends_at(scope) - 1
    report = gauge.reports[-1]
    shape = state.catalog.shape(gauge.product, gauge.attributes, gauge.quantity_names)
    rated = _rated(state, gauges.account, shape, report.quantities, at)
    if isinstance(rated, Refusal):
        rated = _waiting(state, gauges.account, shape, report.quantities, at)
    _charge(state, gauges.account, scope, gauge, report, rated, at, out)


class _Rated:
    """A charge as it is priced, with what the provider takes."""

    __slots__ = ("bound", "cost", "priced")

    def __init__(self, bound: Bound, priced: Priced, cost: Cost | None) -> None:
        self.bound = bound
        self.priced = priced
        self.cost = cost


def _rated(
    state: State, account: Account, shape: Shape, quantities: Sequence[int], at: int
) -> _Rated | Refusal:
    """A level priced as usage of that time in its own period, or why it cannot be charged."""
    values = tuple(quantities)
    bound = bound_for(state, account, shape, at, values)
    if not any(values):
        priced = Priced(None, account.calendar.start_of(at))
        priced.charges = values
        return _Rated(bound, priced, None)
    if bound.terms.outcome is not None:
        return outcome_expected(shape.product)
    cost = cost_of(state, account, bound, shape, values, at, True)
    if isinstance(cost, Refusal):
        return cost
    lines = cost.lines if cost is not None else ()
    found = price(state, account, bound, values, at, costs=lines, settles=True)
    return found if isinstance(found, Refusal) else _Rated(bound, found, cost)


def _waiting(
    state: State, account: Account, shape: Shape, quantities: tuple[int, ...], at: int
) -> _Rated:
    """The same without a price: it is rated when one comes that fits."""
    priced = Priced(None, account.calendar.start_of(at))
    priced.charges = tuple([UNPRICED if each else 0 for each in quantities])
    priced.suspense = int(Suspense.UNPRICED)
    return _Rated(state.catalog.card(account.card_key).bound(shape, None), priced, None)


def _charge(
    state: State,
    account: Account,
    scope: GaugeScope,
    gauge: Gauge,
    report: GaugeReport,
    rated: _Rated,
    at: int,
    out: list[Event],
) -> None:
    bound, priced, cost = rated.bound, rated.priced, rated.cost
    payment = pay(state, account, bound, priced, at, out, cost=cost.total if cost else 0)
    charged = GaugeCharged(
        charge_key(report.key),
        account.number,
        at,
        declare(state, bound.declaration, out),
        report.quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        reasons=priced.reasons,
        scoped=priced.scoped,
        draws=row_draws(bound.plan, priced, payment.used, payment.slices),
        totals_before=priced.totals_before,
        listed=priced.listed,
        cost=provider_cost(state, account, cost, out) if cost is not None else None,
        gauge=gauge.key,
        start=scope.start,
        end=scope.end,
        report=report.locator,
    )
    post(state, account, bound, priced, payment, charged, out)
