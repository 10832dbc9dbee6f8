"""Debits as most of them are, decided and applied in one loop, as `usual` does usage.

It records entry by entry what `decide_debit` and `evolve` would record where a grant of the account
pays the whole and nothing else has a say; anything else is left to them. A property test compares
the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

from ledger.core.commands import Command, DebitWork
from ledger.core.drawing.drawdown import applies
from ledger.core.events import Comparator, Event, Pot, Slice, UsageDebited
from ledger.core.evolve.usage import usage_recorded
from ledger.core.limits import INT64_MAX
from ledger.core.metering.usual import declared, earns, of_one_time, record_usual
from ledger.core.periods import Calendar
from ledger.core.pricing.pricing import NO_TOTALS, rounding_totals
from ledger.core.state import Account, Grant, State
from rating.price import UNPRICED, RatingFault, rate

_GRANT: Final = int(Pot.GRANT)
_DRAWDOWN: Final = int(Comparator.DRAWDOWN_1)
_NO_ADVANCES: Final[tuple[tuple[int, int], ...]] = ()


def decide_usual(
    state: State,
    commands: Sequence[Command],
    place: int,
    batch: list[Event],
    recorded_at_index: list[int],
) -> int:
    """`debit_usual` or `record_usual`, by what the first command is."""
    decide = debit_usual if type(commands[place]) is DebitWork else record_usual
    return decide(state, commands, place, batch, recorded_at_index)


def debit_usual(
    state: State,
    commands: Sequence[Command],
    place: int,
    batch: list[Event],
    recorded_at_index: list[int],
) -> int:
    """Record the debits from `place` on; returns where the first command stands that is not usual,
    of which nothing is done. Each adds the index in the batch of its entry.

    Usual is: new, of an account that is open, where nothing is due and neither budgets, seats,
    rules nor top-ups look on, no quantity that may be less, each priced by the unit, nothing known
    of costs, and paid whole by the first of its own grants that has units, from books that are
    open.
    """
    if state.offsets:
        commands = commands[: of_one_time(state, commands, place)]
    keys = state.keys
    newest, find_older = keys.newest, keys.find_older
    older = bool(keys.older or keys.found)
    room = keys.newest_max - len(newest)
    accounts, families, cards = state.accounts, state.families, state.catalog.cards
    used_books, plan_indexes = state.used_books, state.plan_indexes
    now = state.now
    calendar: Calendar | None = None
    period, of_month = 0, False
    touched, root = state.touched, 0
    add, add_index = batch.append, recorded_at_index.append
    for command in commands if place == 0 else commands[place:]:
        if type(command) is not DebitWork:
            return place
        key, quantities = command.key, command.quantities
        account = accounts.get(command.account)
        if account is None or command.up_to or command.alternatives or command.hold:
            return place
        if account.calendar is not calendar:  # of another zone than the one before
            calendar = account.calendar
            if calendar.now != now:
                calendar.stand_at(now, state.window_start, state.window_end)
            period = calendar.present
            of_month = calendar.first <= now <= calendar.last
        if (
            key in newest
            or (older and find_older(key) is not None)
            or room <= 0
            or not of_month
            or not quantities
            or min(quantities) <= 0
            or not _is_alone(account, now)
            or families[account.root].budgets
        ):
            return place
        shape = command.shape
        card = cards.get(account.card_key)
        if card is None or not card.settled_from_us <= now < card.settled_until_us:
            return place
        bound = card.settled.get(shape)
        if bound is None or bound.minimums or bound.cost_card is not None:
            return place
        plan = bound.plan
        advances = _NO_ADVANCES
        if plan.simple:  # what `rate` does, without the call
            charges = tuple(map(mul, plan.numerators, quantities))
            total = sum(charges)
        else:
            if plan.steps:
                bound = card.step(bound, shape, quantities)
                plan = bound.plan
            if plan.modeled:
                return place
            totals = NO_TOTALS if plan.whole else rounding_totals(account, plan, period)
            try:
                charges, total, advances, _ = rate(plan, quantities, totals)
            except RatingFault:
                return place
            if UNPRICED in charges:
                return place
        grant = account.first
        while grant is not None:
            if (
                grant.asset == bound.asset
                and grant.effective_at <= now < grant.expires_at
                and (not grant.limited or applies(grant, bound.use))
            ):
                book = grant.book
                left = book.credits_posted - book.debits_posted - book.debits_pending
                if left > 0:
                    break
            grant = grant.after
        if grant is None or grant.aside or not 0 < total <= INT64_MAX or left < total:
            return place
        used = used_books.get(bound)
        if used is None:  # the first of its plan in this batch
            used_book = state.house.get(bound.used_key)
            if used_book is None:
                return place
            used = used_books[bound] = used_book.number
        value = grant.value_of(total) if grant.price_paid else 0
        if value and not _earns(state, used, grant):
            return place
        index = plan_indexes.get(bound)
        if index is None:
            index = plan_indexes[bound] = declared(state, bound.declaration, add)
        debited = UsageDebited(
            key,
            account.number,
            now,
            index,
            quantities,
            charges,
            used,
            (Slice(_GRANT, book.number, total, value),),
            period,
            advances,
            0,
            0,
            0,
            0,
            0,
            command.operation,
            b"",
            command.trace,
            policy_version=account.version,
        )
        add_index(len(batch))
        usage_recorded(state, debited)
        state.locator += 1
        add(debited)
        if account.root != root:
            root = account.root
            touched[root] = None
        room -= 1
        place += 1
    return place


def _is_alone(account: Account, now: int) -> bool:
    """Whether the account takes new work, and nothing but its own grants, in their order, has a say
    in it."""
    if (
        account.next_due <= now
        or now < account.open_from
        or account.watched
        or account.unordered
        or account.caps_given
        or account.seats is not None
        or account.rules is not None
        or (account.debt and account.policy.overdraft_grace >= 0)
    ):
        return False
    above = account.parent
    while above is not None:
        if (
            above.next_due <= now
            or above.watched
            or (above.sharing and account.comparator != _DRAWDOWN)
        ):
            return False
        above = above.parent
    return True


def _earns(state: State, used: int, grant: Grant) -> bool:
    """Whether what is recognised of a paid grant has a revenue book to go to."""
    money = grant.book.value_book
    return money is None or earns(state, used, money.asset)
