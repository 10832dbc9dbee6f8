"""The canonical form of a shard's state, sorted by id, and its digest.

Two states are equal when these bytes are. Derived indexes (active grants, timers, inherited cards)
are left out: they follow from what is here. Of a state that has paged families out or keys in
segments, `ledger.core.packing.whole` makes a copy that has it all.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from ledger.core.account_form import account_form
from ledger.core.books import Book
from ledger.core.budgets.budget_values import Values
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import Operation
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.funding.caps import Cap
from ledger.core.leases.leases import CreditLease
from ledger.core.state import (
    Commitment,
    Family,
    Grant,
    Hold,
    Quote,
    RecurringGrant,
    SettledHold,
    State,
    TopUp,
)

DIGEST_VERSION: Final = 2
"""The form of these bytes. Whatever changes the digest of an old journal is a new version."""


def snapshot(state: State) -> dict[str, Any]:
    """Everything that evolve touches, as plain sorted lists. No family may be paged out."""
    assert not state.paged_families, "parts of this state are packed elsewhere: see whole()"
    return {
        "shard": state.shard,
        "epoch": state.epoch,
        "batch_seq": state.batch_seq,
        "entry_seq": state.entry_seq,
        "recorded_at": state.recorded_at,
        "offsets": sorted(state.offsets.items()),
        "suspended": sorted(state.suspended.items()),
        "next": [
            state.next_book,
            state.next_grant,
            state.next_hold,
            state.next_recurring,
            state.next_commitment,
            state.next_top_up,
            state.next_quote,
            state.next_budget,
            state.next_charge,
        ],
        "configuration": sorted(state.configuration.items()),
        "minimums_from": sorted(state.minimums_from.items()),
        "books": [_book(book) for _, book in sorted(state.books.accounts.items())],
        "accounts": [
            account_form(account, state.months_before, state.days_before)
            for _, account in sorted(state.accounts.items())
        ],
        "families": [
            [
                family.root,
                family.next_ordinal,
                sorted(family.grant_keys.items()),
                _corrections(state, family),
                _suspense(state, family),
                family.next_override,
                [
                    _budget(family.budgets[number])
                    for number in sorted(family.budgets)
                    if family.budgets[number].of is None
                ],
                family.next_cap,
            ]
            for _, family in sorted(state.families.items())
        ],
        "grants": [_grant(grant) for _, grant in sorted(state.grants.items())],
        "holds": [_hold(hold) for _, hold in sorted(state.holds.items())],
        "settled_holds": [
            _settled(hold)
            for _, hold in sorted(
                pair for family in state.families.values() for pair in family.settled.items()
            )
            if hold.settled_at > state.settled_before
        ],
        "recurring": [_recurring(each) for _, each in sorted(state.recurring.items())],
        "commitments": [_commitment(each) for _, each in sorted(state.commitments.items())],
        "charges": [_charge(each) for _, each in sorted(state.charges.items())],
        "caps": [
            _cap(cap)
            for _, account in sorted(state.accounts.items())
            for _, cap in sorted(account.caps_given.items())
        ],
        "top_ups": [
            _top_up(each)
            for _, each in sorted(state.top_ups.items())
            if each.remembered(state.settled_before)
        ],
        "quotes": [_quote(quote) for _, quote in sorted(state.quotes.items())],
        "settled_quotes": [
            _quote(quote)
            for _, quote in sorted(
                pair for family in state.families.values() for pair in family.settled_quotes.items()
            )
            if quote.settled_at > state.settled_before
        ],
        "keys": state.keys.snapshot(),
    }


def digest(state: State) -> bytes:
    """BLAKE2b-256 of the canonical form."""
    return blake2b(msgspec.msgpack.encode(snapshot(state)), digest_size=32).digest()


def _corrections(state: State, family: Family) -> list[Any]:
    return [
        [
            locator,
            each.effective_at,
            each.quantities,
            str(each.amount),
            str(each.as_charged),
            [str(refund) for refund in each.refunds],
        ]
        for locator, each in family.remembered(state.corrected_before).items()
    ]


def _suspense(state: State, family: Family) -> list[Any]:
    """What waits for a price, and what rated usage that had waited (rule B8)."""
    return [
        [
            [
                locator,
                each.account,
                each.entry_seq,
                each.effective_at,
                each.described,
                each.quantities,
                each.places,
            ]
            for locator, each in family.waiting.items()
        ],
        [
            [locator, each.effective_at, each.entries]
            for locator, each in family.remembered_rated(state.corrected_before).items()
        ],
        family.rated_forgotten,
    ]


def _book(book: Book) -> list[Any]:
    return [
        book.number,
        book.tenant,
        book.kind,
        book.asset,
        book.owner,
        book.name,
        book.value_book.number if book.value_book is not None else 0,
        *[
            str(counter)  # totals may pass 64 bits (rule N1)
            for counter in (
                book.debits_posted,
                book.credits_posted,
                book.debits_pending,
                book.credits_pending,
            )
        ],
    ]


def _grant(grant: Grant) -> list[Any]:
    return [
        grant.number,
        grant.ordinal,
        grant.account.number,
        grant.kind,
        grant.asset,
        grant.amount,
        grant.price_paid,
        grant.price_asset,
        grant.priority,
        grant.effective_at,
        grant.expires_at,
        sorted(grant.products),
        grant.external_key,
        grant.book.number,
        grant.funding.number,
        grant.issued_at,
        grant.drawn,
        grant.recognised,
        grant.settled,
        sorted(grant.tags),
        sorted(grant.attributes),
        grant.shared,
        grant.rollover,
        grant.metadata,
        grant.cash.number if grant.cash is not None else 0,
        grant.origin,
        grant.cancelled,
        grant.returned,
        grant.given_back,
        sorted([*part, units] for part, units in grant.repaid.items()),
        grant.rolled,
        grant.rolled_over,
        grant.scheduled,
        grant.forfeit,
        grant.recurring,
        grant.paid,
        grant.unpaid,
        grant.shared_with,
        grant.sharing_version,
        *([{"bought_by": grant.bought_by}] if grant.bought_by else []),
    ]


def _recurring(recurring: RecurringGrant) -> list[Any]:
    return [
        recurring.number,
        recurring.account.number,
        recurring.external_key,
        recurring.terms,
        recurring.next_terms,
        recurring.version,
        recurring.starts_at,
        recurring.ends_at,
        recurring.created_at,
        recurring.paused,
        recurring.fresh,
        recurring.next_at,
        recurring.period_start,
        recurring.period_end,
        recurring.full,
        recurring.grants,
        recurring.amount,
        recurring.price_paid,
        recurring.price_asset,
        recurring.sharing,
    ]


def _commitment(commitment: Commitment) -> list[Any]:
    return [
        commitment.number,
        commitment.account.number,
        commitment.external_key,
        commitment.terms,
        commitment.invoices,
        commitment.created_at,
        [grant.number for grant in commitment.grants],
        commitment.invoiced,
        commitment.ended_at,
        commitment.ending,
        commitment.moved_to,
        commitment.sharing,
    ]


def _charge(charge: FixedCharge) -> list[Any]:
    return [
        charge.number,
        charge.account.number,
        charge.name,
        charge.terms,
        charge.next_terms,
        charge.quantity,
        charge.next_quantity,
        charge.version,
        charge.starts_at,
        charge.ends_at,
        charge.created_at,
        charge.next_at,
        charge.begun,
        charge.period_start,
        charge.period_end,
        charge.charged_from,
        charge.charged_to,
        charge.full,
        charge.counted,
        str(charge.weighed),
        charge.weighed_to,
        charge.settled,
        charge.charged,
        charge.drawn,
        [[asset, str(money)] for asset, money in charge.unearned],
        charge.earned_to,
        charge.earns_at,
        charge.earns_until,
        charge.packaged,
    ]


def _cap(cap: Cap) -> list[Any]:
    return [
        cap.number,
        cap.owner.number,
        cap.below.number,
        cap.asset,
        cap.grant.number if cap.grant is not None else 0,
        cap.terms,
        cap.version,
        cap.created_at,
        cap.counter.pack(),
        *([cap.since] if cap.since else []),
    ]


def _top_up(top_up: TopUp) -> list[Any]:
    return [
        top_up.number,
        top_up.account.number,
        top_up.asset,
        top_up.amount,
        top_up.price_paid,
        top_up.price_asset,
        top_up.source,
        top_up.version,
        str(top_up.available),
        top_up.requested_at,
        top_up.expires_at,
        top_up.state,
        top_up.settled_at,
        top_up.grant,
    ]


def _hold(hold: Hold) -> list[Any]:
    leased = [_lease(hold.lease)] if hold.lease is not None else []
    return [
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        hold.used.number if hold.used is not None else 0,
        hold.slices,
        hold.authorized_at,
        hold.expires_at,
        str(hold.amount),
        hold.lifetime_max,
        hold.period,
        hold.estimate,
        hold.captures,
        hold.quote,
        hold.outcome,
        *leased,
        *([hold.operation] if hold.operation else ()),
        *([list(hold.drawn.items())] if hold.drawn is not None else ()),
        *([hold.part_of, hold.parts, hold.counted_at] if hold.part_of else ()),
    ]


def _lease(lease: CreditLease) -> list[Any]:
    return [
        lease.holder,
        lease.wanted,
        lease.minimum,
        lease.term,
        lease.margin,
        lease.on_lapse,
        lease.share,
        lease.granted_at,
        lease.renewals,
        lease.recalled,
        lease.reports,
        str(lease.reported),
        str(lease.over),
        lease.lapsed_at,
    ]


def _quote(quote: Quote) -> list[Any]:
    return [
        quote.number,
        quote.account.number,
        quote.plan,
        quote.quantities,
        quote.own,
        quote.charges,
        [[row, str(quantity)] for row, quantity in quote.positions],
        quote.tolerance,
        quote.made_at,
        quote.expires_at,
        quote.hold,
        quote.state,
        quote.settled_at,
    ]


def _values(values: Values) -> list[Any]:
    """Of a budget that counts values by themselves; one that does not has none of it."""
    return [
        values.said,
        [
            [
                each.number,
                each.value,
                each.terms.limit,
                each.version,
                each.created_at,
                each.created_by,
                each.counter.pack(),
                sorted(each.held.items()),
                sorted(each.crossed.items()),
            ]
            for each in sorted(values.counters(), key=lambda counter: counter.number)
        ],
        sorted(values.apart),
    ]


def _operation(operation: Operation) -> list[Any]:
    """Of the budget of an operation; others have none of it."""
    above = operation.above
    return [
        operation.root,
        operation.idle,
        operation.seen_at,
        above.number if above is not None else 0,
        sorted(operation.below.items()),
        *([operation.policy] if operation.policy else ()),
    ]


def _budget(budget: Budget) -> list[Any]:
    return [
        budget.number,
        budget.account.number,
        budget.name,
        budget.version,
        budget.created_at,
        budget.created_by,
        budget.terms,
        budget.counter.pack(),
        sorted(budget.held.items()),
        sorted(budget.crossed.items()),
        budget.packaged,
        *(_values(budget.values) if budget.values is not None else ()),
        *(_operation(budget.operation) if budget.operation is not None else ()),
    ]


def _settled(hold: SettledHold) -> list[Any]:
    leased = [hold.lease] if hold.lease is not None else []
    return [
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        str(hold.amount),
        hold.ended,
        hold.captured_late,
        hold.settled_at,
        str(hold.captured),
        hold.captures,
        hold.outcome,
        *leased,
        *([hold.operation] if hold.operation else ()),
        *([list(hold.drawn.items())] if hold.drawn is not None else ()),
        *([hold.counted_at] if hold.counted_at != hold.authorized_at else ()),
    ]
