"""Read models of a tenant whose clock is ahead are in its own time (rules T4, T5)."""

from __future__ import annotations

import itertools

from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.journal.codec import PrivateRecords
from ledger.projections.changes import POSTED, Changes, Row
from ledger.projections.facts import Facts
from ledger.projections.fold import Fold
from ledger.projections.snapshots import snapshots, touched

START_US = 1_790_000_000_000_000
LIVE, SANDBOX = 1, 2
POLICY = e.AccountPolicy()


def transfer(tenant: int, entry: int, amount: int, recorded_at: int) -> Row:
    """Into a book of the tenant that is called after it."""
    return (
        tenant, 0, entry, 0, 10 + tenant, 20 + tenant, 1, amount, POSTED, 0, 0, 0, recorded_at,
        recorded_at,
    )  # fmt: skip


def test_snapshots_within_a_transaction_are_each_of_its_books_own_time() -> None:
    """Two tenants, entry by entry in one batch after the other: what stood by an instant of the
    one says nothing of the other's."""
    numbers = itertools.count()
    rows = []
    for batch in range(6):
        at = START_US + batch
        for _ in range(3):
            rows.append(transfer(LIVE, next(numbers), 1, at))
            rows.append(transfer(SANDBOX, next(numbers), 2, at + DAY_US))
    taken = snapshots(rows, touched(rows), 4)
    assert taken, "six batches of three, a snapshot once in four"
    for each in taken:
        tenant = each.book % 10
        within = [row for row in rows if row[0] == tenant and row[-1] <= each.recorded_at]
        assert (each.recorded_at - START_US) // DAY_US == (tenant == SANDBOX)
        total = sum(row[7] for row in within)
        assert (each.debits_posted, each.credits_posted) in ((total, 0), (0, total))
    assert {each.book for each in taken} == {11, 12, 21, 22}


def test_a_shift_of_time_holds_to_the_next_or_the_end_of_the_batch() -> None:
    facts, changes = Facts(), Changes()
    fold = Fold(0, facts, changes)

    def created(account: int, tenant: int) -> e.AccountCreated:
        return e.AccountCreated(bytes([account]) * 16, tenant, account, 0, account, POLICY)

    batch = [
        created(1, LIVE),
        e.ClockAdvanced(SANDBOX, DAY_US),
        e.TimeShifted(DAY_US),
        created(2, SANDBOX),
        created(3, SANDBOX),
        e.TimeShifted(0),
        created(4, LIVE),
        e.TimeShifted(DAY_US),
        created(5, SANDBOX),
    ]
    facts.needed(batch)
    fold.take(0, START_US, batch, PrivateRecords())
    fold.take(len(batch), START_US + 1, [created(6, LIVE)], PrivateRecords())
    assert changes.clocks == {SANDBOX: DAY_US}
    ahead = {row[2]: row[-1] - START_US for row in changes.policies}
    recorded = {row[2]: row[5] - START_US for row in changes.policies}
    assert ahead == recorded
    assert recorded == {1: 0, 2: DAY_US, 3: DAY_US, 4: 0, 5: DAY_US, 6: 1}
