"""Contracts of an account as state (rules P5, D8). Only `evolve` replaces them.

An account has one at a time: they follow each other, ended ones are remembered. What a contract
sells is the package of the account's subscription; what it prices stands in `Account.sold`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ledger.core.events import Committed, ContractRollover
from ledger.core.holdings import NEVER

if TYPE_CHECKING:
    from ledger.core.packages.subscriptions import Subscription
    from ledger.core.state import Account


class ContractState(IntEnum):
    """Where a contract stands."""

    SIGNED = 1  # begins later
    RUNNING = 2
    ENDED = 3


class Contract(msgspec.Struct, frozen=True, array_like=True):
    """A contract: of the term that runs, or is to begin, `term_start` to `ends_at`. `terms` are the
    starts of those that followed its first, as far as usage may still be of them."""

    name: str
    package: str
    version: int
    signed_at: int
    starts_at: int
    term_start: int
    ends_at: int
    auto_renew: int
    minimums: tuple[tuple[int, int], ...]  # (from when, of a billing period), 0 = as the card says
    state: int
    revision: int
    overrides: tuple[int, ...]  # numbers of those that it has said, of what is remembered
    committed: tuple[Committed, ...]  # of the term
    commitments: tuple[int, ...]  # all that it has made
    ended_at: int = 0
    terms: tuple[int, ...] = ()
    rollover: ContractRollover | None = None  # into the next term; None = nothing does

    def minimum_at(self, at: int) -> int:
        """What of a billing period it says then in the place of the card; 0 = as that does."""
        return max([each for each in self.minimums if each[0] <= at], default=(0, 0))[1]

    @property
    def due(self) -> int:
        """When it begins, is renewed or ends; NEVER = it is over."""
        if self.state == ContractState.ENDED:
            return NEVER
        return self.starts_at if self.state == ContractState.SIGNED else self.ends_at

    @property
    def until(self) -> int:
        """When it is, or was, over."""
        return self.ended_at if self.state == ContractState.ENDED else self.ends_at


class DueContract(NamedTuple):
    """That of an account of which something is due next."""

    account: Account
    contract: Contract

    @property
    def due(self) -> int:
        """When it begins, is renewed or ends."""
        return self.contract.due


def due_contract(account: Account) -> DueContract | None:
    """The contract of which something is due next; None = of none."""
    open_ones = [each for each in account.contracts if each.state != ContractState.ENDED]
    if not open_ones:
        return None
    return DueContract(account, min(open_ones, key=_due))


def _due(contract: Contract) -> tuple[int, bool]:
    """One that ends comes before the one that begins at that instant, whichever was signed first:
    it takes its own package along."""
    return contract.due, contract.state == ContractState.SIGNED


def running(account: Account) -> Contract | None:
    """The contract that has begun and is not over; None = there is none."""
    for each in account.contracts:
        if each.state == ContractState.RUNNING:
            return each
    return None


def named(account: Account, name: str) -> Contract | None:
    """The contract of that name, one that is over too."""
    for each in account.contracts:
        if each.name == name:
            return each
    return None


def begun(contract: Contract) -> bool:
    """Whether it has begun, though it may be over since: not where it was withdrawn before."""
    return contract.state != ContractState.SIGNED and contract.starts_at < contract.until


def has_begun_one(account: Account) -> bool:
    """Whether an account has, or had, a contract of its own."""
    return any(begun(each) for each in account.contracts)


def ended_within(account: Account, before: Subscription) -> bool:
    """Whether the period that a subscription stands in, or a part of it that is over, was of a
    contract: what that granted for it counts for whoever signs again (rule P3)."""
    if before.contract:
        return True
    since = before.period_end - before.full
    for each in account.contracts:
        if each.state == ContractState.ENDED and each.starts_at <= each.ended_at:
            early = each.ended_at < each.ends_at
            if since < each.ended_at < before.period_end or (early and each.ended_at == since):
                return True
    return False
