"""Subscriptions to packages (rules P1, P3)."""

from __future__ import annotations

from ledger.core.contracts.contracts import named
from ledger.core.events import (
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    PackageTerm,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    Timing,
)
from ledger.core.evolve.accounts import set_sold
from ledger.core.evolve.moves import set_timer
from ledger.core.limits import PHASED_MAX
from ledger.core.packages.subscriptions import NextPackage, Subscription
from ledger.core.pricing.sold import NOTHING_SOLD, Sold, replaced, selling
from ledger.core.state import NEVER, TIMER_PACKAGE, Account, State


def subscribed(state: State, event: Subscribed) -> None:
    account = state.accounts[event.account]
    before = account.subscription
    subscription = account.subscription = Subscription(account, state.now)
    goes_on = before is not None and event.term.end == before.period_end
    if before is not None:
        subscription.phased = before.phased
        if goes_on:
            subscription.grants = before.grants
            if before.package == event.package:
                subscription.phase, subscription.phase_left = before.phase, before.phase_left
    subscription.follow = event.follow
    subscription.locked_until = event.locked_until
    subscription.revision = event.revision
    _begin(state, subscription, event.term, goes_on=goes_on)
    _has_since(state, account, event.term.start)
    state.try_suspended(account.root)  # what waits may have waited for it (rule B8)
    if event.key:
        state.keys.add(event.key, state.locator)


def package_changed(state: State, event: PackageChanged) -> None:
    subscription = _of(state, event.account)
    subscription.revision = event.revision
    subscription.ends_at = NEVER
    if event.term is None:
        subscription.scheduled = NextPackage(
            event.package, event.follow, event.version, event.locked_until
        )
    else:
        subscription.scheduled = None
        subscription.follow = event.follow
        subscription.locked_until = event.locked_until
        if subscription.package != event.package:
            subscription.phase, subscription.phase_left = "", 0
        _begin(state, subscription, event.term, goes_on=True)
    state.keys.add(event.key, state.locator)


def package_period_begun(state: State, event: PackagePeriodBegun) -> None:
    subscription = _of(state, event.account)
    following = subscription.scheduled
    if following is not None:
        subscription.follow = following.follow
        subscription.locked_until = following.locked_until
        subscription.scheduled = None
    subscription.phase_left -= 1 if subscription.phase else 0
    if not subscription.phase_left or subscription.package != event.term.package:
        subscription.phase, subscription.phase_left = "", 0
    _begin(state, subscription, event.term, goes_on=False)


def package_phase_begun(state: State, event: PackagePhaseBegun) -> None:
    subscription = _of(state, event.account)
    subscription.phase, subscription.phase_left = event.phase, event.periods
    if subscription.package not in subscription.phased:
        subscription.phased = (*subscription.phased, subscription.package)[-PHASED_MAX:]


def subscription_cancelled(state: State, event: SubscriptionCancelled) -> None:
    subscription = _of(state, event.account)
    subscription.revision = event.revision
    subscription.ends_at = event.ends_at
    subscription.scheduled = None
    if event.timing == Timing.NOW:
        subscription.minted = event.minted
        contract = named(subscription.account, subscription.contract)
        _end(subscription, contract.until if contract is not None else event.ends_at)
    if event.key:
        state.keys.add(event.key, state.locator)


def subscription_ended(state: State, event: SubscriptionEnded) -> None:
    _end(_of(state, event.account), event.ends_at)


def package_prices_set(state: State, event: PackagePricesSet) -> None:
    account = state.accounts[event.account]
    family = state.families[account.root]
    before, sold = state.corrected_before, account.sold or NOTHING_SOLD
    set_sold(
        state,
        account,
        Sold(
            replaced(sold.package, event.overrides, event.at, before),
            sold.contract,
            selling(sold.products, event.products, event.at, before),
        ),
    )
    for each in event.overrides:
        family.next_override = max(family.next_override, each.number + 1)
    state.try_suspended(account.root)  # they may price what waits (rule B8)


def _of(state: State, account: int) -> Subscription:
    subscription = state.accounts[account].subscription
    assert subscription is not None, account
    return subscription


def _end(subscription: Subscription, until: int) -> None:
    subscription.over = True
    subscription.issues = ()
    subscription.policy = ()
    *before, (since, _) = subscription.account.packaged
    last = ((since, until),) if since < until else ()
    subscription.account.packaged = (*before, *last)


def _has_since(state: State, account: Account, since: int) -> None:
    """It has a package from then on; times that no late usage may ask for are forgotten."""
    kept = [each for each in account.packaged if each[1] > state.corrected_before]
    if kept and since <= kept[-1][1]:
        since = min(since, kept.pop()[0])
    account.packaged = (*kept, (since, NEVER))


def _begin(state: State, subscription: Subscription, term: PackageTerm, *, goes_on: bool) -> None:
    """Stand in that period; `goes_on`: it was begun before, and has granted something."""
    issued = tuple([each.grant for each in term.issues if each.grant])
    subscription.package = term.package
    subscription.version = term.version
    subscription.anchor = term.anchor
    subscription.period_start = term.start
    subscription.period_end = term.end
    subscription.full = term.full
    subscription.issues = term.issues
    subscription.grants = (*subscription.grants, *issued) if goes_on else issued
    subscription.minted = term.minted
    subscription.policy = term.policy
    set_timer(state, subscription.account, term.end, TIMER_PACKAGE, subscription.account.number)
