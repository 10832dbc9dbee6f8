"""Subscriptions to packages: each period once, by the time that is left, and no more than the
largest plan of a period grants (rules P1, P3).
"""

from __future__ import annotations

from typing import Final

from ledger.core import events as e
from ledger.core.events import (
    Follow,
    OldGrants,
    PackageTerm,
    Proration,
    RecurringTerms,
    Rollover,
    TakenBack,
    Timing,
)
from ledger.core.packages.packaged import KINDS, UNITS, PackagedGrant
from ledger.core.packages.packaged_charges import PackagedCharge, charge_terms
from ledger.simulation.model import packaged_seats
from ledger.simulation.model.charges import charges_of
from ledger.simulation.model.period_room import Before, asset_of, bound
from ledger.simulation.model.recurring import grant_of_terms, period_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import prorated
from ledger.simulation.naive_holdings import FOREVER, NaiveAccount
from ledger.simulation.naive_packages import (
    Cycle,
    NaivePackage,
    NaiveSubscription,
    newest,
    under,
)
from ledger.simulation.rules import Rule

RULE = Rule.PACKAGED
OF_PACKAGES: Final = (
    e.AccountPolicyUpdated, e.ChargeStarted, e.ChargeChanged, e.ChargeRepriced, e.ChargeEnded,
)  # fmt: skip
"""What stands before the entry of a package without anybody having asked for it."""


def subscribed(m: Shard, event: e.Subscribed) -> None:
    """An account without a package has one; within the period of an earlier one, its rest."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "package of a closed account", 0, account.closed_at)
    before = m.subscriptions.get(account.number)
    if before is not None and not before.over:
        m.fail(RULE, f"{event}, and it has {before}")
    m.expect(RULE, "revision", (before.revision if before else 0) + 1, event.revision)
    asked = (event.package, event.follow, event.version, event.locked_until)
    version = version_asked(m, account, asked)
    if version is None:
        m.fail(RULE, f"{event} of no version that is in force")
    now = m.recorded_at
    found = NaiveSubscription(account.number, asked, version, event.revision)
    goes_on: Before | None = None
    if before is not None and now < before.end:
        m.expect(RULE, "length of its periods", before.version.length, version.length)
        found.anchor, found.end, found.full = before.anchor, before.end, before.full
        found.grants, found.released, found.largest = (
            before.grants, before.released, before.largest,
        )  # fmt: skip
        found.kept = before.kept
        goes_on = Before(before.version, dict(before.released))
    else:
        set_period(m, account, found, now, now)
    m.subscriptions[account.number] = found
    begin(m, account, found, event.term, now, goes_on)


def changed(m: Shard, event: e.PackageChanged) -> None:
    """Now, with what is left of the period; or with the next one."""
    account = m.deciding(event.account)
    subscription = revised(m, event.account, event.revision, event.expected_version)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "package of a closed account", 0, account.closed_at)
    asked = (event.package, event.follow, event.version, event.locked_until)
    version = version_asked(m, account, asked)
    if version is None:
        m.fail(RULE, f"{event} of no version that is in force")
    subscription.ends_at = FOREVER
    if event.timing == Timing.NEXT_PERIOD:
        m.expect(RULE, "taken back, and a period", ((), None), (event.taken, event.term))
        subscription.following = asked
        return
    m.expect(RULE, "length of its periods", subscription.version.length, version.length)
    if event.term is None:
        m.fail(RULE, f"{event} now, without a period")
    before = Before(subscription.version, dict(subscription.released))
    take_back(m, subscription, event.old_grants, event.taken)
    subscription.asked, subscription.version, subscription.following = asked, version, None
    begin(m, account, subscription, event.term, m.recorded_at, before)


def period_begun(m: Shard, event: e.PackagePeriodBegun) -> None:
    """The next one, once, as of its own time: by what was asked for, or what is followed."""
    account, subscription = _due(m, event.account)
    if subscription.ends_at <= subscription.end:
        m.fail(RULE, f"{event}, and it ends before")
    start, before = subscription.end, subscription.version
    _, follow, _, until = subscription.asked
    asked = subscription.following or (before.name, follow, before.number, until)
    subscription.asked, subscription.following = asked, None
    name, follow, number, until = asked
    versions = m.packages.get((account.tenant, name), [])
    pinned = follow == Follow.PIN or (follow == Follow.FOLLOW_AFTER and start < until)
    version = newest(versions, start)
    if pinned and number:
        [version] = [each for each in versions if each.number == number]
    subscription.version = version or before
    anchor = start if subscription.version.length != before.length else subscription.anchor
    subscription.grants, subscription.released, subscription.largest = [], {}, {}
    subscription.kept = set()
    set_period(m, account, subscription, anchor, start)
    contract = m.running(account.number) if subscription.contract else None
    if contract is not None:
        subscription.end = min(subscription.end, contract.ends_at)
    begin(m, account, subscription, event.term, start)


def cancelled(m: Shard, event: e.SubscriptionCancelled) -> None:
    """Now, or with the period."""
    account = m.deciding(event.account)
    subscription = revised(m, event.account, event.revision, event.expected_version)
    subscription.following = None
    if event.timing == Timing.NEXT_PERIOD:
        found = (event.ends_at, event.taken, event.minted)
        m.expect(RULE, "end with the period", (subscription.end, (), ()), found)
        subscription.ends_at = event.ends_at
        return
    m.expect(RULE, "end", m.recorded_at, event.ends_at)
    take_back(m, subscription, event.old_grants, event.taken)
    minted(m, subscription, event.minted)
    end(m, account, subscription, event.ends_at)


def ended(m: Shard, event: e.SubscriptionEnded) -> None:
    """With the period that is over."""
    account, subscription = _due(m, event.account)
    m.expect(RULE, "end", (subscription.ends_at, subscription.end), (event.ends_at,) * 2)
    end(m, account, subscription, event.ends_at)


def version_asked(
    m: Shard, account: NaiveAccount, asked: tuple[str, int, int, int]
) -> NaivePackage | None:
    """The version that is asked for, or the newest; None where there is none."""
    name, _, number, _ = asked
    versions = m.packages.get((account.tenant, name), [])
    if number:
        return next((each for each in versions if each.number == number), None)
    return newest(versions, m.recorded_at)


def revised(m: Shard, account: int, revision: int, expected: int) -> NaiveSubscription:
    """What the account has, of which revisions follow each other."""
    subscription = m.subscriptions.get(account)
    if subscription is None or subscription.over:
        m.fail(RULE, f"account {account} has no package: {subscription}")
    m.expect(Rule.POLICY_VERSIONS, "revision", subscription.revision + 1, revision)
    if expected:
        m.expect(Rule.POLICY_VERSIONS, "expected", subscription.revision, expected)
    subscription.revision = revision
    return subscription


def _due(m: Shard, number: int) -> tuple[NaiveAccount, NaiveSubscription]:
    account, subscription = m.accounts[number], m.subscriptions[number]
    m.touch(account)
    if subscription.due > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"the package of {number} is due at {subscription.due}")
    return account, subscription


def set_period(
    m: Shard, account: NaiveAccount, subscription: NaiveSubscription, anchor: int, start: int
) -> None:
    """Of the periods from an anchor that which holds an instant."""
    package = subscription.version.package
    cycle = Cycle(UNITS[package.unit], package.every, anchor, "")
    began, end = period_of(m, account, anchor, cycle, start)
    subscription.anchor, subscription.end, subscription.full = anchor, end, end - began


def begin(
    m: Shard,
    account: NaiveAccount,
    subscription: NaiveSubscription,
    term: PackageTerm,
    start: int,
    before: Before | None = None,
) -> None:
    """What is left of a period: its grants, its seats, its charges and the account's policy;
    `before`: what it takes the place of within that period."""
    version = subscription.version
    subscription.start = start
    end, full = subscription.end, subscription.full
    times = (subscription.anchor, start, end, end - start, full)
    m.expect(RULE, "version", (version.name, version.number), (term.package, term.version))
    found = (term.anchor, term.start, term.end, term.remaining, term.full)
    m.expect(RULE, "period", times, found)
    left = _grant(m, account, subscription, term, before)
    packaged_seats.begun(m, account, subscription, start, left)
    minted(m, subscription, term.minted)
    _charged(m, account, subscription, start)
    _policy(m, account, subscription)
    parts = {each.field: (each.value, each.before) for each in term.policy}
    m.expect(RULE, "what it sets of the policy", subscription.policy, parts)
    _explained(m, account)


def _grant(
    m: Shard,
    account: NaiveAccount,
    subscription: NaiveSubscription,
    term: PackageTerm,
    before: Before | None,
) -> dict[int, int] | None:
    """Returns what is left for seats, by asset; None = whatever they come to, of a contract."""
    package = subscription.version.package
    whole: dict[int, int] = {}
    for said in package.grants:
        asset = asset_of(account, said.asset)
        whole[asset] = whole.get(asset, 0) + said.amount
    for asset, amount in whole.items():
        subscription.largest[asset] = max(subscription.largest.get(asset, 0), amount)
    left: dict[int, int] | None = None
    if not subscription.contract:
        left = bound(account, subscription, before, term.start)
    subscription.own = []
    m.expect(RULE, "grants", [x.name for x in package.grants], [x.name for x in term.issues])
    for said, issued in zip(package.grants, term.issues, strict=True):
        asset = asset_of(account, said.asset)
        released = subscription.released.get(asset, 0)
        amount = prorated(said.amount, term.remaining, term.full)
        price = prorated(said.price_paid, term.remaining, term.full)
        room = max(0, subscription.largest[asset] - released)
        if left is not None and asset in left:
            room = min(room, left[asset])
        if amount > room:
            amount, price = room, prorated(said.price_paid, room, said.amount)
        expected = (amount > 0, amount, price if amount else 0)
        m.expect(RULE, said.name, expected, (issued.grant > 0, issued.amount, issued.price_paid))
        if amount:
            over = term.end + said.expires_after_us
            terms = _terms(account, said)
            grant_of_terms(m, account, issued.grant, terms, amount, price, term.start, over)
            subscription.grants.append(issued.grant)
            subscription.own.append(issued.grant)
            subscription.released[asset] = released + amount
            if left is not None and asset in left:
                left[asset] -= amount
    return left


def _terms(account: NaiveAccount, said: PackagedGrant) -> RecurringTerms:
    rolls = said.rollover
    return RecurringTerms(
        KINDS[said.kind], asset_of(account, said.asset), said.amount, said.price_paid,
        asset_of(account, said.price_asset), said.priority, said.products, e.PeriodUnit.WEEK, 1, 0,
        "", Proration.BOTH, said.expires_after_us, said.tags, (), said.shared,
        None if rolls is None else Rollover(
            rolls.numerator, rolls.denominator, rolls.cap, rolls.lifetime_us, rolls.again
        ),
    )  # fmt: skip


def minted(m: Shard, subscription: NaiveSubscription, found: tuple[e.Minted, ...]) -> None:
    """What the period granted, which is never more than its largest package grants (rule P3)."""
    largest = subscription.largest
    expected = [(a, subscription.released.get(a, 0), largest[a]) for a in sorted(largest)]
    m.expect(RULE, "granted", expected, [(x.asset, x.released, x.largest) for x in found])
    for asset, released, most in expected:
        if released > most:
            m.fail(RULE, f"{released} of asset {asset} are granted, and no package has {most}")


def take_back(
    m: Shard, subscription: NaiveSubscription, mode: OldGrants, taken: tuple[TakenBack, ...]
) -> None:
    """What is neither drawn nor held of the period's grants: all of it, or the share of the time
    that is left, less what was taken back before; it stands before."""
    left = subscription.end - m.recorded_at
    expected: list[tuple[int, int]] = []
    kind = e.GrantReduced if mode == OldGrants.PRORATE else e.GrantVoided
    for number in subscription.grants if mode != OldGrants.KEEP else ():
        if number in subscription.kept:
            continue
        grant = m.grants[number]
        found = [each for each in m.ahead if isinstance(each, kind) and each.grant == number]
        for each in found:
            m.ahead.remove(each)
        back = sum(each.amount for each in found)
        if not found and grant.settled:
            continue
        most = grant.available + back - m.by_fees.get(number, 0)
        if mode == OldGrants.PRORATE:
            share = prorated(grant.amount, left, subscription.end - grant.effective_at)
            most = min(most, share - (grant.unused - back))
        m.expect(RULE, f"taken back of grant {number}", max(0, most), back)
        if back:
            expected.append((number, back))
            subscription.released[grant.asset] -= back
    m.expect(RULE, "taken back", expected, [(each.grant, each.amount) for each in taken])


def end(m: Shard, account: NaiveAccount, subscription: NaiveSubscription, at: int) -> None:
    """No seats and no charge of a package go on, and the policy is as it was."""
    packaged_seats.over(m, account)
    subscription.own = []
    for charge in charges_of(m, account):
        if charge.packaged and charge.terms.every and charge.ends_at > at:
            m.fail(RULE, f"{charge} goes on without a package")
    wanted, _ = under(_policy_before(m, account), None, subscription.policy)
    m.expect(RULE, "policy without a package", wanted, account.policy)
    subscription.over, subscription.policy, subscription.ends_at = True, {}, at
    _explained(m, account)


def _policy(m: Shard, account: NaiveAccount, subscription: NaiveSubscription) -> None:
    terms = subscription.version.package.policy
    wanted, subscription.policy = under(_policy_before(m, account), terms, subscription.policy)
    m.expect(RULE, "policy under a package", wanted, account.policy)


def _policy_before(m: Shard, account: NaiveAccount) -> e.AccountPolicy:
    """The policy that the package found: one entry at most has changed it."""
    of = [x for x in m.ahead if isinstance(x, e.AccountPolicyUpdated)]
    m.expect(RULE, "changes of the policy", True, len(of) <= 1)
    return m.before_package if of and m.before_package is not None else account.policy


def _charged(m: Shard, account: NaiveAccount, subscription: NaiveSubscription, start: int) -> None:
    """The account is charged what its package says, and nothing else of one (rules P1, P3)."""
    package = subscription.version.package
    said = {each.name: each for each in package.charges}
    of = charges_of(m, account)
    standing = {each.name: each for each in of if each.ends_at > start}
    ended = {each.charge for each in m.ahead if isinstance(each, e.ChargeEnded)}
    for charge in of:
        if charge.packaged and charge.terms.every and charge.ends_at > start:
            stands = standing[charge.name]
            gone = charge.settled and not charge.ahead and charge.ends_at <= m.recorded_at
            if charge is stands and charge.number not in ended and not gone:
                m.expect(RULE, "charge of the package", True, charge.name in said)
            elif charge is not stands and charge.ends_at > max(stands.starts_at, charge.starts_at):
                m.fail(RULE, f"{charge} goes on beside {stands}")
    for name, each in said.items():
        goes_on = standing.get(name)
        if goes_on is not None and not goes_on.packaged:
            continue
        once = [x for x in of if x.name == name and x.packaged and not x.terms.every]
        if each.once:
            m.expect(RULE, f"charges of {name}, which comes once", 1, len(once))
            continue
        if goes_on is None:
            m.fail(RULE, f"the package says {name}, and nothing is charged for it")
        terms = _charge_terms(account, subscription, each)
        coming = goes_on.next_terms or goes_on.terms
        quantity = goes_on.quantity if goes_on.next_quantity < 0 else goes_on.next_quantity
        m.expect(RULE, f"terms of {name}", (terms, each.quantity), (coming, quantity))
        runs = goes_on.begun and goes_on.next_at != start and goes_on.start < start
        if runs and goes_on.terms.prorate_changes:
            now = (goes_on.terms, goes_on.quantity)
            m.expect(RULE, f"terms of {name} from now on", (terms, each.quantity), now)


def _charge_terms(
    account: NaiveAccount, subscription: NaiveSubscription, said: PackagedCharge
) -> e.ChargeTerms:
    package = subscription.version.package
    asset = asset_of(account, said.asset)
    return charge_terms(said, asset, UNITS[package.unit], package.every, subscription.anchor)


def _explained(m: Shard, account: NaiveAccount) -> None:
    """What stands before was the package's."""
    own = [x for x in m.ahead if isinstance(x, OF_PACKAGES) and x.account == account.number]
    for each in own:
        m.ahead.remove(each)
    m.before_package, m.by_fees = None, {}
