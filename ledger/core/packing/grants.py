"""Grants."""

from __future__ import annotations

import msgspec

from ledger.core.events import GrantKind, Rollover, Sharing
from ledger.core.evolve.moves import activate, paid_for
from ledger.core.state import GRANT_OPEN, Grant, State


class PackedGrant(msgspec.Struct, array_like=True, gc=False):
    """A grant; its books by number."""

    number: int
    ordinal: int
    account: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int
    expires_at: int
    products: list[str]
    external_key: bytes
    book: int
    funding: int
    issued_at: int
    unused: int
    recognised: int
    settled: int
    repaid: list[tuple[int, str, int]]  # parts of the debt: run, product, units
    given_back: int
    tags: list[str]
    attributes: list[tuple[str, str]]
    shared: bool
    rollover: Rollover | None
    metadata: tuple[tuple[str, str], ...]
    cash: int
    origin: int
    cancelled: int
    returned: int
    rolled: int
    rolled_over: bool
    scheduled: bool
    forfeit: bool
    recurring: int
    paid: int
    unpaid: int
    shared_with: Sharing | None = None
    sharing_version: int = 1
    seat: tuple[str, int] | None = None  # plan, number in it
    rolls_into: int = 0
    bought_by: tuple[int, ...] = ()


def pack_grant(grant: Grant) -> PackedGrant:
    return PackedGrant(
        grant.number,
        grant.ordinal,
        grant.account.number,
        grant.kind,
        grant.asset,
        grant.amount,
        grant.price_paid,
        grant.price_asset,
        grant.priority,
        grant.effective_at,
        grant.expires_at,
        sorted(grant.products),
        grant.external_key,
        grant.book.number,
        grant.funding.number,
        grant.issued_at,
        grant.unused,
        grant.recognised,
        grant.settled,
        sorted((*part, units) for part, units in grant.repaid.items()),
        grant.given_back,
        sorted(grant.tags),
        sorted(grant.attributes),
        grant.shared,
        grant.rollover,
        grant.metadata,
        grant.cash.number if grant.cash is not None else 0,
        grant.origin,
        grant.cancelled,
        grant.returned,
        grant.rolled,
        grant.rolled_over,
        grant.scheduled,
        grant.forfeit,
        grant.recurring,
        grant.paid,
        grant.unpaid,
        grant.shared_with,
        grant.sharing_version,
        (grant.seat.plan.name, grant.seat.number) if grant.seat is not None else None,
        grant.rolls_into,
        grant.bought_by,
    )


def unpack_grant(state: State, packed: PackedGrant) -> None:
    account = state.accounts[packed.account]
    book = state.books.accounts[packed.book]
    grant = Grant(
        packed.number,
        packed.ordinal,
        account,
        packed.kind,
        packed.asset,
        packed.amount,
        packed.price_paid,
        packed.price_asset,
        packed.priority,
        packed.effective_at,
        packed.expires_at,
        frozenset(packed.products),
        packed.external_key,
        book,
        state.books.accounts[packed.funding],
        packed.issued_at,
        frozenset(packed.tags),
        frozenset(packed.attributes),
        packed.shared,
        packed.rollover,
        packed.metadata,
        state.books.accounts[packed.cash] if packed.cash else None,
        packed.origin,
    )
    grant.cancelled = packed.cancelled
    grant.returned = packed.returned
    grant.rolled = packed.rolled
    grant.rolled_over = packed.rolled_over
    grant.rolls_into = packed.rolls_into
    grant.bought_by = packed.bought_by
    grant.scheduled = packed.scheduled
    grant.forfeit = packed.forfeit
    grant.unused = packed.unused
    grant.recognised = packed.recognised
    grant.settled = packed.settled
    grant.repaid = {(run, product): units for run, product, units in packed.repaid}
    grant.given_back = packed.given_back
    grant.recurring = packed.recurring
    grant.paid = packed.paid
    grant.unpaid = packed.unpaid
    grant.shared_with = packed.shared_with
    grant.sharing_version = packed.sharing_version
    if packed.seat is not None:
        plan, number = packed.seat
        assert account.seats is not None, packed.number
        grant.seat = account.seats.plans[plan].seats[number]
    grant.part_of = paid_for(state.grants.get(packed.origin))
    book.grant = grant
    state.grants[packed.number] = grant
    account.grants.append(grant)
    if grant.settled == GRANT_OPEN and book.debits_posted < book.credits_posted:
        activate(grant)  # where in the order is for the comparator to say
