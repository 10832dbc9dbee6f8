"""Work that is charged by its result."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.shapes import Shape


class ReportOutcome(msgspec.Struct, gc=False):
    """Record work that is charged once its result is confirmed. `evidence`: digest of what is given
    for it, here and below."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    evidence: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class ConfirmOutcome(msgspec.Struct, gc=False):
    """The result is there: charge the work."""

    key: bytes
    account: int
    outcome: int
    evidence: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class RejectOutcome(msgspec.Struct, gc=False):
    """There is no result: give back what the outcome reserves. `note`: digest of reason and
    evidence."""

    key: bytes
    account: int
    outcome: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
