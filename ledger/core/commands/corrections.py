"""Taking back, amending and adjusting what was recorded."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.commands.usage import RecordUsage
from ledger.core.events import (
    BudgetMove,
    EndedGrants,
    Event,
    PlanDeclared,
    UsageConverted,
    UsageMetered,
)


class Original(msgspec.Struct, frozen=True, gc=False):
    """A recorded entry as the journal has it, which never changes: whoever asks reads it there.

    `locator` is batch << 20 | index, `entry_seq` its number in the shard, `plan` the declaration
    that it names, if it names one, `conversion` what stands right behind usage that was converted,
    `cost_plan` the declaration of its cost card, `metered` what its meters counted over levels,
    `counted` what usage of a hold counted in budgets.
    """

    locator: int
    entry_seq: int
    event: Event
    plan: PlanDeclared | None
    conversion: UsageConverted | None = None
    cost_plan: PlanDeclared | None = None
    metered: UsageMetered | None = None
    counted: tuple[BudgetMove, ...] = ()


class ReverseUsage(msgspec.Struct, gc=False):
    """Give recorded usage back: all that is left of it, some quantities, or some of the charge.

    `quantities` stand parallel to the original's plan, () = all that is left; `as_charged` > 0
    instead of them gives back so much of the charge (rules D3, R1). What the provider takes stays,
    for the work was done, unless `refund_cost` says that it takes it back (rule B4).
    """

    key: bytes
    account: int
    original: Original
    quantities: tuple[int, ...] = ()
    as_charged: int = 0
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
    rated: tuple[Original, ...] = ()  # the entries that rated it after it had waited (rule B8)
    refund_cost: bool = False
    replaced_by: bytes = b""  # key of the usage that a job records again (rule R7); b"" = by none
    replacement: bytes = b""  # digest of what it is priced by


class AmendUsage(msgspec.Struct, gc=False):
    """Give all that is left of recorded usage back and record other usage in its stead, at once.

    `usage` has an identity of its own and names its effective time; `body` is the digest of what
    the caller gave of it.
    """

    key: bytes
    account: int
    original: Original
    usage: RecordUsage
    body: bytes
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
    rated: tuple[Original, ...] = ()


class AdjustBalance(msgspec.Struct, gc=False):
    """Credit units to an account by hand, or debit them: for what no correction can put right.

    `amount` > 0 credits: to a `grant` that they had been drawn from, or to a new free one (0).
    Below 0 it debits: that grant, or whoever pays by the account's waterfall.
    """

    key: bytes
    account: int
    asset: int
    amount: int
    grant: int = 0
    expires_at: int = 0  # of a new grant; 0 = never
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
