"""Deciding subscriptions to packages: begun, changed, cancelled, and each period (rules P1 to P3).

Versions are looked up here alone, in the catalog; what they grant stands in the entries. A period
grants its packages' grants by the time that is left of it (rule S1), and of each asset never more
than the largest of them grants for the whole: flipping plans mints nothing. Reads state, changes
nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.core.accounts import invalid_policy
from ledger.core.admission import known_account, open_account
from ledger.core.commands import CancelSubscription, ChangePackage, IssueGrant, Subscribe
from ledger.core.events import (
    AccountPolicy,
    AccountPolicyUpdated,
    Event,
    Follow,
    Minted,
    OldGrants,
    PackageChanged,
    PackageIssue,
    PackagePeriodBegun,
    PackagePricesSet,
    PackageTerm,
    PolicyPart,
    Rollover,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    TakenBack,
    Timing,
)
from ledger.core.grants import invalid_grant, issue, reduced, void_of
from ledger.core.limits import (
    ANCHOR_MAX_US,
    EXPIRES_AFTER_MAX_US,
    OVERRIDES_REMEMBERED_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.overrides import newest_of, numbered_as, overrides_invalid
from ledger.core.package_policy import policy_under
from ledger.core.packaged import (
    KINDS,
    UNITS,
    Package,
    PackagedGrant,
    PackageVersion,
    newest_at,
    version_of,
)
from ledger.core.periods import Cycle, prorated
from ledger.core.sold import NOTHING_SOLD, products_sold, standing
from ledger.core.state import Account, State
from ledger.core.subscriptions import Subscription
from rating.override_faults import override_faults


class _Part(NamedTuple):
    """A period, or what is left of one, and what it granted before by asset: released, largest."""

    anchor: int
    start: int
    end: int
    full: int
    minted: tuple[Minted, ...]


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
    if before is not None and now < before.period_end:
        refusal = _other_length(state, account, before, found.package)
        part = _rest_of(before, now, before.minted)
    else:
        refusal = None
        start, end = _cycle(account, found.package, now).period_of(now)
        part = _Part(now, now, end, end - start, ())
    refusal = refusal or _unfit(state, account, found.package, ())
    if refusal is not None:
        return refusal
    term = _begin(state, account, command.package, found, part, (), out)
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
    refusal = _unfit(state, account, found.package, subscription.policy)
    if refusal is None and command.timing == Timing.NOW:
        refusal = _other_length(state, account, subscription, found.package)
    if refusal is not None:
        return refusal
    taken: tuple[TakenBack, ...] = ()
    term: PackageTerm | None = None
    if command.timing == Timing.NOW:
        taken = _take_back(state, subscription, command.old_grants, out)
        part = _rest_of(subscription, state.now, _without(state, subscription.minted, taken))
        term = _begin(state, account, command.package, found, part, subscription.policy, out)
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
        taken = _take_back(state, subscription, command.old_grants, out)
        minted = _without(state, minted, taken)
        _set_policy(state, account, None, subscription.policy, out)
        _set_prices(state, account, None, ends_at, out)
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
        _set_policy(state, account, None, subscription.policy, out)
        _set_prices(state, account, None, subscription.ends_at, out)
        out.append(SubscriptionEnded(account.number, subscription.ends_at))
        return
    start = subscription.period_end
    name, found = _following(state, subscription, start)
    if _unfit(state, account, found.package, subscription.policy) is not None:
        name, found = subscription.package, _present(state, subscription)
    anchor = subscription.anchor
    if _length(found.package) != _length(_present(state, subscription).package):
        anchor = start
    cycle_start, end = _cycle(account, found.package, anchor).period_of(start)
    part = _Part(anchor, start, end, end - cycle_start, ())
    term = _begin(state, account, name, found, part, subscription.policy, out)
    out.append(PackagePeriodBegun(account.number, term))


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


def _other_length(
    state: State, account: Account, subscription: Subscription, package: Package
) -> Refusal | None:
    """A period that has begun is not made longer or shorter: its grants are by its time."""
    if _length(_present(state, subscription).package) == _length(package):
        return None
    return Refusal(
        Reason.PACKAGE_PERIOD_DIFFERS,
        "package",
        str(subscription.period_end),
        "its periods are of another length than the one that runs until this instant; change with "
        "the end of the period, or subscribe then",
    )


def _unfit(
    state: State, account: Account, package: Package, policy: tuple[PolicyPart, ...]
) -> Refusal | None:
    """Why the account cannot have it: a grant or a policy that it may not have."""
    latest = ANCHOR_MAX_US + EXPIRES_AFTER_MAX_US
    for place, grant in enumerate(package.grants):
        asked = _grant_of(state, account, grant, grant.amount, grant.price_paid, 0, latest)
        refusal = invalid_grant(state, account, asked)
        if refusal is not None:
            field = f"grants[{place}].{refusal.field}"
            return Refusal(refusal.reason, field, refusal.value, refusal.message)
    wanted, _ = policy_under(state, account, package.policy, policy)
    refusal = invalid_policy(state, account, wanted) if wanted != account.policy else None
    return refusal or _unfit_prices(state, account, package, wanted)


def _unfit_prices(
    state: State, account: Account, package: Package, wanted: AccountPolicy
) -> Refusal | None:
    """Why the account cannot have its prices: they are not of the card that it would have."""
    if not package.overrides and not package.entitlements:
        return None
    above = account.parent.card_key[1] if account.parent is not None else "default"
    card = newest_of(state, account.tenant, wanted.rate_card or above)
    faults = override_faults(package.overrides, card)
    if faults:
        return overrides_invalid(faults)
    sold = account.sold or NOTHING_SOLD
    total = len(package.overrides) + len(sold.package) + len(sold.products)
    if total > OVERRIDES_REMEMBERED_MAX:
        return Refusal(
            Reason.OVERRIDES_LIMIT,
            "package",
            str(total),
            f"an account has at most {OVERRIDES_REMEMBERED_MAX} overrides of packages with those "
            "of the last 400 days, which late usage may need; change its package less often",
        )
    return None


# -- what a period grants --------------------------------------------------------------------------


def _length(package: Package) -> tuple[str, int]:
    return package.unit, package.every


def _cycle(account: Account, package: Package, anchor: int) -> Cycle:
    return Cycle(UNITS[package.unit], package.every, anchor, account.calendar.zone)


def _rest_of(subscription: Subscription, now: int, minted: tuple[Minted, ...]) -> _Part:
    return _Part(subscription.anchor, now, subscription.period_end, subscription.full, minted)


def _begin(
    state: State,
    account: Account,
    name: str,
    found: PackageVersion,
    part: _Part,
    policy: tuple[PolicyPart, ...],
    out: list[Event],
) -> PackageTerm:
    """Grant what a version grants for a period or what is left of it, and set its policy."""
    package = found.package
    remaining = part.end - part.start
    minted = {each.asset: each for each in part.minted}
    whole: dict[int, int] = {}
    for grant in package.grants:
        asset = _asset(state, account, grant.asset)
        whole[asset] = whole.get(asset, 0) + grant.amount
    for asset, amount in whole.items():
        before = minted.get(asset, Minted(asset, 0, 0))
        minted[asset] = Minted(asset, before.released, max(before.largest, amount))
    issues: list[PackageIssue] = []
    for grant in package.grants:
        asset = _asset(state, account, grant.asset)
        counted = minted[asset]
        amount = prorated(grant.amount, remaining, part.full)
        price = prorated(grant.price_paid, remaining, part.full)
        room = max(0, counted.largest - counted.released)
        if amount > room:
            amount, price = room, prorated(grant.price_paid, room, grant.amount)
        if not amount:
            issues.append(PackageIssue(grant.name, 0, 0, 0))
            continue
        expires_at = part.end + grant.expires_after_us
        asked = _grant_of(state, account, grant, amount, price, part.start, expires_at)
        number = issue(state, account, asked, out).grant
        issues.append(PackageIssue(grant.name, number, amount, price))
        minted[asset] = Minted(asset, counted.released + amount, counted.largest)
    parts = _set_policy(state, account, package, policy, out)
    _set_prices(state, account, package, part.start, out)
    return PackageTerm(
        name,
        found.version,
        part.anchor,
        part.start,
        part.end,
        remaining,
        part.full,
        tuple(issues),
        tuple([minted[asset] for asset in sorted(minted)]),
        parts,
    )


def _set_policy(
    state: State,
    account: Account,
    package: Package | None,
    policy: tuple[PolicyPart, ...],
    out: list[Event],
) -> tuple[PolicyPart, ...]:
    """Put the package's fields into the account's policy, and take those of before out again."""
    terms = package.policy if package is not None else None
    wanted, parts = policy_under(state, account, terms, policy)
    if wanted != account.policy and invalid_policy(state, account, wanted) is None:
        out.append(AccountPolicyUpdated(b"", account.number, wanted, account.version + 1))
    return parts


def _set_prices(
    state: State, account: Account, package: Package | None, at: int, out: list[Event]
) -> None:
    """Have the package's overrides count, and its products be sold, from that instant on (None =
    none any more); nothing where they do already."""
    before = standing(account.sold.package) if account.sold is not None else ()
    following = state.families[account.root].next_override
    overrides = package.overrides if package is not None else ()
    products = package.sold() if package is not None else ()
    numbered = numbered_as(before, overrides, following)
    if numbered != before or products != products_sold(account.sold):
        out.append(PackagePricesSet(account.number, at, numbered, products))


def _take_back(
    state: State, subscription: Subscription, old_grants: OldGrants, out: list[Event]
) -> tuple[TakenBack, ...]:
    """Take back of the period's grants what is neither drawn nor held: all, or its share of the
    time that is left (rules P3, S1, D6)."""
    taken: list[TakenBack] = []
    left = subscription.period_end - state.now
    if old_grants == OldGrants.KEEP or left <= 0:
        return ()
    for number in subscription.grants:
        grant = state.grants.get(number)
        if grant is None or grant.settled:
            continue
        amount = grant.book.available
        if old_grants == OldGrants.PRORATE:
            lasts = subscription.period_end - grant.effective_at
            amount = min(amount, prorated(grant.amount, left, lasts))
        if amount <= 0:
            continue
        if old_grants == OldGrants.PRORATE:
            out.append(reduced(grant, amount))
        else:
            out.append(void_of(state, grant, amount, b"", True, b"", out))
        taken.append(TakenBack(number, amount))
    return tuple(taken)


def _without(
    state: State, minted: tuple[Minted, ...], taken: tuple[TakenBack, ...]
) -> tuple[Minted, ...]:
    """What the period has granted without what was taken back of it."""
    back: dict[int, int] = {}
    for each in taken:
        asset = state.grants[each.grant].asset
        back[asset] = back.get(asset, 0) + each.amount
    return tuple(
        [
            Minted(each.asset, each.released - back.get(each.asset, 0), each.largest)
            for each in minted
        ]
    )


def _asset(state: State, account: Account, code: str) -> int:
    """Its number; 0 = the tenant has no such asset."""
    found = state.catalog.asset_of(account.tenant, code) if code else None
    return found.number if found is not None else 0


def _grant_of(
    state: State,
    account: Account,
    grant: PackagedGrant,
    amount: int,
    price_paid: int,
    effective_at: int,
    expires_at: int,
) -> IssueGrant:
    """The grant that one issue asks for."""
    rolls = grant.rollover
    return IssueGrant(
        b"",
        account.number,
        KINDS[grant.kind],
        _asset(state, account, grant.asset),
        amount,
        price_paid,
        _asset(state, account, grant.price_asset),
        grant.priority,
        effective_at,
        expires_at,
        grant.products,
        b"",
        tags=grant.tags,
        shared=grant.shared,
        rollover=Rollover(
            rolls.numerator, rolls.denominator, rolls.cap, rolls.lifetime_us, rolls.again
        )
        if rolls is not None
        else None,
    )
