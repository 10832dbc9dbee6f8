"""Price overrides: set, and what that means for those who inherit them."""

from __future__ import annotations

from ledger.core.events import PriceOverridesSet
from ledger.core.evolve.accounts import set_overrides
from ledger.core.state import State
from rating.overrides import SetOverride


def price_overrides_set(state: State, event: PriceOverridesSet) -> None:
    account = state.accounts[event.account]
    family = state.families[account.root]
    before = {each.numbered.number: each for each in account.overrides}
    standing = {each.number for each in event.overrides}
    ended = [
        each.ended(state.now)
        for each in account.overrides_remembered(state.corrected_before)
        if each.numbered.number not in standing
    ]
    stand = [before.get(each.number) or SetOverride(each, state.now) for each in event.overrides]
    set_overrides(state, account, (*ended, *stand))
    state.try_suspended(account.root)  # they may price what waits (rule B8)
    account.overrides_version = event.version
    for each in event.overrides:
        family.next_override = max(family.next_override, each.number + 1)
    state.keys.add(event.key, state.locator)
