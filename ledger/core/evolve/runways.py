"""Runway alerts: their rules, and what was told by them."""

from __future__ import annotations

from ledger.core.events import RunwayAlertRemoved, RunwayAlertSet, RunwayCrossed
from ledger.core.funding.runway import Runway
from ledger.core.state import Account, State


def runway_alert_set(state: State, event: RunwayAlertSet) -> None:
    """A new version has told of nothing yet."""
    account = state.accounts[event.account]
    _put(account, Runway(event.alert.asset, event.version, event.alert))
    state.keys.add(event.key, state.locator)


def runway_alert_removed(state: State, event: RunwayAlertRemoved) -> None:
    """Its version stays known, so that the next one is another."""
    account = state.accounts[event.account]
    [standing] = [each for each in account.runways if each.asset == event.asset]
    _put(account, Runway(event.asset, standing.version, None))
    state.keys.add(event.key, state.locator)


def runway_crossed(state: State, event: RunwayCrossed) -> None:
    account = state.accounts[event.account]
    [standing] = [each for each in account.runways if each.asset == event.asset]
    told = Runway(
        event.asset,
        event.version,
        standing.alert,
        event.short,
        event.crossing,
        state.now,
        event.empty_at,
        event.available,
        event.needed,
    )
    _put(account, told)
    state.keys.add(event.key, state.locator)


def _put(account: Account, standing: Runway) -> None:
    others = [each for each in account.runways if each.asset != standing.asset]
    account.runways = tuple(sorted([*others, standing], key=lambda each: each.asset))
