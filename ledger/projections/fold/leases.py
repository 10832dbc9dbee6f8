"""Credit leases: what is in escrow with a holder, moved on and given back (rule H7).

In the books a lease is a hold; usage of it is usage as any.
"""

from __future__ import annotations

from ledger.core.events import (
    LeaseGranted,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    OperationLeaseGranted,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.state import NEVER
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.holds import end_hold, hold_authorized, keep_until, reserve_again


def lease_granted(fold: Folding, index: int, event: LeaseGranted) -> None:
    hold_authorized(fold, index, event)
    _note(
        fold,
        event.account,
        event.hold,
        c.LEASE_GRANTED,
        holder=event.holder,
        on_lapse=int(event.on_lapse),
        wanted=event.wanted,
        amount=event.quantities[0],
        share=event.share,
        lapses_at=event.expires_at,
        operation=event.operation if isinstance(event, OperationLeaseGranted) else b"",
    )


def lease_renewed(fold: Folding, _: int, event: LeaseRenewed) -> None:
    reserve_again(fold, event)
    _note(
        fold,
        event.account,
        event.hold,
        c.LEASE_RENEWED,
        wanted=event.wanted,
        amount=event.amount,
        share=event.share,
        lapses_at=event.expires_at,
    )


def lease_returned(fold: Folding, _: int, event: LeaseReturned) -> None:
    end_hold(fold, event.hold, fold.entry_seq, c.HOLD_RELEASED, fold.recorded_at)
    change = c.LEASE_WRITTEN_OFF if event.written_off else c.LEASE_RETURNED
    _note(fold, event.account, event.hold, change)


def lease_lapsed(fold: Folding, _: int, event: LeaseLapsed) -> None:
    end_hold(fold, event.hold, fold.entry_seq, c.HOLD_EXPIRED, fold.recorded_at)
    _note(fold, event.account, event.hold, c.LEASE_LAPSED, amount=event.unreported)


def lease_overdue(fold: Folding, _: int, event: LeaseOverdue) -> None:
    keep_until(fold, event.hold, NEVER)
    _note(fold, event.account, event.hold, c.LEASE_OVERDUE, amount=event.unreported)


def lease_recalled(fold: Folding, _: int, event: LeaseRecalled) -> None:
    _note(fold, event.account, event.hold, c.LEASE_RECALLED, share=event.keep)


def _note(
    fold: Folding,
    account: int,
    lease: int,
    change: int,
    *,
    holder: str | None = None,
    on_lapse: int | None = None,
    wanted: int | None = None,
    amount: int | None = None,
    share: int | None = None,
    lapses_at: int | None = None,
    operation: bytes = b"",
) -> None:
    fold.changes.lease_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, lease, change, holder,
            on_lapse, wanted, amount, share, lapses_at, operation[:KEY_BYTES] or None,
            operation[KEY_BYTES:] or None, fold.recorded_at,
        )
    )  # fmt: skip
