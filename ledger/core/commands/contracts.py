"""Contracts of an account."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import CommitmentEnding, Committed, ContractRollover, OldGrants
from rating.overrides import Override


class SignContract(msgspec.Struct, gc=False):
    """A contract for [starts_at, ends_at) (rule P5). `starts_at` 0 = now; `version` of the package
    0 = the newest in force, which is pinned; `minimum` 0 = as the card says."""

    key: bytes
    account: int
    contract: str
    package: str
    version: int
    starts_at: int
    ends_at: int
    overrides: tuple[Override, ...] = ()
    auto_renew: int = 0
    minimum: int = 0
    committed: tuple[Committed, ...] = ()
    rollover: ContractRollover | None = None
    names: Names = NO_NAMES
    trace: bytes = b""


class AmendContract(msgspec.Struct, gc=False):
    """Change what a contract says from an instant on (0 = now); what is left out stays.
    `auto_renew`: 1 on, 2 off; `overrides` None = as before; `minimum` -1 = as before; `rollover`
    None = as before, 0 of 1 = none."""

    key: bytes
    account: int
    contract: str
    effective_at: int = 0
    overrides: tuple[Override, ...] | None = None
    version: int = 0
    ends_at: int = 0
    auto_renew: int = 0
    committed: tuple[Committed, ...] = ()
    expected_version: int = 0
    minimum: int = -1
    rollover: ContractRollover | None = None
    names: Names = NO_NAMES
    trace: bytes = b""


class EndContract(msgspec.Struct, gc=False):
    """End a contract now, before its time; `target` of `target_account` is the commitment that
    takes what is transferred (rule D7)."""

    key: bytes
    account: int
    contract: str
    ending: CommitmentEnding = CommitmentEnding.TRUE_UP
    old_grants: OldGrants = OldGrants.KEEP
    target_account: int = 0
    target: int = 0
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
