"""A family, and what is left of a shard without its families, as bytes and back.

The family (a root and everything under it: accounts, own books, grants, holds, settled holds) is
what checkpoints store and what leaves memory when idle. Derived indexes (order of grants, timers,
inherited cards) are left out and follow from what is here. The same state always gives the same
bytes, so that a checkpoint can be compared with a replay. A released format is never edited: a
change is a new number, and a checkpoint of an unknown one is not read but replayed. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from ledger.core.books import AssetTotals, Book
from ledger.core.catalog import Catalog
from ledger.core.events import (
    AccountPolicy,
    BookKind,
    CommitmentTerms,
    GrantKind,
    Invoice,
    PlanDeclared,
    RecurringTerms,
    Rollover,
    Slice,
    TopUpRule,
)
from ledger.core.evolve import (
    activate,
    inherit_frozen,
    inherited_calendar,
    inherited_card,
    inherited_comparator,
    lend,
    paid_for,
    place_book,
)
from ledger.core.state import (
    GRANT_OPEN,
    NEVER,
    TOP_UP_PENDING,
    Account,
    Commitment,
    Corrected,
    Debt,
    Estimate,
    Family,
    Grant,
    Hold,
    RecurringGrant,
    SettledHold,
    State,
    TopUp,
    corrected_before,
)

FORMAT: Final = 3  # of both kinds of bytes

Wide: TypeAlias = int | str
"""An integer; as text where it does not fit 64 bits (rule N1)."""

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_encode: Final = msgspec.msgpack.Encoder().encode


class PackedAccount(msgspec.Struct, array_like=True, gc=False):
    """Totals, sorted: (price row, period, quantity), (asset, period, posted), (asset, pending).

    `gaps`: [closed, reopened). `written_off`, `frozen_by`, `profile_at`: locators of
    entries.
    """

    tenant: int
    number: int
    parent: int
    policy: AccountPolicy
    version: int
    created_at: int
    closed_at: int
    suspended: int
    totals: list[tuple[int, int, Wide]]
    overage_posted: list[tuple[int, int, Wide]]
    overage_pending: list[tuple[int, Wide]]
    reopened_at: int
    written_off: int
    gaps: list[tuple[int, int]]
    frozen_at: int
    frozen_by: int
    freeze_cause: int
    profile_version: int
    profile_at: int
    debt: list[tuple[int, int, list[tuple[int, str, Wide]], int]]  # asset, run, parts, since
    lifetime: list[tuple[int, Wide]]  # by money asset
    top_up_rules: list[tuple[int, int, TopUpRule | None]]  # asset, version, rule
    closed_until: int
    zones: list[tuple[int, str]]  # [] = as if it were opened today


class PackedBook(msgspec.Struct, array_like=True, gc=False):
    """A book and its four counters: debits and credits posted, debits and credits pending."""

    number: int
    kind: BookKind
    asset: int
    owner: int
    counters: tuple[Wide, Wide, Wide, Wide]
    tenant: int = 0  # of a house book; a family's are its own tenant's
    name: str = ""
    value_book: int = 0  # what pays in money for what is drawn from it


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


class PackedEstimate(msgspec.Struct, array_like=True, gc=False):
    """What the expiry of an open hold would charge, and by which price rows."""

    quantity_names: tuple[str, ...]
    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    quantities: tuple[int, ...]


class PackedHold(msgspec.Struct, array_like=True, gc=False):
    """An open hold."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    asset: int
    used: int
    slices: tuple[Slice, ...]
    authorized_at: int
    expires_at: int
    amount: Wide
    lifetime_max: int
    period: int
    captures: int
    estimate: PackedEstimate | None


class PackedSettled(msgspec.Struct, array_like=True, gc=False):
    """A settled hold within the dedupe window, in the order of settling."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    asset: int
    amount: Wide
    ended: int
    captured_late: bool
    settled_at: int
    captured: Wide
    captures: int
    authorized_at: int
    expires_at: int


class PackedCorrected(msgspec.Struct, array_like=True, gc=False):
    """What was given back of a usage event, by its locator."""

    locator: int
    effective_at: int
    quantities: tuple[int, ...]
    amount: Wide
    as_charged: Wide


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
    corrected: list[PackedCorrected] = []
    recurring: list[PackedRecurring] = []
    commitments: list[PackedCommitment] = []
    top_ups: list[PackedTopUp] = []


class PackedShard(msgspec.Struct, array_like=True, gc=False):
    """A shard without its families and keys: where it stands, its house books, its totals."""

    shard: int
    epoch: int
    batch_seq: int
    entry_seq: int
    recorded_at: int
    next_book: int
    next_grant: int
    next_hold: int
    next_recurring: int
    next_commitment: int
    next_top_up: int
    configuration: list[tuple[int, int]]
    totals: list[tuple[int, Wide, Wide, Wide, Wide]]
    house: list[PackedBook]
    offsets: list[tuple[int, int]] = []


_decode_family: Final = msgspec.msgpack.Decoder(PackedFamily).decode
_decode_shard: Final = msgspec.msgpack.Decoder(PackedShard).decode


# -- families ------------------------------------------------------------------------------------


def pack_family(state: State, root: int, settled_before: int) -> bytes:
    """The family as it is. Holds settled then or earlier are left out: they are forgotten."""
    family = state.families[root]
    accounts = state.family_accounts(root)
    books: list[Book] = []
    for account in accounts:
        books.extend(_books_of(account))
    return _encode(
        PackedFamily(
            root,
            family.next_ordinal,
            sorted(family.grant_keys.items()),
            [_pack_account(state, account) for account in accounts],
            [_pack_book(book) for book in books],
            [_pack_grant(grant) for account in accounts for grant in account.grants],
            [
                _pack_hold(account.holds[number])
                for account in accounts
                for number in sorted(account.holds)
            ],
            [
                _pack_settled(hold)
                for hold in family.settled.values()
                if hold.settled_at > settled_before
            ],
            [
                PackedCorrected(
                    locator,
                    each.effective_at,
                    each.quantities,
                    _wide(each.amount),
                    _wide(each.as_charged),
                )
                for locator, each in family.remembered(corrected_before(settled_before)).items()
            ],
            [_pack_recurring(each) for account in accounts for each in account.recurring],
            [_pack_commitment(each) for account in accounts for each in account.commitments],
            [
                _pack_top_up(account.top_ups[number])
                for account in accounts
                for number in sorted(account.top_ups)
                if account.top_ups[number].remembered(settled_before)
            ],
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
    """A family that was packed long ago, without the holds that were settled then or earlier, and
    without corrections of usage that is too old for more.

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
    if same or _encode(packed) != body:
        return body
    packed.settled, packed.corrected, packed.top_ups = kept, corrected, top_ups
    return _encode(packed)


def unpack_family(state: State, body: bytes) -> int:
    """Bring a family back into the state; returns its root. Raises msgspec.MsgspecError."""
    packed = _decode_family(body)
    root = packed.root
    assert root not in state.families, f"family {root} is here already"
    family = state.families[root] = Family(root)
    family.next_ordinal = packed.next_ordinal
    family.grant_keys = dict(packed.grant_keys)
    for each in packed.accounts:
        _unpack_account(state, root, each)
        state.paged.pop(each.number, None)
    tenant = packed.accounts[0].tenant
    for book in packed.books:
        place_book(state, _unpack_book(state, book, tenant))
    for book in packed.books:
        value_book = state.books.accounts[book.value_book] if book.value_book else None
        state.books.accounts[book.number].value_book = value_book
    for grant in packed.grants:
        _unpack_grant(state, grant)
    for hold in packed.holds:
        _unpack_hold(state, hold)
    for settled in packed.settled:
        if settled.settled_at > state.settled_before:
            _unpack_settled(state, family, settled)
    for past in packed.corrected:
        family.corrected[past.locator] = Corrected(
            past.effective_at, past.quantities, int(past.amount), int(past.as_charged)
        )
    for recurring in packed.recurring:
        _unpack_recurring(state, family, recurring)
    for commitment in packed.commitments:
        _unpack_commitment(state, family, commitment)
    for top_up in packed.top_ups:
        _unpack_top_up(state, top_up)
    family.scheduled = state.paged_families.pop(root, NEVER) or NEVER  # FETCHED: there is none
    state.paged_tenants.pop(root, None)
    state.schedule(family, state.timer_at(tenant, family_due(state, root)))
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
            del state.grants[grant.number]
        for book in gone:
            book.value_book = None
            del books.accounts[book.number]
            books.numbered[book.number] = None
        account.first = None
        account.grants = []
        for recurring in account.recurring:
            del state.recurring[recurring.number]
        for commitment in account.commitments:
            del state.commitments[commitment.number]
            commitment.grants = ()  # no cycle is left for the collector
        for number in account.top_ups:
            del state.top_ups[number]
        account.top_ups = {}
        account.holds = {}
        account.recurring = []
        account.commitments = []
        account.lent = {}
        account.children = []
    family.settled = {}
    del state.families[root]


def family_due(state: State, root: int) -> int:
    """When something of a family that is here next falls due, by its tenant's clock; NEVER =
    nothing will."""
    due = NEVER
    for account in state.family_accounts(root):
        account.find_next_due()
        due = min(due, account.next_due)
    return due


def _pack_account(state: State, account: Account) -> PackedAccount:
    return PackedAccount(
        account.tenant,
        account.number,
        account.parent.number if account.parent is not None else 0,
        account.policy,
        account.version,
        account.created_at,
        account.closed_at,
        account.suspended,
        [
            (row, period, _wide(account.totals[row, period]))
            for row, period in sorted(account.totals)
        ],
        [
            (asset, period, _wide(account.overage_posted[asset, period]))
            for asset, period in sorted(account.overage_posted)
        ],
        [
            (asset, _wide(account.overage_pending[asset]))
            for asset in sorted(account.overage_pending)
        ],
        account.reopened_at,
        account.written_off,
        list(account.gaps),
        account.frozen_at,
        account.frozen_by,
        account.freeze_cause,
        account.profile_version,
        account.profile_at,
        [
            (
                asset,
                debt.run,
                [(*part, _wide(owed)) for part, owed in debt.owed.items()],
                debt.since,
            )
            for asset, debt in sorted(account.debt.items())
        ],
        [(asset, _wide(account.lifetime[asset])) for asset in sorted(account.lifetime)],
        [(asset, *account.top_up_rules[asset]) for asset in sorted(account.top_up_rules)],
        account.closed_until,
        _pack_zones(state, account),
    )


def _pack_zones(state: State, account: Account) -> list[tuple[int, str]]:
    zones = account.calendar.zones
    opened = inherited_calendar(state, account.parent, account.policy)
    return [] if zones == opened.zones else list(zones)


def _unpack_account(state: State, root: int, packed: PackedAccount) -> None:
    parent = state.accounts[packed.parent] if packed.parent else None
    account = Account(
        packed.tenant,
        packed.number,
        root,
        parent,
        packed.policy,
        inherited_card(state, packed.tenant, parent, packed.policy),
        inherited_comparator(parent, packed.policy),
        inherited_calendar(state, parent, packed.policy),
        packed.created_at,
    )
    if packed.zones:
        account.calendar = state.calendar(tuple(packed.zones))
    account.closed_until = packed.closed_until
    account.version = packed.version
    account.closed_at = packed.closed_at
    account.suspended = packed.suspended
    account.totals = {(row, period): int(quantity) for row, period, quantity in packed.totals}
    account.overage_posted = {
        (asset, period): int(posted) for asset, period, posted in packed.overage_posted
    }
    account.overage_pending = {asset: int(pending) for asset, pending in packed.overage_pending}
    account.reopened_at = packed.reopened_at
    account.written_off = packed.written_off
    account.gaps = tuple(packed.gaps)
    account.frozen_at = packed.frozen_at
    account.frozen_by = packed.frozen_by
    account.freeze_cause = packed.freeze_cause
    account.top_up_rules = {asset: (version, rule) for asset, version, rule in packed.top_up_rules}
    account.find_watched()
    account.profile_version = packed.profile_version
    account.profile_at = packed.profile_at
    inherit_frozen(account)
    for asset, run, owed, since in packed.debt:
        debt = account.debt[asset] = Debt()
        debt.run, debt.since = run, since
        debt.owed = {(each, product): int(units) for each, product, units in owed}
    account.lifetime = {asset: int(value) for asset, value in packed.lifetime}
    if parent is not None:
        parent.children.append(account)
    state.accounts[packed.number] = account


def _pack_book(book: Book) -> PackedBook:
    return PackedBook(
        book.number,
        BookKind(book.kind),
        book.asset,
        book.owner,
        _counters(book),
        value_book=book.value_book.number if book.value_book is not None else 0,
    )


def _counters(book: Book) -> tuple[Wide, Wide, Wide, Wide]:
    return (
        _wide(book.debits_posted),
        _wide(book.credits_posted),
        _wide(book.debits_pending),
        _wide(book.credits_pending),
    )


def _unpack_book(state: State, packed: PackedBook, tenant: int) -> Book:
    books = state.books
    totals = books.totals[packed.asset]
    book = Book(packed.number, tenant, packed.kind, packed.asset, packed.owner, packed.name, totals)
    debits_posted, credits_posted, debits_pending, credits_pending = packed.counters
    book.debits_posted = int(debits_posted)
    book.credits_posted = int(credits_posted)
    book.debits_pending = int(debits_pending)
    book.credits_pending = int(credits_pending)
    assert books.numbered[packed.number] is None, f"book {packed.number} is here already"
    books.numbered[packed.number] = book
    books.accounts[packed.number] = book
    return book


def _pack_grant(grant: Grant) -> PackedGrant:
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
    )


def _unpack_grant(state: State, packed: PackedGrant) -> None:
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
    grant.part_of = paid_for(state.grants.get(packed.origin))
    book.grant = grant
    state.grants[packed.number] = grant
    account.grants.append(grant)
    if grant.settled == GRANT_OPEN and book.debits_posted < book.credits_posted:
        activate(grant)  # where in the order is for the comparator to say


def _pack_hold(hold: Hold) -> PackedHold:
    return PackedHold(
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        hold.used.number if hold.used is not None else 0,
        hold.slices,
        hold.authorized_at,
        hold.expires_at,
        _wide(hold.amount),
        hold.lifetime_max,
        hold.period,
        hold.captures,
        _pack_estimate(hold.estimate) if hold.estimate is not None else None,
    )


def _pack_estimate(estimate: Estimate) -> PackedEstimate:
    plan = estimate.plan
    return PackedEstimate(
        plan.quantity_names, plan.rate_card, plan.card_version, plan.rows, estimate.quantities
    )


def _unpack_estimate(hold: PackedHold, packed: PackedEstimate) -> Estimate:
    plan = PlanDeclared(
        hold.product,
        hold.attributes,
        packed.quantity_names,
        packed.rate_card,
        packed.card_version,
        packed.rows,
        hold.asset,
    )
    return Estimate(plan, packed.quantities)


def _unpack_hold(state: State, packed: PackedHold) -> None:
    account = state.accounts[packed.account]
    hold = Hold(
        packed.number,
        account,
        packed.product,
        packed.attributes,
        packed.asset,
        state.books.accounts[packed.used] if packed.used else None,
        packed.slices,
        packed.authorized_at,
        packed.expires_at,
        packed.lifetime_max,
        packed.period,
        _unpack_estimate(packed, packed.estimate) if packed.estimate is not None else None,
    )
    hold.amount = int(packed.amount)
    hold.captures = packed.captures
    state.holds[packed.number] = hold
    account.holds[packed.number] = hold
    lend(state, hold)


def _pack_recurring(recurring: RecurringGrant) -> PackedRecurring:
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
    )


def _unpack_recurring(state: State, family: Family, packed: PackedRecurring) -> None:
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
    state.recurring[recurring.number] = recurring
    recurring.account.recurring.append(recurring)
    if recurring.external_key:
        family.recurring_keys[recurring.external_key] = recurring.number


def _pack_commitment(commitment: Commitment) -> PackedCommitment:
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
    )


def _unpack_commitment(state: State, family: Family, packed: PackedCommitment) -> None:
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
    state.commitments[commitment.number] = commitment
    commitment.account.commitments.append(commitment)
    if commitment.external_key:
        family.commitment_keys[commitment.external_key] = commitment.number


def _pack_settled(hold: SettledHold) -> PackedSettled:
    return PackedSettled(
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        _wide(hold.amount),
        hold.ended,
        hold.captured_late,
        hold.settled_at,
        _wide(hold.captured),
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
    )


def _unpack_settled(state: State, family: Family, packed: PackedSettled) -> None:
    family.settled[packed.number] = SettledHold(
        packed.number,
        state.accounts[packed.account],
        packed.product,
        packed.attributes,
        packed.asset,
        int(packed.amount),
        packed.ended,
        packed.captured_late,
        packed.settled_at,
        int(packed.captured),
        packed.captures,
        packed.authorized_at,
        packed.expires_at,
    )


def _wide(value: int) -> Wide:
    return value if _INT64_MIN <= value <= _UINT64_MAX else str(value)


def _pack_top_up(top_up: TopUp) -> PackedTopUp:
    return PackedTopUp(
        top_up.number,
        top_up.account.number,
        top_up.asset,
        top_up.amount,
        top_up.price_paid,
        top_up.price_asset,
        top_up.source,
        top_up.version,
        _wide(top_up.available),
        top_up.requested_at,
        top_up.expires_at,
        top_up.state,
        top_up.settled_at,
        top_up.grant,
    )


def _unpack_top_up(state: State, packed: PackedTopUp) -> None:
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


# -- shards --------------------------------------------------------------------------------------


def pack_shard(state: State, batch_seq: int, entry_seq: int, recorded_at: int) -> bytes:
    """The shard without families and keys, at the end of that batch. Linear in its house books."""
    return _encode(
        PackedShard(
            state.shard,
            state.epoch,
            batch_seq,
            entry_seq,
            recorded_at,
            state.next_book,
            state.next_grant,
            state.next_hold,
            state.next_recurring,
            state.next_commitment,
            state.next_top_up,
            sorted(state.configuration.items()),
            [
                (
                    asset,
                    _wide(total.debits_posted),
                    _wide(total.credits_posted),
                    _wide(total.debits_pending),
                    _wide(total.credits_pending),
                )
                for asset, total in sorted(state.books.totals.items())
            ],
            [
                PackedBook(
                    book.number,
                    BookKind(book.kind),
                    book.asset,
                    book.owner,
                    _counters(book),
                    book.tenant,
                    book.name,
                )
                for _, book in sorted(state.house.items())
            ],
            sorted(state.offsets.items()),
        )
    )


def unpack_shard(body: bytes, catalog: Catalog) -> State:
    """A state that stands at the end of that batch, without families and keys.

    The catalog is to be filled with what `configuration` names. Raises msgspec.MsgspecError.
    """
    packed = _decode_shard(body)
    state = State(packed.shard, catalog)
    state.epoch = packed.epoch
    state.stand_at(packed.batch_seq, packed.entry_seq, packed.recorded_at)
    state.next_book = packed.next_book
    state.next_grant = packed.next_grant
    state.next_hold = packed.next_hold
    state.next_recurring = packed.next_recurring
    state.next_commitment = packed.next_commitment
    state.next_top_up = packed.next_top_up
    state.configuration = dict(packed.configuration)
    state.offsets = dict(packed.offsets)
    state.books.numbered = [None] * packed.next_book
    for asset, *sides in packed.totals:
        total = state.books.totals[asset] = AssetTotals()
        total.debits_posted, total.credits_posted = int(sides[0]), int(sides[1])
        total.debits_pending, total.credits_pending = int(sides[2]), int(sides[3])
    for each in packed.house:
        place_book(state, _unpack_book(state, each, each.tenant))
    return state


def whole(
    state: State,
    packed: Mapping[int, bytes],
    segments: Iterable[tuple[int, dict[bytes, int]]] = (),
) -> State:
    """A copy with everything in memory: what is here, the families in `packed` that are paged out,
    and the keys of segments as (generation's start, keys). For digests, tests and `verify`."""
    copy = unpack_shard(
        pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at), Catalog()
    )
    for root in sorted(state.families):
        unpack_family(copy, pack_family(state, root, state.settled_before))
    for root in sorted(state.paged_families):
        unpack_family(copy, packed[root])
    for start, keys in state.keys.snapshot():
        if keys:
            copy.keys.restore(start, dict(keys))
    for start, more in segments:
        copy.keys.restore(start, more)
    copy.keys.forget(state.recorded_at)
    return copy
