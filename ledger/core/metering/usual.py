"""Usage as most of it is, decided and applied in one loop: the hot path of `ingest`.

It records entry by entry what `decide_usage` and `evolve` would record where the first grant that
may pay, its own or one shared with it, pays the whole; anything else is left to them. A property
test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import mul
from typing import Final

from ledger.core.budgets.tallies import Tallies
from ledger.core.commands import Command, RecordUsage
from ledger.core.drawing.drawdown import applies, first_shared
from ledger.core.events import (
    Comparator,
    Event,
    PlanDeclared,
    Pot,
    ProviderCost,
    Slice,
    UsageCosted,
    UsageRecorded,
)
from ledger.core.evolve import evolve
from ledger.core.evolve.usage import usage_costed, usage_recorded
from ledger.core.funding.caps import leaves_room
from ledger.core.limits import INT64_MAX
from ledger.core.periods import Calendar
from ledger.core.pricing.costs import usual_cost
from ledger.core.pricing.pricing import NO_TOTALS, rounding_totals
from ledger.core.state import Account, State
from rating.price import UNPRICED, RatingFault, rate

_GRANT: Final = int(Pot.GRANT)
_DRAWDOWN: Final = int(Comparator.DRAWDOWN_1)
_NO_ADVANCES: Final[tuple[tuple[int, int], ...]] = ()
_NO_BOOKS: Final = (0, 0)
_OTHERWISE, _ALONE, _BUDGETED = 0, 1, 2


def record_usual(
    state: State,
    commands: Sequence[Command],
    place: int,
    batch: list[Event],
    recorded_at_index: list[int],
) -> int:
    """Record the commands from `place` on; returns where the first stands that is not usual, of
    which nothing is done. Each adds the index in the batch of its entry.

    Usual is: new, of this month, of an account that takes it, where nothing is due and no
    top-up rule watches, no quantity negative and each priced by the unit, and paid whole by the
    grant that is first in order, within caps whose windows are open, from books that are open. What
    it counts in budgets is said behind the run, once a family.
    """
    tallies = Tallies(state.locator)
    end = _record(state, commands, place, batch, recorded_at_index, tallies)
    if tallies.families:
        tallied = tallies.entries()
        state.locator += len(tallied)
        batch.extend(tallied)
        if tallies.plain:
            tallies.lay(state)
    return end


def _record(
    state: State,
    commands: Sequence[Command],
    place: int,
    batch: list[Event],
    recorded_at_index: list[int],
    tallies: Tallies,
) -> int:
    """The loop of `record_usual`."""
    if state.offsets:
        commands = commands[: of_one_time(state, commands, place)]
    keys = state.keys
    newest, find_older = keys.newest, keys.find_older
    older = bool(keys.older or keys.found)
    room = keys.newest_max - len(newest)
    accounts, cards = state.accounts, state.catalog.cards
    used_books, plan_indexes = state.used_books, state.plan_indexes
    now = state.now
    calendar: Calendar | None = None
    period, earliest, latest = 0, 0, -1
    touched, root = state.touched, 0
    add, add_index = batch.append, recorded_at_index.append
    for command in commands if place == 0 else commands[place:]:
        if type(command) is not RecordUsage:
            return place
        key = command.key
        account = accounts.get(command.account)
        if account is None:
            return place
        if account.calendar is not calendar:  # of another zone than the one before
            calendar = account.calendar
            if calendar.now != now:
                calendar.stand_at(now, state.window_start, state.window_end)
            # An earlier month may be closed (rule T2).
            period, earliest, latest = calendar.present, calendar.first, calendar.last
        at = command.effective_at or now
        quantities = command.quantities
        if (
            key in newest
            or (older and find_older(key) is not None)
            or room <= 0
            or account.next_due <= now
            or (account.watched and account.ruled)
            or at < account.open_from
            or not earliest <= at <= latest
            or not quantities
            or min(quantities) < 0
        ):
            return place
        above = _above(account, now) if account.parent is not None else _ALONE
        if above == _OTHERWISE:
            return place
        shape = command.shape
        card = cards.get(account.card_key)
        grant = account.first
        if card is None or account.unordered:
            return place
        if not card.settled_from_us <= at < card.settled_until_us:
            return place
        bound = card.settled.get(shape)
        if bound is None or bound.minimums:
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
        left = 0
        while grant is not None:
            if (
                grant.asset == bound.asset
                and grant.effective_at <= at < grant.expires_at
                and (not grant.limited or applies(grant, bound.use))
            ):
                book = grant.book
                left = book.credits_posted - book.debits_posted - book.debits_pending
                if left > 0:
                    break
            grant = grant.after
        if grant is None:
            if account.parent is None:
                return place
            grant = first_shared(account, bound.asset, bound.use, at)
            if grant is None or (
                grant.account.caps_given and not leaves_room(account, grant, total, at)
            ):
                return place
            book = grant.book
            left = book.credits_posted - book.debits_posted - book.debits_pending
        if not 0 < total <= INT64_MAX or left < total or grant.aside:
            return place
        used = used_books.get(bound)
        if used is None:  # the first of its plan in this batch
            used_book = state.house.get(bound.used_key)
            if used_book is None:
                return place
            used = used_books[bound] = used_book.number
        value = grant.value_of(total) if grant.price_paid else 0
        if value and book.value_book is not None and not earns(state, used, book.value_book.asset):
            return place
        cost = None
        if bound.cost_card is not None:
            cost = usual_cost(state, account, bound.cost_card, shape, quantities, at, period)
            if cost is None:
                return place
        budgeted = account.watched or above == _BUDGETED
        if budgeted and command.operation:
            family = state.families[account.root]
            if family.operations or family.operation_policies:
                return place  # it counts in the budget of its operation, too
        if budgeted and not tallies.count(
            account,
            bound,
            shape,
            quantities,
            total,
            grant,
            cost.total if cost is not None else -1,
            at,
            now,
            len(batch),
        ):
            return place
        index = plan_indexes.get(bound)
        if index is None:
            index = plan_indexes[bound] = declared(state, bound.declaration, add)
        if cost is None:
            recorded = UsageRecorded(
                key,
                account.number,
                at,
                index,
                quantities,
                charges,
                used,
                (Slice(_GRANT, book.number, total, value),),
                period,
                advances,
                0,
                0,
                1 if command.effective_at else 0,
                0,
                0,
                command.operation,
                command.personal,
                command.trace,
            )
            add_index(len(batch))
            usage_recorded(state, recorded)
        else:
            priced = cost.bound
            cost_plan = plan_indexes.get(priced)
            if cost_plan is None:
                cost_plan = plan_indexes[priced] = declared(state, priced.declaration, add)
            debit, credit = state.cost_books[priced] if cost.total else _NO_BOOKS
            recorded = UsageCosted(
                key,
                account.number,
                at,
                index,
                quantities,
                charges,
                used,
                (Slice(_GRANT, book.number, total, value, cost.total),),
                period,
                advances,
                0,
                0,
                1 if command.effective_at else 0,
                0,
                0,
                command.operation,
                command.personal,
                command.trace,
                cost=ProviderCost(cost.lines, cost_plan, debit, credit, cost.advances),
            )
            add_index(len(batch))
            usage_costed(state, recorded)
        state.locator += 1
        add(recorded)
        if account.root != root:
            root = account.root
            touched[root] = None
        room -= 1
        place += 1
    return place


def declared(state: State, declared: PlanDeclared, add: Callable[[Event], None]) -> int:
    """Index in the batch of a plan's declaration, said once a batch."""
    index = state.vocabulary.get(declared)
    if index is None:
        index = state.batch_length
        evolve(state, declared)
        add(declared)
    return index


def of_one_time(state: State, commands: Sequence[Command], place: int) -> int:
    """Where those end that are of the time that the batch's entries are recorded at now (rule T4):
    another tenant's time is an entry before them."""
    state.record_at(state.offset)  # nothing that was looked at before is decided
    offset, offsets, accounts = state.offset, state.offsets, state.accounts
    for end in range(place, len(commands)):
        account = accounts.get(commands[end].account)
        if account is None or offsets.get(account.tenant, 0) != offset:
            return end
    return len(commands)


def _above(account: Account, now: int) -> int:
    """As `alone`, but that budgets may look: whether any does, or it is otherwise."""
    found = _ALONE
    above = account.parent
    while above is not None:
        if above.next_due <= now or (above.sharing and account.comparator != _DRAWDOWN):
            return _OTHERWISE
        if above.watched:
            if above.ruled:
                return _OTHERWISE
            found = _BUDGETED
        above = above.parent
    return found


def alone(account: Account, now: int) -> bool:
    """Whether what is above a child pays after its own grants, and is as it stands: nothing is due
    there, no rule watches."""
    above = account.parent
    while above is not None:
        if above.next_due <= now or above.watched:
            return False
        if above.sharing and account.comparator != _DRAWDOWN:
            return False
        above = above.parent
    return True


def earns(state: State, used: int, asset: int) -> bool:
    """Whether the product of a used book has a revenue book in that money."""
    book = state.books.numbered[used]
    return book is not None and book.revenues is not None and asset in book.revenues
