"""Deciding what a report counts over its level, and what a reversal takes off (rules N4, R1, D3).

A meter that takes the largest value of a scope, or its different values, counts what is above the
most that counts already; that is a running total, kept as those of a day's price rows are. Reads
state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.account import LEVEL_SCOPE
from ledger.core.commands import RecordUsage, RepriceUsage, ReverseUsage
from ledger.core.events import Event, LevelBack, LevelMove, MetersReversed, UsageMetered
from ledger.core.limits import LEVELS_AN_ACCOUNT_MAX
from ledger.core.pricing.shared_totals import is_kept
from ledger.core.state import Account, State
from rating.functions import SCOPE_DAY, SCOPE_MONTH
from rating.metering import counted


def metered_before(events: Sequence[Event], index: int) -> UsageMetered | None:
    """What stands right before usage whose meters have levels; None where they have none."""
    before = events[index - 1] if index else None
    return before if isinstance(before, UsageMetered) else None


def count_levels(
    state: State, account: Account, command: RecordUsage, at: int
) -> UsageMetered | None:
    """What the reports of a usage event count, each in the scope that holds its time; None where
    its meters have no levels."""
    if isinstance(command, RepriceUsage):
        return _carried(command)
    if not command.levels:
        return None
    moves: list[LevelMove] = []
    for each in command.levels:
        start = _start_of(account, each.scope, at)
        place = (each.key, LEVEL_SCOPE, start)
        value = command.quantities[each.place]
        level = account.scoped.get(place)
        if level is None:
            count = value if _has_room(state, account) else 0
        else:
            count = counted(level, value)
        moves.append(LevelMove(each.place, each.key, start, value, count))
    return UsageMetered(account.number, tuple(moves))


def _carried(command: RepriceUsage) -> UsageMetered | None:
    """Of usage that is rated again as much as was left of it; its levels stay."""
    metered = command.metered
    if metered is None:
        return None
    moves = [
        LevelMove(each.place, each.key, each.start, each.value, command.quantities[each.place])
        for each in metered.moves
    ]
    return UsageMetered(metered.account, tuple(moves), 1)


def counted_of(quantities: tuple[int, ...], metered: UsageMetered) -> tuple[int, ...]:
    """The quantities of a usage event, each that was reported as what it counts."""
    found = list(quantities)
    for each in metered.moves:
        found[each.place] = each.counted
    return tuple(found)


def reported_of(quantities: tuple[int, ...], metered: UsageMetered) -> tuple[int, ...]:
    """The same the other way round."""
    found = list(quantities)
    for each in metered.moves:
        found[each.place] = each.value
    return tuple(found)


def give_back_levels(
    state: State,
    account: Account,
    command: ReverseUsage,
    quantities: tuple[int, ...],
    entry: int,
    out: list[Event],
) -> None:
    """Append what a reversal of so much, at `entry` of the batch, takes off the levels that are
    remembered; nothing where a job records the usage again."""
    metered = command.original.metered
    if metered is None or command.replaced_by:
        return
    moves: list[LevelBack] = []
    for each in metered.moves:
        level = account.scoped.get((each.key, LEVEL_SCOPE, each.start), 0)
        back = min(level, quantities[each.place])
        if back and each.start > state.days_before:
            moves.append(LevelBack(each.key, each.start, back))
    if moves:
        out.append(MetersReversed(account.number, entry, command.original.locator, tuple(moves)))


def _start_of(account: Account, scope: int, at: int) -> int:
    if scope == SCOPE_MONTH:
        return account.calendar.start_of(at)
    if scope == SCOPE_DAY:
        return account.calendar.day_of(at)
    return account.billing_period_of(at)


def _has_room(state: State, account: Account) -> bool:
    """Whether the account may have one more level; what is forgotten takes no room."""
    if len(account.scoped) < LEVELS_AN_ACCOUNT_MAX:
        return True
    days, months = state.days_before, state.months_before
    kept = sum([1 for place in account.scoped if is_kept(place, days, months)])
    return kept < LEVELS_AN_ACCOUNT_MAX
