"""Mandates: granted, revoked, bought by. What is spent of them is counted by their budgets
(`evolve.budgets`)."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.events import (
    BuyingMandateGranted,
    MandateGranted,
    MandateRevoked,
    PurchaseRequested,
)
from ledger.core.mandates.mandates import Mandate
from ledger.core.state import Grant, State


def mandate_granted(state: State, event: MandateGranted) -> None:
    """The account is an agent's from now on."""
    purchase = event.purchase if isinstance(event, BuyingMandateGranted) else None
    state.accounts[event.account].mandate = Mandate(event.terms, state.now, purchase=purchase)
    state.keys.add(event.key, state.locator)


def mandate_revoked(state: State, event: MandateRevoked) -> None:
    """It stays known, with when it ended."""
    account = state.accounts[event.account]
    assert account.mandate is not None, event
    account.mandate = replace(account.mandate, revoked_at=state.now)
    state.keys.add(event.key, state.locator)


def purchase_requested(state: State, event: PurchaseRequested) -> None:
    """The grant that waits for its payment knows who counts it."""
    state.grants[event.grant].bought_by = event.counted
    _count(state, event.counted, event.price_paid, 1)
    state.keys.add(event.key, state.locator)


def purchase_settled(state: State, grant: Grant, given_back: int) -> None:
    """A purchase waits for no payment any more; what was never paid of it is given back."""
    _count(state, grant.bought_by, -given_back, -1)


def _count(state: State, accounts: tuple[int, ...], money: int, pending: int) -> None:
    for number in accounts:
        account = state.accounts[number]
        mandate = account.mandate
        assert mandate is not None, number
        account.mandate = replace(
            mandate, purchased=mandate.purchased + money, pending=mandate.pending + pending
        )
