"""Runway alerts: told once a crossing, by the rule in force."""

from __future__ import annotations

from ledger.core.events import RunwayAlertRemoved, RunwayAlertSet, RunwayCrossed
from ledger.core.limits import HOUR_US, RUNWAY_HOURS_MAX, RUNWAY_REPORT_AGE_MAX_US
from ledger.core.state import State
from ledger.verify.rules.judge import Judge


def runway_alert_set(judge: Judge, state: State, event: RunwayAlertSet) -> None:
    account, alert = state.accounts[event.account], event.alert
    before = {each.asset: each.version for each in account.runways}
    judge.equal(state, "version of the runway alert", before.get(alert.asset, 0) + 1, event.version)
    if not 1 <= alert.hours <= alert.rearm_hours <= RUNWAY_HOURS_MAX:
        judge.wrong(state, "hours of a runway alert", f"1 to {RUNWAY_HOURS_MAX}, rising", alert)
    if account.closed_at:
        judge.wrong(state, "account of a runway alert", "open", "closed")


def runway_alert_removed(judge: Judge, state: State, event: RunwayAlertRemoved) -> None:
    inforce = [each.asset for each in state.accounts[event.account].runways if each.alert]
    if event.asset not in inforce:
        judge.wrong(state, "runway alert that is removed", "one in force", event.asset)


def runway_crossed(judge: Judge, state: State, event: RunwayCrossed) -> None:
    """By the version in force, the next crossing, from one side to the other, and lately."""
    account = state.accounts[event.account]
    found = [each for each in account.runways if each.asset == event.asset]
    if not found or found[0].alert is None or account.closed_at:
        judge.wrong(state, "runway alert that tells", "in force", event.asset)
        return
    [standing] = found
    alert = found[0].alert
    judge.equal(state, "version of the runway alert", standing.version, event.version)
    judge.equal(state, "crossing of the runway alert", standing.crossings + 1, event.crossing)
    judge.equal(state, "short", not standing.short, event.short)
    left = event.empty_at - event.as_of
    if event.short and not (event.empty_at > 0 and left <= alert.hours * HOUR_US):
        judge.wrong(state, "empty by a runway alert", f"within {alert.hours} h", event.empty_at)
    if not event.short and event.empty_at and left <= alert.rearm_hours * HOUR_US:
        judge.wrong(state, "lasting again", f"for {alert.rearm_hours} h", event.empty_at)
    if not 0 <= state.now - event.as_of <= RUNWAY_REPORT_AGE_MAX_US:
        judge.wrong(state, "time of the forecast", "lately", event.as_of)
