"""Openings, configuration, books and accounts: their policies, their standing, how they close."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind, WriteOffKind
from ledger.journal.configuration import ConfigurationKind
from ledger.simulation import naive
from ledger.simulation.model.grants import follow_up
from ledger.simulation.model.holds import give_back, open_hold
from ledger.simulation.model.shard import NaiveBook, Shard
from ledger.simulation.months import Months
from ledger.simulation.naive import Version
from ledger.simulation.naive_contracts import ENDED
from ledger.simulation.naive_holdings import EXPIRED, NaiveAccount
from ledger.simulation.naive_packages import NaivePackage
from ledger.simulation.plans import BY_HASH
from ledger.simulation.rules import Rule


def writer_opened(m: Shard, event: e.WriterOpened) -> None:
    """Epochs count the openings."""
    m.expect(Rule.CHAIN, "epoch", m.epoch + 1, event.epoch)
    m.expect(Rule.CHAIN, "last batch", m.batch_seq - 1, event.last_batch_seq)
    m.epoch = event.epoch


def configuration_applied(m: Shard, event: e.ConfigurationApplied) -> None:
    """In order, as it was published."""
    before = m.applied.get(event.tenant, 0)
    m.expect(Rule.CONFIGURATION_IN_ORDER, "version", before + 1, event.version)
    m.applied[event.tenant] = event.version
    entry = m.published(event.tenant, event.version)
    if entry is None or entry.content_hash != event.content_hash:
        m.fail(Rule.CONFIGURATION_IN_ORDER, f"{event} was never published")
    if entry.kind == ConfigurationKind.CLOCK:
        return
    if entry.kind == ConfigurationKind.ASSET:
        if event.version == 2:
            m.money.add(event.tenant << 32 | event.version)
        return
    if entry.kind == ConfigurationKind.PACKAGE:
        package = BY_HASH[entry.content_hash]
        m.packages.setdefault((event.tenant, entry.name), []).append(
            NaivePackage(event.version, entry.name, entry.effective_from_us, package)
        )
        return
    prices = naive.prices_of(entry.content_hash)
    assert prices is not None, "the world published a card that it does not know"
    asset = event.tenant << 32 | (1 if entry.name == "default" else 2)
    m.versions.setdefault(event.tenant, []).append(
        Version(
            event.version,
            entry.name,
            prices,
            entry.published_at_us,
            entry.effective_from_us,
            asset,
        )
    )


def clock_advanced(m: Shard, event: e.ClockAdvanced) -> None:
    """Forward only (rule T4)."""
    before = m.offsets.get(event.tenant, 0)
    if event.offset <= before:
        m.fail(Rule.RECORDED_TIME, f"{event} does not move the clock on from {before}")
    m.offsets[event.tenant] = event.offset


def time_shifted(m: Shard, event: e.TimeShifted) -> None:
    """What comes next is recorded by another tenant's clock."""
    m.recorded_at = m.batch_at + event.offset


def book_opened(m: Shard, event: e.BookOpened) -> None:
    """Books are numbered as they open, and each opens once."""
    m.expect(Rule.BALANCED, "book number", len(m.books) + 1, event.book)
    m.open_book(
        event.book, NaiveBook(event.kind, event.tenant, event.asset, event.owner, event.name)
    )


def plan_declared(m: Shard, event: e.PlanDeclared) -> None:
    """Entries after it name it by its index."""
    m.plans[m.index] = event


def created(m: Shard, event: e.AccountCreated) -> None:
    """Once, below one that is open."""
    rule = Rule.POLICY_VERSIONS
    if event.account in m.accounts:
        m.fail(rule, f"account {event.account} is created twice")
    if event.parent:
        parent = m.accounts.get(event.parent)
        if parent is None or parent.closed_at or parent.root != event.root:
            m.fail(rule, f"account {event.account} below {parent}")
    m.accounts[event.account] = NaiveAccount(
        event.account, event.tenant, event.parent, event.root, event.policy, _months(m, event)
    )


def _months(m: Shard, event: e.AccountCreated) -> Months:
    """Those of its zone, else all that its parent has (rule T1)."""
    if event.policy.zone or not event.parent:
        return Months(event.policy.zone or "UTC")
    above = m.accounts[event.parent].months
    return Months(above.zone, above.starts)


def policy_updated(m: Shard, event: e.AccountPolicyUpdated) -> None:
    """Versions follow each other. What has no key is a package's, which follows."""
    if event.key:
        account = m.deciding(event.account)
    else:
        account = m.accounts[event.account]
        m.before_package = account.policy
        m.ahead.append(event)
    m.expect(Rule.POLICY_VERSIONS, "version", account.version + 1, event.version)
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "expected", account.version, event.expected_version)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "policy of a closed account", 0, account.closed_at)
    if event.policy.period_grace != account.policy.period_grace:
        account.closed_until = naive.closed_by(account, m.recorded_at)
    account.policy, account.version = event.policy, event.version
    _zone_changed(m, account, event)


def moved(m: Shard, event: e.AccountMoved) -> None:
    """To an open parent of its family that is not below it; what it drew stays where it was."""
    rule = Rule.POLICY_VERSIONS
    account, parent = m.deciding(event.account), m.accounts.get(event.parent)
    m.expect(rule, "version of the place", account.place_version + 1, event.version)
    if event.expected_version:
        m.expect(rule, "expected", account.place_version, event.expected_version)
    m.expect(rule, "parent before", account.parent, event.before)
    if parent is None or parent.closed_at or parent.root != account.root or account.closed_at:
        m.fail(rule, f"account {account.number} moves below {parent}")
    if account in list(m.line(parent)) or parent.number == account.parent:
        m.fail(rule, f"account {account.number} moves below {parent.number}")
    account.before.append(account.parent)
    account.parent, account.place_version = parent.number, event.version
    _zone_changed(m, account, event)


def _zone_changed(
    m: Shard, account: NaiveAccount, event: e.AccountPolicyUpdated | e.AccountMoved
) -> None:
    """Another zone counts from the end of each one's own month, here and below (rule T1)."""
    zone = account.policy.zone
    if not zone:
        zone = m.accounts[account.parent].months.zone if account.parent else "UTC"
    since, below = 0, {}
    if zone != account.months.zone:
        since = account.months.end_of(m.recorded_at)
        for each in _inheriting(m, account):
            end = each.months.end_of(m.recorded_at)
            if end != since:
                below[each.number] = end
            each.months.count_in(zone, m.recorded_at)
    found = (event.zone_from, dict(event.zone_from_below))
    m.expect(Rule.POLICY_VERSIONS, "another zone from", (since, below), found)


def _inheriting(m: Shard, account: NaiveAccount) -> list[NaiveAccount]:
    """The account and those below it that have its zone."""
    found = [account]
    for each in found:
        found += [
            child
            for child in m.accounts.values()
            if child.parent == each.number and not child.policy.zone
        ]
    return found


def profile_updated(m: Shard, event: e.AccountProfileUpdated) -> None:
    """The same of display name and metadata, also of a closed account."""
    account = m.deciding(event.account)
    version = account.profile_version
    m.expect(Rule.POLICY_VERSIONS, "version of the metadata", version + 1, event.version)
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "expected", version, event.expected_version)
    account.profile_version = event.version


def closed(m: Shard, event: e.AccountClosed) -> None:
    """At zero."""
    _close(m, m.deciding(event.account), event.closed_at)


def closed_out(m: Shard, event: e.AccountClosedOut) -> None:
    """Holds are given back, then every book that stands for the account is brought to zero."""
    account = m.deciding(event.account)
    rule = Rule.POLICY_VERSIONS
    held = tuple(sorted(account.holds))
    m.expect(rule, "holds given back", held if event.release_holds else (), event.holds)
    if not event.write_off:
        m.expect(rule, "written off", (), event.write_offs)
    ended = [grant.number for grant in account.grants if grant.settled]
    follows: dict[int, int] = {}  # of all its holds together, to each grant
    for number in event.holds:
        hold = open_hold(m, number, account.number)
        for grant, units in give_back(m, hold, "released", [], writes_off=event.write_off):
            follows[grant] = follows.get(grant, 0) + units
    for grant, units in follows.items():
        follow_up(m, m.grants[grant], units)
    for each in event.write_offs:
        _write_off(m, account, each)
    _close(m, account, event.closed_at, ended)


def _write_off(m: Shard, account: NaiveAccount, each: e.WriteOff) -> None:
    """One transfer of a closing (rules B3, B4, F4)."""
    rule = Rule.POLICY_VERSIONS
    debit, credit = m.books[each.debit], m.books[each.credit]
    m.transfer(each.debit, each.credit, each.amount)
    owner, tenant = account.number, account.tenant
    if each.kind in (WriteOffKind.GRANT, WriteOffKind.BREAKAGE):
        grant = m.grants[each.grant]
        m.expect(rule, "owner of the grant", owner, grant.account)
        if each.kind == WriteOffKind.GRANT:
            m.expect(rule, f"rest of grant {grant.number}", grant.left, each.amount)
            m.expect(rule, f"end of grant {grant.number}", 0, grant.settled)
            m.expect(rule, "house", (grant.book, BookKind.FORFEITED), (each.debit, credit.kind))
            grant.settled = EXPIRED
            grant.unused += each.amount
            return
        rest = grant.price - grant.unpaid - grant.returned - grant.recognised
        m.expect(rule, f"money of grant {grant.number}", rest, each.amount)
        m.expect(rule, "house", (grant.deferred, BookKind.BREAKAGE), (each.debit, credit.kind))
        grant.returned += each.amount
        return
    account.written_off = m.locator
    kinds = {
        WriteOffKind.ADVANCE: (BookKind.ADVANCE, BookKind.PROMOTION),
        WriteOffKind.OVERAGE: (BookKind.OVERAGE, BookKind.SETTLED),
        WriteOffKind.UNBILLED: (BookKind.UNBILLED, BookKind.BAD_DEBT),
        WriteOffKind.RECEIVABLE: (BookKind.RECEIVABLE, BookKind.BAD_DEBT),
        WriteOffKind.COMMITMENT: (BookKind.COMMITMENT, BookKind.SETTLED),
    }[each.kind]
    own, house = (credit, debit) if credit.kind == kinds[0] else (debit, credit)
    m.expect(rule, "kinds of the write-off", kinds, (own.kind, house.kind))
    m.expect(rule, f"left of {own}", 0, own.owed)
    m.expect(rule, "tenant", tenant, own.tenant)
    of = m.grants[own.owner].account if own.kind == BookKind.COMMITMENT else own.owner
    m.expect(rule, "owner of the write-off", owner, of)
    if each.kind == WriteOffKind.ADVANCE:
        account.advance[each.asset][0] -= each.amount
        account.owing.pop(each.asset, None)
        account.since.pop(each.asset, None)
        account.run[each.asset] = m.locator
    elif each.kind == WriteOffKind.OVERAGE:
        account.overage[each.asset][0] -= each.amount


def _close(m: Shard, account: NaiveAccount, closed_at: int, ended: list[int] | None = None) -> None:
    m.expect(Rule.POLICY_VERSIONS, "closed at", m.recorded_at, closed_at)
    left = still_open(m, account, ended or [])
    if left or account.closed_at:
        m.fail(Rule.POLICY_VERSIONS, f"account {account.number} closes with {left}")
    account.closed_at = closed_at


def still_open(
    m: Shard,
    account: NaiveAccount,
    ended: list[int] | tuple[int, ...] = (),
    *,
    holds: bool = True,
) -> str:
    """Why an account cannot be closed at zero; "" where it can. What a hold gives back to a grant
    that had `ended` follows its rest; without `holds`, they are given back first."""
    if account.holds and holds:
        return "holds"
    if any(grant.left and grant.number not in ended for grant in account.grants):
        return "credits"
    for book in m.books.values():
        owner = book.owner
        if book.kind in (BookKind.DEFERRED, BookKind.COMMITMENT):
            grant = m.grants.get(owner)
            if grant is None or (book.kind == BookKind.DEFERRED and grant.settled):
                continue
            if grant.number in ended and book.owed == grant.left:
                continue
            owner = grant.account
        elif book.kind not in _OWED:
            continue
        if owner == account.number and book.owed:
            return f"{book.owed} in a book of kind {book.kind}"
    return goes_on(m, account)


_OWED = (BookKind.ADVANCE, BookKind.OVERAGE, BookKind.UNBILLED, BookKind.RECEIVABLE)


def goes_on(m: Shard, account: NaiveAccount) -> str:
    """What keeps an account open that nothing writes off."""
    now = m.recorded_at
    if any(grant.pending for grant in account.grants):
        return "payments that are awaited"
    if any(each.ends_at > now for each in account.recurring):
        return "recurring grants"
    if any(each.ends_at > now for each in account.seat_plans.values()):
        return "seats"
    if any(each.account == account.number and not each.over(now) for each in m.charges.values()):
        return "fixed charges"
    subscription = m.subscriptions.get(account.number)
    if subscription is not None and not subscription.over:
        return "its package"
    if any(each.state != ENDED for each in m.contracts.get(account.number, [])):
        return "a contract"
    for commitment in account.commitments:
        last = max(m.grants[number].over for number in commitment.grants)
        if not commitment.ended_at and (last > now or commitment.invoices):
            return "commitments"
    if any(a.parent == account.number and not a.closed_at for a in m.accounts.values()):
        return "children"
    return ""


def reopened(m: Shard, event: e.AccountReopened) -> None:
    """What it was closed for stays refused."""
    account = m.deciding(event.account)
    parent = m.accounts.get(account.parent)
    if not account.closed_at or (parent is not None and parent.closed_at):
        m.fail(Rule.POLICY_VERSIONS, f"account {account.number} is reopened: {account}, {parent}")
    account.gaps.append((account.closed_at, m.recorded_at))
    account.closed_at = 0


def frozen(m: Shard, event: e.AccountFrozen) -> None:
    """Once; without a key it follows from a chargeback (rule F3), which waits for it."""
    if not event.key:
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"nobody asked for {event}")
    account = m.deciding(event.account)
    freeze(m, account, event)


def freeze(m: Shard, account: NaiveAccount, event: e.AccountFrozen) -> None:
    """Whoever caused it."""
    m.expect(Rule.CLOSED_TAKES_NOTHING, "account that is frozen", account.number, event.account)
    before = (account.frozen_at, account.closed_at)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "frozen or closed before", (0, 0), before)
    account.frozen_at = m.recorded_at


def unfrozen(m: Shard, event: e.AccountUnfrozen) -> None:
    """Of the account itself."""
    account = m.deciding(event.account)
    if not account.frozen_at or account.closed_at:
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"account {account.number} is not frozen")
    account.frozen_at = 0


def abandoned(m: Shard, event: e.RequestAbandoned) -> None:
    """A tombstone, whatever the account is like."""
    m.deciding(event.account)
