"""Grants: issued, voided, refunded."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import GrantKind, Rollover, Sharing


class IssueGrant(msgspec.Struct, gc=False):
    """Credit units to an account. `external_key` is a permanent identity of the grant (rule I5).

    `source` names whence the money of a paid grant comes; `pending`: it waits for its payment (F1).
    """

    key: bytes
    account: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int  # 0 = the writer's clock
    expires_at: int  # 0 = never
    products: tuple[str, ...]
    external_key: bytes
    names: Names = NO_NAMES
    trace: bytes = b""
    source: str = ""
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    pending: bool = False
    rollover: Rollover | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    to_bill: bool = False  # its price is still to be billed: no cash came in
    sharing: Sharing | None = None  # where it is shared with some only: of what is issued anew


class VoidGrant(msgspec.Struct, gc=False):
    """Take back what is left of a grant and not held; `forfeit`: without a refund (rule B4)."""

    key: bytes
    account: int
    grant: int
    names: Names = NO_NAMES
    trace: bytes = b""
    forfeit: bool = False


class RefundGrant(msgspec.Struct, gc=False):
    """Take unused units back and pay back what they cost; `amount` 0 = all left and not held (F2).

    `note`: digest of reason and actor, here and below.
    """

    key: bytes
    account: int
    grant: int
    amount: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
