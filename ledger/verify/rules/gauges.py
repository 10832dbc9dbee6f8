"""Gauges: a level is the last report of its scope, which is charged once it is over (T1, T2)."""

from __future__ import annotations

from ledger.core.events import GaugeCharged, GaugeReported, GaugeReversed
from ledger.core.limits import GAUGE_REPORTS_MAX, GAUGES_AN_ACCOUNT_MAX
from ledger.core.metering.gauges import Gauge, GaugeReport, GaugeScope
from ledger.core.metering.gauging import charge_key
from ledger.core.state import State
from ledger.verify.rules.caps import look_at_shares
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_overrides
from ledger.verify.rules.usage import (
    MONTH_MAX_US,
    drawn_in,
    grace_over,
    grants_in_time,
    takes,
)


def gauge_reported(judge: Judge, state: State, event: GaugeReported) -> None:
    account = state.accounts[event.account]
    if not state.window_start <= event.effective_at <= state.window_end:
        window = f"{state.window_start} to {state.window_end}"
        judge.wrong(state, "effective time", window, event.effective_at)
    takes(judge, state, account, event.effective_at, new=True)
    _in_scope(judge, state, event)
    if event.end <= grace_over(state, account):
        judge.wrong(state, "scope of a gauge", "one whose grace has not ended", event.end)
    gauges = account.gauges
    if gauges is not None and (event.start, event.end, event.gauge) in gauges.charged:
        judge.wrong(state, "scope of a gauge", "one that is not charged", event.end)
    gauge = _gauge_of(state, event)
    if gauge is None and gauges is not None and gauges.count() >= GAUGES_AN_ACCOUNT_MAX:
        judge.wrong(state, "gauges to be charged", f"{GAUGES_AN_ACCOUNT_MAX} at most", "one more")
    reports = list(gauge.reports) if gauge is not None else []
    judge.equal(state, "level before a report", _level(reports), event.before)
    reports.append(GaugeReport(event.effective_at, state.locator, event.key, event.quantities))
    judge.equal(state, "level after a report", _level(reports), event.after)
    if min(event.quantities, default=-1) < 0:
        judge.wrong(state, "what a gauge shows", "0 or more", event.quantities)
    if gauge is not None:
        plan = state.declared[event.plan]
        described = (plan.product, plan.attributes, plan.quantity_names)
        of = (gauge.product, gauge.attributes, gauge.quantity_names)
        judge.equal(state, "what a gauge is usage of", of, described)


def gauge_reversed(judge: Judge, state: State, event: GaugeReversed) -> None:
    gauge = _gauge_of(state, event)
    if gauge is None:
        judge.wrong(state, "gauge of a report", "one that is not charged", event.gauge)
        return
    place = gauge.place_of(event.report)
    if place < 0:
        what = f"one of the last {GAUGE_REPORTS_MAX}"
        judge.wrong(state, "report that is taken back", what, event.original)
        return
    if len(gauge.reports) == 1 and gauge.forgotten:
        judge.wrong(state, "report that is taken back", "not the last that is kept", event.original)
    judge.equal(state, "report that is taken back", gauge.reports[place].locator, event.original)
    judge.equal(state, "level before it is taken back", _level(gauge.reports), event.before)
    left = [each for at, each in enumerate(gauge.reports) if at != place]
    judge.equal(state, "level once it is taken back", _level(left), event.after)


def gauge_charged(judge: Judge, state: State, event: GaugeCharged) -> None:
    """The last report of the scope, once, as usage of its last instant; nothing before its time."""
    account = state.accounts[event.account]
    gauge = _gauge_of(state, event)
    gauges = account.gauges
    if gauge is None or gauges is None:
        judge.wrong(state, "gauge that is charged", "one with a report", event.gauge)
        return
    last = max(gauge.reports, key=_order)
    judge.equal(state, "report that is charged", last.locator, event.report)
    judge.equal(state, "key of the charge", charge_key(last.key), event.key)
    judge.equal(state, "quantities of a gauge", last.quantities, event.quantities)
    plan = state.declared[event.plan]
    described = (plan.product, plan.attributes, plan.quantity_names)
    of = (gauge.product, gauge.attributes, gauge.quantity_names)
    judge.equal(state, "what a gauge is usage of", of, described)
    end = event.end
    if account.closed_at:
        end = max(event.start + 1, min(end, account.closed_at))
    judge.equal(state, "effective time", end - 1, event.effective_at)
    if end > grace_over(state, account):
        judge.wrong(state, "scope of a gauge", "one whose grace has ended", event.end)
    for scope in gauges.scopes:
        if gauges.ends_at(scope) < end or (
            gauges.ends_at(scope) == end and scope.start > event.start
        ):
            judge.wrong(state, "scope that is charged first", scope, (event.start, event.end))
            break
    if not event.period <= event.effective_at < event.period + MONTH_MAX_US:
        judge.wrong(state, "month", f"that of {event.effective_at}", event.period)
    look_at_overrides(judge, state, account, plan, event.effective_at)
    drawn_in(judge, state, account, event)
    look_at_shares(judge, state, account, event.slices, event.effective_at)
    grants_in_time(judge, state, event)


def _in_scope(judge: Judge, state: State, event: GaugeReported) -> None:
    if not event.start <= event.effective_at < event.end:
        judge.wrong(state, "scope of a report", f"that of {event.effective_at}", event.start)
    if event.end - event.start > 2 * MONTH_MAX_US:
        judge.wrong(state, "length of a scope", "a day, a month or a period", event.end)


def _gauge_of(state: State, event: GaugeReported | GaugeReversed | GaugeCharged) -> Gauge | None:
    gauges = state.accounts[event.account].gauges
    scope = GaugeScope(event.start, event.end)
    return gauges.of(scope, event.gauge) if gauges is not None else None


def _level(reports: list[GaugeReport]) -> tuple[int, ...]:
    return max(reports, key=_order).quantities if reports else ()


def _order(report: GaugeReport) -> tuple[int, int]:
    return report.effective_at, report.locator
