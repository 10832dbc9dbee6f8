"""Deciding recurring grants: start, change, pause, resume, end, and the issue of each period.

The periods of one follow each other without gap or overlap (rule T1) and each is issued once, by
the writer's clock, as an entry of its own: `next_at` moves from one to the next with every issue,
so that whatever stands still in between, no period is lost and none issued twice. What is missed is
issued in order, as of its own time, and expires by the rules of any grant (rule T3). Reads state,
changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.core.admission import open_account, recorded_before, unknown_account
from ledger.core.commands import (
    ChangeRecurring,
    EndRecurring,
    IssueGrant,
    PauseRecurring,
    ResumeRecurring,
    StartRecurring,
)
from ledger.core.events import (
    Event,
    Proration,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RecurringTerms,
    Sharing,
    Timing,
)
from ledger.core.funding.caps import shared_as
from ledger.core.funding.grants import invalid_grant, issue, reduced
from ledger.core.limits import (
    ANCHOR_MAX_US,
    DEDUPE_WINDOW_US,
    EXPIRES_AFTER_MAX_US,
    PERIOD_UNITS_MAX,
    RECURRING_AN_ACCOUNT_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.periods import Cycle, prorated, refuse_anchor, refuse_zone
from ledger.core.state import Account, RecurringGrant, State

_FIRST = (Proration.FIRST, Proration.BOTH)
_LAST = (Proration.LAST, Proration.BOTH)


def decide_start(
    state: State, command: StartRecurring, out: list[Event]
) -> Event | Known | Refusal:
    """Have the account granted the same every period; the first follows if it is due already."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = _not_startable(state, account, command)
    if refusal is None:
        refusal = invalid_terms(state, account, command.terms)
    if refusal is not None:
        return refusal
    started = RecurringStarted(
        command.key,
        account.number,
        state.next_recurring,
        command.terms,
        command.external_key,
        command.starts_at or state.now,
        command.ends_at,
        command.starts_at,
        command.trace,
    )
    out.append(started)
    return started


def _not_startable(state: State, account: Account, command: StartRecurring) -> Refusal | None:
    if command.external_key and command.external_key in state.families[account.root].recurring_keys:
        return Refusal(
            Reason.RECURRING_KEY_TAKEN,
            "external_key",
            "",
            "a recurring grant of this family has the external key already; it is permanent",
        )
    if len(account.recurring) >= RECURRING_AN_ACCOUNT_MAX:
        return Refusal(
            Reason.RECURRING_LIMIT,
            "account",
            str(len(account.recurring)),
            f"an account has at most {RECURRING_AN_ACCOUNT_MAX} recurring grants, ended ones too",
        )
    now = state.now
    starts_at = command.starts_at or now
    if not now - DEDUPE_WINDOW_US <= starts_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.START_INVALID,
            "starts_at_us",
            str(command.starts_at),
            f"a recurring grant starts from {DEDUPE_WINDOW_US} us ago to {ANCHOR_MAX_US}",
        )
    if command.ends_at and not max(now, starts_at) < command.ends_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.END_INVALID,
            "ends_at_us",
            str(command.ends_at),
            f"a recurring grant ends after it starts, after now, and by {ANCHOR_MAX_US}",
        )
    return None


def invalid_terms(state: State, account: Account, terms: RecurringTerms) -> Refusal | None:
    """Why nothing can be granted every period as these terms say."""
    latest = ANCHOR_MAX_US + EXPIRES_AFTER_MAX_US
    whole = grant_of_terms(account, terms, terms.amount, terms.price_paid, 0, latest)
    refusal = invalid_grant(state, account, whole)
    if refusal is not None:
        return Refusal(refusal.reason, f"terms.{refusal.field}", refusal.value, refusal.message)
    if not 1 <= terms.every <= PERIOD_UNITS_MAX:
        return Refusal(
            Reason.PERIOD_INVALID,
            "terms.every",
            str(terms.every),
            f"a period is from 1 to {PERIOD_UNITS_MAX} weeks, months, quarters or years",
        )
    refusal = refuse_anchor("terms.anchor_us", terms.anchor)
    refusal = refusal or refuse_zone("terms.zone", terms.zone)
    if refusal is not None:
        return refusal
    if not 0 <= terms.expires_after <= EXPIRES_AFTER_MAX_US:
        return Refusal(
            Reason.EXPIRY_INVALID,
            "terms.expires_after_us",
            str(terms.expires_after),
            f"a grant expires from 0 to {EXPIRES_AFTER_MAX_US} us after its period",
        )
    return None


def decide_change(
    state: State, command: ChangeRecurring, out: list[Event]
) -> Event | Known | Refusal:
    """New terms, from the next period on; or now, with the share of what they give more.

    Zone, anchor and length of the periods change with the next period either way (rule T1). What
    they give less is left to the holder until then.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    recurring = _find(state, command.account, command.recurring)
    if isinstance(recurring, Refusal):
        return recurring
    terms = command.terms
    if command.expected_version and command.expected_version != recurring.version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(recurring.version),
            f"the terms are at version {recurring.version}, not {command.expected_version}; "
            "read them again",
        )
    account = recurring.account
    refusal = _terms_fixed(recurring, terms, command.timing) or invalid_terms(state, account, terms)
    if refusal is not None:
        return refusal
    more = _more_now(state, recurring, terms) if command.timing == Timing.NOW else _NO_SHARE
    grant = 0
    if more.amount:
        granted = grant_of_terms(
            account,
            terms,
            more.amount,
            more.price_paid,
            state.now,
            recurring.period_end + terms.expires_after,
            recurring.sharing,
        )
        grant = issue(state, account, granted, out).grant
    changed = RecurringChanged(
        command.key,
        account.number,
        recurring.number,
        terms,
        command.timing,
        recurring.version + 1,
        command.expected_version,
        more.remaining,
        more.full,
        grant,
        more.amount,
        more.price_paid if grant else 0,
        command.trace,
    )
    out.append(changed)
    return changed


def _terms_fixed(
    recurring: RecurringGrant, terms: RecurringTerms, timing: Timing
) -> Refusal | None:
    """Kind and asset stay; the money that pays it, while a period runs that it paid for."""
    fixed = ["kind", "asset"]
    if timing == Timing.NOW and terms.price_paid and recurring.price_paid:
        fixed.append("price_asset")
    for field in fixed:
        given = getattr(terms, field)
        kept = recurring.price_asset if field == "price_asset" else getattr(recurring.terms, field)
        if given != kept:
            return Refusal(
                Reason.TERMS_FIXED,
                f"terms.{field}",
                str(given),
                "this never changes while the recurring grant runs; end it and start another",
            )
    return None


class _Share(NamedTuple):
    """A part of a period, and what is issued for it (rule S1)."""

    remaining: int
    full: int
    amount: int
    price_paid: int


_NO_SHARE = _Share(0, 0, 0, 0)


def _share(amount: int, price_paid: int, remaining: int, full: int) -> _Share:
    return _Share(
        remaining, full, prorated(amount, remaining, full), prorated(price_paid, remaining, full)
    )


def _more_now(state: State, recurring: RecurringGrant, terms: RecurringTerms) -> _Share:
    """What the rest of the present period gets beyond the most generous terms that it had.

    So terms that go up and down and up again never give more than the largest of them.
    """
    now = state.now
    if recurring.paused or not recurring.period_start <= now < recurring.period_end:
        return _NO_SHARE
    return _share(
        max(0, terms.amount - recurring.amount),
        max(0, terms.price_paid - recurring.price_paid),
        recurring.period_end - now,
        recurring.full,
    )


def decide_pause(
    state: State, command: PauseRecurring, out: list[Event]
) -> Event | Known | Refusal:
    """Issue nothing more; what was issued stays."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    recurring = _find(state, command.account, command.recurring)
    if isinstance(recurring, Refusal):
        return recurring
    if recurring.paused:
        return Refusal(
            Reason.RECURRING_PAUSED,
            "recurring_grant_id",
            str(command.recurring),
            "the recurring grant is paused already",
        )
    paused = RecurringPaused(command.key, command.account, command.recurring, command.trace)
    out.append(paused)
    return paused


def decide_resume(
    state: State, command: ResumeRecurring, out: list[Event]
) -> Event | Known | Refusal:
    """Go on: with the next period where the present one was issued, else with what is left of the
    present one, by the proration of a first period. What passed meanwhile is left out."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    recurring = _find(state, command.account, command.recurring)
    if isinstance(recurring, Refusal):
        return recurring
    if not recurring.paused:
        return Refusal(
            Reason.RECURRING_NOT_PAUSED,
            "recurring_grant_id",
            str(command.recurring),
            "the recurring grant is not paused",
        )
    resumed = RecurringResumed(
        command.key,
        command.account,
        command.recurring,
        max(recurring.next_at, state.now),
        command.trace,
    )
    out.append(resumed)
    return resumed


def decide_end(state: State, command: EndRecurring, out: list[Event]) -> Event | Known | Refusal:
    """Issue nothing after the present period; or end it now, by the proration of a last period:
    what was issued for the time after is taken back, as far as it is neither drawn nor held."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    recurring = _find(state, command.account, command.recurring)
    if isinstance(recurring, Refusal):
        return recurring
    now = state.now
    ends_at = now
    if command.timing == Timing.NEXT_PERIOD:
        ends_at = min(max(now, recurring.period_end), recurring.ends_at)
    elif recurring.terms.proration in _LAST:
        _take_back(state, recurring, out)
    ended = RecurringEnded(
        command.key, command.account, command.recurring, command.timing, ends_at, command.trace
    )
    out.append(ended)
    return ended


def _take_back(state: State, recurring: RecurringGrant, out: list[Event]) -> None:
    left = recurring.period_end - state.now
    if left <= 0:
        return
    for number in recurring.grants:
        grant = state.grants[number]
        share = prorated(grant.amount, left, recurring.period_end - grant.effective_at)
        amount = min(share, grant.book.available)
        if amount and not grant.settled:
            out.append(reduced(grant, amount))


def issue_period(state: State, recurring: RecurringGrant, out: list[Event]) -> None:
    """Issue the period that is due (rules T1, S1)."""
    assert recurring.due <= state.now, (recurring.number, recurring.due)
    account = recurring.account
    terms = recurring.next_terms or recurring.terms
    start = recurring.next_at
    end, share = _period_from(recurring, terms, start, fresh=recurring.fresh)
    grant = 0
    if share.amount:
        granted = grant_of_terms(
            account,
            terms,
            share.amount,
            share.price_paid,
            start,
            end + terms.expires_after,
            recurring.sharing,
        )
        grant = issue(state, account, granted, out).grant
    out.append(
        RecurringIssued(
            account.number,
            recurring.number,
            recurring.version,
            start,
            end,
            share.remaining,
            share.full,
            grant,
            share.amount,
            share.price_paid if grant else 0,
        )
    )


def _period_from(
    recurring: RecurringGrant, terms: RecurringTerms, start: int, *, fresh: bool
) -> tuple[int, _Share]:
    """Where the period that starts then ends, and what is issued for it."""
    cycle_start, cycle_end = cycle_of(recurring, terms).period_of(start)
    end = min(cycle_end, recurring.ends_at)
    # A new zone or anchor leaves a part of a period, which is never given whole.
    first = terms.proration in _FIRST or not fresh
    remaining = end if terms.proration in _LAST else cycle_end
    remaining -= start if first else cycle_start
    return end, _share(terms.amount, terms.price_paid, remaining, cycle_end - cycle_start)


class Planned(NamedTuple):
    """A grant that a recurring one is to issue, unless it is changed, paused or ended before."""

    amount: int
    starts_at: int
    expires_at: int


def planned_until(recurring: RecurringGrant, until: int) -> list[Planned]:
    """The grants of the periods that start before an instant and are not issued yet."""
    found: list[Planned] = []
    if recurring.paused:
        return found
    terms = recurring.next_terms or recurring.terms
    start, fresh = recurring.next_at, recurring.fresh
    while start < min(until, recurring.ends_at):
        end, share = _period_from(recurring, terms, start, fresh=fresh)
        if share.amount:
            found.append(Planned(share.amount, start, end + terms.expires_after))
        start, fresh = end, False
    return found


def cycle_of(recurring: RecurringGrant, terms: RecurringTerms) -> Cycle:
    """The periods of these terms: in their own zone, else the account's."""
    return Cycle(
        terms.unit,
        terms.every,
        terms.anchor or recurring.starts_at,
        terms.zone or recurring.account.calendar.zone,
    )


def has_ended(recurring: RecurringGrant, now: int) -> bool:
    """Whether nothing may be asked of it any more."""
    return recurring.ends_at <= now


def _find(state: State, account: int, number: int) -> RecurringGrant | Refusal:
    """A recurring grant that has not ended, of an account that is not closed."""
    if account not in state.accounts:
        return unknown_account(account)
    recurring = state.recurring.get(number)
    if recurring is None or recurring.account.number != account:
        return Refusal(
            Reason.RECURRING_UNKNOWN,
            "recurring_grant_id",
            str(number),
            "the account has no such recurring grant",
        )
    if has_ended(recurring, state.now):
        return Refusal(
            Reason.RECURRING_ENDED,
            "recurring_grant_id",
            str(recurring.ends_at),
            "the recurring grant ended at this instant; start another",
        )
    return recurring


def grant_of_terms(
    account: Account,
    terms: RecurringTerms,
    amount: int,
    price_paid: int,
    effective_at: int,
    expires_at: int,
    since: Sharing | None = None,
) -> IssueGrant:
    """The grant that one issue asks for, of what is shared otherwise `since`."""
    shared, sharing = shared_as(terms.shared, since)
    return IssueGrant(
        b"",
        account.number,
        terms.kind,
        terms.asset,
        amount,
        price_paid,
        terms.price_asset,
        terms.priority,
        effective_at,
        expires_at,
        terms.products,
        b"",
        source=terms.source,
        tags=terms.tags,
        attributes=terms.attributes,
        shared=shared,
        sharing=sharing,
        rollover=terms.rollover,
        metadata=terms.metadata,
    )
