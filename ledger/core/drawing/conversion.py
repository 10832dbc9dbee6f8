"""Deciding conversions: the entry that says how the settlement currency paid (rule R5).

Usage is one entry with slices in the asset of its price; what was converted is an entry of its own
right behind it, so that each moves one asset. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.commands import ReverseUsage
from ledger.core.drawing.drawdown import Conversion
from ledger.core.drawing.unwinding import Unwinding, share_of
from ledger.core.events import (
    BookKind,
    ConversionReversed,
    Event,
    LimitExceeded,
    Pot,
    UsageConverted,
    UsageRecorded,
)
from ledger.core.opening import house_book, open_revenue
from ledger.core.state import Account, State


def conversion_behind(events: Sequence[Event], index: int) -> UsageConverted | None:
    """What stands right behind usage of which a part was converted; None where nothing was."""
    behind = events[index + 1] if index + 1 < len(events) else None
    return behind if isinstance(behind, UsageConverted) else None


def open_conversion(
    state: State, account: Account, conversion: Conversion, product: str, opened: list[Event]
) -> None:
    """Open the books that a conversion moves, before the entry that it is of."""
    house_book(state, account.tenant, BookKind.CONVERSION, conversion.target, product, opened)
    open_revenue(state, account.tenant, product, conversion.slices, opened)


def follow_conversion(
    state: State,
    account: Account,
    conversion: Conversion,
    product: str,
    entry: int,
    at: int,
    period: int,
    out: list[Event],
) -> None:
    """Append what was converted of the usage at `entry` of the batch, and what of it went over the
    limits; the books are open."""
    rate, target = conversion.rate, conversion.target
    out.append(
        UsageConverted(
            account.number,
            entry,
            product,
            conversion.source,
            target,
            rate.version,
            rate.numerator,
            rate.denominator,
            conversion.units,
            conversion.amount,
            house_book(state, account.tenant, BookKind.CONVERSION, target, product, out),
            tuple(conversion.slices),
            at,
            period,
            conversion.over_limit,
        )
    )
    if conversion.over_limit:
        excess = account.policy.excess
        out.append(LimitExceeded(account.number, target, conversion.over_limit, excess))


def give_back_converted(
    state: State,
    account: Account,
    command: ReverseUsage,
    entry: int,
    reversal: Unwinding,
    out: list[Event],
) -> None:
    """Append what a reversal, at `entry` of the batch, gives back in the settlement currency: of
    the units of the usage's slices that went back before and go back now, those that were
    converted, at the recorded rate, the last slice first (rules D3, R5). The other entries of the
    usage may have given back to the same grants."""
    recorded, conversion = command.original.event, command.original.conversion
    if conversion is None:
        return
    assert isinstance(recorded, UsageRecorded)
    earlier, units = _converted_of(recorded, *reversal.unwound)
    if units == 0:
        return
    worth, whole = conversion.amount, conversion.units
    unwinding = Unwinding(
        state, conversion.product, conversion.book, command.ended, command.original.locator, out,
        reversal,
    )  # fmt: skip
    unwinding.unwind(
        conversion.slices,
        share_of(worth, 0, earlier, whole),
        share_of(worth, earlier, units, whole),
    )
    out.append(
        ConversionReversed(
            account.number,
            entry,
            command.original.locator,
            conversion.product,
            units,
            conversion.target,
            conversion.book,
            tuple(unwinding.given_back),
            conversion.effective_at,
            conversion.period,
            unwinding.kept,
        )
    )


def _converted_of(recorded: UsageRecorded, gone: int, amount: int) -> tuple[int, int]:
    """Units of the slice that was converted: given back before, and now."""
    for piece in reversed(recorded.slices):
        earlier = min(gone, piece.amount)
        gone -= earlier
        take = min(piece.amount - earlier, amount)
        amount -= take
        if piece.pot == Pot.CONVERTED:
            return earlier, take
    return 0, 0
