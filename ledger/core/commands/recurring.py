"""Grants that come again every period."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import RecurringTerms, Timing


class StartRecurring(msgspec.Struct, gc=False):
    """Grant the same again every period. `external_key` is a permanent identity (rule I5)."""

    key: bytes
    account: int
    terms: RecurringTerms
    external_key: bytes
    starts_at: int  # 0 = the writer's clock
    ends_at: int  # 0 = it goes on
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangeRecurring(msgspec.Struct, gc=False):
    """Replace the terms; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    timing: Timing
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class PauseRecurring(msgspec.Struct, gc=False):
    """Issue nothing until it is resumed."""

    key: bytes
    account: int
    recurring: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ResumeRecurring(msgspec.Struct, gc=False):
    """Issue again, from the present period on unless that was issued."""

    key: bytes
    account: int
    recurring: int
    names: Names = NO_NAMES
    trace: bytes = b""


class EndRecurring(msgspec.Struct, gc=False):
    """Issue nothing after the present period, or from now on."""

    key: bytes
    account: int
    recurring: int
    timing: Timing
    names: Names = NO_NAMES
    trace: bytes = b""
