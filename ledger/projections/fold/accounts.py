"""Accounts and their policies, as they stand and as they stood."""

from __future__ import annotations

from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicy,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    WriteOffKind,
)
from ledger.projections import changes as c
from ledger.projections.changes import AccountChange
from ledger.projections.described import policy_json
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.grants import change_of, end_grant
from ledger.projections.fold.holds import end_hold


def account_created(fold: Folding, _: int, event: AccountCreated) -> None:
    fold.facts.tenants[event.account] = event.tenant
    fold.changes.accounts.append(
        (
            event.tenant, fold.shard, event.account, event.parent or None, event.root,
            policy_json(event.policy), 1, fold.recorded_at,
        )
    )  # fmt: skip
    _policy_in_force(fold, event.tenant, event.account, 1, event.policy)


def account_policy_updated(fold: Folding, _: int, event: AccountPolicyUpdated) -> None:
    change = _account_change(fold, event.account)
    change.policy = policy_json(event.policy)
    change.version = event.version
    _policy_in_force(fold, change.tenant, event.account, event.version, event.policy)


def _policy_in_force(
    fold: Folding, tenant: int, account: int, version: int, policy: AccountPolicy
) -> None:
    fold.changes.policies.append(
        (tenant, fold.shard, account, version, policy_json(policy), fold.recorded_at)
    )


def account_closed(fold: Folding, _: int, event: AccountClosed) -> None:
    _account_change(fold, event.account).closed_at = event.closed_at


def account_closed_out(fold: Folding, _: int, event: AccountClosedOut) -> None:
    tenant = fold.facts.tenants[event.account]
    line = 0
    for hold in event.holds:
        line = end_hold(fold, hold, fold.entry_seq, c.HOLD_RELEASED, fold.recorded_at, line)
    for each in event.write_offs:
        fold.post(tenant, line, each.debit, each.credit, each.asset, each.amount, fold.recorded_at)
        line += 1
        if each.kind == WriteOffKind.GRANT:
            change = change_of(fold, each.grant, tenant)
            end_grant(fold, change, c.GRANT_EXPIRED)
            change.expired += each.amount
        elif each.kind == WriteOffKind.BREAKAGE:
            change_of(fold, each.grant, tenant).returned += each.amount
    _account_change(fold, event.account).closed_at = event.closed_at


def account_reopened(fold: Folding, _: int, event: AccountReopened) -> None:
    change = _account_change(fold, event.account)
    change.closed_at = 0
    change.reopened_at = fold.recorded_at


def account_frozen(fold: Folding, _: int, event: AccountFrozen) -> None:
    _account_change(fold, event.account).frozen_at = fold.recorded_at


def account_unfrozen(fold: Folding, _: int, event: AccountUnfrozen) -> None:
    _account_change(fold, event.account).frozen_at = 0


def account_moved(fold: Folding, _: int, event: AccountMoved) -> None:
    """It stands there from now on; where it stood until now is kept beside."""
    change = _account_change(fold, event.account)
    change.parent, change.placed_seq = event.parent, fold.entry_seq
    fold.changes.moves.append(
        (
            change.tenant, event.account, event.version, event.before, event.parent,
            fold.recorded_at, fold.entry_seq,
        )
    )  # fmt: skip


def account_profile_updated(fold: Folding, _: int, event: AccountProfileUpdated) -> None:
    _account_change(fold, event.account).profile_version = event.version


def _account_change(fold: Folding, account: int) -> AccountChange:
    changed = fold.changes.changed_accounts
    change = changed.get(account)
    if change is None:
        change = changed[account] = AccountChange(fold.facts.tenants[account])
    return change
