"""The tree of a family: an account moves to another parent, with all below it (rule D1)."""

from __future__ import annotations

from ledger.core.events import AccountMoved
from ledger.core.evolve.accounts import (
    change_zone,
    inherit,
    inherit_frozen,
    inherited_overrides,
)
from ledger.core.evolve.decision_policies import inherit_rules
from ledger.core.state import State


def account_moved(state: State, event: AccountMoved) -> None:
    """Hang it up there, and let it inherit from there on; what it has and owes stays its own."""
    account, parent = state.accounts[event.account], state.accounts[event.parent]
    before = state.accounts[event.before]
    before.children.remove(account)
    parent.children.append(account)
    account.parent = parent
    account.place_version = event.version
    account.parents_before = (
        *account.moves_remembered(state.corrected_before),
        (state.now, state.locator, before.number),
    )
    for each in account.below():
        assert each.parent is not None, each.number
        each.depth = each.parent.depth + 1
    if account.override_set is not parent.override_set:
        account.override_set = inherited_overrides(parent, account.overrides, account.sold)
    card_key = account.card_key
    inherit(state, account)
    if account.card_key != card_key:
        state.try_suspended(account.root)  # the other card may have prices (rule B8)
    inherit_frozen(account)
    inherit_rules(account)
    if event.zone_from:
        change_zone(state, account, event)
        if account.tenant in state.minimums_from:
            for each in account.in_its_zone():
                state.await_minimums(each)
    for each in account.below():
        state.await_statement(each)
    state.keys.add(event.key, state.locator)
