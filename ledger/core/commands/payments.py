"""What the payment side says: confirmed, failed, billed, paid, written off."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names


class ConfirmPayment(msgspec.Struct, gc=False):
    """A payment came for a grant that waits for it; `amount` 0 = all that is left of its price.

    `asset`, where it is named, must be the money of the price (rule F1).
    """

    key: bytes
    account: int
    grant: int
    amount: int = 0
    asset: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class FailPayment(msgspec.Struct, gc=False):
    """The payment of a grant that waits for it failed: what pends is cancelled (rule F1)."""

    key: bytes
    account: int
    grant: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ChargeBack(msgspec.Struct, gc=False):
    """The bank took the payment of a grant back (rule F3)."""

    key: bytes
    account: int
    grant: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class BillAccount(msgspec.Struct, gc=False):
    """Bill what the account owes by now: of every asset (0) or of one, all (0) or up to `most`."""

    key: bytes
    account: int
    asset: int = 0
    most: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class RecordPayment(msgspec.Struct, gc=False):
    """A bill was paid, wholly or in part; `source` names whence the money came."""

    key: bytes
    account: int
    asset: int
    amount: int
    source: str = ""
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class IssueCreditNote(msgspec.Struct, gc=False):
    """Waive a part of what was billed and not paid (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class WriteOffReceivable(msgspec.Struct, gc=False):
    """Give up a part of what was billed and will not be paid (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
