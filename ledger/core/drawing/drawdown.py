"""The waterfall: which pots pay for an amount, in which order, how much of each (rules D1 to D4).

Reads state, changes nothing. The slices that it returns are recorded with the entry, so no later
change of priorities or policies rewrites them (rule D3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from ledger.core.drawing.comparators import COMPARATORS, order_of
from ledger.core.events import (
    BookKind,
    CapWindowOpened,
    Comparator,
    Event,
    Excess,
    GrantKind,
    Overage,
    OverdraftKind,
    Pot,
    Slice,
)
from ledger.core.funding.caps import Rooms, capping, covers
from ledger.core.limits import BASIS_POINTS, INT64_MAX
from ledger.core.opening import advance_book, house_book, money_value, overage_book
from ledger.core.seats.seat_draws import turn_of
from ledger.core.shapes import Use
from ledger.core.state import Account, Grant, State
from ledger.core.windows import span_at
from rating.conversions import Rate

_GRANT: Final = int(Pot.GRANT)
_DRAWDOWN: Final = int(Comparator.DRAWDOWN_1)
BEYOND_LIMITS: Final = (int(Pot.EXCESS_OWED), int(Pot.EXCESS_BILLED), int(Pot.ABSORBED))
"""Where recorded usage lands that every limit refuses (rule D4)."""


class Overdraw(NamedTuple):
    """What may be owed in advance, all in all, where a rule lets work go below zero."""

    asset: int
    bound: int


class Conversion:
    """What is left of a charge, in the settlement currency (rule R5): `units` of `source` are
    `amount` of `target`, which `slices` pay, `over_limit` of it by the policy's excess."""

    __slots__ = ("amount", "over_limit", "rate", "slices", "source", "target", "units")

    def __init__(self, source: int, target: int, rate: Rate, units: int) -> None:
        self.source = source
        self.target = target
        self.rate = rate
        self.units = units
        self.amount = rate.converted(units)
        self.slices: list[Slice] = []
        self.over_limit = 0

    @property
    def units_over(self) -> int:
        """Units of the charge that the part over the limit stands for: 0 only where that is 0."""
        within = self.amount - self.over_limit
        return self.units - self.units * within // self.amount if self.over_limit else 0


class Draw:
    """What a draw would take. `left` > 0 only where authorisation ran out of pots.

    `over_limit` is the part that landed by the policy's excess; `conversion`, where a part is paid
    in the settlement currency, says how.
    """

    __slots__ = ("conversion", "left", "over_limit", "slices")

    def __init__(
        self,
        slices: list[Slice],
        left: int,
        over_limit: int,
        conversion: Conversion | None = None,
    ) -> None:
        self.slices = slices
        self.left = left
        self.over_limit = over_limit
        self.conversion = conversion

    @property
    def uses_debt(self) -> bool:
        """Whether overdraft or overage pays a part."""
        return any(piece.pot != _GRANT for piece in self.slices)


def in_turn(account: Account) -> Iterator[Grant]:
    """The grants that an account may draw, in the order in which they pay: its own, and what its
    ancestors share (rules D1, D2). Whether one applies is for `may_pay`."""
    if account.parent is not None and _merges(account):
        key = COMPARATORS[account.comparator]
        yield from sorted([*account.with_units(), *_shared_above(account)], key=key)
        return
    grant = _first(account)
    while grant is not None:
        yield grant
        grant = grant.after
    above = account.parent
    while above is not None:
        if above.sharing:
            yield from _shared(above, account)
        above = above.parent


def paying(
    account: Account, asset: int, use: Use, at: int, recorded: bool = True
) -> Iterable[Grant]:
    """The same for such usage: first what is its seat's own, then the account's unless the plan
    says otherwise (rules D1, S3)."""
    if account.seats is None:
        return in_turn(account)
    turn = turn_of(account, asset, use, at, recorded)
    if turn is None:
        return in_turn(account)
    return chain(turn.pots, in_turn(account)) if turn.account else turn.pots


def in_all(account: Account) -> list[Grant]:
    """All grants that pay for whatever usage of an account: those of its seats, then the others."""
    grants: list[Grant] = []
    if account.seats is not None:
        for plan in account.seats.individual:
            grants.extend([pot for seat in plan.seats.values() for pot in seat.pots])
    return [*grants, *in_turn(account)]


def _merges(account: Account) -> bool:
    """Whether shared grants stand among its own by rank: the distance of the pot is a key of our
    own comparator only (rule D2)."""
    if account.comparator == _DRAWDOWN:
        return False
    above = account.parent
    while above is not None:
        if above.sharing:
            return True
        above = above.parent
    return False


def _shared_above(account: Account) -> Iterator[Grant]:
    above = account.parent
    while above is not None:
        if above.sharing:
            for grant in above.with_units():
                if grant.shared and covers(grant, account):
                    yield grant
        above = above.parent


def _shared(owner: Account, account: Account) -> list[Grant]:
    """What an account shares with one below, ordered by the comparator of who draws."""
    _first(owner)
    grants = [grant for grant in owner.with_units() if grant.shared and covers(grant, account)]
    if owner.comparator != account.comparator:
        grants.sort(key=COMPARATORS[account.comparator])
    return grants


def _first(account: Account) -> Grant | None:
    """The grant that is to pay first; the chain is put in order when first needed after an issue.

    So evolve, and with it every replay, compares nothing.
    """
    if account.unordered:
        account.chain(sorted(account.with_units(), key=order_of))
        account.unordered = False
    return account.first


def may_pay(grant: Grant, asset: int, use: Use, at: int) -> bool:
    """Whether a grant pays for such usage: of the asset, effective, unexpired and applicable (D1).

    It applies to the products that it names and to those that bear a tag that it names, where the
    usage bears every attribute that it names.
    """
    if grant.asset != asset or not grant.effective_at <= at < grant.expires_at:
        return False
    return not grant.limited or applies(grant, use)


def applies(grant: Grant, use: Use) -> bool:
    """Whether a grant is for such usage, whatever the time (rule D1)."""
    named = not grant.products and not grant.tags
    named = named or use.product in grant.products or not grant.tags.isdisjoint(use.tags)
    return named and grant.attributes <= use.attributes


def from_grants(
    account: Account,
    asset: int,
    use: Use,
    amount: int,
    at: int,
    slices: list[Slice],
    counted_at: int = 0,
    recorded: bool = True,
) -> int:
    """Take up to `amount` from grants that may pay at `at`; returns what is left to find. Caps are
    those of `counted_at`, where that is another time (rules D8, H5). `recorded`: see `draw`."""
    rooms: Rooms | None = None
    for grant in paying(account, asset, use, at, recorded):
        if may_pay(grant, asset, use, at):
            book = grant.book
            left = book.credits_posted - book.debits_posted - book.debits_pending
            if left > 0 and (grant.aside or grant.account.caps_given):
                if rooms is None:
                    rooms = rooms_at(account, at, counted_at, recorded)
                left = rooms.of(grant)
                if left > 0:
                    rooms.take(grant, left if left < amount else amount)
            if left > 0:
                take = left if left < amount else amount
                slices.append(Slice(_GRANT, book.number, take, grant.value_of(take)))
                amount -= take
                if amount == 0:
                    return 0
    return amount


def rooms_at(account: Account, at: int, counted_at: int, recorded: bool) -> Rooms:
    """What caps leave a draw: what is not recorded but asked for now, and counts at another time,
    takes nothing where that is in no window any more."""
    asked_at = at if counted_at and not recorded else 0
    return Rooms(account, counted_at or at, asked_at)


def is_commitment(grant: Grant) -> bool:
    """Whether units of a grant are committed to: a commitment's segment, or billed later (R9)."""
    return grant.commitment is not None or grant.kind == GrantKind.POSTPAID


def committed_units(account: Account, asset: int, use: Use, at: int) -> int:
    """Units of the commitments that may pay for such usage at `at` (rule R9)."""
    rooms = Rooms(account, at)
    mine = paying(account, asset, use, at)
    grants = [grant for grant in mine if may_pay(grant, asset, use, at)]
    return rooms.of_all([grant for grant in grants if is_commitment(grant)])


def _committed_first(
    account: Account,
    asset: int,
    use: Use,
    amount: int,
    committed: int,
    at: int,
    slices: list[Slice],
    counted_at: int = 0,
    recorded: bool = True,
) -> int:
    """The same where commitments pay `committed` of it first, in their turn (rule R9)."""
    mine = paying(account, asset, use, at, recorded)
    grants = [grant for grant in mine if may_pay(grant, asset, use, at)]
    taken: dict[Grant, int] = {}
    rooms = rooms_at(account, at, counted_at, recorded)
    for first in (True, False):
        left = min(committed, amount) if first else amount
        for grant in grants:
            units = rooms.of(grant)
            if left and units > 0 and (is_commitment(grant) or not first):
                take = min(units, left)
                rooms.take(grant, take)
                taken[grant] = taken.get(grant, 0) + take
                left -= take
                amount -= take
    for grant, units in taken.items():
        slices.append(Slice(_GRANT, grant.book.number, units, grant.value_of(units)))
    return amount


def first_shared(account: Account, asset: int, use: Use, at: int) -> Grant | None:
    """The grant that pays first of those that accounts above share, once the account's own pay no
    more; None = there is none, or it takes more than a look: what usual usage asks."""
    above = account.parent
    while above is not None:
        if above.sharing:
            if above.unordered or above.comparator != _DRAWDOWN:
                return None
            grant = above.first
            while grant is not None:
                if grant.shared and may_pay(grant, asset, use, at):
                    book = grant.book
                    if book.credits_posted > book.debits_posted + book.debits_pending and (
                        grant.shared_with is None or covers(grant, account)
                    ):
                        return grant
                grant = grant.after
        above = above.parent
    return None


def from_first_grant(account: Account, asset: int, use: Use, amount: int, at: int) -> Slice | None:
    """The one slice of a draw that the grant first in order pays alone, as most are; else None."""
    if account.seats is not None and account.seats.individual:
        return None
    grant = account.first if not account.unordered else _first(account)
    if (
        grant is None
        or not may_pay(grant, asset, use, at)
        or grant.aside
        or grant.book.available < amount
        or (account.parent is not None and _merges(account))
    ):
        return None
    return Slice(_GRANT, grant.book.number, amount, grant.value_of(amount))


def applicable(account: Account, asset: int, use: Use, at: int, counted_at: int = 0) -> int:
    """Units that grants may pay for new work of such usage at `at`, within caps and reserves (D1,
    D8). Caps are those of `counted_at`, where that is another time (rule H5)."""
    mine = paying(account, asset, use, at, False)
    grants = [grant for grant in mine if may_pay(grant, asset, use, at)]
    return rooms_at(account, at, counted_at, False).of_all(grants)


def overdraft_limit(account: Account, asset: int) -> int:
    """Units that may be owed in advance: a fixed number, or a share of lifetime value, rounded
    down, up to it (rules D4, H6)."""
    policy = account.policy
    most = policy.overdraft_limit
    if most == 0 or policy.overdraft_asset != asset:
        return 0
    if policy.overdraft_kind == OverdraftKind.FIXED:
        return most
    lifetime = max(0, account.lifetime.get(asset, 0))
    return min(most, lifetime * policy.overdraft_basis_points // BASIS_POINTS)


def overdraft_headroom(account: Account, asset: int, overdraw: Overdraw | None = None) -> int:
    """Units that the overdraft still affords, holds counted (rule D4); or as far as a rule lets
    work go, where that is further."""
    limit = overdraft_limit(account, asset)
    if overdraw is not None and overdraw.asset == asset:
        limit = max(limit, overdraw.bound)
    if limit == 0:
        return 0
    advance = account.advance.get(asset)
    if advance is None:
        return limit
    return max(0, limit - advance.owed - advance.debits_pending)


def grace_ended(account: Account, asset: int, now: int) -> bool:
    """Whether the balance has been below zero for as long as the policy bears it (rule H6).

    It is below zero while anything is owed in advance; nothing is authorised then.
    """
    grace = account.policy.overdraft_grace
    if grace < 0:
        return False
    debt = account.debt.get(asset)
    return debt is not None and debt.since > 0 and debt.since + grace <= now


def overage_headroom(account: Account, asset: int, period: int) -> int | None:
    """Units that overage still takes in `period`, holds counted; None = without a cap.

    In money, what the account itself owes and has not paid counts too, billed or not, of whatever
    period (rule D4).
    """
    policy = account.policy
    if policy.overage == Overage.OFF:
        return 0
    if policy.overage_cap < 0:
        return None
    posted = account.overage_posted.get((asset, period), 0)
    pending = account.overage_pending.get(asset, 0)
    if policy.overage == Overage.SELF:
        posted = max(posted, unpaid(account, asset))
    return max(0, policy.overage_cap - posted - pending)


def unpaid(account: Account, asset: int) -> int:
    """Money that the account owes: not billed yet, or billed and not paid (rules B4, D4)."""
    books = (account.unbilled.get(asset), account.receivable.get(asset))
    return sum([book.owed for book in books if book is not None])


def draw(
    state: State,
    account: Account,
    asset: int,
    use: Use,
    amount: int,
    at: int,
    period: int,
    opened: list[Event],
    recorded: bool,
    converts: bool = False,
    committed: int = 0,
    counted_at: int = 0,
    payer: Account | None = None,
    overdraw: Overdraw | None = None,
) -> Draw:
    """Find `amount` > 0 of `asset`: grants, overdraft to its limit, overage to its cap (rule D4).

    `recorded` usage has happened: what every limit refuses lands by the policy's `excess`, marked
    over the limit. Otherwise it is to be held: debt only where the policy lets holds draw it (rule
    H3). `converts`: its rest may be paid in the settlement currency (rule R5). `committed` units of
    it are for commitments, which pay them first (rule R9). `counted_at`: when it counts towards
    caps, where that is another time (rule H5). `payer`: who is billed, where that is
    not for the policy to say. `overdraw`: how far a rule lets it go below zero. Books and windows
    of caps that a slice needs and that do not exist are appended to `opened`.
    """
    slices: list[Slice] = []
    if committed:
        left = _committed_first(
            account, asset, use, amount, committed, at, slices, counted_at, recorded
        )
    else:
        left = from_grants(account, asset, use, amount, at, slices, counted_at, recorded)
    if account.parent is not None:
        open_windows(state, account, slices, counted_at or at, opened)
    over_limit = 0
    seated = turn_of(account, asset, use, at, recorded) if account.seats is not None else None
    own = seated is None or seated.account
    if left and own:
        left = _from_overdraft(state, account, asset, left, opened, slices, recorded, overdraw)
    if left and converts:
        conversion = _converted(state, account, asset, use, left, at, period, opened, own)
        if conversion is not None:
            kind = BookKind.CONVERSION
            book = house_book(state, account.tenant, kind, asset, use.product, opened)
            slices.append(Slice(Pot.CONVERTED, book, left))
            return Draw(slices, 0, conversion.units_over, conversion)
    if left and (seated is None or seated.overage):
        left = _from_overage(state, account, asset, left, period, opened, slices, recorded, payer)
    if left and recorded:
        slices.append(_excess(state, account, asset, left, opened, payer))
        over_limit, left = left, 0
    return Draw(slices, left, over_limit)


def open_windows(
    state: State, account: Account, slices: Sequence[Slice], at: int, opened: list[Event]
) -> None:
    """Append the windows in which a draw is the first to count, of caps on what it draws."""
    for piece in slices:
        book = state.books.accounts.get(piece.book)
        grant = book.grant if book is not None else None
        if grant is None or not grant.account.caps_given or grant.account is account:
            continue
        for cap in capping(account, grant):
            if cap.windowed and cap.counter.cell(at) is None:
                owner = grant.account
                since, end = span_at(
                    cap.terms.window, cap.counter, at, state.now, owner.anchors, owner.calendar
                )
                window = CapWindowOpened(owner.number, cap.number, since, end)
                if end and window not in opened:
                    opened.append(window)


def _converted(
    state: State,
    account: Account,
    asset: int,
    use: Use,
    units: int,
    at: int,
    period: int,
    opened: list[Event],
    own: bool,
) -> Conversion | None:
    """What is left of a charge, converted once at the rate of its time and drawn in the settlement
    currency: grants, overdraft, overage, excess (rule R5). None where nothing converts it. Not
    `own`: the plan of its seat leaves it to overage (rule S3)."""
    target = settlement_asset(account)
    if target in (0, asset):
        return None
    rate = state.catalog.rate(asset, target, at)
    if rate is None:
        return None
    conversion = Conversion(asset, target, rate, units)
    left = conversion.amount
    if left > INT64_MAX:  # one transfer fits int64 (rule N1): what does not is billed as it is
        return None
    slices = conversion.slices
    if left and own:
        left = from_grants(account, target, use, left, at, slices)
        if account.parent is not None:
            open_windows(state, account, slices, at, opened)
    if left and own:
        left = _from_overdraft(state, account, target, left, opened, slices, True)
    if left:
        left = _from_overage(state, account, target, left, period, opened, slices, True)
    if left:
        slices.append(_excess(state, account, target, left, opened))
        conversion.over_limit = left
    return conversion


def settlement_asset(account: Account) -> int:
    """What the rest of a charge is converted to: the account's own, else its nearest ancestor's;
    0 = it is not (rules N6, R5)."""
    above: Account | None = account
    while above is not None:
        if above.policy.settlement_asset:
            return above.policy.settlement_asset
        above = above.parent
    return 0


def _from_overdraft(
    state: State,
    account: Account,
    asset: int,
    left: int,
    opened: list[Event],
    slices: list[Slice],
    recorded: bool,
    overdraw: Overdraw | None = None,
) -> int:
    """Take up to `left` from the overdraft; returns what is left to find (rules D4, H3)."""
    policy = account.policy
    headroom = 0
    may = policy.holds_overdraft or overdraw is not None
    if recorded or (may and not grace_ended(account, asset, state.now)):
        headroom = overdraft_headroom(account, asset, overdraw)
    if headroom > 0:
        take = min(headroom, left)
        number = advance_book(state, account, asset, opened)
        slices.append(Slice(Pot.OVERDRAFT, number, take))
        left -= take
    return left


def _from_overage(
    state: State,
    account: Account,
    asset: int,
    left: int,
    period: int,
    opened: list[Event],
    slices: list[Slice],
    recorded: bool,
    payer: Account | None = None,
) -> int:
    """Take up to `left` from overage; returns what is left to find (rules D4, H3)."""
    if not (recorded or account.policy.holds_overage):
        return left
    cap = overage_headroom(account, asset, period)
    take = left if cap is None else min(cap, left)
    if take > 0:
        number = overage_book(state, account, asset, opened, payer)
        slices.append(Slice(Pot.OVERAGE, number, take, money_value(state, asset, take)))
        left -= take
    return left


def _excess(
    state: State,
    account: Account,
    asset: int,
    amount: int,
    opened: list[Event],
    payer: Account | None = None,
) -> Slice:
    """Where recorded usage lands that every limit refuses: by the account's policy."""
    excess = account.policy.excess
    if excess == Excess.OWE:
        return Slice(Pot.EXCESS_OWED, advance_book(state, account, asset, opened), amount)
    if excess == Excess.BILL:
        number = overage_book(state, account, asset, opened, payer)
        return Slice(Pot.EXCESS_BILLED, number, amount, money_value(state, asset, amount))
    number = house_book(state, account.tenant, BookKind.PROMOTION, asset, "", opened)
    return Slice(Pot.ABSORBED, number, amount)
