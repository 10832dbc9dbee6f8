"""Events of one batch -> rows and moved counters. Pure: no I/O, no clock.

The mirror of `core.evolve` for tables: it copies figures that stand in the events and computes
none, so read models can be built from any journal without a price, an order or a rule. Usage is the
hot path; everything else is one function an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ledger.core.events import (
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
    BalanceAdjusted,
    BookKind,
    BookOpened,
    GivenBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRestored,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    PlanDeclared,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Suspense,
    Timing,
    UsageCaptured,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.holdings import taken_of
from ledger.journal.codec import PrivateRecords
from ledger.projections import changes as c
from ledger.projections.changes import (
    AccountChange,
    Changes,
    GrantEnd,
    HoldChange,
    Moved,
    RecurringRow,
)
from ledger.projections.described import NO_NAMES, Names, Plan, names_of, policy_json, terms_json
from ledger.projections.facts import Facts, GrantFact, HoldFact, HoldLine

_UNRATED: Final = -1  # a charge that waits for its price
_REASONS: Final = {int(reason): reason.name for reason in Suspense}


class Fold:
    """Folds the batches of one shard into the changes of one transaction."""

    __slots__ = (
        "_amended",
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
        self._recorded_at = 0
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
        self._recorded_at = recorded_at
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
        for line, piece in enumerate(event.given_back):
            amount += piece.amount
            self._give_back(tenant, line, event.used_book, piece, plan.asset, event.effective_at)
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
        self, tenant: int, line: int, used: int, piece: GivenBack, asset: int, effective_at: int
    ) -> None:
        self._post(
            tenant, line, used, piece.book, asset, piece.amount, effective_at, -piece.value,
            -piece.cost,
        )  # fmt: skip
        grant = self._facts.books[piece.drawn]
        if grant:
            returned = self._changes.returned.setdefault(grant, [tenant, 0])
            returned[1] += piece.amount

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
        for line, piece in enumerate(event.slices):
            self._post(
                tenant, line, piece.book, event.used_book, event.asset, piece.amount,
                self._recorded_at, piece.value, piece.cost, piece.pot,
            )  # fmt: skip
        for line, back in enumerate(event.given_back):
            self._give_back(tenant, line, event.used_book, back, event.asset, self._recorded_at)
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
        self._facts.books[event.book] = event.owner if event.kind == BookKind.GRANT else 0
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
            if each.grant:
                end = self._end_of(each.grant, tenant)
                self._settled(end, c.GRANT_EXPIRED)
                end.expired += each.amount
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
        tenant = self._facts.tenants[event.account]
        fact = GrantFact(tenant, event.asset, event.book, event.funding_book)
        self._facts.grants[event.grant] = fact
        self._changes.grants.append(
            (
                tenant, self._shard, event.grant, event.account, event.ordinal, int(event.kind),
                event.asset, event.amount, event.price_paid, event.price_asset, event.priority,
                event.effective_at, event.expires_at or None, event.products, event.book,
                event.funding_book, event.backfill, self._recorded_at,
            )
        )  # fmt: skip
        at = event.effective_at
        self._post(tenant, 0, event.funding_book, event.book, event.asset, event.amount, at)
        if event.backfill:
            self._post(
                tenant, 1, event.book, event.backfill_book, event.asset, event.backfill,
                self._recorded_at, event.backfill_value,
            )  # fmt: skip

    def _grant_restored(self, _: int, event: GrantRestored) -> None:
        """A row like that of the grant that ended, but for what the event says."""
        ended = self._facts.grants[event.of]
        self._facts.grants[event.grant] = GrantFact(
            ended.tenant, ended.asset, event.book, ended.funding_book
        )
        self._changes.restored.append(
            (
                ended.tenant, event.grant, event.of, event.ordinal, event.amount, event.price_paid,
                event.expires_at or None, event.book, self._recorded_at,
            )
        )  # fmt: skip

    def _grant_voided(self, _: int, event: GrantVoided) -> None:
        fact, end = self._grant_end(event.grant)
        self._settled(end, c.GRANT_VOIDED)
        end.voided += event.amount
        if event.amount:
            self._post(
                fact.tenant, 0, fact.book, fact.funding_book, fact.asset, event.amount,
                self._recorded_at,
            )  # fmt: skip

    def _grant_expired(self, _: int, event: GrantExpired) -> None:
        fact, end = self._grant_end(event.grant)
        self._settled(end, c.GRANT_EXPIRED)
        end.expired += event.amount
        if event.amount:
            self._post(
                fact.tenant, 0, fact.book, event.forfeited_book, fact.asset, event.amount,
                self._recorded_at,
            )  # fmt: skip

    def _grant_end(self, number: int) -> tuple[GrantFact, GrantEnd]:
        fact = self._facts.grants[number]
        return fact, self._end_of(number, fact.tenant)

    def _end_of(self, number: int, tenant: int) -> GrantEnd:
        end = self._changes.ended_grants.get(number)
        if end is None:
            end = self._changes.ended_grants[number] = GrantEnd(tenant)
        return end

    def _settled(self, end: GrantEnd, state: int) -> None:
        end.state = state
        if end.settled_at is None:
            end.settled_at = self._recorded_at

    def _grant_reduced(self, _: int, event: GrantReduced) -> None:
        fact, end = self._grant_end(event.grant)
        end.voided += event.amount
        self._post(
            fact.tenant, 0, fact.book, fact.funding_book, fact.asset, event.amount,
            self._recorded_at,
        )  # fmt: skip

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
    GrantVoided: Fold._grant_voided,
    GrantExpired: Fold._grant_expired,
    GrantReduced: Fold._grant_reduced,
    RecurringStarted: Fold._recurring_started,
    RecurringIssued: Fold._period_issued,
    RecurringChanged: Fold._recurring_changed,
    RecurringPaused: Fold._recurring_paused,
    RecurringResumed: Fold._recurring_resumed,
    RecurringEnded: Fold._recurring_ended,
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
