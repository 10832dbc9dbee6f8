"""Accounts: created, changed, closed, reopened, frozen."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.policy import AccountPolicy


class AccountCreated(Fact, frozen=True, tag=13):
    """An account of a family: `root` never changes; `parent` = 0 for the root itself."""

    key: bytes
    tenant: int
    account: int
    parent: int
    root: int
    policy: AccountPolicy
    profile: bytes = b""
    trace: bytes = b""


class AccountPolicyUpdated(Fact, frozen=True, tag=14):
    """The whole new policy; `version` counts from 1 at creation.

    Where another zone is to count for the account and those below it that inherit it: `zone_from`,
    the end of the month that runs (0 = no other). `zone_from_below`: (account, the end of its own
    month) of those where that is another instant (rule T1). Where another billing anchor is to
    count: `anchor_from`, the end of the billing period that runs (0 = no other).
    """

    key: bytes
    account: int
    policy: AccountPolicy
    version: int
    expected_version: int = 0
    trace: bytes = b""
    zone_from: int = 0
    zone_from_below: tuple[tuple[int, int], ...] = ()
    anchor_from: int = 0


class AccountClosed(Fact, frozen=True, tag=12):
    """No new usage after `closed_at`; late events before it until the grace ends (rule T2)."""

    key: bytes
    account: int
    closed_at: int
    trace: bytes = b""


class FreezeCause(IntEnum):
    """Why an account is frozen."""

    REQUEST = 1  # somebody asked for it
    CHARGEBACK = 2  # rule F3


class AccountFrozen(Fact, frozen=True, tag=15):
    """Neither the account nor those below it take new usage until it is unfrozen (rule I2).

    `note` is the digest of the reason and of who asked. Without a `key` it follows from another
    entry.
    """

    key: bytes
    account: int
    cause: FreezeCause = FreezeCause.REQUEST
    note: bytes = b""
    trace: bytes = b""


class AccountUnfrozen(Fact, frozen=True, tag=16):
    """The account takes new usage again, unless one above it is frozen."""

    key: bytes
    account: int
    note: bytes = b""
    trace: bytes = b""


class AccountMoved(Fact, frozen=True, tag=109):
    """An account stands below another parent of its family, with everything below it, from now on.

    What it inherits counts anew; holds, slices and counters stay where they are. `version` counts
    its places, from 1 where it was opened; `before` is the parent that it had. Where another zone
    is to count: `zone_from` and `zone_from_below`, as of AccountPolicyUpdated (rule T1). `note` is
    the digest of the reason and of who asked.
    """

    key: bytes
    account: int
    parent: int
    before: int
    version: int
    expected_version: int = 0
    note: bytes = b""
    trace: bytes = b""
    zone_from: int = 0
    zone_from_below: tuple[tuple[int, int], ...] = ()


class WriteOffKind(IntEnum):
    """What is written off as an account closes."""

    GRANT = 1  # units that were left: debit grant, credit forfeited
    ADVANCE = 2  # owed in advance: debit promotion, credit advance
    OVERAGE = 3  # owed and not billed: debit settled, credit overage
    BREAKAGE = 4  # money of units that were left: debit deferred, credit breakage
    UNBILLED = 5  # money not billed: debit bad_debt, credit unbilled
    RECEIVABLE = 6  # money billed and not paid: debit bad_debt, credit receivable
    COMMITMENT = 7  # committed and not billed: debit settled, credit commitment


class WriteOff(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a closing: debit and credit are books of `asset` (rules B1, B3)."""

    kind: WriteOffKind
    debit: int
    credit: int
    asset: int
    amount: int
    grant: int = 0  # whose units they were; it pays no more


class AccountClosedOut(Fact, frozen=True, tag=17):
    """An account was closed with what it still had: `holds` were released, then `write_offs`
    posted, after which its books are at zero (rules B3, T2).

    `note` is the digest of the reason and of who asked.
    """

    key: bytes
    account: int
    closed_at: int
    holds: tuple[int, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    write_off: bool = False  # whether that was asked for; the same of `release_holds`
    release_holds: bool = False
    note: bytes = b""
    trace: bytes = b""


class AccountReopened(Fact, frozen=True, tag=18):
    """A closed account takes usage again that is effective from now on."""

    key: bytes
    account: int
    note: bytes = b""
    trace: bytes = b""


class AccountProfileUpdated(Fact, frozen=True, tag=19):
    """Another display name and other metadata, by their digest.

    `version` counts from 1 at creation. The texts stand beside the journal, where an erasure may
    blank them.
    """

    key: bytes
    account: int
    profile: bytes
    version: int
    expected_version: int = 0
    trace: bytes = b""
