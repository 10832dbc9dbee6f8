"""Deciding runway alerts: rules, and what a forecast makes of them.

How long a balance is to last is foretold outside of the core, from read models: advice, by which
nothing is decided but whether somebody is told. The rule is latched here: a crossing is one entry,
and the next is the way back, at a bound that is farther off. A forecast that is old, or was made by
another version of the rule, tells nothing. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import known_account, open_account
from ledger.core.commands import RemoveRunwayAlert, ReportRunway, SetRunwayAlert
from ledger.core.events import (
    Event,
    RunwayAlert,
    RunwayAlertRemoved,
    RunwayAlertSet,
    RunwayCrossed,
)
from ledger.core.funding.runway import Runway, crosses
from ledger.core.limits import RUNWAY_HOURS_MAX, RUNWAY_REPORT_AGE_MAX_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


def runway_of(account: Account, asset: int) -> Runway | None:
    """The rule of an asset, removed ones too."""
    for each in account.runways:
        if each.asset == asset:
            return each
    return None


def decide_set_runway(
    state: State, command: SetRunwayAlert, out: list[Event]
) -> Event | Known | Refusal:
    """Give an account a rule, or another for the same asset; it tells anew what is so."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    standing = runway_of(account, command.alert.asset)
    version = standing.version if standing is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the rule is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = _invalid(state, account, command.alert)
    if refusal is not None:
        return refusal
    made = RunwayAlertSet(
        command.key,
        account.number,
        command.alert,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def _invalid(state: State, account: Account, alert: RunwayAlert) -> Refusal | None:
    asset = state.catalog.assets.get(alert.asset)
    if asset is None or asset.tenant != account.tenant:
        message = "the tenant has no such asset; create it first"
        return Refusal(Reason.ASSET_UNKNOWN, "alert.asset", str(alert.asset), message)
    for field, value, least in (
        ("hours", alert.hours, 1),
        ("rearm_hours", alert.rearm_hours, alert.hours),
    ):
        if not least <= value <= RUNWAY_HOURS_MAX:
            message = f"it is from {least} to {RUNWAY_HOURS_MAX} hours"
            return Refusal(Reason.RUNWAY_ALERT_INVALID, f"alert.{field}", str(value), message)
    return None


def decide_remove_runway(
    state: State, command: RemoveRunwayAlert, out: list[Event]
) -> Event | Known | Refusal:
    """Tell nothing more."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    standing = runway_of(account, command.asset)
    if standing is None or standing.alert is None:
        return _unknown(command.asset)
    removed = RunwayAlertRemoved(command.key, account.number, command.asset, command.trace)
    out.append(removed)
    return removed


def decide_report_runway(
    state: State, command: ReportRunway, out: list[Event]
) -> Event | Known | Refusal:
    """Tell of a crossing, once; a forecast that is none is refused and leaves no trace."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    standing = runway_of(account, command.asset)
    if standing is None or standing.alert is None:
        return _unknown(command.asset)
    if (command.version, command.crossing) != (standing.version, standing.crossings + 1):
        return Refusal(
            Reason.VERSION_MISMATCH,
            "version",
            str(standing.version),
            f"the rule is at version {standing.version} and has crossed {standing.crossings} "
            "times; read it again",
        )
    if not state.now - RUNWAY_REPORT_AGE_MAX_US <= command.as_of <= state.now:
        return Refusal(
            Reason.RUNWAY_REPORT_OLD,
            "as_of",
            str(command.as_of),
            f"a forecast is told of within {RUNWAY_REPORT_AGE_MAX_US} us; make another",
        )
    if not crosses(standing.alert, standing.short, command.as_of, command.empty_at):
        return Refusal(
            Reason.RUNWAY_NOT_CROSSED,
            "empty_at",
            str(command.empty_at),
            "the balance is short already, or lasts as it did; there is nothing to tell",
        )
    crossed = RunwayCrossed(
        command.key,
        account.number,
        command.asset,
        standing.version,
        command.crossing,
        not standing.short,
        command.as_of,
        command.empty_at,
        str(command.available),
        str(command.needed),
        command.trace,
    )
    out.append(crossed)
    return crossed


def _unknown(asset: int) -> Refusal:
    message = "the account has no runway alert for the asset"
    return Refusal(Reason.RUNWAY_ALERT_UNKNOWN, "asset", str(asset), message)
