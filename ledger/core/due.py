"""What time makes due: of what a command touches, before it is decided; of all the rest, by sweeps.

Each is posted as an entry of its own, earliest first, so no decision sees an overdue hold or grant
(rules H2, T3).
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

from ledger.core.applying import apply_all, ask_for_top_ups, in_time
from ledger.core.charges.charging import (
    post_charge,
)
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.commands import (
    Command,
    CreateAccount,
    EndCommitment,
    EndContract,
    EndStatement,
)
from ledger.core.contracts.contracting import (
    contract_due,
)
from ledger.core.contracts.contracts import DueContract, due_contract
from ledger.core.events import (
    Event,
)
from ledger.core.funding.commitments import (
    post_invoice,
)
from ledger.core.funding.grants import grant_is_due, settle_grant
from ledger.core.funding.minimums import post_minimum, settlement_of
from ledger.core.funding.recurring import (
    issue_period,
)
from ledger.core.funding.top_ups import (
    expire_top_up,
)
from ledger.core.funding.true_ups import is_trued_up, trued_up_below
from ledger.core.limits import BATCH_INDEX_MAX, GAUGES_A_TURN, SETTLED_A_TOUCH_MAX
from ledger.core.metering.gauges import Gauges
from ledger.core.metering.gauging import charge_gauge
from ledger.core.metering.outcome_charges import (
    end_in_time,
)
from ledger.core.metering.suspense import rate_waiting
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.subscribing import (
    carry_on,
)
from ledger.core.packages.subscriptions import Subscription
from ledger.core.pricing.quoting import expire_quote
from ledger.core.pricing.rerate_shares import post_due
from ledger.core.pricing.shared_totals import Dues
from ledger.core.seats.seating import (
    begin_period,
)
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import (
    FETCHED,
    NEVER,
    TIMER_CHARGE,
    TIMER_CONTRACT,
    TIMER_FAMILY,
    TIMER_GAUGE,
    TIMER_GRANT,
    TIMER_HOLD,
    TIMER_MINIMUMS,
    TIMER_PACKAGE,
    TIMER_QUOTE,
    TIMER_RECURRING,
    TIMER_RERATE,
    TIMER_SEATS,
    TIMER_STATEMENT,
    TIMER_SUSPENSE,
    TIMER_TOP_UP,
    TOP_UP_PENDING,
    Account,
    Commitment,
    Grant,
    Hold,
    Quote,
    RecurringGrant,
    State,
    TopUp,
)
from ledger.core.statements.statements import Statements
from ledger.core.statements.stating import (
    end_in_time as end_statement,
)

Timed: TypeAlias = (
    Hold
    | Grant
    | RecurringGrant
    | Commitment
    | TopUp
    | Quote
    | Subscription
    | FixedCharge
    | DueContract
    | SeatPlan
    | Statements
    | Gauges
    | Dues
    | Account
)


def settle_touched(state: State, command: Command, batch: list[Event]) -> Refusal | None:
    """Post what is overdue on the account that a command touches, in the time of its tenant."""
    if state.offsets:
        state.act_for(_tenant_of(state, command))
    if isinstance(command, CreateAccount):
        return None
    account = state.accounts.get(command.account)
    if isinstance(command, EndStatement) and account is not None:
        refusal = _settle_below(state, account, batch)
        if refusal is not None:
            return refusal
    refusal = _settle_line(state, account, batch)
    if refusal is None and account is not None and isinstance(command, EndCommitment | EndContract):
        refusal = _true_up_below(state, account, batch)
    return refusal


def _settle_below(state: State, account: Account, batch: list[Event]) -> Refusal | None:
    """Post what is overdue below an account, before a statement ends that may be of those too."""
    for each in account.below()[1:]:
        if each.next_due <= state.now:
            refusal = settle_due(state, each, batch)
            if refusal is not None:
                return refusal
    return None


def _settle_line(state: State, account: Account | None, batch: list[Event]) -> Refusal | None:
    """Post what is overdue on an account and on those above it."""
    while account is not None:  # and above, for what is shared with it
        if account.next_due <= state.now:
            refusal = settle_due(state, account, batch)
            if refusal is not None:
                return refusal
        account = account.parent
    return None


def settle_due(state: State, account: Account, batch: list[Event]) -> Refusal | None:
    """Post what is overdue on one account: holds first, for they give back to grants.

    Where that is more than one batch should hold, a part is posted and the command is refused, safe
    to retry: no decision sees an overdue pot.
    """
    now = state.now
    reserving = [*account.holds.values(), *account.lent.values()]
    overdue = [hold for hold in reserving if hold.expires_at <= now]
    overdue.sort(key=lambda hold: (hold.expires_at, hold.number))  # as the sweep would
    if len(overdue) > SETTLED_A_TOUCH_MAX or len(batch) > BATCH_INDEX_MAX:
        for hold in overdue[: min(SETTLED_A_TOUCH_MAX, max(0, BATCH_INDEX_MAX - len(batch)))]:
            out = in_time(state)
            end_in_time(state, hold, out)
            apply_all(state, out, batch)
        return Refusal(
            Reason.BATCH_FULL,
            "account",
            str(len(overdue)),
            "more holds of the account have expired than one batch takes; send the same again",
        )
    for hold in overdue:
        out = in_time(state)
        end_in_time(state, hold, out)
        apply_all(state, out, batch)
    account.find_next_due()
    posted = len(batch)
    while account.next_due <= now:
        # What is due, and then what that made due: a period that is missed is issued, and expires.
        # What is made due says so in `next_due`; it comes before what is of a later time.
        account.next_due = NEVER
        for instant, kind, number in sorted(account.timers()):
            if instant > now or instant > account.next_due:
                break
            if len(batch) - posted > SETTLED_A_TOUCH_MAX or len(batch) > BATCH_INDEX_MAX:
                account.find_next_due()
                return Refusal(
                    Reason.BATCH_FULL,
                    "account",
                    str(instant),
                    "more of the account is due since this instant than one batch takes; send the "
                    "same again",
                )
            found = _timed(state, kind, number)
            if found is not None and _is_due(state, found, instant):
                _post_now(state, found, batch)
        account.find_next_due()
    return None


def _timed(state: State, kind: int, number: int) -> Timed | None:
    """What a timer is of; None where it is there no more."""
    if kind == TIMER_HOLD:
        return state.holds.get(number)
    if kind == TIMER_GRANT:
        return state.grants.get(number)
    if kind == TIMER_TOP_UP:
        return state.top_ups.get(number)
    if kind == TIMER_QUOTE:
        return state.quotes.get(number)
    if kind == TIMER_MINIMUMS:
        return state.accounts.get(number)
    if kind == TIMER_CHARGE:
        return state.charges.get(number)
    if kind == TIMER_CONTRACT:
        account = state.accounts.get(number)
        return due_contract(account) if account is not None else None
    if kind == TIMER_PACKAGE:
        account = state.accounts.get(number)
        return account.subscription if account is not None else None
    if kind == TIMER_SEATS:
        account = state.accounts.get(number)
        return account.seats.next_due if account is not None and account.seats is not None else None
    if kind == TIMER_STATEMENT:
        account = state.accounts.get(number)
        return account.statements if account is not None else None
    if kind == TIMER_GAUGE:
        account = state.accounts.get(number)
        return account.gauges if account is not None else None
    if kind == TIMER_RERATE:
        account = state.accounts.get(number)
        return account.dues if account is not None else None
    return (state.recurring if kind == TIMER_RECURRING else state.commitments).get(number)


def _account_of(found: Timed) -> Account:
    return found if isinstance(found, Account) else found.account


def _is_due(state: State, found: Timed, instant: int) -> bool:
    """Whether the timer that was set for then still has an effect."""
    if isinstance(found, Hold | Quote):
        return found.expires_at <= state.now
    if isinstance(found, Grant):
        return grant_is_due(found, state.now)
    if isinstance(found, TopUp):
        return found.state == TOP_UP_PENDING
    if isinstance(found, Account):
        return found.minimums_due == instant
    return found.due == instant


def _post_now(state: State, found: Timed, batch: list[Event]) -> None:
    """Post what time has made of it."""
    if isinstance(found, Account):
        _settle_minimums(state, found, batch)
        return
    if isinstance(found, Gauges):
        _charge_gauges(state, found, batch)
        return
    if isinstance(found, Dues):
        _post_dues(state, found, batch)
        return
    if isinstance(found, Grant):
        trued_up = is_trued_up(found, state.now)
        if trued_up or found.account.sharing:  # what is due below may draw of it, or count
            _charge_gauges_below(state, found.account, batch)
        if trued_up:
            if _true_up_below(state, found.account, batch) is not None:
                due = state.timer_at(found.account.tenant, found.breaks_at)
                heappush(state.timers, (due, TIMER_GRANT, found.number))
                return
            _renew_before(state, found, batch)
    if isinstance(found, Statements) and _settle_below(state, found.account, batch) is not None:
        due = state.timer_at(found.account.tenant, found.due)
        heappush(state.timers, (due, TIMER_STATEMENT, found.account.number))
        return
    out = in_time(state)
    _post(state, found, out)
    apply_all(state, out, batch)


def _post_dues(state: State, dues: Dues, batch: list[Event]) -> None:
    """Post the re-rates of an account that are due, each upon what the one before has left."""
    while dues.waiting:
        out = in_time(state)
        post_due(state, dues, out)
        apply_all(state, out, batch)


def _renew_before(state: State, segment: Grant, batch: list[Event]) -> None:
    """Renew a contract that is due by then before a segment is trued up which may roll over into
    its next term (rule P5)."""
    found = due_contract(segment.account)
    if found is not None and found.contract.rollover and found.due <= segment.breaks_at:
        _post_now(state, found, batch)


def _true_up_below(state: State, account: Account, batch: list[Event]) -> Refusal | None:
    """Post the true-ups that count toward commitments of an account before those end (rule D7):
    also those of terms that contracts below have been renewed for since."""
    for below in account.below()[1:]:
        contract = due_contract(below) if below.contracts else None
        if contract is not None and contract.contract.committed and contract.due <= state.now:
            refusal = settle_due(state, below, batch)
            if refusal is not None:
                return refusal
    for each in trued_up_below(account, state.now):
        _renew_before(state, each, batch)
        while not each.settled and grant_is_due(each, state.now):
            out = in_time(state)
            settle_grant(state, each, out)
            apply_all(state, out, batch)
    return None


def _charge_gauges(state: State, gauges: Gauges, batch: list[Event]) -> None:
    """Charge some of an account's gauges that are due, one after the other; what is left has a
    timer of its own."""
    for _ in range(GAUGES_A_TURN):
        if gauges.due > state.now:
            break
        _charge_next(state, gauges, batch)


def _charge_next(state: State, gauges: Gauges, batch: list[Event]) -> None:
    out = in_time(state)
    charge_gauge(state, gauges, out)
    apply_all(state, out, batch)


def _charge_gauges_below(state: State, account: Account, batch: list[Event]) -> None:
    """Charge the gauges that are due of an account and of all below it."""
    if not state.families[account.root].gauged:
        return
    for each in account.below():
        while each.gauges is not None and each.gauges.due <= state.now:
            _charge_gauges(state, each.gauges, batch)


def _settle_minimums(state: State, account: Account, batch: list[Event]) -> None:
    """Settle a period's minimums, each upon what the one before has left; of a period without any
    nothing is recorded, and the next one is awaited. Gauges that count for it are charged first."""
    _charge_gauges_below(state, account, batch)
    end, settlement = settlement_of(state, account)
    if settlement is None:
        account.minimums_looked = end
        state.await_minimums(account)
        return
    for place in range(len(settlement.minimums)):
        out = in_time(state)
        post_minimum(state, settlement, place, out)
        apply_all(state, out, batch)


def _post(state: State, found: Timed, out: list[Event]) -> None:
    """Append what time has made of it."""
    if isinstance(found, Hold):
        end_in_time(state, found, out)
    elif isinstance(found, Grant):
        settle_grant(state, found, out)
    elif isinstance(found, Commitment):
        post_invoice(state, found, out)
    elif isinstance(found, TopUp):
        expire_top_up(found, out)
    elif isinstance(found, Quote):
        expire_quote(found, out)
    elif isinstance(found, DueContract):
        contract_due(state, found, out)
    elif isinstance(found, Subscription):
        carry_on(state, found, out)
    elif isinstance(found, FixedCharge):
        post_charge(state, found, out)
    elif isinstance(found, SeatPlan):
        begin_period(state, found, out)
    elif isinstance(found, Statements):
        end_statement(state, found, out)
    else:
        assert isinstance(found, RecurringGrant)
        issue_period(state, found, out)


def sweep(
    state: State,
    entries_max: int,
    batch: list[Event],
    touch: Callable[[int], None] | None = None,
    until: int = NEVER,
) -> None:
    """Post what time has made due, earliest first by the writer's clock, about `entries_max`
    entries at most; each in the time of its tenant. Only what was due by `until`, if that is
    earlier.

    `touch(root)` is called before a family is changed. A paged family in which something is due is
    left in `state.overdue`: once it is here again, the next sweep finds it.
    """
    now = min(state.recorded_at, until)
    room = entries_max + len(batch)
    while state.timers and state.timers[0][0] <= now and len(batch) < room:
        due, kind, number = heappop(state.timers)
        if kind == TIMER_FAMILY:
            _family_due(state, number, due)
            room -= 1  # a clock that is moved makes all families of a tenant due at once
            continue
        if kind == TIMER_SUSPENSE:
            room -= _try_suspended(state, number, room - len(batch), batch, touch)
            continue
        found = _timed(state, kind, number)
        if found is None:
            continue
        account = _account_of(found)
        if state.offsets:
            state.act_for(account.tenant)
        if not _is_due(state, found, due + state.acting):
            continue
        if touch is not None:
            touch(account.root)
        _post_now(state, found, batch)
        ask_for_top_ups(state, account, batch)
        if found is account:
            room -= 1  # a month ends for all accounts of a tenant at once, and most lack nothing


def rate_one(state: State, number: int, locator: int, batch: list[Event]) -> None:
    """Rate what waits of one usage event of an account, if anything does and has a price by now:
    for whoever repeats a history, as below."""
    account = state.accounts.get(number)
    waiting = state.families[account.root].waiting.get(locator) if account is not None else None
    if account is None or waiting is None:
        return
    if state.offsets:
        state.act_for(account.tenant)
    if _settle_line(state, account, batch) is None:
        out = in_time(state)
        rate_waiting(state, locator, waiting, out)
        apply_all(state, out, batch)


def post_one(state: State, kind: int, number: int, batch: list[Event]) -> None:
    """Post what time has made due of one thing alone, if anything: for whoever repeats a history,
    in which that stands at its place."""
    found = _timed(state, kind, number)
    if found is None:
        return
    if state.offsets:
        state.act_for(_account_of(found).tenant)
    if isinstance(found, TopUp):
        instant = found.expires_at
    elif isinstance(found, Account):
        instant = found.minimums_due
    elif isinstance(
        found,
        RecurringGrant
        | Commitment
        | Subscription
        | DueContract
        | FixedCharge
        | SeatPlan
        | Statements
        | Gauges
        | Dues,
    ):
        instant = found.due
    else:
        instant = 0  # what is due of these two is for `_is_due` to say
    if instant > state.now or not _is_due(state, found, instant):
        return
    if isinstance(found, Gauges):
        _charge_next(state, found, batch)
    else:
        _post_now(state, found, batch)


def _try_suspended(
    state: State,
    root: int,
    tries_max: int,
    batch: list[Event],
    touch: Callable[[int], None] | None,
) -> int:
    """Rate what waits in a family for a price that is there now, in order of recording; what is too
    much for one sweep comes with the next. Returns how many usage events were looked at."""
    if root in state.paged_families:
        if state.paged_families[root] != FETCHED:
            state.paged_families[root] = FETCHED
            state.overdue.append(root)
        return 1
    family = state.families[root]
    if family.to_try is None:
        family.to_try = list(reversed(family.waiting))
    if state.offsets:
        state.act_for(state.accounts[root].tenant)
    if family.to_try and touch is not None:
        touch(root)
    tries = 0
    while family.to_try and tries < tries_max:
        tries += 1
        to_try, locator = family.to_try, family.to_try[-1]
        waiting = family.waiting.get(locator)
        if waiting is not None:  # not reversed since
            account, before = state.accounts[waiting.account], len(batch)
            full = _settle_line(state, account, batch)
            trying = family.is_trying(to_try)  # not if what was due changed prices
            if trying and full is None:
                out = in_time(state)
                rate_waiting(state, locator, waiting, out)
                apply_all(state, out, batch)
            if len(batch) > before:
                ask_for_top_ups(state, account, batch)
            if not trying:
                return tries  # all is tried anew, by a timer of its own
            if full is not None:
                tries = tries_max  # more is due there than this batch takes
                break
        to_try.pop()
    if family.to_try:
        heappush(state.timers, (state.recorded_at, TIMER_SUSPENSE, root))
    else:
        family.to_try = None
    return max(tries, 1)


def _family_due(state: State, root: int, due: int) -> None:
    """Give what is due in a family its own timers, so that it is posted in its place; or have the
    family paged in first."""
    if root in state.paged_families:
        if state.paged_families[root] == due:
            state.paged_families[root] = FETCHED
            state.overdue.append(root)
        return
    family = state.families[root]
    if family.scheduled != due:
        return
    family.scheduled = NEVER
    later = NEVER
    tenant = state.accounts[root].tenant
    for account in state.family_accounts(root):
        for instant, kind, number in account.timers():
            at = state.timer_at(tenant, instant)
            if at <= state.recorded_at:
                heappush(state.timers, (at, kind, number))
            else:
                later = min(later, at)
    state.schedule(family, later)


def _tenant_of(state: State, command: Command) -> int:
    """In whose name a command is decided; 0 = nobody's, by the writer's clock."""
    if isinstance(command, CreateAccount):
        return command.tenant
    account = state.accounts.get(command.account)
    return account.tenant if account is not None else 0
