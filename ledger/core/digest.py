"""The canonical form of a shard's state, sorted by id, and its digest.

Two states are equal when these bytes are. Derived indexes (active grants, timers, inherited cards)
are left out: they follow from what is here. Of a state that has paged families out or keys in
segments, `ledger.core.packing.whole` makes a copy that has it all.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from ledger.core.books import Book
from ledger.core.events import AccountPolicy
from ledger.core.limits import HOLD_LIFETIME_MAX_US
from ledger.core.periods import month_of
from ledger.core.state import (
    HOLD_CAPTURED,
    HOLD_CHARGED,
    Account,
    Family,
    Grant,
    Hold,
    RecurringGrant,
    SettledHold,
    State,
)
from ledger.core.upcast import Policy

DIGEST_VERSION: Final = 1
"""The form of these bytes. Whatever changes the digest of an old journal is a new version."""


def snapshot(state: State) -> dict[str, Any]:
    """Everything that evolve touches, as plain sorted lists. No family may be paged out."""
    assert not state.paged_families, "parts of this state are packed elsewhere: see whole()"
    found = {
        "shard": state.shard,
        "epoch": state.epoch,
        "batch_seq": state.batch_seq,
        "entry_seq": state.entry_seq,
        "recorded_at": state.recorded_at,
        "next": [state.next_book, state.next_grant, state.next_hold],
        "configuration": sorted(state.configuration.items()),
        "books": [_book(book) for _, book in sorted(state.books.accounts.items())],
        "accounts": [_account(account) for _, account in sorted(state.accounts.items())],
        "families": [
            [
                family.root,
                family.next_ordinal,
                sorted(family.grant_keys.items()),
                *_corrections(state, family),
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
        "keys": state.keys.snapshot(),
    }
    if state.next_recurring > 1:  # left out where there was none yet: old digests stay
        found["recurring"] = [
            state.next_recurring,
            [_recurring(each) for _, each in sorted(state.recurring.items())],
        ]
    return found


def digest(state: State) -> bytes:
    """BLAKE2b-256 of the canonical form."""
    return blake2b(msgspec.msgpack.encode(snapshot(state)), digest_size=32).digest()


def _corrections(state: State, family: Family) -> list[Any]:
    """Nothing before the first correction: old digests stay."""
    corrected = family.remembered(state.corrected_before)
    if not corrected:
        return []
    return [
        [
            [locator, each.effective_at, each.quantities, str(each.amount), str(each.as_charged)]
            for locator, each in corrected.items()
        ],
        [
            [account.number, asset, debt.run, sorted(debt.owed.items())]
            for account in state.family_accounts(family.root)
            for asset, debt in sorted(account.debt.items())
        ],
        [
            [grant.number, sorted(grant.repaid.items())]
            for account in state.family_accounts(family.root)
            for grant in account.grants
            if grant.repaid
        ],
    ]


def _book(book: Book) -> list[Any]:
    return [
        book.number,
        book.tenant,
        book.kind,
        book.asset,
        book.owner,
        book.name,
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


def _account(account: Account) -> list[Any]:
    return [
        account.tenant,
        account.number,
        account.root,
        account.parent.number if account.parent is not None else 0,
        _policy(account.policy),
        account.version,
        account.created_at,
        account.closed_at,
        [
            [row, period, str(quantity)]
            for (row, period), quantity in sorted(account.totals.items())
        ],
        [
            [asset, period, str(posted)]
            for (asset, period), posted in sorted(account.overage_posted.items())
        ],
        [[asset, str(pending)] for asset, pending in sorted(account.overage_pending.items())],
        account.suspended,
        *_later(account),
    ]


def _later(account: Account) -> list[Any]:
    """What came later, where it is not as if it had never come: old digests stay."""
    standing = (
        account.reopened_at,
        account.gaps,
        account.frozen_at,
        account.frozen_by,
        account.freeze_cause,
    )
    profile = (account.profile_version, account.profile_at)
    if not any(standing) and account.profile_version == 1:
        return []
    return [*standing, *profile]


def _policy(policy: AccountPolicy) -> AccountPolicy | Policy:
    """In its first form where what came later has its default: old digests stay."""
    first = msgspec.structs.astuple(policy)[: len(Policy.__struct_fields__)]
    return policy if policy != AccountPolicy(*first) else Policy(*first)


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
        *([grant.recurring] if grant.recurring else []),
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
    ]


def _hold(hold: Hold) -> list[Any]:
    """Without what every hold had before captures could leave one open, and products had terms."""
    terms = (hold.lifetime_max, hold.period, hold.estimate, hold.captures)
    as_ever = (HOLD_LIFETIME_MAX_US, month_of(hold.authorized_at)[0], None, 0)
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
        *([] if terms == as_ever else [hold.amount, *terms]),
    ]


def _settled(hold: SettledHold) -> list[Any]:
    """Without what was captured where that is told by how it ended: in one capture, or in none."""
    as_ever = hold.captures == (hold.ended == HOLD_CAPTURED) and hold.ended != HOLD_CHARGED
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
        *([] if as_ever else [str(hold.captured), hold.captures]),
    ]
