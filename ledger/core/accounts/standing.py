"""Deciding whether an account takes work: freeze, unfreeze, reopen (rules I2, T2). Changes nothing.

A freeze covers everything below the account. It stops new usage and authorisations alone: holds
that were granted before are captured and released, grants are issued, voided and expire as ever.
"""

from __future__ import annotations

from ledger.core.admission import known_account, open_account
from ledger.core.commands import FreezeAccount, ReopenAccount, UnfreezeAccount
from ledger.core.events import (
    AccountFrozen,
    AccountReopened,
    AccountUnfrozen,
    Event,
    FreezeCause,
)
from ledger.core.limits import DAY_US, DEDUPE_WINDOW_US, REOPENINGS_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


def decide_freeze(
    state: State, command: FreezeAccount, out: list[Event]
) -> Event | Known | Refusal:
    """Freeze an account itself; one above it may be frozen already."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    if account.frozen_at:
        return Refusal(
            Reason.ACCOUNT_FROZEN,
            "account",
            str(account.frozen_at),
            "the account is frozen already, since this instant",
        )
    frozen = AccountFrozen(
        command.key, account.number, FreezeCause.REQUEST, command.note, command.trace
    )
    out.append(frozen)
    return frozen


def decide_unfreeze(
    state: State, command: UnfreezeAccount, out: list[Event]
) -> Event | Known | Refusal:
    """Take back the freeze of the account itself."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    if not account.frozen_at:
        above = "; one above it is: unfreeze that" if account.frozen else ""
        return Refusal(
            Reason.ACCOUNT_NOT_FROZEN,
            "account",
            str(account.number),
            f"the account itself is not frozen{above}",
        )
    unfrozen = AccountUnfrozen(command.key, account.number, command.note, command.trace)
    out.append(unfrozen)
    return unfrozen


def decide_reopen(
    state: State, command: ReopenAccount, out: list[Event]
) -> Event | Known | Refusal:
    """Let a closed account take work again, below an account that is open."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    if not account.closed_at:
        return Refusal(
            Reason.ACCOUNT_NOT_CLOSED, "account", str(account.number), "the account is open"
        )
    parent = account.parent
    if parent is not None and parent.closed_at:
        return Refusal(
            Reason.ACCOUNT_CLOSED,
            "account",
            str(parent.closed_at),
            "its parent is closed since this instant; reopen that first",
        )
    recent = sum([reopened_at > state.window_start for _, reopened_at in account.gaps])
    if recent >= REOPENINGS_MAX:
        return Refusal(
            Reason.REOPENINGS_LIMIT,
            "account",
            str(recent),
            f"an account is reopened at most {REOPENINGS_MAX} times in "
            f"{DEDUPE_WINDOW_US // DAY_US} days; wait, or open another",
        )
    reopened = AccountReopened(command.key, account.number, command.note, command.trace)
    out.append(reopened)
    return reopened
