"""A family as bytes, and back."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.core.books import Book
from ledger.core.events import BookKind
from ledger.core.evolve.books import place_book
from ledger.core.packing.accounts import (
    PackedAccount,
    forget_counted,
    pack_account,
    unpack_account,
)
from ledger.core.packing.books import PackedBook, pack_book, unpack_book
from ledger.core.packing.budgets import PackedBudget, pack_budget, unpack_budget, unpack_operations
from ledger.core.packing.caps import PackedCap, pack_cap, unpack_cap
from ledger.core.packing.charges import PackedCharge, pack_charge, unpack_charge
from ledger.core.packing.grants import PackedGrant, pack_grant, unpack_grant
from ledger.core.packing.holds import (
    PackedHold,
    PackedSettled,
    pack_hold,
    pack_settled,
    unpack_hold,
    unpack_settled,
)
from ledger.core.packing.quotes import PackedQuote, pack_quote, unpack_quote
from ledger.core.packing.suspense import PackedSuspense, pack_suspense, unpack_suspense
from ledger.core.packing.terms import (
    PackedCommitment,
    PackedRecurring,
    PackedTopUp,
    pack_commitment,
    pack_recurring,
    pack_top_up,
    unpack_commitment,
    unpack_recurring,
    unpack_top_up,
)
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import (
    NEVER,
    QUOTE_OPEN,
    TOP_UP_PENDING,
    Account,
    Corrected,
    Family,
    State,
    corrected_before,
    days_before,
    months_before,
)

encode: Final = msgspec.msgpack.Encoder().encode


class PackedCorrected(msgspec.Struct, array_like=True, gc=False):
    """What was given back of a usage event, by its locator."""

    locator: int
    effective_at: int
    quantities: tuple[int, ...]
    amount: Wide
    as_charged: Wide
    refunds: tuple[Wide, ...]


class PackedFamily(msgspec.Struct, array_like=True, gc=False):
    """Everything under one root; parents stand before their children."""

    root: int
    next_ordinal: int
    grant_keys: list[tuple[bytes, int]]
    accounts: list[PackedAccount]
    books: list[PackedBook]
    grants: list[PackedGrant]
    holds: list[PackedHold]
    settled: list[PackedSettled]
    suspense: PackedSuspense
    corrected: list[PackedCorrected] = []
    recurring: list[PackedRecurring] = []
    commitments: list[PackedCommitment] = []
    top_ups: list[PackedTopUp] = []
    next_override: int = 1
    quotes: list[PackedQuote] = []
    budgets: list[PackedBudget] = []
    caps: list[PackedCap] = []
    next_cap: int = 1
    charges: list[PackedCharge] = []


_decode_family: Final = msgspec.msgpack.Decoder(PackedFamily).decode


# -- families ------------------------------------------------------------------------------------


def pack_family(state: State, root: int, settled_before: int) -> bytes:
    """The family as it is. Holds settled then or earlier are left out: they are forgotten."""
    family = state.families[root]
    accounts = state.family_accounts(root)
    months, days = months_before(settled_before), days_before(settled_before)
    books: list[Book] = []
    for account in accounts:
        books.extend(_books_of(account))
    return encode(
        PackedFamily(
            root,
            family.next_ordinal,
            sorted(family.grant_keys.items()),
            [pack_account(state, account, months, days) for account in accounts],
            [pack_book(book) for book in books],
            [pack_grant(grant) for account in accounts for grant in account.grants],
            [
                pack_hold(account.holds[number])
                for account in accounts
                for number in sorted(account.holds)
            ],
            [
                pack_settled(hold)
                for hold in family.settled.values()
                if hold.settled_at > settled_before
            ],
            pack_suspense(family, corrected_before(settled_before)),
            [
                PackedCorrected(
                    locator,
                    each.effective_at,
                    each.quantities,
                    wide(each.amount),
                    wide(each.as_charged),
                    tuple([wide(refund) for refund in each.refunds]),
                )
                for locator, each in family.remembered(corrected_before(settled_before)).items()
            ],
            [pack_recurring(each) for account in accounts for each in account.recurring],
            [pack_commitment(each) for account in accounts for each in account.commitments],
            [
                pack_top_up(account.top_ups[number])
                for account in accounts
                for number in sorted(account.top_ups)
                if account.top_ups[number].remembered(settled_before)
            ],
            family.next_override,
            [
                *[
                    pack_quote(account.quotes[number])
                    for account in accounts
                    for number in sorted(account.quotes)
                ],
                *[
                    pack_quote(quote)
                    for quote in family.settled_quotes.values()
                    if quote.settled_at > settled_before
                ],
            ],
            [
                pack_budget(family.budgets[number])
                for number in sorted(family.budgets)
                if family.budgets[number].of is None
            ],
            [
                pack_cap(account.caps_given[number])
                for account in accounts
                for number in sorted(account.caps_given)
            ],
            family.next_cap,
            [pack_charge(each) for account in accounts for each in account.charges],
        )
    )


def _books_of(account: Account) -> list[Book]:
    """Its own books and those of its grants, in a fixed order."""
    books = [
        kept[asset]
        for kept in (account.advance, account.overage, account.unbilled, account.receivable)
        for asset in sorted(kept)
    ]
    for grant in account.grants:
        books.append(grant.book)
        for book in (grant.funding, grant.book.value_book):
            own = book is not None and book.owner == grant.number  # not of what it was part of
            if book is not None and own and book.kind in (BookKind.COMMITMENT, BookKind.DEFERRED):
                books.append(book)
    return books


def forget_settled(body: bytes, settled_before: int) -> bytes:
    """A family that was packed long ago, without the holds and quotes that were settled then or
    earlier, and without corrections of usage that is too old for more and what was counted in its
    months.

    Bytes that are not just what its state packs into stay as they are. Raises msgspec.MsgspecError.
    """
    packed = _decode_family(body)
    kept = [hold for hold in packed.settled if hold.settled_at > settled_before]
    bound = corrected_before(settled_before)
    corrected = [each for each in packed.corrected if each.effective_at > bound]
    top_ups = [
        each
        for each in packed.top_ups
        if each.state == TOP_UP_PENDING or each.requested_at > settled_before
    ]
    same = len(kept) == len(packed.settled) and len(corrected) == len(packed.corrected)
    same = same and len(top_ups) == len(packed.top_ups)
    rated = [each for each in packed.suspense.rated if each.effective_at > bound]
    same = same and len(rated) == len(packed.suspense.rated)
    quotes = [
        each
        for each in packed.quotes
        if each.state == QUOTE_OPEN or each.settled_at > settled_before
    ]
    same = same and len(quotes) == len(packed.quotes)
    if encode(packed) != body:
        return body
    for account in packed.accounts:
        months, days = months_before(settled_before), days_before(settled_before)
        same = not forget_counted(account, months, days) and same
    if same:
        return body
    packed.settled, packed.corrected, packed.top_ups = kept, corrected, top_ups
    packed.suspense.rated = rated
    packed.quotes = quotes
    return encode(packed)


def unpack_family(state: State, body: bytes) -> int:
    """Bring a family back into the state; returns its root. Raises msgspec.MsgspecError."""
    packed = _decode_family(body)
    root = packed.root
    assert root not in state.families, f"family {root} is here already"
    family = state.families[root] = Family(root)
    family.next_ordinal = packed.next_ordinal
    family.next_override = packed.next_override
    family.next_cap = packed.next_cap
    family.grant_keys = dict(packed.grant_keys)
    for each in packed.accounts:
        unpack_account(state, root, each)
        state.paged.pop(each.number, None)
    tenant = packed.accounts[0].tenant
    for account in state.family_accounts(root):
        state.find_minimums_due(account)
        state.find_statement_due(account)
    for book in packed.books:
        place_book(state, unpack_book(state, book, tenant))
    for book in packed.books:
        value_book = state.books.accounts[book.value_book] if book.value_book else None
        state.books.accounts[book.number].value_book = value_book
    for grant in packed.grants:
        unpack_grant(state, grant)
    for cap in packed.caps:
        unpack_cap(state, cap)
    for hold in packed.holds:
        unpack_hold(state, hold)
    for settled in packed.settled:
        if settled.settled_at > state.settled_before:
            unpack_settled(state, family, settled)
    for past in packed.corrected:
        family.corrected[past.locator] = Corrected(
            past.effective_at,
            past.quantities,
            int(past.amount),
            int(past.as_charged),
            tuple([int(refund) for refund in past.refunds]),
        )
    unpack_suspense(family, packed.suspense)
    for recurring in packed.recurring:
        unpack_recurring(state, family, recurring)
    for commitment in packed.commitments:
        unpack_commitment(state, family, commitment)
    for top_up in packed.top_ups:
        unpack_top_up(state, top_up)
    for quote in packed.quotes:
        if quote.state == QUOTE_OPEN or quote.settled_at > state.settled_before:
            unpack_quote(state, family, quote)
    for budget in packed.budgets:
        unpack_budget(state, family, budget)
    unpack_operations(family, packed.budgets)
    for charge in packed.charges:
        unpack_charge(state, charge)
    family.scheduled = state.paged_families.pop(root, NEVER) or NEVER  # FETCHED: there is none
    state.paged_tenants.pop(root, None)
    state.schedule(family, state.timer_at(tenant, family_due(state, root)))
    state.try_suspended(root)  # what was published meanwhile was not tried
    return root


def drop_family(state: State, root: int) -> None:
    """Forget a family that is packed elsewhere, but where its accounts belong and its next timer.

    What the journal says of it from now on cannot be applied before it is unpacked again.
    """
    family = state.families[root]
    tenant = state.accounts[root].tenant
    state.schedule(family, state.timer_at(tenant, family_due(state, root)))
    state.paged_families[root] = family.scheduled
    state.paged_tenants[root] = tenant
    books = state.books
    for account in state.family_accounts(root):
        state.paged[account.number] = root
        del state.accounts[account.number]
        for number in account.holds:
            del state.holds[number]
        gone = _books_of(account)
        for grant in account.grants:
            grant.book.grant = None  # no cycle is left for the collector
            grant.after = None
            grant.seat = None
            del state.grants[grant.number]
        for book in gone:
            book.value_book = None
            del books.accounts[book.number]
            books.numbered[book.number] = None
        account.first = None
        account.seats = None
        account.dues = None
        account.grants = []
        for recurring in account.recurring:
            del state.recurring[recurring.number]
        for commitment in account.commitments:
            del state.commitments[commitment.number]
            commitment.grants = ()  # no cycle is left for the collector
        for charge in account.charges:
            del state.charges[charge.number]
        account.charges = ()
        for number in account.top_ups:
            del state.top_ups[number]
        account.top_ups = {}
        for number in account.quotes:
            del state.quotes[number]
        account.quotes = {}
        account.holds = {}
        account.recurring = []
        account.commitments = []
        account.subscription = None  # no cycle is left for the collector
        account.lent = {}
        account.end_lane()
        for budget in account.budgets:
            budget.values = None  # no cycle is left for the collector
        account.budgets = []  # no cycle is left for the collector
        account.caps = ()
        account.caps_given = {}  # no cycle is left for the collector
        account.children = []
        account.gauges = None  # no cycle is left for the collector
    family.settled = {}
    family.waiting = {}
    family.settled_quotes = {}
    for budget in family.operation_budgets.values():
        budget.operation = None  # no cycle is left for the collector
    family.operation_budgets = {}
    family.operation_ends = []
    family.operations = {}
    family.budgets = {}
    del state.families[root]


def family_due(state: State, root: int) -> int:
    """When something of a family that is here next falls due, by its tenant's clock; NEVER =
    nothing will."""
    due = NEVER
    for account in state.family_accounts(root):
        account.find_next_due()
        due = min(due, account.next_due)
    return due
