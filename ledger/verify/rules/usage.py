"""Usage: in time, of an account that takes it, from books that may pay (rules I4, T2, D1, D4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.core.books import Book
from ledger.core.events import (
    BookKind,
    GrantIssued,
    GrantKind,
    GrantReleased,
    GrantStarted,
    HoldAuthorized,
    HoldCharged,
    HoldDebited,
    LeaseRenewed,
    OverdraftKind,
    PlanDeclared,
    Pot,
    RerateShared,
    Slice,
    UpTo,
    UsageCaptured,
    UsageDebited,
    UsageLeased,
    UsageModeled,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
    UsageRerated,
)
from ledger.core.limits import BASIS_POINTS, CORRECTION_WINDOW_US, DAY_US
from ledger.core.state import HOLD_EXPIRED, NEVER, Account, Grant, Hold, State
from ledger.verify.rules.caps import look_at_shares
from ledger.verify.rules.costs import look_at_cost
from ledger.verify.rules.decision_policies import overdraft_by
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.overrides import look_at_overrides
from ledger.verify.rules.scopes import modeled
from ledger.verify.rules.seats import seats_pay

BOOK_OF_POT: Final[dict[int, BookKind]] = {
    Pot.GRANT: BookKind.GRANT,
    Pot.OVERDRAFT: BookKind.ADVANCE,
    Pot.OVERAGE: BookKind.OVERAGE,
    Pot.EXCESS_OWED: BookKind.ADVANCE,
    Pot.EXCESS_BILLED: BookKind.OVERAGE,
    Pot.ABSORBED: BookKind.PROMOTION,
    Pot.CONVERTED: BookKind.CONVERSION,
}
MONTH_MAX_US: Final = 33 * DAY_US
"""Longer than any month: 31 days, and what is between two zones, 26 hours."""
_OVER_LIMIT: Final[frozenset[int]] = frozenset({Pot.EXCESS_OWED, Pot.EXCESS_BILLED, Pot.ABSORBED})


def look_at_plan(judge: Judge, state: State, event: Any, plan: PlanDeclared) -> None:
    if isinstance(event, UsageRerated | RerateShared | LeaseRenewed):  # they have none
        return
    names = len(plan.quantity_names)
    if len(event.quantities) != names or len(plan.rows) != names:
        found = f"{len(event.quantities)}, {len(plan.rows)} price rows"
        judge.wrong(state, "number of quantities", names, found)
    if len(getattr(event, "charges", plan.rows)) != names:
        judge.wrong(state, "number of charges", names, len(event.charges))


def usage_recorded(judge: Judge, state: State, event: UsageRecorded) -> None:
    account = state.accounts[event.account]
    start = state.window_start
    if event.key == judge.replacement:  # may be as old as what it stands for
        start = state.now - CORRECTION_WINDOW_US
    judge.replacement = b""
    if not start <= event.effective_at <= state.window_end:
        window = f"{start} to {state.window_end}"
        judge.wrong(state, "effective time", window, event.effective_at)
    takes(judge, state, account, event.effective_at, new=not event.hold or event.late == 1)
    plan = state.declared[event.plan]
    late = isinstance(event, UsageRepriced)  # by overrides as they are meant, whenever set (R7)
    made_at = _quoted_at(state, event, plan)
    at = made_at or event.effective_at
    look_at_overrides(judge, state, account, plan, at, late=late, quoted=made_at > 0)
    drawn(judge, state, account, event)
    if not event.hold or event.late:
        look_at_shares(judge, state, account, event.slices, event.effective_at)
    if event.hold and event.late:
        settled = state.families[account.root].settled[event.hold]
        judge.equal(state, "end of the hold", HOLD_EXPIRED, settled.ended)
        judge.equal(state, "late captures before", False, settled.captured_late)
        judge.equal(state, "account of the hold", settled.account.number, event.account)
    elif event.hold:
        leased = isinstance(event, UsageLeased)
        open_hold(judge, state, event.hold, event.account, lease=leased)
    else:
        grants_in_time(judge, state, event)
        seats_pay(judge, state, event)


def usage_repriced(judge: Judge, state: State, event: UsageRepriced) -> None:
    """As any usage, as old as what it stands for, which was given back whole before (rule R7)."""
    judge.replacement = event.key
    usage_recorded(judge, state, event)
    if not event.job:
        judge.wrong(state, "job", "its name", event.job)
    if not event.original_entry < event.reversal_entry < state.entry_seq:
        between = f"after {event.original_entry}, before {state.entry_seq}"
        judge.wrong(state, "entry that gave it back", between, event.reversal_entry)
    judge.equal(state, "suspense of usage rated again", 0, event.suspense)
    family = state.families[state.accounts[event.account].root]
    given_back = family.corrected.get(event.original)
    if given_back is None or any(
        left < quantity
        for left, quantity in zip(given_back.quantities, event.quantities, strict=False)
    ):
        what = f"given back of entry {event.original_entry}"
        judge.wrong(state, what, event.quantities, given_back and given_back.quantities)


def takes(judge: Judge, state: State, account: Account, at: int, *, new: bool) -> None:
    """Nothing new where it or one above it is frozen, nothing of a time in which it was closed
    (rules I2, T2). Of usage before the dedupe window, as amendments bring, older writers did not
    ask whether it was closed then and opened again."""
    above: Account | None = account
    while new and above is not None:
        judge.equal(state, f"frozen, account {above.number}", 0, above.frozen_at)
        above = above.parent
    over = grace_over(state, account)
    gaps = account.gaps if at >= state.window_start else ()
    for closed_at, reopened_at in (*gaps, (account.closed_at, NEVER)):
        late = at < closed_at and over < closed_at
        if closed_at and at < reopened_at and not late:
            was = f"not in {closed_at} to {reopened_at}"
            judge.wrong(state, "time of usage", was, at)


def look_at_month(judge: Judge, state: State, account: Account, at: int, month: int) -> None:
    """Usage counts in its own month while that takes late events, and then in the one that runs
    (rule T2); no month goes on where another zone begins to count (rule T1). Which instants are
    midnights is not judged: that takes the time zones of the day."""
    counted = at
    if month > at:  # its own is closed, and ended before
        counted = state.now
        if at >= grace_over(state, account):
            judge.wrong(state, "month", f"that of {at}, which is open", month)
    elif month + MONTH_MAX_US <= grace_over(state, account):
        judge.wrong(state, "month", "one that is not closed", month)
    if not month <= counted < month + MONTH_MAX_US:
        judge.wrong(state, "month", f"that of {counted}", month)
    for since, zone in account.calendar.zones[1:]:
        if month < since <= counted:
            judge.wrong(state, f"month in {zone}", f"from {since} on", month)


def drawn(judge: Judge, state: State, account: Account, event: UsageRecorded) -> None:
    """Its period, and its slices by their pots."""
    look_at_month(judge, state, account, event.effective_at, event.period)
    drawn_in(judge, state, account, event)


def drawn_in(judge: Judge, state: State, account: Account, event: UsageRecorded) -> None:
    """Its slices by their pots, in whatever month it counts."""
    slices(judge, state, account, event)
    look_at_cost(judge, state, event)
    over_limit(judge, state, event)
    if event.suspense or isinstance(event, UsageModeled) or min(event.charges, default=0) < 0:
        modeled(judge, state, account, event)


def _quoted_at(state: State, event: UsageRecorded, plan: PlanDeclared) -> int:
    """When the quote was made that prices all of it, by whose overrides that is (rule H9); 0 = none
    does."""
    if isinstance(event, UsageQuoted) and event.part is not None:
        quote, part = state.quotes.get(event.quote), event.part
        if quote is not None and (plan.rows, plan.overrides) == (part.rows, part.overrides):
            return quote.made_at
    return 0


def over_limit(judge: Judge, state: State, event: UsageRecorded | UsageRerated) -> None:
    """What landed by the policy's excess is said (rule D4)."""
    over = over_limit_of(event.slices)
    converted = sum([piece.amount for piece in event.slices if piece.pot == Pot.CONVERTED])
    if not over <= event.over_limit <= over + converted:  # of what is converted it is a share
        judge.wrong(state, "over_limit", f"{over} to {over + converted}", event.over_limit)


def usage_captured(judge: Judge, state: State, event: UsageCaptured) -> None:
    """A capture that leaves its hold open takes of its slices first (rule H1)."""
    usage_recorded(judge, state, event)
    look_at_taken(judge, state, event)


def look_at_taken(judge: Judge, state: State, event: UsageCaptured | HoldDebited) -> None:
    """What is taken of a hold that stays open: its slices give all before anything else does."""
    hold = state.holds.get(event.hold)
    if event.late or hold is None:
        judge.equal(state, "taken of a hold that is not open", (), event.taken)
        return
    if not event.taken:  # priced in another asset than the hold
        return
    drawn = {(piece.pot, piece.book): piece.amount for piece in event.slices}
    beyond = dict.fromkeys((False, True), 0)  # what commitments pay of a list price is apart (R9)
    listed = bool(event.listed)
    for each in event.slices:
        beyond[listed and is_committed(state, each)] += each.amount
    for each, taken in zip(hold.slices, event.taken, strict=False):
        beyond[listed and is_committed(state, each)] -= taken
    judge.equal(state, "slices taken of", len(hold.slices), len(event.taken))
    for piece, taken in zip(hold.slices, event.taken, strict=False):
        most = min(piece.amount, drawn.get((piece.pot, piece.book), 0))
        if not 0 <= taken <= most:
            what = f"taken of book {piece.book} of hold {hold.number}"
            judge.wrong(state, what, f"0 to {most}", taken)
        elsewhere = piece.pot == Pot.OVERAGE and event.period != hold.period
        more = beyond[listed and is_committed(state, piece)]
        if more and taken < piece.amount and not elsewhere:
            what = f"left of book {piece.book} of hold {hold.number} beside new usage"
            judge.wrong(state, what, 0, piece.amount - taken)


def is_committed(state: State, piece: Slice) -> bool:
    """Whether it is of units that are committed to: a segment's, or billed later (rule R9)."""
    book = state.books.accounts.get(piece.book)
    grant = book.grant if book is not None else None
    return grant is not None and (grant.commitment is not None or grant.kind == GrantKind.POSTPAID)


def usage_debited(judge: Judge, state: State, event: UsageDebited) -> None:
    """Allowed and charged at once: now, by the policy that stands, and from what may be held: it
    goes over no limit (rules D4, H3)."""
    usage_recorded(judge, state, event)
    account = state.accounts[event.account]
    judge.equal(state, "effective time", state.now, event.effective_at)
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    judge.equal(state, "suspense of what is charged at once", 0, event.suspense)
    judge.equal(state, "over_limit", 0, event.over_limit)
    look_at_up_to(judge, state, event.quantities, event.up_to, state.declared[event.plan])
    asset = state.declared[event.plan].asset
    for piece in event.slices:
        if piece.pot not in (Pot.GRANT, Pot.OVERDRAFT, Pot.OVERAGE):
            judge.wrong(state, "pot of what is charged at once", "one that may be held", piece.pot)
        elif piece.amount <= _held_of(state, event, piece):
            continue  # the policy of when it was held counts
        elif piece.pot == Pot.OVERDRAFT and not overdraft_by(state, event, asset):
            judge.equal(state, "holds_overdraft", True, account.policy.holds_overdraft)
        elif piece.pot == Pot.OVERAGE:
            judge.equal(state, "holds_overage", True, account.policy.holds_overage)


def _held_of(state: State, event: UsageDebited, piece: Slice) -> int:
    """Units of a slice that a hold of an operation gives."""
    hold = state.holds.get(event.hold)
    if hold is None or not isinstance(event, HoldDebited):
        return 0
    for held, taken in zip(hold.slices, event.taken, strict=False):
        if (held.pot, held.book) == (piece.pot, piece.book):
            return taken
    return 0


def look_at_up_to(
    judge: Judge,
    state: State,
    quantities: tuple[int, ...],
    up_to: UpTo | None,
    plan: PlanDeclared,
) -> None:
    """What may be less than was asked for is within its range."""
    if up_to is None:
        return
    found = dict(zip(plan.quantity_names, quantities, strict=False)).get(up_to.quantity, -1)
    if not up_to.minimum <= found <= up_to.maximum:
        asked = f"{up_to.minimum} to {up_to.maximum}"
        judge.wrong(state, f"quantity of {up_to.quantity}", asked, found)


def hold_charged(judge: Judge, state: State, event: HoldCharged) -> None:
    """By the policy of its authorisation, when it is due, never more than estimated (H2)."""
    drawn(judge, state, state.accounts[event.account], event)
    hold = due_hold(judge, state, event.hold)
    if hold is None:
        return
    judge.equal(state, "account of the hold", hold.account.number, event.account)
    judge.equal(state, "effective time", hold.expires_at, event.effective_at)
    if hold.estimate is None:
        judge.wrong(state, f"end of hold {hold.number}", "released", "charged")
        return
    for quantity, left in zip(event.quantities, hold.estimate.quantities, strict=False):
        if not 0 <= quantity <= left:
            what = f"quantity charged of hold {hold.number}"
            judge.wrong(state, what, f"0 to {left}", quantity)


def slices(
    judge: Judge,
    state: State,
    account: Account,
    event: UsageRecorded | HoldAuthorized,
    anew: tuple[Slice, ...] | None = None,
) -> None:
    """Debits = credits within the entry, and each slice from a book that may pay (D1, D4). `anew`:
    those that nothing had held before; None = all."""
    taken, charged = sides_of(event)
    if taken != charged:
        judge.wrong(state, "sum of slices", charged, taken)
    from_books(judge, state, account, event, anew)


def from_books(
    judge: Judge,
    state: State,
    account: Account,
    event: UsageRecorded | HoldAuthorized | UsageRerated,
    anew: tuple[Slice, ...] | None = None,
) -> None:
    """Each slice from a book that may pay (rules D1, D4)."""
    if isinstance(event, UsageRerated):
        over_limit(judge, state, event)
    settles = isinstance(event, UsageRecorded) and event.hold > 0
    asset = state.declared[event.plan].asset
    bound = overdraft_by(state, event, asset)
    drawn = event.slices if anew is None else anew
    look_at_slices(judge, state, account, drawn, asset, settles=settles, bound=bound)


def over_limit_of(slices: tuple[Slice, ...]) -> int:
    """What landed by the policy's excess."""
    return sum([piece.amount for piece in slices if piece.pot in _OVER_LIMIT])


def look_at_slices(
    judge: Judge,
    state: State,
    account: Account,
    slices: tuple[Slice, ...],
    asset: int,
    *,
    settles: bool = False,
    bound: int = 0,
) -> None:
    """Each slice from a book of the asset that may pay (D1, D4). `settles`: a hold had reserved it,
    within the limit of then. `bound`: how far below zero a rule of its policy lets it go."""
    for piece in slices:
        book = state.books.accounts[piece.book]
        if book.asset != asset:
            judge.wrong(state, f"asset of book {book.number}", asset, book.asset)
        if book.kind != BOOK_OF_POT[piece.pot]:
            judge.wrong(state, f"kind of book {book.number}", piece.pot, book.kind)
        if not pays_for(state, book, account, earlier=settles):
            judge.wrong(state, f"owner of book {book.number}", "its own line", book.owner)
        if piece.pot == Pot.OVERDRAFT and not settles:
            _in_advance(judge, state, account, book, piece.amount, bound)


def look_at_values(judge: Judge, state: State, drawn: Sequence[Slice]) -> None:
    """What is drawn of a grant earns the money that brings it to P x drawn / A, rounded down, of
    what is left of its price and its units; overage in money earns itself (rule B4)."""
    before: dict[int, tuple[int, int]] = {}
    for piece in drawn:
        book = state.books.accounts[piece.book]
        grant = book.grant
        if grant is None:
            billed = piece.pot in (Pot.OVERAGE, Pot.EXCESS_BILLED) and book.value_book is not None
            earns = piece.amount if billed else 0
            judge.equal(state, f"money that a draw of book {book.number} earns", earns, piece.value)
            continue
        units, money = before.get(piece.book, (0, 0))
        units += piece.amount
        earns = earned(grant, units, money)
        judge.equal(state, f"money that a draw of grant {grant.number} earns", earns, piece.value)
        before[piece.book] = (units, money + piece.value)


def look_at_backfills(
    judge: Judge, state: State, event: GrantIssued | GrantStarted | GrantReleased
) -> None:
    """The same of what repays an advance. In older journals its first part does not make up for
    what rounding had left unrecognised of the grant."""
    grant, units, money = state.grants.get(event.grant), 0, 0
    for place, part in enumerate(event.backfills):
        units += part.amount
        if grant is not None:
            earns = earned(grant, units, money)
            behind = earned(grant, 0, 0)
            if place == 0 and part.value == earns - behind:
                earns, money = part.value, behind
        else:
            assert isinstance(event, GrantIssued)
            earns = event.price_paid * units // event.amount - money
        what = f"money that grant {event.grant} earns by what it repays"
        judge.equal(state, what, earns, part.value)
        money += part.value


def earned(grant: Grant, units: int, before: int) -> int:
    """Money that so many more units of a grant earn, less what some of them have `before`."""
    if grant.price_paid == 0 or grant.whole == 0:
        return 0
    price = grant.price_paid - grant.returned
    return price * (grant.drawn + units) // grant.whole - grant.recognised - before


def _in_advance(
    judge: Judge, state: State, account: Account, book: Book, amount: int, bound: int
) -> None:
    """Never beyond the limit that the policy in force gives (rules D4, H6)."""
    policy = account.policy
    most = policy.overdraft_limit if policy.overdraft_asset == book.asset else 0
    if policy.overdraft_kind == OverdraftKind.PERCENT_OF_LIFETIME:
        lifetime = max(0, account.lifetime.get(book.asset, 0))
        most = min(most, lifetime * policy.overdraft_basis_points // BASIS_POINTS)
    most = max(most, bound)
    owed = book.owed + book.debits_pending + amount
    if owed > most:
        judge.wrong(state, f"owed in advance by account {account.number}", most, owed)


def grants_in_time(judge: Judge, state: State, event: UsageRecorded | HoldAuthorized) -> None:
    """Each grant that pays is in force at the usage's own time (rules D1, D5)."""
    for piece in event.slices:
        _grant_in_time(judge, state, piece, event.effective_at)


def _grant_in_time(judge: Judge, state: State, piece: Slice, at: int) -> None:
    grant = state.books.accounts[piece.book].grant
    if grant is not None and not grant.effective_at <= at < grant.expires_at:
        lasts = f"{grant.effective_at} to {grant.expires_at}"
        judge.wrong(state, f"time that grant {grant.number} pays for", lasts, at)


def usage_quarantined(judge: Judge, state: State, event: UsageQuarantined) -> None:
    if event.reason == "TOO_OLD" and event.effective_at >= state.window_start:
        limit = f"before {state.window_start}"
        judge.wrong(state, "effective time", limit, event.effective_at)


def open_hold(
    judge: Judge,
    state: State,
    number: int,
    account: int,
    *,
    outcome: bool = False,
    lease: bool = False,
) -> None:
    """Open, of that account, and not overdue: what is overdue expires first (rule H2)."""
    hold = state.holds.get(number)
    if hold is None:
        judge.wrong(state, f"hold {number}", "open", "settled or unknown")
        return
    judge.equal(state, f"whether {number} is an outcome", outcome, hold.outcome is not None)
    judge.equal(state, f"whether {number} is a lease", lease, hold.lease is not None)
    judge.equal(state, "account of the hold", hold.account.number, account)
    if hold.expires_at <= state.now:
        judge.wrong(state, f"hold {number}", "expired first", f"due at {hold.expires_at}")


def due_hold(
    judge: Judge, state: State, number: int, *, outcome: bool = False, lease: bool = False
) -> Hold | None:
    """Open, and due: an expiry comes once, and not before its time (rule H2)."""
    hold = state.holds.get(number)
    if hold is None:
        judge.wrong(state, f"hold {number}", "open", "settled or unknown")
        return None
    judge.equal(state, f"whether {number} is an outcome", outcome, hold.outcome is not None)
    judge.equal(state, f"whether {number} is a lease", lease, hold.lease is not None)
    if hold.expires_at > state.now:
        judge.wrong(state, f"expiry of hold {number}", hold.expires_at, state.now)
    return hold


def sides_of(event: UsageRecorded | HoldAuthorized) -> tuple[int, int]:
    """(debited, credited) by one entry: equal, always (rule B7). What is unpriced is -1."""
    charged = 0
    for charge in event.charges:
        if charge > 0:
            charged += charge
    return sum([piece.amount for piece in event.slices]), charged


def grace_over(state: State, account: Account) -> int:
    """What ended by then is closed, by the grace of now or of before (rule T2)."""
    return max(account.closed_until, state.now - account.policy.period_grace)


def pays_for(state: State, book: Book, account: Account, *, earlier: bool) -> bool:
    """Whether a book is the account's, an ancestor's, or the house's (rule D1); `earlier`: or of an
    ancestor before a move, as of what was held then, or is given back."""
    if book.grant is None and not book.owner:
        return True
    owner = book.grant.account.number if book.grant is not None else book.owner
    above, payers = account.parent, {account.number}
    while above is not None:
        payers.add(above.number)
        above = above.parent
    if earlier and owner not in payers:
        payers.update([each.number for each in state.ever_above(account)])
    return owner in payers
