"""Commitments and their segments."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import CommitmentEnding, CommitmentTerms, Invoice, Segment


class CreateCommitment(msgspec.Struct, gc=False):
    """Commit an account to segments, to be billed by a schedule of its own (rule D7)."""

    key: bytes
    account: int
    terms: CommitmentTerms
    segments: tuple[Segment, ...]
    invoices: tuple[Invoice, ...]
    external_key: bytes
    names: Names = NO_NAMES
    trace: bytes = b""


class AddSegment(msgspec.Struct, gc=False):
    """An upsize: one more segment, which may run beside others."""

    key: bytes
    account: int
    commitment: int
    segment: Segment
    invoices: tuple[Invoice, ...]
    names: Names = NO_NAMES
    trace: bytes = b""


class EndCommitment(msgspec.Struct, gc=False):
    """End a commitment before its time. `target` of `target_account` takes what is transferred."""

    key: bytes
    account: int
    commitment: int
    ending: CommitmentEnding
    target_account: int = 0
    target: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
