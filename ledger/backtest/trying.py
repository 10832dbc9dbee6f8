"""What terms do in a replay: grants that nobody issued, larger ones, other limits.

Limits hold from the range's start on, whatever policies the journal has then and sets later; grants
of the journal, and what recurring ones issue, are scaled as they come. All else goes on as it does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from ledger.backtest.terms import GrantTerms, PolicyTerms, ScaleTerms, Terms
from ledger.core import commands as c
from ledger.core.events import AccountPolicy, RecurringTerms
from ledger.core.limits import BATCH_INDEX_MAX, INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import Account

if TYPE_CHECKING:
    from ledger.backtest.replay import Replay

KEY_BYTES: Final = 16
_TO_NOTHING: Final = "ROUNDED_TO_NOTHING"


class Trying:
    """The terms of one replay."""

    def __init__(self, replay: Replay, terms: Terms, began_us: int | None, tenant: int) -> None:
        """`began_us` is where the range begins; None = with the journal. Nothing is changed yet."""
        self._replay = replay
        self._tenant = tenant
        self._began_us = began_us
        self._begun = not terms
        due = sorted(terms.grants, key=lambda each: each.at_us or 0)
        self._to_come: deque[GrantTerms] = deque(due)
        self._current: list[GrantTerms] = []  # whose instant has come: accounts yet to open, too
        self._serial = 0
        self._scales = {(each.account, each.asset): each for each in terms.scales}
        self._policies = {each.account: each for each in terms.policies}

    def begin_batch(self) -> None:
        """As a batch begins: what holds from the range's start, and grants that are due by then."""
        state = self._replay.state
        if not self._begun:
            self._begun = True
            for account in state.accounts.values():
                if self._is_ours(account):
                    account.policy = self.policy(account.number, account.policy)
            for recurring in state.recurring.values():
                if self._is_ours(recurring.account):
                    number = recurring.account.number
                    recurring.terms = self.recurring(number, recurring.terms)
                    if recurring.next_terms is not None:
                        recurring.next_terms = self.recurring(number, recurring.next_terms)
        while self._to_come and (self._to_come[0].at_us or 0) <= state.recorded_at:
            grant = self._to_come.popleft()
            self._current.append(grant)
            if grant.account:
                self._granted(grant, grant.account)
                continue
            for account in [*state.accounts.values()]:
                if self._is_ours(account) and not account.closed_at:
                    self._grant(grant, account)

    def opened(self, number: int) -> None:
        """An account was opened: it has what others have been granted by now."""
        for grant in self._current:
            if grant.account in (0, number):
                self._granted(grant, number)

    def policy(self, account: int, policy: AccountPolicy) -> AccountPolicy:
        """A policy of the journal with the limits that are tried."""
        tried = policy
        for found in self._of(account):
            tried = found.of(tried)
        self._replay.figures.limited += tried != policy
        return tried

    def issue(self, command: c.IssueGrant) -> c.IssueGrant | None:
        """A grant of the journal as large as it is tried; None = nothing is left of it."""
        amount = self._scaled(command.account, command.asset, command.amount)
        if not amount:
            return None
        return command if amount == command.amount else replace(command, amount=amount)

    def recurring(self, account: int, terms: RecurringTerms) -> RecurringTerms:
        """What is issued a period; where nothing would be, the terms as they are."""
        amount = self._scaled(account, terms.asset, terms.amount)
        return terms if amount in (0, terms.amount) else replace(terms, amount=amount)

    def _is_ours(self, account: Account) -> bool:
        return not self._tenant or account.tenant == self._tenant

    def _of(self, account: int) -> list[PolicyTerms]:
        found = (self._policies.get(0), self._policies.get(account))
        return [each for each in found if each is not None]

    def _scaled(self, account: int, asset: int, amount: int) -> int:
        scale: ScaleTerms | None = self._scales.get((account, asset), self._scales.get((0, asset)))
        if scale is None:
            return amount
        scaled = scale.of(amount)
        if not scaled or scaled > INT64_MAX:
            self._replay.not_tried(scale.place, Reason.OVERFLOW if scaled else _TO_NOTHING)
            return amount if scaled else 0
        self._replay.figures.scaled += scaled != amount
        return scaled

    def _granted(self, terms: GrantTerms, number: int) -> None:
        account = self._replay.state.accounts.get(number)
        if account is not None:  # else of another shard, or not open yet
            self._grant(terms, account)

    def _grant(self, terms: GrantTerms, account: Account) -> None:
        """Issue it: effective when it is due, or when the account opened if that is later."""
        state = self._replay.state
        if state.batch_length >= BATCH_INDEX_MAX:
            self._replay.not_tried(terms.place, Reason.BATCH_FULL)
            return
        state.act_for(account.tenant)
        began_us = terms.at_us if terms.at_us is not None else self._began_us
        offset = state.offsets.get(account.tenant, 0)
        at = max((began_us or state.recorded_at) + offset, account.created_at)
        self._serial += 1
        command = c.IssueGrant(
            self._serial.to_bytes(KEY_BYTES),
            account.number,
            terms.kind,
            terms.asset,
            terms.amount,
            terms.price_paid,
            terms.price_asset,
            terms.priority,
            at if at < state.now else 0,
            at + terms.expires_after_us if terms.expires_after_us else 0,
            terms.products,
            b"",
            tags=terms.tags,
            shared=terms.shared,
        )
        outcome = self._replay.run_anew(command)
        if isinstance(outcome, Refusal):
            self._replay.not_tried(terms.place, outcome.reason)
        else:
            self._replay.figures.granted += 1
