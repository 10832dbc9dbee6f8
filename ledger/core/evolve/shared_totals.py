"""Totals that several accounts share, and re-rates by them that are due and posted (R1, D8)."""

from __future__ import annotations

from ledger.core.events import Rerate, RerateShared, SharedRerated
from ledger.core.evolve.usage import usage_rerated
from ledger.core.pricing.shared_totals import Due, Dues
from ledger.core.state import State


def rerate_shared(state: State, event: RerateShared) -> None:
    """Each account owes its share, or is owed it, from now on."""
    plan = state.declared[event.plan]
    cause = state.first_event + event.entry
    for share in event.shares:
        for number, amount in share.amounts:
            account = state.accounts[number]
            if account.dues is None:
                account.dues = Dues(account)
            rerate = Rerate(share.row, share.key, share.scope, share.start, amount)
            account.dues.waiting.append(Due(plan, event.effective_at, cause, rerate))
            state.await_dues(account, state.now)


def shared_rerated(state: State, event: SharedRerated) -> None:
    """Post it as any re-rate; the first that was due is so no more."""
    usage_rerated(state, event)
    account = state.accounts[event.account]
    dues = account.dues
    assert dues is not None, event.account
    del dues.waiting[0]
    if not dues.waiting:
        account.dues = None
