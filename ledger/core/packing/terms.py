"""What goes on over periods: recurring grants, commitments, top-ups."""

from __future__ import annotations

import msgspec

from ledger.core.events import CommitmentTerms, Invoice, RecurringTerms, Sharing
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import Commitment, Family, RecurringGrant, State, TopUp


class PackedCommitment(msgspec.Struct, array_like=True, gc=False):
    """A commitment, those that are over too."""

    number: int
    account: int
    external_key: bytes
    terms: CommitmentTerms
    invoices: tuple[Invoice, ...]
    created_at: int
    grants: tuple[int, ...]
    invoiced: int
    ended_at: int
    ending: int
    moved_to: int
    sharing: Sharing | None = None


class PackedRecurring(msgspec.Struct, array_like=True, gc=False):
    """A recurring grant, ended ones too."""

    number: int
    account: int
    external_key: bytes
    terms: RecurringTerms
    next_terms: RecurringTerms | None
    version: int
    starts_at: int
    ends_at: int
    created_at: int
    paused: bool
    fresh: bool
    next_at: int
    period_start: int
    period_end: int
    full: int
    grants: tuple[int, ...]
    amount: int
    price_paid: int
    price_asset: int
    sharing: Sharing | None = None


class PackedTopUp(msgspec.Struct, array_like=True, gc=False):
    """A top-up that pends or was requested within the dedupe window."""

    number: int
    account: int
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    source: str
    version: int
    available: Wide
    requested_at: int
    expires_at: int
    state: int
    settled_at: int
    grant: int


def pack_recurring(recurring: RecurringGrant) -> PackedRecurring:
    return PackedRecurring(
        recurring.number,
        recurring.account.number,
        recurring.external_key,
        recurring.terms,
        recurring.next_terms,
        recurring.version,
        recurring.starts_at,
        recurring.ends_at,
        recurring.created_at,
        recurring.paused,
        recurring.fresh,
        recurring.next_at,
        recurring.period_start,
        recurring.period_end,
        recurring.full,
        recurring.grants,
        recurring.amount,
        recurring.price_paid,
        recurring.price_asset,
        recurring.sharing,
    )


def unpack_recurring(state: State, family: Family, packed: PackedRecurring) -> None:
    recurring = RecurringGrant(
        packed.number,
        state.accounts[packed.account],
        packed.external_key,
        packed.terms,
        packed.starts_at,
        packed.ends_at,
        packed.created_at,
    )
    recurring.next_terms = packed.next_terms
    recurring.version = packed.version
    recurring.paused = packed.paused
    recurring.fresh = packed.fresh
    recurring.next_at = packed.next_at
    recurring.period_start = packed.period_start
    recurring.period_end = packed.period_end
    recurring.full = packed.full
    recurring.grants = packed.grants
    recurring.amount = packed.amount
    recurring.price_paid = packed.price_paid
    recurring.price_asset = packed.price_asset
    recurring.sharing = packed.sharing
    state.recurring[recurring.number] = recurring
    recurring.account.recurring.append(recurring)
    if recurring.external_key:
        family.recurring_keys[recurring.external_key] = recurring.number


def pack_commitment(commitment: Commitment) -> PackedCommitment:
    return PackedCommitment(
        commitment.number,
        commitment.account.number,
        commitment.external_key,
        commitment.terms,
        commitment.invoices,
        commitment.created_at,
        tuple([grant.number for grant in commitment.grants]),
        commitment.invoiced,
        commitment.ended_at,
        commitment.ending,
        commitment.moved_to,
        commitment.sharing,
    )


def unpack_commitment(state: State, family: Family, packed: PackedCommitment) -> None:
    commitment = Commitment(
        packed.number,
        state.accounts[packed.account],
        packed.external_key,
        packed.terms,
        packed.invoices,
        packed.created_at,
    )
    for number in packed.grants:
        commitment.take(state.grants[number])
    commitment.invoiced = packed.invoiced
    commitment.ended_at = packed.ended_at
    commitment.ending = packed.ending
    commitment.moved_to = packed.moved_to
    commitment.sharing = packed.sharing
    state.commitments[commitment.number] = commitment
    commitment.account.commitments.append(commitment)
    if commitment.external_key:
        family.commitment_keys[commitment.external_key] = commitment.number


def pack_top_up(top_up: TopUp) -> PackedTopUp:
    return PackedTopUp(
        top_up.number,
        top_up.account.number,
        top_up.asset,
        top_up.amount,
        top_up.price_paid,
        top_up.price_asset,
        top_up.source,
        top_up.version,
        wide(top_up.available),
        top_up.requested_at,
        top_up.expires_at,
        top_up.state,
        top_up.settled_at,
        top_up.grant,
    )


def unpack_top_up(state: State, packed: PackedTopUp) -> None:
    account = state.accounts[packed.account]
    top_up = TopUp(
        packed.number,
        account,
        packed.asset,
        packed.amount,
        packed.price_paid,
        packed.price_asset,
        packed.source,
        packed.version,
        int(packed.available),
        packed.requested_at,
        packed.expires_at,
    )
    top_up.state = packed.state
    top_up.settled_at = packed.settled_at
    top_up.grant = packed.grant
    if top_up.remembered(state.settled_before):
        account.top_ups[packed.number] = state.top_ups[packed.number] = top_up
