"""Credit leases: a slice of a balance for a holder who decides alone (rule H7)."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.commands.usage import RecordUsage
from ledger.core.events import LeaseLapse
from ledger.core.shapes import Shape


class AcquireLease(msgspec.Struct, gc=False):
    """Put a slice into escrow with a holder: as much of `wanted` as its fair share and the budgets
    allow, and none where that is less than `minimum`."""

    key: bytes
    account: int
    shape: Shape  # of LEASED_QUANTITY: product and attributes say whose budgets it counts in
    holder: str
    wanted: int
    minimum: int
    lifetime: int  # the term, microseconds; 0 = the default
    on_lapse: LeaseLapse
    names: Names = NO_NAMES
    trace: bytes = b""
    operation: bytes = b""  # that its work is part of, and that one's parent


class RenewLease(msgspec.Struct, gc=False):
    """Let a lease go on, with more or less in escrow. `keep`: the holder has bound itself to no
    more than that, what it has spent and not reported included."""

    key: bytes
    account: int
    hold: int
    wanted: int
    keep: int
    lifetime: int  # the term, microseconds; 0 = as before
    names: Names = NO_NAMES
    trace: bytes = b""


class LeasedUsage(RecordUsage, gc=False):
    """Usage that the holder of a lease reports: settled against its slice."""

    hold: int = 0


class ReturnLease(msgspec.Struct, gc=False):
    """Give back what is left of a lease; with `write_off`, of one that has lapsed."""

    key: bytes
    account: int
    hold: int
    write_off: bool = False
    names: Names = NO_NAMES
    trace: bytes = b""


class RecallLease(msgspec.Struct, gc=False):
    """Ask the holder to bring the lease down to `keep` units."""

    key: bytes
    account: int
    hold: int
    keep: int
    names: Names = NO_NAMES
    trace: bytes = b""
