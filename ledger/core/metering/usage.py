"""Deciding usage: rate it, find who pays, or say why it cannot be recorded.

The path of `ingest`. Recorded usage has happened, so it is never refused for lack of credits
(rule D4). Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.core.admission import (
    in_future,
    outcome_expected,
    recorded_before,
    refuse_closed,
    refuse_frozen,
    refuse_suspense,
    unknown_account,
    unusable,
)
from ledger.core.commands import RecordUsage, RepriceUsage
from ledger.core.drawing.paying import pay, post
from ledger.core.events import (
    Event,
    UsageCosted,
    UsageModeled,
    UsageQuarantined,
    UsageRecorded,
)
from ledger.core.limits import CORRECTION_WINDOW_US
from ledger.core.metering.levels import count_levels, counted_of
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import cost_of, provider_cost
from ledger.core.pricing.pricing import NOTHING_MOVED, Place, price
from ledger.core.pricing.quoted import ByQuote, price_by_quote
from ledger.core.pricing.repriced import bound_by, of_job
from ledger.core.pricing.rerates import row_draws
from ledger.core.seats.seat_draws import refuse_seat
from ledger.core.state import Account, State


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
    if refusal is None and account.seats is not None:
        refusal = refuse_seat(account, command.shape, at)
    if refusal is not None:
        return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return quarantine(state, account, command, at, out)
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
    return _rated(state, account, command, at, out, moved, replaces=True)


def _rated(
    state: State,
    account: Account,
    command: RecordUsage,
    at: int,
    out: list[Event],
    moved: Mapping[Place, int],
    replaces: bool = False,
) -> UsageRecorded | Refusal:
    """Rate usage of that time, find who pays, and record it. Work that is sold by result is charged
    here only where it `replaces` what was charged."""
    quantities = command.quantities
    metered = count_levels(state, account, command, at)
    if metered is not None:
        quantities = counted_of(quantities, metered)
    shape = command.shape
    by: ByQuote | None = None
    if command.quote:
        found = price_by_quote(state, account, command.quote, shape, quantities, at)
        if isinstance(found, Refusal):
            return found
        by, bound = found, found.bound
    elif isinstance(command, RepriceUsage):
        named = bound_by(
            state, account, command.rate_card, command.card_version, shape, quantities, at
        )
        if isinstance(named, Refusal):
            return named
        bound = named
    else:
        bound = bound_for(state, account, shape, at, quantities)
        if bound.terms.outcome is not None and not replaces:
            return outcome_expected(shape.product)
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
    borne = cost.total if cost is not None else 0
    payment = pay(state, account, bound, priced, at, out, cost=borne)
    figures = (
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
        0,
        0,
        command.operation,
        command.personal,
        command.trace,
    )
    draws = row_draws(bound.plan, priced, payment.used, payment.slices)
    recorded: UsageRecorded
    modeled = (priced.reasons, priced.scoped, draws, priced.totals_before, priced.listed)
    if cost is not None:
        recorded = UsageCosted(*figures, *modeled, provider_cost(state, account, cost, out))
    elif priced.reasons or priced.totals_before or draws:
        recorded = UsageModeled(*figures, *modeled)
    else:
        recorded = UsageRecorded(*figures)
    if by is not None:
        recorded = by.of(recorded)
    elif isinstance(command, RepriceUsage):
        recorded = of_job(state, command, recorded)
    if metered is not None:
        out.append(metered)
    post(state, account, bound, priced, payment, recorded, out)
    return recorded


def quarantine(
    state: State, account: Account, command: RecordUsage, at: int, out: list[Event]
) -> Event:
    """Older than the dedupe window: recorded and listed, never charged (rule I4)."""
    bound = state.catalog.bind(account.card_key, command.shape, at)
    quarantined = UsageQuarantined(
        command.key,
        account.number,
        at,
        declare(state, bound.declaration, out),
        command.quantities,
        Reason.TOO_OLD,
        command.operation,
        command.personal,
        command.trace,
    )
    out.append(quarantined)
    return quarantined
