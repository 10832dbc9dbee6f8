"""Entries applied, and what follows each: what it counts in budgets, what earlier usage costs anew,
what a top-up rule asks for (rules H4, R1, H6).
"""

from __future__ import annotations

from typing import Final

from ledger.core.budgets.budget_counts import (
    COUNTED,
    count_budgets,
    cross_budgets,
    know_operation,
    operation_of,
)
from ledger.core.charges.charging import fee_with
from ledger.core.commands import (
    AmendUsage,
    Command,
    Original,
    ReverseUsage,
)
from ledger.core.events import (
    BudgetsCounted,
    ChargeEnded,
    ChargeRepriced,
    Event,
    GrantExpired,
    TimeShifted,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.evolve import evolve
from ledger.core.funding.top_ups import (
    request_top_ups,
)
from ledger.core.funding.true_ups import count_true_up
from ledger.core.pricing.rerate_shares import of_account
from ledger.core.pricing.rerates import decide_rerate, rerates_of
from ledger.core.seats.seat_draws import tell_seats
from ledger.core.state import (
    Account,
    State,
)

WITH_FEES: Final = (ChargeEnded, ChargeRepriced)
"""What is applied together with a fee that it draws of what the entries before have left."""


def _count(
    state: State, event: Event, entry: int, command: Command | None, batch: list[Event]
) -> None:
    """After an entry that was applied: what it makes known of its operation, what it counts in
    budgets, what that crosses, and what is told of a seat that it drew from (rules H4, S3)."""
    if operation_of(state, event):
        known = in_time(state)
        know_operation(state, event, entry, known)
        apply_all(state, known, batch)
    out = in_time(state)
    count_budgets(state, event, entry, out, _original_of(command))
    apply_all(state, out, batch)
    for counted in out:
        if isinstance(counted, BudgetsCounted):
            crossed = in_time(state)
            cross_budgets(state, counted, crossed)
            apply_all(state, crossed, batch)
    if state.accounts[event.account].seats is not None:
        told = in_time(state)
        tell_seats(state, event, told)
        apply_all(state, told, batch)


def _original_of(command: Command | None) -> Original | None:
    """The usage that is corrected."""
    return command.original if isinstance(command, ReverseUsage | AmendUsage) else None


def ask_for_top_ups(state: State, account: Account | None, batch: list[Event]) -> None:
    """After its entries: what rules of the account and of those above it now ask for (rule H6)."""
    while account is not None:
        if account.watched:
            out = in_time(state)
            request_top_ups(state, account, out)
            apply_all(state, out, batch)
        account = account.parent


def in_time(state: State) -> list[Event]:
    """Where the entries of a decision go: after the offset that they are recorded at, unless those
    before them in the batch have it too (rule T4)."""
    return [] if state.acting == state.offset else [TimeShifted(state.acting)]


def apply_all(
    state: State, out: list[Event], batch: list[Event], command: Command | None = None
) -> bool:
    """Apply what was decided, if anything was; whether it was."""
    if len(out) == 1 and type(out[0]) is TimeShifted:
        return False
    followed: list[tuple[int, Event]] = []  # where it stands, and what others follow from
    for event in out:
        if isinstance(event, COUNTED):
            followed.append((state.batch_length, event))
        elif isinstance(event, WITH_FEES):
            _apply_with_fee(state, event, batch)
            continue
        evolve(state, event)
        batch.append(event)
        if type(event) is GrantExpired:
            # Right after what is left of a segment was trued up: what it counts toward (rule D7).
            for counted in count_true_up(state.grants[event.grant], event.amount, state.now):
                evolve(state, counted)
                batch.append(counted)
    for place, event in followed:
        _count(state, event, place, command, batch)
        if isinstance(event, UsageRecorded | UsageReversed):
            _rerate(state, event, place, batch)
    return bool(out)


def _apply_with_fee(state: State, event: ChargeEnded | ChargeRepriced, batch: list[Event]) -> None:
    """A charge that ends comes after its last fee, one that changes before its next."""
    fees: list[Event] = []
    fee_with(state, event, fees)
    for each in (*fees, event) if isinstance(event, ChargeEnded) else (event, *fees):
        evolve(state, each)
        batch.append(each)


def _rerate(
    state: State, event: UsageRecorded | UsageReversed, entry: int, batch: list[Event]
) -> None:
    """After an entry that moved totals: what earlier usage costs less by it, then what more.

    Two entries, so that the second sees what the first has given back (rule R1). What others bear
    of it, with whom the account shares a total, is noted before.
    """
    rerates = rerates_of(state, event)
    if rerates:
        out = in_time(state)
        rerates = of_account(state, event, entry, rerates, out)
        apply_all(state, out, batch)
    less = tuple([each for each in rerates if each.amount < 0])
    more = tuple([each for each in rerates if each.amount > 0])
    for part in (less, more):
        if part:
            out = in_time(state)
            decide_rerate(state, event, entry, part, out)
            apply_all(state, out, batch)
