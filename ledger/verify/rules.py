"""What every entry must satisfy, judged from the entry and the state that it comes upon.

The live ledger never judges in `evolve`, and `decide` is never replayed: so this says again, apart
from both, what no entry may do. A figure that breaks a rule is a finding; the replay goes on.
Changes nothing. What needs the rate card of the day (prices) is not judged: it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from ledger.core.books import Book
from ledger.core.events import (
    OF_A_GRANT,
    AccountBilled,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AdjustmentNoted,
    AuthorizeDenied,
    BalanceAdjusted,
    BookKind,
    BookOpened,
    CommitmentCreated,
    CommitmentEnded,
    CommitmentEnding,
    ConfigurationApplied,
    CreditNoteIssued,
    Event,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantKind,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    Invoice,
    InvoiceDue,
    OverdraftKind,
    PaymentRecorded,
    PlanDeclared,
    Pot,
    Proration,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Segment,
    SegmentAdded,
    Slice,
    Timing,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleSet,
    UsageCaptured,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
    WriteOffKind,
    WriterOpened,
)
from ledger.core.limits import (
    BASIS_POINTS,
    CORRECTION_WINDOW_US,
    DAY_US,
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
    HOLD_LIFETIME_MAX_US,
    INT64_MAX,
    TOP_UP_BACK_OFF_US,
    TOP_UP_LIFETIME_US,
)
from ledger.core.periods import prorated
from ledger.core.state import (
    GRANT_CANCELLED,
    GRANT_OPEN,
    GRANT_VOIDED,
    HOLD_EXPIRED,
    NEVER,
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_PENDING,
    Account,
    Commitment,
    Grant,
    Hold,
    RecurringGrant,
    State,
)
from ledger.verify.report import Findings
from ledger.verify.transfers import goes_on_to, still_goes_on, was_moved

_BOOK_OF_POT: Final[dict[int, BookKind]] = {
    Pot.GRANT: BookKind.GRANT,
    Pot.OVERDRAFT: BookKind.ADVANCE,
    Pot.OVERAGE: BookKind.OVERAGE,
    Pot.EXCESS_OWED: BookKind.ADVANCE,
    Pot.EXCESS_BILLED: BookKind.OVERAGE,
    Pot.ABSORBED: BookKind.PROMOTION,
}
_SIDES_OF_WRITE_OFF: Final[dict[int, tuple[BookKind, BookKind]]] = {
    WriteOffKind.GRANT: (BookKind.GRANT, BookKind.FORFEITED),
    WriteOffKind.ADVANCE: (BookKind.ADVANCE, BookKind.PROMOTION),
    WriteOffKind.OVERAGE: (BookKind.OVERAGE, BookKind.SETTLED),
    WriteOffKind.BREAKAGE: (BookKind.DEFERRED, BookKind.BREAKAGE),
    WriteOffKind.UNBILLED: (BookKind.UNBILLED, BookKind.BAD_DEBT),
    WriteOffKind.RECEIVABLE: (BookKind.RECEIVABLE, BookKind.BAD_DEBT),
    WriteOffKind.COMMITMENT: (BookKind.COMMITMENT, BookKind.SETTLED),
}
"""The account's book and the house's."""
_MONTH_MAX_US: Final = 33 * DAY_US
"""Longer than any month: 31 days, and what is between two zones, 26 hours."""
_OVER_LIMIT: Final[frozenset[int]] = frozenset({Pot.EXCESS_OWED, Pot.EXCESS_BILLED, Pot.ABSORBED})


class Rules:
    """Judges the entries of one shard: `before` each is applied, then `after`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._replacement = b""  # key of the usage that is to follow an amendment's reversal
        # What a transfer has voided and is to add to another commitment: grant, units, money.
        self._moving: tuple[int, int, int] | None = None

    def before(self, state: State, event: Event) -> None:
        """What the entry may not say, given what is there. May raise KeyError where the entry names
        what is not there."""
        if self._moving is not None:
            self._goes_on_moving(state, event)
        key = getattr(event, "key", b"")
        if key and state.keys.find(key) is not None:
            self._wrong(state, "identity", "once within the window", f"{key.hex()} again")
        plan = getattr(event, "plan", None)
        if plan is not None:
            self._look_at_plan(state, event, state.declared[plan])
        judge = _JUDGES.get(type(event))
        if judge is not None:
            judge(self, state, event)

    def after(self, state: State, event: Event) -> None:
        """What may not be so once the entry is applied (rules B6, B7)."""
        for asset, totals in state.books.totals.items():
            if not totals.balanced:
                self._findings.add(
                    f"entry {state.entry_seq - 1}, credits of asset {asset}",
                    f"{totals.debits_posted} + {totals.debits_pending} pending",
                    f"{totals.credits_posted} + {totals.credits_pending} pending",
                )
        if isinstance(event, UsageRecorded | HoldAuthorized):
            for piece in event.slices:
                book = state.books.accounts[piece.book]
                if book.grant is not None and book.available < 0:
                    what = f"units left of grant {book.grant.number}"
                    what = f"entry {state.entry_seq - 1}, {what}"
                    self._findings.add(what, "0 or more", book.available)

    def _wrong(self, state: State, what: str, expected: object, found: object) -> None:
        self._findings.add(f"entry {state.entry_seq}, {what}", expected, found)

    def _equal(self, state: State, what: str, expected: object, found: object) -> None:
        if expected != found:
            self._wrong(state, what, expected, found)

    # -- usage and holds ---------------------------------------------------------------------------

    def _look_at_plan(self, state: State, event: Any, plan: PlanDeclared) -> None:
        names = len(plan.quantity_names)
        if len(event.quantities) != names or len(plan.rows) != names:
            found = f"{len(event.quantities)}, {len(plan.rows)} price rows"
            self._wrong(state, "number of quantities", names, found)
        if len(getattr(event, "charges", plan.rows)) != names:
            self._wrong(state, "number of charges", names, len(event.charges))

    def _usage(self, state: State, event: UsageRecorded) -> None:
        account = state.accounts[event.account]
        start = state.window_start
        if event.key == self._replacement:  # may be as old as what it stands for
            start = state.now - CORRECTION_WINDOW_US
        self._replacement = b""
        if not start <= event.effective_at <= state.window_end:
            window = f"{start} to {state.window_end}"
            self._wrong(state, "effective time", window, event.effective_at)
        self._takes(state, account, event.effective_at, new=not event.hold or event.late == 1)
        self._drawn(state, account, event)
        if event.hold and event.late:
            settled = state.families[account.root].settled[event.hold]
            self._equal(state, "end of the hold", HOLD_EXPIRED, settled.ended)
            self._equal(state, "late captures before", False, settled.captured_late)
            self._equal(state, "account of the hold", settled.account.number, event.account)
        elif event.hold:
            self._open_hold(state, event.hold, event.account)
        else:
            for piece in event.slices:
                self._grant_in_time(state, piece, event.effective_at)

    def _takes(self, state: State, account: Account, at: int, *, new: bool) -> None:
        """Nothing new where it or one above it is frozen, nothing of a time in which it was closed
        (rules I2, T2)."""
        above: Account | None = account
        while new and above is not None:
            self._equal(state, f"frozen, account {above.number}", 0, above.frozen_at)
            above = above.parent
        over = _grace_over(state, account)
        for closed_at, reopened_at in (*account.gaps, (account.closed_at, NEVER)):
            late = at < closed_at and over < closed_at
            if closed_at and at < reopened_at and not late:
                was = f"not in {closed_at} to {reopened_at}"
                self._wrong(state, "time of usage", was, at)

    def _month(self, state: State, account: Account, at: int, month: int) -> None:
        """Usage counts in its own month while that takes late events, and then in the one that runs
        (rule T2); no month goes on where another zone begins to count (rule T1). Which instants are
        midnights is not judged: that takes the time zones of the day."""
        counted = at
        if month > at:  # its own is closed, and ended before
            counted = state.now
            if at >= _grace_over(state, account):
                self._wrong(state, "month", f"that of {at}, which is open", month)
        elif month + _MONTH_MAX_US <= _grace_over(state, account):
            self._wrong(state, "month", "one that is not closed", month)
        if not month <= counted < month + _MONTH_MAX_US:
            self._wrong(state, "month", f"that of {counted}", month)
        for since, zone in account.calendar.zones[1:]:
            if month < since <= counted:
                self._wrong(state, f"month in {zone}", f"from {since} on", month)

    def _drawn(self, state: State, account: Account, event: UsageRecorded) -> None:
        self._month(state, account, event.effective_at, event.period)
        self._slices(state, account, event)
        over = sum([piece.amount for piece in event.slices if piece.pot in _OVER_LIMIT])
        self._equal(state, "over_limit", over, event.over_limit)

    def _captured(self, state: State, event: UsageCaptured) -> None:
        """A capture that leaves its hold open takes of its slices first (rule H1)."""
        self._usage(state, event)
        hold = state.holds.get(event.hold)
        if event.late or hold is None:
            self._equal(state, "taken of a hold that is not open", (), event.taken)
            return
        if not event.taken:  # priced in another asset than the hold
            return
        drawn = {(piece.pot, piece.book): piece.amount for piece in event.slices}
        beyond = sum(drawn.values()) - sum(event.taken)
        self._equal(state, "slices taken of", len(hold.slices), len(event.taken))
        for piece, taken in zip(hold.slices, event.taken, strict=False):
            most = min(piece.amount, drawn.get((piece.pot, piece.book), 0))
            if not 0 <= taken <= most:
                what = f"taken of book {piece.book} of hold {hold.number}"
                self._wrong(state, what, f"0 to {most}", taken)
            elsewhere = piece.pot == Pot.OVERAGE and event.period != hold.period
            if beyond and taken < piece.amount and not elsewhere:
                what = f"left of book {piece.book} of hold {hold.number} beside new usage"
                self._wrong(state, what, 0, piece.amount - taken)

    def _charged(self, state: State, event: HoldCharged) -> None:
        """By the policy of its authorisation, when it is due, never more than estimated (H2)."""
        self._drawn(state, state.accounts[event.account], event)
        hold = self._due_hold(state, event.hold)
        if hold is None:
            return
        self._equal(state, "account of the hold", hold.account.number, event.account)
        self._equal(state, "effective time", hold.expires_at, event.effective_at)
        if hold.estimate is None:
            self._wrong(state, f"end of hold {hold.number}", "released", "charged")
            return
        for quantity, left in zip(event.quantities, hold.estimate.quantities, strict=False):
            if not 0 <= quantity <= left:
                what = f"quantity charged of hold {hold.number}"
                self._wrong(state, what, f"0 to {left}", quantity)

    def _slices(
        self, state: State, account: Account, event: UsageRecorded | HoldAuthorized
    ) -> None:
        """Debits = credits within the entry, and each slice from a book that may pay (D1, D4)."""
        drawn, charged = sides_of(event)
        if drawn != charged:
            self._wrong(state, "sum of slices", charged, drawn)
        asset = state.declared[event.plan].asset
        for piece in event.slices:
            book = state.books.accounts[piece.book]
            if book.asset != asset:
                self._wrong(state, f"asset of book {book.number}", asset, book.asset)
            if book.kind != _BOOK_OF_POT[piece.pot]:
                self._wrong(state, f"kind of book {book.number}", piece.pot, book.kind)
            if not _pays_for(book, account):
                self._wrong(state, f"owner of book {book.number}", "its own line", book.owner)
            if piece.pot == Pot.OVERDRAFT and (isinstance(event, HoldAuthorized) or not event.hold):
                self._in_advance(state, account, book, piece.amount)

    def _in_advance(self, state: State, account: Account, book: Book, amount: int) -> None:
        """Never beyond the limit that the policy in force gives (rules D4, H6)."""
        policy = account.policy
        most = policy.overdraft_limit if policy.overdraft_asset == book.asset else 0
        if policy.overdraft_kind == OverdraftKind.PERCENT_OF_LIFETIME:
            lifetime = max(0, account.lifetime.get(book.asset, 0))
            most = min(most, lifetime * policy.overdraft_basis_points // BASIS_POINTS)
        owed = book.owed + book.debits_pending + amount
        if owed > most:
            self._wrong(state, f"owed in advance by account {account.number}", most, owed)

    def _grant_in_time(self, state: State, piece: Slice, at: int) -> None:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and not grant.effective_at <= at < grant.expires_at:
            lasts = f"{grant.effective_at} to {grant.expires_at}"
            self._wrong(state, f"time that grant {grant.number} pays for", lasts, at)

    def _reversed(self, state: State, event: UsageReversed) -> None:
        """What can be said without the event that is corrected: see `reversals` for the rest."""
        self._replacement = event.replaced_by
        account = state.accounts[event.account]
        if event.effective_at < state.now - CORRECTION_WINDOW_US:
            limit = f"after {state.now - CORRECTION_WINDOW_US}"
            self._wrong(state, "effective time", limit, event.effective_at)
        if not event.original < state.locator:
            self._wrong(state, "original", "an earlier entry", event.original)
        if min(event.quantities, default=0) < 0 or min(event.refunds, default=0) < 0:
            self._wrong(state, "quantities and refunds", "0 or more", "less")
        amount = sum([piece.amount for piece in event.given_back])
        most = event.as_charged or sum(event.refunds)
        if amount > most or (event.as_charged and amount + event.kept != most):
            self._wrong(state, "sum given back", most, amount)
        if event.as_charged and (any(event.quantities) or event.moves):
            self._wrong(state, "quantities of goodwill", "none", event.quantities)
        asset = state.declared[event.plan].asset
        recognised: dict[int, list[int]] = {}
        for piece in event.given_back:
            for number in {piece.book, piece.drawn}:
                book = state.books.accounts[number]
                if book.asset != asset:
                    self._wrong(state, f"asset of book {number}", asset, book.asset)
            drawn = state.books.accounts[piece.drawn]
            if not _pays_for(drawn, account):
                self._wrong(state, f"owner of book {piece.drawn}", "its own line", drawn.owner)
            if drawn.grant is None:
                self._equal(state, "book given back to", piece.drawn, piece.book)
                continue
            taken = recognised.setdefault(drawn.grant.number, [0, 0])
            taken[0] += piece.amount
            taken[1] += piece.value
            self._returns_to(state, drawn.grant, piece.book)
        for number, (units, money) in recognised.items():
            grant = state.grants[number]
            if units > grant.drawn:
                self._wrong(state, f"given back of grant {number}", grant.drawn, units)
                continue
            keeps = (grant.price_paid - grant.returned) * (grant.drawn - units)
            keeps = keeps // grant.whole if grant.price_paid else 0
            self._equal(state, f"money of grant {number}", grant.recognised - keeps, money)

    def _adjusted(self, state: State, event: BalanceAdjusted) -> None:
        """Debited by slices, credited to a grant, or by the grant that was just issued."""
        account = state.accounts[event.account]
        drawn = sum([piece.amount for piece in event.slices])
        back = sum([piece.amount for piece in event.given_back])
        issued = 0
        if event.amount > 0 and not event.grant_given:
            grant = state.grants.get(event.grant)
            if grant is not None:
                self._equal(state, "account of the grant", event.account, grant.account.number)
                self._equal(state, "price of the grant", 0, grant.price_paid)
                issued = grant.amount
        self._equal(state, "sum adjusted", event.amount, back + issued - drawn)
        for piece in event.slices:
            book = state.books.accounts[piece.book]
            self._equal(state, f"asset of book {book.number}", event.asset, book.asset)
            self._equal(state, f"kind of book {book.number}", _BOOK_OF_POT[piece.pot], book.kind)
            if not _pays_for(book, account):
                self._wrong(state, f"owner of book {book.number}", "its own line", book.owner)
        for returned in event.given_back:
            book = state.books.accounts[returned.book]
            grant_of = book.grant
            self._equal(state, f"asset of book {book.number}", event.asset, book.asset)
            self._equal(state, "book given back to", returned.drawn, returned.book)
            if grant_of is None or returned.amount > grant_of.drawn:
                self._wrong(state, "given back by hand", "what was drawn", returned.amount)
                continue
            keeps = (grant_of.price_paid - grant_of.returned) * (grant_of.drawn - returned.amount)
            keeps = keeps // grant_of.whole if grant_of.price_paid else 0
            money = grant_of.recognised - keeps
            self._equal(state, f"money of grant {grant_of.number}", money, returned.value)

    def _returns_to(self, state: State, grant: Grant, number: int) -> None:
        """Back to the grant; where it has ended, to one in its stead or to where its rest went."""
        if number == grant.book.number and grant.settled == GRANT_OPEN:
            return
        book = state.books.accounts[number]
        ended = grant.settled != GRANT_OPEN or grant.expires_at <= state.now
        onward = (
            book is grant.funding
            if grant.settled == GRANT_VOIDED
            else book.kind in (BookKind.FORFEITED, BookKind.TRUE_UP)
        )
        if not ended or not (onward or book.grant is not None):
            self._wrong(state, f"book given back to for grant {grant.number}", "its own", number)

    def _restored(self, state: State, event: GrantRestored) -> None:
        grant = state.grants[event.of]
        self._equal(state, "number of the grant", state.next_grant, event.grant)
        ordinal = state.families[grant.account.root].next_ordinal
        self._equal(state, "ordinal of the grant", ordinal, event.ordinal)
        self._equal(state, "account of the grant", grant.account.number, event.account)
        if grant.settled == GRANT_OPEN and grant.expires_at > state.now:
            self._wrong(state, f"grant {event.of}", "ended", "open")
        if not 0 < event.amount <= grant.drawn:
            self._wrong(state, "amount restored", f"1 to {grant.drawn}", event.amount)
        if not 0 <= event.price_paid <= grant.recognised:
            self._wrong(state, "price restored", f"0 to {grant.recognised}", event.price_paid)

    def _noted(self, state: State, event: AdjustmentNoted) -> None:
        if not event.closed < event.period <= state.now:
            self._wrong(state, "periods", "closed before open", (event.closed, event.period))
        if not 0 <= event.entry < state.batch_length:
            self._wrong(state, "adjusted entry", f"before {state.batch_length}", event.entry)

    def _quarantined(self, state: State, event: UsageQuarantined) -> None:
        if event.reason == "TOO_OLD" and event.effective_at >= state.window_start:
            limit = f"before {state.window_start}"
            self._wrong(state, "effective time", limit, event.effective_at)

    def _authorized(self, state: State, event: HoldAuthorized) -> None:
        self._equal(state, "number of the hold", state.next_hold, event.hold)
        self._equal(state, "effective time", state.now, event.effective_at)
        expires_at = event.effective_at + (event.lifetime or HOLD_LIFETIME_DEFAULT_US)
        self._equal(state, "expiry of the hold", expires_at, event.expires_at)
        longest = (HOLD_LIFETIME_MAX_US, HOLD_LIFETIME_BATCH_MAX_US)
        if event.lifetime_max not in longest or event.lifetime > event.lifetime_max:
            self._wrong(state, "longest lifetime of the hold", longest, event.lifetime_max)
        account = state.accounts[event.account]
        self._slices(state, account, event)
        self._month(state, account, event.effective_at, event.period)
        self._equal(state, "version of the policy", account.version, event.policy_version)
        asset = state.declared[event.plan].asset
        debt, grace = account.debt.get(asset), account.policy.overdraft_grace
        if event.slices and debt is not None and debt.owed:
            below = state.now - debt.since
            if 0 <= grace <= below:
                self._wrong(state, "time below zero", f"less than {grace}", below)
        if any(piece.pot == Pot.OVERDRAFT for piece in event.slices):
            self._equal(state, "holds_overdraft", True, account.policy.holds_overdraft)

        self._takes(state, state.accounts[event.account], state.now, new=True)

    def _denied(self, state: State, event: AuthorizeDenied) -> None:
        self._takes(state, state.accounts[event.account], state.now, new=True)

    def _open_hold(self, state: State, number: int, account: int) -> None:
        """Open, of that account, and not overdue: what is overdue expires first (rule H2)."""
        hold = state.holds.get(number)
        if hold is None:
            self._wrong(state, f"hold {number}", "open", "settled or unknown")
            return
        self._equal(state, "account of the hold", hold.account.number, account)
        if hold.expires_at <= state.now:
            self._wrong(state, f"hold {number}", "expired first", f"due at {hold.expires_at}")

    def _extended(self, state: State, event: HoldExtended) -> None:
        """Open, and never beyond the longest lifetime from the authorisation (rule H1)."""
        self._open_hold(state, event.hold, event.account)
        expires_at = state.now + (event.lifetime or HOLD_LIFETIME_DEFAULT_US)
        self._equal(state, "expiry of the hold", expires_at, event.expires_at)
        hold = state.holds.get(event.hold)
        if hold is not None and event.expires_at > hold.authorized_at + hold.lifetime_max:
            longest = hold.authorized_at + hold.lifetime_max
            self._wrong(state, f"expiry of hold {hold.number}", f"to {longest}", event.expires_at)

    def _released(self, state: State, event: HoldReleased) -> None:
        self._open_hold(state, event.hold, event.account)

    def _hold_expired(self, state: State, event: HoldExpired) -> None:
        self._due_hold(state, event.hold)

    def _due_hold(self, state: State, number: int) -> Hold | None:
        """Open, and due: an expiry comes once, and not before its time (rule H2)."""
        hold = state.holds.get(number)
        if hold is None:
            self._wrong(state, f"hold {number}", "open", "settled or unknown")
        elif hold.expires_at > state.now:
            self._wrong(state, f"expiry of hold {number}", hold.expires_at, state.now)
        return hold

    # -- grants ------------------------------------------------------------------------------------

    def _issued(self, state: State, event: GrantIssued) -> None:
        account = state.accounts[event.account]
        self._equal(state, "number of the grant", state.next_grant, event.grant)
        ordinal = state.families[account.root].next_ordinal
        self._equal(state, "ordinal of the grant", ordinal, event.ordinal)
        repaid = sum([part.amount for part in event.backfills])
        if not 0 <= repaid <= event.amount:
            self._wrong(state, "backfill", f"0 to {event.amount}", repaid)

    def _voided(self, state: State, event: GrantVoided) -> None:
        grant = state.grants[event.grant]
        expected = (GRANT_OPEN, GRANT_CANCELLED) if event.key else (GRANT_VOIDED,)
        if _ends_early(grant):
            expected = (GRANT_OPEN, *expected)
        if grant.settled not in expected:
            self._wrong(state, f"state of grant {event.grant}", expected, grant.settled)
        self._taken(state, event.grant, event.amount)
        if was_moved(grant) and still_goes_on(state, grant):
            money = grant.rest_of(event.amount)
            self._equal(state, f"money of grant {grant.number}", money, event.refunded)
            self._equal(state, f"breakage of grant {grant.number}", 0, event.breakage)
            if event.amount:
                self._moving = grant.number, event.amount, event.refunded

    def _grant_expired(self, state: State, event: GrantExpired) -> None:
        grant = state.grants[event.grant]
        moved = was_moved(grant)
        if grant.settled == GRANT_VOIDED and not moved:
            self._wrong(state, f"state of grant {event.grant}", "not voided", "voided")
        due = grant.expires_at + grant.account.policy.period_grace
        if moved:
            if still_goes_on(state, grant):
                self._wrong(state, f"end of grant {event.grant}", "moved on", "expired")
        elif _ends_early(grant):
            self._equal(
                state,
                f"early end of grant {event.grant}",
                CommitmentEnding.TRUE_UP,
                grant.commitment.ending if grant.commitment is not None else 0,
            )
        elif grant.expires_at == NEVER or state.now < due:
            self._wrong(state, f"breakage of grant {event.grant}", due, state.now)
        self._taken(state, event.grant, event.amount)

    def _taken(self, state: State, number: int, amount: int) -> None:
        available = state.grants[number].book.available
        if not 0 <= amount <= available:
            self._wrong(state, f"units taken from grant {number}", f"0 to {available}", amount)

    def _reduced(self, state: State, event: GrantReduced) -> None:
        self._equal(
            state, f"state of grant {event.grant}", GRANT_OPEN, state.grants[event.grant].settled
        )
        self._taken(state, event.grant, event.amount)

    # -- money -------------------------------------------------------------------------------------

    def _confirmed(self, state: State, event: GrantReleased) -> None:
        """floor(A x paid / P) in all, never more than P, into the deferred of its own (rule F1)."""
        grant = state.grants[event.grant]
        what = f"grant {event.grant}"
        self._equal(state, f"account of {what}", event.account, grant.account.number)
        self._equal(state, f"state of {what}", GRANT_OPEN, grant.settled)
        if not 0 < event.payment <= grant.unpaid:
            self._wrong(state, f"payment of {what}", f"1 to {grant.unpaid}", event.payment)
            return
        paid = grant.price_paid - grant.unpaid + event.payment
        share = grant.amount * paid // grant.price_paid
        released = grant.amount - grant.pending
        self._equal(state, f"units released of {what}", share - released, event.amount)
        self._kind(state, event.cash_book, BookKind.CASH, grant.price_asset)

    def _cancelled(self, state: State, event: GrantCancelled) -> None:
        grant = state.grants[event.grant]
        what = f"grant {event.grant}"
        self._equal(state, f"what pends of {what}", grant.pending, event.amount)
        self._equal(state, f"what is unpaid of {what}", grant.unpaid, event.unpaid)
        if event.whole:
            self._equal(
                state, f"what is unpaid of {what}, which ends", grant.price_paid, event.unpaid
            )

    def _refunded(self, state: State, event: GrantRefunded) -> None:
        """At most P x left / A, of a grant that was paid for, to its own cash (rule F2)."""
        grant = state.grants[event.grant]
        what = f"grant {event.grant}"
        self._equal(state, f"state of {what}", GRANT_OPEN, grant.settled)
        self._equal(state, f"kind of {what}", GrantKind.PREPAID, grant.kind)
        self._taken(state, event.grant, event.amount)
        most = (grant.price_paid - grant.returned) * event.amount // max(1, grant.whole)
        self._equal(state, f"refund of {what}", most, event.refunded)
        if event.refunded:
            self._kind(state, event.cash_book, BookKind.CASH, grant.price_asset)
            own = grant.cash.number if grant.cash is not None else 0
            self._equal(state, f"cash of {what}", own, event.cash_book)
        if event.breakage:
            self._kind(state, event.breakage_book, BookKind.BREAKAGE, grant.price_asset)
        deferred = grant.book.value_book
        left = -deferred.owed if deferred is not None else 0
        out = event.refunded + event.breakage
        if not 0 <= out <= left or event.breakage < 0:
            self._wrong(state, f"money taken from {what}", f"0 to {left}", out)

    def _charged_back(self, state: State, event: GrantChargedBack) -> None:
        """All that was paid and not refunded, once, out of what is left and what is owed (F3)."""
        paid = state.grants[event.grant]
        what = f"grant {event.grant}"
        self._equal(state, f"account of {what}", event.account, paid.account.number)
        self._equal(state, f"payment of {what}", paid.paid, event.payment)
        cash = paid.cash.number if paid.cash is not None else 0
        self._equal(state, f"cash of {what}", cash, event.cash_book)
        self._kind(state, event.cash_book, BookKind.CASH, paid.price_asset)
        self._kind(state, event.receivable_book, BookKind.RECEIVABLE, paid.price_asset)
        out = sum([part.value for part in event.parts]) + event.owed
        self._equal(state, f"sum taken back of {what}", event.payment, out)
        if event.owed < 0 or event.payment <= 0:
            self._wrong(state, f"money taken back of {what}", "above 0", event.payment)
        family = [
            each.number for each in paid.account.grants if each is paid or each.part_of is paid
        ]
        found = [part.grant for part in event.parts]
        self._equal(state, f"parts of {what}", family, found)
        for part in event.parts:
            grant = state.grants[part.grant]
            self._taken(state, part.grant, part.amount)
            ends = grant.settled == GRANT_OPEN
            self._equal(state, f"whether grant {part.grant} ends", ends, part.ends)
            deferred = grant.book.value_book
            left = -deferred.owed if deferred is not None else 0
            if not 0 <= part.value <= left:
                self._wrong(state, f"money of grant {part.grant}", f"0 to {left}", part.value)

    def _billed(self, state: State, event: AccountBilled) -> None:
        """Each line of a book of the account's own, never more than is owed in it (B3, B4)."""
        account = state.accounts[event.account]
        if not event.lines:
            self._wrong(state, "lines of the bill", "some", "none")
        owed: dict[int, int] = {}
        for line in event.lines:
            debit, credit = (state.books.accounts[book] for book in (line.debit, line.credit))
            money = credit.kind == BookKind.UNBILLED
            what = f"bill of book {credit.number}"
            if credit.kind == BookKind.COMMITMENT:
                owner = state.grants[credit.owner].account.number
                self._equal(state, f"{what}, grant", credit.owner, line.grant)
            else:
                owner = credit.owner
                if credit.kind not in (BookKind.UNBILLED, BookKind.OVERAGE):
                    self._wrong(state, f"{what}, kind", "what is owed", credit.kind)
            self._equal(state, f"{what}, owner", account.number, owner)
            kind = BookKind.RECEIVABLE if money else BookKind.SETTLED
            self._kind(state, debit.number, kind, line.asset)
            self._equal(state, f"{what}, asset", line.asset, credit.asset)
            if money:
                self._equal(state, f"{what}, payer", account.number, debit.owner)
            left = owed.setdefault(credit.number, credit.owed)
            if not 0 < line.amount <= left:
                self._wrong(state, what, f"1 to {left}", line.amount)
            owed[credit.number] = left - line.amount

    def _bill_paid(self, state: State, event: PaymentRecorded) -> None:
        self._lowered(state, event, event.cash_book, BookKind.CASH)

    def _credited(self, state: State, event: CreditNoteIssued) -> None:
        self._lowered(state, event, event.book, BookKind.CREDIT_NOTE)

    def _written_off(self, state: State, event: ReceivableWrittenOff) -> None:
        self._lowered(state, event, event.book, BookKind.BAD_DEBT)

    def _lowered(
        self,
        state: State,
        event: PaymentRecorded | CreditNoteIssued | ReceivableWrittenOff,
        debit: int,
        kind: BookKind,
    ) -> None:
        """Never more than the account was billed and has not paid (rules B4, F4)."""
        receivable = state.books.accounts[event.receivable_book]
        self._kind(state, debit, kind, event.asset)
        self._kind(state, event.receivable_book, BookKind.RECEIVABLE, event.asset)
        self._equal(state, "owner of the receivable", event.account, receivable.owner)
        if not 0 < event.amount <= receivable.owed:
            most = f"1 to {receivable.owed}"
            self._wrong(state, f"paid of book {receivable.number}", most, event.amount)

    def _kind(self, state: State, number: int, kind: BookKind, asset: int) -> None:
        book = state.books.accounts[number]
        self._equal(state, f"book {number}", (kind, asset), (book.kind, book.asset))

    # -- recurring grants --------------------------------------------------------------------------

    def _started(self, state: State, event: RecurringStarted) -> None:
        self._equal(state, "number of the recurring grant", state.next_recurring, event.recurring)
        if event.ends_at and event.ends_at <= event.starts_at:
            self._wrong(state, "end", f"after {event.starts_at}", event.ends_at)
        keys = state.families[state.accounts[event.account].root].recurring_keys
        if event.external_key and event.external_key in keys:
            self._wrong(state, "external key", "new in the family", event.external_key.hex())

    def _period_issued(self, state: State, event: RecurringIssued) -> None:
        """Follows the period before, within [due, end), and never above its time (T1, S1)."""
        recurring = state.recurring[event.recurring]
        terms = recurring.next_terms or recurring.terms
        what = f"period of recurring grant {event.recurring}"
        self._equal(state, f"start of the {what}", recurring.due, event.start)
        self._equal(state, f"version of the {what}", recurring.version, event.version)
        if event.start > state.now:
            self._wrong(state, what, f"due at {event.start}", state.now)
        if not event.start < event.end <= recurring.ends_at:
            self._wrong(state, f"end of the {what}", recurring.ends_at, event.end)
        longest = event.end - event.start
        if not longest <= event.full:
            self._wrong(state, f"length of the {what}", f"{longest} or more", event.full)
        if not longest <= event.remaining <= event.full:
            self._wrong(state, f"share of the {what}", longest, event.remaining)
        elif terms.proration == Proration.BOTH:
            self._equal(state, f"share of the {what}", longest, event.remaining)
        share = (terms.amount, terms.price_paid)
        self._share(state, recurring, event, share)

    def _share(
        self,
        state: State,
        recurring: RecurringGrant,
        event: RecurringIssued | RecurringChanged,
        whole: tuple[int, int],
    ) -> None:
        """Amount and price are the time's share of the whole, and the grant is of them."""
        if not 0 <= event.remaining <= event.full:
            self._wrong(state, "remaining time", f"0 to {event.full}", event.remaining)
            return
        amount, price_paid = 0, 0
        if event.full:
            amount, price_paid = (prorated(each, event.remaining, event.full) for each in whole)
        self._equal(state, "prorated amount", amount, event.amount)
        self._equal(state, "prorated price", price_paid if amount else 0, event.price_paid)
        self._equal(state, "whether there is a grant", amount > 0, event.grant > 0)
        if event.grant:
            grant = state.grants[event.grant]
            issued = (grant.account.number, grant.amount, grant.price_paid, grant.recurring)
            expected = (recurring.account.number, event.amount, event.price_paid, 0)
            self._equal(state, f"grant {event.grant}", expected, issued)

    def _recurring_changed(self, state: State, event: RecurringChanged) -> None:
        recurring = self._running(state, event.recurring, event.account)
        self._equal(state, "version of the terms", recurring.version + 1, event.version)
        whole = (
            max(0, event.terms.amount - recurring.amount),
            max(0, event.terms.price_paid - recurring.price_paid),
        )
        if event.timing == Timing.NOW and event.full:
            self._equal(state, "full period", recurring.full, event.full)
            remaining = recurring.period_end - state.now
            self._equal(state, "remaining time", remaining, event.remaining)
        elif event.full:
            self._wrong(state, "a share", "none before the next period", event.remaining)
        self._share(state, recurring, event, whole)

    def _recurring_paused(self, state: State, event: RecurringPaused) -> None:
        paused = self._running(state, event.recurring, event.account).paused
        self._equal(state, f"recurring grant {event.recurring} paused", False, paused)

    def _recurring_resumed(self, state: State, event: RecurringResumed) -> None:
        recurring = self._running(state, event.recurring, event.account)
        self._equal(state, f"recurring grant {event.recurring} paused", True, recurring.paused)
        next_at = max(recurring.next_at, state.now)
        self._equal(state, "start of the next period", next_at, event.next_at)

    def _recurring_ended(self, state: State, event: RecurringEnded) -> None:
        recurring = self._running(state, event.recurring, event.account)
        if not state.now <= event.ends_at <= recurring.ends_at:
            lasts = f"{state.now} to {recurring.ends_at}"
            self._wrong(state, f"end of recurring grant {event.recurring}", lasts, event.ends_at)

    def _running(self, state: State, number: int, account: int) -> RecurringGrant:
        recurring = state.recurring[number]
        what = f"recurring grant {number}"
        self._equal(state, f"account of {what}", recurring.account.number, account)
        if recurring.ends_at <= state.now:
            self._wrong(state, what, "not ended", f"ended at {recurring.ends_at}")
        return recurring

    # -- commitments -------------------------------------------------------------------------------

    def _committed(self, state: State, event: CommitmentCreated) -> None:
        """Segments follow each other, each is a grant; invoices stand in order (rule D7)."""
        self._equal(state, "number of the commitment", state.next_commitment, event.commitment)
        keys = state.families[state.accounts[event.account].root].commitment_keys
        if event.external_key and event.external_key in keys:
            self._wrong(state, "external key", "new in the family", event.external_key.hex())
        self._equal(state, "grants of segments", len(event.segments), len(event.grants))
        before = 0
        for segment, grant in zip(event.segments, event.grants, strict=False):
            self._segment(state, event.account, segment, grant, event.terms.kind)
            if segment.starts_at < before:
                what = f"start of the segment of grant {grant}"
                self._wrong(state, what, f"{before} or later", segment.starts_at)
            before = segment.ends_at
        self._invoices(state, event.invoices)

    def _segment(
        self, state: State, account: int, segment: Segment, number: int, kind: int
    ) -> None:
        grant = state.grants[number]
        starts_at = segment.starts_at or state.now
        expected = (account, kind, starts_at, segment.ends_at, segment.amount, segment.price, None)
        found = (
            grant.account.number,
            grant.kind,
            grant.effective_at,
            grant.expires_at,
            grant.amount,
            grant.price_paid,
            grant.commitment,
        )
        self._equal(state, f"grant {number} of a segment", expected, found)

    def _invoices(self, state: State, invoices: tuple[Invoice, ...]) -> None:
        before = 1
        for invoice in invoices:
            if invoice.at < before or invoice.amount <= 0:
                self._wrong(state, "invoice", f"some money at {before} or later", invoice)
            before = invoice.at

    def _goes_on_moving(self, state: State, event: Event) -> None:
        """What a transfer has voided is issued and added to its target by the next entries."""
        assert self._moving is not None
        if isinstance(event, BookOpened | GrantIssued):
            return
        moved, self._moving = self._moving, None
        added: object = None
        if isinstance(event, SegmentAdded):
            added = (event.of, event.segment.amount, event.segment.price)
        self._equal(state, "segment that a transfer adds", moved, added)
        if isinstance(event, SegmentAdded):
            old = state.grants[moved[0]]
            target, what = goes_on_to(state, old).number, f"commitment that takes {old.number}"
            self._equal(state, what, target, event.commitment)
            starts_at = old.effective_at if old.effective_at > state.now else 0
            expected = (starts_at, old.expires_at)
            found = (event.segment.starts_at, event.segment.ends_at)
            self._equal(state, f"time of what moves of grant {old.number}", expected, found)

    def _segment_added(self, state: State, event: SegmentAdded) -> None:
        if bool(event.key) == bool(event.of):
            self._wrong(state, "segment", "asked for, or of a transfer", event.of)
        commitment = self._goes_on(state, event.commitment, event.account)
        kind = commitment.terms.kind
        self._segment(state, event.account, event.segment, event.grant, kind)
        self._invoices(state, event.invoices)

    def _commitment_ended(self, state: State, event: CommitmentEnded) -> None:
        """True-up is of what is left of the segments that run, a transfer of all that have not
        ended, at its price; a target is another of the same family and assets (B4, D7)."""
        commitment = self._goes_on(state, event.commitment, event.account)
        transfer = event.ending == CommitmentEnding.TRANSFER
        units = value = 0
        if event.ending != CommitmentEnding.WAIVE:
            for grant in commitment.grants:
                runs = transfer or grant.effective_at <= state.now
                if runs and state.now < grant.expires_at and grant.settled == GRANT_OPEN:
                    units += grant.book.available
                    value += grant.rest_of(grant.book.available)
        what = "transfer" if transfer else "true-up"
        self._equal(state, what, (units, value), (event.units, event.value))
        to_come = commitment.invoices[commitment.invoiced :] if transfer else ()
        self._equal(state, "invoices that move", to_come, event.invoices)
        self._equal(state, "target of a transfer", transfer, event.target > 0)
        if not event.target:
            return
        target = state.commitments[event.target]
        self._goes_on(state, event.target, target.account.number)
        if target is commitment:
            self._wrong(state, "target of a transfer", "another commitment", event.target)
        ours, theirs = commitment.terms, target.terms
        self._equal(
            state,
            f"family and assets of commitment {event.target}",
            (commitment.account.root, ours.asset, ours.price_asset),
            (target.account.root, theirs.asset, theirs.price_asset),
        )

    def _invoice_due(self, state: State, event: InvoiceDue) -> None:
        """Once, in order, not before its time, between the books of who is committed."""
        commitment = state.commitments[event.commitment]
        if commitment.due > state.now:
            what = f"invoice of commitment {event.commitment}"
            self._wrong(state, what, f"due at {commitment.due}", state.now)
            return
        invoice = commitment.invoices[commitment.invoiced]
        self._equal(
            state,
            f"invoice of commitment {event.commitment}",
            (commitment.account.number, invoice.at, commitment.terms.price_asset, invoice.amount),
            (event.account, event.at, event.asset, event.amount),
        )
        account = state.accounts[event.account]
        money = commitment.terms.price_asset
        for books, number in (
            (account.receivable, event.receivable_book),
            (account.unbilled, event.unbilled_book),
        ):
            book = books.get(money)
            expected = book.number if book is not None else 0
            self._equal(state, f"book of invoice at {event.at}", expected, number)

    def _goes_on(self, state: State, number: int, account: int) -> Commitment:
        commitment = state.commitments[number]
        what = f"commitment {number}"
        self._equal(state, f"account of {what}", commitment.account.number, account)
        if commitment.is_over(state.now):
            self._wrong(state, what, "not over", f"over at {commitment.ended_at}")
        return commitment

    # -- top-ups -----------------------------------------------------------------------------------

    def _rule_set(self, state: State, event: TopUpRuleSet) -> None:
        version, _ = state.accounts[event.account].top_up_rules.get(event.rule.asset, (0, None))
        self._equal(state, "version of the top-up rule", version + 1, event.version)

    def _requested(self, state: State, event: TopUpRequested) -> None:
        """One charge for the whole gap that nothing pending closes, by a rule in force, not within
        an hour of a decline, nor beyond its velocity cap (rule H6)."""
        account, now = state.accounts[event.account], state.now
        self._equal(state, "number of the top-up", state.next_top_up, event.top_up)
        version, rule = account.top_up_rules.get(event.asset, (0, None))
        self._equal(state, "version of the top-up rule", version, event.version)
        if rule is None or not rule.enabled or account.closed_at or account.frozen:
            self._wrong(state, f"top-up {event.top_up}", "none", "requested")
            return
        available = 0
        for grant in account.grants:
            if grant.asset == event.asset and grant.effective_at <= now < grant.expires_at:
                available += grant.book.available
        advance = account.advance.get(event.asset)
        if advance is not None:
            available -= advance.owed + advance.debits_pending
        self._equal(state, "available", str(available), event.available)
        earlier = [each for each in account.top_ups.values() if each.asset == event.asset]
        have = available + sum(each.amount for each in earlier if each.state == TOP_UP_PENDING)
        if have >= rule.threshold:
            self._wrong(state, "available and pending", f"below {rule.threshold}", have)
        reached = have + event.amount
        least, most = rule.threshold, rule.threshold + rule.amount - 1
        if rule.target:
            least = most = rule.target
        fits = INT64_MAX * rule.price_denominator // rule.price_numerator - 1
        if event.amount < min(fits, INT64_MAX) and not least <= reached <= most:
            self._wrong(state, f"reached by top-up {event.top_up}", f"{least} to {most}", reached)
        price = Fraction(event.amount * rule.price_numerator, rule.price_denominator)
        self._equal(
            state, f"price of top-up {event.top_up}", max(1, round(price)), event.price_paid
        )
        self._equal(state, "expiry of the top-up", now + TOP_UP_LIFETIME_US, event.expires_at)
        declined = [each.settled_at for each in earlier if each.state == TOP_UP_DECLINED]
        if declined and now < max(declined) + TOP_UP_BACK_OFF_US:
            self._wrong(state, "time of the top-up", max(declined) + TOP_UP_BACK_OFF_US, now)
        recent = sum(each.requested_at > now - rule.window for each in earlier)
        if recent >= rule.requests_max:
            self._wrong(state, "top-ups in the window", f"below {rule.requests_max}", recent)

    def _top_up_confirmed(self, state: State, event: TopUpConfirmed) -> None:
        top_up, grant = state.top_ups[event.top_up], state.grants[event.grant]
        self._equal(state, f"account of top-up {top_up.number}", top_up.account, grant.account)
        if top_up.state == TOP_UP_CONFIRMED:
            self._wrong(state, f"top-up {top_up.number}", "not confirmed", "confirmed")
        asked = (top_up.asset, top_up.amount, top_up.price_paid, top_up.price_asset)
        issued = (grant.asset, grant.amount, grant.price_paid, grant.price_asset)
        self._equal(state, f"grant of top-up {top_up.number}", asked, issued)

    def _top_up_declined(self, state: State, event: TopUpDeclined) -> None:
        found = state.top_ups[event.top_up]
        self._equal(state, f"state of top-up {event.top_up}", TOP_UP_PENDING, found.state)
        self._equal(state, "account of the top-up", found.account.number, event.account)

    def _top_up_expired(self, state: State, event: TopUpExpired) -> None:
        found = state.top_ups[event.top_up]
        self._equal(state, f"state of top-up {event.top_up}", TOP_UP_PENDING, found.state)
        if found.expires_at > state.now:
            self._wrong(state, "expiry of the top-up", found.expires_at, state.now)

    # -- accounts, configuration, writers ----------------------------------------------------------

    def _created(self, state: State, event: AccountCreated) -> None:
        if event.account in state.accounts:
            self._wrong(state, f"account {event.account}", "new", "there already")
        if not event.parent:
            self._equal(state, "root", event.account, event.root)
            return
        parent = state.accounts[event.parent]
        family = (parent.tenant, parent.root)
        self._equal(state, "family", family, (event.tenant, event.root))

    def _updated(self, state: State, event: AccountPolicyUpdated) -> None:
        account = state.accounts[event.account]
        self._equal(state, "version of the policy", account.version + 1, event.version)
        zone = event.policy.zone or (zone_of(account.parent) if account.parent else "UTC")
        self._equal(state, "another zone", zone != zone_of(account), event.zone_from > 0)
        inheriting = [each.number for each in account.in_its_zone()[1:]]
        for number, since in event.zone_from_below:
            if number not in inheriting or not event.zone_from:
                self._wrong(state, "accounts of that zone", inheriting, number)
            self._next_month(state, since)
        if event.zone_from:
            self._next_month(state, event.zone_from)

    def _next_month(self, state: State, since: int) -> None:
        """Another zone counts from the end of the month that runs (rule T1)."""
        if not state.now < since <= state.now + _MONTH_MAX_US:
            self._wrong(state, "end of the month", f"after {state.now}", since)

    def _profile(self, state: State, event: AccountProfileUpdated) -> None:
        version = state.accounts[event.account].profile_version + 1
        self._equal(state, "version of the metadata", version, event.version)

    def _closed(self, state: State, event: AccountClosed) -> None:
        """At zero only."""
        account = state.accounts[event.account]
        self._closing(state, account, event.closed_at)
        self._equal(state, "open holds", 0, len(account.holds))
        for book in books_of(account):
            left = book.credits_posted - book.debits_posted
            self._equal(state, f"left in book {book.number}", 0, left)

    def _closing(self, state: State, account: Account, closed_at: int) -> None:
        """Once, now, and nothing below it is open."""
        self._equal(state, "closed before", 0, account.closed_at)
        self._equal(state, "closed at", state.now, closed_at)
        for child in account.children:
            if not child.closed_at:
                self._wrong(state, f"account {child.number} below", "closed", "open")

    def _closed_out(self, state: State, event: AccountClosedOut) -> None:
        """Every hold is given back; each transfer is of the account's own books, by its kind, and
        nothing is left in them, but what a hold gives back to a grant that ended before: that
        follows its rest."""
        account = state.accounts[event.account]
        self._closing(state, account, event.closed_at)
        self._equal(state, "holds given back", tuple(sorted(account.holds)), event.holds)
        if event.holds and not event.release_holds:
            self._wrong(state, "holds given back", "none was asked for", event.holds)
        if event.write_offs and not event.write_off:
            self._wrong(state, "written off", "nothing was asked for", len(event.write_offs))
        left = {
            book.number: book.credits_posted - book.debits_posted
            for book in books_of(account)
            if book.grant is None or not book.grant.settled
        }
        for each in event.write_offs:
            own, house = _SIDES_OF_WRITE_OFF[each.kind]
            debit, credit = (state.books.accounts[book] for book in (each.debit, each.credit))
            ours, theirs = (debit, credit) if debit.kind == own else (credit, debit)
            what = f"write-off of book {ours.number}"
            self._equal(state, f"{what}, kinds", (own, house), (ours.kind, theirs.kind))
            self._equal(state, f"{what}, assets", (each.asset,) * 2, (debit.asset, credit.asset))
            if ours.number not in left:
                self._wrong(state, f"{what}, owner", account.number, ours.owner)
            else:
                left[ours.number] -= each.amount if ours is debit else -each.amount
            grant = ours.owner if ours.kind in OF_A_GRANT else 0
            self._equal(state, f"{what}, grant", grant, each.grant)
        for number, amount in left.items():
            self._equal(state, f"left in book {number}", 0, amount)

    def _reopened(self, state: State, event: AccountReopened) -> None:
        account = state.accounts[event.account]
        if not account.closed_at:
            self._wrong(state, f"account {event.account}", "closed", "open")
        if account.parent is not None:
            self._equal(state, "closed, its parent", 0, account.parent.closed_at)

    def _frozen(self, state: State, event: AccountFrozen) -> None:
        self._equal(state, "frozen before", 0, state.accounts[event.account].frozen_at)

    def _unfrozen(self, state: State, event: AccountUnfrozen) -> None:
        if not state.accounts[event.account].frozen_at:
            self._wrong(state, f"account {event.account}", "frozen", "not frozen")

    def _configured(self, state: State, event: ConfigurationApplied) -> None:
        version = state.configuration.get(event.tenant, 0) + 1
        self._equal(state, "version of the configuration", version, event.version)

    def _opened(self, state: State, event: WriterOpened) -> None:
        self._equal(state, "epoch", state.epoch + 1, event.epoch)


def _ends_early(grant: Grant) -> bool:
    """Whether its commitment was ended before its segment was (rule D7)."""
    commitment = grant.commitment
    return commitment is not None and 0 < commitment.ended_at < grant.expires_at


def sides_of(event: UsageRecorded | HoldAuthorized) -> tuple[int, int]:
    """(debited, credited) by one entry: equal, always (rule B7). What is unpriced is -1."""
    charged = 0
    for charge in event.charges:
        if charge > 0:
            charged += charge
    return sum([piece.amount for piece in event.slices]), charged


def books_of(account: Account) -> list[Book]:
    """The books that stand for what an account has and owes."""
    books = [grant.book for grant in account.grants]
    for grant in account.grants:
        deferred = grant.book.value_book
        if deferred is not None and deferred.kind == BookKind.DEFERRED and not grant.settled:
            books.append(deferred)
        if grant.funding.kind == BookKind.COMMITMENT:
            books.append(grant.funding)
    for kept in (account.advance, account.overage, account.unbilled, account.receivable):
        books.extend(kept.values())
    return books


def zone_of(account: Account) -> str:
    """The zone of its policy, else of its nearest ancestor's, else UTC (rule T1)."""
    above: Account | None = account
    while above is not None:
        if above.policy.zone:
            return above.policy.zone
        above = above.parent
    return "UTC"


def _grace_over(state: State, account: Account) -> int:
    """What ended by then is closed, by the grace of now or of before (rule T2)."""
    return max(account.closed_until, state.now - account.policy.period_grace)


def _pays_for(book: Book, account: Account) -> bool:
    """Whether a book is the account's, an ancestor's, or the house's (rule D1)."""
    if book.grant is None and not book.owner:
        return True
    owner = book.grant.account.number if book.grant is not None else book.owner
    payer: Account | None = account
    while payer is not None:
        if payer.number == owner:
            return True
        payer = payer.parent
    return False


_JUDGES: Final[dict[type, Callable[[Rules, State, Any], None]]] = {
    WriterOpened: Rules._opened,
    ConfigurationApplied: Rules._configured,
    AccountCreated: Rules._created,
    AccountPolicyUpdated: Rules._updated,
    AccountProfileUpdated: Rules._profile,
    AccountClosed: Rules._closed,
    AccountClosedOut: Rules._closed_out,
    AccountReopened: Rules._reopened,
    AccountFrozen: Rules._frozen,
    AccountUnfrozen: Rules._unfrozen,
    GrantIssued: Rules._issued,
    GrantVoided: Rules._voided,
    GrantExpired: Rules._grant_expired,
    GrantReduced: Rules._reduced,
    GrantReleased: Rules._confirmed,
    GrantCancelled: Rules._cancelled,
    GrantRefunded: Rules._refunded,
    GrantChargedBack: Rules._charged_back,
    AccountBilled: Rules._billed,
    PaymentRecorded: Rules._bill_paid,
    CreditNoteIssued: Rules._credited,
    ReceivableWrittenOff: Rules._written_off,
    RecurringStarted: Rules._started,
    RecurringIssued: Rules._period_issued,
    RecurringChanged: Rules._recurring_changed,
    RecurringPaused: Rules._recurring_paused,
    RecurringResumed: Rules._recurring_resumed,
    RecurringEnded: Rules._recurring_ended,
    CommitmentCreated: Rules._committed,
    SegmentAdded: Rules._segment_added,
    CommitmentEnded: Rules._commitment_ended,
    InvoiceDue: Rules._invoice_due,
    TopUpRuleSet: Rules._rule_set,
    TopUpRequested: Rules._requested,
    TopUpConfirmed: Rules._top_up_confirmed,
    TopUpDeclined: Rules._top_up_declined,
    TopUpExpired: Rules._top_up_expired,
    UsageRecorded: Rules._usage,
    UsageCaptured: Rules._captured,
    HoldCharged: Rules._charged,
    UsageQuarantined: Rules._quarantined,
    UsageReversed: Rules._reversed,
    GrantRestored: Rules._restored,
    AdjustmentNoted: Rules._noted,
    BalanceAdjusted: Rules._adjusted,
    HoldAuthorized: Rules._authorized,
    AuthorizeDenied: Rules._denied,
    HoldExtended: Rules._extended,
    HoldReleased: Rules._released,
    HoldExpired: Rules._hold_expired,
}
