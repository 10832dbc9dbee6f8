"""Mandates: granted and revoked. What they count is their budgets' (`evolve.budgets`)."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.events import MandateGranted, MandateRevoked
from ledger.core.mandates.mandates import Mandate
from ledger.core.state import State


def mandate_granted(state: State, event: MandateGranted) -> None:
    """The account is an agent's from now on."""
    state.accounts[event.account].mandate = Mandate(event.terms, state.now)
    state.keys.add(event.key, state.locator)


def mandate_revoked(state: State, event: MandateRevoked) -> None:
    """It stays known, with when it ended."""
    account = state.accounts[event.account]
    assert account.mandate is not None, event
    account.mandate = replace(account.mandate, revoked_at=state.now)
    state.keys.add(event.key, state.locator)
