"""Levels of meters: raised by what a report counted, lowered by what was given back (N4, R1)."""

from __future__ import annotations

from ledger.core.account import LEVEL_SCOPE
from ledger.core.events import MetersReversed, UsageMetered
from ledger.core.evolve.corrections import move_back
from ledger.core.limits import LEVELS_AN_ACCOUNT_MAX
from ledger.core.state import State


def usage_metered(state: State, event: UsageMetered) -> None:
    account = state.accounts[event.account]
    for each in event.moves:
        if each.counted and not event.carried:
            place = (each.key, LEVEL_SCOPE, each.start)
            if place not in account.scoped and len(account.scoped) >= LEVELS_AN_ACCOUNT_MAX:
                account.forget_scoped(state.days_before, state.months_before)
            account.scoped[place] = account.scoped.get(place, 0) + each.counted


def meters_reversed(state: State, event: MetersReversed) -> None:
    levels = state.accounts[event.account].scoped
    for each in event.moves:
        move_back(levels, (each.key, LEVEL_SCOPE, each.start), each.quantity)
