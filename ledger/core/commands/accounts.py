"""Accounts, their place, their policy and what they are called."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import AccountPolicy
from rating.overrides import Override


class CreateAccount(msgspec.Struct, gc=False):
    """Open an account whose id the directory has claimed."""

    key: bytes
    tenant: int
    account: int
    parent: int
    root: int
    policy: AccountPolicy
    profile: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UpdatePolicy(msgspec.Struct, gc=False):
    """Replace the policy; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    policy: AccountPolicy
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class CloseAccount(msgspec.Struct, gc=False):
    """Close an account. With `write_off` its credits are forfeited and what it owes is written off,
    with `release_holds` its holds are given back; without, it must have none."""

    key: bytes
    account: int
    names: Names = NO_NAMES
    trace: bytes = b""
    write_off: bool = False
    release_holds: bool = False
    note: bytes = b""


class MoveAccount(msgspec.Struct, gc=False):
    """Put an account with all below it under another parent of its family.

    `expected_version` is of its place, from 1; 0 = whatever it is.
    """

    key: bytes
    account: int
    parent: int
    expected_version: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class FreezeAccount(msgspec.Struct, gc=False):
    """Let an account and those below it take no new usage. `note`: digest of reason and actor."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UnfreezeAccount(msgspec.Struct, gc=False):
    """Let a frozen account take new usage again."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class ReopenAccount(msgspec.Struct, gc=False):
    """Let a closed account take usage again from now on."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class SetPriceOverrides(msgspec.Struct, gc=False):
    """Replace the whole list of an account's price overrides; `expected_version` 0 = whatever it
    is. `note`: digest of reason and actor."""

    key: bytes
    account: int
    overrides: tuple[Override, ...]
    expected_version: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UpdateProfile(msgspec.Struct, gc=False):
    """Replace display name and metadata, given by digest; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    profile: bytes
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
