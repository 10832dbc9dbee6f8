"""Gauges: reports, taken back or not, until their scope is charged as usage is (rule T2)."""

from __future__ import annotations

from ledger.core.events import GaugeCharged, GaugeReported, GaugeReversed
from ledger.core.evolve.usage import usage_costed
from ledger.core.limits import GAUGE_REPORTS_MAX
from ledger.core.metering.gauges import Gauge, GaugeReport, Gauges, GaugeScope
from ledger.core.state import Account, State


def gauge_reported(state: State, event: GaugeReported) -> None:
    account = state.accounts[event.account]
    gauges = account.gauges
    if gauges is None:
        gauges = account.gauges = Gauges(account)
        state.families[account.root].gauged += 1
    scope = GaugeScope(event.start, event.end)
    gauge = gauges.of(scope, event.gauge)
    if gauge is None:
        _forget_charged(state, account, gauges)
        plan = state.declared[event.plan]
        gauge = Gauge(event.gauge, plan.product, plan.attributes, plan.quantity_names)
        gauges.scopes.setdefault(scope, {})[event.gauge] = gauge
    report = GaugeReport(event.effective_at, state.locator, event.key, event.quantities)
    gauge.add(report, GAUGE_REPORTS_MAX)
    state.keys.add(event.key, state.locator)
    state.await_gauges(account)


def gauge_charged(state: State, event: GaugeCharged) -> None:
    """Post it as usage; the scope is over for this gauge."""
    usage_costed(state, event)
    account = state.accounts[event.account]
    gauges = account.gauges
    assert gauges is not None, event.account
    gauges.drop(GaugeScope(event.start, event.end), event.gauge)
    if event.effective_at < event.end - 1:
        gauges.charged[event.start, event.end, event.gauge] = None
    _settle(state, account, gauges)


def gauge_reversed(state: State, event: GaugeReversed) -> None:
    account = state.accounts[event.account]
    gauges = account.gauges
    assert gauges is not None, event.account
    scope = GaugeScope(event.start, event.end)
    gauge = gauges.scopes[scope][event.gauge]
    del gauge.reports[gauge.place_of(event.report)]
    if not gauge.reports:
        gauges.drop(scope, event.gauge)
    state.keys.add(event.key, state.locator)
    _settle(state, account, gauges)


def _settle(state: State, account: Account, gauges: Gauges) -> None:
    state.await_gauges(account, again=True)
    if gauges.empty:
        account.gauges = None
        state.families[account.root].gauged -= 1


def _forget_charged(state: State, account: Account, gauges: Gauges) -> None:
    """What is closed for ever by its own end takes no report anyway."""
    closed_by = account.closed_by(state.now)
    gauges.charged = {place: None for place in gauges.charged if place[1] > closed_by}
