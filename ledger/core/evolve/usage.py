"""Usage that was recorded: its slices leave their pots, and what it used is credited."""

from __future__ import annotations

from ledger.core.books import BooksUnbalanced
from ledger.core.events import (
    ProviderCost,
    ScopedAdvance,
    SuspenseRated,
    UsageCosted,
    UsageRecorded,
    UsageRerated,
)
from ledger.core.evolve.caps import count_draw
from ledger.core.evolve.corrections import undraw
from ledger.core.evolve.holds import capture
from ledger.core.evolve.moves import (
    ADVANCE,
    EXCESS_BILLED,
    OVERAGE,
    add_overage,
    draw_rows,
    exhausted,
    owe,
    post_slices,
    recognise,
    share,
)
from ledger.core.evolve.suspense import rated, suspend
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import Account, State


def usage_recorded(state: State, event: UsageRecorded) -> None:
    """Apply a usage event, without moving on to the next entry: for `record_usual` too."""
    at = capture(state, event) if event.hold else event.effective_at
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
                        recognise(book.value_book, used, piece.value)
                if grant.account.caps_given:
                    count_draw(state.accounts[event.account], grant, at, amount, 0)
                if book.debits_posted + book.debits_pending >= book.credits_posted:
                    exhausted(state, grant)
            elif piece.pot == OVERAGE or piece.pot == EXCESS_BILLED:
                account = state.accounts[event.account]
                add_overage(state, account, book.asset, event.period, amount)
                if piece.value and book.value_book is not None:
                    recognise(book.value_book, used, piece.value)
            elif book.kind == ADVANCE:
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
            owe(state, used.name, slices)
    if event.advances:
        account = state.accounts[event.account]
        position = account.totals
        for row, quantity in event.advances:
            place = (row, event.period)
            if place not in position:  # the first of its month makes room for it
                account.forget_months(state.months_before)
            position[place] = position.get(place, 0) + quantity
    if event.scoped or event.draws:
        _count_scoped(state, event)
    if event.suspense:
        suspend(state, event)
    if event.key:  # an expiry that charges has none
        state.keys.newest[event.key] = state.locator


def suspense_rated(state: State, event: SuspenseRated) -> None:
    """Post the charge as that of any usage; what was rated waits no more (rule B8)."""
    usage_recorded(state, event)
    rated(state, event)


def usage_costed(state: State, event: UsageCosted) -> None:
    """Usage with what the provider takes for it: debit cost, credit payable (rule B4)."""
    usage_recorded(state, event)
    cost = event.cost
    if cost is None:
        return
    total = 0
    for line in cost.lines:
        if line > 0:  # what is not known is -1
            total += line
    if total:
        books = state.books.numbered
        debit, credit = books[cost.cost_book], books[cost.payable_book]
        if debit is None or credit is None or debit.totals is not credit.totals:
            raise BooksUnbalanced(f"entry {state.entry_seq}: no transfer of cost {cost}")
        debit.debits_posted += total
        credit.credits_posted += total
        debit.totals.debits_posted += total
        debit.totals.credits_posted += total
    if cost.advances or cost.scoped:
        _count_cost(state, event, cost)


def _count_cost(state: State, event: UsageRecorded, cost: ProviderCost) -> None:
    """Move the running totals of the cost card on; they stand under ~key (rule R1)."""
    account = state.accounts[event.account]
    period = event.period
    for row, quantity in cost.advances:
        position = account.totals
        place = (~row, period)
        if place not in position:  # the first of its month makes room for it
            account.forget_months(state.months_before)
        position[place] = position.get(place, 0) + quantity
    for each in cost.scoped:
        scope = (~each.key, each.scope, each.start)
        if scope not in account.scoped:
            account.forget_scoped(state.days_before, state.months_before)
        account.scoped[scope] = account.scoped.get(scope, 0) + each.quantity


def _count_scoped(state: State, event: UsageRecorded) -> None:
    """Move totals of days and billing periods on, and note what their rows drew (rule R1)."""
    account = state.accounts[event.account]
    for each in event.scoped:
        move_on(state, account, each)
    if event.draws:
        draw_rows(state, account, event.draws)


def move_on(state: State, account: Account, moved: ScopedAdvance) -> None:
    """Move a total of a day, a billing period or a minimum on; one that is zero is as none."""
    place = (moved.key, moved.scope, moved.start)
    if place not in account.scoped:  # the first of its scope makes room for it
        account.forget_scoped(state.days_before, state.months_before)
    if moved.scope > KIND_MASK:
        share(state, account, place, moved.quantity)
    total = account.scoped.get(place, 0) + moved.quantity
    if total:
        account.scoped[place] = total
    else:
        account.scoped.pop(place, None)


def usage_rerated(state: State, event: UsageRerated) -> None:
    """Earlier usage costs more, drawn as usage is, or less, given back (rule R1)."""
    account = state.accounts[event.account]
    at = event.effective_at
    post_slices(state, account, event.used_book, event.period, event.slices, at)
    undraw(state, account, event.used_book, event.period, event.given_back, at)
    draw_rows(state, account, event.draws)
    for each in event.scoped:
        move_on(state, account, each)
