"""Sharing and caps: set, removed, and what is drawn and held counted towards them (rule D8)."""

from __future__ import annotations

from ledger.core.budgets.lanes import EACH
from ledger.core.events import (
    CapBegun,
    CapRemoved,
    CapSet,
    CapWindowOpened,
    Sharing,
    SharingMode,
    SharingUpdated,
)
from ledger.core.funding.caps import Cap, is_at_or_below
from ledger.core.limits import INT64_MAX
from ledger.core.state import Account, Grant, State


def sharing_updated(state: State, event: SharingUpdated) -> None:
    grant = state.grants[event.grant]
    if grant.commitment is not None:
        grant.commitment.sharing = event.sharing
    elif grant.recurring:
        state.recurring[grant.recurring].sharing = event.sharing
    for each in [grant, *[state.grants[number] for number in event.alike]]:
        share(each, event.sharing)
        each.sharing_version = event.version
    state.keys.add(event.key, state.locator)


def share(grant: Grant, sharing: Sharing) -> None:
    """Let a grant be shared so, and its account know."""
    before = grant.shared
    grant.shared = sharing.mode != SharingMode.NONE
    narrow = sharing.mode in (SharingMode.LISTED, SharingMode.MATCHING)
    grant.shared_with = sharing if narrow else None
    if grant.chained:
        grant.account.sharing += grant.shared - before


def cap_set(state: State, event: CapSet) -> None:
    owner = state.accounts[event.account]
    cap = owner.caps_given.get(event.cap)
    if cap is None:
        grant = state.grants[event.grant] if event.grant else None
        below = state.accounts[event.below]
        cap = Cap(event.cap, owner, below, event.asset, grant, event.terms, state.now)
        attach(cap)
        for since, end in event.spans:
            cap.open_window(since, end, state.now)
        for hold in [owner.lent[number] for number in sorted(owner.lent)]:
            if is_at_or_below(hold.account, below):
                for piece in hold.slices:
                    source = state.books.accounts[piece.book].grant
                    if piece.amount and source is not None and cap.binds(source):
                        _count(cap, hold.counted_at, 0, piece.amount)
        state.families[owner.root].next_cap = event.cap + 1
    else:
        before = cap.aside
        cap.change(event.terms, event.version)
        if cap.grant is not None:
            cap.grant.aside += cap.aside - before
    state.keys.add(event.key, state.locator)


def cap_begun(state: State, event: CapBegun) -> None:
    """A new one, which knows since which entry it counts."""
    cap_set(state, event)
    state.accounts[event.account].caps_given[event.cap].since = state.locator


def attach(cap: Cap) -> None:
    """Let a cap bind."""
    cap.below.end_lane()
    cap.owner.caps_given[cap.number] = cap
    cap.below.caps = tuple(sorted([*cap.below.caps, cap], key=_number))
    if cap.grant is not None:
        cap.grant.aside += cap.aside


def _number(cap: Cap) -> int:
    return cap.number


def cap_removed(state: State, event: CapRemoved) -> None:
    owner = state.accounts[event.account]
    cap = owner.caps_given.pop(event.cap)
    cap.below.end_lane()
    cap.below.caps = tuple([each for each in cap.below.caps if each is not cap])
    if cap.grant is not None:
        cap.grant.aside -= cap.aside
    state.keys.add(event.key, state.locator)


def cap_window_opened(state: State, event: CapWindowOpened) -> None:
    cap = state.accounts[event.account].caps_given[event.cap]
    cap.open_window(event.since, event.end, state.now)


def count_draw(account: Account, grant: Grant, at: int, posted: int, pending: int) -> None:
    """A draw by an account from a grant whose owner caps some: it counts for each capped account on
    the way up. `at`: whose window it is."""
    owner = grant.account
    each: Account | None = account
    while each is not None and each is not owner:
        if each.layout is not None and draw_in_lane(each, grant, at, posted, pending):
            each = each.parent
            continue
        for cap in each.caps:
            if cap.grant is grant or (
                cap.grant is None and cap.owner is owner and cap.asset == grant.asset
            ):
                _count(cap, at, posted, pending)
        each = each.parent


def draw_in_lane(account: Account, grant: Grant, at: int, posted: int, pending: int) -> bool:
    """Count a draw where the caps of an account stand side by side; False = they do not, or not
    for this one: they stand alone then."""
    layout = account.layout
    if layout is None or layout.caps is None:
        return False
    kept, first = layout.kept, account.row + layout.first_cap
    fits = not pending and posted >= 0 and layout.since <= at < layout.end
    if fits:
        for place in range(first, first + EACH * len(layout.caps), EACH):
            if kept[place] + posted > INT64_MAX:
                fits = False
    if not fits:
        account.end_lane()
        return False
    place = first
    for drawn_of, shared_by, asset in layout.caps:
        if (
            drawn_of == grant.number
            if drawn_of
            else shared_by == grant.account.number and asset == grant.asset
        ):
            kept[place] += posted
        place += EACH
    return True


def count_back(
    state: State, account: Account, grant: Grant, at: int, units: int, original: int, line_at: int
) -> None:
    """Units are given back of a draw by the entry `original`, -1 = of several: they count less
    where they counted, for the accounts that were above then. A cap of which nothing says since
    when it counts takes those above at the entry `line_at`, whatever it had counted of them."""
    for each in state.line_at(account, line_at):
        if each is grant.account:
            break
        for cap in each.caps:
            if not cap.since and cap.binds(grant):
                _count(cap, at, -units, 0)
    for each in state.line_at(account, original if original >= 0 else line_at):
        if each is grant.account:
            return
        for cap in each.caps:
            if cap.since and cap.binds(grant) and not 0 <= original < cap.since:
                _count(cap, at, -units, 0)


def _count(cap: Cap, at: int, posted: int, pending: int) -> None:
    reserved = cap.grant if cap.terms.reserved else None
    before = cap.aside if reserved is not None else 0
    counter = cap.take_counter()
    cell = cap.cell(at) if cap.windowed else None
    if cell is not None:
        cell.posted += posted
        if pending:
            cell.pending += pending
    else:
        counter.beside_posted += posted
        counter.beside_pending += pending
        if cap.windowed:
            counter.late += posted
    if reserved is not None:
        reserved.aside += cap.aside - before
