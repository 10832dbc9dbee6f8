"""Accounts: created, under another policy, closed, reopened, frozen."""

from __future__ import annotations

from typing import Final

from ledger.core.catalog import CardKey
from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicy,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    Comparator,
    WriteOffKind,
)
from ledger.core.evolve.holds import settle
from ledger.core.evolve.moves import debt_of, retire, set_timer
from ledger.core.limits import CARDS_BEFORE_MAX, CARDS_KEPT_US
from ledger.core.periods import Calendar, Zones, anchored_from, counting_from
from ledger.core.pricing.sold import NOTHING_SOLD, Sold
from ledger.core.state import (
    GRANT_EXPIRED,
    GRANT_OPEN,
    HOLD_RELEASED,
    NEVER,
    TIMER_GRANT,
    Account,
    Family,
    State,
    inherited_zone,
)
from rating.overrides import Layer, OverrideSet

_DRAWDOWN: Final = int(Comparator.DRAWDOWN_1)


def account_created(state: State, event: AccountCreated) -> None:
    parent = state.accounts[event.parent] if event.parent else None
    account = Account(
        event.tenant,
        event.account,
        event.root,
        parent,
        event.policy,
        inherited_card(
            state, event.tenant, parent, event.policy, inherited_overrides(parent, (), None)
        ),
        inherited_comparator(parent, event.policy),
        inherited_calendar(state, parent, event.policy),
        state.now,
    )
    account.profile_at = state.locator
    state.accounts[event.account] = account
    if parent is None:
        state.families[event.root] = Family(event.root)
    else:
        parent.children.append(account)
    state.keys.add(event.key, state.locator)
    if event.tenant in state.minimums_from:
        state.await_minimums(account)
    state.await_statement(account)


def inherited_card(
    state: State,
    tenant: int,
    parent: Account | None,
    policy: AccountPolicy,
    overrides: OverrideSet | None,
) -> CardKey:
    """A child is priced by its own card, else its nearest ancestor's (rule D8), under the overrides
    that count for it (rule R4)."""
    above = parent.card_key if parent is not None else (tenant, "default")
    name = policy.rate_card or above[1]
    if overrides is None:
        return state.card_key(tenant, name)
    if parent is not None and overrides is parent.override_set and name == above[1]:
        return above
    return (tenant, name, overrides)


def inherited_overrides(
    parent: Account | None, own: Layer, sold: Sold | None
) -> OverrideSet | None:
    """A contract's overrides stand before an account's own, those before its package's, and all of
    them before those of its ancestors, the nearest first (rule R4); what is sold to an ancestor is
    sold to it too (rule P2)."""
    above = parent.override_set if parent is not None else None
    if sold is not None:
        layers = tuple([layer for layer in (sold.contract, own, sold.package) if layer])
        products = sold.products
    elif own:
        layers, products = (own,), ()
    else:
        return above
    if above is None:
        return OverrideSet(layers, products)
    return OverrideSet((*layers, *above.layers), (*products, *above.sold))


def inherited_comparator(parent: Account | None, policy: AccountPolicy) -> int:
    """A child's grants are ordered by its own comparator, else its nearest ancestor's (rule D2)."""
    if policy.comparator:
        return int(policy.comparator)
    return parent.comparator if parent is not None else _DRAWDOWN


def inherited_calendar(state: State, parent: Account | None, policy: AccountPolicy) -> Calendar:
    """The months of an account that is opened with this policy."""
    if policy.zone or parent is None:
        return state.calendar(((0, inherited_zone(parent, policy)),))
    return parent.calendar


def change_zone(state: State, account: Account, event: AccountPolicyUpdated | AccountMoved) -> None:
    """Let the account's zone count for those that have it, from the instants in the event."""
    zone = inherited_zone(account.parent, account.policy)
    elsewhere = dict(event.zone_from_below)
    calendars: dict[Zones, Calendar] = {}  # shared by those that count alike
    for each in account.in_its_zone():
        since = elsewhere.get(each.number, event.zone_from)
        zones = counting_from(each.calendar.zones, zone, since)
        if zones not in calendars:
            calendars[zones] = state.calendar(zones)
        each.count_periods(each.anchors, calendars[zones])


def _set_breakage(state: State, account: Account) -> None:
    """Another grace ends at other instants: time the breakage of the account's grants (rule T3)."""
    for grant in account.grants:
        if grant.expires_at != NEVER and grant.settled == GRANT_OPEN:
            set_timer(state, account, grant.breaks_at, TIMER_GRANT, grant.number)


def set_overrides(state: State, account: Account, own: Layer) -> None:
    """Let the account have these overrides, and those below it inherit them."""
    account.overrides = own
    account.override_set = inherited_overrides(account.parent, own, account.sold)
    inherit(state, account)


def set_sold(state: State, account: Account, sold: Sold) -> None:
    """Let the account's package and contract say this of its prices, also for those below it."""
    account.sold = sold if sold != NOTHING_SOLD else None
    account.override_set = inherited_overrides(account.parent, account.overrides, account.sold)
    inherit(state, account)


def inherit(state: State, account: Account) -> None:
    """Work out anew what the account and those below it inherit, as far down as it changes."""
    overrides = account.override_set
    card_key = inherited_card(state, account.tenant, account.parent, account.policy, overrides)
    comparator = inherited_comparator(account.parent, account.policy)
    if card_key == account.card_key and comparator == account.comparator:
        return
    if comparator != account.comparator:
        for grant in account.grants:
            grant.order = None
        account.unordered = True
    if card_key[1] != account.card_key[1] and account.tenant in state.minimums_from:
        _note_card(state, account)
    account.card_key, account.comparator = card_key, comparator
    for child in account.children:
        above = account.override_set
        if child.override_set is not above:
            child.override_set = inherited_overrides(account, child.overrides, child.sold)
        inherit(state, child)


def _note_card(state: State, account: Account) -> None:
    """It has another card from now on: minimums of what runs, and of what ended and is not settled,
    go by the time that it had each (rules R2, S1)."""
    kept = [each for each in account.cards_before if each[0] > state.now - CARDS_KEPT_US]
    if not kept or kept[-1][0] < state.now:
        kept.append((state.now, account.card_key[1]))
    account.cards_before = tuple(kept[-CARDS_BEFORE_MAX:])


def account_policy_updated(state: State, event: AccountPolicyUpdated) -> None:
    account = state.accounts[event.account]
    closed_by, grace = account.closed_by(state.now), account.policy.period_grace
    account.policy = event.policy
    account.version = event.version
    if event.policy.period_grace != grace:
        account.closed_until = closed_by  # for ever, whatever the grace is now
        _set_breakage(state, account)
    card_key = account.card_key
    inherit(state, account)
    if account.card_key != card_key:
        state.try_suspended(account.root)  # the other card may have prices (rule B8)
    if event.zone_from:
        change_zone(state, account, event)
    if event.anchor_from:
        anchors = anchored_from(account.anchors, event.policy.billing_anchor, event.anchor_from)
        account.count_periods(anchors, account.calendar)
    if account.tenant in state.minimums_from:
        state.await_minimums(account)
    for each in account.in_its_zone() if event.zone_from else (account,):
        state.await_statement(each)
    state.await_gauges(account)
    if event.key:  # not where it follows from a package
        state.keys.add(event.key, state.locator)


def account_closed(state: State, event: AccountClosed) -> None:
    account = state.accounts[event.account]
    account.closed_at = event.closed_at
    account.minimums_due = NEVER  # of open accounts alone
    state.await_gauges(account)
    account.find_open_from()
    state.await_statement(account)
    state.keys.add(event.key, state.locator)


def account_closed_out(state: State, event: AccountClosedOut) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    for number in event.holds:
        settle(state, state.holds[number], HOLD_RELEASED)
    for each in event.write_offs:
        state.books.transfer(books[each.debit], books[each.credit], each.amount)
        if each.kind == WriteOffKind.GRANT:
            grant = state.grants[each.grant]
            grant.settled = GRANT_EXPIRED
            grant.unused += each.amount
            retire(grant)
        elif each.kind == WriteOffKind.BREAKAGE:
            state.grants[each.grant].returned += each.amount
        elif each.kind == WriteOffKind.ADVANCE:
            debt_of(state, books[each.credit]).repay("", each.amount, state.locator)
        if each.kind not in (WriteOffKind.GRANT, WriteOffKind.BREAKAGE):
            account.written_off = state.locator
    if account.written_off == state.locator:
        _forget_written_off(account)
    account.closed_at = event.closed_at
    account.minimums_due = NEVER
    state.await_gauges(account)
    account.find_open_from()
    state.await_statement(account)
    state.keys.add(event.key, state.locator)


def _forget_written_off(account: Account) -> None:
    """What is owed no more is not given back either, to the account or to those below that it is
    billed for."""
    debts = {book.number for book in (*account.advance.values(), *account.overage.values())}
    below = [account]
    for each in below:
        below.extend(each.children)
        rows = {
            place: {part: units for part, units in drawn.items() if part[1] not in debts}
            for place, drawn in each.row_draws.items()
        }
        each.row_draws = {place: drawn for place, drawn in rows.items() if drawn}


def account_reopened(state: State, event: AccountReopened) -> None:
    """What it was closed for stays refused; older usage than the window needs no look (rule I4)."""
    account = state.accounts[event.account]
    gaps = [gap for gap in account.gaps if gap[1] > state.window_start]
    account.gaps = (*gaps, (account.closed_at, state.now))
    account.reopened_at = state.now
    account.closed_at = 0
    account.find_open_from()
    if account.tenant in state.minimums_from:
        state.await_minimums(account)
    state.await_statement(account)
    state.await_gauges(account)
    state.try_suspended(account.root)
    state.keys.add(event.key, state.locator)


def account_frozen(state: State, event: AccountFrozen) -> None:
    account = state.accounts[event.account]
    account.frozen_at = state.now
    account.frozen_by = state.locator
    account.freeze_cause = int(event.cause)
    inherit_frozen(account)
    if event.key:
        state.keys.add(event.key, state.locator)


def account_unfrozen(state: State, event: AccountUnfrozen) -> None:
    account = state.accounts[event.account]
    account.frozen_at = account.frozen_by = account.freeze_cause = 0
    inherit_frozen(account)
    state.keys.add(event.key, state.locator)


def inherit_frozen(account: Account) -> None:
    """An account is frozen if it or one above it is (rule I2): as far down as that changes."""
    parent = account.parent
    account.frozen = account.frozen_at > 0 or (parent is not None and parent.frozen)
    account.find_open_from()
    for child in account.children:
        if child.frozen != (child.frozen_at > 0 or account.frozen):
            inherit_frozen(child)


def account_profile_updated(state: State, event: AccountProfileUpdated) -> None:
    account = state.accounts[event.account]
    account.profile_version = event.version
    account.profile_at = state.locator
    state.keys.add(event.key, state.locator)
