"""Deciding usage: rate it, find who pays, or say why it cannot be recorded.

The path of `ingest`. Recorded usage has happened, so it is never refused for lack of credits
(rule D4). Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.catalog import Bound
from ledger.core.commands import RecordUsage
from ledger.core.drawdown import draw, house_book
from ledger.core.events import (
    BookKind,
    Event,
    LimitExceeded,
    Slice,
    Suspense,
    UsageQuarantined,
    UsageRecorded,
)
from ledger.core.limits import (
    DEDUPE_WINDOW_US,
    FUTURE_TOLERANCE_US,
    INT64_MAX,
    KEYS_A_SHARD_MAX,
    PERIOD_GRACE_US,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State
from rating.compile import Plan
from rating.price import UNPRICED, RatingFault, rate

_NO_SLICES: tuple[Slice, ...] = ()
_NO_TOTALS: dict[int, int] = {}


def decide_usage(state: State, command: RecordUsage, out: list[Event]) -> Event | Known | Refusal:
    """Append the events of one usage event to `out` and return the one that answers it."""
    locator = state.keys.find(command.key)
    if locator is not None:
        return Known(locator)
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    if len(state.keys) >= KEYS_A_SHARD_MAX:
        return keys_exhausted()
    now = state.recorded_at
    at = command.effective_at or now
    if at > now + FUTURE_TOLERANCE_US:
        return in_future(at, now)
    if account.closed_at and (
        at >= account.closed_at or now >= account.closed_at + PERIOD_GRACE_US
    ):
        return account_closed(account)
    quantities = command.quantities
    if at < now - DEDUPE_WINDOW_US:
        return _quarantine(state, account, command, at, out)
    bound = state.catalog.bind(account.card_key, command.shape, at)
    plan = bound.plan
    if plan.steps:
        bound, plan = state.catalog.step(account.card_key, command.shape, at, quantities)
    period = state.months.start_of(at)
    totals = _NO_TOTALS if plan.whole else rounding_totals(account, plan, period)
    try:
        charges, total, advances, _ = rate(plan, quantities, totals)
    except RatingFault as fault:
        return rating_fault(fault)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    used = 0
    slices = _NO_SLICES
    over_limit = 0
    if total:
        used_book = state.house.get(bound.used_key)
        if used_book is None:
            used = house_book(
                state, account.tenant, BookKind.USED, bound.asset, bound.used_key[3], out
            )
        else:
            used = used_book.number
        found = draw(
            state, account, bound.asset, command.shape.product, total, at, period, out, True
        )
        slices = tuple(found.slices)
        over_limit = found.over_limit
    plan_index = state.vocabulary.get(bound.declaration)
    if plan_index is None:
        plan_index = declare(state, bound, out)
    recorded = UsageRecorded(
        command.key,
        account.number,
        at,
        plan_index,
        quantities,
        charges,
        used,
        slices,
        period,
        advances,
        over_limit,
        Suspense.UNPRICED if UNPRICED in charges else Suspense.NONE,
        1 if command.effective_at else 0,
        0,
        0,
        command.operation,
        command.personal,
        command.trace,
    )
    out.append(recorded)
    if over_limit:
        out.append(LimitExceeded(account.number, bound.asset, over_limit, account.policy.excess))
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


def rounding_totals(account: Account, plan: Plan, period: int) -> dict[int, int]:
    """Quantities so far in the period of the plan's rows that round cumulatively (rule R1)."""
    totals: dict[int, int] = {}
    for row in plan.rows:
        quantity = account.totals.get((row, period))
        if quantity is not None:
            totals[row] = quantity
    return totals


def unknown_account(number: int) -> Refusal:
    """No such account on this shard."""
    return Refusal(Reason.ACCOUNT_UNKNOWN, "account", str(number), "the account does not exist")


def account_closed(account: Account) -> Refusal:
    """The account takes no more usage (rule T2)."""
    return Refusal(
        Reason.ACCOUNT_CLOSED,
        "account",
        str(account.closed_at),
        "the account is closed since this instant; only earlier usage, until its grace ends",
    )


def keys_exhausted() -> Refusal:
    """The shard remembers as many identities as it may."""
    return Refusal(
        Reason.KEYS_EXHAUSTED,
        "id",
        str(KEYS_A_SHARD_MAX),
        "the shard's map of recent identities is full; retry later or raise the shard count",
    )


def in_future(at: int, now: int) -> Refusal:
    """Further ahead of the writer's clock than rule I4 allows."""
    return Refusal(
        Reason.IN_FUTURE,
        "effective_at_us",
        str(at),
        f"more than {FUTURE_TOLERANCE_US} us after the writer's clock, {now}",
    )


def rating_fault(fault: RatingFault) -> Refusal:
    """The quantities contradict each other (rule R8)."""
    return Refusal(Reason.SUBSET_EXCEEDS_PARENT, "quantities", str(fault), str(fault))


def overflow(state: State, bound: Bound, total: int) -> Refusal:
    """One transfer fits int64 (rule N1)."""
    asset = state.catalog.assets.get(bound.asset)
    name = f"{asset.code} with scale {asset.scale}" if asset is not None else str(bound.asset)
    return Refusal(
        Reason.OVERFLOW,
        "quantities",
        str(total),
        f"the charge does not fit 64 bits in minor units of {name}; split the event",
    )
