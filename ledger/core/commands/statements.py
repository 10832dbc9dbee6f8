"""Statements: asked for, ended, closed."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import StatementForm


class SetStatements(msgspec.Struct, gc=False):
    """Have the ledger close an account's statements by itself, in this form; or no more.
    `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    form: StatementForm
    attribute: str = ""
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class EndStatement(msgspec.Struct, gc=False):
    """End the statement of a billing period whose grace is over; `start` and `end` 0 = the next
    one's, `form` 0 and `attribute` "" = as the account has them set, else consolidated."""

    key: bytes
    account: int
    start: int = 0
    end: int = 0
    form: int = 0
    attribute: str = ""
    names: Names = NO_NAMES
    trace: bytes = b""


class CloseStatement(msgspec.Struct, gc=False):
    """Freeze what an ended statement says, by its hash: the server's own, never a caller's. `head`
    is the chain's hash at the batch that ended it."""

    key: bytes
    account: int
    statement: int
    batch_seq: int
    head: bytes
    hash: bytes
    names: Names = NO_NAMES
    trace: bytes = b""
