"""Meters with levels: what a report counts is what is above the most that counts already."""

from __future__ import annotations

from ledger.core.account import LEVEL_SCOPE
from ledger.core.events import (
    Event,
    MetersReversed,
    UsageMetered,
    UsageRecorded,
    UsageRepriced,
)
from ledger.core.limits import LEVELS_AN_ACCOUNT_MAX
from ledger.core.state import State
from ledger.verify.rules.judge import Judge


def goes_on_metering(judge: Judge, state: State, event: Event) -> None:
    """Right behind what was metered stands its usage, with these quantities and of that scope."""
    metered = judge.metering
    assert metered is not None
    judge.metering = None
    if not isinstance(event, UsageRecorded):
        judge.wrong(state, "entry behind a metering", "UsageRecorded", type(event).__name__)
        return
    judge.equal(state, "usage rated again", isinstance(event, UsageRepriced), metered.carried == 1)
    judge.equal(state, "account that is metered", metered.account, event.account)
    for each in metered.moves:
        found = event.quantities[each.place] if each.place < len(event.quantities) else -1
        judge.equal(state, f"quantity {each.place} of a report", each.counted, found)
        if each.start > event.effective_at:
            judge.wrong(state, "start of a scope", f"by {event.effective_at}", each.start)


def usage_metered(judge: Judge, state: State, event: UsageMetered) -> None:
    levels = state.accounts[event.account].scoped
    judge.metering = event
    if event.carried:
        return
    for each in event.moves:
        level = levels.get((each.key, LEVEL_SCOPE, each.start), 0)
        full = level == 0 and len(levels) >= LEVELS_AN_ACCOUNT_MAX
        most = max(0, each.value - level)
        if each.counted != most and not (full and each.counted == 0):
            judge.wrong(state, f"counted of a report over {level}", most, each.counted)


def meters_reversed(judge: Judge, state: State, event: MetersReversed) -> None:
    if not event.original < state.locator or not 0 <= event.entry < state.batch_length:
        judge.wrong(state, "what is reversed", "an earlier entry", event.original)
    levels = state.accounts[event.account].scoped
    for each in event.moves:
        level = levels.get((each.key, LEVEL_SCOPE, each.start), 0)
        if not 0 < each.quantity <= level:
            judge.wrong(state, "taken off a level", f"1 to {level}", each.quantity)
