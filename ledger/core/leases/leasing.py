"""Deciding credit leases: granted, renewed, reported on, given back, lapsed (rule H7).

A slice of what the account may draw goes into escrow with a holder, who decides alone until its
term ends. What is in escrow pends: it is never more than the balance, and counts in full in budgets
and caps (rules H4, D8). Reads state, changes nothing; how scarce balance is shared is `lease_room`.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.admission import (
    in_future,
    known_account,
    outcome_expected,
    refuse_closed,
    refuse_frozen,
    refuse_new,
    unusable,
)
from ledger.core.catalog import Bound
from ledger.core.commands import (
    AcquireLease,
    LeasedUsage,
    RecallLease,
    RenewLease,
    ReturnLease,
)
from ledger.core.decisions.authorizing import operation_refused
from ledger.core.decisions.charging import charge_usage
from ledger.core.drawing.drawdown import open_windows
from ledger.core.drawing.paying import post
from ledger.core.events import (
    LEASED_QUANTITY,
    Event,
    HoldExpiry,
    LeaseGranted,
    LeaseLapse,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    OperationLeaseGranted,
    Slice,
    Suspense,
    UsageLeased,
)
from ledger.core.funding.following import follow_up
from ledger.core.leases.lease_operations import other_operation
from ledger.core.leases.lease_room import Room, grow, room_of
from ledger.core.leases.leases import NOT_RECALLED, CreditLease, margin_of
from ledger.core.limits import (
    ID_BYTES_MAX,
    INT64_MAX,
    LEASE_TERM_DEFAULT_US,
    LEASE_TERM_MAX_US,
    LEASE_TERM_MIN_US,
    LEASES_AN_ACCOUNT_MAX,
)
from ledger.core.metering.levels import count_levels, counted_of
from ledger.core.metering.usage import quarantine
from ledger.core.opening import declare, used_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import as_contracted, bound_for
from ledger.core.seats.seat_draws import refuse_seat
from ledger.core.shapes import Shape
from ledger.core.state import HOLD_EXPIRED, Account, Grant, Hold, SettledHold, State


def decide_acquire(
    state: State, command: AcquireLease, out: list[Event]
) -> Event | Known | Refusal:
    """Grant what its fair share, the pots and the budgets allow; a lease of nothing waits for its
    share, which others are asked to make room for."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = refuse_new(account) or _terms_refused(account, command)
    if refusal is None and account.seats is not None:
        refusal = refuse_seat(account, command.shape, state.now)
    if refusal is not None:
        return refusal
    now = state.now
    operation = command.operation
    refusal = operation_refused(state, account, operation)
    if refusal is not None:
        return refusal
    bound = _bound(state, account, command.shape)
    if isinstance(bound, Refusal):
        return bound
    room = room_of(state, account, bound, None, command.wanted, command.minimum, operation)
    if isinstance(room, Refusal):
        return room
    opened: list[Event] = []
    slices = grow(state, account, bound, room, min(command.wanted, room.share), 0, opened)
    amount = sum([piece.amount for piece in slices])
    if amount < command.minimum:
        slices, amount, opened = [], 0, []
    out.extend(opened)
    term = command.lifetime or LEASE_TERM_DEFAULT_US
    figures = (
        command.key,
        account.number,
        state.next_hold,
        declare(state, bound.declaration, out),
        (amount,),
        (amount,),
        used_book(state, bound, out) if amount else 0,
        tuple(slices),
        now,
        now + term + margin_of(term),
        command.lifetime,
        term,
        HoldExpiry.RELEASE,
        account.calendar.start_of(now),
        account.version,
        command.trace,
        0,
        command.holder,
        command.wanted,
        command.minimum,
        margin_of(term),
        command.on_lapse,
        room.share,
    )
    granted = LeaseGranted(*figures)
    if operation:
        granted = OperationLeaseGranted(*figures, operation)
    out.append(granted)
    return granted


def _terms_refused(account: Account, command: AcquireLease) -> Refusal | None:
    if not 0 < len(command.holder.encode()) <= ID_BYTES_MAX:
        return Refusal(
            Reason.LEASE_INVALID,
            "holder",
            command.holder,
            f"a lease names its holder, in 1 to {ID_BYTES_MAX} bytes",
        )
    if not 0 < command.wanted <= INT64_MAX:
        return _wanted_invalid(command.wanted)
    if not 0 <= command.minimum <= command.wanted:
        return Refusal(
            Reason.LEASE_INVALID,
            "minimum",
            str(command.minimum),
            "the least that is of use is from 0 to what is wanted",
        )
    if len(account.leases) >= LEASES_AN_ACCOUNT_MAX:
        return Refusal(
            Reason.LEASES_LIMIT,
            "account",
            str(len(account.leases)),
            "the account has so many leases; return some, or write off those that have lapsed",
        )
    return _term_refused(command.lifetime)


def _wanted_invalid(wanted: int) -> Refusal:
    message = f"units from 1 to {INT64_MAX} are wanted; return the lease to have none"
    return Refusal(Reason.LEASE_INVALID, "wanted", str(wanted), message)


def _term_refused(lifetime: int) -> Refusal | None:
    if lifetime == 0 or LEASE_TERM_MIN_US <= lifetime <= LEASE_TERM_MAX_US:
        return None
    return Refusal(
        Reason.LEASE_TERM_INVALID,
        "term_us",
        str(lifetime),
        f"a lease runs from {LEASE_TERM_MIN_US} to {LEASE_TERM_MAX_US} us at a time; 0 is the "
        "default",
    )


def _bound(state: State, account: Account, shape: Shape) -> Bound | Refusal:
    """What the product and attributes of a lease are to the card in force: its asset and tags."""
    bound = state.catalog.bind(account.card_key, shape, state.now)
    bound = as_contracted(account, bound, state.now)
    if bound.asset == 0:
        return Refusal(
            Reason.UNPRICED,
            "product",
            shape.product,
            "no version of the account's rate card is in force, so that it has no asset to lease; "
            "publish one",
        )
    if bound.waits == Suspense.NOT_ENTITLED:
        return Refusal(
            Reason.NOT_ENTITLED,
            "product",
            shape.product,
            "the product is not sold to the account; lease for one that is",
        )
    if bound.waits == Suspense.NO_CONTRACT:
        return Refusal(
            Reason.NO_CONTRACT,
            "account",
            str(account.number),
            "the account has neither a package nor a contract, which its rate card asks for; "
            "subscribe it, or sign one",
        )
    return outcome_expected(shape.product) if bound.terms.outcome is not None else bound


# -- renewed ---------------------------------------------------------------------------------------


def decide_renew(state: State, command: RenewLease, out: list[Event]) -> Event | Known | Refusal:
    """Let a lease go on: with more, as its share allows, or down to what its holder bound itself to
    keep. Never below that while it runs, for the holder may have spent it by now."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = running_lease(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    refusal = refuse_new(account) or _term_refused(command.lifetime)
    if refusal is not None:
        return refusal
    if not 0 < command.wanted <= INT64_MAX:
        return _wanted_invalid(command.wanted)
    if not 0 <= command.keep <= INT64_MAX:
        message = "what the holder bound itself to is from 0 units on"
        return Refusal(Reason.LEASE_INVALID, "keep", str(command.keep), message)
    shape = state.catalog.shape(hold.product, hold.attributes, LEASED_NAMES)
    bound = _bound(state, account, shape)
    if isinstance(bound, Refusal):
        return bound
    lease = hold.lease
    assert lease is not None
    now, left = state.now, hold.left
    operation = hold.operation
    room = room_of(state, account, bound, hold, command.wanted, lease.minimum, operation)
    unknown = operation_refused(state, account, operation) is not None
    if isinstance(room, Refusal) or bound.asset != hold.asset or unknown:
        room = Room(0, 0)  # a budget or a card came since, or no budget can know its operation
    share = room.share
    if lease.recalled != NOT_RECALLED:
        share = min(share, lease.recalled)
    keep = min(command.keep, left)
    amount = max(keep, min(command.wanted, share))
    kept = _kept(state, hold, amount)
    fresh = sum([piece.amount for piece in kept])
    opened: list[Event] = []
    drawn: list[Slice] = []
    for more in (max(0, amount - left), 0):
        opened = []
        stead = min(amount, left) - fresh  # of grants that ended
        drawn = []
        if bound.asset == hold.asset:
            drawn = grow(state, account, bound, room, more, stead, opened, hold)
        if more == 0 or fresh + sum([piece.amount for piece in drawn]) >= lease.minimum:
            break
    out.extend(opened)
    held = fresh + sum([piece.amount for piece in drawn])
    kept = _with_ended(state, hold, kept, max(0, keep - held))
    slices = _merged(state, kept, drawn)
    amount = sum([piece.amount for piece in slices])
    open_windows(state, account, slices, now, out)
    given_back = tuple(
        [piece.amount - each.amount for piece, each in zip(hold.slices, kept, strict=True)]
    )
    term = command.lifetime or lease.term
    renewed = LeaseRenewed(
        command.key,
        account.number,
        hold.number,
        command.wanted,
        command.keep,
        declare(state, bound.declaration, out),
        amount,
        used_book(state, bound, out) if amount and bound.asset == hold.asset else _used(hold),
        slices,
        given_back,
        now,
        now + term + margin_of(term),
        command.lifetime,
        term,
        margin_of(term),
        account.calendar.start_of(now),
        share,
        account.version,
        command.trace,
    )
    out.append(renewed)
    follow_up(state, _returned(state, hold.slices, given_back), out)
    return renewed


LEASED_NAMES = (LEASED_QUANTITY,)
"""The one quantity of a lease: units of its asset."""


def _used(hold: Hold) -> int:
    return hold.used.number if hold.used is not None else 0


def _has_ended(state: State, piece: Slice) -> bool:
    """Whether a slice is of a grant that pays nothing new any more: it is replaced as may be."""
    grant = state.books.accounts[piece.book].grant
    return grant is not None and (grant.settled > 0 or grant.expires_at <= state.now)


def _kept(state: State, hold: Hold, amount: int) -> list[Slice]:
    """The slices of a lease in their places, cut to at most `amount` from the last one on, without
    those of grants that ended."""
    kept = []
    for piece in hold.slices:
        units = 0 if _has_ended(state, piece) else min(amount, piece.amount)
        amount -= units
        kept.append(_cut(state, piece, units))
    return kept


def _with_ended(state: State, hold: Hold, kept: list[Slice], units: int) -> list[Slice]:
    """With so many units of grants that ended: what its holder may have spent, and nothing stands
    in its stead."""
    found = []
    for piece, each in zip(hold.slices, kept, strict=True):
        back = min(units, piece.amount) if _has_ended(state, piece) else 0
        units -= back
        found.append(_cut(state, piece, back) if back else each)
    return found


def _cut(state: State, piece: Slice, amount: int) -> Slice:
    grant = state.books.accounts[piece.book].grant
    value = grant.value_of(amount) if grant is not None else amount if piece.value else 0
    return replace(piece, amount=amount, value=value)


def _merged(state: State, kept: list[Slice], drawn: list[Slice]) -> tuple[Slice, ...]:
    """What is in escrow from now on, one slice a pot and book."""
    merged = {(piece.pot, piece.book): piece for piece in kept if piece.amount}
    for piece in drawn:
        before = merged.get((piece.pot, piece.book))
        if before is not None:
            amount = before.amount + piece.amount
            merged[piece.pot, piece.book] = _cut(state, before, amount)
        else:
            merged[piece.pot, piece.book] = piece
    return tuple(merged.values())


def _returned(
    state: State, slices: tuple[Slice, ...], given_back: tuple[int, ...]
) -> list[tuple[Grant, int]]:
    found = []
    for piece, amount in zip(slices, given_back, strict=True):
        grant = state.books.accounts[piece.book].grant
        if grant is not None and amount:
            found.append((grant, amount))
    return found


# -- reported on -----------------------------------------------------------------------------------


def decide_leased_usage(
    state: State, command: LeasedUsage, out: list[Event]
) -> Event | Known | Refusal:
    """Record usage of a lease: from its slice, what is above that as plain usage, said to be over.
    It has happened, so it is never refused for lack of credits (rule D4). After a lapse that
    returned the slice it is plain usage, late, and over beyond what was not reported then."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    found = _reported_lease(state, account, command.hold)
    if isinstance(found, Refusal):
        return found
    hold = found if isinstance(found, Hold) else None
    at, shape = command.effective_at or state.now, command.shape
    if at < account.open_from:
        refusal = refuse_closed(state, account, at)
        if refusal is None and hold is None:
            refusal = refuse_frozen(account)
        if refusal is not None:
            return refusal
    refusal = unusable(command.quantities) or _other_work(found, shape)
    if refusal is None and hold is not None:
        refusal = other_operation(state, account, hold, command.operation)
    if refusal is None and account.seats is not None:
        refusal = refuse_seat(account, shape, at)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return quarantine(state, account, command, at, out)
    quantities = command.quantities
    metered = count_levels(state, account, command, at)
    if metered is not None:
        quantities = counted_of(quantities, metered)
    bound = bound_for(state, account, shape, at, quantities)
    if bound.terms.outcome is not None:
        return outcome_expected(shape.product)
    charge = charge_usage(state, account, hold, bound, shape, quantities, at, out)
    if isinstance(charge, Refusal):
        return charge
    priced, payment = charge.priced, charge.payment
    if isinstance(found, Hold):
        within = sum(charge.taken)
    else:
        assert found.lease is not None, found.number
        within = min(priced.total, found.lease.unreported)
    reported = UsageLeased(
        command.key,
        account.number,
        at,
        declare(state, bound.declaration, out),
        quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        1 if command.effective_at else 0,
        command.hold,
        1 if hold is None else 0,
        command.operation or found.operation,
        command.personal,
        command.trace,
        priced.reasons,
        priced.scoped,
        charge.draws,
        priced.totals_before,
        priced.listed,
        charge.cost,
        charge.taken,
        priced.total - within,
        hold.authorized_at if hold is not None else 0,
        1 if command.operation not in (b"", found.operation) else 0,
    )
    if metered is not None:
        out.append(metered)
    post(state, account, bound, priced, payment, reported, out)
    return reported


def _reported_lease(state: State, account: Account, number: int) -> Hold | SettledHold | Refusal:
    """The lease that usage is reported of: one that runs, one that lapsed and stays charged, or one
    that lapsed and was returned."""
    hold = state.holds.get(number)
    if hold is not None and hold.account is account and hold.lease is not None:
        return hold
    settled = state.settled_hold(account, number)
    if settled is None or settled.account is not account or settled.lease is None:
        return _unknown(number)
    if settled.ended != HOLD_EXPIRED:
        return _ended(settled)
    return settled


def _other_work(lease: Hold | SettledHold, shape: Shape) -> Refusal | None:
    """Usage of a lease is of its product, and bears the attributes that it names."""
    if shape.product != lease.product:
        return Refusal(
            Reason.LEASE_OTHER_WORK,
            "product",
            shape.product,
            f"the lease is for {lease.product!r}; record other usage without it",
        )
    missing = [pair for pair in lease.attributes if pair not in shape.attributes]
    if not missing:
        return None
    name, value = missing[0]
    return Refusal(
        Reason.LEASE_OTHER_WORK,
        "attributes",
        name,
        f"the lease is for usage with {name} {value!r}; record other usage without it",
    )


# -- given back ------------------------------------------------------------------------------------


def decide_return(state: State, command: ReturnLease, out: list[Event]) -> Event | Known | Refusal:
    """End a lease: what is left of it goes back; what has lapsed and stays charged is written off,
    where that is what is asked."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = open_lease(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    lapsed_at = _lapsed_at(hold)
    if lapsed_at and not command.write_off:
        return _lapsed(hold.number, lapsed_at)
    if command.write_off and not lapsed_at:
        return Refusal(
            Reason.LEASE_RUNS,
            "write_off",
            str(hold.number),
            "the lease has not lapsed: its holder may still report; return it, or wait until then",
        )
    written_off = int(command.write_off)
    returned = LeaseReturned(command.key, account.number, hold.number, command.trace, written_off)
    out.append(returned)
    back = tuple([piece.amount for piece in hold.slices])
    follow_up(state, _returned(state, hold.slices, back), out)
    return returned


def decide_recall(state: State, command: RecallLease, out: list[Event]) -> Event | Known | Refusal:
    """Ask the holder of a lease that runs to come down: it is told with its next answer."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = running_lease(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    if not 0 <= command.keep <= INT64_MAX:
        message = "a lease is brought down to 0 units or more"
        return Refusal(Reason.LEASE_INVALID, "keep", str(command.keep), message)
    recalled = LeaseRecalled(command.key, account.number, hold.number, command.keep, command.trace)
    out.append(recalled)
    return recalled


def lapse_lease(state: State, hold: Hold, lease: CreditLease, out: list[Event]) -> None:
    """Post that the writer's clock passed term and margin of a lease, as it was agreed."""
    assert state.now >= hold.expires_at, (state.now, hold.expires_at)
    if lease.on_lapse == LeaseLapse.CHARGE and hold.left:
        out.append(LeaseOverdue(hold.account.number, hold.number, hold.left))
        return
    out.append(LeaseLapsed(hold.account.number, hold.number, hold.left))
    back = tuple([piece.amount for piece in hold.slices])
    follow_up(state, _returned(state, hold.slices, back), out)


def open_lease(state: State, account: Account, number: int) -> Hold | Refusal:
    """The account's lease if anything is to be settled of it, else why not."""
    hold = state.holds.get(number)
    if hold is not None and hold.account is account and hold.lease is not None:
        return hold
    settled = state.settled_hold(account, number)
    if settled is None or settled.account is not account or settled.lease is None:
        return _unknown(number)
    return _ended(settled)


def running_lease(state: State, account: Account, number: int) -> Hold | Refusal:
    """The same if its term runs."""
    hold = open_lease(state, account, number)
    if isinstance(hold, Refusal):
        return hold
    lapsed_at = _lapsed_at(hold)
    return _lapsed(number, lapsed_at) if lapsed_at else hold


def _lapsed_at(hold: Hold) -> int:
    return hold.lease.lapsed_at if hold.lease is not None else 0


def _unknown(number: int) -> Refusal:
    """No such lease of this account, or ended longer ago than the dedupe window."""
    return Refusal(
        Reason.LEASE_UNKNOWN,
        "lease_id",
        str(number),
        "the account has no such lease, or it ended more than 35 days ago; acquire another",
    )


def _ended(settled: SettledHold) -> Refusal:
    how = "lapsed" if settled.ended == HOLD_EXPIRED else "was returned"
    return Refusal(
        Reason.LEASE_ENDED,
        "lease_id",
        str(settled.number),
        f"at {settled.settled_at} the lease {how}; acquire another, and record usage without it",
    )


def _lapsed(number: int, at: int) -> Refusal:
    return Refusal(
        Reason.LEASE_OVERDUE,
        "lease_id",
        str(number),
        f"at {at} the lease lapsed, and what was not reported stays charged: report it, or have it "
        "written off",
    )
