"""Recurring grants: periods by the calendar, each issued once, and shares of them (T1, S1)."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger.core import events as e
from ledger.core.events import ChargeTerms, PeriodUnit, Proration, RecurringTerms, Timing
from ledger.simulation.model.grants import RULE, take_key
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import prorated
from ledger.simulation.naive_holdings import FOREVER, NaiveAccount, NaiveRecurring
from ledger.simulation.naive_packages import Cycle
from ledger.simulation.rules import Rule

_MONTHS = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.YEAR: 12}
Periods = RecurringTerms | ChargeTerms | Cycle
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def started(m: Shard, event: e.RecurringStarted) -> None:
    """From now on, or from when it says."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "recurring grant if closed", 0, account.closed_at)
    m.expect(RULE, "number", len(m.recurring) + 1, event.recurring)
    m.expect(RULE, "start", event.start_given or m.recorded_at, event.starts_at)
    if event.ends_at and event.ends_at <= max(event.starts_at, m.recorded_at):
        m.fail(RULE, f"{event} ends before it starts")
    take_key(m, "recurring grant", account, event.external_key, event.recurring)
    ends_at = event.ends_at or FOREVER
    recurring = NaiveRecurring(
        event.recurring, account.number, event.terms, event.starts_at, ends_at, event.starts_at
    )
    m.recurring[event.recurring] = recurring
    account.recurring.append(recurring)


def issued(m: Shard, event: e.RecurringIssued) -> None:
    """The period that is due, once, as of its own time."""
    recurring = m.recurring[event.recurring]
    account = m.accounts[recurring.account]
    m.touch(account)
    if recurring.due > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"{event} is not due before {recurring.due}")
    terms = recurring.next_terms or recurring.terms
    start = recurring.next_at
    cycle_start, cycle_end = period_of(m, account, recurring.starts_at, terms, start)
    end = min(cycle_end, recurring.ends_at)
    last = end if terms.proration in (Proration.LAST, Proration.BOTH) else cycle_end
    share_first = terms.proration in (Proration.FIRST, Proration.BOTH) or not recurring.fresh
    remaining, full = last - (start if share_first else cycle_start), cycle_end - cycle_start
    amount = prorated(terms.amount, remaining, full)
    price = prorated(terms.price_paid, remaining, full) if amount else 0
    expected = (account.number, recurring.version, start, end, remaining, full, amount, price)
    found = (
        event.account, event.version, event.start, event.end, event.remaining, event.full,
        event.amount, event.price_paid,
    )  # fmt: skip
    m.expect(RULE, "period", expected, found)
    recurring.terms, recurring.next_terms, recurring.fresh = terms, None, False
    recurring.next_at, recurring.start, recurring.end, recurring.full = end, start, end, full
    recurring.grants = []
    recurring.amount, recurring.price = terms.amount, terms.price_paid
    recurring.price_asset = terms.price_asset
    _by(m, recurring, event.grant, terms, amount, price, start, end + terms.expires_after)


def _by(
    m: Shard,
    recurring: NaiveRecurring,
    number: int,
    terms: RecurringTerms,
    amount: int,
    price: int,
    start: int,
    expires_at: int,
) -> None:
    """The grant of a period, or of the rest of one, stands just before, if it is of anything."""
    m.expect(RULE, "whether there is a grant", amount > 0, number > 0)
    if not number:
        return
    grant_of_terms(
        m, m.accounts[recurring.account], number, terms, amount, price, start, expires_at
    )
    recurring.grants.append(number)
    m.grants[number].recurring = recurring.number


def grant_of_terms(
    m: Shard,
    account: NaiveAccount,
    number: int,
    terms: RecurringTerms,
    amount: int,
    price: int,
    start: int,
    expires_at: int,
    *,
    repays: bool = True,
) -> None:
    """The grant that stands just before is one of these terms."""
    grant = m.explained(e.GrantIssued, number, repays=repays)
    expected = {
        "account": account.number, "kind": terms.kind, "asset": terms.asset, "amount": amount,
        "price_paid": price, "price_asset": terms.price_asset, "priority": terms.priority,
        "effective_at": start, "expires_at": expires_at, "products": terms.products,
        "tags": terms.tags, "attributes": terms.attributes, "shared": terms.shared,
        "rollover": terms.rollover, "source": terms.source, "pending": False, "origin": 0,
    }  # fmt: skip
    for name, wanted in expected.items():
        m.expect(RULE, f"{name} of the grant of a period", wanted, getattr(grant, name))


def changed(m: Shard, event: e.RecurringChanged) -> None:
    """From the next period on; or now, with the share of what is more."""
    recurring = running(m, event.recurring, event.account)
    m.expect(Rule.POLICY_VERSIONS, "version", recurring.version + 1, event.version)
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "expected", recurring.version, event.expected_version)
    fixed = (recurring.terms.kind, recurring.terms.asset)
    m.expect(RULE, "what is fixed", fixed, (event.terms.kind, event.terms.asset))
    recurring.version = event.version
    if event.timing == Timing.NEXT_PERIOD:
        found = (event.remaining, event.full, event.grant, event.amount, event.price_paid)
        m.expect(RULE, "issued before the next period", (0, 0, 0, 0, 0), found)
        recurring.next_terms = event.terms
        return
    now, terms = m.recorded_at, event.terms
    remaining = full = amount = price = 0
    if not recurring.paused and recurring.start <= now < recurring.end:
        remaining, full = recurring.end - now, recurring.full
        amount = prorated(max(0, terms.amount - recurring.amount), remaining, full)
        price = prorated(max(0, terms.price_paid - recurring.price), remaining, full)
    figures = (event.remaining, event.full, event.amount, event.price_paid)
    m.expect(RULE, "more", (remaining, full, amount, price if amount else 0), figures)
    if amount:
        # A grant that is issued by itself gives its effective time, as it stands in the entry.
        over = recurring.end + terms.expires_after
        _by(m, recurring, event.grant, terms, amount, price, now, over)
    else:
        m.expect(RULE, "grant", 0, event.grant)
    recurring.terms, recurring.next_terms = terms, None
    if full:
        recurring.amount = max(recurring.amount, terms.amount)
        recurring.price = max(recurring.price, terms.price_paid)
        recurring.price_asset = terms.price_asset or recurring.price_asset


def paused(m: Shard, event: e.RecurringPaused) -> None:
    """Once."""
    recurring = running(m, event.recurring, event.account)
    m.expect(RULE, "paused", False, recurring.paused)
    recurring.paused = True


def resumed(m: Shard, event: e.RecurringResumed) -> None:
    """What passed meanwhile is left out."""
    recurring = running(m, event.recurring, event.account)
    m.expect(RULE, "paused", True, recurring.paused)
    next_at = max(recurring.next_at, m.recorded_at)
    m.expect(RULE, "next period", next_at, event.next_at)
    recurring.fresh = recurring.fresh or next_at > recurring.next_at
    recurring.paused, recurring.next_at = False, next_at


def ended(m: Shard, event: e.RecurringEnded) -> None:
    """After the present period; or now, and what was issued for the time after is taken back."""
    recurring = running(m, event.recurring, event.account)
    now = m.recorded_at
    taken: dict[int, int] = {}
    ends_at = now
    if event.timing == Timing.NEXT_PERIOD:
        ends_at = min(max(now, recurring.end), recurring.ends_at)
    elif recurring.terms.proration in (Proration.LAST, Proration.BOTH) and recurring.end > now:
        for number in recurring.grants:
            grant = m.grants[number]
            whole = recurring.end - grant.effective_at
            taken[number] = prorated(grant.amount, recurring.end - now, whole)
    m.expect(RULE, "end", ends_at, event.ends_at)
    for number, share in taken.items():
        grant = m.grants[number]
        reduced = [x for x in m.ahead if isinstance(x, e.GrantReduced) and x.grant == number]
        # It was taken already: what was available then is what is left and what was taken.
        back = sum(each.amount for each in reduced)
        available = grant.available + back
        m.expect(RULE, "taken back", 0 if grant.settled else min(share, available), back)
        for each in reduced:
            m.ahead.remove(each)
    recurring.ends_at = ends_at


def running(m: Shard, number: int, account: int) -> NaiveRecurring:
    """One that has not ended."""
    m.deciding(account)
    recurring = m.recurring[number]
    m.expect(RULE, "account", account, recurring.account)
    if recurring.ends_at <= m.recorded_at:
        m.fail(RULE, f"recurring grant {number} has ended")
    return recurring


# -- the calendar ----------------------------------------------------------------------------------


def period_of(
    m: Shard, account: NaiveAccount, starts_at: int, terms: Periods, at: int
) -> tuple[int, int]:
    """[start, end) of the period that holds an instant, found by counting from the anchor, or from
    where it starts."""
    zones = [each.policy.zone for each in m.line(account) if each.policy.zone]
    zone = ZoneInfo(terms.zone or (zones[0] if zones else "UTC"))
    anchor = local_of(terms.anchor or starts_at, zone)
    place = 0
    while _start(anchor, place, terms, zone) > at:
        place -= 1
    while _start(anchor, place + 1, terms, zone) <= at:
        place += 1
    return _start(anchor, place, terms, zone), _start(anchor, place + 1, terms, zone)


def _start(anchor: datetime, place: int, terms: Periods, zone: ZoneInfo) -> int:
    if terms.unit == PeriodUnit.WEEK:
        return instant_of(anchor + timedelta(weeks=place * terms.every), zone)
    month = anchor.year * 12 + anchor.month - 1 + place * terms.every * _MONTHS[terms.unit]
    year, month = month // 12, month % 12 + 1
    day = min(anchor.day, monthrange(year, month)[1])
    return instant_of(anchor.replace(year=year, month=month, day=day), zone)


def local_of(at: int, zone: ZoneInfo) -> datetime:
    """What clocks show."""
    return (_EPOCH + at * _US).astimezone(zone).replace(tzinfo=None)


def instant_of(local: datetime, zone: ZoneInfo) -> int:
    """The first instant at which they show it; of a time that is skipped, that of the skip."""
    found = (local.replace(tzinfo=zone, fold=0) - _EPOCH) // _US
    if local_of(found, zone) == local:
        return found
    early = found - 86_400_000_000  # before the skip, and it is less than a day
    while found - early > 1:
        middle = (early + found) // 2
        early, found = (middle, found) if local_of(middle, zone) < local else (early, middle)
    return found
