"""What a period of a package is for an account: its grants, policy and prices (rules P1 to P4).

A period grants its package's grants by the time that is left of it (rule S1), and of each asset
never more than the largest of its packages grants for the whole: flipping plans mints nothing.
Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.accounts.accounts import invalid_policy
from ledger.core.commands import IssueGrant
from ledger.core.events import (
    AccountPolicy,
    AccountPolicyUpdated,
    Event,
    Minted,
    OldGrants,
    PackageIssue,
    PackagePhaseBegun,
    PackagePricesSet,
    PackageTerm,
    PolicyPart,
    Rollover,
    TakenBack,
)
from ledger.core.funding.grants import invalid_grant, issue, reduced, void_of
from ledger.core.limits import (
    ANCHOR_MAX_US,
    DAY_US,
    EXPIRES_AFTER_MAX_US,
    OVERRIDES_REMEMBERED_MAX,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.package_budgets import set_budgets, unfit_budgets
from ledger.core.packages.package_charges import set_charges, unfit_charges
from ledger.core.packages.package_operations import set_operations, unfit_operations
from ledger.core.packages.package_policy import policy_under
from ledger.core.packages.package_rules import set_rules, unfit_rules
from ledger.core.packages.package_seats import seats_to_begin, set_seats, units_of
from ledger.core.packages.packaged import KINDS, UNITS, Package, PackagedGrant
from ledger.core.packages.packaged_seats import unfit_seats
from ledger.core.packages.period_room import Part, room_of_term
from ledger.core.packages.phases import Terms
from ledger.core.packages.subscriptions import Subscription
from ledger.core.periods import Cycle, prorated
from ledger.core.pricing.overrides import newest_of, numbered_as, overrides_invalid
from ledger.core.pricing.sold import NOTHING_SOLD, products_sold, standing
from ledger.core.state import Account, Grant, State
from rating.override_faults import override_faults


def unfit(
    state: State, account: Account, terms: Terms, policy: tuple[PolicyPart, ...]
) -> Refusal | None:
    """Why the account cannot have it: a grant or a policy that it may not have, in the phase that
    would begin or in the package's own terms."""
    refusal = _unfit(state, account, terms.package, policy)
    if refusal is None and terms.phase:
        refusal = _unfit(state, account, terms.found.package, policy)
    return refusal


def _unfit(
    state: State, account: Account, package: Package, policy: tuple[PolicyPart, ...]
) -> Refusal | None:
    latest = ANCHOR_MAX_US + EXPIRES_AFTER_MAX_US
    for place, grant in enumerate(package.grants):
        if not grant.amount:
            continue
        asked = _grant_of(state, account, grant, grant.amount, grant.price_paid, 0, latest)
        refusal = invalid_grant(state, account, asked)
        if refusal is not None:
            field = f"grants[{place}].{refusal.field}"
            return Refusal(refusal.reason, field, refusal.value, refusal.message)
    wanted, _ = policy_under(state, account, package.policy, policy)
    refusal = invalid_policy(state, account, wanted) if wanted != account.policy else None
    refusal = refusal or unfit_seats(state, account, package)
    refusal = refusal or unfit_budgets(state, account, package)
    refusal = refusal or unfit_rules(state, account, package)
    refusal = refusal or unfit_operations(state, account, package)
    refusal = refusal or unfit_charges(state, account, package, wanted.settlement_asset)
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


def period_from(account: Account, terms: Terms, anchor: int, start: int) -> Part:
    """The period that starts then, of those that run from the anchor; one of a phase in days is of
    its own length."""
    if terms.days:
        return Part(start, start, start + terms.days * DAY_US, terms.days * DAY_US, ())
    package = terms.package
    cycle = Cycle(UNITS[package.unit], package.every, anchor, account.calendar.zone)
    began, end = cycle.period_of(start)
    return Part(anchor, start, end, end - began, ())


def clipped(part: Part, until: int) -> Part:
    """The period where what has the package ends by then: its grants are by the time of it."""
    return part._replace(end=min(part.end, until))


def rest_of(subscription: Subscription, now: int, minted: tuple[Minted, ...]) -> Part:
    """What is left of the period that runs, which has granted so much."""
    return Part(subscription.anchor, now, subscription.period_end, subscription.full, minted)


def begin(
    state: State,
    account: Account,
    name: str,
    terms: Terms,
    part: Part,
    policy: tuple[PolicyPart, ...],
    out: list[Event],
    next_override: int = 0,
    *,
    afresh: bool = False,
) -> PackageTerm:
    """Grant what a version grants for a period or what is left of it, and set its policy and its
    prices, whose numbers begin with the next of the family, or with that one. `afresh`: what the
    account had from a package is no reason to give it less (rule P5)."""
    package = terms.package
    remaining = part.end - part.start
    minted = {each.asset: each for each in part.minted}
    whole: dict[int, int] = {}
    for grant in package.grants:
        asset = state.catalog.asset_number(account.tenant, grant.asset)
        whole[asset] = whole.get(asset, 0) + grant.amount
    for asset, amount in whole.items():
        before = minted.get(asset, Minted(asset, 0, 0))
        minted[asset] = Minted(asset, before.released, max(before.largest, amount))
    seats = seats_to_begin(state, account, package, part.anchor, part.start)
    left: dict[int, int] | None = None  # by asset, of grants and seats together
    if not afresh:
        left = room_of_term(state, account, package, part, minted, units_of(seats))
    issues: list[PackageIssue] = []
    for grant in package.grants:
        asset = state.catalog.asset_number(account.tenant, grant.asset)
        counted = minted[asset]
        amount = prorated(grant.amount, remaining, part.full)
        price = prorated(grant.price_paid, remaining, part.full)
        room = max(0, counted.largest - counted.released)
        if left is not None:
            room = min(room, left[asset])
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
        if left is not None:
            left[asset] -= amount
    set_seats(state, account, package, seats, part.start, out, left)
    # What ends is charged by the policy under which it was had. Fees open books as they are
    # applied, and what opens books by itself stands before them.
    set_charges(state, account, package, part.anchor, part.start, part.end, out)
    parts = set_policy(state, account, package, policy, out)
    set_prices(state, account, package, part.start, out, next_override)
    set_rules(state, account, package, name, terms.found.version, out)
    set_operations(state, account, package, name, terms.found.version, out)
    set_budgets(state, account, package, out)
    return PackageTerm(
        name,
        terms.found.version,
        part.anchor,
        part.start,
        part.end,
        remaining,
        part.full,
        tuple(issues),
        tuple([minted[asset] for asset in sorted(minted)]),
        parts,
    )


def begin_phase(
    account: Account,
    terms: Terms,
    at: int,
    stands: tuple[str, int],
    out: list[Event],
    before: str | None = None,
) -> None:
    """Append that a phase begins, unless it stands by the entry of the period anyway, and was that
    of the period before."""
    goes_on = before is None or before == terms.phase
    if (terms.phase, terms.left) != stands or not goes_on:
        out.append(PackagePhaseBegun(account.number, at, terms.phase, terms.left))


def set_policy(
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


def set_prices(
    state: State,
    account: Account,
    package: Package | None,
    at: int,
    out: list[Event],
    next_override: int = 0,
) -> None:
    """Have the package's overrides count, and its products be sold, from that instant on (None =
    none any more); nothing where they do already."""
    before = standing(account.sold.package) if account.sold is not None else ()
    following = next_override or state.families[account.root].next_override
    overrides = package.overrides if package is not None else ()
    products = package.sold() if package is not None else ()
    numbered = numbered_as(before, overrides, following)
    if numbered != before or products != products_sold(account.sold):
        out.append(PackagePricesSet(account.number, at, numbered, products))


def take_back(
    state: State, subscription: Subscription, old_grants: OldGrants, out: list[Event]
) -> tuple[TakenBack, ...]:
    """Take back of the period's grants what is neither drawn nor held: all, or its share of the
    time that is left, in which counts what was taken back of it before (rules P3, S1, D6)."""
    taken: list[TakenBack] = []
    left = subscription.period_end - state.now
    if old_grants == OldGrants.KEEP or left <= 0:
        return ()
    for grant in _counted(state, subscription):
        if grant.settled:
            continue
        amount = grant.book.available
        if old_grants == OldGrants.PRORATE:
            lasts = subscription.period_end - grant.effective_at
            amount = min(amount, prorated(grant.amount, left, lasts) - grant.unused)
        if amount <= 0:
            continue
        if old_grants == OldGrants.PRORATE:
            out.append(reduced(grant, amount))
        else:
            out.append(void_of(state, grant, amount, b"", True, b"", out))
        taken.append(TakenBack(grant.number, amount))
    return tuple(taken)


def _counted(state: State, subscription: Subscription) -> list[Grant]:
    """The grants that count in what the period has granted, first issued first: what a package had
    granted before a contract began, whose period ends with it, is kept (rule P5)."""
    released = {each.asset: each.released for each in subscription.minted}
    counted: list[Grant] = []
    for number in reversed(subscription.grants):
        grant = state.grants.get(number)
        if grant is None:
            continue
        left = released[grant.asset] = released.get(grant.asset, 0) - grant.amount + grant.unused
        if left >= 0:
            counted.append(grant)
    counted.reverse()
    return counted


def without(
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
        state.catalog.asset_number(account.tenant, grant.asset),
        amount,
        price_paid,
        state.catalog.asset_number(account.tenant, grant.price_asset),
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
