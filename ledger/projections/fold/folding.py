"""The batch that is being folded: where an entry stands, and how a transfer becomes a row."""

from __future__ import annotations

from typing import Any

from ledger.core.events import Slice
from ledger.projections import changes as c
from ledger.projections.changes import Changes, Moved
from ledger.projections.described import Names, Plan
from ledger.projections.facts import Facts


class Folding:
    """The batch that is being folded, and where its rows go."""

    __slots__ = (
        "amended",
        "batch_at",
        "changes",
        "entry_seq",
        "facts",
        "first_event",
        "names",
        "plans",
        "recorded_at",
        "reversed",
        "shard",
    )

    def __init__(self, shard: int, facts: Facts, changes: Changes) -> None:
        self.shard = shard
        self.facts = facts
        self.changes = changes
        self.amended: dict[bytes, tuple[int, int]] = {}  # key of usage -> reversal, original
        self.reversed: dict[int, int] = {}  # index of a reversal -> entry of what it corrects
        self.plans: dict[int, Plan] = {}
        self.names: dict[int, Names] = {}
        self.batch_at = 0
        self.recorded_at = 0  # of the entry, by the clock of its tenant
        self.entry_seq = 0
        self.first_event = 0

    def place(self, event: Any) -> tuple[int, Plan]:
        """Tenant and plan of an event that names both; the plan is written down."""
        tenant = self.facts.tenants[event.account]
        plan = self.plans[event.plan]
        if plan.tenant != tenant:
            self.write_plan(plan, tenant)
        return tenant, plan

    def write_plan(self, plan: Plan, tenant: int) -> None:
        """Have the plan written down, once a tenant."""
        plan.tenant = tenant
        place = (tenant, plan.digest)
        if place in self.facts.plans:
            return
        self.changes.plans[place] = plan.row(tenant, self.shard)

    def follow_up(self, tenant: int, entry: int, *, rerated: bool = False) -> None:
        """The entry belongs to usage: that at `entry` of the batch, or what a reversal there
        corrects."""
        original = self.reversed.get(entry, self.first_event + entry)
        self.changes.follow_ups.append((tenant, self.shard, self.entry_seq, original, rerated))

    def counters(self, book: int, tenant: int) -> Moved:
        """How far the counters of a book move."""
        moved = self.changes.moved.get(book)
        if moved is None:
            moved = self.changes.moved[book] = Moved(tenant)
        return moved

    def post(
        self,
        tenant: int,
        line: int,
        debit: int,
        credit: int,
        asset: int,
        amount: int,
        effective_at: int,
        value: int = 0,
        cost: int = 0,
        pot: int = 0,
    ) -> None:
        """One posted transfer other than of usage; without a pot it is no draw."""
        self.counters(debit, tenant).debits_posted += amount
        self.counters(credit, tenant).credits_posted += amount
        self.changes.transfers.append(
            (
                tenant, self.shard, self.entry_seq, line, debit, credit, asset, amount,
                c.POSTED, pot, value, cost, effective_at, self.recorded_at,
            )
        )  # fmt: skip

    def revenue(self, tenant: int, money: int, product: str) -> int:
        """The book of what the product earned in this money."""
        assert self.facts.revenues is not None
        return self.facts.revenues[tenant, money, product]

    def recognise(
        self,
        tenant: int,
        entry_seq: int,
        line: int,
        slices: tuple[Slice, ...],
        effective_at: int,
        product: str,
    ) -> int:
        """The money of the slices: debit deferred or unbilled, credit revenue (rule B4)."""
        self.entry_seq = entry_seq
        for piece in slices:
            if piece.value:
                debit, money = self.facts.value_books[piece.book]
                if debit:
                    credit = self.revenue(tenant, money, product)
                    self.post(tenant, line, debit, credit, money, piece.value, effective_at)
                    line += 1
        return line
