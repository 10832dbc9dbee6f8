"""Deciding usage: rate it, find who pays, or say why it cannot be recorded.

The path of `ingest`. Recorded usage has happened, so it is never refused for lack of credits
(rule D4). Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.core.catalog import Bound
from ledger.core.commands import RecordUsage
from ledger.core.conversion import follow_conversion, open_conversion
from ledger.core.costs import bearing, cost_of, provider_cost
from ledger.core.drawdown import Conversion, draw, house_book, open_revenue
from ledger.core.events import (
    AdjustmentNoted,
    Event,
    LimitExceeded,
    Slice,
    UsageCosted,
    UsageModeled,
    UsageQuarantined,
    UsageRecorded,
)
from ledger.core.limits import (
    CORRECTION_WINDOW_US,
    FUTURE_TOLERANCE_US,
    SUSPENDED_A_FAMILY_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing import NOTHING_MOVED, Place, price
from ledger.core.quoted import ByQuote, price_by_quote
from ledger.core.rerates import row_draws
from ledger.core.state import NEVER, Account, State

_NO_SLICES: Final[tuple[Slice, ...]] = ()


def decide_usage(
    state: State,
    command: RecordUsage,
    out: list[Event],
    moved: Mapping[Place, int] = NOTHING_MOVED,
) -> Event | Known | Refusal:
    """Append the events of one usage event to `out` and return the one that answers it.

    The plain version; `record_usual` does the same for most usage, many at a time. `moved`: see
    `price`.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    at = command.effective_at or state.now
    if at < account.open_from:
        refusal = refuse_closed(state, account, at) or refuse_frozen(account)
        if refusal is not None:
            return refusal
    quantities = command.quantities
    refusal = unusable(quantities)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return _quarantine(state, account, command, at, out)
    return _rated(state, account, command, at, out, moved)


def decide_replacement(
    state: State,
    command: RecordUsage,
    out: list[Event],
    moved: Mapping[Place, int] = NOTHING_MOVED,
) -> UsageRecorded | Refusal:
    """Usage in the stead of other usage, which may be as old as that (rule D3); its key is new."""
    account = state.accounts[command.account]
    at = command.effective_at
    if at < account.open_from:
        refusal = refuse_closed(state, account, at, old=True) or refuse_frozen(account)
        if refusal is not None:
            return refusal
    refusal = unusable(command.quantities)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.now - CORRECTION_WINDOW_US:
        return Refusal(
            Reason.CORRECTION_TOO_OLD,
            "effective_at_us",
            str(at),
            "usage older than 400 days is not amended; make a manual adjustment instead",
        )
    return _rated(state, account, command, at, out, moved)


def _rated(
    state: State,
    account: Account,
    command: RecordUsage,
    at: int,
    out: list[Event],
    moved: Mapping[Place, int],
) -> UsageRecorded | Refusal:
    """Rate usage of that time, find who pays, and record it."""
    quantities = command.quantities
    shape = command.shape
    by: ByQuote | None = None
    if command.quote:
        found = price_by_quote(state, account, command.quote, shape, quantities, at)
        if isinstance(found, Refusal):
            return found
        by, bound = found, found.bound
    else:
        bound, _ = state.catalog.step(account.card_key, shape, at, quantities)
    cost = cost_of(state, account, bound, shape, quantities, at)
    if isinstance(cost, Refusal):
        return cost
    if by is not None:
        priced = by.priced
    else:
        lines = cost.lines if cost is not None else ()
        alone = price(state, account, bound, quantities, at, moved, lines)
        if isinstance(alone, Refusal):
            return alone
        priced = alone
    if priced.suspense:
        refusal = refuse_suspense(state, account)
        if refusal is not None:
            return refusal
    total, period = priced.total, priced.period
    used = over_limit = 0
    slices = _NO_SLICES
    conversion: Conversion | None = None
    if total:
        used = used_book(state, bound, out)
        drawn = draw(
            state,
            account,
            bound.asset,
            bound.use,
            total,
            at,
            period,
            out,
            True,
            not bound.plan.modeled,
        )
        slices, over_limit = tuple(drawn.slices), drawn.over_limit
        if cost is not None:
            slices = bearing(slices, cost.total)
        open_revenue(state, account.tenant, shape.product, slices, out)
        conversion = drawn.conversion
        if conversion is not None:
            open_conversion(state, account, conversion, shape.product, out)
    figures = (
        command.key,
        account.number,
        at,
        declare(state, bound, out),
        quantities,
        priced.charges,
        used,
        slices,
        period,
        priced.advances,
        over_limit,
        priced.suspense,
        1 if command.effective_at else 0,
        0,
        0,
        command.operation,
        command.personal,
        command.trace,
    )
    draws = row_draws(bound.plan, priced, used, slices)
    recorded: UsageRecorded
    modeled = (priced.reasons, priced.scoped, draws, priced.totals_before)
    if cost is not None:
        recorded = UsageCosted(*figures, *modeled, provider_cost(state, account, cost, out))
    elif priced.reasons or priced.totals_before or draws:
        recorded = UsageModeled(*figures, *modeled)
    else:
        recorded = UsageRecorded(*figures)
    if by is not None:
        recorded = by.of(recorded)
    entry = state.batch_length + len(out)
    out.append(recorded)
    if conversion is not None:
        follow_conversion(state, account, conversion, shape.product, entry, at, period, out)
    elif over_limit:
        out.append(LimitExceeded(account.number, bound.asset, over_limit, account.policy.excess))
    if priced.closed is not None:
        out.append(AdjustmentNoted(account.number, entry, priced.closed, period))
    return recorded


def _quarantine(
    state: State, account: Account, command: RecordUsage, at: int, out: list[Event]
) -> Event:
    """Older than the dedupe window: recorded and listed, never charged (rule I4)."""
    bound = state.catalog.bind(account.card_key, command.shape, at)
    quarantined = UsageQuarantined(
        command.key,
        account.number,
        at,
        declare(state, bound, out),
        command.quantities,
        Reason.TOO_OLD,
        command.operation,
        command.personal,
        command.trace,
    )
    out.append(quarantined)
    return quarantined


def declare(state: State, bound: Bound, out: list[Event]) -> int:
    """Index in the batch of the plan's declaration, said once a batch."""
    index = state.vocabulary.get(bound.declaration)
    if index is None:
        index = state.batch_length + len(out)
        out.append(bound.declaration)
    return index


def used_book(state: State, bound: Bound, out: list[Event]) -> int:
    """Number of the book of what the product used, to be opened if there is none."""
    number = state.used_books.get(bound)
    if number is None:
        tenant, kind, asset, product = bound.used_key
        number = house_book(state, tenant, kind, asset, product, out)
        if number in state.books.accounts:
            state.used_books[bound] = number
    return number


def recorded_before(state: State, key: bytes) -> Known | Refusal | None:
    """What precedes every other check: the key is known already, or none may be added."""
    keys = state.keys
    locator = keys.find(key)
    if locator is not None:
        return Known(locator)
    if len(keys.newest) >= keys.newest_max:
        return keys_exhausted(state)
    return None


def known_account(state: State, key: bytes, number: int) -> Account | Known | Refusal:
    """The account that a command of this key is for: what begins most decisions."""
    known = recorded_before(state, key)
    if known is not None:
        return known
    account = state.accounts.get(number)
    return account if account is not None else unknown_account(number)


def open_account(state: State, key: bytes, number: int) -> Account | Known | Refusal:
    """The same for a command that a closed account does not take."""
    account = known_account(state, key, number)
    return (
        account_closed(account) if isinstance(account, Account) and account.closed_at else account
    )


def refuse_suspense(state: State, account: Account, events: int = 1) -> Refusal | None:
    """Whether so much of the family waits for a price that not so many `events` more are taken."""
    if len(state.families[account.root].waiting) + events <= SUSPENDED_A_FAMILY_MAX:
        return None
    return Refusal(
        Reason.SUSPENSE_FULL,
        "product",
        str(SUSPENDED_A_FAMILY_MAX),
        "so many usage events of the family wait for a price; publish it (or reverse them), then "
        "send the same again",
    )


def keys_exhausted(state: State) -> Refusal:
    """No more identities may be remembered for now."""
    return Refusal(
        Reason.KEYS_EXHAUSTED,
        "id",
        str(state.keys.keys_max),
        "the map of identities that no checkpoint holds yet is full; retry later, and look at "
        "why checkpoints do not become durable",
    )


def unusable(quantities: tuple[int, ...]) -> Refusal | None:
    """Why quantities of which one is not positive are invalid, if they are (rule R6)."""
    least = min(quantities, default=0)
    if least < 0:
        return Refusal(
            Reason.QUANTITY_INVALID, "quantities", str(least), "a quantity is zero or more"
        )
    if not any(quantities):
        return Refusal(
            Reason.QUANTITIES_ALL_ZERO, "quantities", "0", "at least one quantity is above zero"
        )
    return None


def unknown_account(number: int) -> Refusal:
    """No such account on this shard."""
    return Refusal(Reason.ACCOUNT_UNKNOWN, "account", str(number), "the account does not exist")


def refuse_closed(state: State, account: Account, at: int, *, old: bool = False) -> Refusal | None:
    """Closed for usage of that time: only what was before a closing, until grace ends (T2). Usage
    before the dedupe window is not let in anyway, but where it is in the stead of `old` usage."""
    ungraced = account.closed_by(state.now)
    if account.closed_at and (at >= account.closed_at or account.closed_at <= ungraced):
        return account_closed(account)
    if old or at >= state.window_start:
        for closed_at, reopened_at in account.gaps:
            if at < reopened_at and (at >= closed_at or closed_at <= ungraced):
                return _was_closed(closed_at, reopened_at)
    return None


def account_closed(account: Account) -> Refusal:
    """The account takes no more usage (rule T2)."""
    return Refusal(
        Reason.ACCOUNT_CLOSED,
        "account",
        str(account.closed_at),
        "the account is closed since this instant; only earlier usage, until its grace ends",
    )


def _was_closed(closed_at: int, reopened_at: int) -> Refusal:
    return Refusal(
        Reason.ACCOUNT_CLOSED,
        "account",
        str(closed_at),
        f"the account was closed from this instant to {reopened_at}; only later usage, and earlier "
        "until the grace of the closing ended",
    )


def refuse_frozen(account: Account) -> Refusal | None:
    """A frozen account, or one below it, takes nothing new; the same id may come later (I2)."""
    freezer = account.freezer()
    if freezer is None:
        return None
    which = "the account is" if freezer is account else "an account above it is"
    return Refusal(
        Reason.ACCOUNT_FROZEN,
        "account",
        str(freezer.frozen_at),
        f"{which} frozen since {freezer.frozen_at}; unfreeze it and send the same again",
    )


def refuse_new(account: Account) -> Refusal | None:
    """Whether the account takes no new work now: it is closed or frozen."""
    if account.open_from < NEVER:
        return None
    return account_closed(account) if account.closed_at else refuse_frozen(account)


def in_future(at: int, now: int) -> Refusal:
    """Further ahead of the writer's clock than rule I4 allows."""
    return Refusal(
        Reason.IN_FUTURE,
        "effective_at_us",
        str(at),
        f"more than {FUTURE_TOLERANCE_US} us after the writer's clock, {now}",
    )
