"""Subscriptions to packages: one an account, each period once, nothing minted twice (P1, P3)."""

from __future__ import annotations

from ledger.core.contracts.contracts import ContractState
from ledger.core.events import (
    Minted,
    OldGrants,
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    PackageTerm,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    TakenBack,
    Timing,
)
from ledger.core.packages.subscriptions import Subscription
from ledger.core.state import NEVER, Account, State
from ledger.verify.rules.budgets import of_package
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_numbers
from ledger.verify.rules.period_bound import look_at_bound
from rating.rounding import ROUND_HALF_EVEN, rounded


def subscribed(judge: Judge, state: State, event: Subscribed) -> None:
    """Of an open account without one; within the period of an earlier one it is its rest."""
    account = state.accounts[event.account]
    before = account.subscription
    judge.equal(state, "subscription of a closed account", 0, account.closed_at)
    starts = {state.now} if event.key else {each.starts_at for each in account.contracts}
    if event.term.start not in starts:
        judge.wrong(state, "start of the subscription", sorted(starts), event.term.start)
    revision = 1
    minted: tuple[Minted, ...] = ()
    if before is not None:
        revision = before.revision + 1
        judge.equal(state, "earlier subscription over", True, before.over)
        if not event.key:  # by a contract, in periods of its own (rule P5)
            period = (before.period_end - before.full, before.period_end)
            goes_on = event.term.start < period[1] and (
                before.contract != "" or _left_one(account, *period)
            )
            minted = before.minted if goes_on else ()
        elif state.now < before.period_end:
            judge.equal(state, "end of the period", before.period_end, event.term.end)
            minted = before.minted
    judge.equal(state, "version of the subscription", revision, event.revision)
    _look_at_term(judge, state, account, event.term, minted)
    look_at_bound(judge, state, account, event, event.term, minted)


def _left_one(account: Account, start: int, end: int) -> bool:
    """Whether a contract that the account had ended within a period that it had begun."""
    return any(
        each.starts_at <= each.ended_at and start + (each.ended_at == each.ends_at) <= each.ended_at
        for each in account.contracts
        if each.state == ContractState.ENDED and each.ended_at < end
    )


def package_changed(judge: Judge, state: State, event: PackageChanged) -> None:
    subscription = _running(judge, state, event.account, event.revision)
    if subscription is not None:
        judge.equal(state, "contract of a package that changes", "", subscription.contract)
    judge.equal(state, "change now", event.timing == Timing.NOW, event.term is not None)
    if subscription is None or event.term is None:
        judge.equal(state, "taken back", (), event.taken)
        return
    judge.equal(state, "start of the rest", state.now, event.term.start)
    judge.equal(state, "end of the period", subscription.period_end, event.term.end)
    judge.equal(state, "length of the period", subscription.full, event.term.full)
    _look_at_taken(judge, state, subscription, event.old_grants, event.taken)
    minted = _without(judge, state, subscription, event.taken)
    _look_at_term(judge, state, subscription.account, event.term, minted)
    look_at_bound(judge, state, subscription.account, None, event.term, minted)


def package_period_begun(judge: Judge, state: State, event: PackagePeriodBegun) -> None:
    """Follows the period before without gap, once it is due, unless the subscription ends."""
    subscription = state.accounts[event.account].subscription
    if subscription is None or subscription.over or subscription.ends_at != NEVER:
        judge.wrong(state, "period of a package", "of a subscription that goes on", event.term)
        return
    judge.equal(state, "start of the package's period", subscription.period_end, event.term.start)
    if event.term.start > state.now:
        judge.wrong(state, "package's period", f"due at {event.term.start}", state.now)
    _look_at_term(judge, state, subscription.account, event.term, ())
    look_at_bound(judge, state, subscription.account, event, event.term, ())


def subscription_cancelled(judge: Judge, state: State, event: SubscriptionCancelled) -> None:
    subscription = _running(judge, state, event.account, event.revision)
    if subscription is None:
        return
    now = event.timing == Timing.NOW
    ends_at = state.now if now else subscription.period_end
    judge.equal(state, "end of the subscription", ends_at, event.ends_at)
    _look_at_taken(judge, state, subscription, event.old_grants, event.taken)
    if now:
        minted = _without(judge, state, subscription, event.taken)
        judge.equal(state, "granted by the period", minted, event.minted)
        if event.key:  # else a contract's package may come in its place, and take them over
            _look_for_budgets(judge, state, subscription.account)
            _look_for_charges(judge, state, subscription.account, event.ends_at)


def subscription_ended(judge: Judge, state: State, event: SubscriptionEnded) -> None:
    subscription = state.accounts[event.account].subscription
    if subscription is None or subscription.over:
        judge.wrong(state, "end of a subscription", "of one that runs", event.ends_at)
        return
    judge.equal(state, "end of the subscription", subscription.ends_at, event.ends_at)
    if event.ends_at > state.now:
        judge.wrong(state, "end of a subscription", f"due at {event.ends_at}", state.now)
    _look_for_budgets(judge, state, subscription.account)
    _look_for_charges(judge, state, subscription.account, event.ends_at)


def package_phase_begun(judge: Judge, state: State, event: PackagePhaseBegun) -> None:
    """With a period, or what is left of one, of a package that runs (rule P4)."""
    subscription = state.accounts[event.account].subscription
    if subscription is None or subscription.over:
        judge.wrong(state, "phase of a package", "of a subscription that runs", event.phase)
        return
    judge.equal(state, "start of the phase", subscription.period_start, event.at)
    judge.equal(state, "phase that ends", bool(event.phase), event.periods > 0)
    goes_on = (event.phase, event.periods) == (subscription.phase, subscription.phase_left)
    if goes_on and event.phase:
        judge.wrong(state, "phase", f"another than {subscription.phase!r}", event.phase)


def package_prices_set(judge: Judge, state: State, event: PackagePricesSet) -> None:
    """Prices change with a package: now, or where the period that runs ends (rules P1, R4)."""
    account = state.accounts[event.account]
    subscription = account.subscription
    times = {state.now}
    if subscription is not None and not subscription.over:
        times |= {subscription.period_end, subscription.ends_at}
    for each in account.contracts:
        times |= {each.starts_at, each.ends_at}
    if event.at > state.now or event.at not in times:
        judge.wrong(state, "time of a package's prices", f"one of {sorted(times)}", event.at)
    layer = account.sold.package if account.sold is not None else ()
    look_at_numbers(judge, state, account, layer, event.overrides, event.at)
    judge.equal(state, "products sold", tuple(sorted(set(event.products))), event.products)


def _running(judge: Judge, state: State, number: int, revision: int) -> Subscription | None:
    subscription = state.accounts[number].subscription
    if subscription is None or subscription.over:
        judge.wrong(state, "subscription", "one that runs", "none")
        return None
    judge.equal(state, "version of the subscription", subscription.revision + 1, revision)
    return subscription


def _without(
    judge: Judge, state: State, subscription: Subscription, taken: tuple[TakenBack, ...]
) -> tuple[Minted, ...]:
    """What the period has granted without what was taken back, of its own grants."""
    released = {each.asset: each.released for each in subscription.minted}
    for each in taken:
        if each.grant not in subscription.grants or each.amount <= 0:
            judge.wrong(state, "units taken back", "of a grant of the period", each)
            continue
        released[state.grants[each.grant].asset] -= each.amount
    return tuple(
        [Minted(each.asset, released[each.asset], each.largest) for each in subscription.minted]
    )


def _look_at_taken(
    judge: Judge,
    state: State,
    subscription: Subscription,
    old_grants: OldGrants,
    taken: tuple[TakenBack, ...],
) -> None:
    """Nothing of what is kept; of what is prorated no more than the share of the time that is left,
    with all that was taken back of the grant before (rules P3, S1)."""
    if old_grants == OldGrants.KEEP:
        judge.equal(state, "units taken back", (), taken)
    if old_grants != OldGrants.PRORATE:
        return
    left = max(0, subscription.period_end - state.now)
    for part in taken:
        grant = state.grants.get(part.grant)
        if grant is None or not left:
            judge.wrong(state, "units taken back", "of a grant of a period that runs", part)
            continue
        lasts = subscription.period_end - grant.effective_at
        most = rounded(grant.amount * left, lasts, ROUND_HALF_EVEN)
        if grant.unused > most:
            what = f"units taken back of grant {grant.number}"
            judge.wrong(state, what, f"{most} at most", grant.unused)


def _look_at_term(
    judge: Judge, state: State, account: Account, term: PackageTerm, before: tuple[Minted, ...]
) -> None:
    """A share of the time, grants that are there, and of no asset more than the largest package of
    the period gives (rules S1, P3)."""
    if not term.start < term.end:
        judge.wrong(state, "package's period", f"after {term.start}", term.end)
    if not 0 < term.remaining <= term.full:
        judge.wrong(state, "share of the package's period", f"1 to {term.full}", term.remaining)
    judge.equal(state, "rest of the package's period", term.end - term.start, term.remaining)
    released = {each.asset: each.released for each in before}
    for issued in term.issues:
        if not issued.grant:
            judge.equal(state, f"amount of {issued.name!r}", 0, issued.amount)
            continue
        grant = state.grants[issued.grant]
        judge.equal(
            state,
            f"grant {issued.grant}",
            (account.number, issued.amount, issued.price_paid, term.start),
            (grant.account.number, grant.amount, grant.price_paid, grant.effective_at),
        )
        released[grant.asset] = released.get(grant.asset, 0) + issued.amount
    largest = {each.asset: each.largest for each in before}
    found = {each.asset: each.released for each in term.minted}
    judge.equal(
        state,
        "granted by the period",
        {asset: units for asset, units in sorted(released.items()) if units},
        {asset: units for asset, units in sorted(found.items()) if units},
    )
    for each in term.minted:
        if not 0 <= each.released <= each.largest:
            judge.wrong(state, f"asset {each.asset}", f"{each.largest} at most", each.released)
        if each.largest < largest.get(each.asset, 0):
            judge.wrong(state, "largest package", largest[each.asset], each.largest)


def _look_for_budgets(judge: Judge, state: State, account: Account) -> None:
    """Those of a package go before it does (rule P1)."""
    for budget in account.budgets:
        if of_package(budget):
            judge.wrong(state, "budget of a package that ends", "none", budget.name)


def _look_for_charges(judge: Judge, state: State, account: Account, at: int) -> None:
    """What a package charges every period ends before it does, or with it (rule P1)."""
    for charge in account.charges:
        if charge.packaged and charge.recurs and charge.ends_at > at:
            judge.wrong(state, "charge of a package that ends", f"by {at}", charge.name)
