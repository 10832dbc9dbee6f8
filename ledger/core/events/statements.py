"""Statements: asked for, a period ended for good, its figures frozen (rules T2, H8)."""

from __future__ import annotations

from enum import IntEnum

from ledger.core.events.base import Fact


class StatementForm(IntEnum):
    """Which accounts a statement is of."""

    NONE = 1  # no statement is closed by itself
    CONSOLIDATED = 2  # one of the account and all accounts below it
    SEPARATE = 3  # one of each: of the account, and of every one below it that says nothing else


class StatementsSet(Fact, frozen=True, tag=140):
    """Statements of the account are closed by the ledger from now on, or are no more. Lines are by
    `attribute` beside product and account; "" = by none."""

    key: bytes
    account: int
    form: StatementForm
    attribute: str
    version: int
    expected_version: int = 0
    trace: bytes = b""


class StatementEnded(Fact, frozen=True, tag=141):
    """The grace of an account's billing period [start, end) is over: its statement takes nothing
    more. What it is of stands in the journal before this entry. `key` b"" = by the writer's clock;
    what a caller gave stands beside what came of it, 0 and "" = nothing.
    """

    key: bytes
    account: int
    statement: int  # of the account: 1, 2, ...
    form: StatementForm  # CONSOLIDATED or SEPARATE
    attribute: str
    start: int
    end: int
    start_given: int = 0
    end_given: int = 0
    form_given: int = 0
    attribute_given: str = ""
    trace: bytes = b""


class StatementClosed(Fact, frozen=True, tag=142):
    """What an ended statement says, for ever: `hash` is BLAKE2b-256 of its canonical JSON and
    `head`, the chain's hash at the batch `batch_seq` that ended it. `first` is the entry that ended
    the statement before (0 = there was none), `last` the entry before the one that ended this.
    """

    key: bytes
    account: int
    statement: int
    first: int
    last: int
    batch_seq: int
    head: bytes
    hash: bytes
