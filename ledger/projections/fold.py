"""Events of one batch -> rows and moved counters. Pure: no I/O, no clock.

The mirror of `core.evolve` for tables: it copies figures that stand in the events and computes
none, so read models can be built from any journal without a price, an order or a rule. Usage is the
hot path; everything else is one function an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import asdict

from ledger.core.adjustments import PRODUCT
from ledger.core.events import (
    AccountBilled,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountPolicy,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AdjustmentNoted,
    AuthorizeDenied,
    Backfill,
    BalanceAdjusted,
    BookKind,
    BookOpened,
    ClockAdvanced,
    CommitmentCreated,
    CommitmentEnded,
    CreditNoteIssued,
    GivenBack,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    Invoice,
    InvoiceDue,
    PaymentRecorded,
    PlanDeclared,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Segment,
    SegmentAdded,
    Slice,
    Suspense,
    TimeShifted,
    Timing,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
    UsageCaptured,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
    WriteOffKind,
)
from ledger.core.holdings import taken_of
from ledger.core.state import (
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    TOP_UP_PENDING,
)
from ledger.journal.codec import PrivateRecords
from ledger.projections import changes as c
from ledger.projections.changes import (
    AccountChange,
    Changes,
    GrantChange,
    HoldChange,
    Moved,
    RecurringRow,
)
from ledger.projections.described import (
    NO_NAMES,
    Names,
    Plan,
    json_of,
    names_of,
    policy_json,
    rule_json,
    terms_json,
)
from ledger.projections.facts import Facts, GrantFact, HoldFact, HoldLine

_UNRATED: Final = -1  # a charge that waits for its price
_REASONS: Final = {int(reason): reason.name for reason in Suspense}


class Fold:
    """Folds the batches of one shard into the changes of one transaction."""

    __slots__ = (
        "_amended",
        "_batch_at",
        "_changes",
        "_entry_seq",
        "_facts",
        "_first_event",
        "_names",
        "_plans",
        "_recorded_at",
        "_shard",
    )

    def __init__(self, shard: int, facts: Facts, changes: Changes) -> None:
        self._shard = shard
        self._facts = facts
        self._changes = changes
        self._amended: dict[bytes, tuple[int, int]] = {}  # key of usage -> reversal, original
        self._plans: dict[int, Plan] = {}
        self._names: dict[int, Names] = {}
        self._batch_at = 0
        self._recorded_at = 0  # of the entry, by the clock of its tenant
        self._entry_seq = 0
        self._first_event = 0

    def take(
        self,
        first_event: int,
        recorded_at: int,
        events: Sequence[Any],
        private: PrivateRecords,
    ) -> None:
        """Fold one batch. `facts` knows what the batch needs; KeyError otherwise."""
        self._plans = {}
        self._names = names_of(private)
        self._amended = {}
        self._batch_at = self._recorded_at = recorded_at
        self._first_event = first_event
        usage = self._usage
        handlers = _HANDLERS
        for index, event in enumerate(events):
            if type(event) is UsageRecorded:
                usage(index, first_event + index, event)
            else:
                self._entry_seq = first_event + index
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(self, index, event)
        if self._amended:
            self._note_amendments(first_event, events)
        self._changes.events += len(events)

    # -- time --------------------------------------------------------------------------------------

    def _time_shifted(self, index: int, event: TimeShifted) -> None:
        """The entries that follow are recorded by a clock that is so far ahead (rule T4)."""
        self._recorded_at = self._batch_at + event.offset

    def _clock_advanced(self, index: int, event: ClockAdvanced) -> None:
        self._changes.clocks[event.tenant] = event.offset

    # -- usage -------------------------------------------------------------------------------------

    def _usage(self, index: int, entry_seq: int, event: UsageRecorded) -> None:
        changes = self._changes
        tenant = self._facts.tenants[event.account]
        plan = self._plans[event.plan]
        if plan.tenant != tenant:
            self._write_plan(plan, tenant)
        asset = plan.asset
        effective_at = event.effective_at
        recorded_at = self._recorded_at
        shard = self._shard
        line = 0
        if event.hold and not event.late:
            line = self._captured(entry_seq, event)
        charge = 0
        valued = False
        moved = changes.moved
        if event.slices:
            transfers = changes.transfers
            used_book = event.used_book
            for piece in event.slices:
                book = piece.book
                amount = piece.amount
                charge += amount
                counters = moved.get(book)
                if counters is None:
                    counters = moved[book] = Moved(tenant)
                counters.debits_posted += amount
                if piece.value:
                    counters.value += piece.value
                    valued = True
                transfers.append(
                    (
                        tenant, shard, entry_seq, line, book, used_book, asset, amount,
                        2, piece.pot, piece.value, piece.cost, effective_at, recorded_at,
                    )
                )  # fmt: skip
                line += 1
            counters = moved.get(used_book)
            if counters is None:
                counters = moved[used_book] = Moved(tenant)
            counters.credits_posted += charge
            if valued:
                self._recognise(
                    tenant, entry_seq, line, event.slices, effective_at, plan.declared.product
                )
        charges: Sequence[int | None] = event.charges
        outcome = 1
        reason = None
        if event.suspense:
            outcome = c.SUSPENSE
            reason = _REASONS[event.suspense]
            charges = [None if each == _UNRATED else each for each in event.charges]
        changes.usage.append(
            (
                tenant, shard, entry_seq, event.account, plan.digest, asset, effective_at,
                recorded_at, outcome, reason, event.late == 1,
                type(event) is HoldCharged, event.quantities, charges, charge,
                event.over_limit or None, event.hold or None, event.trace or None,
                *self._names.get(index, NO_NAMES),
            )
        )  # fmt: skip

    def _of_hold(self, index: int, event: UsageCaptured | HoldCharged) -> None:
        self._usage(index, self._entry_seq, event)

    def _recognise(
        self,
        tenant: int,
        entry_seq: int,
        line: int,
        slices: tuple[Slice, ...],
        effective_at: int,
        product: str,
    ) -> int:
        """The money of the slices: debit deferred or unbilled, credit revenue (rule B4)."""
        self._entry_seq = entry_seq
        for piece in slices:
            if piece.value:
                debit, money = self._facts.value_books[piece.book]
                if debit:
                    credit = self._revenue(tenant, money, product)
                    self._post(tenant, line, debit, credit, money, piece.value, effective_at)
                    line += 1
        return line

    def _revenue(self, tenant: int, money: int, product: str) -> int:
        assert self._facts.revenues is not None
        return self._facts.revenues[tenant, money, product]

    def _quarantined(self, index: int, event: UsageQuarantined) -> None:
        tenant, plan = self._place(event)
        self._changes.usage.append(
            (
                tenant, self._shard, self._entry_seq, event.account, plan.digest, plan.asset,
                event.effective_at, self._recorded_at, c.QUARANTINED, event.reason, False, False,
                event.quantities, None, 0, None, None, event.trace or None,
                *self._names.get(index, NO_NAMES),
            )
        )  # fmt: skip

    def _reversed(self, index: int, event: UsageReversed) -> None:
        """Transfers back from the used book, and what the usage row and the grants have less."""
        tenant, plan = self._place(event)
        changes = self._changes
        amount = 0
        line = 0
        for piece in event.given_back:
            amount += piece.amount
            line = self._give_back(
                tenant, line, event.used_book, piece, plan.asset, event.effective_at,
                plan.declared.product,
            )  # fmt: skip
        if event.replaced_by:
            self._amended[event.replaced_by] = (self._entry_seq, event.original_entry)
        changes.reversals.append(
            (
                tenant, self._shard, self._entry_seq, event.account, event.original_entry,
                plan.digest, plan.asset, event.effective_at, self._recorded_at, event.quantities,
                event.refunds, amount, event.as_charged, event.trace or None,
            )
        )  # fmt: skip
        changes.reversed_usage.append((tenant, event.original_entry, amount, event.quantities))

    def _give_back(
        self,
        tenant: int,
        line: int,
        used: int,
        piece: GivenBack,
        asset: int,
        effective_at: int,
        product: str,
    ) -> int:
        """Units that go back, and the money that they had recognised; returns the next line."""
        self._post(
            tenant, line, used, piece.book, asset, piece.amount, effective_at, -piece.value,
            -piece.cost,
        )  # fmt: skip
        self._counters(piece.drawn, tenant).value -= piece.value
        grant = self._facts.books[piece.drawn]
        if grant:
            change = self._changes.changed_grants.get(grant)
            if change is None:
                change = self._changes.changed_grants[grant] = GrantChange(tenant)
            change.given_back += piece.amount
            if piece.book != piece.drawn:
                change.returned += piece.value
        if not (piece.value and piece.money_book):
            return line + 1
        money = self._facts.value_books[piece.drawn][1]
        revenue = self._revenue(tenant, money, product)
        self._post(tenant, line + 1, revenue, piece.money_book, money, piece.value, effective_at)
        return line + 2

    def _note_amendments(self, first_event: int, events: Sequence[Any]) -> None:
        """Find the usage that stands in the stead of what this batch has reversed."""
        for entry_seq, event in enumerate(events, first_event):
            if isinstance(event, UsageRecorded) and event.key in self._amended:
                tenant = self._facts.tenants[event.account]
                place = self._amended[event.key]
                self._changes.amendments.append(
                    (tenant, self._shard, entry_seq, event.account, *place)
                )

    def _adjusted(self, _: int, event: BalanceAdjusted) -> None:
        tenant = self._facts.tenants[event.account]
        line = 0
        for piece in event.slices:
            self._post(
                tenant, line, piece.book, event.used_book, event.asset, piece.amount,
                self._recorded_at, piece.value, piece.cost, piece.pot,
            )  # fmt: skip
            self._counters(piece.book, tenant).value += piece.value
            line += 1
        if any(piece.value for piece in event.slices):
            line = self._recognise(
                tenant, self._entry_seq, line, event.slices, self._recorded_at, PRODUCT
            )
        for back in event.given_back:
            line = self._give_back(
                tenant, line, event.used_book, back, event.asset, self._recorded_at, PRODUCT
            )
        self._changes.manual.append(
            (
                tenant, self._shard, self._entry_seq, event.account, event.asset, event.amount,
                event.grant or None, self._recorded_at, event.trace or None,
            )
        )  # fmt: skip

    def _adjustment(self, _: int, event: AdjustmentNoted) -> None:
        self._changes.adjustments.append(
            (
                self._facts.tenants[event.account], self._shard, self._first_event + event.entry,
                event.account, event.period, event.closed, self._recorded_at,
            )
        )  # fmt: skip

    # -- plans, books, transfers -------------------------------------------------------------------

    def _declared(self, index: int, event: PlanDeclared) -> None:
        self._plans[index] = Plan(event)

    def _place(self, event: Any) -> tuple[int, Plan]:
        """Tenant and plan of an event that names both; the plan is written down."""
        tenant = self._facts.tenants[event.account]
        plan = self._plans[event.plan]
        if plan.tenant != tenant:
            self._write_plan(plan, tenant)
        return tenant, plan

    def _write_plan(self, plan: Plan, tenant: int) -> None:
        plan.tenant = tenant
        place = (tenant, plan.digest)
        if place in self._facts.plans:
            return
        self._changes.plans[place] = plan.row(tenant, self._shard)

    def _book_opened(self, _: int, event: BookOpened) -> None:
        facts = self._facts
        facts.books[event.book] = event.owner if event.kind == BookKind.GRANT else 0
        if event.kind == BookKind.REVENUE:
            assert facts.revenues is not None
            facts.revenues[event.tenant, event.asset, event.name] = event.book
        elif event.kind == BookKind.UNBILLED:
            facts.unbilled[event.owner, event.asset] = event.book
        elif event.kind == BookKind.OVERAGE:
            pays = facts.unbilled.get((event.owner, event.asset), 0)
            facts.value_books[event.book] = pays, event.asset
        elif event.kind != BookKind.GRANT:
            facts.value_books[event.book] = 0, event.asset
        self._changes.books.append(
            (
                event.tenant, self._shard, event.book, int(event.kind), event.asset, event.owner,
                event.name,
            )
        )  # fmt: skip

    def _counters(self, book: int, tenant: int) -> Moved:
        moved = self._changes.moved.get(book)
        if moved is None:
            moved = self._changes.moved[book] = Moved(tenant)
        return moved

    def _post(
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
        self._counters(debit, tenant).debits_posted += amount
        self._counters(credit, tenant).credits_posted += amount
        self._changes.transfers.append(
            (
                tenant, self._shard, self._entry_seq, line, debit, credit, asset, amount,
                c.POSTED, pot, value, cost, effective_at, self._recorded_at,
            )
        )  # fmt: skip

    # -- accounts and grants -----------------------------------------------------------------------

    def _account_created(self, _: int, event: AccountCreated) -> None:
        self._facts.tenants[event.account] = event.tenant
        self._changes.accounts.append(
            (
                event.tenant, self._shard, event.account, event.parent or None, event.root,
                policy_json(event.policy), 1, self._recorded_at,
            )
        )  # fmt: skip
        self._policy_in_force(event.tenant, event.account, 1, event.policy)

    def _policy_updated(self, _: int, event: AccountPolicyUpdated) -> None:
        change = self._account_change(event.account)
        change.policy = policy_json(event.policy)
        change.version = event.version
        self._policy_in_force(change.tenant, event.account, event.version, event.policy)

    def _policy_in_force(
        self, tenant: int, account: int, version: int, policy: AccountPolicy
    ) -> None:
        self._changes.policies.append(
            (tenant, self._shard, account, version, policy_json(policy), self._recorded_at)
        )

    def _account_closed(self, _: int, event: AccountClosed) -> None:
        self._account_change(event.account).closed_at = event.closed_at

    def _account_closed_out(self, _: int, event: AccountClosedOut) -> None:
        tenant = self._facts.tenants[event.account]
        line = 0
        for hold in event.holds:
            line = self._end_hold(hold, self._entry_seq, c.HOLD_RELEASED, self._recorded_at, line)
        for each in event.write_offs:
            self._post(
                tenant, line, each.debit, each.credit, each.asset, each.amount, self._recorded_at
            )
            line += 1
            if each.kind == WriteOffKind.GRANT:
                change = self._change_of(each.grant, tenant)
                self._end_grant(change, c.GRANT_EXPIRED)
                change.expired += each.amount
            elif each.kind == WriteOffKind.BREAKAGE:
                self._change_of(each.grant, tenant).returned += each.amount
        self._account_change(event.account).closed_at = event.closed_at

    def _account_reopened(self, _: int, event: AccountReopened) -> None:
        change = self._account_change(event.account)
        change.closed_at = 0
        change.reopened_at = self._recorded_at

    def _account_frozen(self, _: int, event: AccountFrozen) -> None:
        self._account_change(event.account).frozen_at = self._recorded_at

    def _account_unfrozen(self, _: int, event: AccountUnfrozen) -> None:
        self._account_change(event.account).frozen_at = 0

    def _profile_updated(self, _: int, event: AccountProfileUpdated) -> None:
        self._account_change(event.account).profile_version = event.version

    def _account_change(self, account: int) -> AccountChange:
        changed = self._changes.changed_accounts
        change = changed.get(account)
        if change is None:
            change = changed[account] = AccountChange(self._facts.tenants[account])
        return change

    def _grant_issued(self, _: int, event: GrantIssued) -> None:
        facts = self._facts
        tenant = facts.tenants[event.account]
        cash, funding = event.cash_book, event.funding_book
        if event.origin:  # where it comes from, and where its rest goes to, are not the same
            cash = facts.grants[event.origin].cash_book
            funding = facts.grants[event.origin].funding_book
        fact = GrantFact(
            tenant, event.asset, event.book, funding, cash, event.deferred_book, event.price_asset
        )
        facts.grants[event.grant] = fact
        facts.value_books[event.book] = event.deferred_book, event.price_asset
        rollover = event.rollover
        self._changes.grants.append(
            (
                tenant, self._shard, event.grant, event.account, event.ordinal, int(event.kind),
                event.asset, event.amount, event.price_paid, event.price_asset, event.priority,
                event.effective_at, event.expires_at or None, event.products, event.tags,
                json_of(dict(event.attributes)), event.shared,
                None if rollover is None else json_of(asdict(rollover)),
                json_of(dict(event.metadata)), event.book, funding, cash or None,
                event.deferred_book or None, event.origin or None, self._recorded_at,
            )
        )  # fmt: skip
        at = event.effective_at
        if event.pending:
            self._pend(tenant, 0, fact, event.amount, at, c.PENDING)
        else:
            self._post(tenant, 0, event.funding_book, event.book, event.asset, event.amount, at)
        line = 1
        if event.cash_book and event.price_paid:
            money, paid = event.price_asset, event.price_paid
            self._post(tenant, 1, event.cash_book, event.deferred_book, money, paid, at)
            line = 2
        self._backfilled(event.grant, fact, line, event.backfills)

    def _backfilled(
        self, number: int, fact: GrantFact, line: int, backfills: tuple[Backfill, ...]
    ) -> None:
        """Repaid parts of an advance, and the money that they recognise (rules B3, B4)."""
        now = self._recorded_at
        for part in backfills:
            self._grant_change(number)[1].backfill += part.amount
            self._counters(fact.book, fact.tenant).value += part.value
            self._post(
                fact.tenant, line, fact.book, part.book, fact.asset, part.amount, now, part.value
            )
            line += 1
            if part.value and fact.deferred_book:
                revenue = self._revenue(fact.tenant, fact.price_asset, part.product)
                self._post(
                    fact.tenant, line, fact.deferred_book, revenue, fact.price_asset, part.value,
                    now,
                )  # fmt: skip
                line += 1

    def _pend(
        self, tenant: int, line: int, fact: GrantFact, amount: int, at: int, phase: int
    ) -> None:
        """Units of a grant that waits for its payment, or waits no more (rule F1)."""
        moved = amount if phase == c.PENDING else -amount
        self._counters(fact.funding_book, tenant).debits_pending += moved
        self._counters(fact.book, tenant).credits_pending += moved
        self._changes.transfers.append(
            (
                tenant, self._shard, self._entry_seq, line, fact.funding_book, fact.book,
                fact.asset, amount, phase, 0, 0, 0, at, self._recorded_at,
            )
        )  # fmt: skip

    def _grant_started(self, _: int, event: GrantStarted) -> None:
        fact, _change = self._grant_change(event.grant)
        self._backfilled(event.grant, fact, 0, event.backfills)

    def _grant_rolled_over(self, _: int, event: GrantRolledOver) -> None:
        _fact, change = self._grant_change(event.grant)
        change.rolled += event.amount
        change.returned += event.value  # the entry that follows posts both

    def _grant_released(self, _: int, event: GrantReleased) -> None:
        fact, change = self._grant_change(event.grant)
        now = self._recorded_at
        self._post(
            fact.tenant, 0, event.cash_book, fact.deferred_book, fact.price_asset, event.payment,
            now,
        )  # fmt: skip
        line = 1
        if event.amount:
            self._pend(fact.tenant, 1, fact, event.amount, now, c.RELEASED)
            self._post(fact.tenant, 2, fact.funding_book, fact.book, fact.asset, event.amount, now)
            line = 3
        change.cash_book = event.cash_book
        self._facts.grants[event.grant] = fact._replace(cash_book=event.cash_book)
        self._backfilled(event.grant, fact, line, event.backfills)

    def _grant_cancelled(self, _: int, event: GrantCancelled) -> None:
        fact, change = self._grant_change(event.grant)
        self._pend(fact.tenant, 0, fact, event.amount, self._recorded_at, c.RELEASED)
        change.cancelled += event.amount
        change.returned += event.unpaid
        if event.whole:
            self._end_grant(change, c.GRANT_CANCELLED)

    def _grant_restored(self, _: int, event: GrantRestored) -> None:
        """A row like that of the grant that ended, but for what the event says."""
        ended = self._facts.grants[event.of]
        self._facts.grants[event.grant] = ended._replace(
            book=event.book, deferred_book=event.deferred_book
        )
        self._facts.value_books[event.book] = event.deferred_book, ended.price_asset
        self._changes.restored.append(
            (
                ended.tenant, event.grant, event.of, event.ordinal, event.amount, event.price_paid,
                event.expires_at or None, event.book, event.deferred_book or None,
                self._recorded_at,
            )
        )  # fmt: skip

    def _grant_voided(self, _: int, event: GrantVoided) -> None:
        fact, change = self._grant_change(event.grant)
        self._end_grant(change, c.GRANT_VOIDED)
        change.voided += event.amount
        self._leave(
            fact,
            change,
            (event.amount, fact.funding_book),
            (event.refunded, event.cash_book),
            (event.breakage, event.breakage_book),
        )

    def _grant_expired(self, _: int, event: GrantExpired) -> None:
        fact, change = self._grant_change(event.grant)
        self._end_grant(change, c.GRANT_EXPIRED)
        change.expired += event.amount
        units = (event.amount, event.forfeited_book)
        self._leave(fact, change, units, (event.value, event.breakage_book))

    def _leave(
        self,
        fact: GrantFact,
        change: GrantChange,
        units: tuple[int, int],
        *shares: tuple[int, int],
    ) -> None:
        """Units that nobody drew, and their shares of the price, where there are books for them."""
        now = self._recorded_at
        line = 0
        if units[0]:
            self._post(fact.tenant, 0, fact.book, units[1], fact.asset, units[0], now)
            line = 1
        for money, book in shares:
            change.returned += money
            if money and book:
                self._post(
                    fact.tenant, line, fact.deferred_book, book, fact.price_asset, money, now
                )
                line += 1

    def _end_grant(self, change: GrantChange, state: int) -> None:
        change.state = state
        change.settled_at = change.settled_at or self._recorded_at

    def _grant_change(self, number: int) -> tuple[GrantFact, GrantChange]:
        fact = self._facts.grants[number]
        return fact, self._change_of(number, fact.tenant)

    def _change_of(self, number: int, tenant: int) -> GrantChange:
        change = self._changes.changed_grants.get(number)
        if change is None:
            change = self._changes.changed_grants[number] = GrantChange(tenant)
        return change

    def _grant_reduced(self, _: int, event: GrantReduced) -> None:
        fact, change = self._grant_change(event.grant)
        change.voided += event.amount
        units = (event.amount, fact.funding_book)
        self._leave(fact, change, units, (event.refunded, event.cash_book))

    # -- refunds, chargebacks, bills --------------------------------------------------------------

    def _grant_refunded(self, _: int, event: GrantRefunded) -> None:
        fact, change = self._grant_change(event.grant)
        change.voided += event.amount
        self._leave(
            fact,
            change,
            (event.amount, fact.funding_book),
            (event.refunded, event.cash_book),
            (event.breakage, event.breakage_book),
        )

    def _grant_charged_back(self, _: int, event: GrantChargedBack) -> None:
        """Units to where they came from, money out of cash; its price is owed from now on."""
        now = self._recorded_at
        line = 0
        for part in event.parts:
            fact, change = self._grant_change(part.grant)
            if part.amount:
                self._post(
                    fact.tenant, line, fact.book, fact.funding_book, fact.asset, part.amount, now
                )
                line += 1
            if part.value:
                self._post(
                    fact.tenant, line, fact.deferred_book, event.cash_book, fact.price_asset,
                    part.value, now,
                )  # fmt: skip
                line += 1
            change.voided += part.amount
            change.returned += part.value
            change.cash_book = event.receivable_book
            self._facts.grants[part.grant] = fact._replace(cash_book=event.receivable_book)
            if part.ends:
                self._end_grant(change, c.GRANT_VOIDED)
        if event.owed:
            fact = self._facts.grants[event.grant]
            self._post(
                fact.tenant, line, event.receivable_book, event.cash_book, fact.price_asset,
                event.owed, now,
            )  # fmt: skip

    def _billed(self, _: int, event: AccountBilled) -> None:
        tenant, now = self._facts.tenants[event.account], self._recorded_at
        for line, each in enumerate(event.lines):
            self._post(tenant, line, each.debit, each.credit, each.asset, each.amount, now)

    def _payment_recorded(self, _: int, event: PaymentRecorded) -> None:
        self._receivable_lowered(event, event.cash_book)

    def _credited(self, _: int, event: CreditNoteIssued | ReceivableWrittenOff) -> None:
        self._receivable_lowered(event, event.book)

    def _receivable_lowered(
        self, event: PaymentRecorded | CreditNoteIssued | ReceivableWrittenOff, debit: int
    ) -> None:
        tenant = self._facts.tenants[event.account]
        self._post(
            tenant, 0, debit, event.receivable_book, event.asset, event.amount, self._recorded_at
        )

    # -- recurring grants --------------------------------------------------------------------------

    def _recurring_started(self, _: int, event: RecurringStarted) -> None:
        row = RecurringRow(
            self._facts.tenants[event.account], self._shard, event.recurring, event.account, False,
            1, terms_json(event.terms), None, event.starts_at, event.ends_at or None,
            event.starts_at, None, None, self._recorded_at,
        )  # fmt: skip
        self._facts.recurring[event.recurring] = row
        self._changes.new_recurring.add(event.recurring)
        self._changes.recurring[event.recurring] = row

    def _recurring_row(self, number: int) -> RecurringRow:
        row = self._facts.recurring[number]
        self._changes.recurring[number] = row
        return row

    def _period_issued(self, _: int, event: RecurringIssued) -> None:
        row = self._recurring_row(event.recurring)
        if row.next_terms is not None:
            row.terms, row.next_terms = row.next_terms, None
        row.period_start, row.period_end = event.start, event.end
        row.next_at = event.end
        self._issue(event, row, c.BY_PERIOD, event.start)

    def _recurring_changed(self, _: int, event: RecurringChanged) -> None:
        row = self._recurring_row(event.recurring)
        row.version = event.version
        if event.timing == Timing.NOW:
            row.terms, row.next_terms = terms_json(event.terms), None
        else:
            row.next_terms = terms_json(event.terms)
        if event.grant:
            self._issue(event, row, c.BY_CHANGE, self._recorded_at)

    def _issue(
        self, event: RecurringIssued | RecurringChanged, row: RecurringRow, cause: int, start: int
    ) -> None:
        self._changes.recurring_issues.append(
            (
                row.tenant, self._shard, self._entry_seq, event.recurring, cause, event.version,
                start, row.period_end, event.remaining, event.full, event.grant or None,
                event.amount, event.price_paid, self._recorded_at,
            )
        )  # fmt: skip

    def _recurring_paused(self, _: int, event: RecurringPaused) -> None:
        self._recurring_row(event.recurring).paused = True

    def _recurring_resumed(self, _: int, event: RecurringResumed) -> None:
        row = self._recurring_row(event.recurring)
        row.paused = False
        row.next_at = event.next_at

    def _recurring_ended(self, _: int, event: RecurringEnded) -> None:
        self._recurring_row(event.recurring).ends_at = event.ends_at

    # -- commitments -------------------------------------------------------------------------------

    def _committed(self, _: int, event: CommitmentCreated) -> None:
        tenant = self._facts.tenants[event.account]
        self._changes.commitments.append(
            (
                tenant, self._shard, event.commitment, event.account, terms_json(event.terms),
                self._recorded_at,
            )
        )  # fmt: skip
        for segment, grant in zip(event.segments, event.grants, strict=True):
            self._segment(tenant, event.commitment, segment, grant)
        self._planned(tenant, event.commitment, event.invoices)

    def _segment(
        self, tenant: int, commitment: int, segment: Segment, grant: int, of: int = 0
    ) -> None:
        self._changes.commitment_segments.append(
            (
                tenant, self._shard, commitment, grant, segment.starts_at or self._recorded_at,
                segment.ends_at, segment.amount, segment.price, of or None, self._recorded_at,
            )
        )  # fmt: skip

    def _planned(self, tenant: int, commitment: int, invoices: tuple[Invoice, ...]) -> None:
        for line, invoice in enumerate(invoices):
            self._changes.commitment_invoices.append(
                (
                    tenant, self._shard, self._entry_seq, line, commitment, invoice.at,
                    invoice.amount,
                )
            )  # fmt: skip

    def _segment_added(self, _: int, event: SegmentAdded) -> None:
        tenant = self._facts.tenants[event.account]
        self._segment(tenant, event.commitment, event.segment, event.grant, event.of)
        self._planned(tenant, event.commitment, event.invoices)

    def _commitment_ended(self, _: int, event: CommitmentEnded) -> None:
        tenant = self._facts.tenants[event.account]
        self._changes.commitment_entries.append(
            (
                tenant, self._shard, self._entry_seq, event.commitment, c.ENDED, int(event.ending),
                event.target or None, None, event.value, self._recorded_at,
            )
        )  # fmt: skip
        self._planned(tenant, event.target, event.invoices)

    def _invoice_due(self, _: int, event: InvoiceDue) -> None:
        tenant = self._facts.tenants[event.account]
        self._post(
            tenant, 0, event.receivable_book, event.unbilled_book, event.asset, event.amount,
            event.at,
        )  # fmt: skip
        self._changes.commitment_entries.append(
            (
                tenant, self._shard, self._entry_seq, event.commitment, c.INVOICED, None, None,
                event.at, event.amount, self._recorded_at,
            )
        )  # fmt: skip

    # -- top-ups -----------------------------------------------------------------------------------

    def _top_up_rule_set(self, _: int, event: TopUpRuleSet) -> None:
        rule = event.rule
        self._top_up_rule(event.account, rule.asset, event.version, rule_json(rule))

    def _top_up_rule_removed(self, _: int, event: TopUpRuleRemoved) -> None:
        self._top_up_rule(event.account, event.asset, None, None)

    def _top_up_rule(self, account: int, asset: int, version: int | None, rule: str | None) -> None:
        self._changes.top_up_rules.append(
            (
                self._facts.tenants[account], self._shard, self._entry_seq, account, asset, version,
                rule, self._recorded_at,
            )
        )  # fmt: skip

    def _top_up_requested(self, _: int, event: TopUpRequested) -> None:
        self._changes.top_ups.append(
            (
                self._facts.tenants[event.account], self._shard, event.top_up, event.account,
                TOP_UP_PENDING, event.asset, event.amount, event.price_paid, event.price_asset,
                event.source, event.version, int(event.available), self._recorded_at,
                event.expires_at,
            )
        )  # fmt: skip

    def _top_up_confirmed(self, _: int, event: TopUpConfirmed) -> None:
        self._top_up_end(event.account, event.top_up, TOP_UP_CONFIRMED, event.grant)

    def _top_up_declined(self, _: int, event: TopUpDeclined) -> None:
        self._top_up_end(event.account, event.top_up, TOP_UP_DECLINED)

    def _top_up_expired(self, _: int, event: TopUpExpired) -> None:
        self._top_up_end(event.account, event.top_up, TOP_UP_EXPIRED)

    def _top_up_end(self, account: int, number: int, state: int, grant: int | None = None) -> None:
        tenant = self._facts.tenants[account]
        self._changes.top_up_ends[number] = (tenant, number, state, self._recorded_at, grant)

    # -- holds -------------------------------------------------------------------------------------

    def _hold_authorized(self, _: int, event: HoldAuthorized) -> None:
        tenant, plan = self._place(event)
        amount = 0
        for line, piece in enumerate(event.slices):
            amount += piece.amount
            self._counters(piece.book, tenant).debits_pending += piece.amount
            self._changes.transfers.append(
                (
                    tenant, self._shard, self._entry_seq, line, piece.book, event.used_book,
                    plan.asset, piece.amount, c.PENDING, piece.pot, piece.value, piece.cost,
                    event.effective_at, self._recorded_at,
                )
            )  # fmt: skip
        if amount:
            self._counters(event.used_book, tenant).credits_pending += amount
        self._changes.holds.append(
            (
                tenant, self._shard, event.hold, self._entry_seq, event.account, plan.digest,
                plan.asset, amount, event.quantities, event.effective_at, event.expires_at,
                event.lifetime_max, int(event.expiry), event.period, event.trace or None,
            )
        )  # fmt: skip
        lines = [
            HoldLine(p.pot, p.book, event.used_book, p.amount, p.value, p.cost)
            for p in event.slices
        ]
        self._facts.holds[event.hold] = HoldFact(
            tenant, plan.asset, event.effective_at, event.period, tuple(lines)
        )

    def _captured(self, entry_seq: int, event: UsageRecorded) -> int:
        """Give back what of the hold is captured, or all of it; returns the entry's next line."""
        fact = self._facts.holds[event.hold]
        if fact is None:
            return 0
        change = self._hold_change(event.hold, fact)
        if isinstance(event, UsageCaptured):
            change.captures += 1
            change.captured += sum(event.taken)
            return self._take_part(event.hold, fact, entry_seq, event)
        held = [(line.pot, line.debit_book, line.amount) for line in fact.lines]
        change.captured += sum(taken_of(held, event.slices, event.period == fact.period))
        if isinstance(event, HoldCharged):
            return self._end_hold(event.hold, entry_seq, c.HOLD_CHARGED, event.effective_at)
        change.captures += 1
        return self._end_hold(event.hold, entry_seq, c.HOLD_CAPTURED, event.effective_at)

    def _take_part(self, number: int, fact: HoldFact, entry_seq: int, event: UsageCaptured) -> int:
        """What was taken of each slice no longer pends; the rest stays held."""
        taken = event.taken
        if not taken:
            return 0
        parts = [
            piece._replace(amount=amount, value=0, cost=0)
            for piece, amount in zip(fact.lines, taken, strict=True)
        ]
        left = [
            piece._replace(amount=piece.amount - amount)
            for piece, amount in zip(fact.lines, taken, strict=True)
        ]
        self._facts.holds[number] = fact._replace(lines=tuple(left))
        self._hold_change(number, fact).reserved = [piece.amount for piece in left]
        return self._unreserve(fact, entry_seq, parts, event.effective_at)

    def _end_hold(
        self, number: int, entry_seq: int, state: int, effective_at: int, first: int = 0
    ) -> int:
        """Give back every slice that is still reserved, from line `first` of the entry on; returns
        the next one."""
        fact = self._facts.holds.pop(number)
        if fact is None:
            return first
        change = self._hold_change(number, fact)
        change.state = state
        change.settled_at, change.settled_by = self._recorded_at, entry_seq
        return self._unreserve(fact, entry_seq, fact.lines, effective_at, first)

    def _hold_change(self, number: int, fact: HoldFact) -> HoldChange:
        changed = self._changes.changed_holds
        change = changed.get(number)
        if change is None:
            change = changed[number] = HoldChange(fact.tenant)
        return change

    def _unreserve(
        self,
        fact: HoldFact,
        entry_seq: int,
        pieces: Iterable[HoldLine],
        effective_at: int,
        line: int = 0,
    ) -> int:
        """Write what no longer pends; returns the entry's next line.

        It takes effect when what it was captured for did, so that the two are never counted both;
        not before the hold itself (rule T5).
        """
        effective_at = max(effective_at, fact.authorized_at)
        for piece in pieces:
            if not piece.amount:
                continue
            self._counters(piece.debit_book, fact.tenant).debits_pending -= piece.amount
            self._counters(piece.credit_book, fact.tenant).credits_pending -= piece.amount
            self._changes.transfers.append(
                (
                    fact.tenant, self._shard, entry_seq, line, piece.debit_book,
                    piece.credit_book, fact.asset, piece.amount, c.RELEASED, piece.pot,
                    piece.value, piece.cost, effective_at, self._recorded_at,
                )
            )  # fmt: skip
            line += 1
        return line

    def _hold_extended(self, _: int, event: HoldExtended) -> None:
        fact = self._facts.holds[event.hold]
        if fact is not None:
            self._hold_change(event.hold, fact).expires_at = event.expires_at

    def _hold_released(self, _: int, event: HoldReleased) -> None:
        self._end_hold(event.hold, self._entry_seq, c.HOLD_RELEASED, self._recorded_at)

    def _hold_expired(self, _: int, event: HoldExpired) -> None:
        self._end_hold(event.hold, self._entry_seq, c.HOLD_EXPIRED, self._recorded_at)

    def _denied(self, _: int, event: AuthorizeDenied) -> None:
        tenant, plan = self._place(event)
        self._changes.denials.append(
            (
                tenant, self._shard, self._entry_seq, event.account, plan.digest, plan.asset,
                event.quantities, event.charge, event.available, event.reason, self._recorded_at,
                event.trace or None,
            )
        )  # fmt: skip


_HANDLERS: Final[dict[type, Callable[[Fold, int, Any], None]]] = {
    PlanDeclared: Fold._declared,
    BookOpened: Fold._book_opened,
    AccountCreated: Fold._account_created,
    AccountPolicyUpdated: Fold._policy_updated,
    AccountClosed: Fold._account_closed,
    AccountClosedOut: Fold._account_closed_out,
    AccountReopened: Fold._account_reopened,
    AccountFrozen: Fold._account_frozen,
    AccountUnfrozen: Fold._account_unfrozen,
    AccountProfileUpdated: Fold._profile_updated,
    GrantIssued: Fold._grant_issued,
    GrantStarted: Fold._grant_started,
    GrantRolledOver: Fold._grant_rolled_over,
    GrantReleased: Fold._grant_released,
    GrantCancelled: Fold._grant_cancelled,
    GrantVoided: Fold._grant_voided,
    GrantExpired: Fold._grant_expired,
    GrantReduced: Fold._grant_reduced,
    GrantRefunded: Fold._grant_refunded,
    GrantChargedBack: Fold._grant_charged_back,
    AccountBilled: Fold._billed,
    PaymentRecorded: Fold._payment_recorded,
    CreditNoteIssued: Fold._credited,
    ReceivableWrittenOff: Fold._credited,
    RecurringStarted: Fold._recurring_started,
    RecurringIssued: Fold._period_issued,
    RecurringChanged: Fold._recurring_changed,
    RecurringPaused: Fold._recurring_paused,
    RecurringResumed: Fold._recurring_resumed,
    RecurringEnded: Fold._recurring_ended,
    CommitmentCreated: Fold._committed,
    SegmentAdded: Fold._segment_added,
    CommitmentEnded: Fold._commitment_ended,
    InvoiceDue: Fold._invoice_due,
    TopUpRuleSet: Fold._top_up_rule_set,
    TopUpRuleRemoved: Fold._top_up_rule_removed,
    TopUpRequested: Fold._top_up_requested,
    TopUpConfirmed: Fold._top_up_confirmed,
    TopUpDeclined: Fold._top_up_declined,
    TopUpExpired: Fold._top_up_expired,
    TimeShifted: Fold._time_shifted,
    ClockAdvanced: Fold._clock_advanced,
    UsageQuarantined: Fold._quarantined,
    UsageReversed: Fold._reversed,
    AdjustmentNoted: Fold._adjustment,
    BalanceAdjusted: Fold._adjusted,
    GrantRestored: Fold._grant_restored,
    HoldAuthorized: Fold._hold_authorized,
    UsageCaptured: Fold._of_hold,
    HoldCharged: Fold._of_hold,
    HoldExtended: Fold._hold_extended,
    HoldReleased: Fold._hold_released,
    HoldExpired: Fold._hold_expired,
    AuthorizeDenied: Fold._denied,
}
"""Usage apart. Events without rows: openings, configuration, LimitExceeded (its usage event says
it), abandoned requests. A test asserts that every event is named."""
