"""What waits for a price: put aside with its usage event, rated by an entry of its own (B8)."""

from __future__ import annotations

from ledger.core.events import SuspenseRated, UsageRecorded, UsageReversed
from ledger.core.limits import RATED_A_FAMILY_MAX
from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.state import Account, Family, State

_UNRATED = -1  # in the place of a charge


def suspend(state: State, event: UsageRecorded) -> None:
    """Keep what rating the event takes, as the last of its family."""
    account = state.accounts[event.account]
    plan = state.declared[event.plan]
    state.families[account.root].waiting[state.locator] = Waiting(
        account.number,
        state.entry_seq,
        event.effective_at,
        plan.product,
        plan.attributes,
        plan.quantity_names,
        event.quantities,
        tuple([place for place, charge in enumerate(event.charges) if charge == _UNRATED]),
    )
    account.suspended += 1
    state.suspended[account.root] = state.suspended.get(account.root, 0) + 1
    state.suspended_events += 1


def settle(state: State, account: Account, locator: int) -> None:
    """Nothing of a usage event waits any more."""
    del state.families[account.root].waiting[locator]
    account.suspended -= 1
    state.suspended_events -= 1
    left = state.suspended[account.root] - 1
    if left:
        state.suspended[account.root] = left
    else:
        del state.suspended[account.root]


def rated(state: State, event: SuspenseRated) -> None:
    """What the entry rated waits no more; its charge is posted as that of any usage."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    if event.settled:
        settle(state, account, event.original)
    else:
        waiting = family.waiting[event.original]
        waiting.places = tuple([place for place in waiting.places if place not in event.rated])
    _remember(state, family, event)


def _remember(state: State, family: Family, event: SuspenseRated) -> None:
    before = family.rated.get(event.original)
    if before is not None:
        before.entries = (*before.entries, state.locator)
        return
    if len(family.rated) >= RATED_A_FAMILY_MAX:
        family.rated = family.remembered_rated(state.corrected_before)
    if len(family.rated) >= RATED_A_FAMILY_MAX:
        family.rated_forgotten = max(family.rated_forgotten, event.original)
        return
    family.rated[event.original] = Rated(event.effective_at, (state.locator,))


def reversed_of(state: State, account: Account, event: UsageReversed) -> None:
    """What is reversed waits no more."""
    waiting = state.families[account.root].waiting.get(event.original)
    if waiting is None:
        return
    if event.suspended:
        settle(state, account, event.original)
        return
    waiting.quantities = tuple(
        [a - b for a, b in zip(waiting.quantities, event.quantities, strict=True)]
    )
