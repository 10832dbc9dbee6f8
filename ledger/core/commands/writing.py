"""What the writer itself is asked: tombstones, configuration."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ledger.core.commands.base import NO_NAMES, Names


class AbandonRequest(msgspec.Struct, gc=False):
    """Make 'not applied so far' final (rule I5)."""

    key: bytes
    account: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ApplyConfiguration(msgspec.Struct, gc=False):
    """Import a published version of a tenant's configuration.

    `offset`: of the tenant's clock, where the version moves it (rule T4); else -1. `minimums`: the
    version is of a rate card that has some (rule R2).
    """

    key: ClassVar[bytes] = b""  # it has no identity: the version that comes next comes once
    account: ClassVar[int] = 0
    names: ClassVar[Names] = NO_NAMES
    tenant: int
    version: int
    content_hash: bytes
    offset: int = -1
    minimums: bool = False
