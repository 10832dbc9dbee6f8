"""Running totals of price models: what counts where, what their rows drew (rules R1, B8, T2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.events import (
    BookKind,
    GivenBack,
    Pot,
    RowDraw,
    SharedRerated,
    SuspenseRated,
    UsageModeled,
    UsageQuoted,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.limits import ANCHOR_MAX_US, DAY_US, MONTH_MAX_US
from ledger.core.pricing.shared_totals import kind_of
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.listed import look_at_listed
from ledger.verify.rules.shared_totals import (
    rerated_here,
    reversal_shares,
    shared_rerated,
    usage_shares,
)
from rating.functions import (
    SCOPE_CONTRACT,
    SCOPE_SUBTREE_DAY,
    SCOPE_SUBTREE_MONTH,
    SCOPE_SUBTREE_PERIOD,
)

_DAY: Final = 1
_MONTH: Final = 2
_PERIOD: Final = 3
_MINIMUM: Final = 4
_LONGEST: Final = {
    _DAY: 2 * DAY_US,
    _PERIOD: 2 * MONTH_MAX_US,
    _MINIMUM: 2 * MONTH_MAX_US,
    SCOPE_SUBTREE_DAY: 2 * DAY_US,
    SCOPE_SUBTREE_MONTH: 2 * MONTH_MAX_US,
    SCOPE_SUBTREE_PERIOD: 2 * MONTH_MAX_US,
    SCOPE_CONTRACT: ANCHOR_MAX_US,
}
"""Longer than any: a day that clocks stretch, a period in whose course another zone counts."""
_OVERAGE: Final = frozenset({Pot.OVERAGE, Pot.EXCESS_BILLED})
_SAYS_TOTALS: Final = (UsageModeled, UsageQuoted)
"""Entries that always say where totals stood; of the others only those that models priced do."""


def modeled(judge: Judge, state: State, account: Account, event: UsageRecorded) -> None:
    """What an entry says beside its slices where price models rated it."""
    waits = [charge < 0 for charge in event.charges]
    reasons = event.reasons or tuple([event.suspense if each else 0 for each in waits])
    if isinstance(event, SuspenseRated):  # what waits still does so by its usage event
        pass
    elif [reason > 0 for reason in reasons] != waits:
        judge.wrong(state, "reasons of what waits for its price", waits, reasons)
    elif event.suspense != next((reason for reason in reasons if reason), 0):
        judge.wrong(state, "suspense", reasons, event.suspense)
    usage_shares(judge, state, account, event)
    counted = state.now if event.period > event.effective_at else event.effective_at
    for each in event.scoped:
        longest = _LONGEST.get(kind_of(each.scope), 0)
        late = each.scope == _MINIMUM and each.start > event.effective_at  # its own is settled
        instant = state.now if late else counted
        if not each.start <= instant < each.start + longest:
            judge.wrong(state, f"start of scope {each.scope}", f"that of {counted}", each.start)
        if each.quantity <= 0:
            judge.wrong(state, f"advance of total {each.key}", "above 0", each.quantity)
    moved = [(key, _MONTH, event.period) for key, _ in event.advances]
    moved += [(each.key, each.scope, each.start) for each in event.scoped]
    says = event.totals_before or event.scoped or event.draws
    if says or type(event) in _SAYS_TOTALS:
        stood = tuple([state.total(account, place) for place in moved])
        judge.equal(state, "totals before", stood, event.totals_before)
    look_at_listed(judge, state, event)
    left = {(piece.book, piece.pot in _OVERAGE): 0 for piece in event.slices}
    for piece in event.slices:
        left[piece.book, piece.pot in _OVERAGE] += piece.amount
    scopes = {(each.key, each.scope, each.start) for each in event.scoped}
    scopes |= {(key, _MONTH, event.period) for key, _ in event.advances}
    for draw in event.draws:
        judge.equal(state, "used book of a row", event.used_book, draw.used)
        if (draw.key, draw.scope, draw.start) not in scopes:
            judge.wrong(state, f"scope of what row total {draw.key} drew", scopes, draw.start)
        _takes(judge, state, left, draw, event.period)


def _takes(
    judge: Judge, state: State, left: dict[tuple[int, bool], int], draw: RowDraw, month: int
) -> None:
    """A part of the slices, none twice."""
    if draw.period not in (0, month):
        judge.wrong(state, "month of a row's overage", month, draw.period)
    place = (draw.book, draw.period > 0)
    left[place] = left.get(place, 0) - draw.amount
    if draw.amount <= 0 or left[place] < 0:
        judge.wrong(state, f"drawn by a row from book {draw.book}", "its slice", draw.amount)


def taken_back(judge: Judge, state: State, account: Account, event: UsageReversed) -> None:
    """Totals fall to 0 at least, and rows have drawn less only of what they drew."""
    for each in event.scoped:
        total = account.total(each.key, each.scope, each.start)
        if not 0 < each.quantity <= total:
            judge.wrong(state, f"taken off total {each.key}", f"1 to {total}", each.quantity)
    lowered(judge, state, account, event.draws)
    of_other_usage(judge, state, event.given_back)
    reversal_shares(judge, state, account, event)


def lowered(judge: Judge, state: State, account: Account, draws: Sequence[RowDraw]) -> None:
    """What rows have drawn less, each part once."""
    for each in draws:
        drawn = account.row_draws.get((each.key, each.scope, each.start), {})
        most = drawn.get((each.used, each.book, each.period), 0)
        if not 0 < -each.amount <= most:
            judge.wrong(state, f"given back of total {each.key}", f"1 to {most}", -each.amount)


def of_other_usage(judge: Judge, state: State, pieces: Sequence[GivenBack]) -> None:
    """Books of other products are what they are named as."""
    for piece in pieces:
        if not piece.used_book:
            continue
        used = state.books.accounts[piece.used_book]
        judge.equal(state, f"kind of book {used.number}", BookKind.USED, used.kind)
        if piece.revenue_book:
            revenue = state.books.accounts[piece.revenue_book]
            judge.equal(state, f"kind of book {revenue.number}", BookKind.REVENUE, revenue.kind)
            judge.equal(state, f"product of book {revenue.number}", used.name, revenue.name)


def usage_rerated(judge: Judge, state: State, event: UsageRerated) -> None:
    """All dearer, and drawn; or all cheaper, and given back, as far as it had been drawn (R1)."""
    account = state.accounts[event.account]
    if isinstance(event, SharedRerated):
        shared_rerated(judge, state, event)
    else:
        rerated_here(judge, event)
    if not 0 <= event.entry < state.batch_length:
        judge.wrong(state, "entry that it follows", f"before {state.batch_length}", event.entry)
    more = [each.amount > 0 for each in event.rerates]
    if not more or any(more) != all(more) or not all(each.amount for each in event.rerates):
        judge.wrong(state, "re-rates", "all dearer or all cheaper", event.rerates)
    amount = sum([each.amount for each in event.rerates])
    drawn = sum([piece.amount for piece in event.slices])
    back = sum([piece.amount for piece in event.given_back]) + event.kept
    judge.equal(state, "sum drawn", max(amount, 0), drawn)
    if back > max(-amount, 0):
        judge.wrong(state, "sum given back", max(-amount, 0), back)
    judge.equal(state, "sum of what the rows drew", drawn - back, sum_of(event.draws))
    if amount > 0:
        left: dict[tuple[int, bool], int] = {}
        for piece in event.slices:
            place = (piece.book, piece.pot in _OVERAGE)
            left[place] = left.get(place, 0) + piece.amount
        for draw in event.draws:
            _takes(judge, state, left, draw, event.period)
    else:
        lowered(judge, state, account, event.draws)
        of_other_usage(judge, state, event.given_back)


def sum_of(draws: Sequence[RowDraw]) -> int:
    return sum([each.amount for each in draws])
