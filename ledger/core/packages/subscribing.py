"""Deciding subscriptions to packages: begun, changed, cancelled, and each period (rules P1 to P4).

Versions are looked up here alone, in the catalog; what they grant stands in the entries. Reads
state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import known_account, open_account
from ledger.core.commands import CancelSubscription, ChangePackage, Subscribe
from ledger.core.contracts.contracts import running
from ledger.core.events import (
    Event,
    Follow,
    PackageChanged,
    PackagePeriodBegun,
    PackageTerm,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    TakenBack,
    Timing,
)
from ledger.core.limits import ANCHOR_MAX_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.package_budgets import end_budgets
from ledger.core.packages.package_charges import end_charges
from ledger.core.packages.package_operations import end_operations
from ledger.core.packages.package_rules import end_rules
from ledger.core.packages.package_seats import end_seats
from ledger.core.packages.package_terms import (
    begin,
    begin_phase,
    clipped,
    period_from,
    rest_of,
    set_policy,
    set_prices,
    take_back,
    unfit,
    without,
)
from ledger.core.packages.packaged import PackageVersion, newest_at, version_of
from ledger.core.packages.phases import Terms, begun, following, present
from ledger.core.packages.subscriptions import Subscription
from ledger.core.state import Account, State

# -- what may be asked -----------------------------------------------------------------------------


def decide_subscribe(state: State, command: Subscribe, out: list[Event]) -> Event | Known | Refusal:
    """Have the account have a package from now on. Within the period of one that was cancelled it
    is the rest of that period, and what that granted counts (rule P3)."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    before = account.subscription
    if before is not None and not before.over:
        return Refusal(
            Reason.SUBSCRIBED_ALREADY,
            "account",
            before.package,
            f"the account has the package {before.package!r}; change it, or cancel it first",
        )
    found = _asked(state, account, command)
    if isinstance(found, Refusal):
        return found
    now = state.now
    had = before.phased if before is not None else ()
    refusal: Refusal | None = None
    was = ("", 0)
    if before is not None and now < before.period_end:
        if before.package == command.package:
            terms = present(found, before)
            was = (before.phase, before.phase_left)
        else:
            terms = begun(found, command.package, had)
        refusal = _other_length(state, before, terms)
        part = rest_of(before, now, before.minted)
    else:
        terms = begun(found, command.package, had)
        part = period_from(account, terms, now, now)
    refusal = refusal or unfit(state, account, terms, ())
    if refusal is not None:
        return refusal
    term = begin(state, account, command.package, terms, part, (), out)
    subscribed = Subscribed(
        command.key,
        account.number,
        command.package,
        command.follow,
        command.version,
        command.locked_until,
        (before.revision if before is not None else 0) + 1,
        term,
        command.trace,
    )
    out.append(subscribed)
    begin_phase(account, terms, term.start, was, out)
    return subscribed


def decide_change_package(
    state: State, command: ChangePackage, out: list[Event]
) -> Event | Known | Refusal:
    """Another package or version, now or from the next period on; rollovers, advances, totals and
    everything else of the account stay as they are (rule P3)."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    subscription = _running(account, command.expected_version)
    if isinstance(subscription, Refusal):
        return subscription
    found = _asked(state, account, command)
    if isinstance(found, Refusal):
        return found
    same = command.package == subscription.package
    if same:
        terms = present(found, subscription)
    else:
        terms = begun(found, command.package, subscription.phased)
    refusal = unfit(state, account, terms, subscription.policy)
    if refusal is None and command.timing == Timing.NOW:
        refusal = _other_length(state, subscription, terms)
    if refusal is not None:
        return refusal
    taken: tuple[TakenBack, ...] = ()
    term: PackageTerm | None = None
    if command.timing == Timing.NOW:
        taken = take_back(state, subscription, command.old_grants, out)
        part = rest_of(subscription, state.now, without(state, subscription.minted, taken))
        term = begin(state, account, command.package, terms, part, subscription.policy, out)
    changed = PackageChanged(
        command.key,
        account.number,
        command.package,
        command.follow,
        command.version,
        command.locked_until,
        command.timing,
        command.old_grants,
        subscription.revision + 1,
        command.expected_version,
        taken,
        term,
        command.trace,
    )
    out.append(changed)
    if term is not None:
        was = (subscription.phase, subscription.phase_left) if same else ("", 0)
        begin_phase(account, terms, term.start, was, out)
    return changed


def decide_cancel_subscription(
    state: State, command: CancelSubscription, out: list[Event]
) -> Event | Known | Refusal:
    """End it with the period, or now: then what the period granted is kept, or taken back."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    subscription = _running(account, command.expected_version)
    if isinstance(subscription, Refusal):
        return subscription
    ends_at, minted = subscription.period_end, subscription.minted
    taken: tuple[TakenBack, ...] = ()
    if command.timing == Timing.NOW:
        ends_at = state.now
        taken = take_back(state, subscription, command.old_grants, out)
        minted = without(state, minted, taken)
        end_charges(state, account, ends_at, out)
        set_policy(state, account, None, subscription.policy, out)
        set_prices(state, account, None, ends_at, out)
        end_rules(account, out)
        end_operations(account, out)
        end_seats(account, out)
        end_budgets(account, out)
    cancelled = SubscriptionCancelled(
        command.key,
        account.number,
        command.timing,
        command.old_grants,
        ends_at,
        subscription.revision + 1,
        command.expected_version,
        taken,
        minted if command.timing == Timing.NOW else (),
        command.trace,
    )
    out.append(cancelled)
    return cancelled


# -- what time does --------------------------------------------------------------------------------


def carry_on(state: State, subscription: Subscription, out: list[Event]) -> None:
    """Begin the next period of a subscription, or end it with the one that is over (rule P1).

    A version that does not fit any more, for its rate card's asset is owed in, leaves things as
    they are: the present one goes on.
    """
    account = subscription.account
    if subscription.ends_at <= subscription.period_end:
        end_charges(state, account, subscription.ends_at, out)
        set_policy(state, account, None, subscription.policy, out)
        set_prices(state, account, None, subscription.ends_at, out)
        end_rules(account, out)
        end_operations(account, out)
        end_seats(account, out)
        end_budgets(account, out)
        out.append(SubscriptionEnded(account.number, subscription.ends_at))
        return
    start = subscription.period_end
    name, found = _following(state, subscription, start)
    terms = _terms_of(name, found, subscription)
    if unfit(state, account, terms, subscription.policy) is not None:
        name, terms = subscription.package, following(_present(state, subscription), subscription)
    anchor = subscription.anchor
    if terms.length != present(_present(state, subscription), subscription).length:
        anchor = start
    part = period_from(account, terms, anchor, start)
    contract = running(account) if subscription.contract else None
    if contract is not None:
        part = clipped(part, contract.ends_at)
    term = begin(state, account, name, terms, part, subscription.policy, out)
    out.append(PackagePeriodBegun(account.number, term))
    left = subscription.phase_left - 1
    goes_on = name == subscription.package and subscription.phase and left > 0
    was = (subscription.phase, left) if goes_on else ("", 0)
    begin_phase(account, terms, start, was, out, subscription.phase)


def _terms_of(name: str, found: PackageVersion, subscription: Subscription) -> Terms:
    """By which terms its next period goes: the phase goes on, or the next begins, or the first of
    another package (rule P4)."""
    if name == subscription.package:
        return following(found, subscription)
    return begun(found, name, subscription.phased)


def _following(state: State, subscription: Subscription, start: int) -> tuple[str, PackageVersion]:
    """By what the period from `start` on goes: what was asked for then, else by what it follows."""
    scheduled = subscription.scheduled
    if scheduled is not None:
        name, follow, version, until = scheduled
    else:
        name, version = subscription.package, subscription.version
        follow, until = subscription.follow, subscription.locked_until
    pinned = follow == Follow.PIN or (follow == Follow.FOLLOW_AFTER and start < until)
    versions = state.catalog.packages.get((subscription.account.tenant, name), [])
    found = version_of(versions, version) if pinned and version else newest_at(versions, start)
    if found is None:
        return subscription.package, _present(state, subscription)
    return name, found


def _present(state: State, subscription: Subscription) -> PackageVersion:
    place = (subscription.account.tenant, subscription.package)
    found = version_of(state.catalog.packages[place], subscription.version)
    assert found is not None, (place, subscription.version)
    return found


# -- checks ----------------------------------------------------------------------------------------


def _running(account: Account, expected_version: int) -> Subscription | Refusal:
    subscription = account.subscription
    if subscription is None or subscription.over:
        return Refusal(
            Reason.NOT_SUBSCRIBED,
            "account",
            str(account.number),
            "the account has no package now; subscribe it to one",
        )
    if subscription.contract:
        return Refusal(
            Reason.CONTRACT_RUNS,
            "account",
            subscription.contract,
            f"the account has the package by its contract {subscription.contract!r}; amend that, "
            "or end it",
        )
    if expected_version and expected_version != subscription.revision:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(subscription.revision),
            f"the subscription is at version {subscription.revision}, not {expected_version}; "
            "read it again",
        )
    return subscription


def _asked(
    state: State, account: Account, command: Subscribe | ChangePackage
) -> PackageVersion | Refusal:
    """The version that is asked for, that is in force, or why there is none."""
    now = state.now
    if (command.follow == Follow.FOLLOW_AFTER) != bool(command.locked_until) or (
        command.locked_until and not now < command.locked_until <= ANCHOR_MAX_US
    ):
        return Refusal(
            Reason.LOCK_INVALID,
            "locked_until_us",
            str(command.locked_until),
            f"whoever follows after an instant names it, after now and by {ANCHOR_MAX_US}; nobody "
            "else does",
        )
    if command.version and command.follow == Follow.FOLLOW:
        return Refusal(
            Reason.LOCK_INVALID,
            "package_version",
            str(command.version),
            "whoever follows goes by the newest version; pin this one, or follow after an instant",
        )
    versions = state.catalog.packages.get((account.tenant, command.package))
    if not versions:
        return Refusal(
            Reason.PACKAGE_UNKNOWN,
            "package",
            command.package,
            "no such package is published; publish it, or name another",
        )
    if command.version:
        found = version_of(versions, command.version)
        known = ", ".join([str(each.version) for each in versions[-10:]])
        message = f"the package has no such version; its last ones are {known}"
        field, value = "package_version", str(command.version)
    else:
        found = newest_at(versions, now)
        message = f"no version of the package is in force before {versions[0].effective_from_us}"
        field, value = "package", command.package
    if found is None:
        return Refusal(Reason.PACKAGE_VERSION_UNKNOWN, field, value, message)
    return found


def _other_length(state: State, subscription: Subscription, terms: Terms) -> Refusal | None:
    """A period that has begun is not made longer or shorter: its grants are by its time."""
    if present(_present(state, subscription), subscription).length == terms.length:
        return None
    return Refusal(
        Reason.PACKAGE_PERIOD_DIFFERS,
        "package",
        str(subscription.period_end),
        "its periods are of another length than the one that runs until this instant; change with "
        "the end of the period, or subscribe then",
    )
