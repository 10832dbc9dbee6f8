"""The only code that changes state: live and in replay the same functions, which never judge.

Each applies figures that stand in the event, and nothing else: no price, no clock, no order is
computed here. Figures that contradict the books stop the writer (`BooksUnbalanced`, rule B7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappush
from typing import Any, Final

from msgspec.structs import replace

from ledger.core.books import Book, BooksUnbalanced
from ledger.core.events import (
    OF_A_GRANT,
    OF_AN_ACCOUNT,
    AccountBilled,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountPolicy,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AdjustmentNoted,
    AuthorizeDenied,
    Backfill,
    BalanceAdjusted,
    BookKind,
    BookOpened,
    ClockAdvanced,
    CommitmentCreated,
    CommitmentEnded,
    Comparator,
    ConfigurationApplied,
    CreditNoteIssued,
    Event,
    GivenBack,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExpiry,
    HoldExtended,
    HoldReleased,
    InvoiceDue,
    LimitExceeded,
    PaymentRecorded,
    PlanDeclared,
    Pot,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RequestAbandoned,
    SegmentAdded,
    Slice,
    TimeShifted,
    Timing,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
    UsageCaptured,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
    WriteOffKind,
    WriterOpened,
)
from ledger.core.limits import CORRECTED_A_FAMILY_MAX
from ledger.core.periods import Calendar, Zones, counting_from
from ledger.core.state import (
    GRANT_CANCELLED,
    GRANT_EXPIRED,
    GRANT_OPEN,
    GRANT_VOIDED,
    HOLD_CAPTURED,
    HOLD_CHARGED,
    HOLD_EXPIRED,
    HOLD_RELEASED,
    NEVER,
    TIMER_COMMITMENT,
    TIMER_GRANT,
    TIMER_HOLD,
    TIMER_RECURRING,
    TIMER_TOP_UP,
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    Account,
    Commitment,
    Corrected,
    Debt,
    Estimate,
    Family,
    Grant,
    Hold,
    RecurringGrant,
    SettledHold,
    State,
    TopUp,
    inherited_zone,
)

_DRAWDOWN: Final = int(Comparator.DRAWDOWN_1)
_GRANT: Final = int(Pot.GRANT)
_OVERAGE: Final = int(Pot.OVERAGE)
_EXCESS_BILLED: Final = int(Pot.EXCESS_BILLED)
_ADVANCE: Final = int(BookKind.ADVANCE)


def evolve(state: State, event: Event) -> None:
    """Apply one event as the next entry of the current batch."""
    if type(event) is UsageRecorded:
        usage_recorded(state, event)
    else:
        _EVOLVERS[type(event)](state, event)
    state.locator += 1


def evolve_all(state: State, events: Iterable[Event]) -> None:
    """Apply events of one batch, in order: a replay."""
    for event in events:
        if type(event) is UsageRecorded:
            usage_recorded(state, event)
        else:
            _EVOLVERS[type(event)](state, event)
        state.locator += 1


def usage_recorded(state: State, event: UsageRecorded) -> None:
    """Apply a usage event, without moving on to the next entry: for `record_usual` too."""
    if event.hold:
        _capture(state, event)
    slices = event.slices
    if slices:
        books = state.books.numbered
        used = books[event.used_book]
        assert used is not None
        totals = used.totals
        debited = 0
        owes = False
        for piece in slices:
            amount = piece.amount
            book = books[piece.book]
            if book is None or book.totals is not totals or amount <= 0:
                raise BooksUnbalanced(f"entry {state.entry_seq}: no transfer {piece} to {used}")
            book.debits_posted += amount
            debited += amount
            grant = book.grant
            if grant is not None:
                if piece.value:
                    grant.recognised += piece.value
                    if book.value_book is not None:
                        _recognise(book.value_book, used, piece.value)
                if book.debits_posted + book.debits_pending >= book.credits_posted:
                    _exhausted(state, grant)
            elif piece.pot == _OVERAGE or piece.pot == _EXCESS_BILLED:
                _add_overage(state.accounts[event.account], book.asset, event.period, amount)
                if piece.value and book.value_book is not None:
                    _recognise(book.value_book, used, piece.value)
            elif book.kind == _ADVANCE:
                owes = True
        credited = 0
        for charge in event.charges:
            if charge > 0:  # what is unpriced is -1
                credited += charge
        used.credits_posted += credited
        totals.debits_posted += debited
        totals.credits_posted += credited
        if totals.debits_posted != totals.credits_posted:
            raise BooksUnbalanced(
                f"entry {state.entry_seq}, asset {used.asset}: debits {totals.debits_posted}, "
                f"credits {totals.credits_posted}"
            )
        if owes:
            _owe(state, used.name, slices)
    if event.advances:
        position = state.accounts[event.account].totals
        for row, quantity in event.advances:
            place = (row, event.period)
            position[place] = position.get(place, 0) + quantity
    if event.suspense:
        state.accounts[event.account].suspended += 1
    if event.key:  # an expiry that charges has none
        state.keys.newest[event.key] = state.locator


def _recognise(value_book: Book, used: Book, value: int) -> None:
    """Post the money of one slice: debit deferred or unbilled, credit revenue (rule B4)."""
    revenues = used.revenues
    assert revenues is not None, used
    revenue = revenues[value_book.asset]
    value_book.debits_posted += value
    revenue.credits_posted += value
    totals = value_book.totals
    totals.debits_posted += value
    totals.credits_posted += value


def _capture(state: State, event: UsageRecorded) -> None:
    """Settle the hold that this usage is of, or take its part; or note that the last capture came
    late (rules H1, H2)."""
    kind = type(event)
    if event.late:
        if kind is UsageRecorded:
            family = state.families[state.accounts[event.account].root]
            family.settled[event.hold].captured_late = True
        return
    hold = state.holds[event.hold]
    if isinstance(event, UsageCaptured):
        _take(state, hold, event)
        return
    taken = sum(hold.taken_by(event.slices, event.period))
    if kind is HoldCharged:
        _settle(state, hold, HOLD_CHARGED, taken)
    else:
        hold.captures += 1
        _settle(state, hold, HOLD_CAPTURED, taken)


def _take(state: State, hold: Hold, event: UsageCaptured) -> None:
    """A part of the hold is captured: it no longer pends, the rest stays held."""
    rest = list(hold.slices)
    for place, taken in enumerate(event.taken):
        if taken:
            _unreserve(state, hold, rest[place], taken)
            rest[place] = replace(rest[place], amount=rest[place].amount - taken)
    hold.slices = tuple(rest)
    hold.captures += 1
    if hold.estimate is not None:
        names = state.declared[event.plan].quantity_names
        hold.estimate = hold.estimate.without(names, event.quantities)


def _owe(state: State, product: str, slices: tuple[Slice, ...]) -> None:
    for piece in slices:
        book = state.books.accounts[piece.book]
        if book.kind == _ADVANCE:
            _debt(state, book).add(product, piece.amount, state.now)


def _debt(state: State, advance: Book) -> Debt:
    """Whose debt an advance book holds."""
    debts = state.accounts[advance.owner].debt
    debt = debts.get(advance.asset)
    if debt is None:
        debt = debts[advance.asset] = Debt()
    return debt


def _add_overage(account: Account, asset: int, period: int, amount: int) -> None:
    posted = account.overage_posted
    posted[(asset, period)] = posted.get((asset, period), 0) + amount


def _writer_opened(state: State, event: WriterOpened) -> None:
    state.epoch = event.epoch


def _configuration_applied(state: State, event: ConfigurationApplied) -> None:
    state.configuration[event.tenant] = event.version


def _clock_advanced(state: State, event: ClockAdvanced) -> None:
    state.advance_clock(event.tenant, event.offset)


def _time_shifted(state: State, event: TimeShifted) -> None:
    state.record_at(event.offset)


def _book_opened(state: State, event: BookOpened) -> None:
    book = state.books.open(
        event.book, event.tenant, event.kind, event.asset, event.owner, event.name
    )
    state.next_book = max(state.next_book, event.book + 1)
    place_book(state, book)


def place_book(state: State, book: Book) -> None:
    """Let those find a book that use it: its account, the house, the books that it goes with."""
    kind, asset = book.kind, book.asset
    if kind in OF_A_GRANT:
        return  # the grant names them
    if kind not in OF_AN_ACCOUNT:
        state.house[(book.tenant, kind, asset, book.name)] = book
        if kind == BookKind.USED or kind == BookKind.REVENUE:
            revenues = state.revenues.setdefault((book.tenant, book.name), {})
            if kind == BookKind.USED:
                book.revenues = revenues
            else:
                revenues[asset] = book
        return
    account = state.accounts[book.owner]
    if kind == BookKind.ADVANCE:
        account.advance[asset] = book
    elif kind == BookKind.RECEIVABLE:
        account.receivable[asset] = book
    else:
        (account.overage if kind == BookKind.OVERAGE else account.unbilled)[asset] = book
        if kind == BookKind.OVERAGE:
            book.value_book = account.unbilled.get(asset)


def _account_created(state: State, event: AccountCreated) -> None:
    parent = state.accounts[event.parent] if event.parent else None
    account = Account(
        event.tenant,
        event.account,
        event.root,
        parent,
        event.policy,
        inherited_card(state, event.tenant, parent, event.policy),
        inherited_comparator(parent, event.policy),
        inherited_calendar(state, parent, event.policy),
        state.now,
    )
    account.profile_at = state.locator
    state.accounts[event.account] = account
    if parent is None:
        state.families[event.root] = Family(event.root)
    else:
        parent.children.append(account)
    state.keys.add(event.key, state.locator)


def inherited_card(
    state: State, tenant: int, parent: Account | None, policy: AccountPolicy
) -> tuple[int, str]:
    """A child is priced by its own card, else its nearest ancestor's (rule D8)."""
    if policy.rate_card:
        return state.card_key(tenant, policy.rate_card)
    return parent.card_key if parent is not None else state.card_key(tenant, "default")


def inherited_comparator(parent: Account | None, policy: AccountPolicy) -> int:
    """A child's grants are ordered by its own comparator, else its nearest ancestor's (rule D2)."""
    if policy.comparator:
        return int(policy.comparator)
    return parent.comparator if parent is not None else _DRAWDOWN


def inherited_calendar(state: State, parent: Account | None, policy: AccountPolicy) -> Calendar:
    """The months of an account that is opened with this policy."""
    if policy.zone or parent is None:
        return state.calendar(((0, inherited_zone(parent, policy)),))
    return parent.calendar


def _change_zone(state: State, account: Account, event: AccountPolicyUpdated) -> None:
    """Let the account's zone count for those that have it, from the instants in the event."""
    zone = inherited_zone(account.parent, event.policy)
    elsewhere = dict(event.zone_from_below)
    calendars: dict[Zones, Calendar] = {}  # shared by those that count alike
    for each in account.in_its_zone():
        since = elsewhere.get(each.number, event.zone_from)
        zones = counting_from(each.calendar.zones, zone, since)
        if zones not in calendars:
            calendars[zones] = state.calendar(zones)
        each.calendar = calendars[zones]


def _set_breakage(state: State, account: Account) -> None:
    """Another grace ends at other instants: time the breakage of the account's grants (rule T3)."""
    for grant in account.grants:
        if grant.expires_at != NEVER and grant.settled == GRANT_OPEN:
            _set_timer(state, account, grant.breaks_at, TIMER_GRANT, grant.number)


def _inherit(state: State, account: Account) -> None:
    """Work out anew what the account and those below it inherit, as far down as it changes."""
    card_key = inherited_card(state, account.tenant, account.parent, account.policy)
    comparator = inherited_comparator(account.parent, account.policy)
    if card_key == account.card_key and comparator == account.comparator:
        return
    if comparator != account.comparator:
        for grant in account.grants:
            grant.order = None
        account.unordered = True
    account.card_key, account.comparator = card_key, comparator
    for child in account.children:
        _inherit(state, child)


def _account_policy_updated(state: State, event: AccountPolicyUpdated) -> None:
    account = state.accounts[event.account]
    closed_by, grace = account.closed_by(state.now), account.policy.period_grace
    account.policy = event.policy
    account.version = event.version
    if event.policy.period_grace != grace:
        account.closed_until = closed_by  # for ever, whatever the grace is now
        _set_breakage(state, account)
    _inherit(state, account)
    if event.zone_from:
        _change_zone(state, account, event)
    state.keys.add(event.key, state.locator)


def _account_closed(state: State, event: AccountClosed) -> None:
    account = state.accounts[event.account]
    account.closed_at = event.closed_at
    account.find_open_from()
    state.keys.add(event.key, state.locator)


def _account_closed_out(state: State, event: AccountClosedOut) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    for number in event.holds:
        _settle(state, state.holds[number], HOLD_RELEASED)
    for each in event.write_offs:
        state.books.transfer(books[each.debit], books[each.credit], each.amount)
        if each.kind == WriteOffKind.GRANT:
            grant = state.grants[each.grant]
            grant.settled = GRANT_EXPIRED
            grant.unused += each.amount
            _retire(grant)
        elif each.kind == WriteOffKind.BREAKAGE:
            state.grants[each.grant].returned += each.amount
        elif each.kind == WriteOffKind.ADVANCE:
            _debt(state, books[each.credit]).repay("", each.amount, state.locator)
        if each.kind not in (WriteOffKind.GRANT, WriteOffKind.BREAKAGE):
            account.written_off = state.locator
    account.closed_at = event.closed_at
    account.find_open_from()
    state.keys.add(event.key, state.locator)


def _account_reopened(state: State, event: AccountReopened) -> None:
    """What it was closed for stays refused; older usage than the window needs no look (rule I4)."""
    account = state.accounts[event.account]
    gaps = [gap for gap in account.gaps if gap[1] > state.window_start]
    account.gaps = (*gaps, (account.closed_at, state.now))
    account.reopened_at = state.now
    account.closed_at = 0
    account.find_open_from()
    state.keys.add(event.key, state.locator)


def _account_frozen(state: State, event: AccountFrozen) -> None:
    account = state.accounts[event.account]
    account.frozen_at = state.now
    account.frozen_by = state.locator
    account.freeze_cause = int(event.cause)
    inherit_frozen(account)
    if event.key:
        state.keys.add(event.key, state.locator)


def _account_unfrozen(state: State, event: AccountUnfrozen) -> None:
    account = state.accounts[event.account]
    account.frozen_at = account.frozen_by = account.freeze_cause = 0
    inherit_frozen(account)
    state.keys.add(event.key, state.locator)


def inherit_frozen(account: Account) -> None:
    """An account is frozen if it or one above it is (rule I2): as far down as that changes."""
    parent = account.parent
    account.frozen = account.frozen_at > 0 or (parent is not None and parent.frozen)
    account.find_open_from()
    for child in account.children:
        if child.frozen != (child.frozen_at > 0 or account.frozen):
            inherit_frozen(child)


def _account_profile_updated(state: State, event: AccountProfileUpdated) -> None:
    account = state.accounts[event.account]
    account.profile_version = event.version
    account.profile_at = state.locator
    state.keys.add(event.key, state.locator)


def _grant_issued(state: State, event: GrantIssued) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    book, funding = books[event.book], books[event.funding_book]
    cash = books[event.cash_book] if event.cash_book else None
    origin = state.grants[event.origin] if event.origin else None
    grant = Grant(
        event.grant,
        event.ordinal,
        account,
        event.kind,
        event.asset,
        event.amount,
        event.price_paid,
        event.price_asset,
        event.priority,
        event.effective_at,
        event.expires_at or NEVER,
        frozenset(event.products),
        event.external_key,
        book,
        funding if origin is None else origin.funding,
        state.now,
        frozenset(event.tags),
        frozenset(event.attributes),
        event.shared,
        event.rollover,
        event.metadata,
        cash if origin is None else origin.cash,
        event.origin,
    )
    grant.scheduled = event.scheduled
    grant.unpaid = event.price_paid if event.pending else 0
    grant.part_of = paid_for(origin)
    book.grant = grant
    if event.deferred_book:
        book.value_book = books[event.deferred_book]
    state.grants[event.grant] = grant
    state.next_grant = max(state.next_grant, event.grant + 1)
    family = state.families[account.root]
    family.next_ordinal = event.ordinal + 1
    if event.external_key:
        family.grant_keys[event.external_key] = event.grant
    account.grants.append(grant)
    if event.pending:
        state.books.reserve(funding, book, event.amount)
    else:
        if origin is not None:
            _move_out(state, origin, event.amount, event.price_paid)
        state.books.transfer(funding, book, event.amount)
        if cash is not None and event.price_paid:
            assert book.value_book is not None
            _pay(account, cash, book.value_book, event.price_paid, grant)
        activate(grant)
    _repay(state, grant, event.backfills)
    for due in grant.dues():
        _set_timer(state, account, due, TIMER_GRANT, event.grant)
    if event.key:
        state.keys.add(event.key, state.locator)


def _grant_restored(state: State, event: GrantRestored) -> None:
    """Its terms are those of the grant that ended; its units come with the next entry."""
    ended = state.grants[event.of]
    grant = Grant(
        event.grant,
        event.ordinal,
        ended.account,
        ended.kind,
        ended.asset,
        event.amount,
        event.price_paid,
        ended.price_asset,
        ended.priority,
        ended.effective_at,
        event.expires_at or NEVER,
        ended.products,
        b"",
        state.books.accounts[event.book],
        ended.funding,
        state.now,
        ended.tags,
        ended.attributes,
        ended.shared,
        ended.rollover,
        ended.metadata,
        ended.cash,
        event.of,
    )
    grant.part_of = paid_for(ended)
    grant.book.grant = grant
    if event.deferred_book:
        grant.book.value_book = state.books.accounts[event.deferred_book]
    state.grants[event.grant] = grant
    state.next_grant = event.grant + 1
    state.families[grant.account.root].next_ordinal = event.ordinal + 1
    grant.account.grants.append(grant)
    for due in grant.dues():
        _set_timer(state, grant.account, due, TIMER_GRANT, event.grant)


def _usage_reversed(state: State, event: UsageReversed) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    product = state.declared[event.plan].product
    amount = 0
    for piece in event.given_back:
        drawn = books[piece.drawn]
        amount += piece.amount
        _give_back(state, account, event.used_book, piece, product)
        if drawn.kind == _ADVANCE:
            _debt(state, drawn).take((piece.debt, product), piece.amount)
        elif drawn.kind == BookKind.OVERAGE:
            _move_back(account.overage_posted, (drawn.asset, event.period), piece.amount)
    for row, quantity in event.moves:
        _move_back(account.totals, (row, event.period), quantity)
    account.suspended -= event.suspended
    _correct(state, state.families[account.root], event, amount + event.kept - event.beyond)
    state.keys.add(event.key, state.locator)


def _give_back(
    state: State, account: Account, used_book: int, piece: GivenBack, product: str
) -> None:
    """Post the transfers, and take the draw off the grant that had paid: its units are here again,
    or leave it undrawn with their money."""
    books = state.books.accounts
    used, credited, source = books[used_book], books[piece.book], books[piece.drawn].grant
    grant = credited.grant
    state.books.transfer(used, credited, piece.amount)
    if grant is not None and not grant.chained and grant.settled == GRANT_OPEN:
        activate(grant)
    if piece.value and piece.money_book:
        money_book = books[piece.money_book]
        assert used.revenues is not None
        payer = source.account if source is not None else account
        _pay(payer, used.revenues[money_book.asset], money_book, piece.value, source)
    if source is None:
        return
    source.recognised -= piece.value
    if piece.book == piece.drawn:
        source.given_back += piece.amount
    else:
        source.unused += piece.amount
        source.returned += piece.value
    if source.drawn < 0 or source.recognised < 0:
        raise BooksUnbalanced(
            f"entry {state.entry_seq}: more is given back than was drawn from grant {source.number}"
        )
    if piece.debt >= 0:
        part = (piece.debt, product)
        left = source.repaid[part] - piece.amount
        if left:
            source.repaid[part] = left
        else:
            del source.repaid[part]


def _move_back(counters: dict[tuple[int, int], int], place: tuple[int, int], by: int) -> None:
    """Lower a counter of a period; one that is zero is as none."""
    left = counters.get(place, 0) - by
    if left:
        counters[place] = left
    else:
        del counters[place]


def _correct(state: State, family: Family, event: UsageReversed, amount: int) -> None:
    """Remember how much was given back of the event that was corrected."""
    if len(family.corrected) >= CORRECTED_A_FAMILY_MAX:
        family.corrected = family.remembered(state.corrected_before)
    before = family.corrected.get(event.original)
    if before is None:
        family.corrected[event.original] = Corrected(
            event.effective_at, event.quantities, amount, event.as_charged
        )
        return
    before.quantities = tuple(
        [sum(each) for each in zip(before.quantities, event.quantities, strict=True)]
    )
    before.amount += amount
    before.as_charged += event.as_charged


def _balance_adjusted(state: State, event: BalanceAdjusted) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    for piece in event.slices:
        book = books[piece.book]
        used = books[event.used_book]
        state.books.transfer(book, used, piece.amount)
        if piece.value and book.value_book is not None:
            _recognise(book.value_book, used, piece.value)
        if book.grant is not None:
            book.grant.recognised += piece.value
            if book.available <= 0:
                _exhausted(state, book.grant)
        elif book.kind == BookKind.OVERAGE:
            _add_overage(account, book.asset, event.period, piece.amount)
    if event.slices:
        _owe(state, books[event.used_book].name, event.slices)
    for back in event.given_back:
        _give_back(state, account, event.used_book, back, "")
    state.keys.add(event.key, state.locator)


def _adjustment_noted(state: State, event: AdjustmentNoted) -> None:
    pass


def _move_out(state: State, grant: Grant, amount: int, money: int) -> None:
    """Let units leave a grant undrawn with their share of its price; the caller posts both."""
    grant.unused += amount
    grant.returned += money
    if grant.book.debits_posted + amount == grant.book.credits_posted:
        _retire(grant)


def paid_for(grant: Grant | None) -> Grant | None:
    """The grant that was paid for, of one that a grant is a part of."""
    return grant.part_of or grant if grant is not None else None


def _pay(
    account: Account, debit: Book, credit: Book, money: int, grant: Grant | None = None
) -> None:
    """Post money in from a customer, or back out; cash counts in lifetime value (rule H6), and in
    what was paid for the grant."""
    if debit.totals is not credit.totals or money <= 0:
        raise BooksUnbalanced(f"no transfer: {money} from book {debit.number} to {credit.number}")
    debit.debits_posted += money
    credit.credits_posted += money
    debit.totals.debits_posted += money
    debit.totals.credits_posted += money
    paid = (debit.kind == BookKind.CASH) - (credit.kind == BookKind.CASH)
    if paid:
        account.lifetime[debit.asset] = account.lifetime.get(debit.asset, 0) + paid * money
        if grant is not None:
            (grant.part_of or grant).paid += paid * money


def _repay(state: State, grant: Grant, backfills: tuple[Backfill, ...]) -> None:
    """Repay parts of the advance: debit grant, credit advance; recognise their money (B3, B4)."""
    account = grant.account
    for part in backfills:
        advance = state.books.accounts[part.book]
        debt = _debt(state, advance)
        state.books.transfer(grant.book, advance, part.amount)
        repaid = debt.repay(part.product, part.amount, state.locator)
        for each, units in repaid.items():
            grant.repaid[each] = grant.repaid.get(each, 0) + units
        grant.recognised += part.value
        value_book = grant.book.value_book
        if part.value and value_book is not None:
            revenue = state.revenues[(account.tenant, part.product)][value_book.asset]
            state.books.transfer(value_book, revenue, part.value)
    if backfills and grant.book.credits_posted == grant.book.debits_posted:
        _retire(grant)


def _grant_started(state: State, event: GrantStarted) -> None:
    grant = state.grants[event.grant]
    grant.scheduled = False
    _repay(state, grant, event.backfills)


def _grant_rolled_over(state: State, event: GrantRolledOver) -> None:
    state.grants[event.grant].rolled_over = True
    state.grants[event.grant].rolled += event.amount  # the entry that follows moves them


def _grant_released(state: State, event: GrantReleased) -> None:
    grant = state.grants[event.grant]
    books = state.books
    cash = grant.cash = books.accounts[event.cash_book]
    assert grant.book.value_book is not None
    _pay(grant.account, cash, grant.book.value_book, event.payment, grant)
    grant.unpaid -= event.payment
    if event.amount:
        books.release(grant.funding, grant.book, event.amount)
        books.transfer(grant.funding, grant.book, event.amount)
        if not grant.chained:
            activate(grant)
    _repay(state, grant, event.backfills)
    state.keys.add(event.key, state.locator)


def _grant_cancelled(state: State, event: GrantCancelled) -> None:
    grant = state.grants[event.grant]
    state.books.release(grant.funding, grant.book, event.amount)
    grant.cancelled += event.amount
    grant.returned += event.unpaid
    grant.unpaid -= event.unpaid
    if event.whole:
        grant.settled = GRANT_CANCELLED
    if event.key:
        state.keys.add(event.key, state.locator)


def activate(grant: Grant) -> None:
    """Let the grant pay; where in the order is for the comparator to say when next asked."""
    account = grant.account
    grant.after = account.first
    grant.chained = True
    account.first = grant
    account.sharing += grant.shared
    account.unordered = True


def _exhausted(state: State, grant: Grant) -> None:
    """Nothing is available of a grant: retire it unless a hold may give back; never below zero."""
    book = grant.book
    if book.available < 0:
        raise BooksUnbalanced(
            f"entry {state.entry_seq}: grant {grant.number} is drawn {-book.available} beyond its "
            "units"
        )
    if book.debits_posted == book.credits_posted:
        _retire(grant)


def _retire(grant: Grant) -> None:
    """Take a grant that has nothing left out of the chain, whose order stays."""
    if not grant.chained:
        return
    grant.chained = False
    account = grant.account
    account.sharing -= grant.shared
    before = account.first
    if before is grant:
        account.first = grant.after
        return
    while before is not None:
        if before.after is grant:
            before.after = grant.after
            return
        before = before.after


def _grant_voided(state: State, event: GrantVoided) -> None:
    grant = state.grants[event.grant]
    grant.settled = GRANT_VOIDED
    grant.forfeit = event.forfeit
    _leave(
        state,
        grant,
        (event.amount, grant.funding.number),
        (event.refunded, event.cash_book),
        (event.breakage, event.breakage_book),
    )
    if event.key:
        state.keys.add(event.key, state.locator)


def _grant_expired(state: State, event: GrantExpired) -> None:
    grant = state.grants[event.grant]
    grant.settled = GRANT_EXPIRED
    units = (event.amount, event.forfeited_book)
    _leave(state, grant, units, (event.value, event.breakage_book))


def _leave(state: State, grant: Grant, units: tuple[int, int], *shares: tuple[int, int]) -> None:
    """Post units that nobody drew to a book, and their shares of the price to others; of a grant
    without a money side the shares are only noted. It pays no more."""
    books = state.books.accounts
    amount, to = units
    if amount:
        state.books.transfer(grant.book, books[to], amount)
        grant.unused += amount
    for money, book in shares:
        grant.returned += money
        if money and book:
            assert grant.book.value_book is not None
            _pay(grant.account, grant.book.value_book, books[book], money, grant)
    _retire(grant)


def _grant_reduced(state: State, event: GrantReduced) -> None:
    grant = state.grants[event.grant]
    state.books.transfer(grant.book, grant.funding, event.amount)
    grant.unused += event.amount
    grant.returned += event.refunded
    if event.cash_book:
        assert grant.book.value_book is not None
        _pay(
            grant.account,
            grant.book.value_book,
            state.books.accounts[event.cash_book],
            event.refunded,
            grant,
        )
    _exhausted(state, grant)


def _grant_refunded(state: State, event: GrantRefunded) -> None:
    grant = state.grants[event.grant]
    books, deferred = state.books.accounts, grant.book.value_book
    assert deferred is not None
    state.books.transfer(grant.book, grant.funding, event.amount)
    grant.unused += event.amount
    for money, book in ((event.refunded, event.cash_book), (event.breakage, event.breakage_book)):
        grant.returned += money
        if money:
            _pay(grant.account, deferred, books[book], money, grant)
    _exhausted(state, grant)
    state.keys.add(event.key, state.locator)


def _grant_charged_back(state: State, event: GrantChargedBack) -> None:
    """What is given back from now on lowers what is owed: its price comes from the receivable."""
    books = state.books.accounts
    cash, receivable = books[event.cash_book], books[event.receivable_book]
    for part in event.parts:
        grant = state.grants[part.grant]
        if part.amount:
            state.books.transfer(grant.book, grant.funding, part.amount)
            grant.unused += part.amount
        if part.value:
            assert grant.book.value_book is not None
            _pay(grant.account, grant.book.value_book, cash, part.value, grant)
            grant.returned += part.value
        grant.cash = receivable
        if part.ends:
            grant.settled = GRANT_VOIDED
            _retire(grant)
    if event.owed:
        account = state.accounts[event.account]
        _pay(account, receivable, cash, event.owed, state.grants[event.grant])
    state.keys.add(event.key, state.locator)


def _account_billed(state: State, event: AccountBilled) -> None:
    books = state.books.accounts
    for line in event.lines:
        state.books.transfer(books[line.debit], books[line.credit], line.amount)
    state.keys.add(event.key, state.locator)


def _payment_recorded(state: State, event: PaymentRecorded) -> None:
    books = state.books.accounts
    account = state.accounts[event.account]
    _pay(account, books[event.cash_book], books[event.receivable_book], event.amount)
    state.keys.add(event.key, state.locator)


def _receivable_lowered(state: State, event: CreditNoteIssued | ReceivableWrittenOff) -> None:
    books = state.books.accounts
    state.books.transfer(books[event.book], books[event.receivable_book], event.amount)
    state.keys.add(event.key, state.locator)


def _recurring_started(state: State, event: RecurringStarted) -> None:
    account = state.accounts[event.account]
    recurring = RecurringGrant(
        event.recurring,
        account,
        event.external_key,
        event.terms,
        event.starts_at,
        event.ends_at or NEVER,
        state.now,
    )
    state.recurring[event.recurring] = recurring
    state.next_recurring = event.recurring + 1
    account.recurring.append(recurring)
    if event.external_key:
        state.families[account.root].recurring_keys[event.external_key] = event.recurring
    _set_recurring(state, recurring)
    state.keys.add(event.key, state.locator)


def _recurring_issued(state: State, event: RecurringIssued) -> None:
    recurring = state.recurring[event.recurring]
    if recurring.next_terms is not None:
        recurring.terms, recurring.next_terms = recurring.next_terms, None
    recurring.fresh = False
    recurring.next_at = event.end
    recurring.period_start = event.start
    recurring.period_end = event.end
    recurring.full = event.full
    recurring.grants = ()
    recurring.amount = recurring.terms.amount
    recurring.price_paid = recurring.terms.price_paid
    recurring.price_asset = recurring.terms.price_asset
    _issued_by(state, recurring, event.grant)
    _set_recurring(state, recurring)


def _recurring_changed(state: State, event: RecurringChanged) -> None:
    recurring = state.recurring[event.recurring]
    recurring.version = event.version
    if event.timing == Timing.NOW:
        recurring.terms, recurring.next_terms = event.terms, None
        if event.full:  # of a period that runs: what it gives at most has grown
            recurring.amount = max(recurring.amount, event.terms.amount)
            recurring.price_paid = max(recurring.price_paid, event.terms.price_paid)
            recurring.price_asset = event.terms.price_asset or recurring.price_asset
        _issued_by(state, recurring, event.grant)
    else:
        recurring.next_terms = event.terms
    state.keys.add(event.key, state.locator)


def _issued_by(state: State, recurring: RecurringGrant, grant: int) -> None:
    if grant:
        recurring.grants = (*recurring.grants, grant)
        state.grants[grant].recurring = recurring.number


def _recurring_paused(state: State, event: RecurringPaused) -> None:
    state.recurring[event.recurring].paused = True
    state.keys.add(event.key, state.locator)


def _recurring_resumed(state: State, event: RecurringResumed) -> None:
    recurring = state.recurring[event.recurring]
    recurring.paused = False
    recurring.fresh = recurring.fresh or event.next_at > recurring.next_at
    recurring.next_at = event.next_at
    _set_recurring(state, recurring)
    state.keys.add(event.key, state.locator)


def _recurring_ended(state: State, event: RecurringEnded) -> None:
    state.recurring[event.recurring].ends_at = event.ends_at
    state.keys.add(event.key, state.locator)


def _set_recurring(state: State, recurring: RecurringGrant) -> None:
    due = recurring.due
    if due != NEVER:
        _set_timer(state, recurring.account, due, TIMER_RECURRING, recurring.number)


def _commitment_created(state: State, event: CommitmentCreated) -> None:
    account = state.accounts[event.account]
    commitment = Commitment(
        event.commitment,
        account,
        event.external_key,
        event.terms,
        event.invoices,
        state.now,
    )
    for grant in event.grants:
        commitment.take(state.grants[grant])
    state.commitments[event.commitment] = commitment
    state.next_commitment = event.commitment + 1
    account.commitments.append(commitment)
    if event.external_key:
        state.families[account.root].commitment_keys[event.external_key] = event.commitment
    _set_commitment(state, commitment)
    state.keys.add(event.key, state.locator)


def _segment_added(state: State, event: SegmentAdded) -> None:
    commitment = state.commitments[event.commitment]
    commitment.take(state.grants[event.grant])
    commitment.plan(event.invoices)
    _set_commitment(state, commitment)
    if event.key:
        state.keys.add(event.key, state.locator)


def _commitment_ended(state: State, event: CommitmentEnded) -> None:
    commitment = state.commitments[event.commitment]
    commitment.ended_at = state.now
    commitment.ending = int(event.ending)
    commitment.moved_to = event.target
    if event.invoices:
        target = state.commitments[event.target]
        target.plan(event.invoices)
        _set_commitment(state, target)
    state.keys.add(event.key, state.locator)


def _invoice_due(state: State, event: InvoiceDue) -> None:
    books = state.books.accounts
    receivable, unbilled = books[event.receivable_book], books[event.unbilled_book]
    state.books.transfer(receivable, unbilled, event.amount)
    commitment = state.commitments[event.commitment]
    commitment.invoiced += 1
    _set_commitment(state, commitment)


def _set_commitment(state: State, commitment: Commitment) -> None:
    due = commitment.due
    if due != NEVER:
        _set_timer(state, commitment.account, due, TIMER_COMMITMENT, commitment.number)


def _plan_declared(state: State, event: PlanDeclared) -> None:
    state.vocabulary[event] = state.batch_length
    state.declared[state.batch_length] = event


def _usage_quarantined(state: State, event: UsageQuarantined) -> None:
    state.keys.add(event.key, state.locator)


def _limit_exceeded(state: State, event: LimitExceeded) -> None:
    pass


def _hold_authorized(state: State, event: HoldAuthorized) -> None:
    account = state.accounts[event.account]
    plan = state.declared[event.plan]
    used = state.books.accounts[event.used_book] if event.used_book else None
    hold = Hold(
        event.hold,
        account,
        plan.product,
        plan.attributes,
        plan.asset,
        used,
        event.slices,
        event.effective_at,
        event.expires_at,
        event.lifetime_max,
        event.period,
        Estimate(plan, event.quantities) if event.expiry == HoldExpiry.CHARGE else None,
    )
    state.holds[event.hold] = hold
    state.next_hold = event.hold + 1
    account.holds[event.hold] = hold
    for piece in event.slices:
        assert used is not None
        state.books.reserve(state.books.accounts[piece.book], used, piece.amount)
        if piece.pot == _OVERAGE:
            pending = account.overage_pending
            pending[plan.asset] = pending.get(plan.asset, 0) + piece.amount
    lend(state, hold)
    _set_timer(state, account, event.expires_at, TIMER_HOLD, event.hold)
    state.keys.add(event.key, state.locator)


def _hold_extended(state: State, event: HoldExtended) -> None:
    hold = state.holds[event.hold]
    hold.expires_at = event.expires_at
    _set_timer(state, hold.account, event.expires_at, TIMER_HOLD, event.hold)
    state.keys.add(event.key, state.locator)


def lend(state: State, hold: Hold) -> None:
    """Note with the owners of shared grants that a hold of an account below reserves units."""
    for piece in hold.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and grant.account is not hold.account:
            owner = grant.account
            owner.lent[hold.number] = hold
            owner.next_due = min(owner.next_due, hold.expires_at)


def _unreserve(state: State, hold: Hold, piece: Slice, amount: int) -> None:
    """So much of one of the hold's slices no longer pends."""
    assert hold.used is not None
    state.books.release(state.books.accounts[piece.book], hold.used, amount)
    if piece.pot == _OVERAGE:
        hold.account.overage_pending[hold.asset] -= amount


def _settle(state: State, hold: Hold, ended: int, taken: int = 0) -> None:
    """Take every pending slice back; every way out of a hold comes through here, once.

    `taken` is what of it this way out drew, for whoever asks how much was captured.
    """
    account = hold.account
    left = 0
    for piece in hold.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None:
            grant.account.lent.pop(hold.number, None)
        if piece.amount:
            _unreserve(state, hold, piece, piece.amount)
            left += piece.amount
    del state.holds[hold.number]
    del account.holds[hold.number]
    family = state.families[account.root]
    family.forget_settled(state.settled_before)
    family.settled[hold.number] = SettledHold(
        hold.number,
        account,
        hold.product,
        hold.attributes,
        hold.asset,
        hold.amount,
        ended,
        False,
        state.now,
        hold.amount - left + taken,
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
    )


def _authorize_denied(state: State, event: AuthorizeDenied) -> None:
    state.keys.add(event.key, state.locator)


def _hold_released(state: State, event: HoldReleased) -> None:
    _settle(state, state.holds[event.hold], HOLD_RELEASED)
    state.keys.add(event.key, state.locator)


def _hold_expired(state: State, event: HoldExpired) -> None:
    _settle(state, state.holds[event.hold], HOLD_EXPIRED)


def _request_abandoned(state: State, event: RequestAbandoned) -> None:
    state.keys.add(event.key, state.locator)


def _set_timer(state: State, account: Account, due: int, kind: int, number: int) -> None:
    heappush(state.timers, (state.timer_at(account.tenant, due), kind, number))
    if due < account.next_due:
        account.next_due = due


def _top_up_rule_set(state: State, event: TopUpRuleSet) -> None:
    account = state.accounts[event.account]
    account.top_up_rules[event.rule.asset] = (event.version, event.rule)
    account.find_watched()
    state.keys.add(event.key, state.locator)


def _top_up_rule_removed(state: State, event: TopUpRuleRemoved) -> None:
    account = state.accounts[event.account]
    version, _ = account.top_up_rules[event.asset]
    account.top_up_rules[event.asset] = (version, None)
    account.find_watched()
    state.keys.add(event.key, state.locator)


def _top_up_requested(state: State, event: TopUpRequested) -> None:
    account = state.accounts[event.account]
    before = state.settled_before
    for number in [each.number for each in account.top_ups.values() if not each.remembered(before)]:
        del account.top_ups[number]
        del state.top_ups[number]
    top_up = TopUp(
        event.top_up,
        account,
        event.asset,
        event.amount,
        event.price_paid,
        event.price_asset,
        event.source,
        event.version,
        int(event.available),
        state.now,
        event.expires_at,
    )
    account.top_ups[event.top_up] = state.top_ups[event.top_up] = top_up
    state.next_top_up = event.top_up + 1
    _set_timer(state, account, event.expires_at, TIMER_TOP_UP, event.top_up)


def _top_up_confirmed(state: State, event: TopUpConfirmed) -> None:
    top_up = _settle_top_up(state, event.top_up, TOP_UP_CONFIRMED)
    top_up.grant = event.grant
    state.keys.add(event.key, state.locator)


def _top_up_declined(state: State, event: TopUpDeclined) -> None:
    _settle_top_up(state, event.top_up, TOP_UP_DECLINED)
    state.keys.add(event.key, state.locator)


def _top_up_expired(state: State, event: TopUpExpired) -> None:
    _settle_top_up(state, event.top_up, TOP_UP_EXPIRED)


def _settle_top_up(state: State, number: int, settled: int) -> TopUp:
    top_up = state.top_ups[number]
    top_up.state = settled
    top_up.settled_at = state.now
    return top_up


_EVOLVERS: dict[type, Callable[[State, Any], None]] = {
    WriterOpened: _writer_opened,
    ConfigurationApplied: _configuration_applied,
    ClockAdvanced: _clock_advanced,
    TimeShifted: _time_shifted,
    BookOpened: _book_opened,
    AccountCreated: _account_created,
    AccountPolicyUpdated: _account_policy_updated,
    AccountClosed: _account_closed,
    AccountClosedOut: _account_closed_out,
    AccountFrozen: _account_frozen,
    AccountUnfrozen: _account_unfrozen,
    AccountReopened: _account_reopened,
    AccountProfileUpdated: _account_profile_updated,
    GrantIssued: _grant_issued,
    GrantStarted: _grant_started,
    GrantRolledOver: _grant_rolled_over,
    GrantReleased: _grant_released,
    GrantCancelled: _grant_cancelled,
    GrantVoided: _grant_voided,
    GrantExpired: _grant_expired,
    PlanDeclared: _plan_declared,
    UsageRecorded: usage_recorded,
    UsageCaptured: usage_recorded,
    HoldCharged: usage_recorded,
    UsageQuarantined: _usage_quarantined,
    LimitExceeded: _limit_exceeded,
    UsageReversed: _usage_reversed,
    GrantRestored: _grant_restored,
    AdjustmentNoted: _adjustment_noted,
    BalanceAdjusted: _balance_adjusted,
    HoldAuthorized: _hold_authorized,
    AuthorizeDenied: _authorize_denied,
    HoldExtended: _hold_extended,
    HoldReleased: _hold_released,
    HoldExpired: _hold_expired,
    RequestAbandoned: _request_abandoned,
    RecurringStarted: _recurring_started,
    RecurringIssued: _recurring_issued,
    RecurringChanged: _recurring_changed,
    RecurringPaused: _recurring_paused,
    RecurringResumed: _recurring_resumed,
    RecurringEnded: _recurring_ended,
    GrantReduced: _grant_reduced,
    GrantRefunded: _grant_refunded,
    GrantChargedBack: _grant_charged_back,
    AccountBilled: _account_billed,
    PaymentRecorded: _payment_recorded,
    CreditNoteIssued: _receivable_lowered,
    ReceivableWrittenOff: _receivable_lowered,
    CommitmentCreated: _commitment_created,
    SegmentAdded: _segment_added,
    CommitmentEnded: _commitment_ended,
    InvoiceDue: _invoice_due,
    TopUpRuleSet: _top_up_rule_set,
    TopUpRuleRemoved: _top_up_rule_removed,
    TopUpRequested: _top_up_requested,
    TopUpConfirmed: _top_up_confirmed,
    TopUpDeclined: _top_up_declined,
    TopUpExpired: _top_up_expired,
}
"""One function an event; a test asserts that every event has one."""
