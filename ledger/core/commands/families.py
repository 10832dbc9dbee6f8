"""What accounts of a family share, and how much each may take of it."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import CapTerms, Sharing


class UpdateSharing(msgspec.Struct, gc=False):
    """Share a grant otherwise from now on; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    grant: int
    sharing: Sharing
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class SetCap(msgspec.Struct, gc=False):
    """Set how much an account `below` may draw of what this one shares of an asset, or of one
    `grant`. `cap` 0 = a new one; of one that stands only limit, fraction and reserve may change."""

    key: bytes
    account: int
    below: int
    asset: int
    grant: int
    terms: CapTerms
    cap: int = 0
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveCap(msgspec.Struct, gc=False):
    """Let a cap bind no more."""

    key: bytes
    account: int
    cap: int
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
