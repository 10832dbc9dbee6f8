"""Statements as state: what an account asks for, and where its statements stand (rule T2).

An account's statements follow each other without a gap, one a billing period. What one of them
says is worked out from the read models (`ledger.statements`); here is only which there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger.core.events import StatementForm
from ledger.core.holdings import NEVER
from ledger.core.periods import billing_period

if TYPE_CHECKING:
    from ledger.core.state import Account


class Ended(NamedTuple):
    """A statement that takes nothing more, and whose hash is not recorded yet."""

    start: int
    end: int
    first: int  # the entry that ended the one before, 0 = there was none
    ended_by: int  # the entry that ended it
    batch_seq: int  # of that entry


class Statements:
    """What is asked for of an account, and how far its statements are."""

    __slots__ = (
        "account",
        "attribute",
        "due",
        "ended",
        "ended_by",
        "form",
        "number",
        "since",
        "until",
        "version",
    )

    def __init__(self, account: Account) -> None:
        self.account = account
        self.form: int = StatementForm.NONE
        self.attribute = ""
        self.version = 0  # of what is asked for; 0 = nothing was ever said
        self.since = 0  # when it was said last
        self.number = 0  # of the last that ended
        self.until = 0  # the end of its period
        self.ended_by = 0  # the entry that ended it
        self.ended: dict[int, Ended] = {}  # by number, those that are to be closed
        self.due: int = NEVER  # when the next ends by itself; derived

    @property
    def blank(self) -> bool:
        """Nothing was ever said or ended: it only carries a timer."""
        return not self.version and not self.number


def setting_of(account: Account) -> Statements | None:
    """What counts for an account: what it says itself, else what the nearest above it that says
    anything says for those below; None = nothing."""
    node: Account | None = account
    while node is not None:
        said = node.statements
        if said is not None and said.version:
            of_those_below = said.form == StatementForm.SEPARATE
            return said if node is account or of_those_below else None
        node = node.parent
    return None


def next_period(account: Account, since: int) -> tuple[int, int]:
    """[start, end) of the account's next statement: what follows the last, else the billing period
    that holds `since`."""
    said = account.statements
    if said is not None and said.number:
        _, end = billing_period(said.until, account.anchors, account.calendar)
        return said.until, end
    return billing_period(since, account.anchors, account.calendar)


def find_due(account: Account) -> int:
    """When the account's next statement ends by itself; NEVER = none does."""
    setting = setting_of(account)
    if setting is None or setting.form == StatementForm.NONE:
        return NEVER
    start, end = next_period(account, max(setting.since, account.created_at))
    if account.closed_at and start > account.closed_at:
        return NEVER  # of a closed account the period of its closing is the last
    return end if end <= account.closed_until else end + account.policy.period_grace
