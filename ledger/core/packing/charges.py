"""Fixed charges."""

from __future__ import annotations

import msgspec

from ledger.core.charges.fixed_charges import FeeDraw, FixedCharge
from ledger.core.events import ChargeTerms, Slice
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import State


class PackedCharge(msgspec.Struct, array_like=True, gc=False):
    """A fixed charge, one that is over too. `ends_at` NEVER = it goes on."""

    number: int
    account: int
    name: str
    terms: ChargeTerms
    next_terms: ChargeTerms | None
    quantity: int
    next_quantity: int
    version: int
    starts_at: int
    ends_at: int
    created_at: int
    next_at: int
    begun: int
    period_start: int
    period_end: int
    charged_from: int
    charged_to: int
    full: int
    counted: int
    weighed: Wide
    weighed_to: int
    settled: bool
    charged: int
    drawn: list[tuple[int, Slice]]
    unearned: list[tuple[int, Wide]]
    earned_to: int
    earns_at: int
    earns_until: int
    packaged: bool


def pack_charge(charge: FixedCharge) -> PackedCharge:
    return PackedCharge(
        charge.number,
        charge.account.number,
        charge.name,
        charge.terms,
        charge.next_terms,
        charge.quantity,
        charge.next_quantity,
        charge.version,
        charge.starts_at,
        charge.ends_at,
        charge.created_at,
        charge.next_at,
        charge.begun,
        charge.period_start,
        charge.period_end,
        charge.charged_from,
        charge.charged_to,
        charge.full,
        charge.counted,
        wide(charge.weighed),
        charge.weighed_to,
        charge.settled,
        charge.charged,
        [(each.month, each.piece) for each in charge.drawn],
        [(asset, wide(money)) for asset, money in charge.unearned],
        charge.earned_to,
        charge.earns_at,
        charge.earns_until,
        charge.packaged,
    )


def unpack_charge(state: State, packed: PackedCharge) -> None:
    account = state.accounts[packed.account]
    charge = FixedCharge(
        packed.number,
        account,
        packed.name,
        packed.terms,
        packed.quantity,
        packed.starts_at,
        packed.ends_at,
        packed.created_at,
    )
    charge.next_terms = packed.next_terms
    charge.next_quantity = packed.next_quantity
    charge.version = packed.version
    charge.next_at = packed.next_at
    charge.begun = packed.begun
    charge.period_start = packed.period_start
    charge.period_end = packed.period_end
    charge.charged_from = packed.charged_from
    charge.charged_to = packed.charged_to
    charge.full = packed.full
    charge.counted = packed.counted
    charge.weighed = int(packed.weighed)
    charge.weighed_to = packed.weighed_to
    charge.settled = packed.settled
    charge.charged = packed.charged
    charge.drawn = tuple([FeeDraw(month, piece) for month, piece in packed.drawn])
    charge.unearned = tuple([(asset, int(money)) for asset, money in packed.unearned])
    charge.earned_to = packed.earned_to
    charge.earns_at = packed.earns_at
    charge.earns_until = packed.earns_until
    charge.packaged = packed.packaged
    state.charges[charge.number] = charge
    account.charges = (*account.charges, charge)
